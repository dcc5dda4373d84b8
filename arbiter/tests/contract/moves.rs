//! Every transaction that moves a group, with what each of its comparisons is there for. Each scenario has sites of its own.

use std::time::Duration;

use jiff::Timestamp;
use tandem_arbiter::Arbiter;
use tandem_arbiter::arbiter::{GroupMoved, MoveError};
use tandem_arbiter::gate::Gate;
use tandem_arbiter::membership::Timing;
use tandem_arbiter::peers::{ClaimProof, ClaimWatch, PeerWatch, Silence};
use tandem_arbiter::records::{
    Entry, GroupRecord, Hold, HoldRecord, JournalSeen, Key, LeaderRecord, MemberRecord, Versioned,
};
use tandem_arbiter::store::Store;
use tandem_arbiter::txn::{self, Acting, Move, NotAllowed, Op, Superseded, Txn};
use tandem_core::failover::{ExecutionKind, Journal, Step};

pub(crate) async fn run<S: Store>(store: &S) {
    take_over(store).await;
    take_over_within_the_sources_execution(store).await;
    release_and_claim(store).await;
    claim_notices_a_replica_that_joined(store).await;
    reclaim_and_claim_race(store).await;
    one_execution_a_group(store).await;
    a_failover_supersedes(store).await;
    the_driver_writes(store).await;
    holds_are_changed_as_they_were_read(store).await;
    a_member_key_is_deleted_only_as_it_was_watched(store).await;
}

fn timing() -> Timing {
    Timing::from_heartbeat(Duration::from_secs(2)).unwrap()
}

fn hold_record() -> HoldRecord {
    HoldRecord { by: "wang".into(), reason: "works".into(), since: Timestamp::UNIX_EPOCH }
}

fn journal_of(execution: &str, group: &str, kind: ExecutionKind, sites: (&str, &str), epoch: u64) -> Journal {
    let fields = serde_json::json!({
        "execution": execution, "group": group, "kind": kind, "from": sites.0, "to": sites.1, "epoch": epoch,
        "entry": 1, "step": Step::Validating,
    });
    serde_json::from_value(fields).unwrap()
}

/// Two sites and a group that the first one holds.
struct World<S> {
    store: S,
    a: Arbiter<S>,
    b: Arbiter<S>,
    group: String,
    leaders: (i64, i64),
}

impl<S: Store> World<S> {
    async fn new(store: &S, name: &str) -> Self {
        let (a, b) = (format!("a-{name}"), format!("b-{name}"));
        let world = Self {
            store: store.clone(),
            leaders: (lead(store, &a, 0).await, lead(store, &b, 0).await),
            a: Arbiter::new(store.clone(), &a),
            b: Arbiter::new(store.clone(), &b),
            group: format!("g-{name}"),
        };
        world.write(Op::put(Key::Group(world.group.clone()), &GroupRecord::first(&a))).await;
        world.beat(&a, "op-0", 0).await;
        world
    }

    async fn write(&self, op: Op) -> i64 {
        self.store.txn(&Txn { then: vec![op], ..Txn::default() }).await.unwrap().revision
    }

    async fn beat(&self, site: &str, replica: &str, seen: i64) -> i64 {
        let record = MemberRecord { seen, generation: 1, incarnation: "1".into(), t_millis: 10_000 };
        self.write(Op::put(Key::Member { site: site.to_owned(), replica: replica.to_owned() }, &record)).await
    }

    fn acts(&self, arbiter: &'_ Arbiter<S>) -> Acting<'static> {
        let site: &'static str = Box::leak(arbiter.site().to_owned().into_boxed_str());
        Acting::new(site, if arbiter.site() == self.a.site() { self.leaders.0 } else { self.leaders.1 })
    }

    async fn record(&self) -> Versioned<GroupRecord> {
        self.a.read_groups().await.unwrap().1.remove(&self.group).unwrap()
    }

    async fn begin(&self, by: &Arbiter<S>, execution: &str, kind: ExecutionKind) -> GroupMoved {
        let record = self.record().await;
        let journal = journal_of(execution, &self.group, kind, (self.a.site(), self.b.site()), record.value.epoch);
        by.begin_execution(self.acts(by), journal, None).await.unwrap()
    }

    async fn put(&self, by: &Arbiter<S>, now: &GroupMoved, step: Step) -> Result<GroupMoved, MoveError> {
        let entry = next(&now.journal, step);
        by.put_journal(self.acts(by), Move { record: &now.record, entry: &entry }).await
    }

    /// Up to the release.
    async fn released(&self, execution: &str) -> GroupMoved {
        let begun = self.begin(&self.a, execution, ExecutionKind::Switchover).await;
        let quiescing = self.put(&self.a, &begun, Step::Quiescing).await.unwrap();
        let entry = next(&quiescing.journal, Step::Fencing);
        let change = Move { record: &quiescing.record, entry: &entry };
        self.a.release(self.acts(&self.a), change).await.unwrap()
    }

    async fn silence(&self) -> Silence {
        let mut watch = PeerWatch::new(self.a.site(), timing());
        watch.read(Duration::ZERO, &self.a.members(self.a.site()).await.unwrap());
        watch.take_over_ready(timing().t()).unwrap()
    }

    async fn proof(&self, released: &GroupMoved) -> Option<ClaimProof> {
        let members = self.b.members(self.a.site()).await.unwrap();
        let mut watch = ClaimWatch::new(self.b.site(), timing());
        watch.observe(Duration::ZERO, &[(self.group.clone(), released.record.clone())].into());
        watch.ready(&self.group, Duration::ZERO, 1, Some(&members))
    }

    async fn claim(&self, released: &GroupMoved, proof: &ClaimProof) -> Result<GroupMoved, MoveError> {
        let entry = next(&released.journal, Step::EpochCommitted);
        self.b.claim(self.acts(&self.b), Move { record: &released.record, entry: &entry }, proof).await
    }
}

async fn lead<S: Store>(store: &S, site: &str, before: i64) -> i64 {
    let record = LeaderRecord { replica: "op-0".into(), incarnation: "1".into() };
    let answer = store.txn(&txn::campaign(site, before, None, &record)).await.unwrap();
    assert!(answer.succeeded);
    answer.revision
}

fn next(seen: &JournalSeen, step: Step) -> Entry {
    seen.next(Journal { step, ..seen.journal.clone() }).unwrap()
}

async fn take_over<S: Store>(store: &S) {
    let mut world = World::new(store, "take").await;
    let (a, b) = (world.a.site().to_owned(), world.b.site().to_owned());
    let begun = world.begin(&world.b, "x-take", ExecutionKind::Failover).await;
    let entry = next(&begun.journal, Step::EpochCommitted);
    let change = Move { record: &begun.record, entry: &entry };
    let silence = world.silence().await;

    // A heartbeat that came after the last look, and a replica that joined.
    world.beat(&a, "op-0", 0).await;
    let refused = world.b.take_over(world.acts(&world.b), change, &silence, true).await;
    assert!(matches!(refused, Err(MoveError::Alive)), "{refused:?}");
    let silence = world.silence().await;
    world.beat(&a, "op-1", 0).await;
    let refused = world.b.take_over(world.acts(&world.b), change, &silence, true).await;
    assert!(matches!(refused, Err(MoveError::Alive)), "{refused:?}");

    // A hold of each scope that applies; one on the other site does not.
    let silence = world.silence().await;
    for hold in txn::holds(&world.group, &b) {
        let set = world.a.set_hold(&hold, &hold_record(), None).await.unwrap();
        let refused = world.b.take_over(world.acts(&world.b), change, &silence, true).await;
        assert!(matches!(&refused, Err(MoveError::Held(found)) if *found == hold), "{refused:?}");
        assert!(world.b.clear_hold(&hold, set.revision, None).await.unwrap());
    }
    world.a.set_hold(&Hold::Site(a.clone()), &hold_record(), None).await.unwrap();

    // Another replica leads.
    let before = world.leaders.1;
    world.leaders.1 = lead(store, &b, before).await;
    let refused = world.b.take_over(Acting::new(&b, before), change, &silence, true).await;
    assert!(matches!(refused, Err(MoveError::NotLeader)), "{refused:?}");

    // The journal moved.
    let later = world.put(&world.b, &begun, Step::AwaitingApproval).await.unwrap();
    let refused = world.b.take_over(world.acts(&world.b), change, &silence, true).await;
    assert!(matches!(refused, Err(MoveError::Conflict { .. })), "{refused:?}");

    let entry = next(&later.journal, Step::EpochCommitted);
    let change = Move { record: &later.record, entry: &entry };
    let taken = world.b.take_over(world.acts(&world.b), change, &silence, true).await.unwrap();
    assert_eq!(taken.record, world.record().await);
    let GroupRecord { active, epoch, failovers_lately, execution, .. } = &taken.record.value;
    assert_eq!((active, *epoch, *failovers_lately), (&b, 2, 1));
    assert_eq!(execution.as_deref(), Some("x-take"));
    let journal = world.b.journal("x-take", &world.group).await.unwrap().unwrap();
    assert_eq!(journal, taken.journal);
    assert_eq!((journal.journal.step, journal.revision), (Step::EpochCommitted, taken.record.revision), "in one");

    // Once more: the record moved.
    let refused = world.b.take_over(world.acts(&world.b), change, &silence, true).await;
    assert!(matches!(refused, Err(MoveError::Conflict { .. })), "{refused:?}");
}

/// The source died in the middle of a switchover: its journal is taken over, and what it still sends is refused.
async fn take_over_within_the_sources_execution<S: Store>(store: &S) {
    let world = World::new(store, "within").await;
    let begun = world.begin(&world.a, "x-within", ExecutionKind::Switchover).await;
    let fencing = world.put(&world.a, &begun, Step::Demoting).await.unwrap();
    let silence = world.silence().await;
    let entry = next(&fencing.journal, Step::EpochCommitted);
    let change = Move { record: &fencing.record, entry: &entry };
    let taken = world.b.take_over(world.acts(&world.b), change, &silence, false).await.unwrap();
    assert_eq!(taken.record.value.failovers_lately, 0);
    let entry = next(&fencing.journal, Step::Fencing);
    let late = world.a.release(world.acts(&world.a), Move { record: &fencing.record, entry: &entry }).await;
    assert!(matches!(late, Err(MoveError::Conflict { .. })), "{late:?}");
    let late = world.put(&world.a, &fencing, Step::RolledBack).await;
    assert!(matches!(late, Err(MoveError::Conflict { .. })), "{late:?}");
}

async fn release_and_claim<S: Store>(store: &S) {
    let world = World::new(store, "claim").await;
    let released = world.released("x-claim").await;
    assert_eq!(released.record.value.released_to(), Some(world.b.site()));
    assert_eq!(released.record.value.epoch, 1);
    assert_eq!(released.journal.revision, released.record.revision, "in one");
    // The replica whose heartbeat says less may still answer 200.
    assert_eq!(world.proof(&released).await, None);
    world.beat(world.a.site(), "op-0", released.record.revision).await;
    let proof = world.proof(&released).await.unwrap();
    let set = world.a.set_hold(&Hold::Group(world.group.clone()), &hold_record(), None).await.unwrap();
    let held = world.claim(&released, &proof).await;
    assert!(matches!(held, Err(MoveError::Held(_))), "{held:?}");
    world.a.clear_hold(&Hold::Group(world.group.clone()), set.revision, None).await.unwrap();
    let claimed = world.claim(&released, &proof).await.unwrap();
    assert_eq!((claimed.record.value.active.as_str(), claimed.record.value.epoch), (world.b.site(), 2));
    assert!(world.claim(&released, &proof).await.is_err());
    // From here on the target drives.
    let late = world.put(&world.a, &claimed, Step::Promoting).await;
    assert!(matches!(late, Err(MoveError::NotAllowed(NotAllowed::NotDriver))), "{late:?}");
    let promoting = world.put(&world.b, &claimed, Step::Promoting).await.unwrap();
    let entry = next(&promoting.journal, Step::Completed);
    let change = Move { record: &promoting.record, entry: &entry };
    let finished = world.b.finish(world.acts(&world.b), change).await.unwrap();
    assert_eq!(finished.record.value.execution, None);
    assert!(finished.record.value.token(1) > promoting.journal.token(1, &promoting.record.value));
    assert_eq!(finished.record, world.record().await);
}

async fn claim_notices_a_replica_that_joined<S: Store>(store: &S) {
    let world = World::new(store, "join").await;
    let released = world.released("x-join").await;
    let a = world.a.site().to_owned();
    world.beat(&a, "op-0", released.record.revision).await;
    let proof = world.proof(&released).await.unwrap();
    // A heartbeat of a replica that was on the list is no reason to refuse …
    world.beat(&a, "op-0", released.record.revision).await;
    // … a key that was not there is.
    world.beat(&a, "op-9", 0).await;
    let refused = world.claim(&released, &proof).await;
    assert!(matches!(refused, Err(MoveError::Alive)), "{refused:?}");
    assert_eq!(world.proof(&released).await, None, "the new list shows one that lags");
    world.beat(&a, "op-9", released.record.revision).await;
    let proof = world.proof(&released).await.unwrap();
    world.beat(&a, "op-0", released.record.revision).await;
    world.claim(&released, &proof).await.unwrap();
}

async fn reclaim_and_claim_race<S: Store>(store: &S) {
    let world = World::new(store, "race").await;
    let released = world.released("x-race").await;
    world.beat(world.a.site(), "op-0", released.record.revision).await;
    let proof = world.proof(&released).await.unwrap();
    let entry = next(&released.journal, Step::RolledBack);
    let change = Move { record: &released.record, entry: &entry };
    // Only who released may take it back; a hold does not stop it.
    let foreign = world.b.reclaim(world.acts(&world.b), change).await;
    assert!(matches!(foreign, Err(MoveError::NotAllowed(NotAllowed::Record))), "{foreign:?}");
    let hold = Hold::Group(world.group.clone());
    let set = world.a.set_hold(&hold, &hold_record(), None).await.unwrap();
    let back = world.a.reclaim(world.acts(&world.a), change).await.unwrap();
    world.a.clear_hold(&hold, set.revision, None).await.unwrap();
    assert_eq!((back.record.value.active.as_str(), back.record.value.epoch), (world.a.site(), 2));
    assert_eq!(back.journal.journal.step, Step::RolledBack);
    let late = world.claim(&released, &proof).await;
    assert!(matches!(late, Err(MoveError::Conflict { .. })), "{late:?}");
    // The other way round.
    let last = next(&back.journal, Step::RolledBack);
    world.a.finish(world.acts(&world.a), Move { record: &back.record, entry: &last }).await.unwrap();
    let released = world.released("x-race-2").await;
    world.beat(world.a.site(), "op-0", released.record.revision).await;
    let proof = world.proof(&released).await.unwrap();
    assert_eq!(world.claim(&released, &proof).await.unwrap().record.value.epoch, 3);
    let entry = next(&released.journal, Step::RolledBack);
    let change = Move { record: &released.record, entry: &entry };
    let late = world.a.reclaim(world.acts(&world.a), change).await;
    assert!(matches!(late, Err(MoveError::Conflict { .. })), "{late:?}");
}

async fn one_execution_a_group<S: Store>(store: &S) {
    let world = World::new(store, "one").await;
    let begun = world.begin(&world.a, "x-one", ExecutionKind::Switchover).await;
    assert_eq!(begun.journal.created, begun.journal.revision);
    // The same request again is the same execution, also from the other site.
    let again = world.begin(&world.b, "x-one", ExecutionKind::Switchover).await;
    assert_eq!(again.journal, begun.journal);
    let sites = (world.a.site(), world.b.site());
    let other = journal_of("x-one", &world.group, ExecutionKind::Drill, sites, 1);
    let refused = world.a.begin_execution(world.acts(&world.a), other, None).await;
    assert!(matches!(refused, Err(MoveError::OtherRequest { .. })), "{refused:?}");
    let second = journal_of("x-two", &world.group, ExecutionKind::Switchover, sites, 1);
    let refused = world.b.begin_execution(world.acts(&world.b), second.clone(), None).await;
    assert!(matches!(&refused, Err(MoveError::Busy { execution }) if execution == "x-one"), "{refused:?}");
    // Two that began from the same read: one wins, in the arbiter.
    let entry = Entry::first(second).unwrap();
    let unbusy = Versioned::new(begun.record.revision - 1, GroupRecord::first(world.a.site()));
    let racing = txn::begin(world.acts(&world.b), &Move { record: &unbusy, entry: &entry }, None).unwrap();
    assert!(!world.store.txn(&racing).await.unwrap().succeeded);
    let listing = world.a.list_execution("x-one").await.unwrap();
    assert_eq!(listing.entries.len(), 1);
    assert_eq!(listing.entries[0].value.as_ref().unwrap(), &begun.journal);
    let missing = journal_of("x-none", "no-such-group", ExecutionKind::Switchover, sites, 1);
    let refused = world.a.begin_execution(world.acts(&world.a), missing, None).await;
    assert!(matches!(refused, Err(MoveError::NoGroup { .. })), "{refused:?}");
}

/// A drill gives way at once; anything else only where its holder is silent.
async fn a_failover_supersedes<S: Store>(store: &S) {
    let world = World::new(store, "super").await;
    let sites = (world.a.site(), world.b.site());
    let drill = world.begin(&world.b, "x-drill", ExecutionKind::Drill).await;
    let closing = next(&drill.journal, Step::RolledBack);
    let failover = |id| journal_of(id, &world.group, ExecutionKind::Failover, sites, 1);
    let superseded = Superseded { entry: &closing, silence: None };
    let begun = world.b.begin_execution(world.acts(&world.b), failover("x-real"), Some(&superseded)).await.unwrap();
    assert_eq!(begun.record.value.execution.as_deref(), Some("x-real"));
    let closed = world.a.journal("x-drill", &world.group).await.unwrap().unwrap();
    assert_eq!(closed.journal.step, Step::RolledBack);

    let closing = next(&begun.journal, Step::RolledBack);
    let superseded = Superseded { entry: &closing, silence: None };
    let refused = world.b.begin_execution(world.acts(&world.b), failover("x-next"), Some(&superseded)).await;
    assert!(matches!(refused, Err(MoveError::Busy { .. })), "{refused:?}");
    let silence = world.silence().await;
    world.beat(world.a.site(), "op-0", 0).await;
    let superseded = Superseded { entry: &closing, silence: Some(&silence) };
    let refused = world.b.begin_execution(world.acts(&world.b), failover("x-next"), Some(&superseded)).await;
    assert!(matches!(refused, Err(MoveError::Alive)), "{refused:?}");
    let silence = world.silence().await;
    let superseded = Superseded { entry: &closing, silence: Some(&silence) };
    world.b.begin_execution(world.acts(&world.b), failover("x-next"), Some(&superseded)).await.unwrap();
}

async fn the_driver_writes<S: Store>(store: &S) {
    let mut world = World::new(store, "driver").await;
    let begun = world.begin(&world.b, "x-driver", ExecutionKind::Switchover).await;
    let refused = world.put(&world.b, &begun, Step::Quiescing).await;
    assert!(matches!(refused, Err(MoveError::NotAllowed(NotAllowed::NotDriver))), "{refused:?}");
    let quiescing = world.put(&world.a, &begun, Step::Quiescing).await.unwrap();
    assert_eq!(quiescing.journal.journal.entry, 2);
    let refused = world.put(&world.a, &begun, Step::Demoting).await;
    assert!(matches!(refused, Err(MoveError::Conflict { .. })), "an entry of before: {refused:?}");
    let refused = world.put(&world.a, &quiescing, Step::Promoting).await;
    assert!(matches!(refused, Err(MoveError::NotAllowed(NotAllowed::Step(_)))), "no promotion by a put: {refused:?}");
    let a = world.a.site().to_owned();
    let before = world.leaders.0;
    world.leaders.0 = lead(store, &a, before).await;
    let entry = next(&quiescing.journal, Step::FinalSync);
    let change = Move { record: &quiescing.record, entry: &entry };
    let refused = world.a.put_journal(Acting::new(&a, before), change).await;
    assert!(matches!(refused, Err(MoveError::NotLeader)), "{refused:?}");
    world.a.put_journal(world.acts(&world.a), change).await.unwrap();
}

async fn holds_are_changed_as_they_were_read<S: Store>(store: &S) {
    let world = World::new(store, "holds").await;
    let hold = Hold::Site(world.b.site().to_owned());
    let first = world.a.set_hold(&hold, &hold_record(), None).await.unwrap();
    let second = world.b.set_hold(&hold, &HoldRecord { by: "li".into(), ..hold_record() }, None).await.unwrap();
    assert_eq!(first, second, "it is set, and stays as it is");
    assert!(world.b.clear_hold(&hold, first.revision, None).await.unwrap());
    assert!(world.a.clear_hold(&hold, first.revision, None).await.unwrap(), "gone is gone");
    world.a.set_hold(&hold, &hold_record(), None).await.unwrap();
    assert!(!world.b.clear_hold(&hold, first.revision, None).await.unwrap(), "set anew by somebody");
    assert!(world.b.holds().await.unwrap().iter().any(|(found, _)| *found == hold));
}

async fn a_member_key_is_deleted_only_as_it_was_watched<S: Store>(store: &S) {
    let world = World::new(store, "members").await;
    let a = world.a.site().to_owned();
    let gone = world.beat(&a, "op-1", 0).await;
    world.beat(&a, "op-1", 1).await;
    let late = txn::reap((&a, world.leaders.0), "op-1", gone);
    assert!(!world.store.txn(&late).await.unwrap().succeeded, "it came back");
    let closed = Gate::new(&a, "op-1", 1, timing()).close(Duration::ZERO);
    assert!(!world.store.txn(&txn::leave(&closed, gone)).await.unwrap().succeeded);
    let members = world.a.members(&a).await.unwrap();
    assert_eq!(members.members.len(), 2);
    assert!(members.revision >= members.newest() && members.newest() > gone);
    let leaving = txn::leave(&closed, members.newest());
    assert!(world.store.txn(&leaving).await.unwrap().succeeded);
    assert_eq!(world.a.members(&a).await.unwrap().members.len(), 1);
}
