//! Text as Java writes and reads it.
//!
//! `BinaryOutputArchive.stringToByteBuffer` encodes each UTF-16 unit by itself, so a character
//! outside the basic multilingual plane becomes two three-byte sequences (CESU-8).
//! `BinaryInputArchive.readString` uses Java's UTF-8 decoder, which gives U+FFFD for those. Neither
//! matters for paths, which may hold no such characters.

use std::borrow::Cow;

use bytes::BufMut;

/// Decodes as `new String(bytes, UTF_8)` does: malformed input becomes U+FFFD, a surrogate's three
/// bytes one of them.
pub fn decode(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => Cow::Owned(decode_malformed(bytes)),
    }
}

fn decode_malformed(mut bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    while !bytes.is_empty() {
        if let [0xed, 0xa0..=0xbf, 0x80..=0xbf, ..] = bytes {
            text.push(char::REPLACEMENT_CHARACTER);
            bytes = &bytes[3..];
            continue;
        }
        let (valid, bad) = match std::str::from_utf8(bytes) {
            Ok(_) => (bytes.len(), 0),
            Err(error) => {
                let valid = error.valid_up_to();
                (valid, error.error_len().unwrap_or(bytes.len() - valid))
            }
        };
        text.push_str(&String::from_utf8_lossy(&bytes[..valid]));
        bytes = &bytes[valid..];
        if bad > 0 && !matches!(bytes, [0xed, 0xa0..=0xbf, 0x80..=0xbf, ..]) {
            text.push(char::REPLACEMENT_CHARACTER);
            bytes = &bytes[bad..];
        }
    }
    text
}

/// Bytes [`encode`] will write for `text`, without the length.
pub(crate) fn encoded_len(text: &str) -> usize {
    // Four UTF-8 bytes become six; only their lead bytes are 0xf0 and above.
    text.len() + 2 * text.bytes().filter(|&byte| byte >= 0xf0).count()
}

/// Writes `text` as Java would, without the length.
pub(crate) fn encode(text: &str, out: &mut impl BufMut) {
    if encoded_len(text) == text.len() {
        out.put_slice(text.as_bytes());
        return;
    }
    for unit in text.encode_utf16() {
        let low_six = |shift: u16| 0x80 | (unit >> shift & 0x3f) as u8;
        match unit {
            0..=0x7f => out.put_u8(unit as u8),
            0x80..=0x7ff => out.put_slice(&[0xc0 | (unit >> 6) as u8, low_six(0)]),
            _ => out.put_slice(&[0xe0 | (unit >> 12) as u8, low_six(6), low_six(0)]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(text: &str) -> Vec<u8> {
        let mut out = Vec::new();
        encode(text, &mut out);
        assert_eq!(out.len(), encoded_len(text));
        out
    }

    #[test]
    fn characters_outside_the_bmp_are_written_as_two_surrogates() {
        assert_eq!(encoded("a\u{e9}\u{20ac}"), "a\u{e9}\u{20ac}".as_bytes());
        assert_eq!(encoded("x\u{1f600}"), [b'x', 0xed, 0xa0, 0xbd, 0xed, 0xb8, 0x80]);
    }

    #[test]
    fn a_surrogate_is_read_as_one_replacement_character() {
        assert_eq!(decode(&encoded("x\u{1f600}y")), "x\u{fffd}\u{fffd}y");
        assert_eq!(decode(b"a\xffb"), "a\u{fffd}b");
        assert_eq!(decode("\u{1f600}".as_bytes()), "\u{1f600}");
    }
}
