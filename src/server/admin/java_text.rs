//! Values as Java writes them.

use std::net::SocketAddr;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::auth::host_address;
use crate::proto::Millis;

/// `Double.toString`: at least one digit after the point, and an exponent for the very small and
/// the very large.
pub(crate) fn double(value: f64) -> String {
    let size = value.abs();
    if size == 0.0 || (1e-3..1e7).contains(&size) {
        return format!("{value:?}");
    }
    let text = format!("{value:E}");
    match text.split_once('E') {
        Some((digits, exponent)) if !digits.contains('.') => format!("{digits}.0E{exponent}"),
        _ => text,
    }
}

/// `InetSocketAddress.toString` of an address that was never looked up.
pub(crate) fn socket_address(address: SocketAddr) -> String {
    let (host, port) = (host_address(address), address.port());
    if host.contains(':') { format!("/[{host}]:{port}") } else { format!("/{host}:{port}") }
}

/// `Date.toString` of a time in milliseconds since 1970, in the time zone of this machine.
pub(crate) fn date(time: Millis) -> String {
    let time = Timestamp::from_millisecond(time).unwrap_or(Timestamp::UNIX_EPOCH);
    time.to_zoned(TimeZone::system()).strftime("%a %b %d %H:%M:%S %Z %Y").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_look_like_javas() {
        let texts =
            [0.0, 3.658, 1.0, 0.001, 0.0005, 1.2345e-4, 9_999_999.5, 1e7, 1.25e9].map(double);
        let java =
            ["0.0", "3.658", "1.0", "0.001", "5.0E-4", "1.2345E-4", "9999999.5", "1.0E7", "1.25E9"];
        assert_eq!(texts, java);
    }

    #[test]
    fn addresses_look_like_javas() {
        let text = |address: &str| socket_address(address.parse().unwrap());
        assert_eq!(text("127.0.0.1:39064"), "/127.0.0.1:39064");
        assert_eq!(text("[::ffff:10.0.0.1]:5"), "/10.0.0.1:5");
        assert_eq!(text("[::1]:2181"), "/[0:0:0:0:0:0:0:1]:2181");
    }
}
