//! The clocks of the operating system, as the engine is told of them.

use std::sync::OnceLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::engine::Now;
use crate::proto::Millis;

/// Milliseconds of a clock that only goes forward, since the process first asked.
pub fn monotonic_ms() -> Millis {
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed().as_millis() as Millis
}

/// Milliseconds since 1970.
pub fn wall_ms() -> Millis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as Millis)
}

/// Both.
pub fn now() -> Now {
    Now { monotonic: monotonic_ms(), wall: wall_ms() }
}
