//! Who changes the members: one of the clients, which may do everything. It sets up servers, has
//! them join, leave, and take another part, one at a time, several at once, or by naming all.

use gamekeeper::proto::Sid;
use gamekeeper::quorum::LearnerType;

use super::request::Request;
use crate::world::World;
use crate::world::membership::{line_of, members_of, server_of, sid_of};

/// Members at most.
const MEMBERS_MAX: usize = 7;

impl World {
    /// The administrator does the next thing.
    pub(super) fn administer(&mut self, index: usize) {
        let config = self.oracle.configs.in_force().clone();
        let members: Vec<_> = members_of(&config).collect();
        let mut random = self.clients[index].random.fork();
        let outsiders: Vec<usize> =
            (0..self.servers.len()).filter(|&at| !members.iter().any(|(m, _)| *m == at)).collect();
        let kind = match random.u8(..4) {
            0 => LearnerType::Observer,
            _ => LearnerType::Participant,
        };
        let joins = random.choice(&outsiders).copied().filter(|_| members.len() < MEMBERS_MAX);
        let leader = self.leader().map(sid_of).filter(|_| random.bool());
        let leaves = leader.filter(|leader| config.members().servers.contains_key(leader));
        let any = random.choice(&members).map(|(at, _)| sid_of(*at)).expect("somebody votes");
        let leaves = leaves.unwrap_or(any);
        // With fewer than three that vote, one that stops stops all: that is to be rare.
        let is_few = config.is_voter(leaves) && config.voters().count() <= 3;
        let leaves = Some(leaves).filter(|_| !is_few || random.u8(..6) == 0);
        let from = if random.bool() { -1 } else { config.version() };
        let server_line = |at: usize, kind| format!("server.{}={}", sid_of(at), line_of(at, kind));
        let (joining, leaving) = match random.u8(..10) {
            0..4 => (joins.map(|at| (at, kind)), None),
            4..7 => (None, leaves),
            7 => (joins.map(|at| (at, kind)), leaves),
            // Another part, perhaps the same.
            _ => (leaves.map(|sid| (server_of(sid), kind)), None),
        };
        if let Some((joins, kind)) = joining
            && self.servers[joins].config_files.is_none()
        {
            // It joins once it has caught up, or is refused if it is needed before.
            self.set_up(joins, kind);
            if random.u8(..4) != 0 {
                return;
            }
        }
        self.correct_config_files();
        if joining.is_none() && leaving.is_none() {
            return;
        }
        let request = match random.u8(..5) {
            0 => {
                let stays = |(at, _): &(usize, LearnerType)| {
                    Some(sid_of(*at)) != leaving && joining.is_none_or(|(joins, _)| joins != *at)
                };
                let all = members.into_iter().filter(stays).chain(joining);
                let lines: Vec<String> = all.map(|(at, kind)| server_line(at, kind)).collect();
                Request::Reconfig { joining: None, leaving: None, all: Some(lines.join(",")), from }
            }
            _ => Request::Reconfig {
                joining: joining.map(|(at, kind)| server_line(at, kind)),
                leaving: leaving.map(|Sid(id)| id.to_string()),
                all: None,
                from,
            },
        };
        self.ask(index, request, None);
    }
}
