//! Each rule of the election by itself.

use std::sync::Arc;

use super::*;

const OPTIONS: ElectionOptions = ElectionOptions {
    notification_interval_ms_min: 200,
    notification_interval_ms_max: 1_000,
    multi_address: false,
};

pub(super) fn configs(committed: Arc<QuorumVerifier>) -> Configs {
    Configs::new(committed, None, true)
}

pub(super) fn config(voters: i64, observers: i64, version: i64) -> Arc<QuorumVerifier> {
    let voter = |id| format!("server.{id}=h{id}:1:2:participant\n");
    let observer = |id| format!("server.{id}=h{id}:1:2:observer\n");
    let lines = (1..=voters).map(voter).chain((voters + 1..=voters + observers).map(observer));
    let text = format!("{}version={version:x}", lines.collect::<String>());
    Arc::new(QuorumVerifier::from_text(&text, false).unwrap())
}

/// One server under test and what it sent last.
struct Server {
    election: FastLeaderElection,
    out: Vec<ElectionOutput>,
    now: Millis,
}

impl Server {
    /// A server that looks for a leader among `voters` servers with zxid and epoch 5.
    fn looking(my: i64, voters: i64) -> Self {
        let mut server = Self::new(my, configs(config(voters, 1, 0)));
        assert_eq!(server.look(5, 5), None);
        server
    }

    fn new(my: i64, configs: Configs) -> Self {
        let election = FastLeaderElection::new(Sid(my), OPTIONS, configs);
        Self { election, out: Vec::new(), now: 0 }
    }

    fn look(&mut self, zxid: i64, peer_epoch: i64) -> Option<Elected> {
        let initial = InitialVote { zxid: Zxid(zxid), peer_epoch };
        self.election.look(self.now, initial, &mut self.out)
    }

    fn hear(&mut self, from: i64, n: &Notification) -> Option<Elected> {
        self.out.clear();
        self.election.on_notification(self.now, Sid(from), n, &mut self.out)
    }

    fn wait(&mut self, ms: Millis) -> Option<Elected> {
        self.out.clear();
        self.now += ms;
        self.election.on_time(self.now, &mut self.out)
    }

    fn link(&mut self, sid: i64, link: Link) -> Option<Elected> {
        self.out.clear();
        self.election.on_link(self.now, Sid(sid), link, &mut self.out)
    }

    /// Receivers of what was sent, and its content.
    fn sent(&self) -> Vec<(i64, Notification)> {
        let sent = self.out.iter().filter_map(|output| match output {
            ElectionOutput::Send { to, message } => {
                Some((to.0, Notification::decode(message).unwrap()))
            }
            ElectionOutput::NewerConfig(_) => None,
        });
        sent.collect()
    }

    fn receivers(&self) -> Vec<i64> {
        self.sent().into_iter().map(|(to, _)| to).collect()
    }

    fn votes_for(&self) -> i64 {
        self.election.current_vote().unwrap().1.leader.0
    }
}

/// What a server says: its state, its candidate, zxid, round and epoch.
fn says(state: ServerState, leader: i64, zxid: i64, round: i64, peer_epoch: i64) -> Notification {
    Notification {
        state,
        leader: Sid(leader),
        zxid: Zxid(zxid),
        round,
        peer_epoch,
        version: 2,
        config: None,
    }
}

use ServerState::{Following, Leading, Looking as LookingState, Observing};

#[test]
fn the_first_vote_is_the_own_and_goes_to_every_other_voter() {
    let server = Server::looking(2, 3);
    assert_eq!(server.receivers(), [1, 3]);
    let n = &server.sent()[0].1;
    assert_eq!((n.state, n.leader, n.zxid, n.round, n.peer_epoch), says5(2));
    let text = config(3, 1, 0).to_text();
    assert_eq!(n.config.as_deref(), Some(text.as_bytes()));
    assert_eq!(server.election.deadline(), Some(200));
}

fn says5(leader: i64) -> (ServerState, Sid, Zxid, i64, i64) {
    (LookingState, Sid(leader), Zxid(5), 1, 5)
}

#[test]
fn a_better_vote_of_the_round_is_adopted_and_passed_on() {
    for (candidate, zxid, epoch, adopted) in
        [(3, 5, 5, true), (1, 6, 5, true), (1, 0, 6, true), (1, 5, 5, false), (3, 9, 4, false)]
    {
        let mut server = Server::looking(2, 5);
        server.hear(4, &says(LookingState, candidate, zxid, 1, epoch));
        assert_eq!(server.votes_for(), if adopted { candidate } else { 2 });
        // A worse one is answered, as its sender may have missed the better.
        let expected: &[i64] = if adopted { &[1, 3, 4, 5] } else { &[4] };
        assert_eq!(server.receivers(), expected, "{candidate} {zxid} {epoch}");
    }
}

#[test]
fn a_higher_round_starts_again_from_the_own_first_vote() {
    let mut server = Server::looking(2, 5);
    server.hear(3, &says(LookingState, 5, 9, 1, 9));
    assert_eq!(server.votes_for(), 5);
    server.hear(4, &says(LookingState, 1, 5, 7, 5));
    assert_eq!((server.votes_for(), server.election.round()), (2, 7));
    assert_eq!(server.sent()[0].1.round, 7);
    // The vote of 3 was of another round.
    assert_eq!(server.hear(1, &says(LookingState, 2, 5, 7, 5)), None);
    assert_eq!(server.election.deadline(), Some(200), "two of five are no quorum");
}

#[test]
fn a_lower_round_is_answered_and_not_counted() {
    let mut server = Server::looking(2, 3);
    server.hear(1, &says(LookingState, 2, 5, 4, 5));
    assert!(server.hear(3, &says(LookingState, 3, 9, 3, 9)).is_none());
    let (to, answer) = &server.sent()[0];
    assert_eq!((*to, answer.leader, answer.round, answer.state), (3, Sid(2), 4, LookingState));
    assert_eq!(server.sent().len(), 1);
    assert_eq!(server.votes_for(), 2);
}

#[test]
fn a_quorum_waits_for_a_better_vote_before_it_decides() {
    let mut server = Server::looking(2, 3);
    assert_eq!(server.hear(1, &says(LookingState, 2, 5, 1, 5)), None);
    assert_eq!(server.election.deadline(), Some(200));
    assert_eq!(server.wait(199), None);
    // The better vote takes the quorum away.
    assert_eq!(server.hear(3, &says(LookingState, 3, 5, 1, 5)), None);
    assert_eq!(server.votes_for(), 3);
    let elected = server.wait(FINALIZE_WAIT_MS).unwrap();
    assert_eq!((elected.state, elected.leader, elected.vote.round), (Following, Sid(3), 1));
    assert_eq!(server.election.deadline(), None);
}

#[test]
fn the_wait_ends_when_nobody_is_left_to_vote_better() {
    let vote = says(LookingState, 2, 5, 1, 5);
    let mut all = Server::looking(2, 3);
    assert_eq!(all.hear(1, &vote), None);
    assert_eq!(all.hear(3, &vote).unwrap().state, Leading, "all have voted");

    let mut dead = Server::looking(2, 3);
    assert_eq!(dead.hear(1, &vote), None);
    assert_eq!(dead.link(3, Link::Up), None);
    assert_eq!(dead.link(3, Link::Down), None, "it may come back");
    assert_eq!(dead.receivers(), [3], "whether it does is found out at once");
    assert_eq!(dead.link(3, Link::Unreachable).unwrap().leader, Sid(2));

    let mut known = Server::looking(2, 3);
    assert_eq!(known.link(3, Link::Unreachable), None, "no quorum yet");
    assert_eq!(known.hear(1, &vote).unwrap().state, Leading);

    let mut back = Server::looking(2, 3);
    back.link(3, Link::Unreachable);
    back.link(3, Link::Up);
    assert_eq!(back.hear(1, &vote), None, "it is connected and has not voted");

    let mut alone = Server::new(1, configs(config(1, 0, 0)));
    assert_eq!(alone.look(0, 0).unwrap().state, Leading);
}

#[test]
fn a_server_without_data_neither_votes_nor_counts() {
    let mut empty = Server::new(1, configs(config(3, 0, 0)));
    empty.look(-1, 0);
    assert_eq!(empty.receivers(), [2, 3]);
    assert_eq!(empty.hear(2, &says(LookingState, 3, 9, 1, 9)), None);
    assert_eq!(empty.votes_for(), 1);
    let mut server = Server::looking(1, 3);
    server.hear(2, &says(LookingState, 2, -1, 1, 9));
    assert_eq!(server.votes_for(), 1);
}

#[test]
fn an_established_leader_is_joined_when_a_quorum_and_it_say_so() {
    // The others are in another round, and later than this server's first vote.
    let mut server = Server::looking(3, 3);
    assert_eq!(server.hear(1, &says(Following, 2, 1, 9, 7)), None);
    let elected = server.hear(2, &says(Leading, 2, 0, 8, 7)).unwrap();
    assert_eq!((elected.state, elected.leader), (Following, Sid(2)));
    assert_eq!((elected.vote.round, server.election.round()), (8, 8));

    let mut server = Server::looking(3, 5);
    server.hear(1, &says(Following, 2, 1, 9, 7));
    server.hear(4, &says(Following, 2, 1, 9, 7));
    assert_eq!(server.hear(5, &says(Following, 2, 1, 9, 7)), None, "2 itself is silent");
    let mut server = Server::looking(3, 5);
    server.hear(2, &says(Leading, 2, 1, 9, 7));
    assert_eq!(server.hear(1, &says(Following, 2, 1, 9, 6)), None, "of another epoch");
    assert_eq!(server.hear(4, &says(Following, 2, 1, 9, 7)), None, "two are no quorum");
    assert!(server.hear(5, &says(Following, 2, 1, 9, 7)).is_some(), "two and the leader");
}

#[test]
fn before_version_1_only_the_leader_is_compared() {
    let mut server = Server::looking(3, 5);
    let ancient = |state| Notification { version: 0, ..says(state, 2, 1, 9, 6) };
    server.hear(1, &ancient(Following));
    server.hear(4, &ancient(Following));
    assert!(server.hear(2, &says(Leading, 2, 1, 9, 7)).is_some());
}

#[test]
fn of_the_same_round_looking_and_settled_servers_count_together() {
    let mut server = Server::looking(1, 5);
    server.hear(2, &says(LookingState, 5, 9, 1, 9));
    assert_eq!(server.votes_for(), 5);
    server.hear(3, &says(Following, 5, 9, 1, 10));
    // With the vote of 4: 1, 2 and 4 agree while looking; 3 names another epoch.
    assert_eq!(server.hear(4, &says(LookingState, 5, 9, 1, 9)), None);
    assert_eq!(server.election.deadline(), Some(FINALIZE_WAIT_MS));
    // The leader's answer of the same round: 3 and 5 are no quorum, unless 2 settles too.
    assert_eq!(server.hear(5, &says(Leading, 5, 9, 1, 10)), None);
    assert_eq!(server.hear(2, &says(Following, 5, 9, 1, 10)).unwrap().leader, Sid(5));
}

#[test]
fn who_is_named_leader_by_all_leads_only_in_its_own_round() {
    let mut server = Server::looking(2, 3);
    server.hear(1, &says(Following, 2, 1, 9, 7));
    assert_eq!(server.hear(3, &says(Following, 2, 1, 9, 7)), None, "it led before a restart");
    let mut server = Server::looking(2, 3);
    assert_eq!(server.hear(1, &says(Following, 2, 5, 1, 5)).unwrap().state, Leading);
}

#[test]
fn a_settled_server_answers_those_that_look() {
    let mut server = Server::looking(3, 3);
    server.hear(1, &says(LookingState, 3, 5, 1, 5));
    server.hear(2, &says(LookingState, 3, 5, 1, 5));
    server.election.update_election_vote(6);
    assert_eq!(server.hear(1, &says(LookingState, 1, 9, 40, 9)), None);
    let (to, answer) = &server.sent()[0];
    assert_eq!((*to, answer.state, answer.leader), (1, Leading, Sid(3)));
    assert_eq!((answer.zxid, answer.round, answer.peer_epoch), (Zxid(5), 1, 6));
    for state in [Following, Leading, Observing] {
        server.hear(1, &says(state, 1, 9, 40, 9));
        assert!(server.out.is_empty(), "{state:?}");
    }
    assert_eq!(server.wait(100_000), None);
    assert!(server.out.is_empty());
}

#[test]
fn who_does_not_vote_is_answered_and_not_counted() {
    let mut server = Server::looking(2, 3);
    for from in [4, 99] {
        assert_eq!(server.hear(from, &says(LookingState, 3, 9, 9, 9)), None);
        let (to, answer) = &server.sent()[0];
        assert_eq!((*to, answer.leader, answer.round), (from, Sid(2), 1));
        assert_eq!((server.votes_for(), server.election.round()), (2, 1));
    }
    // What is no question is not answered, or two servers would answer each other for ever.
    server.hear(4, &says(Observing, 3, 9, 9, 9));
    assert!(server.out.is_empty());
    let mut observer = Server::looking(4, 3);
    observer.election.settle(Observing, says_vote(3));
    observer.hear(1, &says(LookingState, 1, 9, 9, 9));
    assert!(observer.out.is_empty());
    // Nor is a candidate counted who does not vote.
    server.hear(3, &says(LookingState, 4, 9, 1, 9));
    assert_eq!(server.votes_for(), 2);
}

#[test]
fn an_observer_learns_who_leads() {
    let mut server = Server::looking(4, 3);
    let n = &server.sent()[0].1;
    assert_eq!((n.leader.0, n.zxid.0, n.peer_epoch), (i64::MIN, i64::MIN, i64::MIN));
    assert_eq!(server.receivers(), [1, 2, 3]);
    server.hear(3, &says(Leading, 3, 1, 9, 7));
    let elected = server.hear(1, &says(Following, 3, 1, 9, 7)).unwrap();
    assert_eq!((elected.state, elected.leader), (Observing, Sid(3)));

    let mut server = Server::looking(4, 3);
    for from in [1, 2, 3] {
        assert_eq!(server.hear(from, &says(LookingState, 3, 5, 1, 5)), None);
    }
    assert_eq!(server.wait(FINALIZE_WAIT_MS).unwrap().state, Observing, "it always waits");
}

#[test]
fn silence_is_answered_with_the_vote_ever_more_seldom() {
    let mut server = Server::looking(2, 3);
    let mut waits = Vec::new();
    for _ in 0..5 {
        let wait = server.election.deadline().unwrap() - server.now;
        waits.push(wait);
        assert_eq!(server.wait(wait), None);
        assert_eq!(server.receivers(), [1, 3]);
    }
    assert_eq!(waits, [200, 400, 800, 1000, 1000]);
}

#[test]
fn a_newer_configuration_is_reported_while_looking() {
    let with = |config: &QuorumVerifier| Notification {
        config: Some(config.to_text().into()),
        ..says(LookingState, 3, 9, 1, 9)
    };
    let mut server = Server::looking(2, 3);
    let newer = config(5, 0, 7);
    server.hear(3, &with(&newer));
    assert_eq!(server.out, [ElectionOutput::NewerConfig(Box::new((*newer).clone()))]);
    assert_eq!(server.votes_for(), 2, "what it means is known after the restart");
    server.election.set_configs(configs(newer.clone()));
    server.out.clear();
    server.look(5, 5);
    assert_eq!(server.receivers(), [1, 3, 4, 5]);
    server.hear(3, &with(&newer));
    server.hear(3, &with(&config(2, 0, 6)));
    assert!(server.out.iter().all(|out| matches!(out, ElectionOutput::Send { .. })));

    // Of the same members the version alone is taken; and what cannot be read is passed over.
    let mut server = Server::looking(2, 3);
    server.hear(3, &with(&config(3, 1, 7)));
    assert!(matches!(server.out[0], ElectionOutput::NewerConfig(_)));
    assert_eq!(server.votes_for(), 3);
    for text in ["version=9", "", "server.1=a", "\u{0}"] {
        let mut server = Server::looking(2, 3);
        server.hear(3, &Notification { config: Some(text.into()), ..with(&newer) });
        assert_eq!(server.votes_for(), 3, "{text}");
    }
    let mut settled = Server::looking(2, 3);
    settled.election.settle(Following, says_vote(3));
    settled.hear(3, &with(&newer));
    assert_eq!(settled.receivers(), [3], "it has a leader who will tell");
}

fn says_vote(leader: i64) -> Vote {
    Vote { leader: Sid(leader), zxid: Zxid(9), round: 1, peer_epoch: 9 }
}

#[test]
fn a_quorum_of_the_next_configuration_is_needed_too() {
    // It was pending when the server ended.
    let configs = Configs::new(config(3, 0, 0), Some(config(5, 0, 7)), true);
    let mut server = Server::new(2, configs);
    server.look(5, 5);
    assert_eq!(server.receivers(), [1, 3, 4, 5]);
    server.hear(1, &says(LookingState, 2, 5, 1, 5));
    assert_eq!(server.election.deadline(), Some(200));
    server.now = 50;
    server.hear(4, &says(LookingState, 2, 5, 1, 5));
    assert_eq!(server.election.deadline(), Some(50 + FINALIZE_WAIT_MS));
}

#[test]
fn what_was_proposed_in_vain_keeps_nobody_from_a_leader_that_there_is() {
    // The two that are to join are not there, and the others know nothing of them.
    let configs = Configs::new(config(3, 0, 0), Some(config(5, 0, 7)), true);
    let mut server = Server::new(2, configs);
    server.look(5, 5);
    assert_eq!(server.hear(1, &says(Following, 3, 5, 9, 8)), None, "3 itself is silent");
    assert_eq!(server.hear(3, &says(Leading, 3, 5, 9, 8)).unwrap().leader, Sid(3));
}

#[test]
fn who_weighs_nothing_is_never_preferred() {
    let text = "server.1=a:1:2\nserver.2=b:1:2\nserver.3=c:1:2\ngroup.1=1:2:3\nweight.3=0";
    let config = Arc::new(QuorumVerifier::from_text(text, false).unwrap());
    let mut server = Server::new(1, configs(config.clone()));
    server.look(5, 5);
    server.hear(3, &says(LookingState, 3, 9, 1, 9));
    assert_eq!(server.votes_for(), 1);
    let mut weightless = Server::new(3, configs(config));
    weightless.look(5, 5);
    weightless.hear(1, &says(LookingState, 1, 6, 1, 5));
    assert_eq!(weightless.votes_for(), 1);
}
