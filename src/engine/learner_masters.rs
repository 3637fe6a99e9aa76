//! Which server an observer connects to (`QuorumPeer.findLearnerMaster`): the leader, or, where
//! followers serve observers, any of the voters, one after the other.

use crate::proto::HostPort;
use crate::proto::Sid;
use crate::quorum::QuorumVerifier;

/// The servers an observer may connect to.
#[derive(Debug, Default)]
pub(super) struct LearnerMasters {
    tried: Vec<Sid>,
}

impl LearnerMasters {
    /// One that was not tried yet, at random, with the port on which it serves observers. True if
    /// all had been tried.
    pub(super) fn next(
        &mut self,
        config: &QuorumVerifier,
        port: u16,
        random: &mut fastrand::Rng,
    ) -> (Sid, Vec<HostPort>, bool) {
        let mut left: Vec<Sid> = config.voters().filter(|sid| !self.tried.contains(sid)).collect();
        let is_exhausted = left.is_empty();
        if is_exhausted {
            self.tried.clear();
            left = config.voters().collect();
        }
        let sid = *random.choice(&left).expect("an ensemble has voters");
        self.tried.push(sid);
        let addresses = config.quorum_addresses(sid).into_iter();
        (sid, addresses.map(|address| HostPort { port, ..address }).collect(), is_exhausted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_voter_is_tried_before_one_is_tried_again() {
        let text = "server.1=a:1:2\nserver.2=b:1:2\nserver.3=c:1:2\nserver.4=d:1:2:observer\n";
        let config = QuorumVerifier::from_text(text, false).unwrap();
        let (mut masters, mut random) = (LearnerMasters::default(), fastrand::Rng::with_seed(1));
        for _ in 0..3 {
            let mut round: Vec<_> = (0..3).map(|_| masters.next(&config, 9, &mut random)).collect();
            assert!(round[1..].iter().all(|(_, _, is_exhausted)| !is_exhausted));
            round.sort_by_key(|(sid, ..)| *sid);
            let tried: Vec<_> =
                round.iter().map(|(sid, at, _)| (sid.0, at[0].to_string())).collect();
            let wanted = [(1, "a:9"), (2, "b:9"), (3, "c:9")].map(|(sid, at)| (sid, at.to_owned()));
            assert_eq!(tried, wanted);
        }
    }
}
