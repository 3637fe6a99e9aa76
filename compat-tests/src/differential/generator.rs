//! Makes a script from a seed: several clients that work on one small tree, lose their connections,
//! come back, prove who they are, and now and then send what no client would.

use super::model::Model;
use super::requests::{Draft, Requests, USERS, draft};
use super::script::{Hello, Password, Request, Script, SessionChoice, Step};
use crate::rng::Rng;
use crate::wire::Body;

/// Connections at a time.
const SLOTS: usize = 5;

const SET_ACL: i32 = 7;

/// Most requests in one write.
const GROUP_MAX: usize = 12;

/// How often the server is restarted in some scripts.
const RESTARTS: usize = 2;

/// Lines of zoo.cfg for every script: no session may expire and no node be reaped while it runs,
/// for that would happen at another place of the order in each server.
const STEADY: [&str; 4] = [
    "minSessionTimeout=120000",
    "maxSessionTimeout=900000",
    "znode.container.checkIntervalMs=3600000",
    "forceSync=no",
];

/// Makes the script of a seed, with about so many requests.
pub fn script(seed: u64, requests: usize) -> Script {
    let mut rng = Rng::new(seed);
    let mut config = STEADY.to_vec();
    let enforced_quotas = rng.per_mille(300);
    if enforced_quotas {
        config.push("enforceQuota=true");
    }
    let ttl_nodes = rng.per_mille(800);
    if ttl_nodes {
        config.push("extendedTypesEnabled=true");
    }
    if rng.per_mille(200) {
        config.push("reconfigEnabled=true");
    }
    if rng.per_mille(50) {
        config.push("skipACL=yes");
    }
    let restarting = rng.per_mille(300);
    let mut generator = Generator {
        // Quotas are checked against what is applied, so what a group may still do is a race.
        group_max: if enforced_quotas { 1 } else { GROUP_MAX },
        rng,
        enforced_quotas,
        model: Model::new(ttl_nodes),
        slots: (0..SLOTS).map(|_| None).collect(),
        live: Vec::new(),
        closed: Vec::new(),
        sessions: 0,
    };
    let mut restarts = if restarting { RESTARTS } else { 0 };
    let mut steps = Vec::new();
    let mut made = 0;
    while made < requests {
        let step = match restarts > 0 && made >= requests / (restarts + 1) {
            true => {
                restarts -= 1;
                generator.restart()
            }
            false => generator.step(),
        };
        made += match step {
            Step::Drop { .. } | Step::Restart { .. } => 0,
            _ => step.requests().len().max(1),
        };
        steps.push(step);
    }
    Script { seed, config, steps }
}

/// A connected client.
#[derive(Debug, Clone)]
struct Client {
    session: usize,
    xid: i32,
}

struct Generator {
    rng: Rng,
    model: Model,
    group_max: usize,
    enforced_quotas: bool,
    slots: Vec<Option<Client>>,
    /// Sessions that should be alive, and those that were closed.
    live: Vec<usize>,
    closed: Vec<usize>,
    sessions: usize,
}

impl Generator {
    fn step(&mut self) -> Step {
        let slot = self.rng.below(SLOTS);
        if self.slots[slot].is_none() {
            return self.connect(slot);
        }
        match self.rng.weighted(&[
            (900, 0),
            (16, 1),
            (14, 2),
            (6, 3),
            (12, 4),
            (8, 5),
            (5, 6),
            (3, 7),
            (4, 8),
        ]) {
            0 => self.group(slot),
            1 => self.drop(slot),
            2 => self.connect(slot),
            3 => self.close_session(slot),
            4 => self.prove_identity(slot),
            5 => self.refused_connect(slot),
            6 => self.fatal_request(slot),
            7 => self.garbage(slot),
            _ => self.inline_request(slot),
        }
    }

    fn restart(&mut self) -> Step {
        self.slots.iter_mut().for_each(|slot| *slot = None);
        Step::Restart { killed: self.rng.per_mille(500) }
    }

    fn group(&mut self, slot: usize) -> Step {
        let count = match self.rng.per_mille(350) && self.group_max > 1 {
            true => 2 + self.rng.below(self.group_max - 1),
            false => 1,
        };
        let requests = self.requests(slot, count);
        Step::Send { slot, requests }
    }

    /// At most so many requests, the last of which may be a setACL: Apache's server checks what
    /// follows one against the old list until it is applied, which is a race.
    fn requests(&mut self, slot: usize, count: usize) -> Vec<Request> {
        let mut requests = Vec::new();
        while requests.len() < count {
            let request = self.request(slot);
            let last = request.opcode == SET_ACL;
            requests.push(request);
            if last {
                break;
            }
        }
        requests
    }

    fn request(&mut self, slot: usize) -> Request {
        let session = self.slots[slot].as_ref().expect("a connected slot").session;
        let enforced_quotas = self.enforced_quotas;
        let (rng, model) = (&mut self.rng, &mut self.model);
        let before = model.clone();
        let mut draft = Requests { rng, model, session, enforced_quotas }.any();
        if self.rng.per_mille(25) {
            damage(&mut self.rng, &mut draft);
            let zxid = self.model.zxid;
            self.model = before;
            self.model.zxid = zxid;
        }
        let xid = self.next_xid(slot, draft.opcode);
        self.finished(draft, xid)
    }

    fn finished(&self, draft: Draft, xid: i32) -> Request {
        let Draft { opcode, body, label, .. } = draft;
        Request { xid, opcode, body: body.into_bytes(), label }
    }

    /// Mostly the next of the connection, as clients number; -1 would make the reply look like a
    /// notification, and is left out.
    fn next_xid(&mut self, slot: usize, opcode: i32) -> i32 {
        let client = self.slots[slot].as_mut().expect("a connected slot");
        client.xid += 1;
        let odd = self.rng.per_mille(10);
        match opcode {
            _ if odd => *self.rng.pick(&[0, 1, -2, -3, -4, -8, i32::MAX, i32::MIN]),
            11 => -2,
            101 | 105 => -8,
            _ => client.xid,
        }
    }

    fn drop(&mut self, slot: usize) -> Step {
        self.slots[slot] = None;
        Step::Drop { slot }
    }

    /// A connection for a new session, or for one that is there, maybe connected elsewhere.
    fn connect(&mut self, slot: usize) -> Step {
        let resumed = self.rng.per_mille(450) && !self.live.is_empty();
        let session = match resumed {
            true => *self.rng.pick(&self.live),
            false => self.new_session(),
        };
        for other in &mut self.slots {
            other.take_if(|client| client.session == session);
        }
        self.slots[slot] = Some(Client { session, xid: 0 });
        let hello = Hello {
            session: match resumed {
                true => SessionChoice::Resume(session),
                false => SessionChoice::New(session),
            },
            password: match !resumed && self.rng.per_mille(200) {
                true => Password::Other(self.odd_password()),
                false => Password::Right,
            },
            last_zxid: match self.rng.below(4) {
                0 => 1.min(self.model.zxid),
                1 => -1,
                _ => 0,
            },
            timeout_ms: *self.rng.pick(&[
                300_000,
                300_000,
                300_000,
                120_000,
                119_999,
                900_000,
                900_001,
                0,
                -1,
                i32::MAX,
            ]),
            read_only: *self.rng.pick(&[Some(0), Some(0), Some(0), Some(1), None]),
            cut: 0,
        };
        let pipelined = match self.rng.per_mille(150) && self.group_max > 1 {
            true => 1 + self.rng.below(4),
            false => 0,
        };
        let then = self.requests(slot, pipelined);
        Step::Connect { slot, hello, then }
    }

    fn new_session(&mut self) -> usize {
        self.model.zxid += 1;
        self.sessions += 1;
        self.live.push(self.sessions);
        self.sessions
    }

    fn odd_password(&mut self) -> Option<Vec<u8>> {
        match self.rng.below(4) {
            0 => None,
            1 => Some(Vec::new()),
            2 => Some(self.rng.bytes(7)),
            _ => Some(self.rng.bytes(16)),
        }
    }

    /// A connect request that the server will not have.
    fn refused_connect(&mut self, slot: usize) -> Step {
        self.slots[slot] = None;
        let mut hello = Hello {
            session: SessionChoice::Unknown(0x1234_5678),
            password: Password::Right,
            last_zxid: 0,
            timeout_ms: 300_000,
            read_only: *self.rng.pick(&[Some(0), None]),
            cut: 0,
        };
        match self.rng.below(6) {
            0 => hello.session = SessionChoice::Unknown(self.rng.bits() as i64 | 1),
            1 if !self.live.is_empty() => {
                // A wrong password costs the session's owner the connection all the same.
                let session = *self.rng.pick(&self.live);
                hello.session = SessionChoice::Resume(session);
                hello.password = Password::Other(self.odd_password());
                for other in &mut self.slots {
                    other.take_if(|client| client.session == session);
                }
            }
            2 if !self.closed.is_empty() => {
                hello.session = SessionChoice::Resume(*self.rng.pick(&self.closed));
            }
            3 => hello.last_zxid = i64::MAX,
            4 => hello.last_zxid = self.model.zxid + 1_000_000,
            5 => {
                hello.read_only = Some(0);
                hello.cut = 2 + self.rng.below(43);
            }
            _ => {}
        }
        Step::Connect { slot, hello, then: Vec::new() }
    }

    fn close_session(&mut self, slot: usize) -> Step {
        let client = self.slots[slot].take().expect("a connected slot");
        self.model.zxid += 1;
        self.model.close_session(client.session);
        self.live.retain(|session| *session != client.session);
        self.closed.push(client.session);
        let close = draft(-11, Body::new(), "closeSession");
        Step::Send { slot, requests: vec![self.finished(close, client.xid + 1)] }
    }

    /// An auth packet, alone in its step: its reply overtakes those of earlier requests in flight.
    fn prove_identity(&mut self, slot: usize) -> Step {
        let user = |index: usize| (Some("digest"), Some(USERS[index].0));
        let (scheme, auth) = self.rng.weighted(&[
            (30, user(0)),
            (20, user(1)),
            (14, user(2)),
            (3, (Some("ip"), Some("10.0.0.1"))),
            (3, (Some("digest"), Some("super:wrong"))),
            (3, (Some("digest"), Some("no-colon"))),
            (3, (Some("digest"), Some("a:b:c"))),
            (3, (Some("digest"), Some(""))),
            (2, (Some("digest"), Some(":"))),
            (2, (Some("digest"), Some("\u{e9}:\u{6f22}"))),
            (2, (Some("digest"), None)),
            (2, (Some("world"), Some("anyone"))),
            (1, (Some("auth"), Some(""))),
            (1, (Some("sasl"), Some("x"))),
            (1, (Some("x509"), Some("x"))),
            (2, (Some("nonsense"), Some("x"))),
            (1, (Some(""), Some("x"))),
            (2, (None, Some("x"))),
        ]);
        let works = matches!(scheme, Some("digest" | "ip")) && auth.is_some();
        let label = format!("auth {scheme:?} {auth:?}");
        let body = Body::new()
            .int(*self.rng.pick(&[0, 0, 0, 100]))
            .bytes(scheme.map(str::as_bytes))
            .bytes(auth.map(str::as_bytes));
        let mut packet = draft(100, body, label);
        let cut = self.rng.per_mille(20);
        if cut {
            damage(&mut self.rng, &mut packet);
        }
        if !works || cut {
            self.slots[slot] = None;
        }
        let xid = *self.rng.pick(&[-4, -4, -4, 7]);
        Step::Send { slot, requests: vec![self.finished(packet, xid)] }
    }

    /// A request after which the server closes the connection.
    fn fatal_request(&mut self, slot: usize) -> Step {
        let client = self.slots[slot].take().expect("a connected slot");
        let opcode = *self.rng.pick(&[
            0,
            13,
            10,
            20,
            23,
            99,
            108,
            -1,
            -2,
            -12,
            1000,
            i32::MAX,
            i32::MIN,
            20,
        ]);
        let body = match self.rng.below(3) {
            0 => Body::new(),
            1 => Body::new().text("/a").int(-1),
            _ => Body::new().raw(&self.rng.bytes(20)),
        };
        let fatal = draft(opcode, body, "an operation that clients may not ask for");
        Step::Send { slot, requests: vec![self.finished(fatal, client.xid + 1)] }
    }

    /// Bytes that are no request.
    fn garbage(&mut self, slot: usize) -> Step {
        self.slots[slot] = None;
        let bytes: Vec<u8> = match self.rng.below(7) {
            0 => vec![0xff; 4],
            1 => vec![0x80, 0, 0, 0],
            2 => vec![0x7f, 0xff, 0xff, 0xff],
            3 => 0x0010_0000_u32.to_be_bytes().to_vec(),
            4 => vec![0; 4],
            5 => b"\0\0\0\x01\x01".to_vec(),
            _ => b"\0\0\0\x07\0\0\0\x01\0\0\0".to_vec(),
        };
        Step::Garbage { slot, bytes }
    }

    /// What a connection's thread answers by itself.
    fn inline_request(&mut self, slot: usize) -> Step {
        let (xid, request) = match self.rng.below(2) {
            0 => {
                let token = *self.rng.pick(&[Some("token"), Some(""), None]);
                if token.is_none() {
                    self.slots[slot] = None;
                }
                (
                    3,
                    draft(
                        102,
                        Body::new().bytes(token.map(str::as_bytes)),
                        format!("sasl {token:?}"),
                    ),
                )
            }
            _ => (-2, draft(11, Body::new().raw(b"surplus"), "ping with a body")),
        };
        Step::Send { slot, requests: vec![self.finished(request, xid)] }
    }
}

/// Cuts a request short, adds to it, or changes some of its bytes.
fn damage(rng: &mut Rng, draft: &mut Draft) {
    let mut bytes = std::mem::take(&mut draft.body).into_bytes();
    // A createTTL or a quota that is changed at random may be one that ends a Java server.
    let fragile =
        draft.opcode == 21 || draft.label.contains("TTL") || draft.label.contains("quota");
    match rng.below(if fragile || bytes.is_empty() { 2 } else { 4 }) {
        0 => {
            let count = 1 + rng.below(20);
            bytes.extend(rng.bytes(count));
            draft.label += &format!(", {count} bytes too many");
        }
        1 => {
            let length = bytes.len();
            bytes.truncate(rng.below(length + 1));
            draft.label += &format!(", cut from {length} to {} bytes", bytes.len());
        }
        2 => {
            let at = rng.below(bytes.len());
            bytes[at] ^= 1 << rng.below(8);
            draft.label += &format!(", byte {at} changed to {:#04x}", bytes[at]);
        }
        _ => {
            let at = rng.below(bytes.len());
            let number: i32 = *rng.pick(&[-2, 0, 0x7fff_ffff, 0x0010_0000, 200_000]);
            let end = bytes.len().min(at + 4);
            bytes[at..end].copy_from_slice(&number.to_be_bytes()[..end - at]);
            draft.label += &format!(", {number} put at byte {at}");
        }
    }
    draft.body = Body::new().raw(&bytes);
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_seed_gives_one_script_and_another_seed_another() {
        assert_eq!(script(5, 300), script(5, 300));
        assert_ne!(script(5, 300).steps, script(6, 300).steps);
    }

    #[test]
    fn ten_scripts_hold_every_operation_and_restarts() {
        let scripts: Vec<Script> = (1..=10).map(|seed| script(seed, 2000)).collect();
        let steps = || scripts.iter().flat_map(|script| &script.steps);
        let sent: HashSet<i32> =
            steps().flat_map(Step::requests).map(|request| request.opcode).collect();
        let all =
            (1..=9).chain(11..=12).chain(14..=19).chain(21..=22).chain(100..=107).chain([-11]);
        let missing: Vec<i32> = all.filter(|opcode| !sent.contains(opcode)).collect();
        assert_eq!(missing, [0; 0], "opcodes that no script sends");
        assert!(steps().any(|step| matches!(step, Step::Restart { killed: true })));
        assert!(steps().any(|step| matches!(step, Step::Restart { killed: false })));
    }
}
