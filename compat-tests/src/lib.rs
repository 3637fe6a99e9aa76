//! Harness for tests against real ZooKeeper servers and clients.
