//! Every area of the matrix that the crate zookeeper-client can do.

use std::error::Error as StdError;
use std::fmt::Debug;
use std::future::Future;
use std::time::Duration;

use smol::Timer;
use smol::future::or;
use zookeeper_client::{
    Acls, AddWatchMode, Client, Connector, CreateMode, EnsembleUpdate, Error, EventType,
    LockOptions, LockPrefix, MultiReadResult, MultiWriteError, SessionState, StateWatcher,
    WatchedEvent,
};

/// How long anything may take that is waited for.
const WAIT: Duration = Duration::from_secs(60);
const TIMEOUT: Duration = Duration::from_secs(20);
const OPEN: Acls<'static> = Acls::anyone_all();

type Verdict = Result<(), Box<dyn StdError>>;

/// What the runner has told.
struct Given {
    area: String,
    hosts: String,
    other_hosts: String,
    root: String,
    server_line: String,
}

impl Given {
    fn read() -> Self {
        let variable = |name| std::env::var(name).expect("told by the runner");
        let hosts = variable("MATRIX_HOSTS");
        let (first, rest) = hosts.split_once(',').expect("several hosts");
        Self {
            area: std::env::args().nth(1).expect("an area"),
            other_hosts: format!("{rest},{first}"),
            root: variable("MATRIX_ROOT"),
            server_line: variable("MATRIX_SERVER_LINE"),
            hosts,
        }
    }

    fn under(&self, name: &str) -> String {
        format!("{}/{name}", self.root)
    }

    /// Says whether a step ends as it should.
    async fn check(&self, name: &str, step: impl Future<Output = Verdict>) {
        let late = async {
            Timer::after(WAIT).await;
            Err("not in time".into())
        };
        match or(step, late).await {
            Ok(()) => println!("ok {} {name}", self.area),
            Err(why) => println!("FAIL {} {name}: {why}", self.area),
        }
    }

    async fn connect(&self) -> Client {
        connector().connect(&self.hosts).await.expect("a session")
    }
}

fn connector() -> Connector {
    Client::connector().with_session_timeout(TIMEOUT)
}

fn equal<T: PartialEq + Debug>(wanted: T, seen: T) -> Verdict {
    if wanted == seen { Ok(()) } else { Err(format!("wanted {wanted:?}, seen {seen:?}").into()) }
}

fn refused<T: Debug>(wanted: Error, result: Result<T, Error>) -> Verdict {
    match result {
        Err(error) if error == wanted => Ok(()),
        other => Err(format!("wanted {wanted:?}, got {other:?}").into()),
    }
}

fn is_event(kind: EventType, path: &str, event: WatchedEvent) -> Verdict {
    equal((kind, path), (event.event_type, &*event.path))
}

/// Waits until a session is in this state.
async fn becomes(states: &mut StateWatcher, wanted: SessionState) -> Verdict {
    loop {
        let state = states.changed().await;
        if state == wanted {
            return Ok(());
        }
        if state.is_terminated() {
            return Err(format!("the session is {state}").into());
        }
    }
}

/// Waits until a node is gone.
async fn is_gone(client: &Client, path: &str) -> Verdict {
    while client.check_stat(path).await?.is_some() {
        Timer::after(Duration::from_millis(50)).await;
    }
    Ok(())
}

/// Asks whoever runs this program to do something to the servers.
fn ask(request: &str) -> String {
    println!("? {request}");
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).expect("an answer");
    answer.trim().to_owned()
}

async fn create(client: &Client, path: &str) -> Result<(), Error> {
    client.create(path, b"1", &CreateMode::Persistent.with_acls(OPEN)).await.map(drop)
}

async fn operations(given: &Given, client: &Client, other: &Client) {
    let node = &given.under("node");
    let child = |name: &str| format!("{node}/{name}");
    given
        .check("create and get", async {
            create(client, node).await?;
            let (data, stat) = client.get_data(node).await?;
            equal((&b"1"[..], 0, 1), (&*data, stat.version, stat.data_length))
        })
        .await;
    given
        .check("set", async { equal(1, client.set_data(node, b"2", Some(0)).await?.version) })
        .await;
    given
        .check("exists", async {
            equal(true, client.check_stat(node).await?.is_some())?;
            equal(false, client.check_stat(&given.under("absent")).await?.is_some())
        })
        .await;
    given
        .check("children", async {
            create(client, &child("a")).await?;
            create(client, &child("b")).await?;
            let (mut names, stat) = client.get_children(node).await?;
            names.sort();
            equal((vec!["a".to_owned(), "b".to_owned()], 2), (names, stat.num_children))
        })
        .await;
    given
        .check("sequential nodes", async {
            let mode = CreateMode::PersistentSequential.with_acls(OPEN);
            let (_, first) = client.create(&child("s-"), b"", &mode).await?;
            let (_, second) = client.create(&child("s-"), b"", &mode).await?;
            equal("0000000002 0000000003", &format!("{first} {second}"))
        })
        .await;
    given
        .check("errors", async {
            refused(Error::NodeExists, create(client, node).await)?;
            refused(Error::NoNode, create(client, &given.under("absent/child")).await)?;
            refused(Error::BadVersion, client.set_data(node, b"", Some(7)).await)?;
            refused(Error::NotEmpty, client.delete(node, None).await)
        })
        .await;
    given
        .check("delete", async {
            client.delete(&child("a"), Some(0)).await?;
            equal(false, client.check_stat(&child("a")).await?.is_some())
        })
        .await;
    given
        .check("sync at another member", async {
            create(client, &given.under("new")).await?;
            other.sync(&given.root).await?;
            equal(true, other.check_stat(&given.under("new")).await?.is_some())
        })
        .await;
    given
        .check("pipelined writes in order", async {
            let path = &given.under("new");
            let all: Vec<_> = (0..200).map(|_| client.set_data(path, b"x", None)).collect();
            for (number, one) in all.into_iter().enumerate() {
                equal(number as i32 + 1, one.await?.version)?;
            }
            Ok(())
        })
        .await;
}

async fn watches(given: &Given, client: &Client, other: &Client) {
    let (node, child) = (&given.under("node"), &given.under("node/child"));
    given
        .check("a node is created", async {
            let (_, watch) = client.check_and_watch_stat(node).await?;
            create(other, node).await?;
            is_event(EventType::NodeCreated, node, watch.changed().await)
        })
        .await;
    given
        .check("data change", async {
            let (_, _, watch) = client.get_and_watch_data(node).await?;
            other.set_data(node, b"2", None).await?;
            is_event(EventType::NodeDataChanged, node, watch.changed().await)
        })
        .await;
    given
        .check("children change", async {
            let (_, watch) = client.list_and_watch_children(node).await?;
            create(other, child).await?;
            is_event(EventType::NodeChildrenChanged, node, watch.changed().await)
        })
        .await;
    given
        .check("a node is deleted", async {
            let (_, _, watch) = client.get_and_watch_data(child).await?;
            other.delete(child, None).await?;
            is_event(EventType::NodeDeleted, child, watch.changed().await)
        })
        .await;
    given
        .check("persistent watch", async {
            let path = &given.under("p");
            let mut watch = client.watch(path, AddWatchMode::Persistent).await?;
            create(other, path).await?;
            other.set_data(path, b"2", None).await?;
            is_event(EventType::NodeCreated, path, watch.changed().await)?;
            is_event(EventType::NodeDataChanged, path, watch.changed().await)
        })
        .await;
    given
        .check("recursive watch", async {
            let (path, child) = (&given.under("r"), &given.under("r/child"));
            let mut watch = client.watch(path, AddWatchMode::PersistentRecursive).await?;
            create(other, path).await?;
            create(other, child).await?;
            is_event(EventType::NodeCreated, path, watch.changed().await)?;
            is_event(EventType::NodeCreated, child, watch.changed().await)
        })
        .await;
}

async fn sessions(given: &Given, client: Client, other: &Client) {
    let mine = &given.under("mine");
    let id = client.session_id();
    let ephemeral = &CreateMode::Ephemeral.with_acls(OPEN);
    given.check("timeout", async { equal(TIMEOUT, client.session_timeout()) }).await;
    given
        .check("its ephemerals end with it", async {
            let (brief, path) = (given.connect().await, &given.under("brief"));
            brief.create(path, b"", ephemeral).await?;
            drop(brief);
            is_gone(other, path).await
        })
        .await;
    client.create(mine, b"", ephemeral).await.expect("an ephemeral node");
    let (_, _, watch) = client.get_and_watch_data(mine).await.expect("its data");
    let killed = ask(&format!("kill-member-of {:#x}", id.0));
    given
        .check("goes on at another member", async {
            // Of states that follow each other fast, a watcher sees the last only.
            while let Err(error) = client.check_stat(mine).await {
                equal(Error::ConnectionLoss, error)?;
                Timer::after(Duration::from_millis(50)).await;
            }
            equal(id, client.session_id())
        })
        .await;
    given
        .check("its ephemeral is there", async {
            let stat = client.check_stat(mine).await?.ok_or("it is gone")?;
            equal(id.0, stat.ephemeral_owner)
        })
        .await;
    given
        .check("its watch is there", async {
            client.set_data(mine, b"2", None).await?;
            is_event(EventType::NodeDataChanged, mine, watch.changed().await)
        })
        .await;
    ask("start-members");
    given
        .check("taken over, and closed, at another member", async {
            let session = client.session().clone();
            let taker = connector().with_session(session).connect(&killed).await?;
            equal(id, taker.session_id())?;
            equal(true, taker.check_stat(mine).await?.is_some())?;
            drop(taker);
            is_gone(&given.connect().await, mine).await
        })
        .await;
}

async fn acl(given: &Given, client: &Client, other: &Client) {
    let node = &given.under("node");
    let own = &CreateMode::Persistent.with_acls(Acls::creator_all());
    given
        .check("who has no identity owns nothing", async {
            refused(Error::InvalidAcl, client.create(node, b"1", own).await)
        })
        .await;
    given
        .check("its creator's only", async {
            client.auth("digest", b"user:pass").await?;
            client.create(node, b"1", own).await?;
            client.get_data(node).await?;
            other.sync("/").await?;
            refused(Error::NoAuth, other.get_data(node).await)?;
            refused(Error::NoAuth, other.set_data(node, b"2", None).await)
        })
        .await;
    given
        .check("read and change an ACL", async {
            let (acls, _) = client.get_acl(node).await?;
            equal("digest", acls[0].scheme())?;
            let acls = [zookeeper_client::Acl::new(
                zookeeper_client::Permission::READ,
                zookeeper_client::AuthId::anyone(),
            )];
            equal(1, client.set_acl(node, &acls, Some(0)).await?.aversion)?;
            other.sync("/").await?;
            other.get_data(node).await?;
            refused(Error::NoAuth, other.set_data(node, b"2", None).await)
        })
        .await;
    given
        .check("the super user", async {
            other.auth("digest", b"super:secret").await?;
            equal(1, other.set_data(node, b"2", None).await?.version)
        })
        .await;
    given
        .check("who am I", async {
            let users = client.list_auth_users().await?;
            equal(true, users.iter().any(|user| user.user() == "user"))
        })
        .await;
}

async fn multi(given: &Given, client: &Client) {
    let (node, child) = (&given.under("node"), &given.under("node/a"));
    let mode = &CreateMode::Persistent.with_acls(OPEN);
    given
        .check("all of it", async {
            let mut writer = client.new_multi_writer();
            writer.add_create(node, b"1", mode)?;
            writer.add_create(child, b"1", mode)?;
            writer.add_set_data(node, b"2", Some(0))?;
            writer.add_check_version(node, 1)?;
            writer.add_delete(child, None)?;
            equal(5, writer.commit().await?.len())?;
            let (data, stat) = client.get_data(node).await?;
            equal((&b"2"[..], 0), (&*data, stat.num_children))
        })
        .await;
    given
        .check("or nothing", async {
            let mut writer = client.new_multi_writer();
            writer.add_create(child, b"1", mode)?;
            writer.add_check_version(node, 7)?;
            writer.add_set_data(node, b"3", None)?;
            let wanted = MultiWriteError::OperationFailed { index: 1, source: Error::BadVersion };
            equal(Some(wanted), writer.commit().await.err())?;
            equal(false, client.check_stat(child).await?.is_some())
        })
        .await;
    given
        .check("reads", async {
            let mut reader = client.new_multi_reader();
            reader.add_get_data(node)?;
            reader.add_get_children(&given.root)?;
            match &reader.commit().await?[..] {
                [MultiReadResult::Data { data, .. }, MultiReadResult::Children { children }] => {
                    equal((&b"2"[..], 1), (&**data, children.len()))
                }
                _ => Err("other results".into()),
            }
        })
        .await;
}

async fn ttl(given: &Given, client: &Client) {
    given
        .check("an empty container is removed", async {
            let (path, child) = (&given.under("container"), &given.under("container/child"));
            client.create(path, b"", &CreateMode::Container.with_acls(OPEN)).await?;
            create(client, child).await?;
            client.delete(child, None).await?;
            is_gone(client, path).await
        })
        .await;
    given
        .check("a node lives as long as told", async {
            for (name, ttl) in [("brief", 500), ("long", 600_000)] {
                let mode = CreateMode::Persistent.with_acls(OPEN);
                let mode = mode.with_ttl(Duration::from_millis(ttl));
                client.create(&given.under(name), b"", &mode).await?;
            }
            is_gone(client, &given.under("brief")).await?;
            equal(true, client.check_stat(&given.under("long")).await?.is_some())
        })
        .await;
}

fn joining(line: &str) -> EnsembleUpdate<'_, std::option::IntoIter<&str>> {
    EnsembleUpdate::Incremental { joinings: Some(line).into_iter(), leavings: None.into_iter() }
}

/// Makes a member vote or observe; the reply may be lost, as it then closes its connections.
async fn change_to(client: &Client, line: &str) -> Verdict {
    loop {
        match client.update_ensemble(joining(line), None).await {
            Ok((config, _)) => {
                let config = String::from_utf8(config)?;
                return equal(true, config.contains(line));
            }
            Err(Error::SessionExpired) => return Err("the session is gone".into()),
            Err(_) => drop(Timer::after(Duration::from_millis(50)).await),
        }
    }
}

async fn reconfig(given: &Given, client: &Client) {
    let line = &*given.server_line;
    let observer = &*line.replace(":participant", ":observer");
    let refusal = |version: Option<i64>| client.update_ensemble(joining(observer), version);
    given
        .check("read the configuration", async {
            let (config, _) = client.get_config().await?;
            equal(true, String::from_utf8(config)?.contains(line))
        })
        .await;
    given.check("not for everybody", async { refused(Error::NoAuth, refusal(None).await) }).await;
    client.auth("digest", b"super:secret").await.expect("an identity");
    given
        .check("of another version", async { refused(Error::BadVersion, refusal(Some(1)).await) })
        .await;
    given
        .check("a voter observes and votes again", async {
            let (_, _, watch) = client.get_and_watch_config().await?;
            change_to(client, observer).await?;
            is_event(EventType::NodeDataChanged, "/zookeeper/config", watch.changed().await)?;
            change_to(client, line).await
        })
        .await;
}

async fn read_only(given: &Given) {
    let writer = given.connect().await;
    create(&writer, &given.root).await.expect("a node");
    drop(writer);
    ask("lose-quorum");
    let client = connector().with_readonly(true).connect(&given.hosts).await;
    given
        .check("connect", async {
            let client = client.as_ref().map_err(|error| error.to_string())?;
            equal(SessionState::ConnectedReadOnly, client.state())
        })
        .await;
    let Ok(client) = client else { return };
    let mut states = client.state_watcher();
    given.check("read", async { equal(&b"1"[..], &*client.get_data(&given.root).await?.0) }).await;
    given
        .check("no writes", async {
            refused(Error::NotReadOnly, create(&client, &given.under("refused")).await)
        })
        .await;
    ask("start-members");
    given.check("back to all members", becomes(&mut states, SessionState::SyncConnected)).await;
    given.check("write", async { Ok(create(&client, &given.under("after")).await?) }).await;
}

async fn quotas(given: &Given, client: &Client) {
    let node = &given.under("node");
    let quota = &format!("/zookeeper/quota{node}");
    let (limits, stats) =
        (&format!("{quota}/zookeeper_limits"), &format!("{quota}/zookeeper_stats"));
    let mode = &CreateMode::Persistent.with_acls(OPEN);
    let counted = async |wanted: &str| {
        let (data, _) = client.get_data(stats).await?;
        equal(wanted, String::from_utf8(data)?.split(';').next().unwrap_or_default())
    };
    create(client, node).await.expect("a node");
    given
        .check("set a quota", async {
            client.mkdir(quota, mode).await?;
            let text = b"count=2,bytes=-1;byteHardLimit=10;countHardLimit=3";
            client.create(limits, text, mode).await?;
            client.create(stats, b"count=0,bytes=0", mode).await?;
            Ok(())
        })
        .await;
    given
        .check("what is there is counted", async {
            create(client, &given.under("node/a")).await?;
            counted("count=2,bytes=2").await
        })
        .await;
    given
        .check("a soft limit lets through", async {
            create(client, &given.under("node/b")).await?;
            counted("count=3,bytes=3").await
        })
        .await;
    given
        .check("a hard limit does not", async {
            refused(Error::QuotaExceeded, create(client, &given.under("node/c")).await)?;
            refused(Error::QuotaExceeded, client.set_data(node, b"12345678901", None).await)
        })
        .await;
    given
        .check("nor without a quota", async {
            client.delete(limits, None).await?;
            client.delete(stats, None).await?;
            Ok(create(client, &given.under("node/c")).await?)
        })
        .await;
}

async fn recipes(given: &Given, client: &Client, other: &Client) {
    let path = &given.under("lock");
    create(client, path).await.expect("a node");
    given
        .check("lock", async {
            let prefix = || LockPrefix::new_curator(path, "lock-");
            let first = client.lock(prefix()?, b"1", LockOptions::new(OPEN)).await?;
            let waiting = async {
                other.lock(prefix()?, b"2", LockOptions::new(OPEN)).await?;
                Ok::<_, Error>("locked")
            };
            let releasing = async {
                // The other stands in line behind the first.
                while client.list_children(path).await?.len() < 2 {
                    Timer::after(Duration::from_millis(20)).await;
                }
                drop(first);
                Ok::<_, Error>(())
            };
            let (locked, released) = smol::future::zip(waiting, releasing).await;
            released?;
            equal("locked", locked?)
        })
        .await;
}

fn main() {
    let given = Given::read();
    smol::block_on(async {
        if given.area == "read-only" {
            return read_only(&given).await;
        }
        let client = given.connect().await;
        let other = connector().connect(&given.other_hosts).await.expect("a session");
        create(&client, &given.root).await.expect("a node");
        other.sync("/").await.expect("a sync");
        match &*given.area {
            "operations" => operations(&given, &client, &other).await,
            "watches" => watches(&given, &client, &other).await,
            "sessions" => sessions(&given, client, &other).await,
            "acl" => acl(&given, &client, &other).await,
            "multi" => multi(&given, &client).await,
            "ttl" => ttl(&given, &client).await,
            "reconfig" => reconfig(&given, &client).await,
            "quotas" => quotas(&given, &client).await,
            _ => recipes(&given, &client, &other).await,
        }
    });
}
