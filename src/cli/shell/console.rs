//! Where the shell prints: standard output, and standard error for what went wrong.
//!
//! Events arrive at any time from the client's thread. While a line is being edited they are
//! printed above it; otherwise they go straight to standard output.

use std::fmt::Display;
use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use rustyline::ExternalPrinter;

use crate::client::WatchedEvent;

/// The shell's output. A reader that went away is no error, as in Java.
#[derive(Default)]
pub(super) struct Console {
    above_line: Mutex<Option<Box<dyn ExternalPrinter + Send>>>,
    /// `printwatches off`.
    hide_events: AtomicBool,
}

impl Console {
    /// Prints events above the line that is being edited.
    pub(super) fn print_above_line(&self, printer: Box<dyn ExternalPrinter + Send>) {
        *self.above_line.lock().unwrap_or_else(PoisonError::into_inner) = Some(printer);
    }

    /// Prints a line.
    pub(super) fn line(&self, text: impl Display) {
        self.print(format_args!("{text}\n"));
    }

    /// Prints text that brings its own line ends.
    pub(super) fn print(&self, text: impl Display) {
        let mut out = io::stdout().lock();
        let _ = write!(out, "{text}").and_then(|()| out.flush());
    }

    /// Prints a line on standard error.
    pub(super) fn error(&self, text: impl Display) {
        let _ = writeln!(io::stderr(), "{text}");
    }

    /// Whether events are printed.
    pub(super) fn shows_events(&self) -> bool {
        !self.hide_events.load(Ordering::Relaxed)
    }

    /// Turns the printing of events on or off.
    pub(super) fn show_events(&self, show: bool) {
        self.hide_events.store(!show, Ordering::Relaxed);
    }

    /// Prints an event.
    pub(super) fn event(&self, event: &WatchedEvent) {
        if !self.shows_events() {
            return;
        }
        let text = format!("\nWATCHER::\n\n{event}\n");
        match &mut *self.above_line.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(printer) => drop(printer.print(text)),
            None => self.print(text),
        }
    }
}
