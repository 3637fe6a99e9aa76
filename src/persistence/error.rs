//! What can go wrong with the transaction log: every error names the file, and what to do where
//! that is not plain.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::proto::TxnEntryError;

/// Why the transaction log could not be written or read.
#[derive(Debug, Error)]
pub enum LogError {
    /// The operating system refused.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried, such as `flush`.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// No room for more transactions. Nothing of the refused batch was written.
    #[error(
        "no space left for the transaction log: {wanted_bytes} more bytes are needed in {} \
         ({source}); free space on that disk (`gamekeeper purge` removes old snapshots and logs) \
         and start again",
        path.display()
    )]
    DiskFull {
        /// The log file.
        path: PathBuf,
        /// Bytes that could not be reserved.
        wanted_bytes: u64,
        /// What the system said.
        source: io::Error,
    },
    /// An earlier write or flush failed, so nothing more is written: what would follow it could be
    /// acknowledged and yet lie behind a hole.
    #[error("the transaction log is closed since an earlier failure: {cause}")]
    Poisoned {
        /// The first failure.
        cause: String,
    },
    /// A file named like a log that does not begin like one.
    #[error("{} is not a transaction log: {reason}", path.display())]
    NotALog {
        /// The file.
        path: PathBuf,
        /// What is wrong with its first bytes.
        reason: String,
    },
    /// Damage that is not the unfinished end of the last write.
    #[error(
        "{} is corrupt at byte {offset}: {reason}; transactions behind it would be lost, so \
         nothing is loaded. Restore the file from another server or a backup, or cut it there with \
         zkTxnLogToolkit.sh",
        path.display()
    )]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// Where the damaged record begins.
        offset: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// A record with the right checksum that holds no transaction.
    #[error("{} holds an entry at byte {offset} that cannot be read: {source}", path.display())]
    BadEntry {
        /// The file.
        path: PathBuf,
        /// Where its record begins.
        offset: u64,
        /// What is wrong with it.
        source: TxnEntryError,
    },
}

impl LogError {
    /// Whether what was read is wrong; nothing was refused.
    pub fn is_damage(&self) -> bool {
        matches!(self, Self::NotALog { .. } | Self::Corrupt { .. } | Self::BadEntry { .. })
    }

    /// Names the file and what was tried with it.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { action, path: path.to_owned(), source }
    }
}
