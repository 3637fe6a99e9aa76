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
        fill(&cache, "setup");
        cache
    })
}

/// The folder of the clients that only the matrix drives; the first call runs
/// `compat-tests/setup-clients`.
pub fn clients_dir() -> &'static Path {
    static CLIENTS: OnceLock<PathBuf> = OnceLock::new();
    CLIENTS.get_or_init(|| {
        fill(cache_dir(), "setup-clients");
        cache_dir().join("clients")
    })
}

fn fill(cache: &Path, script: &str) {
    let setup = Command::new(crate_dir().join(script))
        .env("COMPAT_CACHE", cache)
        .output()
        .unwrap_or_else(|e| panic!("compat-tests/{script}: {e}"));
    assert!(
        setup.status.success(),
        "compat-tests/{script} failed:\n{}",
        String::from_utf8_lossy(&setup.stderr)
    );
}
