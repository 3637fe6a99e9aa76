//! Two ensembles under the same load in turn: throughput, latency, and the CPU time of all members
//! for one operation. The load is `gamekeeper bench`, one process for each member it is put to.

use std::fs;
use std::process::{Command, Stdio};
use std::str::FromStr;

use crate::ensemble::Ensemble;
use crate::hosts::Hosts;
use crate::scenario::names;
use crate::scenario::timing::usual_ticks;
use crate::server::{ServerUnderTest, gamekeeper_binary};

/// Clock ticks of /proc in a second, the same on every Linux that we run on (`USER_HZ`).
const TICKS_PER_SECOND: f64 = 100.0;

/// Where the clients connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    /// To the leader.
    Leader,
    /// To one follower.
    Follower,
    /// To all members, with an equal share of sessions.
    All,
}

impl FromStr for At {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "leader" => Ok(Self::Leader),
            "follower" => Ok(Self::Follower),
            "all" => Ok(Self::All),
            _ => Err(format!("{name} is none of leader, follower, all")),
        }
    }
}

/// What is measured.
#[derive(Debug, Clone)]
pub struct BenchPlan {
    /// The two ensembles.
    pub members: [Vec<ServerUnderTest>; 2],
    /// A workload of `gamekeeper bench`, such as `set`, `create`, `get`.
    pub workload: String,
    /// Where the clients connect.
    pub at: At,
    /// Sessions in all.
    pub sessions: usize,
    /// Requests each keeps unanswered.
    pub outstanding: usize,
    /// Seconds of a measurement.
    pub seconds: u64,
    /// Measurements of each.
    pub pairs: usize,
}

/// One measurement.
#[derive(Debug, Clone, Copy)]
struct Figures {
    /// Operations a second.
    throughput: f64,
    /// Microseconds; the worst of the load generators'.
    p50: f64,
    /// Microseconds.
    p99: f64,
    /// CPU time of all members for one operation, in microseconds.
    cpu_per_operation: f64,
}

/// Measures the two in turn and prints each run and the medians.
pub fn run(plan: &BenchPlan) {
    let ensembles = plan.members.each_ref().map(|kinds| usual_ticks(kinds).start());
    let mut all: [Vec<Figures>; 2] = [Vec::new(), Vec::new()];
    // The first run of each is thrown away: a JVM compiles in it.
    for pair in 0..=plan.pairs {
        for (index, ensemble) in ensembles.iter().enumerate() {
            let figures = measure(ensemble, plan);
            println!("{} run {pair}: {}", names(&plan.members[index]), show(&figures));
            if pair > 0 {
                all[index].push(figures);
            }
        }
    }
    let medians = all.map(|figures| medians(&figures));
    for (kinds, figures) in plan.members.iter().zip(&medians) {
        println!("{} {} at {:?}: {}", names(kinds), plan.workload, plan.at, show(figures));
    }
    let [a, b] = medians;
    println!(
        "ratios: throughput {:.2}, p50 {:.2}, p99 {:.2}, CPU per operation {:.2}",
        a.throughput / b.throughput,
        a.p50 / b.p50,
        a.p99 / b.p99,
        a.cpu_per_operation / b.cpu_per_operation
    );
}

fn show(figures: &Figures) -> String {
    format!(
        "{:.0} op/s, p50 {:.2} ms, p99 {:.2} ms, {:.1} us of CPU per operation",
        figures.throughput,
        figures.p50 / 1000.0,
        figures.p99 / 1000.0,
        figures.cpu_per_operation
    )
}

fn measure(ensemble: &Ensemble, plan: &BenchPlan) -> Figures {
    let members = match plan.at {
        At::Leader => vec![ensemble.wait_for_leader()],
        At::Follower => vec![ensemble.follower(0)],
        At::All => (0..ensemble.len()).collect(),
    };
    let before = cpu_seconds(ensemble);
    let generators: Vec<_> = members
        .iter()
        .map(|member| {
            let mut command = Command::new(gamekeeper_binary());
            command.args(["bench", &plan.workload, "--json", "-", "--warmup", "0"]);
            command.args(["--server", &ensemble.address(*member).to_string()]);
            command.args(["--root", &format!("/bench-{member}")]);
            command.args(["--duration", &plan.seconds.to_string()]);
            command.args(["--outstanding", &plan.outstanding.to_string()]);
            let sessions = plan.sessions.div_ceil(members.len());
            command.args(["--sessions", &sessions.to_string()]);
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit());
            command.spawn().unwrap_or_else(|e| panic!("cannot run {command:?}: {e}"))
        })
        .collect();
    let reports: Vec<serde_json::Value> = generators
        .into_iter()
        .map(|generator| {
            let output = generator.wait_with_output().expect("a load generator");
            let text = String::from_utf8_lossy(&output.stdout);
            assert!(output.status.success(), "gamekeeper bench: {}\n{text}", output.status);
            let json = text.find('{').map(|start| &text[start..]);
            serde_json::from_str(json.unwrap_or_default()).expect("the JSON of gamekeeper bench")
        })
        .collect();
    // The making of its nodes is in it, and little beside seconds of load.
    let cpu = cpu_seconds(ensemble) - before;
    let number = |value: &serde_json::Value| value.as_f64().expect("a number");
    let sum = |key: &str| reports.iter().map(|report| number(&report[key])).sum::<f64>();
    let latency = |key: &str| {
        reports.iter().map(|report| number(&report["latency"][key])).fold(0.0, f64::max)
    };
    Figures {
        throughput: sum("throughput"),
        p50: latency("p50"),
        p99: latency("p99"),
        cpu_per_operation: cpu * 1e6 / sum("operations").max(1.0),
    }
}

/// CPU time of all members together, from `/proc/PID/stat`, in seconds.
pub fn cpu_seconds(ensemble: &Ensemble) -> f64 {
    let ticks = (0..ensemble.len()).map(|member| {
        let path = format!("/proc/{}/stat", ensemble.server(member).pid());
        let stat = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
        // utime and stime: fields 14 and 15, counted behind the name, which may hold blanks.
        let (_, fields) = stat.rsplit_once(')').expect("a name in brackets");
        let times = fields.split_whitespace().skip(11).take(2);
        times.map(|ticks| ticks.parse::<f64>().expect("ticks")).sum::<f64>()
    });
    ticks.sum::<f64>() / TICKS_PER_SECOND
}

fn medians(all: &[Figures]) -> Figures {
    let median = |of: fn(&Figures) -> f64| {
        let mut values: Vec<f64> = all.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
    };
    Figures {
        throughput: median(|f| f.throughput),
        p50: median(|f| f.p50),
        p99: median(|f| f.p99),
        cpu_per_operation: median(|f| f.cpu_per_operation),
    }
}
