//! Access control lists as users write and read them (`AclParser`, `ZKUtil.getPermString`).

use jute::{Acl, Id};

use super::console::Console;
use crate::proto::Perms;

/// Letters of permissions in the order in which they are shown.
const LETTERS: [(char, Perms); 5] = [
    ('c', Perms::CREATE),
    ('d', Perms::DELETE),
    ('r', Perms::READ),
    ('w', Perms::WRITE),
    ('a', Perms::ADMIN),
];

/// Everybody may do everything (`ZooDefs.Ids.OPEN_ACL_UNSAFE`).
pub(super) fn open_unsafe() -> Vec<Acl<'static>> {
    let id = Id { scheme: "world".into(), id: "anyone".into() };
    vec![Acl { perms: Perms::ALL.0, id }]
}

/// Parses `scheme:id:perms` entries with commas between them. An entry or letter that makes no
/// sense is named on standard error and left out.
pub(super) fn parse(text: &str, console: &Console) -> Vec<Acl<'static>> {
    // Java's split leaves out what is empty at the end, but not all of an empty text.
    let entries = if text.is_empty() { text } else { text.trim_end_matches(',') };
    let entries = entries.split(',').filter(|_| text.is_empty() || !entries.is_empty());
    entries.filter_map(|entry| parse_entry(entry, console)).collect()
}

fn parse_entry(entry: &str, console: &Console) -> Option<Acl<'static>> {
    let ids = entry.rsplit_once(':').and_then(|(ids, perms)| Some((ids.split_once(':')?, perms)));
    let Some(((scheme, id), perms)) = ids else {
        console.error(format_args!("{entry} does not have the form scheme:id:perm"));
        return None;
    };
    let perms = perms.chars().fold(Perms(0), |perms, letter| {
        match LETTERS.iter().find(|(known, _)| *known == letter) {
            Some((_, perm)) => perms.or(*perm),
            None => {
                console.error(format_args!("Unknown perm type: {letter}"));
                perms
            }
        }
    });
    let id = Id { scheme: scheme.to_owned().into(), id: id.to_owned().into() };
    Some(Acl { perms: perms.0, id })
}

/// The letters of permissions.
pub(super) fn perm_string(perms: i32) -> String {
    let held = LETTERS.iter().filter(|(_, perm)| Perms(perms).intersects(*perm));
    held.map(|(letter, _)| *letter).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Vec<String> {
        let acl = parse(text, &Console::default());
        let shown =
            |acl: &Acl<'_>| format!("{}|{}|{}", acl.id.scheme, acl.id.id, perm_string(acl.perms));
        acl.iter().map(shown).collect()
    }

    #[test]
    fn entries_may_have_colons_in_their_ids() {
        assert_eq!(
            parsed("world:anyone:cdrwa,digest:u:p=:rw"),
            ["world|anyone|cdrwa", "digest|u:p=|rw"]
        );
        assert_eq!(parsed("ip:1.2.3.4:awrdc,"), ["ip|1.2.3.4|cdrwa"]);
    }

    #[test]
    fn what_makes_no_sense_is_left_out() {
        assert_eq!(parsed("world:anyone,auth::rx"), ["auth||r"]);
        assert!(parsed("").is_empty());
        assert!(parsed(",").is_empty());
    }
}
