//! What administrators are told of a member of an ensemble (`QuorumZooKeeperServer.dumpConf`, the
//! gauges of `LeaderZooKeeperServer`).

use super::queries::ask_engine;
use crate::engine::{Input, QuorumDescription};
use crate::processor::ServerMode;
use crate::proto::{HostPort, Sid};
use crate::server::net::ServerContext;

/// What the configuration says of a member and its ensemble.
#[derive(Debug, Clone)]
pub struct MemberConf {
    /// `initLimit`, in ticks.
    pub init_limit_ticks: i32,
    /// `syncLimit`, in ticks.
    pub sync_limit_ticks: i32,
    /// Its election ports; several with `|` between them.
    pub election_port: String,
    /// Its quorum ports, likewise.
    pub quorum_port: String,
    /// Whether it votes (0) or only learns (1).
    pub peer_type: u8,
    /// All members as `/zookeeper/config` has them, with the version.
    pub membership: String,
}

/// What the configuration says; none of a standalone server, or if the engine is stopping.
pub fn member_conf(context: &ServerContext) -> Option<MemberConf> {
    let quorum = &context.config.quorum;
    let verifier = quorum_description(context)?.verifier;
    let me = quorum.my_id.and_then(|id| verifier.members().servers.get(&id));
    let election = me.into_iter().flat_map(|me| me.election_addresses());
    let election_port = ports(election);
    let quorum_port = ports(quorum.my_id.into_iter().flat_map(|id| verifier.quorum_addresses(id)));
    Some(MemberConf {
        init_limit_ticks: quorum.init_limit_ticks,
        sync_limit_ticks: quorum.sync_limit_ticks,
        election_port,
        quorum_port,
        peer_type: u8::from(!quorum.my_id.is_some_and(|id| verifier.is_voter(id))),
        membership: verifier.to_text(),
    })
}

fn ports(addresses: impl Iterator<Item = HostPort>) -> String {
    addresses.map(|address| address.port.to_string()).collect::<Vec<_>>().join("|")
}

/// What the engine says of the ensemble; none of a standalone server, or if it is stopping.
pub fn quorum_description(context: &ServerContext) -> Option<QuorumDescription> {
    if !context.config.quorum.is_distributed() {
        return None;
    }
    ask_engine(context, Input::DescribeQuorum)?
}

/// What a member does and how far it is (`QuorumPeer.getDetailedPeerState`); none of other servers.
pub fn peer_state(context: &ServerContext) -> Option<&'static str> {
    match context.state.mode() {
        ServerMode::Leader => Some("leading - broadcast"),
        ServerMode::Follower => Some("following - broadcast"),
        ServerMode::Observer => Some("observing - broadcast"),
        _ => None,
    }
}

/// Whom an observer observes, of what the engine says.
pub fn observed(context: &ServerContext, described: Option<&QuorumDescription>) -> Option<Sid> {
    let is_observer = context.state.mode() == ServerMode::Observer;
    described?.leader.filter(|_| is_observer)
}
