//! What goes wrong: processes that stop, lose power or get no processor time, networks that are cut
//! or slow, disks that are slow or fail, clocks that jump. Each fault ends after a while.

use super::driver::ProcessEnd;
use super::{World, leader_of};
use crate::queue::{Event, SECOND, Time};
use crate::sim_disk::DiskError;

/// A fault that is going on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The next fault is due.
    Next,
    /// Nothing passes from some servers to others.
    Cut(Vec<(usize, usize)>),
    /// A client is cut off.
    ClientCut(usize),
    /// The network is slow.
    SlowNetwork,
    /// A disk is slow.
    SlowDisk(usize),
    /// A server is about to lose power.
    PowerLoss(usize),
}

impl World {
    /// From now on things go wrong.
    pub fn begin_faults(&mut self) {
        self.is_failing = true;
        self.plan_fault(Fault::Next, 0, self.plan.fault_pause * 2);
    }

    /// From now on nothing does; everything that is stopped starts.
    pub fn end_faults(&mut self) {
        self.is_failing = false;
        let numbers: Vec<usize> = self.faults.keys().copied().collect();
        numbers.into_iter().for_each(|number| self.on_fault(number));
        self.correct_config_files();
        let now = self.queue.now();
        for index in 0..self.servers.len() {
            self.servers[index].disk.set_error(None);
            if let Some(process) = &mut self.servers[index].process {
                process.paused_until = process.paused_until.min(now + SECOND);
            }
            self.plan_start(index, SECOND / 10);
        }
        self.note(format_args!("nothing fails any more"));
    }

    /// A server changes its part or its history, and may lose power before it is done with that:
    /// most that ZooKeeper lost was lost then.
    pub(super) fn maybe_lose_power_soon(&mut self, server: usize) {
        if self.is_failing && self.random.u8(..20) == 0 {
            let longest = 4 * self.plan.flush * self.servers[server].disk_slowness;
            self.plan_fault(Fault::PowerLoss(server), 0, longest);
        }
    }

    fn plan_fault(&mut self, fault: Fault, min: Time, max: Time) {
        let number = self.number() as usize;
        self.faults.insert(number, fault);
        let delay = self.random.u64(min..max.max(min + 1));
        self.queue.after(delay, Event::Fault(number));
    }

    /// A fault ends, or the next one begins.
    pub(super) fn on_fault(&mut self, number: usize) {
        let Some(fault) = self.faults.remove(&number) else { return };
        match fault {
            Fault::Next => {
                if self.is_failing {
                    self.begin_fault();
                    self.plan_fault(Fault::Next, 0, self.plan.fault_pause * 2);
                }
                return;
            }
            Fault::Cut(pairs) => {
                pairs.iter().for_each(|pair| {
                    self.cut.remove(pair);
                });
                self.go_on_with_streams();
            }
            Fault::ClientCut(client) => {
                self.cut_clients.remove(&client);
                self.go_on_with_links(client);
            }
            Fault::SlowNetwork => self.slowness = 1,
            Fault::SlowDisk(server) => self.servers[server].disk_slowness = 1,
            Fault::PowerLoss(server) => {
                if self.is_failing {
                    self.crash(server, ProcessEnd::PowerLoss);
                }
                return;
            }
        }
        self.note(format_args!("it is over: fault {number}"));
    }

    fn begin_fault(&mut self) {
        let count = self.servers.len();
        let any = self.random.usize(..count);
        let leader = self.leader().filter(|_| self.random.bool()).unwrap_or(any);
        match self.random.u8(..27) {
            0..3 => self.crash(leader, ProcessEnd::PowerLoss),
            3..5 => self.crash(leader, ProcessEnd::Kill),
            5 => {
                // All that is not flushed anywhere is lost at once.
                let some = self.random.usize(1..=count);
                (0..some).for_each(|n| self.crash((any + n) % count, ProcessEnd::PowerLoss));
            }
            6..9 => {
                let sides: Vec<bool> = (0..count).map(|_| self.random.bool()).collect();
                self.cut_between(|from, to| sides[from] != sides[to]);
            }
            9..11 => self.cut_between(|from, to| from == leader || to == leader),
            11 => self.cut_between(|from, _| from == leader),
            12 => self.cut_between(|_, to| to == leader),
            13..15 => {
                let until = self.queue.now() + self.random.u64(SECOND / 10..5 * SECOND);
                self.note(format_args!("server {leader} is paused"));
                if let Some(process) = &mut self.servers[leader].process {
                    process.paused_until = until;
                }
            }
            15..17 => {
                let numbers: Vec<u64> = self.streams.keys().copied().collect();
                if !numbers.is_empty() {
                    let number = numbers[self.random.usize(..numbers.len())];
                    self.note(format_args!(
                        "stream {:?} is reset",
                        self.streams[&number].servers()
                    ));
                    self.reset_stream(number);
                }
            }
            17..19 => {
                self.note(format_args!("the disk of server {leader} is slow"));
                self.servers[leader].disk_slowness = self.random.u64(10..400);
                self.plan_fault(Fault::SlowDisk(leader), SECOND / 2, 4 * SECOND);
            }
            19 => {
                let error = if self.random.bool() { DiskError::Io } else { DiskError::NoSpace };
                self.note(format_args!("the disk of server {leader} fails: {error:?}"));
                if self.servers[leader].process.is_some() {
                    self.servers[leader].disk.set_error(Some(error));
                }
            }
            20 => {
                let jump = self.random.i64(-3_600_000..3_600_000);
                self.note(format_args!("the clock of server {leader} jumps by {jump} ms"));
                self.servers[leader].clock_skew_ms += jump;
            }
            21 => {
                let client = self.random.usize(..self.clients.len());
                self.note(format_args!("client {client} is cut off"));
                self.cut_clients.insert(client);
                self.plan_fault(Fault::ClientCut(client), SECOND / 5, 8 * SECOND);
            }
            22 => {
                self.note(format_args!("the network is slow"));
                self.slowness = self.random.u64(2..30);
                self.plan_fault(Fault::SlowNetwork, SECOND / 2, 4 * SECOND);
            }
            23..25 => self.retire_process(leader),
            25 => self.purge(any),
            _ => self.rot(any),
        }
    }

    /// The server that leads, if one says so.
    pub fn leader(&self) -> Option<usize> {
        leader_of(&self.servers)
    }

    fn crash(&mut self, server: usize, end: ProcessEnd) {
        self.stop(server, end);
        let delay = self.random.u64(SECOND / 20..6 * SECOND);
        self.plan_start(server, delay);
    }

    fn cut_between(&mut self, is_cut: impl Fn(usize, usize) -> bool) {
        let count = self.servers.len();
        let all = (0..count).flat_map(|from| (0..count).map(move |to| (from, to)));
        let pairs: Vec<_> = all.filter(|&(from, to)| from != to && is_cut(from, to)).collect();
        self.note(format_args!("cut: {pairs:?}"));
        self.cut.extend(&pairs);
        self.plan_fault(Fault::Cut(pairs), SECOND / 10, 6 * SECOND);
    }
}
