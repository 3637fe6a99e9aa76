//! Znode paths: what is one (`PathUtils.validatePath`), and the way up from it.
//!
//! The functions other than [`validate_path`] take paths that are valid.

use std::iter;

use thiserror::Error;

/// The path of the root.
pub const ROOT: &str = "/";

/// The path of the node that holds the configuration of the ensemble.
pub const CONFIG_PATH: &str = "/zookeeper/config";

/// Why a text is no path, in Apache's words.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum InvalidPath {
    #[error("Path length must be > 0")]
    Empty,
    #[error("Path must start with / character")]
    NotAbsolute,
    #[error("Path must not end with / character")]
    TrailingSlash,
    #[error("Invalid path string \"{path}\" caused by {reason} @{at}")]
    BadCharacter {
        path: Box<str>,
        reason: &'static str,
        /// Index in UTF-16 units, as Java counts.
        at: usize,
    },
}

/// Whether `path` is the path of a znode, there or not.
///
/// # Errors
/// The first reason that Apache would find.
pub fn validate_path(path: &str) -> Result<(), InvalidPath> {
    if is_plain(path.as_bytes()) {
        return Ok(());
    }
    if path.is_empty() {
        return Err(InvalidPath::Empty);
    }
    if !path.starts_with('/') {
        return Err(InvalidPath::NotAbsolute);
    }
    if path == ROOT {
        return Ok(());
    }
    if path.ends_with('/') {
        return Err(InvalidPath::TrailingSlash);
    }
    const SLASH: u16 = b'/' as u16;
    const DOT: u16 = b'.' as u16;
    let bad = |at, reason| Err(InvalidPath::BadCharacter { path: path.into(), reason, at });
    // The unit before, and the one before that.
    let (mut last, mut second_last) = (SLASH, SLASH);
    let mut units = path.encode_utf16().enumerate().skip(1).peekable();
    while let Some((at, unit)) = units.next() {
        let ends_name = units.peek().is_none_or(|(_, next)| *next == SLASH);
        match unit {
            0 => return bad(at, "null character not allowed"),
            SLASH if last == SLASH => return bad(at, "empty node name specified"),
            DOT if ends_name && (last == SLASH || last == DOT && second_last == SLASH) => {
                return bad(at, "relative paths not allowed");
            }
            // Control characters, surrogates and the private use area, and the specials.
            1..=0x1f | 0x7f..=0x9f | 0xd800..=0xf8ff | 0xfff0..=0xffff => {
                return bad(at, "invalid character");
            }
            _ => (second_last, last) = (last, unit),
        }
    }
    Ok(())
}

/// Whether it is a path of printable ASCII whose names do not begin with a dot, as nearly all are:
/// a write checks its path a million times a second.
fn is_plain(path: &[u8]) -> bool {
    let [b'/', names @ ..] = path else { return false };
    let mut last = b'/';
    for &byte in names {
        if !(b' '..=b'~').contains(&byte) || last == b'/' && matches!(byte, b'/' | b'.') {
            return false;
        }
        last = byte;
    }
    last != b'/'
}

/// The parent's path and the node's name; none for the root.
pub fn split_parent(path: &str) -> Option<(&str, &str)> {
    let slash = path.rfind('/').filter(|_| path != ROOT)?;
    Some((if slash == 0 { ROOT } else { &path[..slash] }, &path[slash + 1..]))
}

/// The parent's path; none for the root.
pub fn parent(path: &str) -> Option<&str> {
    split_parent(path).map(|(parent, _)| parent)
}

/// The parent, its parent and so on, the root last (`PathParentIterator` without the path itself).
pub fn ancestors(path: &str) -> impl Iterator<Item = &str> {
    iter::successors(parent(path), |path| parent(path))
}

/// The first name of the path, by which metrics are grouped (`PathUtils.getTopNamespace`); none for
/// the root.
pub fn top_namespace(path: &str) -> Option<&str> {
    path.split('/').nth(1).filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(path: &str) -> String {
        validate_path(path).expect_err(path).to_string()
    }

    #[test]
    fn good_paths() {
        for path in [
            "/",
            "/a",
            "/a/b",
            "/.a",
            "/a.",
            "/a..b",
            "/..a",
            "/a..",
            "/...",
            "/a/.../b",
            "/ ",
            "/\u{a0}\u{d7ff}\u{f900}\u{ffef}",
            "/zookeeper/quota",
        ] {
            assert_eq!(validate_path(path), Ok(()), "{path}");
        }
    }

    #[test]
    fn bad_forms() {
        assert_eq!(reason(""), "Path length must be > 0");
        assert_eq!(reason("a/b"), "Path must start with / character");
        assert_eq!(reason("/a/"), "Path must not end with / character");
        assert_eq!(reason("//"), "Path must not end with / character");
        assert_eq!(
            reason("/a//b"),
            "Invalid path string \"/a//b\" caused by empty node name specified @3"
        );
    }

    #[test]
    fn relative_names() {
        for (path, at) in [("/.", 1), ("/..", 2), ("/a/./b", 3), ("/a/../b", 4), ("/a/..", 4)] {
            assert!(reason(path).ends_with(&format!("relative paths not allowed @{at}")), "{path}");
        }
    }

    #[test]
    fn bad_characters_by_utf16_unit() {
        assert!(reason("/a\0").ends_with("null character not allowed @2"));
        for bad in ['\u{1}', '\u{1f}', '\u{7f}', '\u{9f}', '\u{e000}', '\u{f8ff}', '\u{fff0}'] {
            assert!(reason(&format!("/é{bad}")).ends_with("invalid character @2"), "{bad:?}");
        }
        assert!(reason("/\u{1f600}").ends_with("invalid character @1"));
    }

    #[test]
    fn the_first_reason_wins() {
        assert!(reason("/\u{1}//b").ends_with("invalid character @1"));
        assert!(reason("x\0/").starts_with("Path must start"));
    }

    #[test]
    fn the_way_up() {
        assert_eq!(split_parent("/a/b"), Some(("/a", "b")));
        assert_eq!(split_parent("/a"), Some(("/", "a")));
        assert_eq!(split_parent("/"), None);
        assert_eq!(ancestors("/a/b/c").collect::<Vec<_>>(), ["/a/b", "/a", "/"]);
        assert_eq!(ancestors("/").count(), 0);
        assert_eq!((top_namespace("/a/b"), top_namespace("/")), (Some("a"), None));
    }
}
