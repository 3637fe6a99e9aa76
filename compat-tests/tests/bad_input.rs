//! What no client would send, at this server (`COMPAT_SERVER` names another): every time it answers
//! with an error or closes the connection as Apache does, goes on serving the others, and keeps its
//! memory within bounds.
//!
//! `tests/differential.rs` compares the answers themselves; here are the inputs that a comparison
//! cannot take, because they end a Java server or depend on time and mass.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;
use std::{fs, thread};

use compat_tests::raw_client::RawClient;
use compat_tests::server::{Home, Server, ServerUnderTest};
use compat_tests::wire::{Body, Connection, Received};

/// How long an answer may take on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// Connections that send nothing, as many as the open files of this process allow.
const SILENT_CONNECTIONS_MAX: u64 = 10_000;

/// Open files that are left for everything else.
const SPARE_FILES: u64 = 200;

/// The most that any of this may add to the resident memory of this server, in bytes.
const GROWTH_MAX: u64 = 256 << 20;

/// The longest frame that a client may send (`jute.maxbuffer`), in bytes.
const FRAME_BYTES_MAX: usize = 0x000f_ffff;

const EXISTS: i32 = 3;
const CREATE: i32 = 1;
const GET_DATA: i32 = 4;
const SET_DATA: i32 = 5;
const CREATE_TTL: i32 = 21;

fn start() -> Server {
    start_with(&[])
}

fn start_with(config: &[&str]) -> Server {
    ServerUnderTest::from_env().start(Home::new(config))
}

fn open(address: SocketAddr) -> Connection {
    Connection::open(address, PATIENCE).expect("a server that accepts")
}

fn open_session(address: SocketAddr) -> Connection {
    let mut connection = open(address);
    let response = connection.start_session(30_000);
    assert!(matches!(response, Received::Frame(_)), "a session, not {response:?}");
    connection
}

/// Asks for what every server has, over a new session.
fn assert_serves(server: &mut Server) {
    assert_eq!(server.ended(), None, "the server runs");
    let mut connection = open_session(server.address());
    connection.request(1, EXISTS, &Body::new().text("/").byte(0).into_bytes());
    assert_eq!(error_of(&connection.receive()), Some(0), "the root exists");
}

/// The error code in a reply.
fn error_of(received: &Received) -> Option<i32> {
    let Received::Frame(frame) = received else { return None };
    frame.get(12..16)?.first_chunk().map(|bytes| i32::from_be_bytes(*bytes))
}

fn resident_bytes(server: &Server) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", server.pid())).expect("a process");
    let line = status.lines().find(|line| line.starts_with("VmRSS")).expect("its memory");
    let kib: u64 = line.split_whitespace().nth(1).and_then(|n| n.parse().ok()).expect("a number");
    kib << 10
}

/// Java's heap grows as it likes, so only this server is held to a bound.
fn assert_bounded(server: &Server, before: u64) {
    let grown = resident_bytes(server).saturating_sub(before);
    let ours = ServerUnderTest::from_env() == ServerUnderTest::Gamekeeper;
    assert!(!ours || grown < GROWTH_MAX, "grew by {grown} bytes");
}

fn open_acl(body: Body) -> Body {
    body.int(1).int(31).text("world").text("anyone")
}

#[test]
fn what_is_no_connect_request_closes_the_connection() {
    let mut server = start();
    let hello = Body::new().int(0).long(0).int(30_000).long(0).bytes(Some(&[0; 16])).byte(0);
    let hello = hello.into_bytes();
    let mut inputs: Vec<Vec<u8>> = vec![
        vec![0xff; 4],
        vec![0x80, 0, 0, 0],
        vec![0x7f, 0xff, 0xff, 0xff],
        0x0010_0000_u32.to_be_bytes().to_vec(),
        vec![0; 4],
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
        b"ruoK".to_vec(),
        Connection::frame(&Body::new().int(0).long(0).int(1).long(0).int(-2).into_bytes()),
        Connection::frame(&Body::new().int(0).long(0).int(1).long(0).int(1 << 30).into_bytes()),
    ];
    // All but the last byte may not be missing.
    inputs.extend((0..hello.len() - 1).map(|length| Connection::frame(&hello[..length])));
    for input in inputs {
        let mut connection = open(server.address());
        connection.send(&input);
        assert_eq!(connection.receive(), Received::Closed, "after {}", input.escape_ascii());
    }
    assert_serves(&mut server);
}

#[test]
fn a_refused_connection_leaves_a_line_with_its_address() {
    let server = start();
    let mut connection = open(server.address());
    let peer = connection.local_address().expect("an address").to_string();
    connection.send(&[0x7f, 0xff, 0xff, 0xff]);
    assert_eq!(connection.receive(), Received::Closed);
    let mut tries = 0;
    let logged = || fs::read_to_string(server.home().log()).expect("a log").contains(&peer);
    while !logged() {
        tries += 1;
        assert!(tries < 300, "no line of the log names {peer}");
        thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn a_four_letter_word_is_one_only_at_the_start() {
    let mut server = start();
    let mut connection = open_session(server.address());
    connection.send(b"ruok");
    assert_eq!(connection.receive(), Received::Closed, "a frame of 1,920,300,907 bytes");
    // A word may come in pieces.
    let mut stream = TcpStream::connect(server.address()).expect("a server that accepts");
    stream.write_all(b"ru").expect("sent");
    thread::sleep(Duration::from_millis(50));
    stream.write_all(b"ok").expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer, then the end");
    assert_eq!(answer, "imok");
    assert_serves(&mut server);
}

#[test]
fn the_longest_frame_is_served_and_a_longer_one_is_not() {
    let server = start();
    let mut connection = open_session(server.address());
    let create = open_acl(Body::new().text("/n").bytes(None)).int(0).into_bytes();
    connection.request(1, CREATE, &create);
    assert_eq!(error_of(&connection.receive()), Some(0));
    // Header, path, length of the data and version.
    let data = vec![7; FRAME_BYTES_MAX - 8 - 6 - 4 - 4];
    let body = Body::new().text("/n").bytes(Some(&data)).int(-1).into_bytes();
    connection.request(2, SET_DATA, &body);
    assert_eq!(error_of(&connection.receive()), Some(0));
    connection.request(3, GET_DATA, &Body::new().text("/n").byte(0).into_bytes());
    let Received::Frame(reply) = connection.receive() else { panic!("no answer to getData") };
    assert_eq!(reply.len(), 16 + 4 + data.len() + 68, "header, data and stat");
    connection.request(4, SET_DATA, &[&body[..], &[0]].concat());
    assert_eq!(connection.receive(), Received::Closed, "one byte more than jute.maxbuffer");
}

#[test]
fn a_request_that_ends_early_is_answered_and_the_next_one_too() {
    let mut server = start();
    let acl = |body| open_acl(body).int(0);
    let bodies = [
        (CREATE, acl(Body::new().text("/node").bytes(Some(b"data")))),
        (2, Body::new().text("/node").int(-1)),
        (EXISTS, Body::new().text("/node").byte(1)),
        (GET_DATA, Body::new().text("/node").byte(1)),
        (SET_DATA, Body::new().text("/node").bytes(Some(b"data")).int(-1)),
        (6, Body::new().text("/node")),
        (7, open_acl(Body::new().text("/node")).int(-1)),
        (8, Body::new().text("/node").byte(1)),
        (9, Body::new().text("/node")),
        (12, Body::new().text("/node").byte(1)),
        (14, Body::new().int(13).byte(0).int(-1).text("/node").int(0).int(-1).byte(1).int(-1)),
        (15, acl(Body::new().text("/node").bytes(None))),
        (16, Body::new().bytes(None).bytes(None).text("server.1=a:1:2;3").long(-1)),
        (17, Body::new().text("/node").int(3)),
        (18, Body::new().text("/node").int(3)),
        (19, acl(Body::new().text("/node").bytes(None))),
        (CREATE_TTL, open_acl(Body::new().text("/node").bytes(None)).int(5).long(100)),
        (22, Body::new().int(4).byte(0).int(-1).text("/node").byte(0).int(-1).byte(1).int(-1)),
        (101, Body::new().long(0).int(1).text("/a").int(1).text("/b").int(1).text("/c")),
        (103, Body::new().text("/")),
        (104, Body::new().text("/")),
        (105, Body::new().long(0).int(1).text("/a").int(0).int(0).int(0).int(1).text("/c")),
        (106, Body::new().text("/node").int(0)),
    ];
    let mut connection = open_session(server.address());
    let mut xid = 0;
    for (opcode, body) in bodies {
        let whole = body.into_bytes();
        for length in 0..whole.len() {
            xid += 1;
            connection.request(xid, opcode, &whole[..length]);
            connection.request(xid, 11, &[]);
            // The answer, and the events before it, up to the ping's.
            let mut answers = 0;
            loop {
                let Received::Frame(frame) = connection.receive() else {
                    panic!("op {opcode} cut to {length} bytes ended the connection");
                };
                match frame.first_chunk().map(|bytes| i32::from_be_bytes(*bytes)) {
                    Some(-1) => {}
                    Some(-2) => break,
                    Some(answered) => {
                        assert_eq!(answered, xid);
                        answers += 1;
                    }
                    None => panic!("a reply without an xid"),
                }
            }
            assert_eq!(answers, 1, "op {opcode} cut to {length} bytes");
        }
    }
    assert_serves(&mut server);
}

/// Requests that are written to a Java server's log before it finds that it cannot apply them, at
/// this start and at every later one.
#[test]
fn what_kills_a_java_server_does_not_kill_this_one() {
    if ServerUnderTest::from_env() != ServerUnderTest::Gamekeeper {
        return;
    }
    let mut server = start_with(&["extendedTypesEnabled=true"]);
    let mut connection = open_session(server.address());
    let mut xid = 0;
    let mut ask = |opcode, body: Body| {
        xid += 1;
        connection.request(xid, opcode, &body.into_bytes());
        error_of(&connection.receive()).expect("an answer")
    };
    for flags in 0..=4 {
        let body = open_acl(Body::new().text("/poison").bytes(None)).int(flags).long(-1);
        assert_eq!(ask(CREATE_TTL, body), -8, "createTTL with flags {flags}");
    }
    let create =
        |path, data: &str| open_acl(Body::new().text(path).bytes(Some(data.as_bytes()))).int(0);
    for (path, data) in [
        ("/zookeeper/quota/zookeeper_limits", "count=1,bytes=1"),
        ("/zookeeper/quota/zookeeper_stats", "count=1,bytes=1"),
        ("/zookeeper/other", ""),
        ("/zookeeper/other/zookeeper_limits", "count=1,bytes=1"),
        ("/a", ""),
        ("/zookeeper/quota/a", ""),
        ("/zookeeper/quota/a/zookeeper_limits", "count"),
        ("/zookeeper/quota/a/zookeeper_stats", "count=1=2,x"),
    ] {
        ask(CREATE, create(path, data));
    }
    let delete = Body::new().text("/zookeeper/other/zookeeper_limits").int(-1);
    ask(2, delete);
    for stats in ["count", "count=x,bytes=1", "=", ",", "count=99999999999999999999,bytes=0"] {
        let path = "/zookeeper/quota/a/zookeeper_stats";
        ask(SET_DATA, Body::new().text(path).bytes(Some(stats.as_bytes())).int(-1));
        assert_eq!(ask(SET_DATA, Body::new().text("/a").bytes(Some(b"x")).int(-1)), 0);
        assert_eq!(ask(CREATE, create("/a/b", "")), 0, "with the statistics {stats}");
        assert_eq!(ask(2, Body::new().text("/a/b").int(-1)), 0);
    }
    assert_serves(&mut server);
    let mut server = server.restart();
    assert_serves(&mut server);
}

#[test]
fn ten_thousand_silent_connections_are_held_and_then_dropped() {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let count = limit.unwrap_or(u64::MAX).saturating_sub(SPARE_FILES).min(SILENT_CONNECTIONS_MAX);
    let mut server = start_with(&["nio.sessionlessCnxnTimeout=20000"]);
    assert_serves(&mut server);
    let before = resident_bytes(&server);
    let mut silent: Vec<Connection> = (0..count).map(|_| open(server.address())).collect();
    assert_serves(&mut server);
    assert_bounded(&server, before);
    for connection in &mut silent {
        assert_eq!(connection.receive(), Received::Closed, "no session in all that time");
    }
    assert_serves(&mut server);
}

#[test]
fn announced_frames_that_never_come_take_no_memory() {
    let mut server = start_with(&["nio.sessionlessCnxnTimeout=60000"]);
    assert_serves(&mut server);
    let before = resident_bytes(&server);
    let announcement = [&0x000f_ffff_u32.to_be_bytes()[..], &[0; 100]].concat();
    let mut connections: Vec<Connection> = (0..500)
        .map(|index| match index % 2 {
            0 => open(server.address()),
            _ => open_session(server.address()),
        })
        .collect();
    connections.iter_mut().for_each(|connection| connection.send(&announcement));
    assert_serves(&mut server);
    assert_bounded(&server, before);
}

#[test]
fn a_client_that_never_reads_is_not_answered_without_end() {
    let mut server = start();
    let data = vec![7; 500_000];
    let mut writer = RawClient::connect(server.address(), 30_000).expect("a session");
    writer.queue_create("/large", &data, compat_tests::raw_client::open_acl(), 0, 0);
    writer.flush().expect("a server that reads");
    assert_eq!(writer.receive().expect("an answer").header.err, 0);
    let before = resident_bytes(&server);
    // 20,000 replies would be 10 GB.
    let asks = Body::new().int(1).int(GET_DATA).text("/large").byte(0).into_bytes();
    let asks = Connection::frame(&asks).repeat(20_000);
    let mut deaf: Vec<Connection> = (0..4)
        .map(|_| {
            let patience = Duration::from_secs(3);
            let mut connection = Connection::open(server.address(), patience).expect("accepted");
            assert!(matches!(connection.start_session(30_000), Received::Frame(_)));
            connection.send(&asks);
            connection
        })
        .collect();
    for _ in 0..20 {
        assert_serves(&mut server);
        assert_bounded(&server, before);
        thread::sleep(Duration::from_millis(50));
    }
    // What was answered is whole.
    for connection in &mut deaf {
        assert_eq!(error_of(&connection.receive()), Some(0));
    }
}

#[test]
fn a_flood_of_writes_is_answered_in_order_and_in_bounded_memory() {
    const WRITES: i32 = 50_000;
    let mut server = start();
    let mut writer = open_session(server.address());
    let before = resident_bytes(&server);
    writer.request(0, CREATE, &open_acl(Body::new().text("/n").bytes(None)).int(0).into_bytes());
    assert_eq!(error_of(&writer.receive()), Some(0));
    let body = Body::new().text("/n").bytes(Some(&[7; 100])).int(-1).into_bytes();
    let mut sender = writer.try_clone().expect("a second handle");
    let sending = thread::spawn(move || {
        (1..=WRITES).for_each(|xid| sender.request(xid, SET_DATA, &body));
    });
    for xid in 1..=WRITES {
        let Received::Frame(frame) = writer.receive() else { panic!("no answer to write {xid}") };
        assert_eq!(frame.first_chunk(), Some(&xid.to_be_bytes()));
        assert_eq!(error_of(&Received::Frame(frame)), Some(0));
    }
    sending.join().expect("the sender ends");
    assert_bounded(&server, before);
    assert_serves(&mut server);
}
