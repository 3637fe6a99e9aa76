//! Jute, the encoding of ZooKeeper: the codec and every record of its protocol, transaction log,
//! snapshot and quorum packets.
//!
//! All integers are big endian; a `buffer` or `ustring` is an `int` length and that many bytes,
//! where length -1 is null; a `vector` is an `int` count and its elements; a record is its fields
//! in order, without length, tag or padding.
//!
//! * [`Reader`] decodes borrowed values out of a byte slice. It can neither read past the slice nor
//!   allocate by a length it has not checked.
//! * [`Field`] is what can stand in a record, and [`records`] declares each record once, in wire
//!   order.
//!
//! The ZooKeeper classes this answers to are `org.apache.jute.BinaryInputArchive`,
//! `BinaryOutputArchive` and the classes generated from `zookeeper.jute`.

mod error;
mod field;
mod reader;
mod record;
pub mod records;
mod text;

pub use error::JuteError;
pub use field::{Buffer, Field, Ustring};
pub use reader::{DEFAULT_MAX_BUFFER_BYTES, Reader};
pub use record::{Record, RecordVisitor};
pub use records::*;
pub use text::decode as decode_text;
