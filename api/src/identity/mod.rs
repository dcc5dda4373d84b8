//! Who asks: by a token of the configured issuer's, or by a client certificate. Never by anything that a header says of itself.
//!
//! A token that is shown is judged and nothing else is: where it does not hold, a certificate beside it does not help.

mod certificate;
mod fetch;
mod keys;
mod provider;
mod roles;
mod sign_in;
#[cfg(test)]
pub(crate) mod testing;
mod token;

pub use certificate::{PeerCertificate, principal_of_certificate};
pub use fetch::{Fetch, FetchError, HttpsFetch};
pub use keys::{Keys, KeysError};
pub use provider::install_provider;
pub use roles::{offices_conflict, with_groups};
pub use sign_in::{Identity, sign_in};
pub use token::{Algorithm, Claims, TokenRules, bearer};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// What somebody may be. The names are the ones in configuration, claims and certificates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Administers one unit.
    AgencyAdministrator,
    /// Looks at one unit.
    AgencyViewer,
    /// Platform operator (系统管理员): sites, units, failovers.
    PlatformOperator,
    /// Security administrator (安全管理员): security profiles, security decisions, every policy.
    SecurityAdministrator,
    /// Auditor (审计管理员): reads everything, writes nothing.
    Auditor,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 5] = [
        Self::AgencyAdministrator,
        Self::AgencyViewer,
        Self::PlatformOperator,
        Self::SecurityAdministrator,
        Self::Auditor,
    ];

    /// The name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AgencyAdministrator => "agency-administrator",
            Self::AgencyViewer => "agency-viewer",
            Self::PlatformOperator => "platform-operator",
            Self::SecurityAdministrator => "security-administrator",
            Self::Auditor => "auditor",
        }
    }

    /// The role of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == name)
    }

    /// Whether it is one of the three offices that MLPS wants to be three people's (GB/T 22239, 8.1.6).
    #[must_use]
    pub fn is_office(self) -> bool {
        matches!(self, Self::PlatformOperator | Self::SecurityAdministrator | Self::Auditor)
    }
}

/// How somebody signed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Via {
    /// By a token of the issuer's.
    Token,
    /// By a client certificate.
    Certificate,
}

/// Somebody who is signed in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Me")]
pub struct Principal {
    /// Who: the same name is the same person, however they signed in.
    pub name: String,
    /// The unit that they act for; absent for the platform's own people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// What they are.
    pub roles: BTreeSet<Role>,
    /// How they signed in.
    pub via: Via,
}

/// The longest name of somebody, in bytes.
pub(crate) const LONGEST_NAME: usize = 128;

/// Whether a text can be somebody's name: not empty, not too long, no control characters, no blanks around it.
pub(crate) fn is_name(text: &str) -> bool {
    !text.is_empty() && text.len() <= LONGEST_NAME && text.trim() == text && !text.chars().any(char::is_control)
}

/// Whether a text can be a unit's name: a DNS label of at most 40 characters, as the kind `Unit` has it.
pub(crate) fn is_unit(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = text.as_bytes();
    bytes.len() <= 40
        && bytes.first().copied().is_some_and(inner)
        && bytes.last().copied().is_some_and(inner)
        && bytes.iter().all(|b| inner(*b) || *b == b'-')
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_rsa;
