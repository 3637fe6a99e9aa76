//! How long an ensemble is without service: after the loss of its leader, and at its start.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use jute::CreateRequest;

use crate::ensemble::Layout;
use crate::history::session::{Answer, ClusterSession};
use crate::hosts::Hosts;
use crate::raw_client::{mode, op, open_acl};
use crate::server::ServerUnderTest;

/// How long writes go on before the leader is stopped.
const BEFORE_STOP: Duration = Duration::from_millis(300);

/// How long the first write may take.
const LIMIT: Duration = Duration::from_secs(120);

/// ZooKeeper's usual ticks, which no test should hide behind shorter ones.
pub(super) fn usual_ticks(kinds: &[ServerUnderTest]) -> Layout {
    let layout = Layout::new(kinds);
    layout.with_config("tickTime=2000").with_config("initLimit=10").with_config("syncLimit=5")
}

/// Times, sorted.
#[derive(Debug, Clone)]
pub struct Times(Vec<Duration>);

impl Times {
    fn new(mut times: Vec<Duration>) -> Self {
        assert!(!times.is_empty(), "there is something to measure");
        times.sort_unstable();
        Self(times)
    }

    /// Half of them are no longer.
    pub fn median(&self) -> Duration {
        self.0[self.0.len() / 2]
    }

    /// The longest.
    pub fn worst(&self) -> Duration {
        self.0[self.0.len() - 1]
    }
}

impl std::fmt::Display for Times {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let all: Vec<String> = self.0.iter().map(|time| time.as_millis().to_string()).collect();
        write!(
            f,
            "median {} ms, worst {} ms of {}: {}",
            self.median().as_millis(),
            self.worst().as_millis(),
            self.0.len(),
            all.join(" ")
        )
    }
}

/// From kill -9 of the leader to the first acknowledged write that began after it, `rounds` times.
/// The client is connected to a survivor and tries all survivors again and again.
pub fn failover(kinds: &[ServerUnderTest], rounds: usize) -> Times {
    let mut ensemble = usual_ticks(kinds).start();
    let times = (0..rounds).map(|round| {
        let leader = ensemble.wait_for_leader();
        let survivors = (0..ensemble.len()).filter(|member| *member != leader);
        let survivors: Vec<SocketAddr> = survivors.map(|m| ensemble.address(m)).collect();
        let mut client = ClusterSession::new(&survivors, 30_000, round as u64);
        first_write(&mut client, Instant::now());
        let killed = Instant::now();
        ensemble.kill(leader);
        let time = first_write(&mut client, killed);
        client.close();
        ensemble.launch(leader);
        ensemble.wait_until_all_serve();
        time
    });
    Times::new(times.collect())
}

/// The longest time between two acknowledged writes while the leader is stopped with SIGTERM,
/// `rounds` times. The client is connected to one of the others, and tries them again and again.
pub fn hand_over(kinds: &[ServerUnderTest], rounds: usize) -> Times {
    let mut ensemble = usual_ticks(kinds).start();
    let times = (0..rounds).map(|round| {
        let leader = ensemble.wait_for_leader();
        let others = (0..ensemble.len()).filter(|member| *member != leader);
        let others: Vec<SocketAddr> = others.map(|m| ensemble.address(m)).collect();
        let is_stopped = AtomicBool::new(false);
        let longest = thread::scope(|scope| {
            let writing = scope.spawn(|| longest_pause(&others, round as u64, &is_stopped));
            thread::sleep(BEFORE_STOP);
            ensemble.stop(leader);
            is_stopped.store(true, Ordering::Release);
            writing.join().expect("the writer gets on")
        });
        ensemble.launch(leader);
        ensemble.wait_until_all_serve();
        longest
    });
    Times::new(times.collect())
}

/// Writes until one write that began after `is_stopped` is acknowledged; gives the longest time
/// from one acknowledgement to the next.
fn longest_pause(servers: &[SocketAddr], seed: u64, is_stopped: &AtomicBool) -> Duration {
    let mut client = ClusterSession::new(servers, 30_000, seed);
    first_write(&mut client, Instant::now());
    let mut longest = Duration::ZERO;
    loop {
        let is_last = is_stopped.load(Ordering::Acquire);
        longest = longest.max(first_write(&mut client, Instant::now()));
        if is_last {
            client.close();
            return longest;
        }
    }
}

/// From the start of all members, with nothing on disk and then with the data of the time before,
/// to the first acknowledged write, `rounds` times.
pub fn cold_start(kinds: &[ServerUnderTest], rounds: usize) -> Times {
    let mut ensemble = usual_ticks(kinds).prepare();
    let times = (0..rounds).map(|round| {
        let mut client = ClusterSession::new(&ensemble.addresses(), 30_000, round as u64);
        let began = Instant::now();
        (0..ensemble.len()).for_each(|member| ensemble.launch(member));
        let time = first_write(&mut client, began);
        client.close();
        ensemble.wait_until_all_serve();
        (0..ensemble.len()).for_each(|member| ensemble.stop(member));
        time
    });
    Times::new(times.collect())
}

/// Writes until one write is acknowledged; gives the time since `from`.
fn first_write(client: &mut ClusterSession, from: Instant) -> Duration {
    let deadline = from + LIMIT;
    loop {
        assert!(client.connect(deadline), "nobody serves after {LIMIT:?}");
        let request = CreateRequest {
            path: "/probe-".into(),
            data: Some(b"probe"),
            acl: open_acl(),
            flags: mode::PERSISTENT_SEQUENTIAL,
        };
        if let Answer::Reply(reply) = client.call(op::CREATE2, &request)
            && reply.header.err == 0
        {
            return from.elapsed();
        }
    }
}
