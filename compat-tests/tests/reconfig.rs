//! Ensembles whose membership changes while clients write: ours, and mixed with Apache's servers.

use std::process::Command;
use std::thread;
use std::time::Duration;

use compat_tests::cache::{cache_dir, crate_dir};
use compat_tests::ensemble::{Ensemble, Layout, MemberPorts, PeerType};
use compat_tests::history::checker::assert_sound;
use compat_tests::history::workload::{Load, Workload};
use compat_tests::hosts::{Hosts, Role};
use compat_tests::program::run;
use compat_tests::reconfig::{Change, agreed, change, version_of};
use compat_tests::server::{SUPER_PASSWORD, ServerUnderTest, gamekeeper_binary};

const OURS: ServerUnderTest = ServerUnderTest::Gamekeeper;
const APACHE: ServerUnderTest = ServerUnderTest::Apache("3.9.6");
const OLDEST: ServerUnderTest = ServerUnderTest::Apache("3.8.0");

/// How long writers may take to get on after a change.
const PROGRESS_LIMIT: Duration = Duration::from_secs(60);

/// A fourth server joins, observes, votes again; others leave, the leader too; one comes back from
/// the files that the changes left behind, as another kind of server.
fn members_come_and_go(first: [ServerUnderTest; 3], joiner: ServerUnderTest) {
    let mut ensemble = Layout::new(&first).dynamic().with_joiner(joiner).start();
    let initial = agreed(&ensemble, 0);
    assert_eq!(version_of(&initial) & 0xffff_ffff, 0, "the number of an epoch: {initial}");
    let workload = Workload::start(&ensemble.addresses()[..3], Load::default());
    let progress = |what: &str| {
        assert!(workload.wait_for_progress(5, PROGRESS_LIMIT), "a writer is stuck: {what}");
    };
    progress("at first");

    ensemble.launch(3);
    ensemble.wait_until_serving(&[3]);
    assert_eq!(ensemble.role(3), Role::Follower, "one that does not vote");
    let follower = ensemble.follower(0);
    let joined =
        change(&ensemble, follower, &Change::add(ensemble.server_line(3, PeerType::Participant)));
    assert!(joined.contains(&ensemble.server_line(3, PeerType::Participant)), "{joined}");
    progress("with a fourth");

    let leader = ensemble.wait_for_leader();
    change(&ensemble, leader, &Change::add(ensemble.server_line(3, PeerType::Observer)));
    ensemble.wait_for_role(3, Role::Observer);
    progress("with an observer");
    change(&ensemble, 3, &Change::add(ensemble.server_line(3, PeerType::Participant)));
    ensemble.wait_for_role(3, Role::Follower);
    progress("with four that vote");

    let leader = ensemble.wait_for_leader();
    let follower = (0..3).find(|member| *member != leader).expect("one of three");
    let left = change(&ensemble, follower, &Change::remove(leader));
    assert!(!left.contains(&format!("server.{}=", leader + 1)), "{left}");
    ensemble.wait_for_role(leader, Role::Follower);
    assert_ne!(ensemble.wait_for_leader(), leader, "who leads is a member");
    progress("without the first leader");

    let line = ensemble.server_line(leader, PeerType::Participant);
    change(&ensemble, leader, &Change::add(line));
    // From its own files, and as the other kind of server.
    ensemble.stop(leader);
    let other = if ensemble.kind(leader) == OURS { APACHE } else { OURS };
    ensemble.launch_as(leader, other);
    ensemble.wait_until_serving(&[leader]);
    progress("with the first leader back");
    ensemble.wait_until_all_serve();
    println!("{}", assert_sound(&ensemble, &workload.finish()));
}

#[test]
fn members_of_ours_come_and_go() {
    members_come_and_go([OURS; 3], OURS);
}

#[test]
fn members_come_and_go_where_apache_leads() {
    members_come_and_go([OURS, OURS, APACHE], OLDEST);
}

#[test]
fn members_come_and_go_where_ours_leads() {
    members_come_and_go([OLDEST, APACHE, OURS], OURS);
}

/// What a server answers to requests of all sorts, each that succeeds setting out from the members
/// it began with.
fn answers(ensemble: &Ensemble) -> Vec<(String, String)> {
    let line = |member| ensemble.server_line(member, PeerType::Participant);
    let at_first: Vec<String> = (0..ensemble.len()).map(line).collect();
    let unknown = "server.9=127.0.0.1:1:2:participant;3";
    let change = |joining: &str, leaving: &str, members: &str| {
        let given = |text: &str| (text != "-").then(|| text.to_owned());
        Change {
            joining: given(joining),
            leaving: given(leaving),
            members: given(members),
            from: -1,
        }
    };
    let first = line(0);
    let cases = vec![
        ("nothing", change("-", "-", "-")),
        ("empty lists", change("", "", "-")),
        ("no members", change("-", "-", "")),
        ("garbage among those who join", change("garbage", "-", "-")),
        ("no ports", change("server.9=127.0.0.1", "-", "-")),
        ("no client port", change("server.9=127.0.0.1:1:2", "-", "-")),
        ("a port that is none", change("server.9=127.0.0.1:1:x;3", "-", "-")),
        ("the same port twice", change("server.9=127.0.0.1:1:1;3", "-", "-")),
        ("a part that is none", change("server.9=127.0.0.1:1:2:king;3", "-", "-")),
        ("an id that is none", change("server.x=127.0.0.1:1:2;3", "-", "-")),
        ("two addresses", change("server.9=127.0.0.1:1:2|127.0.0.2:1:2;3", "-", "-")),
        ("garbage among those who leave", change("-", "x", "-")),
        ("who is no member leaves", change("-", "77", "-")),
        ("all but one leave", change("-", "1,2", "-")),
        ("all leave", change("-", "1,2,3", "-")),
        ("garbage for members", change("-", "-", "garbage")),
        ("a member without ports", change("-", "-", "server.1=127.0.0.1")),
        ("a key that is none", change("-", "-", "tickTime=1")),
        ("a member's id that is none", change("-", "-", "server.x=127.0.0.1:1:2;3")),
        ("an observer alone", change("-", "-", "server.1=127.0.0.1:1:2:observer;3")),
        ("one member", change("-", "-", first.as_str())),
        (
            "one and an observer",
            change("-", "-", &format!("{first},server.9=127.0.0.1:1:2:observer;3")),
        ),
        ("a group that lacks one", change("-", "-", &format!("{first},{},group.1=1", line(1)))),
        ("strangers only", change("-", "-", &format!("{unknown},server.8=127.0.0.1:4:5;6"))),
        ("strangers join", change(&format!("{unknown},server.8=127.0.0.1:4:5;6"), "1,2", "-")),
        ("both ways at once", change("garbage", "garbage", &at_first.join(","))),
        ("another version", Change { from: 1, ..change("-", "1", "-") }),
    ];
    let ask = |change: &Change, password| {
        let asked = change.ask(ensemble.address(0), password);
        match asked.unwrap_or_else(|error| panic!("{change:?}: {error}")) {
            Ok(config) => config.split("version=").next().unwrap_or_default().to_owned(),
            Err(code) => code.to_string(),
        }
    };
    let mut answers = Vec::new();
    for (what, change) in cases {
        let answer = ask(&change, Some(SUPER_PASSWORD));
        // Ports are other ones in every ensemble.
        let ports: Vec<String> = at_first.iter().map(|line| line.replace("server.", "")).collect();
        let answer = ports.iter().enumerate().fold(answer, |answer, (member, line)| {
            answer.replace(line.split_once('=').expect("a line").1, &format!("member {member}"))
        });
        answers.push((what.to_owned(), answer));
    }
    answers.push(("by nobody".into(), ask(&change("-", "3", "-"), None)));
    answers
}

#[test]
fn mistakes_get_apaches_codes() {
    let both = [APACHE, OURS].map(|kind| {
        let ensemble = Layout::new(&[kind; 3]).dynamic().start();
        let with = answers(&ensemble);
        drop(ensemble);
        let ensemble = Layout::new(&[kind; 3]).with_config("reconfigEnabled=false").start();
        let change = Change::remove(2);
        let without = change.ask(ensemble.address(0), Some(SUPER_PASSWORD)).expect("an answer");
        (with, without.expect_err("a refusal"))
    });
    let [(apache, apache_without), (ours, ours_without)] = both;
    for (theirs, ours) in apache.iter().zip(&ours) {
        println!("{}: {}", theirs.0, theirs.1.replace('\n', " "));
        assert_eq!(theirs, ours);
    }
    assert_eq!((apache_without, ours_without), (-123, -123));
}

/// Java's shell changes an ensemble and prints what it is now; our own takes a file as Java's does.
#[test]
fn shells_change_an_ensemble_of_ours() {
    let mut ensemble = Layout::new(&[OURS; 3]).dynamic().with_joiner(OURS).start();
    ensemble.launch(3);
    ensemble.wait_until_serving(&[3]);
    let line = |member| ensemble.server_line(member, PeerType::Participant);
    let all: Vec<String> = (0..4).map(line).collect();
    let (follower, leaving) = (ensemble.follower(0), ensemble.follower(1));
    // One that neither leaves nor leads keeps its clients.
    let server = ensemble.address(follower).to_string();
    let file = |name: &str, more: &str| {
        let path = ensemble.server(follower).home().dir().join(name);
        std::fs::write(&path, format!("{}\n{more}", all.join("\n"))).expect("a file");
        path.display().to_string()
    };
    let grouped = "group.1=1:2\ngroup.2=3:4\nweight.1=1\nweight.2=1\nweight.3=1\nweight.4=1\n";
    let commands = format!(
        "addauth digest super:{SUPER_PASSWORD}\nconfig -w\nreconfig -add {}\nreconfig -remove {}\n\
         reconfig -members {}\nconfig\nreconfig -remove x\nreconfig -file {}\nquit\n",
        line(3),
        leaving + 1,
        all.join(","),
        file("grouped", grouped),
    );
    let mut shell = Command::new(crate_dir().join("apache"));
    shell.args(["3.9.6", "cli", "-server", &server]);
    shell.env("COMPAT_CACHE", cache_dir());
    let finished = run(shell, &commands, Duration::from_secs(120));
    let printed = &finished.stdout;
    println!("{printed}");
    let committed: Vec<&str> = printed.split("Committed new configuration:").skip(1).collect();
    assert_eq!(committed.len(), 4, "{printed}{}", finished.stderr);
    assert!(committed[0].contains(&all.join("\n")), "with the fourth");
    assert!(!committed[1].contains(&format!("server.{}=", leaving + 1)), "without one");
    assert!(committed[2].matches(&all.join("\n")).count() == 2, "all of them, and config says so");
    assert!(committed[3].contains("group.2=3:4"), "those of the file");
    assert!(printed.contains("NodeDataChanged path:/zookeeper/config"), "the watch");
    assert!(agreed(&ensemble, 0).contains("group.2=3:4"), "it is in force");

    let mut shell = Command::new(gamekeeper_binary());
    shell.args(["cli", "-server", &server]);
    let commands = format!(
        "addauth digest super:{SUPER_PASSWORD}\nreconfig -file {}\nquit\n",
        file("plain", "")
    );
    let finished = run(shell, &commands, Duration::from_secs(120));
    let printed = &finished.stdout;
    assert!(printed.contains("Committed new configuration:"), "{printed}{}", finished.stderr);
    assert!(!agreed(&ensemble, 0).contains("group."), "majorities again");
}

/// Members move to other ports: of elections and followers, and of clients.
#[test]
fn members_move_to_other_ports() {
    let mut ensemble = Layout::new(&[OURS, APACHE, OURS]).dynamic().start();
    let workload = Workload::start(&[ensemble.address(1)], Load::default());
    for member in [0, 2] {
        // The leader too: it moves, so that another leads.
        let ports = ensemble.spare_ports(member);
        ensemble.set_ports(member, ports);
        let through = 1;
        change(
            &ensemble,
            through,
            &Change::add(ensemble.server_line(member, PeerType::Participant)),
        );
        ensemble.wait_until_all_serve();
        assert!(workload.wait_for_progress(5, PROGRESS_LIMIT), "with member {member} elsewhere");
    }
    assert_ne!(ensemble.wait_for_leader(), 2, "who moves does not lead on");
    // They find each other again.
    ensemble.kill(1);
    ensemble.wait_for_leader();
    ensemble.launch(1);
    ensemble.wait_until_all_serve();
    println!("{}", assert_sound(&ensemble, &workload.finish()));
}

/// kill -9 of who leads while members are removed and added: in the end all have one configuration,
/// and every write that was acknowledged.
#[test]
fn a_leader_killed_amid_reconfigs_leaves_one_configuration() {
    let mut ensemble = Layout::new(&[OURS, OURS, APACHE]).dynamic().with_joiner(OURS).start();
    let (theirs, joiner) = (2, 3);
    ensemble.launch(joiner);
    ensemble.wait_until_serving(&[joiner]);
    let workload = Workload::start(&ensemble.addresses()[..3], Load::default());
    let mut removed = joiner;
    let mut after = version_of(&agreed(&ensemble, 0));
    for round in 0..4u64 {
        let leader = ensemble.wait_for_leader();
        let others = || (0..ensemble.len()).filter(|member| *member != leader);
        let asked = if round % 2 == 0 {
            Change::add(ensemble.server_line(removed, PeerType::Participant))
        } else {
            // What was asked for last may not have been done. Of four members two stay of three,
            // a quorum of both configurations.
            let line = ensemble.server_line(removed, PeerType::Participant);
            change(&ensemble, leader, &Change::add(line));
            // Not who is killed: a server that is no member does not start again.
            removed = others().find(|member| *member != theirs).expect("two of ours");
            Change::remove(removed)
        };
        let through = others().find(|member| *member != removed).expect("two others");
        let through = ensemble.address(through);
        let asking = thread::spawn(move || asked.ask(through, Some(SUPER_PASSWORD)));
        thread::sleep(Duration::from_millis(5 + 12 * round));
        ensemble.kill(leader);
        let answer = asking.join().expect("a client");
        ensemble.wait_for_leader();
        ensemble.launch(leader);
        ensemble.wait_until_all_serve();
        let now = version_of(&agreed(&ensemble, after - 1));
        if let Ok(Ok(config)) = answer {
            assert!(now >= version_of(&config), "round {round}: what was acknowledged is gone");
        }
        after = now;
    }
    assert!(workload.wait_for_progress(5, PROGRESS_LIMIT), "a writer is stuck");
    println!("{}", assert_sound(&ensemble, &workload.finish()));
}

/// One server that is an ensemble by itself grows to three.
#[test]
fn an_ensemble_of_one_grows() {
    let layout = Layout::new(&[OURS]).dynamic().with_config("standaloneEnabled=false");
    let mut ensemble = layout.with_joiner(OURS).with_joiner(APACHE).start();
    let alone = agreed(&ensemble, 0);
    assert_eq!(alone.matches("server.").count(), 1, "{alone}");
    let workload = Workload::start(&[ensemble.address(0)], Load::default());
    for member in [1, 2] {
        ensemble.launch(member);
        ensemble.wait_until_serving(&[member]);
        let line = ensemble.server_line(member, PeerType::Participant);
        let grown = change(&ensemble, 0, &Change::add(line));
        assert_eq!(grown.matches("server.").count(), member + 1, "{grown}");
    }
    assert!(workload.wait_for_progress(5, PROGRESS_LIMIT), "a writer is stuck");
    println!("{}", assert_sound(&ensemble, &workload.finish()));
}

/// A configuration with groups and weights is named as a whole, shown, stored and read again as by
/// Apache's servers; servers are not added to it one by one.
fn groups_come_and_go(kinds: [ServerUnderTest; 3]) -> Vec<String> {
    let mut ensemble = Layout::new(&kinds).dynamic().start();
    let lines: Vec<String> =
        (0..3).map(|member| ensemble.server_line(member, PeerType::Participant)).collect();
    let anonymous = |text: String| {
        let parts = lines.iter().map(|line| line.split_once('=').expect("a line").1);
        let text =
            parts.zip(["a", "b", "c"]).fold(text, |text, (part, name)| text.replace(part, name));
        let rest = text.split("version=").next().unwrap_or_default().trim().to_owned();
        let mut lines: Vec<&str> = rest.lines().collect();
        lines.sort_unstable();
        lines.join(" ")
    };
    let mut seen = Vec::new();
    let with = |more: &[&str]| {
        let more = more.iter().map(|line| line.to_string());
        Change::members(&lines.iter().cloned().chain(more).collect::<Vec<_>>())
    };
    let grouped = ["group.1=1:2", "group.2=3", "weight.1=2", "weight.2=1", "weight.3=1"];
    let through = ensemble.follower(0);
    seen.push(anonymous(change(&ensemble, through, &with(&grouped))));
    let refusals = [
        Change::add(lines[0].clone()),
        Change::remove(0),
        with(&["group.1=1:2"]),
        with(&["group.1=1:2", "group.2=2:3"]),
        with(&["group.1=1:2:3", "weight.1=x"]),
        with(&["group.1=1:2:9"]),
        with(&["weight.1=1"]),
    ];
    for refused in refusals {
        let answer = refused.ask(ensemble.address(through), Some(SUPER_PASSWORD));
        seen.push(match answer.expect("an answer") {
            Ok(config) => anonymous(config),
            Err(code) => code.to_string(),
        });
    }
    // From their files, all of them.
    (0..3).for_each(|member| ensemble.stop(member));
    (0..3).for_each(|member| ensemble.launch(member));
    ensemble.wait_until_all_serve();
    seen.push(anonymous(agreed(&ensemble, 0)));
    seen.push(anonymous(change(&ensemble, ensemble.follower(0), &with(&[]))));
    seen
}

#[test]
fn groups_come_and_go_as_at_apaches() {
    let kinds = [[APACHE; 3], [OURS; 3], [OURS, APACHE, OURS]];
    let runs = kinds.map(|kinds| thread::spawn(move || groups_come_and_go(kinds)));
    let [apache, ours, mixed] = runs.map(|run| run.join().expect("a run that ends"));
    println!("{apache:#?}");
    assert_eq!(ours, apache);
    assert_eq!(mixed, apache);
}

/// Members with two addresses each, of both kinds, elect, follow and change.
#[test]
fn members_with_two_addresses_get_on() {
    let layout = Layout::new(&[OURS, APACHE, OURS]).dynamic().with_two_addresses();
    let mut ensemble = layout.start();
    let before = agreed(&ensemble, 0);
    assert_eq!(before.matches('|').count(), 3, "{before}");
    let workload = Workload::start(&ensemble.addresses()[1..], Load::default());
    // Another port for clients: the line is taken with both addresses.
    let spare = ensemble.spare_ports(0).client;
    let line = before.lines().find(|line| line.starts_with("server.1=")).expect("a member");
    let moved = format!("{};127.0.0.1:{spare}", line.split(';').next().unwrap_or_default());
    let ports = MemberPorts { client: spare, ..ensemble.ports(0) };
    ensemble.set_ports(0, ports);
    let config = change(&ensemble, 1, &Change::add(moved.clone()));
    assert!(config.lines().any(|line| line == moved), "{config}");
    for _ in 0..2 {
        let leader = ensemble.wait_for_leader();
        ensemble.kill(leader);
        assert!(workload.wait_for_progress(5, PROGRESS_LIMIT), "without member {leader}");
        ensemble.launch(leader);
        ensemble.wait_until_all_serve();
    }
    println!("{}", assert_sound(&ensemble, &workload.finish()));
}

/// An observer that wrote nothing becomes a voter: all it knows is on its disk from then on.
#[test]
fn an_observer_that_wrote_nothing_becomes_a_voter() {
    let layout = Layout::new(&[OURS; 2]).with_observer(OURS).dynamic();
    let mut ensemble = layout.with_config("syncEnabled=false").start();
    let observer = 2;
    let workload = Workload::start(&ensemble.addresses()[..2], Load::default());
    assert!(workload.wait_for_progress(20, PROGRESS_LIMIT), "a writer is stuck");
    let line = ensemble.server_line(observer, PeerType::Participant);
    change(&ensemble, 0, &Change::add(line));
    ensemble.wait_for_role(observer, Role::Follower);
    assert!(workload.wait_for_progress(20, PROGRESS_LIMIT), "with three voters");
    // It is one of two that are left, then all die; it has what it acknowledged.
    let other = ensemble.follower(0);
    let other = if other == observer { ensemble.follower(1) } else { other };
    ensemble.kill(other);
    assert!(workload.wait_for_progress(20, PROGRESS_LIMIT), "with it as one of two");
    (0..3).filter(|member| *member != other).for_each(|member| ensemble.kill(member));
    [observer, other].into_iter().for_each(|member| ensemble.launch(member));
    assert!(workload.wait_for_progress(20, PROGRESS_LIMIT), "with what it has on its disk");
    ensemble.recover();
    println!("{}", assert_sound(&ensemble, &workload.finish()));
}
