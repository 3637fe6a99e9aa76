//! A session with every operation as a blocking call (`ZooKeeper`, `ZooKeeperAdmin`).

use std::io;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use jute::{
    Acl, AddWatchRequest, CheckWatchesRequest, Create2Response, CreateRequest, CreateResponse,
    CreateTtlRequest, DeleteRequest, ExistsRequest, ExistsResponse, Field, GetAclRequest,
    GetAclResponse, GetAllChildrenNumberRequest, GetAllChildrenNumberResponse, GetChildren2Request,
    GetChildren2Response, GetChildrenRequest, GetChildrenResponse, GetDataRequest, GetDataResponse,
    GetEphemeralsRequest, GetEphemeralsResponse, Id, Reader, ReconfigRequest, RemoveWatchesRequest,
    SetAclRequest, SetAclResponse, SetDataRequest, SetDataResponse, Stat, SyncRequest,
    WhoAmIResponse,
};

use super::client_cnxn::{ClientCnxn, Config, ConnectionState, Pending, Shared, WatchChange};
use super::multi::{self, Op, OpResult};
use super::watch_table::Registration;
use super::{ClientError, WatchedEvent};
use crate::proto::path::CONFIG_PATH;
use crate::proto::path::validate_path;
use crate::proto::{AddWatchMode, CreateMode, ErrorCode, OpCode, SessionId, WatcherType};

/// A node that was created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreatedNode {
    /// Its real path.
    pub path: String,
    /// Its status.
    pub stat: Stat,
}

/// A session. It is closed when dropped; [`ZooKeeper::leave`] leaves it to its timeout.
///
/// Paths are refused before anything is sent if no server would take them, with
/// [`ClientError::InvalidArgument`].
pub struct ZooKeeper {
    cnxn: ClientCnxn,
}

type Result<T> = std::result::Result<T, ClientError>;

impl ZooKeeper {
    /// Starts to connect and returns at once. `on_event` is told of changes of the session and of
    /// the watches that fire, in order and before any later reply; it must not wait for a reply of
    /// the same session.
    pub fn connect(
        config: Config,
        on_event: impl Fn(&WatchedEvent) + Send + Sync + 'static,
    ) -> io::Result<Self> {
        Ok(Self { cnxn: ClientCnxn::start(config, Box::new(on_event))? })
    }

    /// Where the session is.
    pub fn state(&self) -> ConnectionState {
        self.cnxn.phase()
    }

    /// The session's id, 0 before there is one.
    pub fn session(&self) -> SessionId {
        self.cnxn.session()
    }

    /// Waits until there is a connection, at most this long; false if there is none then.
    pub fn wait_connected(&self, limit: Duration) -> bool {
        self.cnxn.wait_connected(limit)
    }

    /// Ends the session.
    pub fn close(&mut self) {
        self.cnxn.close();
    }

    /// Goes away without ending the session, for a process that is about to exit.
    pub fn leave(self) {
        std::mem::forget(self);
    }

    /// Adds an identity to the session's connections. A refusal shows in the state and an event.
    pub fn add_auth(&self, scheme: &str, auth: Option<&[u8]>) {
        self.cnxn.add_auth(scheme, auth);
    }

    /// Creates a node (create, createContainer) and gives its real path.
    pub fn create(
        &self,
        path: &str,
        data: Option<&[u8]>,
        acl: &[Acl<'static>],
        mode: CreateMode,
    ) -> Result<String> {
        let path = self.new_path(path, acl, mode)?;
        let flags = mode as i32;
        let request = CreateRequest { path: path.into(), data, acl: acl.to_vec(), flags };
        if mode == CreateMode::Container {
            let created = self.call(OpCode::CreateContainer, &request, read_created)?;
            return Ok(created.path);
        }
        self.call(OpCode::Create, &request, |shared, body| {
            Ok(shared.strip_chroot(&CreateResponse::from_bytes(body)?.path))
        })
    }

    /// Creates a node (create2, createContainer, createTTL); `ttl_ms` counts for the TTL modes.
    pub fn create2(
        &self,
        path: &str,
        data: Option<&[u8]>,
        acl: &[Acl<'static>],
        mode: CreateMode,
        ttl_ms: i64,
    ) -> Result<CreatedNode> {
        let path = self.new_path(path, acl, mode)?.into();
        let (acl, flags) = (acl.to_vec(), mode as i32);
        if mode.is_ttl() {
            let request = CreateTtlRequest { path, data, acl, flags, ttl: ttl_ms };
            return self.call(OpCode::CreateTtl, &request, read_created);
        }
        let op = match mode {
            CreateMode::Container => OpCode::CreateContainer,
            _ => OpCode::Create2,
        };
        self.call(op, &CreateRequest { path, data, acl, flags }, read_created)
    }

    /// Deletes a node if its data has this version, -1 for any.
    pub fn delete(&self, path: &str, version: i32) -> Result<()> {
        let path = self.path(path)?.into();
        self.call(OpCode::Delete, &DeleteRequest { path, version }, |_, _| Ok(()))
    }

    /// A node's status, none if there is no such node.
    pub fn exists(&self, path: &str, watch: bool) -> Result<Option<Stat>> {
        let request = ExistsRequest { path: self.path(path)?.into(), watch };
        let change = added(watch, Registration::Exists, path);
        let read = |_: &Shared, body: &Bytes| Ok(Some(ExistsResponse::from_bytes(body)?.stat));
        match self.call_watching(OpCode::Exists, &request, change, read) {
            Err(ClientError::Code(ErrorCode::NoNode)) => Ok(None),
            other => other,
        }
    }

    /// A node's data and status.
    pub fn get_data(&self, path: &str, watch: bool) -> Result<(Option<Vec<u8>>, Stat)> {
        let request = GetDataRequest { path: self.path(path)?.into(), watch };
        let change = added(watch, Registration::Data, path);
        self.call_watching(OpCode::GetData, &request, change, read_data)
    }

    /// Replaces a node's data if it has this version, -1 for any.
    pub fn set_data(&self, path: &str, data: Option<&[u8]>, version: i32) -> Result<Stat> {
        let request = SetDataRequest { path: self.path(path)?.into(), data, version };
        self.call(OpCode::SetData, &request, |_, body| Ok(SetDataResponse::from_bytes(body)?.stat))
    }

    /// A node's access control list and status.
    pub fn get_acl(&self, path: &str) -> Result<(Vec<Acl<'static>>, Stat)> {
        let request = GetAclRequest { path: self.path(path)?.into() };
        self.call(OpCode::GetAcl, &request, |_, body| {
            let read = GetAclResponse::from_bytes(body)?;
            Ok((read.acl.into_iter().map(owned).collect(), read.stat))
        })
    }

    /// Replaces a node's access control list if it has this version, -1 for any.
    pub fn set_acl(&self, path: &str, acl: &[Acl<'static>], version: i32) -> Result<Stat> {
        let path = self.path(path)?.into();
        refuse_empty(acl)?;
        let request = SetAclRequest { path, acl: acl.to_vec(), version };
        self.call(OpCode::SetAcl, &request, |_, body| Ok(SetAclResponse::from_bytes(body)?.stat))
    }

    /// Names of a node's children, in no order.
    pub fn get_children(&self, path: &str, watch: bool) -> Result<Vec<String>> {
        let request = GetChildrenRequest { path: self.path(path)?.into(), watch };
        let change = added(watch, Registration::Child, path);
        self.call_watching(OpCode::GetChildren, &request, change, |_, body| {
            Ok(strings(GetChildrenResponse::from_bytes(body)?.children))
        })
    }

    /// Names of a node's children, in no order, and its status.
    pub fn get_children2(&self, path: &str, watch: bool) -> Result<(Vec<String>, Stat)> {
        let request = GetChildren2Request { path: self.path(path)?.into(), watch };
        let change = added(watch, Registration::Child, path);
        self.call_watching(OpCode::GetChildren2, &request, change, |_, body| {
            let read = GetChildren2Response::from_bytes(body)?;
            Ok((strings(read.children), read.stat))
        })
    }

    /// Asks that later reads of this session see all that was committed before; gives the reply
    /// that is on its way.
    pub fn sync(&self, path: &str) -> Result<Pending<()>> {
        let request = SyncRequest { path: Some(self.path(path)?.into()) };
        let put = |out: &mut BytesMut| request.write(out);
        Ok(self.cnxn.submit(OpCode::Sync, WatchChange::None, put, |_, _| Ok(())))
    }

    /// Does all of these or none; gives the reply that is on its way. It has an error for each
    /// operation if one failed.
    pub fn multi(&self, ops: &[Op]) -> Result<Pending<Vec<OpResult>>> {
        self.submit_multi(OpCode::Multi, ops)
    }

    /// Does these reads together; one that fails does not touch the others.
    pub fn multi_read(&self, ops: &[Op]) -> Result<Vec<OpResult>> {
        self.submit_multi(OpCode::MultiRead, ops)?.wait()
    }

    fn submit_multi(&self, op: OpCode, ops: &[Op]) -> Result<Pending<Vec<OpResult>>> {
        for op in ops {
            validate_path(op.path())?;
        }
        let put = |out: &mut BytesMut| multi::put_ops(out, ops, |path| self.prepend_chroot(path));
        Ok(self.cnxn.submit(op, WatchChange::None, put, |shared, body| {
            multi::read_results(&mut Reader::new(body), |path| shared.strip_chroot(path))
        }))
    }

    /// Leaves a watch that stays until it is removed.
    pub fn add_watch(&self, path: &str, mode: AddWatchMode) -> Result<()> {
        let request = AddWatchRequest { path: self.path(path)?.into(), mode: mode as i32 };
        let kind = match mode {
            AddWatchMode::Persistent => Registration::Persistent,
            AddWatchMode::PersistentRecursive => Registration::PersistentRecursive,
        };
        let change = added(true, kind, path);
        self.call_watching(OpCode::AddWatch, &request, change, |_, _| Ok(()))
    }

    /// Whether the server has such a watch of this session: an error `NoWatcher` if not.
    pub fn check_watches(&self, path: &str, kind: WatcherType) -> Result<()> {
        let request =
            CheckWatchesRequest { path: Some(self.path(path)?.into()), kind: kind as i32 };
        self.call(OpCode::CheckWatches, &request, |_, _| Ok(()))
    }

    /// Removes the session's watches of a kind; `local` forgets them here even if the server
    /// cannot be asked.
    pub fn remove_watches(&self, path: &str, kind: WatcherType, local: bool) -> Result<()> {
        let request =
            RemoveWatchesRequest { path: Some(self.path(path)?.into()), kind: kind as i32 };
        let change = WatchChange::Remove { kind, path: path.into(), local };
        self.call_watching(OpCode::RemoveWatches, &request, change, |_, _| Ok(()))
    }

    /// Paths of the session's ephemeral nodes that start with `prefix`, "/" for all. As in Java,
    /// neither the prefix nor the paths know of a chroot.
    pub fn get_ephemerals(&self, prefix: &str) -> Result<Vec<String>> {
        validate_path(prefix)?;
        let request = GetEphemeralsRequest { prefix_path: Some(prefix.into()) };
        self.call(OpCode::GetEphemerals, &request, |_, body| {
            Ok(strings(GetEphemeralsResponse::from_bytes(body)?.ephemerals))
        })
    }

    /// How many nodes are below a node.
    pub fn get_all_children_number(&self, path: &str) -> Result<i32> {
        let request = GetAllChildrenNumberRequest { path: self.path(path)?.into() };
        self.call(OpCode::GetAllChildrenNumber, &request, |_, body| {
            Ok(GetAllChildrenNumberResponse::from_bytes(body)?.total_number)
        })
    }

    /// Schemes and names of the connection's identities.
    pub fn who_am_i(&self) -> Result<Vec<(String, String)>> {
        let read = |_: &Shared, body: &Bytes| {
            let identities = WhoAmIResponse::from_bytes(body)?.client_info.into_iter();
            Ok(identities.map(|who| (who.auth_scheme.into(), who.user.into())).collect())
        };
        self.cnxn.submit(OpCode::WhoAmI, WatchChange::None, |_| (), read).wait()
    }

    /// The configuration of the ensemble and the status of its node. No chroot applies to it.
    pub fn get_config(&self, watch: bool) -> Result<(Option<Vec<u8>>, Stat)> {
        let request = GetDataRequest { path: CONFIG_PATH.into(), watch };
        let change = added(watch, Registration::Data, CONFIG_PATH);
        self.call_watching(OpCode::GetData, &request, change, read_data)
    }

    /// Changes the membership of the ensemble and gives the new configuration.
    pub fn reconfigure(&self, request: &ReconfigRequest<'_>) -> Result<(Option<Vec<u8>>, Stat)> {
        self.call(OpCode::Reconfig, request, read_data)
    }

    fn call<'a, T>(
        &self,
        op: OpCode,
        request: &impl Field<'a>,
        read: fn(&Shared, &Bytes) -> Result<T>,
    ) -> Result<T> {
        self.call_watching(op, request, WatchChange::None, read)
    }

    fn call_watching<'a, T>(
        &self,
        op: OpCode,
        request: &impl Field<'a>,
        change: WatchChange,
        read: fn(&Shared, &Bytes) -> Result<T>,
    ) -> Result<T> {
        self.cnxn.submit(op, change, |out| request.write(out), read).wait()
    }

    /// The server's form of a path that has been checked.
    fn path(&self, path: &str) -> Result<String> {
        validate_path(path)?;
        Ok(self.prepend_chroot(path))
    }

    fn new_path(&self, path: &str, acl: &[Acl<'static>], mode: CreateMode) -> Result<String> {
        match mode.is_sequential() {
            true => validate_path(&format!("{path}1"))?,
            false => validate_path(path)?,
        }
        refuse_empty(acl)?;
        Ok(self.prepend_chroot(path))
    }

    fn prepend_chroot(&self, path: &str) -> String {
        self.cnxn.shared().prepend_chroot(path)
    }
}

fn added(watch: bool, kind: Registration, path: &str) -> WatchChange {
    match watch {
        true => WatchChange::Add(kind, path.to_owned()),
        false => WatchChange::None,
    }
}

/// Java refuses an empty list before it sends anything.
fn refuse_empty(acl: &[Acl<'static>]) -> Result<()> {
    match acl.is_empty() {
        true => Err(ClientError::Code(ErrorCode::InvalidAcl)),
        false => Ok(()),
    }
}

fn read_created(shared: &Shared, body: &Bytes) -> Result<CreatedNode> {
    let created = Create2Response::from_bytes(body)?;
    Ok(CreatedNode { path: shared.strip_chroot(&created.path), stat: created.stat })
}

fn read_data(_: &Shared, body: &Bytes) -> Result<(Option<Vec<u8>>, Stat)> {
    let read = GetDataResponse::from_bytes(body)?;
    Ok((read.data.map(<[u8]>::to_vec), read.stat))
}

fn strings(list: Vec<jute::Ustring<'_>>) -> Vec<String> {
    list.into_iter().map(|text| text.into_owned()).collect()
}

fn owned(acl: Acl<'_>) -> Acl<'static> {
    let scheme = acl.id.scheme.into_owned().into();
    let id = acl.id.id.into_owned().into();
    Acl { perms: acl.perms, id: Id { scheme, id } }
}
