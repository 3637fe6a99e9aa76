//! Makes one request of each kind: arguments mostly good, and bad in every way that has an error
//! code.
//!
//! Left out, because they end a Java server or leave it half dead, and with it the comparison:
//! createTTL with the flags 0 to 4 and a ttl below 0, `zookeeper_limits` anywhere but below a quota
//! path, and a `zookeeper_stats` whose text is no statistics. `tests/bad_input.rs` sends those to
//! this server alone.
//!
//! Left out, because `docs/COMPAT.md` lists them as different and what they leave behind makes
//! later answers differ: nulls where a value must stand, and limits that are no limits where quotas
//! are enforced.

use super::model::{Creation, Model};
use super::paths::{self, WirePath, shown};
use crate::rng::Rng;
use crate::wire::Body;

/// A request without its header.
pub(super) struct Draft {
    pub(super) opcode: i32,
    pub(super) body: Body,
    pub(super) label: String,
    /// Whether it should succeed, as far as the model can tell.
    works: bool,
}

/// Digest credentials that connections prove and ACLs name.
pub(super) const USERS: [(&str, &str); 3] = [
    ("alice:secret", "alice:aYXlLOpEooaV1cRAvUL1fp9Qt7E="),
    ("bob:x", "bob:ttt4KD2l/LR0Mpj5c6jU0hrwVdE="),
    ("super:secret", "super:lK75jTNcA+U9vtVEw5vB51mj/w4="),
];

/// Paths that have a quota in some scripts.
const QUOTA_PATHS: [&str; 3] = ["/a", "/b", "/a/c"];

/// How labels tell an ACL that is open to all, and one that the server refuses.
const OPEN: &str = "open";
const UNSOUND: &str = "unsound";

/// Limits, the last of which are none.
const LIMITS: [&str; 8] = [
    "count=5,bytes=100",
    "count=-1,bytes=-1",
    "count=3,bytes=-1=;byteHardLimit=40;countHardLimit=6",
    "count=-1,bytes=-1=;byteHardLimit=-1;countHardLimit=9",
    "count=-1,bytes=-1=;byteHardLimit=200;countHardLimit=-1",
    "",
    "count=x,bytes=1",
    "nonsense",
];

/// How many of them are limits.
const LIMITS_SOUND: usize = 6;

/// Text on the wire; `None` is null.
type WireText = Option<&'static [u8]>;

/// Scheme and id.
type Identity = (Option<&'static str>, Option<&'static str>);

/// Schemes and ids of ACL entries, as often as the number says, and whether the server takes them.
const IDENTITIES: [(usize, (bool, Identity)); 24] = [
    (30, (true, (Some("world"), Some("anyone")))),
    (8, (true, (Some("digest"), Some(USERS[0].1)))),
    (8, (true, (Some("digest"), Some(USERS[1].1)))),
    (3, (true, (Some("digest"), Some(USERS[2].1)))),
    (8, (true, (Some("ip"), Some("127.0.0.1")))),
    (3, (true, (Some("ip"), Some("127.0.0.0/8")))),
    (3, (true, (Some("ip"), Some("10.0.0.0/8")))),
    (1, (true, (Some("ip"), Some("0.0.0.0/0")))),
    (1, (false, (Some("ip"), Some("127.0.0.1/33")))),
    (1, (false, (Some("ip"), Some("127.0.0.1/x")))),
    (1, (false, (Some("ip"), Some("localhost")))),
    (1, (false, (Some("ip"), Some("::1")))),
    (1, (false, (Some("ip"), Some("1.2.3")))),
    (1, (false, (Some("ip"), Some("")))),
    (8, (true, (Some("auth"), Some("")))),
    (2, (true, (Some("auth"), Some("ignored")))),
    (2, (false, (Some("world"), Some("nobody")))),
    (1, (false, (Some("digest"), Some("no-colon")))),
    (1, (false, (Some("digest"), Some("a:b:c")))),
    (1, (false, (Some("digest"), Some(":")))),
    (1, (false, (Some("digest"), Some("alice:")))),
    (1, (false, (Some("super"), Some("x")))),
    (1, (false, (Some("unknown"), Some("x")))),
    (1, (false, (Some("sasl"), Some("x")))),
];

/// Below so many nodes mostly creates are made, above the other number mostly deletes.
const NODES_FEW: usize = 25;
const NODES_MANY: usize = 120;

/// Makes requests for one session.
pub(super) struct Requests<'a> {
    pub(super) rng: &'a mut Rng,
    pub(super) model: &'a mut Model,
    pub(super) session: usize,
    pub(super) enforced_quotas: bool,
}

impl Requests<'_> {
    /// A request that may stand in a group with others.
    pub(super) fn any(&mut self) -> Draft {
        let (creates, deletes) = match self.model.len() {
            0..NODES_FEW => (300, 40),
            NODES_FEW..NODES_MANY => (200, 110),
            NODES_MANY.. => (110, 200),
        };
        let kind = self.rng.weighted(&[
            (creates, 1),
            (deletes, 2),
            (140, 5),
            (60, 3),
            (80, 4),
            (35, 8),
            (50, 12),
            (35, 6),
            (45, 7),
            (15, 9),
            (10, 11),
            (75, 14),
            (30, 22),
            (25, 101),
            (25, 105),
            (40, 106),
            (25, 17),
            (30, 18),
            (15, 103),
            (15, 104),
            (12, 107),
            (6, 16),
            (6, 1000),
        ]);
        match kind {
            1 => self.create(),
            2 => self.delete(),
            5 => self.set_data(),
            3 | 4 | 8 | 12 => self.read(kind),
            6 => self.path_only(6, "getACL"),
            7 => self.set_acl(),
            9 => self.path_only(9, "sync"),
            11 => draft(11, Body::new(), "ping"),
            14 => self.multi(),
            22 => self.multi_read(),
            101 | 105 => self.set_watches(kind),
            106 => self.add_watch(),
            17 | 18 => self.watch_question(kind),
            103 => {
                let prefix = paths::prefix(self.rng, self.model);
                let label = format!("getEphemerals {}", shown(&prefix));
                draft(103, Body::new().bytes(prefix.as_deref()), label)
            }
            104 => self.path_only(104, "getAllChildrenNumber"),
            107 => draft(107, Body::new(), "whoAmI"),
            16 => self.reconfig(),
            _ => self.quota(),
        }
    }

    fn create(&mut self) -> Draft {
        self.model.zxid += 1;
        self.create_of_model()
    }

    fn create_of_model(&mut self) -> Draft {
        let opcode = self.rng.weighted(&[(50, 1), (25, 15), (10, 19), (15, 21)]);
        let mut flags = match opcode {
            19 => 4,
            21 => *self.rng.pick(&[5, 5, 6]),
            _ => self.rng.weighted(&[(50, 0), (22, 1), (16, 2), (12, 3)]),
        };
        if self.rng.per_mille(40) {
            flags = *self.rng.pick(&[-1, 0, 1, 2, 3, 4, 5, 6, 7, 100, i32::MIN]);
        }
        let ttl = match self.rng.per_mille(150) {
            true => *self.rng.pick(&[0, 1, 0xff_ffff_ffff, 0x100_0000_0000, i64::MAX]),
            false => 3_600_000,
        };
        let wants_bad_ttl = matches!(flags, 5 | 6) && self.rng.per_mille(60);
        let ttl = if wants_bad_ttl { -1 } else { ttl };
        let path = paths::new_node(self.rng, self.model);
        let data = self.data();
        let acl = self.acl();
        let ephemeral = matches!(opcode, 1 | 15) && matches!(flags, 1 | 3);
        let creation = Creation {
            sequential: matches!(flags, 2 | 3 | 6),
            owner: ephemeral.then_some(self.session),
            open: acl.1 == OPEN,
            sound: match opcode {
                21 => self.model.ttl_nodes && matches!(flags, 5 | 6) && ttl == 3_600_000,
                _ => (0..=4).contains(&flags),
            } && !acl.1.contains(UNSOUND),
            unsure: acl.1.contains("auth:"),
        };
        let works = text(&path).is_some_and(|path| self.model.create(path, creation));
        let name = ["create", "create2", "createContainer", "createTTL"]
            [usize::from(opcode > 1) + usize::from(opcode > 15) + usize::from(opcode > 19)];
        let mut label =
            format!("{name} {} flags {flags} data {} {}", shown(&path), size(&data), acl.1);
        let mut body = Body::new().bytes(path.as_deref()).bytes(data.as_deref());
        body = body.raw(&acl.0.into_bytes()).int(flags);
        if opcode == 21 {
            label += &format!(" ttl {ttl}");
            body = body.long(ttl);
        }
        Draft { works, ..draft(opcode, body, label) }
    }

    fn delete(&mut self) -> Draft {
        self.model.zxid += 1;
        let path = paths::leaf(self.rng, self.model);
        let version = self.version(&path, |node| node.version);
        let works = text(&path).is_some_and(|path| self.model.delete(path, version));
        let label = format!("delete {} version {version}", shown(&path));
        Draft { works, ..draft(2, Body::new().bytes(path.as_deref()).int(version), label) }
    }

    fn set_data(&mut self) -> Draft {
        self.model.zxid += 1;
        let path = paths::target(self.rng, self.model);
        let version = self.version(&path, |node| node.version);
        let data = self.data();
        let works = text(&path).is_some_and(|path| self.model.set_data(path, version));
        let label = format!("setData {} data {} version {version}", shown(&path), size(&data));
        let body = Body::new().bytes(path.as_deref()).bytes(data.as_deref()).int(version);
        Draft { works, ..draft(5, body, label) }
    }

    fn set_acl(&mut self) -> Draft {
        self.model.zxid += 1;
        let path = paths::target(self.rng, self.model);
        let version = self.version(&path, |node| node.aversion);
        // A root that nobody may use would leave nothing to compare.
        let shared = matches!(path.as_deref(), Some(b"/" | b"" | b"/zookeeper/quota"));
        let acl = if shared { open_acl() } else { self.acl() };
        if let Some(path) = text(&path) {
            self.model.set_acl(path, version, acl.1 == OPEN);
        }
        let label = format!("setACL {} {} version {version}", shown(&path), acl.1);
        let body = Body::new().bytes(path.as_deref()).raw(&acl.0.into_bytes()).int(version);
        draft(7, body, label)
    }

    fn read(&mut self, opcode: i32) -> Draft {
        let path = paths::question(self.rng, self.model);
        self.read_of(opcode, path)
    }

    fn read_of(&mut self, opcode: i32, path: WirePath) -> Draft {
        let watch = self.rng.weighted(&[(50, 0), (48, 1), (2, 0x80)]);
        let name = match opcode {
            3 => "exists",
            4 => "getData",
            8 => "getChildren",
            _ => "getChildren2",
        };
        if watch > 0 {
            self.watched(&path);
        }
        let label = format!("{name} {} watch {watch}", shown(&path));
        draft(opcode, Body::new().bytes(path.as_deref()).byte(watch), label)
    }

    fn path_only(&mut self, opcode: i32, name: &str) -> Draft {
        let path = paths::question(self.rng, self.model);
        draft(opcode, Body::new().bytes(path.as_deref()), format!("{name} {}", shown(&path)))
    }

    fn multi(&mut self) -> Draft {
        self.model.zxid += 1;
        let count = self.rng.weighted(&[(4, 0), (20, 1), (30, 2), (25, 3), (15, 5), (6, 9)]);
        let mut body = Body::new();
        let mut labels = Vec::new();
        let before = self.model.clone();
        let mut works = true;
        for _ in 0..count {
            let kind = self.rng.weighted(&[
                (360, 1),
                (160, 2),
                (260, 5),
                (190, 13),
                (4, 4),
                (4, 7),
                (4, 14),
                (4, 999),
            ]);
            let op = match kind {
                1 => self.create_of_model(),
                2 => self.delete(),
                5 => self.set_data(),
                13 => self.check(),
                4 => self.read(4),
                7 => self.set_acl(),
                _ => draft(kind, Body::new(), "an operation that no multi has"),
            };
            works &= op.works && matches!(kind, 1 | 2 | 5 | 13);
            body = multi_header(body, op.opcode).raw(&op.body.into_bytes());
            labels.push(op.label);
        }
        if !works {
            let zxid = self.model.zxid;
            *self.model = before;
            self.model.zxid = zxid;
        }
        let label = format!("multi [{}]", labels.join("; "));
        draft(14, self.multi_end(body), label)
    }

    fn multi_read(&mut self) -> Draft {
        let count = self.rng.below(5);
        let mut body = Body::new();
        let mut labels = Vec::new();
        for _ in 0..count {
            let op = match self.rng.weighted(&[(490, 4), (490, 8), (10, 3), (10, 13)]) {
                13 => self.check(),
                kind => {
                    let path = paths::target(self.rng, self.model);
                    self.read_of(kind, path)
                }
            };
            body = multi_header(body, op.opcode).raw(&op.body.into_bytes());
            labels.push(op.label);
        }
        let label = format!("multiRead [{}]", labels.join("; "));
        draft(22, self.multi_end(body), label)
    }

    /// The end of a multi, which now and then is missing or odd.
    fn multi_end(&mut self, body: Body) -> Body {
        match self.rng.weighted(&[(970, 0), (10, 1), (20, 2)]) {
            0 => body.int(-1).byte(1).int(-1),
            1 => body,
            _ => body.int(14).byte(7).int(5),
        }
    }

    fn check(&mut self) -> Draft {
        let path = paths::target(self.rng, self.model);
        let version = self.version(&path, |node| node.version);
        let works = text(&path).is_some_and(|path| self.model.check(path, version));
        let label = format!("check {} version {version}", shown(&path));
        Draft { works, ..draft(13, Body::new().bytes(path.as_deref()).int(version), label) }
    }

    fn set_watches(&mut self, opcode: i32) -> Draft {
        let newest = self.model.zxid;
        let relative = match self.rng.below(6) {
            0 => 0,
            1 => i64::MAX,
            2 => -1,
            _ => newest - self.rng.below(60) as i64,
        };
        let lists = if opcode == 101 { 3 } else { 5 };
        let mut body = Body::new().long(relative);
        let mut labels = Vec::new();
        for _ in 0..lists {
            let count = self.rng.below(4);
            body = body.int(count as i32);
            let mut list = Vec::new();
            for _ in 0..count {
                let path = paths::target(self.rng, self.model);
                body = body.bytes(path.as_deref());
                list.push(shown(&path));
            }
            labels.push(format!("[{}]", list.join(", ")));
        }
        let name = if opcode == 101 { "setWatches" } else { "setWatches2" };
        draft(opcode, body, format!("{name} since {relative} {}", labels.join(" ")))
    }

    fn add_watch(&mut self) -> Draft {
        let path = paths::target(self.rng, self.model);
        self.watched(&path);
        let mode = self.rng.weighted(&[(48, 0), (48, 1), (2, 2), (1, -1), (1, i32::MAX)]);
        let label = format!("addWatch {} mode {mode}", shown(&path));
        draft(106, Body::new().bytes(path.as_deref()).int(mode), label)
    }

    fn watched(&mut self, path: &WirePath) {
        if let Some(path) = text(path) {
            self.model.watch(path);
        }
    }

    fn watch_question(&mut self, opcode: i32) -> Draft {
        let watched = match self.rng.per_mille(750) {
            true => self.model.any_watched(self.rng).map(String::into_bytes),
            false => None,
        };
        let path = watched.or_else(|| paths::question(self.rng, self.model));
        let kind = *self.rng.pick(&[1, 2, 3, 3, 4, 5, 1, 2, 3, 0, 6, -1]);
        let name = if opcode == 17 { "checkWatches" } else { "removeWatches" };
        let label = format!("{name} {} type {kind}", shown(&path));
        draft(opcode, Body::new().bytes(path.as_deref()).int(kind), label)
    }

    fn reconfig(&mut self) -> Draft {
        self.model.zxid += 1;
        let member: Option<&[u8]> = Some(b"server.2=localhost:2:3;4");
        let joining = if self.rng.per_mille(500) { member } else { None };
        let id = *self.rng.pick(&[-1, 0, 5]);
        let body = Body::new().bytes(joining).bytes(None).bytes(None).long(id);
        draft(16, body, format!("reconfig, expected version {id}"))
    }

    /// Sets, changes, reads or removes a quota, as `setquota` and `delquota` do.
    fn quota(&mut self) -> Draft {
        let base = format!("/zookeeper/quota{}", self.rng.pick(&QUOTA_PATHS));
        let limits = match self.enforced_quotas {
            true => *self.rng.pick(&LIMITS[..LIMITS_SOUND]),
            false => *self.rng.pick(&LIMITS),
        };
        let node = *self.rng.pick(&["zookeeper_limits", "zookeeper_stats"]);
        let path = format!("{base}/{node}");
        let data = if node == "zookeeper_stats" { "count=0,bytes=0" } else { limits };
        let acl = open_acl().0.into_bytes();
        let create = |body: Body, path: &str, data: &str| {
            body.text(path).bytes(Some(data.as_bytes())).raw(&acl).int(0)
        };
        self.model.zxid += 1;
        self.model.limited |= self.enforced_quotas;
        match self.rng.weighted(&[(40, 0), (15, 1), (15, 2), (20, 3), (10, 4)]) {
            0 => {
                // In one transaction what the shell does in several.
                let mut body = Body::new();
                let above: Vec<usize> = base.match_indices('/').map(|(at, _)| at).collect();
                for at in above.iter().skip(3) {
                    body = create(multi_header(body, 1), &base[..*at], "");
                }
                body = create(multi_header(body, 1), &base, "");
                body = create(multi_header(body, 1), &format!("{base}/zookeeper_limits"), limits);
                let stats = format!("{base}/zookeeper_stats");
                body = create(multi_header(body, 1), &stats, "count=0,bytes=0");
                let end = body.int(-1).byte(1).int(-1);
                draft(14, end, format!("multi that sets the quota {limits} at {base}"))
            }
            1 => draft(1, create(Body::new(), &path, data), format!("create {path} = {data}")),
            2 => {
                let body = Body::new().text(&path).bytes(Some(data.as_bytes())).int(-1);
                draft(5, body, format!("setData {path} = {data}"))
            }
            3 => draft(4, Body::new().text(&path).byte(0), format!("getData {path}")),
            _ => draft(2, Body::new().text(&path).int(-1), format!("delete {path}")),
        }
    }

    fn version(&mut self, path: &WirePath, of: impl Fn(&super::model::Node) -> i32) -> i32 {
        let known = text(path).and_then(|path| self.model.node(path)).map_or(0, of);
        match self.rng.weighted(&[(60, 0), (25, 1), (15, 2)]) {
            0 => -1,
            1 => known,
            _ => *self.rng.pick(&[known + 1, known - 1, 0, 1, -2, i32::MAX, i32::MIN]),
        }
    }

    fn data(&mut self) -> Option<Vec<u8>> {
        match self.rng.weighted(&[(50, 0), (100, 1), (846, 2), (4, 3)]) {
            0 => None,
            1 => Some(Vec::new()),
            2 => {
                let count = self.rng.below(40);
                Some(self.rng.bytes(count))
            }
            _ => {
                let count = self.rng.below(200_000);
                Some(self.rng.bytes(count))
            }
        }
    }

    /// An ACL and what it says.
    fn acl(&mut self) -> (Body, String) {
        if self.rng.per_mille(820) {
            return open_acl();
        }
        let count = match self.rng.weighted(&[(3, 0), (2, -2), (70, 1), (22, 3)]) {
            count @ ..=0 => {
                return (Body::new().int(count), format!("{UNSOUND} acl of {count} entries"));
            }
            count => count,
        };
        let mut body = Body::new().int(count);
        let mut labels = Vec::new();
        for _ in 0..count {
            let perms = *self.rng.pick(&[31, 31, 31, 1, 3, 5, 9, 15, 17, 0, 33, -1]);
            let (sound, (scheme, id)) = self.identity();
            body = body.int(perms).bytes(scheme).bytes(id);
            if !sound {
                labels.push(UNSOUND.into());
            }
            let shown = |bytes: Option<&[u8]>| match bytes {
                Some(bytes) => bytes.escape_ascii().to_string(),
                None => "null".into(),
            };
            labels.push(format!("{}:{}:{perms}", shown(scheme), shown(id)));
        }
        (body, format!("acl [{}]", labels.join(", ")))
    }

    /// A scheme and id, and whether an ACL may name them.
    fn identity(&mut self) -> (bool, (WireText, WireText)) {
        let (sound, (scheme, id)) = self.rng.weighted(&IDENTITIES);
        (sound, (scheme.map(str::as_bytes), id.map(str::as_bytes)))
    }
}

/// A request.
pub(super) fn draft(opcode: i32, body: Body, label: impl Into<String>) -> Draft {
    Draft { opcode, body, label: label.into(), works: true }
}

fn multi_header(body: Body, opcode: i32) -> Body {
    body.int(opcode).byte(0).int(-1)
}

/// All permissions for anyone.
fn open_acl() -> (Body, String) {
    (Body::new().int(1).int(31).text("world").text("anyone"), OPEN.into())
}

fn text(path: &WirePath) -> Option<&str> {
    path.as_deref().and_then(|path| std::str::from_utf8(path).ok())
}

fn size(data: &Option<Vec<u8>>) -> String {
    data.as_ref().map_or("null".into(), |data| format!("of {} bytes", data.len()))
}
