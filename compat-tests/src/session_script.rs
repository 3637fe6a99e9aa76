//! Scripts of sessions that are run against Apache's server and this one: what is asked for, and
//! what comes of it, in words that can be compared.

use std::io;
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use jute::{ConnectResponse, CreateRequest, ExistsRequest, Field, MultiHeader, ReplyHeader};

use crate::raw_client::{RawClient, Session, mode, op, open_acl};
use crate::server::ServerUnderTest;

/// How long each answer may take.
const ANSWER_LIMIT: Duration = Duration::from_secs(20);

/// How long something may take that a server does by itself.
const EVENT_LIMIT: Duration = Duration::from_secs(60);

/// Runs a script against both kinds of server side by side, and compares what came of it.
pub fn same_as_apache(script: fn(ServerUnderTest) -> Vec<String>) {
    let kinds = [ServerUnderTest::Apache("3.9.6"), ServerUnderTest::Gamekeeper];
    let runs = kinds.map(|kind| thread::spawn(move || script(kind)));
    let [apache, ours] = runs.map(|run| run.join().expect("a script that ends"));
    assert!(!ours.is_empty(), "a script says what it saw");
    assert_eq!(ours, apache, "what ours and Apache's did");
}

/// What a server has made of a connect request.
#[derive(Debug)]
pub enum Opened {
    /// A session, which may take writes or not.
    Session {
        /// Its connection.
        client: Box<RawClient>,
        /// Whether the server takes no writes.
        read_only: bool,
    },
    /// There is no such session.
    Expired,
    /// The header of a reply with this error, where the answer should be.
    Error(i32),
    /// Nothing: the connection was closed.
    Closed,
}

impl Opened {
    /// In words.
    pub fn describe(&self) -> String {
        match self {
            Self::Session { read_only, client } => {
                format!("session of server {}, read-only {read_only}", client.session().id >> 56)
            }
            Self::Expired => "expired".into(),
            Self::Error(code) => format!("error {code}"),
            Self::Closed => "closed".into(),
        }
    }

    /// The connection and its session.
    pub fn client(self) -> (RawClient, Session) {
        match self {
            Self::Session { client, .. } => {
                let session = client.session().clone();
                (*client, session)
            }
            other => panic!("a session was to be opened: {}", other.describe()),
        }
    }
}

/// Asks a server for a session.
pub fn open(address: SocketAddr, session: &Session, read_only: bool) -> Opened {
    let Ok((client, frame)) = RawClient::ask(address, session, 0, read_only, ANSWER_LIMIT) else {
        return Opened::Closed;
    };
    match ConnectResponse::from_bytes(&frame) {
        Ok(answer) if answer.time_out > 0 => {
            Opened::Session { client: Box::new(client), read_only: answer.read_only }
        }
        Ok(_) => Opened::Expired,
        Err(_) => Opened::Error(ReplyHeader::from_bytes(&frame).expect("a reply's header").err),
    }
}

/// Makes one request; gives the error code of the answer, or that there was none.
pub fn ask<'a>(client: &mut RawClient, opcode: i32, request: &impl Field<'a>) -> String {
    ask_bytes(client, opcode, &request.to_vec())
}

/// [`ask`] for a request that is encoded already.
pub fn ask_bytes(client: &mut RawClient, opcode: i32, request: &[u8]) -> String {
    client.queue_bytes(opcode, request);
    match client.flush().and_then(|()| client.receive()) {
        Ok(reply) => reply.header.err.to_string(),
        Err(error) => no_answer(&error),
    }
}

/// Creates a node; gives what [`ask`] gives.
pub fn create(client: &mut RawClient, path: &str, flags: i32) -> String {
    ask(client, op::CREATE, &create_request(path, flags))
}

/// Asks whether there is a node; gives what [`ask`] gives.
pub fn exists(client: &mut RawClient, path: &str) -> String {
    ask(client, op::EXISTS, &ExistsRequest { path: path.into(), watch: false })
}

/// Creates a persistent and an ephemeral node in one multi; gives the results' error codes.
pub fn create_both(client: &mut RawClient, persistent: &str, ephemeral: &str) -> String {
    let mut body = Vec::new();
    for (path, flags) in [(persistent, mode::PERSISTENT), (ephemeral, mode::EPHEMERAL)] {
        MultiHeader { kind: op::CREATE, done: false, err: -1 }.write(&mut body);
        create_request(path, flags).write(&mut body);
    }
    MultiHeader { kind: -1, done: true, err: -1 }.write(&mut body);
    client.queue_bytes(op::MULTI, &body);
    match client.flush().and_then(|()| client.receive()) {
        Ok(reply) if reply.body.is_empty() => reply.header.err.to_string(),
        Ok(reply) => {
            let mut reader = jute::Reader::new(&reply.body);
            let mut codes = vec![reply.header.err];
            while let Ok(MultiHeader { kind: -1, done: false, .. }) = MultiHeader::read(&mut reader)
            {
                codes.push(reader.int().expect("the code of an error"));
            }
            format!("{codes:?}")
        }
        Err(error) => no_answer(&error),
    }
}

fn create_request(path: &str, flags: i32) -> CreateRequest<'_> {
    CreateRequest { path: path.into(), data: None, acl: open_acl(), flags }
}

/// Ends the session; gives what [`ask`] gives.
pub fn close_session(client: &mut RawClient) -> String {
    ask_bytes(client, op::CLOSE_SESSION, &[])
}

/// Whether the server closes a connection on which nothing is asked any more.
pub fn is_closed_by_server(client: &mut RawClient) -> bool {
    client.set_answer_limit(EVENT_LIMIT).expect("a socket");
    match client.receive() {
        Ok(reply) => panic!("nothing was asked, but {reply:?} came"),
        Err(error) => no_answer(&error) == "closed",
    }
}

fn no_answer(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => "no answer".into(),
        _ => "closed".into(),
    }
}

/// Waits until something is so; panics if it never is.
pub fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + EVENT_LIMIT;
    while !is_so() {
        assert!(Instant::now() < deadline, "waited for {what}");
        thread::sleep(Duration::from_millis(50));
    }
}
