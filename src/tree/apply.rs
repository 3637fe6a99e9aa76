//! Transactions applied to the tree (`DataTree.processTxn`).
//!
//! The same code serves a transaction just committed, the replay of a log and the proposals of a
//! leader. A log is replayed over a snapshot that was taken while writes went on, so a transaction
//! may find its effect already there: creating a node that exists, or deleting one that is gone,
//! then changes only what the snapshot may have missed.
//!
//! The tree knows no watches: what happened is told to a [`TreeObserver`], in the order ZooKeeper
//! fires it.

use jute::{CreateTxn, Stat};

use super::acl_cache::AclList;
use super::data_tree::DataTree;
use super::digest::DIGEST_VERSION;
use super::ephemeral_type::{CONTAINER_OWNER, ttl_owner};
use super::node_store::NodeIdx;
use super::stat::new_stat;
use crate::mutation::{self, Mutation};
use crate::proto::{ErrorCode, OpCode, SessionId, TxnBody, TxnEntry, Zxid};

/// Something that watches may be waiting for. The lists are those in force when it happened: who
/// may not read the node is not told.
#[derive(Debug)]
pub enum TreeEvent<'a> {
    /// A node was created.
    Created {
        /// The node.
        path: &'a str,
        /// Bytes of its data.
        data_bytes: usize,
        /// Its list.
        acl: &'a AclList,
        /// Its parent's list.
        parent_acl: &'a AclList,
    },
    /// A node was deleted.
    Deleted {
        /// The node.
        path: &'a str,
        /// Its list.
        acl: &'a AclList,
        /// Its parent's list.
        parent_acl: &'a AclList,
    },
    /// A node's data was set.
    DataChanged {
        /// The node.
        path: &'a str,
        /// Bytes of its new data.
        data_bytes: usize,
        /// Its list.
        acl: &'a AclList,
    },
}

/// Hears what happens to the tree.
pub trait TreeObserver {
    /// This happened, as part of the transaction being applied.
    fn on_event(&mut self, event: TreeEvent<'_>);
}

/// Hears nothing: for replay.
impl TreeObserver for () {
    fn on_event(&mut self, _event: TreeEvent<'_>) {}
}

/// What a transaction came to (`DataTree.ProcessTxnResult`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Applied<'a> {
    /// A node was created.
    Created {
        /// Which kind of create.
        op: OpCode,
        /// Its path.
        path: &'a str,
        /// Its status.
        stat: Stat,
    },
    /// A node was deleted.
    Deleted,
    /// A node's data was set.
    DataSet(Stat),
    /// A node's list was set.
    AclSet(Stat),
    /// A check within a multi.
    Checked,
    /// A session was made or closed.
    Session,
    /// One result for each operation of a multi.
    Multi(Vec<Applied<'a>>),
    /// Nothing happened; the error code, which within a failed multi may be 0.
    Failed(i32),
}

impl DataTree {
    /// Applies a transaction and compares the tree's digest with the one it came with.
    pub fn apply<'a>(
        &mut self,
        entry: &'a TxnEntry<'_>,
        observer: &mut impl TreeObserver,
    ) -> Applied<'a> {
        let applied = self.apply_body(entry, &entry.body, observer);
        let zxid = entry.zxid();
        self.last_processed = self.last_processed.max(zxid);
        self.check_digest(entry, zxid);
        applied
    }

    fn apply_body<'a>(
        &mut self,
        entry: &'a TxnEntry<'_>,
        body: &'a TxnBody<'_>,
        observer: &mut impl TreeObserver,
    ) -> Applied<'a> {
        let (zxid, time) = (entry.zxid(), entry.header.time);
        let session = SessionId(entry.header.client_id);
        let created = |tree: &mut Self, txn: NewNode<'a>, observer: &mut _| {
            let op = body.op_code();
            let (path, parent_cversion) = (txn.path, txn.parent_cversion);
            match tree.create_node(txn, zxid, time, observer) {
                Ok(stat) => Applied::Created { op, path, stat },
                Err(error) => {
                    if op == OpCode::Create && error == ErrorCode::NodeExists {
                        tree.raise_cversion(path, parent_cversion, zxid);
                    }
                    Applied::Failed(error.code())
                }
            }
        };
        match body {
            TxnBody::Create(txn) | TxnBody::Create2(txn) => {
                let owner = if txn.ephemeral { session.0 } else { 0 };
                created(self, NewNode::from_txn(txn, owner), observer)
            }
            TxnBody::CreateContainer(txn) => created(
                self,
                NewNode {
                    path: &txn.path,
                    data: txn.data,
                    acl: &txn.acl,
                    owner: CONTAINER_OWNER,
                    parent_cversion: txn.parent_cversion,
                },
                observer,
            ),
            TxnBody::CreateTtl(txn) => match ttl_owner(txn.ttl) {
                Some(owner) => created(
                    self,
                    NewNode {
                        path: &txn.path,
                        data: txn.data,
                        acl: &txn.acl,
                        owner,
                        parent_cversion: txn.parent_cversion,
                    },
                    observer,
                ),
                // Apache's server writes such a transaction and dies of it: skip it.
                None => Applied::Failed(ErrorCode::BadArguments.code()),
            },
            TxnBody::Delete(txn) | TxnBody::DeleteContainer(txn) => {
                match self.delete_node(&txn.path, zxid, observer) {
                    Ok(()) => Applied::Deleted,
                    Err(error) => Applied::Failed(error.code()),
                }
            }
            TxnBody::SetData(txn) | TxnBody::Reconfig(txn) => {
                let Some(idx) = self.lookup(&txn.path) else {
                    return Applied::Failed(ErrorCode::NoNode.code());
                };
                let length_before = self.nodes.get(idx).data_len();
                self.set_data(idx, &txn.path, txn.data, |stat| {
                    stat.version = txn.version;
                    stat.mtime = time;
                    stat.mzxid = zxid.0;
                });
                let data_bytes = self.nodes.get(idx).data_len();
                let difference = data_bytes as i64 - length_before as i64;
                self.count_quota(&txn.path, difference, 0);
                let acl = self.acls.get(self.nodes.get(idx).acl);
                observer.on_event(TreeEvent::DataChanged { path: &txn.path, data_bytes, acl });
                Applied::DataSet(self.client_stat(idx))
            }
            TxnBody::SetAcl(txn) => {
                let Some(idx) = self.lookup(&txn.path) else {
                    return Applied::Failed(ErrorCode::NoNode.code());
                };
                let new = self.acls.add(&txn.acl);
                let old = self.nodes.get(idx).acl;
                self.acls.remove_user(old);
                self.change_node(idx, &txn.path, |node| {
                    node.acl = new;
                    node.stat.aversion = txn.version;
                });
                Applied::AclSet(self.client_stat(idx))
            }
            TxnBody::Check(_) => Applied::Checked,
            TxnBody::Multi(operations) => {
                Applied::Multi(self.apply_multi(entry, operations, observer))
            }
            TxnBody::CreateSession(_) => Applied::Session,
            TxnBody::CloseSession(txn) => {
                let listed = txn.iter().flat_map(|txn| &txn.paths2_delete);
                for path in listed {
                    // A node that is gone already was deleted while the session closed.
                    let _ = self.delete_node(path, zxid, observer);
                }
                let is_undead = mutation::is_on(Mutation::UndeadEphemerals);
                for path in self.ephemerals(session).into_iter().filter(|_| !is_undead) {
                    let _ = self.delete_node(&path, zxid, observer);
                }
                Applied::Session
            }
            TxnBody::Error(txn) => Applied::Failed(txn.err),
        }
    }

    /// If any operation is an error nothing is applied: the ones before the first error succeeded
    /// in vain, which shows as error code 0, the ones after it never ran.
    fn apply_multi<'a>(
        &mut self,
        entry: &'a TxnEntry<'_>,
        operations: &'a [TxnBody<'_>],
        observer: &mut impl TreeObserver,
    ) -> Vec<Applied<'a>> {
        let first_error =
            operations.iter().position(|operation| matches!(operation, TxnBody::Error(_)));
        let results = operations.iter().enumerate();
        results
            .map(|(at, operation)| match (first_error, operation) {
                (None, _) | (_, TxnBody::Error(_)) => self.apply_body(entry, operation, observer),
                (Some(failed), _) if at < failed => Applied::Failed(0),
                _ => Applied::Failed(ErrorCode::RuntimeInconsistency.code()),
            })
            .collect()
    }

    fn create_node(
        &mut self,
        new: NewNode<'_>,
        zxid: Zxid,
        time: i64,
        observer: &mut impl TreeObserver,
    ) -> Result<Stat, ErrorCode> {
        let parent_path = parent_path(new.path);
        let parent = self.lookup(parent_path).ok_or(ErrorCode::NoNode)?;
        if let Some(existing) = self.lookup(new.path) {
            let acl = self.acls.add(new.acl);
            let node = self.nodes.get_mut(existing);
            let old = std::mem::replace(&mut node.acl, acl);
            self.acls.remove_user(old);
            return Err(ErrorCode::NodeExists);
        }
        self.raise_cversion(new.path, new.parent_cversion, zxid);
        let acl = self.acls.add(new.acl);
        let stat = new_stat(zxid, time, new.owner);
        let idx = self.insert_node(parent, new.path, new.data, acl, stat);
        self.quota_node_created(new.path);
        let data_bytes = new.data.map_or(0, <[u8]>::len);
        self.count_quota(new.path, data_bytes as i64, 1);
        let acl = self.acls.get(acl);
        let parent_acl = self.acls.get(self.nodes.get(parent).acl);
        observer.on_event(TreeEvent::Created { path: new.path, data_bytes, acl, parent_acl });
        Ok(self.client_stat(idx))
    }

    fn delete_node(
        &mut self,
        path: &str,
        zxid: Zxid,
        observer: &mut impl TreeObserver,
    ) -> Result<(), ErrorCode> {
        let parent_path = parent_path(path);
        let parent = self.lookup(parent_path).ok_or(ErrorCode::NoNode)?;
        if zxid.0 > self.nodes.get(parent).stat.pzxid {
            self.change_node(parent, parent_path, |node| node.stat.pzxid = zxid.0);
        }
        let idx = self.lookup(path).ok_or(ErrorCode::NoNode)?;
        if idx == NodeIdx::ROOT {
            // No server writes this, but a log on disk may say anything.
            return Err(ErrorCode::BadArguments);
        }
        // During replay over a snapshot a child made later may still be there; its own deletion
        // follows in the log, but this node must go now, and nothing can stay below it.
        let mut below: Vec<_> = self.subtree(idx).skip(1).collect();
        while let Some(orphan) = below.pop() {
            let orphan_path = self.nodes.path(orphan);
            self.remove_node(orphan, &orphan_path);
        }
        let node = self.nodes.get(idx);
        let acl = self.acls.get(node.acl).clone();
        let bytes = node.data_len() as i64;
        self.remove_node(idx, path);
        self.quota_node_deleted(path);
        self.count_quota(path, -bytes, -1);
        let parent_acl = self.acls.get(self.nodes.get(parent).acl);
        observer.on_event(TreeEvent::Deleted { path, acl: &acl, parent_acl });
        Ok(())
    }

    /// Gives a node new data and keeps digest and sizes right.
    pub(super) fn set_data(
        &mut self,
        idx: NodeIdx,
        path: &str,
        data: Option<&[u8]>,
        change: impl FnOnce(&mut jute::StatPersisted),
    ) {
        let before = self.nodes.get(idx).data_len();
        let prefix =
            if self.options.digest_enabled { super::digest::prefix(path, data) } else { 0 };
        self.change_node(idx, path, |node| {
            node.set_data(data);
            node.digest_prefix = prefix;
            change(&mut node.stat);
        });
        self.data_bytes += data.map_or(0, <[u8]>::len) as i64 - before as i64;
    }

    /// The parent of `path` has had this many creations, the last one in `zxid`; its version never
    /// goes back.
    fn raise_cversion(&mut self, path: &str, parent_cversion: i32, zxid: Zxid) {
        let parent_path = parent_path(path);
        let Some(parent) = self.lookup(parent_path) else { return };
        let stored = self.nodes.get(parent).stat.cversion;
        // Logs written before 3.4 do not say.
        let cversion = if parent_cversion == -1 { stored.wrapping_add(1) } else { parent_cversion };
        if cversion > stored {
            self.change_node(parent, parent_path, |node| {
                node.stat.cversion = cversion;
                node.stat.pzxid = zxid.0;
            });
        }
    }

    fn client_stat(&self, idx: NodeIdx) -> Stat {
        let node = self.nodes.get(idx);
        let rules = self.options.ephemeral_rules;
        super::stat::client_stat(&node.stat, node.data_len(), node.child_count(), rules)
    }

    /// Compares digests (`compareDigest`, `compareSnapshotDigests`); a difference is counted and
    /// the server goes on, as ZooKeeper does. Replay over a tree that is not whole yet passes
    /// through states that never were: no difference is counted there, where ZooKeeper counts
    /// them, and the first digest that is the tree's shows that it is whole.
    fn check_digest(&mut self, entry: &TxnEntry<'_>, zxid: Zxid) {
        if !self.options.digest_enabled {
            return;
        }
        if let Some(of_snapshot) = self.digest_of_snapshot {
            if zxid >= of_snapshot.zxid {
                self.digest_of_snapshot = None;
                self.is_whole = true;
                let comparable = zxid == of_snapshot.zxid && of_snapshot.version == DIGEST_VERSION;
                if comparable && of_snapshot.digest != self.digest {
                    self.digest_mismatches += 1;
                }
            }
            return;
        }
        let expected = entry.digest.as_ref().filter(|digest| digest.version == DIGEST_VERSION);
        let agrees = expected.map(|digest| digest.tree_digest as u64 == self.digest);
        self.is_whole |= agrees == Some(true);
        if !self.is_whole {
            return;
        }
        self.log_digest(zxid);
        if agrees == Some(false) {
            self.digest_mismatches += 1;
        }
    }
}

struct NewNode<'a> {
    path: &'a str,
    data: Option<&'a [u8]>,
    acl: &'a [jute::Acl<'a>],
    owner: i64,
    parent_cversion: i32,
}

impl<'a> NewNode<'a> {
    fn from_txn(txn: &'a CreateTxn<'_>, owner: i64) -> Self {
        let CreateTxn { path, data, acl, parent_cversion, .. } = txn;
        Self { path, data: *data, acl, owner, parent_cversion: *parent_cversion }
    }
}

fn parent_path(path: &str) -> &str {
    &path[..path.rfind('/').unwrap_or(0)]
}
