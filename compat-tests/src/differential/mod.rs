//! The differential test: one seeded script of raw requests, put to Apache's server and to this
//! one, and every answer compared.
//!
//! [`script()`] makes the steps, [`run`] puts a server through them and writes down what each
//! connection saw, [`differences`] compares two such records, and [`minimise`] looks for a shorter
//! script that still shows a difference. [`Normaliser`] says what may differ between two servers,
//! [`accepted`] what else is meant to.

pub mod accepted;
mod compare;
mod generator;
mod minimise;
mod model;
mod normaliser;
mod paths;
mod reply_shape;
mod requests;
mod runner;
mod script;
mod value;

pub use compare::{Difference, differences};
pub use generator::script;
pub use minimise::minimise;
pub use normaliser::Normaliser;
pub use runner::{Observed, Restart, StepRecord, run};
pub use script::{Request, Script, Step};
