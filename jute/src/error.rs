//! What can be wrong with bytes that claim to be Jute.

use thiserror::Error;

/// Why bytes could not be decoded. Offsets are in bytes from the start of the slice given to the
/// reader.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum JuteError {
    /// The input ended inside a value. `BinaryInputArchive` throws `EOFException` here.
    #[error("input ends at byte {offset}: {wanted} more bytes are needed, {left} are left")]
    Truncated {
        /// Where the value starts.
        offset: usize,
        /// Bytes the value takes.
        wanted: usize,
        /// Bytes that are left.
        left: usize,
    },
    /// A length or count is negative (other than -1 for null), over the limit, or more than the
    /// input can hold.
    #[error("unreasonable length {length} at byte {offset}")]
    UnreasonableLength {
        /// Where the length stands.
        offset: usize,
        /// The length as read.
        length: i32,
    },
    /// Null where a value must stand.
    #[error("null {what} at byte {offset}")]
    Null {
        /// Where the length -1 stands.
        offset: usize,
        /// The type that may not be null.
        what: &'static str,
    },
}
