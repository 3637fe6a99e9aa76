//! Configuration: `zoo.cfg`, the `-D` flags of an existing installation and the defaults, read
//! once into a [`ServerConfig`] that is valid by construction (`QuorumPeerConfig`,
//! `ServerConfig` and the static initialisers of the classes that read system properties).
//!
//! The road of a setting: [`ZooCfg`] (text into lines) and `-D` flags meet in [`Properties`],
//! which answers "what is this key set to, and where"; [`known_keys`] says which keys exist,
//! their defaults and whether they act here; [`ServerConfig`] turns them into typed fields.
//! Whatever Apache refuses is a [`ConfigError`] of one line: file, line and fix. Whatever
//! Apache silently replaces by its default is replaced here too, with a warning in
//! [`ServerConfig::warnings`].

mod auth_config;
mod dynamic_config_files;
mod error;
mod key_table;
pub mod known_keys;
mod limits_config;
mod member_config;
mod properties;
mod quorum_config;
mod reader;
mod server_config;
mod storage_config;
#[cfg(test)]
mod tests;
mod zoo_cfg;

pub use auth_config::{AuthConfig, FourLetterConfig};
pub use dynamic_config_files::DynamicConfigFiles;
pub use error::{ConfigError, Origin};
pub use limits_config::{
    ConnectionThrottleConfig, LargeRequestConfig, LimitsConfig, RequestThrottleConfig,
};
pub use properties::{Properties, Setting};
pub use quorum_config::{ElectionConfig, QuorumConfig, QuorumSaslConfig};
pub use server_config::{
    AdminConfig, ContainerConfig, ListenAddress, MetricsConfig, ServerConfig, SessionConfig,
    WatchManagerKind,
};
pub use storage_config::{AutopurgeConfig, SnapshotCompression, StorageConfig};
pub use zoo_cfg::{CfgLine, ZooCfg};
