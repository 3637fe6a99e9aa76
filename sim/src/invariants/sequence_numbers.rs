//! The number of a sequential node is larger than that of every sequential node before it below the
//! same parent ("the value of the counter is never smaller than the value in the name of any other
//! sequential znode ever created under p", the ZooKeeper paper).

use gamekeeper::proto::Zxid;

use crate::violation::{Verdict, require};

/// The last number given out.
#[derive(Debug, Default)]
pub struct Sequences(Option<u32>);

impl Sequences {
    /// A node was created.
    pub fn created(&mut self, path: &str, zxid: Zxid) -> Verdict {
        let Some(number) = path.strip_prefix("/s/n") else { return Ok(()) };
        let Ok(number) = number.parse() else {
            return require(false, "sequence_numbers", || format!("0x{zxid} creates {path}"));
        };
        let last = self.0.replace(number);
        require(last.is_none_or(|last| last < number), "sequence_numbers", || {
            format!("0x{zxid} creates {path} after number {last:?}")
        })
    }
}
