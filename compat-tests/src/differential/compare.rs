//! Finds where two servers' answers to one script part.

use std::fmt;

use super::accepted::ACCEPTED;
use super::runner::{Observed, StepRecord};
use super::script::{Script, Step};
use super::value::Value;

/// A step that two servers answered differently.
#[derive(Debug, Clone)]
pub struct Difference {
    /// Seed of the script.
    pub seed: u64,
    /// Index of the step.
    pub index: usize,
    /// The step.
    pub step: Step,
    /// What the reference's connections saw.
    pub expected: StepRecord,
    /// What the other's saw.
    pub actual: StepRecord,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {}, step {}: {}", self.seed, self.index, self.step)?;
        let mut slots: Vec<usize> = Vec::new();
        slots.extend(self.expected.iter().chain(&self.actual).map(|(slot, _)| *slot));
        slots.sort_unstable();
        slots.dedup();
        for slot in slots {
            let of = |record: &StepRecord| {
                let found = record.iter().find(|(at, _)| *at == slot);
                found.map(|(_, observed)| observed.clone()).unwrap_or_default()
            };
            let (expected, actual) = (of(&self.expected), of(&self.actual));
            if expected == actual {
                continue;
            }
            writeln!(f, "  connection {slot}")?;
            for index in 0..expected.len().max(actual.len()) {
                match (expected.get(index), actual.get(index)) {
                    (Some(one), Some(other)) if one == other => writeln!(f, "    both   {one}")?,
                    (one, other) => {
                        for (name, observed) in [("apache", one), ("ours  ", other)] {
                            match observed {
                                Some(observed) => writeln!(f, "    {name} {observed}")?,
                                None => writeln!(f, "    {name} nothing")?,
                            }
                        }
                    }
                }
            }
        }
        Ok(())
    }
}

/// Every step that was answered differently and is not accepted, in order, up to the first after
/// which the servers no longer count the same zxids: everything differs from there on.
pub fn differences(
    script: &Script,
    expected: &[StepRecord],
    actual: &[StepRecord],
) -> Vec<Difference> {
    assert_eq!(expected.len(), actual.len(), "every step leaves a record");
    let mut found = Vec::new();
    for index in (0..expected.len()).filter(|&index| expected[index] != actual[index]) {
        let difference = Difference {
            seed: script.seed,
            index,
            step: script.steps[index].clone(),
            expected: expected[index].clone(),
            actual: actual[index].clone(),
        };
        let accepted = ACCEPTED.iter().any(|accepted| (accepted.matches)(&difference));
        if !accepted {
            found.push(difference);
        }
        let (one, other) = (zxid_after(&expected[index]), zxid_after(&actual[index]));
        if one.is_some() && other.is_some() && one != other {
            break;
        }
    }
    found
}

/// What the pings at the end of a step say.
fn zxid_after(record: &StepRecord) -> Option<&Value> {
    let mut observed = record.iter().flat_map(|(_, observed)| observed);
    observed.find_map(|observed| match observed {
        Observed::Ping(reply) => reply.field("zxid"),
        _ => None,
    })
}
