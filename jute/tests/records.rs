//! Every record against its documented fields, and against bytes made from these fields without
//! the codec: whole, cut off, and garbage.
#![allow(clippy::unwrap_used, reason = "a test may end so")]

use std::collections::BTreeMap;

use jute::{Reader, Record, RecordVisitor};
use proptest::collection::vec;
use proptest::prelude::*;

/// Fields in wire order, each with its type, under the record's name in lower case: Java writes
/// `CreateTTLTxn`, Rust `CreateTtlTxn`.
type Declarations = Vec<(String, Vec<(String, String)>)>;

/// Out of `Name{type field, type field}`.
fn declared() -> Declarations {
    let declarations = jute::declarations();
    let parse = |declaration: &String| {
        let (name, fields) = declaration.trim_end_matches('}').split_once('{').unwrap();
        let fields = fields.split(", ").map(|field| {
            let (kind, name) = field.split_once(' ').unwrap();
            (name.to_owned(), kind.to_lowercase())
        });
        (name.to_lowercase(), fields.collect())
    };
    declarations.iter().map(parse).collect()
}

/// Out of rows ``| `Name` | `field: type`, `field: type` | meaning |``.
fn documented() -> Declarations {
    let text = include_str!("../../docs/FORMATS.md");
    let records = text.split("\n## ").find(|section| section.starts_with("Records\n")).unwrap();
    let rows = records.lines().filter(|line| line.starts_with("| `"));
    let parse = |row: &str| {
        let columns: Vec<_> = row.split(" | ").collect();
        let fields = columns[1].split(", ").map(|field| {
            let (name, kind) = field.trim_matches('`').split_once(": ").unwrap();
            (in_rust(name), kind.to_lowercase())
        });
        (columns[0].trim_matches(['|', ' ', '`']).to_lowercase(), fields.collect())
    };
    rows.map(parse).collect()
}

/// `parentCVersion` is `parent_cversion`: a capital begins a word unless one stands before it.
fn in_rust(name: &str) -> String {
    if name == "type" {
        return "kind".to_owned();
    }
    let mut snake = String::new();
    let mut after_capital = false;
    for character in name.chars() {
        if character.is_uppercase() && !after_capital {
            snake.push('_');
        }
        after_capital = character.is_uppercase();
        snake.extend(character.to_lowercase());
    }
    snake
}

#[test]
fn records_have_the_fields_of_formats_md() {
    let (declared, documented) = (declared(), documented());
    assert!(documented.len() > 60, "only {} records found in FORMATS.md", documented.len());
    let by_name: BTreeMap<_, _> = documented.iter().cloned().collect();
    for (name, fields) in &declared {
        assert_eq!(Some(fields), by_name.get(name), "{name}");
    }
    assert_eq!(declared.len(), documented.len());
}

/// Encodings of a type by its name, made without the codec.
fn encodings(
    kind: &str,
    records: &BTreeMap<String, Vec<(String, String)>>,
) -> BoxedStrategy<Vec<u8>> {
    let counted = |elements: Vec<Vec<u8>>| {
        let mut bytes = (elements.len() as i32).to_be_bytes().to_vec();
        bytes.extend(elements.concat());
        bytes
    };
    let sized = |content: &[u8]| [&(content.len() as i32).to_be_bytes(), content].concat();
    match kind {
        "boolean" => any::<bool>().prop_map(|value| vec![u8::from(value)]).boxed(),
        "int" => any::<i32>().prop_map(|value| value.to_be_bytes().to_vec()).boxed(),
        "long" => any::<i64>().prop_map(|value| value.to_be_bytes().to_vec()).boxed(),
        // Characters beyond U+FFFF do not come back: Java writes them in a form it cannot read.
        "ustring" => "[\u{0}-\u{ffff}]{0,12}".prop_map(move |text| sized(text.as_bytes())).boxed(),
        "buffer" => proptest::option::of(vec(any::<u8>(), 0..20))
            .prop_map(move |content| content.map_or(vec![0xff; 4], |content| sized(&content)))
            .boxed(),
        _ => match kind.strip_prefix("vector<").and_then(|rest| rest.strip_suffix('>')) {
            Some(element) => vec(encodings(element, records), 0..4).prop_map(counted).boxed(),
            None => {
                let fields = records[kind].iter().map(|(_, kind)| encodings(kind, records));
                fields.collect::<Vec<_>>().prop_map(|parts| parts.concat()).boxed()
            }
        },
    }
}

/// One encoding of each record, in the order of the declarations.
fn encodings_of_all() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let declared = declared();
    let records: BTreeMap<_, _> = declared.iter().cloned().collect();
    declared.iter().map(|(name, _)| encodings(name, &records)).collect::<Vec<_>>()
}

/// Reads each record from its own bytes and writes it again.
struct RoundTrip<'a> {
    encodings: std::slice::Iter<'a, Vec<u8>>,
}

impl<'a> RecordVisitor<'a> for RoundTrip<'a> {
    fn visit<R: Record<'a>>(&mut self) {
        let bytes = self.encodings.next().unwrap();
        let mut reader = Reader::new(bytes);
        let record =
            R::read(&mut reader).unwrap_or_else(|error| panic!("{}: {error}", R::declaration()));
        assert_eq!(reader.remaining(), 0, "{}", R::declaration());
        assert_eq!(&record.to_vec(), bytes, "{}", R::declaration());
        for end in 0..bytes.len() {
            assert!(R::from_bytes(&bytes[..end]).is_err(), "{} of {end}", R::declaration());
        }
    }
}

/// Reads every record from the same bytes and keeps what it writes of those it could read.
struct ReadAll<'a> {
    bytes: &'a [u8],
    written: Vec<Option<Vec<u8>>>,
}

impl<'a> RecordVisitor<'a> for ReadAll<'a> {
    fn visit<R: Record<'a>>(&mut self) {
        self.written.push(R::from_bytes(self.bytes).ok().map(|record| record.to_vec()));
    }
}

/// What each record that `bytes` can be read as writes.
fn read_all(bytes: &[u8]) -> Vec<Option<Vec<u8>>> {
    let mut all = ReadAll { bytes, written: Vec::new() };
    jute::visit_records(&mut all);
    all.written
}

/// Small numbers are lengths more often than large ones.
fn garbage() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![4 => Just(0), 2 => 0..9_u8, 1 => Just(0xff), 1 => any::<u8>()];
    vec(byte, 0..120)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_read_is_written_again_and_nothing_less_is_read(encodings in encodings_of_all()) {
        let mut round_trip = RoundTrip { encodings: encodings.iter() };
        jute::visit_records(&mut round_trip);
        prop_assert!(round_trip.encodings.next().is_none());
    }

    #[test]
    fn garbage_is_refused_or_becomes_a_record_that_stays_itself(bytes in garbage()) {
        for (number, written) in read_all(&bytes).into_iter().enumerate() {
            if let Some(written) = written {
                let again = read_all(&written).swap_remove(number);
                prop_assert_eq!(again, Some(written));
            }
        }
    }
}
