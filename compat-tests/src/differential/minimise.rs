//! Makes a script shorter that shows a difference.

use super::script::Script;

/// Drops ever smaller stretches of steps as long as the last step still differs. `differs` runs a
/// script and tells whether its last step does; it is asked at most `tries` times.
pub fn minimise(script: &Script, tries: usize, differs: impl Fn(&Script) -> bool) -> Script {
    let mut shortest = script.clone();
    let mut stretch = shortest.steps.len() / 2;
    let mut left = tries;
    while stretch > 0 && left > 0 {
        let mut at = 0;
        while at + 1 < shortest.steps.len() && left > 0 {
            let mut candidate = shortest.clone();
            let end = (at + stretch).min(candidate.steps.len() - 1);
            candidate.steps.drain(at..end);
            left -= 1;
            match differs(&candidate) {
                true => shortest = candidate,
                false => at += stretch,
            }
        }
        stretch /= 2;
    }
    shortest
}

#[cfg(test)]
mod tests {
    use super::super::script::Step;
    use super::*;

    #[test]
    fn what_does_not_matter_is_dropped() {
        let steps = (0..40).map(|slot| Step::Drop { slot }).collect();
        let script = Script { seed: 0, config: Vec::new(), steps };
        let needs = |script: &Script| {
            [7, 23, 39].iter().all(|&slot| script.steps.contains(&Step::Drop { slot }))
        };
        let shortest = minimise(&script, 200, needs);
        assert_eq!(shortest.steps, [7, 23, 39].map(|slot| Step::Drop { slot }));
        assert_eq!(minimise(&script, 0, needs), script);
    }
}
