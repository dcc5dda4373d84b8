//! The failover protocol as a whole: two sites with two operator replicas each, three groups, each with data of its own at
//! both sites, the dead-man switch beside it, writers, and people.
//!
//! A replica is the arbiter's own logic (membership with gate and pins, the watches of the other site, the transaction
//! builders) and the machine of `core::failover`, driven as the operator drives them. What this world adds is the network
//! between them, and [`Facts`]: what really happened, from which the invariants I1 to I12 are judged after every event.
//!
//! What stands in for the rest: reports of the data travel from the database to every replica instead of through `status/`;
//! one object stands for all that is published;
//! requests of people are known at the site at which they were made, and by the execution's kind at the other; workloads are
//! one call to the provider. The clones of a drill are a flag. Load balancers are left out: the gate itself is asked at every
//! instant, which is stricter.

mod board;
mod data;
mod driver;
mod facts;
mod publish;
mod replica;
pub mod setup;
mod stories;

use std::collections::BTreeSet;
use std::time::Duration;

use tandem_arbiter::deadman::Poll;
use tandem_arbiter::gate::Query;
use tandem_arbiter::pins::Pins;
use tandem_arbiter::records::{GroupRecord, Key, PLATFORM, Record};
use tandem_arbiter::txn::{self, Op, Txn};
use tandem_core::failover::{Answer, Effect, Role};

use self::data::{Database, Report};
pub use self::facts::Facts;
pub use self::publish::Edits;
use self::publish::Objects;
use self::replica::Replica;
use self::setup::{GROUPS, Setup};
use crate::engine::{Micros, micros};
use crate::net::{NodeId, Place, Running};
use crate::schedule::{Case, Profile, generate};
use crate::world::{Ctx, Happening, Violation, World};

/// What its processes send each other, and set timers for.
#[derive(Clone, Debug)]
#[allow(missing_docs)] // names and fields say it
pub enum Msg {
    Tick,
    GiveUp(u64, usize),
    Again(u64),
    Watch,
    Feed(usize),
    Uncompared(u64),
    Look(Micros),
    Poll { from: NodeId, group: usize, id: u64 },
    Polled { id: u64, poll: Poll },
    Taken { id: u64, poll: Poll },
    Call { from: NodeId, id: u64, effect: Effect },
    Called { id: u64, answer: Answer },
    Restore { epoch: u64 },
    Report { group: usize, place: Place, report: Report },
    Replicate { position: u64, epoch: u64 },
    PollTick,
    ReportTick,
    WriteTick,
    Commit { begun: Micros, epoch: u64, position: u64, boot: u32 },
}

/// The world.
#[derive(Debug)]
pub struct Failover {
    replicas: Vec<Replica>,
    databases: Vec<Database>,
    first: u16,
    facts: Facts,
    objects: Objects,
}

impl Failover {
    /// What really happened.
    #[must_use]
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// The sites of which a replica answers 200 for a group at this instant.
    #[must_use]
    pub fn active(&self, ctx: &Ctx<Msg>, group: usize) -> BTreeSet<Place> {
        let query = Query::Active(GROUPS[group].0.to_owned());
        let says = |replica: &&Replica| ctx.net().running(replica.node) == Running::Yes && replica.active(ctx, &query);
        self.replicas.iter().filter(says).map(|replica| replica.place).collect()
    }

    /// For each group: whether A and whether B answers 200 at this instant. A yes ends with time alone, and everything else
    /// about it changes with what its replica takes in, so that each replica keeps until when it says so.
    fn serving(&self, ctx: &Ctx<Msg>) -> [[bool; 2]; GROUPS.len()] {
        let mut serving = [[false; 2]; GROUPS.len()];
        for replica in &self.replicas {
            if ctx.net().running(replica.node) == Running::Yes {
                let now = replica.now(ctx);
                for (group, until) in replica.serves.iter().enumerate() {
                    serving[group][replica.place.index()] |= until.is_some_and(|until| now < until);
                }
            }
        }
        serving
    }

    /// What the gate of a replica says of a group.
    #[must_use]
    pub fn reason(&self, ctx: &Ctx<Msg>, process: u16, group: usize) -> String {
        let query = Query::Active(GROUPS[group].0.to_owned());
        self.replicas.get(usize::from(process)).map(|r| r.reason(ctx, &query)).unwrap_or_default()
    }

    /// What a group's data is at a site.
    #[must_use]
    pub fn role(&self, group: usize, place: Place) -> Role {
        self.databases.iter().find(|d| d.group == group && d.place == place).map_or(Role::Unknown, |d| d.role)
    }

    /// The number of the edit that the object of a site has.
    #[must_use]
    pub fn edit(&self, place: Place) -> Option<u64> {
        self.objects.has(place)
    }

    /// The site of a group's committed record, and its epoch.
    #[must_use]
    pub fn holder(&self, group: usize) -> (String, u64) {
        let record = self.facts.records.get(GROUPS[group].0);
        record.map(|record| (record.value.active.clone(), record.value.epoch)).unwrap_or_default()
    }
}

impl World for Failover {
    type Event = Msg;
    type Config = Setup;

    const NAME: &'static str = "failover";

    fn profile(seed: u64) -> Profile {
        let t = micros(setup::timing(seed).t());
        Profile { nudges: setup::NUDGES, warm_up: t, tail: 8 * t, most: 9, restores: seed % 8 == 5, ..Profile::of(t) }
    }

    fn case(seed: u64) -> Case {
        let profile = Self::profile(seed);
        if seed % 4 == 3 { stories::case(seed, &profile) } else { generate(seed, &profile) }
    }

    fn build(ctx: &mut Ctx<Msg>, case: &Case, setup: &Setup) -> Self {
        let timing = setup::timing(case.seed);
        ctx.cluster().apply(&txn::create_platform(Place::A.site()));
        let others = GROUPS.iter().filter(|(name, ..)| *name != PLATFORM);
        let then =
            others.map(|(name, ..)| Op::put(Key::Group((*name).to_owned()), &GroupRecord::first(Place::A.site())));
        let made = Txn { then: then.collect(), ..Txn::default() };
        ctx.cluster().apply(&made);
        let spec = Op::put(Key::Spec(publish::key()), &Record::Live(publish::first()));
        let published = ctx.cluster().apply(&Txn { then: vec![spec], ..Txn::default() });
        let objects = Objects::new(published.revision);
        let (cluster, members) = (ctx.cluster().id(), ctx.cluster().ids().clone());
        let pins = Pins { cluster, members, generation: 1, ..Pins::default() };
        let mut replicas = Vec::new();
        for place in [Place::A, Place::B] {
            for number in 0..2 {
                let host = ctx.ordinary_host(place);
                let name = format!("op-{number}");
                let node = ctx.net_mut().add_node(host, format!("{}/{name}", place.site()));
                replicas.push(Replica::new(node, place, name, timing, *setup, pins.clone()));
            }
        }
        let mut databases: Vec<Database> = Vec::new();
        for (group, (name, ..)) in GROUPS.iter().enumerate() {
            for place in [Place::A, Place::B] {
                let host = ctx.ordinary_host(place);
                let node = ctx.net_mut().add_node(host, format!("{}/{name}", place.site()));
                databases.push(Database::new(node, place, group, micros(timing.t()), *setup, case.schedule.quiet));
            }
        }
        let nodes: Vec<(NodeId, Place, usize)> = databases.iter().map(|d| (d.node, d.place, d.group)).collect();
        for database in &mut databases {
            let other = nodes.iter().find(|(_, place, group)| *group == database.group && *place != database.place);
            database.peer = other.map_or(database.node, |(node, ..)| *node);
            let mut all: Vec<(bool, NodeId)> = replicas.iter().map(|r| (r.place != database.place, r.node)).collect();
            all.sort_unstable();
            database.replicas = all.into_iter().map(|(_, node)| node).collect();
        }
        for replica in &mut replicas {
            let own = |group: usize| nodes.iter().find(|(_, place, g)| *g == group && *place == replica.place);
            replica.databases = (0..GROUPS.len()).filter_map(|group| own(group).map(|(node, ..)| *node)).collect();
        }
        let first = replicas.first().map_or(0, |replica| replica.node.0);
        let rpo = setup::policy(1, timing).rpo + Duration::from_secs(1);
        let facts = Facts::new(rpo);
        Self { replicas, databases, first, facts, objects }
    }

    fn handle(&mut self, ctx: &mut Ctx<Msg>, node: NodeId, what: Happening<Msg>) {
        let index = usize::from(node.0.saturating_sub(self.first));
        if let Some(replica) = self.replicas.get_mut(index) {
            self.facts.touch();
            replica.handle(ctx, &mut self.objects, what);
            replica.look_at_gate(ctx);
        } else if let Some(database) = self.databases.get_mut(index - self.replicas.len()) {
            database.handle(ctx, &mut self.facts, what);
        }
    }

    fn check(&mut self, ctx: &Ctx<Msg>) -> Result<(), Violation> {
        self.facts.follow_cluster(ctx.main_cluster());
        self.facts.follow(ctx);
        for (place, edit) in self.objects.lost.drain(..) {
            self.facts.overwritten(place, edit);
        }
        if self.facts.touched() {
            let serving = self.serving(ctx);
            for (group, sites) in serving.into_iter().enumerate() {
                debug_assert_eq!(
                    self.active(ctx, group),
                    [Place::A, Place::B].into_iter().filter(|place| sites[place.index()]).collect::<BTreeSet<_>>()
                );
                self.facts.active(group, sites);
            }
            for replica in &mut self.replicas {
                if let Some(violation) = replica.violation.take() {
                    return Err(violation);
                }
            }
        }
        self.facts.violation.take().map_or(Ok(()), Err)
    }

    fn settle(&mut self, ctx: &Ctx<Msg>) -> Result<(), Violation> {
        if ctx.clusters().len() > 1 {
            // After a restore or a forced new cluster a person has to act.
            return Ok(());
        }
        if let Some(replica) = self.replicas.iter().find(|replica| !replica.alive(ctx)) {
            let what = format!("{} is fenced in the end", ctx.net().name(replica.node));
            return Err(Violation::new("I12 all ends well", what));
        }
        let newest = self.facts.edits.published.last().copied();
        for place in [Place::A, Place::B] {
            if self.objects.has(place) != newest {
                let what = format!("edit {:?} at {}, {newest:?} is published", self.objects.has(place), place.site());
                return Err(Violation::new("I12 all ends well", what));
            }
        }
        self.facts.settled()
    }

    fn tell(&self, ctx: &Ctx<Msg>, out: &mut dyn std::fmt::Write) -> std::fmt::Result {
        let Facts { records, journals, accepted, refused, epochs, moved, refused_calls, .. } = &self.facts;
        writeln!(out, "{records:?} {journals:?} {accepted:?} {refused:?} {epochs:?} {moved:?} {refused_calls}")?;
        self.replicas.iter().try_for_each(|replica| replica.tell(ctx, out))?;
        self.databases
            .iter()
            .try_for_each(|d| writeln!(out, "{:?} {:?} {} {}", d.node, d.role, d.position, d.highest()))
    }
}
