//! Schedules about what faults at random seldom bring about: each is a move, and beside it the one thing that a guard of the
//! protocol is there for, at about the right time.

use super::setup::{Ask, GROUPS, Trouble, database, replica};
use crate::engine::{MS, Micros, Rng, SECOND};
use crate::net::Place;
use crate::schedule::{Case, Fault, Planned, Profile, Who, generate};

/// The case of a seed that tells a story, with a few other faults.
pub(super) fn case(seed: u64, profile: &Profile) -> Case {
    let mut rng = Rng::stream(seed, 3);
    let most = rng.below(4);
    let mut case = generate(seed, &Profile { most: most.max(1), ..profile.clone() });
    if most == 0 {
        case.schedule.faults.clear();
    }
    let at = profile.warm_up + profile.unit * 2 + rng.below(3 * profile.unit);
    let mut story = Story { rng, t: profile.unit, at, faults: Vec::new() };
    match story.rng.below(4) {
        0 => story.an_abort_meets_a_claim(),
        1 => story.a_replica_joins_beside_a_move(),
        2 => story.a_replica_returns_as_its_key_is_deleted(),
        _ => story.answers_to_polls_cross_a_fence(),
    }
    case.schedule.faults.extend(story.faults);
    case.schedule.faults.sort_by_key(|planned| planned.at);
    case
}

struct Story {
    rng: Rng,
    t: Micros,
    /// When the move is asked for.
    at: Micros,
    faults: Vec<Planned>,
}

impl Story {
    fn add(&mut self, at: Micros, lasts: Micros, fault: Fault) {
        self.faults.push(Planned { at, lasts, fault });
    }

    /// People of the first site ask both replicas, since they cannot know which one leads.
    fn ask(&mut self, at: Micros, ask: Ask) {
        for number in 0..2 {
            let who = Who::Process(replica(Place::A, number));
            self.add(at, 0, Fault::Nudge { who, what: ask.number() });
        }
    }

    fn switchover(&mut self, at: Micros) -> usize {
        let group = self.rng.below(GROUPS.len() as u64) as usize;
        self.ask(at, Ask::Switchover(group));
        group
    }

    /// Something makes the ways to one of the other places long.
    fn slow(&mut self) {
        let other = if self.rng.per_mille(500) { Place::B } else { Place::Witness };
        let by = self.rng.between(10 * MS, 300 * MS);
        let from = self.at - self.rng.below(SECOND);
        let lasts = self.rng.below(self.t);
        self.add(from, lasts, Fault::Slow { one: Place::A, other, by });
    }

    /// The source is asked to take a move back at about the time at which the target claims.
    fn an_abort_meets_a_claim(&mut self) {
        if self.rng.per_mille(700) {
            self.slow();
        }
        self.switchover(self.at);
        let abort = self.at + self.rng.below(2 * SECOND);
        self.ask(abort, Ask::Abort);
    }

    /// A replica whose key is gone starts shortly before the release, and hears nothing of it.
    fn a_replica_joins_beside_a_move(&mut self) {
        let who = Who::Process(replica(Place::A, self.rng.below(2) as u16));
        let gone = self.t + self.rng.below(self.t);
        let back = self.at - self.rng.below(self.t / 10);
        self.add(back - gone, gone, Fault::Crash(who));
        let alone = back + self.rng.below(self.t / 10);
        let lasts = self.t / 2 + self.rng.below(self.t);
        self.add(alone, lasts, Fault::Isolate(who));
        self.switchover(self.at);
    }

    /// A replica is cut off for about as long as it takes until its site's leader deletes its key, is back while that is under
    /// way, and hears nothing of what follows.
    fn a_replica_returns_as_its_key_is_deleted(&mut self) {
        let who = Who::Process(replica(Place::A, self.rng.below(2) as u16));
        let gone = self.t + self.rng.below(self.t * 2 / 5);
        let (back, from) = (self.at, self.at - gone);
        self.add(from, gone, Fault::Isolate(who));
        let by = self.rng.between(20 * MS, self.t / 40);
        let slow = from + self.t - self.rng.below(self.t / 5);
        let lasts = self.t / 2 + self.rng.below(self.t);
        self.add(slow, lasts, Fault::Slow { one: Place::A, other: Place::A, by });
        let alone = back + self.rng.below(self.t / 5);
        let lasts = self.t / 2 + self.rng.below(self.t);
        self.add(alone, lasts, Fault::Isolate(who));
        let asked = back + self.rng.below(self.t / 5);
        self.switchover(asked);
    }

    /// The agent comes to an answer only after the fence, and a commit of before the move has not ended.
    fn answers_to_polls_cross_a_fence(&mut self) {
        let group = self.switchover(self.at);
        let busy = self.at - self.rng.below(self.t);
        let data = if GROUPS[group].3 { group } else { 1 };
        let who = Who::Process(database(data, Place::A));
        self.add(busy, 0, Fault::Nudge { who, what: Trouble::Busy.number() });
        if self.rng.per_mille(300) {
            self.slow();
        }
    }
}
