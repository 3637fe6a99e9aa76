//! Where the real parts are: the cache folder that `compat-tests/setup` fills.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The folder of this crate, with its scripts, programs and expected transcripts.
pub fn crate_dir() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The workspace's build folder.
pub fn target_dir() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    target.unwrap_or_else(|| crate_dir().with_file_name("target"))
}

/// The filled cache folder; the first call runs `compat-tests/setup`, which is quick when it has
/// nothing to do. `COMPAT_CACHE` names another folder than `target/compat`.
pub fn cache_dir() -> &'static Path {
    static CACHE: OnceLock<PathBuf> = OnceLock::new();
    CACHE.get_or_init(|| {
        let cache = std::env::var_os("COMPAT_CACHE").map(PathBuf::from);
        let cache = cache.unwrap_or_else(|| crate_dir().with_file_name("target").join("compat"));
        let setup = Command::new(crate_dir().join("setup"))
            .env("COMPAT_CACHE", &cache)
            .output()
            .expect("compat-tests/setup can be run");
        assert!(
            setup.status.success(),
            "compat-tests/setup failed:\n{}",
            String::from_utf8_lossy(&setup.stderr)
        );
        cache
    })
}
