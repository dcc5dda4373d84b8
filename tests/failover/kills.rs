//! Fault 15: an operator that is killed before and after each kind of step of a large move.

use crate::world::{PATIENCE, World};
use futures::StreamExt;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;
use tandem_arbiter::Arbiter;
use tandem_arbiter::records::{Key, LeaderRecord, Phase, Versioned, decode};
use tandem_arbiter::store::{EtcdStore, Store};
use tandem_arbiter::txn::{Op, Txn};
use tandem_core::failover::Step;
use tandem_tests::{apply, eventually, fixtures};

/// How many groups move at once.
const MANY: usize = 50;
/// The unit that they are of.
const UNIT: &str = "many";
/// The steps of a group without data, in their order, but for those in which nothing can be interrupted any more.
const STEPS: [Step; 8] = [
    Step::Validating,
    Step::Fencing,
    Step::EpochCommitted,
    Step::Promoting,
    Step::Redirecting,
    Step::Verifying,
    Step::Completed,
    Step::Resyncing,
];

/// How many of the groups have to have reached a step for the kill: with the first, the others are before it; with the last,
/// all are after it.
#[derive(Clone, Copy, Debug)]
enum Moment {
    First,
    Half,
    Last,
}

impl Moment {
    fn count(self) -> usize {
        match self {
            Self::First => 1,
            Self::Half => MANY / 2,
            Self::Last => MANY,
        }
    }
}

/// The arbiter's records of these groups.
struct Groups {
    arbiter: Arbiter<EtcdStore>,
    names: BTreeSet<String>,
}

impl Groups {
    async fn new(world: &World) -> Self {
        let arbiter = Arbiter::new(world.lab.arbiter().await, "tests");
        let names = (0..MANY).map(|number| format!("{UNIT}-prod-a{number}")).collect();
        Self { arbiter, names }
    }

    /// Where each group is held, and under which epoch; `None` while one is not held, or moves.
    async fn held(&self) -> Option<BTreeMap<String, (String, u64)>> {
        let (_, groups) = self.arbiter.read_groups().await.ok()?;
        let ours = groups.into_iter().filter(|(name, _)| self.names.contains(name));
        let held = |(name, record): (String, Versioned<tandem_arbiter::records::GroupRecord>)| {
            let settled = record.value.phase == Phase::Held && record.value.execution.is_none();
            settled.then_some((name, (record.value.active, record.value.epoch)))
        };
        ours.map(held).collect()
    }

    /// The same, once all are held and none moves.
    async fn settled(&self) -> BTreeMap<String, (String, u64)> {
        eventually("no group to move any more", 2 * PATIENCE, || async {
            self.held().await.filter(|held| held.len() == MANY)
        })
        .await
    }

    /// The replica that acts for a site.
    async fn leader(&self, site: &str) -> String {
        let read = Txn { then: vec![Op::get(Key::Leader(site.to_owned()))], ..Txn::default() };
        let answer = self.arbiter.store().txn(&read).await.unwrap();
        decode::<LeaderRecord>(&answer.one(0).unwrap().value).unwrap().replica
    }
}

/// Fifty small applications, each of a group of its own.
async fn settle_down(world: &World) {
    let a = world.client("dc-a").await;
    let mut unit = fixtures::unit(UNIT);
    unit["spec"]["budget"]["pods"] = json!(400);
    let mut environment = fixtures::environment(UNIT, "prod", 12);
    environment["spec"]["quota"]["pods"] = json!(300);
    apply(&a, &unit).await.unwrap();
    apply(&a, &environment).await.unwrap();
    world.ready("dc-a", tandem_crds::Kind::Environment, None, "many-prod").await;
    for number in 0..MANY {
        let mut application = fixtures::application("many-prod", &format!("a{number}"), 1);
        application["spec"]["standbyClass"] = json!("Cold");
        application["spec"]["components"][0]["replicas"] = json!({"active": 1, "standby": 0});
        application["spec"]["components"][0]["resources"] = json!({"cpu": "50m", "memory": "64Mi"});
        apply(&a, &application).await.unwrap();
    }
    for number in 0..MANY {
        world.ready("dc-a", tandem_crds::Kind::Application, Some("many-prod"), &format!("a{number}")).await;
    }
}

pub(crate) async fn fault_15_a_leader_killed_around_each_kind_of_step(world: Arc<World>) {
    settle_down(&world).await;
    let groups = Groups::new(&world).await;
    let mut round = 0;
    for step in STEPS {
        for moment in [Moment::First, Moment::Half, Moment::Last] {
            round += 1;
            let started = Instant::now();
            let how = one_move(&world, &groups, &format!("kill-{round}"), step, moment).await;
            println!("{round}: {step:?} {moment:?}: {how} after {:.1} s", started.elapsed().as_secs_f64());
            world.gates.assert_never_two();
        }
    }
}

/// Moves what is at the site that has most of the groups, kills the driving leader at this moment, and looks what became of it.
async fn one_move(world: &World, groups: &Groups, name: &str, step: Step, moment: Moment) -> String {
    let before = groups.settled().await;
    let at_a = before.values().filter(|(site, _)| site == "dc-a").count();
    let (from, to) = if at_a * 2 >= MANY { ("dc-a", "dc-b") } else { ("dc-b", "dc-a") };
    let moving = before.values().filter(|(site, _)| site == from).count();
    let journals = groups.arbiter.list_executions().await.unwrap();
    let mut changes = groups.arbiter.watch_executions(journals.revision + 1).await.unwrap();
    let mut wish = fixtures::failover(name, "Switchover", to, &json!({"unit": UNIT}));
    wish["spec"]["from"] = json!(from);
    let client = world.client(from).await;
    eventually("the request to be taken", PATIENCE, || async { apply(&client, &wish).await.ok() }).await;

    let mut reached: BTreeSet<String> = BTreeSet::new();
    let mut committed: BTreeMap<String, usize> = BTreeMap::new();
    let mut killed = false;
    let mut over: BTreeSet<String> = BTreeSet::new();
    let deadline = Instant::now() + 2 * PATIENCE;
    while over.len() < moving {
        let left = deadline.saturating_duration_since(Instant::now());
        let batch = match tokio::time::timeout(left, changes.next()).await {
            Ok(Some(Ok(batch))) => batch,
            Ok(other) => panic!("the watch of journals ended: {other:?}"),
            Err(_) => {
                panic!("{name}: {} of {moving} ended, killed: {killed}, {reached:?} reached {step:?}", over.len())
            }
        };
        for change in batch.changes {
            let (execution, group) = change.key;
            let Some(Ok(seen)) = change.value else { continue };
            if execution != name {
                continue;
            }
            let journal = seen.journal;
            if journal.step >= step {
                reached.insert(group.clone());
            }
            // The entry that commits an epoch is written once, whoever else tries.
            let last = journal.evidence.last().map(|evidence| (evidence.step, evidence.ended));
            if last == Some((Step::EpochCommitted, None)) && journal.step == Step::EpochCommitted {
                *committed.entry(group.clone()).or_default() += 1;
            }
            if journal.over {
                over.insert(group);
            }
        }
        if !killed && reached.len() >= moment.count().min(moving) {
            let driver = if step < Step::EpochCommitted { from } else { to };
            let leader = groups.leader(driver).await;
            world.lab.run(&["kill", &format!("{driver}/{leader}")]);
            killed = true;
        }
    }
    assert!(killed, "{name} never came to {step:?}");
    assert!(committed.values().all(|times| *times <= 1), "an epoch was committed twice: {committed:?}");
    let after = groups.settled().await;
    for (group, (site, epoch)) in &after {
        let (old_site, old_epoch) = &before[group];
        // Moved: one more. Taken back: as before, or one more by the reclaim.
        let most = if old_site == from { old_epoch + 1 } else { *old_epoch };
        assert!(
            *epoch <= most && (site == old_site || *epoch == most),
            "{group}: {old_epoch} at {old_site}, {epoch} at {site}"
        );
    }
    let moved = after.iter().filter(|(group, (site, _))| *site != before[*group].0).count();
    let phase = world.phase_ended(to, name).await;
    format!("{moved} of {moving} moved, {phase}")
}
