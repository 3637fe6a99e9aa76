//! The request processors (`RequestProcessor`) and the state they share.
//!
//! A write goes Prep, Sync, Final. A read runs on the worker that owns its connection, or, if its
//! own session has unfinished writes, waits behind them and runs where the last of them is applied.

mod commit;
mod commit_counts;
mod database;
mod final_request;
mod prep;
mod reads;
mod request;
mod server_stats;
mod sync;

pub use commit::{CommitProcessor, Committed};
pub use database::{CnxnRegistry, ServerMode, ServerState, ZkDatabase};
pub use final_request::{Applied, CommitSource, FinalRequestProcessor, Finished, Pending};
pub use prep::{PrepOptions, PrepRequestProcessor, Prepared};
pub use reads::{ReadBatch, answer};
pub use request::{ClientRequest, Progress, RequestKind, Unanswered, classify, op_name};
pub use server_stats::ServerStats;
pub use sync::{SnapshotPolicy, SyncRequestProcessor};
