//! Messages of elections (`gamekeeper::server::net::QuorumCnxManager`): of those from one server to
//! another that are under way only the newest counts, and a sender learns whether it came through.

use bytes::Bytes;
use gamekeeper::engine::{ElectionEvent, Input};
use gamekeeper::proto::{Notification, Sid};
use gamekeeper::quorum::Link;

use super::World;
use super::membership::{server_of, sid_of};
use crate::queue::{Event, ProcessId, SECOND};
use crate::violation::Violation;

impl World {
    /// Sends a server's newest message to another.
    pub(super) fn send_vote(&mut self, from: ProcessId, to: Sid, message: Bytes) {
        let to = server_of(to);
        if self.votes.insert((from.server, to), message).is_none() {
            let delay = self.delay();
            self.queue.after(delay, Event::Election(from.server, to));
        }
    }

    /// A message arrives, if it can.
    pub(super) fn deliver_vote(&mut self, from: usize, to: usize) {
        if !self.passes(from, to) {
            // It waits in a connection that is stuck; the sender tries another one in vain.
            self.tell_link(from, to, Link::Unreachable);
            let delay = SECOND / 5 + self.delay();
            return self.queue.after(delay, Event::Election(from, to));
        }
        let Some(message) = self.votes.remove(&(from, to)) else { return };
        let now = self.queue.now();
        let receiver = self.servers[to].process.as_ref().filter(|process| process.takes_votes);
        let Some(receiver) = receiver.map(|process| process.id) else {
            return self.tell_link(from, to, Link::Unreachable);
        };
        self.tell_link(from, to, Link::Up);
        match Notification::decode(&message) {
            Ok(notification) => {
                self.trace.line(
                    now,
                    format_args!(
                        "vote {from} -> {to}: {:?} for id {} with 0x{}, round {}, epoch {}",
                        notification.state,
                        notification.leader,
                        notification.zxid,
                        notification.round,
                        notification.peer_epoch
                    ),
                );
                let from = sid_of(from);
                let event = ElectionEvent::Notification { from, notification };
                self.post(receiver, Input::Election(event));
            }
            Err(error) => {
                let text = format!("a vote of server {from} cannot be read: {error}");
                self.judge(Err(Violation::new("wire", text)));
            }
        }
    }

    fn tell_link(&mut self, teller: usize, about: usize, link: Link) {
        if let Some(id) = self.servers[teller].process.as_ref().map(|process| process.id) {
            let sid = sid_of(about);
            self.post(id, Input::Election(ElectionEvent::Link { sid, link }));
        }
    }
}
