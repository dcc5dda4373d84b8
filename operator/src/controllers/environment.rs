//! `Environment`: a namespace with its quota, limits, policies, roles and service account.

use super::{ProvisionError, applied};
use crate::cluster::{Applied, ObjectName};
use crate::context::Context;
use crate::requests::seen_use;
use crate::status::Report;
use serde_json::json;
use std::collections::BTreeSet;
use tandem_core::render;
use tandem_crds::status::Reason;
use tandem_crds::{Environment, SecurityProfile, Unit};

const MANAGER: &str = "tandem/environment";

/// What an environment is made from beside itself.
pub(super) struct Surroundings {
    pub(super) unit: Unit,
    pub(super) profile: SecurityProfile,
}

/// Brings one environment in line.
pub(super) async fn reconcile(context: &Context, environment: &Environment) -> Result<Report, ProvisionError> {
    let surroundings = match observe(context, environment) {
        Ok(surroundings) => surroundings,
        Err(missing) => return Ok(missing),
    };
    let rendered = render::environment(environment, &surroundings.unit, &surroundings.profile)?;
    let id = environment.spec.id.as_deref().unwrap_or_default();
    let (mut keep, mut changed) = (BTreeSet::new(), 0);
    for manifest in rendered.into_manifests() {
        changed += usize::from(context.cluster.apply(MANAGER, id, &manifest).await? != Applied::Unchanged);
        keep.insert(ObjectName {
            kind: manifest.kind().to_owned(),
            namespace: manifest.namespace().map(str::to_owned),
            name: manifest.name().to_owned(),
        });
    }
    applied(changed, context.cluster.prune(id, &keep).await?);
    Ok(match seen_use(context, environment.metadata.name.as_deref().unwrap_or_default()) {
        Some(used) => Report::ready().with_detail(json!({"used": used})),
        None => Report::ready(),
    })
}

/// The unit and the profile of an environment, as published; a report of what is missing where one is not there.
pub(super) fn observe(context: &Context, environment: &Environment) -> Result<Surroundings, Report> {
    context.index.with_world(|world| {
        let name = &environment.spec.unit;
        let unit = world.units.get(name).ok_or_else(|| {
            let message = format!("spec.unit: there is no unit {name}; create it, or name one that exists");
            Report::not_ready(Reason::NotFound, message)
        })?;
        let profile_name = environment.spec.security_profile.as_ref().unwrap_or(&unit.spec.security_profile);
        let profile = world.profiles.get(profile_name).ok_or_else(|| {
            let message = format!("there is no security profile {profile_name}; create it, or name one that exists");
            Report::not_ready(Reason::NotFound, message)
        })?;
        Ok(Surroundings { unit: unit.clone(), profile: profile.clone() })
    })
}
