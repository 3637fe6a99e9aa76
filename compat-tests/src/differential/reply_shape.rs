//! How replies are laid out, and their decoding into [`Value`]s. The layouts are written here a
//! second time, apart from the server's records, so that the two check each other.

use super::Normaliser;
use super::value::Value;

/// The layout of a reply's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplyShape {
    /// No body.
    Empty,
    /// `CreateResponse`, `SyncResponse`, `SetSASLResponse`: one ustring or buffer.
    Bytes,
    /// `Create2Response`.
    BytesAndStat,
    /// `ExistsResponse`, `SetDataResponse`, `SetACLResponse`.
    Stat,
    /// `GetACLResponse`.
    AclAndStat,
    /// `GetChildrenResponse`, `GetEphemeralsResponse`: names in no order.
    Names,
    /// `GetChildren2Response`.
    NamesAndStat,
    /// `ErrorResponse`, `GetAllChildrenNumberResponse`.
    Int,
    /// `WhoAmIResponse`: identities in no order.
    Identities,
    /// `MultiResponse`.
    Multi,
}

impl ReplyShape {
    /// The layout of the answer to a successful request.
    pub fn of_opcode(opcode: i32) -> Self {
        match opcode {
            1 | 9 | 102 => Self::Bytes,
            15 | 16 | 19 | 21 | 4 => Self::BytesAndStat,
            3 | 5 | 7 => Self::Stat,
            6 => Self::AclAndStat,
            8 | 103 => Self::Names,
            12 => Self::NamesAndStat,
            14 | 22 => Self::Multi,
            104 | 106 => Self::Int,
            107 => Self::Identities,
            _ => Self::Empty,
        }
    }
}

/// A cursor that decodes, and puts what does not fit into [`Value::Surplus`].
pub(super) struct Decoder<'a> {
    rest: &'a [u8],
    normaliser: &'a mut Normaliser,
}

/// The body ended inside a value.
struct Short;

type Decoded = Result<Value, Short>;

impl<'a> Decoder<'a> {
    /// A decoder of these bytes.
    pub(super) fn new(bytes: &'a [u8], normaliser: &'a mut Normaliser) -> Self {
        Self { rest: bytes, normaliser }
    }

    /// A reply or notification: its header and, as laid out, its body.
    pub(super) fn reply(mut self, shape: ReplyShape) -> Value {
        let mut fields = Vec::new();
        let decoded = self.header_and_body(shape, &mut fields);
        self.finish(decoded, fields)
    }

    /// A connect response.
    pub(super) fn connect_response(mut self) -> Value {
        let mut fields = Vec::new();
        let decoded = self.connect_fields(&mut fields);
        self.finish(decoded, fields)
    }

    fn finish(self, decoded: Result<(), Short>, mut fields: Vec<(&'static str, Value)>) -> Value {
        if decoded.is_err() || !self.rest.is_empty() {
            fields.push(("surplus", Value::Surplus(self.rest.to_vec())));
        }
        Value::Record(fields)
    }

    fn header_and_body(
        &mut self,
        shape: ReplyShape,
        fields: &mut Vec<(&'static str, Value)>,
    ) -> Result<(), Short> {
        let xid = self.int()?;
        fields.push(("xid", xid.clone()));
        fields.push(("zxid", self.long()?));
        let err = self.int()?;
        fields.push(("err", err.clone()));
        if xid == Value::Int(-1) {
            fields.push(("type", self.int()?));
            fields.push(("state", self.int()?));
            fields.push(("path", self.bytes()?));
            return Ok(());
        }
        if err != Value::Int(0) && self.rest.is_empty() {
            return Ok(());
        }
        match shape {
            ReplyShape::Empty => {}
            ReplyShape::Bytes => fields.push(("value", self.bytes()?)),
            ReplyShape::BytesAndStat => {
                fields.push(("value", self.bytes()?));
                fields.push(("stat", self.stat()?));
            }
            ReplyShape::Stat => fields.push(("stat", self.stat()?)),
            ReplyShape::AclAndStat => {
                fields.push(("acl", self.list(Self::acl)?));
                fields.push(("stat", self.stat()?));
            }
            ReplyShape::Names => fields.push(("names", self.names()?)),
            ReplyShape::NamesAndStat => {
                fields.push(("names", self.names()?));
                fields.push(("stat", self.stat()?));
            }
            ReplyShape::Int => fields.push(("value", self.int()?)),
            ReplyShape::Identities => fields.push(("ids", self.list(Self::identity)?.sorted())),
            ReplyShape::Multi => self.multi(fields)?,
        }
        Ok(())
    }

    fn multi(&mut self, fields: &mut Vec<(&'static str, Value)>) -> Result<(), Short> {
        loop {
            let (kind, done, err) = (self.int()?, self.byte()?, self.int()?);
            let mut result = vec![("type", kind.clone()), ("done", done.clone()), ("err", err)];
            if done != Value::Byte(0) {
                fields.push(("end", Value::Record(result)));
                return Ok(());
            }
            match kind {
                Value::Int(1) => result.push(("path", self.bytes()?)),
                Value::Int(15 | 4) => {
                    result.push(("value", self.bytes()?));
                    result.push(("stat", self.stat()?));
                }
                Value::Int(5) => result.push(("stat", self.stat()?)),
                Value::Int(8) => result.push(("names", self.names()?)),
                Value::Int(-1) => result.push(("code", self.int()?)),
                _ => {}
            }
            fields.push(("result", Value::Record(result)));
        }
    }

    fn connect_fields(&mut self, fields: &mut Vec<(&'static str, Value)>) -> Result<(), Short> {
        fields.push(("protocol", self.int()?));
        fields.push(("timeout", self.int()?));
        let session = self.raw_long()?;
        fields.push(("session", self.normaliser.granted_session(session)));
        let password = self.raw_bytes()?;
        fields.push(("password", self.normaliser.password(session, password)));
        if !self.rest.is_empty() {
            fields.push(("read_only", self.byte()?));
        }
        Ok(())
    }

    fn stat(&mut self) -> Decoded {
        let (czxid, mzxid) = (self.raw_long()?, self.raw_long()?);
        let (ctime, mtime) = (self.raw_long()?, self.raw_long()?);
        Ok(Value::Record(vec![
            ("czxid", Value::Long(czxid)),
            ("mzxid", Value::Long(mzxid)),
            ("ctime", self.normaliser.time(czxid, ctime)),
            ("mtime", self.normaliser.time(mzxid, mtime)),
            ("version", self.int()?),
            ("cversion", self.int()?),
            ("aversion", self.int()?),
            ("owner", {
                let owner = self.raw_long()?;
                self.normaliser.session(owner)
            }),
            ("length", self.int()?),
            ("children", self.int()?),
            ("pzxid", self.long()?),
        ]))
    }

    fn acl(&mut self) -> Decoded {
        let perms = self.int()?;
        Ok(Value::Record(vec![("perms", perms), ("id", self.identity()?)]))
    }

    fn identity(&mut self) -> Decoded {
        let scheme = self.bytes()?;
        Ok(Value::Record(vec![("scheme", scheme), ("id", self.bytes()?)]))
    }

    fn names(&mut self) -> Decoded {
        Ok(self.list(Self::bytes)?.sorted())
    }

    fn list(&mut self, element: impl Fn(&mut Self) -> Decoded) -> Decoded {
        let start = self.rest;
        let Value::Int(count) = self.int()? else { unreachable!("int() gives an int") };
        let elements = (0..count).map(|_| element(self)).collect::<Result<Vec<_>, _>>();
        match elements {
            Ok(elements) if count >= 0 => Ok(Value::List(Some(elements))),
            Ok(_) if count == -1 => Ok(Value::List(None)),
            _ => {
                self.rest = start;
                Err(Short)
            }
        }
    }

    fn bytes(&mut self) -> Decoded {
        Ok(Value::Bytes(self.raw_bytes()?.map(<[u8]>::to_vec)))
    }

    fn byte(&mut self) -> Decoded {
        Ok(Value::Byte(self.take::<1>()?[0]))
    }

    fn int(&mut self) -> Decoded {
        Ok(Value::Int(i32::from_be_bytes(self.take()?)))
    }

    fn long(&mut self) -> Decoded {
        Ok(Value::Long(self.raw_long()?))
    }

    fn raw_long(&mut self) -> Result<i64, Short> {
        Ok(i64::from_be_bytes(self.take()?))
    }

    fn raw_bytes(&mut self) -> Result<Option<&'a [u8]>, Short> {
        let start = self.rest;
        let length = i32::from_be_bytes(self.take()?);
        match usize::try_from(length) {
            Ok(length) if length <= self.rest.len() => {
                let (taken, rest) = self.rest.split_at(length);
                self.rest = rest;
                Ok(Some(taken))
            }
            Err(_) if length == -1 => Ok(None),
            _ => {
                self.rest = start;
                Err(Short)
            }
        }
    }

    fn take<const COUNT: usize>(&mut self) -> Result<[u8; COUNT], Short> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(Short)?;
        self.rest = rest;
        Ok(*taken)
    }
}

impl Value {
    /// A list whose order means nothing, in one order.
    fn sorted(mut self) -> Self {
        if let Self::List(Some(values)) = &mut self {
            values.sort();
        }
        self
    }
}
