//! The settings of a server in layers: `-D` flags below, lines of `zoo.cfg` above.
//!
//! Java keeps two kinds. Keys that `QuorumPeerConfig` parses itself live in the file only; every
//! other key K of the file becomes the system property `zookeeper.K` and, being set later than
//! the `-D` flags, wins over them.

use std::collections::BTreeMap;

use super::error::{ConfigError, Origin};
use super::known_keys::{self, Form};
use super::zoo_cfg::ZooCfg;

/// The prefix a key of `zoo.cfg` gets when it becomes a system property.
pub(super) const PREFIX: &str = "zookeeper.";

/// One setting and where it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// The key as written: `snapCount` in a file, `-Dzookeeper.snapCount` as a flag.
    pub written: String,
    /// The value; trimmed if it came from a file.
    pub value: String,
    /// Where it was written.
    pub at: Origin,
}

impl Setting {
    /// The setting as its writer would write it with another value.
    pub(super) fn with(&self, value: &str) -> String {
        format!("{}={value}", self.written)
    }

    /// An error that names this setting: "K=V is not EXPECTED; write for example K=EXAMPLE".
    pub(super) fn bad(&self, expected: &str, example: &str) -> ConfigError {
        ConfigError::BadValue {
            at: self.at.clone(),
            setting: self.with(&self.value),
            expected: expected.to_owned(),
            example: self.with(example),
        }
    }

    /// An error that names this setting: "PROBLEM; FIX".
    pub(super) fn refused(&self, problem: String, fix: impl Into<String>) -> ConfigError {
        ConfigError::Refused { at: self.at.clone(), problem, fix: fix.into() }
    }
}

/// Every setting given, by layer.
#[derive(Debug, Clone, Default)]
pub struct Properties {
    /// `-Dname=value` flags by full name.
    flags: BTreeMap<String, Setting>,
    /// Lines of the file (or of what stands in for it) by key.
    lines: BTreeMap<String, Setting>,
}

impl Properties {
    /// Adds the `-D` flags among `words`; other words (heap sizes and the like) are not
    /// settings and are passed over. Of a flag given twice the later wins.
    pub fn add_flags<'a>(&mut self, source: &'static str, words: impl Iterator<Item = &'a str>) {
        for definition in words.filter_map(|word| word.strip_prefix("-D")) {
            let (name, value) = definition.split_once('=').unwrap_or((definition, ""));
            let written = format!("-D{name}");
            let setting = Setting { written, value: value.to_owned(), at: Origin::Flag(source) };
            self.flags.insert(name.to_owned(), setting);
        }
    }

    /// Adds every line of a file; of a key given twice the later wins.
    pub fn add_file(&mut self, cfg: &ZooCfg) {
        for line in &cfg.lines {
            let at = Origin::Line { file: cfg.file.clone(), line: line.line };
            self.add_line(&line.key, &line.value, at);
        }
    }

    /// Adds one setting as if a file had it.
    pub fn add_line(&mut self, key: &str, value: &str, at: Origin) {
        let setting = Setting { written: key.to_owned(), value: value.to_owned(), at };
        self.lines.insert(key.to_owned(), setting);
    }

    /// A key of the file.
    #[must_use]
    pub fn line(&self, key: &str) -> Option<&Setting> {
        self.lines.get(key)
    }

    /// Every key of the file that begins with `prefix`, in key order.
    pub(super) fn lines_with(
        &self,
        prefix: &str,
    ) -> impl Iterator<Item = (&str, &Setting)> + Clone {
        self.lines
            .iter()
            .filter(move |(key, _)| key.starts_with(prefix))
            .map(|(key, setting)| (key.as_str(), setting))
    }

    /// A system property by its full name, for example `zookeeper.snapCount`.
    #[must_use]
    pub fn property(&self, name: &str) -> Option<&Setting> {
        let line = name
            .strip_prefix(PREFIX)
            .filter(|key| known_keys::find(key).is_none_or(|known| known.form != Form::File))
            .and_then(|key| self.lines.get(key));
        line.or_else(|| self.flags.get(name))
    }

    /// Every system property whose full name begins with `prefix`, by what follows the prefix.
    pub(super) fn properties_with(&self, prefix: &str) -> BTreeMap<String, &Setting> {
        let flags = self.flags.keys().cloned();
        let lines = self.lines.keys().map(|key| format!("{PREFIX}{key}"));
        flags
            .chain(lines)
            .filter_map(|name| {
                let setting = self.property(&name)?;
                Some((name.strip_prefix(prefix)?.to_owned(), setting))
            })
            .collect()
    }

    /// Every flag by full name.
    pub(super) fn flags(&self) -> impl Iterator<Item = (&str, &Setting)> {
        self.flags.iter().map(|(name, setting)| (name.as_str(), setting))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn properties(flags: &str, file: &str) -> Properties {
        let mut properties = Properties::default();
        properties.add_flags("JVMFLAGS", flags.split_whitespace());
        let cfg = ZooCfg::parse(Path::new("zoo.cfg"), file.as_bytes()).unwrap();
        properties.add_file(&cfg);
        properties
    }

    fn value<'a>(properties: &'a Properties, name: &str) -> Option<&'a str> {
        properties.property(name).map(|setting| setting.value.as_str())
    }

    #[test]
    fn a_line_wins_over_a_flag() {
        let p =
            properties("-Xmx1g -Dzookeeper.snapCount=5 -Dzookeeper.forceSync=no", "snapCount=7");
        assert_eq!(value(&p, "zookeeper.snapCount"), Some("7"));
        assert_eq!(value(&p, "zookeeper.forceSync"), Some("no"));
        assert_eq!(p.property("zookeeper.forceSync").unwrap().at.to_string(), "JVMFLAGS");
    }

    #[test]
    fn a_key_the_file_parser_takes_is_no_property() {
        let p = properties("-Dzookeeper.tickTime=9", "tickTime=5\nanything.else=1");
        assert_eq!(value(&p, "zookeeper.tickTime"), Some("9"));
        assert_eq!(p.line("tickTime").unwrap().value, "5");
        assert_eq!(value(&p, "zookeeper.anything.else"), Some("1"));
    }

    #[test]
    fn an_unprefixed_property_cannot_be_set_by_a_line() {
        let p = properties("-Djute.maxbuffer=1", "jute.maxbuffer=2");
        assert_eq!(value(&p, "jute.maxbuffer"), Some("1"));
    }

    #[test]
    fn of_two_flags_the_later_wins_and_a_bare_one_is_empty() {
        let p = properties("-Da=1 -Da=2 -Db", "");
        assert_eq!(value(&p, "a"), Some("2"));
        assert_eq!(value(&p, "b"), Some(""));
    }

    #[test]
    fn numbered_properties_are_found_in_both_layers() {
        let p = properties("-Dzookeeper.authProvider.1=a", "authProvider.2=b\nauthProvider.1=c");
        let found = p.properties_with("zookeeper.authProvider.");
        let found: Vec<_> = found.iter().map(|(k, s)| (k.as_str(), s.value.as_str())).collect();
        assert_eq!(found, [("1", "c"), ("2", "b")]);
    }
}
