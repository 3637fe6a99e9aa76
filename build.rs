//! Notes the git commit and its date for the version text; outside git, only the time of the build.

use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

fn main() {
    // Written whenever the commit changes; in a worktree it is not under `.git`.
    if let Some(log) = git(&["rev-parse", "--git-path", "logs/HEAD"]) {
        println!("cargo::rerun-if-changed={log}");
    }
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=SOURCE_DATE_EPOCH");
    if let Some(commit) = git(&["rev-parse", "HEAD"]) {
        println!("cargo::rustc-env=GAMEKEEPER_COMMIT={commit}");
    }
    let built = std::env::var("SOURCE_DATE_EPOCH").ok();
    let built = built.or_else(|| git(&["log", "-1", "--format=%ct"]));
    let built = built.unwrap_or_else(|| {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        since.as_secs().to_string()
    });
    println!("cargo::rustc-env=GAMEKEEPER_BUILT={built}");
}

/// The one line that git answers, if there is git and this is one of its checkouts.
fn git(args: &[&str]) -> Option<String> {
    let output = Command::new("git").args(args).output().ok()?;
    let line = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !line.is_empty()).then_some(line)
}
