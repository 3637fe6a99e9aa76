//! The thread that owns a session's connection (`ClientCnxn.SendThread`): it connects, takes up the
//! session, reads, pings and reconnects.
//!
//! ```text
//!             grant                       cut, silent
//! connect ------------> prime -> serve -----------------> lose_all -> connect ...
//!    | refused: expired                       | closeSession, auth failed
//!    +---------------------> ended <----------+
//! ```

use std::convert::Infallible;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use jute::{ConnectRequest, SetWatches};

use super::client_cnxn::{Completion, Shared, State, loss_code, put_auth};
use super::wire::{self, Incoming, WireError};
use super::{ConnectionState, WatchedEvent, WatchedKind, WatchedState};
use crate::proto::{ErrorCode, HostPort, OpCode, Zxid};

/// Longest a connected client stays silent, whatever its session timeout.
const SEND_PING_INTERVAL_MAX: Duration = Duration::from_secs(10);
/// Pause before a server is tried again when all have been tried.
const SPIN_DELAY: Duration = Duration::from_secs(1);
/// Bytes of paths in one setWatches.
const SET_WATCHES_BYTES_MAX: usize = 128 * 1024;
/// Shortest and longest time between two searches for a read-write server.
const PING_RW_INTERVAL: (Duration, Duration) =
    (Duration::from_millis(100), Duration::from_secs(60));
/// Bytes read at once.
const READ_BYTES: usize = 64 * 1024;

/// Why a connection ended.
#[derive(Debug)]
enum Lost {
    /// Closed, cut or silent.
    Io,
    /// A server that also writes was found here.
    ReadWriteServer(HostPort),
    /// The server refused the session.
    Expired,
}

impl From<io::Error> for Lost {
    fn from(_: io::Error) -> Self {
        Self::Io
    }
}

impl From<WireError> for Lost {
    fn from(_: WireError) -> Self {
        Self::Io
    }
}

impl Shared {
    /// The thread: connects until the session ends.
    pub(super) fn run(&self) {
        let mut servers = self.config.connect.servers.clone();
        // Clients spread over the servers.
        fastrand::shuffle(&mut servers);
        let mut next = (0..servers.len()).cycle();
        let mut last_connected = None;
        let mut found = None;
        let mut attempted = false;
        loop {
            let server = found.take().unwrap_or_else(|| {
                let index = next.next().expect("a connect string names a server");
                if last_connected == Some(index) {
                    self.pause(SPIN_DELAY);
                }
                last_connected.get_or_insert(0);
                servers[index].clone()
            });
            let mut state = self.state();
            if state.is_overdue() {
                state.phase = ConnectionState::Closed;
            }
            // A session that is closed at once is made nevertheless, as in Java.
            if !state.phase.is_alive() || (state.closing && attempted) {
                break;
            }
            drop(state);
            attempted = true;
            let lost = self.connect(&server).and_then(|stream| {
                last_connected = servers.iter().position(|known| *known == server);
                self.serve(stream)
            });
            match lost {
                Err(Lost::Expired) => self.change(|state| state.phase = ConnectionState::Closed),
                Err(Lost::ReadWriteServer(server)) => found = Some(server),
                Err(Lost::Io) => (),
                Ok(never) => match never {},
            }
            self.lose_all();
        }
        self.lose_all();
        let state = self.state();
        let (phase, closing) = (state.phase, state.closing);
        drop(state);
        if closing {
            self.change(|state| state.phase = ConnectionState::Closed);
            self.tell(WatchedState::Closed);
        } else if phase == ConnectionState::Closed {
            self.tell(WatchedState::Expired);
        }
    }

    /// Waits, but not for a session that is closing.
    fn pause(&self, time: Duration) {
        let waiting = |state: &mut State| state.phase.is_alive() && !state.closing;
        drop(self.changed.wait_timeout_while(self.state(), time, waiting));
    }

    /// Fails every request that waits, and tells of the loss.
    fn lose_all(&self) {
        *self.writer() = None;
        let mut state = self.state();
        let err = loss_code(state.phase);
        let alive = state.phase.is_alive();
        if alive {
            state.phase = ConnectionState::Connecting;
        }
        let pending = std::mem::take(&mut state.pending);
        let outgoing = std::mem::take(&mut state.outgoing);
        let closing = state.closing;
        drop(state);
        let unsent = outgoing.into_iter().map(|(packet, _)| packet);
        pending.into_iter().chain(unsent).for_each(|packet| {
            self.finish(packet, Completion::failed(err));
        });
        if alive && !closing {
            self.tell(WatchedState::Disconnected);
        }
    }

    /// Connects and takes up the session.
    fn connect(&self, server: &HostPort) -> Result<Connection, Lost> {
        let share = self.config.session_timeout_ms / self.config.connect.servers.len() as i32;
        let limit = Duration::from_millis(share.max(1) as u64);
        let addresses: Vec<SocketAddr> =
            (server.host.as_str(), server.port).to_socket_addrs()?.collect();
        let mut attempts =
            addresses.iter().map(|address| TcpStream::connect_timeout(address, limit));
        // `localhost` may be two addresses, of which one is served.
        let stream = attempts.find_map(Result::ok).ok_or(Lost::Io)?;
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(limit.max(Duration::from_secs(1))))?;
        let mut connection = Connection {
            stream,
            input: BytesMut::new(),
            last_receive: Instant::now(),
            read_timeout: limit,
        };
        let mut hello = BytesMut::new();
        let state = self.state();
        wire::put_connect_request(
            &mut hello,
            &ConnectRequest {
                protocol_version: 0,
                last_zxid_seen: state.last_zxid.0,
                time_out: self.config.session_timeout_ms,
                session_id: if state.seen_rw_server { state.session.0 } else { 0 },
                passwd: Some(&state.password),
                read_only: self.config.can_be_read_only,
            },
        );
        drop(state);
        connection.stream.write_all(&hello)?;
        let answer = loop {
            match wire::next_frame(&mut connection.input, self.config.max_frame_bytes)? {
                Some(answer) => break answer,
                None => connection.receive(limit)?,
            }
        };
        let grant = wire::read_connect_response(&answer)?.ok_or(Lost::Expired)?;
        connection.read_timeout = Duration::from_millis(grant.timeout_ms as u64) * 2 / 3;
        self.change(|state| {
            state.session = grant.session;
            state.password = grant.password;
            state.timeout_ms = grant.timeout_ms;
            state.last_heard = Instant::now();
            state.seen_rw_server |= !grant.read_only;
        });
        self.tell(match grant.read_only {
            true => WatchedState::ConnectedReadOnly,
            false => WatchedState::SyncConnected,
        });
        self.prime(&connection.stream)?;
        self.change(|state| {
            state.phase = match grant.read_only {
                true => ConnectionState::ConnectedReadOnly,
                false => ConnectionState::Connected,
            };
        });
        Ok(connection)
    }

    /// Gives a new connection its identities, its watches and the requests that wait.
    fn prime(&self, stream: &TcpStream) -> Result<(), Lost> {
        let mut writer = self.writer();
        let mut state = self.state();
        let mut out = BytesMut::new();
        for (scheme, auth) in &state.auth {
            put_auth(&mut out, scheme, auth.as_deref());
        }
        let to_server = |path: &str| self.prepend_chroot(path);
        for batch in state.watches.set_watches(state.last_zxid, SET_WATCHES_BYTES_MAX, to_server) {
            let xid = wire::XID_SET_WATCHES;
            if batch.persistent_watches.is_empty() && batch.persistent_recursive_watches.is_empty()
            {
                // Servers before 3.6 know only this one.
                let batch = SetWatches {
                    relative_zxid: batch.relative_zxid,
                    data_watches: batch.data_watches,
                    exist_watches: batch.exist_watches,
                    child_watches: batch.child_watches,
                };
                wire::put_request(&mut out, xid, OpCode::SetWatches, &batch);
            } else {
                wire::put_request(&mut out, xid, OpCode::SetWatches2, &batch);
            }
        }
        while let Some((packet, frame)) = state.outgoing.pop_front() {
            out.extend_from_slice(&frame);
            state.pending.push_back(packet);
        }
        state.last_send = Instant::now();
        drop(state);
        let stream = writer.insert(stream.try_clone()?);
        stream.write_all(&out)?;
        Ok(())
    }

    /// Reads and pings until the connection ends.
    fn serve(&self, mut connection: Connection) -> Result<Infallible, Lost> {
        let mut rw_search = RwSearch::new(&self.config.connect.servers);
        loop {
            while let Some(frame) =
                wire::next_frame(&mut connection.input, self.config.max_frame_bytes)?
            {
                self.take(frame)?;
            }
            let state = self.state();
            let (phase, idle_send) = (state.phase, state.last_send.elapsed());
            drop(state);
            if !phase.is_alive() {
                return Err(Lost::Io);
            }
            let silent = connection.last_receive.elapsed();
            let mut wait = connection.read_timeout.checked_sub(silent).ok_or(Lost::Io)?;
            let to_ping = time_to_ping(connection.read_timeout, idle_send);
            if to_ping.is_zero() {
                let mut ping = BytesMut::new();
                wire::put_ping(&mut ping);
                self.write(&mut self.writer(), &ping);
            } else {
                wait = wait.min(to_ping);
            }
            if phase == ConnectionState::ConnectedReadOnly {
                wait = wait.min(rw_search.step()?);
            }
            match connection.receive(wait.max(Duration::from_millis(1))) {
                Err(error) if is_timeout(&error) => (),
                other => other?,
            }
        }
    }

    /// Takes one frame of the server.
    fn take(&self, frame: Bytes) -> Result<(), Lost> {
        self.state().last_heard = Instant::now();
        let (header, body) = match wire::read_incoming(&frame)? {
            Incoming::Notification { zxid, event } => {
                let path = self.strip_chroot(&event.path);
                let Some(kind) = WatchedKind::from_code(event.kind) else { return Ok(()) };
                if self.state().watches.fire(kind, &path) {
                    let state = WatchedState::SyncConnected;
                    (self.on_event)(&WatchedEvent { state, kind, path: Some(path), zxid });
                }
                return Ok(());
            }
            Incoming::Reply { header, body } => (header, body.position()),
        };
        match header.xid {
            crate::proto::XID_PING | wire::XID_SET_WATCHES => return Ok(()),
            wire::XID_AUTH => {
                if header.err == ErrorCode::AuthFailed.code() {
                    self.change(|state| state.phase = ConnectionState::AuthFailed);
                    self.tell(WatchedState::AuthFailed);
                }
                return Ok(());
            }
            _ => (),
        }
        let mut state = self.state();
        let expected = state.pending.front().map(|packet| packet.xid);
        if expected != Some(header.xid) {
            return Err(WireError::XidOutOfOrder { got: header.xid, expected }.into());
        }
        if header.zxid > 0 {
            state.last_zxid = Zxid(header.zxid);
        }
        let packet = state.pending.pop_front().expect("its xid was compared");
        drop(state);
        self.finish(packet, Completion { err: header.err, body: frame.slice(body..) });
        Ok(())
    }
}

/// The reading side of a connection.
struct Connection {
    stream: TcpStream,
    input: BytesMut,
    last_receive: Instant,
    read_timeout: Duration,
}

impl Connection {
    /// Waits for bytes; the end of the stream is an error.
    fn receive(&mut self, limit: Duration) -> io::Result<()> {
        self.stream.set_read_timeout(Some(limit))?;
        let filled = self.input.len();
        self.input.resize(filled + READ_BYTES, 0);
        let count = self.stream.read(&mut self.input[filled..]);
        self.input.truncate(filled + count.as_ref().copied().unwrap_or(0));
        if count? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.last_receive = Instant::now();
        Ok(())
    }
}

/// Looks for a server that also writes, less and less often.
struct RwSearch<'a> {
    servers: std::iter::Cycle<std::slice::Iter<'a, HostPort>>,
    interval: Duration,
    last: Instant,
}

impl<'a> RwSearch<'a> {
    fn new(servers: &'a [HostPort]) -> Self {
        let servers = servers.iter().cycle();
        Self { servers, interval: PING_RW_INTERVAL.0, last: Instant::now() }
    }

    /// Asks the next server if it is time; gives the time until the next turn.
    fn step(&mut self) -> Result<Duration, Lost> {
        if let Some(rest) = self.interval.checked_sub(self.last.elapsed()) {
            return Ok(rest);
        }
        self.last = Instant::now();
        self.interval = (self.interval * 2).min(PING_RW_INTERVAL.1);
        let server = self.servers.next().expect("a connect string names a server");
        match is_read_write(server) {
            Ok(true) => Err(Lost::ReadWriteServer(server.clone())),
            _ => Ok(self.interval),
        }
    }
}

/// Asks a server with the four-letter word isro.
fn is_read_write(server: &HostPort) -> io::Result<bool> {
    let limit = Duration::from_secs(1);
    let mut addresses = (server.host.as_str(), server.port).to_socket_addrs()?;
    let address = addresses.next().ok_or(io::ErrorKind::NotFound)?;
    let mut stream = TcpStream::connect_timeout(&address, limit)?;
    stream.set_read_timeout(Some(limit))?;
    stream.write_all(b"isro")?;
    let mut answer = [0; 2];
    stream.read_exact(&mut answer)?;
    Ok(&answer == b"rw")
}

/// Time until a ping is due, as `SendThread` reckons it: a second early once a second has passed,
/// so that a second ping fits in before the server gives up.
fn time_to_ping(read_timeout: Duration, idle_send: Duration) -> Duration {
    let second = Duration::from_secs(1);
    let early = if idle_send > second { second } else { Duration::ZERO };
    let by_timeout = (read_timeout / 2).saturating_sub(idle_send + early);
    by_timeout.min(SEND_PING_INTERVAL_MAX.saturating_sub(idle_send))
}

fn is_timeout(error: &io::Error) -> bool {
    use io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
    matches!(error.kind(), WouldBlock | TimedOut | Interrupted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pings_are_due_before_half_the_read_timeout() {
        let ms = Duration::from_millis;
        assert_eq!(time_to_ping(ms(20_000), ms(0)), ms(10_000));
        assert_eq!(time_to_ping(ms(20_000), ms(2_000)), ms(7_000));
        assert_eq!(time_to_ping(ms(20_000), ms(9_000)), ms(0));
        assert_eq!(time_to_ping(ms(1_000), ms(100)), ms(400));
        assert_eq!(time_to_ping(ms(100_000), ms(10_000)), ms(0));
    }
}
