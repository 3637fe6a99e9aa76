//! setData.

use bytes::BytesMut;
use jute::{Field, SetDataRequest, SetDataResponse, SetDataTxn, Stat};

use super::prep::{Prep, check_and_inc_version, validate_path, write_txn};
use crate::proto::{ErrorCode, Perms};

/// Prepares new data for a node.
pub fn prep(
    prep: &mut Prep<'_>,
    request: &SetDataRequest<'_>,
    out: &mut Vec<u8>,
) -> Result<(), ErrorCode> {
    prep.check_session()?;
    let path = &*request.path;
    validate_path(path)?;
    let mut node = prep.record(path)?;
    prep.check_acl(&node.acl, Perms::WRITE)?;
    let new_len = request.data.map_or(0, <[u8]>::len);
    prep.check_quota(path, new_len as i64 - node.data_len as i64, 0)?;
    let version = check_and_inc_version(node.stat.version, request.version)?;
    node.stat.version = version;
    node.stat.mtime = prep.time;
    node.stat.mzxid = prep.zxid.0;
    node.set_data(path, request.data);
    prep.put(path, Some(node));
    write_txn(out, &SetDataTxn { path: path.into(), data: request.data, version });
    Ok(())
}

/// Answers with the new status.
pub fn reply(stat: &Stat, out: &mut BytesMut) {
    SetDataResponse { stat: stat.clone() }.write(out);
}
