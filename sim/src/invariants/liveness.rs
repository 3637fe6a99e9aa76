//! Once nothing fails any more the ensemble serves within a bound: one leader, all members with it,
//! all clients connected and answered, all with the same history, and sessions whose clients are
//! gone are over, with their nodes (Zab's liveness: "a new primary is established eventually once a
//! quorum of correct processes can communicate").

use gamekeeper::processor::ServerMode;
use gamekeeper::proto::SessionId;

use crate::violation::{Verdict, Violation, require};
use crate::world::World;
use crate::world::membership::members_of;

/// Every member of the configuration in force serves, under one leader, and all have the same
/// history.
pub fn all_serve(world: &World) -> Verdict {
    let modes: Vec<_> = members_of(world.oracle.configs.in_force())
        .map(|(server, _)| {
            let server = &world.servers[server];
            let state = server.process.as_ref().map(|process| &process.state);
            state.map_or(("stopped", 0), |state| {
                (state.mode().name(), state.database.read().tree.last_processed().0)
            })
        })
        .collect();
    let leaders = modes.iter().filter(|(mode, _)| *mode == ServerMode::Leader.name()).count();
    let is_well = leaders == 1
        && modes.iter().all(|mode| mode.1 == modes[0].1 && !matches!(mode.0, "none" | "stopped"));
    require(is_well, "liveness", || format!("not all serve: {modes:x?}"))
}

/// Every client has a session and is answered.
pub fn clients_are_served(world: &World) -> Verdict {
    for client in &world.clients {
        let text = || {
            format!(
                "client {} is connected: {}; it waits for {:?}",
                client.index,
                client.is_connected(),
                client.asked
            )
        };
        if !client.is_connected() || !client.asked.is_empty() {
            return Err(Violation::new("liveness", text()));
        }
    }
    Ok(())
}

/// Sessions whose clients are gone are over.
pub fn abandoned_sessions_are_over(world: &World) -> Verdict {
    let database = world.oracle.reference.database();
    let held: Vec<SessionId> =
        world.clients.iter().map(|client| client.session).filter(|id| id.0 != 0).collect();
    let mut left: Vec<_> = database.sessions.keys().filter(|id| !held.contains(id)).collect();
    left.sort_unstable();
    require(left.is_empty(), "liveness", || format!("nobody holds the sessions {left:?}"))?;
    let owners = database.tree.sessions_with_ephemerals();
    let mut undead: Vec<_> = owners.filter(|(id, _)| !held.contains(id)).collect();
    undead.sort_unstable();
    require(undead.is_empty(), "liveness", || format!("nobody holds the nodes {undead:?}"))
}
