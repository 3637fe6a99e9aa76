//! The authentication schemes of this server, and what they decide (`ProviderRegistry`,
//! `AuthenticationHelper`, and the access checks of `ZooKeeperServer` and `PrepRequestProcessor`).
//!
//! `world` and `auth` are forms of an ACL and not schemes one can authenticate by; `super` is an
//! identity that may do everything and that no ACL can name.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;

use jute::{Acl, ClientInfo};
use thiserror::Error;

use super::acl::{AclEntry, is_anyone};
use super::digest::{self, DigestAlgorithm};
use super::identity::{Identity, SUPER, add_identity};
use super::ip;
use crate::proto::{ErrorCode, Perms};

/// The scheme of [`Provider::Ensemble`].
const ENSEMBLE: &str = "ensemble";

/// Settings of authentication; the default is Apache's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthOptions {
    /// Whether ACLs are stored but not checked (`skipACL`).
    pub skip_acl: bool,
    /// Whether there is a scheme `digest` (`DigestAuthenticationProvider.enabled`).
    pub digest_enabled: bool,
    /// The message digest of that scheme (`DigestAuthenticationProvider.digestAlg`).
    pub digest_algorithm: DigestAlgorithm,
    /// Id of the user who may do everything (`DigestAuthenticationProvider.superDigest`).
    pub super_digest: Option<String>,
    /// The schemes of which a connection needs one before it may do anything
    /// (`enforce.auth.schemes`, if `enforce.auth.enabled`).
    pub enforced_schemes: Option<Vec<String>>,
    /// The names that the scheme `ensemble` takes for right (`ensembleAuthName`), all if it is
    /// empty; none if there is no such scheme.
    pub ensemble_names: Option<BTreeSet<String>>,
}

impl Default for AuthOptions {
    fn default() -> Self {
        Self {
            skip_acl: false,
            digest_enabled: true,
            digest_algorithm: DigestAlgorithm::default(),
            super_digest: None,
            enforced_schemes: None,
            ensemble_names: None,
        }
    }
}

/// Why an auth packet is not answered with success.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum AuthFailure {
    /// An unknown scheme or bad credentials: the reply is [`ErrorCode::AuthFailed`], then the
    /// connection is closed.
    #[error("authentication refused")]
    Refused,
    /// The client takes this server for one of another ensemble: the connection is closed without a
    /// reply, so that the client tries its next server.
    #[error("the client asks for another ensemble")]
    WrongEnsemble,
}

/// A scheme one can authenticate by.
#[derive(Debug, Clone, Copy)]
enum Provider {
    Ip,
    Digest,
    /// `EnsembleAuthenticationProvider`: checks that client and server mean the same ensemble, and
    /// says nothing of who the client is.
    Ensemble,
}

impl Provider {
    /// Whether `auth` in an ACL stands for identities of this scheme.
    fn is_authenticated(self) -> bool {
        matches!(self, Self::Digest)
    }

    /// Whether an ACL may name this id.
    fn is_valid(self, id: &str) -> bool {
        match self {
            Self::Ip => ip::is_valid(id),
            Self::Digest => digest::is_valid(id),
            Self::Ensemble => false,
        }
    }

    /// Whether a connection of this id is whom an ACL names.
    fn matches(self, id: &str, acl_id: &str) -> bool {
        match self {
            Self::Ip => ip::matches(id, acl_id),
            Self::Digest => id == acl_id,
            Self::Ensemble => false,
        }
    }

    /// The user of an id.
    fn user_name(self, id: &str) -> &str {
        match self {
            Self::Ip | Self::Ensemble => id,
            Self::Digest => digest::user_name(id),
        }
    }
}

/// The authentication schemes of this server.
#[derive(Debug, Clone, Default)]
pub struct ProviderRegistry {
    options: AuthOptions,
}

impl ProviderRegistry {
    /// The schemes that `options` ask for.
    pub fn new(options: AuthOptions) -> Self {
        Self { options }
    }

    /// Whether one can authenticate by this scheme.
    pub fn has_scheme(&self, scheme: &str) -> bool {
        self.provider(scheme).is_some()
    }

    /// What an auth packet of a connection from `peer` adds to its identities
    /// (`handleAuthentication`).
    ///
    /// # Errors
    /// Why the connection is to be closed; `identities` are unchanged then.
    pub fn authenticate(
        &self,
        scheme: &str,
        credentials: Option<&[u8]>,
        peer: SocketAddr,
        identities: &mut Arc<[Identity]>,
    ) -> Result<(), AuthFailure> {
        let new = match self.provider(scheme).ok_or(AuthFailure::Refused)? {
            Provider::Ip => vec![ip::ip_identity(peer)],
            Provider::Digest => digest::identities(
                credentials.ok_or(AuthFailure::Refused)?,
                self.options.digest_algorithm,
                self.options.super_digest.as_deref(),
            ),
            Provider::Ensemble => {
                self.check_ensemble(credentials.unwrap_or_default())?;
                vec![]
            }
        };
        let mut all = Arc::clone(identities);
        if new.into_iter().all(|identity| add_identity(&mut all, identity)) {
            *identities = all;
            Ok(())
        } else {
            Err(AuthFailure::Refused)
        }
    }

    /// Whether a connection may do more than authenticate (`enforceAuthentication`). If not, a
    /// request is answered with [`ErrorCode::SessionClosedRequireAuth`] and the connection is
    /// closed.
    pub fn may_request(&self, identities: &[Identity]) -> bool {
        self.options.enforced_schemes.as_ref().is_none_or(|schemes| {
            identities
                .iter()
                .any(|identity| schemes.iter().any(|scheme| **scheme == *identity.scheme))
        })
    }

    /// The list to store for the one a client asks for (`fixupACL`): each entry once, and in place
    /// of each entry of scheme `auth` one for each authenticated identity of the client.
    ///
    /// # Errors `InvalidAcl` if the list is empty, an entry is of no scheme here or its id has not
    /// the scheme's form, or for `auth` of a client without authenticated identity.
    pub fn fixup_acl(
        &self,
        requested: &[Acl<'_>],
        identities: &[Identity],
    ) -> Result<Vec<AclEntry>, ErrorCode> {
        if requested.is_empty() {
            return Err(ErrorCode::InvalidAcl);
        }
        let mut fixed = Vec::with_capacity(requested.len());
        for (at, acl) in requested.iter().enumerate() {
            if requested[..at].contains(acl) {
                continue;
            }
            let (scheme, id) = (&*acl.id.scheme, &*acl.id.id);
            if is_anyone(scheme, id) {
                fixed.push(acl.into());
            } else if scheme == "auth" {
                let before = fixed.len();
                fixed.extend(self.authenticated(identities).map(|identity| AclEntry {
                    perms: acl.perms,
                    scheme: identity.scheme.clone(),
                    id: identity.id.clone(),
                }));
                if fixed.len() == before {
                    return Err(ErrorCode::InvalidAcl);
                }
            } else if self.provider(scheme).is_some_and(|provider| provider.is_valid(id)) {
                fixed.push(acl.into());
            } else {
                return Err(ErrorCode::InvalidAcl);
            }
        }
        Ok(fixed)
    }

    /// Whether a connection of these identities may do what needs any of `perms` on a node with
    /// this list (`checkACL`). An empty list lets everyone pass.
    pub fn check_acl(&self, acl: &[AclEntry], perms: Perms, identities: &[Identity]) -> bool {
        // What lets everyone pass is asked first; the order of grants changes nothing.
        acl.iter().any(|entry| entry.grants(perms) && entry.is_for_anyone())
            || acl.is_empty()
            || self.options.skip_acl
            || identities.iter().any(|identity| &*identity.scheme == SUPER)
            || acl.iter().any(|entry| entry.grants(perms) && self.is_for(entry, identities))
    }

    /// The list as getACL shows it to a connection of these identities: without digests if it may
    /// not administer the node.
    pub fn visible_acl<'a>(
        &self,
        acl: &'a [AclEntry],
        identities: &[Identity],
    ) -> Cow<'a, [AclEntry]> {
        if self.check_acl(acl, Perms::ADMIN, identities) {
            Cow::Borrowed(acl)
        } else {
            acl.iter().map(AclEntry::masked).collect()
        }
    }

    /// The identities as whoAmI tells them (`AuthUtil.getClientInfos`); of schemes that are not
    /// here, such as `super`, without a user.
    pub fn client_infos<'a>(&self, identities: &'a [Identity]) -> Vec<ClientInfo<'a>> {
        let info = |identity: &'a Identity| ClientInfo {
            auth_scheme: (&*identity.scheme).into(),
            user: self.user_name(identity).unwrap_or_default().into(),
        };
        identities.iter().map(info).collect()
    }

    /// The user of an identity (`AuthUtil.getUser`); none if its scheme is not here.
    pub fn user_name<'a>(&self, identity: &'a Identity) -> Option<&'a str> {
        Some(self.provider(&identity.scheme)?.user_name(&identity.id))
    }

    fn provider(&self, scheme: &str) -> Option<Provider> {
        match scheme {
            ip::SCHEME => Some(Provider::Ip),
            digest::SCHEME if self.options.digest_enabled => Some(Provider::Digest),
            ENSEMBLE if self.options.ensemble_names.is_some() => Some(Provider::Ensemble),
            _ => None,
        }
    }

    fn check_ensemble(&self, name: &[u8]) -> Result<(), AuthFailure> {
        let names = self.options.ensemble_names.iter().flatten();
        let mut names = names.map(String::as_str).peekable();
        let right = name.is_empty()
            || names.peek().is_none()
            || names.any(|right| right == jute::decode_text(name));
        if right { Ok(()) } else { Err(AuthFailure::WrongEnsemble) }
    }

    /// The identities that `auth` in an ACL stands for.
    fn authenticated<'a>(&self, identities: &'a [Identity]) -> impl Iterator<Item = &'a Identity> {
        identities.iter().filter(|identity| {
            self.provider(&identity.scheme).is_some_and(Provider::is_authenticated)
        })
    }

    fn is_for(&self, entry: &AclEntry, identities: &[Identity]) -> bool {
        self.provider(&entry.scheme).is_some_and(|provider| {
            identities.iter().any(|identity| {
                identity.scheme == entry.scheme && provider.matches(&identity.id, &entry.id)
            })
        })
    }
}

#[cfg(test)]
mod tests;
