//! A host and a port as servers write them to each other: `host:port`, IPv6 in brackets
//! (`ConfigUtils.getHostAndPort`, `NetUtils.formatInetAddr`).

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

/// A host, by name or address, and a port; not resolved.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostPort {
    /// A host name or an address, IPv6 without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl HostPort {
    /// A host and a port.
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        Self { host: host.into(), port }
    }

    /// Reads `host:port` or `[host]:port`; none if it is neither.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => rest.split_once("]:")?,
            None => text.split_once(':')?,
        };
        // Java's parseInt takes a plus sign, as Rust's parse does.
        let port = port.parse().ok().filter(|_| !host.is_empty())?;
        Some(Self::new(host, port))
    }

    /// Whether it names all addresses of a machine, so that nobody can connect to it.
    #[must_use]
    pub fn is_wildcard(&self) -> bool {
        self.host.parse::<IpAddr>().is_ok_and(|ip| ip.is_unspecified())
    }

    /// As Java prints it: an IPv6 address with all of its eight groups.
    #[must_use]
    pub fn to_java(&self) -> String {
        format!("{}:{}", java_host(&self.host), self.port)
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

/// A host as Java prints it: an IPv6 address in brackets and with all of its eight groups
/// (`InetAddress.getHostAddress`).
#[must_use]
pub fn java_host(host: &str) -> String {
    match host.parse::<Ipv6Addr>() {
        Ok(ip) => {
            let groups = ip.segments().map(|group| format!("{group:x}"));
            format!("[{}]", groups.join(":"))
        }
        Err(_) if host.contains(':') => format!("[{host}]"),
        Err(_) => host.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_ports_are_read_and_written_as_java_does() {
        assert_eq!(HostPort::parse("a:1"), Some(HostPort::new("a", 1)));
        assert_eq!(HostPort::parse("[::1]:65535"), Some(HostPort::new("::1", 65535)));
        for bad in ["", "a", "a:", ":1", "a:1:2", "a:65536", "a:-1", "[::1]", "[::1:1", "::1:2"] {
            assert_eq!(HostPort::parse(bad), None, "{bad}");
        }
        assert_eq!(HostPort::new("2001:db8::1", 3).to_java(), "[2001:db8:0:0:0:0:0:1]:3");
        assert_eq!(HostPort::new("zk1", 3).to_java(), "zk1:3");
        assert!(HostPort::new("0.0.0.0", 1).is_wildcard() && HostPort::new("::", 1).is_wildcard());
        assert!(!HostPort::new("zk1", 1).is_wildcard());
    }
}
