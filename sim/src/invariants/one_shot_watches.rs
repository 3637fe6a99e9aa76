//! A watch is told of what happened, once: an event belongs to a watch that the client has left and
//! that was not told yet, and to a change that there was ("watches are one-time triggers", the
//! ZooKeeper paper).

use gamekeeper::proto::{AddWatchMode, ErrorCode, Zxid};

use crate::client::Client;
use crate::client::request::Request;
use crate::client::watches::Event;
use crate::oracle::Answer;
use crate::reference::Reference;
use crate::violation::{Verdict, require};

const INVARIANT: &str = "one_shot_watches";

/// An event comes.
pub fn check(client: &Client, event: &Event, is_resetting: bool, reference: &Reference) -> Verdict {
    let Event { zxid, kind, path } = event;
    let index = client.index;
    if *zxid == Zxid(-1) {
        return require(is_resetting, INVARIANT, || {
            format!("client {index} is told of {kind:?} of {path} without a zxid")
        });
    }
    let before = Zxid(zxid.0 - 1);
    let is_real = reference.changes(path, before, *zxid).iter().any(|change| change.kind == *kind);
    require(is_real, INVARIANT, || {
        format!("client {index} is told of {kind:?} of {path} in 0x{zxid}, which never was")
    })
}

/// It belongs to a watch.
pub fn take(client: &mut Client, event: Event) -> Verdict {
    let index = client.index;
    let text = format!("client {index} is told of {event:?}, which it does not watch");
    require(client.watches.take(event), INVARIANT, || text)
}

/// An answer leaves a watch.
pub fn arm(client: &mut Client, request: &Request, answer: &Answer<'_>) {
    let is_there = answer.error == 0;
    let is_absent = answer.error == ErrorCode::NoNode as i32;
    let watches = &mut client.watches;
    let (kind, path) = match request {
        Request::GetData(path, true) if is_there => (&mut watches.data, path),
        Request::Exists(path, true) if is_there => (&mut watches.data, path),
        Request::Exists(path, true) if is_absent => (&mut watches.exist, path),
        Request::GetChildren(path, true) if is_there => (&mut watches.child, path),
        Request::AddWatch(path, AddWatchMode::Persistent) if is_there => {
            (&mut watches.persistent, path)
        }
        Request::AddWatch(path, AddWatchMode::PersistentRecursive) if is_there => {
            (&mut watches.recursive, path)
        }
        _ => return,
    };
    kind.entry(path.clone()).or_insert(answer.zxid);
}
