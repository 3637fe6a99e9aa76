//! Members in containers, as users of the official image run them: one private network, servers
//! that know each other by their names, `ZOO_` variables, and the data on volumes, which outlive
//! the containers when a member becomes another kind of server.
//!
//! A member that is cut off is taken out of the network, from its clients too, and comes back under
//! its address. One that is started again has another address than before, so that the others have
//! to look its name up anew. What goes one way only is dropped by a rule in the receiver's network
//! namespace; the images have no programs for that, so it is set from outside, by `nsenter` and
//! `iptables`.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use testcontainers::core::{ContainerPort, Mount};
use testcontainers::{ContainerRequest, GenericImage, ImageExt};

use super::Hosts;
use super::engine::{Engine, Network, Running};
use super::images::image_of;
use crate::ensemble::links::Cut;
use crate::ensemble::{Layout, MemberSpec, PeerType, PortBlock};
use crate::server::{SUPER_DIGEST, ServerUnderTest};

/// Where every container listens: for clients, learners and elections.
const CLIENT: u16 = 2181;
const QUORUM: u16 = 2888;
const ELECTION: u16 = 3888;

/// The label that a container carries which these tests have started.
pub const LABEL: &str = "gamekeeper.compat-tests";

/// The volumes of a member and where they are mounted.
const VOLUMES: [(&str, &str); 2] = [("data", "/data"), ("datalog", "/datalog")];

/// The settings that the image has variables for.
const VARIABLES: [(&str, &str); 5] = [
    ("tickTime", "ZOO_TICK_TIME"),
    ("initLimit", "ZOO_INIT_LIMIT"),
    ("syncLimit", "ZOO_SYNC_LIMIT"),
    ("maxClientCnxns", "ZOO_MAX_CLIENT_CNXNS"),
    ("4lw.commands.whitelist", "ZOO_4LW_COMMANDS_WHITELIST"),
];

/// How long a connection through the engine's proxy may take to be refused or not.
const SETTLE_LIMIT: Duration = Duration::from_secs(60);

/// An ensemble in containers. All of it is removed when it is dropped.
#[derive(Debug)]
pub struct Containers {
    engine: &'static Engine,
    members: Vec<Member>,
    /// Members that are out of the network, with the addresses they had.
    cut_off: BTreeMap<usize, String>,
    /// Members with rules that drop packets.
    deaf: BTreeSet<usize>,
    network: Option<Network>,
    /// Holds the ports of this machine under which the members are reached.
    _ports: PortBlock,
}

#[derive(Debug)]
struct Member {
    spec: MemberSpec,
    /// Its name in the network and with the engine.
    host: String,
    variables: Vec<(String, String)>,
    port: u16,
    is_up: bool,
    /// The last container, with what it is.
    container: Option<(ServerUnderTest, Running)>,
}

impl Containers {
    /// Makes network and names; nothing runs yet. An error says why containers cannot be had.
    pub fn prepare(layout: &Layout) -> Result<Self, String> {
        let engine = Engine::get()?;
        layout.members.iter().try_for_each(|spec| image_of(spec.kind).map(drop))?;
        let ports = PortBlock::take();
        // The block is this run's alone, and so are names with its number.
        let run = format!("{LABEL}-{}", ports.member(0).client).replace('.', "-");
        let host = |index: usize| format!("{run}-zoo{}", index + 1);
        let servers = layout.members.iter().enumerate().map(|(index, spec)| {
            let observer = if spec.peer_type == PeerType::Observer { ":observer" } else { "" };
            let (id, host) = (index + 1, host(index));
            format!("server.{id}={host}:{QUORUM}:{ELECTION}{observer};{CLIENT}")
        });
        let servers = servers.collect::<Vec<_>>().join(" ");
        let members = layout.members.iter().enumerate().map(|(index, spec)| {
            let variables = variables(layout, spec, index + 1, &servers);
            let port = ports.member(index).client;
            let (spec, host) = (*spec, host(index));
            Member { spec, host, variables, port, is_up: false, container: None }
        });
        let members = members.collect();
        let network = Some(Network::new(engine, &run)?);
        let (cut_off, deaf) = (BTreeMap::new(), BTreeSet::new());
        Ok(Self { engine, members, cut_off, deaf, network, _ports: ports })
    }

    fn container(&self, member: usize) -> &Running {
        let container = self.members[member].container.as_ref();
        &container.unwrap_or_else(|| panic!("member {member} was never started")).1
    }

    fn request(&self, member: usize, kind: ServerUnderTest) -> ContainerRequest<GenericImage> {
        let image = image_of(kind).expect("an image that was there at the start, or is built now");
        let network = self.network.as_ref().expect("a network until it is dropped");
        let member = &self.members[member];
        let (name, tag) = image.rsplit_once(':').unwrap_or((&image, "latest"));
        let request = GenericImage::new(name, tag)
            .with_container_name(&member.host)
            .with_hostname(&member.host)
            .with_network(network.name())
            .with_label(LABEL, "member")
            .with_mapped_port(member.port, ContainerPort::Tcp(CLIENT));
        let request = VOLUMES.iter().fold(request, |request, (volume, path)| {
            request.with_mount(Mount::volume_mount(format!("{}-{volume}", member.host), *path))
        });
        let variables = member.variables.iter();
        variables.fold(request, |request, (name, value)| request.with_env_var(name, value))
    }

    fn bring_down(&mut self, member: usize, end: impl FnOnce(&Engine, &Running)) {
        assert!(self.members[member].is_up, "member {member} is not running");
        self.resume(member);
        end(self.engine, self.container(member));
        // Its rules have ended with its network namespace.
        self.deaf.remove(&member);
        self.members[member].is_up = false;
    }

    /// Runs `iptables` in a container's network namespace.
    fn filter(&self, member: usize, rule: &[&str]) -> Result<(), String> {
        let state = self.engine.inspect(self.container(member))?.state.unwrap_or_default();
        let pid = state.pid.filter(|pid| *pid > 0).ok_or("it does not run")?;
        let ran = Command::new("nsenter")
            .args(["--target", &pid.to_string(), "--net", "iptables"])
            .args(rule)
            .output()
            .map_err(|error| format!("nsenter: {error}"))?;
        match ran.status.success() {
            true => Ok(()),
            false => Err(format!("iptables: {}", String::from_utf8_lossy(&ran.stderr).trim())),
        }
    }
}

/// The variables of a member's container.
fn variables(
    layout: &Layout,
    spec: &MemberSpec,
    id: usize,
    servers: &str,
) -> Vec<(String, String)> {
    let named: HashMap<&str, &str> = VARIABLES.into();
    let usual = ["maxClientCnxns=0", "4lw.commands.whitelist=*"].map(str::to_owned);
    let mut set: Vec<(String, String)> = vec![
        ("ZOO_MY_ID".into(), id.to_string()),
        ("ZOO_SERVERS".into(), servers.into()),
        ("ZOO_ADMINSERVER_ENABLED".into(), "false".into()),
    ];
    let mut extra = vec![format!("DigestAuthenticationProvider.superDigest=super:{SUPER_DIGEST}")];
    if spec.peer_type == PeerType::Observer {
        extra.push("peerType=observer".into());
    }
    for line in usual.iter().chain(&layout.config) {
        match line.split_once('=').and_then(|(key, value)| Some((named.get(key)?, value))) {
            Some((name, value)) => set.push(((*name).into(), value.into())),
            None => extra.push(line.clone()),
        }
    }
    set.push(("ZOO_CFG_EXTRA".into(), extra.join(" ")));
    let flags = layout.properties.iter().map(|(name, value)| format!("-D{name}={value}"));
    set.push(("SERVER_JVMFLAGS".into(), flags.collect::<Vec<_>>().join(" ")));
    set
}

impl Hosts for Containers {
    fn len(&self) -> usize {
        self.members.len()
    }

    fn kind(&self, member: usize) -> ServerUnderTest {
        self.members[member].spec.kind
    }

    fn peer_type(&self, member: usize) -> PeerType {
        self.members[member].spec.peer_type
    }

    fn address(&self, member: usize) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.members[member].port).into()
    }

    fn is_up(&self, member: usize) -> bool {
        self.members[member].is_up
    }

    fn ended(&mut self, member: usize) -> Option<String> {
        let state = self.engine.inspect(self.container(member)).ok()?.state?;
        let has_ended = self.is_up(member) && state.running == Some(false);
        has_ended.then(|| format!("exit code {}", state.exit_code.unwrap_or_default()))
    }

    fn launch_as(&mut self, member: usize, kind: ServerUnderTest) {
        assert!(!self.members[member].is_up, "member {member} runs already");
        match self.members[member].container.take() {
            Some((was, container)) if was == kind => {
                let network = self.network.as_mut().expect("a network until it is dropped");
                if self.cut_off.remove(&member).is_none() {
                    network.disconnect(&container).expect("a member that leaves the network");
                }
                let address = network.new_address();
                network.connect(&container, &address).expect("a member with another address");
                self.engine.start(&container).expect("a container that starts again");
                self.members[member].container = Some((kind, container));
            }
            other => {
                other.into_iter().for_each(|(_, container)| self.engine.remove(container));
                let started = self.engine.run(self.request(member, kind));
                let started = started.unwrap_or_else(|e| panic!("a container of {kind}: {e}"));
                self.members[member].container = Some((kind, started));
            }
        }
        self.members[member].spec.kind = kind;
        self.members[member].is_up = true;
    }

    fn stop(&mut self, member: usize) {
        let kind = self.kind(member);
        self.bring_down(member, |engine, container| {
            let code = engine.stop(container).expect("a container that can be stopped");
            let expected = match kind {
                ServerUnderTest::Gamekeeper => 0,
                // What a Java machine ends with after SIGTERM.
                ServerUnderTest::Apache(_) => 143,
            };
            let log = engine.log_tail(container);
            assert_eq!(code, expected, "exit code of {kind} after SIGTERM:\n{log}");
        });
    }

    fn kill(&mut self, member: usize) {
        self.bring_down(member, |engine, container| {
            engine.kill(container).expect("a container that can be killed");
        });
        // The engine hears of the end a little later.
        let deadline = Instant::now() + SETTLE_LIMIT;
        let runs = |containers: &Self| {
            let state = containers.engine.inspect(containers.container(member));
            state.is_ok_and(|all| all.state.is_some_and(|state| state.running == Some(true)))
        };
        while runs(self) {
            assert!(Instant::now() < deadline, "member {member} runs on after SIGKILL");
            thread::sleep(super::POLL);
        }
    }

    fn pause(&mut self, member: usize) {
        self.engine.set_paused(self.container(member), true).expect("a container that is paused");
    }

    fn resume(&mut self, member: usize) {
        let resumed = self.engine.set_paused(self.container(member), false);
        resumed.expect("a container that goes on");
    }

    fn cut(&mut self, member: usize, cut: Cut) {
        assert_eq!(cut, Cut::Drop, "who is out of a network tells nobody");
        let network = self.network.as_ref().expect("a network until it is dropped");
        let container = self.container(member);
        let address = network.address_of(container).expect("the address of a member that runs");
        network.disconnect(container).expect("a member that leaves the network");
        self.cut_off.insert(member, address);
    }

    fn cut_one_way(&mut self, from: usize, to: usize) -> Result<(), String> {
        let network = self.network.as_ref().expect("a network until it is dropped");
        let sender = network.address_of(self.container(from))?;
        self.filter(to, &["-A", "INPUT", "-s", &sender, "-j", "DROP"])?;
        self.deaf.insert(to);
        Ok(())
    }

    fn heal(&mut self) {
        for member in std::mem::take(&mut self.deaf) {
            self.filter(member, &["-F", "INPUT"]).expect("no rules any more");
        }
        for (member, address) in std::mem::take(&mut self.cut_off) {
            let network = self.network.as_ref().expect("a network until it is dropped");
            let back = network.connect(self.container(member), &address);
            back.expect("a member that comes back to the network");
        }
    }

    fn heal_elsewhere(&mut self) {
        let network = self.network.as_mut().expect("a network until it is dropped");
        self.cut_off.values_mut().for_each(|address| *address = network.new_address());
        self.heal();
    }

    fn log_tail(&self, member: usize) -> String {
        self.engine.log_tail(self.container(member))
    }

    fn agree_on_addresses(&self) -> bool {
        true
    }
}

impl Drop for Containers {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("--- the ensemble in containers: {}", self.describe());
        }
        for member in &mut self.members {
            let Some((kind, container)) = member.container.take() else { continue };
            if thread::panicking() {
                let log = self.engine.log_tail(&container);
                eprintln!("--- the end of the log of {} ({kind})\n{log}", member.host);
            }
            self.engine.remove(container);
            for (volume, _) in VOLUMES {
                let name = format!("{}-{volume}", member.host);
                if let Err(error) = self.engine.remove_volume(&name) {
                    eprintln!("the volume {name} is left: {error}");
                }
            }
        }
    }
}
