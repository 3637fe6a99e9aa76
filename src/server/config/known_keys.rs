//! What is known about every configuration key of Apache ZooKeeper 3.9: how it may be given,
//! what it may hold, its default, and whether it acts in this server. The keys themselves are
//! in `key_table.rs`; `docs/COMPAT.md` lists those that do not act.

pub use super::key_table::KNOWN_KEYS;
use super::properties::{PREFIX, Properties};

/// How a key may be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A line of `zoo.cfg`, read by `QuorumPeerConfig` itself; a `-D` flag does nothing.
    File,
    /// A system property `zookeeper.NAME`: a `-D` flag, or the line `NAME=value` of `zoo.cfg`.
    Property,
    /// A system property without that prefix: a `-D` flag only.
    Flag,
}

/// Whether a key acts in this server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It does what it does in Apache ZooKeeper.
    Acts,
    /// It steers a part of ensembles that comes later; a standalone server of Apache's does not
    /// look at it either.
    EnsembleOnly,
    /// It steers something only the Java server has; the reason.
    JvmOnly(&'static str),
    /// It is read and checked, and will act with later work; which.
    Later(&'static str),
}

/// One key.
#[derive(Debug, Clone, Copy)]
pub struct KnownKey {
    /// The key as in `zoo.cfg`; `<x>` at its end stands for any ending.
    pub name: &'static str,
    /// How it may be given.
    pub form: Form,
    /// What it may hold, as in "is not a whole number of milliseconds".
    pub values: &'static str,
    /// The value in effect when it is not given; empty if there is none, `=` and words if it
    /// is computed.
    pub default: &'static str,
    /// A value to suggest when the one given is wrong; the default if empty.
    pub example: &'static str,
    /// Whether it acts.
    pub status: Status,
}

impl Status {
    /// Why and until when a key does not act, as `docs/COMPAT.md` has it; none if it does.
    #[must_use]
    pub fn reason(self) -> Option<String> {
        match self {
            Self::Acts => None,
            Self::EnsembleOnly => {
                Some("later: it steers a part of ensembles that is not there yet".to_owned())
            }
            Self::JvmOnly(why) => Some(format!("never: {why}")),
            Self::Later(what) => Some(format!("later: {what}")),
        }
    }
}

impl KnownKey {
    /// The value to suggest.
    #[must_use]
    pub fn example(&self) -> &'static str {
        if self.example.is_empty() { self.default } else { self.example }
    }

    /// The full name of the system property, if the key is one.
    #[must_use]
    pub fn property(&self) -> Option<String> {
        match self.form {
            Form::File => None,
            Form::Property => Some(format!("{PREFIX}{}", self.name)),
            Form::Flag => Some(self.name.to_owned()),
        }
    }

    /// Whether `name` is this key; `<x>` at the end of the key's name matches any ending.
    fn matches(&self, name: &str) -> bool {
        match self.name.split_once('<') {
            Some((stem, _)) => name.len() > stem.len() && name.starts_with(stem),
            None => self.name == name,
        }
    }
}

/// The key of that name (as in `zoo.cfg`, without the prefix `zookeeper.`), if it is known.
/// A key named in full wins over one that matches by its stem.
#[must_use]
pub fn find(name: &str) -> Option<&'static KnownKey> {
    let exact = KNOWN_KEYS.iter().find(|key| key.name == name);
    exact.or_else(|| KNOWN_KEYS.iter().find(|key| key.matches(name)))
}

/// One line for every setting that is given but has no effect in this server: it is not known,
/// it is given in a form in which it does nothing (in Java neither), or it does not act here.
#[must_use]
pub fn without_effect(properties: &Properties, is_member: bool) -> Vec<String> {
    let mut lines = Vec::new();
    let unprefixed = |name: &str| find(name).is_some_and(|key| key.form == Form::Flag);
    for (name, setting) in properties.lines_with("") {
        let Some(key) = find(name) else {
            let hint = nearest(name).map(|near| format!("; did you mean {near}?"));
            lines.push(format!(
                "{}: {name} is not a key of ZooKeeper and has no effect{}",
                setting.at,
                hint.unwrap_or_default()
            ));
            continue;
        };
        if key.form == Form::Flag {
            lines.push(format!(
                "{}: {name} has no effect in a file; put -D{name}={} into SERVER_JVMFLAGS",
                setting.at, setting.value
            ));
        } else {
            lines.extend(no_effect(key, &setting.at.to_string(), name, is_member));
        }
    }
    for (name, setting) in properties.flags() {
        let key = name.strip_prefix(PREFIX);
        let found = key.and_then(find).filter(|_| !unprefixed(key.unwrap_or_default()));
        match (found, find(name)) {
            (Some(key), _) if key.form == Form::File => lines.push(format!(
                "{}: -D{name} has no effect; write {}={} into zoo.cfg",
                setting.at,
                name.trim_start_matches(PREFIX),
                setting.value
            )),
            (Some(key), _) => {
                lines.extend(no_effect(key, &setting.at.to_string(), name, is_member))
            }
            (None, Some(key)) if key.form == Form::Flag => {
                lines.extend(no_effect(key, &setting.at.to_string(), name, is_member));
            }
            // A property of the Java runtime or of another library: not ours to judge.
            (None, _) => {}
        }
    }
    lines
}

fn no_effect(key: &KnownKey, at: &str, name: &str, is_member: bool) -> Option<String> {
    match key.status {
        Status::EnsembleOnly if is_member => {
            Some(format!("{at}: {name} has no effect yet: that part of ensembles is not there"))
        }
        Status::Acts | Status::EnsembleOnly => None,
        Status::JvmOnly(why) => Some(format!("{at}: {name} has no effect here: {why}")),
        Status::Later(what) => Some(format!("{at}: {name} has no effect yet: {what}")),
    }
}

/// The known key that differs from `name` by a slip of the fingers.
fn nearest(name: &str) -> Option<&'static str> {
    let distance = |key: &KnownKey| {
        strsim::damerau_levenshtein(&key.name.to_lowercase(), &name.to_lowercase())
    };
    let (near, slips) =
        KNOWN_KEYS.iter().map(|key| (key.name, distance(key))).min_by_key(|&(_, d)| d)?;
    (slips <= 2 && name.len() > 3).then_some(near)
}
