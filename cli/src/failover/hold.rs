//! Holds: what forbids promotions, at whichever site it is set.
//!
//! The command line writes an annotation at the site that it is given; that site's operator puts the hold into the arbiter,
//! where every promotion compares it.

use super::api::{self, ApiError};
use super::args::HoldScope;
use super::table;
use super::who::{self, Chosen};
use crate::args::ClusterArgs;
use crate::language::Lang;
use kube::{Client, ResourceExt};
use serde::Serialize;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use tandem_core::plan::View;
use tandem_crds::{DataCentre, FailoverGroup, HOLD, HOLD_ALL, HOLD_ALL_CLEAR, HOLD_CLEAR};

/// Why a hold was not set or lifted.
#[derive(Debug, thiserror::Error)]
pub enum HoldError {
    /// Which site this is, is not known.
    #[error("which site this cluster is cannot be told from the context's or the cluster's name: say --here {0}")]
    WhichSite(String),
    /// There is nothing to lift.
    #[error("{0} is not held, as far as this site can tell: `tandem hold list` shows what is")]
    NotHeld(String),
    /// The site's specification holds it.
    #[error(
        "{0} is held by its specification: kubectl patch datacentre {0} --type merge -p '{{\"spec\":{{\"hold\":false}}}}', \
         at the site with authority"
    )]
    BySpec(String),
    /// The cluster refused or did not answer.
    #[error(transparent)]
    Api(#[from] ApiError),
}

/// Where a hold's annotation goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// The group's object.
    Group(String),
    /// The site's object.
    Site(String),
    /// The object of the site that one is connected to; holds everything.
    All(String),
}

impl Target {
    /// The hold's scope, as it stands in the arbiter.
    #[must_use]
    pub fn scope(&self) -> String {
        match self {
            Self::Group(group) => format!("group/{group}"),
            Self::Site(site) => format!("site/{site}"),
            Self::All(_) => "all".to_owned(),
        }
    }

    /// The annotations that set it, and that lift it where it was set at the other site.
    fn annotations(&self) -> (&'static str, &'static str) {
        match self {
            Self::Group(_) | Self::Site(_) => (HOLD, HOLD_CLEAR),
            Self::All(_) => (HOLD_ALL, HOLD_ALL_CLEAR),
        }
    }
}

/// A hold, as this site shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Hold {
    /// Its scope: `group/…`, `site/…` or `all`.
    pub scope: String,
    /// Why; empty where this site does not know.
    pub reason: String,
    /// Who set it; empty where this site does not know.
    pub by: String,
    /// It is in the arbiter, and not only asked for at this site.
    pub in_force: bool,
}

/// Where the annotation of a hold of this scope goes.
///
/// # Errors
/// For a hold of everything: when it cannot be told which site one is connected to.
pub async fn target(
    client: &Client,
    scope: &HoldScope,
    here: Option<&str>,
    cluster: &ClusterArgs,
) -> Result<Target, HoldError> {
    if let Some(group) = &scope.group {
        return Ok(Target::Group(group.clone()));
    }
    if let Some(site) = &scope.site {
        return Ok(Target::Site(site.clone()));
    }
    if let Some(here) = here {
        return Ok(Target::All(here.to_owned()));
    }
    let sites: BTreeSet<String> = api::list::<DataCentre>(client).await?.iter().map(ResourceExt::name_any).collect();
    let chosen = who::chosen(cluster);
    own_site(&sites, chosen.as_ref())
        .map(Target::All)
        .ok_or_else(|| HoldError::WhichSite(sites.into_iter().collect::<Vec<_>>().join("|")))
}

/// The site that bears the context's name, or else the cluster's.
fn own_site(sites: &BTreeSet<String>, chosen: Option<&Chosen>) -> Option<String> {
    let chosen = chosen?;
    [&chosen.context, &chosen.cluster].into_iter().find(|name| sites.contains(*name)).cloned()
}

/// Sets a hold.
///
/// # Errors
/// When its object is not there, or the API server refuses.
pub async fn set(client: &Client, target: &Target, reason: &str, lang: Lang) -> Result<String, HoldError> {
    let (hold, clear) = target.annotations();
    // A wish to lift it that still stands would lift it again.
    let annotations = [(hold, Some(reason)), (clear, None)];
    annotate(client, target, &annotations.into_iter().collect()).await?;
    let scope = target.scope();
    Ok(match lang {
        Lang::En => format!("hold {scope} asked for; `tandem hold list` shows when it is in force\n"),
        Lang::Zh => format!("已要求冻结 {scope}；生效情况见 tandem hold list\n"),
    })
}

/// Lifts a hold, also one that was set at the other site.
///
/// # Errors
/// When there is none, its object is not there, or the API server refuses.
pub async fn clear(client: &Client, target: &Target, lang: Lang) -> Result<String, HoldError> {
    let (hold, clear) = target.annotations();
    let (annotations, in_arbiter) = match target {
        Target::Group(name) => {
            let group: FailoverGroup = api::get(client, name).await?;
            let seen = group.status.as_ref().and_then(|status| status.hold.clone());
            (group.annotations().clone(), seen.is_some_and(|scope| scope == target.scope()))
        }
        Target::Site(name) | Target::All(name) => {
            let site: DataCentre = api::get(client, name).await?;
            if matches!(target, Target::Site(_)) && site.spec.hold {
                return Err(HoldError::BySpec(name.clone()));
            }
            let holds = site.status.as_ref().map(|status| status.holds.clone()).unwrap_or_default();
            (site.annotations().clone(), holds.iter().any(|hold| hold.scope == target.scope()))
        }
    };
    let here = annotations.contains_key(hold);
    // A site's status may not tell of a hold that was set at the other one a moment ago, and asking to lift what is not
    // there does no harm; only for a group the status is sure to tell.
    if !here && !in_arbiter && matches!(target, Target::Group(_)) {
        return Err(HoldError::NotHeld(target.scope()));
    }
    let wish = if here { None } else { Some("true") };
    annotate(client, target, &BTreeMap::from([(hold, None), (clear, wish)])).await?;
    let scope = target.scope();
    Ok(match (here, lang) {
        (true, Lang::En) => format!("hold {scope} lifted here\n"),
        (true, Lang::Zh) => format!("已在本站点解除冻结 {scope}\n"),
        (false, Lang::En) => {
            format!("hold {scope} was not set here; the operator is asked to lift it in the arbiter\n")
        }
        (false, Lang::Zh) => format!("冻结 {scope} 并非在本站点设置；已要求本站点在仲裁中解除\n"),
    })
}

async fn annotate(
    client: &Client,
    target: &Target,
    annotations: &BTreeMap<&str, Option<&str>>,
) -> Result<(), ApiError> {
    let patch = json!({"metadata": {"annotations": annotations}});
    match target {
        Target::Group(name) => api::merge::<FailoverGroup>(client, name, &patch).await.map(drop),
        Target::Site(name) | Target::All(name) => api::merge::<DataCentre>(client, name, &patch).await.map(drop),
    }
}

/// What is held, as this site shows it.
#[must_use]
pub fn list(view: &View) -> Vec<Hold> {
    let mut holds: BTreeMap<String, Hold> = BTreeMap::new();
    let mut add = |scope: String, reason: &str, by: &str, in_force: bool| {
        let hold = holds.entry(scope.clone()).or_insert_with(|| Hold {
            scope,
            reason: String::new(),
            by: String::new(),
            in_force: false,
        });
        hold.in_force |= in_force;
        if hold.reason.is_empty() {
            reason.clone_into(&mut hold.reason);
        }
        if hold.by.is_empty() {
            by.clone_into(&mut hold.by);
        }
    };
    for (name, site) in &view.sites {
        for hold in site.status.iter().flat_map(|status| &status.holds) {
            add(hold.scope.clone(), &hold.reason, &hold.by, true);
        }
        if let Some(reason) = site.annotations().get(HOLD_ALL) {
            add("all".to_owned(), reason, "", false);
        }
        if let Some(reason) = site.annotations().get(HOLD) {
            add(format!("site/{name}"), reason, "", false);
        }
        if site.spec.hold {
            add(format!("site/{name}"), "spec.hold", "", false);
        }
    }
    for (name, group) in &view.groups {
        if let Some(scope) = group.status.as_ref().and_then(|status| status.hold.clone()) {
            add(scope, "", "", true);
        }
        if let Some(reason) = group.annotations().get(HOLD) {
            add(format!("group/{name}"), reason, "", false);
        }
    }
    holds.into_values().collect()
}

/// Holds for people.
#[must_use]
pub fn table(holds: &[Hold], lang: Lang) -> String {
    if holds.is_empty() {
        return format!("{}\n", lang.say("Nothing is held.", "没有冻结。"));
    }
    let mut table = table::table(lang.say(["HOLD", "IN FORCE", "BY", "REASON"], ["冻结", "已生效", "设置人", "原因"]));
    for hold in holds {
        let in_force = if hold.in_force { lang.say("yes", "是") } else { lang.say("not yet", "尚未") };
        table.add_row([hold.scope.as_str(), in_force, &hold.by, &hold.reason]);
    }
    table::text(&table)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ones_own_site_is_known_by_the_names_in_the_kubeconfig() {
        let sites = BTreeSet::from(["dc-a".to_owned(), "dc-b".to_owned()]);
        let chosen =
            |context: &str, cluster: &str| Chosen { context: context.into(), cluster: cluster.into(), user: None };
        assert_eq!(own_site(&sites, Some(&chosen("dc-b", "x"))).as_deref(), Some("dc-b"));
        assert_eq!(own_site(&sites, Some(&chosen("admin@b", "dc-b"))).as_deref(), Some("dc-b"));
        assert_eq!(own_site(&sites, Some(&chosen("admin@b", "x"))), None);
        assert_eq!(own_site(&sites, None), None);
    }
}
