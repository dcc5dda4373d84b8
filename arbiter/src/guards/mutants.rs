//! What happens without each guard: in every test here something goes wrong that the tests of the modules show to be
//! prevented. Two sites, one etcd, one group `g` that `dc-a` holds.

use std::collections::BTreeMap;
use std::time::Duration;

use tandem_core::failover::{ExecutionKind, Journal, Step, Token};

use super::{Guard, Guards};
use crate::deadman::{Agent, Poll, writable};
use crate::gate::{Gate, Query};
use crate::membership::{Identity, Machine, Outcome, Timing};
use crate::peers::{ClaimWatch, MembersRead, PeerWatch};
use crate::pins::{ClusterIdentity, Pins};
use crate::records::{Entry, GroupRecord, HoldRecord, JournalSeen, Key, Phase, Versioned, decode};
use crate::store::{Range, SimStore};
use crate::testing::{at, journal};
use crate::txn::{self, Acting, Move, Op, Origin, Txn};

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn timing() -> Timing {
    Timing::from_heartbeat(seconds(2)).unwrap()
}

fn without(guard: Guard) -> Guards {
    Guards::ALL.without(guard)
}

fn both(guard: Guard) -> [(Guards, bool); 2] {
    [(Guards::ALL, false), (without(guard), true)]
}

struct World {
    store: SimStore,
    a: Machine,
}

impl World {
    /// One replica of `dc-a`, whose guards these are.
    fn new(guards: Guards) -> Self {
        let store = SimStore::default();
        let group = Op::put(Key::Group("g".into()), &GroupRecord::first("dc-a"));
        store.apply(&Txn { then: vec![group], ..Txn::default() }).unwrap();
        let identity = Identity { site: "dc-a".into(), replica: "op-0".into(), incarnation: "1".into(), generation: 1 };
        let gate = crate::gate::SharedGate::new(Gate::new("dc-a", "op-0", 1, timing()).with_guards(guards));
        Self { store, a: Machine::with_gate(identity, timing(), gate).with_guards(guards) }
    }

    /// A heartbeat of `dc-a` that is sent and answered at these times.
    fn beat(&mut self, sent: u64, received: u64) -> Outcome {
        let answer = self.store.apply(&self.a.beat()).unwrap();
        self.a.answered(seconds(sent), seconds(received), &answer).unwrap()
    }

    fn a_active(&self, now: u64) -> bool {
        self.hear_of_failovers(now);
        self.a.gate().with(|gate| gate.answer(&Query::Active("g".into()), seconds(now)).status == 200)
    }

    /// The replica watches executions as well. In a switchover it lags behind, for the worst.
    fn hear_of_failovers(&self, now: u64) {
        let key = Key::Journal { execution: "x1".into(), group: "g".into() };
        let answer = self.store.apply(&Txn { then: vec![Op::get(key)], ..Txn::default() }).unwrap();
        if answer.one(0).is_some() && self.seen().journal.kind == ExecutionKind::Failover {
            self.a.gate().with(|gate| gate.journal(seconds(now), &self.seen()));
        }
    }

    fn record(&self) -> Versioned<GroupRecord> {
        let get = Txn { then: vec![Op::get(Key::Group("g".into()))], ..Txn::default() };
        let answer = self.store.apply(&get).unwrap();
        let kv = answer.one(0).unwrap();
        Versioned::new(kv.mod_revision, decode(&kv.value).unwrap())
    }

    fn seen(&self) -> JournalSeen {
        let key = Key::Journal { execution: "x1".into(), group: "g".into() };
        let answer = self.store.apply(&Txn { then: vec![Op::get(key)], ..Txn::default() }).unwrap();
        let kv = answer.one(0).unwrap();
        JournalSeen { revision: kv.mod_revision, created: kv.create_revision, journal: decode(&kv.value).unwrap() }
    }

    fn members(&self) -> MembersRead {
        let get = Txn { then: vec![Op::range(Key::members("dc-a"))], ..Txn::default() };
        let answer = self.store.apply(&get).unwrap();
        MembersRead::new(
            "dc-a",
            &Range { revision: self.store.revision(), kvs: answer.read(0).to_vec(), origin: Origin::default() },
        )
    }

    fn begin(&self, kind: ExecutionKind) {
        let (record, entry) = (self.record(), Entry::first(Journal { kind, ..journal("x1", "g") }).unwrap());
        let begin = txn::begin(Acting::new("dc-a", 0), &Move { record: &record, entry: &entry }, None).unwrap();
        assert!(self.store.apply(&begin).unwrap().succeeded);
    }

    fn entry(&self, step: Step) -> Entry {
        let seen = self.seen();
        seen.next(at(&seen.journal, step)).unwrap()
    }

    fn release(&self) {
        let (record, entry) = (self.record(), self.entry(Step::Fencing));
        let release = txn::release(Acting::new("dc-a", 0), &Move { record: &record, entry: &entry }).unwrap();
        assert!(self.store.apply(&release).unwrap().succeeded);
    }

    /// `dc-b` takes over, from what it has watched.
    fn take_over(&self, watch: &PeerWatch, now: u64, guards: Guards) -> bool {
        let Some(silence) = watch.take_over_ready(seconds(now)) else { return false };
        let (record, entry) = (self.record(), self.entry(Step::EpochCommitted));
        let change = Move { record: &record, entry: &entry };
        let acting = Acting::new("dc-b", 0).with_guards(guards);
        self.store.apply(&txn::take_over(acting, &change, &silence, true).unwrap()).unwrap().succeeded
    }

    /// `dc-b` claims, with a list of members where it has one.
    fn claim(&self, now: u64, list: Option<&MembersRead>, guards: Guards) -> bool {
        let record = self.record();
        let mut watch = ClaimWatch::new("dc-b", timing()).with_guards(guards);
        watch.observe(seconds(0), &BTreeMap::from([("g".to_owned(), record.clone())]));
        let Some(proof) = watch.ready("g", seconds(now), 1, list) else { return false };
        let entry = self.entry(Step::EpochCommitted);
        let acting = Acting::new("dc-b", 0).with_guards(guards);
        let claim = txn::claim(acting, &Move { record: &record, entry: &entry }, &proof).unwrap();
        self.store.apply(&claim).unwrap().succeeded
    }
}

#[test]
fn without_the_range_a_living_holder_is_taken_over() {
    for (guards, doubled) in both(Guard::TakeOverRange) {
        let mut world = World::new(Guards::ALL);
        world.begin(ExecutionKind::Failover);
        world.beat(0, 0);
        let mut watch = PeerWatch::new("dc-a", timing());
        watch.read(seconds(0), &world.members());
        // The taker is paused until 10 s; the holder beats meanwhile.
        world.beat(9, 9);
        assert_eq!(world.take_over(&watch, 10, guards) && world.a_active(10), doubled);
    }
}

#[test]
fn without_the_own_first_sight_a_living_holder_is_taken_over() {
    for (guards, doubled) in both(Guard::OwnFirstSight) {
        let mut world = World::new(Guards::ALL);
        world.begin(ExecutionKind::Failover);
        world.beat(100, 100);
        let mut watch = PeerWatch::new("dc-a", timing()).with_guards(guards);
        watch.read(seconds(101), &world.members());
        assert_eq!(world.take_over(&watch, 101, Guards::ALL) && world.a_active(101), doubled);
    }
}

#[test]
fn with_a_deadline_from_the_arrival_the_holder_outlives_the_wait() {
    for (guards, doubled) in both(Guard::DeadlineFromSending) {
        let mut world = World::new(guards);
        world.begin(ExecutionKind::Failover);
        let mut watch = PeerWatch::new("dc-a", timing());
        // Carried out at once; the answer takes 5 s.
        let answer = world.store.apply(&world.a.beat()).unwrap();
        watch.read(seconds(0), &world.members());
        world.a.answered(seconds(0), seconds(5), &answer).unwrap();
        assert_eq!(world.take_over(&watch, 10, Guards::ALL) && world.a_active(10), doubled);
    }
}

#[test]
fn without_the_seen_rule_a_replica_that_lags_is_active_beside_the_claimant() {
    for (guards, doubled) in both(Guard::ClaimSeen) {
        let mut world = World::new(Guards::ALL);
        world.beat(0, 0);
        world.begin(ExecutionKind::Switchover);
        world.release();
        assert_eq!(world.claim(1, Some(&world.members()), guards) && world.a_active(1), doubled);
    }
}

#[test]
fn with_an_older_list_a_replica_that_joined_is_active_beside_the_claimant() {
    for (guards, doubled) in both(Guard::ClaimFreshList) {
        let mut world = World::new(Guards::ALL);
        // A list of before, on which there is only one that is well ahead.
        let record =
            crate::records::MemberRecord { seen: 99, generation: 1, incarnation: "1".into(), t_millis: 10_000 };
        let other = Key::Member { site: "dc-a".into(), replica: "op-9".into() };
        world.store.apply(&Txn { then: vec![Op::put(other, &record)], ..Txn::default() }).unwrap();
        let list = world.members();
        world.beat(0, 0);
        world.begin(ExecutionKind::Switchover);
        world.release();
        assert_eq!(world.claim(1, Some(&list), guards) && world.a_active(1), doubled);
    }
}

#[test]
fn without_the_claims_comparison_a_group_is_claimed_that_was_taken_back() {
    for (guards, doubled) in both(Guard::ClaimGroup) {
        let mut world = World::new(Guards::ALL);
        world.begin(ExecutionKind::Switchover);
        world.release();
        let released = world.record();
        let mut watch = ClaimWatch::new("dc-b", timing());
        watch.observe(seconds(0), &BTreeMap::from([("g".to_owned(), released.clone())]));
        let proof = watch.ready("g", seconds(10), 1, None).unwrap();
        let claiming = world.entry(Step::EpochCommitted);
        let back = world.entry(Step::RolledBack);
        let reclaim = txn::reclaim(Acting::new("dc-a", 0), &Move { record: &released, entry: &back }).unwrap();
        assert!(world.store.apply(&reclaim).unwrap().succeeded);
        world.beat(10, 10);
        let acting = Acting::new("dc-b", 0).with_guards(guards);
        let claim = txn::claim(acting, &Move { record: &released, entry: &claiming }, &proof).unwrap();
        assert_eq!(world.store.apply(&claim).unwrap().succeeded, doubled, "two sites under epoch 2");
    }
}

#[test]
fn without_the_reclaims_comparison_a_group_is_taken_back_that_was_claimed() {
    for (guards, doubled) in both(Guard::ReleaseCompares) {
        let world = World::new(Guards::ALL);
        world.begin(ExecutionKind::Switchover);
        world.release();
        let (released, back) = (world.record(), world.entry(Step::RolledBack));
        assert!(world.claim(10, None, Guards::ALL));
        let acting = Acting::new("dc-a", 0).with_guards(guards);
        let reclaim = txn::reclaim(acting, &Move { record: &released, entry: &back }).unwrap();
        assert_eq!(world.store.apply(&reclaim).unwrap().succeeded, doubled, "two sites under epoch 2");
    }
}

#[test]
fn a_heartbeat_that_does_not_renew_groups_keeps_a_former_holder_active() {
    for (guards, doubled) in both(Guard::HeartbeatReadsGroups) {
        let mut world = World::new(guards);
        world.beat(0, 0);
        world.begin(ExecutionKind::Failover);
        let mut watch = PeerWatch::new("dc-a", timing());
        watch.read(seconds(0), &world.members());
        assert!(world.take_over(&watch, 10, Guards::ALL));
        // dc-a was paused, fenced, and is back.
        world.beat(11, 11);
        assert_eq!(world.a_active(11), doubled);
    }
}

#[test]
fn records_that_go_backwards_keep_a_former_holder_active() {
    for (guards, doubled) in both(Guard::NeverBackwards) {
        let mut world = World::new(guards);
        let before = world.record();
        world.beat(0, 0);
        world.begin(ExecutionKind::Switchover);
        world.release();
        assert!(world.claim(10, None, Guards::ALL));
        world.beat(11, 11);
        assert!(!world.a_active(11));
        // An event of before comes once more.
        world.a.gate().with(|gate| gate.apply(seconds(12), "g", &before));
        assert_eq!(world.a_active(12), doubled);
    }
}

#[test]
fn without_the_holds_comparison_a_hold_is_passed() {
    for (guards, passed) in both(Guard::Holds) {
        let world = World::new(Guards::ALL);
        world.begin(ExecutionKind::Switchover);
        world.release();
        let hold = HoldRecord { by: "wang".into(), reason: String::new(), since: jiff::Timestamp::UNIX_EPOCH };
        let set = txn::set_hold(&crate::records::Hold::All, 0, &hold);
        assert!(world.store.apply(&set).unwrap().succeeded);
        assert_eq!(world.claim(10, None, guards), passed);
    }
}

#[test]
fn without_the_fences_token_a_stray_poll_opens_the_file_again() {
    for (guards, doubled) in both(Guard::FenceToken) {
        let token = Token { generation: 1, epoch: 1, execution: 7, step: 3 };
        let poll = Poll { active: true, token, valid_for: seconds(7) };
        let mut agent = Agent::new("g", "boot", None).with_guards(guards);
        agent.refresh(seconds(0), &poll).unwrap();
        agent.fence(&token).unwrap();
        let _ = agent.refresh(seconds(0), &poll);
        assert_eq!(writable(Some(agent.file()), "g", seconds(1), "boot").is_ok(), doubled);
    }
}

#[test]
fn without_the_journals_comparison_two_drivers_write_one_entry() {
    for (guards, doubled) in both(Guard::JournalCompare) {
        let world = World::new(Guards::ALL);
        world.begin(ExecutionKind::Switchover);
        let (record, old) = (world.record(), world.entry(Step::Quiescing));
        world.release();
        let acting = Acting::new("dc-a", 0).with_guards(guards);
        let late = txn::put_journal(acting, &Move { record: &record, entry: &old }).unwrap();
        assert_eq!(world.store.apply(&late).unwrap().succeeded, doubled);
    }
}

#[test]
fn without_the_leaders_comparison_a_former_leader_writes() {
    for (guards, written) in both(Guard::LeaderCompare) {
        let world = World::new(Guards::ALL);
        world.begin(ExecutionKind::Switchover);
        let (record, entry) = (world.record(), world.entry(Step::Quiescing));
        let acting = Acting::new("dc-a", 77).with_guards(guards);
        let late = txn::put_journal(acting, &Move { record: &record, entry: &entry }).unwrap();
        assert_eq!(world.store.apply(&late).unwrap().succeeded, written);
    }
}

#[test]
fn without_a_comparison_the_key_of_a_living_replica_is_deleted() {
    for (guards, gone) in both(Guard::DeleteAsWatched) {
        let mut world = World::new(Guards::ALL);
        world.beat(0, 0);
        let watched = world.members().newest();
        world.beat(1, 1);
        let reap = txn::reap_with(("dc-a", 0), "op-0", watched, guards);
        assert_eq!(world.store.apply(&reap).unwrap().succeeded, gone);
        assert_eq!(world.members().members.is_empty(), gone, "and a claimant would not wait for it");
    }
}

#[test]
fn without_pins_a_restored_arbiter_gives_back_what_was_moved() {
    for (guards, doubled) in both(Guard::Pins) {
        let mut world = World::new(guards);
        world.beat(0, 0);
        let (snapshot, identity) = (world.store.snapshot(), ClusterIdentity { cluster: 1, members: [1, 2, 3].into() });
        let pins = Pins::adopt(identity.clone(), 1, world.store.revision(), BTreeMap::new());
        world.begin(ExecutionKind::Switchover);
        world.release();
        assert!(world.claim(10, None, Guards::ALL));
        assert!(matches!(world.record().value.phase, Phase::Held));
        // A replica of dc-a starts; its pins know of dc-b's epoch by their revision alone.
        world.beat(11, 11);
        let pins = Pins { revision: world.store.revision(), ..pins };
        world.store.restore(&snapshot, identity.clone());
        let gate = crate::gate::SharedGate::new(Gate::new("dc-a", "op-0", 1, timing()).with_guards(guards));
        let again = Identity { site: "dc-a".into(), replica: "op-0".into(), incarnation: "2".into(), generation: 1 };
        world.a = Machine::with_gate(again, timing(), gate).with_guards(guards).with_pins(pins);
        world.a.looked(seconds(12), &identity).unwrap();
        for _ in 0..3 {
            let answer = world.store.apply(&world.a.beat()).unwrap();
            world.a.answered(seconds(12), seconds(12), &answer).unwrap();
        }
        assert_eq!(world.a_active(12), doubled);
    }
}

#[test]
fn without_a_comparison_the_word_of_a_forced_cluster_counts() {
    for (guards, believed) in both(Guard::AnswersCompared) {
        let mut world = World::new(guards);
        let identity = ClusterIdentity { cluster: 1, members: [1, 2, 3].into() };
        let pins = Pins::adopt(identity.clone(), 1, world.store.revision(), BTreeMap::new());
        let gate = crate::gate::SharedGate::new(Gate::new("dc-a", "op-0", 1, timing()).with_guards(guards));
        let us = Identity { site: "dc-a".into(), replica: "op-0".into(), incarnation: "1".into(), generation: 1 };
        world.a = Machine::with_gate(us, timing(), gate).with_guards(guards).with_pins(pins);
        let read = Txn { then: vec![Op::get(Key::Generation)], ..Txn::default() };
        let before = world.store.apply(&read).unwrap().origin;
        world.a.looked_at(seconds(0), &identity, before.server).unwrap();
        assert!(world.a.counts().allow(before));
        // Behind the same connection another process answers, with the same name and in a later term.
        world.store.elect();
        let after = world.store.apply(&read).unwrap().origin;
        assert_eq!(world.a.counts().allow(after), believed);
    }
}
