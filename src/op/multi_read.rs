//! multiRead: several reads answered at once; one that fails does not stop the others.

use bytes::BytesMut;

use super::Read;
use super::multi::{self, MultiOp};
use super::{get_children, get_data};
use crate::proto::{ErrorCode, OpCode};

/// Answers getData and getChildren operations; they leave no watches. Any other operation spoils
/// the request: the answer then ends before it, and the error goes with that answer.
pub fn read(read: &Read<'_>, ops: &[MultiOp<'_>], out: &mut BytesMut) -> Option<ErrorCode> {
    let mut spoilt = None;
    for op in ops {
        let start = out.len();
        let done = match op {
            MultiOp::GetData(request) => {
                multi::write_header(OpCode::GetData, out);
                let request = jute::GetDataRequest { watch: false, ..request.clone() };
                get_data::read(read, &request, out)
            }
            MultiOp::GetChildren(request) => {
                multi::write_header(OpCode::GetChildren, out);
                let request = jute::GetChildrenRequest { watch: false, ..request.clone() };
                get_children::read(read, &request, out)
            }
            _ => {
                spoilt = Some(ErrorCode::MarshallingError);
                break;
            }
        };
        if let Err(error) = done {
            out.truncate(start);
            multi::write_error_result(error.code(), out);
        }
    }
    multi::write_end(out);
    spoilt
}
