//! The outcomes of many cells, as tables in Markdown.

use std::fs;
use std::path::Path;

use super::{Area, CLIENTS, Cell, Client, Outcome, SERVERS, Servers};

/// The lines of the file between which the tables stand.
const MARKERS: [&str; 2] = ["<!-- matrix: begin -->", "<!-- matrix: end -->"];

/// What came of the cells that ran.
#[derive(Debug, Default)]
pub struct Table(Vec<(Cell, Outcome)>);

impl Table {
    /// Takes up what came of a cell.
    pub fn add(&mut self, cell: Cell, outcome: Outcome) {
        self.0.push((cell, outcome));
    }

    /// The tables: all areas together first, and then each ensemble's.
    pub fn markdown(&self) -> String {
        let servers: Vec<&Servers> =
            SERVERS.iter().filter(|s| self.has(|c| c.servers.name == s.name)).collect();
        let clients: Vec<&Client> =
            CLIENTS.iter().filter(|client| self.has(|c| c.client.name == client.name)).collect();
        let areas: Vec<Area> =
            Area::ALL.into_iter().filter(|area| self.has(|c| c.area == *area)).collect();
        let titles: Vec<&str> = servers.iter().map(|servers| servers.title).collect();
        let mut text = head("All areas", &titles);
        for client in &clients {
            let sum = |of: &&Servers| self.sum(|c| is(c, client, of));
            text += &row(client.title, servers.iter().map(sum));
        }
        for of in servers {
            let names: Vec<&str> = areas.iter().map(|area| area.name()).collect();
            text += "\n";
            text += &head(of.title, &names);
            for client in &clients {
                let sum = |area: &Area| self.sum(|c| is(c, client, of) && c.area == *area);
                text += &row(client.title, areas.iter().map(sum));
            }
        }
        text + &self.notes(&clients)
    }

    /// What clients cannot do, and which checks failed.
    fn notes(&self, clients: &[&Client]) -> String {
        let mut text = String::new();
        for client in clients {
            for area in Area::ALL {
                let of = |c: &Cell| c.client.name == client.name && c.area == area;
                let cells = self.0.iter().filter(|(cell, _)| of(cell));
                if let Some((_, Outcome::None(why))) = cells.clone().next() {
                    text += &format!("- {}, {area}: {why}.\n", client.title);
                }
                let failed = cells.flat_map(|(cell, outcome)| {
                    let names = outcome.failures().map(|check| check.name.clone());
                    names.map(|check| (check, cell.servers.title))
                });
                let mut failed: Vec<(String, &str)> = failed.collect();
                failed.sort();
                for of_check in failed.chunk_by(|a, b| a.0 == b.0) {
                    let on: Vec<&str> = of_check.iter().map(|(_, servers)| *servers).collect();
                    let check = &of_check[0].0;
                    text += &format!(
                        "- {}, {area}: `{check}` fails on {}.\n",
                        client.title,
                        on.join("; ")
                    );
                }
            }
        }
        if text.is_empty() { text } else { format!("\n{text}") }
    }

    /// Cells in which a server of ours is worse than Apache's: a check fails that passes on an
    /// ensemble of Apache's, or that did not run on one.
    pub fn worse_than_apache(&self) -> Vec<String> {
        let mixed = self.0.iter().filter(|(cell, _)| !cell.servers.is_apache());
        let mut worse = Vec::new();
        for (cell, outcome) in mixed {
            let apache: Vec<&Outcome> = self
                .0
                .iter()
                .filter(|(c, _)| c.servers.is_apache() && c.area == cell.area)
                .filter(|(c, _)| c.client.name == cell.client.name)
                .map(|(_, outcome)| outcome)
                .collect();
            let fails = |outcome: &&Outcome, name: &str| outcome.failures().any(|c| c.name == name);
            for check in outcome.failures() {
                if apache.is_empty() || !apache.iter().all(|apache| fails(apache, &check.name)) {
                    worse.push(format!("{}: {}", check.name, cell.repeat()));
                }
            }
        }
        worse
    }

    /// Replaces the tables in a file.
    pub fn write(&self, path: &Path) -> Result<(), String> {
        let text = fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
        let position = |marker: &str| {
            text.find(marker).ok_or_else(|| format!("{} lacks {marker}", path.display()))
        };
        let (begin, end) = (position(MARKERS[0])? + MARKERS[0].len(), position(MARKERS[1])?);
        let text = format!("{}\n\n{}\n{}", &text[..begin], self.markdown(), &text[end..]);
        fs::write(path, text).map_err(|e| format!("{}: {e}", path.display()))
    }

    fn has(&self, of: impl Fn(&Cell) -> bool) -> bool {
        self.0.iter().any(|(cell, _)| of(cell))
    }

    /// `passed/run` of these cells, `-` where none could run, and nothing where none was.
    fn sum(&self, of: impl Fn(&Cell) -> bool) -> String {
        let outcomes: Vec<&Outcome> =
            self.0.iter().filter(|(cell, _)| of(cell)).map(|(_, outcome)| outcome).collect();
        let run: usize = outcomes.iter().map(|outcome| outcome.checks().len()).sum();
        let passed: usize = outcomes.iter().map(|outcome| outcome.passed()).sum();
        match (outcomes.len(), run) {
            (0, _) => String::new(),
            (_, 0) => "-".into(),
            _ => format!("{passed}/{run}"),
        }
    }
}

fn is(cell: &Cell, client: &Client, servers: &Servers) -> bool {
    cell.client.name == client.name && cell.servers.name == servers.name
}

fn head(first: &str, columns: &[&str]) -> String {
    row(first, columns.iter().map(ToString::to_string))
        + &row("---", columns.iter().map(|_| "---:".to_owned()))
}

fn row(first: &str, cells: impl Iterator<Item = String>) -> String {
    let cells: Vec<String> = cells.collect();
    format!("| {first} | {} |\n", cells.join(" | "))
}
