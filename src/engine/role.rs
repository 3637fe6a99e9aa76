//! The engine: one input in, the effects out, whatever role the server has.

use std::sync::Arc;

use super::container_manager::ContainerOptions;
use super::core::Core;
use super::input::{Effect, Input, Now, SessionsDescription};
use super::primary::Primary;
use super::quorum_peer::{EnsembleOptions, QuorumPeer};
use super::request_throttler::RequestThrottleOptions;
use crate::processor::{
    Applied, ClientRequest, PrepOptions, ServerMode, ServerState, SnapshotPolicy,
};
use crate::proto::{Millis, Zxid};
use crate::session::{LeaderSessionTracker, SessionTracker};

/// How an engine is to work.
#[derive(Debug, Clone, Copy)]
pub struct EngineOptions {
    /// How requests are prepared.
    pub prep: PrepOptions,
    /// When batches are flushed and snapshots taken.
    pub sync: SnapshotPolicy,
    /// How containers and TTL nodes are removed.
    pub containers: ContainerOptions,
    /// When requests wait.
    pub throttle: RequestThrottleOptions,
    /// Milliseconds of a tick (`tickTime`).
    pub tick_time_ms: i32,
    /// Seed of all that is random.
    pub seed: u64,
}

enum Role {
    Standalone(Box<Primary>),
    Member(Box<QuorumPeer>),
}

/// The engine.
pub struct Engine {
    core: Core,
    role: Role,
}

impl Engine {
    /// The engine of a server without an ensemble, over a database that has been restored.
    pub fn standalone(
        state: Arc<ServerState>,
        sessions: SessionTracker,
        options: EngineOptions,
        now: Now,
    ) -> Self {
        let core = Core::new(state, &options);
        core.state.set_mode(ServerMode::Standalone);
        let last_zxid = core.last_processed();
        let sessions = LeaderSessionTracker::new(sessions);
        let primary = Primary::new(&core, sessions, false, &options, last_zxid, now);
        Self { core, role: Role::Standalone(Box::new(primary)) }
    }

    /// The engine of a member of an ensemble, over a database that has been restored; it begins by
    /// looking for a leader.
    pub fn member(
        state: Arc<ServerState>,
        ensemble: EnsembleOptions,
        options: EngineOptions,
        now: Now,
        effects: &mut Vec<Effect>,
    ) -> Self {
        let mut core = Core::new(state, &options);
        let peer = QuorumPeer::new(&mut core, ensemble, options, now, effects);
        Self { core, role: Role::Member(Box::new(peer)) }
    }

    /// Takes one input.
    pub fn step(&mut self, now: Now, input: Input, effects: &mut Vec<Effect>) {
        let core = &mut self.core;
        match input {
            Input::Connect(attempt) => {
                if core.is_halted {
                    super::core::close(attempt.cnxn, effects);
                } else {
                    match &mut self.role {
                        Role::Standalone(primary) => {
                            primary.on_connect(core, now, attempt, effects);
                        }
                        Role::Member(peer) => peer.on_connect(core, now, attempt, effects),
                    }
                }
            }
            Input::Request(request) if core.throttler.is_off() => {
                self.on_request(now, request, effects);
            }
            Input::Request(request) => {
                core.throttler.push(request);
                self.admit(now, effects);
            }
            Input::Disconnected(cnxn) => {
                core.on_disconnected(&cnxn);
                if let Role::Member(peer) = &mut self.role {
                    peer.on_disconnected(core, &cnxn);
                }
            }
            Input::Flushed(zxid) => {
                let before = std::mem::replace(&mut core.flushed, zxid);
                match &mut self.role {
                    Role::Standalone(primary) => primary.finish(core, now, zxid, effects),
                    Role::Member(peer) => peer.on_flushed(core, now, (before, zxid), effects),
                }
            }
            Input::LogFailed => core.halt(effects),
            Input::CannotTruncate(reason) => {
                if let Role::Member(peer) = &mut self.role {
                    peer.on_cannot_truncate(core, now, reason, effects);
                }
            }
            Input::SnapshotDone => core.snapshot_done(),
            Input::DescribeSessions(answer) => answer(self.describe_sessions()),
            Input::DescribeQuorum(answer) => answer(match &self.role {
                Role::Standalone(_) => None,
                Role::Member(peer) => Some(peer.describe(now)),
            }),
            Input::Election(event) => {
                if let Role::Member(peer) = &mut self.role {
                    peer.on_election(core, now, event, effects);
                }
            }
            Input::Learner(event) => {
                if let Role::Member(peer) = &mut self.role {
                    peer.on_learner_event(core, now, event, effects);
                }
            }
            Input::Retire => {
                if let Role::Member(peer) = &mut self.role {
                    peer.retire(core, now, effects);
                }
            }
            Input::Tick => {}
        }
        self.append_if_due(now, false, effects);
    }

    /// No more inputs are at hand: what has waited for company goes, and what fell due is done.
    pub fn rest(&mut self, now: Now, effects: &mut Vec<Effect>) {
        match &mut self.role {
            Role::Standalone(primary) => primary.rest(&mut self.core, now),
            Role::Member(peer) => peer.rest(&mut self.core, now, effects),
        }
        self.admit(now, effects);
        self.append_if_due(now, true, effects);
        match &mut self.role {
            Role::Standalone(primary) => {
                let flushed = self.core.flushed;
                primary.finish(&mut self.core, now, flushed, effects);
            }
            Role::Member(peer) => peer.finish(&mut self.core, now, effects),
        }
    }

    /// When [`Self::rest`] has something to do even if nothing comes in, by the monotonic clock.
    pub fn deadline(&self) -> Millis {
        let admission = self.core.throttler.deadline(self.core.last.len());
        let role = match &self.role {
            Role::Standalone(primary) => primary.deadline(),
            Role::Member(peer) => peer.deadline(),
        };
        [self.core.sync.deadline(), self.core.kept.deadline(), admission]
            .into_iter()
            .flatten()
            .fold(role, Millis::min)
    }

    /// zxid of the last transaction this server prepared or took over.
    pub fn last_zxid(&self) -> Zxid {
        match &self.role {
            Role::Standalone(primary) => primary.last_zxid(),
            Role::Member(peer) => peer.last_logged(),
        }
    }

    /// What a member of an ensemble has applied since this was last asked.
    pub fn take_applied(&mut self) -> Applied {
        std::mem::take(&mut self.core.applied)
    }

    /// Requests that wait to be let in.
    pub fn throttled(&self) -> usize {
        self.core.throttler.len()
    }

    /// Whether nobody depends on this server any more, after [`Input::Retire`].
    pub fn may_stop(&self) -> bool {
        match &self.role {
            Role::Standalone(_) => true,
            Role::Member(peer) => peer.may_stop(),
        }
    }

    fn admit(&mut self, now: Now, effects: &mut Vec<Effect>) {
        while let Some(request) = self.core.admit(now, effects) {
            self.on_request(now, request, effects);
        }
    }

    fn on_request(&mut self, now: Now, request: ClientRequest, effects: &mut Vec<Effect>) {
        if self.core.is_halted {
            return;
        }
        match &mut self.role {
            Role::Standalone(primary) => primary.on_request(&mut self.core, now, request),
            Role::Member(peer) => peer.on_request(&mut self.core, now, request, effects),
        }
    }

    fn append_if_due(&mut self, now: Now, is_idle: bool, effects: &mut Vec<Effect>) {
        let Some(due) = self.core.due_batch(now, is_idle) else { return };
        if let Role::Member(peer) = &mut self.role {
            peer.on_append(&self.core, &due.0, now, effects);
        }
        self.core.append(due, effects);
    }

    fn describe_sessions(&self) -> SessionsDescription {
        match &self.role {
            Role::Standalone(primary) => primary.describe_sessions(),
            Role::Member(peer) => peer.describe_sessions(&self.core),
        }
    }
}
