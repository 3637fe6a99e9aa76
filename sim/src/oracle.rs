//! Who knows what must hold: what servers do and what clients are told is reported here, and held
//! against the invariants, one file each.

use std::collections::BTreeMap;

use bytes::Bytes;
use gamekeeper::processor::ServerMode;
use gamekeeper::proto::{SessionId, TxnBody, TxnEntry, Xid, Zxid};
use gamekeeper::quorum::Configs;
use jute::{Field, SetDataResponse};

use crate::client::request::Request;
use crate::client::watches::Event;
use crate::client::{Asked, Client};
use crate::invariants::{
    agreement, configurations, digests, durability, ephemerals, global_primary_order, integrity,
    one_shot_watches, past_reads, prefix_consistency, primary_integrity, read_only,
    sequence_numbers, sequential_consistency, session_order, single_leader, total_order,
    watch_before_data,
};
use crate::linearizability::Registers;
use crate::plan::Plan;
use crate::queue::Time;
use crate::reference::Reference;
use crate::violation::{Verdict, Violation, require};
use crate::world::Server;

/// What a client is answered.
#[derive(Debug)]
pub struct Answer<'a> {
    /// The zxid in the reply's header.
    pub zxid: Zxid,
    /// The error in it.
    pub error: i32,
    /// What follows.
    pub body: &'a Bytes,
    /// When it came.
    pub at: Time,
}

/// A write that a client made.
#[derive(Debug, Clone)]
pub struct Write {
    /// What it asked for.
    pub request: Request,
    /// When it was made.
    pub at: Time,
    /// What it was answered, if it was.
    pub answered: Option<Answered>,
}

/// What a write was answered.
#[derive(Debug, Clone, Copy)]
pub struct Answered {
    /// When.
    pub at: Time,
    /// Its zxid.
    pub zxid: Zxid,
    /// The error, 0 if there is none.
    pub error: i32,
    /// The version of the node, if it is a setData that went well.
    pub version: Option<i32>,
}

/// The oracle.
pub struct Oracle {
    /// What was delivered.
    pub reference: Reference,
    /// Writes by session and number.
    pub writes: BTreeMap<(SessionId, Xid), Write>,
    /// What is known of registers, for the check of linearizability.
    pub registers: Registers,
    /// Requests made.
    pub requests: usize,
    /// Answers that came.
    pub answers: usize,
    /// The newest epoch whose leader has served.
    pub newest_epoch: i64,
    /// The members.
    pub configs: configurations::Configurations,
    requests_max: usize,
    has_local_sessions: bool,
    /// How far the log of each server is compared.
    compared: Vec<Zxid>,
    leaders: single_leader::Leaders,
    broadcasts: integrity::Broadcasts,
    bases: primary_integrity::Bases,
    sequences: sequence_numbers::Sequences,
}

impl Oracle {
    /// An oracle that has heard of nothing.
    pub fn new(plan: &Plan) -> Self {
        Self {
            reference: Reference::default(),
            writes: BTreeMap::new(),
            registers: Registers::default(),
            requests: 0,
            answers: 0,
            newest_epoch: 0,
            configs: configurations::Configurations::new(plan.verifier()),
            requests_max: plan.requests,
            has_local_sessions: plan.has_local_sessions,
            compared: vec![Zxid(-1); plan.slots()],
            leaders: Default::default(),
            broadcasts: Default::default(),
            bases: Default::default(),
            sequences: Default::default(),
        }
    }

    /// Whether clients are to make more requests.
    pub fn wants_requests(&self) -> bool {
        self.requests < self.requests_max
    }

    /// Clients make this many more requests.
    pub fn want_more(&mut self, requests: usize) {
        self.requests_max = self.requests + requests;
    }

    /// A leader, which knows these configurations, proposes transactions.
    pub fn broadcast<'a>(
        &mut self,
        server: usize,
        entries: impl Iterator<Item = (Zxid, &'a [u8])>,
        known: &Configs,
    ) -> Verdict {
        for (zxid, entry) in entries {
            let entry = Bytes::copy_from_slice(entry);
            self.configs.proposed(zxid, &entry, known)?;
            self.broadcasts.add(server, zxid, entry)?;
        }
        Ok(())
    }

    /// A server's process is gone.
    pub fn stopped(&mut self, server: usize) {
        self.compared[server] = Zxid(-1);
    }

    /// A server's mode or its last applied transaction has changed.
    pub fn observe(
        &mut self,
        index: usize,
        (before, _): (ServerMode, Zxid),
        (mode, last): (ServerMode, Zxid),
        servers: &mut [Server],
    ) -> Verdict {
        let server = &servers[index];
        let process = server.process.as_ref().expect("it was seen");
        {
            let database = process.state.database.read();
            digests::none_differed(index, &database.tree)?;
        }
        // One that serves reads only shows what it had read from its disk, too.
        let has_ended = matches!(mode, ServerMode::NotServing | ServerMode::ReadOnly);
        if has_ended && matches!(before, ServerMode::NotServing | ServerMode::ReadOnly) {
            self.compared[index] = Zxid(-1);
            return Ok(());
        }
        if mode == ServerMode::Leader && before != mode {
            let epoch = server.history.current_epoch;
            self.leaders.established(index, epoch)?;
            self.bases.established(epoch, last, &self.reference)?;
            if self.reference.last().epoch() <= epoch {
                self.configs.established(index, epoch, servers)?;
            }
            self.newest_epoch = self.newest_epoch.max(epoch);
        }
        let known = self.reference.last();
        let history = server.history.records();
        let start = history.partition_point(|record| record.zxid <= known);
        let end = history.partition_point(|record| record.zxid <= last);
        let new = history[start..end.max(start)].to_vec();
        for record in new {
            self.deliver(index, record.zxid, &record.entry, servers)?;
        }
        let server = &servers[index];
        prefix_consistency::check(index, last, &self.reference)?;
        // What was applied last may have ended the role.
        let next = if has_ended { Zxid(-1) } else { last };
        let compared = std::mem::replace(&mut self.compared[index], next);
        agreement::check(index, server.history.records(), compared, last, &self.reference)?;
        let process = server.process.as_ref().expect("it was seen");
        let database = process.state.database.read();
        digests::check(index, &database, &self.reference)
    }

    /// A transaction is delivered for the first time.
    fn deliver(&mut self, by: usize, zxid: Zxid, bytes: &Bytes, servers: &mut [Server]) -> Verdict {
        global_primary_order::check(by, self.reference.last(), zxid)?;
        total_order::check(by, self.reference.last(), zxid)?;
        self.broadcasts.delivered(by, zxid, bytes)?;
        self.bases.delivered(zxid, &self.reference)?;
        let entry = TxnEntry::decode(bytes)
            .map_err(|error| Violation::new("wire", format!("0x{zxid}: {error}")))?;
        self.configs.delivered(by, &entry, servers)?;
        durability::a_quorum_has(by, zxid, bytes, self.configs.in_force(), servers)?;
        ephemerals::before(&entry, self.reference.database())?;
        let text = |reason| Violation::new("wire", format!("0x{zxid}: {reason}"));
        self.reference.add(zxid, bytes).map_err(text)?;
        ephemerals::after(&entry, self.reference.database())?;
        if let TxnBody::Create(txn) | TxnBody::Create2(txn) = &entry.body {
            self.sequences.created(&txn.path, zxid)?;
        }
        Ok(())
    }

    /// A client makes a request.
    pub fn asked(&mut self, session: SessionId, xid: Xid, request: &Request, at: Time) {
        self.requests += 1;
        if request.is_write() {
            let write = Write { request: request.clone(), at, answered: None };
            self.writes.insert((session, xid), write);
        }
    }

    /// A client is told that its session is over. That may be so before it is delivered; then it
    /// must be in the end.
    pub fn refused(&self, session: SessionId) -> Verdict {
        require(session.0 != 0, "session_order", || "a new session is refused".into())
    }

    /// A client is told of a change.
    pub fn told(&mut self, client: &mut Client, event: Event, is_resetting: bool) -> Verdict {
        one_shot_watches::check(client, &event, is_resetting, &self.reference)?;
        one_shot_watches::take(client, event)
    }

    /// A client is answered.
    pub fn answered(
        &mut self,
        client: &mut Client,
        asked: &Asked,
        answer: &Answer<'_>,
        resetting: Option<Zxid>,
    ) -> Verdict {
        self.answers += 1;
        let request = &asked.request;
        past_reads::check(client, answer)?;
        if client.is_read_only {
            read_only::check(client, asked, answer, &self.reference)?;
            client.seen = answer.zxid;
            return Ok(());
        }
        watch_before_data::check(client, answer.zxid, resetting, &self.reference)?;
        // A session that is its server's own ends without a transaction. What was asked for behind
        // its end may still make it one of the ensemble.
        let is_local_end = self.has_local_sessions
            && *request == Request::CloseSession
            && !self.reference.has_session(client.session, client.last_write);
        if request.is_write() && !is_local_end {
            session_order::check(client, asked, answer, &self.reference)?;
            let write = self.writes.get_mut(&(client.session, asked.xid));
            let version = SetDataResponse::from_bytes(answer.body).ok();
            let version = version.filter(|_| answer.error == 0).map(|set| set.stat.version);
            let Answer { at, zxid, error, .. } = *answer;
            write.expect("it was noted").answered = Some(Answered { at, zxid, error, version });
        }
        sequential_consistency::check(client, asked, answer, &self.reference)?;
        let is_current = asked.epoch == self.newest_epoch;
        if is_current && asked.synced_at.is_some() {
            self.registers.read(asked, answer);
        }
        one_shot_watches::arm(client, request, answer);
        client.seen = client.seen.max(answer.zxid);
        Ok(())
    }
}
