//! `--against`: two servers under the same load in turn, and the ratios of their medians.
//!
//! Runs alternate (A B A B ...), so that what else the machine does falls on both.

use serde::Serialize;

use super::report::{Report, grouped, millis};

/// Runs of two servers in the order they were made: server, against, server, against ...
#[derive(Debug, Serialize)]
pub(super) struct Comparison {
    /// Every run.
    pub(super) runs: Vec<Report>,
    /// Medians of the server's runs.
    pub(super) server: Medians,
    /// Medians of the other's.
    pub(super) against: Medians,
    /// The first divided by the second.
    pub(super) ratios: Medians,
}

/// Medians of some runs, or a ratio of two of these. Times are in microseconds.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Medians {
    /// Operations a second.
    pub(super) throughput: f64,
    /// Latency, median.
    pub(super) p50: f64,
    /// Latency, 99th percentile.
    pub(super) p99: f64,
    /// CPU time of the server for one operation.
    pub(super) server_cpu_per_operation: Option<f64>,
    /// Memory of the server in MB.
    pub(super) server_resident_mb: Option<f64>,
}

impl Medians {
    fn of(runs: &[&Report]) -> Self {
        let all = |figure: fn(&Report) -> Option<f64>| {
            let figures: Option<Vec<f64>> = runs.iter().map(|run| figure(run)).collect();
            figures.and_then(median)
        };
        let each = |figure: fn(&Report) -> f64| {
            median(runs.iter().map(|run| figure(run)).collect()).unwrap_or(f64::NAN)
        };
        Self {
            throughput: each(|run| run.throughput),
            p50: each(|run| run.latency.p50),
            p99: each(|run| run.latency.p99),
            server_cpu_per_operation: all(|run| run.server_cpu_per_operation),
            server_resident_mb: all(|run| run.server_resident_mb),
        }
    }

    fn over(&self, other: &Self) -> Self {
        let both = |a: Option<f64>, b: Option<f64>| Some(a? / b?);
        Self {
            throughput: self.throughput / other.throughput,
            p50: self.p50 / other.p50,
            p99: self.p99 / other.p99,
            server_cpu_per_operation: both(
                self.server_cpu_per_operation,
                other.server_cpu_per_operation,
            ),
            server_resident_mb: both(self.server_resident_mb, other.server_resident_mb),
        }
    }
}

fn median(mut figures: Vec<f64>) -> Option<f64> {
    figures.sort_by(f64::total_cmp);
    let middle = figures.len() / 2;
    match figures.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(figures[middle]),
        _ => Some((figures[middle - 1] + figures[middle]) / 2.0),
    }
}

/// The heading over [`row`]s.
pub(super) const HEADING: &str = "\
run     server                      ops/s        p50          p99   CPU µs/op  memory MB  \
client µs/op  others' CPUs";

/// One run as a line of the table.
pub(super) fn row(pair: u32, run: &Report) -> String {
    let mut line = format!(
        "{pair:<8}{}{:>14.2}{:>14}",
        columns(&run.server, &Medians::of(&[run])),
        run.client_cpu_per_operation,
        optional(run.other_cpus, 2)
    );
    if run.client_is_limit {
        line += "  the load generator had no time left";
    }
    for (code, count) in &run.errors {
        line += &format!("  {count} x {code}");
    }
    if let Some(loss) = &run.first_loss {
        line += &format!("  {} sessions lost: {loss}", run.lost_sessions);
    }
    line
}

fn optional(figure: Option<f64>, decimals: usize) -> String {
    figure.map_or("-".into(), |figure| format!("{figure:.decimals$}"))
}

fn columns(server: &str, medians: &Medians) -> String {
    format!(
        "{server:<22}{:>11}{:>13}{:>13}{:>10}{:>11}",
        grouped(medians.throughput),
        millis(medians.p50),
        millis(medians.p99),
        optional(medians.server_cpu_per_operation, 2),
        optional(medians.server_resident_mb, 0),
    )
}

impl Comparison {
    /// Compares runs that alternate, the server first.
    pub(super) fn new(runs: Vec<Report>) -> Self {
        let server = Medians::of(&runs.iter().step_by(2).collect::<Vec<_>>());
        let against = Medians::of(&runs.iter().skip(1).step_by(2).collect::<Vec<_>>());
        let ratios = server.over(&against);
        Self { runs, server, against, ratios }
    }

    /// Medians and ratios as lines of the table.
    pub(super) fn text(&self) -> String {
        let name = |index: usize| self.runs[index].server.as_str();
        let ratio = |figure: f64| format!("{figure:.3}x");
        let known = |figure: Option<f64>| figure.map_or("-".into(), ratio);
        format!(
            "median  {}\nmedian  {}\nratio   {:<22}{:>11}{:>13}{:>13}{:>10}{:>11}\n",
            columns(name(0), &self.server),
            columns(name(1), &self.against),
            "",
            ratio(self.ratios.throughput),
            ratio(self.ratios.p50),
            ratio(self.ratios.p99),
            known(self.ratios.server_cpu_per_operation),
            known(self.ratios.server_resident_mb),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_or_the_mean_of_the_two_middles() {
        assert_eq!(median(vec![9.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0, 2.0, 9.0]), Some(3.0));
        assert_eq!(median(vec![]), None);
    }
}
