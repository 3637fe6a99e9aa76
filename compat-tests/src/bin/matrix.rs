//! Runs the matrix of clients, servers and areas, and prints its tables.

use std::path::Path;
use std::process::ExitCode;

use compat_tests::matrix::{Area, CLIENTS, Client, Journal, SERVERS, Servers, Table, run};
use compat_tests::options::Options;

const HELP: &str = "\
matrix [options]

  --clients NAMES   with commas [all]
  --servers NAMES   with commas [all]
  --areas NAMES     with commas [all]
  --journal FILE    keeps outcomes in this file, and runs no cell again that it has
  --write FILE      also puts the tables between the two marks in this file
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match Options::parse(&["clients", "servers", "areas", "journal", "write"], &arguments)
        .and_then(go)
    {
        Ok(table) => {
            let worse = table.worse_than_apache();
            worse.iter().for_each(|line| println!("worse than Apache: {line}"));
            ExitCode::from(u8::from(!worse.is_empty()))
        }
        Err(message) => {
            eprintln!("matrix: {message}\n\n{HELP}");
            for (what, names) in [
                ("clients", CLIENTS.map(|client| client.name).join(" ")),
                ("servers", SERVERS.map(|servers| servers.name).join(" ")),
                ("areas", Area::ALL.map(Area::name).join(" ")),
            ] {
                eprintln!("{what}: {names}");
            }
            ExitCode::from(2)
        }
    }
}

fn go(options: Options) -> Result<Table, String> {
    let clients: Vec<&Client> =
        chosen(&CLIENTS, |client| client.name, options.text("clients", ""))?;
    let servers: Vec<&Servers> = chosen(&SERVERS, |of| of.name, options.text("servers", ""))?;
    let areas: Vec<&Area> = chosen(&Area::ALL, |area| area.name(), options.text("areas", ""))?;
    let areas: Vec<Area> = areas.into_iter().copied().collect();
    let journal = match options.text("journal", "") {
        "" => None,
        path => Some(Journal::open(Path::new(path))?),
    };
    let table = run(&clients, &servers, &areas, journal);
    println!("\n{}", table.markdown());
    let file = options.text("write", "");
    if !file.is_empty() {
        table.write(Path::new(file))?;
    }
    Ok(table)
}

/// Those of `all` whose names are given, with commas; all of them if none is.
fn chosen<'a, T>(
    all: &'a [T],
    name: impl Fn(&T) -> &str,
    given: &str,
) -> Result<Vec<&'a T>, String> {
    if given.is_empty() {
        return Ok(all.iter().collect());
    }
    let find = |wanted| {
        all.iter().find(|one| name(one) == wanted).ok_or_else(|| format!("{wanted} is not known"))
    };
    given.split(',').map(find).collect()
}
