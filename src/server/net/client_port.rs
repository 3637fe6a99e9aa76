//! The port clients connect to: opened at the start, and moved when a reconfig says so
//! (`ServerCnxnFactory.reconfigure`). Connections stay when it moves.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::{TcpListener, lookup_host};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tracing::{error, info};

use super::ServerContext;
use super::server_cnxn_factory::{self, Acceptor};
use crate::proto::HostPort;
use crate::server::config::ListenAddress;

/// What the accepting thread is told.
enum Command {
    /// Accept here.
    Listen(std::net::TcpListener, ListenAddress),
    /// Listen at this address from now on.
    MoveTo(HostPort),
}

/// The port, with the workers behind it.
pub struct ClientPort {
    context: Arc<ServerContext>,
    commands: UnboundedSender<Command>,
}

impl ClientPort {
    /// Starts the workers and the thread that accepts; they end with the process. The port is not
    /// open yet.
    pub fn start(context: Arc<ServerContext>, workers: usize) -> io::Result<Self> {
        let acceptor = Acceptor::start(context.clone(), workers)?;
        let (commands, to_do) = unbounded_channel();
        server_cnxn_factory::spawn("acceptor".into(), serve(context.clone(), acceptor, to_do))?;
        Ok(Self { context, commands })
    }

    /// Opens the port; returns where it is.
    pub fn open(&self, address: ListenAddress) -> io::Result<SocketAddr> {
        let listener = server_cnxn_factory::bind(&self.context, address)?;
        let local = listener.local_addr()?;
        self.context.admin.set_client_port(local.port());
        self.tell(Command::Listen(listener, address));
        Ok(local)
    }

    /// Listens at this address from now on, and no longer where it did. If that cannot be, the port
    /// stays where it is, and the log says why.
    pub fn move_to(&self, address: HostPort) {
        self.tell(Command::MoveTo(address));
    }

    fn tell(&self, command: Command) {
        // The thread ends with the process.
        let _ = self.commands.send(command);
    }
}

/// A port that is open, and the address it was opened for.
type Open = (TcpListener, ListenAddress);

async fn serve(
    context: Arc<ServerContext>,
    mut acceptor: Acceptor,
    mut to_do: UnboundedReceiver<Command>,
) {
    let mut open: Option<Open> = None;
    loop {
        let command = match &open {
            None => to_do.recv().await,
            Some((listener, _)) => tokio::select! {
                command = to_do.recv() => command,
                () = acceptor.accept(listener) => continue,
            },
        };
        match command {
            Some(Command::Listen(listener, address)) => match TcpListener::from_std(listener) {
                Ok(listener) => open = Some((listener, address)),
                Err(error) => error!("cannot accept connections: {error}"),
            },
            Some(Command::MoveTo(address)) => open = moved(&context, open, &address).await,
            None => return,
        }
    }
}

/// The port at another address, or where it was.
async fn moved(context: &ServerContext, open: Option<Open>, to: &HostPort) -> Option<Open> {
    let address = match resolved(to).await {
        Ok(address) => address,
        Err(error) => {
            error!(%to, "the client port cannot be moved: {error}");
            return open;
        }
    };
    let before = open.as_ref().map(|(_, before)| *before);
    if before == Some(address) {
        return open;
    }
    let is_same_port = before.is_some_and(|before| before.port == address.port);
    // The port of one address and of all addresses cannot be open at a time.
    let open = if is_same_port { None } else { open };
    match bind(context, address) {
        Ok(opened) => {
            info!(%address, "clients connect here from now on");
            context.admin.set_client_port(address.port);
            Some(opened)
        }
        Err(error) => {
            error!(%address, "the client port cannot be moved: {error}");
            open.or_else(|| before.and_then(|before| bind(context, before).ok()))
        }
    }
}

fn bind(context: &ServerContext, address: ListenAddress) -> io::Result<Open> {
    let listener = server_cnxn_factory::bind(context, address)?;
    Ok((TcpListener::from_std(listener)?, address))
}

async fn resolved(address: &HostPort) -> io::Result<ListenAddress> {
    let mut found = lookup_host((&*address.host, address.port)).await?;
    let found = found.next().ok_or(io::ErrorKind::AddrNotAvailable)?;
    Ok(ListenAddress { ip: Some(found.ip()).filter(|ip| !ip.is_unspecified()), port: found.port() })
}
