//! What a client asks for, as bytes of the protocol.

use bytes::{Bytes, BytesMut};
use gamekeeper::proto::frame::put_frame;
use gamekeeper::proto::{AddWatchMode, CreateMode, ErrorCode, OpCode, Xid, Zxid};
use jute::{
    Acl, AddWatchRequest, CheckVersionRequest, ConnectRequest, CreateRequest, DeleteRequest,
    ExistsRequest, Field, GetChildren2Request, GetDataRequest, Id, MultiHeader, Reader,
    ReconfigRequest, RequestHeader, SetDataRequest, SetWatches2, SyncRequest,
};

use super::watches::ArmedWatches;

/// A request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// create.
    Create(String, Bytes, CreateMode),
    /// delete, of this version or any.
    Delete(String, i32),
    /// setData, of this version or any.
    SetData(String, Bytes, i32),
    /// check of a version, then setData of another node, as one.
    CheckAndSet(String, i32, String, Bytes),
    /// getData, perhaps with a watch.
    GetData(String, bool),
    /// exists, perhaps with a watch.
    Exists(String, bool),
    /// getChildren2, perhaps with a watch.
    GetChildren(String, bool),
    /// addWatch.
    AddWatch(String, AddWatchMode),
    /// sync.
    Sync(String),
    /// reconfig: of servers that join or change and servers that leave, or of all; of this version
    /// or any.
    Reconfig {
        /// Servers that join, or take another part.
        joining: Option<String>,
        /// Servers that leave.
        leaving: Option<String>,
        /// All servers.
        all: Option<String>,
        /// The version that is changed, -1 for any.
        from: i64,
    },
    /// setWatches2, with the last zxid seen.
    SetWatches(Zxid),
    /// ping.
    Ping,
    /// closeSession.
    CloseSession,
}

impl Request {
    /// Its opcode.
    pub fn op(&self) -> OpCode {
        match self {
            Self::Create(..) => OpCode::Create,
            Self::Delete(..) => OpCode::Delete,
            Self::SetData(..) => OpCode::SetData,
            Self::CheckAndSet(..) => OpCode::Multi,
            Self::GetData(..) => OpCode::GetData,
            Self::Exists(..) => OpCode::Exists,
            Self::GetChildren(..) => OpCode::GetChildren2,
            Self::AddWatch(..) => OpCode::AddWatch,
            Self::Sync(..) => OpCode::Sync,
            Self::Reconfig { .. } => OpCode::Reconfig,
            Self::SetWatches(_) => OpCode::SetWatches2,
            Self::Ping => OpCode::Ping,
            Self::CloseSession => OpCode::CloseSession,
        }
    }

    /// Whether it becomes a transaction.
    pub fn is_write(&self) -> bool {
        matches!(
            self,
            Self::Create(..)
                | Self::Delete(..)
                | Self::SetData(..)
                | Self::CheckAndSet(..)
                | Self::Reconfig { .. }
                | Self::CloseSession
        )
    }

    /// Its frame.
    pub fn frame(&self, xid: Xid, watches: &ArmedWatches) -> Bytes {
        let mut frame = BytesMut::new();
        put_frame(&mut frame, |out| {
            RequestHeader { xid, kind: self.op().code() }.write(out);
            self.put_body(watches, out);
        });
        frame.freeze()
    }

    fn put_body(&self, watches: &ArmedWatches, out: &mut BytesMut) {
        match self {
            Self::Create(path, data, mode) => {
                let id = Id { scheme: "world".into(), id: "anyone".into() };
                let acl = vec![Acl { perms: 31, id }];
                let (path, data) = (path.as_str().into(), Some(&data[..]));
                CreateRequest { path, data, acl, flags: *mode as i32 }.write(out);
            }
            Self::Delete(path, version) => {
                DeleteRequest { path: path.as_str().into(), version: *version }.write(out);
            }
            Self::SetData(path, data, version) => put_set_data(path, data, *version, out),
            Self::CheckAndSet(checked, version, path, data) => {
                let head = |op: OpCode| MultiHeader { kind: op.code(), done: false, err: -1 };
                head(OpCode::Check).write(out);
                let path_checked = checked.as_str().into();
                CheckVersionRequest { path: path_checked, version: *version }.write(out);
                head(OpCode::SetData).write(out);
                put_set_data(path, data, -1, out);
                MultiHeader { kind: -1, done: true, err: -1 }.write(out);
            }
            Self::GetData(path, watch) => {
                GetDataRequest { path: path.as_str().into(), watch: *watch }.write(out);
            }
            Self::Exists(path, watch) => {
                ExistsRequest { path: path.as_str().into(), watch: *watch }.write(out);
            }
            Self::GetChildren(path, watch) => {
                GetChildren2Request { path: path.as_str().into(), watch: *watch }.write(out);
            }
            Self::AddWatch(path, mode) => {
                AddWatchRequest { path: path.as_str().into(), mode: *mode as i32 }.write(out);
            }
            Self::Sync(path) => {
                SyncRequest { path: Some(path.as_str().into()) }.write(out);
            }
            Self::Reconfig { joining, leaving, all, from } => ReconfigRequest {
                joining_servers: joining.as_deref().map(Into::into),
                leaving_servers: leaving.as_deref().map(Into::into),
                new_members: all.as_deref().map(Into::into),
                cur_config_id: *from,
            }
            .write(out),
            Self::SetWatches(seen) => {
                let [data, exist, child, persistent, recursive] = watches.paths();
                SetWatches2 {
                    relative_zxid: seen.0,
                    data_watches: data,
                    exist_watches: exist,
                    child_watches: child,
                    persistent_watches: persistent,
                    persistent_recursive_watches: recursive,
                }
                .write(out);
            }
            Self::Ping | Self::CloseSession => {}
        }
    }
}

fn put_set_data(path: &str, data: &[u8], version: i32, out: &mut BytesMut) {
    SetDataRequest { path: path.into(), data: Some(data), version }.write(out);
}

/// The frame that asks for a session.
pub fn connect_frame(
    seen: Zxid,
    timeout_ms: i32,
    (session, password): (i64, &[u8]),
    read_only: bool,
) -> Bytes {
    let mut frame = BytesMut::new();
    put_frame(&mut frame, |out| {
        ConnectRequest {
            protocol_version: 0,
            last_zxid_seen: seen.0,
            time_out: timeout_ms,
            session_id: session,
            passwd: Some(password),
            read_only,
        }
        .write(out);
    });
    frame.freeze()
}

/// The error that a failed multi is answered with, among its results: the first that is one; 0 if
/// it did not fail.
pub fn multi_error(body: &[u8]) -> i32 {
    let mut reader = Reader::new(body);
    while let Ok(header) = MultiHeader::read(&mut reader) {
        if header.done || header.kind != -1 {
            break;
        }
        match reader.int() {
            // Those before it would have been done, and those after it were not looked at.
            Ok(error) if error != 0 && error != ErrorCode::RuntimeInconsistency.code() => {
                return error;
            }
            Ok(_) => {}
            Err(_) => break,
        }
    }
    0
}
