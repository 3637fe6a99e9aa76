//! Outcomes in a file, so that a run that was cut off goes on, and several can share the work: a
//! line of JSON for each cell, appended at once.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use serde_json::{Value, json};

use super::{Cell, Check, Outcome};

/// What came of earlier cells.
#[derive(Debug)]
pub struct Journal {
    file: File,
    outcomes: BTreeMap<String, Outcome>,
}

impl Journal {
    /// Opens the file, or makes it.
    pub fn open(path: &Path) -> Result<Self, String> {
        let failed = |e: std::io::Error| format!("{}: {e}", path.display());
        let file = File::options().create(true).append(true).open(path).map_err(failed)?;
        let mut outcomes = BTreeMap::new();
        for line in fs::read_to_string(path).map_err(failed)?.lines() {
            let line: Value =
                serde_json::from_str(line).map_err(|e| format!("{}: {e}", path.display()))?;
            outcomes.insert(text(&line["cell"]), outcome(&line));
        }
        Ok(Self { file, outcomes })
    }

    /// What came of a cell, if it has run.
    pub fn get(&self, cell: &Cell) -> Option<&Outcome> {
        self.outcomes.get(&cell.to_string())
    }

    /// Takes down what came of a cell.
    pub fn add(&mut self, cell: &Cell, outcome: &Outcome) {
        let checks = |checks: &[Check]| -> Vec<Value> {
            checks.iter().map(|check| json!([check.name, check.failure])).collect()
        };
        let line = match outcome {
            Outcome::None(why) => json!({ "cell": cell.to_string(), "none": why }),
            Outcome::Ran(ran) => json!({ "cell": cell.to_string(), "checks": checks(ran) }),
        };
        // In one write, as others may append to the file, too.
        self.file.write_all(format!("{line}\n").as_bytes()).expect("a line of the journal");
    }
}

fn outcome(line: &Value) -> Outcome {
    let Some(checks) = line["checks"].as_array() else { return Outcome::None(text(&line["none"])) };
    let check = |check: &Value| Check {
        name: text(&check[0]),
        failure: check[1].as_str().map(str::to_owned),
    };
    Outcome::Ran(checks.iter().map(check).collect())
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
