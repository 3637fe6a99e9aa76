//! kill -9 under write load: every write that was acknowledged is there after the restart, and
//! nothing half-written is.
//!
//! `COMPAT_KILLS` sets how often; `COMPAT_SERVER=apache-3.9.3` shows the same of Apache.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use compat_tests::raw_client::{RawClient, mode, op, open_acl};
use compat_tests::server::{Home, ServerUnderTest};
use compat_tests::tree_dump;
use jute::SetDataRequest;

const WRITERS: usize = 4;
/// Requests on the way per writer.
const WINDOW: usize = 64;
/// Writes that all writers together have acknowledged before the kill: it lies between these.
const ACKED_MIN: usize = 200;
const ACKED_SPREAD: usize = 4000;

fn kills() -> usize {
    let kills = std::env::var("COMPAT_KILLS").map(|count| count.parse().expect("a number"));
    kills.unwrap_or(20)
}

/// Creates and changes nodes of its own until the connection breaks; gives path -> data of all
/// that was acknowledged, and path -> data of what was sent without an answer.
fn write(address: SocketAddr, name: &str, acked: &AtomicUsize) -> [BTreeMap<String, String>; 2] {
    let mut done = BTreeMap::new();
    // The kill may come first: the others have written enough.
    let Ok(mut client) = RawClient::connect(address, 30_000) else {
        return [done, BTreeMap::new()];
    };
    let mut sent: Vec<(String, String)> = Vec::new();
    for number in 0.. {
        let path = format!("/{name}-{}", number / 2);
        let data = format!("write {number}");
        if number % 2 == 0 {
            client.queue_create(&path, data.as_bytes(), open_acl(), mode::PERSISTENT, 0);
        } else {
            let request = SetDataRequest {
                path: path.as_str().into(),
                data: Some(data.as_bytes()),
                version: 0,
            };
            client.queue(op::SET_DATA, &request);
        }
        sent.push((path, data));
        if sent.len() < WINDOW {
            continue;
        }
        // Half of the window is awaited, so that requests are always on the way.
        if client.flush().is_err() {
            break;
        }
        for _ in 0..WINDOW / 2 {
            let Ok(reply) = client.receive() else { return [done, sent.into_iter().collect()] };
            let (path, data) = sent.remove(0);
            assert_eq!(reply.header.err, 0, "the answer to {data} at {path}");
            done.insert(path, data);
            acked.fetch_add(1, Ordering::Relaxed);
        }
    }
    [done, sent.into_iter().collect()]
}

#[test]
fn every_acknowledged_write_survives_kill_9() {
    let kind = ServerUnderTest::from_env();
    // Small logs and snapshots, so that kills also meet their making.
    let mut home = Home::new(&["snapCount=500", "preAllocSize=256"]);
    let mut all: BTreeMap<String, String> = BTreeMap::new();
    let mut total = 0;
    for round in 0..kills() {
        let server = kind.start(home);
        let address = server.address();
        let acked = AtomicUsize::new(0);
        // Spread over the range by the golden ratio: each round's kill comes at another point.
        let until = ACKED_MIN + (round * 2472) % ACKED_SPREAD;
        let mut unanswered = BTreeMap::new();
        home = thread::scope(|scope| {
            let writers: Vec<_> = (0..WRITERS)
                .map(|writer| {
                    let acked = &acked;
                    scope.spawn(move || write(address, &format!("{round}-{writer}"), acked))
                })
                .collect();
            let deadline = Instant::now() + Duration::from_secs(60);
            while acked.load(Ordering::Relaxed) < until && Instant::now() < deadline {
                thread::sleep(Duration::from_micros(200));
            }
            let home = server.kill();
            for writer in writers {
                let [done, sent] = writer.join().expect("a writer");
                all.extend(done);
                unanswered.extend(sent);
            }
            home
        });
        total += acked.into_inner();
        assert!(total > 0, "no write was acknowledged");
        let server = kind.start(home);
        let nodes = tree_dump::nodes(&server);
        for (path, data) in &all {
            let line = nodes.get(path).unwrap_or_else(|| panic!("{path} lost in round {round}"));
            let has = |data: &str| line.starts_with(&format!("data=\"{data}\" "));
            // A later write may have been applied with its answer still on the way.
            let later = unanswered.get(path);
            let known = has(data) || later.is_some_and(|later| has(later));
            assert!(known, "{path} has not {data} in round {round}: {line}");
        }
        // What was not acknowledged may be there or not; the next rounds know it as it is.
        for (path, line) in nodes {
            if let Some((data, _)) = line.strip_prefix("data=\"").and_then(|l| l.split_once('"'))
                && unanswered.contains_key(&path)
            {
                all.insert(path, data.into());
            }
        }
        home = server.stop();
    }
    println!("{kind}: {total} acknowledged writes survived {} kills", kills());
}
