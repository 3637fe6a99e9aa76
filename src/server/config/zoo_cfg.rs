//! A `zoo.cfg` as text and as settings, in the grammar of [`properties`], with the number of each
//! setting's first line kept for error messages. Bytes are Latin-1, as Java reads them; other
//! characters are written `\uXXXX`.

use std::path::Path;
use std::sync::Arc;

use super::error::{ConfigError, Origin};
use crate::proto::properties;
pub use crate::proto::properties::PropertyLine as CfgLine;

/// No configuration file is longer than this; a longer one is a mistake in the path.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// A configuration file as text and as settings in file order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZooCfg {
    /// The file's name as it was given.
    pub file: Arc<Path>,
    /// The whole text (`QuorumPeerConfig.initialConfig`).
    pub text: String,
    /// Every setting, duplicates included.
    pub lines: Vec<CfgLine>,
}

impl ZooCfg {
    /// Reads and parses a file.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let fix = "check the path and its permissions";
        let unreadable = |source| ConfigError::Unreadable { path: path.to_path_buf(), source, fix };
        let length = std::fs::metadata(path).map_err(unreadable)?.len();
        if length > FILE_BYTES_MAX {
            return Err(ConfigError::Invalid {
                place: path.display().to_string(),
                problem: format!("{length} bytes are too many for a configuration file"),
                fix: "give the path of a zoo.cfg".to_owned(),
            });
        }
        Self::parse(path, &std::fs::read(path).map_err(unreadable)?)
    }

    /// Parses the bytes of a file; the only possible mistake is a malformed `\uXXXX`.
    pub fn parse(file: &Path, bytes: &[u8]) -> Result<Self, ConfigError> {
        let file: Arc<Path> = Arc::from(file);
        let latin1: String = bytes.iter().map(|&byte| char::from(byte)).collect();
        let lines = properties::parse(&latin1).map_err(|error| ConfigError::Refused {
            at: Origin::Line { file: file.clone(), line: error.line },
            problem: "\\u is not followed by four hexadecimal digits".to_owned(),
            fix: "write for example \\u00e9, or \\\\u for a backslash and a u".to_owned(),
        })?;
        let text = String::from_utf8_lossy(bytes).into_owned();
        Ok(Self { file, text, lines })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_latin1_as_java_reads_them() {
        let cfg = ZooCfg::parse(Path::new("zoo.cfg"), b"dataDir=/\xc3\xa9").unwrap();
        assert_eq!(cfg.lines[0].value, "/\u{c3}\u{a9}");
        assert_eq!(cfg.text, "dataDir=/\u{e9}");
    }

    #[test]
    fn a_malformed_unicode_escape_names_its_line() {
        let error =
            ZooCfg::parse(Path::new("conf/zoo.cfg"), b"a=1\n\nb=x\\\ny\\u12g4").unwrap_err();
        assert!(error.to_string().starts_with("conf/zoo.cfg:4: \\u is not"), "{error}");
    }
}
