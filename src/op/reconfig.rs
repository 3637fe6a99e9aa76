//! reconfig.

use bytes::BytesMut;
use jute::{Field, GetDataResponse, SetDataTxn, Stat};

use super::prep::{Prep, write_txn};
use crate::proto::path::CONFIG_PATH;
use crate::proto::{ErrorCode, Perms};

/// Prepares a new configuration, which the leader has made of the request or has refused; without
/// an ensemble there is none.
pub fn prep(
    prep: &mut Prep<'_>,
    config: Option<&Result<String, ErrorCode>>,
    out: &mut Vec<u8>,
) -> Result<(), ErrorCode> {
    if !prep.limits.reconfig_enabled {
        return Err(ErrorCode::ReconfigDisabled);
    }
    prep.check_session()?;
    let config = config.ok_or(ErrorCode::Unimplemented)?;
    let text = config.as_ref().map_err(|error| *error)?.as_bytes();
    let mut node = prep.record(CONFIG_PATH)?;
    prep.check_acl(&node.acl, Perms::WRITE)?;
    node.stat.version = -1;
    node.stat.mtime = prep.time;
    node.stat.mzxid = prep.zxid.0;
    node.set_data(CONFIG_PATH, Some(text));
    prep.put(CONFIG_PATH, Some(node));
    write_txn(out, &SetDataTxn { path: CONFIG_PATH.into(), data: Some(text), version: -1 });
    Ok(())
}

/// Answers with the configuration and the status of its node.
pub fn reply(config: Option<&[u8]>, stat: &Stat, out: &mut BytesMut) {
    GetDataResponse { data: config, stat: stat.clone() }.write(out);
}
