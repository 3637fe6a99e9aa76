//! Runs of the simulator itself: that a seed decides everything, and that a few seeds hold. Many
//! more are run by the stage `sim` of `./test`.

use sim::run::run;

#[test]
fn the_same_seed_gives_the_same_trace_twice() {
    for seed in [1, 2, 3] {
        let (first, second) = (run(seed, 150, None, false), run(seed, 150, None, false));
        assert_eq!((first.trace, first.answers), (second.trace, second.answers), "seed {seed}");
        assert_ne!(first.trace, run(seed + 100, 150, None, false).trace);
    }
}

#[test]
fn seeds_hold() {
    for seed in 1_000..1_006 {
        let outcome = run(seed, 200, None, false);
        assert_eq!(outcome.verdict, Ok(()), "seed {seed}");
        assert!(outcome.answers > 100 && outcome.transactions > 50, "seed {seed}: {outcome:?}");
    }
}
