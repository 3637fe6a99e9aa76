//! multi: several writes as one transaction, all or none.
//!
//! The request is a list of `MultiHeader` and request, ended by a header that is done. So is the
//! answer, with results in place of requests.

use bytes::{BufMut, BytesMut};
use jute::{
    CheckVersionRequest, CreateRequest, CreateTtlRequest, DeleteRequest, ErrorResponse, Field,
    GetChildrenRequest, GetDataRequest, MultiHeader, Reader, SetDataRequest,
};

use super::prep::Prep;
use super::{check, create, delete, set_data};
use crate::proto::{CreateMode, ErrorCode, OpCode};
use crate::tree::Applied;

/// One operation of a multi or multiRead (`Op`).
#[derive(Debug)]
pub enum MultiOp<'a> {
    /// create, create2 or createContainer.
    Create(OpCode, CreateRequest<'a>),
    /// createTTL.
    CreateTtl(CreateTtlRequest<'a>),
    /// delete.
    Delete(DeleteRequest<'a>),
    /// setData.
    SetData(SetDataRequest<'a>),
    /// check.
    Check(CheckVersionRequest<'a>),
    /// getData, without a watch.
    GetData(GetDataRequest<'a>),
    /// getChildren, without a watch.
    GetChildren(GetChildrenRequest<'a>),
}

impl MultiOp<'_> {
    fn op_code(&self) -> OpCode {
        match self {
            Self::Create(op, _) => *op,
            Self::CreateTtl(_) => OpCode::CreateTtl,
            Self::Delete(_) => OpCode::Delete,
            Self::SetData(_) => OpCode::SetData,
            Self::Check(_) => OpCode::Check,
            Self::GetData(_) => OpCode::GetData,
            Self::GetChildren(_) => OpCode::GetChildren,
        }
    }

    fn is_read(&self) -> bool {
        matches!(self, Self::GetData(_) | Self::GetChildren(_))
    }
}

/// Reads the operations of a request; reads and writes do not mix
/// (`MultiOperationRecord.deserialize`).
pub fn decode<'a>(body: &'a [u8], max_buffer_bytes: usize) -> Result<Vec<MultiOp<'a>>, ErrorCode> {
    let mut reader = Reader::with_limit(body, max_buffer_bytes);
    let mut ops: Vec<MultiOp<'a>> = Vec::new();
    loop {
        let header = MultiHeader::read(&mut reader).map_err(|_| ErrorCode::MarshallingError)?;
        if header.done {
            return Ok(ops);
        }
        let op = decode_op(header.kind, &mut reader)?;
        if ops.first().is_some_and(|first| first.is_read() != op.is_read()) {
            return Err(ErrorCode::MarshallingError);
        }
        ops.push(op);
    }
}

fn decode_op<'a>(kind: i32, reader: &mut Reader<'a>) -> Result<MultiOp<'a>, ErrorCode> {
    let op = OpCode::from_code(kind).ok_or(ErrorCode::MarshallingError)?;
    let decoded = match op {
        OpCode::Create | OpCode::Create2 | OpCode::CreateContainer => {
            CreateRequest::read(reader).map(|request| create_op(op, request))
        }
        OpCode::CreateTtl => CreateTtlRequest::read(reader).map(create_ttl_op),
        OpCode::Delete => Field::read(reader).map(|request| Some(MultiOp::Delete(request))),
        OpCode::SetData => Field::read(reader).map(|request| Some(MultiOp::SetData(request))),
        OpCode::Check => Field::read(reader).map(|request| Some(MultiOp::Check(request))),
        OpCode::GetData => Field::read(reader).map(|request| Some(MultiOp::GetData(request))),
        OpCode::GetChildren => {
            Field::read(reader).map(|request| Some(MultiOp::GetChildren(request)))
        }
        _ => Ok(None),
    };
    decoded.ok().flatten().ok_or(ErrorCode::MarshallingError)
}

/// Within a multi the flags decide: a container is one whatever opcode asks for it (`Op.Create`).
fn create_op(op: OpCode, request: CreateRequest<'_>) -> Option<MultiOp<'_>> {
    let mode = CreateMode::from_flags(request.flags)?;
    match mode {
        mode if mode.is_ttl() => None,
        CreateMode::Container => Some(MultiOp::Create(OpCode::CreateContainer, request)),
        _ => Some(MultiOp::Create(op, request)),
    }
}

/// createTTL with the flags of another mode is a plain create (`Op.create` with a ttl).
fn create_ttl_op(request: CreateTtlRequest<'_>) -> Option<MultiOp<'_>> {
    let mode = CreateMode::from_flags(request.flags);
    if mode.is_some_and(CreateMode::is_ttl) {
        return Some(MultiOp::CreateTtl(request));
    }
    let op = match mode {
        Some(CreateMode::Container) => OpCode::CreateContainer,
        _ => OpCode::Create,
    };
    let CreateTtlRequest { path, data, acl, flags, .. } = request;
    Some(MultiOp::Create(op, CreateRequest { path, data, acl, flags }))
}

/// Prepares all operations as one transaction. If one fails, its error and those of the rest stand
/// in the transaction, which then changes nothing; the error returned is that of the failed one.
pub fn prep(
    prep: &mut Prep<'_>,
    ops: &[MultiOp<'_>],
    out: &mut Vec<u8>,
) -> Result<Option<ErrorCode>, ErrorCode> {
    if ops.first().is_some_and(MultiOp::is_read) {
        return Err(ErrorCode::MarshallingError);
    }
    let mut failure = None;
    prep.changes.begin();
    out.put_i32(ops.len() as i32);
    for op in ops {
        if failure.is_some() {
            write_error(ErrorCode::RuntimeInconsistency, out);
            continue;
        }
        let start = out.len();
        out.put_i32(op.op_code().code());
        out.put_i32(0);
        let body = out.len();
        match prep_op(prep, op, out) {
            Ok(()) => {
                let len = (out.len() - body) as i32;
                out[body - 4..body].copy_from_slice(&len.to_be_bytes());
            }
            Err(error) => {
                out.truncate(start);
                write_error(error, out);
                failure = Some(error);
            }
        }
    }
    match failure {
        None => prep.changes.keep(),
        Some(_) => prep.changes.roll_back(),
    }
    Ok(failure)
}

fn prep_op(prep: &mut Prep<'_>, op: &MultiOp<'_>, out: &mut Vec<u8>) -> Result<(), ErrorCode> {
    match op {
        MultiOp::Create(op, request) => create::prep(prep, *op, request, out),
        MultiOp::CreateTtl(request) => create::prep_ttl(prep, request, out),
        MultiOp::Delete(request) => delete::prep(prep, request, out),
        MultiOp::SetData(request) => set_data::prep(prep, request, out),
        MultiOp::Check(request) => check::prep(prep, request, out),
        MultiOp::GetData(_) | MultiOp::GetChildren(_) => Err(ErrorCode::MarshallingError),
    }
}

/// A `Txn` of type error.
fn write_error(error: ErrorCode, out: &mut Vec<u8>) {
    out.put_i32(OpCode::Error.code());
    out.put_i32(4);
    out.put_i32(error.code());
}

/// Answers with one result for each operation.
pub fn reply(results: &[Applied<'_>], out: &mut BytesMut) {
    for result in results {
        match result {
            Applied::Created { op: OpCode::Create, path, .. } => {
                write_header(OpCode::Create, out);
                create::reply(OpCode::Create, path, &jute::Stat::default(), out);
            }
            Applied::Created { path, stat, .. } => {
                write_header(OpCode::Create2, out);
                create::reply(OpCode::Create2, path, stat, out);
            }
            Applied::Deleted => write_header(OpCode::Delete, out),
            Applied::DataSet(stat) | Applied::AclSet(stat) => {
                write_header(OpCode::SetData, out);
                set_data::reply(stat, out);
            }
            Applied::Checked => write_header(OpCode::Check, out),
            Applied::Failed(code) => write_error_result(*code, out),
            Applied::Session | Applied::Multi(_) => {
                unreachable!("a multi holds neither sessions nor multis")
            }
        }
    }
    write_end(out);
}

pub(super) fn write_header(op: OpCode, out: &mut BytesMut) {
    MultiHeader { kind: op.code(), done: false, err: 0 }.write(out);
}

pub(super) fn write_error_result(code: i32, out: &mut BytesMut) {
    MultiHeader { kind: OpCode::Error.code(), done: false, err: code }.write(out);
    ErrorResponse { err: code }.write(out);
}

pub(super) fn write_end(out: &mut BytesMut) {
    MultiHeader { kind: -1, done: true, err: -1 }.write(out);
}
