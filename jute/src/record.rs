//! The macro behind [`crate::records`], and what every record can tell of itself.

use crate::{Field, JuteError, Reader, Ustring};

/// A record of `zookeeper.jute`.
pub trait Record<'a>: Field<'a> {
    /// The record as `zookeeper.jute` would declare it, on one line and with Rust's field names,
    /// such as `GetDataRequest{ustring path, boolean watch}`.
    fn declaration() -> String;
}

/// Something to be done with every type of record, for tests over all of them.
pub trait RecordVisitor<'a> {
    /// Called with each type.
    fn visit<R: Record<'a>>(&mut self);
}

/// Declares records: structs whose fields stand in wire order, and their codec. A record that
/// borrows is declared with the lifetime `'a`; a field that is not read as its type is says how.
macro_rules! records {
    ($(
        $(#[$meta:meta])*
        $name:ident $(<$life:lifetime>)? {
            $($(#[$field_meta:meta])* $field:ident: $type:ty $(= $read:path)?,)+
        }
    )+) => {$(
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq, Default)]
        pub struct $name $(<$life>)? {
            $($(#[$field_meta])* pub $field: $type,)+
        }

        impl<'a> $crate::Field<'a> for $name $(<$life>)? {
            const MIN_BYTES: usize = 0 $(+ <$type as $crate::Field<'a>>::MIN_BYTES)+;

            fn type_name() -> String {
                stringify!($name).into()
            }

            fn read(reader: &mut $crate::Reader<'a>) -> Result<Self, $crate::JuteError> {
                Ok(Self { $($field: $crate::record::read_field!(reader $(, $read)?),)+ })
            }

            fn write(&self, out: &mut impl ::bytes::BufMut) {
                $($crate::Field::write(&self.$field, out);)+
            }
        }

        impl<'a> $crate::Record<'a> for $name $(<$life>)? {
            fn declaration() -> String {
                let fields = [$({
                    let kind = <$type as $crate::Field<'a>>::type_name();
                    format!("{kind} {}", stringify!($field))
                },)+];
                format!("{}{{{}}}", stringify!($name), fields.join(", "))
            }
        }
    )+

        /// Shows the visitor each record above, in the order of the source.
        pub(super) fn visit<'a>(visitor: &mut impl $crate::RecordVisitor<'a>) {
            $(visitor.visit::<$name $(<$life>)?>();)+
        }
    };
}

/// Reads a field as its type is, or as the record says.
macro_rules! read_field {
    ($reader:ident) => {
        $crate::Field::read($reader)?
    };
    ($reader:ident, $read:path) => {
        $read($reader)?
    };
}

/// Reads a string of which null means empty.
pub(crate) fn null_as_empty<'a>(reader: &mut Reader<'a>) -> Result<Ustring<'a>, JuteError> {
    Ok(reader.ustring()?.unwrap_or_default())
}

pub(crate) use {read_field, records};
