//! One `server.N` line: `host:port:port[:type]` with `|` between several addresses of the same
//! server, then `;[host:]port` for its clients (`QuorumPeer.QuorumServer`). IPv6 addresses stand
//! in brackets.

use std::fmt;

use nom::branch::alt;
use nom::bytes::complete::is_not;
use nom::character::complete::{char, digit1};
use nom::combinator::{all_consuming, map, map_res, opt, recognize};
use nom::multi::{many0_count, separated_list1};
use nom::sequence::{delimited, pair, preceded, terminated};
use nom::{IResult, Parser};

use crate::proto::{HostPort, Sid, java_host};

/// The part a server plays (`QuorumPeer.LearnerType`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LearnerType {
    /// It votes.
    Participant,
    /// It only learns.
    Observer,
}

impl LearnerType {
    /// The type of that name in any case.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        match name.trim().to_ascii_lowercase().as_str() {
            "participant" => Some(Self::Participant),
            "observer" => Some(Self::Observer),
            _ => None,
        }
    }
}

/// One pair of ports a server is reached at by its peers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuorumServerAddress {
    /// Host name or address, IPv6 without brackets.
    pub host: String,
    /// Port of the leader's traffic.
    pub quorum_port: u16,
    /// Port of the election, another one.
    pub election_port: u16,
}

/// One server of an ensemble.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuorumServer {
    /// Its id (the N of `server.N`).
    pub id: Sid,
    /// Its addresses, at least one.
    pub addresses: Vec<QuorumServerAddress>,
    /// Whether it votes.
    pub learner_type: LearnerType,
    /// Where its clients connect, if the line says so.
    pub client_address: Option<HostPort>,
}

/// One address and its type as they stand in the line.
type Address<'a> = (&'a str, u16, u16, Option<&'a str>);

/// Where clients connect, as it stands in the line.
type Client<'a> = (Option<&'a str>, u16);

fn host(input: &str) -> IResult<&str, &str> {
    alt((delimited(char('['), is_not("]"), char(']')), is_not("[]:;|"))).parse(input)
}

fn port(input: &str) -> IResult<&str, u16> {
    map_res(recognize(pair(opt(char('+')), digit1)), str::parse).parse(input)
}

/// Separators after the last part, which Java's `split` drops.
fn trailing(separator: char) -> impl FnMut(&str) -> IResult<&str, usize> {
    move |input| many0_count(char(separator)).parse(input)
}

fn address(input: &str) -> IResult<&str, Address<'_>> {
    let ports = (preceded(char(':'), port), preceded(char(':'), port));
    let learner_type = opt(preceded(char(':'), is_not(":;|")));
    let (rest, (host, (quorum, election), learner_type)) =
        terminated((host, ports, learner_type), trailing(':')).parse(input)?;
    Ok((rest, (host, quorum, election, learner_type)))
}

fn client(input: &str) -> IResult<&str, Client<'_>> {
    let with_host = map((host, preceded(char(':'), port)), |(host, port)| (Some(host), port));
    let port_only = map(port, |port| (None, port));
    terminated(alt((with_host, port_only)), trailing(':')).parse(input)
}

fn server_line(input: &str) -> IResult<&str, (Vec<Address<'_>>, Option<Client<'_>>)> {
    let addresses = terminated(separated_list1(char('|'), address), trailing('|'));
    let clients = opt(preceded(char(';'), opt(client)));
    let (rest, (addresses, client)) =
        all_consuming(terminated((addresses, clients), trailing(';'))).parse(input)?;
    Ok((rest, (addresses, client.flatten())))
}

impl QuorumServer {
    /// Parses the value of a `server.N` line; the error says what is wrong with it.
    pub fn parse(id: Sid, value: &str) -> Result<Self, String> {
        let (_, (parts, client)) = server_line(value).map_err(|_| {
            "it does not have the form host:port:port[:type][;[host:]port], with | between \
             several addresses and ports up to 65535"
                .to_owned()
        })?;
        let mut addresses = Vec::with_capacity(parts.len());
        let mut learner_type = None;
        for (host, quorum_port, election_port, type_name) in parts {
            if quorum_port == election_port {
                return Err("its quorum and election ports are the same".to_owned());
            }
            if let Some(name) = type_name {
                let found = LearnerType::from_name(name)
                    .ok_or_else(|| format!("{name:?} is neither participant nor observer"))?;
                if learner_type.is_some_and(|before| before != found) {
                    return Err("its addresses do not all have the same type".to_owned());
                }
                learner_type = Some(found);
            }
            addresses.push(QuorumServerAddress {
                host: host.to_owned(),
                quorum_port,
                election_port,
            });
        }
        let client_address =
            client.map(|(host, port)| HostPort::new(host.unwrap_or("0.0.0.0"), port));
        let learner_type = learner_type.unwrap_or(LearnerType::Participant);
        Ok(Self { id, addresses, learner_type, client_address })
    }
}

/// As it stands behind `server.N=` in a configuration text (`QuorumServer.toString`).
impl fmt::Display for QuorumServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut addresses: Vec<_> = self
            .addresses
            .iter()
            .map(|a| (java_host(&a.host), a.quorum_port, a.election_port))
            .collect();
        addresses.sort();
        for (number, (host, quorum, election)) in addresses.into_iter().enumerate() {
            let separator = if number > 0 { "|" } else { "" };
            write!(f, "{separator}{host}:{quorum}:{election}")?;
        }
        f.write_str(match self.learner_type {
            LearnerType::Participant => ":participant",
            LearnerType::Observer => ":observer",
        })?;
        match &self.client_address {
            Some(client) => write!(f, ";{}", client.to_java()),
            None => Ok(()),
        }
    }
}

impl QuorumServer {
    /// Where its peers connect to elect a leader.
    pub fn election_addresses(&self) -> impl Iterator<Item = HostPort> {
        self.addresses.iter().map(|a| HostPort::new(a.host.clone(), a.election_port))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parsed(value: &str) -> (Vec<(String, u16, u16)>, LearnerType, Option<String>) {
        let server = QuorumServer::parse(Sid(1), value).unwrap();
        let addresses = server.addresses.into_iter();
        (
            addresses.map(|a| (a.host, a.quorum_port, a.election_port)).collect(),
            server.learner_type,
            server.client_address.map(|client| client.to_string()),
        )
    }

    #[test]
    fn every_form_is_read() {
        use LearnerType::{Observer, Participant};
        let one = |host: &str| vec![(host.to_owned(), 2888, 3888)];
        assert_eq!(parsed("zk1:2888:3888"), (one("zk1"), Participant, None));
        assert_eq!(parsed("zk1:+2888:3888:participant:|;"), (one("zk1"), Participant, None));
        assert_eq!(
            parsed("zk1:2888:3888:Observer;2181"),
            (one("zk1"), Observer, Some("0.0.0.0:2181".to_owned()))
        );
        assert_eq!(
            parsed("[2001:db8::1]:2888:3888:participant;[::1]:2181"),
            (one("2001:db8::1"), Participant, Some("[::1]:2181".to_owned()))
        );
        let (addresses, _, client) = parsed("a:1:2|[::2]:3:4:participant;b:5");
        assert_eq!(addresses, [("a".to_owned(), 1, 2), ("::2".to_owned(), 3, 4)]);
        assert_eq!(client.as_deref(), Some("b:5"));
    }

    #[test]
    fn what_java_refuses_is_refused() {
        for bad in [
            "",
            "zk1",
            "zk1:2888",
            "zk1:2888:x",
            "zk1:2888:70000",
            "zk1:2888:2888",
            "zk1:2888:3888:leader",
            "zk1:2888:3888:observer:x",
            "zk1:2888:3888;2181;2182",
            "zk1:2888:3888;a:b:1",
            "[::1:2888:3888",
            "a:1:2:observer|b:1:2:participant",
            "a:1:2|b",
        ] {
            assert!(QuorumServer::parse(Sid(1), bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_server_is_written_as_java_does() {
        let text = |value| QuorumServer::parse(Sid(1), value).unwrap().to_string();
        assert_eq!(text("zk1:2888:3888"), "zk1:2888:3888:participant");
        assert_eq!(text("zk1:1:2:observer;2181"), "zk1:1:2:observer;0.0.0.0:2181");
        assert_eq!(
            text("b:3:4|[::1]:1:2;[::]:5"),
            "[0:0:0:0:0:0:0:1]:1:2|b:3:4:participant;[0:0:0:0:0:0:0:0]:5"
        );
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(value in "[a-z0-9:;|\\[\\]é ]{0,40}") {
            let _ = QuorumServer::parse(Sid(1), &value);
        }
    }
}
