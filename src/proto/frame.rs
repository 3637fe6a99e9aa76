//! Frames: an `int` length and that many bytes, in both directions of the client protocol.

use bytes::{Buf, BufMut, BytesMut};

/// Room that is made for a frame at once, at least.
const ROOM_BYTES_MIN: usize = 16 << 10;

/// A length no frame may have.
#[derive(Debug, PartialEq, Eq)]
pub struct BadLength(pub i32);

/// Takes the next whole frame, without its length, off the input. If none is whole yet, makes room
/// for more of it.
pub fn next_frame(input: &mut BytesMut, max_bytes: usize) -> Result<Option<BytesMut>, BadLength> {
    let Some(head) = input.first_chunk::<4>() else { return Ok(None) };
    let length = i32::from_be_bytes(*head);
    let Some(bytes) = usize::try_from(length).ok().filter(|bytes| *bytes <= max_bytes) else {
        return Err(BadLength(length));
    };
    if input.len() < 4 + bytes {
        // Room grows with what has come, not with what is announced: an announcement costs its
        // sender nothing.
        let missing = 4 + bytes - input.len();
        input.reserve(missing.min(input.len().max(ROOM_BYTES_MIN)));
        return Ok(None);
    }
    input.advance(4);
    Ok(Some(input.split_to(bytes)))
}

/// Appends the frame whose content `put_content` writes.
pub fn put_frame(out: &mut BytesMut, put_content: impl FnOnce(&mut BytesMut)) {
    let start = out.len();
    out.put_i32(0);
    put_content(out);
    let length = i32::try_from(out.len() - start - 4).expect("a frame is shorter than 2 GiB");
    out[start..start + 4].copy_from_slice(&length.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_whole_or_not_at_all() {
        let mut input = BytesMut::from(&[0, 0, 0, 2, 7][..]);
        assert_eq!(next_frame(&mut input, 10), Ok(None));
        input.extend_from_slice(&[8, 0, 0]);
        assert_eq!(next_frame(&mut input, 10), Ok(Some(BytesMut::from(&[7, 8][..]))));
        assert_eq!(next_frame(&mut input, 10), Ok(None));
        assert_eq!(&input[..], [0, 0]);
    }

    #[test]
    fn a_length_is_checked_before_anything_is_reserved() {
        for length in [-1, 11, i32::MAX, i32::MIN] {
            let mut input = BytesMut::from(&length.to_be_bytes()[..]);
            assert_eq!(next_frame(&mut input, 10), Err(BadLength(length)));
        }
    }

    #[test]
    fn what_is_put_is_taken() {
        let mut bytes = BytesMut::new();
        put_frame(&mut bytes, |out| out.put_slice(b"abc"));
        put_frame(&mut bytes, |_| {});
        assert_eq!(next_frame(&mut bytes, 3), Ok(Some(BytesMut::from("abc"))));
        assert_eq!(next_frame(&mut bytes, 3), Ok(Some(BytesMut::new())));
        assert_eq!(next_frame(&mut bytes, 3), Ok(None));
    }
}
