//! The loop around the engine: it takes inputs out of the mailbox, gives them to the engine one
//! after the other, and carries out the effects in their order. It also writes the log: the engine
//! has nothing to do until the flush is over but to gather the next batch, and without a second
//! thread a write costs two hand-overs less.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::clock;
use super::ensemble::Ensemble;
use super::mailbox::Mailbox;
use super::memory;
use super::run::ServerError;
use crate::engine::{Effect, Engine, Input};
use crate::persistence::{FileTxnLog, LogBatch};
use crate::processor::{Applied, ServerState};
use crate::proto::Millis;
use crate::stats::{Run, ServerMetrics};

/// Longest time the loop sleeps, so that it sees that it is to stop.
const SLEEP_MS_MAX: Millis = 500;

/// The same while others take over.
const RETIRING_SLEEP_MS_MAX: Millis = 5;

/// What the loop needs of the world outside.
pub(super) struct Driver {
    /// The engine.
    pub engine: Engine,
    /// What it wanted done when it was made.
    pub effects: Vec<Effect>,
    /// The ways to the other servers, if this one is a member of an ensemble.
    pub ensemble: Option<Ensemble>,
    /// Whose metrics count what happens here.
    pub state: Arc<ServerState>,
    /// Where inputs come from.
    pub mailbox: Arc<Mailbox>,
    /// The transaction log.
    pub log: FileTxnLog,
    /// Takes a snapshot in the background and says `SnapshotDone` when it is finished.
    pub take_snapshot: Box<dyn FnMut() + Send>,
    /// Set when the server is to stop.
    pub is_stopping: Arc<AtomicBool>,
    /// How long stopping may wait for requests that are held back
    /// (`request_throttler.shutdownTimeout`).
    pub stop_time_max_ms: Millis,
}

impl Driver {
    /// Runs until the server is to stop; what is in the mailbox by then is still done.
    ///
    /// # Errors
    /// Something could not be written. The engine answers nothing more; the server should stop.
    pub(super) fn run(mut self) -> Result<(), ServerError> {
        let mut inputs = Vec::new();
        let mut effects = std::mem::take(&mut self.effects);
        self.carry_out(&mut effects)?;
        let mut stops_at = None;
        let mut gave_back = clock::monotonic_ms();
        loop {
            let is_stopping = self.is_stopping.load(Ordering::Acquire);
            let longest = match is_stopping {
                true if self.engine.may_stop() => 0,
                true => RETIRING_SLEEP_MS_MAX,
                false => SLEEP_MS_MAX,
            };
            let wait = (self.engine.deadline() - clock::monotonic_ms()).clamp(0, longest);
            self.mailbox.take(&mut inputs, Duration::from_millis(wait as u64));
            let is_idle = inputs.is_empty();
            let now = clock::now();
            let requests = count_requests(&self.state.metrics, &inputs, now.monotonic);
            let mut steps_time = Duration::ZERO;
            let mut begin = Instant::now();
            for input in inputs.drain(..) {
                self.engine.step(now, input, &mut effects);
                if !effects.is_empty() {
                    steps_time += begin.elapsed();
                    self.carry_out(&mut effects)?;
                    begin = Instant::now();
                }
            }
            steps_time += begin.elapsed();
            record_each(&self.state.metrics.prep_process_time, steps_time, requests);
            self.apply(|engine| engine.rest(clock::now(), &mut effects));
            self.carry_out(&mut effects)?;
            if now.monotonic - gave_back >= memory::GIVE_BACK_EVERY_MS {
                memory::give_back();
                gave_back = now.monotonic;
            }
            if is_stopping && is_idle && self.may_stop(&mut stops_at) {
                self.log.flush()?;
                return Ok(());
            }
        }
    }

    /// Whether nothing is held back any more, or it has had its time.
    fn may_stop(&self, stops_at: &mut Option<Millis>) -> bool {
        let now = clock::monotonic_ms();
        let stops_at = *stops_at.get_or_insert(now + self.stop_time_max_ms);
        self.engine.may_stop() && (self.engine.throttled() == 0 || now >= stops_at)
    }

    /// Carries out effects and what comes of them. If the log fails, those who wait are told first.
    fn carry_out(&mut self, effects: &mut Vec<Effect>) -> Result<(), ServerError> {
        self.try_carry_out(effects).inspect_err(|_| {
            effects.clear();
            self.engine.step(clock::now(), Input::LogFailed, effects);
            effects.drain(..).for_each(carry_out_last);
        })
    }

    fn try_carry_out(&mut self, effects: &mut Vec<Effect>) -> Result<(), ServerError> {
        let mut more = Vec::new();
        while !effects.is_empty() {
            for effect in effects.drain(..) {
                match effect {
                    Effect::Append { batch, since } => {
                        self.write(&batch, since)?;
                        if let Some(zxid) = batch.last_zxid() {
                            drop(batch);
                            let flushed = Input::Flushed(zxid);
                            self.apply(|engine| engine.step(clock::now(), flushed, &mut more));
                        }
                    }
                    Effect::Quorum(effect) => self.ensemble().carry_out(effect)?,
                    Effect::TruncateLog { to, reload } => {
                        self.log.restart_after(to)?;
                        match self.ensemble().truncate_log(to, reload) {
                            Err(ServerError::Truncate(error)) if error.needs_snapshot() => {
                                let input = Input::CannotTruncate(error.to_string());
                                self.engine.step(clock::now(), input, &mut more);
                            }
                            done => done?,
                        }
                    }
                    Effect::InstallSnapshot { database } => {
                        self.log.restart_after(database.tree.last_processed())?;
                        self.ensemble().install_snapshot(*database)?;
                    }
                    Effect::StoreDatabase => {
                        let last = self.ensemble().last_processed();
                        self.log.restart_after(last)?;
                        self.ensemble().store_database()?;
                    }
                    Effect::Exit(reason) => return Err(ServerError::Ensemble(reason)),
                    Effect::RollLog => self.log.roll()?,
                    Effect::TakeSnapshot => (self.take_snapshot)(),
                    Effect::Flush(cnxn) => cnxn.flush(),
                    Effect::Resume(cnxn) => cnxn.resume(),
                }
            }
            std::mem::swap(effects, &mut more);
        }
        Ok(())
    }

    /// Has the engine do what may apply something, and counts how long a member takes for it.
    fn apply(&mut self, step: impl FnOnce(&mut Engine)) {
        if self.ensemble.is_none() {
            return step(&mut self.engine);
        }
        let begin = Instant::now();
        step(&mut self.engine);
        let Applied { writes, reads } = self.engine.take_applied();
        if writes + reads == 0 {
            return;
        }
        let (took, metrics) = (begin.elapsed(), &self.state.metrics);
        let each = (millis(took) / (writes + reads) as Millis) as f64;
        metrics.commit_process_time.record(millis(took) as f64);
        if writes > 0 {
            metrics.write_batch_time_in_commit_processor.record(millis(took) as f64);
            metrics.write_final_proc_time_ms.record_many(each, writes);
        }
        if reads > 0 {
            metrics.read_final_proc_time_ms.record_many(each, reads);
        }
    }

    fn ensemble(&mut self) -> &mut Ensemble {
        self.ensemble.as_mut().expect("only a member of an ensemble wants this done")
    }

    fn write(&mut self, batch: &LogBatch, since: Millis) -> Result<(), ServerError> {
        let metrics = &self.state.metrics;
        let (txns, waited) = (batch.count(), clock::monotonic_ms() - since);
        let begin = Instant::now();
        self.log.append(batch)?;
        let appended = begin.elapsed();
        if let Some(disk) = self.log.flush()? {
            metrics.fsynctime.record(millis(disk) as f64);
        }
        let done = begin.elapsed();
        metrics.sync_processor_request_queued.increment(txns as u64);
        metrics.sync_processor_queue_size.record(txns as f64);
        metrics.sync_processor_batch_size.record(txns as f64);
        metrics.sync_processor_queue_time_ms.record_many(waited as f64, txns);
        record_each(&metrics.sync_process_time, appended, txns);
        metrics.sync_processor_queue_flush_time_ms.record(millis(done - appended) as f64);
        let queued_and_flushed = (waited + millis(done)) as f64;
        metrics.sync_processor_queue_and_flush_time_ms.record_many(queued_and_flushed, txns);
        Ok(())
    }
}

/// Counts the requests among the inputs and how long they have waited.
fn count_requests(metrics: &ServerMetrics, inputs: &[Input], now: Millis) -> usize {
    if inputs.is_empty() {
        return 0;
    }
    metrics.prep_processor_queue_size.record(inputs.len() as f64);
    let mut waits = Run::new(&metrics.prep_processor_queue_time_ms);
    let mut requests = 0;
    for input in inputs {
        if let Input::Request(request) = input {
            waits.add((now - request.arrival.at).max(0));
            requests += 1;
        }
    }
    metrics.prep_processor_request_queued.increment(requests as u64);
    requests
}

/// Records what each of `count` took on average, in whole milliseconds like every time of
/// ZooKeeper's.
fn record_each(summary: &metrics::Histogram, all: Duration, count: usize) {
    if count > 0 {
        summary.record_many((millis(all) / count as Millis) as f64, count);
    }
}

fn millis(time: Duration) -> Millis {
    time.as_millis() as Millis
}

/// After the log has failed connections are still closed in order.
fn carry_out_last(effect: Effect) {
    if let Effect::Flush(cnxn) = effect {
        cnxn.flush();
    }
}
