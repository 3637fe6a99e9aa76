//! The scheme `digest` (`DigestAuthenticationProvider`): a client tells `user:password`, and its id
//! is the user and the digest of both.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha1::Digest;

use super::identity::{Identity, SUPER};
use crate::proto::java;

/// The scheme's name.
pub(super) const SCHEME: &str = "digest";

/// A message digest, as Java's `MessageDigest` knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(missing_docs, reason = "standard names")]
pub enum DigestAlgorithm {
    Md5,
    #[default]
    Sha1,
    Sha224,
    Sha256,
    Sha384,
    Sha512,
    Sha512_224,
    Sha512_256,
    Sha3_224,
    Sha3_256,
    Sha3_384,
    Sha3_512,
}

impl DigestAlgorithm {
    /// The algorithm of that name, in any case.
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name.to_ascii_uppercase().as_str() {
            "MD5" => Self::Md5,
            "SHA" | "SHA1" | "SHA-1" => Self::Sha1,
            "SHA224" | "SHA-224" => Self::Sha224,
            "SHA256" | "SHA-256" => Self::Sha256,
            "SHA384" | "SHA-384" => Self::Sha384,
            "SHA512" | "SHA-512" => Self::Sha512,
            "SHA512/224" | "SHA-512/224" => Self::Sha512_224,
            "SHA512/256" | "SHA-512/256" => Self::Sha512_256,
            "SHA3-224" => Self::Sha3_224,
            "SHA3-256" => Self::Sha3_256,
            "SHA3-384" => Self::Sha3_384,
            "SHA3-512" => Self::Sha3_512,
            _ => return None,
        })
    }

    fn digest_base64(self, text: &str) -> String {
        fn of<D: Digest>(text: &str) -> String {
            STANDARD.encode(D::digest(text))
        }
        match self {
            Self::Md5 => of::<md5::Md5>(text),
            Self::Sha1 => of::<sha1::Sha1>(text),
            Self::Sha224 => of::<sha2::Sha224>(text),
            Self::Sha256 => of::<sha2::Sha256>(text),
            Self::Sha384 => of::<sha2::Sha384>(text),
            Self::Sha512 => of::<sha2::Sha512>(text),
            Self::Sha512_224 => of::<sha2::Sha512_224>(text),
            Self::Sha512_256 => of::<sha2::Sha512_256>(text),
            Self::Sha3_224 => of::<sha3::Sha3_224>(text),
            Self::Sha3_256 => of::<sha3::Sha3_256>(text),
            Self::Sha3_384 => of::<sha3::Sha3_384>(text),
            Self::Sha3_512 => of::<sha3::Sha3_512>(text),
        }
    }
}

/// The id of `user:password`: the user, a colon and the digest of the whole in base64
/// (`generateDigest`). The user ends at the first colon.
pub fn digest_password(user_and_password: &str, algorithm: DigestAlgorithm) -> String {
    format!("{}:{}", user_name(user_and_password), algorithm.digest_base64(user_and_password))
}

/// The identities that `user:password` gives: that of the super user in addition, if it is his.
pub(super) fn identities(
    credentials: &[u8],
    algorithm: DigestAlgorithm,
    super_digest: Option<&str>,
) -> Vec<Identity> {
    let id = digest_password(&jute::decode_text(credentials), algorithm);
    let is_super = super_digest == Some(&id);
    let super_identity = is_super.then(|| Identity::new(SUPER, ""));
    super_identity.into_iter().chain([Identity::new(SCHEME, &id)]).collect()
}

/// Whether an ACL may name this id.
pub(super) fn is_valid(id: &str) -> bool {
    java::split(id, ':').len() == 2
}

/// The user of an id.
pub(super) fn user_name(id: &str) -> &str {
    id.split_once(':').map_or(id, |(user, _)| user)
}

/// The id as those see it who may not administer the node: with `x` for the digest. Apache replaces
/// the pattern `:.*`, which ends with the line.
pub(super) fn mask(id: &str) -> String {
    const LINE_ENDS: [char; 5] = ['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}'];
    let lines = id.split_inclusive(LINE_ENDS);
    let masked = lines.map(|line| match line.split_once(':') {
        None => line.to_owned(),
        Some((user, rest)) => {
            let end = rest.find(LINE_ENDS).map_or("", |at| &rest[at..]);
            format!("{user}:x{end}")
        }
    });
    masked.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Digests of `u:p` that Java gave.
    #[test]
    fn every_algorithm_equals_javas() {
        let expected = [
            ("md5", "wj9ntl1lUHd6RGlGHs+1Hg=="),
            ("SHA", "Jq7wMyA/w2Vd5WIDAKdu4OIIFEQ="),
            ("sha1", "Jq7wMyA/w2Vd5WIDAKdu4OIIFEQ="),
            ("SHA-224", "buY2RDLG1qb161QWn3zO7zdHv1Jw5JzOzvoq8w=="),
            ("SHA256", "/Y8xRBngpX5duYn15uUqIRaIaCviy5TEwSk419hCwuA="),
            ("SHA384", "joW9fAMExHHjPTquSoLHR7yNt+hmUQSWOdXLQ1YgEw4t89oJD5tqLNcOJbpOm3hr"),
            (
                "SHA-512",
                "JuOwXdmk4f1omXNJj7k4ILDOHOlc+8PMyEaxl9nrWl6OmV83jKYivSqJWsp5PsMT\
                 da6BtnipueoU1r5DtBd7CA==",
            ),
            ("SHA-512/224", "uQhd9bjKXP6GHJndVVZ2qIjzcJFAYrjzPmzxOg=="),
            ("SHA512/256", "GahcuEqKVDomB4u/ebwuUp9/SoZ9jjQVdblytNb5wPo="),
            ("SHA3-224", "VetFxgqKhf3M+E8Pj5X4NLMXFF7lPCr+KjMt9g=="),
            ("SHA3-256", "3+U94Pf1dSrKR/q5qu/huTFf1Fha6TtpdtpSdhWvIS0="),
            ("SHA3-384", "d4zgobLcJSLRER2rxMYl64bQqLziPCVxzKEWJoX+pEfq/zm0wPI8ZyXDgZrO/jZl"),
            (
                "SHA3-512",
                "CxK7PYZe5JmbxbczQTl9zOaNZXrjA0kC+0x9tzWMsGKrpYRMUAdSUKhye+ylfkRh\
                 hXm3ReL68pT1mUct81OUyQ==",
            ),
        ];
        for (name, digest) in expected {
            let algorithm = DigestAlgorithm::from_name(name).expect(name);
            assert_eq!(digest_password("u:p", algorithm), format!("u:{digest}"), "{name}");
        }
        assert_eq!(DigestAlgorithm::from_name("ROT13"), None);
    }

    #[test]
    fn the_super_user_of_apaches_documentation() {
        let id = digest_password("super:test", DigestAlgorithm::Sha1);
        assert_eq!(id, "super:D/InIHSb7yEEbrWz8b9l71RjZJU=");
        let ids = identities(b"super:test", DigestAlgorithm::Sha1, Some(&id));
        assert_eq!(ids, [Identity::new("super", ""), Identity::new("digest", &id)]);
        assert_eq!(identities(b"super:wrong", DigestAlgorithm::Sha1, Some(&id)).len(), 1);
    }

    #[test]
    fn the_user_ends_at_the_first_colon() {
        assert!(digest_password("a:b:c", DigestAlgorithm::Sha1).starts_with("a:"));
        assert!(digest_password("abc", DigestAlgorithm::Sha1).starts_with("abc:"));
        assert!(digest_password("", DigestAlgorithm::Sha1).starts_with(":"));
        assert_eq!((user_name("a:b"), user_name(":b"), user_name("a")), ("a", "", "a"));
    }

    #[test]
    fn an_id_has_two_parts() {
        for id in ["a:b", ":b", "a:b:", "a:b::"] {
            assert!(is_valid(id), "{id}");
        }
        for id in ["", "a", "a:", ":", "a:b:c", "a::b"] {
            assert!(!is_valid(id), "{id}");
        }
    }

    #[test]
    fn a_masked_id_shows_the_user() {
        assert_eq!(mask("u:Jq7w="), "u:x");
        assert_eq!(mask(":a:b"), ":x");
        assert_eq!(mask("none"), "none");
        assert_eq!(mask("a:b\nc:d"), "a:x\nc:x");
        assert_eq!(mask("\n:b\r\nq"), "\n:x\r\nq");
    }
}
