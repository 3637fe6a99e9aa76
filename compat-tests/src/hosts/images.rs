//! The images of the servers: what a variable names, else what `compat-tests/images.sh` builds.

use std::collections::HashMap;
use std::env;
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use crate::cache::crate_dir;
use crate::server::{ServerUnderTest, gamekeeper_binary};

/// The image of a kind of server, or why there is none. `COMPAT_IMAGE_GAMEKEEPER`,
/// `COMPAT_IMAGE_APACHE_3_9_3` and `COMPAT_IMAGE_APACHE_3_9` (for all of 3.9) name others.
pub fn image_of(kind: ServerUnderTest) -> Result<String, String> {
    if let Some(image) = variables(kind).iter().find_map(|name| env::var(name).ok()) {
        return Ok(image);
    }
    let image = match kind {
        ServerUnderTest::Gamekeeper => "gamekeeper:local".to_owned(),
        ServerUnderTest::Apache(release) => format!("zookeeper:{release}-local"),
    };
    static BUILT: Mutex<Option<HashMap<String, Result<(), String>>>> = Mutex::new(None);
    // One build at a time; those that wait find it done.
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    let built = built.get_or_insert_default();
    built.entry(image.clone()).or_insert_with(|| build(&image)).clone().map(|()| image)
}

/// The variables that may name an image of this kind, the narrowest first.
fn variables(kind: ServerUnderTest) -> Vec<String> {
    match kind {
        ServerUnderTest::Gamekeeper => vec!["COMPAT_IMAGE_GAMEKEEPER".into()],
        ServerUnderTest::Apache(release) => {
            let name = |release: &str| format!("COMPAT_IMAGE_APACHE_{}", release.replace('.', "_"));
            let minor = release.rsplit_once('.').map_or(release, |(minor, _)| minor);
            vec![name(release), name(minor)]
        }
    }
}

fn build(image: &str) -> Result<(), String> {
    let built = Command::new(crate_dir().join("images.sh"))
        .arg(image)
        .env("GAMEKEEPER_BIN", gamekeeper_binary())
        .output()
        .map_err(|error| error.to_string())?;
    if built.status.success() {
        return Ok(());
    }
    let errors = String::from_utf8_lossy(&built.stderr);
    let last = errors.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
    Err(format!("compat-tests/images.sh {image}: {last}"))
}
