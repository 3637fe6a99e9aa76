//! Results as people and programs read them.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use hdrhistogram::Histogram;
use serde::Serialize;

use super::args::{Args, WorkloadName};
use super::measure::Measured;
use super::session::code_name;

/// Share of a thread's time from which the load generator is called the limit.
const CLIENT_BUSY: f64 = 0.9;

/// One measurement, as it stands in the JSON. Times are in microseconds unless the name says
/// otherwise.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Report {
    /// host:port
    pub(super) server: String,
    /// What the sessions did.
    pub(super) workload: WorkloadName,
    /// How many there were.
    pub(super) sessions: usize,
    /// Requests each kept unanswered.
    pub(super) outstanding: u32,
    /// Bytes of data in a znode.
    pub(super) size: usize,
    /// Length of the measurement.
    pub(super) seconds: f64,
    /// Operations answered without an error.
    pub(super) operations: u64,
    /// The same each second.
    pub(super) throughput: f64,
    /// Error replies, by code.
    pub(super) errors: BTreeMap<String, u64>,
    /// Seconds it took to open the sessions.
    pub(super) connect_seconds: f64,
    /// Sessions refused, or ended by the server before the run was over.
    pub(super) lost_sessions: u64,
    /// Why the first of them was.
    pub(super) first_loss: Option<String>,
    /// Latencies of all requests.
    pub(super) latency: Latency,
    /// Latencies by kind of request, where there is more than one.
    pub(super) latency_by_kind: BTreeMap<&'static str, Latency>,
    /// CPU time of the server for one operation.
    pub(super) server_cpu_per_operation: Option<f64>,
    /// CPUs the server kept busy.
    pub(super) server_cpus: Option<f64>,
    /// Memory of the server at the end, in megabytes of 1,000,000 bytes.
    pub(super) server_resident_mb: Option<f64>,
    /// CPU time of the load generator for one operation.
    pub(super) client_cpu_per_operation: f64,
    /// CPUs the load generator kept busy.
    pub(super) client_cpus: f64,
    /// CPUs that all other processes of the machine kept busy; they disturb the figures.
    pub(super) other_cpus: Option<f64>,
    /// Whether the load generator had no time left, so that it and not the server was measured.
    pub(super) client_is_limit: bool,
}

/// A distribution of latencies, in microseconds.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Latency {
    /// Requests in it.
    pub(super) count: u64,
    /// Arithmetic mean.
    pub(super) mean: f64,
    /// Half of the requests took no longer.
    pub(super) p50: f64,
    /// 99 of a hundred took no longer.
    pub(super) p99: f64,
    /// 999 of a thousand took no longer.
    pub(super) p999: f64,
    /// The longest.
    pub(super) max: f64,
}

impl Latency {
    fn new(histogram: &Histogram<u64>) -> Self {
        let micros = |ns: u64| ns as f64 / 1_000.0;
        Self {
            count: histogram.len(),
            mean: histogram.mean() / 1_000.0,
            p50: micros(histogram.value_at_quantile(0.5)),
            p99: micros(histogram.value_at_quantile(0.99)),
            p999: micros(histogram.value_at_quantile(0.999)),
            max: micros(histogram.max()),
        }
    }
}

impl Report {
    /// Works out the figures of a measurement.
    pub(super) fn new(args: &Args, server: &str, measured: &Measured) -> Self {
        let stats = &measured.stats;
        let operations = stats.operations();
        let seconds = measured.elapsed.as_secs_f64();
        let per_operation =
            |cpu: std::time::Duration| cpu.as_secs_f64() * 1e6 / operations.max(1) as f64;
        let used: Vec<_> = stats.kinds.iter().filter(|kind| !kind.latency.is_empty()).collect();
        let client_cpus = measured.client_cpu.as_secs_f64() / seconds;
        Self {
            server: server.to_owned(),
            workload: args.workload,
            sessions: args.sessions(),
            outstanding: args.outstanding,
            size: args.size,
            seconds,
            operations,
            throughput: operations as f64 / seconds,
            errors: stats.errors.iter().map(|(code, count)| (code_name(*code), *count)).collect(),
            connect_seconds: measured.connecting.as_secs_f64(),
            lost_sessions: stats.lost_sessions,
            first_loss: stats.first_loss.clone(),
            latency: Latency::new(&stats.latency()),
            latency_by_kind: match used.len() {
                0 | 1 => BTreeMap::new(),
                _ => used.iter().map(|kind| (kind.name, Latency::new(&kind.latency))).collect(),
            },
            server_cpu_per_operation: measured.server_cpu.map(per_operation),
            server_cpus: measured.server_cpu.map(|cpu| cpu.as_secs_f64() / seconds),
            server_resident_mb: measured.server_resident_bytes.map(|bytes| bytes as f64 / 1e6),
            client_cpu_per_operation: per_operation(measured.client_cpu),
            client_cpus,
            other_cpus: measured.other_cpu.map(|cpu| cpu.as_secs_f64() / seconds),
            client_is_limit: client_cpus > CLIENT_BUSY * f64::from(args.threads),
        }
    }

    /// Whether there were no error replies and no losses.
    pub(super) fn is_clean(&self) -> bool {
        self.errors.is_empty() && self.lost_sessions == 0
    }

    /// What was run, in one line.
    pub(super) fn title(&self) -> String {
        let plural = if self.sessions == 1 { "" } else { "s" };
        let mut title = format!(
            "{} at {}: {} session{plural}",
            self.workload.name(),
            self.server,
            grouped(self.sessions as f64)
        );
        if !matches!(self.workload, WorkloadName::Watch | WorkloadName::Idle) {
            title += &format!(" x {} outstanding", self.outstanding);
        }
        if self.workload != WorkloadName::Idle {
            title += &format!(", {} bytes", self.size);
        }
        title
    }

    /// The figures as a block of text.
    pub(super) fn text(&self) -> String {
        let mut out = String::new();
        let mut line = |name: &str, value: String| {
            writeln!(out, "  {name:<16}{value}").expect("a string takes any text");
        };
        line("operations", format!("{} in {:.2} s", grouped(self.operations as f64), self.seconds));
        if self.workload == WorkloadName::Idle {
            let opened = format!("opened in {:.2} s", self.connect_seconds);
            let served = self.sessions as u64 - self.lost_sessions;
            let lost = grouped(self.lost_sessions as f64);
            line("sessions", format!("{} served, {lost} lost, {opened}", grouped(served as f64)));
        }
        if let Some(loss) = &self.first_loss {
            line("first loss", loss.clone());
        }
        line("throughput", format!("{}/s", grouped(self.throughput)));
        let latency = |l: &Latency| {
            format!(
                "p50 {}  p99 {}  p99.9 {}  max {}  mean {}",
                millis(l.p50),
                millis(l.p99),
                millis(l.p999),
                millis(l.max),
                millis(l.mean)
            )
        };
        line("latency", latency(&self.latency));
        for (name, of_kind) in &self.latency_by_kind {
            line(&format!("  {name}"), latency(of_kind));
        }
        if let (Some(each), Some(cpus)) = (self.server_cpu_per_operation, self.server_cpus) {
            line("server CPU", format!("{each:.2} µs an operation, {cpus:.2} CPUs"));
        }
        if let Some(megabytes) = self.server_resident_mb {
            line("server memory", format!("{megabytes:.0} MB resident"));
        }
        let (each, cpus) = (self.client_cpu_per_operation, self.client_cpus);
        line("client CPU", format!("{each:.2} µs an operation, {cpus:.2} CPUs"));
        if let Some(cpus) = self.other_cpus {
            line("others' CPU", format!("{cpus:.2} CPUs"));
        }
        for (code, count) in &self.errors {
            line("ERRORS", format!("{} x {code}", grouped(*count as f64)));
        }
        if self.client_is_limit {
            line("NOTE", "the load generator had no time left: give it more --threads".into());
        }
        out
    }
}

/// A latency for people: milliseconds with three figures after the point at least.
pub(super) fn millis(micros: f64) -> String {
    format!("{:.3} ms", micros / 1_000.0)
}

/// A whole number with commas.
pub(super) fn grouped(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i) % 3 == 0 {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_by_three() {
        let texts = [0.0, 999.4, 1000.0, 1234567.0].map(grouped);
        assert_eq!(texts, ["0", "999", "1,000", "1,234,567"]);
    }
}
