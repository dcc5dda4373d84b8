//! The clones of a drill in this site's cluster: made, looked at, taken away.

use super::Drills;
use crate::cluster::{ApplyError, Cluster, ObjectName};
use crate::context::Context;
use crate::controllers::missing_secrets;
use crate::failover::Picture;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use tandem_core::drill::{Cause, lacking, quota};
use tandem_core::ledger::Amounts;
use tandem_core::names::{self, LIMITS};
use tandem_core::render::{self, Clones, Manifest, Rehearsed};
use tandem_crds::{Application, DrilledClone, Environment, SecurityProfile};
use tandem_logs::Chain;

const MANAGER: &str = "tandem/drill";

/// Everything of a drill of one group, rendered: whatever is needed to make it, to look at it and to judge it.
pub(super) struct Plan {
    pub(super) clones: Clones,
    /// Every Service has its address, so that the clones are whole.
    addressed: bool,
}

/// Renders a drill of one group by what is published.
pub(super) fn plan(context: &Context, picture: &Picture, drill: &str, group: &str) -> Result<Plan, Box<Cause>> {
    let members = members(context, picture, group)?;
    let rehearsed: Vec<Rehearsed<'_>> = members
        .iter()
        .map(|(application, environment, profile)| Rehearsed { application, environment, profile })
        .collect();
    let render = |addresses: &BTreeMap<_, _>| {
        render::clones(drill, group, &rehearsed, addresses, &context.facts())
            .map_err(|error| Box::new(Cause::NotRendered { why: Chain(&error).to_string() }))
    };
    let clones = render(&BTreeMap::new())?;
    let addresses: BTreeMap<(String, String), String> = clones
        .services
        .iter()
        .filter_map(|(stands_for, name)| {
            let name = object("Service", &stands_for.0, name);
            let found = context.cluster.rendered.get(&name)?;
            let address = found.data.pointer("/spec/clusterIP")?.as_str()?;
            Some((stands_for.clone(), address.to_owned()))
        })
        .collect();
    let addressed = addresses.len() == clones.services.len();
    let clones = if addressed && !addresses.is_empty() { render(&addresses)? } else { clones };
    Ok(Plan { clones, addressed })
}

/// The applications of a group, with what each is rendered with.
fn members(
    context: &Context,
    picture: &Picture,
    group: &str,
) -> Result<Vec<(Application, Environment, SecurityProfile)>, Box<Cause>> {
    let keys = picture.facts.get(group).map(|facts| facts.applications.clone()).unwrap_or_default();
    context.index.with_world(|world| {
        let mut members = Vec::new();
        for key in keys {
            let space = key.namespace.clone().unwrap_or_default();
            let missing = |what: &str| {
                Box::new(Cause::NotRendered { why: format!("{key}: its {what} is not published here yet") })
            };
            let environment = world.environments.get(&space).ok_or_else(|| missing("environment"))?;
            let unit = world.units.get(&environment.spec.unit).ok_or_else(|| missing("unit"))?;
            let profile = environment.spec.security_profile.as_ref().unwrap_or(&unit.spec.security_profile);
            let profile = world.profiles.get(profile).ok_or_else(|| missing("security profile"))?;
            let application =
                world.applications.get(&(space, key.name.clone())).ok_or_else(|| missing("specification"))?;
            members.push((application.clone(), environment.clone(), profile.clone()));
        }
        Ok(members)
    })
}

fn object(kind: &str, namespace: &str, name: &str) -> ObjectName {
    ObjectName { kind: kind.to_owned(), namespace: Some(namespace.to_owned()), name: name.to_owned() }
}

fn name_of(manifest: &Manifest) -> ObjectName {
    object(manifest.kind(), manifest.namespace().unwrap_or_default(), manifest.name())
}

impl Plan {
    /// What keeps the clones from being made here. `free` is what the nodes have left.
    pub(super) async fn wrong(&self, context: &Context, free: Option<&Amounts>) -> Vec<Cause> {
        let clones = &self.clones;
        if clones.clones.is_empty() {
            return vec![Cause::NothingToClone];
        }
        let mut wrong = Vec::new();
        if !clones.selected.is_empty() {
            wrong.push(Cause::Selected { services: clones.selected.iter().cloned().collect() });
        }
        for (environment, needs) in &clones.amounts {
            let found = context.cluster.rendered.get(&object("ResourceQuota", environment, LIMITS));
            let left = found.and_then(|found| quota(&found.data));
            match left.map(|left| lacking(needs, &left)) {
                None => wrong.push(Cause::QuotaUnknown { environment: environment.clone() }),
                Some(Some(short)) => wrong.push(Cause::NoQuota { environment: environment.clone(), short }),
                Some(None) => {}
            }
        }
        let site = context.config.site.clone();
        match free.map(|free| lacking(&self.needs(), free)) {
            None => wrong.push(Cause::Rule(tandem_core::failover::Reason::RoomUnknown { site })),
            Some(Some(short)) => wrong.push(Cause::NoRoom { site, short }),
            Some(None) => {}
        }
        let mut secrets = Vec::new();
        for (environment, secret) in &clones.secrets {
            let missing = missing_secrets(context, environment, std::slice::from_ref(secret)).await;
            secrets.extend(missing.into_iter().map(|secret| format!("{environment}/{secret}")));
        }
        if !secrets.is_empty() {
            wrong.push(Cause::SecretsMissing { secrets });
        }
        wrong
    }

    /// What the clones take in all.
    pub(super) fn needs(&self) -> Amounts {
        self.clones.amounts.values().fold(Amounts::default(), |sum, amounts| sum.saturating_add(amounts))
    }

    /// The environments that the clones go into.
    pub(super) fn environments(&self) -> BTreeSet<String> {
        self.clones.amounts.keys().cloned().collect()
    }

    /// What to know beside the result.
    pub(super) fn notes(&self) -> Vec<Cause> {
        let workloads: Vec<String> = self.clones.adopted.iter().cloned().collect();
        if workloads.is_empty() { Vec::new() } else { vec![Cause::Adopted { workloads }] }
    }

    /// Whether what clones need is there.
    pub(super) fn prepared(&self, cluster: &Cluster) -> bool {
        // An environment's policy that an earlier release rendered would let clones out.
        let apart = |environment: &String| {
            let policy = cluster.rendered.get(&object("NetworkPolicy", environment, names::ALLOW_EGRESS));
            policy.is_none_or(|policy| render::spares_clones(&json!({"spec": policy.data["spec"]})))
        };
        self.addressed
            && self.environments().iter().all(apart)
            && self.clones.before.iter().all(|manifest| cluster.rendered.get(&name_of(manifest)).is_some())
    }

    /// The clones as they stand.
    pub(super) fn seen(&self, cluster: &Cluster) -> Vec<DrilledClone> {
        let seen = |clone: &render::ComponentClone| {
            let found = cluster.rendered.get(&name_of(&clone.deployment));
            let number =
                |path: &str| found.as_ref().and_then(|found| found.data.pointer(path)?.as_i64()).unwrap_or_default();
            let generation = found.as_ref().and_then(|found| found.metadata.generation).unwrap_or(i64::MAX);
            let ready =
                if number("/status/observedGeneration") >= generation { number("/status/readyReplicas") } else { 0 };
            DrilledClone {
                environment: clone.environment.clone(),
                application: clone.application.clone(),
                component: clone.component.clone(),
                deployment: clone.deployment.name().to_owned(),
                wanted: clone.wanted,
                ready: i32::try_from(ready).unwrap_or(i32::MAX),
                said: found.map(|found| said(&found.data)).unwrap_or_default(),
            }
        };
        let mut all: Vec<DrilledClone> = self.clones.clones.iter().map(seen).collect();
        // One that is ready no more says nothing that matters.
        all.iter_mut().filter(|clone| clone.ready >= clone.wanted).for_each(|clone| clone.said.clear());
        all
    }

    /// Makes what clones need.
    pub(super) async fn prepare(&self, context: &Context, drill: &str, group: &str) {
        make(context, drill, group, &self.clones.before).await;
    }

    /// Makes the clones.
    pub(super) async fn start(&self, context: &Context, drill: &str, group: &str) {
        let deployments: Vec<Manifest> = self.clones.clones.iter().map(|clone| clone.deployment.clone()).collect();
        make(context, drill, group, &deployments).await;
    }
}

/// What a Deployment's conditions say of pods that are not there or not ready.
fn said(deployment: &serde_json::Value) -> String {
    let conditions = deployment.pointer("/status/conditions").and_then(serde_json::Value::as_array);
    let holds = |of: &str, status: &str| {
        conditions.into_iter().flatten().find(|condition| condition["type"] == of && condition["status"] == status)
    };
    let found = holds("ReplicaFailure", "True").or_else(|| holds("Progressing", "False"));
    found.and_then(|condition| condition["message"].as_str()).unwrap_or_default().chars().take(300).collect()
}

/// Applies objects in their order, until a real move begins.
async fn make(context: &Context, drill: &str, group: &str, manifests: &[Manifest]) {
    for manifest in manifests {
        if context.link.board().moving().contains(group) {
            return;
        }
        context.drills.lock().objects.entry(drill.to_owned()).or_default().insert(name_of(manifest));
        match context.cluster.apply(MANAGER, &names::drill_owner(drill), manifest).await {
            Ok(_) => {}
            Err(error) if error.is_passing() => {
                tracing::debug!(drill, group, error = %Chain(&error), "not made for the drill yet");
                return;
            }
            Err(error) => {
                tracing::warn!(drill, group, error = %Chain(&error), "not made for the drill");
                forget_unless_ours(&context.drills, drill, &error);
                let cause = Cause::ObjectRefused { why: error.to_string() };
                context.drills.lock().refused.insert(drill.to_owned(), cause);
                return;
            }
        }
    }
}

/// What belongs to somebody else is not swept.
fn forget_unless_ours(drills: &Drills, drill: &str, error: &ApplyError) {
    if let ApplyError::NotOurs { object, .. } = error
        && let Some(objects) = drills.lock().objects.get_mut(drill)
    {
        objects.remove(object);
    }
}

/// Whether something of a drill is left here.
pub(super) fn left(context: &Context, drill: &str) -> bool {
    let made = context.drills.lock().objects.get(drill).is_some_and(|objects| !objects.is_empty());
    made || !context.cluster.rendered.owned_by(&names::drill_owner(drill)).is_empty()
}

/// Takes away everything of a drill; what cannot be taken away now is for the next time.
pub(super) async fn sweep(context: &Context, drill: &str) {
    let seen = context.cluster.rendered.owned_by(&names::drill_owner(drill));
    let mut all: BTreeSet<ObjectName> = seen.into_iter().map(|(name, _)| name).collect();
    all.extend(context.drills.lock().objects.get(drill).into_iter().flatten().cloned());
    // The clones first; their isolation last. Pods that take a moment to end are under the environment's own policy, which denies
    // them all that the isolation did not allow.
    let mut order: Vec<ObjectName> = all.into_iter().collect();
    order.sort_by_key(|name| (name.kind == "NetworkPolicy", name.kind != "Deployment"));
    for name in order {
        match context.cluster.take_away(&name).await {
            Ok(()) => {
                if let Some(objects) = context.drills.lock().objects.get_mut(drill) {
                    objects.remove(&name);
                }
            }
            Err(error) => tracing::warn!(drill, object = %name, error = %Chain(&error), "not taken away yet"),
        }
    }
}
