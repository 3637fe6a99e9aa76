//! What can stand in a record, and how it is written and read.

use std::borrow::Cow;

use bytes::BufMut;

use crate::{JuteError, Reader, text};

/// Jute's `buffer`: bytes, or null.
pub type Buffer<'a> = Option<&'a [u8]>;

/// Jute's `ustring` where null makes no sense. Where ZooKeeper accepts null, a record says
/// `Option<Ustring>`.
pub type Ustring<'a> = Cow<'a, str>;

/// A value of Jute: a primitive, a vector or a whole record.
pub trait Field<'a>: Sized {
    /// The fewest bytes a value takes; never 0, so that it bounds the count of a vector.
    const MIN_BYTES: usize;

    /// The type's name in `zookeeper.jute`.
    fn type_name() -> String;

    /// Decodes one value.
    fn read(reader: &mut Reader<'a>) -> Result<Self, JuteError>;

    /// Appends the encoded value.
    fn write(&self, out: &mut impl BufMut);

    /// Decodes one value from the start of `bytes`; what follows it is ignored, as ZooKeeper
    /// ignores it.
    fn from_bytes(bytes: &'a [u8]) -> Result<Self, JuteError> {
        Self::read(&mut Reader::new(bytes))
    }

    /// The encoded value by itself.
    fn to_vec(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write(&mut out);
        out
    }
}

impl Field<'_> for bool {
    const MIN_BYTES: usize = 1;

    fn type_name() -> String {
        "boolean".into()
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, JuteError> {
        reader.boolean()
    }

    fn write(&self, out: &mut impl BufMut) {
        out.put_u8(u8::from(*self));
    }
}

impl Field<'_> for i32 {
    const MIN_BYTES: usize = 4;

    fn type_name() -> String {
        "int".into()
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, JuteError> {
        reader.int()
    }

    fn write(&self, out: &mut impl BufMut) {
        out.put_i32(*self);
    }
}

impl Field<'_> for i64 {
    const MIN_BYTES: usize = 8;

    fn type_name() -> String {
        "long".into()
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, JuteError> {
        reader.long()
    }

    fn write(&self, out: &mut impl BufMut) {
        out.put_i64(*self);
    }
}

impl<'a> Field<'a> for Buffer<'a> {
    const MIN_BYTES: usize = 4;

    fn type_name() -> String {
        "buffer".into()
    }

    fn read(reader: &mut Reader<'a>) -> Result<Self, JuteError> {
        reader.buffer()
    }

    fn write(&self, out: &mut impl BufMut) {
        match self {
            None => out.put_i32(-1),
            Some(bytes) => {
                put_length(bytes.len(), out);
                out.put_slice(bytes);
            }
        }
    }
}

impl<'a> Field<'a> for Ustring<'a> {
    const MIN_BYTES: usize = 4;

    fn type_name() -> String {
        "ustring".into()
    }

    fn read(reader: &mut Reader<'a>) -> Result<Self, JuteError> {
        let offset = reader.position();
        reader.ustring()?.ok_or(JuteError::Null { offset, what: "ustring" })
    }

    fn write(&self, out: &mut impl BufMut) {
        put_length(text::encoded_len(self), out);
        text::encode(self, out);
    }
}

impl<'a> Field<'a> for Option<Ustring<'a>> {
    const MIN_BYTES: usize = 4;

    fn type_name() -> String {
        "ustring".into()
    }

    fn read(reader: &mut Reader<'a>) -> Result<Self, JuteError> {
        reader.ustring()
    }

    fn write(&self, out: &mut impl BufMut) {
        match self {
            None => out.put_i32(-1),
            Some(text) => text.write(out),
        }
    }
}

/// Null is read as empty: no record of ZooKeeper gives the two different meanings.
impl<'a, T: Field<'a>> Field<'a> for Vec<T> {
    const MIN_BYTES: usize = 4;

    fn type_name() -> String {
        format!("vector<{}>", T::type_name())
    }

    fn read(reader: &mut Reader<'a>) -> Result<Self, JuteError> {
        let count = reader.count(T::MIN_BYTES)?.unwrap_or(0);
        (0..count).map(|_| T::read(reader)).collect()
    }

    fn write(&self, out: &mut impl BufMut) {
        put_length(self.len(), out);
        self.iter().for_each(|element| element.write(out));
    }
}

/// A vector whose null is kept apart from empty, as a quorum packet's `authinfo` must be.
impl<'a, T: Field<'a>> Field<'a> for Option<Vec<T>> {
    const MIN_BYTES: usize = 4;

    fn type_name() -> String {
        Vec::<T>::type_name()
    }

    fn read(reader: &mut Reader<'a>) -> Result<Self, JuteError> {
        if reader.rest().starts_with(&[0xff; 4]) {
            reader.int()?;
            return Ok(None);
        }
        Vec::read(reader).map(Some)
    }

    fn write(&self, out: &mut impl BufMut) {
        match self {
            None => out.put_i32(-1),
            Some(elements) => elements.write(out),
        }
    }
}

fn put_length(length: usize, out: &mut impl BufMut) {
    let length = i32::try_from(length).expect("Jute lengths are bounded by jute.maxbuffer");
    out.put_i32(length);
}
