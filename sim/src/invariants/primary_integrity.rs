//! A primary has delivered everything of earlier ones that is ever delivered, before it broadcasts
//! (primary integrity of the Zab paper, PrimaryIntegrity of the TLA+ specification).

use std::collections::BTreeMap;

use gamekeeper::proto::Zxid;

use crate::reference::Reference;
use crate::violation::{Verdict, require};

/// What the primary of each epoch had delivered when it began.
#[derive(Debug, Default)]
pub struct Bases(BTreeMap<i64, Zxid>);

impl Bases {
    /// A primary begins with what it has delivered. One whose quorum has gone over to a later epoch
    /// while its acknowledgements were on their way begins in vain: nothing that it broadcasts can
    /// be delivered, which [`Self::delivered`] would see.
    pub fn established(&mut self, epoch: i64, last: Zxid, reference: &Reference) -> Verdict {
        self.0.insert(epoch, last);
        let is_in_vain = reference.last().epoch() > epoch;
        require(is_in_vain || last >= reference.last(), "primary_integrity", || {
            format!(
                "the primary of epoch {epoch} has delivered up to 0x{last}, others up to 0x{}",
                reference.last()
            )
        })
    }

    /// A transaction is delivered after all that `reference` holds.
    pub fn delivered(&self, zxid: Zxid, reference: &Reference) -> Verdict {
        let last = reference.last();
        let base = self.0.get(&zxid.epoch());
        let is_first = last.epoch() != zxid.epoch();
        require(!is_first || base == Some(&last), "primary_integrity", || {
            format!("0x{zxid} follows 0x{last}, but its primary began after {base:?}")
        })
    }
}
