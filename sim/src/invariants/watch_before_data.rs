//! A client is told of a change before it sees the new state, and of each change it watches for
//! ("if a client is watching for a change, the client will see the notification event before it
//! sees the new state of the system", the ZooKeeper paper).
//!
//! An answer as of a zxid shows the state after it: every change up to there that a watch waited
//! for must have been told. Where a client leaves its watches again at another server, what it is
//! told of is what it can see from the state there: a node that came and went meanwhile is not.

use gamekeeper::proto::{EventType, Zxid};

use crate::client::Client;
use crate::client::watches::is_below;
use crate::reference::Reference;
use crate::violation::{Verdict, Violation, require};

const INVARIANT: &str = "watch_before_data";

/// A client is answered as of `zxid`; `resetting` is what it had seen when it left its watches
/// again, if it is that which is answered.
pub fn check(
    client: &mut Client,
    zxid: Zxid,
    resetting: Option<Zxid>,
    reference: &Reference,
) -> Verdict {
    match resetting {
        None => check_one_shot(client, zxid, reference)?,
        Some(seen) => check_reset(client, zxid, seen, reference)?,
    }
    check_lasting(client, zxid, resetting.is_some(), reference)
}

fn check_one_shot(client: &mut Client, zxid: Zxid, reference: &Reference) -> Verdict {
    use EventType::*;
    let index = client.index;
    let watches = &mut client.watches;
    let of_node: &[EventType] = &[NodeCreated, NodeDeleted, NodeDataChanged];
    let of_children: &[EventType] = &[NodeChildrenChanged, NodeDeleted];
    let kinds = [
        (&mut watches.data, of_node),
        (&mut watches.exist, of_node),
        (&mut watches.child, of_children),
    ];
    for (armed, kinds) in kinds {
        for (path, since) in armed {
            let missed = reference.changes(path, *since, zxid);
            if let Some(change) = missed.iter().find(|change| kinds.contains(&change.kind)) {
                let text = format!(
                    "client {index} watches {path} since 0x{since}, was not told of {change:?}, \
                     and is answered as of 0x{zxid}"
                );
                return Err(Violation::new(INVARIANT, text));
            }
            *since = zxid.max(*since);
        }
    }
    Ok(())
}

fn check_reset(client: &mut Client, zxid: Zxid, seen: Zxid, reference: &Reference) -> Verdict {
    let index = client.index;
    let missed = |path: &str, what: &str| {
        let text = format!(
            "client {index} left its watch of {path} again, having seen 0x{seen}; it was not told \
             that {what}, and is answered as of 0x{zxid}"
        );
        Err(Violation::new(INVARIANT, text))
    };
    for (path, since) in &mut client.watches.data {
        match reference.node(path, zxid) {
            None => return missed(path, "it is gone"),
            Some(node) if node.stat.mzxid > seen.0 => return missed(path, "it has changed"),
            Some(_) => *since = zxid,
        }
    }
    for (path, since) in &mut client.watches.exist {
        if reference.node(path, zxid).is_some() {
            return missed(path, "it is there");
        }
        *since = zxid;
    }
    for (path, since) in &mut client.watches.child {
        match reference.node(path, zxid) {
            None => return missed(path, "it is gone"),
            Some(node) if node.stat.pzxid > seen.0 => return missed(path, "children changed"),
            Some(_) => *since = zxid,
        }
    }
    Ok(())
}

/// Watches that stay are told of everything, in its order.
fn check_lasting(
    client: &mut Client,
    zxid: Zxid,
    is_reset: bool,
    reference: &Reference,
) -> Verdict {
    let index = client.index;
    let watches = &mut client.watches;
    let due: Vec<_> = watches.events.extract_if(.., |event| event.zxid <= zxid).collect();
    for (path, since) in &mut watches.persistent {
        let (after, got) = (*since, due.iter().filter(|event| event.path == *path));
        *since = zxid.max(after);
        if is_reset {
            continue;
        }
        let got = got.filter(|event| event.zxid > after).map(|event| (event.zxid, event.kind));
        let wanted = reference.changes(path, after, zxid);
        let wanted = wanted.iter().map(|change| (change.zxid, change.kind));
        let (got, wanted): (Vec<_>, Vec<_>) = (got.collect(), wanted.collect());
        require(got == wanted, INVARIANT, || {
            format!("client {index} watches {path} for good: {wanted:?}, but was told {got:?}")
        })?;
    }
    for (root, since) in &mut watches.recursive {
        let after = *since;
        *since = zxid.max(after);
        if is_reset {
            continue;
        }
        let is_wanted = |path: &str, kind: EventType| {
            is_below(path, root) && kind != EventType::NodeChildrenChanged
        };
        let got = due.iter().filter(|event| event.zxid > after);
        let got = got.filter(|event| is_wanted(&event.path, event.kind));
        let wanted = reference.all_changes(after, zxid).iter();
        let wanted = wanted.filter(|(path, change)| is_wanted(path, change.kind));
        let got: Vec<_> = got.map(|event| (event.zxid, event.path.as_str(), event.kind)).collect();
        let wanted: Vec<_> =
            wanted.map(|(path, change)| (change.zxid, path.as_str(), change.kind)).collect();
        require(got == wanted, INVARIANT, || {
            format!("client {index} watches all below {root}: {wanted:?}, was told {got:?}")
        })?;
    }
    Ok(())
}
