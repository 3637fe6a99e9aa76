//! Runs of the simulator itself: that a seed decides everything, and that a few seeds hold. Many
//! more are run by the stage `sim` of `./test`.

use sim::run::{Options, run};

fn options(requests: usize) -> Options {
    Options { requests, may_reconfigure: false, mutation: None, is_printed: false }
}

#[test]
fn the_same_seed_gives_the_same_trace_twice() {
    for seed in [1, 2, 3] {
        let (first, second) = (run(seed, options(150)), run(seed, options(150)));
        assert_eq!((first.trace, first.answers), (second.trace, second.answers), "seed {seed}");
        assert_ne!(first.trace, run(seed + 100, options(150)).trace);
    }
}

#[test]
fn seeds_hold() {
    for seed in 1_000..1_006 {
        let outcome = run(seed, options(200));
        assert_eq!(outcome.verdict, Ok(()), "seed {seed}");
        assert!(outcome.answers > 100 && outcome.transactions > 50, "seed {seed}: {outcome:?}");
    }
}

#[test]
fn members_change() {
    let options = Options { may_reconfigure: true, ..options(200) };
    let reconfigs: usize = (1_000..1_006).map(|seed| run(seed, options).reconfigs[0]).sum();
    assert!(reconfigs > 0, "in two seeds of three");
}
