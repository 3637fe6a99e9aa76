//! Values summed up (`AvgMinMaxCounter`).

/// How many values there were, their sum, the least and the greatest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tally {
    count: u64,
    sum: i64,
    min: i64,
    max: i64,
}

impl Default for Tally {
    fn default() -> Self {
        Self { count: 0, sum: 0, min: i64::MAX, max: i64::MIN }
    }
}

impl Tally {
    /// One more value.
    pub fn add(&mut self, value: i64) {
        self.count += 1;
        self.sum = self.sum.wrapping_add(value);
        self.min = self.min.min(value);
        self.max = self.max.max(value);
    }

    /// The same value, so many times.
    pub fn add_many(&mut self, value: i64, count: u64) {
        if count == 0 {
            return;
        }
        self.count += count;
        self.sum = self.sum.wrapping_add(value.wrapping_mul(count as i64));
        self.min = self.min.min(value);
        self.max = self.max.max(value);
    }

    /// The values of another tally.
    pub fn merge(&mut self, other: &Tally) {
        self.count += other.count;
        self.sum = self.sum.wrapping_add(other.sum);
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
    }

    /// How many values.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Their sum.
    pub fn sum(&self) -> i64 {
        self.sum
    }

    /// The least, 0 before there was one.
    pub fn min(&self) -> i64 {
        if self.count == 0 { 0 } else { self.min }
    }

    /// The greatest, 0 before there was one.
    pub fn max(&self) -> i64 {
        if self.count == 0 { 0 } else { self.max }
    }

    /// Their mean with the four decimals that ZooKeeper shows, 0 before there was one.
    pub fn mean(&self) -> f64 {
        if self.count == 0 {
            return 0.0;
        }
        let mean = self.sum as f64 / self.count as f64;
        (mean * 10_000.0).round() / 10_000.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_summed_up() {
        let mut tally = Tally::default();
        assert_eq!((tally.min(), tally.max(), tally.mean()), (0, 0, 0.0));
        tally.add_many(5, 2);
        tally.add_many(9, 0);
        let mut other = Tally::default();
        other.add_many(1, 1);
        tally.merge(&other);
        assert_eq!((tally.count(), tally.sum(), tally.min(), tally.max()), (3, 11, 1, 5));
        assert_eq!(tally.mean(), 3.6667);
    }
}
