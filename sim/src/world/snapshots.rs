//! Snapshots that are taken while transactions are applied, and history that cannot be cut.

use gamekeeper::engine::Input;
use gamekeeper::proto::Zxid;
use gamekeeper::tree::TreeReplaced;

use super::World;
use crate::database::Walk;
use crate::queue::{Event, ProcessId};

/// Slots of the tree a snapshot looks at under one hold of the lock.
const SLOTS_PER_HOLD: usize = 16;

impl World {
    /// Begins a snapshot.
    pub(super) fn take_snapshot(&mut self, id: ProcessId) {
        let process = self.process(id).expect("it carries out its effects");
        let walk = Walk::begin(&process.state.database.read());
        process.snapshot = Some(walk);
        let delay = self.delay();
        self.queue.after(delay, Event::Snapshot(id));
    }

    /// Writes some more of it.
    pub(super) fn go_on_with_snapshot(&mut self, id: ProcessId) {
        if self.is_put_off(id, Event::Snapshot(id)) {
            return;
        }
        let Some(process) = self.process(id) else { return };
        let mut walk = process.snapshot.take().expect("a snapshot is being taken");
        let state = process.state.clone();
        let database = state.database.read();
        match walk.go_on(&database, SLOTS_PER_HOLD) {
            Ok(true) => {
                process.snapshot = Some(walk);
                let delay = self.delay();
                return self.queue.after(delay, Event::Snapshot(id));
            }
            Ok(false) => {
                let (zxid, file) = walk.finish(&database);
                drop(database);
                self.note(format_args!("server {} has taken the snapshot 0x{zxid}", id.server));
                // The log holds everything: without this snapshot the next one will do.
                let _ = self.servers[id.server].disk.add_snapshot(zxid, file);
            }
            Err(TreeReplaced) => {
                drop(database);
                self.note(format_args!("server {} drops a snapshot", id.server));
            }
        }
        self.post(id, Input::SnapshotDone);
    }

    /// The history cannot be cut where the leader wants it, and the engine is told so.
    pub(super) fn cannot_truncate(&mut self, id: ProcessId, to: Zxid) {
        self.note(format_args!("server {} cannot cut its log at 0x{to}", id.server));
        let clock = self.servers[id.server].clock(self.queue.now());
        let process = self.process(id).expect("it carries out its effects");
        let input = Input::CannotTruncate("no snapshot below".into());
        process.engine.step(clock, input, &mut process.more);
    }
}
