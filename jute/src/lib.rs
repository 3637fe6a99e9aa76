//! Jute: the encoding of ZooKeeper.
