//! Finds a leader: servers tell each other their votes until a quorum agrees
//! (`FastLeaderElection.lookForLeader` and the rules of its `WorkerReceiver`).
//!
//! ```text
//!            look                        a quorum agrees and nobody better is heard of,
//!   Idle ----------> Looking ----------> or a quorum follows a leader that says so
//!                       ^                     |
//!                       |  look               v
//!                       +----------------- Settled
//! ```
//!
//! 1. A vote is the best of those heard in its round, never a worse one than the own first vote.
//! 2. Votes of one round are counted together; a higher round makes them void. Those of servers
//!    that have a leader are counted apart too, in whatever round.
//! 3. Nobody is followed that has not said itself that it leads, unless a quorum of this round
//!    elects it.
//! 4. Only voters of the configuration in force, or of a newer one that is known, are counted; with
//!    both, a quorum of each is needed. Others that look are answered.
//! 5. A voter that is not looking answers each that looks, with its vote.
//!
//! **What is quicker than Java.** Java waits [`FINALIZE_WAIT_MS`] for a better vote once a quorum
//! agrees. Here that wait ends when nobody is left who could send one: each other voter has voted
//! for the same in this round, or could not be reached when last tried. That is safe, because the
//! wait is only a courtesy to late votes: a vote that comes after it is treated the same as one
//! that comes after a wait cut short, and the quorum alone makes sure that nothing committed is
//! lost, as it holds a server that has it and a vote for less is not the best of the quorum.
//! Servers that only learn wait, as voters do not tell them of changes.
//!
//! Of servers that lose their leader at the same time one begins to look a little before the other,
//! and its first vote is lost on the other, which still follows. In Java it is repeated after
//! [`ElectionOptions::notification_interval_ms_min`]. Here a vote that is worse than the own one is
//! answered with that.

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::configs::Configs;
use super::quorum_verifier::QuorumVerifier;
use super::vote::Vote;
use crate::proto::{Millis, Notification, ServerState, Sid, Zxid, notification};

/// How long a better vote is waited for once a quorum agrees (`finalizeWait`).
pub(super) const FINALIZE_WAIT_MS: Millis = 200;

/// The zxid of a server that lost its data and must not vote (`Util.UNINITIALIZED_SNAPSHOT`).
const ZXID_UNINITIALIZED: Zxid = Zxid(-1);

/// What stands in the place of everything in the vote of a server that only learns.
const NOBODY: i64 = i64::MIN;

/// Settings of an election.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ElectionOptions {
    /// Silence after which the votes are sent again first, in milliseconds; it doubles each time
    /// (`fastleader.minNotificationInterval`).
    pub notification_interval_ms_min: Millis,
    /// The longest such silence, in milliseconds (`fastleader.maxNotificationInterval`).
    pub notification_interval_ms_max: Millis,
    /// Whether a configuration may give a server several addresses (`multiAddress.enabled`).
    pub multi_address: bool,
}

/// What a server brings into an election.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InitialVote {
    /// Its last logged transaction.
    pub zxid: Zxid,
    /// The epoch it last took part in (`currentEpoch`).
    pub peer_epoch: i64,
}

/// How the connection to another server fares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    /// It is open.
    Up,
    /// It ended; a new one may be under way.
    Down,
    /// The last attempt to open it failed.
    Unreachable,
}

/// What the caller is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ElectionOutput {
    /// Send this to another server, with its length before it; open a connection if there is none.
    /// A message that still waits for the same server is void.
    Send {
        /// The server.
        to: Sid,
        /// The body of an election message.
        message: Bytes,
    },
    /// A server knows a newer configuration. It is to be adopted, and
    /// [`FastLeaderElection::look`] called with it.
    NewerConfig(Box<QuorumVerifier>),
}

/// How an election ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Elected {
    /// What this server is now: leading, following or observing.
    pub state: ServerState,
    /// Who leads.
    pub leader: Sid,
    /// The vote that won.
    pub vote: Vote,
}

/// A vote as another server sent it.
#[derive(Debug, Clone, Copy)]
struct ReceivedVote {
    vote: Vote,
    state: ServerState,
    version: i32,
}

impl ReceivedVote {
    fn looking(vote: Vote) -> Self {
        Self { vote, state: ServerState::Looking, version: 0 }
    }

    /// Whether both mean the same leadership (`Vote.equals`). Servers that have a leader may tell
    /// different zxids and rounds of it (ZOOKEEPER-1805), and those of before version 1 another
    /// epoch (ZOOKEEPER-1732).
    fn agrees_with(&self, other: &Self) -> bool {
        let (a, b) = (&self.vote, &other.vote);
        if self.state == ServerState::Looking || other.state == ServerState::Looking {
            a == b
        } else if (self.version > 0) != (other.version > 0) {
            a.leader == b.leader
        } else {
            a.leader == b.leader && a.peer_epoch == b.peer_epoch
        }
    }
}

type Votes = BTreeMap<Sid, ReceivedVote>;

/// An election that runs.
#[derive(Debug)]
struct Looking {
    initial: Vote,
    proposal: Vote,
    /// The last vote of each voter in this round (`recvset`).
    votes: Votes,
    /// The last vote of each voter that has a leader (`outofelection`).
    out_of_election: Votes,
    interval_ms: Millis,
    resend_at: Millis,
    finalize_at: Option<Millis>,
}

#[derive(Debug)]
enum Phase {
    Idle,
    Looking(Looking),
    Settled { state: ServerState, vote: Vote },
}

/// The elections of a server, one after the other.
#[derive(Debug)]
pub struct FastLeaderElection {
    my: Sid,
    options: ElectionOptions,
    configs: Configs,
    /// The one in force, as messages hold it.
    config_text: Bytes,
    /// The round (`logicalclock`).
    round: i64,
    phase: Phase,
    links: BTreeMap<Sid, Link>,
}

impl FastLeaderElection {
    /// A server that has not looked for a leader yet.
    #[must_use]
    pub fn new(my: Sid, options: ElectionOptions, configs: Configs) -> Self {
        Self {
            my,
            options,
            config_text: configs.committed().to_text().into(),
            configs,
            round: 0,
            phase: Phase::Idle,
            links: BTreeMap::new(),
        }
    }

    /// The configuration in force, or the one that is pending, has changed. While it looks, the
    /// caller looks again with them.
    pub fn set_configs(&mut self, configs: Configs) {
        self.config_text = configs.committed().to_text().into();
        self.configs = configs;
    }

    /// The round of the last election.
    #[must_use]
    pub fn round(&self) -> i64 {
        self.round
    }

    /// Begins an election, whatever was before.
    pub fn look(
        &mut self,
        now: Millis,
        initial: InitialVote,
        out: &mut Vec<ElectionOutput>,
    ) -> Option<Elected> {
        // A stranger may have named the last round; Java's numbers go round, too.
        self.round = self.round.wrapping_add(1);
        let vote = |leader, zxid, peer_epoch| Vote { leader, zxid, round: self.round, peer_epoch };
        let initial = match self.config().is_voter(self.my) {
            true => vote(self.my, initial.zxid, initial.peer_epoch),
            false => vote(Sid(NOBODY), Zxid(NOBODY), NOBODY),
        };
        let interval_ms = self.options.notification_interval_ms_min.max(1);
        self.phase = Phase::Looking(Looking {
            initial,
            proposal: initial,
            votes: Votes::new(),
            out_of_election: Votes::new(),
            interval_ms,
            resend_at: now + interval_ms,
            finalize_at: None,
        });
        self.send_notifications(out);
        self.count_votes(now)
    }

    /// Makes this server one that has a leader without an election; it answers with this vote.
    pub fn settle(&mut self, state: ServerState, vote: Vote) {
        assert!(state != ServerState::Looking, "a server that looks has not settled");
        self.phase = Phase::Settled { state, vote };
    }

    /// The leader's epoch has begun: answers name it (`QuorumPeer.updateElectionVote`,
    /// ZOOKEEPER-1732).
    pub fn update_election_vote(&mut self, new_epoch: i64) {
        if let Phase::Settled { vote, .. } = &mut self.phase {
            vote.peer_epoch = new_epoch;
        }
    }

    /// What this server does, and its vote; none before it first looked.
    #[must_use]
    pub fn current_vote(&self) -> Option<(ServerState, Vote)> {
        match &self.phase {
            Phase::Idle => None,
            Phase::Looking(looking) => Some((ServerState::Looking, looking.proposal)),
            Phase::Settled { state, vote } => Some((*state, *vote)),
        }
    }

    /// When [`Self::on_time`] is to be called next; none while there is nothing to wait for.
    #[must_use]
    pub fn deadline(&self) -> Option<Millis> {
        match &self.phase {
            Phase::Looking(looking) => Some(looking.finalize_at.unwrap_or(looking.resend_at)),
            Phase::Idle | Phase::Settled { .. } => None,
        }
    }

    /// Time has passed.
    pub fn on_time(&mut self, now: Millis, out: &mut Vec<ElectionOutput>) -> Option<Elected> {
        let interval_ms_max = self.options.notification_interval_ms_max;
        let Phase::Looking(looking) = &mut self.phase else { return None };
        if let Some(finalize_at) = looking.finalize_at {
            let proposal = looking.proposal;
            return (finalize_at <= now).then(|| self.decide(proposal));
        }
        if looking.resend_at <= now {
            // Java connects to all instead if no message was taken off its queue yet. Sending does
            // both, since the newest message replaces the one that waits.
            let longest = interval_ms_max.max(looking.interval_ms);
            looking.interval_ms = looking.interval_ms.saturating_mul(2).min(longest);
            looking.resend_at = now + looking.interval_ms;
            self.send_notifications(out);
        }
        None
    }

    /// The state of a connection has changed. While this server looks, one that ended is opened
    /// anew at once: whether that can be done tells if its server can still vote, and the vote that
    /// may have been lost with it is repeated.
    pub fn on_link(
        &mut self,
        now: Millis,
        sid: Sid,
        link: Link,
        out: &mut Vec<ElectionOutput>,
    ) -> Option<Elected> {
        self.links.insert(sid, link);
        if !self.is_valid_voter(sid) && link != Link::Up {
            self.links.remove(&sid);
        } else if let (Phase::Looking(looking), Link::Down) = (&self.phase, link) {
            let proposal = Vote { round: self.round, ..looking.proposal };
            out.push(self.answer(sid, ServerState::Looking, proposal));
        }
        self.count_votes(now)
    }

    /// A message has come over the connection of a server.
    pub fn on_notification(
        &mut self,
        now: Millis,
        from: Sid,
        n: &Notification,
        out: &mut Vec<ElectionOutput>,
    ) -> Option<Elected> {
        let (state, vote) = self.current_vote()?;
        if from == self.my {
            return None;
        }
        let is_looking = state == ServerState::Looking;
        if is_looking && let Some(newer) = self.newer_config(n) {
            let is_same = newer.has_same_members(self.config());
            out.push(ElectionOutput::NewerConfig(Box::new(newer)));
            if !is_same {
                // The caller looks again with other members, for whom this message may mean
                // something else; its sender will repeat it.
                return None;
            }
        }
        // Java answers more than is asked: a voter whatever comes from one that does not vote, and
        // one that does not vote all that look. The two then answer each other without end.
        let is_asking = n.state == ServerState::Looking && self.is_valid_voter(self.my);
        if !self.is_valid_voter(from) {
            if is_asking {
                out.push(self.answer(from, state, Vote { round: self.round, ..vote }));
            }
            return None;
        }
        if !is_looking {
            if is_asking {
                out.push(self.answer(from, state, vote));
            }
            return None;
        }
        if is_asking && n.round < self.round {
            out.push(self.answer(from, state, Vote { round: self.round, ..vote }));
        }
        if let Phase::Looking(looking) = &mut self.phase {
            looking.resend_at = now + looking.interval_ms;
        }
        if !self.is_valid_voter(n.leader) {
            return None;
        }
        match n.state {
            ServerState::Looking => self.on_looking(now, from, n, out),
            ServerState::Following | ServerState::Leading => self.on_established(now, from, n),
            ServerState::Observing => None,
        }
    }

    /// A voter that looks too.
    fn on_looking(
        &mut self,
        now: Millis,
        from: Sid,
        n: &Notification,
        out: &mut Vec<ElectionOutput>,
    ) -> Option<Elected> {
        let weight = self.config().weight(n.leader);
        let votes = self.is_valid_voter(self.my);
        let Phase::Looking(looking) = &mut self.phase else { return None };
        if looking.initial.zxid == ZXID_UNINITIALIZED || n.zxid == ZXID_UNINITIALIZED {
            return None;
        }
        let vote = vote_of(n);
        if n.round < self.round {
            return None;
        }
        if n.round > self.round {
            self.round = n.round;
            looking.votes.clear();
            looking.finalize_at = None;
            let better = vote.succeeds(&looking.initial, weight);
            let chosen = if better { vote } else { looking.initial };
            looking.proposal = Vote { round: self.round, ..chosen };
            self.send_notifications(out);
        } else if vote.succeeds(&looking.proposal, weight) {
            looking.finalize_at = None;
            looking.proposal = vote;
            self.send_notifications(out);
        } else if votes
            && looking
                .proposal
                .succeeds(&vote, self.configs.committed().weight(looking.proposal.leader))
        {
            // What it was told before may have come when it was not looking yet.
            let proposal = looking.proposal;
            out.push(self.answer(from, ServerState::Looking, proposal));
        }
        let Phase::Looking(looking) = &mut self.phase else { return None };
        looking.votes.insert(from, ReceivedVote::looking(vote));
        self.count_votes(now)
    }

    /// A voter that has a leader, or leads (`receivedFollowingNotification`).
    fn on_established(&mut self, now: Millis, from: Sid, n: &Notification) -> Option<Elected> {
        let round = self.round;
        let Phase::Looking(looking) = &mut self.phase else { return None };
        let received = ReceivedVote { vote: vote_of(n), state: n.state, version: n.version };
        looking.out_of_election.insert(from, received);
        if n.round == round {
            // Java keeps these without their version: within a round the leader's id is enough.
            looking.votes.insert(from, ReceivedVote { version: 0, ..received });
        }
        let Phase::Looking(looking) = &self.phase else { return None };
        let of_round = n.round == round && self.is_established(&looking.votes, &received);
        if of_round || self.is_established(&looking.out_of_election, &received) {
            self.round = n.round;
            return Some(self.decide(received.vote));
        }
        // The sender may have voted for the own proposal before.
        self.count_votes(now)
    }

    /// Whether a quorum follows a leader that says that it leads (`checkLeader`). Of another server
    /// that leads, one of the configuration in force is enough: what it needed to lead it has had,
    /// and what is pending here may have been proposed in vain.
    fn is_established(&self, votes: &Votes, received: &ReceivedVote) -> bool {
        let leader = received.vote.leader;
        if leader == self.my {
            return received.vote.round == self.round && self.has_quorum(votes, received);
        }
        votes.get(&leader).is_some_and(|vote| vote.state == ServerState::Leading)
            && self.config().contains_quorum(&agreeing(votes, received))
    }

    fn has_quorum(&self, votes: &Votes, vote: &ReceivedVote) -> bool {
        self.configs.contain_quorum(&agreeing(votes, vote))
    }

    /// Begins, ends or breaks off the wait for a better vote.
    fn count_votes(&mut self, now: Millis) -> Option<Elected> {
        let Phase::Looking(looking) = &self.phase else { return None };
        let proposal = looking.proposal;
        let winner = ReceivedVote::looking(proposal);
        let has_quorum = self.has_quorum(&looking.votes, &winner);
        if has_quorum && self.is_nobody_left(&looking.votes, &winner) {
            return Some(self.decide(proposal));
        }
        let Phase::Looking(looking) = &mut self.phase else { return None };
        match (has_quorum, looking.finalize_at) {
            (true, None) => looking.finalize_at = Some(now + FINALIZE_WAIT_MS),
            (false, Some(_)) => looking.finalize_at = None,
            _ => {}
        }
        None
    }

    /// Whether no voter could still send a better vote: see the head of this file.
    fn is_nobody_left(&self, votes: &Votes, winner: &ReceivedVote) -> bool {
        let agrees = |sid| votes.get(&sid).is_some_and(|vote| winner.agrees_with(vote));
        let unreachable = |sid| self.links.get(&sid) == Some(&Link::Unreachable);
        self.config().is_voter(self.my)
            && self.valid_voters().into_iter().all(|sid| agrees(sid) || unreachable(sid))
    }

    fn decide(&mut self, vote: Vote) -> Elected {
        // A server that is no member follows, to be taken in.
        let state = match self.config().observers().any(|observer| observer == self.my) {
            _ if vote.leader == self.my => ServerState::Leading,
            false => ServerState::Following,
            true => ServerState::Observing,
        };
        self.phase = Phase::Settled { state, vote };
        Elected { state, leader: vote.leader, vote }
    }

    /// Tells every voter the own vote, this server included.
    fn send_notifications(&mut self, out: &mut Vec<ElectionOutput>) {
        let voters = self.valid_voters();
        let (my, round) = (self.my, self.round);
        let Phase::Looking(looking) = &mut self.phase else { return };
        let proposal = Vote { round, ..looking.proposal };
        if voters.contains(&my) && looking.initial.zxid != ZXID_UNINITIALIZED {
            looking.votes.insert(my, ReceivedVote::looking(proposal));
        }
        let message = self.message(ServerState::Looking, proposal);
        let others = voters.into_iter().filter(|sid| *sid != my);
        out.extend(others.map(|to| ElectionOutput::Send { to, message: message.clone() }));
    }

    fn answer(&self, to: Sid, state: ServerState, vote: Vote) -> ElectionOutput {
        ElectionOutput::Send { to, message: self.message(state, vote) }
    }

    fn message(&self, state: ServerState, vote: Vote) -> Bytes {
        Notification {
            state,
            leader: vote.leader,
            zxid: vote.zxid,
            round: vote.round,
            peer_epoch: vote.peer_epoch,
            version: notification::CURRENT_VERSION,
            config: Some(self.config_text.clone()),
        }
        .encode()
    }

    /// The configuration of a message if it is newer than the own. One that cannot be read is as
    /// good as none, as the rest of the message means the same without it.
    fn newer_config(&self, n: &Notification) -> Option<QuorumVerifier> {
        let text = n.config.as_ref().filter(|text| **text != self.config_text)?;
        if !self.configs.is_enabled() {
            return None;
        }
        let text = String::from_utf8_lossy(text);
        match QuorumVerifier::from_text(&text, self.options.multi_address) {
            Ok(config) => Some(config).filter(|config| config.version() > self.config().version()),
            Err(error) => {
                tracing::warn!(leader = %n.leader, "a notification's configuration: {error}");
                None
            }
        }
    }

    /// The configuration in force.
    fn config(&self) -> &QuorumVerifier {
        self.configs.committed()
    }

    /// Those that count: the one in force and the one that is pending.
    fn counting(&self) -> impl Iterator<Item = &QuorumVerifier> {
        std::iter::once(self.config()).chain(self.configs.pending().map(|pending| &**pending))
    }

    fn valid_voters(&self) -> BTreeSet<Sid> {
        self.counting().flat_map(QuorumVerifier::voters).collect()
    }

    /// Whether a server votes in the configuration in force or in the next (`validVoter`).
    fn is_valid_voter(&self, sid: Sid) -> bool {
        self.counting().any(|config| config.is_voter(sid))
    }
}

/// Who agrees with a vote.
fn agreeing(votes: &Votes, vote: &ReceivedVote) -> BTreeSet<Sid> {
    let agreeing = votes.iter().filter(|(_, received)| vote.agrees_with(received));
    agreeing.map(|(sid, _)| *sid).collect()
}

fn vote_of(n: &Notification) -> Vote {
    Vote { leader: n.leader, zxid: n.zxid, round: n.round, peer_epoch: n.peer_epoch }
}
