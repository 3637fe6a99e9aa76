//! Managers and strangers on real sockets of the loopback.

use std::io::{Read, Write};
use std::net::{TcpListener as StdListener, TcpStream as StdStream};
use std::sync::mpsc::{Receiver, channel};

use super::*;
use crate::proto::{ServerState, Zxid};

/// A hang is a failure.
const LIMIT: Duration = Duration::from_secs(60);

struct Manager {
    handle: QuorumCnxHandle,
    events: Receiver<ElectionEvent>,
    thread: Option<thread::JoinHandle<()>>,
}

fn options(my: i64) -> QuorumCnxOptions {
    QuorumCnxOptions {
        my: Sid(my),
        connect_timeout: Duration::from_secs(5),
        handshake_timeout: LIMIT,
        port_bind_retry: 3,
        listen_on_all_ips: false,
        tcp_keep_alive: true,
        multi_address: false,
    }
}

impl Manager {
    fn start(my: i64, addresses: &ElectionAddresses) -> Self {
        Self::with(options(my), addresses)
    }

    fn with(options: QuorumCnxOptions, addresses: &ElectionAddresses) -> Self {
        let (told, events) = channel();
        let tell = move |event| drop(told.send(event));
        let (manager, handle) = QuorumCnxManager::new(options, addresses.clone(), tell);
        Self { handle, events, thread: Some(manager.start().unwrap()) }
    }

    /// The next event, or the next that `wanted` takes.
    fn wait<T>(&self, wanted: impl Fn(ElectionEvent) -> Option<T>) -> T {
        loop {
            let event = self.events.recv_timeout(LIMIT).expect("an event in time");
            if let Some(found) = wanted(event) {
                return found;
            }
        }
    }

    fn hear(&self, zxid: i64) -> Sid {
        self.wait(|event| match event {
            ElectionEvent::Notification { from, notification } => {
                (notification.zxid == Zxid(zxid)).then_some(from)
            }
            _ => None,
        })
    }

    fn wait_for(&self, expected: ElectionEvent) {
        self.wait(|event| (event == expected).then_some(()));
    }

    fn send(&self, to: i64, zxid: i64) {
        self.handle.send(Sid(to), message(zxid));
    }

    /// Sends until it is heard, as an election does: a peer may not listen yet.
    fn send_until_heard(&self, to: i64, other: &Self, zxid: i64) {
        for _ in 0..600 {
            self.send(to, zxid);
            let heard = other.events.recv_timeout(Duration::from_millis(100));
            if let Ok(ElectionEvent::Notification { notification, .. }) = heard
                && notification.zxid == Zxid(zxid)
            {
                return;
            }
        }
        panic!("{zxid} never came");
    }

    fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.handle.stop();
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the manager ends without a panic");
        }
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        if !thread::panicking() {
            self.end();
        }
    }
}

fn message(zxid: i64) -> Bytes {
    Notification {
        state: ServerState::Looking,
        leader: Sid(1),
        zxid: Zxid(zxid),
        round: 1,
        peer_epoch: 0,
        version: 2,
        config: None,
    }
    .encode()
}

fn frame(body: &[u8]) -> Vec<u8> {
    [&(body.len() as u32).to_be_bytes()[..], body].concat()
}

/// Addresses of servers 1 to `count`, at ports that were free a moment ago.
fn addresses(count: i64) -> ElectionAddresses {
    let listeners: Vec<_> = (0..count).map(|_| StdListener::bind("127.0.0.1:0").unwrap()).collect();
    let ports = listeners.iter().map(|listener| listener.local_addr().unwrap().port());
    (1..).zip(ports).map(|(id, port)| (Sid(id), vec![HostPort::new("127.0.0.1", port)])).collect()
}

/// Connects to a server's election port once it is open.
fn stranger(addresses: &ElectionAddresses, sid: i64) -> StdStream {
    let port = addresses[&Sid(sid)][0].port;
    for _ in 0..600 {
        if let Ok(stream) = StdStream::connect(("127.0.0.1", port)) {
            stream.set_read_timeout(Some(LIMIT)).unwrap();
            return stream;
        }
        thread::sleep(Duration::from_millis(100));
    }
    panic!("port {port} never opened");
}

/// Waits until the manager has closed a connection; what it sent before does not matter.
fn closed(mut stream: StdStream) {
    let mut buffer = [0; 1024];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) => {
                assert_eq!(error.kind(), io::ErrorKind::ConnectionReset, "{error}");
                return;
            }
        }
    }
}

fn introduce(stream: &mut StdStream, sid: i64, at: &str) {
    let addresses = vec![HostPort::parse(at).unwrap()];
    let introduction = InitialMessage { sid: Sid(sid), addresses }.encode(false);
    stream.write_all(&introduction).unwrap();
}

fn read_message(stream: &mut StdStream) -> Notification {
    let mut head = [0; 4];
    stream.read_exact(&mut head).unwrap();
    let mut body = vec![0; u32::from_be_bytes(head) as usize];
    stream.read_exact(&mut body).unwrap();
    Notification::decode(&body.into()).unwrap()
}

#[test]
fn messages_pass_whoever_begins() {
    for first in [1, 2] {
        let addresses = addresses(2);
        let managers = [1, 2].map(|my| Manager::start(my, &addresses));
        let (mine, other) = (&managers[first - 1], &managers[2 - first]);
        let to = 3 - first as i64;
        mine.send_until_heard(to, other, 7);
        other.send(first as i64, 8);
        assert_eq!(mine.hear(8), Sid(to));
        // Back and forth over the same connection.
        mine.send(to, 9);
        assert_eq!(other.hear(9), Sid(first as i64));
    }
}

#[test]
fn several_addresses_are_tried_side_by_side() {
    let addresses = addresses(2);
    let closed_port = StdListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let dead = HostPort::new("127.0.0.1", closed_port);
    let with = |my| {
        Manager::with(QuorumCnxOptions { multi_address: true, ..options(my) }, &{
            let mut seen = addresses.clone();
            seen.get_mut(&Sid(3 - my)).unwrap().insert(0, dead.clone());
            seen
        })
    };
    let (one, two) = (with(1), with(2));
    one.send_until_heard(2, &two, 7);
}

#[test]
fn the_last_message_is_sent_again_to_a_server_that_restarts() {
    let addresses = addresses(2);
    for restarted in [1, 2] {
        let stays = 3 - restarted;
        let manager = Manager::start(stays, &addresses);
        let before = Manager::start(restarted, &addresses);
        manager.send_until_heard(restarted, &before, 7);
        before.stop();
        manager.wait_for(ElectionEvent::Down(Sid(restarted)));
        let after = Manager::start(restarted, &addresses);
        after.send_until_heard(stays, &manager, 8);
        assert_eq!(after.hear(7), Sid(stays));
    }
}

#[test]
fn only_the_newest_message_waits() {
    let addresses = addresses(2);
    let two = Manager::start(2, &addresses);
    let mut peer = stranger(&addresses, 2);
    for zxid in 1..5 {
        two.send(9, zxid);
    }
    // Server 9 is no member: nothing waits for it until it is there.
    introduce(&mut peer, 9, "127.0.0.1:1");
    two.wait_for(ElectionEvent::Up(Sid(9)));
    two.send(9, 6);
    assert_eq!(read_message(&mut peer).zxid, Zxid(6));
    // Over a newer connection of the same server the last one comes again, and the older ends.
    let mut newer = stranger(&addresses, 2);
    introduce(&mut newer, 9, "127.0.0.1:1");
    assert_eq!(read_message(&mut newer).zxid, Zxid(6));
    closed(peer);
}

#[test]
fn the_smaller_id_is_connected_back_to_at_the_address_it_names() {
    let addresses = addresses(2);
    let _two = Manager::start(2, &addresses);
    let listener = StdListener::bind("127.0.0.1:0").unwrap();
    let mut stream = stranger(&addresses, 2);
    introduce(&mut stream, 1, &listener.local_addr().unwrap().to_string());
    closed(stream);
    let (mut back, _) = listener.accept().unwrap();
    back.set_read_timeout(Some(LIMIT)).unwrap();
    let mut introduction = BytesMut::zeroed(35);
    let expected = InitialMessage { sid: Sid(2), addresses: addresses[&Sid(2)].clone() };
    back.read_exact(&mut introduction).unwrap();
    assert_eq!(InitialMessage::decode(&mut introduction), Ok(Some(expected)));
    drop(listener);

    // One that names none, as before 3.5, at the address that is configured.
    let configured = StdListener::bind(("127.0.0.1", addresses[&Sid(1)][0].port)).unwrap();
    drop(back);
    let mut ancient = stranger(&addresses, 2);
    ancient.write_all(&1i64.to_be_bytes()).unwrap();
    closed(ancient);
    configured.accept().unwrap();
}

#[test]
fn who_names_an_address_that_is_gone_is_connected_back_to_at_the_configured_one() {
    let addresses = addresses(2);
    let configured = StdListener::bind(("127.0.0.1", addresses[&Sid(1)][0].port)).unwrap();
    let _two = Manager::start(2, &addresses);
    let mut one = stranger(&addresses, 2);
    introduce(&mut one, 1, "127.0.0.1:1");
    closed(one);
    configured.accept().unwrap();
}

#[test]
fn strangers_are_closed_and_do_no_harm() {
    let addresses = addresses(2);
    let options = QuorumCnxOptions { handshake_timeout: Duration::from_millis(300), ..options(2) };
    let two = Manager::with(options, &addresses);
    let with = |bytes: &[u8]| {
        let mut stream = stranger(&addresses, 2);
        stream.write_all(bytes).unwrap();
        closed(stream);
    };
    with(b"");
    with(&(-7i64).to_be_bytes());
    with(&[&(-65_536i64).to_be_bytes()[..], &[0; 8], &[0x7f; 4]].concat());
    with(&[&(-65_536i64).to_be_bytes()[..], &[0; 8], &[0, 0, 0, 1], b"x"].concat());
    with(&2i64.to_be_bytes());
    let mut introduced = InitialMessage { sid: Sid(9), addresses: Vec::new() };
    introduced.addresses.push(HostPort::new("127.0.0.1", 1));
    let introduced = introduced.encode(false);
    with(&[&introduced[..], &[0, 8, 0, 1]].concat());
    with(&[&introduced[..], &[0, 0, 0, 0]].concat());
    // What is only no notification is passed over.
    let mut peer = stranger(&addresses, 2);
    peer.write_all(&[&introduced[..], &frame(b"what"), &frame(&message(7))].concat()).unwrap();
    assert_eq!(two.hear(7), Sid(9));
}

#[test]
fn silent_connections_do_not_keep_others_out() {
    let addresses = addresses(2);
    let two = Manager::start(2, &addresses);
    let silent: Vec<_> = (0..=HANDSHAKES_MAX).map(|_| stranger(&addresses, 2)).collect();
    let one = Manager::start(1, &addresses);
    one.send_until_heard(2, &two, 7);
    closed(silent.into_iter().next().unwrap());
}

#[test]
fn an_observer_without_an_id_is_given_one() {
    let addresses = addresses(2);
    let two = Manager::start(2, &addresses);
    for number in 1..3 {
        let mut observer = stranger(&addresses, 2);
        introduce(&mut observer, i64::MAX, "127.0.0.1:1");
        observer.write_all(&frame(&message(number))).unwrap();
        assert_eq!(two.hear(number), Sid(-number));
        two.send(-number, 7);
        assert_eq!(read_message(&mut observer).zxid, Zxid(7));
    }
}

#[test]
fn who_cannot_be_reached_is_told_and_addresses_can_change() {
    let mut addresses = addresses(3);
    let three = Manager::start(3, &addresses);
    three.send(1, 7);
    three.wait_for(ElectionEvent::Unreachable(Sid(1)));
    // Server 1 is elsewhere, and so is this one.
    let old = addresses[&Sid(3)].clone();
    let moved = super::tests::addresses(2);
    addresses.insert(Sid(1), moved[&Sid(1)].clone());
    addresses.insert(Sid(3), moved[&Sid(2)].clone());
    let one = Manager::start(1, &addresses);
    three.handle.set_addresses(addresses.clone());
    one.send_until_heard(3, &three, 8);
    three.send(1, 9);
    assert_eq!(one.hear(9), Sid(3));
    assert!(StdStream::connect(("127.0.0.1", old[0].port)).is_err(), "the old port is closed");
}

#[test]
fn a_port_that_stays_taken_is_told() {
    let addresses = addresses(1);
    let taken = StdListener::bind(("127.0.0.1", addresses[&Sid(1)][0].port)).unwrap();
    let options = |port_bind_retry| QuorumCnxOptions { port_bind_retry, ..options(1) };
    let gives_up = Manager::with(options(1), &addresses);
    let reason = gives_up.wait(|event| match event {
        ElectionEvent::CannotListen(reason) => Some(reason),
        _ => None,
    });
    assert!(reason.contains(&addresses[&Sid(1)][0].to_string()), "{reason}");
    let tries_on = Manager::with(options(0), &addresses);
    assert!(tries_on.events.recv_timeout(Duration::from_millis(1_500)).is_err());
    drop(taken);
    let mut observer = stranger(&addresses, 1);
    introduce(&mut observer, i64::MAX, "127.0.0.1:1");
    tries_on.wait_for(ElectionEvent::Up(Sid(-1)));
}

#[test]
fn all_addresses_are_listened_to_if_told_so() {
    let addresses = addresses(1);
    let options = QuorumCnxOptions { listen_on_all_ips: true, ..options(1) };
    let manager = Manager::with(options, &addresses);
    let mut observer = stranger(&addresses, 1);
    introduce(&mut observer, 5, "127.0.0.1:1");
    manager.wait_for(ElectionEvent::Up(Sid(5)));
}

#[test]
fn options_come_from_the_configuration() {
    use crate::server::config::Properties;
    let options = |flags: &str| {
        let mut properties = Properties::default();
        properties.add_flags("JVMFLAGS", flags.split(' '));
        let text = b"dataDir=/d\ntickTime=100\nsyncLimit=5\nquorumListenOnAllIPs=true";
        let cfg = crate::server::config::ZooCfg::parse(std::path::Path::new("zoo.cfg"), text);
        let config = ServerConfig::from_zoo_cfg(cfg.unwrap(), properties).unwrap();
        QuorumCnxOptions::new(&config, Sid(1))
    };
    let given = options("-Dzookeeper.quorumCnxnTimeoutMs=7 -Dzookeeper.cnxTimeout=8");
    let expected = QuorumCnxOptions {
        connect_timeout: Duration::from_millis(8),
        handshake_timeout: Duration::from_millis(7),
        listen_on_all_ips: true,
        tcp_keep_alive: false,
        ..self::options(1)
    };
    assert_eq!(given, expected);
    assert_eq!(options("").handshake_timeout, Duration::from_millis(500));
}
