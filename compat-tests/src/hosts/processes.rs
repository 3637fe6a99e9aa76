//! Members as processes on loopback. Their links can be cut if there are proxies on them
//! ([`crate::ensemble::Layout::proxied`]).

use std::net::{Ipv4Addr, SocketAddr};
use std::thread;
use std::time::Duration;

use super::Hosts;
use crate::ensemble::links::Cut;
use crate::ensemble::{Ensemble, PeerType, Place};
use crate::machine::Machine;
use crate::server::{Home, Server, ServerUnderTest};

/// How long a server whose disk has failed may take to end, Apache's in steps.
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
        self.members.iter().filter_map(|member| member.machine.as_ref()).for_each(Machine::repair);
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

    fn recover(&mut self) {
        self.heal();
        for member in 0..self.len() {
            if self.is_up(member) {
                self.resume(member);
            } else {
                self.launch(member);
            }
        }
        restart_the_ended(self);
        self.wait_until_all_serve();
    }
}

fn bring_down(ensemble: &mut Ensemble, member: usize, end: impl FnOnce(Server) -> Home) {
    let slot = &mut ensemble.members[member];
    match std::mem::replace(&mut slot.place, Place::Moving) {
        Place::Up(server) => slot.place = Place::Down(end(server)),
        _ => panic!("member {member} is not running"),
    }
}

/// Starts again whom a broken disk has ended. It may take a moment to see that it must.
fn restart_the_ended(ensemble: &mut Ensemble) {
    if ensemble.members.iter().all(|member| member.machine.is_none()) {
        return;
    }
    thread::sleep(END_PAUSE);
    for member in 0..ensemble.len() {
        if ensemble.ended(member).is_some() {
            bring_down(ensemble, member, Server::into_home);
            ensemble.launch(member);
        }
    }
}
