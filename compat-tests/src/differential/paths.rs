//! Choice of paths: nodes that are there, nodes that could be, nodes that are not, and everything
//! that is no path at all.

use super::model::Model;
use crate::rng::Rng;

/// Names of new nodes: few, so that requests meet; some are prefixes of others.
const NAMES: [&str; 14] =
    ["a", "b", "c", "d", "e", "n1", "n10", "n-", "x.y", "a b", "\u{e9}", "\u{6f22}", "q", "zz"];

/// Paths that are refused, or should be, or are something else than they look.
const ODD_PATHS: [&str; 36] = [
    "",
    "a",
    "a/b",
    "/",
    "//",
    "/a/",
    "//a",
    "/a//b",
    "/.",
    "/..",
    "/a/.",
    "/a/..",
    "/a/./b",
    "/a/../b",
    "/...",
    "/a/.b",
    "/a\0",
    "/\u{1}",
    "/a\u{1f}",
    "/a\u{7f}b",
    "/a\u{9f}",
    "/a\u{a0}",
    "/\u{d7ff}",
    "/\u{e000}",
    "/\u{f8ff}",
    "/\u{f900}",
    "/\u{ffef}",
    "/\u{fff0}",
    "/\u{fffd}",
    "/\u{1f600}",
    "/a/b/c/d/e/f/g/h",
    "/ ",
    "/%s",
    "/zookeeper_limits",
    "/zookeeperX",
    "zookeeper",
];

/// Nodes that every server has, and some below them that it has not.
const SYSTEM_PATHS: [&str; 7] = [
    "/zookeeper",
    "/zookeeper/quota",
    "/zookeeper/config",
    "/zookeeper/a",
    "/zookeeper/quota/a",
    "/zookeeper/config/a",
    "/zookeeper/nothing/here",
];

/// Paths that are not even text: what Java decodes to U+FFFD, and surrogates one by one.
const ODD_BYTES: [&[u8]; 5] =
    [b"/\xff", b"/a\xc3", b"/\xed\xa0\xbd\xed\xb8\x80", b"/\xed\xa0\x80", b"/\xf0\x9f\x98"];

/// The deepest new node.
const DEPTH_MAX: usize = 5;

/// A path as it goes over the wire; `None` is null.
pub(super) type WirePath = Option<Vec<u8>>;

/// A path to read or change: mostly of a node that is there.
pub(super) fn target(rng: &mut Rng, model: &Model) -> WirePath {
    match rng.weighted(&[(800, 0), (90, 1), (40, 2), (70, 3)]) {
        0 => wire(&model.any_node(rng)),
        1 => wire(&fresh(rng, model)),
        2 => wire(*rng.pick(&SYSTEM_PATHS)),
        _ => odd(rng),
    }
}

/// A path to ask for: as [`target`], or null.
pub(super) fn question(rng: &mut Rng, model: &Model) -> WirePath {
    match rng.per_mille(10) {
        true => None,
        false => target(rng, model),
    }
}

/// A path to delete: mostly of a leaf.
pub(super) fn leaf(rng: &mut Rng, model: &Model) -> WirePath {
    match rng.weighted(&[(850, 0), (150, 1)]) {
        0 => wire(&model.any_leaf(rng)),
        _ => target(rng, model),
    }
}

/// A path to create: mostly below a node that is there.
pub(super) fn new_node(rng: &mut Rng, model: &Model) -> WirePath {
    match rng.weighted(&[(900, 0), (40, 1), (20, 2), (40, 3)]) {
        0 => wire(&fresh(rng, model)),
        1 => wire(&format!("{}/{}", fresh(rng, model), rng.pick(&NAMES))),
        2 => wire(*rng.pick(&SYSTEM_PATHS)),
        _ => odd(rng),
    }
}

/// A path that may start others, for getEphemerals.
pub(super) fn prefix(rng: &mut Rng, model: &Model) -> WirePath {
    let mut path = question(rng, model)?;
    if rng.per_mille(400) {
        path.truncate(rng.below(path.len() + 1));
    }
    Some(path)
}

fn fresh(rng: &mut Rng, model: &Model) -> String {
    let above = model.any_node(rng);
    let above = match above.matches('/').count() {
        depth if depth >= DEPTH_MAX => "",
        _ if above == "/" => "",
        _ => above.as_str(),
    };
    format!("{above}/{}", rng.pick(&NAMES))
}

fn odd(rng: &mut Rng) -> WirePath {
    match rng.weighted(&[(80, 0), (8, 1), (4, 2)]) {
        0 => wire(*rng.pick(&ODD_PATHS)),
        1 => Some(rng.pick(&ODD_BYTES).to_vec()),
        _ => wire(&format!("/{}", "long".repeat(1 + rng.below(2000)))),
    }
}

fn wire(path: &(impl AsRef<[u8]> + ?Sized)) -> WirePath {
    Some(path.as_ref().to_vec())
}

/// A path for people.
pub(super) fn shown(path: &WirePath) -> String {
    match path {
        None => "null".into(),
        Some(bytes) if bytes.len() > 200 => format!("(path of {} bytes)", bytes.len()),
        Some(bytes) => format!("\"{}\"", String::from_utf8_lossy(bytes).escape_debug()),
    }
}
