//! One entry of the transaction log, split into header, transaction and digest
//! (`SerializeUtils.deserializeTxn`). The same bytes travel in PROPOSAL and INFORM packets.
//!
//! The layout of an entry cannot be told from its length: the transaction's record depends on the
//! header's type, some types had other records in old releases, and the digest may be missing.
//! Decoding borrows from the entry and never panics.

use jute::{
    CheckVersionTxn, CloseSessionTxn, CreateContainerTxn, CreateSessionTxn, CreateTtlTxn,
    CreateTxn, CreateTxnV0, DeleteTxn, ErrorTxn, Field, JuteError, MultiTxn, Reader, SetAclTxn,
    SetDataTxn, TxnDigest, TxnHeader,
};
use thiserror::Error;

use crate::proto::{OpCode, Zxid};

/// A decoded entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TxnEntry<'a> {
    /// Who asked for it, its zxid, time and type.
    pub header: TxnHeader,
    /// What it does.
    pub body: TxnBody<'a>,
    /// Digest of the tree after it; none after most errors, from releases before 3.6, and from
    /// servers with `digest.enabled=false`.
    pub digest: Option<TxnDigest>,
}

/// What a transaction does, one variant for each type that stands in logs.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "named as the opcodes; `jute` documents each record")]
pub enum TxnBody<'a> {
    /// A `parent_cversion` of -1 (written before 3.4) asks to count the parent's own version up.
    Create(CreateTxn<'a>),
    Create2(CreateTxn<'a>),
    CreateContainer(CreateContainerTxn<'a>),
    CreateTtl(CreateTtlTxn<'a>),
    Delete(DeleteTxn<'a>),
    DeleteContainer(DeleteTxn<'a>),
    SetData(SetDataTxn<'a>),
    Reconfig(SetDataTxn<'a>),
    SetAcl(SetAclTxn<'a>),
    /// Only inside a multi.
    Check(CheckVersionTxn<'a>),
    /// The operations in their order; none of them is a multi.
    Multi(Vec<TxnBody<'a>>),
    CreateSession(CreateSessionTxn),
    /// Without the list (before 3.6, or `closeSessionTxn.enabled=false`) every ephemeral node of
    /// the session goes.
    CloseSession(Option<CloseSessionTxn<'a>>),
    Error(ErrorTxn),
}

/// Why an entry could not be decoded.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TxnEntryError {
    /// The bytes do not hold the record that the type asks for.
    #[error("transaction of type {kind}: {source}")]
    Malformed {
        /// The header's type, or that of the operation inside a multi.
        kind: i32,
        /// What is wrong with the bytes.
        source: JuteError,
    },
    /// Not even a header.
    #[error("transaction header: {0}")]
    Header(JuteError),
    /// No such type, or one that may not stand where it does.
    #[error("unsupported transaction type {0}")]
    UnsupportedType(i32),
}

impl<'a> TxnEntry<'a> {
    /// Bytes of a [`TxnHeader`].
    pub const HEADER_BYTES: usize = TxnHeader::MIN_BYTES;

    /// Bytes of a [`TxnDigest`].
    pub const DIGEST_BYTES: usize = TxnDigest::MIN_BYTES;

    /// Splits `entry`. As Apache does, bytes behind the digest are ignored.
    pub fn decode(entry: &'a [u8]) -> Result<Self, TxnEntryError> {
        let mut reader = unlimited(entry);
        let header = TxnHeader::read(&mut reader).map_err(TxnEntryError::Header)?;
        let body = TxnBody::read(header.kind, &mut reader)?;
        let digest = TxnDigest::read(&mut reader).ok();
        Ok(Self { header, body, digest })
    }

    /// The header of `entry` alone, if that is long enough to hold one.
    pub fn header_of(entry: &[u8]) -> Option<TxnHeader> {
        TxnHeader::read(&mut unlimited(entry)).ok()
    }

    /// The zxid.
    pub fn zxid(&self) -> Zxid {
        Zxid(self.header.zxid)
    }
}

impl<'a> TxnBody<'a> {
    /// Its type.
    pub fn op_code(&self) -> OpCode {
        match self {
            Self::Create(_) => OpCode::Create,
            Self::Create2(_) => OpCode::Create2,
            Self::CreateContainer(_) => OpCode::CreateContainer,
            Self::CreateTtl(_) => OpCode::CreateTtl,
            Self::Delete(_) => OpCode::Delete,
            Self::DeleteContainer(_) => OpCode::DeleteContainer,
            Self::SetData(_) => OpCode::SetData,
            Self::Reconfig(_) => OpCode::Reconfig,
            Self::SetAcl(_) => OpCode::SetAcl,
            Self::Check(_) => OpCode::Check,
            Self::Multi(_) => OpCode::Multi,
            Self::CreateSession(_) => OpCode::CreateSession,
            Self::CloseSession(_) => OpCode::CloseSession,
            Self::Error(_) => OpCode::Error,
        }
    }

    /// Reads the record of a transaction of type `kind`.
    fn read(kind: i32, reader: &mut Reader<'a>) -> Result<Self, TxnEntryError> {
        let op = OpCode::from_code(kind).ok_or(TxnEntryError::UnsupportedType(kind))?;
        let malformed = |source| TxnEntryError::Malformed { kind, source };
        match op {
            OpCode::CreateSession => Field::read(reader).map(Self::CreateSession),
            OpCode::CloseSession => read_close_session(reader).map(Self::CloseSession),
            OpCode::Reconfig => Field::read(reader).map(Self::Reconfig),
            OpCode::Multi => {
                let multi = MultiTxn::read(reader).map_err(malformed)?;
                let operations = multi.txns.iter().map(|txn| {
                    let null = JuteError::Null { offset: 0, what: "operation of a multi" };
                    let data = txn.data.ok_or(null).map_err(malformed)?;
                    Self::read_operation(txn.kind, &mut unlimited(data))
                });
                return operations.collect::<Result<_, _>>().map(Self::Multi);
            }
            OpCode::Create => read_create(reader).map(Self::Create),
            OpCode::SetAcl => Field::read(reader).map(Self::SetAcl),
            OpCode::Check => return Err(TxnEntryError::UnsupportedType(kind)),
            _ => return Self::read_operation(kind, reader),
        }
        .map_err(malformed)
    }

    /// Reads the record of an operation of type `kind` inside a multi.
    fn read_operation(kind: i32, reader: &mut Reader<'a>) -> Result<Self, TxnEntryError> {
        match OpCode::from_code(kind) {
            Some(OpCode::Create) => Field::read(reader).map(Self::Create),
            Some(OpCode::Create2) => Field::read(reader).map(Self::Create2),
            Some(OpCode::CreateContainer) => Field::read(reader).map(Self::CreateContainer),
            Some(OpCode::CreateTtl) => Field::read(reader).map(Self::CreateTtl),
            Some(OpCode::Delete) => Field::read(reader).map(Self::Delete),
            Some(OpCode::DeleteContainer) => Field::read(reader).map(Self::DeleteContainer),
            Some(OpCode::SetData) => Field::read(reader).map(Self::SetData),
            Some(OpCode::Check) => Field::read(reader).map(Self::Check),
            Some(OpCode::Error) => Field::read(reader).map(Self::Error),
            _ => return Err(TxnEntryError::UnsupportedType(kind)),
        }
        .map_err(|source| TxnEntryError::Malformed { kind, source })
    }
}

/// A length inside an entry is bounded by the entry alone: what was once admitted must load again,
/// whatever jute.maxbuffer says today (ZOOKEEPER-3496, ZOOKEEPER-4843).
fn unlimited(bytes: &[u8]) -> Reader<'_> {
    Reader::with_limit(bytes, bytes.len())
}

/// create, also as written before 3.4: the same record without its last field.
fn read_create<'a>(reader: &mut Reader<'a>) -> Result<CreateTxn<'a>, JuteError> {
    let start = reader.clone();
    CreateTxn::read(reader).or_else(|error| {
        *reader = start;
        let CreateTxnV0 { path, data, acl, ephemeral } =
            CreateTxnV0::read(reader).map_err(|_| error)?;
        Ok(CreateTxn { path, data, acl, ephemeral, parent_cversion: -1 })
    })
}

/// closeSession, whose list may be missing. A digest in its place is 12 bytes that begin with its
/// version, 2; read as a list they would be two empty paths, which do not exist.
fn read_close_session<'a>(
    reader: &mut Reader<'a>,
) -> Result<Option<CloseSessionTxn<'a>>, JuteError> {
    let rest = reader.rest();
    let is_digest = rest.len() == TxnEntry::DIGEST_BYTES && rest.starts_with(&[0, 0, 0, 2]);
    if rest.is_empty() || is_digest {
        return Ok(None);
    }
    CloseSessionTxn::read(reader).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;
    use jute::{Acl, Id};

    /// Bytes from hex; anything but hex digits is left out.
    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> =
            text.chars().filter_map(|c| c.to_digit(16)).map(|d| d as u8).collect();
        digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
    }

    fn anyone() -> Vec<Acl<'static>> {
        vec![Acl { perms: 31, id: Id { scheme: "world".into(), id: "anyone".into() } }]
    }

    #[test]
    fn an_entry_of_a_live_server_is_split() {
        let bytes = hex("0100000f39670000 00000001 0000000100000002 000001a1fc1c6412 00000001 \
             00000002 2f71 00000001 44 00000001 0000001f 00000005 776f726c64 00000006 616e796f6e65 \
             00 00000001 00000002 000000019d359887");
        let entry = TxnEntry::decode(&bytes).unwrap();
        assert_eq!(entry.zxid(), Zxid(0x1_0000_0002));
        assert_eq!(entry.digest, Some(TxnDigest { version: 2, tree_digest: 0x1_9d35_9887 }));
        let TxnBody::Create(create) = &entry.body else { panic!("{:?}", entry.body) };
        assert_eq!((create.path.as_ref(), create.data), ("/q", Some(&b"D"[..])));
        assert_eq!((&create.acl, create.parent_cversion), (&anyone(), 1));
    }

    #[test]
    fn a_multi_of_a_live_server_is_split_into_its_operations() {
        let bytes =
            hex("0100000f39670001 00000002 0000000100000006 000001a1fc2a14d8 0000000e 00000002 \
             00000001 0000002c 00000003 2f6d6d 00000001 78 00000001 0000001f 00000005 776f726c64 \
             00000006 616e796f6e65 00 00000002 \
             00000005 00000010 00000003 2f6d6d 00000001 79 00000001 00000002 00000000f38e9e61");
        let entry = TxnEntry::decode(&bytes).unwrap();
        let TxnBody::Multi(operations) = &entry.body else { panic!("{:?}", entry.body) };
        let codes: Vec<_> = operations.iter().map(TxnBody::op_code).collect();
        assert_eq!(codes, [OpCode::Create, OpCode::SetData]);
        assert_eq!(entry.digest.unwrap().tree_digest, 0xf38e_9e61);
    }

    #[test]
    fn an_error_has_no_digest() {
        let bytes =
            hex("0100000f39670001 00000001 0000000100000005 000001a1fc2a14cb ffffffff ffffff99");
        let entry = TxnEntry::decode(&bytes).unwrap();
        assert_eq!(entry.body, TxnBody::Error(ErrorTxn { err: -103 }));
        assert_eq!(entry.digest, None);
    }

    #[test]
    fn close_session_comes_with_and_without_list_and_digest() {
        let header = "0100000f39670000 00000000 0000000100000003 000001a1fc1c8ea7 fffffff5";
        let decode = |rest: &str| {
            let bytes = hex(&format!("{header} {rest}"));
            let entry = TxnEntry::decode(&bytes).unwrap();
            let TxnBody::CloseSession(list) = entry.body else { panic!() };
            (list.map(|list| list.paths2_delete.len()), entry.digest.is_some())
        };
        assert_eq!(decode(""), (None, false));
        assert_eq!(decode("00000002 000000019d359887"), (None, true));
        assert_eq!(decode("00000000"), (Some(0), false));
        assert_eq!(decode("00000000 00000002 000000019d359887"), (Some(0), true));
        assert_eq!(decode("00000001 00000003 2f6565 00000002 00000001485ca458"), (Some(1), true));
    }

    #[test]
    fn a_create_from_before_3_4_has_no_parent_version() {
        let header = TxnHeader { client_id: 1, cxid: 2, zxid: 3, time: 4, kind: 1 };
        let (path, data, acl) = ("/old".into(), Some(&b"x"[..]), anyone());
        let create = CreateTxnV0 { path, data, acl, ephemeral: false };
        let bytes = [header.to_vec(), create.to_vec()].concat();
        let entry = TxnEntry::decode(&bytes).unwrap();
        let TxnBody::Create(read) = entry.body else { panic!() };
        assert_eq!((read.path.as_ref(), read.parent_cversion), ("/old", -1));
    }

    #[test]
    fn what_may_not_stand_in_a_log_is_refused() {
        let entry = |kind| TxnHeader { client_id: 1, cxid: 2, zxid: 3, time: 4, kind }.to_vec();
        for kind in [4, 12, 13, 99] {
            let decoded = TxnEntry::decode(&entry(kind)).map(|entry| entry.header);
            assert_eq!(decoded, Err(TxnEntryError::UnsupportedType(kind)));
        }
        let truncated = entry(-10);
        assert!(matches!(
            TxnEntry::decode(&truncated),
            Err(TxnEntryError::Malformed { kind: -10, source: JuteError::Truncated { .. } })
        ));
        assert!(matches!(TxnEntry::decode(&truncated[..31]), Err(TxnEntryError::Header(_))));
    }
}
