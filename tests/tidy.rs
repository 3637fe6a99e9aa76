//! Style that is executable: the import table of the rooms, the form of files, the reasons of
//! dependencies. Each test lists every offence at once.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A room of `src/` and what it may import of the others. Rooms stand in layers: one may import
/// only rooms that stand above it in this table, so that there are no cycles.
struct Room {
    name: &'static str,
    imports: &'static [&'static str],
    /// Single items of other rooms, each with the reason why the room as a whole is not allowed.
    exceptions: &'static [(&'static str, &'static str)],
}

const LOG_BATCH: (&str, &str) = (
    "persistence::LogBatch",
    "transactions are framed once, into the bytes that go to the log; it does no I/O",
);

const ROOMS: &[Room] = &[
    Room { name: "version", imports: &[], exceptions: &[] },
    Room { name: "mutation", imports: &[], exceptions: &[] },
    Room { name: "proto", imports: &[], exceptions: &[] },
    Room { name: "persistence", imports: &["mutation", "proto"], exceptions: &[] },
    Room { name: "client", imports: &["proto"], exceptions: &[] },
    Room { name: "stats", imports: &["proto"], exceptions: &[] },
    Room { name: "auth", imports: &["proto"], exceptions: &[] },
    Room { name: "session", imports: &["proto", "auth"], exceptions: &[] },
    Room { name: "watch", imports: &["proto", "session"], exceptions: &[] },
    Room { name: "tree", imports: &["mutation", "proto", "auth"], exceptions: &[] },
    Room {
        name: "op",
        imports: &["mutation", "proto", "stats", "auth", "session", "watch", "tree"],
        exceptions: &[],
    },
    Room {
        name: "processor",
        imports: &["proto", "stats", "auth", "session", "watch", "tree", "op"],
        exceptions: &[LOG_BATCH],
    },
    Room {
        name: "quorum",
        imports: &["mutation", "proto", "stats", "auth", "session"],
        exceptions: &[LOG_BATCH],
    },
    Room {
        name: "engine",
        imports: &[
            "mutation",
            "proto",
            "stats",
            "auth",
            "session",
            "watch",
            "tree",
            "op",
            "processor",
            "quorum",
        ],
        exceptions: &[LOG_BATCH],
    },
    Room {
        name: "server",
        imports: &[
            "version",
            "proto",
            "persistence",
            "stats",
            "auth",
            "session",
            "watch",
            "tree",
            "op",
            "processor",
            "quorum",
            "engine",
        ],
        exceptions: &[],
    },
    Room {
        name: "cli",
        imports: &["version", "proto", "persistence", "client", "tree", "server"],
        exceptions: &[],
    },
];

/// Rooms that are pure: what they do follows from their arguments alone.
const CORE: &[&str] =
    &["proto", "stats", "auth", "session", "watch", "tree", "op", "processor", "quorum", "engine"];

/// What the core must not name: files, sockets, threads, clocks, the environment.
const OUTSIDE: &[&str] = &[
    "std::fs",
    "std::io",
    "std::net::Tcp",
    "std::net::Udp",
    "std::thread",
    "std::process",
    "std::env",
    "Instant::now",
    "SystemTime",
    "tokio::",
    "mio::",
    "rustix::",
    "socket2::",
];

const LINES_MAX: usize = 800;
const COLUMNS_MAX: usize = 100;

#[test]
fn rooms_import_only_what_the_table_allows() {
    let mut offences = Vec::new();
    for (position, room) in ROOMS.iter().enumerate() {
        let above: Vec<_> = ROOMS[..position].iter().map(|room| room.name).collect();
        for import in room.imports.iter().filter(|import| !above.contains(import)) {
            offences.push(format!("table: {import} does not stand above {}", room.name));
        }
    }
    for (path, text) in rust_files(&["src"]) {
        let Some(name) = room_of(&path) else { continue };
        let Some(room) = ROOMS.iter().find(|room| room.name == name) else {
            offences.push(format!("{}: the room {name} is not in the table", path.display()));
            continue;
        };
        for (number, line) in code_lines(&text) {
            for import in imports_of(line) {
                let other = import.split("::").next().unwrap_or_default();
                let excepted = |(item, _): &(&str, &str)| import.starts_with(item);
                let allowed = other == name
                    || room.imports.contains(&other)
                    || room.exceptions.iter().any(excepted);
                if !allowed {
                    offences.push(format!("{}:{number}: imports {import}", path.display()));
                }
            }
        }
    }
    report("imports that the table of tests/tidy.rs does not allow", &offences);
}

#[test]
fn the_core_does_no_io() {
    let mut offences = Vec::new();
    for (path, text) in rust_files(&["src"]) {
        if !room_of(&path).is_some_and(|name| CORE.contains(&name.as_str())) {
            continue;
        }
        for (number, line) in code_lines(&text) {
            for word in OUTSIDE.iter().filter(|word| line.contains(**word)) {
                offences.push(format!("{}:{number}: {word}", path.display()));
            }
        }
    }
    report("files, sockets, threads or clocks in the core", &offences);
}

/// Below the seam stands one file of persistence and the mappings it makes.
#[test]
fn persistence_reaches_files_through_its_disk() {
    let mut offences = Vec::new();
    for (path, text) in rust_files(&["src"]) {
        let is_below = ["os_disk.rs", "mapping.rs", "tests.rs"].iter().any(|n| path.ends_with(n));
        if is_below || room_of(&path).as_deref() != Some("persistence") {
            continue;
        }
        for (number, line) in code_lines(&text) {
            for word in ["std::fs", "rustix::", "memmap2::"].iter().filter(|w| line.contains(**w)) {
                offences.push(format!("{}:{number}: {word}", path.display()));
            }
        }
    }
    report("files that persistence reaches past persistence::Disk", &offences);
}

#[test]
fn every_file_is_declared_and_says_what_it_is() {
    let mut offences = Vec::new();
    for (path, text) in rust_files(&["src", "jute", "sim", "compat-tests", "tests", "fuzz"]) {
        if !text.starts_with("//!") {
            offences.push(format!("{}: does not begin with //! and what it is", path.display()));
        }
        if let Some((parent, module)) = declared_in(&path) {
            let parent_text = fs::read_to_string(&parent).unwrap_or_default();
            if !parent_text.contains(&format!("mod {module};")) {
                offences.push(format!("{}: not declared in {}", path.display(), parent.display()));
            }
        }
    }
    report("files without a head or a place", &offences);
}

#[test]
fn files_are_short_and_lines_fit() {
    let mut offences = Vec::new();
    for (path, text) in rust_files(&["src", "jute", "sim", "compat-tests", "tests", "fuzz"]) {
        let lines = text.lines().count();
        if lines > LINES_MAX {
            offences.push(format!("{}: {lines} lines, at most {LINES_MAX}", path.display()));
        }
        for (number, line) in text.lines().enumerate() {
            let columns = line.chars().count();
            if columns > COLUMNS_MAX {
                let at = number + 1;
                offences.push(format!("{}:{at}: {columns} columns", path.display()));
            }
        }
    }
    report("files or lines that are too long", &offences);
}

#[test]
fn nothing_is_left_half_done() {
    // Put together, so that this file does not hold them.
    let hollow = [
        concat!("todo", "!("),
        concat!("unimplemented", "!("),
        concat!("#[", "ignore"),
        concat!("FIX", "ME"),
    ];
    let mut offences = Vec::new();
    for (path, text) in rust_files(&["src", "jute", "sim", "compat-tests", "tests", "fuzz"]) {
        for (number, line) in text.lines().enumerate() {
            for word in hollow.iter().filter(|word| line.contains(**word)) {
                offences.push(format!("{}:{}: {word}", path.display(), number + 1));
            }
        }
    }
    report("stubs and tests that do not run", &offences);
}

#[test]
fn every_dependency_has_its_reason() {
    let document = read("docs/DEPENDENCIES.md");
    let explained: BTreeSet<_> = document
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
        .map(str::to_owned)
        .collect();
    let mut used = BTreeSet::new();
    let members = ["jute", "sim", "compat-tests", "fuzz"].map(|name| format!("{name}/Cargo.toml"));
    for manifest in ["Cargo.toml"].into_iter().chain(members.iter().map(String::as_str)) {
        used.extend(dependencies_of(&read(manifest)));
    }
    let own = ["gamekeeper", "jute", "sim"].map(str::to_owned).into();
    let used: BTreeSet<_> = used.difference(&own).cloned().collect();
    let without = used.difference(&explained).map(|name| format!("{name}: has no reason"));
    let unused = explained.difference(&used).map(|name| format!("{name}: nothing depends on it"));
    report("dependencies against docs/DEPENDENCIES.md", &without.chain(unused).collect::<Vec<_>>());
}

#[test]
fn dependencies_come_from_one_registry_under_allowed_licenses() {
    let allowed: BTreeSet<String> = list_of(&read("deny.toml"), "allow").into_iter().collect();
    assert!(allowed.contains("Apache-2.0"), "deny.toml holds the list of licenses");
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked"])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value =
        serde_json::from_slice(&output.stdout).expect("cargo metadata is JSON");
    let packages = metadata["packages"].as_array().expect("packages");
    let mut offences = Vec::new();
    for package in packages {
        let name = package["name"].as_str().unwrap_or_default();
        let license = package["license"].as_str().unwrap_or_default();
        if !is_allowed(license, &allowed) {
            offences.push(format!("{name}: license {license:?}"));
        }
        let source = package["source"].as_str();
        if source.is_some_and(|at| at != "registry+https://github.com/rust-lang/crates.io-index") {
            offences.push(format!("{name}: comes from {source:?}"));
        }
    }
    report("licenses or sources that deny.toml does not allow", &offences);
}

#[test]
fn license_expressions_are_read_as_they_are_meant() {
    let allowed = ["MIT", "Zlib", "Apache-2.0 WITH LLVM-exception"].map(str::to_owned).into();
    for yes in ["MIT", "GPL-3.0 OR MIT", "GPL-3.0/MIT", "(GPL-3.0 OR MIT) AND Zlib"] {
        assert!(is_allowed(yes, &allowed), "{yes}");
    }
    for no in ["", "GPL-3.0", "MIT AND GPL-3.0", "(GPL-3.0 OR MIT) AND GPL-3.0", "Apache-2.0"] {
        assert!(!is_allowed(no, &allowed), "{no}");
    }
    assert!(is_allowed("Apache-2.0 WITH LLVM-exception OR GPL-3.0", &allowed));
}

/// The form of keepachangelog.com: an unreleased part, dated versions, six kinds of change.
#[test]
fn the_changelog_keeps_its_form() {
    const KINDS: [&str; 6] = ["Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"];
    let text = read("CHANGELOG.md");
    let mut offences = Vec::new();
    if !text.starts_with("# Changelog\n") || !text.contains("\n## [Unreleased]\n") {
        offences.push("it begins with `# Changelog` and has `## [Unreleased]`".to_owned());
    }
    for line in text.lines() {
        if let Some(kind) = line.strip_prefix("### ") {
            if !KINDS.contains(&kind) {
                offences.push(format!("{line:?} is none of {KINDS:?}"));
            }
        } else if let Some(version) = line.strip_prefix("## ") {
            let dated = version.split_once("] - ").is_some_and(|(_, date)| date.len() == 10);
            if version != "[Unreleased]" && !(version.starts_with('[') && dated) {
                offences.push(format!("{line:?} is not `## [version] - YYYY-MM-DD`"));
            }
        }
    }
    report("CHANGELOG.md", &offences);
}

#[test]
fn the_map_shows_every_room() {
    let map = read("docs/ARCHITECTURE.md");
    let missing: Vec<_> = ROOMS
        .iter()
        .filter(|room| !["version", "mutation"].contains(&room.name))
        .map(|room| format!("src/{}/", room.name))
        .filter(|room| !map.contains(room))
        .collect();
    report("rooms that docs/ARCHITECTURE.md does not show", &missing);
}

#[test]
fn documents_name_only_files_that_are_there() {
    let folders = ["src/", "sim/", "jute/", "tests/", "compat-tests/", "fuzz/", "docs/", "bin/"];
    let mut documents = vec!["README.md".into(), "CONTRIBUTING.md".into()];
    documents.push("compat-tests/README.md".into());
    for folder in ["docs", "docs/adr"] {
        let entries = fs::read_dir(root().join(folder)).unwrap().map(|entry| entry.unwrap());
        let names = entries.map(|entry| format!("{folder}/{}", entry.file_name().display()));
        documents.extend(names.filter(|name| name.ends_with(".md")));
    }
    let mut offences = Vec::new();
    for document in documents {
        let text = read(&document);
        // Every second piece stands between two backticks.
        for quoted in text.split('`').skip(1).step_by(2) {
            let path = quoted.split_whitespace().next().unwrap_or_default();
            let is_pattern = path.contains(['*', '<', '{', '$']) || path.contains("NAME");
            let is_path = folders.iter().any(|folder| path.starts_with(folder)) && !is_pattern;
            let here = root().join(&document).with_file_name(path);
            if is_path && !root().join(path).exists() && !here.exists() {
                offences.push(format!("{document}: {path}"));
            }
        }
    }
    report("files that documents name and that are not there", &offences);
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn report(what: &str, offences: &[String]) {
    assert!(offences.is_empty(), "{what}:\n  {}", offences.join("\n  "));
}

/// Every Rust file below these folders, with its path from the root and its text.
fn rust_files(folders: &[&str]) -> BTreeMap<PathBuf, String> {
    let mut files = BTreeMap::new();
    let mut folders: Vec<_> = folders.iter().map(|folder| root().join(folder)).collect();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder of the tree") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                if path.file_name().is_some_and(|name| name != "target") {
                    folders.push(path);
                }
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("UTF-8");
                let name = path.strip_prefix(root()).expect("below the root").to_owned();
                files.insert(name, text);
            }
        }
    }
    assert!(!files.is_empty());
    files
}

/// The room a file of `src/` belongs to; none for the crate's root, the binary and for tests.
fn room_of(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_str()?;
    let room = path.iter().nth(1)?.to_str()?.trim_end_matches(".rs");
    (name != "tests.rs" && !["lib", "main"].contains(&room)).then(|| room.to_owned())
}

/// Numbered lines of code: no comments, and not the unit tests, which stand at a file's end.
fn code_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let numbered = text.lines().enumerate().map(|(number, line)| (number + 1, line));
    let are_tests = |line: &str| line.ends_with("mod tests {") && !line.starts_with(' ');
    let code = numbered.take_while(move |(_, line)| !are_tests(line));
    code.filter(|(_, line)| !line.trim_start().starts_with("//"))
}

/// The path behind each `crate::` of a line.
fn imports_of(line: &str) -> impl Iterator<Item = &str> {
    let is_path = |c: char| c.is_alphanumeric() || "_:".contains(c);
    let ends = move |rest: &str| rest.find(|c| !is_path(c)).unwrap_or(rest.len());
    let paths = line.split("crate::").skip(1).map(move |rest| &rest[..ends(rest)]);
    paths.filter(|path| path.starts_with(|c: char| c.is_ascii_lowercase()))
}

/// The file that must declare a module's file, and the module's name.
fn declared_in(path: &Path) -> Option<(PathBuf, String)> {
    let (folder, stem) = (path.parent()?, path.file_stem()?.to_str()?);
    let crate_roots = ["src", "jute/src", "sim/src", "compat-tests/src", "fuzz/src"];
    // Each file there is a program of its own.
    if folder.ends_with("src/bin") {
        return None;
    }
    let is_root = |folder: &Path| crate_roots.iter().any(|root| folder == Path::new(root));
    if matches!(stem, "lib" | "main") || !crate_roots.iter().any(|root| path.starts_with(root)) {
        return None;
    }
    let (folder, module) = match stem {
        "mod" => (folder.parent()?, folder.file_name()?.to_str()?),
        _ => (folder, stem),
    };
    let parent = if is_root(folder) {
        folder.join("lib.rs")
    } else if root().join(folder).join("mod.rs").exists() {
        folder.join("mod.rs")
    } else {
        folder.with_extension("rs")
    };
    Some((root().join(parent), module.to_owned()))
}

/// Names of the crates a manifest asks for.
fn dependencies_of(manifest: &str) -> BTreeSet<String> {
    let mut in_dependencies = false;
    let mut names = BTreeSet::new();
    for line in manifest.lines() {
        if let Some(section) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            in_dependencies = section.ends_with("dependencies");
        } else if let Some((key, _)) = line.split_once('=').filter(|_| in_dependencies) {
            let key = key.trim();
            if !key.starts_with('#') {
                names.insert(key.trim_end_matches(".workspace").to_owned());
            }
        }
    }
    names
}

/// The texts of a TOML list that stands on lines of its own.
fn list_of(toml: &str, key: &str) -> Vec<String> {
    let lines = toml.lines().skip_while(|line| *line != format!("{key} = ["));
    let items = lines.skip(1).take_while(|line| *line != "]");
    items.map(|line| line.trim().trim_matches([',', '"']).to_owned()).collect()
}

/// Whether an SPDX expression can be met with allowed licenses only. Parentheses stand around
/// whole alternatives, as in `(A OR B) AND C`.
fn is_allowed(expression: &str, allowed: &BTreeSet<String>) -> bool {
    let expression = expression.replace('/', " OR ");
    let any = |text: &str| text.split(" OR ").any(|name| allowed.contains(name.trim()));
    if let Some((alternatives, rest)) =
        expression.strip_prefix('(').and_then(|text| text.split_once(')'))
    {
        let rest = rest.trim().trim_start_matches("AND").trim();
        return any(alternatives) && (rest.is_empty() || is_allowed(rest, allowed));
    }
    let all = |text: &str| text.split(" AND ").all(|name| allowed.contains(name.trim()));
    expression.split(" OR ").any(all)
}
