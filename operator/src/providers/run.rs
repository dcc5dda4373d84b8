//! Looks at every group's service, and says what it found: to the gate, and in the arbiter to the other site.

use super::credentials::{self, Fresh, Made};
use super::{Entry, Heard, Provider, Providers, shown};
use crate::context::Context;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tandem_arbiter::gate::Provider as Shown;
use tandem_arbiter::hooks::State;
use tandem_arbiter::records::DataRecord;
use tandem_core::failover::{Reason, Role};
use tandem_core::sync::ObjectKey;
use tandem_crds::{FailoverGroupSpec, Kind, StateProvider};
use tandem_logs::Chain;
use tokio::task::JoinSet;

/// How often it is looked what is due, and how often a group that moves is looked at.
const TICK: Duration = Duration::from_millis(100);
/// How often it is looked which groups have data.
const GROUPS: Duration = Duration::from_secs(1);
/// How often a Secret is read that is of use, and one that is not.
const RENEW: Duration = Duration::from_secs(30);
const RENEW_SOON: Duration = Duration::from_secs(5);

/// When a group's service was looked at and told of, and is to be again.
#[derive(Debug, Default)]
pub(super) struct Looked {
    next: Duration,
    looking: bool,
    failing: Option<(Duration, String)>,
    silent: bool,
    made: Option<Made>,
    renewed: Option<Duration>,
    renewing: bool,
    told: Option<(Duration, Option<Shows>)>,
}

impl Looked {
    /// To be looked at with the next tick.
    pub(super) fn soon(&mut self) {
        self.next = Duration::ZERO;
    }
}

/// What of a report a move may hang on: role and position.
type Shows = (Role, Option<u64>);

/// A group to look at, and by what.
type Due = (String, Arc<dyn Provider>);

impl Providers {
    /// Has an entry for each of these groups and for no other.
    fn keep(&self, groups: &BTreeMap<String, FailoverGroupSpec>) -> Vec<String> {
        let mut entries = self.lock();
        let gone: Vec<String> = entries.keys().filter(|name| !groups.contains_key(*name)).cloned().collect();
        for name in &gone {
            entries.remove(name);
        }
        for name in groups.keys() {
            entries.entry(name.clone()).or_default();
        }
        gone
    }

    /// How each group is to be shown by the gate now: by what was last heard, unless that is older than `stale`.
    pub(super) fn shown(&self, now: Duration, stale: Duration) -> Vec<(String, Shown)> {
        let entries = self.lock();
        let of = |entry: &Entry| {
            let fresh = entry.heard.filter(|heard| now.saturating_sub(heard.at) < stale);
            fresh.map_or(Shown::Changing, |heard| shown(heard.state.role))
        };
        entries.iter().map(|(name, entry)| (name.clone(), of(entry))).collect()
    }

    /// The groups whose service is to be looked at now.
    fn due(&self, now: Duration, every: Duration, moving: &BTreeSet<String>) -> Vec<Due> {
        let mut due = Vec::new();
        for (name, entry) in self.lock().iter_mut() {
            let Some(provider) = &entry.provider else { continue };
            if entry.looked.looking || (now < entry.looked.next && !moving.contains(name)) {
                continue;
            }
            entry.looked.looking = true;
            entry.looked.next = now + every;
            due.push((name.clone(), Arc::clone(provider)));
        }
        due
    }

    /// The groups whose Secret is to be read now, and what their provider is made of.
    fn renewals(&self, now: Duration) -> Vec<(String, Option<Made>)> {
        let mut due = Vec::new();
        for (name, entry) in self.lock().iter_mut() {
            let wait = if entry.trouble.is_some() { RENEW_SOON } else { RENEW };
            let waits = entry.looked.renewed.is_some_and(|at| now < at + wait);
            if !entry.looked.renewing && !waits {
                entry.looked.renewing = true;
                due.push((name.clone(), entry.looked.made.clone()));
            }
        }
        due
    }

    /// Takes in what a service said to a question that was sent at this time. Says whether a move may hang on it.
    pub(super) fn heard(&self, group: &str, state: &State, sent: Duration) -> bool {
        let mut entries = self.lock();
        let Some(entry) = entries.get_mut(group) else { return false };
        entry.looked.looking = false;
        (entry.looked.failing, entry.looked.silent) = (None, false);
        // Asked before a call that has been answered meanwhile.
        if entry.heard.is_some_and(|heard| heard.at > sent) {
            return false;
        }
        let before = entry.heard.replace(Heard { state: *state, at: sent });
        before.is_none_or(|before| (before.state.role, before.state.position) != (state.role, state.position))
    }

    /// Takes in that a service did not say how its data stands. Once that has lasted for `patience`, people are told.
    pub(super) fn failed(&self, group: &str, why: String, now: Duration, patience: Duration) {
        let mut entries = self.lock();
        let Some(entry) = entries.get_mut(group) else { return };
        entry.looked.looking = false;
        let since = entry.looked.failing.as_ref().map_or(now, |(since, _)| *since);
        entry.looked.failing = Some((since, why));
        entry.looked.silent = now.saturating_sub(since) >= patience;
    }

    /// Takes in what reading a Secret came to. Says whether people see another thing now.
    fn renewed(&self, group: &str, now: Duration, result: Result<Option<Fresh>, Reason>) -> bool {
        let mut entries = self.lock();
        let Some(entry) = entries.get_mut(group) else { return false };
        entry.looked.renewing = false;
        entry.looked.renewed = Some(now);
        let before = entry.trouble.take();
        match result {
            Ok(Some((provider, made))) => {
                entry.provider = Some(provider);
                entry.looked.made = Some(made);
                entry.looked.soon();
            }
            Ok(None) => {}
            Err(trouble) => entry.trouble = Some(trouble),
        }
        before != entry.trouble
    }

    /// What is to be told of each group now: what has not been for `every`, and of a group that moves whatever is new.
    pub(super) fn to_tell(
        &self,
        site: &str,
        now: Duration,
        every: Duration,
        moving: &BTreeSet<String>,
    ) -> Vec<(String, DataRecord)> {
        let mut due = Vec::new();
        for (name, entry) in self.lock().iter_mut() {
            let shows = entry.heard.map(|heard| (heard.state.role, heard.state.position));
            let told = entry.looked.told.as_ref();
            let old = told.is_none_or(|(at, _)| now >= *at + every);
            let news = told.is_none_or(|(_, shown)| *shown != shows);
            let record = DataRecord { trouble: entry.trouble(site), ..Self::record(entry, now) };
            if (old || (news && moving.contains(name))) && record != DataRecord::default() {
                entry.looked.told = Some((now, shows));
                due.push((name.clone(), record));
            }
        }
        due
    }
}

impl Entry {
    /// Why nobody knows how the data stands, or will not for long.
    pub(super) fn trouble(&self, site: &str) -> Option<Reason> {
        let silent = self.looked.failing.as_ref().filter(|_| self.looked.silent);
        let silent = silent.map(|(_, why)| Reason::ProviderSilent { site: site.to_owned(), why: why.clone() });
        self.trouble.clone().or(silent)
    }
}

/// Looks at every group's service for ever, and says what it found.
pub async fn run_providers(context: Context) {
    let every = context.config.failover.report_interval();
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut tasks: JoinSet<()> = JoinSet::new();
    let mut groups = BTreeMap::new();
    let mut grouped: Option<Duration> = None;
    let telling = Arc::new(tokio::sync::Mutex::new(()));
    loop {
        ticks.tick().await;
        while tasks.try_join_next().is_some() {}
        let (now, providers) = (context.link.uptime(), &context.providers);
        // Before the first list no group is known, and none is to be forgotten.
        if context.link.seen().is_some() && grouped.is_none_or(|at| now >= at + GROUPS) {
            grouped = Some(now);
            groups = with_data(&context);
            for gone in providers.keep(&groups) {
                context.link.gate().with(|gate| gate.provider(now, &gone, None));
            }
        }
        for (name, shown) in providers.shown(now, context.link.timing().t()) {
            context.link.gate().with(|gate| gate.provider(now, &name, Some(shown)));
        }
        for (name, made) in providers.renewals(now) {
            let Some(spec) = groups.get(&name).cloned() else { continue };
            tasks.spawn(renew(context.clone(), name, spec, made));
        }
        let moving = context.link.board().moving();
        for (name, provider) in providers.due(now, every, &moving) {
            tasks.spawn(look(context.clone(), name, provider));
        }
        // One write at a time: a later one must not overtake it.
        if context.link.leadership().is_some()
            && let Ok(turn) = Arc::clone(&telling).try_lock_owned()
        {
            let reports = providers.to_tell(&context.config.site, now, every, &moving);
            if !reports.is_empty() {
                let context = context.clone();
                tasks.spawn(async move {
                    if let Err(error) = context.link.report_data(&reports).await {
                        tracing::debug!(error = %Chain(&error), "how groups' data stands could not be told");
                    }
                    drop(turn);
                });
            }
        }
    }
}

/// The groups that have data which a service moves.
fn with_data(context: &Context) -> BTreeMap<String, FailoverGroupSpec> {
    context.index.with_world(|world| {
        let with = world.groups.iter().filter(|(_, group)| group.spec.provider != StateProvider::None);
        with.map(|(name, group)| (name.clone(), group.spec.clone())).collect()
    })
}

async fn renew(context: Context, group: String, spec: FailoverGroupSpec, made: Option<Made>) {
    let result = credentials::provider(&context, &spec, made.as_ref()).await;
    if context.providers.renewed(&group, context.link.uptime(), result) {
        context.queues.provision.add(ObjectKey::cluster(Kind::FailoverGroup, group.as_str()));
    }
}

async fn look(context: Context, group: String, provider: Arc<dyn Provider>) {
    let sent = context.link.uptime();
    match provider.state().await {
        Ok(state) => {
            if context.providers.heard(&group, &state, sent) {
                context.stirred.notify_one();
            }
        }
        Err(error) => {
            tracing::debug!(group, %error, "a data service does not say how its data stands");
            let patience = context.config.failover.report_interval() * 2;
            context.providers.failed(&group, error.to_string(), context.link.uptime(), patience);
        }
    }
}
