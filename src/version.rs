//! Which ZooKeeper this is, in the form that clients parse (`org.apache.zookeeper.Version`).

/// The release of Apache ZooKeeper whose behaviour this is.
pub const ZOOKEEPER_RELEASE: &str = "3.9.6";

/// `3.9.6-gamekeeper-0.1.0, built on ...`: our name and version stand where Apache's commit does.
pub fn full() -> String {
    let built = option_env!("GAMEKEEPER_BUILD_DATE").unwrap_or("an unknown date");
    format!("{ZOOKEEPER_RELEASE}-gamekeeper-{}, built on {built}", env!("CARGO_PKG_VERSION"))
}
