//! `org.apache.zookeeper.txn`: transactions, as they stand in logs and proposals.

use super::Acl;
use crate::record::records;
use crate::{Buffer, Ustring};

records! {
    /// Digest of the tree after a transaction.
    TxnDigest {
        /// How it is computed, 2.
        version: i32,
        /// The digest.
        tree_digest: i64,
    }

    /// In front of every transaction.
    TxnHeader {
        /// Session that asked for it.
        client_id: i64,
        /// xid of its request.
        cxid: i32,
        /// zxid of the transaction.
        zxid: i64,
        /// When it was prepared, in milliseconds since 1970.
        time: i64,
        /// Opcode, -1 for an error.
        kind: i32,
    }

    /// create as written before 3.4, without the parent's version.
    CreateTxnV0<'a> {
        /// The node.
        path: Ustring<'a>,
        /// Its data.
        data: Buffer<'a>,
        /// Its access control list.
        acl: Vec<Acl<'a>>,
        /// Whether it belongs to the session.
        ephemeral: bool,
    }

    /// create, create2.
    CreateTxn<'a> {
        /// The node.
        path: Ustring<'a>,
        /// Its data.
        data: Buffer<'a>,
        /// Its access control list.
        acl: Vec<Acl<'a>>,
        /// Whether it belongs to the session.
        ephemeral: bool,
        /// The parent's stored cversion after the creation.
        parent_cversion: i32,
    }

    /// createTTL.
    CreateTtlTxn<'a> {
        /// The node.
        path: Ustring<'a>,
        /// Its data.
        data: Buffer<'a>,
        /// Its access control list.
        acl: Vec<Acl<'a>>,
        /// The parent's stored cversion after the creation.
        parent_cversion: i32,
        /// Milliseconds it lives without children and changes.
        ttl: i64,
    }

    /// createContainer.
    CreateContainerTxn<'a> {
        /// The node.
        path: Ustring<'a>,
        /// Its data.
        data: Buffer<'a>,
        /// Its access control list.
        acl: Vec<Acl<'a>>,
        /// The parent's stored cversion after the creation.
        parent_cversion: i32,
    }

    /// delete, deleteContainer.
    DeleteTxn<'a> {
        /// The node.
        path: Ustring<'a>,
    }

    /// setData, reconfig.
    SetDataTxn<'a> {
        /// The node.
        path: Ustring<'a>,
        /// Its new data.
        data: Buffer<'a>,
        /// Its new version.
        version: i32,
    }

    /// check, within a multi.
    CheckVersionTxn<'a> {
        /// The node.
        path: Ustring<'a>,
        /// The expected version plus one.
        version: i32,
    }

    /// setACL.
    SetAclTxn<'a> {
        /// The node.
        path: Ustring<'a>,
        /// Its new access control list.
        acl: Vec<Acl<'a>>,
        /// The list's new version.
        version: i32,
    }

    /// Declared by ZooKeeper, never written.
    SetMaxChildrenTxn<'a> {
        /// The node.
        path: Ustring<'a>,
        /// The limit.
        max: i32,
    }

    /// createSession.
    CreateSessionTxn {
        /// Timeout, in milliseconds.
        time_out: i32,
    }

    /// closeSession.
    CloseSessionTxn<'a> {
        /// Ephemeral nodes to delete.
        paths2_delete: Vec<Ustring<'a>>,
    }

    /// A request that failed.
    ErrorTxn {
        /// Error code.
        err: i32,
    }

    /// One operation of a multi.
    Txn<'a> {
        /// Opcode, -1 for an error.
        kind: i32,
        /// The encoded transaction.
        data: Buffer<'a>,
    }

    /// multi.
    MultiTxn<'a> {
        /// Its operations.
        txns: Vec<Txn<'a>>,
    }
}
