//! What differs from one server to the next and must be told apart from what may not: session ids,
//! their passwords, and times.
//!
//! * A session id is replaced by the order in which the server gave it out.
//! * A password must be the one that `SessionTrackerImpl` and `ZooKeeperServer.generatePasswd`
//!   would give that id; the replies then say only that it was.
//! * A time must lie within the run, and all stats must give the same time for the same zxid.

use std::collections::HashMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::value::Value;

/// How far a server's clock may be from the harness's, in milliseconds: they run on one machine.
const CLOCK_SLACK_MS: i64 = 2_000;

/// XORed with a session id it seeds the generator of its password (`ZooKeeperServer.superSecret`).
const PASSWORD_SECRET: i64 = 0xB341_5C00;

/// The ids and times of one server's run.
#[derive(Debug)]
pub struct Normaliser {
    started_ms: i64,
    sessions: HashMap<i64, usize>,
    times: HashMap<i64, i64>,
}

impl Default for Normaliser {
    fn default() -> Self {
        Self { started_ms: now_ms(), sessions: HashMap::new(), times: HashMap::new() }
    }
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    i64::try_from(since.as_millis()).expect("a clock before the year 292 million")
}

impl Normaliser {
    /// A session id that a connect response carries.
    pub(super) fn granted_session(&mut self, id: i64) -> Value {
        if id != 0 {
            let next = self.sessions.len();
            self.sessions.entry(id).or_insert(next);
        }
        self.session(id)
    }

    /// A session id anywhere else.
    pub(super) fn session(&self, id: i64) -> Value {
        match self.sessions.get(&id) {
            Some(ordinal) => Value::Symbol(format!("session {ordinal}")),
            None => Value::Long(id),
        }
    }

    /// The password next to a session id.
    pub(super) fn password(&self, session: i64, password: Option<&[u8]>) -> Value {
        if password == Some(&password_of(session)) {
            return Value::Symbol("derived from the id".into());
        }
        Value::Bytes(password.map(<[u8]>::to_vec))
    }

    /// A time in a stat, next to the zxid of the change that it belongs to.
    pub(super) fn time(&mut self, zxid: i64, time_ms: i64) -> Value {
        if time_ms == 0 {
            return Value::Long(0);
        }
        let expected = *self.times.entry(zxid).or_insert(time_ms);
        let run = self.started_ms - CLOCK_SLACK_MS..=now_ms() + CLOCK_SLACK_MS;
        Value::Symbol(if expected != time_ms {
            format!("NOT the time of zxid {zxid} seen before")
        } else if run.contains(&time_ms) {
            format!("time of zxid {zxid}")
        } else {
            "a time outside of the run".into()
        })
    }
}

/// Sixteen bytes of `java.util.Random` seeded with the id and the secret.
fn password_of(session: i64) -> [u8; 16] {
    const MASK: u64 = (1 << 48) - 1;
    let mut state = ((session ^ PASSWORD_SECRET) as u64 ^ 0x5_DEEC_E66D) & MASK;
    let mut password = [0; 16];
    for chunk in password.chunks_mut(4) {
        state = (state.wrapping_mul(0x5_DEEC_E66D) + 0xB) & MASK;
        chunk.copy_from_slice(&((state >> 16) as u32).to_le_bytes());
    }
    password
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_derived_as_a_running_server_derived_it() {
        let live = 0xf8d5_0337_251c_14fc_9605_f615_766d_af32_u128;
        assert_eq!(password_of(0x0100_000f_34a6_0000), live.to_be_bytes());
    }

    #[test]
    fn one_zxid_has_one_time() {
        let mut normaliser = Normaliser::default();
        let now = now_ms();
        let first = normaliser.time(7, now);
        assert_eq!(normaliser.time(7, now), first);
        assert_ne!(normaliser.time(7, now + 1), first);
        assert_ne!(normaliser.time(8, now - 1_000_000), normaliser.time(8, 0));
    }
}
