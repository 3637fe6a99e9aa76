//! Where the members of an ensemble run: as processes on loopback (`processes`) or in containers
//! (`containers`).
//!
//! [`Hosts`] is what scenarios and checkers need of them, whichever it is. Members are named by
//! their index from 0.

pub mod containers;
pub mod engine;
pub mod images;
mod processes;

use std::fmt::Debug;
use std::net::SocketAddr;
use std::sync::Once;
use std::thread;
use std::time::{Duration, Instant};

use crate::ensemble::links::Cut;
use crate::ensemble::{Layout, PeerType};
use crate::machine::Machine;
use crate::server::{ServerUnderTest, four_letter_word};

/// How long an ensemble may take to serve, on a loaded machine.
const SERVE_LIMIT: Duration = Duration::from_secs(120);

/// How long a member may take to say what it is. One that is paused says nothing.
const WORD_LIMIT: Duration = Duration::from_millis(500);

/// Pause between two questions.
const POLL: Duration = Duration::from_millis(20);

/// What a member says it is (`srvr`), or why it does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It leads.
    Leader,
    /// It follows.
    Follower,
    /// It observes.
    Observer,
    /// It is cut off, and serves reads.
    ReadOnly,
    /// It runs, and serves nobody.
    NotServing,
    /// It is stopped or paused.
    Silent,
}

impl Role {
    /// Whether clients are served, with writes.
    pub fn serves(self) -> bool {
        matches!(self, Self::Leader | Self::Follower | Self::Observer)
    }

    /// What the server at this address says it is.
    fn of(address: SocketAddr) -> Self {
        let Ok(answer) = four_letter_word(address, "srvr", WORD_LIMIT) else { return Self::Silent };
        // The proxy of an engine for containers accepts before it knows whether anybody listens.
        if answer.is_empty() {
            return Self::Silent;
        }
        match answer.lines().find_map(|line| line.strip_prefix("Mode: ")) {
            Some("leader") => Self::Leader,
            Some("follower") => Self::Follower,
            Some("observer") => Self::Observer,
            Some("read-only") => Self::ReadOnly,
            _ => Self::NotServing,
        }
    }
}

/// The members of one ensemble on their hosts, and what can be done to them. All of it ends when it
/// is dropped; the ends of the members' logs are printed if a test failed.
pub trait Hosts: Debug {
    /// How many members there are.
    fn len(&self) -> usize;

    /// The kind a member is now.
    fn kind(&self, member: usize) -> ServerUnderTest;

    /// Whether a member votes.
    fn peer_type(&self, member: usize) -> PeerType;

    /// Where clients of a member connect, whether it runs or not.
    fn address(&self, member: usize) -> SocketAddr;

    /// Whether a member has been started and not stopped.
    fn is_up(&self, member: usize) -> bool;

    /// How a member that was started has ended by itself, if it has.
    fn ended(&mut self, member: usize) -> Option<String>;

    /// Starts a member that is down as this kind of server, on the data it has.
    fn launch_as(&mut self, member: usize, kind: ServerUnderTest);

    /// Stops a member with SIGTERM, and waits for its end.
    fn stop(&mut self, member: usize);

    /// Kills a member with SIGKILL.
    fn kill(&mut self, member: usize);

    /// Freezes a member: its connections stay, and nothing is answered.
    fn pause(&mut self, member: usize);

    /// Lets a member that is paused go on.
    fn resume(&mut self, member: usize);

    /// Cuts a member off from all others.
    fn cut(&mut self, member: usize, cut: Cut);

    /// Drops what goes from one member to another; the reason where that cannot be done.
    fn cut_one_way(&mut self, from: usize, to: usize) -> Result<(), String>;

    /// Takes back every cut, and whatever else is wrong around the members.
    fn heal(&mut self);

    /// [`Self::heal`], but who was cut off has another address than before, where that can be.
    fn heal_elsewhere(&mut self) {
        self.heal();
    }

    /// The last lines a member printed.
    fn log_tail(&self, member: usize) -> String;

    /// Whether all members know each other under the same addresses, so that `/zookeeper/config`
    /// is the same with all.
    fn agree_on_addresses(&self) -> bool;

    /// The machine under a member, where its disk and its clock can go wrong.
    fn machine(&self, _member: usize) -> Option<&Machine> {
        None
    }

    /// Leaves so many bytes free on the disk of a member; false where it has none that can be full.
    fn fill_disk(&mut self, _member: usize, _free: u64) -> bool {
        false
    }

    /// Starts a member again that has ended because its disk was broken; false if it was not.
    fn restart_after_broken_disk(&mut self, _member: usize) -> bool {
        false
    }

    /// All that a member printed, as far as it is at hand.
    fn log(&self, member: usize) -> String {
        self.log_tail(member)
    }

    /// Whether there are no members.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Where clients connect, of all members.
    fn addresses(&self) -> Vec<SocketAddr> {
        (0..self.len()).map(|member| self.address(member)).collect()
    }

    /// [`Self::addresses`] as clients take them.
    fn connect_string(&self) -> String {
        self.addresses().iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
    }

    /// Starts a member that is down.
    fn launch(&mut self, member: usize) {
        self.launch_as(member, self.kind(member));
    }

    /// What a member says it is.
    fn role(&self, member: usize) -> Role {
        if self.is_up(member) { Role::of(self.address(member)) } else { Role::Silent }
    }

    /// Who leads. Of two, as after a cut, it is the one with the higher epoch.
    fn leader(&self) -> Option<usize> {
        let leaders = (0..self.len()).filter(|member| self.role(*member) == Role::Leader);
        leaders.max_by_key(|member| self.last_zxid(*member).map(|zxid| zxid >> 32))
    }

    /// Who leads, once somebody does.
    fn wait_for_leader(&self) -> usize {
        let deadline = Instant::now() + SERVE_LIMIT;
        loop {
            if let Some(leader) = self.leader() {
                return leader;
            }
            assert!(Instant::now() < deadline, "nobody leads: {}", self.describe());
            thread::sleep(POLL);
        }
    }

    /// The first member in this role, once there is one. A busy member may be silent when it is
    /// asked.
    fn wait_for(&self, role: Role) -> usize {
        let deadline = Instant::now() + SERVE_LIMIT;
        loop {
            if let Some(member) = (0..self.len()).find(|member| self.role(*member) == role) {
                return member;
            }
            assert!(Instant::now() < deadline, "nobody is {role:?}: {}", self.describe());
            thread::sleep(POLL);
        }
    }

    /// A voter that does not lead; `nth` picks one of several.
    fn follower(&self, nth: usize) -> usize {
        let leader = self.wait_for_leader();
        let voter = |m: &usize| self.peer_type(*m) == PeerType::Participant;
        let others: Vec<usize> = (0..self.len()).filter(|m| *m != leader && voter(m)).collect();
        others[nth % others.len()]
    }

    /// The zxid a member has applied up to, by its own account (`srvr`).
    fn last_zxid(&self, member: usize) -> Option<i64> {
        if !self.is_up(member) {
            return None;
        }
        let answer = four_letter_word(self.address(member), "srvr", WORD_LIMIT).ok()?;
        let zxid = answer.lines().find_map(|line| line.strip_prefix("Zxid: 0x"))?;
        i64::from_str_radix(zxid, 16).ok()
    }

    /// Waits until these members serve; panics with a log's end if one never does.
    fn wait_until_serving(&mut self, members: &[usize]) {
        let deadline = Instant::now() + SERVE_LIMIT;
        while !members.iter().all(|member| self.role(*member).serves()) {
            for member in members {
                assert!(self.is_up(*member), "member {member} is not running");
                if let Some(how) = self.ended(*member)
                    && !self.restart_after_broken_disk(*member)
                {
                    panic!("member {member} ended with {how}:\n{}", self.log_tail(*member));
                }
            }
            assert!(Instant::now() < deadline, "not all serve: {}", self.describe());
            thread::sleep(POLL);
        }
    }

    /// Waits until a member has this role; panics if it never has.
    fn wait_for_role(&self, member: usize, role: Role) {
        let deadline = Instant::now() + SERVE_LIMIT;
        while self.role(member) != role {
            assert!(Instant::now() < deadline, "{member} is never {role:?}: {}", self.describe());
            thread::sleep(POLL);
        }
    }

    /// [`Self::wait_until_serving`] for all.
    fn wait_until_all_serve(&mut self) {
        let all: Vec<usize> = (0..self.len()).collect();
        self.wait_until_serving(&all);
    }

    /// Heals everything, starts who is down, lets who is paused go on, and waits until all serve.
    fn recover(&mut self) {
        self.heal();
        for member in 0..self.len() {
            if self.is_up(member) {
                self.resume(member);
            } else {
                self.launch(member);
            }
        }
        self.wait_until_all_serve();
    }

    /// Kind and role of each member, for people.
    fn describe(&self) -> String {
        let each = (0..self.len()).map(|m| format!("{} {} {:?}", m, self.kind(m), self.role(m)));
        each.collect::<Vec<_>>().join(", ")
    }
}

/// Starts an ensemble in containers, or as processes where there are no containers to be had, and
/// waits until all serve. The last voter leads at first, unless the machine is so busy that the
/// others do not wait for it.
pub fn start(layout: Layout) -> Box<dyn Hosts> {
    let mut hosts: Box<dyn Hosts> = match containers::Containers::prepare(&layout) {
        Ok(containers) => Box::new(containers),
        Err(reason) => {
            static SAID: Once = Once::new();
            SAID.call_once(|| println!("no containers, so processes on loopback: {reason}"));
            Box::new(layout.proxied().prepare())
        }
    };
    start_all(&mut *hosts);
    hosts
}

/// Of servers without history that are there the one with the highest id is elected.
fn start_all(hosts: &mut dyn Hosts) {
    let voter = |member: &usize| hosts.peer_type(*member) == PeerType::Participant;
    let last = (0..hosts.len()).rev().find(voter).expect("a voter");
    hosts.launch(last);
    let deadline = Instant::now() + SERVE_LIMIT;
    while hosts.role(last) == Role::Silent {
        assert!(Instant::now() < deadline, "{last} never answers:\n{}", hosts.log_tail(last));
        thread::sleep(POLL);
    }
    (0..hosts.len()).filter(|member| *member != last).for_each(|member| hosts.launch(member));
    hosts.wait_until_all_serve();
    println!("member {} leads", hosts.wait_for_leader());
}
