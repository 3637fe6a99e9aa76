//! A session's connection (`ClientCnxn` with its `SendThread`).
//!
//! One thread owns the connection (`send_thread`): it connects, reads, pings and reconnects.
//! Callers write their requests themselves and wait for the reply.
//!
//! Invariants:
//! 1. `writer` is locked before `state`, never the other way round; nobody waits for a reply with
//!    either locked.
//! 2. Requests stand in `pending` in the order in which they were written.
//! 3. Every packet is finished once: by its reply, or with an error when the connection is lost.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use jute::{AuthPacket, Field};

use super::error::{CONNECTION_LOSS, REQUEST_TIMEOUT};
use super::watch_table::{Registration, WatchTable};
use super::wire;
use super::{ClientError, ConnectString, WatchedEvent, WatchedKind, WatchedState};
use crate::proto::frame::put_frame;
use crate::proto::{ErrorCode, OpCode, SessionId, WatcherType, Xid, Zxid};

/// How to reach the service.
#[derive(Debug, Clone)]
pub struct Config {
    /// Servers and chroot.
    pub connect: ConnectString,
    /// Session timeout to ask for, in milliseconds.
    pub session_timeout_ms: i32,
    /// Whether a read-only server will do.
    pub can_be_read_only: bool,
    /// Longest frame accepted, in bytes (`jute.maxbuffer`).
    pub max_frame_bytes: usize,
    /// Longest wait for a reply (`zookeeper.request.timeout`); none: for ever.
    pub request_timeout: Option<Duration>,
}

/// Where a session is (`ZooKeeper.States`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectionState {
    /// No connection; one is being made.
    Connecting,
    /// Connected.
    Connected,
    /// Connected to a server that is read-only.
    ConnectedReadOnly,
    /// Closed by the caller, or expired.
    Closed,
    /// The server refused credentials; the session is dead.
    AuthFailed,
}

impl ConnectionState {
    /// Whether the session may still be used.
    pub fn is_alive(self) -> bool {
        !matches!(self, Self::Closed | Self::AuthFailed)
    }

    /// Whether there is a connection.
    pub fn is_connected(self) -> bool {
        matches!(self, Self::Connected | Self::ConnectedReadOnly)
    }
}

/// A reply that is on its way.
#[derive(Debug)]
pub struct Pending<T> {
    reply: Receiver<Completion>,
    decode: fn(&Shared, &Bytes) -> Result<T, ClientError>,
    shared: Arc<Shared>,
}

impl<T> Pending<T> {
    /// Waits for it, as long as the request timeout allows.
    pub fn wait(self) -> Result<T, ClientError> {
        match self.shared.config.request_timeout {
            Some(limit) => self.wait_for(limit),
            None => {
                let completion = self.reply.recv();
                self.decode(completion.unwrap_or(Completion::failed(CONNECTION_LOSS)))
            }
        }
    }

    /// Waits for it, at most this long.
    pub fn wait_for(self, limit: Duration) -> Result<T, ClientError> {
        let completion = self.reply.recv_timeout(limit).unwrap_or_else(|error| match error {
            RecvTimeoutError::Timeout => Completion::failed(REQUEST_TIMEOUT),
            RecvTimeoutError::Disconnected => Completion::failed(CONNECTION_LOSS),
        });
        self.decode(completion)
    }

    fn decode(&self, completion: Completion) -> Result<T, ClientError> {
        match completion.err {
            0 => (self.decode)(&self.shared, &completion.body),
            err => Err(ClientError::from_code(err)),
        }
    }
}

/// The end of a request.
#[derive(Debug)]
pub(super) struct Completion {
    /// Error code, 0 for success.
    pub(super) err: i32,
    /// The reply's body.
    pub(super) body: Bytes,
}

impl Completion {
    pub(super) fn failed(err: i32) -> Self {
        Self { err, body: Bytes::new() }
    }
}

/// What a request does to the watch table when it ends. Paths are the client's.
#[derive(Debug)]
pub(super) enum WatchChange {
    None,
    Add(Registration, String),
    Remove { kind: WatcherType, path: String, local: bool },
}

/// A request that waits for its reply.
#[derive(Debug)]
pub(super) struct Packet {
    pub(super) xid: Xid,
    pub(super) watch: WatchChange,
    pub(super) done: SyncSender<Completion>,
}

/// The session as callers and the connection's thread share it.
pub(super) struct State {
    pub(super) phase: ConnectionState,
    /// closeSession has been asked for: nothing more is sent.
    pub(super) closing: bool,
    /// State of the last event told, so that none is told twice.
    pub(super) told: WatchedState,
    pub(super) session: SessionId,
    pub(super) password: [u8; crate::proto::PASSWORD_BYTES],
    pub(super) timeout_ms: i32,
    /// A session of a read-only server counts only there.
    pub(super) seen_rw_server: bool,
    pub(super) last_zxid: Zxid,
    pub(super) last_xid: Xid,
    pub(super) last_send: Instant,
    /// When the server was last heard of.
    pub(super) last_heard: Instant,
    pub(super) auth: Vec<(String, Option<Vec<u8>>)>,
    pub(super) watches: WatchTable,
    pub(super) pending: VecDeque<Packet>,
    /// Requests made while there is no connection, with their frames.
    pub(super) outgoing: VecDeque<(Packet, BytesMut)>,
}

impl State {
    /// Whether the session has surely expired, although no server could say so (ZOOKEEPER-4508).
    pub(super) fn is_overdue(&self) -> bool {
        let limit = Duration::from_millis(self.timeout_ms.max(0) as u64) * 4 / 3;
        self.session != SessionId(0) && self.last_heard.elapsed() > limit
    }
}

type OnEvent = Box<dyn Fn(&WatchedEvent) + Send + Sync>;

pub(super) struct Shared {
    pub(super) config: Config,
    pub(super) on_event: OnEvent,
    /// The connection's writing half, while requests may be written to it.
    pub(super) writer: Mutex<Option<TcpStream>>,
    pub(super) state: Mutex<State>,
    /// Signalled when `phase` or `closing` changes.
    pub(super) changed: Condvar,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("config", &self.config).finish_non_exhaustive()
    }
}

/// A session's connection.
pub(super) struct ClientCnxn {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl ClientCnxn {
    /// Starts to connect. `on_event` is called from the connection's thread, so that it must not
    /// wait for a reply of the same session.
    pub(super) fn start(config: Config, on_event: OnEvent) -> io::Result<Self> {
        let state = State {
            phase: ConnectionState::Connecting,
            closing: false,
            told: WatchedState::Disconnected,
            session: SessionId(0),
            password: [0; crate::proto::PASSWORD_BYTES],
            timeout_ms: config.session_timeout_ms,
            seen_rw_server: false,
            last_zxid: Zxid::ZERO,
            last_xid: 0,
            last_send: Instant::now(),
            last_heard: Instant::now(),
            auth: Vec::new(),
            watches: WatchTable::default(),
            pending: VecDeque::new(),
            outgoing: VecDeque::new(),
        };
        let shared = Arc::new(Shared {
            config,
            on_event,
            writer: Mutex::new(None),
            state: Mutex::new(state),
            changed: Condvar::new(),
        });
        let of_thread = Arc::clone(&shared);
        let thread =
            thread::Builder::new().name("client-cnxn".into()).spawn(move || of_thread.run())?;
        Ok(Self { shared, thread: Some(thread) })
    }

    pub(super) fn shared(&self) -> &Shared {
        &self.shared
    }

    pub(super) fn phase(&self) -> ConnectionState {
        self.shared.state().phase
    }

    pub(super) fn session(&self) -> SessionId {
        self.shared.state().session
    }

    /// Waits until there is a connection, at most this long; false if there is none then.
    pub(super) fn wait_connected(&self, limit: Duration) -> bool {
        let state = self.shared.state();
        let waiting = |state: &mut State| state.phase == ConnectionState::Connecting;
        let waited = self.shared.changed.wait_timeout_while(state, limit, waiting);
        waited.unwrap_or_else(PoisonError::into_inner).0.phase.is_connected()
    }

    /// Sends a request, now or once there is a connection.
    pub(super) fn submit<T>(
        &self,
        op: OpCode,
        watch: WatchChange,
        put_body: impl FnOnce(&mut BytesMut),
        decode: fn(&Shared, &Bytes) -> Result<T, ClientError>,
    ) -> Pending<T> {
        let reply = self.shared.submit(op, watch, put_body);
        Pending { reply, decode, shared: Arc::clone(&self.shared) }
    }

    /// Adds an identity to this connection and all that follow it.
    pub(super) fn add_auth(&self, scheme: &str, auth: Option<&[u8]>) {
        let mut writer = self.shared.writer();
        let mut state = self.shared.state();
        if !state.phase.is_alive() {
            return;
        }
        state.auth.push((scheme.to_owned(), auth.map(<[u8]>::to_vec)));
        drop(state);
        let mut frame = BytesMut::new();
        put_auth(&mut frame, scheme, auth);
        self.shared.write(&mut writer, &frame);
    }

    /// Ends the session and the thread.
    pub(super) fn close(&mut self) {
        let Some(thread) = self.thread.take() else { return };
        let reply = self.shared.submit(OpCode::CloseSession, WatchChange::None, |_| ());
        let limit = Duration::from_millis(self.shared.config.session_timeout_ms.max(0) as u64);
        // A server that does not answer is left without waiting any longer.
        let _ = reply.recv_timeout(limit);
        self.shared.change(|state| state.phase = ConnectionState::Closed);
        self.shared.cut();
        // The thread tells the last event. It may hang in a connection attempt, but not for long.
        let _ = thread.join();
    }
}

impl Drop for ClientCnxn {
    fn drop(&mut self) {
        self.close();
    }
}

pub(super) fn put_auth(out: &mut BytesMut, scheme: &str, auth: Option<&[u8]>) {
    let packet = AuthPacket { kind: 0, scheme: Some(scheme.into()), auth };
    wire::put_request(out, wire::XID_AUTH, OpCode::Auth, &packet);
}

impl Shared {
    /// A panic elsewhere leaves the state as consistent as a lost connection does.
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn writer(&self) -> MutexGuard<'_, Option<TcpStream>> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state());
        self.changed.notify_all();
    }

    /// The path as the server knows it.
    pub(super) fn prepend_chroot(&self, path: &str) -> String {
        let chroot = &self.config.connect.chroot;
        match path {
            "/" if !chroot.is_empty() => chroot.clone(),
            _ => format!("{chroot}{path}"),
        }
    }

    /// The path as the client knows it.
    pub(super) fn strip_chroot(&self, path: &str) -> String {
        match path.strip_prefix(self.config.connect.chroot.as_str()) {
            Some("") => "/".into(),
            Some(rest) => rest.into(),
            None => path.into(),
        }
    }

    fn submit(
        &self,
        op: OpCode,
        watch: WatchChange,
        put_body: impl FnOnce(&mut BytesMut),
    ) -> Receiver<Completion> {
        let (done, reply) = sync_channel(1);
        let mut writer = self.writer();
        let mut state = self.state();
        state.last_xid = state.last_xid.checked_add(1).unwrap_or(1);
        let packet = Packet { xid: state.last_xid, watch, done };
        if !state.phase.is_alive() || state.closing {
            let err = loss_code(state.phase);
            drop(state);
            self.finish(packet, Completion::failed(err));
            return reply;
        }
        if op == OpCode::CloseSession {
            state.closing = true;
            self.changed.notify_all();
        }
        let mut frame = BytesMut::new();
        put_frame(&mut frame, |out| {
            jute::RequestHeader { xid: packet.xid, kind: op.code() }.write(out);
            put_body(out);
        });
        if writer.is_some() {
            state.pending.push_back(packet);
            drop(state);
            self.write(&mut writer, &frame);
        } else {
            state.outgoing.push_back((packet, frame));
        }
        reply
    }

    /// Writes a frame, if there is a connection. A failure cuts the connection, which its thread
    /// then notices.
    pub(super) fn write(&self, writer: &mut Option<TcpStream>, frame: &[u8]) {
        let Some(stream) = writer else { return };
        if stream.write_all(frame).is_err() {
            let _ = stream.shutdown(Shutdown::Both);
        }
        self.state().last_send = Instant::now();
    }

    /// Cuts the connection, if there is one that can be cut without waiting for its writer.
    fn cut(&self) {
        if let Ok(writer) = self.writer.try_lock()
            && let Some(stream) = writer.as_ref()
        {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Ends a request: its watch counts now, and its caller is woken.
    pub(super) fn finish(&self, packet: Packet, mut completion: Completion) {
        let events = match packet.watch {
            WatchChange::None => Vec::new(),
            WatchChange::Add(kind, path) => {
                self.state().watches.register(kind, &path, completion.err);
                Vec::new()
            }
            WatchChange::Remove { kind, path, local } => {
                let removed = self.state().watches.remove(kind, &path, local, completion.err);
                completion.err = removed.as_ref().err().copied().unwrap_or(0);
                removed.unwrap_or_default()
            }
        };
        events.iter().for_each(|event| (self.on_event)(event));
        // A caller that waits no longer has hung up.
        let _ = packet.done.send(completion);
    }

    /// Tells a new state of the session.
    pub(super) fn tell(&self, new: WatchedState) {
        let mut state = self.state();
        if state.told == new {
            return;
        }
        state.told = new;
        drop(state);
        let event =
            WatchedEvent { state: new, kind: WatchedKind::None, path: None, zxid: Zxid(-1) };
        (self.on_event)(&event);
    }
}

/// The error of a request that no reply will come to.
pub(super) fn loss_code(phase: ConnectionState) -> i32 {
    match phase {
        ConnectionState::AuthFailed => ErrorCode::AuthFailed.code(),
        ConnectionState::Closed => ErrorCode::SessionExpired.code(),
        _ => CONNECTION_LOSS,
    }
}
