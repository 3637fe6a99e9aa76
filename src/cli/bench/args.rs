//! The command line of `gamekeeper bench`.

use std::path::PathBuf;

use clap::ValueEnum;
use serde::Serialize;

use crate::proto::path::validate_path;

/// Drives a ZooKeeper-compatible server over the wire and measures it.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// What the sessions do.
    pub workload: WorkloadName,

    /// The server, as host:port.
    #[arg(long, default_value = "127.0.0.1:2181", value_name = "HOST:PORT")]
    pub server: String,

    /// A second server to compare with: runs alternate between the two.
    #[arg(long, value_name = "HOST:PORT")]
    pub against: Option<String>,

    /// With --against, how many times each server is measured.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    pub pairs: u32,

    /// Process whose CPU time and memory are the server's [default: the local listener on its
    /// port].
    #[arg(long, value_name = "PID")]
    pub server_pid: Option<u32>,

    /// The same for --against.
    #[arg(long, value_name = "PID", requires = "against")]
    pub against_pid: Option<u32>,

    /// Sessions, each a connection of its own [default: 32; idle 10000].
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    pub sessions: Option<u32>,

    /// Requests each session keeps unanswered.
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..))]
    pub outstanding: u32,

    /// Bytes of data in a znode.
    #[arg(long, default_value_t = 100, value_name = "BYTES")]
    pub size: usize,

    /// Seconds measured; delete and fill end when their znodes do.
    #[arg(long, default_value_t = 10.0, value_name = "SECONDS")]
    pub duration: f64,

    /// Seconds of the same load before the measurement.
    #[arg(long, default_value_t = 3.0, value_name = "SECONDS")]
    pub warmup: f64,

    /// Znodes worked on [default: 10000; children 100; delete 500000; fill 1000000].
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=99_999_999))]
    pub keys: Option<u32>,

    /// mixed: how many of a hundred operations are gets, the others are sets.
    #[arg(long, default_value_t = 90, value_name = "PERCENT",
          value_parser = clap::value_parser!(u8).range(0..=100))]
    pub ratio: u8,

    /// fill: creates in one multi, 1 for plain creates.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub batch: u32,

    /// fill: parents the znodes are spread over, 0 to put them all under the root.
    #[arg(long, default_value_t = 1000)]
    pub parents: u32,

    /// watch: leave persistent watches once instead of one-shot watches again after each event.
    #[arg(long)]
    pub persistent: bool,

    /// Znode everything happens under; a run deletes the one of the run before, and its
    /// own at its end, except after fill.
    #[arg(long, default_value = "/bench", value_name = "PATH")]
    pub root: String,

    /// Leave the znodes of the run on the server.
    #[arg(long)]
    pub keep: bool,

    /// Session timeout asked for, in milliseconds.
    #[arg(long, default_value_t = 30_000, value_name = "MS")]
    pub session_timeout: u32,

    /// Threads of the load generator; the sessions are dealt out among them.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=256))]
    pub threads: u32,

    /// Seed of keys, values and the order of operations.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,

    /// Write the results as JSON to a file, or to the output with -.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

/// What the sessions do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum WorkloadName {
    /// getData of random znodes.
    Get,
    /// setData of random znodes.
    Set,
    /// create of new znodes, each session under a parent of its own.
    Create,
    /// delete of znodes made before.
    Delete,
    /// getData and setData, see --ratio.
    Mixed,
    /// getChildren of one znode.
    Children,
    /// One writer, and sessions that watch its znode.
    Watch,
    /// Sessions that only ping.
    Idle,
    /// create of a great many znodes that stay.
    Fill,
}

impl WorkloadName {
    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Set => "set",
            Self::Create => "create",
            Self::Delete => "delete",
            Self::Mixed => "mixed",
            Self::Children => "children",
            Self::Watch => "watch",
            Self::Idle => "idle",
            Self::Fill => "fill",
        }
    }
}

impl Args {
    /// Sessions, by the workload if not given.
    pub fn sessions(&self) -> usize {
        let default = if self.workload == WorkloadName::Idle { 10_000 } else { 32 };
        self.sessions.unwrap_or(default) as usize
    }

    /// Znodes worked on, by the workload if not given.
    pub fn keys(&self) -> u32 {
        self.keys.unwrap_or(match self.workload {
            WorkloadName::Children => 100,
            WorkloadName::Delete => 500_000,
            WorkloadName::Fill => 1_000_000,
            _ => 10_000,
        })
    }

    /// What clap cannot check by itself.
    pub fn validate(&self) -> Result<(), String> {
        let path = &self.root;
        validate_path(path).map_err(|e| format!("--root: {e}"))?;
        if path == "/" {
            return Err("--root /: give a path below it, such as /bench".into());
        }
        if path.starts_with("/zookeeper") {
            return Err(format!("--root {path}: /zookeeper belongs to the server"));
        }
        for (option, seconds) in [("--duration", self.duration), ("--warmup", self.warmup)] {
            if !(0.0..=86_400.0).contains(&seconds) {
                return Err(format!("{option} {seconds}: give 0 to 86400 seconds"));
            }
        }
        let request_bytes = self.size.saturating_add(200);
        if request_bytes.saturating_mul(self.batch as usize) > 0xf_ffff
            && self.workload == WorkloadName::Fill
        {
            return Err(format!(
                "--batch {} of --size {} is beyond the 1 MB a server takes in one request: \
                 lower one of them",
                self.batch, self.size
            ));
        }
        if request_bytes > 0xf_ffff {
            return Err(format!("--size {}: a server takes at most 1 MB", self.size));
        }
        Ok(())
    }
}
