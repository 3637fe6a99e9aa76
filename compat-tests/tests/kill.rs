//! kill -9 under write load: every write that was acknowledged is there after the restart, and
//! nothing half-written is.
//!
//! `COMPAT_KILLS` sets how often; `COMPAT_SERVER=apache-3.9.3` shows the same of Apache.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use compat_tests::raw_client::{RawClient, Reply, mode, op, open_acl};
use compat_tests::server::{Home, Server, ServerUnderTest};
use jute::{GetDataRequest, GetDataResponse, SetDataRequest};

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

/// Path -> data of the last write there.
type Writes = BTreeMap<String, String>;

/// Creates and changes nodes of its own until the connection breaks; gives what was acknowledged,
/// and what was sent without an answer.
fn write(address: SocketAddr, name: &str, acked: &AtomicUsize) -> [Writes; 2] {
    let mut done = Writes::new();
    // The kill may come first: the others have written enough.
    let Ok(mut client) = RawClient::connect(address, 30_000) else {
        return [done, Writes::new()];
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

/// Panics unless each node has its data or, where it has `unanswered` data too, that: it may have
/// been applied with the answer still on the way. Gives what the unanswered nodes have now.
fn check(server: &Server, wanted: &Writes, unanswered: &Writes) -> Writes {
    let paths: Vec<&String> = wanted.keys().chain(unanswered.keys()).collect();
    let mut client = RawClient::connect(server.address(), 30_000).expect("a session to read by");
    let mut now = Writes::new();
    let request = |client: &mut RawClient, index: usize| {
        let path = paths[index].as_str().into();
        client.queue(op::GET_DATA, &GetDataRequest { path, watch: false });
    };
    let each = |index: usize, reply: Reply| {
        let path = paths[index];
        let found = (reply.header.err == 0).then(|| reply.record::<GetDataResponse<'_>>());
        let found = found.map(|got| String::from_utf8_lossy(got.data.expect("data")).into_owned());
        let (wanted, later) = (wanted.get(path), unanswered.get(path));
        if found.is_none() || (found.as_ref() != wanted && found.as_ref() != later) {
            assert!(wanted.is_none(), "{path} has {found:?}, not {wanted:?} or {later:?}");
        }
        if let (Some(_), Some(found)) = (later, found) {
            now.insert(path.clone(), found);
        }
    };
    client.pipeline(paths.len(), 1000, request, each).expect("answers");
    client.close().expect("the session to read by is closed");
    now
}

#[test]
fn every_acknowledged_write_survives_kill_9() {
    let kind = ServerUnderTest::from_env();
    // Small logs and snapshots, so that kills also meet their making.
    let mut home = Home::new(&["snapCount=500", "preAllocSize=256"]);
    let mut all = Writes::new();
    let mut total = 0;
    for round in 0..kills() {
        let server = kind.start(home);
        let address = server.address();
        let acked = AtomicUsize::new(0);
        // Spread over the range by the golden ratio: each round's kill comes at another point.
        let until = ACKED_MIN + (round * 2472) % ACKED_SPREAD;
        let (mut written, mut unanswered) = (Writes::new(), Writes::new());
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
                written.extend(done);
                unanswered.extend(sent);
            }
            home
        });
        assert!(!written.is_empty(), "no write was acknowledged in round {round}");
        total += acked.into_inner();
        let server = kind.start(home);
        let now = check(&server, &written, &unanswered);
        all.extend(written);
        // What was not acknowledged may be there or not; from here on it must stay as it is.
        all.extend(now);
        if round + 1 == kills() {
            check(&server, &all, &Writes::new());
        }
        home = server.stop();
    }
    println!("{kind}: {total} acknowledged writes survived {} kills", kills());
}
