//! How many learners are brought up to date at a time (`LearnerSyncThrottler`): each costs the
//! leader a walk through its tree or its log. Followers are never turned away, as the ensemble
//! needs them; observers come back later.

use std::collections::BTreeSet;

use super::learner_cnxn::LearnerCnxnId;

/// The learners that are being brought up to date in one way.
#[derive(Debug)]
pub(super) struct LearnerSyncThrottler {
    concurrent_max: usize,
    in_progress: BTreeSet<LearnerCnxnId>,
}

impl LearnerSyncThrottler {
    pub(super) fn new(concurrent_max: usize) -> Self {
        Self { concurrent_max, in_progress: BTreeSet::new() }
    }

    /// A learner is to be brought up to date; how many are with it, or the reason if it is one too
    /// many.
    pub(super) fn begin(
        &mut self,
        learner: LearnerCnxnId,
        is_essential: bool,
    ) -> Result<usize, String> {
        if !is_essential && self.in_progress.len() >= self.concurrent_max {
            return Err(format!(
                "{} learners are being synchronised already, of at most {}",
                self.in_progress.len(),
                self.concurrent_max
            ));
        }
        self.in_progress.insert(learner);
        Ok(self.in_progress.len())
    }

    /// It is up to date, or gone; how many are left if it was one of them.
    pub(super) fn end(&mut self, learner: LearnerCnxnId) -> Option<usize> {
        self.in_progress.remove(&learner).then_some(self.in_progress.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn observers_wait_for_their_turn_and_followers_do_not() {
        let mut throttler = LearnerSyncThrottler::new(2);
        let [first, second, third, follower] = [1, 2, 3, 4].map(LearnerCnxnId);
        assert!(throttler.begin(first, false).is_ok() && throttler.begin(second, false).is_ok());
        assert!(throttler.begin(third, false).is_err());
        assert!(throttler.begin(follower, true).is_ok());
        throttler.end(first);
        assert!(throttler.begin(third, false).is_err(), "the follower counts");
        throttler.end(follower);
        assert!(throttler.begin(third, false).is_ok());
    }
}
