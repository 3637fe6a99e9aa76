//! createSession: what a connect request of a new session becomes.

use jute::CreateSessionTxn;

use super::prep::write_txn;

/// Writes the transaction; the timeout is in milliseconds.
pub fn prep(timeout_ms: i32, out: &mut Vec<u8>) {
    write_txn(out, &CreateSessionTxn { time_out: timeout_ms });
}
