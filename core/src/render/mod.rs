//! From a resource to the Kubernetes objects it stands for.
//!
//! Rendering is a function of the resources and of what is known of the site ([`Facts`]): the same input gives the same
//! objects, byte for byte. Only fields that Kubernetes 1.20 has are written, every field that a server would default and
//! that drift detection looks at is written out, and quantities are canonical, so that [`crate::drift::covers`] holds for
//! what an API server gives back. Nothing bears an ownerReference: what belongs to what goes by [`crate::names::LABEL_ID`].

pub(crate) mod amounts;
mod application;
mod clones;
mod environment;
mod manifest;
mod network;
mod reach;
mod rights;
mod workload;

use tandem_crds::quantity::QuantityError;
use tandem_crds::{Kind, Replicas, StandbyClass};

pub use application::{AdoptedScale, RenderedApplication, application};
pub use clones::{Clones, ComponentClone, Rehearsed, clones, selects};
pub(crate) use environment::environment_labels;
pub use environment::{RenderedEnvironment, environment};
pub use manifest::Manifest;
pub use network::spares_clones;

/// What is known of a site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts<'a> {
    /// The site's name.
    pub site: &'a str,
    /// The minor version of the site's API server: 20 for 1.20.
    pub server_minor: u32,
}

/// How strong an application is run at a site.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Strength {
    /// The site is active for the application's group.
    Active,
    /// It is not; the standby class says what runs.
    Standby,
}

/// Why something can't be rendered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    /// The object was not published yet; without a durable id nothing could be told to be its own.
    #[error("{kind} {name} has no durable id yet: it is rendered once it is published")]
    NoId {
        /// The object's kind.
        kind: Kind,
        /// The object's name.
        name: String,
    },
    /// The object has no name.
    #[error("a {0} without a name cannot be rendered")]
    NoName(Kind),
    /// The application is not in the namespace of the environment it is to be rendered for.
    #[error("application {application} is not in the namespace {environment}")]
    WrongEnvironment {
        /// The application, as `<namespace>/<name>`.
        application: String,
        /// The environment.
        environment: String,
    },
    /// The environment is another unit's.
    #[error("environment {environment} is not the unit {unit}'s")]
    WrongUnit {
        /// The environment.
        environment: String,
        /// The unit it was to be rendered for.
        unit: String,
    },
    /// A quantity can't be read.
    #[error("{path} cannot be read as a quantity")]
    Quantity {
        /// The field's path, such as `spec.quota.cpu`.
        path: String,
        /// Why.
        source: QuantityError,
    },
}

impl RenderError {
    fn quantity(path: &str, source: QuantityError) -> Self {
        Self::Quantity { path: path.to_owned(), source }
    }
}

/// How many pods run: at the active site `replicas.active`; at the other none (Cold), `replicas.standby` but never more
/// than active, one where nothing is given (Warm), or as many as at the active site (Hot).
#[must_use]
pub fn replicas(class: StandbyClass, replicas: Replicas, strength: Strength) -> i32 {
    match (strength, class) {
        (Strength::Active, _) | (Strength::Standby, StandbyClass::Hot) => replicas.active,
        (Strength::Standby, StandbyClass::Cold) => 0,
        (Strength::Standby, StandbyClass::Warm) => replicas.standby.unwrap_or(1).min(replicas.active),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_standby_class_says_what_runs_where_a_site_is_not_active() {
        let four = |standby| Replicas { active: 4, standby };
        for (class, given, expected) in [
            (StandbyClass::Cold, Some(2), 0),
            (StandbyClass::Warm, None, 1),
            (StandbyClass::Warm, Some(2), 2),
            (StandbyClass::Warm, Some(9), 4),
            (StandbyClass::Hot, Some(2), 4),
        ] {
            assert_eq!(replicas(class, four(given), Strength::Standby), expected, "{class:?} {given:?}");
            assert_eq!(replicas(class, four(given), Strength::Active), 4);
        }
        let none = Replicas { active: 0, standby: None };
        assert_eq!(replicas(StandbyClass::Warm, none, Strength::Standby), 0);
    }
}
