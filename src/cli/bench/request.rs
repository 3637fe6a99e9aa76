//! Requests encoded once and patched for each use: a template is a whole frame, or one operation of
//! a multi, in which only the xid and the decimal digits at the end of the path change.

use bytes::BytesMut;
use jute::{
    Acl, CreateRequest, DeleteRequest, Field, GetChildrenRequest, GetDataRequest, Id, MultiHeader,
    RequestHeader, SetDataRequest,
};

use crate::client::wire;
use crate::proto::frame::put_frame;
use crate::proto::{OpCode, Perms, Xid};

/// Digits at the end of every numbered path.
pub(super) const DIGITS: usize = 8;

/// Bytes before a request's record: frame length, xid, opcode.
const HEADER_BYTES: usize = 12;

/// Bytes of a `MultiHeader`.
const MULTI_HEADER_BYTES: usize = 9;

/// The path of znode `number` under `parent`.
pub(super) fn numbered(parent: &str, number: u32) -> String {
    format!("{parent}/{number:0DIGITS$}")
}

/// A request whose path ends in a number.
#[derive(Debug, Clone)]
pub(super) struct Template {
    bytes: BytesMut,
    digits_at: usize,
}

impl Template {
    /// getData of a child of `parent`.
    pub(super) fn get(parent: &str) -> Self {
        let path = numbered(parent, 0);
        Self::framed(
            OpCode::GetData,
            &path,
            &GetDataRequest { path: (&*path).into(), watch: false },
        )
    }

    /// setData of a child of `parent`.
    pub(super) fn set(parent: &str, data: &[u8]) -> Self {
        let path = numbered(parent, 0);
        let record = SetDataRequest { path: (&*path).into(), data: Some(data), version: -1 };
        Self::framed(OpCode::SetData, &path, &record)
    }

    /// create of a child of `parent`.
    pub(super) fn create(parent: &str, data: &[u8]) -> Self {
        let path = numbered(parent, 0);
        Self::framed(OpCode::Create, &path, &create_record(&path, data))
    }

    /// delete of a child of `parent`.
    pub(super) fn delete(parent: &str) -> Self {
        let path = numbered(parent, 0);
        Self::framed(OpCode::Delete, &path, &delete_record(&path))
    }

    /// create of a child of `parent`, as an operation of a multi.
    pub(super) fn create_in_multi(parent: &str, data: &[u8]) -> Self {
        let path = numbered(parent, 0);
        let mut bytes = BytesMut::new();
        put_multi_header(OpCode::Create.code(), false, &mut bytes);
        create_record(&path, data).write(&mut bytes);
        Self { bytes, digits_at: MULTI_HEADER_BYTES + 4 + path.len() - DIGITS }
    }

    fn framed<'a>(op: OpCode, path: &str, record: &impl Field<'a>) -> Self {
        let mut bytes = BytesMut::new();
        wire::put_request(&mut bytes, 0, op, record);
        Self { bytes, digits_at: HEADER_BYTES + 4 + path.len() - DIGITS }
    }

    /// Appends the frame for znode `number`.
    pub(super) fn append(&self, xid: Xid, number: u32, out: &mut BytesMut) {
        let start = out.len();
        self.append_operation(number, out);
        out[start + 4..start + 8].copy_from_slice(&xid.to_be_bytes());
    }

    /// Appends the operation of a multi for znode `number`.
    pub(super) fn append_operation(&self, number: u32, out: &mut BytesMut) {
        let start = out.len();
        out.extend_from_slice(&self.bytes);
        let digits = &mut out[start + self.digits_at..][..DIGITS];
        let mut rest = number;
        for digit in digits.iter_mut().rev() {
            *digit = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
    }
}

/// Appends a multi with the operations that `put_operations` appends.
pub(super) fn put_multi(xid: Xid, out: &mut BytesMut, put_operations: impl FnOnce(&mut BytesMut)) {
    put_frame(out, |out| {
        RequestHeader { xid, kind: OpCode::Multi.code() }.write(out);
        put_operations(out);
        put_multi_header(-1, true, out);
    });
}

/// Appends a delete as an operation of a multi.
pub(super) fn delete_in_multi(path: &str, out: &mut BytesMut) {
    put_multi_header(OpCode::Delete.code(), false, out);
    delete_record(path).write(out);
}

/// getChildren of `path`.
pub(super) fn children_record(path: &str) -> GetChildrenRequest<'_> {
    GetChildrenRequest { path: path.into(), watch: false }
}

/// An ACL that lets everybody do everything (`ZooDefs.Ids.OPEN_ACL_UNSAFE`).
pub(super) fn open_acl() -> Vec<Acl<'static>> {
    let anyone = Id { scheme: "world".into(), id: "anyone".into() };
    vec![Acl { perms: Perms::ALL.0, id: anyone }]
}

/// create of a persistent znode open to all.
fn create_record<'a>(path: &'a str, data: &'a [u8]) -> CreateRequest<'a> {
    CreateRequest { path: path.into(), data: Some(data), acl: open_acl(), flags: 0 }
}

fn delete_record(path: &str) -> DeleteRequest<'_> {
    DeleteRequest { path: path.into(), version: -1 }
}

fn put_multi_header(kind: i32, done: bool, out: &mut BytesMut) {
    MultiHeader { kind, done, err: -1 }.write(out);
}

#[cfg(test)]
mod tests {
    use super::*;
    use jute::Reader;

    #[test]
    fn a_template_is_the_frame_jute_would_write() {
        let data = [7; 100];
        let template = Template::set("/bench/data", &data);
        let mut patched = BytesMut::from(&[1, 2, 3][..]);
        template.append(77, 1234, &mut patched);

        let mut encoded = BytesMut::new();
        let record =
            SetDataRequest { path: "/bench/data/00001234".into(), data: Some(&data), version: -1 };
        wire::put_request(&mut encoded, 77, OpCode::SetData, &record);
        assert_eq!(patched[3..], encoded);
    }

    #[test]
    fn an_operation_of_a_multi_has_its_header_and_path() {
        let mut out = BytesMut::new();
        Template::create_in_multi("/p", b"x").append_operation(99_999_999, &mut out);
        let mut reader = Reader::new(&out);
        let header = MultiHeader::read(&mut reader).unwrap();
        assert_eq!(header, MultiHeader { kind: 1, done: false, err: -1 });
        assert_eq!(CreateRequest::read(&mut reader).unwrap(), create_record("/p/99999999", b"x"));
        assert_eq!(reader.remaining(), 0);
    }
}
