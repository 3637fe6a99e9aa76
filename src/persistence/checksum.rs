//! Adler-32, the checksum of log entries and snapshots (`java.util.zip.Adler32`).

/// The checksum of one log entry, widened to the long it is stored as.
pub(crate) fn adler32(bytes: &[u8]) -> i64 {
    i64::from(simd_adler32::adler32(&bytes))
}

/// A checksum that runs on over everything that passes, as `CheckedOutputStream` keeps it.
#[derive(Clone)]
pub(crate) struct RunningChecksum(simd_adler32::Adler32);

impl RunningChecksum {
    /// The checksum of nothing, 1.
    pub(crate) fn new() -> Self {
        Self(simd_adler32::Adler32::new())
    }

    /// Takes in more bytes.
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.0.write(bytes);
    }

    /// The checksum of all bytes so far.
    pub(crate) fn value(&self) -> i64 {
        i64::from(self.0.finish())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_adler_32_of_zlib() {
        assert_eq!(adler32(b"Wikipedia"), 0x11e6_0398);
        assert_eq!(adler32(b""), 1);
    }

    #[test]
    fn it_runs_on_over_pieces() {
        let mut running = RunningChecksum::new();
        running.update(b"Wiki");
        running.update(b"pedia");
        assert_eq!(running.value(), adler32(b"Wikipedia"));
    }
}
