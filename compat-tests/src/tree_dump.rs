//! A server's whole state as text that can be compared: every node with its data, Stat and ACL,
//! the sessions with their ephemeral nodes, and the tree digests.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use jute::{
    Acl, GetAclRequest, GetAclResponse, GetChildrenRequest, GetChildrenResponse, GetDataRequest,
    GetDataResponse, Stat,
};

use crate::raw_client::{RawClient, op};
use crate::server::{SUPER_PASSWORD, Server, four_letter_word};

/// Requests on the way at a time.
const WINDOW: usize = 500;

/// How long a server may take to answer a four-letter word.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);

/// How many differing lines [`assert_same`] shows.
const SHOWN: usize = 20;

/// Every node of the server: path -> one line of data, Stat and ACL.
pub fn nodes(server: SocketAddr) -> BTreeMap<String, String> {
    try_nodes(server).unwrap_or_else(|error| panic!("a dump of all nodes of {server}: {error}"))
}

/// [`nodes`] of a server that may look for a leader just now.
pub fn try_nodes(server: SocketAddr) -> io::Result<BTreeMap<String, String>> {
    let mut client = RawClient::connect(server, 30_000)?;
    client.add_auth("digest", &format!("super:{SUPER_PASSWORD}"))?;
    let all = read_nodes(&mut client)?;
    client.close()?;
    Ok(all)
}

fn read_nodes(client: &mut RawClient) -> io::Result<BTreeMap<String, String>> {
    let mut all = BTreeMap::new();
    let mut level = vec!["/".to_string()];
    while !level.is_empty() {
        let mut parents = Vec::new();
        let mut line = String::new();
        let mut unread = None;
        // Two requests per node; the answers come in their order.
        let request = |client: &mut RawClient, index: usize| {
            let path = level[index / 2].as_str().into();
            match index % 2 {
                0 => client.queue(op::GET_DATA, &GetDataRequest { path, watch: false }),
                _ => client.queue(op::GET_ACL, &GetAclRequest { path }),
            };
        };
        client.pipeline(level.len() * 2, WINDOW * 2, request, |index, reply| {
            let path = &level[index / 2];
            if reply.header.err != 0 {
                unread = Some(changed(path, reply.header.err));
            } else if index % 2 == 0 {
                let got: GetDataResponse<'_> = reply.record();
                line = format!("data={} {}", data(got.data), stat(&got.stat));
                if got.stat.num_children > 0 {
                    parents.push(path.clone());
                }
            } else {
                let got: GetAclResponse<'_> = reply.record();
                let _ = write!(line, " acl={}", acl(&got.acl));
                all.insert(path.clone(), std::mem::take(&mut line));
            }
        })?;
        unread.map_or(Ok(()), Err)?;
        level = children(client, &parents)?;
    }
    Ok(all)
}

/// A node that was listed and cannot be read has gone meanwhile: the tree is not at rest.
fn changed(path: &str, error: i32) -> io::Error {
    io::Error::other(format!("the read of {path} by the super identity is refused with {error}"))
}

fn children(client: &mut RawClient, parents: &[String]) -> io::Result<Vec<String>> {
    let mut below = Vec::new();
    let mut unread = None;
    let request = |client: &mut RawClient, index: usize| {
        let path = parents[index].as_str().into();
        client.queue(op::GET_CHILDREN, &GetChildrenRequest { path, watch: false });
    };
    client.pipeline(parents.len(), WINDOW, request, |index, reply| {
        if reply.header.err != 0 {
            unread = Some(changed(&parents[index], reply.header.err));
            return;
        }
        let got: GetChildrenResponse<'_> = reply.record();
        let parent = parents[index].trim_end_matches('/');
        below.extend(got.children.iter().map(|name| format!("{parent}/{name}")));
    })?;
    unread.map_or(Ok(below), Err)
}

fn data(data: Option<&[u8]>) -> String {
    match data {
        None => "null".into(),
        Some(bytes) => format!("\"{}\"", bytes.escape_ascii()),
    }
}

/// A Stat, every field.
pub fn stat(stat: &Stat) -> String {
    format!(
        "czxid={:x} mzxid={:x} pzxid={:x} ctime={} mtime={} version={} cversion={} aversion={} \
         owner={:x} length={} children={}",
        stat.czxid,
        stat.mzxid,
        stat.pzxid,
        stat.ctime,
        stat.mtime,
        stat.version,
        stat.cversion,
        stat.aversion,
        stat.ephemeral_owner,
        stat.data_length,
        stat.num_children
    )
}

fn acl(acl: &[Acl<'_>]) -> String {
    let entries: Vec<String> =
        acl.iter().map(|e| format!("{}:{}:{}", e.id.scheme, e.id.id, e.perms)).collect();
    entries.join(",")
}

/// The answer of a server that serves to a four-letter word.
fn ask(server: SocketAddr, word: &str) -> String {
    four_letter_word(server, word, ANSWER_LIMIT)
        .unwrap_or_else(|error| panic!("{server} to {word}: {error}"))
}

/// Sessions and ephemeral nodes by the server's own account (`dump`): `session 0x..` and
/// `ephemeral 0x.. /path`. Sessions of connections that ask are in it while they live.
pub fn sessions(server: SocketAddr) -> BTreeSet<String> {
    let text = ask(server, "dump");
    let mut found = BTreeSet::new();
    let mut owner = None;
    for line in text.lines().take_while(|line| !line.starts_with("Connections dump")) {
        match (line.strip_prefix('\t'), line.strip_suffix(':')) {
            (Some(path), _) if path.starts_with('/') => {
                let owner = owner.expect("a path comes under its session");
                found.insert(format!("ephemeral {owner} {path}"));
            }
            (Some(id), _) => {
                found.insert(format!("session {id}"));
            }
            (None, Some(id)) if id.starts_with("0x") => owner = Some(id),
            _ => {}
        }
    }
    found
}

/// Digests of the tree by zxid (`hash`); a server notes one every 128 transactions.
pub fn digests(server: SocketAddr) -> BTreeMap<String, String> {
    let text = ask(server, "hash");
    text.lines()
        .filter_map(|line| line.split_once(": "))
        .map(|(zxid, digest)| (zxid.into(), digest.into()))
        .collect()
}

/// How often the server found the tree's digest to differ from the one in its log, if it tells
/// (`mntr`).
pub fn digest_mismatches(server: SocketAddr) -> Option<u64> {
    let text = ask(server, "mntr");
    let line = text.lines().find_map(|line| line.strip_prefix("zk_digest_mismatches_count\t"))?;
    Some(line.trim().parse().expect("a count"))
}

/// The whole state of a server at a moment when nobody changes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// [`nodes`].
    pub nodes: BTreeMap<String, String>,
    /// [`sessions`].
    pub sessions: BTreeSet<String>,
    /// [`digests`].
    pub digests: BTreeMap<String, String>,
}

impl State {
    /// Reads it.
    pub fn of(server: &Server) -> Self {
        let server = server.address();
        Self { nodes: nodes(server), sessions: sessions(server), digests: digests(server) }
    }

    /// Panics unless `after`, read from another server on the same files, is the same. Digests
    /// are compared where both servers noted one: a start forgets those from before its snapshot.
    pub fn assert_handed_on(&self, after: &Self, what: &str) {
        assert_same(what, &self.nodes, &after.nodes);
        assert_eq!(self.sessions, after.sessions, "{what}: sessions and ephemerals");
        for (zxid, digest) in &self.digests {
            let other = after.digests.get(zxid).unwrap_or(digest);
            assert_eq!(digest, other, "{what}: the digest of the tree at zxid {zxid}");
        }
    }
}

/// Each path where two sets of nodes differ, with both lines.
pub fn differing(
    before: &BTreeMap<String, String>,
    after: &BTreeMap<String, String>,
) -> Vec<String> {
    let paths: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let none = "(absent)".to_string();
    paths
        .into_iter()
        .filter(|path| before.get(*path) != after.get(*path))
        .map(|path| {
            let (b, a) = (before.get(path), after.get(path));
            format!("{path}\n  - {}\n  + {}", b.unwrap_or(&none), a.unwrap_or(&none))
        })
        .collect()
}

/// Panics and names what differs when the two sets of nodes are not the same.
pub fn assert_same(
    what: &str,
    before: &BTreeMap<String, String>,
    after: &BTreeMap<String, String>,
) {
    let differing = differing(before, after);
    assert!(
        differing.is_empty(),
        "{what}: {} of {} differ\n{}",
        differing.len(),
        before.len(),
        differing[..differing.len().min(SHOWN)].join("\n")
    );
}
