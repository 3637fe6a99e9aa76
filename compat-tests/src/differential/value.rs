//! What a reply holds, decoded so far that it can be compared and read: every byte of the reply is
//! in one of these, so two equal values are two equal replies, but for what [`super::Normaliser`]
//! made of ids and times.

use std::fmt;

/// A decoded value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Value {
    /// One byte, such as a boolean.
    Byte(u8),
    /// Four bytes.
    Int(i32),
    /// Eight bytes.
    Long(i64),
    /// A buffer or ustring; null and empty are different.
    Bytes(Option<Vec<u8>>),
    /// A vector; null and empty are different.
    List(Option<Vec<Value>>),
    /// Named fields in wire order.
    Record(Vec<(&'static str, Value)>),
    /// Something that differs from server to server, by what it stands for.
    Symbol(String),
    /// Bytes that should not be there.
    Surplus(Vec<u8>),
}

impl Value {
    /// A record's first field of this name.
    pub fn field(&self, name: &str) -> Option<&Value> {
        let Self::Record(fields) = self else { return None };
        fields.iter().find(|(field, _)| *field == name).map(|(_, value)| value)
    }
}

/// Most bytes of one buffer that are printed.
const PRINTED_BYTES_MAX: usize = 240;

fn write_bytes(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    let shown = &bytes[..bytes.len().min(PRINTED_BYTES_MAX)];
    write!(f, "\"{}\"", shown.escape_ascii())?;
    if shown.len() < bytes.len() {
        write!(f, "... ({} bytes)", bytes.len())?;
    }
    Ok(())
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Byte(value) => write!(f, "{value}"),
            Self::Int(value) => write!(f, "{value}"),
            Self::Long(value) => write!(f, "{value}"),
            Self::Bytes(None) | Self::List(None) => f.write_str("null"),
            Self::Bytes(Some(bytes)) => write_bytes(f, bytes),
            Self::List(Some(values)) => {
                f.write_str("[")?;
                for (index, value) in values.iter().enumerate() {
                    write!(f, "{}{value}", if index == 0 { "" } else { ", " })?;
                }
                f.write_str("]")
            }
            Self::Record(fields) => {
                f.write_str("{")?;
                for (index, (name, value)) in fields.iter().enumerate() {
                    write!(f, "{}{name}={value}", if index == 0 { "" } else { " " })?;
                }
                f.write_str("}")
            }
            Self::Symbol(text) => f.write_str(text),
            Self::Surplus(bytes) => {
                write!(f, "SURPLUS ")?;
                write_bytes(f, bytes)
            }
        }
    }
}
