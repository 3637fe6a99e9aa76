//! Each session sees the one history, at rising points of it: what a read is answered is what the
//! tree was after the transaction in the answer's header (sequential consistency; "all replicas
//! process the same sequence", the ZooKeeper paper). With the order of sessions and that none sees
//! the past, this is the witness that the plain reads of a session are sequentially consistent with
//! all writes. What a write is answered is what it has done.

use gamekeeper::proto::path::CONFIG_PATH;
use gamekeeper::proto::{CreateMode, ErrorCode};
use jute::{
    CreateResponse, ExistsResponse, Field, GetChildren2Response, GetDataResponse, SetDataResponse,
};

use crate::client::request::Request;
use crate::client::{Asked, Client};
use crate::oracle::Answer;
use crate::reference::{NodeVersion, Reference};
use crate::violation::{Verdict, require};

const NO_NODE: i32 = ErrorCode::NoNode as i32;

/// A client is answered.
pub fn check(
    client: &Client,
    asked: &Asked,
    answer: &Answer<'_>,
    reference: &Reference,
) -> Verdict {
    let node = |path: &str| reference.node(path, answer.zxid);
    let is_right = match &asked.request {
        Request::GetData(path, _) => read(answer, node(path), |node, body| {
            GetDataResponse::from_bytes(body).is_ok_and(|read| {
                read.data.unwrap_or_default() == node.data && read.stat == node.stat
            })
        }),
        Request::Exists(path, _) => read(answer, node(path), |node, body| {
            ExistsResponse::from_bytes(body).is_ok_and(|read| read.stat == node.stat)
        }),
        Request::GetChildren(path, _) => read(answer, node(path), |node, body| {
            GetChildren2Response::from_bytes(body).is_ok_and(|read| {
                let mut children: Vec<_> = read.children.iter().map(|c| c.to_string()).collect();
                children.sort_unstable();
                children == node.children && read.stat == node.stat
            })
        }),
        Request::SetData(path, data, _) if answer.error == 0 => {
            let response = SetDataResponse::from_bytes(answer.body);
            let node = node(path);
            response.is_ok_and(|set| {
                node.is_some_and(|node| node.data == data && node.stat == set.stat)
            })
        }
        Request::Create(path, data, mode) if answer.error == 0 => {
            let response = CreateResponse::from_bytes(answer.body);
            response.is_ok_and(|created| {
                let is_named = match mode {
                    CreateMode::PersistentSequential => created.path.starts_with(path.as_str()),
                    _ => created.path == path.as_str(),
                };
                is_named && node(&created.path).is_some_and(|node| node.data == data)
            })
        }
        Request::Delete(path, _) if answer.error == 0 => node(path).is_none(),
        Request::Reconfig { .. } if answer.error == 0 => {
            let response = GetDataResponse::from_bytes(answer.body);
            let config = node(CONFIG_PATH);
            response.is_ok_and(|read| config.is_some_and(|c| read.data == Some(&c.data[..])))
        }
        _ => true,
    };
    let index = client.index;
    require(is_right, "sequential_consistency", || {
        format!(
            "client {index}: {} {:?} is answered {} {:02x?} as of 0x{}, where there was {:?}",
            asked.xid,
            asked.request,
            answer.error,
            &answer.body[..],
            answer.zxid,
            match &asked.request {
                Request::GetData(path, _)
                | Request::Exists(path, _)
                | Request::GetChildren(path, _)
                | Request::SetData(path, ..) => node(path),
                _ => None,
            }
        )
    })
}

/// Whether a read is answered as the node was.
fn read(
    answer: &Answer<'_>,
    node: Option<&NodeVersion>,
    is_same: impl FnOnce(&NodeVersion, &[u8]) -> bool,
) -> bool {
    match (answer.error, node) {
        (0, Some(node)) => is_same(node, answer.body),
        (NO_NODE, None) => true,
        _ => false,
    }
}
