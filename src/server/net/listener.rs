//! Opens a port: at one address, or at all that the machine has.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use socket2::{Domain, Protocol, Socket, Type};

/// Opens a port; `backlog` connections may wait to be accepted. The IPv6 address that stands for
/// all stands for those of both families, or for those of IPv4 where there is no IPv6.
pub(super) fn listen(address: SocketAddr, backlog: i32) -> io::Result<std::net::TcpListener> {
    match open(address, backlog) {
        Err(_) if address.ip() == Ipv6Addr::UNSPECIFIED => {
            open((Ipv4Addr::UNSPECIFIED, address.port()).into(), backlog)
        }
        opened => opened,
    }
}

fn open(address: SocketAddr, backlog: i32) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(backlog)?;
    Ok(socket.into())
}
