//! `host:port,host:port/chroot` (`ConnectStringParser`).

use super::ClientError;
use crate::proto::HostPort;
use crate::proto::path::validate_path;

/// Port of a server that is named without one.
const DEFAULT_PORT: u16 = 2181;

/// Where to connect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectString {
    /// One or more servers, not resolved yet: names are looked up at each attempt to connect.
    pub servers: Vec<HostPort>,
    /// Path in front of every path of the session, empty or starting with a slash.
    pub chroot: String,
}

impl ConnectString {
    /// Parses a connect string.
    pub fn parse(text: &str) -> Result<Self, ClientError> {
        let (hosts, chroot) = match text.find('/') {
            None => (text, ""),
            Some(slash) => (&text[..slash], &text[slash..]),
        };
        let chroot = if chroot == "/" { "" } else { chroot };
        if !chroot.is_empty() {
            validate_path(chroot)?;
        }
        let hosts = hosts.split(',').map(str::trim).filter(|host| !host.is_empty());
        let servers = hosts.map(parse_server).collect::<Result<Vec<_>, _>>()?;
        if servers.is_empty() {
            let reason = format!("A HostProvider may not be empty! No server in \"{text}\"");
            return Err(ClientError::InvalidArgument(reason));
        }
        Ok(Self { servers, chroot: chroot.into() })
    }
}

fn parse_server(text: &str) -> Result<HostPort, ClientError> {
    let bad = || ClientError::InvalidArgument(format!("\"{text}\" is not host:port"));
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']').ok_or_else(bad)?;
            (host, port.strip_prefix(':').unwrap_or(port))
        }
        None => text.rsplit_once(':').unwrap_or((text, "")),
    };
    let port = match port {
        "" => DEFAULT_PORT,
        digits => digits.parse().map_err(|_| bad())?,
    };
    Ok(HostPort::new(host, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> (Vec<String>, String) {
        let parsed = ConnectString::parse(text).unwrap();
        (parsed.servers.iter().map(HostPort::to_string).collect(), parsed.chroot)
    }

    #[test]
    fn servers_and_chroot_are_taken_apart() {
        assert_eq!(parsed("a"), (vec!["a:2181".into()], String::new()));
        assert_eq!(parsed("a:1/"), (vec!["a:1".into()], String::new()));
        let two = vec!["a:1".into(), "[::1]:2".into()];
        assert_eq!(parsed("a:1, [::1]:2/x/y"), (two, "/x/y".into()));
        assert_eq!(parsed("[::1]"), (vec!["[::1]:2181".into()], String::new()));
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["", ",", "a:x", "a:99999", "[::1:2", "a:1/x/"] {
            assert!(ConnectString::parse(text).is_err(), "{text}");
        }
    }
}
