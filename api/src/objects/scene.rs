//! The site's objects as the rules want them: by name, all at once.

use super::Objects;
use crate::problem::Problem;
use jiff::Timestamp;
use kube::{Resource, ResourceExt};
use std::collections::BTreeMap;
use std::sync::Arc;
use tandem_core::check::World;
use tandem_crds::{Application, Environment, FailoverGroup, SecurityProfile, Unit};

/// The site's objects by name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scene {
    units: BTreeMap<String, Unit>,
    environments: BTreeMap<String, Environment>,
    profiles: BTreeMap<String, SecurityProfile>,
    groups: BTreeMap<String, FailoverGroup>,
    applications: BTreeMap<(String, String), Application>,
    hosts: BTreeMap<String, (String, String)>,
}

fn named<K: Resource + Clone>(all: Vec<Arc<K>>) -> BTreeMap<String, K> {
    all.into_iter().map(|object| (object.name_any(), (*object).clone())).collect()
}

impl Scene {
    /// Everything.
    ///
    /// # Errors
    /// [`Problem::NotRead`] until all has been read once.
    pub(crate) fn whole(objects: &dyn Objects) -> Result<Self, Problem> {
        let mut scene = Self::about(objects)?;
        scene.groups = named(objects.failover_groups()?);
        for application in objects.applications()? {
            let key = (application.namespace().unwrap_or_default(), application.name_any());
            for host in application.spec.endpoints.iter().flatten().flat_map(|endpoint| &endpoint.hosts) {
                scene.hosts.entry(host.clone()).or_insert_with(|| key.clone());
            }
            scene.applications.insert(key, (*application).clone());
        }
        Ok(scene)
    }

    /// What says who has to decide: units, environments and profiles.
    ///
    /// # Errors
    /// As [`Scene::whole`].
    pub(crate) fn about(objects: &dyn Objects) -> Result<Self, Problem> {
        Ok(Self {
            units: named(objects.units()?),
            environments: named(objects.environments()?),
            profiles: named(objects.security_profiles()?),
            ..Self::default()
        })
    }

    /// As the rules want it, at a time.
    pub(crate) fn world(&self, now: Timestamp) -> World<'_> {
        World {
            units: &self.units,
            environments: &self.environments,
            profiles: &self.profiles,
            groups: &self.groups,
            applications: &self.applications,
            hosts: &self.hosts,
            now,
        }
    }
}
