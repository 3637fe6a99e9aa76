//! Removes old snapshots and logs every so many hours (`DatadirCleanupManager`).

use std::io;
use std::path::Path;
use std::thread;
use std::time::Duration;

use tracing::{error, info};

use super::config::AutopurgeConfig;
use crate::persistence::{DataDirs, OsDisk, purge};

/// Starts the purge task, if there is to be one: it purges at once and then every interval, until
/// the process ends.
pub(super) fn start(config: &AutopurgeConfig, dirs: &DataDirs) -> io::Result<()> {
    info!("autopurge.snapRetainCount set to {}", config.snap_retain_count);
    info!("autopurge.purgeInterval set to {}", config.purge_interval_hours);
    let Some(interval) = interval(config.purge_interval_hours) else {
        info!("Purge task is not scheduled.");
        return Ok(());
    };
    let (logs, snapshots) = (dirs.logs().to_owned(), dirs.snapshots().to_owned());
    let count = usize::try_from(config.snap_retain_count).unwrap_or(0);
    let task = move || {
        loop {
            run_once(&logs, &snapshots, count);
            thread::sleep(interval);
        }
    };
    thread::Builder::new().name("purge".into()).spawn(task).map(|_| ())
}

fn run_once(logs: &Path, snapshots: &Path, count: usize) {
    info!("Purge task started.");
    if let Err(error) = purge(&OsDisk, logs, snapshots, count) {
        error!("Error occurred while purging: {error}");
    }
    info!("Purge task completed.");
}

/// None if there is no purging.
fn interval(hours: i32) -> Option<Duration> {
    let hours = u64::try_from(hours).ok().filter(|hours| *hours > 0)?;
    Some(Duration::from_secs(hours * 3600))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_task_runs_only_with_an_interval() {
        assert_eq!([-1, 0].map(interval), [None, None]);
        assert_eq!(interval(2), Some(Duration::from_secs(7200)));
    }
}
