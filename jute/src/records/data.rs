//! `org.apache.zookeeper.data`: identities, access control and node status.

use crate::Ustring;
use crate::record::{null_as_empty, records};

records! {
    /// Who somebody is: an authentication scheme and an id in its terms. Kazoo writes an empty id,
    /// as that of the scheme `auth` is, as null.
    Id<'a> {
        /// Name of the authentication scheme, such as `digest`.
        scheme: Ustring<'a> = null_as_empty,
        /// The identity, in the scheme's own form.
        id: Ustring<'a> = null_as_empty,
    }

    /// One entry of an access control list.
    Acl<'a> {
        /// Permission bits: READ 1, WRITE 2, CREATE 4, DELETE 8, ADMIN 16.
        perms: i32,
        /// To whom they are granted.
        id: Id<'a>,
    }

    /// A node's status as clients see it, 68 bytes.
    Stat {
        /// zxid of the transaction that created the node.
        czxid: i64,
        /// zxid of the last change of its data.
        mzxid: i64,
        /// Time of creation, in milliseconds since 1970.
        ctime: i64,
        /// Time of the last change of its data, in milliseconds since 1970.
        mtime: i64,
        /// Changes of its data.
        version: i32,
        /// Children created and deleted.
        cversion: i32,
        /// Changes of its ACL.
        aversion: i32,
        /// Session of an ephemeral node, else 0.
        ephemeral_owner: i64,
        /// Bytes of data; null counts as 0.
        data_length: i32,
        /// Children it has now.
        num_children: i32,
        /// zxid of the last creation or deletion of a child.
        pzxid: i64,
    }

    /// A node's status as it is stored, 60 bytes. `cversion` counts creations only, and
    /// `ephemeral_owner` also marks containers and TTL nodes.
    StatPersisted {
        /// zxid of the transaction that created the node.
        czxid: i64,
        /// zxid of the last change of its data.
        mzxid: i64,
        /// Time of creation, in milliseconds since 1970.
        ctime: i64,
        /// Time of the last change of its data, in milliseconds since 1970.
        mtime: i64,
        /// Changes of its data.
        version: i32,
        /// Children created.
        cversion: i32,
        /// Changes of its ACL.
        aversion: i32,
        /// Session of an ephemeral node, the mark of a container or TTL node, or 0.
        ephemeral_owner: i64,
        /// zxid of the last creation or deletion of a child.
        pzxid: i64,
    }

    /// An identity of a connection, as whoAmI tells it.
    ClientInfo<'a> {
        /// Authentication scheme.
        auth_scheme: Ustring<'a>,
        /// User name, address or other id.
        user: Ustring<'a>,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Field;

    #[test]
    fn a_null_id_is_an_empty_one() {
        let bytes = [0, 0, 0, 4, b'a', b'u', b't', b'h', 0xff, 0xff, 0xff, 0xff];
        let id = Id::from_bytes(&bytes).expect("an id");
        assert_eq!((&*id.scheme, &*id.id), ("auth", ""));
    }
}
