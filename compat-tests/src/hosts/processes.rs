//! Members as processes on loopback. Their links can be cut if there are proxies on them
//! ([`crate::ensemble::Layout::proxied`]).

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::thread;
use std::time::Duration;

use gamekeeper::persistence::{OsDisk, SNAPSHOTS_KEPT_MIN, purge};

use super::Hosts;
use crate::ensemble::links::Cut;
use crate::ensemble::{DISK_BYTES, Ensemble, PeerType, Place};
use crate::machine::Machine;
use crate::server::{Home, Server, ServerUnderTest};

/// How long a server whose disk has failed may go on serving, until it sees that it must end:
/// Apache's ends in steps.
const END_PAUSE: Duration = Duration::from_millis(500);

impl Hosts for Ensemble {
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
        (Ipv4Addr::LOCALHOST, self.members[member].ports.client).into()
    }

    fn is_up(&self, member: usize) -> bool {
        matches!(self.members[member].place, Place::Up(_))
    }

    fn ended(&mut self, member: usize) -> Option<String> {
        match &mut self.members[member].place {
            Place::Up(server) => server.ended().map(|status| status.to_string()),
            _ => None,
        }
    }

    fn launch_as(&mut self, member: usize, kind: ServerUnderTest) {
        let slot = &mut self.members[member];
        slot.spec.kind = kind;
        slot.is_disk_broken = false;
        match std::mem::replace(&mut slot.place, Place::Moving) {
            Place::Down(home) => slot.place = Place::Up(kind.launch(home)),
            _ => panic!("member {member} runs already"),
        }
    }

    fn stop(&mut self, member: usize) {
        bring_down(self, member, Server::stop);
    }

    fn kill(&mut self, member: usize) {
        bring_down(self, member, Server::kill);
    }

    fn pause(&mut self, member: usize) {
        self.server(member).freeze();
    }

    fn resume(&mut self, member: usize) {
        self.server(member).thaw();
    }

    fn cut(&mut self, member: usize, cut: Cut) {
        self.links().isolate(member, cut);
    }

    fn cut_one_way(&mut self, from: usize, to: usize) -> Result<(), String> {
        self.links().cut(from, to, Cut::Drop);
        Ok(())
    }

    fn heal(&mut self) {
        if let Some(links) = &self.links {
            links.heal_all();
        }
        for member in &mut self.members {
            let may_have_failed = member.machine.as_ref().is_some_and(Machine::repair);
            member.is_disk_broken |= may_have_failed;
            if let Some(disk) = member.disk.as_ref().filter(|_| member.is_disk_broken) {
                disk.resize(DISK_BYTES);
            }
        }
    }

    fn log_tail(&self, member: usize) -> String {
        self.home(member).log_tail()
    }

    fn agree_on_addresses(&self) -> bool {
        self.links.is_none()
    }

    fn machine(&self, member: usize) -> Option<&Machine> {
        self.members[member].machine.as_ref()
    }

    fn fill_disk(&mut self, member: usize, free: u64) -> bool {
        let slot = &mut self.members[member];
        let Some(disk) = &slot.disk else { return false };
        disk.fill(free);
        slot.is_disk_broken = true;
        true
    }

    fn restart_after_broken_disk(&mut self, member: usize) -> bool {
        let was_broken = self.members[member].is_disk_broken;
        if was_broken {
            bring_down(self, member, Server::into_home);
            self.launch(member);
        }
        was_broken
    }

    fn log(&self, member: usize) -> String {
        let log = fs::read(self.home(member).log()).unwrap_or_default();
        String::from_utf8_lossy(&log).into_owned()
    }

    fn recover(&mut self) {
        self.heal();
        for member in 0..self.len() {
            if self.is_up(member) {
                self.resume(member);
            } else {
                self.launch(member);
            }
        }
        if self.members.iter().any(|member| member.is_disk_broken) {
            thread::sleep(END_PAUSE);
        }
        self.wait_until_all_serve();
        for member in &self.members {
            // A disk that can be full is in memory.
            if let (Some(_), Place::Up(server)) = (&member.disk, &member.place) {
                let files = server.home().version_2();
                purge(&OsDisk, &files, &files, SNAPSHOTS_KEPT_MIN).expect("old files are removed");
            }
        }
    }
}

fn bring_down(ensemble: &mut Ensemble, member: usize, end: impl FnOnce(Server) -> Home) {
    let slot = &mut ensemble.members[member];
    match std::mem::replace(&mut slot.place, Place::Moving) {
        Place::Up(server) => slot.place = Place::Down(end(server)),
        _ => panic!("member {member} is not running"),
    }
}
