//! What this replica knows at one moment, put together for the machine.

use super::{Board, FailoverConfig, GroupHeld, JournalHeld, room};
use crate::context::Context;
use crate::index::{Index, group_of};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tandem_arbiter::records::{GroupRecord, Hold, Key, PLATFORM, Phase as RecordPhase};
use tandem_core::failover::{
    Claim, GroupView, Member, Now, Observation, Phase, Policy, Replication, Request, SiteView, Situation, Turn,
    share_room,
};
use tandem_core::ledger::Amounts;
use tandem_core::names::default_group;
use tandem_core::render::Strength;
use tandem_core::sync::ObjectKey;
use tandem_crds::{Capacity, Kind};

/// What is known of a group apart from its record.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    /// Its place in the order.
    pub(super) member: Member,
    /// Its applications.
    pub(crate) applications: Vec<ObjectKey>,
    /// Its settings.
    pub(super) policy: Policy,
    active: Amounts,
    standby: Amounts,
}

/// Since when each group has been ready at each site, without a break.
pub(crate) type ReadySince = BTreeMap<(String, String), Duration>;

/// What this replica knows at one moment.
#[derive(Debug)]
pub(crate) struct Picture {
    pub(crate) now: Now,
    pub(crate) me: String,
    pub(super) sites: Vec<String>,
    pub(crate) leads: bool,
    pub(super) fenced: bool,
    pub(super) generation: u64,
    pub(crate) groups: BTreeMap<String, GroupHeld>,
    pub(crate) facts: BTreeMap<String, Facts>,
    /// Scopes that are held; `None` where that is not known.
    holds: Option<BTreeSet<Hold>>,
    heard: BTreeSet<String>,
    room: BTreeMap<String, BTreeMap<String, bool>>,
    /// Groups of which a drill may have clones at one of the sites.
    drilled: BTreeSet<String>,
}

impl Picture {
    /// Looks at everything.
    pub(crate) fn take(context: &Context, ready: &mut ReadySince) -> Self {
        let link = &context.link;
        let board: &Board = link.board();
        let boot = link.uptime();
        let fenced = !link.alive();
        let me = context.config.site.clone();
        let sites = context.config.sites.clone();
        let heard = sites
            .iter()
            .filter(|site| if **site == me { !fenced } else { link.peers().heard(site, boot) })
            .cloned()
            .collect();
        let groups: BTreeMap<String, GroupHeld> =
            board.groups().into_iter().filter(|(_, held)| !held.record.value.retired).collect();
        let mut picture = Self {
            now: Now { boot, wall: wall() },
            leads: link.leadership().is_some(),
            fenced,
            generation: link.gate().with(|gate| gate.generation()),
            facts: facts(&context.index, &context.config.failover, link.timing().t(), &groups),
            holds: board.is_complete().then(|| board.holds().into_keys().collect()),
            groups,
            heard,
            room: BTreeMap::new(),
            drilled: board.drilled(),
            sites,
            me,
        };
        if link.seen().is_some() {
            picture.look_at_readiness(&context.index, ready);
        } else {
            // Without the records a group looks as if it had no applications.
            ready.clear();
        }
        for site in picture.sites.clone() {
            let free = picture.share(&context.index, &site);
            picture.room.insert(site, free);
        }
        picture
    }

    fn look_at_readiness(&self, index: &Index, ready: &mut ReadySince) {
        let mut now: ReadySince = BTreeMap::new();
        for site in self.sites.iter().filter(|site| self.heard.contains(*site)) {
            let data_centre = index.reports(&ObjectKey::cluster(Kind::DataCentre, site.as_str()));
            let alive = data_centre.get(site).is_some_and(|report| report.value.ready);
            for (name, facts) in &self.facts {
                let epoch = self.groups.get(name).map_or(0, |held| held.record.value.epoch);
                let each = facts.applications.iter().all(|key| {
                    index.reports(key).get(site).is_some_and(|report| {
                        // What a site said under an earlier epoch says nothing of what it does under this one.
                        let under = report.value.detail.pointer("/site/epoch").and_then(serde_json::Value::as_u64);
                        report.value.ready && under.is_some_and(|under| under >= epoch)
                    })
                });
                if alive && each {
                    let key = (name.clone(), site.clone());
                    let since = ready.get(&key).copied().unwrap_or(self.now.boot);
                    now.insert(key, since);
                }
            }
        }
        *ready = now;
    }

    /// Which groups have room at a site, beside those that are active there.
    fn share(&self, index: &Index, site: &str) -> BTreeMap<String, bool> {
        let Some(all) = allocatable(index, site) else { return BTreeMap::new() };
        let active = |name: &String| self.groups.get(name).is_some_and(|held| held.record.value.active == site);
        let free = all.saturating_sub(&self.used(site));
        let others = || self.facts.iter().filter(|(name, _)| !active(name));
        let more = |facts: &Facts| facts.active.saturating_sub(&facts.standby);
        let lost = self.sites.iter().any(|other| other != site && !self.heard.contains(other));
        if lost {
            // All of them will want to come: what there is goes to the higher tiers.
            let claims: Vec<Claim> =
                others().map(|(_, facts)| Claim { member: facts.member.clone(), amounts: more(facts) }).collect();
            return share_room(&free, &claims);
        }
        others().map(|(name, facts)| (name.clone(), more(facts).fits(&free))).collect()
    }

    /// What the groups take at a site by their records.
    fn used(&self, site: &str) -> Amounts {
        let active = |name: &String| self.groups.get(name).is_some_and(|held| held.record.value.active == site);
        self.facts.iter().fold(Amounts::default(), |sum, (name, facts)| {
            sum.saturating_add(if active(name) { &facts.active } else { &facts.standby })
        })
    }

    /// What this site's nodes have left beside what the groups take here; `None` where that is not known.
    pub(crate) fn left(&self, index: &Index) -> Option<Amounts> {
        Some(allocatable(index, &self.me)?.saturating_sub(&self.used(&self.me)))
    }

    /// The scope of a hold that covers a promotion of a group at a site.
    pub(super) fn hold(&self, group: &str, target: &str) -> Option<String> {
        let Some(holds) = &self.holds else { return Some("unknown".to_owned()) };
        let covering = tandem_arbiter::txn::holds(group, target).into_iter().find(|hold| holds.contains(hold))?;
        Some(scope(&covering))
    }

    /// The site that is not this one, of the two.
    pub(super) fn other(&self, site: &str) -> Option<&String> {
        self.sites.iter().find(|other| *other != site)
    }

    /// Whether this replica has seen enough to decide: the records, the holds, and of each other site whether it lives. One that
    /// has just begun knows of nobody that they are ready, and would take back what goes well.
    pub(crate) fn is_informed(&self, context: &Context) -> bool {
        let link = &context.link;
        link.seen().is_some() && self.tells_enough(|site| link.peers().proof(site, self.now.boot).is_some())
    }

    /// The part of it that the picture itself tells. It goes by the holds of this very picture: the board may have become whole
    /// since it was taken, and what is not known would be taken for a hold.
    fn tells_enough(&self, is_silent: impl Fn(&str) -> bool) -> bool {
        let told = |site: &String| *site == self.me || self.heard.contains(site) || is_silent(site);
        self.holds.is_some() && self.sites.iter().all(told)
    }

    /// Whether a site's heartbeats move; of this site, whether it is not fenced.
    pub(super) fn hears(&self, site: &str) -> bool {
        self.heard.contains(site)
    }

    /// What is known of a group that would move to `target`.
    pub(crate) fn situation(
        &self,
        context: &Context,
        ready: &ReadySince,
        group: &str,
        target: &str,
    ) -> Option<Situation> {
        let held = self.groups.get(group)?;
        let facts = self.facts.get(group)?;
        let record = &held.record.value;
        let view = |site: &String| {
            let heard = self.heard.contains(site);
            let room = if record.active == *site {
                Some(true)
            } else {
                self.room.get(site).and_then(|room| room.get(group)).copied()
            };
            let since = ready.get(&(group.to_owned(), site.clone())).copied();
            let (data, trouble) = if facts.policy.replication == Replication::NoData {
                (None, None)
            } else if *site == self.me {
                context.providers.data(site, group)
            } else {
                context.link.board().data(site, group).map_or((None, None), |held| {
                    let state = held.record.value.state;
                    (state.map(|state| crate::providers::data(&state, held.since)), held.record.value.trouble)
                })
            };
            (site.clone(), SiteView { heard, ready_since: since.filter(|_| heard), room, data, trouble })
        };
        Some(Situation {
            me: self.me.clone(),
            leads: self.leads,
            fenced: self.fenced,
            generation: self.generation,
            record: group_view(held),
            hold: self.hold(group, target),
            silence: context.link.peers().silence(&record.active),
            sites: self.sites.iter().map(view).collect(),
            drill: self.drilled.contains(group),
            policy: facts.policy,
        })
    }

    /// All that is known of a group in an execution; answers and the claim's proof are the caller's.
    pub(super) fn observation(
        &self,
        context: &Context,
        ready: &ReadySince,
        held: &JournalHeld,
        request: Request,
        turn: Turn,
    ) -> Option<Observation> {
        let journal = &held.seen.journal;
        Some(Observation {
            situation: self.situation(context, ready, &journal.group, &journal.to)?,
            execution_revision: held.seen.created,
            journal_since: held.since,
            settled: true,
            request,
            turn,
            release_seen: false,
            answers: Vec::new(),
        })
    }
}

/// What a site says that its nodes have.
fn allocatable(index: &Index, site: &str) -> Option<Amounts> {
    let reports = index.reports(&ObjectKey::cluster(Kind::DataCentre, site));
    let said = reports.get(site)?.value.detail.pointer("/site/allocatable").cloned()?;
    room::allocatable(&serde_json::from_value::<Capacity>(said).ok()?)
}

#[allow(clippy::disallowed_methods)] // an edge: the time is written for people to read, and decides nothing
pub(crate) fn wall() -> jiff::Timestamp {
    jiff::Timestamp::now()
}

/// A hold's scope, as the machine and people name it.
pub(super) fn scope(hold: &Hold) -> String {
    let prefix = Key::holds();
    Key::Hold(hold.clone()).to_string().trim_start_matches(&prefix).to_owned()
}

fn group_view(held: &GroupHeld) -> GroupView {
    let GroupRecord { active, epoch, phase, execution, failovers_lately, .. } = &held.record.value;
    GroupView {
        active: active.clone(),
        epoch: *epoch,
        phase: match phase {
            RecordPhase::Held => Phase::Held,
            RecordPhase::Released { to } => Phase::Released { to: to.clone() },
            RecordPhase::Unconfirmed => Phase::Unconfirmed,
        },
        execution: execution.clone(),
        failovers_lately: *failovers_lately,
        since: held.since,
        epoch_since: held.epoch_since,
    }
}

/// What is known of every group that there is a record of.
fn facts(
    index: &Index,
    config: &FailoverConfig,
    take_over: Duration,
    groups: &BTreeMap<String, GroupHeld>,
) -> BTreeMap<String, Facts> {
    index.with_world(|world| {
        let empty = |name: &String| {
            let spec = world.groups.get(name).map(|group| &group.spec);
            let tier = if name == PLATFORM { 0 } else { spec.map_or(u8::MAX, |spec| tier(spec.tier)) };
            let depends_on = spec.map(|spec| spec.depends_on.iter().cloned().collect()).unwrap_or_default();
            // A group whose object has not been seen moves by hand at the most.
            let usual = tandem_crds::FailoverGroupSpec::default();
            let policy = if name == PLATFORM {
                config.policy(None, take_over)
            } else {
                config.policy(Some(spec.unwrap_or(&usual)), take_over)
            };
            let member = Member { name: name.clone(), tier, depends_on };
            let (active, standby) = (Amounts::default(), Amounts::default());
            (name.clone(), Facts { member, applications: Vec::new(), policy, active, standby })
        };
        let mut facts: BTreeMap<String, Facts> = groups.keys().map(empty).collect();
        for ((namespace, name), application) in world.applications {
            let Some(facts) = facts.get_mut(&group_of(application, namespace, name)) else { continue };
            facts.applications.push(ObjectKey::namespaced(Kind::Application, namespace, name));
            facts.member.tier = facts.member.tier.min(tier(application.spec.tier));
            facts.active = facts.active.saturating_add(&room::demand(application, Strength::Active));
            facts.standby = facts.standby.saturating_add(&room::demand(application, Strength::Standby));
            for needed in &application.spec.dependencies {
                let space = needed.environment.as_ref().unwrap_or(namespace);
                let other = world.applications.get(&(space.clone(), needed.application.clone()));
                let group = other.map_or_else(
                    || default_group(space, &needed.application),
                    |other| group_of(other, space, &needed.application),
                );
                if group != facts.member.name {
                    facts.member.depends_on.insert(group);
                }
            }
        }
        facts
    })
}

fn tier(tier: i32) -> u8 {
    u8::try_from(tier).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(holds: Option<BTreeSet<Hold>>, heard: &[&str]) -> Picture {
        Picture {
            now: Now { boot: Duration::ZERO, wall: jiff::Timestamp::UNIX_EPOCH },
            me: "dc-a".to_owned(),
            sites: vec!["dc-a".to_owned(), "dc-b".to_owned()],
            leads: true,
            fenced: false,
            generation: 1,
            groups: BTreeMap::new(),
            facts: BTreeMap::new(),
            holds,
            heard: heard.iter().map(|site| (*site).to_owned()).collect(),
            room: BTreeMap::new(),
            drilled: BTreeSet::new(),
        }
    }

    #[test]
    fn a_picture_without_holds_decides_nothing() {
        let (known, both) = (Some(BTreeSet::new()), ["dc-a", "dc-b"]);
        assert!(picture(known.clone(), &both).tells_enough(|_| false));
        // It counts everything as held, which would take back what goes well.
        let blind = picture(None, &both);
        assert!(blind.hold("tax", "dc-b").is_some() && !blind.tells_enough(|_| false));
        // Of the other site it must be known that it lives, or that it is silent.
        assert!(!picture(known.clone(), &["dc-a"]).tells_enough(|_| false));
        assert!(picture(known, &["dc-a"]).tells_enough(|site| site == "dc-b"));
    }
}
