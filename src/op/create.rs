//! create, create2, createContainer and createTTL.

use std::fmt::Write;

use bytes::BytesMut;
use jute::{
    Create2Response, CreateContainerTxn, CreateRequest, CreateResponse, CreateTtlRequest,
    CreateTtlTxn, CreateTxn, Field, Stat,
};

use super::prep::{Prep, acl_records, parent_of, validate_path, write_txn};
use crate::proto::{CreateMode, ErrorCode, OpCode, Perms};
use crate::tree::{CONTAINER_OWNER, ChangeRecord, new_stat, ttl_owner};

/// Prepares create, create2 or createContainer.
pub fn prep(
    prep: &mut Prep<'_>,
    op: OpCode,
    request: &CreateRequest<'_>,
    out: &mut Vec<u8>,
) -> Result<(), ErrorCode> {
    let ttl_request = CreateTtlRequest {
        path: request.path.as_ref().into(),
        data: request.data,
        acl: request.acl.clone(),
        flags: request.flags,
        ttl: -1,
    };
    prep_any(prep, op, &ttl_request, out)
}

/// Prepares createTTL.
pub fn prep_ttl(
    prep: &mut Prep<'_>,
    request: &CreateTtlRequest<'_>,
    out: &mut Vec<u8>,
) -> Result<(), ErrorCode> {
    prep_any(prep, OpCode::CreateTtl, request, out)
}

fn prep_any(
    prep: &mut Prep<'_>,
    op: OpCode,
    request: &CreateTtlRequest<'_>,
    out: &mut Vec<u8>,
) -> Result<(), ErrorCode> {
    let mode = CreateMode::from_flags(request.flags).ok_or(ErrorCode::BadArguments)?;
    // Apache's server accepts createTTL with another mode and dies when it applies it.
    if op == OpCode::CreateTtl && !mode.is_ttl() {
        return Err(ErrorCode::BadArguments);
    }
    if mode.is_ttl() && !prep.ephemeral_rules().extended_types {
        return Err(ErrorCode::Unimplemented);
    }
    let owner = match mode {
        // Only createTTL has a ttl; a create with one of its modes ends here.
        mode if mode.is_ttl() => ttl_owner(request.ttl).ok_or(ErrorCode::BadArguments)?,
        _ if op == OpCode::CreateContainer => CONTAINER_OWNER,
        mode if mode.is_ephemeral() => prep.session.0,
        _ => 0,
    };
    if mode.is_ephemeral() {
        prep.check_global_session()?;
    } else {
        prep.check_session()?;
    }
    let parent_path = parent_of(&request.path)?;
    let acl = prep.fixup_acl(&request.acl)?;
    let mut parent = prep.record(parent_path)?;
    prep.check_acl(&parent.acl, Perms::CREATE)?;
    let mut path = request.path.clone();
    if mode.is_sequential() {
        let _ = write!(path.to_mut(), "{:010}", parent.stat.cversion);
    }
    validate_path(&path)?;
    if prep.changes.exists(prep.tree, &path) {
        return Err(ErrorCode::NodeExists);
    }
    if prep.ephemeral_rules().is_ephemeral(parent.stat.ephemeral_owner) {
        return Err(ErrorCode::NoChildrenForEphemerals);
    }
    prep.check_quota(&path, request.data.map_or(0, <[u8]>::len) as i64, 1)?;

    let parent_cversion = parent.stat.cversion.wrapping_add(1);
    parent.child_count += 1;
    parent.stat.cversion = parent_cversion;
    parent.stat.pzxid = prep.zxid.0;
    prep.put(parent_path, Some(parent));
    let stat = new_stat(prep.zxid, prep.time, owner);
    let record = ChangeRecord::new(&path, stat, acl.clone(), request.data);
    prep.put(&path, Some(record));

    let (data, acl) = (request.data, acl_records(&acl));
    match op {
        OpCode::CreateContainer => {
            write_txn(out, &CreateContainerTxn { path, data, acl, parent_cversion });
        }
        OpCode::CreateTtl => {
            let ttl = request.ttl;
            write_txn(out, &CreateTtlTxn { path, data, acl, parent_cversion, ttl });
        }
        _ => {
            let ephemeral = mode.is_ephemeral();
            write_txn(out, &CreateTxn { path, data, acl, ephemeral, parent_cversion });
        }
    }
    Ok(())
}

/// Answers create with the path, the others with the status as well.
pub fn reply(op: OpCode, path: &str, stat: &Stat, out: &mut BytesMut) {
    let path = path.into();
    if op == OpCode::Create {
        CreateResponse { path }.write(out);
    } else {
        Create2Response { path, stat: stat.clone() }.write(out);
    }
}
