//! Requests answered from the tree, on the worker that owns the connection or behind the session's
//! own writes.

use bytes::BytesMut;
use jute::{Field, Reader, SetWatches, SetWatches2};
use parking_lot::RwLockReadGuard;

use super::server_stats::ReplyBatch;
use super::{ServerState, ZkDatabase, op_name};
use crate::auth::Identity;
use crate::op::{self, Read};
use crate::proto::{ErrorCode, Millis, OpCode, XID_PING, Zxid};
use crate::session::{Arrival, ClientCnxn, Outbox};
use crate::stats::TrafficRun;

/// Reads of one connection under one hold of the shared lock.
pub struct ReadBatch<'a> {
    state: &'a ServerState,
    database: RwLockReadGuard<'a, ZkDatabase>,
    replies: ReplyBatch<'a>,
    traffic: TrafficRun<'a>,
    now: Millis,
}

impl<'a> ReadBatch<'a> {
    /// Takes the lock; `now` is in milliseconds of the monotonic clock.
    pub fn begin(state: &'a ServerState, now: Millis) -> Self {
        Self {
            state,
            database: state.database.read(),
            replies: ReplyBatch::new(&state.metrics),
            traffic: TrafficRun::new(&state.reads),
            now,
        }
    }

    /// Answers one read.
    pub fn answer(
        &mut self,
        cnxn: &ClientCnxn,
        outbox: &mut Outbox,
        identities: &[Identity],
        arrival: Arrival,
        body: &[u8],
    ) {
        let read = Read {
            tree: &self.database.tree,
            watches: &self.state.watches,
            auth: &self.state.auth,
            cnxn: cnxn.id,
            session: cnxn.session_id(),
            identities,
            traffic: &self.traffic,
        };
        let request = RawRead { arrival, body, max_buffer_bytes: self.state.max_buffer_bytes };
        answer(&read, outbox, &request, &mut self.replies, self.now);
    }

    /// Releases the lock.
    pub fn end(self) {
        drop(self.database);
        self.state.stats.replied(self.replies);
    }
}

/// A read whose record is not decoded yet.
pub struct RawRead<'a> {
    /// Its number, opcode and time.
    pub arrival: Arrival,
    /// Its record.
    pub body: &'a [u8],
    /// Longest string or buffer in it, in bytes.
    pub max_buffer_bytes: usize,
}

/// Queues the answer to a read, and before it the events it may bring.
pub fn answer(
    read: &Read<'_>,
    outbox: &mut Outbox,
    request: &RawRead<'_>,
    replies: &mut ReplyBatch<'_>,
    now: Millis,
) {
    let Arrival { xid, op, at } = request.arrival;
    let zxid = read.tree.last_processed();
    let xid = if op == OpCode::Ping { XID_PING } else { xid };
    let bytes = if matches!(op, OpCode::SetWatches | OpCode::SetWatches2) {
        let done = set_watches(read, outbox, op, request, replies);
        outbox.reply(xid, zxid, |_| done)
    } else if op == OpCode::MultiRead {
        match op::multi::decode(request.body, request.max_buffer_bytes) {
            Ok(ops) => outbox.reply_whole(xid, zxid, |out| op::multi_read::read(read, &ops, out)),
            Err(error) => outbox.reply(xid, zxid, |_| Err(error)),
        }
    } else {
        outbox.reply(xid, zxid, |out| dispatch(read, op, request, out))
    };
    replies.read(now - at, bytes);
    outbox.stats.responded(op_name(op), request.arrival.xid, zxid, at, now);
}

fn set_watches(
    read: &Read<'_>,
    outbox: &mut Outbox,
    op: OpCode,
    request: &RawRead<'_>,
    replies: &mut ReplyBatch<'_>,
) -> Result<(), ErrorCode> {
    let mut reader = Reader::with_limit(request.body, request.max_buffer_bytes);
    let watches = if op == OpCode::SetWatches {
        SetWatches::read(&mut reader).map(|old| SetWatches2 {
            relative_zxid: old.relative_zxid,
            data_watches: old.data_watches,
            exist_watches: old.exist_watches,
            child_watches: old.child_watches,
            ..SetWatches2::default()
        })
    } else {
        SetWatches2::read(&mut reader)
    };
    let watches = watches.map_err(|_| ErrorCode::MarshallingError)?;
    op::set_watches::read(read, &watches, &mut |event, path| {
        replies.event(outbox.notify(Zxid(-1), event, path));
    });
    Ok(())
}

fn dispatch(
    read: &Read<'_>,
    op: OpCode,
    request: &RawRead<'_>,
    out: &mut BytesMut,
) -> Result<(), ErrorCode> {
    match op {
        OpCode::Ping => Ok(()),
        OpCode::GetData => op::get_data::read(read, &decode(request)?, out),
        OpCode::Exists => op::exists::read(read, &decode(request)?, out),
        OpCode::GetChildren => op::get_children::read(read, &decode(request)?, out),
        OpCode::GetChildren2 => op::get_children::read2(read, &decode(request)?, out),
        OpCode::GetAcl => op::get_acl::read(read, &decode(request)?, out),
        OpCode::Sync => {
            op::sync::read(decode(request)?, out);
            Ok(())
        }
        OpCode::AddWatch => op::add_watch::read(read, &decode(request)?, out),
        OpCode::CheckWatches => op::remove_watches::check(read, &decode(request)?),
        OpCode::RemoveWatches => op::remove_watches::remove(read, &decode(request)?),
        OpCode::GetEphemerals => {
            op::get_ephemerals::read(read, &decode(request)?, out);
            Ok(())
        }
        OpCode::GetAllChildrenNumber => {
            op::get_all_children_number::read(read, &decode(request)?, out)
        }
        OpCode::WhoAmI => {
            op::who_am_i::read(read, out);
            Ok(())
        }
        _ => unreachable!("{op:?} is not a read"),
    }
}

fn decode<'a, T: Field<'a>>(request: &RawRead<'a>) -> Result<T, ErrorCode> {
    let mut reader = Reader::with_limit(request.body, request.max_buffer_bytes);
    T::read(&mut reader).map_err(|_| ErrorCode::MarshallingError)
}
