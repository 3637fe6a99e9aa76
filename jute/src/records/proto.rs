//! `org.apache.zookeeper.proto`: requests, replies and events of the client protocol.
//!
//! `watch` fields ask the server to leave a watch; `version` fields of requests are the expected
//! version, -1 for any; `type` is spelled `kind`, as `type` is a word of Rust.

use super::{Acl, ClientInfo, Stat};
use crate::record::records;
use crate::{Buffer, Ustring};

records! {
    /// First packet of a connection. The last field is missing in clients up to 3.3: see
    /// `docs/FORMATS.md`.
    ConnectRequest<'a> {
        /// Always 0.
        protocol_version: i32,
        /// Newest zxid the client has seen.
        last_zxid_seen: i64,
        /// Session timeout asked for, in milliseconds.
        time_out: i32,
        /// Session to resume, 0 for a new one.
        session_id: i64,
        /// Password of that session, 16 bytes.
        passwd: Buffer<'a>,
        /// Whether a read-only server will do.
        read_only: bool,
    }

    /// Answer to it.
    ConnectResponse<'a> {
        /// Always 0.
        protocol_version: i32,
        /// Session timeout granted, in milliseconds; 0 if the session is refused.
        time_out: i32,
        /// The session, 0 if it is refused.
        session_id: i64,
        /// Its password, 16 bytes.
        passwd: Buffer<'a>,
        /// Whether this server is read-only.
        read_only: bool,
    }

    /// Leaves watches again after a reconnect.
    SetWatches<'a> {
        /// Newest zxid the client has seen; later changes are told at once.
        relative_zxid: i64,
        /// Paths watched for changes of data.
        data_watches: Vec<Ustring<'a>>,
        /// Paths watched for creation.
        exist_watches: Vec<Ustring<'a>>,
        /// Paths watched for changes of children.
        child_watches: Vec<Ustring<'a>>,
    }

    /// The same with persistent watches.
    SetWatches2<'a> {
        /// Newest zxid the client has seen; later changes are told at once.
        relative_zxid: i64,
        /// Paths watched for changes of data.
        data_watches: Vec<Ustring<'a>>,
        /// Paths watched for creation.
        exist_watches: Vec<Ustring<'a>>,
        /// Paths watched for changes of children.
        child_watches: Vec<Ustring<'a>>,
        /// Paths under a persistent watch.
        persistent_watches: Vec<Ustring<'a>>,
        /// Paths under a persistent recursive watch.
        persistent_recursive_watches: Vec<Ustring<'a>>,
    }

    /// In front of every request but the first.
    RequestHeader {
        /// Number of the request on its connection.
        xid: i32,
        /// Opcode.
        kind: i32,
    }

    /// In front of each operation of a multi and each of its results.
    MultiHeader {
        /// Opcode, or -1 for an error result and for the end.
        kind: i32,
        /// True at the end only.
        done: bool,
        /// Error code of a result; -1 in requests and at the end.
        err: i32,
    }

    /// Adds an identity to the connection.
    AuthPacket<'a> {
        /// Always 0.
        kind: i32,
        /// Authentication scheme.
        scheme: Option<Ustring<'a>>,
        /// Credentials in its terms.
        auth: Buffer<'a>,
    }

    /// In front of every reply and notification.
    ReplyHeader {
        /// Number of the request; -1 notification, -2 ping.
        xid: i32,
        /// Last zxid the server had processed.
        zxid: i64,
        /// Error code, 0 for success.
        err: i32,
    }

    /// Data and status of a node.
    GetDataRequest<'a> {
        /// The node.
        path: Ustring<'a>,
        /// Whether to leave a watch.
        watch: bool,
    }

    /// Replaces a node's data.
    SetDataRequest<'a> {
        /// The node.
        path: Ustring<'a>,
        /// The new data.
        data: Buffer<'a>,
        /// Expected version of the data.
        version: i32,
    }

    /// Changes the membership of the ensemble.
    ReconfigRequest<'a> {
        /// Servers to add or change, separated by commas.
        joining_servers: Option<Ustring<'a>>,
        /// Ids of servers to remove, separated by commas.
        leaving_servers: Option<Ustring<'a>>,
        /// The whole new membership, instead of the two above.
        new_members: Option<Ustring<'a>>,
        /// Expected version of the membership, -1 for any.
        cur_config_id: i64,
    }

    /// Answer to setData.
    SetDataResponse {
        /// The node's new status.
        stat: Stat,
    }

    /// A SASL token of the client.
    GetSaslRequest<'a> {
        /// The token.
        token: Buffer<'a>,
    }

    /// Declared by ZooKeeper, never sent.
    SetSaslRequest<'a> {
        /// The token.
        token: Buffer<'a>,
    }

    /// A SASL token of the server.
    SetSaslResponse<'a> {
        /// The token.
        token: Buffer<'a>,
    }

    /// Creates a node (create, create2, createContainer).
    CreateRequest<'a> {
        /// The node; a prefix of its path for the sequential modes.
        path: Ustring<'a>,
        /// Its data.
        data: Buffer<'a>,
        /// Its access control list.
        acl: Vec<Acl<'a>>,
        /// `CreateMode`, 0 to 6.
        flags: i32,
    }

    /// Creates a TTL node.
    CreateTtlRequest<'a> {
        /// The node; a prefix of its path for the sequential mode.
        path: Ustring<'a>,
        /// Its data.
        data: Buffer<'a>,
        /// Its access control list.
        acl: Vec<Acl<'a>>,
        /// `CreateMode`, 5 or 6.
        flags: i32,
        /// Milliseconds it lives without children and changes.
        ttl: i64,
    }

    /// Deletes a node.
    DeleteRequest<'a> {
        /// The node.
        path: Ustring<'a>,
        /// Expected version of its data.
        version: i32,
    }

    /// Names of a node's children.
    GetChildrenRequest<'a> {
        /// The node.
        path: Ustring<'a>,
        /// Whether to leave a watch.
        watch: bool,
    }

    /// Counts all descendants of a node.
    GetAllChildrenNumberRequest<'a> {
        /// The node.
        path: Ustring<'a>,
    }

    /// Names of a node's children and its status.
    GetChildren2Request<'a> {
        /// The node.
        path: Ustring<'a>,
        /// Whether to leave a watch.
        watch: bool,
    }

    /// Part of a multi: fails unless the version is as expected.
    CheckVersionRequest<'a> {
        /// The node.
        path: Ustring<'a>,
        /// Expected version of its data.
        version: i32,
    }

    /// Declared by ZooKeeper, never sent.
    GetMaxChildrenRequest<'a> {
        /// The node.
        path: Ustring<'a>,
    }

    /// Declared by ZooKeeper, never sent.
    GetMaxChildrenResponse {
        /// The limit.
        max: i32,
    }

    /// Declared by ZooKeeper, never sent.
    SetMaxChildrenRequest<'a> {
        /// The node.
        path: Ustring<'a>,
        /// The limit.
        max: i32,
    }

    /// Waits until this server has applied what the leader had committed.
    SyncRequest<'a> {
        /// Echoed, otherwise unused.
        path: Option<Ustring<'a>>,
    }

    /// Answer to it.
    SyncResponse<'a> {
        /// Path of the request.
        path: Option<Ustring<'a>>,
    }

    /// A node's access control list.
    GetAclRequest<'a> {
        /// The node.
        path: Ustring<'a>,
    }

    /// Replaces a node's access control list.
    SetAclRequest<'a> {
        /// The node.
        path: Ustring<'a>,
        /// The new list.
        acl: Vec<Acl<'a>>,
        /// Expected version of the list.
        version: i32,
    }

    /// Answer to it.
    SetAclResponse {
        /// The node's new status.
        stat: Stat,
    }

    /// Leaves a persistent watch.
    AddWatchRequest<'a> {
        /// The node.
        path: Ustring<'a>,
        /// 0 persistent, 1 persistent recursive.
        mode: i32,
    }

    /// A notification.
    WatcherEvent<'a> {
        /// What happened, `EventType`.
        kind: i32,
        /// State of the session, always 3 (SyncConnected) from a server.
        state: i32,
        /// The node.
        path: Ustring<'a>,
    }

    /// An error as a result within a multi, and the answer to addWatch.
    ErrorResponse {
        /// Error code.
        err: i32,
    }

    /// Answer to create.
    CreateResponse<'a> {
        /// The node's real path.
        path: Ustring<'a>,
    }

    /// Answer to create2, createContainer and createTTL.
    Create2Response<'a> {
        /// The node's real path.
        path: Ustring<'a>,
        /// Its status.
        stat: Stat,
    }

    /// Status of a node, and a watch even where there is none.
    ExistsRequest<'a> {
        /// The node.
        path: Ustring<'a>,
        /// Whether to leave a watch.
        watch: bool,
    }

    /// Answer to it.
    ExistsResponse {
        /// The node's status.
        stat: Stat,
    }

    /// Answer to getData, and to reconfig.
    GetDataResponse<'a> {
        /// The node's data.
        data: Buffer<'a>,
        /// Its status.
        stat: Stat,
    }

    /// Answer to getChildren.
    GetChildrenResponse<'a> {
        /// Names, without the path, in no order.
        children: Vec<Ustring<'a>>,
    }

    /// Answer to getAllChildrenNumber.
    GetAllChildrenNumberResponse {
        /// Descendants of the node.
        total_number: i32,
    }

    /// Answer to getChildren2.
    GetChildren2Response<'a> {
        /// Names, without the path, in no order.
        children: Vec<Ustring<'a>>,
        /// Status of the node.
        stat: Stat,
    }

    /// Answer to getACL.
    GetAclResponse<'a> {
        /// The list.
        acl: Vec<Acl<'a>>,
        /// Status of the node.
        stat: Stat,
    }

    /// Asks whether the connection has such a watch.
    CheckWatchesRequest<'a> {
        /// The node.
        path: Option<Ustring<'a>>,
        /// `WatcherType`, 1 to 5.
        kind: i32,
    }

    /// Removes watches of the connection.
    RemoveWatchesRequest<'a> {
        /// The node.
        path: Option<Ustring<'a>>,
        /// `WatcherType`, 1 to 5.
        kind: i32,
    }

    /// Ephemeral nodes of the session.
    GetEphemeralsRequest<'a> {
        /// Start of the paths asked for.
        prefix_path: Option<Ustring<'a>>,
    }

    /// Answer to it.
    GetEphemeralsResponse<'a> {
        /// Their paths.
        ephemerals: Vec<Ustring<'a>>,
    }

    /// Answer to whoAmI.
    WhoAmIResponse<'a> {
        /// Identities of the connection.
        client_info: Vec<ClientInfo<'a>>,
    }
}
