//! `tandem units`, `tandem env` and `tandem app`: what there is, and one of it in detail.
//!
//! For programs an object is written as the cluster has it, with fields that this release does not know, and without
//! `managedFields`.

mod application;
pub mod args;
mod environment;
mod read;
#[cfg(test)]
mod tests;
mod unit;
mod used;

pub use application::{detail as application_detail, table as application_table};
pub use environment::{detail as environment_detail, table as environment_table};
pub use unit::{detail as unit_detail, table as unit_table};
pub use used::{Used, used};

use crate::cluster::{self, ClusterError};
use crate::exit::Exit;
use crate::failover::api::{self, ApiError};
use crate::failover::table;
use crate::language::Lang;
use crate::output::Output;
use crate::ready;
use args::{AppArgs, EnvArgs, UnitsArgs};
use kube::{Client, ResourceExt};
use read::{Object, get, list, write_list, write_one};
use std::collections::BTreeSet;
use tandem_crds::status::SiteStatus;
use tandem_crds::{Application, Environment, FailoverGroup, TandemKind, Unit};

/// Why something cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum ShowError {
    /// There is no way to the cluster.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// The cluster refused or did not answer.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// An object is of another release.
    #[error("{kind} {name} cannot be read by this release of tandem; -o yaml shows it as it is")]
    Decode {
        /// The kind.
        kind: &'static str,
        /// The object.
        name: String,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// An application is named without its environment.
    #[error("'{0}' names no application: give ENVIRONMENT/NAME, such as health-prod/hall; `tandem app` lists them")]
    Name(String),
}

impl ShowError {
    /// The exit code.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::Name(_) => Exit::Usage,
            Self::Cluster(_) | Self::Api(_) | Self::Decode { .. } => Exit::Cluster,
        }
    }
}

/// `tandem units`.
///
/// # Errors
/// When the cluster cannot be reached or read, or has no such unit.
pub async fn units(args: &UnitsArgs, lang: Lang) -> Result<Exit, ShowError> {
    let client = cluster::connect(&args.cluster).await?;
    let Some(name) = &args.name else {
        let mut found = list::<Unit>(&client).await?;
        found.retain(|object| !args.not_ready || ready::why_not(&object.read).is_some());
        write_list(args.output, &found, |all| unit::table(all, args.output == Output::Wide, lang));
        return Ok(Exit::Ok);
    };
    let found = get::<Unit>(&client, None, name).await?;
    if !write_one(args.output, &found) {
        let (environments, used) = tokio::join!(api::list::<Environment>(&client), used(&client));
        let mut environments = environments?;
        environments.retain(|environment| environment.spec.unit == *name);
        crate::output::result(&unit::detail(&found.read, &environments, used.as_ref(), lang));
    }
    Ok(Exit::Ok)
}

/// `tandem env`.
///
/// # Errors
/// When the cluster cannot be reached or read, or has no such environment.
pub async fn environments(args: &EnvArgs, lang: Lang) -> Result<Exit, ShowError> {
    let client = cluster::connect(&args.cluster).await?;
    let Some(name) = &args.name else {
        let mut found = list::<Environment>(&client).await?;
        found.retain(|object| {
            let of_unit = args.unit.as_ref().is_none_or(|unit| object.read.spec.unit == *unit);
            of_unit && (!args.not_ready || ready::why_not(&object.read).is_some())
        });
        write_list(args.output, &found, |all| environment::table(all, args.output == Output::Wide, lang));
        return Ok(Exit::Ok);
    };
    let found = get::<Environment>(&client, None, name).await?;
    if !write_one(args.output, &found) {
        let (applications, used) = tokio::join!(api::list_everywhere::<Application>(&client), used(&client));
        let mut applications = applications?;
        applications.retain(|application| application.namespace().as_ref() == Some(name));
        crate::output::result(&environment::detail(&found.read, &applications, used.as_ref(), lang));
    }
    Ok(Exit::Ok)
}

/// `tandem app`.
///
/// # Errors
/// When the cluster cannot be reached or read, or has no such application.
pub async fn applications(args: &AppArgs, lang: Lang) -> Result<Exit, ShowError> {
    let client = cluster::connect(&args.cluster).await?;
    let Some(full) = &args.name else {
        let found = list_applications(&client, args).await?;
        write_list(args.output, &found, |all| application::table(all, args.output == Output::Wide, lang));
        return Ok(Exit::Ok);
    };
    let (namespace, name) = full.split_once('/').ok_or_else(|| ShowError::Name(full.clone()))?;
    let found = get::<Application>(&client, Some(namespace), name).await?;
    if !write_one(args.output, &found) {
        // Without the group the application can be shown as well.
        let group = match found.read.status.as_ref().and_then(|status| status.failover_group.as_deref()) {
            Some(group) => api::get::<FailoverGroup>(&client, group).await.ok(),
            None => None,
        };
        crate::output::result(&application::detail(&found.read, group.as_ref(), lang));
    }
    Ok(Exit::Ok)
}

async fn list_applications(client: &Client, args: &AppArgs) -> Result<Vec<Object<Application>>, ShowError> {
    let mut found = list::<Application>(client).await?;
    let of_unit: Option<BTreeSet<String>> = match &args.unit {
        None => None,
        Some(unit) => {
            let environments = api::list::<Environment>(client).await?;
            Some(environments.iter().filter(|one| one.spec.unit == *unit).map(ResourceExt::name_any).collect())
        }
    };
    found.retain(|object| {
        let namespace = object.read.namespace().unwrap_or_default();
        of_unit.as_ref().is_none_or(|names| names.contains(&namespace))
            && args.env.as_ref().is_none_or(|env| *env == namespace)
            && (!args.not_ready || ready::why_not(&object.read).is_some())
    });
    Ok(found)
}

/// `yes`, or why not in one word.
fn ready_cells<K: TandemKind>(object: &K, wide: bool, lang: Lang) -> [String; 2] {
    match ready::why_not(object) {
        None => [lang.say("yes", "是").to_owned(), String::new()],
        Some(why) if wide => [lang.say("no", "否").to_owned(), format!("{}: {}", why.reason, why.message)],
        Some(why) => [lang.say("no", "否").to_owned(), why.reason],
    }
}

/// What each site says.
fn sites(sites: &[SiteStatus], lang: Lang) -> String {
    if sites.is_empty() {
        return format!("{}\n", lang.say("No site has reported yet.", "尚无站点上报。"));
    }
    let mut table = table::table(lang.say(["SITE", "READY", "PODS", "WHY"], ["站点", "就绪", "容器组", "原因"]));
    for site in sites {
        let why = if site.ready { String::new() } else { format!("{}: {}", site.reason, site.message) };
        table.add_row([
            site.site.clone(),
            if site.ready { lang.say("yes", "是") } else { lang.say("no", "否") }.to_owned(),
            site.pods.map(|pods| format!("{}/{}", pods.ready, pods.wanted)).unwrap_or_default(),
            why,
        ]);
    }
    table::text(&table)
}

/// Names and values, one a line; those without a value are left out.
fn facts(facts: &[(&str, String)]) -> String {
    let mut table = table::bare();
    for (name, value) in facts.iter().filter(|(_, value)| !value.is_empty()) {
        table.add_row([*name, value.as_str()]);
    }
    table::text(&table)
}

fn yes_no(value: bool, lang: Lang) -> String {
    if value { lang.say("yes", "是") } else { lang.say("no", "否") }.to_owned()
}

/// A name for people.
fn called(name: &tandem_crds::DisplayName, lang: Lang) -> String {
    match (&name.en, lang) {
        (Some(english), Lang::En) => english.clone(),
        _ => name.zh.clone(),
    }
}
