//! A server's configurations on its disk: a model of what
//! `gamekeeper::server::config::DynamicConfigFiles` keeps, with its steps in their order.
//!
//! 1. A committed configuration takes the place of the one before as a whole: `zoo.cfg` is replaced
//!    and names the new file, which is durable by then.
//! 2. Then the proposed one is written as `zoo.cfg.dynamic.next`, as a whole, or that file is
//!    removed.
//! 3. The removal lasts once something else is written beside it: until then a loss of power brings
//!    the file back.

use std::sync::Arc;

use fastrand::Rng;
use gamekeeper::quorum::{Configs, QuorumVerifier};

/// The files.
#[derive(Debug)]
pub struct ConfigFiles {
    committed: Arc<QuorumVerifier>,
    next: Option<Arc<QuorumVerifier>>,
    /// What was removed, but may come back.
    removed: Option<Arc<QuorumVerifier>>,
    /// What is being written: the configurations before and after.
    storing: Option<(Configs, Configs)>,
}

impl ConfigFiles {
    /// Those that an administrator has written.
    pub fn new(committed: Arc<QuorumVerifier>) -> Self {
        Self { committed, next: None, removed: None, storing: None }
    }

    /// The configuration that `zoo.cfg` names.
    pub fn committed(&self) -> &Arc<QuorumVerifier> {
        &self.committed
    }

    /// Whether this version, or a later one in force, would survive the loss of power.
    pub fn holds_durably(&self, version: i64) -> bool {
        let is_next = self.next.as_ref().is_some_and(|next| next.version() == version);
        is_next || self.committed.version() >= version
    }

    /// What a start reads, if configurations may change or not.
    pub fn load(&self, is_enabled: bool) -> Configs {
        Configs::new(self.committed.clone(), self.next.clone(), is_enabled)
    }

    /// Begins to write what is different in `after`.
    pub fn begin(&mut self, before: Configs, after: Configs) {
        assert!(self.storing.is_none(), "one thread writes, one thing after the other");
        self.storing = Some((before, after));
    }

    /// It is written.
    pub fn finish(&mut self) {
        let (before, after) = self.storing.take().expect("something was begun");
        self.store_committed(&before, &after);
        self.store_next(&before, &after);
    }

    /// The process is gone: of what it was writing, a beginning is there.
    pub fn kill(&mut self, random: &mut Rng) {
        let Some((before, after)) = self.storing.take() else { return };
        let steps = random.usize(..3);
        if steps > 0 {
            self.store_committed(&before, &after);
        }
        if steps > 1 {
            self.store_next(&before, &after);
        }
    }

    /// The power is gone, and with it what was not durable.
    pub fn lose_power(&mut self, random: &mut Rng) {
        self.kill(random);
        let removed = self.removed.take();
        if self.next.is_none() && random.bool() {
            self.next = removed;
        }
    }

    fn store_committed(&mut self, before: &Configs, after: &Configs) {
        if after.committed().version() > before.committed().version() {
            self.committed = after.committed().clone();
            self.removed = None;
        }
    }

    fn store_next(&mut self, before: &Configs, after: &Configs) {
        match after.pending() {
            Some(pending) if pending.version() != before.last_seen().version() => {
                self.next = Some(pending.clone());
                self.removed = None;
            }
            Some(_) => {}
            None => self.removed = self.next.take().or(self.removed.take()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(version: i64) -> Arc<QuorumVerifier> {
        let text = format!("server.1=a:1:2\nserver.2=b:1:2\nversion={version:x}");
        Arc::new(QuorumVerifier::from_text(&text, false).expect("well formed"))
    }

    fn versions(files: &ConfigFiles) -> (i64, i64) {
        let configs = files.load(true);
        (configs.committed().version(), configs.last_seen().version())
    }

    #[test]
    fn a_crash_leaves_a_beginning_of_what_was_written() {
        let mut random = Rng::with_seed(1);
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..100 {
            let mut files = ConfigFiles::new(config(0));
            let start = files.load(true);
            let mut proposed = start.clone();
            proposed.set_last_seen(config(5));
            files.begin(start, proposed.clone());
            files.finish();
            assert_eq!(versions(&files), (0, 5));
            let mut committed = proposed.clone();
            committed.set_committed(config(5));
            files.begin(proposed, committed.clone());
            files.kill(&mut random);
            seen.insert(versions(&files));
            if versions(&files) == (5, 5) {
                // Removed or not, it is no newer one.
                files.lose_power(&mut random);
                assert_eq!(versions(&files), (5, 5));
            }
        }
        assert_eq!(Vec::from_iter(seen), [(0, 5), (5, 5)]);
    }

    #[test]
    fn what_was_proposed_in_vain_may_come_back_when_the_power_is_lost() {
        let mut random = Rng::with_seed(1);
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..100 {
            let mut files = ConfigFiles::new(config(3));
            let start = files.load(true);
            let mut proposed = start.clone();
            proposed.set_last_seen(config(5));
            files.begin(start.clone(), proposed.clone());
            files.finish();
            files.begin(proposed, start);
            files.finish();
            assert_eq!(versions(&files), (3, 3));
            files.lose_power(&mut random);
            seen.insert(versions(&files));
        }
        assert_eq!(Vec::from_iter(seen), [(3, 3), (3, 5)]);
    }
}
