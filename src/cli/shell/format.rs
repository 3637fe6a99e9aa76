//! Texts as Java prints them: status, dates, lists, hex dumps, permissions.

use jiff::Timestamp;
use jiff::tz::{Offset, TimeZone};
use jute::Stat;

/// A node's status, one field on each line (`StatPrinter`).
pub(super) fn stat(stat: &Stat) -> String {
    let zone = TimeZone::try_system().unwrap_or(TimeZone::UTC);
    [
        format!("cZxid = 0x{:x}", stat.czxid),
        format!("ctime = {}", date(stat.ctime, &zone)),
        format!("mZxid = 0x{:x}", stat.mzxid),
        format!("mtime = {}", date(stat.mtime, &zone)),
        format!("pZxid = 0x{:x}", stat.pzxid),
        format!("cversion = {}", stat.cversion),
        format!("dataVersion = {}", stat.version),
        format!("aclVersion = {}", stat.aversion),
        format!("ephemeralOwner = 0x{:x}", stat.ephemeral_owner),
        format!("dataLength = {}", stat.data_length),
        format!("numChildren = {}", stat.num_children),
    ]
    .join("\n")
}

/// `Date.toString`. A time outside of years -9999 to 9999 is shown as its number.
fn date(ms: i64, zone: &TimeZone) -> String {
    let Ok(time) = Timestamp::from_millisecond(ms) else { return ms.to_string() };
    let time = time.to_zoned(zone.clone());
    let abbreviation = time.strftime("%Z").to_string();
    // Zones without letters of their own, such as America/Sao_Paulo's -03.
    let zone = match abbreviation.starts_with(['+', '-']) {
        true => gmt(time.offset()),
        false => abbreviation,
    };
    format!("{} {zone} {}", time.strftime("%a %b %d %H:%M:%S"), time.year())
}

fn gmt(offset: Offset) -> String {
    let minutes = offset.seconds() / 60;
    let sign = if minutes < 0 { '-' } else { '+' };
    format!("GMT{sign}{:02}:{:02}", minutes.abs() / 60, minutes.abs() % 60)
}

/// `[a, b]`, as Java prints a list.
pub(super) fn list(items: &[String]) -> String {
    format!("[{}]", items.join(", "))
}

/// Brings names into Java's order, which compares UTF-16 units.
pub(super) fn sort(names: &mut [String]) {
    names.sort_unstable_by(|a, b| a.encode_utf16().cmp(b.encode_utf16()));
}

/// Data as text; what is not UTF-8 shows as U+FFFD.
pub(super) fn text(data: Option<&[u8]>) -> String {
    String::from_utf8_lossy(data.unwrap_or(b"null")).into_owned()
}

/// Bytes in rows of sixteen with a frame (`ByteBufUtil.prettyHexDump` of Netty).
pub(super) fn hex_dump(data: &[u8]) -> String {
    if data.is_empty() {
        return String::new();
    }
    let columns: String = (0..16).map(|column| format!("{column:3x}")).collect();
    let line = "-".repeat(49);
    let edge = format!("+--------+{line}+{}+", "-".repeat(16));
    let mut rows =
        vec![format!("         +{line}+"), format!("         |{columns} |"), edge.clone()];
    rows.extend(data.chunks(16).enumerate().map(|(row, bytes)| {
        let hex: String = bytes.iter().map(|byte| format!(" {byte:02x}")).collect();
        let shown = |&byte: &u8| if (0x20..0x7f).contains(&byte) { byte as char } else { '.' };
        let text: String = bytes.iter().map(shown).collect();
        format!("|{:08x}|{hex:48} |{text:16}|", row * 16)
    }));
    rows.push(edge);
    rows.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_javas() {
        let utc = TimeZone::UTC;
        assert_eq!(date(0, &utc), "Thu Jan 01 00:00:00 UTC 1970");
        assert_eq!(date(1_770_000_000_123, &utc), "Mon Feb 02 02:40:00 UTC 2026");
        assert_eq!(date(i64::MAX, &utc), i64::MAX.to_string());
        let fixed = TimeZone::fixed(Offset::from_seconds(-(3 * 3600 + 1800)).unwrap());
        assert_eq!(date(0, &fixed), "Wed Dec 31 20:30:00 GMT-03:30 1969");
    }

    #[test]
    fn a_hex_dump_is_nettys() {
        let expected = "         +-------------------------------------------------+
         |  0  1  2  3  4  5  6  7  8  9  a  b  c  d  e  f |
+--------+-------------------------------------------------+----------------+
|00000000| 68 65 6c 6c 6f 00 31 32 33 34 35 36 37 38 39 30 |hello.1234567890|
|00000010| ff                                              |.               |
+--------+-------------------------------------------------+----------------+";
        assert_eq!(hex_dump(b"hello\x001234567890\xff"), expected);
        assert_eq!(hex_dump(b""), "");
    }

    #[test]
    fn lists_and_null() {
        assert_eq!(list(&["a".into(), "b".into()]), "[a, b]");
        assert_eq!(list(&[]), "[]");
        let mut names = ["\u{ff5e}".into(), "\u{1f600}".into(), "b".into(), "B".into()];
        sort(&mut names);
        assert_eq!(names, ["B", "b", "\u{1f600}", "\u{ff5e}"]);
        assert_eq!(text(None), "null");
        assert_eq!(text(Some(b"a\xff")), "a\u{fffd}");
    }
}
