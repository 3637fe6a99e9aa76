//! The election alone, our state machine and our connections, in an ensemble whose other servers
//! are Apache's. There is no leader or follower of ours behind it: what Apache's servers make of
//! the result is read off their logs and their answers.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use compat_tests::ensemble::{MemberPorts, PortBlock};
use compat_tests::server::{Home, REFERENCE, Server};
use gamekeeper::proto::{ServerState, Sid, Zxid};
use gamekeeper::quorum::{
    Configs, Elected, ElectionOptions, ElectionOutput, FastLeaderElection, InitialVote, Link,
    QuorumVerifier,
};
use gamekeeper::server::net::{
    ElectionEvent, QuorumCnxHandle, QuorumCnxManager, QuorumCnxOptions, election_addresses,
};

/// How long an election may take, with the start of Java on a loaded machine.
const LIMIT: Duration = Duration::from_secs(120);

/// An ensemble: the text of its configuration, and the ports in it.
struct Ensemble {
    lines: Vec<String>,
    ports: PortBlock,
}

impl Ensemble {
    fn new(voters: &[i64], observers: &[i64]) -> Self {
        let ports = PortBlock::take();
        let line = |id: i64, kind: &str| {
            let MemberPorts { quorum, election, .. } = ports.member(index(id));
            format!("server.{id}=127.0.0.1:{quorum}:{election}:{kind}")
        };
        let voters = voters.iter().map(|id| line(*id, "participant"));
        let lines = voters.chain(observers.iter().map(|id| line(*id, "observer"))).collect();
        Self { lines, ports }
    }

    fn apache(&self, id: i64) -> Server {
        let limits = ["initLimit=10", "syncLimit=5"].map(str::to_owned);
        let lines = [&self.lines[..], &limits].concat();
        let port = self.ports.member(index(id)).client;
        REFERENCE.launch(Home::at_port(port, lines).with_my_id(index(id) + 1))
    }

    /// What Apache's server logs when it has elected this one, which has nobody behind that port.
    fn sign_of_following(&self, id: i64) -> String {
        format!("connecting to /127.0.0.1:{}", self.ports.member(index(id)).quorum)
    }

    fn ours(&self, id: i64) -> Peer {
        let config = QuorumVerifier::from_text(&self.lines.join("\n"), false);
        Peer::start(Sid(id), config.expect("a configuration"))
    }
}

/// Ids begin with 1, indices with 0.
fn index(id: i64) -> usize {
    usize::try_from(id - 1).expect("an id of a test")
}

/// A server of ours that only elects.
struct Peer {
    election: FastLeaderElection,
    handle: QuorumCnxHandle,
    events: Receiver<ElectionEvent>,
    thread: Option<JoinHandle<()>>,
    begun: Instant,
    /// The last state of each server that told one, and the epoch it named.
    heard: BTreeMap<Sid, (ServerState, i64)>,
    /// Servers to which a connection has ended.
    down: BTreeSet<Sid>,
}

impl Peer {
    fn start(my: Sid, config: QuorumVerifier) -> Self {
        let options = QuorumCnxOptions {
            my,
            connect_timeout: Duration::from_secs(5),
            handshake_timeout: Duration::from_secs(10),
            port_bind_retry: 3,
            listen_on_all_ips: false,
            tcp_keep_alive: false,
            multi_address: false,
        };
        let (told, events) = channel();
        let addresses = election_addresses([config.members()]);
        let tell = move |event| drop(told.send(event));
        let (manager, handle) = QuorumCnxManager::new(options, addresses, tell);
        let options = ElectionOptions {
            notification_interval_ms_min: 200,
            notification_interval_ms_max: 60_000,
            multi_address: false,
        };
        let configs = Configs::new(Arc::new(config), None, false);
        Self {
            election: FastLeaderElection::new(my, options, configs),
            handle,
            events,
            thread: Some(manager.start().expect("a thread")),
            begun: Instant::now(),
            heard: BTreeMap::new(),
            down: BTreeSet::new(),
        }
    }

    fn now(&self) -> i64 {
        self.begun.elapsed().as_millis() as i64
    }

    /// Looks for a leader until there is one.
    fn look(&mut self, zxid: i64, peer_epoch: i64) -> Elected {
        let mut out = Vec::new();
        let initial = InitialVote { zxid: Zxid(zxid), peer_epoch };
        let mut elected = self.election.look(self.now(), initial, &mut out);
        self.send(out);
        let limit = Instant::now() + LIMIT;
        loop {
            if let Some(elected) = elected {
                return elected;
            }
            assert!(Instant::now() < limit, "no leader: {:?}", self.heard);
            elected = self.step();
        }
    }

    /// One event, or the end of a wait.
    fn step(&mut self) -> Option<Elected> {
        let wait = self.election.deadline().map_or(100, |at| (at - self.now()).clamp(0, 100));
        let event = self.events.recv_timeout(Duration::from_millis(wait as u64));
        let (now, mut out) = (self.now(), Vec::new());
        let elected = match event {
            Ok(ElectionEvent::Notification { from, notification }) => {
                self.heard.insert(from, (notification.state, notification.peer_epoch));
                self.election.on_notification(now, from, &notification, &mut out)
            }
            Ok(ElectionEvent::Up(sid)) => self.election.on_link(now, sid, Link::Up, &mut out),
            Ok(ElectionEvent::Down(sid)) => {
                self.down.insert(sid);
                self.election.on_link(now, sid, Link::Down, &mut out)
            }
            Ok(ElectionEvent::Unreachable(sid)) => {
                self.election.on_link(now, sid, Link::Unreachable, &mut out)
            }
            Ok(ElectionEvent::CannotListen(reason)) => panic!("{reason}"),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => panic!("the manager has ended"),
        };
        let elected = elected.or_else(|| self.election.on_time(now, &mut out));
        self.send(out);
        elected
    }

    fn send(&self, out: Vec<ElectionOutput>) {
        for output in out {
            match output {
                ElectionOutput::Send { to, message } => self.handle.send(to, message),
                ElectionOutput::NewerConfig(config) => panic!("{}", config.to_text()),
            }
        }
    }

    fn stop(mut self) {
        self.handle.stop();
        let thread = self.thread.take().expect("a peer is stopped once");
        thread.join().expect("the manager ends without a panic");
    }
}

/// Goes on answering until the logs of these servers hold a text.
fn until_logged(peer: &mut Peer, servers: &[&Server], text: &str) {
    let limit = Instant::now() + LIMIT;
    let has = |server: &Server| {
        fs::read_to_string(server.home().log()).is_ok_and(|log| log.contains(text))
    };
    while !servers.iter().copied().all(has) {
        assert!(Instant::now() < limit, "{text:?} is not in every log");
        peer.step();
    }
}

/// Of five voters three are there, so that nothing is decided before all three agree.
#[test]
fn the_highest_id_of_a_common_election_wins() {
    let ensemble = Ensemble::new(&[1, 2, 3, 4, 5], &[]);
    let mut ours = ensemble.ours(5);
    let (one, two) = (ensemble.apache(1), ensemble.apache(2));
    let elected = ours.look(0, 0);
    assert_eq!((elected.state, elected.leader), (ServerState::Leading, Sid(5)));
    until_logged(&mut ours, &[&one, &two], &ensemble.sign_of_following(5));
    ours.stop();
}

#[test]
fn a_later_history_wins_over_a_higher_id() {
    let ensemble = Ensemble::new(&[1, 2, 3, 4, 5], &[]);
    let mut ours = ensemble.ours(1);
    let (four, five) = (ensemble.apache(4), ensemble.apache(5));
    let elected = ours.look(0x1_0000_0005, 1);
    assert_eq!((elected.state, elected.leader), (ServerState::Leading, Sid(1)));
    until_logged(&mut ours, &[&four, &five], &ensemble.sign_of_following(1));
    ours.stop();
}

#[test]
fn ours_loses_to_a_higher_id() {
    let ensemble = Ensemble::new(&[1, 2, 3, 4, 5], &[]);
    let mut ours = ensemble.ours(1);
    let (four, five) = (ensemble.apache(4), ensemble.apache(5));
    let elected = ours.look(0, 0);
    assert_eq!((elected.state, elected.leader), (ServerState::Following, Sid(5)));
    until_logged(&mut ours, &[&five], "LEADING - LEADER ELECTION TOOK");
    until_logged(&mut ours, &[&four], "FOLLOWING - LEADER ELECTION TOOK");
    ours.stop();
}

#[test]
fn ours_follows_or_joins_a_leader_of_apaches() {
    let ensemble = Ensemble::new(&[2, 3, 4], &[5]);
    let mut two = ensemble.apache(2);
    let mut three = ensemble.apache(3);
    two.wait_until_serving();
    three.wait_until_serving();
    // The highest id, but they have a leader: their answers say so, with the epoch that began.
    for _restart in 0..3 {
        let mut ours = ensemble.ours(4);
        let elected = ours.look(0, 0);
        assert_eq!((elected.state, elected.leader), (ServerState::Following, Sid(3)));
        assert_eq!(elected.vote.peer_epoch, 1);
        assert_eq!(ours.heard[&Sid(2)], (ServerState::Following, 1));
        assert_eq!(ours.heard[&Sid(3)], (ServerState::Leading, 1));
        // Once more in the same process, over the same connections.
        assert_eq!(ours.look(0, 0).leader, Sid(3));
        ours.stop();
    }
    let mut observer = ensemble.ours(5);
    let elected = observer.look(0, 0);
    assert_eq!((elected.state, elected.leader), (ServerState::Observing, Sid(3)));
    // The leader goes: with the server that is left, ours elects, and wins.
    let mut ours = ensemble.ours(4);
    ours.look(0, 0);
    three.kill();
    // What it said before is read first, as a server does while it follows.
    let limit = Instant::now() + LIMIT;
    while !ours.down.contains(&Sid(3)) {
        assert!(Instant::now() < limit, "the connection to a killed server stays");
        ours.step();
    }
    let elected = ours.look(0x1_0000_0000, 1);
    assert_eq!((elected.state, elected.leader), (ServerState::Leading, Sid(4)));
    until_logged(&mut ours, &[&two], &ensemble.sign_of_following(4));
    ours.stop();
    observer.stop();
}
