//! One function for each parser of bytes from outside. Each must return, whatever the bytes are,
//! and asserts what must hold of those it accepts.
//!
//! `cargo fuzz` drives them through `fuzz_targets/`, and `tests/fuzz_smoke.rs` through [`TARGETS`].

mod engine;
mod snapshot;

use std::path::Path;

use bytes::BytesMut;
use gamekeeper::auth::{AuthOptions, Identity, ProviderRegistry};
use gamekeeper::client::wire;
use gamekeeper::persistence::{LogScan, Tail};
use gamekeeper::processor::ZkDatabase;
use gamekeeper::proto::{
    InitialMessage, Notification, Packet, Perms, Sid, TxnEntry, decode_learner_info, frame,
    notification, path,
};
use gamekeeper::quorum::{QuorumServer, QuorumVerifier};
use gamekeeper::server::config::{ConfigError, Properties, ServerConfig, ZooCfg};
use gamekeeper::server::net::opening::{ConnectFrame, opening};
use gamekeeper::tree::quota::{QuotaNode, StatsTrack};
use gamekeeper::tree::{DataTree, EphemeralRules, TreeOptions};
use jute::{Acl, Id, Record, RecordVisitor};

pub use engine::engine;
pub use snapshot::snapshot;

/// A function over bytes from outside, by the name of its target and of its corpus.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: &[Target] = &[
    ("acl", acl),
    ("client_frames", client_frames),
    ("election_initial", election_initial),
    ("election_notification", election_notification),
    ("engine", engine),
    ("jute_records", jute_records),
    ("log_scan", log_scan),
    ("quorum_config", quorum_config),
    ("quorum_packets", quorum_packets),
    ("quota_text", quota_text),
    ("server_frames", server_frames),
    ("snapshot", snapshot),
    ("txn_entry", txn_entry),
    ("znode_path", znode_path),
    ("zoo_cfg", zoo_cfg),
];

/// Longest frame in these tests, in bytes.
const FRAME_BYTES_MAX: usize = 1 << 16;

/// Every option of the tree that makes it do more.
const TREE: TreeOptions = TreeOptions {
    ephemeral_rules: EphemeralRules { extended_types: true, emulate_353: false },
    digest_enabled: true,
};

/// Every record: what can be read is written as bytes that are read as the same.
pub fn jute_records(bytes: &[u8]) {
    /// Reads bytes as the records asked for and writes what it read.
    struct Written<'a> {
        bytes: &'a [u8],
        /// The number of one record; none for all.
        only: Option<usize>,
        number: usize,
        written: Vec<(usize, Vec<u8>)>,
    }
    impl<'a> RecordVisitor<'a> for Written<'a> {
        fn visit<R: Record<'a>>(&mut self) {
            if self.only.is_none_or(|only| only == self.number)
                && let Ok(record) = R::from_bytes(self.bytes)
            {
                self.written.push((self.number, record.to_vec()));
            }
            self.number += 1;
        }
    }
    fn written(bytes: &[u8], only: Option<usize>) -> Vec<(usize, Vec<u8>)> {
        let mut visitor = Written { bytes, only, number: 0, written: Vec::new() };
        jute::visit_records(&mut visitor);
        visitor.written
    }
    for (number, once) in written(bytes, None) {
        assert_eq!(written(&once, Some(number)), [(number, once.clone())]);
    }
}

/// What a server reads first from a client: a four-letter word or frames.
pub fn server_frames(bytes: &[u8]) {
    let mut input = BytesMut::from(bytes);
    let _ = opening(&input);
    let mut before = input.len();
    while let Ok(Some(frame)) = frame::next_frame(&mut input, FRAME_BYTES_MAX) {
        assert_eq!(frame.len() + 4 + input.len(), before, "a frame and its length are taken");
        before = input.len();
        if let Ok(connect) = ConnectFrame::decode(&frame) {
            assert!(connect.password.len() <= frame.len());
        }
        let _ = gamekeeper::op::multi::decode(&frame, FRAME_BYTES_MAX);
    }
}

/// What a client reads from a server.
pub fn client_frames(bytes: &[u8]) {
    let mut input = BytesMut::from(bytes);
    while let Ok(Some(frame)) = wire::next_frame(&mut input, FRAME_BYTES_MAX) {
        let _ = wire::read_connect_response(&frame);
        if let Ok(wire::Incoming::Reply { body, .. }) = wire::read_incoming(&frame) {
            assert!(body.remaining() < frame.len(), "the header is no part of the body");
        }
    }
}

/// What a leader and a learner read from each other: what is accepted is written as bytes that are
/// read as the same.
pub fn quorum_packets(bytes: &[u8]) {
    let mut input = BytesMut::from(bytes);
    let mut before = input.len();
    while let Ok(Some(packet)) = Packet::decode(&mut input, FRAME_BYTES_MAX) {
        assert!(input.len() < before, "a packet takes some bytes");
        before = input.len();
        if let Some(body) = &packet.data {
            assert!(body.len() <= FRAME_BYTES_MAX);
            let _ = decode_learner_info(body);
        }
        let mut again = BytesMut::new();
        packet.encode(&mut again);
        assert_eq!(Packet::decode(&mut again, FRAME_BYTES_MAX), Ok(Some(packet)));
    }
}

/// An entry of a transaction log, applied to a tree as a restart does.
pub fn txn_entry(bytes: &[u8]) {
    let mut database =
        ZkDatabase { tree: DataTree::new(TREE), sessions: std::collections::HashMap::default() };
    // Entries of up to 255 bytes, one after the other, so that one can build on another.
    let mut rest = bytes;
    while let Some((&len, more)) = rest.split_first() {
        let (entry, after) = more.split_at(more.len().min(len.into()));
        if let Ok(entry) = TxnEntry::decode(entry) {
            let _ = database.apply(&entry, &mut ());
        }
        rest = after;
    }
}

/// A log file as a whole.
pub fn log_scan(bytes: &[u8]) {
    let mut scan = LogScan::new(bytes);
    let stop = loop {
        let before = scan.position();
        match scan.next_record() {
            Ok(record) => {
                assert!(scan.position() > before && scan.position() <= bytes.len());
                let _ = TxnEntry::decode(record.entry);
            }
            Err(stop) => break stop,
        }
    };
    match scan.tail(stop) {
        Tail::Torn { offset, length, .. } => assert!(offset + length <= bytes.len()),
        Tail::Damaged { offset, next_valid, .. } => assert!(offset < next_valid),
        _ => {}
    }
}

/// A configuration file: it is typed and valid, or one line says where it is not.
pub fn zoo_cfg(bytes: &[u8]) {
    let check = |error: ConfigError| {
        let message = error.to_string();
        assert!(!message.is_empty() && !message.contains('\n'), "{message:?}");
    };
    let file = Path::new("zoo.cfg");
    match ZooCfg::parse(file, bytes) {
        Ok(cfg) => {
            for line in &cfg.lines {
                assert!(line.line > 0 && !line.key.starts_with(' '));
                let _ = QuorumServer::parse(Sid(1), &line.value);
            }
            if let Err(error) = ServerConfig::from_zoo_cfg(cfg, Properties::default()) {
                check(error);
            }
        }
        Err(error) => check(error),
    }
}

/// How a server introduces itself on an election connection, and what follows it.
pub fn election_initial(bytes: &[u8]) {
    let mut input = BytesMut::from(bytes);
    match InitialMessage::decode(&mut input) {
        Ok(Some(message)) => {
            assert!(input.len() < bytes.len(), "what was read is taken");
            assert!(message.addresses.iter().all(|address| !address.is_wildcard()));
            if !message.addresses.is_empty() {
                let written = message.encode(true);
                let again = InitialMessage::decode(&mut BytesMut::from(&written[..]));
                assert_eq!(
                    again.expect("what is written is read").expect("it is whole").sid,
                    message.sid
                );
            }
        }
        Ok(None) => assert_eq!(input, bytes, "nothing is taken before it is whole"),
        Err(_) => {}
    }
}

/// Messages of an election connection.
pub fn election_notification(bytes: &[u8]) {
    let mut input = BytesMut::from(bytes);
    while let Ok(Some(body)) = notification::next_message(&mut input) {
        if let Ok(read) = Notification::decode(&body) {
            assert!(read.config.as_ref().is_none_or(|config| config.len() < body.len()));
            let written = read.encode();
            assert_eq!(
                Notification::decode(&written).expect("what is written is read").encode(),
                written
            );
        }
    }
}

/// The configuration of an ensemble as a peer or a client sends it.
pub fn quorum_config(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Ok(verifier) = QuorumVerifier::from_text(&text, true) {
        let everyone = verifier.members().servers.keys().copied().collect();
        let nobody = Default::default();
        assert!(!verifier.contains_quorum(&nobody));
        let _ = verifier.contains_quorum(&everyone);
        let written = verifier.to_text();
        let again = QuorumVerifier::from_text(&written, true).expect("what is written is read");
        assert_eq!(again.to_text(), written);
    }
}

/// The data of a quota node.
pub fn quota_text(bytes: &[u8]) {
    if let Ok(stats) = StatsTrack::parse(bytes) {
        let text = stats.to_string();
        let again = StatsTrack::parse(text.as_bytes()).expect("what is written can be read");
        assert_eq!(again.to_string(), text);
    }
    let _ = QuotaNode::at(&String::from_utf8_lossy(bytes));
}

/// A path of a request.
pub fn znode_path(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if path::validate_path(&text).is_err() {
        return;
    }
    match path::split_parent(&text) {
        None => assert_eq!(text, path::ROOT),
        Some((parent, name)) => {
            assert!(!name.is_empty() && !name.contains('/'));
            path::validate_path(parent).expect("the parent of a path is one");
            assert_eq!(path::ancestors(&text).count(), text.matches('/').count());
        }
    }
}

/// Identities and access control lists: scheme, id and permissions out of the bytes.
pub fn acl(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let (scheme, id) = text.split_once(':').unwrap_or((&text, ""));
    let auth = ProviderRegistry::new(AuthOptions {
        super_digest: Some("super:D/InIHSb7yEEbrWz8b9l71RjZJU=".to_owned()),
        ..AuthOptions::default()
    });
    let mut identities = [Identity::new("ip", "10.1.2.3")].into();
    let peer = ([127, 0, 0, 1], 2181).into();
    let _ = auth.authenticate(scheme, Some(id.as_bytes()), peer, &mut identities);
    let entry = |perms| Acl { perms, id: Id { scheme: scheme.into(), id: id.into() } };
    let perms = Perms::ALL;
    if let Ok(list) = auth.fixup_acl(&[entry(perms.0), entry(0)], &identities) {
        assert!(!list.is_empty());
        let _ = auth.check_acl(&list, perms, &identities);
        let _ = auth.visible_acl(&list, &identities);
    }
    let _ = auth.client_infos(&identities);
}
