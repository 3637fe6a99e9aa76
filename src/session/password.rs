//! The password of a session (`ZooKeeperServer.generatePasswd`): derived from its id, so that any
//! server of an ensemble, Apache's included, can check it.

use crate::proto::{PASSWORD_BYTES, SessionId};

/// `ZooKeeperServer.superSecret`.
const SUPER_SECRET: i64 = 0xB341_5C00;

/// The password of `session`: what `java.util.Random`, seeded with the id and a constant, gives as
/// `nextBytes`.
pub fn password(session: SessionId) -> [u8; PASSWORD_BYTES] {
    const MULTIPLIER: u64 = 0x5_DEEC_E66D;
    const MASK: u64 = (1 << 48) - 1;
    let mut seed = ((session.0 ^ SUPER_SECRET) as u64 ^ MULTIPLIER) & MASK;
    let mut password = [0; PASSWORD_BYTES];
    for chunk in password.chunks_exact_mut(4) {
        seed = (seed.wrapping_mul(MULTIPLIER) + 0xB) & MASK;
        chunk.copy_from_slice(&((seed >> 16) as u32).to_le_bytes());
    }
    password
}

/// Whether `given` is the password of `session`. Session 0, which a client names that has none, has
/// no password.
pub fn check_password(session: SessionId, given: &[u8]) -> bool {
    session.0 != 0 && password(session) == given
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Read off a live Apache server.
    const SESSION: SessionId = SessionId(0x0100_000f_34a6_0000);
    const PASSWORD: u128 = 0xf8d5_0337_251c_14fc_9605_f615_766d_af32;

    #[test]
    fn equals_apaches() {
        assert_eq!(password(SESSION), PASSWORD.to_be_bytes());
    }

    #[test]
    fn checks_the_whole_password_of_that_session() {
        let right = PASSWORD.to_be_bytes();
        assert!(check_password(SESSION, &right));
        assert!(!check_password(SessionId(SESSION.0 + 1), &right));
        assert!(!check_password(SESSION, &right[..15]));
        assert!(!check_password(SESSION, &[]));
        assert!(!check_password(SessionId(0), &password(SessionId(0))));
    }
}
