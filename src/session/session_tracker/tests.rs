//! The session tracker against a plain model of it, and case by case.

use proptest::prelude::*;

use super::*;

const TICK: i32 = 2000;
const A: SessionId = SessionId(0x0100_0000_0000_0000);
const B: SessionId = SessionId(0x0100_0000_0000_0001);

fn tracker() -> SessionTracker {
    SessionTracker::new(TICK, A)
}

#[test]
fn timeouts_are_clamped_as_apache_does() {
    assert_eq!(clamp_timeout_ms(10_000, 4000, 40_000), 10_000);
    assert_eq!(clamp_timeout_ms(-1, 4000, 40_000), 4000);
    assert_eq!(clamp_timeout_ms(i32::MAX, 4000, 40_000), 40_000);
    assert_eq!(clamp_timeout_ms(10, 4000, 3000), 3000);
}

#[test]
fn ids_go_up_by_one() {
    let mut tracker = tracker();
    assert_eq!(tracker.create(4000, 0).0, A);
    assert_eq!(tracker.create(4000, 0).0, B);
}

#[test]
fn expires_at_the_bucket_after_the_timeout_and_only_once() {
    let mut tracker = tracker();
    tracker.track(A, 4000, 1000);
    assert_eq!(tracker.next_deadline(), Some(6000));
    assert_eq!(tracker.expire_due(5999), []);
    assert_eq!(tracker.expire_due(6000), [A]);
    assert_eq!(tracker.expire_due(100_000), []);
    assert_eq!(tracker.check(A), Err(ErrorCode::SessionExpired));
    assert!(tracker.is_tracked(A));
    assert!(tracker.touch(A, 4000, 6000).is_none());
}

#[test]
fn a_touch_through_the_handle_prolongs() {
    let mut tracker = tracker();
    let handle = tracker.track(A, 4000, 1000);
    assert!(handle.touch(5000));
    assert_eq!(tracker.expiry_map(), BTreeMap::from([(10_000, vec![A])]));
    assert_eq!(tracker.expire_due(6000), []);
    assert_eq!(tracker.next_deadline(), Some(10_000));
    assert_eq!(tracker.expire_due(10_000), [A]);
    assert!(!handle.touch(10_001));
}

#[test]
fn a_reconnect_with_a_shorter_timeout_brings_the_end_forward() {
    let mut tracker = tracker();
    let old = tracker.track(A, 40_000, 0);
    let new = tracker.touch(A, 4000, 1000).expect("it lives");
    assert_eq!((old.timeout_ms(), new.timeout_ms()), (40_000, 4000));
    assert_eq!(tracker.expire_due(6000), [A]);
}

#[test]
fn a_closing_session_is_neither_touched_nor_expired() {
    let mut tracker = tracker();
    let handle = tracker.track(A, 4000, 0);
    tracker.set_closing(A);
    assert!(!handle.touch(1));
    tracker.track(A, 4000, 1);
    assert_eq!(tracker.expire_due(100_000), []);
    assert_eq!(tracker.next_deadline(), None);
    assert!(tracker.expiry_map().is_empty());
    tracker.remove(A);
    assert!(!tracker.is_tracked(A));
}

#[test]
fn a_handle_of_a_removed_session_is_dead() {
    let mut tracker = tracker();
    let handle = tracker.track(A, 4000, 0);
    tracker.remove(A);
    assert!(!handle.touch(1));
    assert_eq!((tracker.len(), tracker.next_deadline()), (0, None));
}

#[test]
fn only_committed_sessions_are_for_the_snapshot() {
    let mut tracker = tracker();
    tracker.track(A, 4000, 0);
    assert_eq!((tracker.committed().count(), tracker.timeout_ms(A)), (0, None));
    tracker.commit(A, 4000, 10);
    tracker.commit(B, 5000, 0);
    let mut committed: Vec<_> = tracker.committed().collect();
    committed.sort();
    assert_eq!(committed, [(A, 4000), (B, 5000)]);
    // The commit of a session that is tracked does not touch it.
    assert_eq!(tracker.expiry_map(), BTreeMap::from([(6000, vec![A, B])]));
}

#[test]
fn a_session_belongs_to_the_first_who_asks() {
    let mut tracker = tracker();
    let learner = Owner(7);
    assert_eq!(tracker.check_session(A, Owner::ME), Err(ErrorCode::UnknownSession));
    assert_eq!(tracker.check_global_session(A, Owner::ME), Err(ErrorCode::SessionExpired));
    assert_eq!(tracker.set_owner(A, Owner::ME), Err(ErrorCode::SessionExpired));
    tracker.track(A, 4000, 0);
    assert_eq!(tracker.check_session(A, learner), Ok(()));
    assert_eq!(tracker.check_session(A, Owner::ME), Err(ErrorCode::SessionMoved));
    assert_eq!(tracker.set_owner(A, Owner::ME), Ok(()));
    assert_eq!(tracker.check_global_session(A, learner), Err(ErrorCode::SessionMoved));
    tracker.set_closing(A);
    assert_eq!(tracker.check_session(A, Owner::ME), Err(ErrorCode::SessionExpired));
}

proptest! {
    /// Whatever the touches, a session ends at its true bucket: not before its timeout, and not
    /// more than two ticks after it when the tracker is asked once per tick.
    #[test]
    fn no_session_ends_early_and_none_is_kept_for_long(
        timeouts in prop::collection::vec(0..20_000i32, 1..8),
        steps in prop::collection::vec((0..TICK, 0..8usize, any::<bool>()), 1..200),
    ) {
        let mut tracker = tracker();
        let mut now = 1;
        let mut live: Vec<_> = timeouts
            .iter()
            .map(|&timeout_ms| {
                let (id, handle) = tracker.create(timeout_ms, now);
                (id, handle, now)
            })
            .collect();
        for (pass_ms, who, touches) in steps {
            now += Millis::from(pass_ms);
            if touches && let Some((_, handle, touched)) = live.get_mut(who) {
                prop_assert!(handle.touch(now));
                *touched = now;
            }
            let expired = tracker.expire_due(now);
            for (id, handle, touched) in &live {
                let idle_ms = now - touched;
                let timeout_ms = Millis::from(handle.timeout_ms());
                if expired.contains(id) {
                    prop_assert!(idle_ms > timeout_ms);
                } else {
                    prop_assert!(idle_ms <= timeout_ms + Millis::from(TICK));
                }
            }
            live.retain(|(id, ..)| !expired.contains(id));
            let shown: usize = tracker.expiry_map().values().map(Vec::len).sum();
            prop_assert_eq!(shown, live.len());
        }
    }
}
