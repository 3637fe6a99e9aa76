//! Transaction logs, snapshots and epoch files in ZooKeeper's own formats.
