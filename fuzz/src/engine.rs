//! Requests of a client, from the mailbox to the log and the outbox: the engine serves whatever the
//! bytes make of it, and the log it writes brings the same tree back.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::{Buf, Bytes};
use gamekeeper::auth::{AuthOptions, Identity, ProviderRegistry};
use gamekeeper::engine::{
    ConnectAttempt, ContainerOptions, Effect, Engine, EngineOptions, Input, Now,
    RequestThrottleOptions,
};
use gamekeeper::op::PrepLimits;
use gamekeeper::processor::{
    ClientRequest, PrepOptions, RequestKind, ServerState, SnapshotPolicy, ZkDatabase, classify,
};
use gamekeeper::proto::{OpCode, SessionId, TxnEntry};
use gamekeeper::session::{
    Arrival, ClientCnxn, CnxnId, Owner, SessionTracker, Transport, first_session_id,
};
use gamekeeper::tree::DataTree;

use super::TREE;

/// Requests of one input.
const REQUESTS_MAX: usize = 64;

/// Nobody takes the replies; the outbox keeps them.
struct NoSocket;

impl Transport for NoSocket {
    fn flush(&self, _cnxn: &ClientCnxn) {}
    fn resume(&self) {}
}

/// An engine, what it shares, and the log it has written.
struct World {
    engine: Engine,
    state: Arc<ServerState>,
    cnxn: Arc<ClientCnxn>,
    now: Now,
    log: Vec<Vec<u8>>,
}

/// Each request is an opcode, the length of its record and the record; a byte of 255 in place of an
/// opcode lets time pass.
pub fn engine(bytes: &[u8]) {
    let mut world = World::new();
    world.connect();
    let mut rest = bytes;
    for xid in 0..REQUESTS_MAX as i32 {
        let [opcode, len, more @ ..] = rest else { break };
        let (body, after) = more.split_at(more.len().min(usize::from(*len)));
        rest = after;
        if *opcode == 255 {
            world.rest(i64::from(*len) * 100);
        } else {
            world.request(xid, *opcode, body);
        }
    }
    world.rest(0);
    world.check_replies();
    world.check_log();
}

fn database() -> ZkDatabase {
    ZkDatabase { tree: DataTree::new(TREE), sessions: HashMap::default() }
}

impl World {
    fn new() -> Self {
        let auth = ProviderRegistry::new(AuthOptions::default());
        let state = Arc::new(ServerState::new(database(), auth, 1 << 16));
        let now = Now { monotonic: 1_000, wall: 1_700_000_000_000 };
        let options = EngineOptions {
            tick_time_ms: 2000,
            prep: PrepOptions {
                limits: PrepLimits { enforce_quota: true, ..PrepLimits::default() },
                max_buffer_bytes: 1 << 16,
            },
            sync: SnapshotPolicy {
                snap_count: 100_000,
                snap_bytes: None,
                flush_delay_ms: 0,
                poll_ms: 0,
                batch_max: 7,
            },
            containers: ContainerOptions {
                check_interval_ms: 1_000,
                per_minute_max: 10_000,
                never_used_ms_max: 0,
            },
            throttle: RequestThrottleOptions::default(),
            seed: 1,
        };
        let sessions = SessionTracker::new(2_000, first_session_id(1, now.wall));
        let engine = Engine::standalone(state.clone(), sessions, options, now);
        let identities: Arc<[Identity]> = [Identity::new("ip", "10.1.2.3")].into();
        let peer = ([10, 1, 2, 3], 4_000).into();
        let cnxn = ClientCnxn::new(CnxnId(1), peer, identities, now.wall, Box::new(NoSocket));
        let cnxn = Arc::new(cnxn);
        state.cnxns.add(cnxn.clone());
        Self { engine, state, cnxn, now, log: Vec::new() }
    }

    fn connect(&mut self) {
        let attempt = ConnectAttempt {
            cnxn: self.cnxn.clone(),
            session: SessionId(0),
            password: Bytes::from_static(&[0; 16]),
            timeout_ms: 40_000,
            has_read_only: true,
            accepts_read_only: false,
            at: self.now.monotonic,
        };
        self.step(Input::Connect(attempt));
        self.rest(0);
        assert!(self.cnxn.is_established());
    }

    fn request(&mut self, xid: i32, opcode: u8, body: &[u8]) {
        let code = if opcode == 245 { OpCode::CloseSession.code() } else { opcode.into() };
        let Some(op) = OpCode::from_code(code) else { return };
        if !matches!(classify(Some(op)), RequestKind::Write | RequestKind::Read | RequestKind::Sync)
        {
            return;
        }
        self.cnxn.add_unfinished();
        self.state.add_in_process(1);
        self.step(Input::Request(ClientRequest {
            cnxn: Some(self.cnxn.clone()),
            session: self.cnxn.session_id(),
            owner: Owner::ME,
            identities: self.cnxn.identities(),
            arrival: Arrival { xid, op, at: self.now.monotonic },
            body: Bytes::copy_from_slice(body),
        }));
    }

    /// The mailbox is empty for a while.
    fn rest(&mut self, elapsed_ms: i64) {
        self.now.monotonic += elapsed_ms;
        self.now.wall += elapsed_ms;
        let mut effects = Vec::new();
        self.engine.rest(self.now, &mut effects);
        self.carry_out(effects);
    }

    fn step(&mut self, input: Input) {
        let mut effects = Vec::new();
        self.engine.step(self.now, input, &mut effects);
        self.carry_out(effects);
    }

    /// As the driver does, with a log in memory.
    fn carry_out(&mut self, mut effects: Vec<Effect>) {
        while !effects.is_empty() {
            for effect in std::mem::take(&mut effects) {
                if let Effect::Append { batch, .. } = effect {
                    self.log.extend(batch.entries().map(<[u8]>::to_vec));
                    let zxid = batch.last_zxid().expect("a batch holds something");
                    drop(batch);
                    self.engine.step(self.now, Input::Flushed(zxid), &mut effects);
                }
            }
        }
    }

    /// Everything asked is answered, in whole frames.
    fn check_replies(&self) {
        assert_eq!(self.cnxn.unfinished(), 0);
        let mut bytes = self.cnxn.outbox().take();
        while !bytes.is_empty() {
            let len = usize::try_from(bytes.get_i32()).expect("a frame's length");
            bytes.advance(len);
        }
    }

    fn check_log(&self) {
        let mut replayed = database();
        for entry in &self.log {
            let entry = TxnEntry::decode(entry).expect("what the engine wrote can be read");
            let _ = replayed.apply(&entry, &mut ());
        }
        let served = self.state.database.read();
        assert_eq!(replayed.tree.tree_digest(), served.tree.tree_digest());
        assert_eq!(replayed.tree.node_count(), served.tree.node_count());
        assert_eq!(replayed.tree.digest_mismatches(), 0);
        assert_eq!(replayed.sessions, served.sessions);
    }
}
