//! What the cluster holds already, as far as an import has to know it.

use std::collections::{BTreeMap, BTreeSet};
use tandem_crds::{Application, Environment, SecurityProfile, Unit};

/// The objects of a cluster. Empty where no cluster was asked.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// Units by name.
    pub units: BTreeMap<String, Unit>,
    /// Environments by name.
    pub environments: BTreeMap<String, Environment>,
    /// Applications by namespace and name.
    pub applications: BTreeMap<(String, String), Application>,
    /// Names of security profiles; none where no cluster was asked.
    pub security_profiles: Option<BTreeSet<String>>,
}

impl Known {
    /// Puts together what was listed.
    #[must_use]
    pub fn new(
        units: Vec<Unit>,
        environments: Vec<Environment>,
        applications: Vec<Application>,
        profiles: &[SecurityProfile],
    ) -> Self {
        let name = |name: &Option<String>| name.clone().unwrap_or_default();
        Self {
            units: units.into_iter().map(|unit| (name(&unit.metadata.name), unit)).collect(),
            environments: environments.into_iter().map(|env| (name(&env.metadata.name), env)).collect(),
            applications: applications
                .into_iter()
                .map(|app| ((name(&app.metadata.namespace), name(&app.metadata.name)), app))
                .collect(),
            security_profiles: Some(profiles.iter().map(|profile| name(&profile.metadata.name)).collect()),
        }
    }

    /// The host names of the cluster's applications, each with the namespace and name of its application.
    #[must_use]
    pub fn hosts(&self) -> BTreeMap<&str, (&str, &str)> {
        let mut hosts = BTreeMap::new();
        for ((namespace, name), application) in &self.applications {
            for endpoint in application.spec.endpoints.iter().flatten() {
                for host in &endpoint.hosts {
                    hosts.insert(host.as_str(), (namespace.as_str(), name.as_str()));
                }
            }
        }
        hosts
    }
}
