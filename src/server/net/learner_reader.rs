//! Reads a connection between a leader and a learner, seen from either end, until it is over:
//! packets go to the engine, the snapshot behind a SNAP packet to a thread that makes a database of
//! it.
//!
//! The limit of silence is also that of a packet from its first byte to its last: Apache's bounds
//! each read, so that a peer which sends a byte now and then keeps its place for ever.
//!
//! ```text
//! socket -> packets .. SNAP | snapshot -> (bounded) -> thread "snapshot-in" -> database
//!                           | packets .. <- what the thread has read too much
//! ```

use std::io::{self, Read};
use std::sync::Arc;
use std::thread;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::AsyncReadExt;
use tokio::net::tcp::OwnedReadHalf;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tracing::info;

use super::learner_cnxn_factory::Shared;
use super::learner_socket::LearnerSocket;
use super::{LearnerEvent, ReadReceipt};
use crate::processor::ZkDatabase;
use crate::proto::{Packet, PacketType, Zxid, decode_learner_info};
use crate::quorum::{LearnerCnxn, LearnerCnxnId};
use crate::server::storage::receive_snapshot;
use crate::tree::TreeOptions;

/// Bytes read at a time.
const INPUT_BYTES: usize = 256 << 10;

/// Reads of one connection that the engine may have before it.
const READS_UNSEEN_MAX: usize = 64;

/// Reads of a snapshot that may wait to be parsed.
const SNAPSHOT_READS_MAX: usize = 16;

/// Longest body of a learner's first packet, in bytes; it has 20.
const INTRODUCTION_BYTES_MAX: usize = 64;

/// Which end this is.
pub(super) enum Side {
    /// The leader's; with what was read behind the first packet.
    Leader(BytesMut),
    /// The learner's: snapshots may come.
    Learner,
}

/// The first packet of a learner, and what was read behind it.
pub(super) async fn introduction(
    read_half: &mut OwnedReadHalf,
) -> Result<(Packet, BytesMut), String> {
    let mut input = BytesMut::with_capacity(INTRODUCTION_BYTES_MAX * 2);
    loop {
        match Packet::decode(&mut input, INTRODUCTION_BYTES_MAX) {
            Err(error) => return Err(error.to_string()),
            Ok(Some(first)) => {
                let introduces =
                    matches!(first.kind, PacketType::FollowerInfo | PacketType::ObserverInfo);
                if !introduces {
                    return Err(format!("its first packet is {:?}", first.kind));
                }
                let info = first.data.as_ref().ok_or("its introduction is empty")?;
                decode_learner_info(info).map_err(|error| error.to_string())?;
                return Ok((first, input));
            }
            Ok(None) => {}
        }
        read_more(read_half, &mut input).await?;
    }
}

async fn read_more(read_half: &mut OwnedReadHalf, input: &mut BytesMut) -> Result<(), String> {
    match read_half.read_buf(input).await {
        Ok(0) => Err("the peer closed it".into()),
        Ok(_) => Ok(()),
        Err(error) => Err(format!("cannot read: {error}")),
    }
}

/// Serves the connection until it is over, and tells so.
pub(super) async fn serve(
    shared: &Arc<Shared>,
    cnxn: &Arc<LearnerCnxn>,
    socket: &Arc<LearnerSocket>,
    read_half: OwnedReadHalf,
    side: Side,
) {
    let (input, may_get_snapshot) = match side {
        Side::Leader(input) => (input, false),
        Side::Learner => (BytesMut::new(), true),
    };
    let seen = Arc::new(Semaphore::new(READS_UNSEEN_MAX));
    let mut reader =
        LearnerReader { shared, id: cnxn.id, socket, read_half, input, may_get_snapshot, seen };
    let reason = tokio::select! {
        reason = reader.run() => reason,
        reason = socket.over() => reason,
        limit = socket.silent_for_too_long() => {
            let limit_ms = limit.as_millis();
            match reader.input.is_empty() {
                true => format!("nothing was heard for {limit_ms} ms"),
                false => format!("half a packet came, and not the rest within {limit_ms} ms"),
            }
        }
        _ = socket.keep_sending(cnxn) => unreachable!("it sends until it is dropped"),
    };
    socket.finish(&reason);
    // The first reason counts: an end closed from here looks to the reader like the peer's doing.
    let reason = socket.over().await;
    info!(peer = %cnxn.peer, "closing a connection of the quorum: {reason}");
    shared.remove(cnxn.id);
    shared.emit(vec![LearnerEvent::Closed(cnxn.id, reason)]);
}

struct LearnerReader<'a> {
    shared: &'a Arc<Shared>,
    id: LearnerCnxnId,
    socket: &'a LearnerSocket,
    read_half: OwnedReadHalf,
    input: BytesMut,
    may_get_snapshot: bool,
    /// What the engine has not seen yet is missing from it.
    seen: Arc<Semaphore>,
}

impl LearnerReader<'_> {
    /// Reads until the connection is over, and says why.
    async fn run(&mut self) -> String {
        loop {
            let step = match self.decode().await {
                Ok(Some(zxid)) => self.read_snapshot(zxid).await,
                Ok(None) => self.read_some().await,
                Err(reason) => Err(reason),
            };
            if let Err(reason) = step {
                return reason;
            }
        }
    }

    async fn read_some(&mut self) -> Result<(), String> {
        if self.input.capacity() - self.input.len() < INPUT_BYTES / 4 {
            self.input.reserve(INPUT_BYTES);
        }
        let is_within_packet = !self.input.is_empty();
        read_more(&mut self.read_half, &mut self.input).await?;
        if !is_within_packet {
            self.socket.heard();
        }
        Ok(())
    }

    /// Hands on every whole packet of the input. The zxid of a SNAP ends it: what follows is a
    /// snapshot.
    async fn decode(&mut self) -> Result<Option<Zxid>, String> {
        let mut events = Vec::new();
        let mut snapshot = None;
        let mut result = Ok(());
        while snapshot.is_none() {
            match Packet::decode(&mut self.input, self.shared.options.packet_bytes_max) {
                Ok(Some(packet)) => {
                    let is_snapshot = packet.kind == PacketType::Snap && self.may_get_snapshot;
                    snapshot = is_snapshot.then_some(packet.zxid);
                    if !is_overtaken(&mut events, &packet) {
                        events.push(LearnerEvent::Packet(self.id, packet));
                    }
                }
                Ok(None) => break,
                Err(error) => {
                    result = Err(error.to_string());
                    break;
                }
            }
        }
        if !events.is_empty() {
            let permit = match self.seen.clone().try_acquire_owned() {
                Ok(permit) => permit,
                Err(_) => {
                    // The wait for the engine is not the peer's silence.
                    self.socket.stop_listening_for_silence();
                    self.seen.clone().acquire_owned().await.expect("it is never closed")
                }
            };
            events.push(LearnerEvent::Receipt(ReadReceipt { _permit: permit }));
            self.shared.emit(events);
            self.socket.heard();
        }
        result.map(|()| snapshot)
    }

    /// Hands what comes to a thread that makes a database of it, until that is done.
    async fn read_snapshot(&mut self, zxid: Zxid) -> Result<(), String> {
        let (chunks, arriving) = mpsc::channel(SNAPSHOT_READS_MAX);
        let done = parse_on_a_thread(arriving, zxid, self.shared.options.tree_options)?;
        let mut chunk = self.input.split().freeze();
        let failure = loop {
            tokio::select! {
                // Before it is done it does not let go of its end.
                () = chunks.closed() => break None,
                room = chunks.reserve(), if !chunk.is_empty() => {
                    let Ok(room) = room else { break None };
                    room.send(std::mem::take(&mut chunk));
                    self.socket.heard();
                }
                read = self.read_some(), if chunk.is_empty() => match read {
                    Ok(()) => chunk = self.input.split().freeze(),
                    Err(reason) => break Some(reason),
                },
            }
        };
        drop(chunks);
        let parsed = done.await;
        let Parsed { result, beyond } = parsed.map_err(|_| "the parser of snapshots panicked")?;
        let refused = result.as_ref().err().cloned();
        self.shared.emit(vec![LearnerEvent::Snapshot(self.id, result)]);
        if let Some(reason) = failure {
            return Err(reason);
        }
        if let Some(reason) = refused {
            return Err(format!("the leader's snapshot cannot be read: {reason}"));
        }
        self.input = BytesMut::from(&beyond[..]);
        self.input.extend_from_slice(&chunk);
        Ok(())
    }
}

/// Whether the packet is an ACK right behind another, which then stands for both: it acknowledges
/// everything before it.
fn is_overtaken(events: &mut [LearnerEvent], packet: &Packet) -> bool {
    let is_ack = |packet: &Packet| packet.kind == PacketType::Ack && packet.zxid.counter() != 0;
    match events.last_mut() {
        Some(LearnerEvent::Packet(_, before)) if is_ack(before) && is_ack(packet) => {
            before.zxid = before.zxid.max(packet.zxid);
            true
        }
        _ => false,
    }
}

/// What became of a snapshot, and what was read beyond it.
struct Parsed {
    result: Result<Box<ZkDatabase>, String>,
    beyond: Vec<u8>,
}

fn parse_on_a_thread(
    arriving: mpsc::Receiver<Bytes>,
    zxid: Zxid,
    tree_options: TreeOptions,
) -> Result<oneshot::Receiver<Parsed>, String> {
    let (tell, done) = oneshot::channel();
    let parse = move || {
        let mut stream = Chunks { arriving, chunk: Bytes::new() };
        let (result, mut beyond) = match receive_snapshot(&mut stream, zxid, tree_options) {
            Ok((database, beyond)) => (Ok(Box::new(database)), beyond),
            Err(reason) => (Err(reason), Vec::new()),
        };
        beyond.extend_from_slice(&stream.chunk);
        stream.arriving.close();
        while let Some(chunk) = stream.arriving.blocking_recv() {
            beyond.extend_from_slice(&chunk);
        }
        // Without a listener the connection is over.
        let _ = tell.send(Parsed { result, beyond });
    };
    let thread = thread::Builder::new().name("snapshot-in".into()).spawn(parse);
    thread.map_err(|error| format!("cannot start a thread to read a snapshot: {error}"))?;
    Ok(done)
}

/// A stream of the chunks that arrive; it waits for them.
struct Chunks {
    arriving: mpsc::Receiver<Bytes>,
    chunk: Bytes,
}

impl Read for Chunks {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.chunk.is_empty() {
            // No chunk is empty but the end.
            self.chunk = self.arriving.blocking_recv().unwrap_or_default();
        }
        let count = self.chunk.len().min(into.len());
        self.chunk.copy_to_slice(&mut into[..count]);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_acknowledgement_stands_for_those_right_before_it() {
        let mut events = Vec::new();
        let epoch = 1 << 32;
        let sent = [
            (PacketType::Ack, epoch),
            (PacketType::Ack, epoch + 1),
            (PacketType::Ack, epoch + 2),
            (PacketType::Ping, 0),
            (PacketType::Ack, epoch + 4),
            (PacketType::Ack, epoch + 3),
        ];
        for (kind, zxid) in sent {
            let packet = Packet::bare(kind, Zxid(zxid));
            if !is_overtaken(&mut events, &packet) {
                events.push(LearnerEvent::Packet(LearnerCnxnId(1), packet));
            }
        }
        let left = events.iter().map(|event| match event {
            LearnerEvent::Packet(_, packet) => (packet.kind, packet.zxid.0),
            other => panic!("{other:?}"),
        });
        assert!(left.eq([sent[0], sent[2], sent[3], sent[4]]));
    }
}
