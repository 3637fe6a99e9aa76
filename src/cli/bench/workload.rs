//! What sessions ask, one request after the other, and what the answers must look like.

use std::ops::RangeInclusive;

use bytes::BytesMut;

use super::request::{self, Template};
use crate::client::wire;
use crate::proto::{OpCode, Xid};

/// Bytes of a `Stat`.
const STAT_BYTES: usize = 68;

/// A stream of requests of some sessions.
pub(super) trait Workload: Send {
    /// The kinds of requests, by number.
    fn kinds(&self) -> Vec<Kind>;

    /// Appends the next request of the session to `out` and says what it is; `None` when there are
    /// no more.
    fn request(&mut self, session: usize, xid: Xid, out: &mut BytesMut) -> Option<Asked>;
}

/// What a request put into the send buffer asks for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked {
    /// Its kind.
    pub(super) kind: u8,
    /// Operations in it, more than one in a multi.
    pub(super) operations: u32,
}

impl Asked {
    /// A request of one operation.
    pub(super) fn one(kind: u8) -> Self {
        Self { kind, operations: 1 }
    }
}

/// One kind of request.
#[derive(Debug, Clone)]
pub(super) struct Kind {
    /// What it is called.
    pub(super) name: &'static str,
    /// How long the body of a good reply is, in bytes.
    pub(super) body_bytes: RangeInclusive<usize>,
    /// Whether it is a multi, whose result stands in the body.
    pub(super) is_multi: bool,
}

impl Kind {
    fn single(name: &'static str, body_bytes: RangeInclusive<usize>) -> Self {
        Self { name, body_bytes, is_multi: false }
    }

    fn multi(name: &'static str) -> Self {
        Self { name, body_bytes: 9..=usize::MAX, is_multi: true }
    }
}

/// getData and setData of random znodes under one parent.
#[derive(Debug)]
pub(super) struct GetSet {
    get: Template,
    set: Template,
    data_bytes: usize,
    keys: u32,
    get_percent: u8,
    random: fastrand::Rng,
}

impl GetSet {
    /// Works on the `keys` first numbered children of `parent`.
    pub(super) fn new(parent: &str, data: &[u8], keys: u32, get_percent: u8, seed: u64) -> Self {
        Self {
            get: Template::get(parent),
            set: Template::set(parent, data),
            data_bytes: data.len(),
            keys,
            get_percent,
            random: fastrand::Rng::with_seed(seed),
        }
    }
}

impl Workload for GetSet {
    fn kinds(&self) -> Vec<Kind> {
        let get_bytes = 4 + self.data_bytes + STAT_BYTES;
        vec![
            Kind::single("get", get_bytes..=get_bytes),
            Kind::single("set", STAT_BYTES..=STAT_BYTES),
        ]
    }

    fn request(&mut self, _: usize, xid: Xid, out: &mut BytesMut) -> Option<Asked> {
        let key = self.random.u32(..self.keys);
        let is_get = match self.get_percent {
            0 => false,
            100 => true,
            percent => self.random.u8(..100) < percent,
        };
        let (kind, template) = if is_get { (0, &self.get) } else { (1, &self.set) };
        template.append(xid, key, out);
        Some(Asked::one(kind))
    }
}

/// create, or delete, of the numbered children of each session's own parent.
#[derive(Debug)]
pub(super) struct Numbered {
    kind: Kind,
    sessions: Vec<NumberedSession>,
}

#[derive(Debug)]
struct NumberedSession {
    template: Template,
    next: u32,
    end: u32,
}

impl Numbered {
    /// Creates children without end, session `i` of this workload under the parent of `runs[i]`.
    pub(super) fn create(runs: &[Run], data: &[u8]) -> Self {
        let path_bytes = runs[0].parent.len() + 1 + request::DIGITS;
        let body_bytes = 4 + path_bytes;
        let session = |run: &Run| {
            let template = Template::create(&run.parent, data);
            NumberedSession { template, next: 0, end: u32::MAX }
        };
        Self {
            kind: Kind::single("create", body_bytes..=body_bytes),
            sessions: runs.iter().map(session).collect(),
        }
    }

    /// Deletes the znodes of `runs`, session `i` of this workload those of `runs[i]`.
    pub(super) fn delete(runs: &[Run]) -> Self {
        let session = |run: &Run| {
            let template = Template::delete(&run.parent);
            NumberedSession { template, next: 0, end: run.count }
        };
        Self { kind: Kind::single("delete", 0..=0), sessions: runs.iter().map(session).collect() }
    }
}

impl Workload for Numbered {
    fn kinds(&self) -> Vec<Kind> {
        vec![self.kind.clone()]
    }

    fn request(&mut self, session: usize, xid: Xid, out: &mut BytesMut) -> Option<Asked> {
        let session = &mut self.sessions[session];
        if session.next == session.end {
            return None;
        }
        session.template.append(xid, session.next, out);
        session.next += 1;
        Some(Asked::one(0))
    }
}

/// getChildren of one znode.
#[derive(Debug)]
pub(super) struct Children {
    frame: BytesMut,
    body_bytes: usize,
}

impl Children {
    /// Asks for the `count` numbered children of `parent`.
    pub(super) fn new(parent: &str, count: u32) -> Self {
        let mut frame = BytesMut::new();
        let record = request::children_record(parent);
        wire::put_request(&mut frame, 0, OpCode::GetChildren, &record);
        Self { frame, body_bytes: 4 + count as usize * (4 + request::DIGITS) }
    }
}

impl Workload for Children {
    fn kinds(&self) -> Vec<Kind> {
        vec![Kind::single("children", self.body_bytes..=self.body_bytes)]
    }

    fn request(&mut self, _: usize, xid: Xid, out: &mut BytesMut) -> Option<Asked> {
        let start = out.len();
        out.extend_from_slice(&self.frame);
        out[start + 4..start + 8].copy_from_slice(&xid.to_be_bytes());
        Some(Asked::one(0))
    }
}

/// A run of numbered znodes under one parent.
#[derive(Debug, Clone)]
pub(super) struct Run {
    /// Their parent.
    pub(super) parent: String,
    /// How many there are, numbered from 0.
    pub(super) count: u32,
}

/// create of given znodes, many in one request.
#[derive(Debug)]
pub(super) struct Fill {
    runs: std::vec::IntoIter<Run>,
    data: Vec<u8>,
    batch: u32,
    current: Option<(Run, Template)>,
    next: u32,
}

impl Fill {
    /// Creates the znodes of `runs`, in multis of `batch` unless that is 1.
    pub(super) fn new(runs: Vec<Run>, data: &[u8], batch: u32) -> Self {
        Self { runs: runs.into_iter(), data: data.to_vec(), batch, current: None, next: 0 }
    }

    fn next_run(&mut self) -> Option<()> {
        let run = self.runs.next()?;
        let template = match self.batch {
            1 => Template::create(&run.parent, &self.data),
            _ => Template::create_in_multi(&run.parent, &self.data),
        };
        self.current = Some((run, template));
        self.next = 0;
        Some(())
    }
}

impl Workload for Fill {
    fn kinds(&self) -> Vec<Kind> {
        match self.batch {
            1 => vec![Kind::single("create", 4..=usize::MAX)],
            _ => vec![Kind::multi("multi")],
        }
    }

    fn request(&mut self, _: usize, xid: Xid, out: &mut BytesMut) -> Option<Asked> {
        while self.current.as_ref().is_none_or(|(run, _)| self.next == run.count) {
            self.next_run()?;
        }
        let (run, template) = self.current.as_ref()?;
        let operations = self.batch.min(run.count - self.next);
        if self.batch == 1 {
            template.append(xid, self.next, out);
        } else {
            request::put_multi(xid, out, |out| {
                for number in self.next..self.next + operations {
                    template.append_operation(number, out);
                }
            });
        }
        self.next += operations;
        Some(Asked { kind: 0, operations })
    }
}

/// delete of given paths in multis, none of which has children by the time its turn comes.
#[derive(Debug)]
pub(super) struct Remove {
    paths: std::vec::IntoIter<String>,
}

impl Remove {
    /// Operations in one multi.
    const BATCH: usize = 200;

    /// Deletes `paths`.
    pub(super) fn new(paths: Vec<String>) -> Self {
        Self { paths: paths.into_iter() }
    }
}

impl Workload for Remove {
    fn kinds(&self) -> Vec<Kind> {
        vec![Kind::multi("multi")]
    }

    fn request(&mut self, _: usize, xid: Xid, out: &mut BytesMut) -> Option<Asked> {
        let operations = self.paths.len().min(Self::BATCH) as u32;
        if operations == 0 {
            return None;
        }
        request::put_multi(xid, out, |out| {
            for path in self.paths.by_ref().take(Self::BATCH) {
                request::delete_in_multi(&path, out);
            }
        });
        Some(Asked { kind: 0, operations })
    }
}
