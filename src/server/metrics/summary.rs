//! Values summed up (`AvgMinMaxCounter`, `AvgMinMaxPercentileCounter`).

use hdrhistogram::Histogram;
use metrics::HistogramFn;
use parking_lot::Mutex;

use super::Value;
use crate::stats::Tally;

/// Digits of a value that its percentiles keep.
const SIGNIFICANT_DIGITS: u8 = 2;

/// The percentiles that are shown.
const PERCENTILES: [(&str, f64); 4] = [("p50", 50.0), ("p95", 95.0), ("p99", 99.0), ("p999", 99.9)];

/// Values recorded so far; whole numbers, as all of ZooKeeper's are.
#[derive(Debug)]
pub(super) struct Summary {
    recorded: Mutex<Recorded>,
}

#[derive(Debug)]
struct Recorded {
    tally: Tally,
    /// Apache draws a sample of 4096 values; this holds them all, to two digits.
    histogram: Option<Histogram<u64>>,
}

impl Summary {
    /// Without percentiles.
    pub(super) fn basic() -> Self {
        Self { recorded: Mutex::new(Recorded { tally: Tally::default(), histogram: None }) }
    }

    /// With percentiles.
    pub(super) fn advanced() -> Self {
        let histogram = Histogram::new(SIGNIFICANT_DIGITS).expect("2 digits are allowed");
        let histogram = Some(histogram);
        Self { recorded: Mutex::new(Recorded { tally: Tally::default(), histogram }) }
    }

    /// Starts anew.
    pub(super) fn reset(&self) {
        let mut recorded = self.recorded.lock();
        recorded.tally = Tally::default();
        recorded.histogram.iter_mut().for_each(Histogram::reset);
    }

    /// Shows everything under this name.
    pub(super) fn show(&self, name: &str, sink: &mut impl FnMut(String, Value)) {
        let recorded = self.recorded.lock();
        show_tally(name, &recorded.tally, sink);
        if let Some(histogram) = &recorded.histogram {
            for (prefix, percentile) in PERCENTILES {
                let value = histogram.value_at_percentile(percentile);
                // A bucket's upper end may lie above all that was recorded.
                let value = (value as i64).min(recorded.tally.max());
                sink(format!("{prefix}_{name}"), Value::Integer(value));
            }
        }
    }
}

impl HistogramFn for Summary {
    fn record(&self, value: f64) {
        self.record_many(value, 1);
    }

    fn record_many(&self, value: f64, count: usize) {
        let value = value as i64;
        let mut recorded = self.recorded.lock();
        recorded.tally.add_many(value, count as u64);
        if let Some(histogram) = &mut recorded.histogram {
            // Below 0 only if a clock went back, above never: it grows as needed.
            histogram.saturating_record_n(value.max(0) as u64, count as u64);
        }
    }
}

/// Shows mean, minimum, maximum, count and sum.
pub(super) fn show_tally(name: &str, tally: &Tally, sink: &mut impl FnMut(String, Value)) {
    sink(format!("avg_{name}"), Value::Real(tally.mean()));
    sink(format!("min_{name}"), Value::Integer(tally.min()));
    sink(format!("max_{name}"), Value::Integer(tally.max()));
    sink(format!("cnt_{name}"), Value::Integer(tally.count() as i64));
    sink(format!("sum_{name}"), Value::Integer(tally.sum()));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(summary: &Summary) -> Vec<(String, Value)> {
        let mut shown = Vec::new();
        summary.show("x", &mut |name, value| shown.push((name, value)));
        shown
    }

    #[test]
    fn an_empty_summary_is_all_zeros() {
        let shown = shown(&Summary::advanced());
        let names: Vec<_> = shown.iter().map(|(name, _)| name.as_str()).collect();
        let apache = "avg_x min_x max_x cnt_x sum_x p50_x p95_x p99_x p999_x";
        assert_eq!(names, apache.split(' ').collect::<Vec<_>>());
        assert_eq!(shown[0].1, Value::Real(0.0));
        assert!(shown[1..].iter().all(|(_, value)| *value == Value::Integer(0)));
    }

    #[test]
    fn values_are_summed_up_and_forgotten() {
        let summary = Summary::advanced();
        summary.record_many(1.0, 95);
        summary.record_many(7.0, 4);
        summary.record(90.0);
        let expected = [
            Value::Real(2.13),
            Value::Integer(1),
            Value::Integer(90),
            Value::Integer(100),
            Value::Integer(213),
            Value::Integer(1),
            Value::Integer(1),
            Value::Integer(7),
            Value::Integer(90),
        ];
        let values: Vec<_> = shown(&summary).into_iter().map(|(_, value)| value).collect();
        assert_eq!(values, expected);
        summary.reset();
        assert_eq!(shown(&summary), shown(&Summary::advanced()));
    }

    #[test]
    fn a_basic_summary_has_no_percentiles() {
        let summary = Summary::basic();
        summary.record(-3.0);
        let expected = [
            Value::Real(-3.0),
            Value::Integer(-3),
            Value::Integer(-3),
            Value::Integer(1),
            Value::Integer(-3),
        ];
        let values: Vec<_> = shown(&summary).into_iter().map(|(_, value)| value).collect();
        assert_eq!(values, expected);
    }
}
