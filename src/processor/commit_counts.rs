//! What Apache's `CommitProcessor` counts, for a server that has none of its threads and queues:
//! one run of the last processor stands for a turn of its loop.

use super::Applied;
use crate::proto::Millis;
use crate::stats::{Run, ServerMetrics};

/// What is committed, and reads behind that, in one run of a member of an ensemble.
pub(super) struct CommitCounts<'a> {
    metrics: &'a ServerMetrics,
    write_waits: Run<'a>,
    read_waits: Run<'a>,
    local: usize,
    of_others: usize,
    reads: usize,
}

impl<'a> CommitCounts<'a> {
    pub(super) fn new(metrics: &'a ServerMetrics) -> Self {
        Self {
            metrics,
            write_waits: Run::new(&metrics.write_commitproc_time_ms),
            read_waits: Run::new(&metrics.read_commitproc_time_ms),
            local: 0,
            of_others: 0,
            reads: 0,
        }
    }

    /// A write that went through this server, so long ago.
    pub(super) fn local(&mut self, waited: Millis) {
        self.local += 1;
        self.write_waits.add(waited);
    }

    /// A write that went through another server.
    pub(super) fn of_others(&mut self) {
        self.of_others += 1;
    }

    /// A read that came so long ago.
    pub(super) fn read(&mut self, waited: Millis) {
        self.reads += 1;
        self.read_waits.add(waited);
    }

    /// Records the run; its commits have waited so long.
    pub(super) fn finish(self, commits_waited: Millis) -> Applied {
        let Self { metrics, local, of_others, reads, .. } = self;
        let writes = local + of_others;
        if writes > 0 {
            metrics.commit_commit_proc_req_queued.record(writes as f64);
            metrics.write_commit_proc_req_queued.record(local as f64);
            metrics.write_commit_proc_issued.record(writes as f64);
        }
        if local > 0 {
            metrics.local_write_committed_time_ms.record_many(commits_waited as f64, local);
        }
        if of_others > 0 {
            metrics.server_write_committed_time_ms.record_many(commits_waited as f64, of_others);
        }
        metrics.read_commit_proc_req_queued.record(reads as f64);
        metrics.reads_issued_from_session_queue.record(reads as f64);
        Applied { writes, reads }
    }
}
