//! An encoder of requests: Jute's primitives, and every way to get them wrong.

/// The bytes of a request, built field by field in wire order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Body(Vec<u8>);

impl Body {
    /// No bytes yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// One byte as it is; Jute's boolean is 0 or 1.
    pub fn byte(mut self, value: u8) -> Self {
        self.0.push(value);
        self
    }

    /// Four bytes.
    pub fn int(mut self, value: i32) -> Self {
        self.0.extend(value.to_be_bytes());
        self
    }

    /// Eight bytes.
    pub fn long(mut self, value: i64) -> Self {
        self.0.extend(value.to_be_bytes());
        self
    }

    /// A buffer or a ustring of these bytes, which need not be UTF-8; `None` is null.
    pub fn bytes(self, value: Option<&[u8]>) -> Self {
        match value {
            None => self.int(-1),
            Some(bytes) => {
                let length = i32::try_from(bytes.len()).expect("a test value below 2 GiB");
                self.int(length).raw(bytes)
            }
        }
    }

    /// A ustring.
    pub fn text(self, value: &str) -> Self {
        self.bytes(Some(value.as_bytes()))
    }

    /// Bytes without a length.
    pub fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    /// What was built.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}
