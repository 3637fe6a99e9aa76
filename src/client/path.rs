//! The checks of a path before it is sent (`PathUtils.validatePath`), with Java's words.

use super::ClientError;

/// Refuses a path that no server would take. Offsets in the message count UTF-16 units, as Java's
/// do.
pub fn validate_path(path: &str) -> Result<(), ClientError> {
    check(path).map_err(ClientError::InvalidArgument)
}

fn check(path: &str) -> Result<(), String> {
    if path.is_empty() {
        return Err("Path length must be > 0".into());
    }
    if !path.starts_with('/') {
        return Err("Path must start with / character".into());
    }
    if path == "/" {
        return Ok(());
    }
    if path.ends_with('/') {
        return Err("Path must not end with / character".into());
    }
    let units: Vec<u16> = path.encode_utf16().collect();
    (1..units.len()).try_for_each(|at| match reason(&units, at) {
        None => Ok(()),
        Some(reason) => Err(format!("Invalid path string \"{path}\" caused by {reason} @{at}")),
    })
}

/// What is wrong with the unit at `at`, which is not the first.
fn reason(units: &[u16], at: usize) -> Option<&'static str> {
    const SLASH: u16 = b'/' as u16;
    const DOT: u16 = b'.' as u16;
    let ends_here = matches!(units.get(at + 1), None | Some(&SLASH));
    match units[at] {
        0 => Some("null character not allowed"),
        SLASH if units[at - 1] == SLASH => Some("empty node name specified"),
        DOT if ends_here && units[at - 1] == SLASH => Some("relative paths not allowed"),
        DOT if ends_here && units[at - 1] == DOT && units[at - 2] == SLASH => {
            Some("relative paths not allowed")
        }
        1..=0x1f | 0x7f..=0x9f | 0xd800..=0xf8ff | 0xfff0..=0xffff => Some("invalid character"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(path: &str) -> String {
        check(path).expect_err(path)
    }

    #[test]
    fn usual_paths_pass() {
        for path in ["/", "/a", "/a/b", "/a.b", "/.a", "/..a", "/a..", "/a/...", "/\u{e9}"] {
            assert_eq!(check(path), Ok(()), "{path}");
        }
    }

    #[test]
    fn refusals_have_javas_words() {
        assert_eq!(refusal(""), "Path length must be > 0");
        assert_eq!(refusal("a"), "Path must start with / character");
        assert_eq!(refusal("/a/"), "Path must not end with / character");
        let invalid = |path, reason| {
            assert_eq!(refusal(path), format!("Invalid path string \"{path}\" caused by {reason}"));
        };
        invalid("/a//b", "empty node name specified @3");
        invalid("/a/./b", "relative paths not allowed @3");
        invalid("/a/..", "relative paths not allowed @4");
        invalid("/a\u{1}", "invalid character @2");
        invalid("/a\0", "null character not allowed @2");
        invalid("/\u{1f600}", "invalid character @1");
    }
}
