//! Where counters and summaries live (`DefaultMetricsProvider`).
//!
//! Code that counts is given handles of the `metrics` facade, made once by [`Registry`] as its
//! recorder; each then writes to its own counter or summary without a look-up. Several servers in
//! one process each have their own registry.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use metrics::{
    Counter, CounterFn, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit,
};
use parking_lot::Mutex;

use super::names::{ADVANCED_SUMMARIES, BASIC_SUMMARIES, COUNTER_SETS, COUNTERS};
use super::summary::{Summary, show_tally};
use crate::stats::Tally;

/// The most labels a set keeps apart; what comes under further ones is not counted.
const LABELS_MAX: usize = 10_000;

/// A value that is shown.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value {
    /// A whole number.
    Integer(i64),
    /// Any number.
    Real(f64),
}

/// All counters and summaries of a server.
pub struct Registry {
    counters: Vec<(&'static str, Arc<Count>)>,
    counter_sets: Vec<(&'static str, Mutex<ByLabel>)>,
    summaries: Vec<(&'static str, Arc<Summary>)>,
}

impl Registry {
    /// A registry with every name, and nothing counted.
    pub fn new() -> Self {
        let basic = BASIC_SUMMARIES.map(|name| (name, Arc::new(Summary::basic())));
        let advanced = ADVANCED_SUMMARIES.map(|name| (name, Arc::new(Summary::advanced())));
        Self {
            counters: COUNTERS.map(|name| (name, Arc::default())).into(),
            counter_sets: COUNTER_SETS.map(|name| (name, Mutex::default())).into(),
            summaries: basic.into_iter().chain(advanced).collect(),
        }
    }

    /// Starts everything anew (`srst`).
    pub fn reset(&self) {
        self.counters.iter().for_each(|(_, counter)| counter.reset());
        for (_, set) in &self.counter_sets {
            set.lock().values().for_each(|counter| counter.reset());
        }
        self.summaries.iter().for_each(|(_, summary)| summary.reset());
    }

    /// Shows everything, in the order of Apache's server.
    pub fn show(&self, sink: &mut impl FnMut(String, Value)) {
        for (name, counter) in &self.counters {
            sink((*name).into(), counter.value());
        }
        for (name, set) in &self.counter_sets {
            for (label, counter) in &*set.lock() {
                sink(format!("{label}_{name}"), counter.value());
            }
        }
        self.summaries.iter().for_each(|(name, summary)| summary.show(name, sink));
    }

    /// Shows one set of summaries that is kept elsewhere.
    pub fn show_set(
        name: &str,
        tallies: &[(Box<str>, Tally)],
        sink: &mut impl FnMut(String, Value),
    ) {
        for (label, tally) in tallies {
            show_tally(&format!("{label}_{name}"), tally, sink);
        }
    }
}

impl Default for Registry {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry").finish_non_exhaustive()
    }
}

/// The counters of a set.
type ByLabel = BTreeMap<Box<str>, Arc<Count>>;

/// Gives out handles. A name that ZooKeeper does not have is a mistake of the code that asks.
impl Recorder for Registry {
    fn describe_counter(&self, _key: KeyName, _unit: Option<Unit>, _description: SharedString) {}

    fn describe_gauge(&self, _key: KeyName, _unit: Option<Unit>, _description: SharedString) {}

    fn describe_histogram(&self, _key: KeyName, _unit: Option<Unit>, _description: SharedString) {}

    fn register_counter(&self, key: &Key, _metadata: &Metadata<'_>) -> Counter {
        let Some(label) = key.labels().next() else {
            return Counter::from_arc(find(&self.counters, key.name()).clone());
        };
        let mut set = find(&self.counter_sets, key.name()).lock();
        match set.get(label.value()) {
            Some(counter) => Counter::from_arc(counter.clone()),
            None if set.len() == LABELS_MAX => Counter::noop(),
            None => Counter::from_arc(set.entry(label.value().into()).or_default().clone()),
        }
    }

    fn register_gauge(&self, key: &Key, _metadata: &Metadata<'_>) -> Gauge {
        panic!("{} is a gauge: gauges are asked for when they are shown", key.name())
    }

    fn register_histogram(&self, key: &Key, _metadata: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(find(&self.summaries, key.name()).clone())
    }
}

fn find<'a, T>(all: &'a [(&'static str, T)], name: &str) -> &'a T {
    let found = all.iter().find(|(known, _)| *known == name);
    &found.unwrap_or_else(|| panic!("ZooKeeper has no metric {name} of this kind")).1
}

/// A counter.
#[derive(Debug, Default)]
struct Count(AtomicU64);

impl Count {
    fn reset(&self) {
        self.0.store(0, Ordering::Relaxed);
    }

    fn value(&self) -> Value {
        Value::Integer(self.0.load(Ordering::Relaxed) as i64)
    }
}

impl CounterFn for Count {
    fn increment(&self, value: u64) {
        self.0.fetch_add(value, Ordering::Relaxed);
    }

    fn absolute(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use metrics::{Label, Level};

    use super::*;

    const METADATA: Metadata<'static> = Metadata::new("test", Level::INFO, None);

    fn shown(registry: &Registry) -> BTreeMap<String, Value> {
        let mut shown = BTreeMap::new();
        registry.show(&mut |name, value| {
            assert_eq!(shown.insert(name.clone(), value), None, "{name} is shown twice");
        });
        shown
    }

    #[test]
    fn every_name_is_shown_from_the_start() {
        let shown = shown(&Registry::new());
        let expected = COUNTERS.len() + 5 * BASIC_SUMMARIES.len() + 9 * ADVANCED_SUMMARIES.len();
        assert_eq!(shown.len(), expected);
        assert!(shown.values().all(|value| matches!(value, Value::Integer(0) | Value::Real(0.0))));
    }

    #[test]
    fn handles_count_where_they_are_shown() {
        let registry = Registry::new();
        let counter = registry.register_counter(&Key::from_name("response_bytes"), &METADATA);
        counter.increment(7);
        counter.increment(1);
        registry.register_histogram(&Key::from_name("fsynctime"), &METADATA).record(3.0);
        let label = |namespace| {
            let labels = vec![Label::new("key", namespace)];
            Key::from_parts("quota_exceeded_error_per_namespace", labels)
        };
        registry.register_counter(&label("a"), &METADATA).increment(1);
        registry.register_counter(&label("a"), &METADATA).increment(1);
        let values = shown(&registry);
        assert_eq!(values["response_bytes"], Value::Integer(8));
        assert_eq!(values["sum_fsynctime"], Value::Integer(3));
        assert_eq!(values["a_quota_exceeded_error_per_namespace"], Value::Integer(2));
        registry.reset();
        counter.increment(2);
        assert_eq!(shown(&registry)["response_bytes"], Value::Integer(2));
        assert_eq!(shown(&registry)["cnt_fsynctime"], Value::Integer(0));
    }
}
