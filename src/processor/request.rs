//! Requests on their way through the processors (`Request`).

use std::sync::Arc;

use bytes::Bytes;

use crate::auth::Identity;
use crate::proto::{OpCode, SessionId};
use crate::session::{Arrival, ClientCnxn, Owner};

/// A request handed to the engine.
pub struct ClientRequest {
    /// Who waits for the answer; nobody does if the server itself asks.
    pub cnxn: Option<Arc<ClientCnxn>>,
    /// The session it is made in.
    pub session: SessionId,
    /// Which server the session's client is connected to.
    pub owner: Owner,
    /// Who its connection was when it came.
    pub identities: Arc<[Identity]>,
    /// Its number, opcode and time.
    pub arrival: Arrival,
    /// Its record.
    pub body: Bytes,
}

impl ClientRequest {
    /// What is left of a request whose record is not there any more.
    pub fn without_record(cnxn: Arc<ClientCnxn>, session: SessionId, arrival: Arrival) -> Self {
        let (identities, body) = (cnxn.identities(), Bytes::new());
        Self { cnxn: Some(cnxn), session, owner: Owner::ME, identities, arrival, body }
    }
}

/// A request of a client that was not answered when its server's role ended.
pub struct Unanswered {
    /// The request.
    pub request: ClientRequest,
    /// What has come of it.
    pub progress: Progress,
}

/// How far a request has come without being answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// This server alone knows of it.
    Waiting,
    /// It was sent to the leader.
    Sent,
    /// It has become a transaction, of which it is not known whether it is committed. Its record is
    /// not there any more.
    Proposed,
    /// It has no meaning beyond the role.
    Void,
}

/// How a client's request is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestKind {
    /// It becomes a transaction.
    Write,
    /// It is answered from the tree.
    Read,
    /// It waits for everything before it, of all sessions.
    Sync,
    /// It changes who the connection is, at once.
    Auth,
    /// A step of a SASL exchange.
    Sasl,
    /// No client may ask for it: the connection is closed without an answer.
    Forbidden,
    /// Answered with an error, and the connection is closed (`UnimplementedRequestProcessor`).
    Unknown,
}

/// How a request with this opcode is served (`Request.isValid`).
pub fn classify(op: Option<OpCode>) -> RequestKind {
    use OpCode::*;
    match op {
        Some(Create | Create2 | CreateContainer | CreateTtl | Delete | SetData | SetAcl)
        | Some(Multi | Reconfig | CloseSession) => RequestKind::Write,
        Some(Exists | GetData | GetAcl | GetChildren | GetChildren2 | GetAllChildrenNumber)
        | Some(Ping | SetWatches | SetWatches2 | CheckWatches | RemoveWatches | AddWatch)
        | Some(GetEphemerals | MultiRead | WhoAmI) => RequestKind::Read,
        Some(OpCode::Sync) => RequestKind::Sync,
        Some(OpCode::Auth) => RequestKind::Auth,
        Some(OpCode::Sasl) => RequestKind::Sasl,
        Some(DeleteContainer) => RequestKind::Forbidden,
        Some(Notification | Check | CreateSession | Error) | None => RequestKind::Unknown,
    }
}

/// What `cons` calls the operation (`FinalRequestProcessor`).
pub fn op_name(op: OpCode) -> &'static str {
    use OpCode::*;
    match op {
        Ping => "PING",
        CreateSession => "SESS",
        Multi => "MULT",
        MultiRead => "MLTR",
        Create | Create2 | CreateTtl | CreateContainer => "CREA",
        Delete | DeleteContainer => "DELE",
        SetData => "SETD",
        Reconfig => "RECO",
        SetAcl => "SETA",
        CloseSession => "CLOS",
        OpCode::Sync => "SYNC",
        Check => "CHEC",
        Exists => "EXIS",
        GetData => "GETD",
        SetWatches => "SETW",
        SetWatches2 => "STW2",
        AddWatch => "ADDW",
        GetAcl => "GETA",
        GetChildren | GetChildren2 => "GETC",
        GetAllChildrenNumber => "GETACN",
        CheckWatches => "CHKW",
        RemoveWatches => "REMW",
        WhoAmI => "HOMI",
        GetEphemerals => "GETE",
        Notification | Auth | OpCode::Sasl | Error => "NA",
    }
}
