//! Things that expire, in buckets of a fixed width (`ExpiryQueue`).
//!
//! A deadline is rounded up to the next multiple of the interval that lies strictly after it. So
//! nothing expires early, and what expires at about the same time does so together.

use std::collections::BTreeSet;
use std::hash::Hash;

use hashbrown::HashMap;

use crate::proto::Millis;

/// Elements by the time at which they expire.
#[derive(Debug)]
pub struct ExpiryQueue<E> {
    interval_ms: Millis,
    by_deadline: BTreeSet<(Millis, E)>,
    deadlines: HashMap<E, Millis>,
}

impl<E: Copy + Ord + Hash> ExpiryQueue<E> {
    /// An empty queue whose buckets are `interval_ms` (more than 0) wide.
    pub fn new(interval_ms: Millis) -> Self {
        assert!(interval_ms > 0, "an expiry queue needs an interval above 0, not {interval_ms}");
        Self { interval_ms, by_deadline: BTreeSet::new(), deadlines: HashMap::new() }
    }

    /// The bucket of what may expire at `time`: strictly later, at most one interval.
    pub fn round_to_next_interval(&self, time: Millis) -> Millis {
        (time / self.interval_ms + 1) * self.interval_ms
    }

    /// Adds `element` to the bucket of `time`, or moves it there. Returns the bucket.
    pub fn update(&mut self, element: E, time: Millis) -> Millis {
        let deadline = self.round_to_next_interval(time);
        let previous = self.deadlines.insert(element, deadline);
        if previous != Some(deadline) {
            if let Some(previous) = previous {
                self.by_deadline.remove(&(previous, element));
            }
            self.by_deadline.insert((deadline, element));
        }
        deadline
    }

    /// Takes `element` out. Returns its bucket, if it had one.
    pub fn remove(&mut self, element: E) -> Option<Millis> {
        let deadline = self.deadlines.remove(&element)?;
        self.by_deadline.remove(&(deadline, element));
        Some(deadline)
    }

    /// Takes out the first element whose bucket is reached at `now`; the earliest bucket first, in
    /// a bucket the least element.
    pub fn pop_due(&mut self, now: Millis) -> Option<E> {
        let (_, element) = *self.by_deadline.first().filter(|(deadline, _)| *deadline <= now)?;
        self.remove(element);
        Some(element)
    }

    /// When there may next be something for [`Self::pop_due`].
    pub fn next_deadline(&self) -> Option<Millis> {
        self.by_deadline.first().map(|(deadline, _)| *deadline)
    }

    /// Elements in it.
    pub fn len(&self) -> usize {
        self.deadlines.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.deadlines.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_is_the_next_multiple_strictly_after_it() {
        let mut queue = ExpiryQueue::new(2000);
        assert_eq!(queue.update('a', 3999), 4000);
        assert_eq!(queue.update('b', 4000), 6000);
        assert_eq!(queue.next_deadline(), Some(4000));
    }

    #[test]
    fn an_update_moves_both_ways() {
        let mut queue = ExpiryQueue::new(10);
        queue.update('a', 5);
        queue.update('a', 25);
        assert_eq!(queue.next_deadline(), Some(30));
        queue.update('a', 15);
        assert_eq!(queue.next_deadline(), Some(20));
        assert_eq!(queue.len(), 1);
    }

    #[test]
    fn what_is_due_comes_out_once_in_order() {
        let mut queue = ExpiryQueue::new(10);
        for (element, time) in [('c', 5), ('a', 15), ('b', 5), ('d', 25), ('e', 5)] {
            queue.update(element, time);
        }
        assert_eq!(queue.remove('e'), Some(10));
        assert_eq!(queue.remove('e'), None);
        assert_eq!(queue.pop_due(9), None);
        let due: Vec<_> = std::iter::from_fn(|| queue.pop_due(20)).collect();
        assert_eq!(due, ['b', 'c', 'a']);
        assert_eq!((queue.len(), queue.next_deadline()), (1, Some(30)));
    }
}
