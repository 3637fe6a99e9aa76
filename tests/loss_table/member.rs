//! A member of an ensemble of three, driven by hand: what it is told, and what it then does to its
//! disk and says to the others, in one list.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use gamekeeper::auth::{AuthOptions, ProviderRegistry};
use gamekeeper::engine::{
    ContainerOptions, Effect, ElectionEvent, Engine, EngineOptions, EnsembleOptions, Input,
    LearnerEvent, MemberOptions, Now, RequestThrottleOptions,
};
use gamekeeper::op::PrepLimits;
use gamekeeper::processor::{PrepOptions, ServerMode, SnapshotPolicy, ZkDatabase};
use gamekeeper::proto::{Notification, OpCode, Packet, PacketType, Sid, Zxid};
use gamekeeper::quorum::{
    Configs, ConnectId, ElectionOptions, LearnerCnxn, LearnerCnxnId, LearnerTransport,
    QuorumEffect, QuorumVerifier, ReconfigRules,
};
use gamekeeper::tree::{DataTree, TreeOptions};
use jute::{CreateTxn, Field, TxnHeader};

/// This server, a follower of [`LEADER`], or the leader of [`OTHER`].
pub(crate) const ME: Sid = Sid(2);
/// The other voter.
pub(crate) const OTHER: Sid = Sid(1);
/// The voter with the highest id.
pub(crate) const LEADER: Sid = Sid(3);

struct NoSocket;

impl LearnerTransport for NoSocket {
    fn flush(&self, _: &LearnerCnxn) {}
}

/// What a member did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Did {
    /// It logged and flushed up to here.
    Log(Zxid),
    /// It cut its log behind this.
    Truncate(Zxid),
    /// It read its database from the disk anew.
    Reload,
    /// It made this snapshot durable and serves from it.
    Install(Zxid),
    /// It wrote `acceptedEpoch`.
    AcceptedEpoch(i64),
    /// It wrote `currentEpoch`.
    CurrentEpoch(i64),
    /// It sent this.
    Send(PacketType, Zxid),
    /// It ended a connection with another server.
    Close,
}

/// The zxid of an epoch's transaction.
pub(crate) const fn zxid(epoch: i64, counter: i64) -> Zxid {
    Zxid(epoch << 32 | counter)
}

/// The entry of a transaction that creates a node named after its zxid, an ephemeral one of this
/// session if there is one.
fn entry(zxid: Zxid, session: Option<i64>) -> Bytes {
    let header = TxnHeader {
        client_id: session.unwrap_or(7),
        cxid: 1,
        zxid: zxid.0,
        time: 1,
        kind: OpCode::Create.code(),
    };
    let path = path(zxid);
    let acl =
        vec![jute::Acl { perms: 31, id: jute::Id { scheme: "world".into(), id: "anyone".into() } }];
    let txn = CreateTxn {
        path: path.as_str().into(),
        data: Some(b"x"),
        acl,
        ephemeral: session.is_some(),
        parent_cversion: zxid.counter() as i32,
    };
    [header.to_vec(), txn.to_vec()].concat().into()
}

fn path(zxid: Zxid) -> String {
    format!("/{zxid}")
}

/// A PROPOSAL of a transaction that creates a node named after its zxid.
pub(crate) fn proposal(zxid: Zxid) -> Packet {
    Packet::with_data(PacketType::Proposal, zxid, entry(zxid, None))
}

/// The same, of an ephemeral node.
pub(crate) fn ephemeral_proposal(zxid: Zxid, session: i64) -> Packet {
    Packet::with_data(PacketType::Proposal, zxid, entry(zxid, Some(session)))
}

/// A PROPOSAL of a session.
pub(crate) fn session_proposal(zxid: Zxid, session: i64, timeout_ms: i32) -> Packet {
    let kind = OpCode::CreateSession.code();
    let header = TxnHeader { client_id: session, cxid: 0, zxid: zxid.0, time: 1, kind };
    let entry = [header.to_vec(), timeout_ms.to_be_bytes().to_vec()].concat();
    Packet::with_data(PacketType::Proposal, zxid, entry.into())
}

/// Its COMMIT.
pub(crate) fn commit(zxid: Zxid) -> Packet {
    Packet::bare(PacketType::Commit, zxid)
}

/// A packet without a body.
pub(crate) fn bare(kind: PacketType, zxid: Zxid) -> Packet {
    Packet::bare(kind, zxid)
}

/// The member.
pub(crate) struct Member {
    engine: Engine,
    state: Arc<gamekeeper::processor::ServerState>,
    now: Now,
    next_cnxn: u64,
    connecting: Option<ConnectId>,
    log_fails: bool,
    refuses_cuts: bool,
    disk: Disk,
    did: Vec<Did>,
}

/// What is on disk.
#[derive(Default)]
struct Disk {
    /// The entries of the log.
    log: Vec<(Zxid, Bytes)>,
    accepted_epoch: i64,
    current_epoch: i64,
}

impl Disk {
    /// What a start finds: all of the log, committed or not.
    fn restore(&self) -> ZkDatabase {
        let mut restored = database();
        self.log.iter().for_each(|(_, entry)| apply(&mut restored, entry));
        restored
    }
}

fn database() -> ZkDatabase {
    ZkDatabase { tree: DataTree::new(TreeOptions::default()), sessions: HashMap::default() }
}

fn apply(database: &mut ZkDatabase, entry: &[u8]) {
    let entry = gamekeeper::proto::TxnEntry::decode(entry).expect("an entry");
    let _ = database.apply(&entry, &mut ());
}

impl Member {
    /// A member with an empty disk, which looks for a leader.
    pub(crate) fn new() -> Self {
        Self::start(Disk::default())
    }

    /// The process ends, and another finds what is on disk.
    pub(crate) fn restart(self) -> Self {
        Self::start(self.disk)
    }

    fn start(disk: Disk) -> Self {
        let members = "server.1=a:1:2\nserver.2=b:1:2\nserver.3=c:1:2\nversion=0";
        let verifier = QuorumVerifier::from_text(members, false).expect("three members");
        let auth = ProviderRegistry::new(AuthOptions::default());
        let state =
            Arc::new(gamekeeper::processor::ServerState::new(disk.restore(), auth, 1 << 16));
        let now = Now { monotonic: 1_000, wall: 1_700_000_000_000 };
        let options = EngineOptions {
            tick_time_ms: 2000,
            prep: PrepOptions { limits: PrepLimits::default(), max_buffer_bytes: 1 << 16 },
            sync: SnapshotPolicy {
                snap_count: 100_000,
                snap_bytes: None,
                flush_delay_ms: 0,
                poll_ms: 0,
                batch_max: 1000,
            },
            containers: ContainerOptions {
                check_interval_ms: 60_000,
                per_minute_max: 10_000,
                never_used_ms_max: 0,
            },
            throttle: RequestThrottleOptions::default(),
            seed: 1,
        };
        let ensemble = EnsembleOptions {
            my_id: ME,
            configs: Configs::new(Arc::new(verifier), None, false),
            rules: ReconfigRules { standalone_enabled: true, multi_address: true },
            init_limit_ms: 20_000,
            sync_limit_ms: 10_000,
            election: ElectionOptions {
                notification_interval_ms_min: 200,
                notification_interval_ms_max: 60_000,
                multi_address: true,
            },
            member: MemberOptions::default(),
            accepted_epoch: disk.accepted_epoch,
            current_epoch: disk.current_epoch,
        };
        let mut effects = Vec::new();
        let engine = Engine::member(state.clone(), ensemble, options, now, &mut effects);
        let mut member = Self {
            engine,
            state,
            now,
            next_cnxn: 1,
            connecting: None,
            log_fails: false,
            refuses_cuts: false,
            disk,
            did: Vec::new(),
        };
        member.carry_out(effects);
        member
    }

    /// What it did since this was last asked.
    pub(crate) fn did(&mut self) -> Vec<Did> {
        std::mem::take(&mut self.did)
    }

    /// What it serves as.
    pub(crate) fn mode(&self) -> ServerMode {
        self.state.mode()
    }

    /// Whether the transaction of this zxid is in the tree.
    pub(crate) fn has(&self, zxid: Zxid) -> bool {
        self.state.database.read().tree.node(&path(zxid)).is_some()
    }

    /// The last transaction in its log.
    pub(crate) fn last_logged(&self) -> Zxid {
        self.engine.last_zxid()
    }

    /// Tells it something; what comes of it is done at once.
    fn step(&mut self, input: Input) {
        self.step_all(vec![input]);
    }

    /// The same for what comes together.
    fn step_all(&mut self, inputs: Vec<Input>) {
        for input in inputs {
            let mut effects = Vec::new();
            self.engine.step(self.now, input, &mut effects);
            self.carry_out(effects);
        }
        let mut effects = Vec::new();
        self.engine.rest(self.now, &mut effects);
        self.carry_out(effects);
    }

    /// Lets time pass.
    pub(crate) fn wait(&mut self, ms: i64) {
        self.now.monotonic += ms;
        self.now.wall += ms;
        self.step(Input::Tick);
    }

    /// From now on its log cannot be written.
    pub(crate) fn fail_log(&mut self) {
        self.log_fails = true;
    }

    /// From now on its disk has no snapshot below a cut.
    pub(crate) fn refuse_cuts(&mut self) {
        self.refuses_cuts = true;
    }

    /// As the server's driver does.
    fn carry_out(&mut self, mut effects: Vec<Effect>) {
        while !effects.is_empty() {
            for effect in std::mem::take(&mut effects) {
                match effect {
                    Effect::Append { batch, .. } => {
                        let zxid = batch.last_zxid().expect("a batch holds something");
                        if self.log_fails {
                            self.engine.step(self.now, Input::LogFailed, &mut Vec::new());
                            return;
                        }
                        let entry =
                            |(zxid, entry)| (zxid, Bytes::copy_from_slice(&batch.bytes()[entry]));
                        self.disk.log.extend(batch.entry_ranges().map(entry));
                        drop(batch);
                        self.did.push(Did::Log(zxid));
                        self.engine.step(self.now, Input::Flushed(zxid), &mut effects);
                    }
                    Effect::TruncateLog { .. } if self.refuses_cuts => {
                        let input = Input::CannotTruncate("no snapshot below".into());
                        self.engine.step(self.now, input, &mut effects);
                    }
                    Effect::TruncateLog { to, reload } => {
                        self.disk.log.retain(|(zxid, _)| *zxid <= to);
                        self.did.push(Did::Truncate(to));
                        if reload {
                            *self.state.database.write() = self.disk.restore();
                            self.did.push(Did::Reload);
                        }
                    }
                    Effect::InstallSnapshot { database } => {
                        self.did.push(Did::Install(database.tree.last_processed()));
                        *self.state.database.write() = *database;
                    }
                    Effect::StoreDatabase => unreachable!("a voter writes all it has"),
                    Effect::Quorum(effect) => self.carry_out_quorum(effect),
                    Effect::Exit(reason) => panic!("it gives up: {reason}"),
                    Effect::RollLog | Effect::TakeSnapshot => {}
                    Effect::Flush(_) | Effect::Resume(_) => {}
                }
            }
        }
    }

    fn carry_out_quorum(&mut self, effect: QuorumEffect) {
        match effect {
            QuorumEffect::Send(_, packets) => {
                let mut bytes = BytesMut::from(&packets[..]);
                while let Some(packet) = Packet::decode(&mut bytes, 1 << 20).expect("packets") {
                    self.did.push(Did::Send(packet.kind, packet.zxid));
                }
            }
            QuorumEffect::Close(_) => self.did.push(Did::Close),
            QuorumEffect::SetAcceptedEpoch(epoch) => {
                self.disk.accepted_epoch = epoch;
                self.did.push(Did::AcceptedEpoch(epoch));
            }
            QuorumEffect::SetCurrentEpoch(epoch) => {
                self.disk.current_epoch = epoch;
                self.did.push(Did::CurrentEpoch(epoch));
            }
            QuorumEffect::Connect { id, .. } => self.connecting = Some(id),
            _ => {}
        }
    }

    fn cnxn(&mut self) -> Arc<LearnerCnxn> {
        self.next_cnxn += 1;
        let peer = ([127, 0, 0, 1], 1).into();
        let id = LearnerCnxnId(self.next_cnxn);
        Arc::new(LearnerCnxn::new(id, peer, Box::new(NoSocket)))
    }

    /// It hears that all others follow `leader`, in this epoch, and connects to it.
    pub(crate) fn follow(&mut self, leader: Sid, epoch: i64) -> LearnerCnxnId {
        for from in [OTHER, LEADER] {
            let state = match from == leader {
                true => gamekeeper::proto::ServerState::Leading,
                false => gamekeeper::proto::ServerState::Following,
            };
            let notification = Notification {
                state,
                leader,
                zxid: zxid(epoch, 0),
                round: epoch + 100,
                peer_epoch: epoch,
                version: 2,
                config: None,
            };
            self.step(Input::Election(ElectionEvent::Notification { from, notification }));
        }
        let id = self.connecting.take().expect("an attempt to connect to the leader");
        let cnxn = self.cnxn();
        let number = cnxn.id;
        self.step(Input::Learner(LearnerEvent::Connected(id, cnxn)));
        number
    }

    /// A packet comes on this connection.
    pub(crate) fn take(&mut self, from: LearnerCnxnId, packet: Packet) {
        self.step(Input::Learner(LearnerEvent::Packet(from, packet)));
    }

    /// Packets come in one read.
    pub(crate) fn take_together(&mut self, from: LearnerCnxnId, packets: Vec<Packet>) {
        let packet = |packet| Input::Learner(LearnerEvent::Packet(from, packet));
        self.step_all(packets.into_iter().map(packet).collect());
    }

    /// The leader's LEADERINFO, and how it begins to synchronise.
    pub(crate) fn synchronise(&mut self, leader: LearnerCnxnId, epoch: i64, how: Packet) {
        let version = Bytes::copy_from_slice(&0x10000_i32.to_be_bytes());
        let info = Packet::with_data(PacketType::LeaderInfo, zxid(epoch, 0), version);
        self.take(leader, info);
        self.take(leader, how);
    }

    /// Joins a leader whose history is this member's, and is told that it may serve.
    pub(crate) fn join(&mut self, leader: Sid, epoch: i64) -> LearnerCnxnId {
        let id = self.follow(leader, epoch);
        let last = self.last_logged();
        self.synchronise(id, epoch, bare(PacketType::Diff, last));
        self.take(id, bare(PacketType::NewLeader, zxid(epoch, 0)));
        self.take(id, bare(PacketType::UpToDate, Zxid(-1)));
        assert_eq!(self.mode(), ServerMode::Follower);
        self.did.clear();
        id
    }

    /// The connection ends.
    pub(crate) fn close(&mut self, id: LearnerCnxnId) {
        self.step(Input::Learner(LearnerEvent::Closed(id, "the peer closed it".into())));
    }

    /// A snapshot of a tree with these transactions comes, behind SNAP.
    pub(crate) fn snapshot(&mut self, leader: LearnerCnxnId, zxids: &[Zxid]) {
        let mut snapshot = database();
        for zxid in zxids {
            apply(&mut snapshot, &entry(*zxid, None));
        }
        let event = LearnerEvent::Snapshot(leader, Ok(Box::new(snapshot)));
        self.step(Input::Learner(event));
    }

    /// It is elected by [`OTHER`], which has the same history; that one connects and promises to
    /// the new epoch.
    pub(crate) fn lead(&mut self) -> LearnerCnxnId {
        // Beyond every round before: the member goes over to it.
        let round = 1_000;
        let notification = Notification {
            state: gamekeeper::proto::ServerState::Looking,
            leader: ME,
            zxid: self.last_logged(),
            round,
            peer_epoch: self.last_logged().epoch(),
            version: 2,
            config: None,
        };
        self.step(Input::Election(ElectionEvent::Notification { from: OTHER, notification }));
        self.wait(1_000);
        let cnxn = self.cnxn();
        let id = cnxn.id;
        self.step(Input::Learner(LearnerEvent::Accepted(cnxn)));
        let info =
            jute::LearnerInfo { serverid: OTHER.0, protocol_version: 0x10000, config_version: 0 };
        let info = Packet::with_data(PacketType::FollowerInfo, Zxid(0), info.to_vec().into());
        self.take(id, info);
        let epoch = self.last_logged().epoch() as i32;
        let epoch = Bytes::copy_from_slice(&epoch.to_be_bytes());
        self.take(id, Packet::with_data(PacketType::AckEpoch, self.last_logged(), epoch));
        self.did.clear();
        id
    }
}
