//! Expected outputs of the client programs: recorded from Apache, compared with any server.
//!
//! A program prints what it sees, one line per observation, without zxids, times and session ids.
//! `COMPAT_SERVER=apache-3.9.3 COMPAT_RECORD=1 cargo test -p compat-tests` writes the files under
//! `compat-tests/expected` anew; the change is then reviewed as a diff.

use std::fs;
use std::path::PathBuf;

use crate::cache::crate_dir;
use crate::server::ServerUnderTest;

/// Compares `seen` with `expected/<name>.txt`, or records it there.
pub fn check(server: ServerUnderTest, name: &str, seen: &str) {
    let file = expected(name);
    if std::env::var_os("COMPAT_RECORD").is_some() {
        assert!(matches!(server, ServerUnderTest::Apache(_)), "only Apache's answers are recorded");
        fs::write(&file, seen).expect("an expected transcript can be written");
        return;
    }
    let wanted = fs::read_to_string(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    let (seen, wanted): (Vec<&str>, Vec<&str>) = (seen.lines().collect(), wanted.lines().collect());
    let Some(first) = (0..seen.len().max(wanted.len())).find(|&i| seen.get(i) != wanted.get(i))
    else {
        return;
    };
    let around = |lines: &[&str]| {
        let shown = &lines[first.saturating_sub(5).min(lines.len())..(first + 10).min(lines.len())];
        shown.join("\n  ")
    };
    panic!(
        "{server} differs from {} at line {}\n--- wanted\n  {}\n--- seen\n  {}",
        file.display(),
        first + 1,
        around(&wanted),
        around(&seen)
    );
}

/// A file under `compat-tests/expected`.
pub fn expected(name: &str) -> PathBuf {
    crate_dir().join("expected").join(format!("{name}.txt"))
}
