//! One measurement: starts the threads, takes the times and the CPU used at both ends of the
//! window, and adds up.

use std::sync::atomic::Ordering;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use super::driver::{Control, Phase};
use super::error::BenchError;
use super::process::{self, Process};
use super::stats::Stats;

/// What one thread does, until the run stops or its work is done.
pub(super) type Job<'a> = Box<dyn FnOnce() -> Result<Stats, BenchError> + Send + 'a>;

/// How often the progress bar moves.
const TICK: Duration = Duration::from_millis(100);

/// When a run ends.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window {
    /// Load before the measurement.
    pub(super) warmup: Duration,
    /// The measurement, unless the work is done before.
    pub(super) duration: Duration,
    /// Operations there are to do, if they have an end.
    pub(super) operations: Option<u64>,
}

/// What a measurement has found.
#[derive(Debug)]
pub(super) struct Measured {
    /// All threads' counts.
    pub(super) stats: Stats,
    /// Length of the window.
    pub(super) elapsed: Duration,
    /// CPU time of this process in it.
    pub(super) client_cpu: Duration,
    /// CPU time of the server's process in it, where that is known.
    pub(super) server_cpu: Option<Duration>,
    /// CPU time of all other processes in it, where the server's is known.
    pub(super) other_cpu: Option<Duration>,
    /// Memory of the server's process at its end, in bytes.
    pub(super) server_resident_bytes: Option<u64>,
    /// Time it took to open the sessions, before the run.
    pub(super) connecting: Duration,
}

struct Sample {
    at: Instant,
    client_cpu: Duration,
    server_cpu: Option<Duration>,
    machine_cpu: Duration,
}

impl Sample {
    fn take(server: Option<Process>) -> Result<Self, BenchError> {
        let server_cpu = server.map(Process::cpu).transpose()?;
        let machine_cpu = process::machine_cpu()?;
        Ok(Self { at: Instant::now(), client_cpu: process::own_cpu(), server_cpu, machine_cpu })
    }
}

/// Runs `jobs`, one thread each.
pub(super) fn measure(
    jobs: Vec<Job<'_>>,
    control: &Control,
    window: Window,
    server: Option<Process>,
    title: &str,
) -> Result<Measured, BenchError> {
    let bar = progress_bar(window, title);
    thread::scope(|scope| {
        let mut results = Results::new(jobs.len());
        if window.warmup.is_zero() {
            control.enter(Phase::Measure);
        }
        let mut before = Sample::take(server)?;
        for job in jobs {
            let sender = results.sender.clone();
            scope.spawn(move || sender.send(job()));
        }
        let show = || match window.operations {
            Some(_) => bar.set_position(control.progress.load(Ordering::Relaxed)),
            None => bar.set_position(before.at.elapsed().as_millis() as u64),
        };
        if !window.warmup.is_zero() {
            results.collect_until(before.at + window.warmup, show);
            control.enter(Phase::Measure);
            before = Sample::take(server)?;
        }
        results.collect_until(before.at + window.duration, || match window.operations {
            Some(_) => bar.set_position(control.progress.load(Ordering::Relaxed)),
            None => {
                let done = window.warmup + before.at.elapsed();
                bar.set_position(done.as_millis() as u64);
            }
        });
        let after = Sample::take(server);
        control.enter(Phase::Stop);
        let server_resident_bytes = server.map(Process::resident_bytes).transpose();
        bar.finish_and_clear();
        let stats = results.collect_all()?;
        let after = after?;
        let client_cpu = after.client_cpu - before.client_cpu;
        let server_cpu =
            after.server_cpu.zip(before.server_cpu).map(|(after, before)| after - before);
        let machine_cpu = after.machine_cpu.saturating_sub(before.machine_cpu);
        Ok(Measured {
            stats,
            elapsed: after.at - before.at,
            client_cpu,
            server_cpu,
            other_cpu: server_cpu
                .map(|server_cpu| machine_cpu.saturating_sub(server_cpu + client_cpu)),
            server_resident_bytes: server_resident_bytes?,
            connecting: Duration::ZERO,
        })
    })
}

/// The threads' results, as they come.
struct Results {
    sender: mpsc::Sender<Result<Stats, BenchError>>,
    receiver: Receiver<Result<Stats, BenchError>>,
    awaited: usize,
    stats: Option<Stats>,
    failure: Option<BenchError>,
}

impl Results {
    fn new(awaited: usize) -> Self {
        let (sender, receiver) = mpsc::channel();
        Self { sender, receiver, awaited, stats: None, failure: None }
    }

    /// Waits until `end`, all threads are done, or one has failed.
    fn collect_until(&mut self, end: Instant, mut show: impl FnMut()) {
        while self.awaited > 0 && self.failure.is_none() {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            match self.receiver.recv_timeout(left.min(TICK)) {
                Ok(result) => self.take(result),
                Err(RecvTimeoutError::Timeout) => show(),
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// Waits for all threads, each of which ends a bounded time after the stop.
    fn collect_all(mut self) -> Result<Stats, BenchError> {
        while self.awaited > 0 {
            let result = self.receiver.recv().expect("a sender is held here");
            self.take(result);
        }
        match self.failure {
            Some(failure) => Err(failure),
            None => Ok(self.stats.expect("a run has at least one thread")),
        }
    }

    fn take(&mut self, result: Result<Stats, BenchError>) {
        self.awaited -= 1;
        match result {
            Ok(more) => match &mut self.stats {
                Some(stats) => stats.add(&more),
                None => self.stats = Some(more),
            },
            // The first failure is the cause; later ones follow from it.
            Err(failure) => {
                self.failure.get_or_insert(failure);
            }
        }
    }
}

fn progress_bar(window: Window, title: &str) -> ProgressBar {
    let (length, template) = match window.operations {
        Some(operations) => (operations, "{prefix} {wide_bar} {pos}/{len} {eta}"),
        None => {
            let length = window.warmup + window.duration;
            (length.as_millis() as u64, "{prefix} {wide_bar} {eta}")
        }
    };
    let style = ProgressStyle::with_template(template).expect("the template is well formed");
    // Drawn on the error output, and only if that is a terminal.
    ProgressBar::new(length).with_style(style).with_prefix(title.to_owned())
}
