//! What is counted while the server works: handles for the metrics, and the sums that are too busy
//! to be counted one by one.

mod namespace_traffic;
mod run;
mod server_metrics;
mod tally;

pub use namespace_traffic::{NamespaceTraffic, TrafficRun};
pub use run::Run;
pub use server_metrics::ServerMetrics;
pub use tally::Tally;
