//! Sends a learner what it lacks, past the held outbox: a snapshot (the SNAP part of
//! `LearnerHandler.run`) or history from the log on disk (`TxnLogProposalIterator`,
//! `LearnerHandler.queueCommittedProposals`).
//!
//! ```text
//! thread "learner-sync": tree or log -> pieces -> (bounded) -> quorum thread -> socket
//!                                    then: release the outbox, flush, tell the engine
//! ```

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use bytes::{Bytes, BytesMut};
use tokio::sync::mpsc;
use tracing::{info, warn};

use super::LearnerEvent;
use super::learner_cnxn_factory::Shared;
use super::learner_socket::LearnerSocket;
use crate::persistence::{
    Disk, DiskFile, LogError, LogLookup, LogReader, OsDisk, look_up, put_leaders_end,
    valid_snapshots,
};
use crate::processor::ServerState;
use crate::proto::quorum_packet::put_packet;
use crate::proto::{PacketType, Zxid};
use crate::quorum::{HistoryPlan, LearnerCnxn};
use crate::server::storage::SLOTS_PER_HOLD;
use crate::tree::SnapshotCursor;

/// Pieces that may wait for the peer to take them.
const PIECES_MAX: usize = 4;

/// Bytes of packets that make a piece.
const PIECE_BYTES: usize = 256 << 10;

/// Pieces on their way: the last is [`Piece::End`].
pub(super) type PastOutbox = mpsc::Receiver<Piece>;

/// A part of what is written past an outbox.
pub(super) enum Piece {
    /// Bytes to send.
    Bytes(Bytes),
    /// That was all.
    End,
    /// There will be no more, for this reason.
    Failed(String),
}

/// Why nothing more is to be sent.
enum Stop {
    /// The connection is over.
    ConnectionOver,
    /// It cannot be read.
    Failed(String),
}

/// Sends a piece, and waits until there is room for it.
type SendPiece<'a> = dyn FnMut(Bytes) -> Result<(), Stop> + 'a;

/// A snapshot of the database as it is now, and its zxid.
///
/// The walk is begun by the caller, so that what it applies later is not missing: the SNAP packet
/// names the zxid seen here, and every transaction above it is queued behind.
pub(super) fn snapshot(state: Arc<ServerState>) -> (Zxid, PastOutbox) {
    let walk = Walk::begin(&state);
    let zxid = walk.cursor.zxid();
    (zxid, on_a_thread(move |send| walk.send(&state, send)))
}

/// A snapshot being made.
struct Walk {
    cursor: SnapshotCursor,
    head: Vec<u8>,
}

impl Walk {
    fn begin(state: &ServerState) -> Self {
        let mut head = Vec::new();
        let database = state.database.read();
        let sessions: Vec<_> =
            database.sessions.iter().map(|(&session, &timeout)| (session, timeout)).collect();
        let cursor = SnapshotCursor::start(&database.tree, sessions.into_iter(), &mut head);
        Self { cursor, head }
    }

    fn send(mut self, state: &ServerState, send: &mut SendPiece<'_>) -> Result<(), Stop> {
        let mut chunk = self.head;
        loop {
            send(std::mem::take(&mut chunk).into())?;
            let next =
                self.cursor.next_chunk(&state.database.read().tree, SLOTS_PER_HOLD, &mut chunk);
            if !next.map_err(|replaced| Stop::Failed(replaced.to_string()))? {
                break;
            }
        }
        put_leaders_end(&mut chunk);
        send(chunk.into())
    }
}

/// What history is read from.
#[derive(Debug, Clone)]
pub struct HistoryDirs {
    /// The directory of the transaction logs.
    pub logs: PathBuf,
    /// The directory of the snapshots, for the size of the newest.
    pub snapshots: PathBuf,
    /// The part of the newest snapshot's size up to which logs are sent instead of a snapshot; none
    /// are if it is negative (`zookeeper.snapshotSizeFactor`).
    pub snapshot_size_factor: f64,
}

/// The choice for a learner whose last transaction is `last`, where the leader's is `up_to`; logs
/// of more than `bytes_max` bytes are not sent.
///
/// # Errors
/// Why it has to be a snapshot.
pub fn plan(
    last: Zxid,
    up_to: Zxid,
    found: &LogLookup,
    bytes_max: u64,
) -> Result<HistoryPlan, &'static str> {
    let goes_on = found.next_above.is_some_and(|next| next.may_follow(last));
    let ends_epoch = goes_on && found.next_above != Some(last.next());
    if found.bytes > bytes_max {
        Err("the log is larger than snapshotSizeFactor allows")
    } else if found.contiguous_to != Some(up_to) {
        Err("the log has a hole, or ends too early")
    } else if !goes_on {
        Err("the log has a hole behind the learner's last transaction")
    } else if found.is_present {
        Ok(HistoryPlan::Diff)
    } else if last.counter() == 0 {
        // The start of an epoch stands for this history if the epoch's first transaction does.
        match found.next_above == Some(last.next()) {
            true => Ok(HistoryPlan::Diff),
            false => Err("the learner's epoch is not in the log"),
        }
    } else {
        match found.last_below {
            Some(before) if ends_epoch => Ok(HistoryPlan::Trunc(before)),
            _ => Err("the log does not reach back to the learner's last transaction"),
        }
    }
}

/// Looks on a thread of its own how the log on disk brings a learner from `last` to `up_to`, and
/// tells `found`.
pub(super) fn find_history(
    dirs: HistoryDirs,
    last: Zxid,
    up_to: Zxid,
    found: impl Fn(HistoryPlan) + Clone + Send + 'static,
) {
    let tell = found.clone();
    let look = move || {
        let plan = match look_up(&OsDisk, &dirs.logs, last, up_to) {
            Ok(found) => plan(last, up_to, &found, dirs.log_bytes_max()),
            Err(error) => {
                warn!("cannot look for a learner's history: {error}");
                Err("the log cannot be read")
            }
        };
        info!("a learner has 0x{last}, we 0x{up_to}, beyond what is in memory: {plan:?}");
        tell(plan.unwrap_or(HistoryPlan::Snap));
    };
    if let Err(error) = thread::Builder::new().name("learner-sync".into()).spawn(look) {
        warn!("cannot look for a learner's history: {error}");
        found(HistoryPlan::Snap);
    }
}

/// The transactions in (`after`, `up_to`] of the log on disk, each with its commit.
pub(super) fn history(logs: PathBuf, after: Zxid, up_to: Zxid) -> PastOutbox {
    on_a_thread(move |send| read_history(&logs, after, up_to, send))
}

impl HistoryDirs {
    /// Bytes of logs beyond which a snapshot is sent; without a snapshot there is no limit.
    fn log_bytes_max(&self) -> u64 {
        if self.snapshot_size_factor < 0.0 {
            return 0;
        }
        let newest = valid_snapshots(&OsDisk, &self.snapshots, 1)
            .ok()
            .and_then(|found| found.into_iter().next());
        let length = |path: &Path| OsDisk.open(path).and_then(|file| file.length()).ok();
        let bytes = newest.and_then(|file| length(&file.path)).unwrap_or(0);
        match (bytes as f64 * self.snapshot_size_factor) as u64 {
            0 => u64::MAX,
            limit => limit,
        }
    }
}

/// Sends the transactions in (`after`, `up_to`], each with its commit.
fn read_history(
    dir: &Path,
    after: Zxid,
    up_to: Zxid,
    send: &mut SendPiece<'_>,
) -> Result<(), Stop> {
    let mut history = LearnerHistory::open(&OsDisk, dir, after, up_to).map_err(Stop::Failed)?;
    while let Some(piece) = history.next_piece(PIECE_BYTES).map_err(Stop::Failed)? {
        send(piece)?;
    }
    Ok(())
}

/// The transactions in (`last`, `up_to`] of the log on disk, each with its commit.
#[derive(Debug)]
pub struct LearnerHistory<D: Disk = OsDisk> {
    reader: LogReader<D>,
    last: Zxid,
    up_to: Zxid,
}

impl<D: Disk> LearnerHistory<D> {
    /// Those in (`after`, `up_to`] of the logs in `dir`.
    ///
    /// # Errors
    /// The log cannot be read.
    pub fn open(disk: &D, dir: &Path, after: Zxid, up_to: Zxid) -> Result<Self, String> {
        let reader = LogReader::open(disk, dir, after).map_err(unreadable)?;
        Ok(Self { reader, last: after, up_to })
    }

    /// The next packets, of no many more bytes than `bytes`; `None` behind the last one.
    ///
    /// # Errors
    /// The log cannot be read, has a hole, or ends too early.
    pub fn next_piece(&mut self, bytes: usize) -> Result<Option<Bytes>, String> {
        let mut piece = BytesMut::new();
        while self.last < self.up_to && piece.len() < bytes {
            let record = self.reader.next_record().map_err(unreadable)?;
            let Some(record) = record.filter(|record| record.zxid() <= self.up_to) else {
                return Err(format!("the log ends at 0x{}, not at 0x{}", self.last, self.up_to));
            };
            let zxid = record.zxid();
            if zxid <= self.last {
                // The learner has it, or the log repeats it.
                continue;
            }
            if !zxid.may_follow(self.last) {
                return Err(format!("0x{zxid} follows 0x{} in the log: a hole", self.last));
            }
            put_packet(PacketType::Proposal, zxid, Some(record.raw), &mut piece);
            put_packet(PacketType::Commit, zxid, None, &mut piece);
            self.last = zxid;
        }
        Ok((!piece.is_empty()).then(|| piece.freeze()))
    }
}

fn unreadable(error: LogError) -> String {
    format!("cannot read the history of a learner: {error}")
}

/// Runs `produce` on a thread of its own; it is given the function that sends a piece.
fn on_a_thread(
    produce: impl FnOnce(&mut SendPiece<'_>) -> Result<(), Stop> + Send + 'static,
) -> PastOutbox {
    let (pieces, taken) = mpsc::channel(PIECES_MAX);
    let on_thread = pieces.clone();
    let run = move || {
        let mut send = |bytes: Bytes| {
            if bytes.is_empty() {
                return Ok(());
            }
            on_thread.blocking_send(Piece::Bytes(bytes)).map_err(|_| Stop::ConnectionOver)
        };
        let last = match produce(&mut send) {
            Ok(()) => Piece::End,
            Err(Stop::Failed(reason)) => Piece::Failed(reason),
            Err(Stop::ConnectionOver) => return,
        };
        // Without a taker the connection is over.
        let _ = on_thread.blocking_send(last);
    };
    if let Err(error) = thread::Builder::new().name("learner-sync".into()).spawn(run) {
        let reason = format!("cannot start a thread to send from: {error}");
        let _ = pieces.try_send(Piece::Failed(reason));
    }
    taken
}

/// Sends the pieces, then releases the outbox and tells the engine.
pub(super) async fn send(
    shared: Arc<Shared>,
    cnxn: Arc<LearnerCnxn>,
    socket: Arc<LearnerSocket>,
    mut pieces: PastOutbox,
) {
    let mut bytes_sent = 0;
    loop {
        match pieces.recv().await {
            Some(Piece::Bytes(bytes)) => {
                bytes_sent += bytes.len();
                if !socket.send_past_outbox(&cnxn, bytes).await {
                    return;
                }
            }
            Some(Piece::End) => break,
            other => {
                let reason = match other {
                    Some(Piece::Failed(reason)) => reason,
                    _ => "the thread that reads it panicked".into(),
                };
                warn!(peer = %cnxn.peer, "cannot synchronise a learner: {reason}");
                shared.emit(vec![LearnerEvent::SendFailed(cnxn.id, reason.clone())]);
                socket.finish(&reason);
                return;
            }
        }
    }
    info!(peer = %cnxn.peer, "{bytes_sent} bytes were sent to synchronise a learner");
    cnxn.outbox().release();
    cnxn.flush();
    shared.emit(vec![LearnerEvent::Sent(cnxn.id)]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::{AuthOptions, ProviderRegistry};
    use crate::processor::ZkDatabase;
    use crate::tree::{DataTree, TreeOptions};
    use proptest::prelude::*;

    const fn zxid(epoch: i64, counter: i64) -> Zxid {
        Zxid(epoch << 32 | counter)
    }

    #[test]
    fn the_log_is_sent_only_where_it_is_the_whole_way() {
        let up_to = zxid(3, 4);
        let whole = LogLookup {
            is_present: true,
            last_below: Some(zxid(2, 4)),
            next_above: Some(zxid(2, 6)),
            contiguous_to: Some(up_to),
            bytes: 100,
        };
        let last = zxid(2, 5);
        let snap = |found: LogLookup, bytes_max| plan(last, up_to, &found, bytes_max).is_err();
        assert_eq!(plan(last, up_to, &whole, 100), Ok(HistoryPlan::Diff));
        assert!(snap(whole, 99));
        assert!(snap(LogLookup { contiguous_to: Some(zxid(3, 3)), ..whole }, 100));
        assert!(snap(LogLookup { contiguous_to: None, ..whole }, 100));
        assert!(snap(LogLookup { next_above: Some(zxid(2, 7)), ..whole }, 100));
        let next_epoch = LogLookup { next_above: Some(zxid(3, 1)), ..whole };
        assert_eq!(plan(last, up_to, &next_epoch, 100), Ok(HistoryPlan::Diff));
        let absent = LogLookup { is_present: false, ..next_epoch };
        assert_eq!(plan(last, up_to, &absent, 100), Ok(HistoryPlan::Trunc(zxid(2, 4))));
        assert!(snap(LogLookup { last_below: None, ..absent }, 100));
        assert!(snap(LogLookup { is_present: false, ..whole }, 100));
        let start = LogLookup { last_below: None, next_above: Some(zxid(2, 1)), ..absent };
        assert_eq!(plan(zxid(2, 0), up_to, &start, 100), Ok(HistoryPlan::Diff));
        let other_epoch = LogLookup { next_above: Some(zxid(3, 1)), ..start };
        assert!(plan(zxid(2, 0), up_to, &other_epoch, 100).is_err());
    }

    #[test]
    fn a_snapshot_of_a_database_that_is_replaced_is_sent_no_further() {
        let fresh = || ZkDatabase {
            tree: DataTree::new(TreeOptions::default()),
            sessions: Default::default(),
        };
        let auth = ProviderRegistry::new(AuthOptions::default());
        let state = ServerState::new(fresh(), auth, 1 << 20);
        let walk = Walk::begin(&state);
        *state.database.write() = fresh();
        let mut pieces = 0;
        let sent = walk.send(&state, &mut |_| {
            pieces += 1;
            Ok(())
        });
        assert!(matches!(sent, Err(Stop::Failed(_))));
        assert_eq!(pieces, 1, "the head was there before");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        /// Whatever an older leader left a learner with, it ends with this history: a DIFF from the
        /// log on disk may make it differ otherwise (ZOOKEEPER-2846).
        #[test]
        fn the_learner_ends_with_the_leaders_history(
            ends in prop::collection::vec(0_i64..5, 1..4),
            dropped in 0_usize..6,
            hole in prop::option::of(0_usize..12),
            epoch_at in 0_usize..4,
            counter in 0_i64..7)
        {
            let epochs = (1..).zip(ends.iter().copied());
            let all: Vec<Zxid> =
                epochs.flat_map(|(epoch, n)| (1..=n).map(move |c| zxid(epoch, c))).collect();
            prop_assume!(!all.is_empty());
            let up_to = *all.last().unwrap();
            let mut on_disk = all[dropped.min(all.len() - 1)..].to_vec();
            // That an epoch's last transaction is missing cannot be told.
            let epoch_of = |index: usize| on_disk.get(index).map(|zxid| zxid.epoch());
            let hole = hole.filter(|&hole| {
                epoch_of(hole).is_some() && epoch_of(hole) == epoch_of(hole + 1)
            });
            if let Some(hole) = hole {
                on_disk.remove(hole);
            }
            let dir = tempfile::tempdir().unwrap();
            for part in on_disk.chunks(3) {
                let mut batch = crate::persistence::LogBatch::new();
                for zxid in part {
                    let header = jute::TxnHeader { zxid: zxid.0, kind: -11, ..Default::default() };
                    batch.push(|out| jute::Field::write(&header, out));
                }
                let options = crate::persistence::LogOptions {
                    prealloc_bytes: 1 << 20,
                    ..Default::default()
                };
                let mut writer = crate::persistence::FileTxnLog::new(OsDisk, dir.path(), options);
                writer.append(&batch).unwrap();
                writer.flush().unwrap();
            }
            // The learner followed the leader of an epoch, further than this history or less far.
            let epoch = epoch_at.min(ends.len() - 1) as i64 + 1;
            let mut learner: Vec<Zxid> =
                all.iter().copied().filter(|zxid| zxid.epoch() < epoch).collect();
            learner.extend((1..=counter).map(|counter| zxid(epoch, counter)));
            let last = learner.last().copied().unwrap_or(Zxid(0));
            prop_assume!(last < up_to);
            let found = look_up(&OsDisk, dir.path(), last, up_to).unwrap();
            let after = match plan(last, up_to, &found, u64::MAX) {
                Ok(HistoryPlan::Diff) => last,
                Ok(HistoryPlan::Trunc(to)) => {
                    prop_assert!(learner.contains(&to));
                    learner.retain(|zxid| *zxid <= to);
                    to
                }
                _ => return Ok(()),
            };
            let mut sent = Vec::new();
            let read = read_history(dir.path(), after, up_to, &mut |piece| {
                sent.push(piece);
                Ok(())
            });
            prop_assert!(read.is_ok());
            let mut sent = BytesMut::from(&sent.concat()[..]);
            while let Some(packet) = crate::proto::Packet::decode(&mut sent, 1000).unwrap() {
                if packet.kind == PacketType::Proposal {
                    learner.push(packet.zxid);
                }
            }
            prop_assert_eq!(learner, all);
        }
    }
}
