//! Which ZooKeeper this is, in the form that clients parse (`org.apache.zookeeper.Version`).

/// The release of Apache ZooKeeper whose behaviour this is.
pub const ZOOKEEPER_RELEASE: &str = "3.9.3";

/// Date of this release of ours; a build does not carry its own time, so that it can be repeated.
const RELEASED: &str = "2026-11-21 00:00 UTC";

/// `3.9.3-gamekeeper-0.1.0, built on 2026-11-21 00:00 UTC`: our name and version stand where
/// Apache's commit does.
pub fn full() -> String {
    format!("{ZOOKEEPER_RELEASE}-gamekeeper-{}, built on {RELEASED}", env!("CARGO_PKG_VERSION"))
}
