//! Writes one snapshot file (`FileSnap.serialize`, `SnapStream.sealStream`).
//!
//! It is written under a temporary name and gets its own only when it is complete, so a snapshot
//! that a crash or a full disk cut off is never taken for one; Apache leaves such a file behind and
//! finds out when it loads. The temporary name begins with `tmp.` and not with `snapshot.`, because
//! Apache would take `snapshot.1.tmp` for a snapshot.

use std::path::{Path, PathBuf};

use byteorder::{BigEndian, ByteOrder};
use jute::{Field, Ustring};

use super::checksum::RunningChecksum;
use super::snap_stream::SnapOutput;
use super::snapshot_format::{SLASH, SNAPSHOT_HEADER};
use super::{
    Compression, DataFile, Disk, DiskFile, OsDisk, SnapshotError, SnapshotTail, TEMPORARY_PREFIX,
    snapshot_name,
};
use crate::proto::Zxid;

/// A snapshot while it is written. Dropped before [`SnapshotWriter::finish`], it leaves nothing.
pub struct SnapshotWriter<D: Disk = OsDisk> {
    disk: D,
    /// `None` once it is finished.
    out: Option<SnapOutput<D::File>>,
    checksum: RunningChecksum,
    path: PathBuf,
    temporary: PathBuf,
    zxid: Zxid,
    fsync: bool,
    bytes: u64,
}

impl<D: Disk> SnapshotWriter<D> {
    /// Begins the snapshot of the tree after `zxid` in `dir`, the version-2 directory. With `fsync`
    /// it is durable when it is finished, as one received from a leader must be.
    pub fn create(
        disk: &D,
        dir: &Path,
        zxid: Zxid,
        compression: Compression,
        fsync: bool,
    ) -> Result<Self, SnapshotError> {
        let name = snapshot_name(zxid, compression);
        let path = dir.join(&name);
        let temporary = dir.join(format!("{TEMPORARY_PREFIX}{name}"));
        let out = disk
            .create(&temporary)
            .and_then(|file| SnapOutput::new(file, compression))
            .map_err(SnapshotError::io("create", &temporary))?;
        let checksum = RunningChecksum::new();
        let disk = disk.clone();
        let mut writer =
            Self { disk, out: Some(out), checksum, path, temporary, zxid, fsync, bytes: 0 };
        writer.write(&SNAPSHOT_HEADER)?;
        Ok(writer)
    }

    /// Appends a part of the body, of any length.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), SnapshotError> {
        self.checksum.update(bytes);
        self.bytes += bytes.len() as u64;
        let out = self.out.as_mut().expect("finish takes the writer");
        out.write_all(bytes).map_err(SnapshotError::io("write", &self.temporary))
    }

    /// Bytes written so far, before compression.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Seals the body, appends the parts of `tail` that are there, and gives the file its name.
    pub fn finish(mut self, tail: &SnapshotTail) -> Result<DataFile, SnapshotError> {
        self.seal()?;
        if let Some(digest) = &tail.digest {
            let mut part = Vec::with_capacity(20);
            digest.zxid.0.write(&mut part);
            digest.version.write(&mut part);
            match digest.version {
                ..2 => Ustring::from(format!("{:x}", digest.digest)).write(&mut part),
                _ => digest.digest.write(&mut part),
            }
            self.write(&part)?;
            self.seal()?;
        }
        if let Some(zxid) = tail.last_processed {
            self.write(&zxid.0.to_be_bytes())?;
            self.seal()?;
        }
        let out = self.out.take().expect("finish takes the writer");
        let file = out.finish().map_err(SnapshotError::io("write", &self.temporary));
        let named = file.and_then(|file| self.give_name(&file));
        if named.is_err() {
            self.discard();
        }
        named.map(|()| DataFile { path: self.path.clone(), zxid: self.zxid })
    }

    /// Appends the checksum of everything before it, earlier seals included.
    fn seal(&mut self) -> Result<(), SnapshotError> {
        let mut seal = [0; 13];
        BigEndian::write_i64(&mut seal, self.checksum.value());
        seal[8..].copy_from_slice(&SLASH);
        self.write(&seal)
    }

    fn give_name(&self, file: &D::File) -> Result<(), SnapshotError> {
        if self.fsync {
            file.sync_data().map_err(SnapshotError::io("flush", &self.temporary))?;
        }
        self.disk
            .rename(&self.temporary, &self.path)
            .map_err(SnapshotError::io("rename", &self.temporary))?;
        if self.fsync {
            let named = self.disk.sync_parent(&self.path);
            named.map_err(SnapshotError::io("flush the directory of", &self.path))?;
        }
        Ok(())
    }

    /// Removes the temporary file; an error here adds nothing to the one that came before.
    fn discard(&self) {
        let _ = self.disk.remove(&self.temporary);
    }
}

impl<D: Disk> Drop for SnapshotWriter<D> {
    fn drop(&mut self) {
        if self.out.take().is_some() {
            self.discard();
        }
    }
}
