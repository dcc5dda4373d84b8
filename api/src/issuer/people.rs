//! Who gets tokens, and what they show for them.

use crate::identity::{Role, is_name, is_unit};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};
use ring::rand::SecureRandom;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Why the people are not taken.
#[derive(Debug, thiserror::Error)]
pub enum PeopleError {
    /// The file cannot be read.
    #[error("cannot read the people in {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The file is not what it should be.
    #[error("the people in {path} are not valid")]
    Parse {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: serde_yaml::Error,
    },
    /// Somebody makes no sense.
    #[error("the people in {path}: '{name}' {problem}")]
    Person {
        /// The file.
        path: PathBuf,
        /// Who.
        name: String,
        /// What is wrong and what would be right.
        problem: &'static str,
    },
    /// There is no randomness.
    #[error("the system gives no randomness for secrets")]
    Random,
}

/// Somebody who gets tokens.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Person {
    /// The name; a client certificate has it as its CN.
    pub name: String,
    /// The unit.
    #[serde(default)]
    pub unit: Option<String>,
    /// The roles.
    #[serde(default)]
    pub roles: BTreeSet<Role>,
    /// The groups.
    #[serde(default)]
    pub groups: BTreeSet<String>,
    /// Whether a secret is made for them; others show a certificate.
    #[serde(default)]
    pub secret: bool,
}

impl Person {
    /// What a token of theirs says.
    #[must_use]
    pub fn claims(&self, issuer: &str, audience: &str, now: i64, valid: Duration) -> Value {
        let end = now.saturating_add_unsigned(valid.as_secs());
        let mut claims = json!({
            "iss": issuer, "aud": audience, "sub": self.name, "iat": now, "nbf": now, "exp": end,
            "roles": self.roles, "groups": self.groups,
        });
        if let Some(unit) = &self.unit {
            claims["unit"] = json!(unit);
        }
        claims
    }
}

/// Everybody who gets tokens, by name.
#[derive(Clone, Debug)]
pub struct People(BTreeMap<String, Person>);

impl People {
    /// Reads a file: a list of people, in YAML.
    ///
    /// # Errors
    /// When it cannot be read, has unknown fields, or somebody in it makes no sense.
    pub fn read(path: &Path) -> Result<Self, PeopleError> {
        let text =
            std::fs::read_to_string(path).map_err(|source| PeopleError::Read { path: path.to_owned(), source })?;
        Self::parse(path, &text)
    }

    pub(super) fn parse(path: &Path, text: &str) -> Result<Self, PeopleError> {
        let listed: Vec<Person> =
            serde_yaml::from_str(text).map_err(|source| PeopleError::Parse { path: path.to_owned(), source })?;
        let mut people = BTreeMap::new();
        for person in listed {
            let wrong = |problem| PeopleError::Person { path: path.to_owned(), name: person.name.clone(), problem };
            if !is_name(&person.name) {
                return Err(wrong("is no name; give one without blanks around it, of 128 bytes at most"));
            }
            if person.unit.as_deref().is_some_and(|unit| !is_unit(unit)) {
                return Err(wrong("has a unit that cannot be one; name it as the Unit is named"));
            }
            if people.contains_key(&person.name) {
                return Err(wrong("is there twice; leave one out"));
            }
            people.insert(person.name.clone(), person);
        }
        Ok(Self(people))
    }

    /// The person of that name.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<&Person> {
        self.0.get(name)
    }
}

/// What people show who have no certificate: made at the start, kept as digests, printed once.
pub struct Secrets(BTreeMap<String, [u8; 32]>);

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Secrets").field(&self.0.len()).finish()
    }
}

fn digest_of(text: &str) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest(&SHA256, text.as_bytes()).as_ref());
    bytes
}

impl Secrets {
    /// Makes a secret of 256 bits for everybody who is to have one, and gives them once, by name, for printing.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn make(people: &People, random: &dyn SecureRandom) -> Result<(Self, Vec<(String, String)>), PeopleError> {
        let (mut kept, mut printed) = (BTreeMap::new(), Vec::new());
        for person in people.0.values().filter(|person| person.secret) {
            let mut bytes = [0; 32];
            random.fill(&mut bytes).map_err(|_| PeopleError::Random)?;
            let secret = URL_SAFE_NO_PAD.encode(bytes);
            kept.insert(person.name.clone(), digest_of(&secret));
            printed.push((person.name.clone(), secret));
        }
        Ok((Self(kept), printed))
    }

    /// Whether this is somebody's secret.
    #[must_use]
    pub fn fits(&self, name: &str, secret: &str) -> bool {
        // Digests of random secrets of one length: how long comparing them takes tells nothing of use.
        self.0.get(name).is_some_and(|kept| *kept == digest_of(secret))
    }
}
