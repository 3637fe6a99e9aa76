//! Session ids (`SessionTrackerImpl.initializeNextSessionId`).

use crate::proto::{Millis, SessionId};

/// Marks a container in a node's ephemeral owner, so no session may have it.
const CONTAINER_EPHEMERAL_OWNER: i64 = i64::MIN;

/// The first session id a server gives out after its start; each later one is the one before plus
/// 1.
///
/// The high byte is the low byte of `server_id` (1 in standalone mode), the next five are the low
/// ones of `now_ms`, the last two are 0 (ZOOKEEPER-1622). A server that makes fewer than 65,536
/// sessions per millisecond never gives out an id of an earlier start, provided that `now_ms` does
/// not repeat: the wall clock.
pub fn first_session_id(server_id: i64, now_ms: Millis) -> SessionId {
    let time = ((now_ms << 24) as u64 >> 8) as i64;
    let id = time | server_id << 56;
    SessionId(if id == CONTAINER_EPHEMERAL_OWNER { id + 1 } else { id })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn server_id_is_the_high_byte_and_time_the_five_below() {
        assert_eq!(first_session_id(1, 0x0f34a6), SessionId(0x0100_000f_34a6_0000));
        assert_eq!(first_session_id(3, 0x01ab_cdef_0123_4567), SessionId(0x03ef_0123_4567_0000));
    }

    #[test]
    fn server_ids_from_128_give_negative_sessions() {
        assert_eq!(first_session_id(254, 1).0, 0xfe00_0000_0001_0000_u64 as i64);
    }

    #[test]
    fn never_the_mark_of_a_container() {
        assert_eq!(first_session_id(128, 0), SessionId(i64::MIN + 1));
    }
}
