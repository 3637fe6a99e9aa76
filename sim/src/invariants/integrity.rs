//! What is delivered was broadcast by a primary, as it was broadcast (integrity of the Zab paper),
//! and what a primary broadcast is delivered in its order without a gap (local primary order).

use std::collections::BTreeMap;

use bytes::Bytes;
use gamekeeper::proto::Zxid;

use crate::violation::{Verdict, require};

/// What primaries have broadcast.
#[derive(Debug, Default)]
pub struct Broadcasts(BTreeMap<Zxid, (usize, Bytes)>);

impl Broadcasts {
    /// A primary broadcasts a transaction.
    pub fn add(&mut self, server: usize, zxid: Zxid, entry: &[u8]) -> Verdict {
        let before = self.0.insert(zxid, (server, Bytes::copy_from_slice(entry)));
        require(before.is_none(), "integrity", || {
            format!("server {server} gives out 0x{zxid}, which was given out before")
        })
    }

    /// A server delivers one.
    pub fn delivered(&self, server: usize, zxid: Zxid, entry: &[u8]) -> Verdict {
        let Some((primary, original)) = self.0.get(&zxid) else {
            return require(false, "integrity", || {
                format!("server {server} delivers 0x{zxid}, which nobody has broadcast")
            });
        };
        require(original == entry, "integrity", || {
            format!("server {server} delivers 0x{zxid} otherwise than server {primary} sent it")
        })?;
        // Those of the epoch that come before must have been broadcast too: the zxids tell.
        let first = Zxid(zxid.epoch() << 32);
        let count = self.0.range(first..zxid).count();
        require(count == zxid.counter() as usize - 1, "local_primary_order", || {
            format!("server {server} delivers 0x{zxid}, of which {count} came before")
        })
    }
}
