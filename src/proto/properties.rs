//! The text grammar of `java.util.Properties.load`, in which `zoo.cfg`, dynamic configuration files
//! and the configurations that servers send each other are written.
//!
//! - A blank line, or one whose first character is `#` or `!`, is skipped.
//! - A key ends at the first `=`, `:` or blank that has no backslash before it.
//! - A backslash at a line's end joins it with the next line, whose leading blanks are dropped.
//! - `\t`, `\n`, `\r`, `\f` and `\uXXXX` are characters; before any other character a
//!   backslash is dropped.
//! - Keys and values are then trimmed, as `QuorumPeerConfig.parseProperties` does; of a key
//!   given twice the last wins.

use nom::branch::alt;
use nom::bytes::complete::{tag, take_while_m_n};
use nom::character::complete::{anychar, char, none_of, one_of};
use nom::combinator::{cut, eof, map, map_opt, opt, peek, recognize, value, verify};
use nom::multi::{many0, many0_count};
use nom::sequence::{pair, preceded, terminated};
use nom::{IResult, Parser};

/// One setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PropertyLine {
    /// The key, trimmed.
    pub key: String,
    /// The value, trimmed; empty if none is given.
    pub value: String,
    /// The line the setting begins at, counted from 1.
    pub line: u32,
}

/// The one mistake the grammar knows: `\u` without four hexadecimal digits behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: \\u is not followed by four hexadecimal digits")]
pub struct BadEscape {
    /// The line it stands in, counted from 1.
    pub line: u32,
}

/// Every setting of a text in its order, duplicates included.
pub fn parse(text: &str) -> Result<Vec<PropertyLine>, BadEscape> {
    let mut lines = Vec::new();
    let mut rest = text;
    let mut line = 1;
    while !rest.is_empty() {
        let (after, entry) = entry(rest).map_err(|error| {
            let at = match error {
                nom::Err::Error(e) | nom::Err::Failure(e) => e.input,
                nom::Err::Incomplete(_) => rest,
            };
            BadEscape { line: line + count_lines(&rest[..rest.len() - at.len()]) }
        })?;
        assert!(after.len() < rest.len(), "the grammar consumes something each time");
        if let Some((key, value)) = entry {
            lines.push(PropertyLine { key: trim(&key), value: trim(&value), line });
        }
        line += count_lines(&rest[..rest.len() - after.len()]);
        rest = after;
    }
    Ok(lines)
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

/// What a key or value is put together from; two units may make one character.
#[derive(Clone, Copy)]
enum Piece {
    Nothing,
    Unit(u16),
    Char(char),
}

/// A backslash and what it stands for.
fn escape(input: &str) -> IResult<&str, Piece> {
    preceded(
        char('\\'),
        alt((
            map(preceded(char('u'), cut(utf16_unit)), Piece::Unit),
            value(Piece::Char('\t'), char('t')),
            value(Piece::Char('\n'), char('n')),
            value(Piece::Char('\r'), char('r')),
            value(Piece::Char('\x0c'), char('f')),
            map(anychar, Piece::Char),
        )),
    )
    .parse(input)
}

/// A run of characters up to an unescaped one of `stops`, escapes replaced and lines joined.
fn run(stops: &'static str) -> impl FnMut(&str) -> IResult<&str, String> {
    move |input| {
        let piece =
            alt((value(Piece::Nothing, continuation), escape, map(none_of(stops), Piece::Char)));
        map(many0(piece), |pieces| {
            let mut units = Vec::with_capacity(pieces.len());
            for piece in pieces {
                match piece {
                    Piece::Nothing => {}
                    Piece::Unit(unit) => units.push(unit),
                    Piece::Char(c) => units.extend_from_slice(c.encode_utf16(&mut [0; 2])),
                }
            }
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
        let lines = super::parse(text).unwrap();
        lines.into_iter().map(|l| (l.key, l.value, l.line)).collect()
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

    /// Writes a key or value the way `Properties.store` escapes it.
    fn escaped(text: &str) -> String {
        text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect()
    }

    #[test]
    fn characters_beyond_latin1_are_kept() {
        assert_eq!(parse("a=é\u{1f600}\\\u{1f600}"), [line("a", "é\u{1f600}\u{1f600}", 1)]);
    }

    proptest! {
        #[test]
        fn any_text_parses_or_is_refused(text in "\\PC{0,200}") {
            let _ = super::parse(&text);
        }

        #[test]
        fn any_text_of_the_grammars_characters_keeps_its_line_numbers(
            text in "[a=: \\\\\r\n#!u0]{0,60}"
        ) {
            if let Ok(lines) = super::parse(&text) {
                let total = count_lines(&text) + 1;
                let mut last = 0;
                for line in &lines {
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
