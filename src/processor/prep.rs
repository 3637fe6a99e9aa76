//! The first processor of a write (`PrepRequestProcessor`): it checks the request against the tree
//! and what is pending, gives it a zxid, and writes the transaction it becomes. A refused request
//! becomes an error transaction and goes the same road.
//!
//! Invariants:
//! 1. zxids are given out without a gap, in the order of the log.
//! 2. A request that cannot be decoded takes no zxid, except a multi.

use jute::{ErrorTxn, Field, JuteError, Reader, TxnDigest, TxnHeader};

use super::ClientRequest;
use crate::auth::ProviderRegistry;
use crate::op::{self, Prep, PrepLimits};
use crate::proto::{ErrorCode, Millis, OpCode, SessionId, Xid, Zxid};
use crate::session::{Arrival, LeaderSessionTracker};
use crate::stats::ServerMetrics;
use crate::tree::{DIGEST_VERSION, DataTree, OutstandingChanges};

/// How requests are prepared.
#[derive(Debug, Clone, Copy)]
pub struct PrepOptions {
    /// Settings that decide whether a write is accepted.
    pub limits: PrepLimits,
    /// Longest string or buffer inside a request, in bytes.
    pub max_buffer_bytes: usize,
}

/// The transaction a request became.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prepared {
    /// The transaction.
    pub zxid: Zxid,
    /// Why it is an error transaction; or, of a multi, why it changes nothing.
    pub error: Option<ErrorCode>,
}

/// The processor.
pub struct PrepRequestProcessor {
    /// What is prepared and not yet applied.
    pub changes: OutstandingChanges,
    options: PrepOptions,
    last_zxid: Zxid,
}

impl PrepRequestProcessor {
    /// A processor that goes on after `last_zxid`.
    pub fn new(options: PrepOptions, last_zxid: Zxid) -> Self {
        Self { changes: OutstandingChanges::default(), options, last_zxid }
    }

    /// zxid of the last transaction prepared.
    pub fn last_zxid(&self) -> Zxid {
        self.last_zxid
    }

    /// Prepares a request and appends its log entry to `out`; `time` is in milliseconds since 1970.
    /// A request that cannot be decoded leaves no transaction, only the error it is answered with;
    /// what was appended is then to be dropped. With a reconfig comes the configuration that it
    /// makes, or why it makes none; where there is no ensemble, nothing does.
    #[allow(clippy::too_many_arguments, reason = "the parts of a server, borrowed apart")]
    pub fn process(
        &mut self,
        tree: &DataTree,
        sessions: &mut LeaderSessionTracker,
        auth: &ProviderRegistry,
        metrics: &ServerMetrics,
        (request, config): (&ClientRequest, Option<&Result<String, ErrorCode>>),
        time: Millis,
        out: &mut Vec<u8>,
    ) -> Result<Prepared, ErrorCode> {
        let start = out.len();
        let header = TxnHeader {
            client_id: request.session.0,
            cxid: request.arrival.xid,
            zxid: self.last_zxid.next().0,
            time,
            kind: request.arrival.op.code(),
        };
        header.write(out);
        let mut prep = Prep {
            tree,
            changes: &mut self.changes,
            sessions,
            auth,
            metrics,
            limits: self.options.limits,
            session: request.session,
            owner: request.owner,
            identities: &request.identities,
            zxid: Zxid(header.zxid),
            time,
        };
        let body = Body { bytes: &request.body, max_buffer_bytes: self.options.max_buffer_bytes };
        let error = match dispatch(&mut prep, request.arrival.op, body, config, out) {
            Ok(error) => error,
            Err(Refusal::Undecodable) => return Err(ErrorCode::MarshallingError),
            Err(Refusal::Failed(error)) => {
                out.truncate(start);
                let zxid = self.refuse(request.session, request.arrival, error, time, out);
                return Ok(Prepared { zxid, error: Some(error) });
            }
        };
        self.end_txn(tree, Zxid(header.zxid), out);
        Ok(Prepared { zxid: self.last_zxid, error })
    }

    /// Writes the error transaction of a request that is refused, or cannot be decoded.
    pub fn refuse(
        &mut self,
        session: SessionId,
        arrival: Arrival,
        error: ErrorCode,
        time: Millis,
        out: &mut Vec<u8>,
    ) -> Zxid {
        let zxid = self.last_zxid.next();
        let kind = OpCode::Error.code();
        TxnHeader { client_id: session.0, cxid: arrival.xid, zxid: zxid.0, time, kind }.write(out);
        ErrorTxn { err: error.code() }.write(out);
        self.last_zxid = zxid;
        zxid
    }

    /// Writes the transaction of a session being created.
    pub fn create_session(
        &mut self,
        tree: &DataTree,
        session: SessionId,
        xid: Xid,
        timeout_ms: i32,
        time: Millis,
        out: &mut Vec<u8>,
    ) -> Zxid {
        let zxid = self.last_zxid.next();
        let kind = OpCode::CreateSession.code();
        TxnHeader { client_id: session.0, cxid: xid, zxid: zxid.0, time, kind }.write(out);
        op::create_session::prep(timeout_ms, out);
        self.end_txn(tree, zxid, out);
        zxid
    }

    /// Writes the digest behind a transaction.
    fn end_txn(&mut self, tree: &DataTree, zxid: Zxid, out: &mut Vec<u8>) {
        if tree.options().digest_enabled {
            let tree_digest = self.changes.digest(tree) as i64;
            TxnDigest { version: DIGEST_VERSION, tree_digest }.write(out);
        }
        self.last_zxid = zxid;
    }
}

enum Refusal {
    /// No transaction comes of it.
    Undecodable,
    /// An error transaction does.
    Failed(ErrorCode),
}

impl From<ErrorCode> for Refusal {
    fn from(error: ErrorCode) -> Self {
        Refusal::Failed(error)
    }
}

struct Body<'a> {
    bytes: &'a [u8],
    max_buffer_bytes: usize,
}

impl<'a> Body<'a> {
    fn decode<T: Field<'a>>(&self) -> Result<T, Refusal> {
        let mut reader = Reader::with_limit(self.bytes, self.max_buffer_bytes);
        T::read(&mut reader).map_err(|error| match error {
            // A null string is read by Apache's server and refused only when it is used.
            JuteError::Null { .. } => Refusal::Failed(ErrorCode::MarshallingError),
            _ => Refusal::Undecodable,
        })
    }
}

fn dispatch(
    prep: &mut Prep<'_>,
    op: OpCode,
    body: Body<'_>,
    config: Option<&Result<String, ErrorCode>>,
    out: &mut Vec<u8>,
) -> Result<Option<ErrorCode>, Refusal> {
    match op {
        OpCode::Create | OpCode::Create2 | OpCode::CreateContainer => {
            op::create::prep(prep, op, &body.decode()?, out)?;
        }
        OpCode::CreateTtl => op::create::prep_ttl(prep, &body.decode()?, out)?,
        OpCode::Delete => op::delete::prep(prep, &body.decode()?, out)?,
        OpCode::SetData => op::set_data::prep(prep, &body.decode()?, out)?,
        OpCode::SetAcl => op::set_acl::prep(prep, &body.decode()?, out)?,
        OpCode::Multi => {
            let ops = op::multi::decode(body.bytes, body.max_buffer_bytes)?;
            return Ok(op::multi::prep(prep, &ops, out)?);
        }
        OpCode::Reconfig => {
            let _: jute::ReconfigRequest<'_> = body.decode()?;
            op::reconfig::prep(prep, config, out)?;
        }
        OpCode::CloseSession => op::close_session::prep(prep, out),
        OpCode::DeleteContainer => {
            let path: jute::Ustring<'_> = body.decode()?;
            op::delete_container::prep(prep, &path, out)?;
        }
        _ => unreachable!("{op:?} is not a write"),
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use jute::{Acl, CreateRequest, Id};

    use super::*;
    use crate::auth::{AuthOptions, Identity};
    use crate::op::PrepLimits;
    use crate::proto::{CreateMode, TxnBody, TxnEntry};
    use crate::session::{Owner, SessionTracker};
    use crate::tree::TreeOptions;

    fn ephemeral(path: &str) -> Vec<u8> {
        let id = Id { scheme: "world".into(), id: "anyone".into() };
        CreateRequest {
            path: path.into(),
            data: None,
            acl: vec![Acl { perms: 31, id }],
            flags: CreateMode::Ephemeral as i32,
        }
        .to_vec()
    }

    #[test]
    fn a_session_closed_twice_takes_no_node_that_another_made_in_between() {
        let mut tree = DataTree::new(TreeOptions::default());
        let mut sessions = LeaderSessionTracker::new(SessionTracker::new(2_000, SessionId(1)));
        let (first, _, _) = sessions.create(10_000, 0);
        let (second, _, _) = sessions.create(10_000, 0);
        let options = PrepOptions { limits: PrepLimits::default(), max_buffer_bytes: 1 << 20 };
        let mut processor = PrepRequestProcessor::new(options, Zxid(0));
        let auth = ProviderRegistry::new(AuthOptions::default());
        let metrics = ServerMetrics::noop();
        let mut ask = |tree: &DataTree, session: SessionId, op: OpCode, body: Vec<u8>| {
            let identities: Arc<[Identity]> = [Identity::new("ip", "10.1.2.3")].into();
            let arrival = Arrival { xid: 1, op, at: 0 };
            let owner = Owner::ME;
            let body = body.into();
            let request = ClientRequest { cnxn: None, session, owner, identities, arrival, body };
            let mut out = Vec::new();
            let prepared = processor.process(
                tree,
                &mut sessions,
                &auth,
                &metrics,
                (&request, None),
                0,
                &mut out,
            );
            assert_eq!(prepared.expect("it can be decoded").error, None);
            out
        };
        let created = ask(&tree, first, OpCode::Create, ephemeral("/e"));
        let _ = tree.apply(&TxnEntry::decode(&created).expect("an entry"), &mut ());
        // Its client closes it, another one takes its place, and then it expires, too.
        ask(&tree, first, OpCode::CloseSession, Vec::new());
        ask(&tree, second, OpCode::Create, ephemeral("/e"));
        let again = ask(&tree, first, OpCode::CloseSession, Vec::new());
        let again = TxnEntry::decode(&again).expect("an entry");
        let TxnBody::CloseSession(Some(txn)) = again.body else { panic!("{again:?}") };
        assert!(txn.paths2_delete.is_empty(), "{txn:?}");
    }
}
