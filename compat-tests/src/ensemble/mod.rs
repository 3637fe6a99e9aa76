//! Ensembles of real servers on this machine: Apache's releases, this server, or a mix of them.
//!
//! A [`Layout`] says who takes part, an [`Ensemble`] runs it. Members are named by their index from
//! 0; `server.N` and `myid` are the index and 1. What can be done to members is in [`Hosts`]; with
//! [`Layout::proxied`] the links between them can be cut, too ([`links`]).

pub mod links;
mod ports;
pub mod proxied_stream;

use std::net::{Ipv4Addr, SocketAddr};
use std::thread;

use crate::hosts::Hosts;
use crate::machine::Machine;
use crate::server::{Home, Server, ServerUnderTest};
use crate::small_disk::SmallDisk;
use links::Links;
pub use ports::{MemberPorts, PortBlock};

/// Room on a small disk that nobody has filled, in bytes: it takes what is used.
pub(crate) const DISK_BYTES: usize = 4 << 30;

/// Whether a member votes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeerType {
    /// It votes.
    Participant,
    /// It does not.
    Observer,
}

/// A member before its start.
#[derive(Debug, Clone, Copy)]
pub struct MemberSpec {
    /// Which server it is.
    pub kind: ServerUnderTest,
    /// Whether it votes.
    pub peer_type: PeerType,
    /// Its `group` and `weight`, with hierarchical quorums.
    pub group: Option<(u32, u32)>,
    /// Whether only it knows of itself at first, until a reconfig takes it in.
    pub joins_later: bool,
}

impl From<ServerUnderTest> for MemberSpec {
    fn from(kind: ServerUnderTest) -> Self {
        Self { kind, peer_type: PeerType::Participant, group: None, joins_later: false }
    }
}

/// Who takes part in an ensemble, and how.
#[derive(Debug, Clone)]
pub struct Layout {
    pub(crate) members: Vec<MemberSpec>,
    pub(crate) config: Vec<String>,
    pub(crate) properties: Vec<(String, String)>,
    proxied: bool,
    on_machines: bool,
    on_small_disks: bool,
    dynamic: bool,
    observer_masters: bool,
    two_addresses: bool,
}

impl Layout {
    /// Participants of these kinds, with short ticks: a lost leader or follower is noticed within
    /// two seconds (`tickTime=500`, `syncLimit=4`).
    pub fn new(kinds: &[ServerUnderTest]) -> Self {
        Self::of(kinds.iter().map(|kind| MemberSpec::from(*kind)).collect())
    }

    /// [`Self::new`] for members of all sorts.
    pub fn of(members: Vec<MemberSpec>) -> Self {
        let config = ["tickTime=500", "initLimit=20", "syncLimit=4", "maxSessionTimeout=60000"];
        let config = config.map(str::to_owned).to_vec();
        Self {
            members,
            config,
            properties: Vec::new(),
            proxied: false,
            on_machines: false,
            on_small_disks: false,
            dynamic: false,
            observer_masters: false,
            two_addresses: false,
        }
    }

    /// Adds an observer.
    pub fn with_observer(mut self, kind: ServerUnderTest) -> Self {
        let spec = MemberSpec { peer_type: PeerType::Observer, ..kind.into() };
        self.members.push(spec);
        self
    }

    /// Puts proxies between the members, so that [`Ensemble::links`] can be cut.
    pub fn proxied(mut self) -> Self {
        self.proxied = true;
        self
    }

    /// Puts a machine under each member whose disk and clock can go wrong ([`Ensemble::machine`]).
    pub fn on_machines(mut self) -> Self {
        self.on_machines = true;
        self
    }

    /// Puts a disk of its own under each member that can be full ([`Hosts::fill_disk`]), where one
    /// may be mounted. Little of it is reserved ahead of the log.
    pub fn on_small_disks(self) -> Self {
        Self { on_small_disks: true, ..self.with_config("preAllocSize=64") }
    }

    /// Lets the ensemble be changed by reconfigs: server lines name the client's address, and each
    /// zoo.cfg stays as the servers rewrite it.
    pub fn dynamic(self) -> Self {
        Self { dynamic: true, ..self.with_config("reconfigEnabled=true") }
    }

    /// Adds a server that the others do not know; it runs once it is launched.
    pub fn with_joiner(mut self, kind: ServerUnderTest) -> Self {
        self.members.push(MemberSpec { joins_later: true, ..kind.into() });
        self
    }

    /// Lets followers serve the observers. They all do so on one port, so each member has a host
    /// of its own, 127.0.0.N.
    pub fn with_observer_masters(mut self) -> Self {
        assert!(!self.proxied, "links lead to 127.0.0.1");
        self.observer_masters = true;
        self
    }

    /// Gives each member a second host beside 127.0.0.1, 127.0.1.N. Apache's servers look at the
    /// property only, and not at zoo.cfg, when they read the server lines.
    pub fn with_two_addresses(self) -> Self {
        assert!(!self.proxied && !self.observer_masters, "each member has one host there");
        let layout = self.with_property("zookeeper.multiAddress.enabled", "true");
        Self { two_addresses: true, ..layout }
    }

    /// Adds a line to every zoo.cfg, in the place of one with the same key.
    pub fn with_config(mut self, line: &str) -> Self {
        let key = |line: &str| line.split('=').next().map(str::to_owned);
        self.config.retain(|old| key(old) != key(line));
        self.config.push(line.into());
        self
    }

    /// Gives every member a system property, as a `-D` flag.
    pub fn with_property(mut self, property: &str, value: &str) -> Self {
        self.properties.push((property.into(), value.into()));
        self
    }

    /// Starts all members, the last first, and waits until each of them serves.
    pub fn start(self) -> Ensemble {
        let mut ensemble = self.prepare();
        let joins_later = |member: &usize| ensemble.members[*member].spec.joins_later;
        let first: Vec<usize> = (0..ensemble.len()).filter(|m| !joins_later(m)).collect();
        first.iter().rev().for_each(|member| ensemble.launch(*member));
        ensemble.wait_until_serving(&first);
        ensemble
    }

    /// Makes the data directories; nothing runs yet.
    pub fn prepare(self) -> Ensemble {
        let block = PortBlock::take();
        let ports: Vec<MemberPorts> = (0..self.members.len()).map(|n| block.member(n)).collect();
        let links = self.proxied.then(|| Links::new(&ports));
        let members = (0..self.members.len())
            .map(|own| {
                let mut config = self.config.clone();
                config.extend(self.server_lines(own, &ports, links.as_ref()));
                if self.observer_masters {
                    config.push(format!("observerMasterPort={}", block.observer_master()));
                }
                let home = Home::at_port(ports[own].client, config);
                let disk = self.on_small_disks.then(|| SmallDisk::under(&home, DISK_BYTES));
                let disk = disk.and_then(|mounted| {
                    mounted.inspect_err(|why| println!("no small disk for {own}: {why}")).ok()
                });
                let home = home.with_my_id(own + 1);
                let properties = self.properties.iter();
                let home =
                    properties.fold(home, |home, (name, value)| home.with_property(name, value));
                let mut home = if self.dynamic { home.keep_config() } else { home };
                let machine = self.on_machines.then(|| Machine::under(&mut home));
                let (spec, ports) = (self.members[own], ports[own]);
                let is_disk_broken = false;
                Member { spec, ports, machine, disk, is_disk_broken, place: Place::Down(home) }
            })
            .collect();
        Ensemble { members, links, block }
    }

    /// `server.N` and what belongs to it, as member `own` sees it.
    fn server_lines(
        &self,
        own: usize,
        ports: &[MemberPorts],
        links: Option<&Links>,
    ) -> Vec<String> {
        let mut lines = Vec::new();
        for (other, spec) in self.members.iter().enumerate() {
            let id = other + 1;
            let (quorum, election) = match links {
                Some(links) if other != own => links.ports(own, other),
                _ => (ports[other].quorum, ports[other].election),
            };
            if spec.joins_later && other != own {
                continue;
            }
            let mut suffix = match spec.peer_type {
                PeerType::Observer => ":observer".to_owned(),
                PeerType::Participant => String::new(),
            };
            if self.dynamic {
                suffix += &format!(";127.0.0.1:{}", ports[other].client);
            }
            let host = if self.observer_masters { id } else { 1 };
            let mut address = format!("127.0.0.{host}:{quorum}:{election}");
            if self.two_addresses {
                address += &format!("|127.0.1.{id}:{quorum}:{election}");
            }
            lines.push(format!("server.{id}={address}{suffix}"));
            if let Some((_, weight)) = spec.group {
                lines.push(format!("weight.{id}={weight}"));
            }
        }
        let mut groups: Vec<u32> = self.members.iter().filter_map(|m| Some(m.group?.0)).collect();
        groups.sort_unstable();
        groups.dedup();
        for group in groups {
            let members = self.members.iter().enumerate();
            let ids: Vec<String> = members
                .filter(|(_, spec)| spec.group.is_some_and(|(of, _)| of == group))
                .map(|(other, _)| (other + 1).to_string())
                .collect();
            lines.push(format!("group.{group}={}", ids.join(":")));
        }
        if self.members[own].peer_type == PeerType::Observer {
            lines.push("peerType=observer".into());
        }
        lines
    }
}

/// A member: its data directory, and its process while it runs.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) spec: MemberSpec,
    pub(crate) ports: MemberPorts,
    pub(crate) machine: Option<Machine>,
    /// Dropped before its home, which is empty only without it.
    pub(crate) disk: Option<SmallDisk>,
    /// Whether its disk was full, or may have failed, since it was started.
    pub(crate) is_disk_broken: bool,
    pub(crate) place: Place,
}

#[derive(Debug)]
pub(crate) enum Place {
    Down(Home),
    Up(Server),
    /// Between the two; nobody sees it.
    Moving,
}

/// A running ensemble. Its members are killed when it is dropped, and the ends of their logs
/// printed if a test failed.
#[derive(Debug)]
pub struct Ensemble {
    pub(crate) members: Vec<Member>,
    pub(crate) links: Option<Links>,
    block: PortBlock,
}

impl Ensemble {
    /// Where learners of a member connect, without proxies.
    pub fn quorum_address(&self, member: usize) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.members[member].ports.quorum).into()
    }

    /// Where other members elect with it, without proxies.
    pub fn election_address(&self, member: usize) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.members[member].ports.election).into()
    }

    /// The server line of a member as a reconfig wants it, if it plays this part.
    pub fn server_line(&self, member: usize, peer_type: PeerType) -> String {
        let MemberPorts { client, quorum, election } = self.members[member].ports;
        let part = match peer_type {
            PeerType::Participant => "participant",
            PeerType::Observer => "observer",
        };
        let id = member + 1;
        format!("server.{id}=127.0.0.1:{quorum}:{election}:{part};127.0.0.1:{client}")
    }

    /// Where a member listens.
    pub fn ports(&self, member: usize) -> MemberPorts {
        self.members[member].ports
    }

    /// Ports that no member has: as many members would have had them before.
    pub fn spare_ports(&self, nth: usize) -> MemberPorts {
        self.block.member(self.len() + nth)
    }

    /// A reconfig has moved, or is about to move, a member to these ports.
    pub fn set_ports(&mut self, member: usize, ports: MemberPorts) {
        let slot = &mut self.members[member];
        slot.ports = ports;
        match &mut slot.place {
            Place::Up(server) => server.home_mut().set_port(ports.client),
            Place::Down(home) => home.set_port(ports.client),
            Place::Moving => unreachable!("nobody sees it between the two"),
        }
    }

    /// The followers that serve an observer now, with [`Layout::with_observer_masters`].
    pub fn observer_masters(&self) -> Vec<usize> {
        let sockets = std::fs::read_to_string("/proc/net/tcp").unwrap_or_default();
        let sockets6 = std::fs::read_to_string("/proc/net/tcp6").unwrap_or_default();
        let port = format!(":{:04X}", self.block.observer_master());
        let served = |line: &str| {
            let mut fields = line.split_whitespace().skip(2);
            let (remote, state) = (fields.next()?, fields.next()?);
            // Established; the address is written with its last byte first.
            let address = remote.strip_suffix(&port).filter(|_| state == "01")?;
            let host = &address[address.len() - 8..];
            usize::from_str_radix(&host[..2], 16).ok()?.checked_sub(1)
        };
        let mut masters: Vec<usize> =
            sockets.lines().chain(sockets6.lines()).filter_map(served).collect();
        masters.sort_unstable();
        masters.dedup();
        masters
    }

    /// The links, of an ensemble with [`Layout::proxied`].
    pub fn links(&self) -> &Links {
        self.links.as_ref().expect("a layout that is proxied")
    }

    /// The process of a member that runs.
    pub fn server(&self, member: usize) -> &Server {
        match &self.members[member].place {
            Place::Up(server) => server,
            _ => panic!("member {member} is not running"),
        }
    }

    /// The folder of a member, whether it runs or not.
    pub fn home(&self, member: usize) -> &Home {
        match &self.members[member].place {
            Place::Up(server) => server.home(),
            Place::Down(home) => home,
            Place::Moving => unreachable!("nobody sees it between the two"),
        }
    }
}

impl Drop for Ensemble {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("--- the ensemble: {}", self.describe());
        }
    }
}
