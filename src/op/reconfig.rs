//! reconfig, as far as a server without an ensemble answers it.

use super::prep::Prep;
use crate::proto::ErrorCode;

/// Refuses: there is no ensemble whose membership could change.
pub fn prep(prep: &mut Prep<'_>) -> ErrorCode {
    if !prep.limits.reconfig_enabled {
        return ErrorCode::ReconfigDisabled;
    }
    prep.check_session().err().unwrap_or(ErrorCode::Unimplemented)
}
