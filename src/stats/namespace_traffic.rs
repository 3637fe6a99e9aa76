//! Bytes read or written below each top-level node (`DataTree.updateReadStat` and
//! `updateWriteStat`), for the metrics `read_per_namespace` and `write_per_namespace`.

use std::cell::RefCell;

use foldhash::HashMap;
use parking_lot::Mutex;

use super::Tally;
use crate::proto::path::top_namespace;

/// The most top-level nodes that are kept apart; what happens below further ones is not counted.
const NAMESPACES_MAX: usize = 10_000;

/// The longest name that requests in a row are gathered under; others are counted one by one.
const RUN_NAME_BYTES_MAX: usize = 64;

/// The bytes of all requests, by the first element of their paths.
#[derive(Debug, Default)]
pub struct NamespaceTraffic {
    is_uncounted: bool,
    tallies: Mutex<HashMap<Box<str>, Tally>>,
}

impl NamespaceTraffic {
    /// Counts nothing.
    pub fn uncounted() -> Self {
        Self { is_uncounted: true, ..Self::default() }
    }

    /// All names with what is counted under them, in order.
    pub fn tallies(&self) -> Vec<(Box<str>, Tally)> {
        let tallies = self.tallies.lock();
        let mut sorted: Vec<_> =
            tallies.iter().map(|(name, tally)| (name.clone(), *tally)).collect();
        sorted.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        sorted
    }

    /// Starts anew (`srst`); the names stay, as they do in ZooKeeper.
    pub fn reset(&self) {
        self.tallies.lock().values_mut().for_each(|tally| *tally = Tally::default());
    }

    fn merge(&self, name: &str, more: &Tally) {
        let mut tallies = self.tallies.lock();
        if let Some(tally) = tallies.get_mut(name) {
            tally.merge(more);
        } else if tallies.len() < NAMESPACES_MAX {
            tallies.insert(name.into(), *more);
        }
    }
}

/// Requests in a row, counted together while they stay under one name.
pub struct TrafficRun<'a> {
    traffic: &'a NamespaceTraffic,
    current: RefCell<Current>,
}

/// What is not counted yet, and under which name it belongs.
struct Current {
    name: [u8; RUN_NAME_BYTES_MAX],
    name_bytes: usize,
    tally: Tally,
}

impl<'a> TrafficRun<'a> {
    /// Nothing yet.
    pub fn new(traffic: &'a NamespaceTraffic) -> Self {
        let name = [0; RUN_NAME_BYTES_MAX];
        let current = Current { name, name_bytes: 0, tally: Tally::default() };
        Self { traffic, current: RefCell::new(current) }
    }

    /// A request moved so many bytes at `path`; on the root, which has no namespace, none count.
    pub fn add(&self, path: &str, bytes: usize) {
        if self.traffic.is_uncounted {
            return;
        }
        let current = &mut *self.current.borrow_mut();
        if !current.is_above(path) {
            let Some(name) = top_namespace(path) else { return };
            current.flush(self.traffic);
            if name.len() > RUN_NAME_BYTES_MAX {
                let mut tally = Tally::default();
                tally.add(bytes as i64);
                return self.traffic.merge(name, &tally);
            }
            current.name[..name.len()].copy_from_slice(name.as_bytes());
            current.name_bytes = name.len();
        }
        current.tally.add(bytes as i64);
    }
}

impl Current {
    /// Whether the first element of `path` is the name at hand.
    fn is_above(&self, path: &str) -> bool {
        let name = &self.name[..self.name_bytes];
        let Some(rest) = path.as_bytes().get(1..) else { return false };
        !name.is_empty()
            && rest.starts_with(name)
            && matches!(rest.get(name.len()), None | Some(b'/'))
    }

    fn flush(&mut self, traffic: &NamespaceTraffic) {
        if self.tally.count() > 0 {
            let name = &self.name[..self.name_bytes];
            let name = std::str::from_utf8(name).expect("it was copied from text");
            traffic.merge(name, &self.tally);
            self.tally = Tally::default();
        }
    }
}

impl Drop for TrafficRun<'_> {
    fn drop(&mut self) {
        self.current.get_mut().flush(self.traffic);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_under_the_first_element() {
        let traffic = NamespaceTraffic::default();
        let long = "x".repeat(RUN_NAME_BYTES_MAX + 1);
        {
            let run = TrafficRun::new(&traffic);
            let long = format!("/{long}/y");
            for (path, bytes) in
                [("/a/b", 3), ("/a", 4), ("/ab", 1), ("/a/c", 5), ("/", 9), (&*long, 7)]
            {
                run.add(path, bytes);
            }
        }
        let sums = |traffic: &NamespaceTraffic| -> Vec<_> {
            let of =
                |(name, tally): (Box<str>, Tally)| (name.into_string(), tally.count(), tally.sum());
            traffic.tallies().into_iter().map(of).collect()
        };
        let expected = [("a".into(), 3, 12), ("ab".into(), 1, 1), (long.clone(), 1, 7)];
        assert_eq!(sums(&traffic), expected);
        traffic.reset();
        assert_eq!(sums(&traffic), [("a".into(), 0, 0), ("ab".into(), 0, 0), (long, 0, 0)]);
    }

    #[test]
    fn nothing_is_counted_where_nobody_asks() {
        let traffic = NamespaceTraffic::uncounted();
        TrafficRun::new(&traffic).add("/a", 1);
        assert_eq!(traffic.tallies(), []);
    }

    #[test]
    fn there_is_an_end_to_the_names() {
        let traffic = NamespaceTraffic::default();
        let run = TrafficRun::new(&traffic);
        (0..NAMESPACES_MAX + 5).for_each(|name| run.add(&format!("/{name}"), 1));
        drop(run);
        assert_eq!(traffic.tallies().len(), NAMESPACES_MAX);
    }
}
