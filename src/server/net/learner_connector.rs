//! Connects to a leader (`Learner.connectToLeader`, `Learner.LeaderConnector`): to all its
//! addresses at the same time, several times each, and the first connection counts.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout_at};
use tracing::{debug, warn};

use super::LearnerCnxnOptions;
use super::learner_cnxn_factory::duration;
use crate::proto::HostPort;

/// Tries for each address with the configured pause behind each.
const TRIES_MAX: usize = 5;

/// Pauses behind the first tries, in milliseconds. The leader is elected at the same moment as this
/// server learns of it, so that its port is often opened a little later: Java's learner then waits
/// for the configured pause, a tenth of a second.
const FIRST_PAUSES_MS: [u64; 6] = [2, 3, 5, 10, 20, 40];

/// A connection to the leader, or why there is none, for each address.
pub(super) async fn connect(
    options: &LearnerCnxnOptions,
    addresses: &[HostPort],
) -> Result<(TcpStream, SocketAddr), String> {
    let mut attempts = JoinSet::new();
    for address in addresses {
        attempts.spawn_local(connect_to(options.clone(), address.clone()));
    }
    let mut reasons = Vec::new();
    while let Some(attempt) = attempts.join_next().await {
        match attempt {
            Ok(Ok(connected)) => return Ok(connected),
            Ok(Err(reason)) => reasons.push(reason),
            Err(error) => reasons.push(error.to_string()),
        }
    }
    if reasons.is_empty() {
        reasons.push("the leader has no address".into());
    }
    Err(reasons.join("; "))
}

async fn connect_to(
    options: LearnerCnxnOptions,
    address: HostPort,
) -> Result<(TcpStream, SocketAddr), String> {
    let deadline = Instant::now() + duration(options.connect_limit_ms);
    let configured = duration(options.connect_retry_delay_ms);
    let mut tries = 0;
    loop {
        let first_pause = FIRST_PAUSES_MS.get(tries).copied().map(Duration::from_millis);
        let pause = first_pause.map_or(configured, |first| first.min(configured));
        tries += 1;
        // The name is looked up each time: the leader may have moved (ZOOKEEPER-4708).
        let connecting = TcpStream::connect((&*address.host, address.port));
        let connected = match timeout_at(deadline, connecting).await {
            Ok(Ok(stream)) => stream
                .set_nodelay(options.follower_nodelay)
                .and_then(|()| Ok((stream.peer_addr()?, stream))),
            Ok(Err(error)) => Err(error),
            Err(_) => {
                let limit = options.connect_limit_ms;
                return Err(format!("{address}: no connection within {limit} ms"));
            }
        };
        match connected {
            Ok((peer, stream)) => return Ok((stream, peer)),
            Err(error)
                if tries == FIRST_PAUSES_MS.len() + TRIES_MAX
                    || Instant::now() + pause >= deadline =>
            {
                return Err(format!("{address}: {error}, try {tries}"));
            }
            Err(error) if first_pause.is_some() => {
                debug!("the leader does not listen at {address} yet, try {tries}: {error}");
            }
            Err(error) => warn!("cannot connect to the leader at {address}, try {tries}: {error}"),
        }
        sleep(pause).await;
    }
}
