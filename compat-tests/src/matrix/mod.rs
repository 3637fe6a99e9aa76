//! Every client on every kind of ensemble, area by area: what passes of how many checks.
//!
//! A [`Client`] is a program of `programs/matrix` on a client library of one release, a
//! [`Servers`] the ensemble that it talks to, an [`Area`] a part of what clients do. A [`Cell`] is
//! one run of that program; it names its checks itself, so a count is always of things that ran.

mod cell;
mod client;
mod journal;
mod servers;
mod table;

use std::fmt;
use std::str::FromStr;
use std::time::Instant;

pub use cell::{Cell, Check, Outcome};
pub use client::{CLIENTS, Client};
pub use journal::Journal;
pub use servers::{SERVERS, Servers, Stage};
pub use table::Table;

/// A part of what clients do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Area {
    /// Create, read, change and delete, with their errors; sync between two members.
    Operations,
    /// Watches of every mode.
    Watches,
    /// Sessions, which go on at another member when theirs is killed.
    Sessions,
    /// Identities and ACLs.
    Acl,
    /// Several operations in one.
    Multi,
    /// Containers and nodes with a time to live.
    Ttl,
    /// Changing the members.
    Reconfig,
    /// A member without the others.
    ReadOnly,
    /// Quotas, counted and enforced.
    Quotas,
    /// Locks, elections, barriers, queues: what a library builds of the rest.
    Recipes,
}

impl Area {
    /// All, in the order of the table.
    pub const ALL: [Self; 10] = [
        Self::Operations,
        Self::Watches,
        Self::Sessions,
        Self::Acl,
        Self::Multi,
        Self::Ttl,
        Self::Reconfig,
        Self::ReadOnly,
        Self::Quotas,
        Self::Recipes,
    ];

    /// Its name: the argument of the programs, and the head of its column.
    pub fn name(self) -> &'static str {
        match self {
            Self::Operations => "operations",
            Self::Watches => "watches",
            Self::Sessions => "sessions",
            Self::Acl => "acl",
            Self::Multi => "multi",
            Self::Ttl => "ttl",
            Self::Reconfig => "reconfig",
            Self::ReadOnly => "read-only",
            Self::Quotas => "quotas",
            Self::Recipes => "recipes",
        }
    }
}

impl fmt::Display for Area {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Area {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let names = Self::ALL.map(Self::name).join(", ");
        let found = Self::ALL.into_iter().find(|area| area.name() == name);
        found.ok_or_else(|| format!("{name} is none of {names}"))
    }
}

/// Runs the cells of these clients, servers and areas, with a line for each. Those that the journal
/// has are not run again.
pub fn run(
    clients: &[&'static Client],
    servers: &[&'static Servers],
    areas: &[Area],
    mut journal: Option<Journal>,
) -> Table {
    let mut table = Table::default();
    for servers in servers {
        // Areas that want the same ensemble come one after the other.
        let (apart, together): (Vec<Area>, Vec<Area>) =
            areas.iter().partition(|area| **area == Area::ReadOnly);
        for areas in [together, apart] {
            let mut stage = None;
            for client in clients {
                for area in &areas {
                    let cell = Cell { client, servers, area: *area };
                    if let Some(outcome) = journal.as_ref().and_then(|journal| journal.get(&cell)) {
                        table.add(cell, outcome.clone());
                        continue;
                    }
                    let stage = stage.get_or_insert_with(|| Stage::start(servers, *area));
                    let outcome = run_cell(cell, stage);
                    if let Some(journal) = &mut journal {
                        journal.add(&cell, &outcome);
                    }
                    table.add(cell, outcome);
                }
            }
        }
    }
    table
}

fn run_cell(cell: Cell, stage: &mut Stage) -> Outcome {
    stage.put_in_order();
    let started = Instant::now();
    let outcome = cell.run(stage);
    let count = match &outcome {
        Outcome::None(why) => format!("- ({why})"),
        Outcome::Ran(checks) => format!("{}/{}", outcome.passed(), checks.len()),
    };
    println!("{cell}: {count} in {:.1} s", started.elapsed().as_secs_f32());
    outcome
}
