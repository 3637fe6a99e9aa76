//! Where workers leave inputs for the engine.
//!
//! How much can wait here is bounded by whom it comes from: each connection stops reading once too
//! many of its requests are unfinished (`server_cnxn`).

use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use crate::engine::Input;

/// The engine's mailbox.
#[derive(Default)]
pub struct Mailbox {
    inputs: Mutex<Inputs>,
    arrived: Condvar,
}

#[derive(Default)]
struct Inputs {
    waiting: Vec<Input>,
    is_engine_asleep: bool,
}

impl Mailbox {
    /// Leaves one input.
    pub fn post(&self, input: Input) {
        let mut inputs = self.inputs.lock();
        inputs.waiting.push(input);
        self.wake(&inputs);
    }

    /// Leaves many, in their order; the vector is left empty.
    pub fn post_all(&self, more: &mut Vec<Input>) {
        if more.is_empty() {
            return;
        }
        let mut inputs = self.inputs.lock();
        inputs.waiting.append(more);
        self.wake(&inputs);
    }

    /// Takes everything that waits into `taken`, which is empty; waits up to `timeout` if nothing
    /// does.
    pub fn take(&self, taken: &mut Vec<Input>, timeout: Duration) {
        let mut inputs = self.inputs.lock();
        if inputs.waiting.is_empty() && !timeout.is_zero() {
            inputs.is_engine_asleep = true;
            self.arrived.wait_for(&mut inputs, timeout);
            inputs.is_engine_asleep = false;
        }
        std::mem::swap(&mut inputs.waiting, taken);
    }

    fn wake(&self, inputs: &Inputs) {
        if inputs.is_engine_asleep {
            self.arrived.notify_one();
        }
    }
}
