//! Options of the programs of this crate.

use std::collections::BTreeMap;
use std::str::FromStr;

/// `--name value` each.
#[derive(Debug)]
pub struct Options(BTreeMap<String, String>);

impl Options {
    /// Out of the arguments of a program that knows these names.
    pub fn parse(names: &[&str], arguments: &[String]) -> Result<Self, String> {
        let mut all = BTreeMap::new();
        for pair in arguments.chunks(2) {
            let name = pair[0].strip_prefix("--").filter(|name| names.contains(name));
            let name = name.ok_or_else(|| format!("{} is no option", pair[0]))?;
            let value = pair.get(1).ok_or_else(|| format!("{} lacks its value", pair[0]))?;
            all.insert(name.to_owned(), value.clone());
        }
        Ok(Self(all))
    }

    /// The value of an option, or its default.
    pub fn text<'a>(&'a self, name: &str, default: &'a str) -> &'a str {
        self.0.get(name).map_or(default, String::as_str)
    }

    /// The same, of another type.
    pub fn value<T: FromStr>(&self, name: &str, default: T) -> Result<T, String> {
        let Some(text) = self.0.get(name) else { return Ok(default) };
        text.parse().map_err(|_| format!("--{name} {text}: not a number"))
    }

    /// The values of an option that takes several, with commas.
    pub fn list<T: FromStr<Err = String>>(
        &self,
        name: &str,
        default: &str,
    ) -> Result<Vec<T>, String> {
        self.text(name, default)
            .split(',')
            .filter(|text| !text.is_empty())
            .map(str::parse)
            .collect()
    }
}
