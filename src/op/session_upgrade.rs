//! Which requests need a session that the whole ensemble knows
//! (`QuorumZooKeeperServer.checkUpgradeSession`).

use jute::{CreateRequest, Field, Reader};

use super::multi::{self, MultiOp};
use crate::proto::{CreateMode, OpCode};

/// Whether a request creates an ephemeral node, by itself or within a multi. One that cannot be
/// decoded does not: it is refused wherever it is prepared.
pub fn creates_ephemeral(op: OpCode, body: &[u8], max_buffer_bytes: usize) -> bool {
    match op {
        OpCode::Create | OpCode::Create2 => {
            let mut reader = Reader::with_limit(body, max_buffer_bytes);
            CreateRequest::read(&mut reader).is_ok_and(|request| is_ephemeral(&request))
        }
        OpCode::Multi => multi::decode(body, max_buffer_bytes).is_ok_and(|ops| {
            ops.iter().any(|op| match op {
                MultiOp::Create(OpCode::Create | OpCode::Create2, request) => is_ephemeral(request),
                _ => false,
            })
        }),
        _ => false,
    }
}

fn is_ephemeral(request: &CreateRequest<'_>) -> bool {
    CreateMode::from_flags(request.flags).is_some_and(CreateMode::is_ephemeral)
}

#[cfg(test)]
mod tests {
    use jute::MultiHeader;

    use super::*;

    fn create(flags: i32) -> CreateRequest<'static> {
        CreateRequest { path: "/a".into(), data: None, acl: Vec::new(), flags }
    }

    fn multi(requests: &[CreateRequest<'_>]) -> Vec<u8> {
        let mut body = Vec::new();
        for request in requests {
            MultiHeader { kind: OpCode::Create.code(), done: false, err: -1 }.write(&mut body);
            request.write(&mut body);
        }
        MultiHeader { kind: -1, done: true, err: -1 }.write(&mut body);
        body
    }

    #[test]
    fn only_what_creates_an_ephemeral_node_does() {
        let creates = |op, body: &[u8]| creates_ephemeral(op, body, 1 << 20);
        assert!(creates(OpCode::Create, &create(1).to_vec()));
        assert!(creates(OpCode::Create2, &create(3).to_vec()));
        assert!(!creates(OpCode::Create, &create(0).to_vec()));
        assert!(!creates(OpCode::Create, &create(99).to_vec()));
        assert!(!creates(OpCode::Delete, &create(1).to_vec()));
        assert!(!creates(OpCode::Create, &[0, 0]));
        assert!(creates(OpCode::Multi, &multi(&[create(0), create(1)])));
        assert!(!creates(OpCode::Multi, &multi(&[create(0), create(2)])));
    }
}
