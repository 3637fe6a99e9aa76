//! What a reconfig request makes of a configuration (the reconfig branch of
//! `PrepRequestProcessor.pRequest2Txn`), and the configuration in a transaction.
//!
//! Apache's server tells two sorts of mistakes apart: those it looks for are BADARGUMENTS, those
//! that a number's parser or the rules of `zoo.cfg` stumble over are MARSHALLINGERROR.

use std::net::IpAddr;
use std::sync::Arc;

use jute::ReconfigRequest;

use super::members::{MembersError, QuorumMembers};
use super::quorum_server::QuorumServer;
use super::quorum_verifier::QuorumVerifier;
use crate::proto::{ErrorCode, HostPort, OpCode, Sid, TxnBody, TxnEntry, Zxid};

/// Settings that decide which configurations are accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReconfigRules {
    /// Whether one voter alone would be a standalone server (`standaloneEnabled`).
    pub standalone_enabled: bool,
    /// Whether a server may have several addresses (`multiAddress.enabled`).
    pub multi_address: bool,
}

/// The configuration that `request` makes of `current`, numbered `version`.
pub(super) fn new_config(
    current: &QuorumVerifier,
    request: &ReconfigRequest<'_>,
    version: Zxid,
    rules: ReconfigRules,
) -> Result<QuorumVerifier, ErrorCode> {
    let expected = request.cur_config_id;
    if expected != -1 && expected != current.version() {
        return Err(ErrorCode::BadVersion);
    }
    let members = match &request.new_members {
        Some(members) => whole(members, rules)?,
        None => changed(current.members(), request, rules)?,
    };
    let members = QuorumMembers { version: version.0, ..members };
    let voters_min = if rules.standalone_enabled { 2 } else { 1 };
    if members.voters().count() < voters_min {
        tracing::warn!("a reconfig is refused: fewer than {voters_min} servers would vote");
        return Err(ErrorCode::BadArguments);
    }
    Ok(QuorumVerifier::new(members))
}

/// A list of all members, on lines of their own or with commas between them.
fn whole(text: &str, rules: ReconfigRules) -> Result<QuorumMembers, ErrorCode> {
    let text = text.replace(',', "\n");
    let members = QuorumMembers::from_any_text(&text, rules.multi_address).map_err(refused)?;
    let (voters, observers) = (members.voters().count(), members.observers().count());
    let is_no_ensemble = match voters {
        0 => !rules.standalone_enabled || observers > 0,
        1 => rules.standalone_enabled && observers > 0,
        _ => false,
    };
    if is_no_ensemble {
        tracing::warn!("a reconfig is refused: {voters} voters, {observers} observers");
        return Err(ErrorCode::MarshallingError);
    }
    Ok(members)
}

fn refused(error: MembersError) -> ErrorCode {
    tracing::warn!("a reconfig is refused: {error}");
    match error {
        MembersError::BadValue { .. }
        | MembersError::BadKey { .. }
        | MembersError::Escape(_)
        | MembersError::NoVoters => ErrorCode::MarshallingError,
        MembersError::Refused { .. } => ErrorCode::BadArguments,
    }
}

/// The members without those that leave, and with those that join or change.
fn changed(
    current: &QuorumMembers,
    request: &ReconfigRequest<'_>,
    rules: ReconfigRules,
) -> Result<QuorumMembers, ErrorCode> {
    if current.hierarchical {
        tracing::warn!("a reconfig is refused: with groups, all members have to be given");
        return Err(ErrorCode::BadArguments);
    }
    let mut members = current.clone();
    for leaving in words(request.leaving_servers.as_deref()) {
        let sid = leaving.parse().map_err(|_| ErrorCode::MarshallingError)?;
        members.servers.remove(&Sid(sid));
    }
    for joining in words(request.joining_servers.as_deref()) {
        let server = joiner(joining, rules)?;
        let mut others = members.servers.values().filter(|other| other.id != server.id);
        if let Some(other) = others.find(|other| share_an_address(&server, other)) {
            tracing::warn!(joining, other = %other.id, "a reconfig is refused: an address twice");
            return Err(ErrorCode::BadArguments);
        }
        members.servers.insert(server.id, server);
    }
    Ok(members)
}

/// Words with commas between them, trimmed, without empty ones (`StringUtils.split`).
fn words(list: Option<&str>) -> impl Iterator<Item = &str> {
    let words = list.unwrap_or_default().split(',');
    words.map(|word| word.trim_matches(|c| c <= ' ')).filter(|word| !word.is_empty())
}

/// A server that joins: `server.N=` and what stands behind it in a file, with its client address.
fn joiner(text: &str, rules: ReconfigRules) -> Result<QuorumServer, ErrorCode> {
    let parts = text.split('=').map(|part| part.trim_matches(|c| c <= ' '));
    let parts: Vec<&str> = parts.filter(|part| !part.is_empty()).collect();
    let [key, value] = parts[..] else { return Err(ErrorCode::BadArguments) };
    let id = key.rsplit_once('.').map_or(key, |(_, id)| id);
    let sid = id.parse().map(Sid).map_err(|_| ErrorCode::MarshallingError)?;
    let server = QuorumServer::parse(sid, value).map_err(|problem| {
        tracing::warn!("a reconfig is refused: {text}: {problem}");
        ErrorCode::BadArguments
    })?;
    if server.client_address.is_none() || (server.addresses.len() > 1 && !rules.multi_address) {
        tracing::warn!("a reconfig is refused: {text} needs one address with three ports");
        return Err(ErrorCode::BadArguments);
    }
    Ok(server)
}

/// Whether two servers would listen at the same address; loopback addresses and those that stand
/// for all of a machine may be used by many (`QuorumServer.checkAddressDuplicate`).
fn share_an_address(a: &QuorumServer, b: &QuorumServer) -> bool {
    let others: Vec<HostPort> = addresses(b).collect();
    addresses(a).any(|address| others.contains(&address))
}

fn addresses(server: &QuorumServer) -> impl Iterator<Item = HostPort> {
    let quorum =
        server.addresses.iter().map(|a| HostPort::new(a.host.to_ascii_lowercase(), a.quorum_port));
    let all = quorum.chain(server.election_addresses()).chain(server.client_address.clone());
    all.filter(|address| {
        let ip: Option<IpAddr> = address.host.parse().ok();
        let is_loopback = ip.is_some_and(|ip| ip.is_loopback());
        !is_loopback && address.host != "localhost" && !address.is_wildcard()
    })
}

/// The configuration that a transaction proposes, if it is a reconfig; an error if it is one that
/// cannot be read.
pub(super) fn config_of(
    entry: &[u8],
    multi_address: bool,
) -> Result<Option<Arc<QuorumVerifier>>, String> {
    let header = TxnEntry::header_of(entry);
    if header.is_none_or(|header| header.kind != OpCode::Reconfig.code()) {
        return Ok(None);
    }
    let decoded = TxnEntry::decode(entry);
    let decoded = decoded.map_err(|error| format!("a reconfig cannot be decoded: {error}"))?;
    let TxnBody::Reconfig(txn) = decoded.body else {
        unreachable!("the type of the header is the type of the body");
    };
    config_from_bytes(txn.data.unwrap_or_default(), multi_address).map(Some)
}

/// A configuration as packets and transactions hold it.
pub(super) fn config_from_bytes(
    bytes: &[u8],
    multi_address: bool,
) -> Result<Arc<QuorumVerifier>, String> {
    let text = String::from_utf8_lossy(bytes);
    let config = QuorumVerifier::from_text(&text, multi_address);
    config.map(Arc::new).map_err(|error| format!("a configuration cannot be read: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: ReconfigRules = ReconfigRules { standalone_enabled: true, multi_address: false };
    const THREE: &str = "server.1=a:1:2:participant;0.0.0.0:3\nserver.2=b:1:2:participant\n\
                         server.3=c:1:2:participant\nversion=5";

    fn request<'a>(
        joining: Option<&'a str>,
        leaving: Option<&'a str>,
        members: Option<&'a str>,
    ) -> ReconfigRequest<'a> {
        ReconfigRequest {
            joining_servers: joining.map(Into::into),
            leaving_servers: leaving.map(Into::into),
            new_members: members.map(Into::into),
            cur_config_id: -1,
        }
    }

    fn made(request: &ReconfigRequest<'_>, rules: ReconfigRules) -> Result<String, ErrorCode> {
        let current = QuorumVerifier::from_text(THREE, false).unwrap();
        new_config(&current, request, Zxid(0x1f), rules).map(|config| config.to_text())
    }

    #[test]
    fn servers_join_leave_and_change() {
        let text = made(&request(Some("server.4=d:1:2;9"), Some("2, 7,"), None), RULES).unwrap();
        let wanted = "server.1=a:1:2:participant;0.0.0.0:3\nserver.3=c:1:2:participant\n\
                      server.4=d:1:2:participant;0.0.0.0:9\nversion=1f";
        assert_eq!(text, wanted, "who is no member may leave, too");
        let observer = made(&request(Some("3 = c:1:2:observer;h:7"), None, None), RULES).unwrap();
        assert!(observer.contains("server.3=c:1:2:observer;h:7\n"), "{observer}");
        let same = made(&request(None, None, None), RULES).unwrap();
        assert_eq!(same.replace("version=1f", "version=5"), THREE);
    }

    #[test]
    fn a_whole_list_takes_the_place_of_the_members() {
        let list = "server.7=g:1:2;3,server.8=h:1:2:participant;i:4,version=9";
        let with_both = request(Some("nonsense"), Some("nonsense"), Some(list));
        let wanted = "server.7=g:1:2:participant;0.0.0.0:3\nserver.8=h:1:2:participant;i:4\n\
                      version=1f";
        assert_eq!(made(&with_both, RULES).as_deref(), Ok(wanted));
        let groups = "server.1=a:1:2,server.2=b:1:2,group.1=1,group.2=2";
        assert!(made(&request(None, None, Some(groups)), RULES).unwrap().contains("group.2=2\n"));
    }

    #[test]
    fn each_mistake_has_apaches_code() {
        use ErrorCode::{BadArguments, MarshallingError};
        let alone = ReconfigRules { standalone_enabled: false, ..RULES };
        let join = |text| request(Some(text), None, None);
        let all = |text| request(None, None, Some(text));
        for (request, rules, code) in [
            (join("server.4"), RULES, BadArguments),
            (join("server.4=d:1:2"), RULES, BadArguments),
            (join("server.4=d:1;3"), RULES, BadArguments),
            (join("server.4=d:1:1;3"), RULES, BadArguments),
            (join("server.4=d:1:2:leader;3"), RULES, BadArguments),
            (join("server.4=d:1:2|e:1:2;3"), RULES, BadArguments),
            (join("server.4=b:1:2;3"), RULES, BadArguments),
            (join("server.x=d:1:2;3"), RULES, MarshallingError),
            (request(None, Some("x"), None), RULES, MarshallingError),
            (request(None, Some("2,3"), None), RULES, BadArguments),
            (request(None, Some("1,2,3"), None), alone, BadArguments),
            (all(""), RULES, BadArguments),
            (all(""), alone, MarshallingError),
            (all("garbage"), RULES, BadArguments),
            (all("server.x=a:1:2"), RULES, MarshallingError),
            (all("server.1=a:1"), RULES, BadArguments),
            (all("server.1=a:1:2"), RULES, BadArguments),
            (all("server.1=a:1:2,server.2=b:1:2:observer"), RULES, MarshallingError),
            (all("server.2=b:1:2:observer"), alone, MarshallingError),
            (all("server.1=a:1:2,server.2=b:1:2,group.1=1"), RULES, BadArguments),
            (all("server.1=\\u12"), RULES, MarshallingError),
        ] {
            assert_eq!(made(&request, rules), Err(code), "{request:?}");
        }
        assert!(made(&request(None, Some("2,3"), None), alone).is_ok());
        let expects = |version| ReconfigRequest { cur_config_id: version, ..join("") };
        assert_eq!(made(&expects(4), RULES), Err(ErrorCode::BadVersion));
        assert!(made(&expects(5), RULES).is_ok());
    }

    #[test]
    fn with_groups_all_members_have_to_be_given() {
        let text = "server.1=a:1:2\nserver.2=b:1:2\ngroup.1=1:2";
        let current = QuorumVerifier::from_text(text, false).unwrap();
        let made = new_config(&current, &request(None, Some("2"), None), Zxid(1), RULES);
        assert_eq!(made.map(|_| ()), Err(ErrorCode::BadArguments));
    }

    #[test]
    fn loopback_addresses_may_be_shared() {
        let server = |id, text| QuorumServer::parse(Sid(id), text).unwrap();
        let shared = |a, b| share_an_address(&server(1, a), &server(2, b));
        assert!(!shared("127.0.0.1:1:2;3", "127.0.0.1:1:2;3"));
        assert!(!shared("a:1:2;3", "b:1:2;3"), "all addresses of two machines");
        assert!(shared("a:1:2;3", "a:5:6;a:1"));
    }
}
