//! Resources into a cluster, by server-side apply: units first, then environments, then each application once the operator
//! has made its namespace.

use super::build::Resources;
use super::known::Known;
use super::progress::Progress;
use super::retry::{RequestError, is_ownership_conflict, retrying};
use futures::stream::{self, StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, ListParams, Patch, PatchParams};
use kube::{Client, Resource};
use serde::de::DeserializeOwned;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::time::{Duration, Instant};
use tandem_crds::status::READY;
use tandem_crds::{Application, Environment, SecurityProfile, TandemKind, Unit};

/// The field manager that owns what an import writes.
pub const FIELD_MANAGER: &str = "tandem-import";
/// The label of namespaces that Tandem manages.
const MANAGED: &str = "tandem.dev/managed=true";
const POLL: Duration = Duration::from_millis(500);

/// Why an import stopped. What was applied before stays; running it again goes on from there.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// Tandem's kinds are not there.
    #[error("the cluster does not know Tandem's {0}: install Tandem's CustomResourceDefinitions first")]
    NotInstalled(&'static str),
    /// A list could not be read.
    #[error("cannot read the cluster's {kind}")]
    List {
        /// What was to be listed.
        kind: &'static str,
        /// Why.
        source: RequestError,
    },
    /// Others own fields of an object.
    #[error("{object} was changed by somebody else ({detail}); --force-conflicts overwrites that")]
    Owned {
        /// The object.
        object: String,
        /// Who owns which field.
        detail: String,
    },
    /// An object could not be applied.
    #[error("cannot apply {object}")]
    Apply {
        /// The object.
        object: String,
        /// Why.
        source: RequestError,
    },
    /// The operator made no namespaces for some environments.
    #[error(
        "after {waited} s there is still no namespace for {missing}; is Tandem's operator running, and does this site have authority? {reasons}"
    )]
    NoNamespace {
        /// How long was waited, in seconds.
        waited: u64,
        /// The environments.
        missing: String,
        /// What the environments' status says.
        reasons: String,
    },
}

/// How to apply.
#[derive(Clone, Copy, Debug)]
pub struct How {
    /// Take over fields that others own.
    pub force: bool,
    /// How many requests may be under way at once.
    pub concurrency: usize,
    /// How long to wait for namespaces.
    pub timeout: Duration,
}

/// What became of the objects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// They were not there before.
    pub created: usize,
    /// They were otherwise before.
    pub changed: usize,
    /// They were so already.
    pub unchanged: usize,
}

impl Counts {
    fn plus(mut self, other: Self) -> Self {
        self.created += other.created;
        self.changed += other.changed;
        self.unchanged += other.unchanged;
        self
    }

    /// In words.
    #[must_use]
    pub fn told(&self) -> String {
        format!("{} created, {} changed, {} unchanged", self.created, self.changed, self.unchanged)
    }
}

/// Reads what the cluster holds already.
///
/// # Errors
/// When the cluster cannot be read or does not know Tandem's kinds.
pub async fn look(client: &Client) -> Result<Known, ApplyError> {
    let (units, environments, applications, profiles) = futures::try_join!(
        list::<Unit>(client, "units"),
        list::<Environment>(client, "environments"),
        list::<Application>(client, "applications"),
        list::<SecurityProfile>(client, "securityprofiles"),
    )?;
    Ok(Known::new(units, environments, applications, &profiles))
}

async fn list<K>(client: &Client, kind: &'static str) -> Result<Vec<K>, ApplyError>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug,
{
    let api: Api<K> = Api::all(client.clone());
    match retrying(|| async { api.list(&ListParams::default()).await }).await {
        Ok(found) => Ok(found.items),
        Err(RequestError::Kube(kube::Error::Api(status))) if status.code == 404 => Err(ApplyError::NotInstalled(kind)),
        Err(source) => Err(ApplyError::List { kind, source }),
    }
}

/// Applies everything.
///
/// # Errors
/// At the first object that is refused for good; see [`ApplyError`].
pub async fn apply(client: &Client, resources: &Resources, known: &Known, how: How) -> Result<Counts, ApplyError> {
    let mut counts = Counts::default();
    // A parent before what belongs to it would be enough; but units are few, and order is easily kept by levels.
    let units = resources.units.iter().map(|unit| (Api::all(client.clone()), unit, known.units.get(name(unit))));
    counts = counts.plus(phase("units", units.collect(), how).await?);
    let environments = resources
        .environments
        .iter()
        .map(|environment| (Api::all(client.clone()), environment, known.environments.get(name(environment))));
    counts = counts.plus(phase("environments", environments.collect(), how).await?);
    Ok(counts.plus(applications(client, resources, known, how).await?))
}

async fn phase<K: TandemKind>(
    what: &'static str,
    objects: Vec<(Api<K>, &K, Option<&K>)>,
    how: How,
) -> Result<Counts, ApplyError> {
    let progress = Progress::begin(what, objects.len());
    let counts = batch(objects, how, &progress).await?;
    progress.end(&counts.told());
    Ok(counts)
}

async fn batch<K: TandemKind>(
    objects: Vec<(Api<K>, &K, Option<&K>)>,
    how: How,
    progress: &Progress,
) -> Result<Counts, ApplyError> {
    stream::iter(objects)
        .map(|(api, object, before)| async move {
            let counts = apply_one(&api, object, before, how.force).await;
            progress.step();
            counts
        })
        .buffer_unordered(how.concurrency.max(1))
        .try_fold(Counts::default(), |sum, one| async move { Ok(sum.plus(one)) })
        .await
}

/// Applies applications, those first whose namespace is there.
async fn applications(client: &Client, resources: &Resources, known: &Known, how: How) -> Result<Counts, ApplyError> {
    let progress = Progress::begin("applications", resources.applications.len());
    let mut waiting: BTreeMap<&str, Vec<&Application>> = BTreeMap::new();
    for application in &resources.applications {
        waiting.entry(application.metadata.namespace.as_deref().unwrap_or_default()).or_default().push(application);
    }
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let mut counts = Counts::default();
    let mut last_change = Instant::now();
    while !waiting.is_empty() {
        let there = active_namespaces(&namespaces).await?;
        let ready: Vec<&str> = waiting.keys().copied().filter(|name| there.contains(*name)).collect();
        if ready.is_empty() {
            if last_change.elapsed() >= how.timeout {
                return Err(no_namespace(client, how.timeout, &waiting).await);
            }
            tokio::time::sleep(POLL).await;
            continue;
        }
        let mut objects = Vec::new();
        for namespace in ready {
            for application in waiting.remove(namespace).unwrap_or_default() {
                let key = (namespace.to_owned(), name(application).to_owned());
                objects.push((Api::namespaced(client.clone(), namespace), application, known.applications.get(&key)));
            }
        }
        counts = counts.plus(batch(objects, how, &progress).await?);
        last_change = Instant::now();
    }
    progress.end(&counts.told());
    Ok(counts)
}

async fn active_namespaces(api: &Api<Namespace>) -> Result<BTreeSet<String>, ApplyError> {
    let params = ListParams::default().labels(MANAGED);
    let found = retrying(|| async { api.list(&params).await })
        .await
        .map_err(|source| ApplyError::List { kind: "namespaces", source })?;
    Ok(found
        .items
        .into_iter()
        .filter(|namespace| namespace.metadata.deletion_timestamp.is_none())
        .filter_map(|namespace| namespace.metadata.name)
        .collect())
}

async fn no_namespace(client: &Client, waited: Duration, waiting: &BTreeMap<&str, Vec<&Application>>) -> ApplyError {
    const SHOWN: usize = 5;
    let mut missing: Vec<&str> = waiting.keys().copied().take(SHOWN).collect();
    let more = waiting.len().saturating_sub(SHOWN);
    let more_text = format!("{more} more");
    if more > 0 {
        missing.push(&more_text);
    }
    // The reasons are a help, not the error: without them it is told all the same.
    let environments = list::<Environment>(client, "environments").await.unwrap_or_default();
    let reasons: Vec<String> = environments
        .iter()
        .filter(|environment| waiting.contains_key(name(*environment)))
        .filter_map(|environment| {
            let conditions = &environment.status.as_ref()?.conditions;
            let ready = conditions.iter().find(|condition| condition.type_ == READY && condition.status != "True")?;
            Some(format!("{}: {} {}", name(environment), ready.reason, ready.message))
        })
        .take(SHOWN)
        .collect();
    let reasons = if reasons.is_empty() {
        "Their status says nothing yet.".to_owned()
    } else {
        format!("Their status says: {}", reasons.join("; "))
    };
    ApplyError::NoNamespace { waited: waited.as_secs(), missing: missing.join(", "), reasons }
}

async fn apply_one<K: TandemKind>(
    api: &Api<K>,
    object: &K,
    before: Option<&K>,
    force: bool,
) -> Result<Counts, ApplyError> {
    if before.is_some_and(|before| before.meta().deletion_timestamp.is_none() && same(before, object)) {
        return Ok(Counts { unchanged: 1, ..Counts::default() });
    }
    let mut params = PatchParams::apply(FIELD_MANAGER);
    params.force = force;
    let patch = Patch::Apply(object);
    let told = || match &object.meta().namespace {
        Some(namespace) => format!("{} {namespace}/{}", K::KIND, name(object)),
        None => format!("{} {}", K::KIND, name(object)),
    };
    let after =
        retrying(|| async { api.patch(name(object), &params, &patch).await }).await.map_err(
            |source| match &source {
                RequestError::Kube(error @ kube::Error::Api(status)) if is_ownership_conflict(error) => {
                    ApplyError::Owned { object: told(), detail: status.message.clone() }
                }
                _ => ApplyError::Apply { object: told(), source },
            },
        )?;
    Ok(match before {
        None => Counts { created: 1, ..Counts::default() },
        Some(before) if before.meta().resource_version == after.meta().resource_version => {
            Counts { unchanged: 1, ..Counts::default() }
        }
        Some(_) => Counts { changed: 1, ..Counts::default() },
    })
}

/// Whether an object of the cluster says already what is wanted; its id, which Tandem mints, does not count.
fn same<K: TandemKind>(before: &K, wanted: &K) -> bool {
    let spec = |object: &K| {
        let mut spec = serde_json::to_value(object.spec()).unwrap_or_default();
        if let Some(fields) = spec.as_object_mut() {
            fields.remove("id");
        }
        spec
    };
    spec(before) == spec(wanted)
}

fn name<K: TandemKind>(object: &K) -> &str {
    object.meta().name.as_deref().unwrap_or_default()
}
