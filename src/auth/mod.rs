//! Authentication schemes, credentials and ACL checks.

mod acl;
mod digest;
mod identity;
mod ip;
mod provider_registry;

pub use acl::AclEntry;
pub use digest::{DigestAlgorithm, digest_password};
pub use identity::{IDENTITIES_MAX, Identity};
pub use ip::{host_address, ip_identity};
pub use provider_registry::{AuthFailure, AuthOptions, ProviderRegistry};
