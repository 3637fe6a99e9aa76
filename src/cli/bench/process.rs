//! CPU time and memory of processes, out of /proc.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use rustix::param::clock_ticks_per_second;
use rustix::process::{Resource, getrlimit, setrlimit};
use rustix::time::{ClockId, clock_gettime};

use super::error::BenchError;

/// State of a listening socket in /proc/net/tcp.
const LISTEN: &str = "0A";

/// CPU time this process has used, all threads.
pub(super) fn own_cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// CPU time of everything on this machine: user, nice, system, interrupts; not idle, waiting or
/// stolen time, and guests are in user already.
pub(super) fn machine_cpu() -> Result<Duration, BenchError> {
    let path = "/proc/stat";
    let stat = fs::read_to_string(path).map_err(BenchError::io(path))?;
    busy_ticks(&stat)
        .map(ticks)
        .ok_or_else(|| BenchError::Usage(format!("{path}: no line for all CPUs in it")))
}

fn ticks(count: u64) -> Duration {
    Duration::from_secs_f64(count as f64 / clock_ticks_per_second() as f64)
}

/// Raises the limit of open files to `count`, if it is lower.
pub(super) fn allow_files(count: u64) -> Result<(), BenchError> {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= count) {
        return Ok(());
    }
    limit.current = Some(count);
    setrlimit(Resource::Nofile, limit).map_err(|e| {
        let what = format!("raising the limit of open files to {count} (see ulimit -Hn)");
        BenchError::io(what)(e.into())
    })
}

/// Another process on this machine.
#[derive(Debug, Clone, Copy)]
pub(super) struct Process {
    /// Its id.
    pub(super) pid: u32,
}

impl Process {
    /// CPU time it has used, user and system, all threads, to a clock tick.
    pub(super) fn cpu(self) -> Result<Duration, BenchError> {
        let path = format!("/proc/{}/stat", self.pid);
        let stat = fs::read_to_string(&path).map_err(BenchError::io(&path))?;
        cpu_ticks(&stat)
            .map(ticks)
            .ok_or_else(|| BenchError::Usage(format!("{path}: no utime and stime in it")))
    }

    /// Memory it has resident, in bytes.
    pub(super) fn resident_bytes(self) -> Result<u64, BenchError> {
        let path = format!("/proc/{}/status", self.pid);
        let status = fs::read_to_string(&path).map_err(BenchError::io(&path))?;
        let kilobytes = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .and_then(|value| value.split_whitespace().next()?.parse::<u64>().ok())
            .ok_or_else(|| BenchError::Usage(format!("{path}: no VmRSS in it")))?;
        Ok(kilobytes * 1024)
    }

    /// The process that listens on `address`, if it is one of this machine and can be seen.
    pub(super) fn listening_on(address: SocketAddr) -> Option<Self> {
        if !address.ip().is_loopback() {
            return None;
        }
        let inode = ["/proc/net/tcp", "/proc/net/tcp6"]
            .iter()
            .filter_map(|table| fs::read_to_string(table).ok())
            .find_map(|table| listener_inode(&table, address.port()))?;
        let socket = format!("socket:[{inode}]");
        let pids = fs::read_dir("/proc").ok()?.flatten();
        pids.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .find(|pid: &u32| holds(*pid, &socket))
            .map(|pid| Self { pid })
    }
}

fn holds(pid: u32, socket: &str) -> bool {
    fs::read_dir(format!("/proc/{pid}/fd")).is_ok_and(|descriptors| {
        descriptors
            .flatten()
            .any(|fd| fs::read_link(fd.path()).is_ok_and(|target| target == Path::new(socket)))
    })
}

/// utime + stime of a /proc/PID/stat: fields 14 and 15, counted behind the name, which may hold
/// blanks.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

/// The busy fields of the first line of /proc/stat: user nice system idle iowait irq softirq.
fn busy_ticks(stat: &str) -> Option<u64> {
    let fields = stat.lines().next()?.strip_prefix("cpu ")?.split_whitespace();
    let fields: Vec<u64> = fields.map(str::parse).collect::<Result<_, _>>().ok()?;
    [0, 1, 2, 5, 6].iter().map(|&field| fields.get(field)).sum()
}

/// The inode of the socket that listens on `port`, in a /proc/net/tcp or tcp6.
fn listener_inode(table: &str, port: u16) -> Option<u64> {
    let port = format!("{port:04X}");
    table.lines().skip(1).find_map(|line| {
        let fields: Vec<_> = line.split_whitespace().collect();
        let local_port = fields.get(1)?.rsplit(':').next()?;
        (local_port == port && *fields.get(3)? == LISTEN).then(|| fields.get(9)?.parse().ok())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn cpu_time_is_found_behind_a_name_with_blanks() {
        let stat = "7 (a) b (c)) S 1 7 7 0 -1 4194560 1 2 3 4 150 25 0 0 20 0 1 0 99";
        assert_eq!(cpu_ticks(stat), Some(175));
    }

    #[test]
    fn the_machine_is_busy_without_its_idle_and_waiting_time() {
        let stat = "cpu  100 20 3 9000 800 5 6 70 0 0\ncpu0 1 1 1 1 1 1 1 1 1 1";
        assert_eq!(busy_ticks(stat), Some(100 + 20 + 3 + 5 + 6));
    }

    #[test]
    fn the_listener_of_a_port_is_found() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let found = Process::listening_on(listener.local_addr().unwrap()).unwrap();
        assert_eq!(found.pid, std::process::id());
        assert!(found.resident_bytes().unwrap() > 0);
    }
}
