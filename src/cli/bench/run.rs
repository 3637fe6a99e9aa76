//! One run of a workload against one server: its znodes, its sessions, the measurement, and the
//! tidying up.

use std::ops::Range;
use std::time::Duration;

use super::args::{Args, WorkloadName};
use super::driver::{Control, drive};
use super::error::BenchError;
use super::idle;
use super::link::Clock;
use super::measure::{Job, Measured, Window, measure};
use super::pool::Pool;
use super::process::Process;
use super::session::{Session, Target};
use super::stage;
use super::watch::Watch;
use super::workload::{Children, Fill, GetSet, Numbered, Run, Workload};

/// Runs the workload once.
pub(super) fn run_once(
    args: &Args,
    target: &Target,
    server: Option<Process>,
) -> Result<Measured, BenchError> {
    stage::remove(target, &args.root)?;
    let plan = Plan::new(args);
    plan.prepare(target)?;
    let measured = plan.measure(target, server);
    if !args.keep && args.workload != WorkloadName::Fill {
        // A failed measurement is the error to tell.
        let removed = stage::remove(target, &args.root);
        return measured.and_then(|measured| removed.map(|()| measured));
    }
    measured
}

/// A workload with its znodes.
struct Plan<'a> {
    args: &'a Args,
    data: Vec<u8>,
    runs: Vec<Run>,
}

impl<'a> Plan<'a> {
    fn new(args: &'a Args) -> Self {
        let mut data = vec![0; args.size];
        fastrand::Rng::with_seed(args.seed).fill(&mut data);
        let (root, keys) = (&args.root, args.keys());
        let sessions = args.sessions() as u32;
        let runs = match args.workload {
            WorkloadName::Create => spread(root, "s", sessions, 0),
            WorkloadName::Delete => spread(root, "s", sessions, keys),
            WorkloadName::Fill if args.parents == 0 => {
                vec![Run { parent: root.clone(), count: keys }]
            }
            WorkloadName::Fill => spread(root, "p", args.parents.min(keys), keys),
            WorkloadName::Watch | WorkloadName::Idle => spread(root, "data", 1, 0),
            _ => spread(root, "data", 1, keys),
        };
        Self { args, data, runs }
    }

    /// Makes the znodes the sessions find.
    fn prepare(&self, target: &Target) -> Result<(), BenchError> {
        let parents = self.runs.iter().map(|run| run.parent.as_str());
        stage::make_parents(target, &self.args.root, parents)?;
        match self.args.workload {
            WorkloadName::Fill => Ok(()),
            _ => stage::make(target, self.runs.clone(), &self.data),
        }
    }

    fn measure(&self, target: &Target, server: Option<Process>) -> Result<Measured, BenchError> {
        let args = self.args;
        let control = Control::new(Clock::start());
        let (mut sessions, refused) = self.connect(target)?;
        let connecting = Duration::from_nanos(control.clock.now());
        let count = sessions.len();
        let threads = (args.threads as usize).min(count);
        let mut jobs: Vec<Job<'_>> = Vec::new();
        for thread in 0..threads {
            let (first, end) = (count * thread / threads, count * (thread + 1) / threads);
            let own = sessions.drain(..end - first).collect();
            let pool = Pool::new(own, first, control.clock)?;
            jobs.push(self.job(pool, first..end, (thread, threads), &control));
        }
        let name = args.workload.name();
        let mut measured = measure(jobs, &control, self.window(), server, name)?;
        measured.connecting = connecting;
        for loss in &refused {
            measured.stats.loss(loss);
        }
        Ok(measured)
    }

    /// Opens the sessions. Idle goes on with those it gets; the others need all.
    fn connect(&self, target: &Target) -> Result<(Vec<Session>, Vec<BenchError>), BenchError> {
        let args = self.args;
        let writers = usize::from(args.workload == WorkloadName::Watch);
        let (mut sessions, mut refused) = (Vec::new(), Vec::new());
        for session in target.connect_all(args.sessions() + writers) {
            match session {
                Ok(session) => sessions.push(session),
                Err(error) if args.workload == WorkloadName::Idle => refused.push(error),
                Err(error) => return Err(error),
            }
        }
        match refused.pop() {
            Some(error) if sessions.is_empty() => Err(error),
            Some(error) => Ok((sessions, refused.into_iter().chain([error]).collect())),
            None => Ok((sessions, refused)),
        }
    }

    /// What one of the threads does, with the sessions of these numbers.
    fn job<'s>(
        &'s self,
        pool: Pool,
        sessions: Range<usize>,
        (thread, threads): (usize, usize),
        control: &'s Control,
    ) -> Job<'s> {
        let args = self.args;
        let timeout_ms = pool.timeout_ms;
        match args.workload {
            WorkloadName::Watch => {
                let watch = Watch {
                    path: &self.runs[0].parent,
                    data: &self.data,
                    is_persistent: args.persistent,
                    timeout_ms,
                };
                Box::new(move || watch.run(pool, control))
            }
            WorkloadName::Idle => Box::new(move || idle::run(pool, timeout_ms, control)),
            _ => {
                let mut workload = self.workload(sessions, thread, threads);
                let outstanding = args.outstanding as usize;
                Box::new(move || drive(pool, &mut *workload, outstanding, control))
            }
        }
    }

    /// What the sessions of one thread do.
    fn workload(&self, sessions: Range<usize>, thread: usize, threads: usize) -> Box<dyn Workload> {
        let args = self.args;
        let get_set = |get_percent| {
            let seed = args.seed.wrapping_add(thread as u64);
            let parent = &self.runs[0].parent;
            Box::new(GetSet::new(parent, &self.data, args.keys(), get_percent, seed))
        };
        match args.workload {
            WorkloadName::Get => get_set(100),
            WorkloadName::Set => get_set(0),
            WorkloadName::Mixed => get_set(args.ratio),
            WorkloadName::Children => {
                Box::new(Children::new(&self.runs[0].parent, self.runs[0].count))
            }
            WorkloadName::Create => Box::new(Numbered::create(&self.runs[sessions], &self.data)),
            WorkloadName::Delete => Box::new(Numbered::delete(&self.runs[sessions])),
            WorkloadName::Fill => {
                let share = |end: usize| self.runs.len() * end / threads;
                let runs = self.runs[share(thread)..share(thread + 1)].to_vec();
                Box::new(Fill::new(runs, &self.data, args.batch))
            }
            WorkloadName::Watch | WorkloadName::Idle => {
                unreachable!("they have loops of their own")
            }
        }
    }

    fn window(&self) -> Window {
        let args = self.args;
        let keys = u64::from(args.keys());
        let (warmup, duration, operations) = match args.workload {
            WorkloadName::Fill => (0.0, 86_400.0, Some(keys)),
            WorkloadName::Delete => (0.0, args.duration, Some(keys)),
            WorkloadName::Idle => (0.0, args.duration, None),
            _ => (args.warmup, args.duration, None),
        };
        Window {
            warmup: Duration::from_secs_f64(warmup),
            duration: Duration::from_secs_f64(duration),
            operations,
        }
    }
}

/// `count` znodes as evenly as can be under `parents` parents of `root`.
fn spread(root: &str, name: &str, parents: u32, count: u32) -> Vec<Run> {
    let share = |end: u32| (u64::from(count) * u64::from(end) / u64::from(parents)) as u32;
    (0..parents)
        .map(|i| Run { parent: format!("{root}/{name}{i:04}"), count: share(i + 1) - share(i) })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn znodes_are_spread_evenly_and_all_of_them() {
        let runs = spread("/r", "p", 3, 10);
        let counts: Vec<_> = runs.iter().map(|run| run.count).collect();
        assert_eq!(counts, [3, 3, 4]);
        assert_eq!(runs[2].parent, "/r/p0002");
    }
}
