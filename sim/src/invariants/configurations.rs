//! The members change in one order, and what decides is always a quorum of the members in force
//! (Shraer, Reed, Malkhi, Junqueira: "Dynamic Reconfiguration of Primary/Backup Clusters", USENIX
//! ATC 2012):
//!
//! 1. One version is one configuration, whoever knows it.
//! 2. A reconfig changes the configuration in force, and comes into force in the order of versions.
//! 3. It is in force on a server, and delivered, only once a quorum of the configuration before and
//!    one of its own have it on disk: as a transaction, or as what was proposed. The latter is
//!    enough, as in ZooKeeper: a leader that begins with it has it acknowledged with NEWLEADER,
//!    even if the transaction was lost with the leader before.
//! 4. Whoever begins to lead has a quorum of the configuration in force behind it. So no two that
//!    lead have quorums without a server in common.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use gamekeeper::proto::{Sid, TxnBody, TxnEntry, Zxid};
use gamekeeper::quorum::{Configs, QuorumVerifier};

use super::durability;
use crate::violation::{Verdict, Violation, require};
use crate::world::membership::sid_of;
use crate::world::{Server, leader_of};

const INVARIANT: &str = "configurations";

/// A reconfig that a leader has proposed.
struct Proposed {
    /// The transaction, once it is on its way to the leader's log.
    entry: Option<Bytes>,
    config: Arc<QuorumVerifier>,
    /// What was in force for that leader.
    before: Arc<QuorumVerifier>,
}

/// What is known of configurations.
pub struct Configurations {
    /// The last one that came into force anywhere.
    in_force: Arc<QuorumVerifier>,
    proposed: BTreeMap<i64, Proposed>,
    texts: BTreeMap<i64, String>,
    /// Versions that have come into force.
    committed: BTreeSet<i64>,
    /// Reconfigs among them.
    pub count: usize,
    /// Those of them by which a leader was removed or votes no more.
    pub without_leader: usize,
}

impl Configurations {
    /// An ensemble begins with these members.
    pub fn new(first: Arc<QuorumVerifier>) -> Self {
        Self {
            in_force: first,
            proposed: BTreeMap::new(),
            texts: BTreeMap::new(),
            committed: BTreeSet::new(),
            count: 0,
            without_leader: 0,
        }
    }

    /// The last one that came into force anywhere.
    pub fn in_force(&self) -> &Arc<QuorumVerifier> {
        &self.in_force
    }

    /// A leader, for which `known` is in force, proposes a transaction.
    pub fn proposed(&mut self, zxid: Zxid, entry: &Bytes, known: &Configs) -> Verdict {
        let decoded = TxnEntry::decode(entry)
            .map_err(|error| Violation::new("wire", format!("a proposal: {error}")))?;
        let Some(config) = reconfig_of(&decoded)? else { return Ok(()) };
        require(config.version() == zxid.0, INVARIANT, || {
            format!("reconfig 0x{zxid} proposes version {:x}", config.version())
        })?;
        let before = known.committed().clone();
        self.proposed.insert(zxid.0, Proposed { entry: Some(entry.clone()), config, before });
        Ok(())
    }

    /// A server has taken over other configurations.
    pub fn stored(
        &mut self,
        server: usize,
        before: &Configs,
        after: &Configs,
        servers: &mut [Server],
    ) -> Verdict {
        for config in [after.committed(), after.last_seen()] {
            self.is_the_same(server, config)?;
        }
        if let Some(pending) = after.pending() {
            self.is_pending(server, pending, after.committed(), servers)?;
        }
        let config = after.committed();
        if config.version() == before.committed().version() {
            return Ok(());
        }
        self.comes_into_force(server, config, servers)
    }

    /// A transaction is delivered for the first time.
    pub fn delivered(
        &mut self,
        server: usize,
        entry: &TxnEntry<'_>,
        servers: &mut [Server],
    ) -> Verdict {
        match reconfig_of(entry)? {
            Some(config) => self.comes_into_force(server, &config, servers),
            None => Ok(()),
        }
    }

    fn comes_into_force(
        &mut self,
        server: usize,
        config: &Arc<QuorumVerifier>,
        servers: &mut [Server],
    ) -> Verdict {
        let version = config.version();
        if !self.committed.insert(version) {
            return Ok(());
        }
        require(version > self.in_force.version(), INVARIANT, || {
            let last = self.in_force.version();
            format!("configuration {version:x} comes into force on server {server} after {last:x}")
        })?;
        if let Some(proposed) = self.proposed.get(&version) {
            proposed.may_come_into_force(server, &self.in_force, servers)?;
            self.count += 1;
            let leads_no_more = |leader: usize| !config.is_voter(sid_of(leader));
            self.without_leader += usize::from(leader_of(servers).is_some_and(leads_no_more));
        } else {
            // The first one has no version, until the leader of an epoch gives it that one's.
            let is_first = Zxid(version).counter() == 0 && config.has_same_members(&self.in_force);
            require(is_first, INVARIANT, || {
                format!("configuration {version:x} of server {server} was proposed by nobody")
            })?;
        }
        self.in_force = config.clone();
        Ok(())
    }

    /// What is proposed is first on its leader's disk, and from there on may come into force.
    fn is_pending(
        &mut self,
        server: usize,
        config: &Arc<QuorumVerifier>,
        before: &Arc<QuorumVerifier>,
        servers: &mut [Server],
    ) -> Verdict {
        let version = config.version();
        if Zxid(version).counter() == 0 || self.proposed.contains_key(&version) {
            return Ok(());
        }
        require(leader_of(&servers[server..=server]).is_some(), INVARIANT, || {
            format!("server {server} knows of configuration {version:x}, which nobody has proposed")
        })?;
        let proposed = Proposed { entry: None, config: config.clone(), before: before.clone() };
        self.proposed.insert(version, proposed);
        Ok(())
    }

    fn is_the_same(&mut self, server: usize, config: &QuorumVerifier) -> Verdict {
        if config.version() == 0 {
            // Whoever wants to join begins with one of its own.
            return Ok(());
        }
        let text = config.to_text();
        let known = self.texts.entry(config.version()).or_insert_with(|| text.clone());
        require(*known == text, INVARIANT, || {
            let version = config.version();
            format!("configuration {version:x} is {known} and, on server {server}, {text}")
        })
    }

    /// A server begins to lead an epoch. One that begins in vain, as others have gone over to a
    /// later epoch, can deliver nothing.
    pub fn established(&self, server: usize, epoch: i64, servers: &[Server]) -> Verdict {
        let follows = |(_, server): &(usize, &Server)| server.history.current_epoch >= epoch;
        let followers = servers.iter().enumerate().filter(follows);
        let followers: BTreeSet<Sid> = followers.map(|(at, _)| sid_of(at)).collect();
        require(self.in_force.contains_quorum(&followers), INVARIANT, || {
            format!(
                "server {server} leads epoch {epoch} with {followers:?}, where {} is in force",
                self.in_force.to_text()
            )
        })
    }
}

impl Proposed {
    fn may_come_into_force(
        &self,
        server: usize,
        in_force: &QuorumVerifier,
        servers: &mut [Server],
    ) -> Verdict {
        let version = self.config.version();
        require(self.before.has_same_members(in_force), INVARIANT, || {
            let (before, in_force) = (self.before.to_text(), in_force.to_text());
            format!("reconfig {version:x} changes {before:?}, where {in_force:?} is in force")
        })?;
        let entry = self.entry.as_ref();
        let mut have = entry
            .map_or_else(BTreeSet::new, |entry| durability::holders(Zxid(version), entry, servers));
        let knows = |(_, server): &(usize, &Server)| {
            server.config_files.as_ref().is_some_and(|files| files.holds_durably(version))
        };
        have.extend(servers.iter().enumerate().filter(knows).map(|(at, _)| sid_of(at)));
        [&self.before, &self.config].into_iter().try_for_each(|config| {
            require(config.contains_quorum(&have), INVARIANT, || {
                let config = config.to_text();
                format!(
                    "{version:x} is in force on server {server}; {have:?} have it, of {config:?}"
                )
            })
        })
    }
}

/// The configuration that a transaction proposes, if it is a reconfig.
fn reconfig_of(entry: &TxnEntry<'_>) -> Result<Option<Arc<QuorumVerifier>>, Violation> {
    let TxnBody::Reconfig(txn) = &entry.body else { return Ok(None) };
    let text = String::from_utf8_lossy(txn.data.unwrap_or_default());
    let config = QuorumVerifier::from_text(&text, false);
    let cannot_read = |error| Violation::new("wire", format!("a reconfig: {error}"));
    Ok(Some(Arc::new(config.map_err(cannot_read)?)))
}
