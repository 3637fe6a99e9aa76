//! Fills a server through clients with everything that its files can hold: plain nodes, sequence
//! nodes, ephemerals, containers, TTL nodes, ACLs of every scheme, null and empty data, changed
//! and deleted nodes, multi transactions; and with quotas.

use std::io;
use std::net::SocketAddr;

use jute::{
    CheckVersionRequest, CreateRequest, DeleteRequest, Field, MultiHeader, SetAclRequest,
    SetDataRequest,
};

use crate::raw_client::{RawClient, Reply, Session, acl, mode, op, open_acl};

/// Lines of zoo.cfg that a server needs for what is filled in: TTL nodes, and sessions that
/// outlive the restarts of a test.
pub const CONFIG: [&str; 2] = ["extendedTypesEnabled=true", "maxSessionTimeout=3600000"];

/// How long the sessions that own ephemerals live, in milliseconds: longer than any test.
const SESSION_TIMEOUT_MS: i32 = 1_800_000;

/// How long TTL nodes live, in milliseconds: longer than any test.
const TTL_MS: i64 = 7_200_000;

/// Requests on the way at a time.
const WINDOW: usize = 1000;

/// Nodes in one folder.
const FOLDER: usize = 1000;

/// Fills `root` (absent before) with about `count` nodes. Gives the two sessions that own
/// ephemerals: they live on, only their connections are gone.
pub fn fill(address: SocketAddr, root: &str, count: usize) -> io::Result<[Session; 2]> {
    let mut client = RawClient::connect(address, SESSION_TIMEOUT_MS)?;
    create(&mut client, root, b"", mode::PERSISTENT)?;
    plain(&mut client, root, count)?;
    kinds(&mut client, root)?;
    acls(&mut client, root)?;
    changes(&mut client, root)?;
    multis(&mut client, root)?;
    let mut owner = RawClient::connect(address, SESSION_TIMEOUT_MS)?;
    ephemerals(&mut client, root, "one", 50)?;
    ephemerals(&mut owner, root, "two", 500)?;
    // A session that is closed takes its ephemerals along.
    let mut closed = RawClient::connect(address, SESSION_TIMEOUT_MS)?;
    ephemerals(&mut closed, root, "three", 5)?;
    closed.close()?;
    Ok([client.session().clone(), owner.session().clone()])
}

fn expect_ok(reply: &Reply, what: &str) {
    assert_eq!(reply.header.err, 0, "{what}");
}

fn create(client: &mut RawClient, path: &str, data: &[u8], flags: i32) -> io::Result<()> {
    client.queue_create(path, data, open_acl(), flags, TTL_MS);
    client.flush()?;
    expect_ok(&client.receive()?, path);
    Ok(())
}

fn plain(client: &mut RawClient, root: &str, count: usize) -> io::Result<()> {
    let path = |index: usize| match index % FOLDER {
        0 => format!("{root}/plain-{}", index / FOLDER),
        _ => format!("{root}/plain-{}/n{index}", index / FOLDER),
    };
    let request = |client: &mut RawClient, index: usize| {
        let value = format!("value of {index} {}", "x".repeat(index % 90));
        client.queue_create(&path(index), value.as_bytes(), open_acl(), mode::PERSISTENT, 0);
    };
    client.pipeline(count, WINDOW, request, |index, reply| expect_ok(&reply, &path(index)))
}

fn kinds(client: &mut RawClient, root: &str) -> io::Result<()> {
    let kinds = [
        ("sequential", mode::PERSISTENT_SEQUENTIAL),
        ("container", mode::CONTAINER),
        ("ttl", mode::PERSISTENT_WITH_TTL),
        ("ttl-sequential", mode::PERSISTENT_SEQUENTIAL_WITH_TTL),
    ];
    for (name, flags) in kinds {
        let folder = format!("{root}/{name}");
        create(client, &folder, b"", mode::PERSISTENT)?;
        let path = |index: usize| match flags {
            mode::CONTAINER | mode::PERSISTENT_WITH_TTL => format!("{folder}/n{index}"),
            _ => format!("{folder}/n-"),
        };
        let request = |client: &mut RawClient, index: usize| {
            let ttl_ms = TTL_MS + index as i64;
            client.queue_create(&path(index), b"kind", open_acl(), flags, ttl_ms);
        };
        client.pipeline(200, WINDOW, request, |index, reply| expect_ok(&reply, &path(index)))?;
    }
    // A container that has had children and is empty may be reaped at any time: each keeps one.
    for index in 0..200 {
        let path = format!("{root}/container/n{index}/child");
        client.queue_create(&path, b"", open_acl(), mode::PERSISTENT, 0);
    }
    client.flush()?;
    for _ in 0..200 {
        expect_ok(&client.receive()?, "a child of a container");
    }
    // Data can be empty, null, or not text at all.
    create(client, &format!("{root}/empty"), b"", mode::PERSISTENT)?;
    create(client, &format!("{root}/binary"), &(0..=255).collect::<Vec<u8>>(), mode::PERSISTENT)?;
    create(client, &format!("{root}/große Käfige-日本"), b"", mode::PERSISTENT)?;
    create(client, &format!("{root}/large"), &vec![b'l'; 900_000], mode::PERSISTENT)?;
    let path = format!("{root}/null");
    let null = CreateRequest { path: path.into(), data: None, acl: open_acl(), flags: 0 };
    expect_ok(&client.call(op::CREATE, &null)?, "null data");
    Ok(())
}

fn acls(client: &mut RawClient, root: &str) -> io::Result<()> {
    let folder = format!("{root}/acl");
    create(client, &folder, b"", mode::PERSISTENT)?;
    expect_ok(&client.add_auth("digest", "warden:keys")?, "an identity");
    let lists = [
        vec![acl(1, "world", "anyone")],
        vec![acl(31, "digest", "warden:z4EqLugqgEeJn4QYR2shXgsx3eQ=")],
        vec![acl(31, "ip", "127.0.0.1"), acl(1, "ip", "10.0.0.0/8")],
        vec![acl(31, "auth", "")],
        vec![acl(31, "world", "anyone"), acl(16, "digest", "x:y")],
    ];
    for (index, list) in lists.iter().enumerate() {
        let path = format!("{folder}/n{index}");
        client.queue_create(&path, b"guarded", list.clone(), mode::PERSISTENT, 0);
        client.flush()?;
        expect_ok(&client.receive()?, &path);
    }
    let path = format!("{folder}/n4").into();
    let request = SetAclRequest { path, acl: lists[2].clone(), version: -1 };
    expect_ok(&client.call(op::SET_ACL, &request)?, "a changed ACL");
    Ok(())
}

fn changes(client: &mut RawClient, root: &str) -> io::Result<()> {
    let folder = format!("{root}/changed");
    create(client, &folder, b"", mode::PERSISTENT)?;
    for index in 0..100 {
        let path = format!("{folder}/n{index}");
        create(client, &path, b"first", mode::PERSISTENT)?;
        for version in 0..index % 4 {
            let data = format!("change {version}");
            let path = path.as_str().into();
            let request = SetDataRequest { path, data: Some(data.as_bytes()), version };
            expect_ok(&client.call(op::SET_DATA, &request)?, "a change");
        }
        if index % 3 == 0 {
            let request = DeleteRequest { path: path.into(), version: -1 };
            expect_ok(&client.call(op::DELETE, &request)?, "a deletion");
        }
    }
    Ok(())
}

fn multis(client: &mut RawClient, root: &str) -> io::Result<()> {
    let folder = format!("{root}/multi");
    create(client, &folder, b"", mode::PERSISTENT)?;
    for round in 0..50 {
        let path = format!("{folder}/n{round}");
        let path = || path.as_str().into();
        let data = Some(&b"by multi"[..]);
        let (acl, flags) = (open_acl(), mode::PERSISTENT);
        let create = CreateRequest { path: path(), data, acl, flags };
        let set = SetDataRequest { path: path(), data, version: 0 };
        // Every second one fails, and leaves an error transaction in the log.
        let check = CheckVersionRequest { path: path(), version: 1 + round % 2 };
        let mut body = Vec::new();
        multi_part(op::CREATE, &create, &mut body);
        multi_part(op::SET_DATA, &set, &mut body);
        multi_part(op::CHECK, &check, &mut body);
        MultiHeader { kind: -1, done: true, err: -1 }.write(&mut body);
        client.queue_bytes(op::MULTI, &body);
        client.flush()?;
        client.receive()?;
    }
    Ok(())
}

fn multi_part<'a>(opcode: i32, request: &impl Field<'a>, body: &mut Vec<u8>) {
    MultiHeader { kind: opcode, done: false, err: -1 }.write(body);
    request.write(body);
}

/// Fills `root` (absent before) with `count` nodes under a quota, some of them ephemeral. Apart
/// from [`fill`], as Apache's snapshots do not hold their digest when counted nodes change while
/// one is written: its reader sets the counts anew.
pub fn quotas(address: SocketAddr, root: &str, count: usize) -> io::Result<Session> {
    let mut client = RawClient::connect(address, SESSION_TIMEOUT_MS)?;
    create(&mut client, root, b"", mode::PERSISTENT)?;
    create(&mut client, &format!("{root}/before"), b"counted at once", mode::PERSISTENT)?;
    let path = format!("/zookeeper/quota{root}");
    create(&mut client, &path, b"", mode::PERSISTENT)?;
    let limits = b"count=1000000,bytes=1000000000=;byteHardLimit=-1;countHardLimit=2000000";
    create(&mut client, &format!("{path}/zookeeper_limits"), limits, mode::PERSISTENT)?;
    let stats = b"count=0,bytes=0";
    create(&mut client, &format!("{path}/zookeeper_stats"), stats, mode::PERSISTENT)?;
    plain(&mut client, root, count)?;
    changes(&mut client, root)?;
    ephemerals(&mut client, root, "counted", 50)?;
    Ok(client.session().clone())
}

fn ephemerals(client: &mut RawClient, root: &str, name: &str, count: usize) -> io::Result<()> {
    create(client, &format!("{root}/ephemeral-{name}"), b"", mode::PERSISTENT)?;
    let path = |index| format!("{root}/ephemeral-{name}/n{index}");
    let request = |client: &mut RawClient, index: usize| {
        let flags = [mode::EPHEMERAL, mode::EPHEMERAL_SEQUENTIAL][index % 2];
        client.queue_create(&path(index), b"short lived", open_acl(), flags, 0);
    };
    client.pipeline(count, WINDOW, request, |index, reply| expect_ok(&reply, &path(index)))
}
