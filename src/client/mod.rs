//! A small client of the ZooKeeper protocol, shared by the shell (`cli`) and the load generator (`bench`).
