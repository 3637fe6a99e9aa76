//! Equal values in a row, recorded together: what a batch of requests costs a summary is one lock,
//! not one for each of them.

use metrics::Histogram;

/// Values on their way into a summary.
pub struct Run<'a> {
    histogram: &'a Histogram,
    value: i64,
    count: usize,
}

impl<'a> Run<'a> {
    /// Nothing yet.
    pub fn new(histogram: &'a Histogram) -> Self {
        Self { histogram, value: 0, count: 0 }
    }

    /// One more value.
    pub fn add(&mut self, value: i64) {
        if value != self.value {
            self.flush();
            self.value = value;
        }
        self.count += 1;
    }

    fn flush(&mut self) {
        if self.count > 0 {
            self.histogram.record_many(self.value as f64, self.count);
            self.count = 0;
        }
    }
}

impl Drop for Run<'_> {
    fn drop(&mut self) {
        self.flush();
    }
}
