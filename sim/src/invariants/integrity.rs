//! What is delivered was broadcast by a primary, as it was broadcast (integrity of the Zab paper),
//! and what a primary broadcast is delivered in its order without a gap (local primary order).

use std::collections::BTreeMap;

use bytes::Bytes;
use gamekeeper::proto::Zxid;

use crate::violation::{Verdict, require};

/// What primaries have broadcast.
#[derive(Debug, Default)]
pub struct Broadcasts {
    entries: BTreeMap<Zxid, (usize, Bytes)>,
    /// The last one of each epoch before which none of it is missing.
    unbroken: BTreeMap<i64, Zxid>,
}

impl Broadcasts {
    /// A primary broadcasts a transaction.
    pub fn add(&mut self, server: usize, zxid: Zxid, entry: Bytes) -> Verdict {
        let unbroken = self.unbroken.entry(zxid.epoch()).or_insert(Zxid(zxid.epoch() << 32));
        if zxid.0 == unbroken.0 + 1 {
            *unbroken = zxid;
        }
        let before = self.entries.insert(zxid, (server, entry));
        require(before.is_none(), "integrity", || {
            format!("server {server} gives out 0x{zxid}, which was given out before")
        })
    }

    /// A server delivers one.
    pub fn delivered(&self, server: usize, zxid: Zxid, entry: &[u8]) -> Verdict {
        let Some((primary, original)) = self.entries.get(&zxid) else {
            return require(false, "integrity", || {
                format!("server {server} delivers 0x{zxid}, which nobody has broadcast")
            });
        };
        require(original == entry, "integrity", || {
            format!("server {server} delivers 0x{zxid} otherwise than server {primary} sent it")
        })?;
        // Those of the epoch that come before must have been broadcast too: the zxids tell.
        let unbroken = self.unbroken[&zxid.epoch()];
        require(zxid <= unbroken, "integrity", || {
            format!("server {server} delivers 0x{zxid}, but one is missing after 0x{unbroken}")
        })
    }
}
