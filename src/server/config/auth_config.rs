//! Settings of authentication, access control and the four-letter words
//! (`DigestAuthenticationProvider`, `AuthenticationHelper`, `ProviderRegistry`,
//! `EnsembleAuthenticationProvider`, `FourLetterCommands`).

use crate::auth::DigestAlgorithm;
use std::collections::BTreeSet;

use super::error::ConfigError;
use super::properties::Setting;
use super::reader::Reader;

/// Who may do what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthConfig {
    /// Whether access control lists are not checked (`skipACL=yes`).
    pub skip_acl: bool,
    /// Whether quotas are enforced, not only logged (`enforceQuota`).
    pub enforce_quota: bool,
    /// Whether the scheme `digest` is offered (`DigestAuthenticationProvider.enabled`).
    pub digest_enabled: bool,
    /// The digest of the scheme `digest` (`DigestAuthenticationProvider.digestAlg`).
    pub digest_algorithm: DigestAlgorithm,
    /// `user:digest` of the user above all lists (`DigestAuthenticationProvider.superDigest`).
    pub super_digest: Option<String>,
    /// The schemes of which a client must have authenticated by one; none: no client must
    /// (`enforce.auth.enabled`, `enforce.auth.schemes`).
    pub enforced_schemes: Option<Vec<String>>,
    /// The names the scheme `ensemble` accepts; none if that scheme is not offered, an empty
    /// list if it accepts every name (`ensembleAuthName`, with its class as `authProvider.N`).
    pub ensemble_names: Option<BTreeSet<String>>,
}

/// Package of ZooKeeper's own authentication providers.
const PROVIDERS: &str = "org.apache.zookeeper.server.auth.";

impl AuthConfig {
    /// Reads every key of this group.
    pub(super) fn read(reader: &mut Reader) -> Result<Self, ConfigError> {
        let digest_enabled = reader.boolean("DigestAuthenticationProvider.enabled");
        let providers = providers(reader);
        let mut schemes = BTreeSet::from(["ip"]);
        if digest_enabled || providers.contains("DigestAuthenticationProvider") {
            schemes.insert("digest");
        }
        let ensemble = providers.contains("EnsembleAuthenticationProvider");
        if ensemble {
            schemes.insert("ensemble");
        }
        let names = reader.list("ensembleAuthName").unwrap_or_default();
        Ok(Self {
            skip_acl: reader.yes_or_no("skipACL"),
            enforce_quota: reader.boolean("enforceQuota"),
            digest_enabled: schemes.contains("digest"),
            digest_algorithm: digest_algorithm(reader)?,
            super_digest: reader
                .property("DigestAuthenticationProvider.superDigest")
                .map(|setting| setting.value.clone()),
            enforced_schemes: enforced_schemes(reader, &schemes)?,
            ensemble_names: ensemble.then(|| names.into_iter().collect()),
        })
    }
}

fn digest_algorithm(reader: &Reader) -> Result<DigestAlgorithm, ConfigError> {
    const KEY: &str = "DigestAuthenticationProvider.digestAlg";
    let found = DigestAlgorithm::from_name(&reader.text(KEY));
    found.ok_or_else(|| {
        let setting = reader.property(KEY).unwrap_or_else(|| panic!("{KEY} has a valid default"));
        setting.bad("the name of a message digest", "SHA-256")
    })
}

/// The providers that are given as `authProvider.N` and exist here, by class name. Like Java,
/// one that cannot be loaded is a warning.
fn providers(reader: &mut Reader) -> BTreeSet<&'static str> {
    const HERE: [&str; 3] = [
        "IPAuthenticationProvider",
        "DigestAuthenticationProvider",
        "EnsembleAuthenticationProvider",
    ];
    let given = reader.properties.properties_with("zookeeper.authProvider.");
    let mut found = BTreeSet::new();
    for setting in given.into_values() {
        let class = setting.value.strip_prefix(PROVIDERS);
        match HERE.into_iter().find(|here| class == Some(*here)) {
            Some(here) => {
                found.insert(here);
            }
            None => {
                let text = format!("the provider {} is not there", setting.value);
                reader.warn(setting, &text);
            }
        }
    }
    found
}

/// `AuthenticationHelper.initConfigurations` and its checks. A server that must turn away
/// clients without SASL does not start before there is SASL, rather than let everyone in.
fn enforced_schemes(
    reader: &mut Reader,
    available: &BTreeSet<&str>,
) -> Result<Option<Vec<String>>, ConfigError> {
    if reader.boolean("sessionRequireClientSASLAuth") {
        let setting = reader.property("sessionRequireClientSASLAuth");
        return Err(not_there(setting, "SASL authentication"));
    }
    if !reader.boolean("enforce.auth.enabled") {
        return Ok(None);
    }
    let schemes = reader.list("enforce.auth.schemes");
    let enabled = reader.property("enforce.auth.enabled");
    let enabled = enabled.unwrap_or_else(|| panic!("enforce.auth.enabled defaults to false"));
    let Some(schemes) = schemes else {
        return Err(enabled.refused(
            "enforce.auth.enabled is true, but enforce.auth.schemes is not set".to_owned(),
            "add for example enforce.auth.schemes=digest",
        ));
    };
    for scheme in &schemes {
        if available.contains(scheme.as_str()) {
            continue;
        }
        let setting = reader.property("enforce.auth.schemes").unwrap_or(enabled);
        if scheme == "sasl" || scheme == "x509" {
            return Err(not_there(Some(setting), "SASL or x509 authentication"));
        }
        let offered: Vec<_> = available.iter().copied().collect();
        return Err(setting.refused(
            format!("the authentication scheme {scheme:?} is not offered"),
            format!("name some of {}", offered.join(", ")),
        ));
    }
    Ok(Some(schemes))
}

fn not_there(setting: Option<&Setting>, what: &'static str) -> ConfigError {
    let setting = setting.unwrap_or_else(|| panic!("the defaults do not ask for {what}"));
    ConfigError::NotThereYet {
        at: setting.at.clone(),
        setting: setting.with(&setting.value),
        what,
        fix: "remove it if this server may serve clients that do not authenticate so",
    }
}

/// The four-letter words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FourLetterConfig {
    /// The words that are answered: those of `4lw.commands.whitelist`, `srvr`, and `isro` if
    /// `readonlymode.enabled` is true.
    pub whitelist: BTreeSet<String>,
}

impl FourLetterConfig {
    /// Every word there is; what `*` stands for.
    pub const WORDS: [&'static str; 18] = [
        "conf", "cons", "crst", "dirs", "dump", "envi", "gtmk", "hash", "isro", "mntr", "ruok",
        "srst", "srvr", "stat", "stmk", "wchc", "wchp", "wchs",
    ];

    /// Reads every key of this group.
    pub(super) fn read(reader: &mut Reader) -> Self {
        let mut whitelist = BTreeSet::new();
        for word in reader.list("4lw.commands.whitelist").unwrap_or_default() {
            if word == "*" {
                whitelist.extend(Self::WORDS.map(str::to_owned));
                break;
            }
            whitelist.insert(word);
        }
        whitelist.remove("");
        if reader.text("readonlymode.enabled") == "true" {
            whitelist.insert("isro".to_owned());
        }
        // `zkServer.sh status` depends on it.
        whitelist.insert("srvr".to_owned());
        Self { whitelist }
    }

    /// Whether a word is answered.
    #[must_use]
    pub fn is_enabled(&self, word: &str) -> bool {
        self.whitelist.contains(word)
    }
}
