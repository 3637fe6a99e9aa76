//! Apache's own tools read the files of the server under test: SnapshotFormatter every snapshot,
//! TxnLogToolkit every log, and both find as many nodes and transactions as there should be.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use compat_tests::cache::{cache_dir, crate_dir};
use compat_tests::fill::{CONFIG, fill};
use compat_tests::program::{Finished, run};
use compat_tests::server::{Home, ServerUnderTest};

fn tool(class: &str, file: &PathBuf) -> Finished {
    let mut command = Command::new(crate_dir().join("apache"));
    command.args(["3.9.3", "java", class]).arg(file).env("COMPAT_CACHE", cache_dir());
    run(command, "", Duration::from_secs(60))
}

/// The files of version-2 whose name starts so, oldest first, with the zxid in their name.
fn files(home: &Home, start: &str) -> Vec<(u64, PathBuf)> {
    let entries = fs::read_dir(home.version_2()).expect("a data directory");
    let paths = entries.map(|entry| entry.expect("a file").path());
    let mut found: Vec<(u64, PathBuf)> = paths
        .filter_map(|path| {
            let zxid = path.file_name()?.to_str()?.strip_prefix(start)?.split('.').next()?;
            Some((u64::from_str_radix(zxid, 16).ok()?, path))
        })
        .collect();
    found.sort();
    found
}

#[test]
fn apaches_tools_read_our_files() {
    let config = [CONFIG[0], CONFIG[1], "snapCount=3000", "preAllocSize=64"];
    let server = ServerUnderTest::from_env().start(Home::new(&config));
    fill(server.address(), "/filled", 10_000).expect("a filled server");
    let home = server.stop();

    let snapshots = files(&home, "snapshot.");
    assert!(snapshots.len() > 2, "snapCount=3000 must have made snapshots");
    // The stop may have cut the last one short.
    for (_, file) in &snapshots[..snapshots.len() - 1] {
        let shown = tool("org.apache.zookeeper.server.SnapshotFormatter", file);
        let nodes = shown.stdout.lines().filter(|line| line.starts_with('/')).count();
        assert!(shown.status.success() && nodes >= 3, "{}: {shown:?}", file.display());
    }

    let logs = files(&home, "log.");
    let mut last_zxid = 0;
    for (first_zxid, file) in &logs {
        assert_eq!(*first_zxid, last_zxid + 1, "{} goes on where the last ended", file.display());
        let shown = tool("org.apache.zookeeper.server.persistence.TxnLogToolkit", file);
        assert!(shown.status.success(), "{}: {shown:?}", file.display());
        assert!(!shown.stdout.contains("CRC ERROR"), "{}: {}", file.display(), shown.stdout);
        let transactions = shown.stdout.lines().filter(|line| line.contains("zxid 0x")).count();
        let end = format!("EOF reached after {transactions} txns.");
        assert!(shown.stdout.contains(&end), "{}: {}", file.display(), shown.stdout);
        last_zxid += transactions as u64;
    }
    let snapshot_zxid = snapshots.last().expect("a snapshot").0;
    assert!(snapshot_zxid <= last_zxid, "no snapshot is newer than the log");
    assert!(last_zxid > 10_000, "all writes are in the logs, not only {last_zxid}");
}
