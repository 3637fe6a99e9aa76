//! What a script is: steps that both servers are put through, one after the other.
//!
//! Connections are numbered slots. A step ends when everything it asked for has been answered and a
//! ping on every connection has come back, so that both servers see all steps in one global order
//! and give them the same zxids.

use std::fmt;

use super::reply_shape::ReplyShape;
use crate::wire::Connection;

/// A request as it goes over the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// First field of its header.
    pub xid: i32,
    /// Second field of its header.
    pub opcode: i32,
    /// What follows the header.
    pub body: Vec<u8>,
    /// What a reader wants to know of it.
    pub label: String,
}

impl Request {
    /// Its frame.
    pub fn frame(&self) -> Vec<u8> {
        let header = [self.xid.to_be_bytes(), self.opcode.to_be_bytes()].concat();
        Connection::frame(&[header, self.body.clone()].concat())
    }

    /// How the reply to it is laid out when it is a success.
    pub fn reply_shape(&self) -> ReplyShape {
        ReplyShape::of_opcode(self.opcode)
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "xid {} op {} {}", self.xid, self.opcode, self.label)
    }
}

/// The session that a connect request names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionChoice {
    /// A new one, to be known by this number from now on.
    New(usize),
    /// The one of this number.
    Resume(usize),
    /// An id that no server gave out.
    Unknown(i64),
}

/// The password in a connect request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Password {
    /// The session's own; zeros for a new one.
    Right,
    /// These bytes, or null.
    Other(Option<Vec<u8>>),
}

/// A connect request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// Its session.
    pub session: SessionChoice,
    /// Its password.
    pub password: Password,
    /// Newest zxid that the client claims to have seen.
    pub last_zxid: i64,
    /// Timeout asked for, in milliseconds.
    pub timeout_ms: i32,
    /// The last byte, which clients up to 3.3 do not send.
    pub read_only: Option<u8>,
    /// How many bytes at its end are not sent.
    pub cut: usize,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Opens a connection and sends a connect request and then, in the same write, these requests.
    Connect {
        /// The slot, whose connection of before is dropped.
        slot: usize,
        /// The connect request.
        hello: Hello,
        /// What follows it at once.
        then: Vec<Request>,
    },
    /// Sends these requests in one write.
    Send {
        /// The connection.
        slot: usize,
        /// The requests.
        requests: Vec<Request>,
    },
    /// Sends bytes that are no request. The server is expected to close the connection.
    Garbage {
        /// The connection.
        slot: usize,
        /// The bytes, with a frame's length or without.
        bytes: Vec<u8>,
    },
    /// Closes the connection under the server; its session lives on.
    Drop {
        /// The connection.
        slot: usize,
    },
    /// Ends the server and starts it again on its data; all connections are gone then.
    Restart {
        /// With SIGKILL instead of SIGTERM.
        killed: bool,
    },
}

impl Step {
    /// The connection that it acts on.
    pub fn slot(&self) -> Option<usize> {
        match self {
            Self::Connect { slot, .. }
            | Self::Send { slot, .. }
            | Self::Garbage { slot, .. }
            | Self::Drop { slot } => Some(*slot),
            Self::Restart { .. } => None,
        }
    }

    /// The requests that it sends, but for a connect request.
    pub fn requests(&self) -> &[Request] {
        match self {
            Self::Connect { then: requests, .. } | Self::Send { requests, .. } => requests,
            Self::Garbage { .. } | Self::Drop { .. } | Self::Restart { .. } => &[],
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect { slot, hello, then } => {
                write!(f, "connection {slot} connects: {hello:?}")?;
                then.iter().try_for_each(|request| write!(f, "\n    then {request}"))
            }
            Self::Send { slot, requests } => {
                write!(f, "connection {slot} sends")?;
                requests.iter().try_for_each(|request| write!(f, "\n    {request}"))
            }
            Self::Garbage { slot, bytes } => {
                write!(f, "connection {slot} sends the bytes {}", bytes.escape_ascii())
            }
            Self::Drop { slot } => write!(f, "connection {slot} is dropped by its client"),
            Self::Restart { killed: true } => f.write_str("the server is killed and started"),
            Self::Restart { killed: false } => f.write_str("the server is stopped and started"),
        }
    }
}

/// A script and the lines of zoo.cfg that its servers run with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    /// What it was made from.
    pub seed: u64,
    /// Lines beyond the harness's own.
    pub config: Vec<&'static str>,
    /// Its steps.
    pub steps: Vec<Step>,
}
