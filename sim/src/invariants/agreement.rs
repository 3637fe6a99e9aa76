//! Servers deliver the same transactions (agreement of the Zab paper, Agreement of the TLA+
//! specification): the log of a server that serves holds, up to what it has applied, what was
//! delivered, byte for byte, and nothing else.

use gamekeeper::proto::Zxid;

use crate::history::Record;
use crate::reference::Reference;
use crate::violation::{Verdict, Violation, require};

/// Compares the log of a server in (`after`, `up_to`].
pub fn check(
    server: usize,
    log: &[Record],
    after: Zxid,
    up_to: Zxid,
    reference: &Reference,
) -> Verdict {
    let mut last: Option<&Record> = None;
    let start = log.partition_point(|record| record.zxid <= after);
    for record in log[start.saturating_sub(1)..].iter().take_while(|r| r.zxid <= up_to) {
        let Some(delivered) = reference.get(record.zxid) else {
            let text = format!("server {server} has logged 0x{}, never delivered", record.zxid);
            return Err(Violation::new("agreement", text));
        };
        require(delivered.entry == record.entry, "agreement", || {
            format!("server {server} has logged another 0x{} than was delivered", record.zxid)
        })?;
        require(last.is_none_or(|last| record.zxid.may_follow(last.zxid)), "agreement", || {
            format!("the log of server {server} has a hole before 0x{}", record.zxid)
        })?;
        last = Some(record);
    }
    Ok(())
}
