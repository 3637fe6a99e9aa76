//! How a command of the shell fails (`CliException` and its children).

use crate::client::ClientError;
use crate::proto::ErrorCode;
use crate::tree::quota::InvalidStats;

/// A message for standard error, and what the process exits with if this was its last command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CliError {
    pub(super) message: String,
    pub(super) exit_code: u8,
}

impl CliError {
    /// A failed command.
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), exit_code: 1 }
    }

    /// A command that does not exist. Java repeats itself here, too.
    pub(super) fn not_found(command: &str) -> Self {
        let message = format!("Command not found: Command not found {command}");
        Self { message, exit_code: 127 }
    }
}

/// An operation that failed on a node (`KeeperException` with its path).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct KeeperError {
    pub(super) error: ClientError,
    /// The node, if the operation was about one.
    path: Option<String>,
}

/// Names the node that a failed operation was about.
pub(super) trait AtPath<T> {
    /// The failure with the node's path.
    fn at(self, path: &str) -> Result<T, KeeperError>;
    /// The failure of an operation without a node.
    fn at_no_path(self) -> Result<T, KeeperError>;
}

impl<T> AtPath<T> for Result<T, ClientError> {
    fn at(self, path: &str) -> Result<T, KeeperError> {
        self.map_err(|error| KeeperError::new(error, path))
    }

    fn at_no_path(self) -> Result<T, KeeperError> {
        self.map_err(KeeperError::without_path)
    }
}

impl KeeperError {
    /// A failure on a node.
    pub(super) fn new(error: ClientError, path: &str) -> Self {
        Self { error, path: Some(path.to_owned()) }
    }

    /// A failure that knows no node.
    pub(super) fn without_path(error: ClientError) -> Self {
        Self { error, path: None }
    }

    /// Whether the server answered with this code.
    pub(super) fn is(&self, code: ErrorCode) -> bool {
        self.error == ClientError::Code(code)
    }

    /// `KeeperException.getMessage`.
    pub(super) fn message(&self) -> String {
        let name = match &self.error {
            ClientError::InvalidArgument(reason) => return reason.clone(),
            ClientError::Wire(reason) => return reason.to_string(),
            ClientError::ConnectionLoss => "ConnectionLoss".into(),
            ClientError::RequestTimeout => "Unknown error REQUESTTIMEOUT".into(),
            ClientError::UnknownCode(code) => format!("Unknown error {code}"),
            ClientError::Code(code) => code_name(*code).to_owned(),
        };
        match self.path.as_deref() {
            None | Some("") => format!("KeeperErrorCode = {name}"),
            Some(path) => format!("KeeperErrorCode = {name} for {path}"),
        }
    }

    /// What the shell says instead of it (`CliWrapperException`).
    fn shell_message(&self) -> String {
        use ErrorCode::*;
        let path = self.path.as_deref().unwrap_or("null");
        let ClientError::Code(code) = self.error else { return self.message() };
        match code {
            NoNode => format!("Node does not exist: {path}"),
            NoChildrenForEphemerals => format!("Ephemerals cannot have children: {path}"),
            NodeExists => format!("Node already exists: {path}"),
            NotEmpty => format!("Node not empty: {path}"),
            NotReadOnly => format!("Not a read-only call: {path}"),
            InvalidAcl => format!("Acl is not valid : {path}"),
            NoAuth => format!("Insufficient permission : {path}"),
            BadArguments => format!("Arguments are not valid : {path}"),
            BadVersion => format!("version No is not valid : {path}"),
            ReconfigInProgress => "Another reconfiguration is in progress -- concurrent \
                                   reconfigs not supported (yet)"
                .into(),
            NewConfigNoQuorum => "No quorum of new config is connected and up-to-date with the \
                                  leader of last commmitted config - try invoking reconfiguration \
                                  after new servers are connected and synced"
                .into(),
            QuotaExceeded => format!("Quota has exceeded : {path}"),
            _ => self.message(),
        }
    }
}

impl From<InvalidStats> for CliError {
    fn from(error: InvalidStats) -> Self {
        Self::new(error.to_string())
    }
}

impl From<KeeperError> for CliError {
    fn from(error: KeeperError) -> Self {
        Self::new(error.shell_message())
    }
}

/// `KeeperException.getCodeMessage`.
fn code_name(code: ErrorCode) -> &'static str {
    use ErrorCode::*;
    match code {
        RuntimeInconsistency => "RuntimeInconsistency",
        MarshallingError => "MarshallingError",
        Unimplemented => "Unimplemented",
        BadArguments => "BadArguments",
        UnknownSession => "Unknown error UNKNOWNSESSION",
        NewConfigNoQuorum => "NewConfigNoQuorum",
        ReconfigInProgress => "ReconfigInProgress",
        NoNode => "NoNode",
        NoAuth => "NoAuth",
        BadVersion => "BadVersion",
        NoChildrenForEphemerals => "NoChildrenForEphemerals",
        NodeExists => "NodeExists",
        NotEmpty => "Directory not empty",
        SessionExpired => "Session expired",
        InvalidAcl => "InvalidACL",
        AuthFailed => "AuthFailed",
        SessionMoved => "Session moved",
        NotReadOnly => "Not a read-only call",
        EphemeralOnLocalSession => "Ephemeral node on local session",
        NoWatcher => "No such watcher",
        ReconfigDisabled => "Reconfig is disabled",
        SessionClosedRequireAuth => "Session closed because client failed to authenticate",
        QuotaExceeded => "Quota has exceeded",
        ThrottledOp => "Op throttled due to high load",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(error: ClientError, path: &str) -> String {
        CliError::from(KeeperError::new(error, path)).message
    }

    #[test]
    fn errors_have_javas_words() {
        let code = ClientError::Code;
        assert_eq!(shown(code(ErrorCode::NoNode), "/x"), "Node does not exist: /x");
        assert_eq!(shown(code(ErrorCode::BadVersion), "/x"), "version No is not valid : /x");
        let watcher = "KeeperErrorCode = No such watcher for /x";
        assert_eq!(shown(code(ErrorCode::NoWatcher), "/x"), watcher);
        let lost = "KeeperErrorCode = ConnectionLoss for /x";
        assert_eq!(shown(ClientError::ConnectionLoss, "/x"), lost);
        assert_eq!(shown(code(ErrorCode::Unimplemented), ""), "KeeperErrorCode = Unimplemented");
    }
}
