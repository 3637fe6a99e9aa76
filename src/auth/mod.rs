//! Authentication schemes, credentials and ACL checks.
