//! Rules of Java's strings that reach the wire or the disk.

/// `text.split(separator)`: without the empty parts at the end, but whole where there is no
/// separator.
pub fn split(text: &str, separator: char) -> Vec<&str> {
    let mut parts: Vec<_> = text.split(separator).collect();
    while parts.len() > 1 && parts.last().is_some_and(|part| part.is_empty()) {
        parts.pop();
    }
    if parts == [""] && !text.is_empty() {
        parts.pop();
    }
    parts
}

/// `text.hashCode()`.
pub fn hash_code(text: &str) -> i32 {
    text.encode_utf16().fold(0i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(unit.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn split_drops_empty_parts_at_the_end_only() {
        assert_eq!(split("a:b", ':'), ["a", "b"]);
        assert_eq!(split(":b", ':'), ["", "b"]);
        assert_eq!(split("a::b:", ':'), ["a", "", "b"]);
        assert_eq!(split("a::", ':'), ["a"]);
        assert_eq!(split("", ':'), [""]);
        assert_eq!(split("::", ':'), [""; 0]);
    }

    #[test]
    fn hash_code_is_over_utf16_units() {
        assert_eq!(hash_code(""), 0);
        assert_eq!(hash_code("zookeeper"), 1_600_681_804);
        assert_eq!(hash_code("é:\u{1f600}"), 8_769_940);
    }
}
