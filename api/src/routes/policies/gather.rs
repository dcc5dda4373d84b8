//! What binds, read: of each object what is published and the versions that are kept.
//!
//! What a unit has is known from this site's objects; what holds is what the arbiter has of them. An edit here that was refused is
//! not in force.

use crate::coordination::Coordination;
use crate::problem::Problem;
use crate::state::AppState;
use futures::stream::{self, StreamExt, TryStreamExt};
use kube::ResourceExt;
use std::collections::BTreeSet;
use tandem_core::policy::{Kept, Objects, Subject, Text, binding, profiles_named};
use tandem_core::sync::ObjectKey;
use tandem_crds::Kind;

/// How many objects are read at once.
const AT_ONCE: usize = 8;

/// What binds, and what a reader has to know besides.
pub(super) struct Gathered {
    pub(super) objects: Objects,
    pub(super) notes: Vec<Text>,
}

/// Everything that binds a unit or an environment; with what has gone since, where the past is asked for.
pub(super) async fn gather(state: &AppState, subject: &Subject, past: bool) -> Result<Gathered, Problem> {
    let here = here(state, subject)?;
    let gone = if past { gone(&*state.coordination, subject).await? } else { BTreeSet::new() };
    let mut objects = read(&*state.coordination, here.union(&gone).cloned().collect()).await?;
    let profiles = profiles_named(&objects).into_iter().map(|name| ObjectKey::cluster(Kind::SecurityProfile, name));
    objects.extend(read(&*state.coordination, profiles.collect()).await?);
    let waits = |key: &&ObjectKey| key.kind != Kind::Unit && objects[*key].now.is_none();
    let notes = here.iter().filter(waits).map(waiting).collect();
    Ok(Gathered { objects, notes })
}

fn waiting(key: &ObjectKey) -> Text {
    let name = key.namespace.iter().chain([&key.name]).cloned().collect::<Vec<_>>().join("/");
    Text::new(
        format!("{} {name} is not published, so that nothing of it is in force; its status says why.", key.kind),
        format!("{} {name} 尚未发布，因而没有任何规则生效；原因见其状态。", key.kind),
    )
}

/// What there is at this site.
fn here(state: &AppState, subject: &Subject) -> Result<BTreeSet<ObjectKey>, Problem> {
    let environments: BTreeSet<String> = state
        .objects
        .environments()?
        .iter()
        .filter(|environment| environment.spec.unit == subject.unit)
        .map(|environment| environment.name_any())
        .filter(|name| subject.environment.as_ref().is_none_or(|only| only == name))
        .collect();
    let applications = state.objects.applications()?;
    let applications = applications.iter().filter_map(|application| {
        let environment = application.namespace().filter(|namespace| environments.contains(namespace))?;
        Some(ObjectKey::namespaced(Kind::Application, environment, application.name_any()))
    });
    let mut keys: BTreeSet<ObjectKey> = applications.collect();
    keys.insert(ObjectKey::cluster(Kind::Unit, &*subject.unit));
    keys.extend(environments.iter().map(|name| ObjectKey::cluster(Kind::Environment, &**name)));
    Ok(keys)
}

/// What there was, as far as versions tell.
async fn gone(coordination: &dyn Coordination, subject: &Subject) -> Result<BTreeSet<ObjectKey>, Problem> {
    let environments: BTreeSet<ObjectKey> = coordination
        .versions_of(Kind::Environment)
        .await?
        .into_iter()
        .filter(|(key, _)| subject.environment.as_ref().is_none_or(|only| *only == key.name))
        .filter(|(_, versions)| {
            let mut says = versions.iter().filter_map(|version| version.value.says.as_ref());
            says.any(|says| says.get("unit").and_then(|unit| unit.as_str()) == Some(&*subject.unit))
        })
        .map(|(key, _)| key)
        .collect();
    let within = |key: &ObjectKey| {
        key.namespace
            .as_ref()
            .is_some_and(|namespace| environments.contains(&ObjectKey::cluster(Kind::Environment, &**namespace)))
    };
    let applications = coordination.versions_of(Kind::Application).await?.into_keys().filter(within);
    let mut keys: BTreeSet<ObjectKey> = applications.collect();
    keys.extend(environments);
    Ok(keys)
}

async fn read(coordination: &dyn Coordination, keys: Vec<ObjectKey>) -> Result<Objects, Problem> {
    let one = |key: ObjectKey| async move {
        let published = coordination.published(&key).await?;
        let versions = coordination.versions(&key).await?;
        let now = published.and_then(|published| binding(key.kind, &published.spec));
        Ok((key, Kept { now, versions }))
    };
    stream::iter(keys).map(one).buffer_unordered(AT_ONCE).try_collect().await
}
