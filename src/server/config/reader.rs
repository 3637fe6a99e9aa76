//! Reads typed values out of [`Properties`], each the way the Java code of its key does:
//!
//! - a key of the file parser: `Integer.parseInt`, and a boolean that is `true` or `false` or
//!   refused;
//! - a system property read by `Integer.getInteger` or `Long.getLong`: `decode`d (0x hexadecimal
//!   and leading-0 octal too), and replaced by its default if it is no number;
//! - a system property read by `Boolean.getBoolean` or `parseBoolean`: true if it says so in any
//!   case, else false.
//!
//! What Java replaces without a word is replaced here with a warning. Defaults come from the
//! table of known keys and from nowhere else.

use std::str::FromStr;

use super::error::ConfigError;
use super::known_keys::{self, Form, KnownKey};
use super::properties::{Properties, Setting};

/// Reads values and collects warnings.
pub(super) struct Reader<'a> {
    /// The settings.
    pub(super) properties: &'a Properties,
    /// One line for each value that was replaced.
    pub(super) warnings: Vec<String>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(properties: &'a Properties) -> Self {
        Self { properties, warnings: Vec::new() }
    }

    fn known(name: &str, form: Form) -> &'static KnownKey {
        let key = known_keys::find(name);
        let key = key.unwrap_or_else(|| panic!("{name} is missing from the table of known keys"));
        let file = |form| form == Form::File;
        assert!(file(key.form) == file(form), "{name} is read as {form:?}, not {:?}", key.form);
        key
    }

    /// A default of the table as a number; a computed or absent one is none.
    fn default<T: FromStr>(key: &KnownKey) -> Option<T> {
        key.default.parse().ok()
    }

    fn numeric_default<T: FromStr>(key: &KnownKey) -> T {
        let default = Self::default(key);
        default.unwrap_or_else(|| panic!("the default of {} is not of its type", key.name))
    }

    /// A key of the file.
    pub(super) fn line(&self, name: &str) -> Option<&'a Setting> {
        let _ = Self::known(name, Form::File);
        self.properties.line(name)
    }

    /// A key of the file as a number (`Integer.parseInt` and its kin).
    pub(super) fn line_number_opt<T: FromStr>(&self, name: &str) -> Result<Option<T>, ConfigError> {
        let key = Self::known(name, Form::File);
        self.line(name).map(|setting| strict(setting, key)).transpose()
    }

    /// A key of the file as a number, or its default.
    pub(super) fn line_number<T: FromStr>(&self, name: &str) -> Result<T, ConfigError> {
        let given = self.line_number_opt(name)?;
        Ok(given.unwrap_or_else(|| Self::numeric_default(Self::known(name, Form::File))))
    }

    /// A key of the file as a boolean (`QuorumPeerConfig.parseBoolean`).
    pub(super) fn line_bool(&self, name: &str) -> Result<bool, ConfigError> {
        let key = Self::known(name, Form::File);
        let Some(setting) = self.line(name) else { return Ok(key.default == "true") };
        match boolean(&setting.value) {
            Some(value) => Ok(value),
            None => Err(setting.bad(key.values, key.example())),
        }
    }

    /// A key of the file as text, or its default.
    pub(super) fn line_text(&self, name: &str) -> String {
        let key = Self::known(name, Form::File);
        self.line(name).map_or(key.default, |setting| setting.value.as_str()).to_owned()
    }

    /// A system property by the name it has in the table.
    pub(super) fn property(&self, name: &str) -> Option<&'a Setting> {
        let full = Self::known(name, Form::Property).property();
        full.and_then(|full| self.properties.property(&full))
    }

    /// A system property as a number; none if it is absent or no number (`Integer.getInteger`,
    /// `Long.getLong`).
    pub(super) fn number_opt<T: TryFrom<i64>>(&mut self, name: &str) -> Option<T> {
        let key = Self::known(name, Form::Property);
        let setting = self.property(name)?;
        let number = decode(&setting.value).and_then(|number| T::try_from(number).ok());
        if number.is_none() {
            self.replaced(setting, key, key.default);
        }
        number
    }

    /// A system property as a number, or its default.
    pub(super) fn number<T: TryFrom<i64> + FromStr>(&mut self, name: &str) -> T {
        let default = Self::numeric_default(Self::known(name, Form::Property));
        self.number_opt(name).unwrap_or(default)
    }

    /// A system property as a number of at least `min`, which takes the place of lower ones.
    pub(super) fn number_at_least(&mut self, name: &str, min: i32) -> i32 {
        let number: i32 = self.number(name);
        if number < min {
            let key = Self::known(name, Form::Property);
            if let Some(setting) = self.property(name) {
                self.replaced(setting, key, &min.to_string());
            }
        }
        number.max(min)
    }

    /// A system property as a number above 0; its default takes the place of others.
    pub(super) fn number_above_0(&mut self, name: &str) -> i32 {
        self.number_or_default(name, |number| number > 0)
    }

    /// A system property as a number of at least 0; its default takes the place of others.
    pub(super) fn number_from_0(&mut self, name: &str) -> i32 {
        self.number_or_default(name, |number| number >= 0)
    }

    fn number_or_default(&mut self, name: &str, is_good: fn(i32) -> bool) -> i32 {
        let number: i32 = self.number(name);
        if is_good(number) {
            return number;
        }
        let key = Self::known(name, Form::Property);
        if let Some(setting) = self.property(name) {
            self.replaced(setting, key, key.default);
        }
        Self::numeric_default(key)
    }

    /// A system property as a number that Java parses without a safety net.
    pub(super) fn strict_number<T: FromStr>(&self, name: &str) -> Result<T, ConfigError> {
        let key = Self::known(name, Form::Property);
        let given = self.property(name).map(|setting| strict(setting, key)).transpose()?;
        Ok(given.unwrap_or_else(|| Self::numeric_default(key)))
    }

    /// A system property as a boolean (`Boolean.getBoolean`, `Boolean.parseBoolean`).
    pub(super) fn boolean(&mut self, name: &str) -> bool {
        let key = Self::known(name, Form::Property);
        let Some(setting) = self.property(name) else { return key.default == "true" };
        let value = boolean(&setting.value);
        if value.is_none() {
            self.replaced(setting, key, "false");
        }
        value.unwrap_or(false)
    }

    /// A system property that is `yes` or `no`, told from its default only when it says the
    /// other word exactly.
    pub(super) fn yes_or_no(&mut self, name: &str) -> bool {
        let key = Self::known(name, Form::Property);
        let default = key.default == "yes";
        let Some(setting) = self.property(name) else { return default };
        match setting.value.as_str() {
            "yes" => true,
            "no" => false,
            _ => {
                self.replaced(setting, key, key.default);
                default
            }
        }
    }

    /// A system property as text, or its default.
    pub(super) fn text(&self, name: &str) -> String {
        let key = Self::known(name, Form::Property);
        self.property(name).map_or(key.default, |setting| setting.value.as_str()).to_owned()
    }

    /// A system property as a comma list, its parts trimmed; none if it is not given.
    pub(super) fn list(&self, name: &str) -> Option<Vec<String>> {
        let setting = self.property(name)?;
        Some(setting.value.split(',').map(|part| part.trim().to_owned()).collect())
    }

    /// A system property that names one of a few Java classes; another is refused, as it could
    /// not be loaded.
    pub(super) fn class<T: Copy>(
        &self,
        setting: Option<&Setting>,
        key: &str,
        classes: &[(&str, T)],
    ) -> Result<T, ConfigError> {
        let key = known_keys::find(key).unwrap_or_else(|| panic!("{key} is no known key"));
        let name = setting.map_or(key.default, |setting| setting.value.as_str());
        let found = classes.iter().find(|(class, _)| *class == name).map(|&(_, value)| value);
        match (found, setting) {
            (Some(value), _) => Ok(value),
            (None, Some(setting)) => Err(setting.bad(key.values, key.example())),
            (None, None) => panic!("the default of {} is not among its classes", key.name),
        }
    }

    /// Warns that `used` takes the place of a value, as it does in Java.
    fn replaced(&mut self, setting: &Setting, key: &KnownKey, used: &str) {
        let used = if used.is_empty() { "nothing" } else { used.trim_start_matches("= ") };
        self.warn(
            setting,
            &format!("{} is not {}; {used} is used", setting.with(&setting.value), key.values),
        );
    }

    /// Adds a warning about a setting.
    pub(super) fn warn(&mut self, setting: &Setting, text: &str) {
        self.warnings.push(format!("{}: {text}", setting.at));
    }
}

/// A value that must parse.
fn strict<T: FromStr>(setting: &Setting, key: &KnownKey) -> Result<T, ConfigError> {
    setting.value.parse().map_err(|_| setting.bad(key.values, key.example()))
}

/// `true` or `false` in any case.
fn boolean(value: &str) -> Option<bool> {
    if value.eq_ignore_ascii_case("true") {
        Some(true)
    } else if value.eq_ignore_ascii_case("false") {
        Some(false)
    } else {
        None
    }
}

/// `Long.decode`: a sign, then `0x`, `0X` or `#` for hexadecimal, a leading 0 for octal, or a
/// decimal number.
fn decode(text: &str) -> Option<i64> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let hexadecimal = ["0x", "0X", "#"].iter().find_map(|prefix| digits.strip_prefix(prefix));
    let (digits, radix) = match (hexadecimal, digits.strip_prefix('0')) {
        (Some(digits), _) => (digits, 16),
        (None, Some(digits)) if !digits.is_empty() => (digits, 8),
        _ => (digits, 10),
    };
    if digits.starts_with(['+', '-']) {
        return None;
    }
    let magnitude = i128::from_str_radix(digits, radix).ok()?;
    i64::try_from(if negative { -magnitude } else { magnitude }).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_decoded_as_java_does() {
        let decoded = ["7", "-7", "+7", "0", "0x1F", "-#10", "017", "9223372036854775807"];
        let numbers = decoded.map(decode);
        assert_eq!(numbers, [7, -7, 7, 0, 31, -16, 15, i64::MAX].map(Some));
        assert_eq!(decode("-9223372036854775808"), Some(i64::MIN));
        for bad in ["", " 7", "7 ", "abc", "--7", "08", "1.5", "9223372036854775808", "-", "0x"] {
            assert_eq!(decode(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_replaced_value_is_a_warning_that_names_place_and_default() {
        let mut properties = Properties::default();
        properties.add_flags("JVMFLAGS", "-Dzookeeper.snapCount=many".split(' '));
        let mut reader = Reader::new(&properties);
        assert_eq!(reader.number::<i32>("snapCount"), 100_000);
        assert_eq!(
            reader.warnings,
            ["JVMFLAGS: -Dzookeeper.snapCount=many is not a whole number; 100000 is used"]
        );
    }
}
