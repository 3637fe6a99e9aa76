//! What a process does with its files, by the real persistence: what `server::driver` and
//! `server::ensemble` do there, in the same order. It is done when it is over; a process that ends
//! before has done any part of it.

use std::path::Path;
use std::sync::Arc;

use gamekeeper::engine::Input;
use gamekeeper::persistence::{
    Compression, DataDirs, EpochFiles, FileTxnLog, LogOptions, LogScan, RestoreOptions,
    SNAPSHOTS_KEPT_MIN, TruncateError, list_logs, list_snapshots, purge, truncate,
};
use gamekeeper::processor::ZkDatabase;
use gamekeeper::server::storage::{
    SnapshotInProgress, SnapshotOptions, SnapshotProgress, install_snapshot, restore_database,
};
use gamekeeper::tree::TreeReplaced;
use parking_lot::RwLock;

use super::World;
use super::process::{DiskWork, Files, Process};
use crate::database::tree_options;
use crate::history::History;
use crate::queue::{Event, ProcessId, SECOND, Time};
use crate::violation::Violation;

/// Where a server keeps its data, on its own disk.
const DATA_DIR: &str = "/data";

/// Where its files are.
pub const FILES_DIR: &str = "/data/version-2";

/// Slots of the tree a snapshot looks at under one hold of the lock.
const SLOTS_PER_HOLD: usize = 16;

/// More changes than any work makes before it is over, but now and then.
const CHANGES_MAX: u64 = 20;

fn snapshot_options() -> SnapshotOptions {
    SnapshotOptions {
        dir: FILES_DIR.into(),
        compression: Compression::None,
        with_digest: true,
        with_last_processed: true,
        history: Arc::default(),
    }
}

/// What came of some work.
enum Done {
    Well,
    /// The history cannot be cut there.
    CannotTruncate(TruncateError),
}

impl World {
    /// Opens a server's files and restores its database.
    pub(super) fn open_files(&mut self, index: usize) -> Result<(ZkDatabase, Files), String> {
        let size_limit_bytes = self.plan.log_bytes_max;
        let server = &mut self.servers[index];
        if server.random.u8(..10) == 0 {
            // It ends amid its start.
            server.disk.die_after(server.random.u64(..CHANGES_MAX));
        }
        let data_dir = Path::new(DATA_DIR);
        let text = |error: &dyn std::fmt::Display| error.to_string();
        let dirs = DataDirs::open(server.disk.clone(), data_dir, data_dir, true)
            .map_err(|error| text(&error))?;
        let restored = restore_database(&dirs, RestoreOptions::default(), tree_options())
            .map_err(|error| text(&error))?;
        let last = restored.database.tree.last_processed();
        let database = RwLock::new(restored.database);
        if restored.needs_first_snapshot {
            let options = snapshot_options();
            let mut snapshot = SnapshotInProgress::begin(&server.disk, &database, &options)
                .map_err(|error| text(&error))?;
            let mut go_on = || snapshot.go_on(&database, SLOTS_PER_HOLD);
            while go_on().map_err(|error| text(&error))? == SnapshotProgress::More {}
            snapshot.finish(&database, &options).map_err(|error| text(&error))?;
        }
        let epochs = EpochFiles::load(server.disk.clone(), dirs.snapshots(), last)
            .map_err(|error| text(&error))?;
        server.disk.live_on().map_err(|error| text(&error))?;
        server.history.restart(&server.disk, dirs.logs(), last)?;
        server.history.current_epoch = epochs.current();
        let options = LogOptions { size_limit_bytes, ..LogOptions::default() };
        let log = FileTxnLog::new(server.disk.clone(), dirs.logs(), options);
        Ok((database.into_inner(), Files { dirs, log, epochs, snapshot: None }))
    }

    /// A server cannot start: it has ended amid that, its files have rotted, or it is wrong.
    pub(super) fn cannot_start(&mut self, index: usize, error: &str) {
        let server = &mut self.servers[index];
        if server.disk.is_dead() {
            if server.random.bool() {
                server.disk.lose_power();
            } else {
                server.disk.kill();
            }
            self.note(format_args!("server {index} ends amid its start: {error}"));
        } else {
            let healed = server.disk.heal();
            if healed.is_empty() {
                let text = format!("server {index} refuses to start: {error}");
                return self.judge(Err(Violation::new("restart", text)));
            }
            self.note(format_args!("server {index} refuses, {healed:?} is restored: {error}"));
        }
        let delay = self.random.u64(SECOND / 10..2 * SECOND);
        self.plan_start(index, delay);
    }

    /// Begins some work; the process goes on when it is done.
    pub(super) fn begin_disk_work(&mut self, id: ProcessId, work: DiskWork) {
        if !matches!(work, DiskWork::Flush(_)) {
            self.maybe_lose_power_soon(id.server);
        }
        let server = &mut self.servers[id.server];
        let longest: Time = self.plan.flush * server.disk_slowness;
        let delay = 20 + server.random.u64(..longest);
        let process = server.process.as_mut().expect("it carries out its effects");
        process.disk_work = Some(work);
        self.queue.after(delay, Event::DiskDone(id));
    }

    /// What a process does with its disk is done.
    pub(super) fn on_disk_done(&mut self, id: ProcessId) {
        if self.is_put_off(id, Event::DiskDone(id)) {
            return;
        }
        let now = self.queue.now();
        let Some(process) = self.process(id) else { return };
        let work = process.disk_work.take().expect("it waits for the disk");
        if let DiskWork::StoreConfigs(configs) = work {
            self.configs_stored(id, configs);
            return self.go_on(id);
        }
        match &work {
            DiskWork::Truncate { to, .. } => {
                self.note(format_args!("server {} cuts its log at 0x{to}", id.server));
            }
            DiskWork::Install(database) => {
                let zxid = database.tree.last_processed();
                self.note(format_args!("server {} installs the snapshot 0x{zxid}", id.server));
            }
            _ => {}
        }
        let server = &mut self.servers[id.server];
        let clock = server.clock(now);
        let process = server.process.as_mut().expect("it was just there");
        let flushed = match &work {
            DiskWork::Flush(zxid) => Some(*zxid),
            _ => None,
        };
        match do_work(process, &mut server.history, work) {
            Ok(Done::Well) => {}
            Ok(Done::CannotTruncate(error)) => {
                let input = Input::CannotTruncate(error.to_string());
                process.engine.step(clock, input, &mut process.more);
                self.note(format_args!("server {}: {error}", id.server));
            }
            Err(error) => {
                let healed = server.disk.heal();
                if !healed.is_empty() {
                    self.note(format_args!("{healed:?} is restored"));
                }
                return self.fail(id, &error);
            }
        }
        if let Some(zxid) = flushed {
            let process = self.process(id).expect("it was just there");
            process.engine.step(clock, Input::Flushed(zxid), &mut process.more);
        }
        self.observe(id);
        self.go_on(id);
    }

    /// A process dies, and may have made some changes of what it is doing.
    pub(super) fn die_amid_disk_work(&mut self, index: usize) {
        let server = &mut self.servers[index];
        let Some(process) = &mut server.process else { return };
        let made = if server.random.bool() { server.random.u64(..CHANGES_MAX) } else { 0 };
        server.disk.die_after(made);
        if let Some(work) = process.disk_work.take() {
            let _ = do_work(process, &mut server.history, work);
        }
        // Whatever its parts do when they are dropped is not done.
        server.disk.die_after(0);
    }

    /// Begins a snapshot.
    pub(super) fn take_snapshot(&mut self, id: ProcessId) {
        let disk = self.servers[id.server].disk.clone();
        let process = self.process(id).expect("it carries out its effects");
        let database = &process.state.database;
        match SnapshotInProgress::begin(&disk, database, &snapshot_options()) {
            Ok(snapshot) => {
                process.files.snapshot = Some(snapshot);
                let delay = self.delay();
                self.queue.after(delay, Event::Snapshot(id));
            }
            Err(error) => self.end_snapshot(id, &error),
        }
    }

    /// Writes some more of it.
    pub(super) fn go_on_with_snapshot(&mut self, id: ProcessId) {
        if self.is_put_off(id, Event::Snapshot(id)) {
            return;
        }
        let Some(process) = self.process(id) else { return };
        let mut snapshot = process.files.snapshot.take().expect("a snapshot is being taken");
        match snapshot.go_on(&process.state.database, SLOTS_PER_HOLD) {
            Ok(SnapshotProgress::More) => {
                process.files.snapshot = Some(snapshot);
                let delay = self.delay();
                self.queue.after(delay, Event::Snapshot(id));
            }
            Ok(SnapshotProgress::AllNodes) => {
                match snapshot.finish(&process.state.database, &snapshot_options()) {
                    Ok(Some(file)) => self.end_snapshot(id, &file.path.display()),
                    Ok(None) => self.end_snapshot(id, &TreeReplaced),
                    Err(error) => self.end_snapshot(id, &error),
                }
            }
            Ok(SnapshotProgress::Replaced) => self.end_snapshot(id, &TreeReplaced),
            Err(error) => self.end_snapshot(id, &error),
        }
    }

    /// A snapshot is taken, or is not: the log holds everything, and the next one will do.
    fn end_snapshot(&mut self, id: ProcessId, what: &dyn std::fmt::Display) {
        self.note(format_args!("server {} ends a snapshot: {what}", id.server));
        self.post(id, Input::SnapshotDone);
    }

    /// Old snapshots and logs of a server are removed.
    pub(super) fn purge(&mut self, index: usize) {
        let (disk, dir) = (&self.servers[index].disk, Path::new(FILES_DIR));
        let purged = purge(disk, dir, dir, SNAPSHOTS_KEPT_MIN);
        self.note(format_args!("server {index} purges: {purged:?}"));
    }

    /// A bit of an old file of a server turns over.
    pub(super) fn rot(&mut self, index: usize) {
        let (server, dir) = (&mut self.servers[index], Path::new(FILES_DIR));
        let (disk, random) = (&server.disk, &mut server.random);
        let files = if random.bool() { list_logs(disk, dir) } else { list_snapshots(disk, dir) };
        let Ok([old @ .., _]) = files.as_deref() else { return };
        if old.is_empty() || disk.is_rotten() {
            return;
        }
        let path = old[random.usize(..old.len())].path.clone();
        // That the last record of a log is damaged cannot be told from the end of an epoch.
        let end = disk.content(&path).map_or(0, |bytes| match is_log(&path) {
            true => LogScan::new(&bytes).last().map_or(0, |record| record.offset),
            false => bytes.len(),
        });
        disk.rot(&path, end);
        self.note(format_args!("a bit of {} of server {index} rots", path.display()));
    }
}

fn is_log(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    name.is_some_and(|name| name.starts_with("log."))
}

/// Does some work, as the driver of the server does it.
fn do_work(process: &mut Process, history: &mut History, work: DiskWork) -> Result<Done, String> {
    let (files, state) = (&mut process.files, &process.state);
    match work {
        DiskWork::Flush(zxid) => {
            files.log.flush().map_err(|error| error.to_string())?;
            history.flush(zxid);
        }
        DiskWork::SetAcceptedEpoch(epoch) => {
            files.epochs.set_accepted(epoch).map_err(|error| error.to_string())?;
        }
        DiskWork::SetCurrentEpoch(epoch) => {
            files.epochs.set_current(epoch).map_err(|error| error.to_string())?;
            history.current_epoch = epoch;
        }
        // How much of it is there is known where the process ends.
        DiskWork::StoreConfigs(_) => {}
        DiskWork::Truncate { to, reload } => {
            files.log.restart_after(to).map_err(|error| error.to_string())?;
            history.begin_cut(to);
            match truncate(&files.dirs, to) {
                Err(error) if error.needs_snapshot() => return Ok(Done::CannotTruncate(error)),
                done => done.map_err(|error| error.to_string())?,
            }
            history.cut(to);
            if reload {
                let restored =
                    restore_database(&files.dirs, RestoreOptions::default(), tree_options());
                let restored = restored.map_err(|error| error.to_string())?;
                *state.database.write() = restored.database;
            }
        }
        DiskWork::Install(database) => {
            let last = database.tree.last_processed();
            files.log.restart_after(last).map_err(|error| error.to_string())?;
            let database = RwLock::new(*database);
            history.begin_install(last, std::mem::take(&mut process.received));
            install_snapshot(&files.dirs, &database, &snapshot_options())
                .map_err(|error| error.to_string())?;
            history.install();
            *state.database.write() = database.into_inner();
        }
    }
    Ok(Done::Well)
}
