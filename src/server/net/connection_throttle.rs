//! Limits how fast connections may ask for sessions (`BlueThrottle`): a bucket of tokens, and,
//! where it is on, random dropping that begins before the bucket is empty for good (the BLUE
//! algorithm).

use parking_lot::Mutex;

use crate::proto::{Millis, SessionId};
use crate::server::config::ConnectionThrottleConfig;

/// The throttle.
#[derive(Debug)]
pub struct ConnectionThrottle {
    config: ConnectionThrottleConfig,
    /// Tokens that a new session costs, where costs differ.
    new_session_weight: i32,
    bucket: Mutex<Bucket>,
}

#[derive(Debug)]
struct Bucket {
    tokens: i64,
    filled_at: Millis,
    /// When the probability last had a chance to change.
    frozen_at: Millis,
    drop_probability: f64,
    random: fastrand::Rng,
}

impl ConnectionThrottle {
    /// A throttle with a full bucket at `now`, where new sessions are local or not; `seed` decides
    /// who is dropped at random.
    pub fn new(
        config: ConnectionThrottleConfig,
        are_sessions_local: bool,
        now: Millis,
        seed: u64,
    ) -> Self {
        let new_session_weight = match are_sessions_local {
            true => config.local_session_weight,
            false => config.global_session_weight,
        };
        let bucket = Bucket {
            tokens: i64::from(config.max_tokens),
            filled_at: now,
            frozen_at: now,
            drop_probability: 0.0,
            random: fastrand::Rng::with_seed(seed),
        };
        Self { config, new_session_weight, bucket: Mutex::new(bucket) }
    }

    /// Takes the tokens that a connect request for this session costs, 0 for a new one. Returns how
    /// many the bucket then lacks; none if the connection is to be closed.
    pub fn take(&self, session: SessionId, now: Millis) -> Option<i64> {
        let config = &self.config;
        if config.max_tokens == 0 {
            return Some(0);
        }
        let need = match (config.weight_enabled, session == SessionId(0)) {
            (false, _) => 1,
            (true, true) => self.new_session_weight,
            (true, false) => config.renew_session_weight,
        };
        let bucket = &mut *self.bucket.lock();
        bucket.refill(config, now);
        let is_dropped = config.freeze_time_ms != -1 && bucket.drops(config, now);
        if is_dropped || bucket.tokens < i64::from(need) {
            return None;
        }
        bucket.tokens -= i64::from(need);
        Some(i64::from(config.max_tokens) - bucket.tokens)
    }

    /// How likely a connection is dropped at random.
    pub fn drop_probability(&self) -> f64 {
        self.bucket.lock().drop_probability
    }
}

impl Bucket {
    fn refill(&mut self, config: &ConnectionThrottleConfig, now: Millis) {
        let passed = now - self.filled_at;
        if passed > Millis::from(config.fill_time_ms) {
            let fills = passed.saturating_mul(config.fill_count.into());
            let more = fills / Millis::from(config.fill_time_ms.max(1));
            self.tokens = self.tokens.saturating_add(more).min(config.max_tokens.into());
            self.filled_at = now;
        }
    }

    /// Whether chance is against a connection (`BlueThrottle.checkBlue`).
    fn drops(&mut self, config: &ConnectionThrottleConfig, now: Millis) -> bool {
        let lacking = i64::from(config.max_tokens) - self.tokens;
        let few = (f64::from(config.max_tokens) * config.decrease_ratio).round() as i64;
        if now - self.frozen_at > Millis::from(config.freeze_time_ms) {
            if self.tokens == 0 && self.drop_probability < 1.0 {
                self.drop_probability = (self.drop_probability + config.drop_increase).min(1.0);
            } else if lacking <= few && self.drop_probability > 0.0 {
                self.drop_probability = (self.drop_probability - config.drop_decrease).max(0.0);
            }
            self.frozen_at = now;
        }
        self.random.f64() < self.drop_probability
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEW: SessionId = SessionId(0);

    fn config(max_tokens: i32) -> ConnectionThrottleConfig {
        ConnectionThrottleConfig {
            max_tokens,
            fill_time_ms: 10,
            fill_count: 2,
            freeze_time_ms: -1,
            drop_increase: 0.5,
            drop_decrease: 0.5,
            decrease_ratio: 0.0,
            weight_enabled: false,
            global_session_weight: 3,
            local_session_weight: 1,
            renew_session_weight: 2,
        }
    }

    #[test]
    fn without_tokens_there_is_no_throttle() {
        let throttle = ConnectionThrottle::new(config(0), false, 0, 0);
        assert!((0..100).all(|_| throttle.take(NEW, 0) == Some(0)));
    }

    #[test]
    fn tokens_run_out_and_come_back() {
        let throttle = ConnectionThrottle::new(config(3), false, 0, 0);
        let taken: Vec<_> = (0..4).map(|_| throttle.take(NEW, 0)).collect();
        assert_eq!(taken, [Some(1), Some(2), Some(3), None]);
        // Only once more than the fill time has passed.
        assert_eq!(throttle.take(NEW, 10), None);
        assert_eq!(throttle.take(NEW, 11), Some(2));
        assert_eq!(throttle.take(NEW, 1_000_000), Some(1));
    }

    #[test]
    fn sessions_may_weigh_differently() {
        let config = ConnectionThrottleConfig { weight_enabled: true, ..config(5) };
        let throttle = ConnectionThrottle::new(config, false, 0, 0);
        assert_eq!(throttle.take(NEW, 0), Some(3));
        assert_eq!(throttle.take(NEW, 0), None);
        assert_eq!(throttle.take(SessionId(7), 0), Some(5));
        let local = ConnectionThrottle::new(config, true, 0, 0);
        assert_eq!(local.take(NEW, 0), Some(1));
    }

    #[test]
    fn an_empty_bucket_makes_dropping_likely_and_a_full_one_unlikely() {
        let config = ConnectionThrottleConfig { freeze_time_ms: 0, fill_count: 0, ..config(1) };
        let throttle = ConnectionThrottle::new(config, false, 0, 0);
        assert_eq!(throttle.take(NEW, 0), Some(1));
        assert_eq!((throttle.take(NEW, 1), throttle.drop_probability()), (None, 0.5));
        assert_eq!((throttle.take(NEW, 2), throttle.drop_probability()), (None, 1.0));
        throttle.bucket.lock().tokens = 1;
        throttle.take(NEW, 3);
        assert_eq!(throttle.drop_probability(), 0.5);
    }
}
