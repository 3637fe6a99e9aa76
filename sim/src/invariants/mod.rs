//! What must always hold, one file each, with where it comes from: ZooKeeper's TLA+ specifications
//! (`zookeeper-specifications/protocol-spec/Zab.tla`), the paper on Zab (Junqueira, Reed, Serafini:
//! "Zab: High-performance broadcast for primary-backup systems", DSN 2011), the paper on ZooKeeper
//! (Hunt, Konar, Junqueira, Reed: "ZooKeeper: Wait-free coordination for Internet-scale systems",
//! ATC 2010), the one on its reconfigs (Shraer and others, ATC 2012), or its programmer's guide.

pub mod agreement;
pub mod configurations;
pub mod digests;
pub mod durability;
pub mod ephemerals;
pub mod global_primary_order;
pub mod integrity;
pub mod liveness;
pub mod one_shot_watches;
pub mod past_reads;
pub mod prefix_consistency;
pub mod primary_integrity;
pub mod read_only;
pub mod sequence_numbers;
pub mod sequential_consistency;
pub mod session_order;
pub mod single_leader;
pub mod total_order;
pub mod watch_before_data;
