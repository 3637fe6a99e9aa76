//! Several operations in one request (`MultiOperationRecord`, `MultiResponse`, `Op`, `OpResult`).

use bytes::BytesMut;
use jute::{
    Acl, CheckVersionRequest, Create2Response, CreateRequest, CreateResponse, CreateTtlRequest,
    DeleteRequest, ErrorResponse, Field, GetChildrenRequest, GetChildrenResponse, GetDataRequest,
    GetDataResponse, MultiHeader, Reader, SetDataRequest, SetDataResponse, Stat,
};

use super::ClientError;
use super::wire::WireError;
use crate::proto::{CreateMode, OpCode};

/// One operation. Paths are the client's.
#[derive(Debug, Clone)]
pub enum Op {
    /// Creates a node.
    Create {
        /// The node.
        path: String,
        /// Its data.
        data: Option<Vec<u8>>,
        /// Its access control list.
        acl: Vec<Acl<'static>>,
        /// Its kind.
        mode: CreateMode,
        /// Milliseconds it lives, for the TTL kinds.
        ttl: i64,
    },
    /// Deletes a node if its data has this version, -1 for any.
    Delete(String, i32),
    /// Replaces a node's data if it has this version, -1 for any.
    SetData(String, Option<Vec<u8>>, i32),
    /// Fails unless the node's data has this version.
    Check(String, i32),
    /// Reads a node's data (multiRead only).
    GetData(String),
    /// Reads the names of a node's children (multiRead only).
    GetChildren(String),
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OpResult {
    /// Created, under this path.
    Create(String, Option<Stat>),
    /// Deleted.
    Delete,
    /// Data replaced.
    SetData(Stat),
    /// The version was as expected.
    Check,
    /// Data read.
    GetData(Option<Vec<u8>>, Stat),
    /// Children read.
    GetChildren(Vec<String>),
    /// Failed with this code; in a multi the operations that did not fail have 0 before the one
    /// that did, and -2 after it.
    Error(i32),
}

const END: MultiHeader = MultiHeader { kind: -1, done: true, err: -1 };

impl Op {
    /// Its path, to be checked before anything is sent.
    pub(super) fn path(&self) -> &str {
        match self {
            Self::Create { path, .. }
            | Self::Delete(path, _)
            | Self::SetData(path, ..)
            | Self::Check(path, _)
            | Self::GetData(path)
            | Self::GetChildren(path) => path,
        }
    }

    /// Its opcode.
    pub(super) fn op_code(&self) -> OpCode {
        match self {
            Self::Create { mode, .. } if mode.is_ttl() => OpCode::CreateTtl,
            Self::Create { mode: CreateMode::Container, .. } => OpCode::CreateContainer,
            Self::Create { .. } => OpCode::Create,
            Self::Delete(..) => OpCode::Delete,
            Self::SetData(..) => OpCode::SetData,
            Self::Check(..) => OpCode::Check,
            Self::GetData(_) => OpCode::GetData,
            Self::GetChildren(_) => OpCode::GetChildren,
        }
    }

    fn put(&self, out: &mut BytesMut, to_server: &impl Fn(&str) -> String) {
        MultiHeader { kind: self.op_code().code(), done: false, err: -1 }.write(out);
        let path = to_server(self.path()).into();
        match self {
            Self::Create { data, acl, mode, ttl, .. } if mode.is_ttl() => CreateTtlRequest {
                path,
                data: data.as_deref(),
                acl: acl.clone(),
                flags: *mode as i32,
                ttl: *ttl,
            }
            .write(out),
            Self::Create { data, acl, mode, .. } => {
                CreateRequest { path, data: data.as_deref(), acl: acl.clone(), flags: *mode as i32 }
                    .write(out)
            }
            Self::Delete(_, version) => DeleteRequest { path, version: *version }.write(out),
            Self::SetData(_, data, version) => {
                SetDataRequest { path, data: data.as_deref(), version: *version }.write(out)
            }
            Self::Check(_, version) => CheckVersionRequest { path, version: *version }.write(out),
            Self::GetData(_) => GetDataRequest { path, watch: false }.write(out),
            Self::GetChildren(_) => GetChildrenRequest { path, watch: false }.write(out),
        }
    }
}

/// Appends the body of a multi or multiRead.
pub(super) fn put_ops(out: &mut BytesMut, ops: &[Op], to_server: impl Fn(&str) -> String) {
    ops.iter().for_each(|op| op.put(out, &to_server));
    END.write(out);
}

/// Decodes the body of the answer.
pub(super) fn read_results(
    body: &mut Reader<'_>,
    from_server: impl Fn(&str) -> String,
) -> Result<Vec<OpResult>, ClientError> {
    let mut results = Vec::new();
    loop {
        let header = MultiHeader::read(body)?;
        if header.done {
            return Ok(results);
        }
        results.push(read_result(header.kind, body, &from_server)?);
    }
}

fn read_result(
    kind: i32,
    body: &mut Reader<'_>,
    from_server: &impl Fn(&str) -> String,
) -> Result<OpResult, WireError> {
    Ok(match OpCode::from_code(kind) {
        Some(OpCode::Create) => {
            OpResult::Create(from_server(&CreateResponse::read(body)?.path), None)
        }
        Some(OpCode::Create2 | OpCode::CreateContainer | OpCode::CreateTtl) => {
            let created = Create2Response::read(body)?;
            OpResult::Create(from_server(&created.path), Some(created.stat))
        }
        Some(OpCode::Delete) => OpResult::Delete,
        Some(OpCode::SetData) => OpResult::SetData(SetDataResponse::read(body)?.stat),
        Some(OpCode::Check) => OpResult::Check,
        Some(OpCode::GetData) => {
            let read = GetDataResponse::read(body)?;
            OpResult::GetData(read.data.map(<[u8]>::to_vec), read.stat)
        }
        Some(OpCode::GetChildren) => {
            let children = GetChildrenResponse::read(body)?.children;
            OpResult::GetChildren(children.into_iter().map(|child| child.into_owned()).collect())
        }
        Some(OpCode::Error) => OpResult::Error(ErrorResponse::read(body)?.err),
        _ => return Err(WireError::ResultType(kind)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result_frame(parts: &[(MultiHeader, Vec<u8>)]) -> Vec<u8> {
        let mut out = Vec::new();
        for (header, body) in parts {
            header.write(&mut out);
            out.extend_from_slice(body);
        }
        END.write(&mut out);
        out
    }

    #[test]
    fn operations_are_written_between_headers() {
        let mut out = BytesMut::new();
        put_ops(&mut out, &[Op::Delete("/a".into(), -1)], |path| format!("/r{path}"));
        let mut expected = MultiHeader { kind: 2, done: false, err: -1 }.to_vec();
        expected.extend(DeleteRequest { path: "/r/a".into(), version: -1 }.to_vec());
        expected.extend(END.to_vec());
        assert_eq!(out[..], expected);
    }

    #[test]
    fn a_failed_multi_has_a_code_for_each_operation() {
        let error =
            |err| (MultiHeader { kind: -1, done: false, err }, ErrorResponse { err }.to_vec());
        let frame = result_frame(&[error(0), error(-101), error(-2)]);
        let results = read_results(&mut Reader::new(&frame), str::to_owned).unwrap();
        assert_eq!(results, [0, -101, -2].map(OpResult::Error));
    }

    #[test]
    fn results_are_read_by_their_type_and_garbage_is_an_error() {
        let created = CreateResponse { path: "/r/a".into() }.to_vec();
        let frame = result_frame(&[
            (MultiHeader { kind: 1, done: false, err: 0 }, created),
            (MultiHeader { kind: 13, done: false, err: 0 }, vec![]),
        ]);
        let strip = |path: &str| path.trim_start_matches("/r").to_owned();
        let results = read_results(&mut Reader::new(&frame), strip).unwrap();
        assert_eq!(results, [OpResult::Create("/a".into(), None), OpResult::Check]);
        let garbage = result_frame(&[(MultiHeader { kind: 99, done: false, err: 0 }, vec![])]);
        assert!(read_results(&mut Reader::new(&garbage), strip).is_err());
        assert!(read_results(&mut Reader::new(&frame[..10]), strip).is_err());
    }
}
