//! closeSession: asked by the client, or by the server for a session that expired.

use foldhash::HashSet;
use jute::CloseSessionTxn;

use super::delete::put_deletion;
use super::prep::{Prep, parent_of, write_txn};
use crate::mutation::{self, Mutation};
use crate::proto::SessionId;

/// Prepares the end of a session. The ephemeral nodes to delete stand in the transaction, so that
/// every server deletes the same ones.
pub fn prep(prep: &mut Prep<'_>, out: &mut Vec<u8>) {
    let paths = ephemerals_at_close(prep, prep.session);
    for path in &paths {
        let parent_path = parent_of(path).unwrap_or_default().to_owned();
        put_deletion(prep, path, &parent_path);
    }
    prep.sessions.set_closing(prep.session);
    if !prep.limits.close_session_without_paths {
        let paths2_delete = paths.iter().map(|path| path.as_str().into()).collect();
        write_txn(out, &CloseSessionTxn { paths2_delete });
    }
}

/// The session's ephemeral nodes once everything pending is applied, in the order of their paths.
fn ephemerals_at_close(prep: &Prep<'_>, session: SessionId) -> Vec<String> {
    // A learner may name any session: one that is no owner of ephemerals, such as 0, has none.
    if !prep.ephemeral_rules().is_ephemeral(session.0) {
        return Vec::new();
    }
    let mut paths: HashSet<String> = prep.tree.ephemerals(session).into_iter().collect();
    for (path, record) in prep.changes.iter() {
        match record {
            Some(record) if record.stat.ephemeral_owner == session.0 => {
                if mutation::is_on(Mutation::UndeadEphemerals) {
                    continue;
                }
                paths.insert(path.to_owned());
            }
            // It is gone by then, and may be another session's: a session may be closed twice, by
            // its client and because it expires.
            _ => {
                if record.is_none() || !mutation::is_on(Mutation::TakeForeignNodes) {
                    paths.remove(path);
                }
            }
        }
    }
    let mut paths: Vec<String> = paths.into_iter().collect();
    paths.sort_unstable();
    paths
}
