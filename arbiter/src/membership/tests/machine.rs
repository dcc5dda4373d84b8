use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::super::{Act, Machine, MembershipError, Outcome, Timing, View};
use super::{identity, timing};
use crate::clock::{Clock, ManualClock};
use crate::gate::Query;
use crate::pins::{ClusterIdentity, Mismatch, Pins};
use crate::records::{GenerationRecord, GroupRecord, Key, MemberRecord, Phase, RestorePhase, Versioned, decode};
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

fn pinned(store: &SimStore) -> Pins {
    let identity = ClusterIdentity { cluster: 1, members: BTreeSet::from([1, 2, 3]) };
    Pins::adopt(identity, 1, store.revision(), BTreeMap::new())
}

fn active(machine: &Machine, now: Duration) -> bool {
    machine.gate().with(|gate| gate.answer(&Query::Active("platform".into()), now).status == 200)
}

#[test]
fn a_heartbeat_that_counts_opens_the_gate_and_seen_is_what_the_gate_has_applied() {
    let (store, clock) = (SimStore::default(), ManualClock::default());
    store.apply(&txn::create_platform("dc-a")).unwrap();
    let mut replica = Replica::new(&store, &clock, "op-0", "1");
    assert!(!active(&replica.machine, clock.now()));
    replica.beat();
    assert!(active(&replica.machine, clock.now()));
    assert_eq!(replica.machine.gate().with(|gate| gate.seen()), replica.view().seen);
    replica.beat();
    assert!(member(&store, "op-0").unwrap().seen > 0);
    clock.advance(seconds(7));
    assert!(!active(&replica.machine, clock.now()), "nobody came to close it");
}

/// The claimant waits for `seen`: a release is told at once, by a heartbeat that brings it and one that says so.
#[test]
fn a_release_asks_for_a_heartbeat_at_once() {
    let (store, clock) = (SimStore::default(), ManualClock::default());
    store.apply(&txn::create_platform("dc-a")).unwrap();
    let mut replica = Replica::new(&store, &clock, "op-0", "1");
    replica.beat();
    assert!(!replica.machine.owes_news());
    let released = GroupRecord { phase: Phase::Released { to: "dc-b".into() }, ..GroupRecord::first("dc-a") };
    let put = Op::put(Key::Group("platform".into()), &released);
    let release = store.apply(&Txn { then: vec![put], ..Txn::default() }).unwrap().revision;
    let record = Versioned::new(release, released);
    replica.machine.gate().with(|gate| gate.apply(clock.now(), "platform", &record));
    assert!(replica.machine.owes_news());
    replica.beat();
    assert!(replica.machine.owes_news(), "it has brought the release and did not yet tell");
    replica.beat();
    assert!(!replica.machine.owes_news());
    assert!(member(&store, "op-0").unwrap().seen >= release);
}

#[test]
fn nothing_counts_before_the_members_were_compared() {
    let (store, clock) = (SimStore::default(), ManualClock::default());
    store.apply(&txn::create_platform("dc-a")).unwrap();
    let mut machine = Machine::new(identity("op-0", "1"), timing()).with_pins(pinned(&store));
    assert!(machine.must_look());
    let answer = store.apply(&machine.beat()).unwrap();
    assert_eq!(machine.answered(clock.now(), clock.now(), &answer).unwrap(), Outcome::Look);
    assert!(!active(&machine, clock.now()));
    let another = ClusterIdentity { cluster: 1, members: BTreeSet::from([1, 2, 9]) };
    assert!(matches!(machine.looked(clock.now(), &another), Err(Mismatch::Members { .. })));
    let ours = ClusterIdentity { cluster: 1, members: BTreeSet::from([1, 2, 3]) };
    machine.looked(clock.now(), &ours).unwrap();
    let answer = store.apply(&machine.beat()).unwrap();
    assert_eq!(machine.answered(clock.now(), clock.now(), &answer).unwrap(), Outcome::Counted);
    assert!(active(&machine, clock.now()));
    assert_eq!(machine.pins().unwrap().groups["platform"].epoch, 1);
    machine.connected();
    assert!(machine.must_look(), "a new connection");
}

/// A forced new cluster keeps id, member id and revision, and a connection is made anew without a word: its members are
/// compared before anything of it counts.
#[test]
fn another_server_or_term_is_looked_at_before_it_counts() {
    let (store, clock) = (SimStore::default(), ManualClock::default());
    store.apply(&txn::create_platform("dc-a")).unwrap();
    let ours = ClusterIdentity { cluster: 1, members: BTreeSet::from([1, 2, 3]) };
    let mut machine = Machine::new(identity("op-0", "1"), timing()).with_pins(pinned(&store));
    machine.looked(clock.now(), &ours).unwrap();
    let beat = |machine: &mut Machine| {
        let answer = store.apply(&machine.beat()).unwrap();
        (machine.answered(clock.now(), clock.now(), &answer).unwrap(), answer.origin.server)
    };
    assert_eq!(beat(&mut machine).0, Outcome::Counted);
    store.elect();
    let (outcome, server) = beat(&mut machine);
    assert_eq!(outcome, Outcome::Look);
    assert!(machine.must_look());
    let deadline = machine.view().deadline;
    machine.looked_at(clock.now(), &ours, server).unwrap();
    assert_eq!(beat(&mut machine).0, Outcome::Counted, "it was an election and nothing else");
    assert_eq!(machine.view().deadline, deadline, "at one instant");
    store.elect();
    let (outcome, server) = beat(&mut machine);
    assert_eq!(outcome, Outcome::Look);
    let forced = ClusterIdentity { members: BTreeSet::from([2]), ..ours };
    assert!(matches!(machine.looked_at(clock.now(), &forced, server), Err(Mismatch::Members { .. })));
    assert!(!active(&machine, clock.now()));
    assert!(!matches!(beat(&mut machine).0, Outcome::Counted));
}

/// A backup under the old identity, as a forced new cluster would come back; one under a new identity; a raised generation.
#[test]
fn a_restored_arbiter_fences() {
    let (store, clock) = (SimStore::default(), ManualClock::default());
    store.apply(&txn::create_platform("dc-a")).unwrap();
    let snapshot = store.snapshot();
    for (cluster, restored) in [(1, true), (2, true), (1, false)] {
        store.restore(&snapshot, ClusterIdentity { cluster: 1, members: BTreeSet::from([1, 2, 3]) });
        let mut machine = Machine::new(identity("op-0", "1"), timing()).with_pins(pinned(&store));
        machine.looked(clock.now(), &ClusterIdentity { cluster: 1, members: BTreeSet::from([1, 2, 3]) }).unwrap();
        for _ in 0..3 {
            let answer = store.apply(&machine.beat()).unwrap();
            assert_eq!(machine.answered(clock.now(), clock.now(), &answer).unwrap(), Outcome::Counted);
        }
        assert!(active(&machine, clock.now()));
        if restored {
            store.restore(&snapshot, ClusterIdentity { cluster, members: BTreeSet::from([1, 2, 3]) });
        } else {
            let record = GenerationRecord {
                generation: 2,
                phase: RestorePhase::Restoring,
                sites: vec!["dc-a".into(), "dc-b".into()],
                at: jiff::Timestamp::UNIX_EPOCH,
                by: "wang".into(),
                cluster: 1,
            };
            store.apply(&txn::generation(0, &record, None)).unwrap();
        }
        let mut outcome = Outcome::Again;
        for _ in 0..3 {
            let answer = store.apply(&machine.beat()).unwrap();
            outcome = machine.answered(clock.now(), clock.now(), &answer).unwrap();
            assert_ne!(outcome, Outcome::Counted);
            if outcome != Outcome::Again {
                break;
            }
        }
        assert!(matches!(outcome, Outcome::Mismatch(_)), "{outcome:?}");
        assert!(!active(&machine, clock.now()) && machine.view().deadline.is_none());
        assert!(machine.acts(clock.now()).is_empty());
    }
}

/// The predecessor may live after all and answer 200 until its deadline: what its successor has seen says nothing of it.
#[test]
fn a_successor_tells_nothing_of_what_it_has_seen_before_its_predecessor_must_have_stopped() {
    let (store, clock) = (SimStore::default(), ManualClock::default());
    store.apply(&txn::create_platform("dc-a")).unwrap();
    let mut before = Replica::new(&store, &clock, "op-0", "1");
    before.beat();
    before.beat();
    assert!(member(&store, "op-0").unwrap().seen > 0);
    let mut after = Replica::new(&store, &clock, "op-0", "2");
    for _ in 0..5 {
        after.beat();
        assert_eq!(member(&store, "op-0").unwrap().seen, 0, "at {:?}", clock.now());
        assert!(active(&before.machine, clock.now()) || clock.now() >= timing().fence());
        clock.advance(seconds(2));
    }
    after.beat();
    after.beat();
    assert!(member(&store, "op-0").unwrap().seen > 0);
    assert!(!active(&before.machine, clock.now()));
}

#[test]
fn a_late_answer_of_a_beat_that_was_given_up_takes_nothing_back() {
    let (store, clock) = (SimStore::default(), ManualClock::default());
    let mut replica = Replica::new(&store, &clock, "op-0", "1");
    replica.beat();
    replica.act();
    let given_up = replica.machine.beat();
    let late = store.apply(&given_up).unwrap();
    assert!(late.succeeded);
    // The next one finds it, and counts; the leadership is given up and taken by another meanwhile.
    clock.advance(seconds(1));
    replica.beat();
    let resignation = replica.machine.resign().unwrap();
    store.apply(&resignation).unwrap();
    replica.beat();
    assert!(!replica.leads());
    let next = replica.machine.beat();
    let outcome = replica.machine.answered(clock.now(), clock.now(), &late).unwrap();
    assert_eq!((outcome, replica.leads()), (Outcome::Again, false), "what it read is older than what is known");
    assert_eq!(replica.machine.beat(), next, "and so is the revision of the key");
}

#[test]
fn who_sees_another_t_is_fenced_and_takes_nothing() {
    let store = SimStore::default();
    store.apply(&txn::create_platform("dc-a")).unwrap();
    let clock = ManualClock::default();
    let mut ours = Replica::new(&store, &clock, "op-0", "1");
    ours.beat();
    ours.act();
    assert!(ours.leads());
    for (site, t_millis) in [("dc-a", 5_000), ("dc-b", 20_000), ("dc-b", 0)] {
        let record = MemberRecord { seen: 0, generation: 1, incarnation: "x".into(), t_millis };
        let key = Key::Member { site: site.into(), replica: "op-9".into() };
        store.apply(&Txn { then: vec![Op::put(&key, &record)], ..Txn::default() }).unwrap();
        let answer = store.apply(&ours.machine.beat()).unwrap();
        let outcome = ours.machine.answered(clock.now(), clock.now(), &answer).unwrap();
        let Outcome::OtherT(other) = outcome else { panic!("{outcome:?}") };
        assert_eq!((other.site.as_str(), other.found, other.ours), (site, t_millis, 10_000));
        assert!(other.to_string().contains("heartbeatSeconds"), "{other}");
        assert!(!ours.leads() && ours.act() == 0, "nothing is taken");
        let gate = ours.machine.gate().with(|gate| gate.answer(&Query::Active("platform".into()), clock.now()));
        assert_eq!(gate.status, 503);
        assert!(gate.reason.contains("heartbeatSeconds"), "{}", gate.reason);
        // One that is gone counts no more, once neither its own T nor ours can still matter; one that does not say which
        // it has is waited for until somebody deletes its key.
        clock.advance(seconds(20));
        if t_millis == 0 {
            let answer = store.apply(&ours.machine.beat()).unwrap();
            let outcome = ours.machine.answered(clock.now(), clock.now(), &answer).unwrap();
            assert!(matches!(outcome, Outcome::OtherT(_)));
            store.apply(&Txn { then: vec![Op::delete(&key)], ..Txn::default() }).unwrap();
        }
        ours.beat();
        assert!(ours.leads());
        store.apply(&Txn { then: vec![Op::delete(&key)], ..Txn::default() }).unwrap();
    }
    // A record of an earlier release does not say.
    let old: MemberRecord = serde_json::from_str(r#"{"seen": 1, "generation": 1, "incarnation": "1"}"#).unwrap();
    assert!(!old.has_t(Duration::ZERO) && !old.has_t(timing().t()));
}
