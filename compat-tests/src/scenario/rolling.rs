//! Members stopped and started one after the other, the leader last, as operators do it.

use super::{Run, names};
use crate::server::ServerUnderTest;

/// Every member is stopped with SIGTERM and started again.
pub(super) fn restart(run: &mut Run) {
    let kinds: Vec<ServerUnderTest> = (0..run.hosts.len()).map(|m| run.hosts.kind(m)).collect();
    replace_each(run, &kinds);
}

/// Every member becomes what the plan names for it, and then again what it was.
pub(super) fn replace(run: &mut Run) {
    let before: Vec<ServerUnderTest> = (0..run.hosts.len()).map(|m| run.hosts.kind(m)).collect();
    let named = run.plan.replacements.iter().copied().cycle();
    let after: Vec<ServerUnderTest> = named.take(before.len()).collect();
    println!("{} -> {} and back", names(&before), names(&after));
    replace_each(run, &after);
    replace_each(run, &before);
}

fn replace_each(run: &mut Run, kinds: &[ServerUnderTest]) {
    let leader = run.hosts.wait_for_leader();
    let others = (0..run.hosts.len()).filter(|member| *member != leader);
    for member in others.chain([leader]).collect::<Vec<_>>() {
        let was = run.hosts.kind(member);
        let role = run.hosts.role(member);
        let what = format!("member {member}, {role:?}: {was} -> {}", kinds[member]);
        run.workload.step(format!("stop {what}"));
        run.hosts.stop(member);
        run.progress();
        run.workload.step(format!("start {what}"));
        run.hosts.launch_as(member, kinds[member]);
        run.hosts.wait_until_all_serve();
        run.progress();
    }
}
