//! The replicas of both sites, their heartbeats and their leaders: the arbiter's own
//! [`Machine`](tandem_arbiter::membership::Machine), driven as `run_membership` drives it.
//!
//! Invariants: at no instant do two replicas of a site have a leadership that is valid by their own clocks; what a replica has
//! `seen` never falls, in memory or in its record; no deadline lies further ahead than `0.7 T`; and when faults have stopped,
//! every replica is alive and each site has one leader.

mod replica;

use std::collections::BTreeMap;
use std::time::Duration;

use tandem_arbiter::membership::Timing;
use tandem_arbiter::records::{Key, MemberRecord, PREFIX, decode};
use tandem_arbiter::store::Event as StoreEvent;
use tandem_arbiter::txn;

use self::replica::Replica;
use crate::engine::{Rng, SECOND};
use crate::net::{NodeId, Place};
use crate::schedule::{Case, Profile};
use crate::world::{Ctx, Happening, Violation, World};

/// A guard of the protocol that can be left out, to see that the simulator misses it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Without {
    /// All guards stand.
    #[default]
    Nothing,
    /// The deadline is counted from the answer's arrival, not from the sending.
    Sending,
    /// A campaign does not compare the old leader's member key.
    MemberCompare,
    /// Answers that come after their time-out are taken in.
    TimeOut,
    /// Some replicas are set to half the `T` of the others, and nobody looks.
    OneTiming,
}

impl std::str::FromStr for Without {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "nothing" => Ok(Self::Nothing),
            "sending" => Ok(Self::Sending),
            "member-compare" => Ok(Self::MemberCompare),
            "time-out" => Ok(Self::TimeOut),
            "one-timing" => Ok(Self::OneTiming),
            _ => Err("nothing, sending, member-compare, time-out or one-timing".to_owned()),
        }
    }
}

/// What the replicas set timers for.
#[derive(Clone, Copy, Debug)]
pub enum Timer {
    /// The next heartbeat is due.
    Tick,
    /// The request of this tag has waited long enough.
    GiveUp(u64),
    /// The pause after a failed attempt is over.
    Again(u64),
}

/// The world.
#[derive(Debug)]
pub struct Membership {
    replicas: Vec<Replica>,
    /// Number of the first replica's process.
    first: u16,
    look_at_records: bool,
}

/// How long a heartbeat lasts, and how many replicas a site has.
fn sizes(seed: u64) -> (u64, u64) {
    let mut rng = Rng::stream(seed, 2);
    let beat = if rng.per_mille(500) { SECOND } else { 2 * SECOND };
    (beat, if rng.per_mille(600) { 2 } else { 3 })
}

impl World for Membership {
    type Event = Timer;
    type Config = Without;

    const NAME: &'static str = "membership";

    fn profile(seed: u64) -> Profile {
        Profile { nudges: 1, ..Profile::of(5 * sizes(seed).0) }
    }

    fn build(ctx: &mut Ctx<Timer>, case: &Case, without: &Without) -> Self {
        let (beat, many) = sizes(case.seed);
        ctx.cluster().apply(&txn::create_platform(Place::A.site()));
        let mut replicas = Vec::new();
        for place in [Place::A, Place::B] {
            for number in 0..many {
                let host = ctx.ordinary_host(place);
                let name = format!("op-{number}");
                let node = ctx.net_mut().add_node(host, format!("{}/{name}", place.site()));
                let beat = match without {
                    Without::OneTiming if number % 2 == 0 => 2 * SECOND,
                    Without::OneTiming => SECOND,
                    _ => beat,
                };
                let timing = Timing::from_heartbeat(Duration::from_micros(beat));
                let Ok(timing) = timing else { continue };
                replicas.push(Replica::new(node, place, name, timing, *without));
            }
        }
        let first = replicas.first().map_or(0, |replica| replica.node.0);
        // Reading every record again costs as much as the run; one seed in eight shows what they all do.
        Self { replicas, first, look_at_records: case.seed.is_multiple_of(8) }
    }

    fn handle(&mut self, ctx: &mut Ctx<Timer>, node: NodeId, what: Happening<Timer>) {
        let index = usize::from(node.0.saturating_sub(self.first));
        if let Some(replica) = self.replicas.get_mut(index) {
            replica.handle(ctx, what);
        }
    }

    fn check(&mut self, ctx: &Ctx<Timer>) -> Result<(), Violation> {
        // A belief begins with an event and ends with time, so that two that overlap are seen when the second begins.
        for replica in &mut self.replicas {
            if let Some(violation) = replica.violation.take() {
                return Err(violation);
            }
        }
        for site in self.replicas.chunk_by(|one, other| one.place == other.place) {
            if site.iter().filter(|replica| replica.belief.is_some()).count() < 2 {
                continue;
            }
            let leading: Vec<String> =
                site.iter().filter(|replica| replica.leads(ctx)).map(|replica| replica.describe(ctx)).collect();
            if leading.len() > 1 {
                return Err(Violation::new("one leader a site", leading.join("; ")));
            }
        }
        Ok(())
    }

    fn settle(&mut self, ctx: &Ctx<Timer>) -> Result<(), Violation> {
        for site in self.replicas.chunk_by(|one, other| one.place == other.place) {
            if let Some(dead) = site.iter().find(|replica| !replica.alive(ctx)) {
                return Err(Violation::new("alive in the end", dead.describe(ctx)));
            }
            if !site.iter().any(|replica| replica.leads(ctx)) {
                let all: Vec<String> = site.iter().map(|replica| replica.describe(ctx)).collect();
                return Err(Violation::new("a leader in the end", all.join("; ")));
            }
        }
        if self.look_at_records { records(ctx) } else { Ok(()) }
    }

    fn tell(&self, ctx: &Ctx<Timer>, out: &mut dyn std::fmt::Write) -> std::fmt::Result {
        self.replicas.iter().try_for_each(|replica| writeln!(out, "{}", replica.describe(ctx)))
    }
}

/// What members wrote of themselves, from the store's history: `seen` and the leader's tokens never fall.
fn records(ctx: &Ctx<Timer>) -> Result<(), Violation> {
    let mut seen: BTreeMap<(String, String), i64> = BTreeMap::new();
    for cluster in ctx.clusters() {
        for batch in cluster.store().since(&format!("{PREFIX}sites/"), 0, usize::MAX) {
            for event in &batch.events {
                let (StoreEvent::Put(kv), Ok(Key::Member { .. })) = (event, event.key().parse()) else { continue };
                let record: MemberRecord =
                    decode(&kv.value).map_err(|error| Violation::new("records read", error.to_string()))?;
                let before = seen.entry((kv.key.clone(), record.incarnation)).or_insert(record.seen);
                if record.seen < *before {
                    let what = format!("{} wrote {} after {before} at {}", kv.key, record.seen, batch.revision);
                    return Err(Violation::new("seen never falls", what));
                }
                *before = record.seen;
            }
        }
    }
    Ok(())
}
