//! Ports for the members of one ensemble, kept apart from those of every other run on this machine.
//!
//! A member's port is free while the member is down, so finding it free is not enough: another run
//! could take it meanwhile. Ports outside the range that the system gives to outgoing connections
//! are used, in blocks, and whoever holds the first port of a block holds the block.

use std::net::{Ipv4Addr, TcpListener};

/// Ports in a block: the guard, three for each of up to ten members, and one for all.
const BLOCK: u16 = 32;

/// Ports of a member: clients, quorum, election.
const PER_MEMBER: u16 = 3;

/// Where blocks are looked for unless `COMPAT_PORTS` (`first-last`) says otherwise.
const RANGE: (u16, u16) = (14_000, 19_999);

/// A block of ports, held until it is dropped.
#[derive(Debug)]
pub struct PortBlock {
    guard: TcpListener,
    first: u16,
}

impl PortBlock {
    /// A block that nobody holds and no process listens in.
    pub fn take() -> Self {
        let (first, last) = range();
        (first..last)
            .step_by(usize::from(BLOCK))
            .filter(|start| start + BLOCK - 1 <= last)
            .find_map(Self::take_at)
            .unwrap_or_else(|| panic!("no {BLOCK} free ports in a row from {first} to {last}"))
    }

    fn take_at(first: u16) -> Option<Self> {
        let bind = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok();
        let guard = bind(first)?;
        (first + 1..first + BLOCK).all(|port| bind(port).is_some()).then_some(Self { guard, first })
    }

    /// The port on which followers serve observers; the same on every host.
    pub(super) fn observer_master(&self) -> u16 {
        self.first + BLOCK - 1
    }

    /// The ports of member `index`, counted from 0.
    pub fn member(&self, index: usize) -> MemberPorts {
        let offset = u16::try_from(index).expect("a small index") * PER_MEMBER;
        assert!(offset + PER_MEMBER < BLOCK - 1, "a block has no ports for member {index}");
        debug_assert!(self.guard.local_addr().is_ok(), "the guard listens");
        let client = self.first + 1 + offset;
        MemberPorts { client, quorum: client + 1, election: client + 2 }
    }
}

/// Where a member listens, on 127.0.0.1.
#[derive(Debug, Clone, Copy)]
pub struct MemberPorts {
    /// For clients.
    pub client: u16,
    /// For its followers and observers, while it leads.
    pub quorum: u16,
    /// For elections.
    pub election: u16,
}

fn range() -> (u16, u16) {
    let Ok(text) = std::env::var("COMPAT_PORTS") else { return RANGE };
    let parsed = text.split_once('-').map(|(first, last)| (first.parse(), last.parse()));
    match parsed {
        Some((Ok(first), Ok(last))) if first <= last => (first, last),
        _ => panic!("COMPAT_PORTS={text} is not first-last, such as 14000-19999"),
    }
}
