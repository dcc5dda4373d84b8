//! What a site's API shows of sites and groups.

use crate::failover::PLATFORM;
use crate::names::default_group;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::ResourceExt;
use std::collections::{BTreeMap, BTreeSet};
use tandem_crds::status::{READY, Reason};
use tandem_crds::{
    Application, DataCentre, Environment, FailoverGroup, FailoverSelector, HOLD, HOLD_ALL, PAUSED_CONDITION, Preference,
};

/// What a site's API shows of sites and groups.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// The sites, by name.
    pub sites: BTreeMap<String, DataCentre>,
    /// The groups, by name. `platform` has no object and is not here.
    pub groups: BTreeMap<String, FailoverGroup>,
    /// The groups of each unit that was asked for.
    pub units: BTreeMap<String, BTreeSet<String>>,
}

impl View {
    /// A view of these.
    #[must_use]
    pub fn new(sites: Vec<DataCentre>, groups: Vec<FailoverGroup>) -> Self {
        Self {
            sites: sites.into_iter().map(|site| (site.name_any(), site)).collect(),
            groups: groups.into_iter().map(|group| (group.name_any(), group)).collect(),
            units: BTreeMap::new(),
        }
    }

    /// The same with the groups of a unit's applications: from all environments and all applications. A unit without
    /// environments is none.
    #[must_use]
    pub fn with_unit<'a>(
        mut self,
        unit: &str,
        environments: impl IntoIterator<Item = &'a Environment>,
        applications: impl IntoIterator<Item = &'a Application>,
    ) -> Self {
        let own: BTreeSet<String> = environments
            .into_iter()
            .filter(|environment| environment.spec.unit == unit)
            .map(ResourceExt::name_any)
            .collect();
        if own.is_empty() {
            return self;
        }
        let group = |application: &Application| {
            let namespace = application.namespace().unwrap_or_default();
            own.contains(&namespace).then(|| {
                let named = application.spec.failover_group.clone();
                named.unwrap_or_else(|| default_group(&namespace, &application.name_any()))
            })
        };
        let groups = applications.into_iter().filter_map(group).collect();
        self.units.insert(unit.to_owned(), groups);
        self
    }

    /// Where a group is active, by its record; for `platform`, the site that publishes.
    #[must_use]
    pub fn active(&self, group: &str) -> Option<&str> {
        if group == PLATFORM {
            return self.authority();
        }
        self.groups.get(group)?.status.as_ref()?.active_site.as_deref()
    }

    /// The site that publishes; nothing where none or more than one says so of itself.
    #[must_use]
    pub fn authority(&self) -> Option<&str> {
        let mut says = self.sites.iter().filter(|(_, site)| site.status.as_ref().is_some_and(|s| s.authority));
        let (name, _) = says.next()?;
        says.next().is_none().then_some(name.as_str())
    }

    /// The site that is preferred, where there is just one.
    #[must_use]
    pub fn preferred(&self) -> Option<&str> {
        let mut preferred = self.sites.iter().filter(|(_, site)| site.spec.preference == Preference::Primary);
        let (name, _) = preferred.next()?;
        preferred.next().is_none().then_some(name.as_str())
    }

    /// The site that is not this one, where there are two.
    #[must_use]
    pub fn other(&self, site: &str) -> Option<&str> {
        let mut others = self.sites.keys().filter(|name| *name != site);
        let other = others.next()?;
        others.next().is_none().then_some(other.as_str())
    }

    /// Whether a site is heard. Where its status does not say: whether it has named a replica.
    #[must_use]
    pub fn heard(&self, site: &str) -> bool {
        let status = self.sites.get(site).and_then(|site| site.status.as_ref());
        status.is_some_and(|status| status.heard.unwrap_or(!status.members.is_empty()))
    }

    /// What says that a site is paused: a condition of its own at its own cluster, or at the other site's that it is not ready.
    #[must_use]
    pub fn paused(&self, site: &str) -> Option<&Condition> {
        let mut conditions = self.sites.get(site)?.status.iter().flat_map(|status| &status.conditions);
        conditions.find(|condition| match condition.type_.as_str() {
            PAUSED_CONDITION => condition.status == "True",
            READY => condition.reason == Reason::Paused.as_str(),
            _ => false,
        })
    }

    /// The hold that keeps a group from being promoted at a site, as far as this site's API shows it.
    #[must_use]
    pub fn hold(&self, group: &str, to: &str) -> Option<String> {
        let object = self.groups.get(group);
        let own = object.filter(|group| group.annotations().contains_key(HOLD)).map(|_| format!("group/{group}"));
        let everything = || {
            let held = |site: &DataCentre| site.annotations().contains_key(HOLD_ALL);
            self.sites.values().any(held).then(|| "all".to_owned())
        };
        let site = self.sites.get(to);
        let target = || {
            let held = site.filter(|site| site.spec.hold || site.annotations().contains_key(HOLD));
            held.map(|_| format!("site/{to}"))
        };
        // What the arbiter has, as the operator last saw it.
        let of_group = || object?.status.as_ref()?.hold.clone();
        let of_site = || site?.status.as_ref()?.holds.first().map(|hold| hold.scope.clone());
        own.or_else(everything).or_else(target).or_else(of_group).or_else(of_site)
    }

    /// The groups that a selector names, `platform` among them where it covers a site or everything; also such as are not
    /// there.
    #[must_use]
    pub fn selected(&self, selector: &FailoverSelector) -> BTreeSet<String> {
        if let Some(unit) = &selector.unit {
            return self.units.get(unit).cloned().unwrap_or_default();
        }
        let everything = self.groups.keys().cloned().chain([PLATFORM.to_owned()]);
        match &selector.site {
            Some(site) => everything.filter(|group| self.active(group) == Some(site)).collect(),
            None if selector.all => everything.collect(),
            None => selector.groups.iter().cloned().collect(),
        }
    }
}
