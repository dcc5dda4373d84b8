//! What can only be checked with other objects at hand, and what deletion waits for.
//!
//! What one object can say about itself is in its schema's rules ([`tandem_crds::validation`]); here are the rules that
//! need the others, and those of Kubernetes that a schema does not know: an object that passes both can be rendered, and
//! an API server takes what was rendered. Every problem says what is wrong, where, and how to mend it.

mod application;
mod breach;
mod budget;
mod components;
mod deletion;
mod dependencies;
mod endpoints;
mod fields;
mod governance;
mod request;

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use tandem_crds::status::Reason;
use tandem_crds::{Application, Environment, FailoverGroup, SecurityProfile, Unit};

pub use application::application;
pub use breach::{Breach, PolicyRule, breaches, in_force, violations};
pub use budget::{amounts_of, budget_amounts, quota_amounts};
pub use deletion::deletion;
pub use governance::{data_centre, environment, failover_group, security_profile, unit};
pub use request::environment_request;

/// Something that is wrong with an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Why the object is not ready, in one word.
    pub reason: Reason,
    /// The field, such as `spec.endpoints[0].hosts[0]`; empty for the whole object.
    pub path: String,
    /// What is wrong and how to mend it.
    pub message: String,
}

impl Problem {
    fn new(reason: Reason, path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { reason, path: path.into(), message: message.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() { f.write_str(&self.message) } else { write!(f, "{}: {}", self.path, self.message) }
    }
}

/// All objects as they are published.
#[derive(Clone, Copy, Debug)]
pub struct World<'a> {
    /// Units by name.
    pub units: &'a BTreeMap<String, Unit>,
    /// Environments by name.
    pub environments: &'a BTreeMap<String, Environment>,
    /// Security profiles by name.
    pub profiles: &'a BTreeMap<String, SecurityProfile>,
    /// Failover groups by name.
    pub groups: &'a BTreeMap<String, FailoverGroup>,
    /// Applications by namespace and name.
    pub applications: &'a BTreeMap<(String, String), Application>,
    /// Namespace and name of the application that has a host name.
    pub hosts: &'a BTreeMap<String, (String, String)>,
    /// The time that waivers are held against, by the asker's wall clock.
    pub now: Timestamp,
}

impl World<'_> {
    /// The security profile that an environment is under: its own, else its unit's.
    #[must_use]
    pub fn profile_of(&self, environment: &Environment) -> Option<&SecurityProfile> {
        let own = environment.spec.security_profile.as_deref();
        let units = || self.units.get(&environment.spec.unit).map(|unit| unit.spec.security_profile.as_str());
        self.profiles.get(own.or_else(units)?)
    }
}

/// Names as a list in a message, cut where it would become long.
fn list<T: fmt::Display>(names: &[T]) -> String {
    const MOST: usize = 5;
    let shown: Vec<String> = names.iter().take(MOST).map(T::to_string).collect();
    match names.len().saturating_sub(MOST) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}
