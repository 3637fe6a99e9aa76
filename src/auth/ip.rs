//! The scheme `ip` (`IPAuthenticationProvider`): a connection's id is its address, and an ACL names
//! an address or the prefix of a network.

use std::net::{IpAddr, SocketAddr};

use super::identity::Identity;

/// The scheme's name.
pub(super) const SCHEME: &str = "ip";

/// The identity of a connection from `peer`, which every connection has from its start.
pub fn ip_identity(peer: SocketAddr) -> Identity {
    Identity::new(SCHEME, &host_address(peer))
}

/// The address as Java's `InetAddress.getHostAddress` writes it: IPv6 in full, an IPv4 address in
/// IPv6 form as IPv4.
pub fn host_address(address: SocketAddr) -> String {
    match (address.ip().to_canonical(), address) {
        (IpAddr::V6(ip), SocketAddr::V6(address)) => {
            let segments = ip.segments().map(|segment| format!("{segment:x}")).join(":");
            match address.scope_id() {
                0 => segments,
                scope => format!("{segments}%{scope}"),
            }
        }
        (ip, _) => ip.to_string(),
    }
}

/// Whether an ACL may name this id.
pub(super) fn is_valid(id: &str) -> bool {
    network(id).is_some()
}

/// Whether the address `id` lies in the network that an ACL names.
pub(super) fn matches(id: &str, acl_id: &str) -> bool {
    let (Some((network, bits)), Some(address)) = (network(acl_id), parse(id)) else { return false };
    network.len() == address.len()
        && network.iter().zip(&address).enumerate().all(|(at, (a, b))| {
            let bits = bits.saturating_sub(8 * at).min(8);
            let mask = !(0xff_u32 >> bits) as u8;
            a & mask == b & mask
        })
}

/// The address and how many of its bits count, of `address` or `address/bits`.
fn network(text: &str) -> Option<(Vec<u8>, usize)> {
    let (address, bits) = match text.split_once('/') {
        None => (parse(text)?, None),
        Some((address, bits)) => (parse(address)?, Some(java_int(bits, 10)?)),
    };
    let all = 8 * address.len();
    let bits = bits.map_or(Some(all), |bits| usize::try_from(bits).ok())?;
    (bits <= all).then_some((address, bits))
}

/// The bytes of an address, 4 or 16; what is not one in Apache's eyes has none.
fn parse(text: &str) -> Option<Vec<u8>> {
    if text.contains(':') { parse_v6(text) } else { parse_v4(text) }
}

fn parse_v4(text: &str) -> Option<Vec<u8>> {
    let parts: Vec<_> = text.split('.').collect();
    let byte = |part: &&str| u8::try_from(java_int(part, 10)?).ok();
    if parts.len() == 4 { parts.iter().map(byte).collect() } else { None }
}

fn parse_v6(text: &str) -> Option<Vec<u8>> {
    let parts: Vec<_> = text.split("::").collect();
    let (head, tail) = match parts[..] {
        [whole] => (v6_segments(whole)?, vec![]),
        [head, tail] => (v6_segments(head)?, v6_segments(tail)?),
        _ => return None,
    };
    let given = head.len() + tail.len();
    // A "::" stands for at least one segment.
    if if parts.len() == 1 { given != 16 } else { given >= 16 } {
        return None;
    }
    let zeros = vec![0; 16 - given];
    Some([head, zeros, tail].concat())
}

/// The bytes of segments between colons; none for an empty text.
fn v6_segments(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    for segment in text.split(':').filter(|_| !text.is_empty()) {
        if segment.is_empty() || segment.len() > 4 {
            return None;
        }
        // Java reads a sign here, and keeps two bytes of a negative number.
        bytes.extend((java_int(segment, 16)? as u16).to_be_bytes());
    }
    Some(bytes)
}

/// `Integer.parseInt`.
fn java_int(text: &str, radix: u32) -> Option<i32> {
    i32::from_str_radix(text, radix).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_written_as_java_does() {
        for (address, text) in [
            ("127.0.0.1:1", "127.0.0.1"),
            ("[::1]:1", "0:0:0:0:0:0:0:1"),
            ("[2001:DB8::a0]:1", "2001:db8:0:0:0:0:0:a0"),
            ("[::ffff:1.2.3.4]:1", "1.2.3.4"),
            ("[fe80::1:2%2]:1", "fe80:0:0:0:0:0:1:2%2"),
        ] {
            assert_eq!(host_address(address.parse().expect(address)), text);
        }
    }

    #[test]
    fn what_an_acl_may_name() {
        for id in [
            "10.0.0.1",
            "10.0.0.0/8",
            "1.2.3.4/0",
            "1.2.3.4/32",
            "1.2.3.4/+8",
            "+1.02.003.-0",
            "::",
            "::1",
            "1::",
            "1:2:3:4:5:6:7:8",
            "2001:db8::/32",
            "::/128",
            "1::-1",
            "FE80::Ff",
            "1:2:3:4:5:6::7",
        ] {
            assert!(is_valid(id), "{id}");
        }
        for id in [
            "",
            "localhost",
            "1.2.3",
            "1.2.3.4.5",
            "1.2.3.256",
            "1.2.3.",
            "1.2.3.4/",
            "1.2.3.4/33",
            "1.2.3.4/-1",
            "1.2.3.4/8/8",
            "1.2.3.4/x",
            ":",
            ":::",
            "1:::2",
            "1::2::3",
            "1:2:3",
            "1:2:3:4:5:6:7::8",
            "1:2:3:4:5:6:7:8:9",
            "::/129",
            "::g",
            "::12345",
            "::ffff:1.2.3.4",
            "fe80::1%2",
        ] {
            assert!(!is_valid(id), "{id}");
        }
    }

    #[test]
    fn a_network_holds_what_shares_its_prefix() {
        for (address, network) in [
            ("10.1.2.3", "10.1.2.3"),
            ("10.1.2.3", "10.0.0.0/8"),
            ("10.1.2.3", "10.1.2.0/30"),
            ("10.1.2.3", "99.0.0.0/0"),
            ("0:0:0:0:0:0:0:1", "::1"),
            ("2001:db8:0:0:0:0:0:a0", "2001:db8::/33"),
            ("0:0:0:0:0:0:0:ffff", "::-1"),
        ] {
            assert!(matches(address, network), "{address} in {network}");
        }
        for (address, network) in [
            ("10.1.2.3", "10.1.2.4"),
            ("10.1.2.4", "10.1.2.0/30"),
            ("10.1.2.3", "::/0"),
            ("0:0:0:0:0:0:0:1", "0.0.0.0/0"),
            ("fe80:0:0:0:0:0:1:2%2", "fe80::1:2"),
            ("2001:db8:8000:0:0:0:0:0", "2001:db8::/33"),
            ("10.1.2.3", "world"),
        ] {
            assert!(!matches(address, network), "{address} in {network}");
        }
        assert!(matches("0:0:0:0:0:0:0:1", "::/0"));
    }
}
