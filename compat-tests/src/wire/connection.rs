//! One blocking connection. It sends what it is told, as it is told, and tells apart the frames
//! that come back only as far as the protocol needs it; their order stays visible.

use std::io::{self, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use super::Body;

/// Longest frame that is believed, in bytes: a server that sends a longer one has lost its framing.
const FRAME_BYTES_MAX: usize = 64 << 20;

/// What a connection saw next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Received {
    /// A whole frame, without its length.
    Frame(Vec<u8>),
    /// The server closed the connection, orderly or by a reset.
    Closed,
    /// Nothing, within the time an answer may take.
    Silence,
}

/// A TCP connection to a client port.
#[derive(Debug)]
pub struct Connection {
    input: BufReader<TcpStream>,
}

impl Connection {
    /// Connects; every later [`Self::receive`] waits at most `patience`.
    pub fn open(address: SocketAddr, patience: Duration) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(patience))?;
        stream.set_write_timeout(Some(patience))?;
        Ok(Self { input: BufReader::with_capacity(1 << 16, stream) })
    }

    /// Where the server sees this connection come from.
    pub fn local_address(&self) -> io::Result<SocketAddr> {
        self.input.get_ref().local_addr()
    }

    /// A second handle, to send while the first one receives.
    pub fn try_clone(&self) -> io::Result<Self> {
        let stream = self.input.get_ref().try_clone()?;
        Ok(Self { input: BufReader::with_capacity(1 << 16, stream) })
    }

    /// Opens a new session; gives the connect response.
    pub fn start_session(&mut self, timeout_ms: i32) -> Received {
        let hello = Body::new().int(0).long(0).int(timeout_ms).long(0).bytes(Some(&[0; 16]));
        self.send(&Self::frame(&hello.byte(0).into_bytes()));
        self.receive()
    }

    /// Sends one request.
    pub fn request(&mut self, xid: i32, opcode: i32, body: &[u8]) {
        let header = Body::new().int(xid).int(opcode);
        self.send(&Self::frame(&header.raw(body).into_bytes()));
    }

    /// Sends bytes as they are, in one write. A connection that the server has closed takes them
    /// silently: the next [`Self::receive`] tells.
    pub fn send(&mut self, bytes: &[u8]) {
        let _ = self.input.get_mut().write_all(bytes);
    }

    /// The next frame, or why there is none.
    pub fn receive(&mut self) -> Received {
        match self.read_frame() {
            Ok(frame) => Received::Frame(frame),
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                Received::Silence
            }
            Err(_) => Received::Closed,
        }
    }

    fn read_frame(&mut self) -> io::Result<Vec<u8>> {
        let mut length = [0; 4];
        self.input.read_exact(&mut length)?;
        let length = u32::from_be_bytes(length) as usize;
        assert!(length <= FRAME_BYTES_MAX, "the server sent a frame of {length} bytes");
        let mut frame = vec![0; length];
        self.input.read_exact(&mut frame)?;
        Ok(frame)
    }

    /// A frame around these bytes.
    pub fn frame(payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).expect("a frame below 4 GiB");
        [&length.to_be_bytes(), payload].concat()
    }
}
