//! A disk that answers EIO to flushes or writes of the log ([`Machine`]), or is full
//! ([`SmallDisk`]): the write it happens to is not acknowledged, nor is any after it; the server
//! says why and ends; and what was acknowledged is there when it is started again on a disk that
//! works.

use std::net::SocketAddr;
use std::time::{Duration, Instant};
use std::{fs, thread};

use compat_tests::machine::{Call, Machine};
use compat_tests::raw_client::{RawClient, mode, op, open_acl};
use compat_tests::server::{Home, Server, ServerUnderTest};
use compat_tests::small_disk::SmallDisk;
use jute::{GetDataRequest, GetDataResponse};
use rustix::io::Errno;

/// Requests on the way.
const WINDOW: usize = 16;

/// Bytes of each node: a window of the log (512 KiB) is passed every few hundred writes.
const DATA_BYTES: usize = 2000;

/// Writes after which the disk should have failed.
const WRITES_MAX: usize = 20_000;

/// How long a server may take to end once its disk has failed.
const END_LIMIT: Duration = Duration::from_secs(30);

fn data(number: usize) -> Vec<u8> {
    format!("{number:>DATA_BYTES$}").into_bytes()
}

/// Creates nodes until the connection breaks; gives how many were acknowledged.
fn write(address: SocketAddr) -> usize {
    // Its session is a write too, and may be the one that fails.
    let Ok(mut client) = RawClient::connect(address, 30_000) else { return 0 };
    let mut acknowledged = 0;
    for number in 0..WRITES_MAX {
        let path = format!("/n{number}");
        client.queue_create(&path, &data(number), open_acl(), mode::PERSISTENT, 0);
        if number - acknowledged < WINDOW {
            continue;
        }
        let Ok(()) = client.flush() else { return acknowledged };
        while number - acknowledged >= WINDOW / 2 {
            let Ok(reply) = client.receive() else { return acknowledged };
            assert_eq!(reply.header.err, 0, "the answer to create number {acknowledged}");
            acknowledged += 1;
        }
    }
    panic!("{WRITES_MAX} writes were acknowledged on a disk that fails");
}

/// Panics unless the first `acknowledged` nodes are there.
fn check(address: SocketAddr, acknowledged: usize) {
    let mut client = RawClient::connect(address, 30_000).expect("a session to read by");
    for number in 0..acknowledged {
        let path = format!("/n{number}");
        let request = GetDataRequest { path: path.as_str().into(), watch: false };
        let reply = client.call(op::GET_DATA, &request).expect("an answer");
        assert_eq!(reply.header.err, 0, "{path} was acknowledged");
        let found = reply.record::<GetDataResponse<'_>>().data.map(<[u8]>::to_vec);
        assert_eq!(found, Some(data(number)), "{path}");
    }
    client.close().expect("the session to read by is closed");
}

/// Waits until the server has ended. Ours says with which error, of which file, and what of it.
fn ended(mut server: Server, error: &str) -> Home {
    let deadline = Instant::now() + END_LIMIT;
    let status = loop {
        if let Some(status) = server.ended() {
            break status;
        }
        assert!(Instant::now() < deadline, "{} runs on", server.kind());
        thread::sleep(Duration::from_millis(10));
    };
    let kind = server.kind();
    let home = server.into_home();
    let log = fs::read_to_string(home.log()).expect("a log");
    if kind == ServerUnderTest::Gamekeeper {
        assert_eq!(status.code(), Some(1), "{log}");
        for word in ["/version-2/log.", error, "was not acknowledged"] {
            let line = log.lines().find(|line| line.contains(word));
            assert!(line.is_some(), "{word} is not in the log:\n{log}");
        }
    }
    home
}

#[test]
fn a_disk_that_fails_ends_the_server_and_loses_nothing_acknowledged() {
    let kind = ServerUnderTest::from_env();
    let is_ours = kind == ServerUnderTest::Gamekeeper;
    // Flushes: of a new file's header, of the session, of writes. Writes: of zeros ahead of the
    // data, 32 to a window; Apache writes its log in another way.
    let flushes = [0, 1, 2, 40, 150].map(|after| (Call::Flush, after));
    let writes = [0, 1, 20, 40, 100].map(|after| (Call::Write, after));
    for (call, after) in flushes.into_iter().chain(writes) {
        if call == Call::Write && !is_ours {
            continue;
        }
        let mut home = Home::new(&[]);
        Machine::under(&mut home).fail(call, Errno::IO.raw_os_error(), after);
        let server = kind.start(home);
        let acknowledged = write(server.address());
        let mut home = ended(server, "os error 5");
        assert!(
            call != Call::Flush || acknowledged as i64 <= after * WINDOW as i64,
            "{acknowledged} of {after}"
        );
        assert!(
            after < 100 || acknowledged > 0,
            "nothing was acknowledged before {call:?} {after}"
        );
        home.clear_variables();
        let server = kind.start(home);
        check(server.address(), acknowledged);
        println!("{kind}: {call:?} failed after {after}: {acknowledged} acknowledged, all there");
        server.stop();
    }
}

#[test]
fn a_disk_that_is_full_ends_the_server_and_loses_nothing_acknowledged() {
    let kind = ServerUnderTest::from_env();
    // Several reservations (KiB) before it is full, none, and a fraction of one.
    for (disk_bytes, reserved_kib) in [(3 << 20, 64), (1 << 20, 4096), (5 << 20, 3072)] {
        let home = Home::new(&[&format!("preAllocSize={reserved_kib}")]);
        let disk = match SmallDisk::under(&home, disk_bytes) {
            Ok(disk) => disk,
            Err(reason) => return println!("skipped, no disk can be mounted: {reason}"),
        };
        let server = kind.start(home);
        let acknowledged = write(server.address());
        let home = ended(server, "os error 28");
        disk.resize(64 << 20);
        let server = kind.start(home);
        check(server.address(), acknowledged);
        println!("{kind}: {disk_bytes} bytes were full: {acknowledged} acknowledged, all there");
        let home = server.stop();
        drop(disk);
        drop(home);
    }
}
