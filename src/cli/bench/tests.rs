//! The load generator against a server of this file that answers as it is told to, and some of its
//! misbehaviour.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use jute::{ConnectResponse, Field, ReplyHeader, RequestHeader, WatcherEvent};

use super::driver::{Control, Phase, drive};
use super::error::BenchError;
use super::idle;
use super::link::Clock;
use super::pool::Pool;
use super::session::Target;
use super::stats::Stats;
use super::watch::Watch;
use super::workload::{Children, Fill, GetSet, Numbered, Run, Workload};
use crate::proto::{ErrorCode, OpCode};

/// What the server answers to a request of some connection: the frames to send, each without its
/// length; `None` closes the connection.
type Answer = fn(header: &RequestHeader, body: &[u8]) -> Option<Vec<Vec<u8>>>;

/// The same, by a server whose connections know of each other and which may send by itself.
type Talk = dyn Fn(&TcpStream, &RequestHeader, &[u8]) -> Option<Vec<Vec<u8>>> + Send + Sync;

/// Starts a server on a free port; its threads end when their connections do.
fn serve(answer: Answer) -> Target {
    serve_with(Arc::new(move |_: &_, header: &_, body: &_| answer(header, body)))
}

fn serve_with(answer: Arc<Talk>) -> Target {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let name = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let answer = answer.clone();
            thread::spawn(move || talk(stream.unwrap(), &*answer));
        }
    });
    Target::resolve(&name, 30_000).unwrap()
}

fn talk(mut stream: TcpStream, answer: &Talk) -> Option<()> {
    stream.set_nodelay(true).unwrap();
    take_frame(&mut stream)?;
    let granted = ConnectResponse {
        time_out: 30_000,
        session_id: 1,
        passwd: Some(&[0; 16]),
        ..ConnectResponse::default()
    };
    send_in_pieces(&mut stream, &granted.to_vec())?;
    loop {
        let frame = take_frame(&mut stream)?;
        let header = RequestHeader::from_bytes(&frame).unwrap();
        let frames = match header.kind == OpCode::CloseSession.code() {
            true => Some(vec![reply(&header, 0, &[])]),
            false => answer(&stream, &header, &frame[8..]),
        };
        for frame in frames? {
            send_in_pieces(&mut stream, &frame)?;
        }
    }
}

fn take_frame(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).ok()?;
    let mut frame = vec![0; u32::from_be_bytes(length) as usize];
    stream.read_exact(&mut frame).ok()?;
    Some(frame)
}

/// Sends a frame in two writes, so that the reader meets halves of it.
fn send_in_pieces(stream: &mut TcpStream, frame: &[u8]) -> Option<()> {
    let mut bytes = (frame.len() as u32).to_be_bytes().to_vec();
    bytes.extend_from_slice(frame);
    let (first, second) = bytes.split_at(bytes.len() / 2);
    stream.write_all(first).ok()?;
    stream.write_all(second).ok()
}

fn reply(header: &RequestHeader, err: i32, body: &[u8]) -> Vec<u8> {
    let mut frame = ReplyHeader { xid: header.xid, zxid: 5, err }.to_vec();
    frame.extend_from_slice(body);
    frame
}

/// A good answer of the right length to what the workloads of these tests ask, with values of 10
/// bytes.
fn well(header: &RequestHeader, body: &[u8]) -> Option<Vec<Vec<u8>>> {
    let op = OpCode::from_code(header.kind)?;
    let path_bytes = body.first_chunk().map_or(0, |length| u32::from_be_bytes(*length) as usize);
    let body_bytes = match op {
        OpCode::GetData => 4 + 10 + 68,
        OpCode::SetData => 68,
        OpCode::Create => 4 + path_bytes,
        OpCode::Multi => 9,
        OpCode::GetChildren => 4 + 7 * (4 + 8),
        _ => 0,
    };
    Some(vec![reply(header, 0, &vec![0; body_bytes])])
}

fn pool(target: &Target, sessions: usize, control: &Control) -> Pool {
    let sessions = target.connect_all(sessions).into_iter().collect::<Result<_, _>>().unwrap();
    Pool::new(sessions, 0, control.clock).unwrap()
}

fn measuring() -> Control {
    let control = Control::new(Clock::start());
    control.enter(Phase::Measure);
    control
}

/// Runs a workload that ends by itself.
fn finish(target: &Target, workload: &mut dyn Workload) -> Result<Stats, BenchError> {
    let control = measuring();
    drive(pool(target, 3, &control), workload, 4, &control)
}

/// Runs a workload without end until `operations` are done, for a minute at most.
fn run_for(target: &Target, workload: &mut dyn Workload, operations: u64) -> Stats {
    let control = measuring();
    let pool = pool(target, 3, &control);
    thread::scope(|scope| {
        let driver = scope.spawn(|| drive(pool, workload, 4, &control).unwrap());
        stop_after(&control, operations);
        driver.join().unwrap()
    })
}

fn stop_after(control: &Control, operations: u64) {
    for _ in 0..6_000 {
        if control.progress.load(Ordering::Relaxed) >= operations {
            break;
        }
        thread::sleep(Duration::from_millis(10));
    }
    control.enter(Phase::Stop);
}

fn runs(counts: [u32; 3]) -> Vec<Run> {
    let run = |(i, count)| Run { parent: format!("/bench/s{i:04}"), count };
    counts.into_iter().enumerate().map(run).collect()
}

#[test]
fn endless_workloads_stop_when_told_and_count_what_was_answered() {
    let target = serve(well);
    let mut mixed = GetSet::new("/bench/data", &[1; 10], 50, 90, 1);
    let stats = run_for(&target, &mut mixed, 2_000);
    assert!(stats.operations() >= 2_000, "{}", stats.operations());
    let (gets, sets) = (stats.kinds[0].operations, stats.kinds[1].operations);
    assert!(gets > 5 * sets && sets > 0, "{gets} gets and {sets} sets");
    assert_eq!(stats.latency().len(), gets + sets);

    let stats = run_for(&target, &mut Numbered::create(&runs([0; 3]), &[1; 10]), 100);
    assert!(stats.operations() >= 100 && stats.errors.is_empty());
    let stats = run_for(&target, &mut Children::new("/bench/data", 7), 100);
    assert!(stats.operations() >= 100 && stats.errors.is_empty());
}

#[test]
fn workloads_with_an_end_do_all_of_their_work_and_no_more() {
    let target = serve(well);
    let stats = finish(&target, &mut Numbered::delete(&runs([5, 0, 20]))).unwrap();
    assert_eq!(stats.operations(), 25);
    for batch in [1, 7] {
        let stats = finish(&target, &mut Fill::new(runs([10, 0, 21]), &[1; 10], batch)).unwrap();
        assert_eq!(stats.operations(), 31);
    }
}

#[test]
fn error_replies_are_counted_by_code_and_not_as_operations() {
    let target = serve(|header, _| Some(vec![reply(header, ErrorCode::NoNode.code(), &[])]));
    let stats = finish(&target, &mut Numbered::delete(&runs([5, 5, 5]))).unwrap();
    assert_eq!(stats.operations(), 0);
    assert_eq!(stats.errors.into_iter().collect::<Vec<_>>(), [(-101, 15)]);
}

#[test]
fn a_failed_multi_is_an_error_though_its_header_says_none() {
    let target = serve(|header, _| {
        let result = |code: i32| {
            let header = [&[0xff; 4][..], &[0], &code.to_be_bytes()].concat();
            [header, code.to_be_bytes().to_vec()].concat()
        };
        let results = [result(0), result(ErrorCode::NodeExists.code()), result(-2)].concat();
        Some(vec![reply(header, 0, &results)])
    });
    let stats = finish(&target, &mut Fill::new(runs([9, 0, 0]), &[1; 10], 3)).unwrap();
    assert_eq!(stats.operations(), 0);
    assert_eq!(stats.errors.into_iter().collect::<Vec<_>>(), [(-110, 3)]);
}

#[test]
fn what_a_server_must_not_do_ends_the_run_with_a_reason() {
    let cases: [(Answer, &str); 5] = [
        (|_, _| None, "the server closed it"),
        (
            |header, _| {
                let other = RequestHeader { xid: header.xid + 1, ..*header };
                Some(vec![reply(&other, 0, &[])])
            },
            "a reply has xid 2 where 1 is due",
        ),
        (|header, _| Some(vec![reply(header, 0, &[0; 3])]), "has 3 bytes after its header"),
        (|_, _| Some(vec![vec![0; 15]; 2]), "a reply of 15 bytes cannot be"),
        (
            |header, _| {
                let event = RequestHeader { xid: -1, ..*header };
                Some(vec![reply(&event, 0, &[])])
            },
            "an event where no watch was left",
        ),
    ];
    for (answer, reason) in cases {
        let target = serve(answer);
        let error = finish(&target, &mut Numbered::delete(&runs([5, 5, 5]))).unwrap_err();
        assert!(error.to_string().contains(reason), "{error} instead of {reason}");
    }
}

#[test]
fn a_server_that_takes_no_session_is_an_error_with_its_address() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let name = listener.local_addr().unwrap().to_string();
    let target = Target::resolve(&name, 30_000).unwrap();
    // The address is probed before; the port must stay open behind that and every connection.
    thread::spawn(move || listener.incoming().for_each(drop));
    let error = target.connect_all(1).remove(0).unwrap_err().to_string();
    assert!(error.contains(&name) && error.contains("maxClientCnxns"), "{error}");
}

#[test]
fn a_server_that_cannot_be_is_refused_at_once() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let names = ["127.0.0.1:1,127.0.0.1:2", "127.0.0.1:1/path", &closed];
    let reasons = ["not several", "--root", "refused"];
    for (name, reason) in names.into_iter().zip(reasons) {
        let error = Target::resolve(name, 30_000).unwrap_err().to_string();
        assert!(error.contains(reason), "{error} instead of {reason}");
    }
}

/// An event for a connection.
fn event() -> Vec<u8> {
    let event = WatcherEvent { kind: 3, state: 3, path: "/bench/data0000".into() };
    [ReplyHeader { xid: -1, zxid: 9, err: 0 }.to_vec(), event.to_vec()].concat()
}

fn watch(is_persistent: bool) -> Watch<'static> {
    Watch { path: "/bench/data0000", data: &[1; 10], is_persistent, timeout_ms: 30_000 }
}

#[test]
fn every_round_of_watch_is_an_event_at_every_session() {
    for is_persistent in [false, true] {
        // The lock also keeps a connection's replies and events from mixing.
        let watching = Mutex::new(Vec::<TcpStream>::new());
        let target = serve_with(Arc::new(move |stream, header, body| {
            let mut watching = watching.lock().unwrap();
            if header.kind == OpCode::SetData.code() {
                for watcher in watching.iter_mut() {
                    send_in_pieces(watcher, &event())?;
                }
                if !is_persistent {
                    watching.clear();
                }
            } else {
                watching.push(stream.try_clone().unwrap());
            }
            let mut stream = stream.try_clone().unwrap();
            for frame in well(header, body)? {
                send_in_pieces(&mut stream, &frame)?;
            }
            Some(Vec::new())
        }));
        let control = measuring();
        let pool = pool(&target, 4, &control);
        let stats = thread::scope(|scope| {
            let rounds = scope.spawn(|| watch(is_persistent).run(pool, &control).unwrap());
            stop_after(&control, 30);
            rounds.join().unwrap()
        });
        // The round the stop falls into is not counted to its end.
        let (events, sets) = (stats.kinds[0].operations, stats.kinds[2].latency.len());
        assert!(events >= 27 && events.div_ceil(3) - sets <= 1, "{events} events, {sets} sets");
    }
}

#[test]
fn an_event_too_many_ends_the_run() {
    let target = serve(|header, body| {
        let mut frames = well(header, body)?;
        if header.kind == OpCode::GetData.code() {
            frames.push(event());
        }
        Some(frames)
    });
    let control = measuring();
    let error = watch(false).run(pool(&target, 3, &control), &control).unwrap_err();
    assert!(error.to_string().contains("more events than watches"), "{error}");
}

#[test]
fn idle_sessions_ping_and_losses_are_counted_while_the_others_go_on() {
    let pings = Mutex::new(0);
    let target = serve_with(Arc::new(move |_: &_, header, body| {
        let mut pings = pings.lock().unwrap();
        *pings += 1;
        if *pings == 5 { None } else { well(header, body) }
    }));
    let control = measuring();
    let pool = pool(&target, 10, &control);
    let stats = thread::scope(|scope| {
        let pinging = scope.spawn(|| idle::run(pool, 30, &control).unwrap());
        stop_after(&control, 50);
        pinging.join().unwrap()
    });
    assert!(stats.operations() >= 50, "{}", stats.operations());
    assert_eq!(stats.lost_sessions, 1);
    assert!(stats.first_loss.unwrap().contains("the server closed it"));
}
