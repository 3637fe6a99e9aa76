//! `org.apache.zookeeper.server.quorum`: packets between servers.

use super::Id;
use crate::Buffer;
use crate::record::records;

records! {
    /// Body of FOLLOWERINFO and OBSERVERINFO.
    LearnerInfo {
        /// Id of the learner.
        serverid: i64,
        /// Protocol it speaks, 0x10000.
        protocol_version: i32,
        /// Version of the configuration it knows.
        config_version: i64,
    }

    /// Every packet of the quorum port.
    QuorumPacket<'a> {
        /// What it is.
        kind: i32,
        /// The zxid it is about.
        zxid: i64,
        /// Its body.
        data: Buffer<'a>,
        /// Identities of the client behind a REQUEST.
        authinfo: Option<Vec<Id<'a>>>,
    }

    /// Authentication between servers.
    QuorumAuthPacket<'a> {
        /// 0x5f2435013501edcc.
        magic: i64,
        /// 0 in progress, 1 success, -1 error.
        status: i32,
        /// SASL token.
        token: Buffer<'a>,
    }
}
