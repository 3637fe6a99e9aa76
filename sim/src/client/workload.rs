//! What clients do: a mix of everything, on few nodes, so that they meet.
//!
//! ```text
//! /r/0 .. /r/5   registers: created, set, deleted, read; these are checked for linearizability
//! /s             sequential nodes, which are never deleted
//! /e/0 .. /e/4   ephemeral nodes of changing owners
//! ```

use bytes::Bytes;
use fastrand::Rng;
use gamekeeper::proto::{AddWatchMode, CreateMode};

use super::request::Request;

/// The nodes that are there from the beginning.
pub const ROOTS: [&str; 3] = ["/r", "/s", "/e"];

/// Registers, and names of ephemeral nodes.
const REGISTERS: usize = 6;
const EPHEMERALS: usize = 5;

/// What a client does next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// It makes these requests, one right behind the other.
    Ask(Vec<Request>),
    /// It goes to another server, with its session.
    Move,
    /// It ends its session and begins another one.
    Close,
    /// It dies; another client takes its place.
    Die,
}

/// Whether a path is that of a register.
pub fn is_register(path: &str) -> bool {
    path.starts_with("/r/")
}

/// Chooses the next step; `serial` is different each time.
pub fn choose(random: &mut Rng, serial: u64) -> Step {
    let register = |random: &mut Rng| format!("/r/{}", random.usize(..REGISTERS));
    let ephemeral = |random: &mut Rng| format!("/e/{}", random.usize(..EPHEMERALS));
    let data = Bytes::from(format!("d{serial}"));
    let version = |random: &mut Rng| if random.bool() { -1 } else { random.i32(0..6) };
    let watch = random.u8(..3) == 0;
    let one = |request: Request| Step::Ask(vec![request]);
    match random.u8(..100) {
        0..8 => one(Request::Create(register(random), data, CreateMode::Persistent)),
        8..14 => one(Request::Delete(register(random), version(random))),
        14..34 => one(Request::SetData(register(random), data, version(random))),
        34..44 => {
            let path = register(random);
            Step::Ask(vec![Request::Sync(path.clone()), Request::GetData(path, watch)])
        }
        44..54 => one(Request::GetData(register(random), watch)),
        54..60 => one(Request::Exists(register(random), watch)),
        60..66 => {
            let root = ROOTS[random.usize(..ROOTS.len())].to_owned();
            one(Request::GetChildren(root, watch))
        }
        66..73 => one(Request::Create("/s/n".into(), data, CreateMode::PersistentSequential)),
        73..80 => one(Request::Create(ephemeral(random), data, CreateMode::Ephemeral)),
        80..83 => one(Request::Delete(ephemeral(random), -1)),
        83..86 => one(Request::Exists(ephemeral(random), watch)),
        86..90 => {
            let (checked, set) = (register(random), register(random));
            one(Request::CheckAndSet(checked, random.i32(0..4), set, data))
        }
        90..92 => {
            let mode = match random.bool() {
                true => AddWatchMode::Persistent,
                false => AddWatchMode::PersistentRecursive,
            };
            let root = if random.bool() { "/r".into() } else { ephemeral(random) };
            one(Request::AddWatch(root, mode))
        }
        92..95 => {
            // Many at once: later ones must not overtake.
            let path = register(random);
            let write = |n: usize| {
                let data = Bytes::from(format!("d{serial}.{n}"));
                Request::SetData(path.clone(), data, -1)
            };
            let mut all: Vec<_> = (0..random.usize(2..6)).map(write).collect();
            all.push(Request::GetData(path.clone(), watch));
            Step::Ask(all)
        }
        95..97 => Step::Move,
        97..99 => Step::Close,
        _ => Step::Die,
    }
}
