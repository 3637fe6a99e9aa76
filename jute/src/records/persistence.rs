//! `org.apache.zookeeper.server.persistence`: heads of files.

use crate::record::records;

records! {
    /// First 16 bytes of a transaction log or snapshot.
    FileHeader {
        /// "ZKLG" or "ZKSN".
        magic: i32,
        /// 2.
        version: i32,
        /// 0 in logs, -1 in snapshots.
        dbid: i64,
    }
}
