//! Why an operation of the client failed (`KeeperException` and the exceptions around it).

use thiserror::Error;

use super::wire::WireError;
use crate::proto::ErrorCode;
use crate::proto::path::InvalidPath;

/// Number of `ConnectionLoss`, which no server ever sends.
pub(super) const CONNECTION_LOSS: i32 = -4;
/// Number of `RequestTimeout`, which no server ever sends.
pub(super) const REQUEST_TIMEOUT: i32 = -122;

/// Why an operation failed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ClientError {
    /// The connection went away before the reply came: the operation may or may not have happened.
    #[error("connection loss")]
    ConnectionLoss,
    /// No reply within `zookeeper.request.timeout`.
    #[error("request timeout")]
    RequestTimeout,
    /// The server refused. `SessionExpired` and `AuthFailed` also stand for a client that is
    /// closed.
    #[error("{0}")]
    Code(ErrorCode),
    /// The server answered with an error that is none of ZooKeeper's.
    #[error("unknown error code {0}")]
    UnknownCode(i32),
    /// An argument that is refused before anything is sent (`IllegalArgumentException`).
    #[error("{0}")]
    InvalidArgument(String),
    /// The server's answer makes no sense.
    #[error("bad answer from the server: {0}")]
    Wire(#[from] WireError),
}

impl ClientError {
    /// The error behind the number in a reply header, which is not 0.
    pub fn from_code(code: i32) -> Self {
        match code {
            CONNECTION_LOSS => Self::ConnectionLoss,
            REQUEST_TIMEOUT => Self::RequestTimeout,
            _ => ErrorCode::from_code(code).map_or(Self::UnknownCode(code), Self::Code),
        }
    }

    /// Its number, 0 for errors that have none.
    pub fn code(&self) -> i32 {
        match self {
            Self::ConnectionLoss => CONNECTION_LOSS,
            Self::RequestTimeout => REQUEST_TIMEOUT,
            Self::Code(code) => code.code(),
            Self::UnknownCode(code) => *code,
            Self::InvalidArgument(_) | Self::Wire(_) => 0,
        }
    }
}

impl From<InvalidPath> for ClientError {
    fn from(error: InvalidPath) -> Self {
        Self::InvalidArgument(error.to_string())
    }
}

impl From<jute::JuteError> for ClientError {
    fn from(error: jute::JuteError) -> Self {
        Self::Wire(error.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_become_errors_and_back() {
        for code in [-4, -101, -112, -122, -999] {
            assert_eq!(ClientError::from_code(code).code(), code);
        }
        assert_eq!(ClientError::from_code(-101), ClientError::Code(ErrorCode::NoNode));
    }
}
