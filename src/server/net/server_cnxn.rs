//! One client connection on its worker (`NIOServerCnxn`, `ZooKeeperServer.processPacket`).
//!
//! ```text
//! Opening --word--> Asked --answered--> closed
//!    | connect request
//! Connecting --session refused--> closed
//!    | session established
//! Serving --closeSession, end of input, bad frame, session gone--> closed
//! ```
//!
//! Invariants:
//! 1. A read runs here only while no request of the connection is with the engine; else it follows
//!    them there.
//! 2. Nothing is read from a peer that does not take its replies, nor while too many of its
//!    requests are unfinished: what a connection can make the server hold is bounded.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use jute::{AuthPacket, Field, GetSaslRequest, Reader, RequestHeader, SetSaslResponse};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedReadHalf;
use tracing::{debug, info, warn};

use super::ServerContext;
use super::opening::{ConnectFrame, Opening, opening};
use super::socket::{Socket, SocketTransport};
use crate::auth::{AuthFailure, Identity, ip_identity};
use crate::engine::{ConnectAttempt, Input};
use crate::processor::{ClientRequest, ReadBatch, RequestKind, ServerMode, classify};
use crate::proto::frame::{BadLength, next_frame};
use crate::proto::{ErrorCode, OpCode, SessionId, Zxid};
use crate::server::clock;
use crate::session::{Arrival, ClientCnxn, CnxnId, Owner, clamp_timeout_ms};

/// Bytes of replies that may wait before no more requests are read.
const OUTBOX_BYTES_MAX: usize = 1 << 20;

/// Bytes of input a connection reads at once; one that has nothing to read holds no buffer.
const INPUT_BYTES: usize = 16 << 10;

/// Requests answered under one hold of the shared lock, so that writes are not kept waiting.
const READS_PER_HOLD_MAX: u32 = 64;

/// A connection being served.
pub(super) struct ServerCnxn {
    context: Arc<ServerContext>,
    cnxn: Arc<ClientCnxn>,
    socket: Arc<Socket>,
    input: BytesMut,
    phase: Phase,
    to_engine: Vec<Input>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Opening,
    /// A four-letter word; nothing more is read.
    Asked([u8; 4]),
    Connecting,
    Serving,
}

/// Why a connection ends.
#[derive(Debug)]
enum Close {
    /// As soon as everything owed is sent.
    AfterReplies,
    /// At once, for this reason.
    Now(String),
}

/// Serves a connection until it ends.
pub(super) async fn serve(
    context: Arc<ServerContext>,
    stream: TcpStream,
    peer: SocketAddr,
    id: CnxnId,
) {
    let (mut read_half, write_half) = stream.into_split();
    let socket = Arc::new(Socket::new(write_half));
    let identities: Arc<[Identity]> = Arc::new([ip_identity(peer)]);
    let transport = Box::new(SocketTransport(socket.clone()));
    let cnxn = Arc::new(ClientCnxn::new(id, peer, identities, clock::wall_ms(), transport));
    context.state.cnxns.add(cnxn.clone());
    let mut server_cnxn = ServerCnxn {
        context,
        cnxn,
        socket,
        input: BytesMut::new(),
        phase: Phase::Opening,
        to_engine: Vec::new(),
    };
    if let Err(Close::Now(reason)) = server_cnxn.run(&mut read_half).await {
        info!(%peer, session = %server_cnxn.cnxn.session_id(), "closing connection: {reason}");
    }
    server_cnxn.retire();
}

impl ServerCnxn {
    async fn run(&mut self, read_half: &mut OwnedReadHalf) -> Result<(), Close> {
        let sessionless = self.context.config.limits.sessionless_cnxn_timeout_ms.max(0);
        let sessionless = Duration::from_millis(sessionless as u64);
        let give_up = tokio::time::sleep(sessionless);
        tokio::pin!(give_up);
        loop {
            if self.socket.is_finished() {
                return Ok(());
            }
            if let Phase::Asked(word) = self.phase
                && !self.cnxn.outbox().is_closing()
            {
                self.answer_word(word).await?;
            }
            let may_read = self.may_read();
            if may_read && !self.input.is_empty() {
                // What was read before reading was stopped.
                let waited = self.input.len();
                self.process()?;
                // It stops where much waits to be sent. The peer may have taken that at once: then
                // nothing else wakes this up for the requests behind.
                if !self.may_read() || self.input.len() < waited {
                    continue;
                }
            }
            if self.input.is_empty() {
                self.input = BytesMut::new();
            }
            tokio::select! {
                read = read_some(read_half, &mut self.input), if may_read => match read {
                    Ok(0) => {
                        self.context.state.metrics.connection_drop_count.increment(1);
                        return Err(Close::Now("the client closed it".into()));
                    }
                    Ok(_) => self.process()?,
                    Err(error) => return Err(Close::Now(format!("cannot read: {error}"))),
                },
                () = self.socket.unblocked(), if self.socket.is_blocked() => {
                    self.socket.send(&self.cnxn);
                }
                () = self.socket.rung() => {}
                () = &mut give_up, if self.cnxn.session.get().is_none() => {
                    self.context.state.metrics.sessionless_connections_expired.increment(1);
                    return Err(Close::Now("no session was asked for in time".into()));
                }
            }
        }
    }

    /// Whether the next request may be read.
    fn may_read(&mut self) -> bool {
        match self.phase {
            Phase::Opening => true,
            Phase::Asked(_) => false,
            Phase::Connecting => {
                if self.cnxn.is_established() {
                    self.phase = Phase::Serving;
                }
                self.phase == Phase::Serving
            }
            Phase::Serving => {
                !self.cnxn.outbox().is_closing()
                    && !self.is_outbox_full()
                    && !self.socket.is_blocked()
                    && !self.is_throttled()
            }
        }
    }

    /// Whether to wait until more of the outbox is sent. Where the peer is not what that waits for,
    /// the engine is just sending it, and rings the bell when it has.
    fn is_outbox_full(&self) -> bool {
        let is_full = || self.cnxn.outbox().len() >= OUTBOX_BYTES_MAX;
        if !is_full() {
            return false;
        }
        self.socket.ring_after_send();
        is_full()
    }

    /// Whether to wait until some of the connection's requests are answered; their replies ring the
    /// bell.
    fn is_throttled(&self) -> bool {
        if !self.context.is_throttled(&self.cnxn) {
            return false;
        }
        self.socket.ring_after_send();
        self.context.is_throttled(&self.cnxn)
    }

    /// Handles every whole frame of the input.
    fn process(&mut self) -> Result<(), Close> {
        let result = match self.phase {
            Phase::Opening => self.open(),
            Phase::Asked(_) | Phase::Connecting => Ok(()),
            Phase::Serving => self.serve_requests(),
        };
        self.context.mailbox.post_all(&mut self.to_engine);
        self.socket.send(&self.cnxn);
        match result {
            Err(Close::AfterReplies) => {
                self.cnxn.close();
                Ok(())
            }
            other => other,
        }
    }

    fn open(&mut self) -> Result<(), Close> {
        match opening(&self.input) {
            Opening::Incomplete => return Ok(()),
            Opening::Word(word) => {
                self.ask(word);
                return Ok(());
            }
            Opening::Frame => {}
        }
        let Some(frame) = self.next_frame()? else { return Ok(()) };
        self.received(1, 4 + frame.len());
        let connect = ConnectFrame::decode(&frame)
            .map_err(|error| Close::Now(format!("bad connect request: {error}")))?;
        let metrics = &self.context.state.metrics;
        let throttle = &self.context.connection_throttle;
        let Some(deficit) = throttle.take(SessionId(connect.session_id), clock::monotonic_ms())
        else {
            metrics.connection_rejected.increment(1);
            return Err(Close::Now("too many sessions are asked for at once".into()));
        };
        metrics.connection_token_deficit.record(deficit as f64);
        metrics.connection_request_count.increment(1);
        match self.context.state.mode() {
            ServerMode::NotServing => {
                let reason = "this server is not serving now; it looks for a leader";
                return Err(Close::Now(reason.into()));
            }
            ServerMode::ReadOnly if connect.read_only != Some(true) => {
                return Err(Close::Now("the client wants more than reads".into()));
            }
            _ => {}
        }
        let last_processed = self.context.state.database.read().tree.last_processed();
        if Zxid(connect.last_zxid_seen) > last_processed {
            return Err(Close::Now(format!(
                "refusing session 0x{:x}: the client has seen zxid 0x{:x}, our last is 0x{}; \
                 it must try another server",
                connect.session_id, connect.last_zxid_seen, last_processed
            )));
        }
        let (min, max) = self.context.config.session.limits_ms();
        self.phase = Phase::Connecting;
        self.to_engine.push(Input::Connect(ConnectAttempt {
            cnxn: self.cnxn.clone(),
            session: SessionId(connect.session_id),
            password: connect.password,
            timeout_ms: clamp_timeout_ms(connect.timeout_ms, min, max),
            has_read_only: connect.read_only.is_some(),
            accepts_read_only: connect.read_only == Some(true),
            at: clock::monotonic_ms(),
        }));
        Ok(())
    }

    /// A four-letter word has come; it is answered once its argument is there too.
    fn ask(&mut self, word: [u8; 4]) {
        if self.input.len() >= 4 + self.context.word_argument_bytes(word) {
            debug!(peer = %self.cnxn.peer, "four-letter word {}", word.escape_ascii());
            self.received(1, 4);
            self.phase = Phase::Asked(word);
        }
    }

    /// Answers a four-letter word. Some take long and wait for the engine: they are not worked out
    /// on this thread, which has other connections to serve.
    async fn answer_word(&mut self, word: [u8; 4]) -> Result<(), Close> {
        let (context, asker) = (self.context.clone(), self.cnxn.id);
        let input = std::mem::take(&mut self.input);
        let answer = move || {
            let argument = 4..4 + context.word_argument_bytes(word);
            context.answer_word(asker, word, &input[argument])
        };
        match tokio::task::spawn_blocking(answer).await {
            Ok(Some(text)) => {
                self.cnxn.outbox().raw(text.as_bytes());
                self.context.state.stats.sent(1);
                self.cnxn.close();
                Ok(())
            }
            Ok(None) => Err(Close::Now("a telnet client leaves".into())),
            Err(error) => Err(Close::Now(format!("no answer to a four-letter word: {error}"))),
        }
    }

    fn serve_requests(&mut self) -> Result<(), Close> {
        let context = self.context.clone();
        let cnxn = self.cnxn.clone();
        let now = clock::monotonic_ms();
        let Some(session) = cnxn.session.get() else { return Ok(()) };
        let is_alive = session.handle.touch(now);
        let mut identities = cnxn.identities();
        let mut reads: Option<ReadBatch<'_>> = None;
        let mut reads_in_hold = 0;
        let (mut packets, mut bytes) = (0, 0);
        let result = loop {
            let frame = match self.next_frame() {
                Ok(Some(frame)) => frame,
                Ok(None) => break Ok(()),
                Err(close) => break Err(close),
            };
            packets += 1;
            bytes += 4 + frame.len();
            let mut reader = Reader::new(&frame);
            let Ok(RequestHeader { xid, kind }) = RequestHeader::read(&mut reader) else {
                break Err(Close::Now("a request without a header".into()));
            };
            let body_at = reader.position();
            let op = OpCode::from_code(kind);
            if !is_alive {
                // The session is gone or going: what it still asks is dropped
                // (MissingSessionException).
                continue;
            }
            let request_kind = classify(op);
            if matches!(request_kind, RequestKind::Auth | RequestKind::Sasl) {
                reads.take().into_iter().for_each(ReadBatch::end);
                let body = &frame[body_at..];
                let done = match request_kind {
                    RequestKind::Auth => self.authenticate(xid, body),
                    _ => self.answer_sasl(xid, body),
                };
                if let Err(close) = done {
                    break Err(close);
                }
                identities = cnxn.identities();
                continue;
            }
            if !context.state.auth.may_request(&identities) {
                reads.take().into_iter().for_each(ReadBatch::end);
                let error = ErrorCode::SessionClosedRequireAuth;
                cnxn.outbox().reply(xid, Zxid(0), |_| Err(error));
                break Err(Close::AfterReplies);
            }
            let Some(op) = op.filter(|_| request_kind != RequestKind::Unknown) else {
                reads.take().into_iter().for_each(ReadBatch::end);
                warn!(peer = %cnxn.peer, "request of unknown type {kind}");
                cnxn.outbox().reply(xid, Zxid(-1), |_| Err(ErrorCode::Unimplemented));
                break Err(Close::AfterReplies);
            };
            let arrival = Arrival { xid, op, at: now };
            match request_kind {
                RequestKind::Read if cnxn.unfinished() == 0 => {
                    let hold = reads.get_or_insert_with(|| ReadBatch::begin(&context.state, now));
                    let mut outbox = cnxn.outbox();
                    hold.answer(&cnxn, &mut outbox, &identities, arrival, &frame[body_at..]);
                    let is_full = outbox.len() >= OUTBOX_BYTES_MAX;
                    drop(outbox);
                    reads_in_hold += 1;
                    if is_full || reads_in_hold == READS_PER_HOLD_MAX {
                        reads.take().into_iter().for_each(ReadBatch::end);
                        reads_in_hold = 0;
                    }
                    if is_full {
                        break Ok(());
                    }
                }
                RequestKind::Forbidden => {
                    break Err(Close::Now(format!("a client may not ask for {op:?}")));
                }
                _ => {
                    let Ok(frame) = context.large_requests.hold(frame) else {
                        break Err(self.large_request_rejected());
                    };
                    cnxn.add_unfinished();
                    context.state.add_in_process(1);
                    let body = frame.slice(body_at..);
                    self.to_engine.push(Input::Request(ClientRequest {
                        cnxn: Some(cnxn.clone()),
                        session: session.id,
                        owner: Owner::ME,
                        identities: identities.clone(),
                        arrival,
                        body,
                    }));
                    if context.is_throttled(&cnxn) {
                        break Ok(());
                    }
                }
            }
        };
        reads.into_iter().for_each(ReadBatch::end);
        self.received(packets, bytes);
        result
    }

    /// auth: changes who the connection is, at once (`ZooKeeperServer.processPacket`).
    fn authenticate(&mut self, xid: i32, body: &[u8]) -> Result<(), Close> {
        let packet = AuthPacket::from_bytes(body)
            .map_err(|error| Close::Now(format!("bad auth packet: {error}")))?;
        let scheme = packet.scheme.unwrap_or_default();
        let mut identities = self.cnxn.identities();
        let (auth, metrics) = (&self.context.state.auth, &self.context.state.metrics);
        self.context.state.stats.sent(1);
        match auth.authenticate(&scheme, packet.auth, self.cnxn.peer, &mut identities) {
            Ok(()) => {
                if &*scheme == "ensemble" {
                    metrics.ensemble_auth_success.increment(1);
                }
                self.cnxn.set_identities(identities);
                self.cnxn.outbox().reply(xid, Zxid(0), |_| Ok(()));
                Ok(())
            }
            Err(failure @ AuthFailure::WrongEnsemble) => {
                metrics.ensemble_auth_fail.increment(1);
                Err(Close::Now(failure.to_string()))
            }
            Err(failure @ AuthFailure::Refused) => {
                warn!(peer = %self.cnxn.peer, "authentication with scheme {scheme}: {failure}");
                self.cnxn.outbox().reply(xid, Zxid(0), |_| Err(ErrorCode::AuthFailed));
                Err(Close::AfterReplies)
            }
        }
    }

    /// sasl, on a server where it is not configured: an empty answer to any token, and the end of a
    /// client that sends none (`ZooKeeperServer.processSasl`).
    fn answer_sasl(&mut self, xid: i32, body: &[u8]) -> Result<(), Close> {
        match GetSaslRequest::from_bytes(body) {
            Ok(GetSaslRequest { token: Some(_) }) => {
                self.cnxn.outbox().reply(xid, Zxid(0), |out| {
                    SetSaslResponse { token: None }.write(out);
                    Ok(())
                });
                Ok(())
            }
            _ => Err(Close::Now("a sasl request without a token".into())),
        }
    }

    fn large_request_rejected(&self) -> Close {
        self.context.state.metrics.large_requests_rejected.increment(1);
        Close::Now("large requests hold largeRequestMaxBytes already".into())
    }

    fn next_frame(&mut self) -> Result<Option<BytesMut>, Close> {
        let length = self.input.first_chunk::<4>().map(|head| i32::from_be_bytes(*head));
        let length = length.and_then(|length| usize::try_from(length).ok());
        if length.is_some_and(|length| self.context.large_requests.check(length).is_err()) {
            return Err(self.large_request_rejected());
        }
        next_frame(&mut self.input, self.context.frame_bytes_max()).map_err(|BadLength(length)| {
            Close::Now(format!(
                "a frame of {length} bytes is malformed or over jute.maxbuffer ({} bytes)",
                self.context.frame_bytes_max()
            ))
        })
    }

    fn received(&self, packets: u64, bytes: usize) {
        self.context.state.stats.received(packets);
        self.context.state.metrics.bytes_received_count.increment(bytes as u64);
        self.cnxn.outbox().stats.packets_received += packets;
    }

    /// The connection is over: nobody is told of anything through it any more.
    fn retire(self) {
        self.cnxn.outbox().close();
        self.context.state.cnxns.remove(self.cnxn.id);
        {
            // A read of this connection that the engine runs now has left its watch, or will see
            // that the connection is closing and leave none.
            let _no_engine = self.context.state.database.read();
            self.context.state.watches.remove_all(self.cnxn.id);
        }
        self.context.mailbox.post(Input::Disconnected(self.cnxn));
    }
}

async fn read_some(read_half: &mut OwnedReadHalf, input: &mut BytesMut) -> std::io::Result<usize> {
    if input.capacity() == input.len() {
        // A connection that is idle holds no buffer.
        read_half.readable().await?;
        input.reserve(INPUT_BYTES);
    }
    read_half.read_buf(input).await
}
