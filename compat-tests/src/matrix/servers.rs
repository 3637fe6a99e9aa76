//! The ensembles of the matrix, and what their clients ask to be done to them.

use std::time::Duration;

use crate::ensemble::{Layout, PeerType};
use crate::hosts::{Hosts, Role};
use crate::server::{ServerUnderTest, four_letter_word};

use super::Area;

const OURS: ServerUnderTest = ServerUnderTest::Gamekeeper;
const OLDEST: ServerUnderTest = ServerUnderTest::Apache("3.8.0");
const NEWEST: ServerUnderTest = ServerUnderTest::Apache("3.9.6");

/// Who leads an ensemble: the last member, as it wins an election among equals.
const LEADER: usize = 2;

/// How long a member may take to say which sessions it serves.
const WORD_LIMIT: Duration = Duration::from_secs(30);

/// How often another leader may be made to step down.
const ELECTIONS_MAX: usize = 10;

/// An ensemble of the matrix.
#[derive(Debug)]
pub struct Servers {
    /// Its name, for the command line and the table.
    pub name: &'static str,
    /// What the table says it is.
    pub title: &'static str,
    members: [ServerUnderTest; 3],
}

/// All, in the order of the table.
pub const SERVERS: [Servers; 5] = [
    Servers { name: "apache-3.8.0", title: "Apache 3.8.0", members: [OLDEST; 3] },
    Servers { name: "apache-3.9.6", title: "Apache 3.9.6", members: [NEWEST; 3] },
    Servers { name: "ours", title: "Gamekeeper", members: [OURS; 3] },
    Servers {
        name: "led-by-apache",
        title: "two Gamekeepers, led by Apache 3.9.6",
        members: [OURS, OURS, NEWEST],
    },
    Servers {
        name: "led-by-ours",
        title: "two Apache 3.9.6, led by Gamekeeper",
        members: [NEWEST, NEWEST, OURS],
    },
];

impl Servers {
    /// Whether all its members are Apache's, so that what fails there is no fault of ours.
    pub fn is_apache(&self) -> bool {
        !self.members.contains(&OURS)
    }
}

/// An ensemble that runs, and is brought back in order between two cells.
#[derive(Debug)]
pub struct Stage {
    hosts: Box<dyn Hosts>,
    server_line: String,
}

impl Stage {
    /// Starts the ensemble that an area needs. A member alone gives sessions only if they are
    /// local, which the other areas would not want.
    pub fn start(servers: &Servers, area: Area) -> Self {
        let has_local_sessions = area == Area::ReadOnly;
        let ensemble = Layout::new(&servers.members)
            .dynamic()
            .with_config("extendedTypesEnabled=true")
            .with_config("enforceQuota=true")
            .with_config(&format!("localSessionsEnabled={has_local_sessions}"))
            .with_config("localSessionsUpgradingEnabled=true")
            .with_property("readonlymode.enabled", "true")
            .with_property("znode.container.checkIntervalMs", "500")
            .start();
        let server_line = ensemble.server_line(0, PeerType::Participant);
        Self { hosts: Box::new(ensemble), server_line }
    }

    /// Where clients connect: to all members, or to the followers only where they ask for their
    /// member to be killed, so that the leader stays who it is.
    pub fn hosts(&self, area: Area) -> String {
        let members = (0..self.hosts.len()).filter(|m| area != Area::Sessions || *m != LEADER);
        let addresses: Vec<String> =
            members.map(|member| self.hosts.address(member).to_string()).collect();
        addresses.join(",")
    }

    /// The server line of a member that a reconfig may change.
    pub fn server_line(&self) -> &str {
        &self.server_line
    }

    /// All run and serve, and the member leads that is to lead.
    pub fn put_in_order(&mut self) {
        self.hosts.recover();
        for _ in 0..ELECTIONS_MAX {
            let leader = self.hosts.wait_for_leader();
            if leader == LEADER {
                return;
            }
            self.hosts.stop(leader);
            self.hosts.wait_for_leader();
            self.hosts.recover();
        }
        panic!("member {LEADER} never leads: {}", self.hosts.describe());
    }

    /// Does what a program asks for, and gives the answer.
    pub fn obey(&mut self, request: &str) -> Result<String, String> {
        match request.split_once(' ') {
            Some(("kill-member-of", session)) => return self.kill_member_of(session),
            None if request == "start-members" => self.hosts.recover(),
            None if request == "lose-quorum" => {
                self.hosts.kill(LEADER);
                self.hosts.kill(1);
                self.hosts.wait_for_role(0, Role::ReadOnly);
            }
            _ => return Err(format!("nobody knows how to {request}")),
        }
        Ok("done".into())
    }

    /// Kills the member to which the client of a session is connected, and says which it was.
    fn kill_member_of(&mut self, session: &str) -> Result<String, String> {
        let wanted = format!("sid={session},");
        let serves = |member: &usize| {
            four_letter_word(self.hosts.address(*member), "cons", WORD_LIMIT)
                .is_ok_and(|sessions| sessions.contains(&wanted))
        };
        let member = (0..self.hosts.len()).find(serves);
        let member = member.ok_or_else(|| format!("no member serves {session}"))?;
        self.hosts.kill(member);
        Ok(self.hosts.address(member).to_string())
    }

    /// The ends of the members' logs.
    pub fn logs(&self) -> String {
        let tail = |member: usize| {
            let (kind, tail) = (self.hosts.kind(member), self.hosts.log_tail(member));
            format!("--- the end of the log of {kind} {member}\n{tail}\n")
        };
        (0..self.hosts.len()).map(tail).collect()
    }
}
