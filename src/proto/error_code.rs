//! Error codes (`KeeperException.Code`).

use thiserror::Error;

/// Why a request failed: the number that stands in a reply header, a multi result or an error
/// transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
#[repr(i32)]
pub enum ErrorCode {
    /// In a multi: an operation after the one that failed.
    #[error("runtime inconsistency")]
    RuntimeInconsistency = -2,
    /// A body that could not be decoded, or any unexpected failure while serving.
    #[error("marshalling error")]
    MarshallingError = -5,
    /// An unknown opcode, or a feature that is off.
    #[error("unimplemented")]
    Unimplemented = -6,
    /// A bad path, flag, ttl or argument.
    #[error("bad arguments")]
    BadArguments = -8,
    /// A session the tracker does not know.
    #[error("unknown session")]
    UnknownSession = -12,
    /// reconfig: no quorum of the new configuration is in sync.
    #[error("no quorum of the new config is connected")]
    NewConfigNoQuorum = -13,
    /// reconfig: another one is pending.
    #[error("another reconfiguration is in progress")]
    ReconfigInProgress = -14,
    /// The node, or its parent, does not exist.
    #[error("no node")]
    NoNode = -101,
    /// The ACL refuses.
    #[error("not authenticated")]
    NoAuth = -102,
    /// The version is not the expected one.
    #[error("bad version")]
    BadVersion = -103,
    /// The parent is ephemeral.
    #[error("ephemerals cannot have children")]
    NoChildrenForEphemerals = -108,
    /// The node exists.
    #[error("node exists")]
    NodeExists = -110,
    /// The node has children.
    #[error("node has children")]
    NotEmpty = -111,
    /// The session has expired or is closing.
    #[error("session expired")]
    SessionExpired = -112,
    /// An ACL that is empty, of an unknown scheme or with a bad id.
    #[error("invalid ACL")]
    InvalidAcl = -114,
    /// Credentials were refused.
    #[error("authentication failed")]
    AuthFailed = -115,
    /// The session belongs to another connection; never sent, the connection is closed instead.
    #[error("session moved")]
    SessionMoved = -118,
    /// A write on a read-only server.
    #[error("server is read-only")]
    NotReadOnly = -119,
    /// An ephemeral node on a local session.
    #[error("ephemeral node on a local session")]
    EphemeralOnLocalSession = -120,
    /// No such watch.
    #[error("no such watcher")]
    NoWatcher = -121,
    /// reconfigEnabled is false.
    #[error("reconfiguration is disabled")]
    ReconfigDisabled = -123,
    /// The connection lacks the authentication that is enforced.
    #[error("session closed: authentication is required")]
    SessionClosedRequireAuth = -124,
    /// A hard quota.
    #[error("quota exceeded")]
    QuotaExceeded = -125,
    /// The request waited too long in the throttle.
    #[error("operation was throttled")]
    ThrottledOp = -127,
}

impl ErrorCode {
    /// The code with this number.
    pub fn from_code(code: i32) -> Option<Self> {
        use ErrorCode::*;
        const ALL: [ErrorCode; 24] = [
            RuntimeInconsistency,
            MarshallingError,
            Unimplemented,
            BadArguments,
            UnknownSession,
            NewConfigNoQuorum,
            ReconfigInProgress,
            NoNode,
            NoAuth,
            BadVersion,
            NoChildrenForEphemerals,
            NodeExists,
            NotEmpty,
            SessionExpired,
            InvalidAcl,
            AuthFailed,
            SessionMoved,
            NotReadOnly,
            EphemeralOnLocalSession,
            NoWatcher,
            ReconfigDisabled,
            SessionClosedRequireAuth,
            QuotaExceeded,
            ThrottledOp,
        ];
        ALL.into_iter().find(|error| *error as i32 == code)
    }

    /// Its number on the wire.
    pub fn code(self) -> i32 {
        self as i32
    }
}
