//! The loop around the engine: it takes inputs out of the mailbox, gives them to the engine one
//! after the other, and carries out the effects. It also writes the log: with no ensemble to talk
//! to, the engine has nothing to do until the flush is over but to gather the next batch, and
//! without a second thread a write costs two hand-overs less.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::clock;
use super::mailbox::Mailbox;
use crate::engine::{Effect, Engine, Input};
use crate::persistence::{FileTxnLog, LogBatch, LogError};
use crate::proto::Millis;

/// Longest time the loop sleeps, so that it sees that it is to stop.
const SLEEP_MS_MAX: Millis = 500;

/// What the loop needs of the world outside.
pub(super) struct Driver {
    /// The engine.
    pub engine: Engine,
    /// Where inputs come from.
    pub mailbox: Arc<Mailbox>,
    /// The transaction log.
    pub log: FileTxnLog,
    /// Takes a snapshot in the background and says `SnapshotDone` when it is finished.
    pub take_snapshot: Box<dyn FnMut() + Send>,
    /// Set when the server is to stop.
    pub is_stopping: Arc<AtomicBool>,
}

impl Driver {
    /// Runs until the server is to stop; what is in the mailbox by then is still done.
    ///
    /// # Errors
    /// The log could not be written. The engine answers nothing more; the server should stop.
    pub(super) fn run(mut self) -> Result<(), LogError> {
        let mut inputs = Vec::new();
        let mut effects = Vec::new();
        loop {
            let is_stopping = self.is_stopping.load(Ordering::Acquire);
            let wait = (self.engine.deadline() - clock::monotonic_ms()).clamp(0, SLEEP_MS_MAX);
            let wait = if is_stopping { 0 } else { wait as u64 };
            self.mailbox.take(&mut inputs, Duration::from_millis(wait));
            let is_idle = inputs.is_empty();
            let now = clock::now();
            for input in inputs.drain(..) {
                self.engine.step(now, input, &mut effects);
                self.carry_out(&mut effects)?;
            }
            self.engine.rest(clock::now(), &mut effects);
            self.carry_out(&mut effects)?;
            if is_stopping && is_idle {
                return self.log.flush().map(|_| ());
            }
        }
    }

    fn carry_out(&mut self, effects: &mut Vec<Effect>) -> Result<(), LogError> {
        let mut more = Vec::new();
        while !effects.is_empty() {
            for effect in effects.drain(..) {
                match effect {
                    Effect::Append(batch) => {
                        if let Err(error) = self.write(&batch) {
                            self.engine.step(clock::now(), Input::LogFailed, &mut more);
                            more.drain(..).for_each(carry_out_last);
                            return Err(error);
                        }
                        if let Some(zxid) = batch.last_zxid() {
                            drop(batch);
                            self.engine.step(clock::now(), Input::Flushed(zxid), &mut more);
                        }
                    }
                    Effect::RollAndSnapshot => {
                        self.log.roll()?;
                        (self.take_snapshot)();
                    }
                    Effect::Flush(cnxn) => cnxn.flush(),
                    Effect::Resume(cnxn) => cnxn.resume(),
                }
            }
            std::mem::swap(effects, &mut more);
        }
        Ok(())
    }

    fn write(&mut self, batch: &LogBatch) -> Result<(), LogError> {
        self.log.append(batch)?;
        self.log.flush()?;
        Ok(())
    }
}

/// After the log has failed connections are still closed in order.
fn carry_out_last(effect: Effect) {
    if let Effect::Flush(cnxn) = effect {
        cnxn.flush();
    }
}
