//! An election port: opening it, as often as it takes, and accepting connections
//! (`QuorumCnxManager.Listener`).

use std::convert::Infallible;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use tokio::net::{TcpListener, lookup_host};
use tokio::time::sleep;
use tracing::{error, info};

use super::super::listener::listen;
use super::Net;
use crate::proto::HostPort;

/// Pause before a port is tried again.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// Connections the system may hold that are not accepted yet.
const BACKLOG: i32 = 128;

/// Accepts at an address until there were as many errors one after the other as are allowed.
pub(super) async fn keep_open(net: Rc<Net>, address: HostPort) {
    let mut errors = 0;
    loop {
        let Err(problem) = accept_all(&net, &address, &mut errors).await;
        errors += 1;
        error!(%address, "election port: {problem}");
        if net.options.port_bind_retry > 0 && errors >= net.options.port_bind_retry {
            let reason = format!("election port {address}: {problem} ({errors} times)");
            return net.on_listener_end(&address, reason);
        }
        sleep(RETRY_PAUSE).await;
    }
}

async fn accept_all(net: &Rc<Net>, address: &HostPort, errors: &mut u32) -> io::Result<Infallible> {
    let found = lookup_host((address.host.as_str(), address.port)).await?;
    let mut result = Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address"));
    for ip in found {
        result = listen(ip, BACKLOG);
        if result.is_ok() {
            break;
        }
    }
    let listener = TcpListener::from_std(result?)?;
    info!(%address, "accepting election connections");
    loop {
        let (stream, _) = listener.accept().await?;
        *errors = 0;
        net.accept(stream);
    }
}
