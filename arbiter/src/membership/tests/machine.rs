use std::time::Duration;

use super::super::{Act, Machine, MembershipError, Outcome, Timing, View};
use super::{identity, timing};
use crate::clock::{Clock, ManualClock};
use crate::records::{GroupRecord, Key, MemberRecord, decode};
use crate::store::SimStore;
use crate::txn::{self, Op, Txn};

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// One replica of `dc-a` on a clock of its own.
struct Replica {
    machine: Machine,
    clock: ManualClock,
    store: SimStore,
}

impl Replica {
    fn new(store: &SimStore, clock: &ManualClock, name: &str, incarnation: &str) -> Self {
        let machine = Machine::new(identity(name, incarnation), timing());
        Self { machine, clock: clock.clone(), store: store.clone() }
    }

    fn try_beat(&mut self) -> Result<(), MembershipError> {
        let now = self.clock.now();
        for _ in 0..3 {
            let answer = self.store.apply(&self.machine.beat()).unwrap();
            if self.machine.answered(now, now, &answer)? == Outcome::Counted {
                return Ok(());
            }
        }
        panic!("never counted")
    }

    fn beat(&mut self) {
        self.try_beat().unwrap();
    }

    /// Carries out what is to be done, and says how many transactions succeeded.
    fn act(&mut self) -> usize {
        let mut done = 0;
        for act in self.machine.acts(self.clock.now()) {
            let (Act::Campaign(txn) | Act::Reap(txn)) = &act;
            let answer = self.store.apply(txn).unwrap();
            done += usize::from(answer.succeeded);
            if matches!(act, Act::Campaign(_)) {
                self.machine.campaigned(self.clock.now(), &answer);
            }
        }
        done
    }

    fn view(&self) -> View {
        self.machine.view()
    }

    fn leads(&self) -> bool {
        self.view().leads(self.clock.now()).is_some()
    }
}

fn member(store: &SimStore, replica: &str) -> Option<MemberRecord> {
    let key = Key::Member { site: "dc-a".into(), replica: replica.into() };
    let answer = store.apply(&Txn { then: vec![Op::get(key)], ..Txn::default() }).unwrap();
    answer.one(0).map(|kv| decode(&kv.value).unwrap())
}

#[test]
fn the_times_hang_on_t() {
    let timing = timing();
    assert_eq!((timing.t(), timing.attempt(), timing.fence()), (seconds(10), seconds(1), seconds(7)));
    let error = Timing::from_heartbeat(Duration::from_millis(900)).unwrap_err();
    assert!(error.to_string().contains("at least 1 s"), "{error}");
}

#[test]
fn the_deadline_counts_from_the_sending_and_only_by_answers() {
    let store = SimStore::default();
    let mut machine = Machine::new(identity("op-0", "1"), timing());
    assert!(!machine.view().alive(Duration::ZERO));
    let answer = store.apply(&machine.beat()).unwrap();
    // On its way from 100 s to 103 s.
    machine.answered(seconds(100), seconds(103), &answer).unwrap();
    assert_eq!(machine.view().deadline, Some(seconds(107)));
    assert!(machine.view().alive(Duration::from_millis(106_999)));
    assert!(!machine.view().alive(seconds(107)));
    // Sent and lost: nothing moves.
    let _ = machine.beat();
    assert_eq!(machine.view().deadline, Some(seconds(107)));
}

#[test]
fn a_late_repetition_does_not_take_seen_back() {
    let (store, clock) = (SimStore::default(), ManualClock::default());
    let mut replica = Replica::new(&store, &clock, "op-0", "1");
    replica.beat();
    let late = replica.machine.beat();
    replica.beat();
    replica.beat();
    let seen = member(&store, "op-0").unwrap().seen;
    assert!(seen > 0);
    assert!(!store.apply(&late).unwrap().succeeded, "given up long ago, arrived now");
    assert_eq!(member(&store, "op-0").unwrap().seen, seen);
    // One that was given up and did arrive is found, and the next counts.
    store.apply(&replica.machine.beat()).unwrap();
    replica.beat();
}

#[test]
fn the_leaderless_site_finds_one_leader() {
    let (store, clock) = (SimStore::default(), ManualClock::default());
    let mut first = Replica::new(&store, &clock, "op-0", "1");
    let mut second = Replica::new(&store, &clock, "op-1", "2");
    assert_eq!(first.act(), 0, "who has heard nothing takes nothing");
    first.beat();
    second.beat();
    assert_eq!((first.act(), second.act()), (1, 0));
    assert!(first.leads() && !second.leads());
    // What was a lost answer for the winner is found by its next heartbeat.
    first.beat();
    assert!(first.leads());
}

#[test]
fn a_living_leader_is_left_alone_and_a_dead_one_replaced_after_t() {
    let (store, clock) = (SimStore::default(), ManualClock::default());
    let mut leader = Replica::new(&store, &clock, "op-0", "1");
    let mut other = Replica::new(&store, &clock, "op-1", "2");
    leader.beat();
    leader.act();
    for _ in 0..20 {
        leader.beat();
        other.beat();
        assert_eq!(other.act(), 0);
        clock.advance(seconds(2));
    }
    // It dies. Seen to stand still since the other's last look but one.
    let last = clock.now();
    other.beat();
    while !other.leads() {
        clock.advance(seconds(1));
        other.beat();
        other.act();
        assert!(!(leader.leads() && other.leads()), "two leaders at {:?}", clock.now());
    }
    let waited = clock.now().checked_sub(last).unwrap();
    assert!(waited >= seconds(8) && waited <= seconds(11), "{waited:?}");
    // The heartbeat of the dead one goes; then its comeback finds its leadership gone.
    clock.advance(seconds(1));
    other.beat();
    assert_eq!(other.act(), 1);
    assert_eq!(member(&store, "op-0"), None);
    leader.beat();
    assert!(!leader.leads() && other.leads());
    assert_eq!(leader.act(), 0);
}

#[test]
fn a_campaign_fails_if_the_leader_beat_meanwhile() {
    let (store, clock) = (SimStore::default(), ManualClock::default());
    let mut leader = Replica::new(&store, &clock, "op-0", "1");
    let mut other = Replica::new(&store, &clock, "op-1", "2");
    leader.beat();
    leader.act();
    other.beat();
    clock.advance(seconds(10));
    other.beat();
    leader.beat();
    assert_eq!(other.act(), 0, "the leader's member key moved after it was read");
    assert!(leader.leads());
}

#[test]
fn a_restarted_leader_goes_on_at_once() {
    let (store, clock) = (SimStore::default(), ManualClock::default());
    let mut before = Replica::new(&store, &clock, "op-0", "1");
    before.beat();
    before.act();
    let old = before.view().leader.unwrap().mod_revision;
    let mut after = Replica::new(&store, &clock, "op-0", "2");
    after.beat();
    assert!(!after.leads());
    assert_eq!(after.act(), 1);
    assert!(after.view().leader.unwrap().mod_revision > old, "what the predecessor still sends is refused");
    // Had the predecessor not died, it would stop here.
    assert!(matches!(before.try_beat(), Err(MembershipError::Superseded { .. })));
}

#[test]
fn no_answers_end_the_leadership() {
    let (store, clock) = (SimStore::default(), ManualClock::default());
    let mut leader = Replica::new(&store, &clock, "op-0", "1");
    leader.beat();
    leader.act();
    assert!(leader.leads());
    clock.advance(seconds(7));
    assert!(!leader.leads());
    assert!(leader.machine.acts(clock.now()).is_empty());
}

#[test]
fn an_older_group_record_is_never_applied() {
    let (store, clock) = (SimStore::default(), ManualClock::default());
    let mut replica = Replica::new(&store, &clock, "op-0", "1");
    store.apply(&txn::create_platform("dc-a")).unwrap();
    let slow = store.apply(&replica.machine.beat()).unwrap();
    let next = GroupRecord { epoch: 2, ..GroupRecord::first("dc-b") };
    store.apply(&Txn { then: vec![Op::put(Key::Group("platform".into()), &next)], ..Txn::default() }).unwrap();
    replica.beat();
    let seen = replica.view().seen;
    assert_eq!(replica.view().authority().unwrap().record.epoch, 2);
    // The answer to the first heartbeat arrives after that to the second.
    replica.machine.answered(Duration::ZERO, clock.now(), &slow).unwrap();
    assert_eq!(replica.view().authority().unwrap().record.epoch, 2);
    assert_eq!(replica.view().seen, seen);
}

#[test]
fn a_resignation_makes_room_at_once() {
    let (store, clock) = (SimStore::default(), ManualClock::default());
    let mut first = Replica::new(&store, &clock, "op-0", "1");
    let mut second = Replica::new(&store, &clock, "op-1", "2");
    first.beat();
    first.act();
    let resignation = first.machine.resign().unwrap();
    assert!(!first.leads());
    store.apply(&resignation).unwrap();
    second.beat();
    assert_eq!(second.act(), 1);
    assert!(first.machine.resign().is_none());
}
