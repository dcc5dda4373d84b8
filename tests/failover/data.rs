//! Groups with data: what is moved with them, and what stops when nobody is left to stop it.

use crate::world::{PATIENCE, T, World};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tandem_crds::Kind;
use tandem_tests::hooks::{Hook, Line, Writer};
use tandem_tests::{api, apply, eventually, fixtures};

/// The group, whose data the lab's services have.
pub(crate) const LEDGER: &str = "alpha-prod-ledger";
/// How many numbers show that a site takes them.
const SOME: usize = 100;

struct Data {
    a: Hook,
    b: Hook,
}

impl Data {
    /// The group, protected and at dc-a.
    async fn at_home(world: &World) -> Self {
        let client = world.client("dc-a").await;
        apply(&client, &world.lab.group_with_data(LEDGER)).await.unwrap();
        let data = Self { a: world.lab.hook("dc-a").await, b: world.lab.hook("dc-b").await };
        eventually("the ledger to be known", PATIENCE, || async {
            (!world.gates.answers("dc-a", LEDGER).is_empty()).then_some(())
        })
        .await;
        world.protected(LEDGER).await;
        // A gate that has just been opened again may lag behind the record.
        if world.settled(LEDGER).await != "dc-a" {
            data.go(world, "dc-a", "Completed").await;
            world.protected(LEDGER).await;
        }
        data
    }

    /// Asks for a switchover of the ledger, and waits until it has ended so.
    async fn go(&self, world: &World, to: &str, phase: &str) -> Value {
        let name = format!("ledger-{}", std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis());
        let wish = fixtures::failover(&name, "Switchover", to, &json!({"groups": [LEDGER]}));
        world.ask("dc-a", &wish, phase).await.data["status"].clone()
    }

    fn writer(&self) -> Writer {
        // Numbers of their own for each writer.
        let first = u64::try_from(std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_micros()).unwrap();
        Writer::start(self.a.clone(), self.b.clone(), first)
    }
}

/// Waits until a site has accepted some numbers more.
async fn writes(writer: &Writer, site: &str) {
    let before = writer.accepted(site);
    eventually(&format!("numbers to be accepted at {site}"), PATIENCE, || async {
        (writer.accepted(site) >= before + SOME).then_some(())
    })
    .await;
}

/// The last line of this sort.
fn last<'a>(log: &'a [Line], what: &str, outcome: &str) -> &'a Line {
    let found = log.iter().rfind(|line| line.what == what && line.outcome == outcome);
    found.unwrap_or_else(|| panic!("no {what} was {outcome}"))
}

/// Every accepted number stands there once, in the order in which they were written.
fn assert_kept(accepted: &[u64], numbers: &[u64]) {
    let set: std::collections::BTreeSet<&u64> = accepted.iter().collect();
    let kept: Vec<u64> = numbers.iter().filter(|number| set.contains(number)).copied().collect();
    assert_eq!(kept.len(), accepted.len(), "accepted numbers are lost, or stand there twice");
    assert_eq!(kept, accepted);
}

/// What dc-a acknowledged last was before dc-b was promoted; all on one boot clock.
fn assert_apart(a: &[Line], b: &[Line]) -> Duration {
    let (accepted, promoted) = (last(a, "write", "accepted"), last(b, "promote", "done"));
    assert!(
        accepted.answered_nanos < promoted.asked_nanos,
        "dc-a accepted a write after dc-b was promoted: {accepted:?} {promoted:?}"
    );
    Duration::from_nanos(promoted.asked_nanos - accepted.answered_nanos)
}

pub(crate) async fn a_switchover_under_writes_loses_nothing(world: Arc<World>) {
    let data = Data::at_home(&world).await;
    let writer = data.writer();
    writes(&writer, "dc-a").await;
    let status = data.go(&world, "dc-b", "Completed").await;
    writes(&writer, "dc-b").await;
    let accepted = writer.stop().await;
    assert_kept(&accepted, &data.b.numbers().await);
    let (a, b) = (data.a.log().await, data.b.log().await);
    let apart = assert_apart(&a, &b);
    // In this order, each under a higher token, and before the other site was promoted.
    let order = ["quiesce", "final-sync", "demote", "fence"].map(|call| last(&a, call, "done"));
    for (before, after) in order.iter().zip(&order[1..]) {
        assert!(before.answered_nanos <= after.asked_nanos && before.token["step"] < after.token["step"]);
    }
    assert!(order[3].answered_nanos < last(&b, "promote", "done").asked_nanos);
    let first = b.iter().find(|line| line.what == "write" && line.outcome == "accepted").unwrap();
    let gap = Duration::from_nanos(first.answered_nanos - last(&a, "write", "accepted").answered_nanos);
    println!(
        "{} numbers accepted, none lost; no writes for {:.2} s, {:.2} s from the last one to the promotion; RTO {}",
        accepted.len(),
        gap.as_secs_f64(),
        apart.as_secs_f64(),
        status["rtoSeconds"]
    );
    // The former source follows, and is level.
    world.protected(LEDGER).await;
    let report = world.report("dc-b", status["execution"].as_str().unwrap(), |report| report["settled"] == true).await;
    let (loss, group) = (&report["loss"], &report["groups"][0]);
    assert_eq!(loss["verdict"], "none", "{loss}");
    assert!(loss["target"]["position"].as_u64() >= loss["source"]["position"].as_u64(), "{loss}");
    assert_eq!(group["fence"]["way"], "release", "{group}");
    assert_eq!(group["fence"]["token"]["epoch"], group["epochBefore"], "{group}");
    assert_eq!(group["epochAfter"].as_u64(), group["epochBefore"].as_u64().map(|epoch| epoch + 1));
    assert_eq!(report["consent"]["given"], json!([]), "nobody had to agree");
    eventually("dc-a to have what dc-b has", PATIENCE, || async {
        (data.a.numbers().await == data.b.numbers().await).then_some(())
    })
    .await;
    data.go(&world, "dc-a", "Completed").await;
}

pub(crate) async fn fault_22_a_demote_that_hangs_is_taken_back(world: Arc<World>) {
    taken_back(&world, "demote", "hang").await;
}

pub(crate) async fn fault_23_without_a_fence_nothing_is_promoted(world: Arc<World>) {
    taken_back(&world, "fence", "fail").await;
}

/// A call of the source does not succeed: the move is taken back, the source serves again, and the target was never promoted.
async fn taken_back(world: &World, call: &str, mode: &str) {
    let data = Data::at_home(world).await;
    let promotions = |log: &[Line]| log.iter().filter(|line| line.what == "promote").count();
    let (before, epoch) = (promotions(&data.b.log().await), world.gates.answers("dc-a", LEDGER)[0].epoch);
    let writer = data.writer();
    writes(&writer, "dc-a").await;
    data.a.stage(call, mode).await;
    let status = data.go(world, "dc-b", "RolledBack").await;
    println!("{call} told to {mode}: {}", status["message"]);
    writes(&writer, "dc-a").await;
    data.a.heal().await;
    let accepted = writer.stop().await;
    assert_kept(&accepted, &data.a.numbers().await);
    assert_eq!(promotions(&data.b.log().await), before, "dc-b was promoted");
    let answers = world.gates.answers("dc-a", LEDGER);
    assert!(answers.iter().all(|answer| answer.epoch == epoch), "it was released: {answers:?}");
    let log = data.a.log().await;
    assert!(last(&log, "resume", "done").asked_nanos > last(&log, call, "failed").answered_nanos);
}

pub(crate) async fn fault_31_writes_refuse_by_themselves_when_both_operators_are_dead(world: Arc<World>) {
    let data = Data::at_home(&world).await;
    let writer = data.writer();
    writes(&writer, "dc-a").await;
    for replica in ["dc-a/operator-0", "dc-a/operator-1"] {
        world.lab.run(&["kill", "--stay-down", replica]);
    }
    writes(&writer, "dc-b").await;
    let accepted = writer.stop().await;
    let (a, b) = (data.a.log().await, data.b.log().await);
    let apart = assert_apart(&a, &b);
    let (accepted_last, promoted) = (last(&a, "write", "accepted"), last(&b, "promote", "done"));
    let between =
        |line: &&Line| line.asked_nanos > accepted_last.answered_nanos && line.answered_nanos < promoted.asked_nanos;
    let refused = a.iter().filter(between).filter(|line| line.what == "write" && line.outcome == "refused");
    let by_itself = refused.filter(|line| line.why.contains("ran out")).count();
    assert!(by_itself > 0, "dc-a's own switch refused nothing before dc-b was promoted");
    assert!(!a.iter().filter(between).any(|line| line.what == "fence"), "somebody fenced it after all");
    println!(
        "both operators killed: dc-a refused {by_itself} writes by itself, {:.2} s from its last to the promotion; {} accepted",
        apart.as_secs_f64(),
        accepted.len()
    );
    for replica in ["dc-a/operator-0", "dc-a/operator-1"] {
        world.lab.run(&["start", replica]);
    }
    // What dc-b never got is dropped, and dc-a follows.
    eventually("dc-a to have what dc-b has", PATIENCE, || async {
        (data.a.numbers().await == data.b.numbers().await).then_some(())
    })
    .await;
}

pub(crate) async fn fault_11_a_paused_database_wakes_up_and_refuses(world: Arc<World>) {
    let data = Data::at_home(&world).await;
    let epoch = world.gates.answers("dc-a", LEDGER)[0].epoch;
    let writer = data.writer();
    writes(&writer, "dc-a").await;
    let programs = ["dc-a/operator-0", "dc-a/operator-1", "dc-a/agent", "dc-a/hook"];
    for program in programs {
        world.lab.run(&["pause", program]);
    }
    writes(&writer, "dc-b").await;
    let accepted = writer.stop().await;
    tokio::time::sleep(2 * T).await;
    // The database first: nobody is there yet to tell it anything.
    world.lab.run(&["resume", "dc-a/hook"]);
    let value = json!({"value": 1});
    let refused = eventually("dc-a to answer", PATIENCE, || data.a.ask("POST", "/v1/entries", Some(&value))).await;
    assert_eq!(refused.0, 503, "{}", refused.1);
    for program in programs {
        world.lab.run(&["resume", program]);
    }
    let apart = assert_apart(&data.a.log().await, &data.b.log().await);
    println!("paused: {:.2} s from the last write to the promotion; {} accepted", apart.as_secs_f64(), accepted.len());
    // Its operators have told it of the new epoch: what bears the old one is refused.
    let token = json!({"generation": 1, "epoch": epoch, "execution": 1, "step": 1});
    eventually("the old token to be refused", PATIENCE, || async {
        let order = json!({"group": LEDGER, "token": token});
        let (status, body) = data.a.ask("POST", "/v1/promote", Some(&order)).await?;
        assert_ne!(status, 200, "an old token promoted it");
        (status == 409 && body["seen"]["epoch"].as_u64() > Some(epoch)).then_some(())
    })
    .await;
    let client = world.client("dc-a").await;
    eventually("dc-a to follow", PATIENCE, || async {
        let found = api(&client, Kind::FailoverGroup, None).get_opt(LEDGER).await.ok()??;
        (found.data["status"]["readiness"]["state"] == "Protected").then_some(())
    })
    .await;
}
