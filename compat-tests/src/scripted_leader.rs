//! A leader over raw sockets that does what a test says. It stands in the place of a member that is
//! down: whenever its one follower looks for a leader it votes for itself, better than anybody, and
//! the follower connects. What the follower is then sent is the test's.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use jute::{CreateTxn, Field, TxnHeader};

use crate::ensemble::Ensemble;
use crate::hosts::Hosts;
use crate::raw_client::{op, open_acl};
use crate::wire::quorum::{
    LOOKING, PROTOCOL_VERSION, Packet, Vote, bare, election_introduction, kind, packet, read_packet,
};

/// The epoch of its votes, beyond those of any test.
const VOTED_EPOCH: i64 = 1 << 20;

/// How long a follower may take to come, to answer or to go.
const LIMIT: Duration = Duration::from_secs(60);

/// Pause between two looks.
const POLL: Duration = Duration::from_millis(5);

/// A leader that a test scripts.
#[derive(Debug)]
pub struct ScriptedLeader {
    quorum: TcpListener,
    is_over: Arc<AtomicBool>,
    voting: Option<JoinHandle<()>>,
}

impl ScriptedLeader {
    /// It takes the place of a member that is down, and leads another, which has the smaller id.
    pub fn in_place_of(ensemble: &Ensemble, member: usize, follower: usize) -> Self {
        assert!(follower < member && !ensemble.is_up(member), "a place to take");
        let quorum = TcpListener::bind(ensemble.quorum_address(member)).expect("its port is free");
        quorum.set_nonblocking(true).expect("a socket");
        let is_over = Arc::new(AtomicBool::new(false));
        let sid = member as i64 + 1;
        let (own, other) = (ensemble.election_address(member), ensemble.election_address(follower));
        let of_thread = is_over.clone();
        let voting = thread::spawn(move || vote(sid, own, other, &of_thread));
        Self { quorum, is_over, voting: Some(voting) }
    }

    /// Where the follower connects.
    pub fn address(&self) -> SocketAddr {
        self.quorum.local_addr().expect("it is bound")
    }

    /// Wins the follower's election; gives the follower, which has introduced itself.
    pub fn next_follower(&self) -> Follower {
        let deadline = Instant::now() + LIMIT;
        loop {
            match self.quorum.accept() {
                Ok((stream, _)) => return Follower::new(stream),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => panic!("{error}"),
            }
            assert!(Instant::now() < deadline, "nobody follows");
            thread::sleep(POLL);
        }
    }
}

impl Drop for ScriptedLeader {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        if let Some(voting) = self.voting.take() {
            // If it has panicked the test fails without a follower.
            let _ = voting.join();
        }
    }
}

/// Answers each vote of a server that looks with a better one, of its own round.
fn vote(sid: i64, own: SocketAddr, other: SocketAddr, is_over: &AtomicBool) {
    while !is_over.load(Ordering::Relaxed) {
        thread::sleep(POLL);
        let Ok(mut stream) = TcpStream::connect(other) else { continue };
        stream.set_read_timeout(Some(Duration::from_millis(100))).expect("a timeout");
        if stream.write_all(&election_introduction(sid, own)).is_err() {
            continue;
        }
        while !is_over.load(Ordering::Relaxed) {
            // A vote comes as a whole or not yet at all.
            match stream.peek(&mut [0]) {
                Ok(0) => break,
                Err(error) if error.kind() == ErrorKind::WouldBlock => continue,
                Err(_) => break,
                Ok(_) => {}
            }
            let Ok(theirs) = Vote::read(&mut stream) else { break };
            let zxid = VOTED_EPOCH << 32;
            let vote = Vote { leader: sid, zxid, peer_epoch: VOTED_EPOCH, ..theirs };
            if theirs.state == LOOKING && stream.write_all(&vote.message()).is_err() {
                break;
            }
        }
    }
}

/// A follower of a [`ScriptedLeader`].
#[derive(Debug)]
pub struct Follower {
    stream: TcpStream,
    /// The epoch it has promised to; that of its leader, once it knows it.
    pub epoch: i64,
    /// Its last transaction, as it says.
    pub last: i64,
}

impl Follower {
    fn new(stream: TcpStream) -> Self {
        stream.set_nonblocking(false).expect("a socket");
        stream.set_nodelay(true).expect("a socket");
        stream.set_read_timeout(Some(LIMIT)).expect("a timeout");
        let mut follower = Self { stream, epoch: 0, last: 0 };
        follower.epoch = follower.expect(kind::FOLLOWER_INFO).zxid >> 32;
        follower
    }

    /// Names the leader's epoch, and hears how far the follower is.
    pub fn begin_epoch(&mut self, epoch: i64) {
        self.send(&packet(kind::LEADER_INFO, epoch << 32, &PROTOCOL_VERSION.to_be_bytes()));
        self.last = self.expect(kind::ACK_EPOCH).zxid;
        self.epoch = epoch;
    }

    /// NEWLEADER, without a configuration, and its acknowledgement.
    pub fn begin_leading(&mut self) {
        let start = self.epoch << 32;
        self.send(&bare(kind::NEW_LEADER, start));
        assert_eq!(self.expect(kind::ACK).zxid, start, "NEWLEADER comes first");
    }

    /// Lets it serve.
    pub fn let_serve(&mut self) {
        self.send(&bare(kind::UP_TO_DATE, -1));
        self.wait_for_ack(self.epoch << 32);
    }

    /// Waits for an acknowledgement, whatever is acknowledged before.
    pub fn wait_for_ack(&mut self, zxid: i64) {
        while self.expect(kind::ACK).zxid != zxid {}
    }

    /// Sends bytes as they are. What a follower that has hung up does not take is not noticed.
    pub fn send(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
    }

    /// Sends nothing more.
    pub fn hang_up(&self) {
        // The follower may have been first.
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// The next packet, which has to be of this type.
    pub fn expect(&mut self, kind: i32) -> Packet {
        let packet = read_packet(&mut self.stream).expect("a packet of the follower");
        assert_eq!(packet.kind, kind, "{packet:?}");
        packet
    }

    /// Waits until the follower has hung up.
    pub fn wait_until_closed(mut self) {
        let mut bytes = [0; 4096];
        loop {
            match self.stream.read(&mut bytes) {
                Ok(0) => return,
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return,
                Err(error) => panic!("the follower does not hang up: {error}"),
            }
        }
    }
}

/// The proposal of a new node.
pub fn create_proposal(zxid: i64, path: &str) -> Vec<u8> {
    let mut entry = TxnHeader { zxid, kind: op::CREATE, ..TxnHeader::default() }.to_vec();
    let (data, acl) = (Some(&b"scripted"[..]), open_acl());
    CreateTxn { path: path.into(), data, acl, ephemeral: false, parent_cversion: -1 }
        .write(&mut entry);
    packet(kind::PROPOSAL, zxid, &entry)
}
