//! Which ZooKeeper this is, in the form that clients parse (`org.apache.zookeeper.Version`).

use jiff::Timestamp;

/// The release of Apache ZooKeeper whose behaviour this is.
pub const ZOOKEEPER_RELEASE: &str = "3.9.6";

/// This server's name and own version.
pub const GAMEKEEPER: &str = concat!("Gamekeeper ", env!("CARGO_PKG_VERSION"));

/// `3.9.6-gamekeeper-COMMIT`: our name and commit stand where Apache's commit does. A build outside
/// git has the version there.
pub fn revision() -> String {
    let commit = option_env!("GAMEKEEPER_COMMIT").unwrap_or(env!("CARGO_PKG_VERSION"));
    format!("{ZOOKEEPER_RELEASE}-gamekeeper-{commit}")
}

/// When this was committed, or built outside git, as `11/21/2026 07:30 UTC`: the form of Apache's
/// releases up to 3.6, which go-zookeeper parses; later releases write the year first, which it
/// does not.
pub fn build_date() -> String {
    let second = env!("GAMEKEEPER_BUILT").parse().unwrap_or_default();
    let time = Timestamp::from_second(second).unwrap_or(Timestamp::UNIX_EPOCH);
    time.strftime("%m/%d/%Y %H:%M UTC").to_string()
}

/// `3.9.6-gamekeeper-COMMIT, built on DATE` (`Version.getFullVersion`).
pub fn full() -> String {
    format!("{}, built on {}", revision(), build_date())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What go-zookeeper accepts:
    /// `([A-Za-z0-9\.\-]+), built on (\d\d/\d\d/\d\d\d\d \d\d:\d\d [A-Za-z0-9:\+\-]+)`;
    /// Kazoo takes the digits and dots that the version begins with.
    #[test]
    fn clients_can_parse_it() {
        let full = full();
        let (revision, date) = full.split_once(", built on ").unwrap();
        assert!(revision.chars().all(|c| c.is_ascii_alphanumeric() || ".-".contains(c)));
        assert!(revision.starts_with("3.9.6-gamekeeper-"));
        let shape = |c: char| if c.is_ascii_digit() { '9' } else { c };
        assert_eq!(date.chars().map(shape).collect::<String>(), "99/99/9999 99:99 UTC");
    }
}
