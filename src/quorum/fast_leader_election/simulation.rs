//! Elections of whole ensembles on a network that delays, loses and separates, by seed.
//!
//! What follows an election in a server stands here in one line each: a leader without a quorum of
//! followers, and a follower without its leader, look again after [`GIVE_UP_MS`]; a leader with a
//! quorum begins an epoch and adds transactions.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::tests::{config, configs};
use super::*;

const GIVE_UP_MS: Millis = 2_000;

/// How often servers look whether they have what they need.
const ZAB_MS: Millis = 100;

/// How long the network fails, and how long it then may take until all have one leader.
const TROUBLE_MS: Millis = 20_000;
const BOUND_MS: Millis = 30_000;

struct Server {
    election: FastLeaderElection,
    history: InitialVote,
    /// When the server began to be without what its state needs.
    alone_since: Option<Millis>,
}

struct World {
    random: fastrand::Rng,
    config: Arc<QuorumVerifier>,
    now: Millis,
    servers: BTreeMap<Sid, Server>,
    /// Messages under way by time and number.
    network: BTreeMap<(Millis, u64), (Sid, Sid, Bytes)>,
    next: u64,
    /// The part of the network each server is in.
    part: BTreeMap<Sid, u8>,
    loss_percent: u8,
    epoch: i64,
    /// Epoch and zxid that a quorum has.
    committed: (i64, Zxid),
}

impl World {
    fn new(seed: u64, voters: i64, observers: i64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let config = config(voters, observers, 0);
        let mut servers = BTreeMap::new();
        for sid in (1..=voters + observers).map(Sid) {
            let peer_epoch = random.i64(0..3);
            let zxid = Zxid(peer_epoch << 32 | random.i64(0..3));
            let history = InitialVote { zxid, peer_epoch };
            let election = FastLeaderElection::new(sid, OPTIONS, configs(config.clone()));
            servers.insert(sid, Server { election, history, alone_since: None });
        }
        let part = servers.keys().map(|sid| (*sid, 0)).collect();
        let network = BTreeMap::new();
        Self {
            random,
            config,
            now: 0,
            servers,
            network,
            next: 0,
            part,
            loss_percent: 0,
            epoch: 3,
            committed: (0, Zxid(0)),
        }
    }

    fn connected(&self, a: Sid, b: Sid) -> bool {
        self.part[&a] == self.part[&b]
    }

    fn act(
        &mut self,
        sid: Sid,
        act: impl FnOnce(&mut FastLeaderElection, &mut Vec<ElectionOutput>) -> Option<Elected>,
    ) {
        let mut out = Vec::new();
        let now = self.now;
        let elected = act(&mut self.servers.get_mut(&sid).unwrap().election, &mut out);
        assert!(elected.is_none_or(|elected| self.config.is_voter(elected.leader)), "{elected:?}");
        for output in out {
            let ElectionOutput::Send { to, message } = output else { panic!("{output:?}") };
            let is_connected = self.connected(sid, to);
            let link = if is_connected { Link::Up } else { Link::Unreachable };
            let _ = self.servers.get_mut(&sid).unwrap().election.on_link(
                now,
                to,
                link,
                &mut Vec::new(),
            );
            if is_connected && self.random.u8(..100) >= self.loss_percent {
                let at = now + 1 + self.random.i64(..50);
                self.next += 1;
                self.network.insert((at, self.next), (sid, to, message));
            }
        }
    }

    fn look(&mut self, sid: Sid) {
        let (now, history) = (self.now, self.servers[&sid].history);
        self.servers.get_mut(&sid).unwrap().alone_since = None;
        self.act(sid, |election, out| election.look(now, history, out));
    }

    fn restart(&mut self, sid: Sid) {
        let election = FastLeaderElection::new(sid, OPTIONS, configs(self.config.clone()));
        self.servers.get_mut(&sid).unwrap().election = election;
        self.look(sid);
    }

    fn state(&self, sid: Sid) -> Option<(ServerState, Sid)> {
        let vote = self.servers[&sid].election.current_vote()?;
        Some((vote.0, vote.1.leader))
    }

    fn followers(&self, leader: Sid) -> BTreeSet<Sid> {
        let follows = |sid: &Sid| {
            *sid == leader
                || (self.connected(leader, *sid)
                    && self.state(*sid) == Some((ServerState::Following, leader)))
        };
        self.servers.keys().copied().filter(follows).collect()
    }

    /// Whether a server has what its state needs.
    fn is_well(&self, sid: Sid) -> bool {
        match self.state(sid) {
            Some((ServerState::Leading, _)) => self.config.contains_quorum(&self.followers(sid)),
            Some((ServerState::Following | ServerState::Observing, leader)) => {
                self.connected(sid, leader)
                    && self.state(leader) == Some((ServerState::Leading, leader))
            }
            _ => true,
        }
    }

    /// What Zab would do: see the head of this file.
    fn zab(&mut self, sid: Sid) {
        if !self.is_well(sid) {
            let since = *self.servers.get_mut(&sid).unwrap().alone_since.get_or_insert(self.now);
            if self.now - since >= GIVE_UP_MS {
                self.look(sid);
            }
            return;
        }
        let server = self.servers.get_mut(&sid).unwrap();
        server.alone_since = None;
        if self.state(sid) != Some((ServerState::Leading, sid)) {
            return;
        }
        let followers = self.followers(sid);
        let history = self.servers[&sid].history;
        if history.peer_epoch < self.epoch || self.random.u8(..4) == 0 {
            let history = (history.peer_epoch, history.zxid);
            assert!(history >= self.committed, "{sid} lacks {:?}: {history:?}", self.committed);
            self.epoch += 1;
            let epoch = self.epoch;
            let zxid = Zxid(epoch << 32 | self.random.i64(1..5));
            self.committed = (epoch, zxid);
            for sid in followers {
                let server = self.servers.get_mut(&sid).unwrap();
                server.history = InitialVote { zxid, peer_epoch: epoch };
                server.election.update_election_vote(epoch);
            }
        }
    }

    /// The next moment at which anything happens.
    fn next_moment(&self) -> Millis {
        let message = self.network.first_key_value().map(|((at, _), _)| *at);
        let deadlines = self.servers.values().filter_map(|server| server.election.deadline());
        let zab = (self.now / ZAB_MS + 1) * ZAB_MS;
        deadlines.chain(message).min().unwrap_or(zab).clamp(self.now + 1, zab)
    }

    fn run(&mut self, until: Millis) {
        while self.now < until {
            self.now = self.next_moment().min(until);
            while let Some(entry) = self.network.first_entry() {
                if entry.key().0 > self.now {
                    break;
                }
                let (from, to, message) = entry.remove();
                if self.connected(from, to) {
                    let (now, n) = (self.now, Notification::decode(&message).unwrap());
                    self.act(to, |election, out| election.on_notification(now, from, &n, out));
                }
            }
            for sid in self.servers.keys().copied().collect::<Vec<_>>() {
                let now = self.now;
                if self.servers[&sid].election.deadline().is_some_and(|at| at <= now) {
                    self.act(sid, |election, out| election.on_time(now, out));
                }
                if now % ZAB_MS == 0 {
                    self.zab(sid);
                }
            }
        }
    }

    /// Something goes wrong, or is well again.
    fn trouble(&mut self) {
        let sids: Vec<Sid> = self.servers.keys().copied().collect();
        match self.random.u8(..6) {
            0 => self.loss_percent = self.random.u8(..60),
            1 => self.loss_percent = 0,
            2 | 3 => {
                for sid in &sids {
                    let part = self.random.u8(..2);
                    self.part.insert(*sid, part);
                }
            }
            4 => self.part.values_mut().for_each(|part| *part = 0),
            _ => {
                let sid = sids[self.random.usize(..sids.len())];
                self.restart(sid);
            }
        }
    }

    fn heal(&mut self) {
        self.loss_percent = 0;
        self.part.values_mut().for_each(|part| *part = 0);
    }

    /// All servers have the same leader, and it leads.
    fn check_agreement(&self, seed: u64) {
        let states: Vec<_> = self.servers.keys().map(|sid| (*sid, self.state(*sid))).collect();
        let leader = states[0].1.unwrap().1;
        for (sid, state) in &states {
            let expected = match self.config.is_voter(*sid) {
                _ if *sid == leader => ServerState::Leading,
                true => ServerState::Following,
                false => ServerState::Observing,
            };
            assert_eq!(*state, Some((expected, leader)), "seed {seed}: {states:?}");
        }
    }
}

const OPTIONS: ElectionOptions = ElectionOptions {
    notification_interval_ms_min: 200,
    notification_interval_ms_max: 5_000,
    multi_address: false,
};

#[test]
fn a_first_election_finds_the_best_of_a_quorum() {
    for seed in 0..100 {
        let voters = 3 + seed as i64 % 5;
        let mut world = World::new(seed, voters, 1);
        let rank = |world: &World, sid: Sid| {
            let history = world.servers[&sid].history;
            (history.peer_epoch, history.zxid, sid)
        };
        let ranks: Vec<_> = (1..=voters).map(|sid| rank(&world, Sid(sid))).collect();
        for sid in (1..=voters + 1).map(Sid) {
            world.run(world.now + 1 + seed as i64 % 7 * 20);
            world.look(sid);
        }
        world.run(world.now + BOUND_MS);
        world.check_agreement(seed);
        let leader = world.state(Sid(1)).unwrap().1;
        let mine = ranks[leader.0 as usize - 1];
        let not_better = ranks.iter().filter(|rank| **rank <= mine).count();
        assert!(not_better > voters as usize / 2, "seed {seed}: {leader} of {ranks:?}");
    }
}

#[test]
fn after_any_trouble_all_find_one_leader() {
    for seed in 0..100 {
        let mut world = World::new(seed, 3 + seed as i64 % 5, seed as i64 % 2);
        for sid in world.servers.keys().copied().collect::<Vec<_>>() {
            world.look(sid);
        }
        while world.now < TROUBLE_MS {
            let pause = world.random.i64(1..1_500);
            world.run(world.now + pause);
            world.trouble();
        }
        world.heal();
        world.run(world.now + BOUND_MS);
        world.check_agreement(seed);
    }
}

#[test]
fn a_majority_elects_without_the_others_and_those_join_it() {
    for seed in 0..50 {
        let mut world = World::new(seed, 5, 1);
        for sid in [4, 5, 6].map(Sid) {
            world.part.insert(sid, 1);
        }
        for sid in (1..=6).map(Sid) {
            world.look(sid);
        }
        world.run(BOUND_MS);
        let leader = world.state(Sid(1)).unwrap().1;
        assert!(world.is_well(leader) && leader <= Sid(3), "seed {seed}");
        assert_eq!(world.followers(leader), [1, 2, 3].map(Sid).into(), "seed {seed}");
        for sid in [4, 5, 6].map(Sid) {
            assert_eq!(world.state(sid).unwrap().0, ServerState::Looking, "seed {seed}");
        }
        world.heal();
        world.run(2 * BOUND_MS);
        world.check_agreement(seed);
        assert_eq!(world.state(Sid(5)).unwrap().1, leader, "seed {seed}: they join it");
        world.restart(Sid(5));
        world.run(world.now + BOUND_MS);
        assert_eq!(world.state(Sid(5)).unwrap(), (ServerState::Following, leader), "seed {seed}");
    }
}
