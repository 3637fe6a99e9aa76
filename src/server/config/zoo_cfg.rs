//! The text grammar of `zoo.cfg`: that of `java.util.Properties.load`, with the number of each
//! setting's first line kept for error messages.
//!
//! - Bytes are Latin-1, as Java reads them; other characters are written `\uXXXX`.
//! - A blank line, or one whose first character is `#` or `!`, is skipped.
//! - A key ends at the first `=`, `:` or blank that has no backslash before it.
//! - A backslash at a line's end joins it with the next line, whose leading blanks are dropped.
//! - `\t`, `\n`, `\r`, `\f` and `\uXXXX` are characters; before any other character a
//!   backslash is dropped.
//! - Keys and values are then trimmed, as `QuorumPeerConfig.parseProperties` does; of a key
//!   given twice the last wins.

use std::path::Path;
use std::sync::Arc;

use nom::branch::alt;
use nom::bytes::complete::{tag, take_while_m_n};
use nom::character::complete::{anychar, char, none_of, one_of};
use nom::combinator::{cut, eof, map, map_opt, opt, peek, recognize, value, verify};
use nom::multi::{many0, many0_count};
use nom::sequence::{pair, preceded, terminated};
use nom::{IResult, Parser};

use super::error::{ConfigError, Origin};

/// No configuration file is longer than this; a longer one is a mistake in the path.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// One setting of a configuration file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CfgLine {
    /// The key, trimmed.
    pub key: String,
    /// The value, trimmed; empty if none is given.
    pub value: String,
    /// The line the setting begins at, counted from 1.
    pub line: u32,
}

/// A configuration file as text and as settings in file order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZooCfg {
    /// The file's name as it was given.
    pub file: Arc<Path>,
    /// The whole text (`QuorumPeerConfig.initialConfig`).
    pub text: String,
    /// Every setting, duplicates included.
    pub lines: Vec<CfgLine>,
}

impl ZooCfg {
    /// Reads and parses a file.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let fix = "check the path and its permissions";
        let unreadable = |source| ConfigError::Unreadable { path: path.to_path_buf(), source, fix };
        let length = std::fs::metadata(path).map_err(unreadable)?.len();
        if length > FILE_BYTES_MAX {
            return Err(ConfigError::Invalid {
                place: path.display().to_string(),
                problem: format!("{length} bytes are too many for a configuration file"),
                fix: "give the path of a zoo.cfg".to_owned(),
            });
        }
        Self::parse(path, &std::fs::read(path).map_err(unreadable)?)
    }

    /// Parses the bytes of a file; the only possible mistake is a malformed `\uXXXX`.
    pub fn parse(file: &Path, bytes: &[u8]) -> Result<Self, ConfigError> {
        let file: Arc<Path> = Arc::from(file);
        let latin1: String = bytes.iter().map(|&byte| char::from(byte)).collect();
        let mut lines = Vec::new();
        let mut rest = latin1.as_str();
        let mut line = 1;
        while !rest.is_empty() {
            let (after, entry) = entry(rest).map_err(|error| {
                let at = match error {
                    nom::Err::Error(e) | nom::Err::Failure(e) => e.input,
                    nom::Err::Incomplete(_) => rest,
                };
                let line = line + count_lines(&rest[..rest.len() - at.len()]);
                ConfigError::Refused {
                    at: Origin::Line { file: file.clone(), line },
                    problem: "\\u is not followed by four hexadecimal digits".to_owned(),
                    fix: "write for example \\u00e9, or \\\\u for a backslash and a u".to_owned(),
                }
            })?;
            assert!(after.len() < rest.len(), "the grammar consumes something each time");
            if let Some((key, value)) = entry {
                lines.push(CfgLine { key: trim(&key), value: trim(&value), line });
            }
            line += count_lines(&rest[..rest.len() - after.len()]);
            rest = after;
        }
        let text = String::from_utf8_lossy(bytes).into_owned();
        Ok(Self { file, text, lines })
    }
}

/// `String.trim`: drops what is not above a space at both ends.
fn trim(text: &str) -> String {
    text.trim_matches(|c| c <= ' ').to_owned()
}

/// The number of line ends in `text`, where `\r\n` is one.
fn count_lines(text: &str) -> u32 {
    let bytes = text.as_bytes();
    let ends = |i: usize| match bytes[i] {
        b'\n' => i == 0 || bytes[i - 1] != b'\r',
        b'\r' => true,
        _ => false,
    };
    u32::try_from((0..bytes.len()).filter(|&i| ends(i)).count()).unwrap_or(u32::MAX)
}

/// A line end.
fn eol(input: &str) -> IResult<&str, &str> {
    alt((tag("\r\n"), tag("\n"), tag("\r"))).parse(input)
}

/// Blanks within a line.
fn blanks(input: &str) -> IResult<&str, usize> {
    many0_count(one_of(" \t\x0c")).parse(input)
}

/// A backslash at the end of a line, the line end and the blanks that begin the next line; or a
/// backslash at the end of the file.
fn continuation(input: &str) -> IResult<&str, &str> {
    recognize(pair(char('\\'), alt((recognize(pair(eol, blanks)), eof)))).parse(input)
}

/// Four hexadecimal digits as a UTF-16 unit.
fn utf16_unit(input: &str) -> IResult<&str, u16> {
    map_opt(take_while_m_n(4, 4, |c: char| c.is_ascii_hexdigit()), |digits: &str| {
        u16::from_str_radix(digits, 16).ok()
    })
    .parse(input)
}

/// A backslash and what it stands for.
fn escape(input: &str) -> IResult<&str, u16> {
    preceded(
        char('\\'),
        alt((
            preceded(char('u'), cut(utf16_unit)),
            value(u16::from(b'\t'), char('t')),
            value(u16::from(b'\n'), char('n')),
            value(u16::from(b'\r'), char('r')),
            value(0x0c, char('f')),
            map_opt(anychar, latin1_unit),
        )),
    )
    .parse(input)
}

/// A character of the file (Latin-1, so always one unit).
fn latin1_unit(c: char) -> Option<u16> {
    u16::try_from(u32::from(c)).ok()
}

/// A run of characters up to an unescaped one of `stops`, escapes replaced and lines joined.
fn run(stops: &'static str) -> impl FnMut(&str) -> IResult<&str, String> {
    move |input| {
        let piece = alt((
            map(continuation, |_| None),
            map(escape, Some),
            map_opt(none_of(stops), |c| latin1_unit(c).map(Some)),
        ));
        map(many0(piece), |units| {
            let units: Vec<u16> = units.into_iter().flatten().collect();
            String::from_utf16_lossy(&units)
        })
        .parse(input)
    }
}

/// Blanks and joined line ends.
fn joined_blanks(input: &str) -> IResult<&str, usize> {
    many0_count(alt((recognize(one_of(" \t\x0c")), continuation))).parse(input)
}

/// A key, its separator and its value; `None` for a line that holds nothing.
fn setting(input: &str) -> IResult<&str, Option<(String, String)>> {
    let separator = recognize((joined_blanks, opt(one_of("=:")), joined_blanks));
    map((run("=: \t\x0c\r\n"), separator, run("\r\n")), |(key, separator, value)| {
        let nothing = key.is_empty() && value.is_empty() && !separator.contains(['=', ':']);
        (!nothing).then_some((key, value))
    })
    .parse(input)
}

/// A comment up to its line end; a backslash does not continue it.
fn comment(input: &str) -> IResult<&str, Option<(String, String)>> {
    value(None, pair(one_of("#!"), many0_count(none_of("\r\n")))).parse(input)
}

/// One logical line with its line end; a comment may also follow a backslash that joins nothing.
fn entry(input: &str) -> IResult<&str, Option<(String, String)>> {
    let empty = value(None, peek(alt((eol, eof))));
    let end = alt((eol, verify(eof, |_: &str| true)));
    terminated(preceded(joined_blanks, alt((empty, comment, setting))), end).parse(input)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> Vec<(String, String, u32)> {
        let cfg = ZooCfg::parse(Path::new("zoo.cfg"), text.as_bytes()).unwrap();
        cfg.lines.into_iter().map(|l| (l.key, l.value, l.line)).collect()
    }

    fn line(key: &str, value: &str, line: u32) -> (String, String, u32) {
        (key.to_owned(), value.to_owned(), line)
    }

    #[test]
    fn separators_are_equals_colon_and_blank() {
        assert_eq!(
            parse("a=1\nb:2\nc 3\n d\t=\t4 \ne = : 5\nf\n=6\n"),
            [
                line("a", "1", 1),
                line("b", "2", 2),
                line("c", "3", 3),
                line("d", "4", 4),
                line("e", ": 5", 5),
                line("f", "", 6),
                line("", "6", 7),
            ]
        );
    }

    #[test]
    fn comments_and_blank_lines_are_skipped_and_counted() {
        assert_eq!(
            parse("# one\\\n\n  ! two\r\n\ta=1#x\r\rb=2"),
            [line("a", "1#x", 4), line("b", "2", 6)]
        );
    }

    #[test]
    fn a_backslash_joins_lines_and_drops_leading_blanks() {
        assert_eq!(
            parse("dataDir=/a\\\n   /b\\\r\n\t#c\nnext=1\n\\\n\nlast=\\"),
            [line("dataDir", "/a/b#c", 1), line("next", "1", 4), line("last", "", 7)]
        );
        assert_eq!(parse("key \\\n = value"), [line("key", "value", 1)]);
        assert_eq!(parse("\\\n#a=1\nb=2"), [line("b", "2", 3)]);
        assert_eq!(parse("a=1\\\\\nb=2"), [line("a", "1\\", 1), line("b", "2", 2)]);
    }

    #[test]
    fn escapes_are_replaced() {
        assert_eq!(
            parse("a\\=b\\:c\\ d=\\u00e9\\t|\\q\\uD83D\\uDE00"),
            [line("a=b:c d", "\u{e9}\t|q\u{1f600}", 1)]
        );
    }

    #[test]
    fn bytes_are_latin1_as_java_reads_them() {
        let cfg = ZooCfg::parse(Path::new("zoo.cfg"), b"dataDir=/\xc3\xa9").unwrap();
        assert_eq!(cfg.lines[0].value, "/\u{c3}\u{a9}");
        assert_eq!(cfg.text, "dataDir=/\u{e9}");
    }

    #[test]
    fn a_malformed_unicode_escape_names_its_line() {
        let error =
            ZooCfg::parse(Path::new("conf/zoo.cfg"), b"a=1\n\nb=x\\\ny\\u12g4").unwrap_err();
        assert!(error.to_string().starts_with("conf/zoo.cfg:4: \\u is not"), "{error}");
    }

    /// Writes a key or value the way `Properties.store` escapes it.
    fn escaped(text: &str) -> String {
        text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect()
    }

    proptest! {
        #[test]
        fn any_bytes_parse_or_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = ZooCfg::parse(Path::new("f"), &bytes);
        }

        #[test]
        fn any_text_of_the_grammars_characters_keeps_its_line_numbers(
            text in "[a=: \\\\\r\n#!u0]{0,60}"
        ) {
            if let Ok(cfg) = ZooCfg::parse(Path::new("f"), text.as_bytes()) {
                let total = count_lines(&text) + 1;
                let mut last = 0;
                for line in &cfg.lines {
                    prop_assert!(line.line > last && line.line <= total);
                    last = line.line;
                }
            }
        }

        #[test]
        fn what_is_escaped_comes_back(key in "[^\0- ]{1,8}", value in "[^\0- ]{0,8}") {
            let text = format!("#\n{} = {}\n", escaped(&key), escaped(&value));
            prop_assert_eq!(parse(&text), [line(&key, &value, 2)]);
        }
    }
}
