//! Runs every fuzz target over its corpus and over random changes of it, with the stable compiler
//! and without libFuzzer, so that each run of the suite tries a little.
//!
//! `FUZZ_ROUNDS` says how many changed inputs each target gets, `FUZZ_SEED` where to begin; a
//! failure prints the seed and the input.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::{env, fs};

#[allow(unreachable_pub, reason = "a crate of its own for cargo fuzz")]
#[path = "../fuzz/src/lib.rs"]
mod targets;

/// Changed inputs for each target, unless `FUZZ_ROUNDS` says otherwise.
const ROUNDS: u64 = 2_000;

/// Longest input that changes may make, in bytes.
const INPUT_BYTES_MAX: usize = 4_096;

/// Numbers at which parsers go wrong.
const ODD_INTS: [i32; 9] = [-1, 0, 1, 4, 255, 65_536, i32::MAX, i32::MIN, -2];

#[test]
fn every_target_survives_its_corpus_and_changes_of_it() {
    let number = |name, default| {
        env::var(name).map_or(default, |text| text.parse().expect("a number in FUZZ_..."))
    };
    let (rounds, seed) = (number("FUZZ_ROUNDS", ROUNDS), number("FUZZ_SEED", 1));
    let only = env::var("FUZZ_TARGET").ok();
    for (name, target) in targets::TARGETS {
        if only.as_ref().is_some_and(|only| only != name) {
            continue;
        }
        let corpus = corpus(name);
        for (file, input) in &corpus {
            run(name, *target, input, file);
        }
        for seed in seed..seed + rounds {
            let mut random = fastrand::Rng::with_seed(seed);
            run(name, *target, &changed(&corpus, &mut random), &format!("FUZZ_SEED={seed}"));
        }
    }
}

/// The inputs a target begins with; there is at least one.
fn corpus(name: &str) -> Vec<(String, Vec<u8>)> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
    let entries = fs::read_dir(&dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
    let mut files: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{} is empty", dir.display());
    let read = |path: &std::path::PathBuf| {
        (path.display().to_string(), fs::read(path).expect("a file of the corpus"))
    };
    files.iter().map(read).collect()
}

fn run(name: &str, target: fn(&[u8]), input: &[u8], origin: &str) {
    if catch_unwind(AssertUnwindSafe(|| target(input))).is_err() {
        let hex: String = input.iter().map(|byte| format!("{byte:02x}")).collect();
        panic!("target {name} failed on {origin}, FUZZ_TARGET={name}, the input in hex:\n{hex}");
    }
}

/// An input of the corpus after a few random changes.
fn changed(corpus: &[(String, Vec<u8>)], random: &mut fastrand::Rng) -> Vec<u8> {
    let pick = |random: &mut fastrand::Rng| &corpus[random.usize(..corpus.len())].1;
    let mut input = pick(random).clone();
    for _ in 0..random.usize(1..6) {
        let at = random.usize(..=input.len());
        let end = random.usize(at..=input.len().min(at + 64));
        match random.u8(..7) {
            0 if at < input.len() => input[at] ^= 1 << random.u8(..8),
            1 if at < input.len() => input[at] = random.u8(..),
            2 => input.truncate(at),
            3 => drop(input.drain(at..end)),
            4 => {
                let piece = input[at..end].to_vec();
                input.splice(at..at, piece);
            }
            5 => {
                let other = pick(random);
                let from = random.usize(..=other.len());
                let to = random.usize(from..=other.len());
                input.splice(at..at, other[from..to].iter().copied());
            }
            _ if at + 4 <= input.len() => {
                let odd = ODD_INTS[random.usize(..ODD_INTS.len())];
                input[at..at + 4].copy_from_slice(&odd.to_be_bytes());
            }
            _ => input.push(random.u8(..)),
        }
    }
    input.truncate(INPUT_BYTES_MAX);
    input
}
