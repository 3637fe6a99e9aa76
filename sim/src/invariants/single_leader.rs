//! An epoch has one leader (Leadership1 of the TLA+ specification: "there is at most one
//! established leader for a certain epoch").

use std::collections::BTreeMap;

use crate::violation::{Verdict, require};

/// Who has led which epoch.
#[derive(Debug, Default)]
pub struct Leaders(BTreeMap<i64, usize>);

impl Leaders {
    /// A server begins to serve as the leader of an epoch.
    pub fn established(&mut self, server: usize, epoch: i64) -> Verdict {
        let before = self.0.insert(epoch, server);
        require(before.is_none(), "single_leader", || {
            format!("server {server} leads epoch {epoch}, which server {before:?} has led")
        })
    }
}
