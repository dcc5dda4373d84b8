//! Moves that people ask for.

use crate::world::{GROUPS, NAMESPACE, PATIENCE, T, World};
use kube::api::{Patch, PatchParams};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tandem_crds::Kind;
use tandem_tests::audit::AuditLog;
use tandem_tests::gates::check;
use tandem_tests::{api, built_in, eventually, fixtures};

pub(crate) async fn the_gates_answer_on_both_sites(world: Arc<World>) {
    for (site, expected) in [("dc-a", 200), ("dc-b", 503)] {
        for replica in 0..2 {
            let gate = world.lab.gate(site, replica).await;
            for method in ["GET", "HEAD", "OPTIONS"] {
                for group in GROUPS {
                    for question in ["active", "holder", "promotable"] {
                        let path = format!("/{question}/{group}");
                        assert_eq!(
                            check(&gate, method, &path).await,
                            Some(expected),
                            "{site}/{replica} {method} {path}"
                        );
                    }
                }
                assert_eq!(check(&gate, method, "/site").await, Some(200), "{site} is not fenced");
            }
            assert_eq!(check(&gate, "GET", "/active/nobodys").await, Some(404));
            assert_eq!(check(&gate, "POST", "/active/platform").await, Some(405));
        }
    }
}

pub(crate) async fn a_switchover_and_the_way_back(world: Arc<World>) {
    let before = world.epochs("dc-a");
    let wish = fixtures::failover("out", "Switchover", "dc-b", &json!({"site": "dc-a"}));
    let done = world.ask("dc-a", &wish, "Completed").await;
    let status = &done.data["status"];
    assert_eq!(status["waves"][0]["groups"], json!(["platform"]), "the authority moves first, and alone");
    let rto = status["rtoSeconds"].as_f64().unwrap();
    println!("switchover: {rto} s without service");
    assert!(rto < 5.0, "{rto} s");
    world.active("dc-b").await;
    assert!(world.epochs("dc-b").iter().zip(&before).all(|(now, before)| now > before), "every epoch has grown");
    world.strength("dc-b", "web", 2).await;
    world.strength("dc-a", "web", 1).await;
    // The other site shows it as well, and the new authority publishes.
    world.phase("dc-b", "out", "Completed").await;
    let b = world.client("dc-b").await;
    tandem_tests::apply(&b, &fixtures::application(NAMESPACE, "made-in-b", 1)).await.unwrap();
    world.ready("dc-b", Kind::Application, Some(NAMESPACE), "made-in-b").await;
    let a = world.client("dc-a").await;
    eventually("what was made in dc-b to be in dc-a", PATIENCE, || async {
        api(&a, Kind::Application, Some(NAMESPACE)).get_opt("made-in-b").await.unwrap().map(drop)
    })
    .await;
    let wish = fixtures::failover("back", "Failback", "dc-a", &json!({"all": true}));
    let done = world.ask("dc-a", &wish, "Completed").await;
    println!("failback: {} s without service", done.data["status"]["rtoSeconds"]);
    world.active("dc-a").await;
    world.strength("dc-a", "web", 2).await;
    eventually("moves that have ended to be written no more", PATIENCE, || async {
        let logs = ["dc-a", "dc-b"].map(|site| AuditLog::from_now(world.lab.dir(), site));
        tokio::time::sleep(Duration::from_secs(3)).await;
        let about = |write: &String| write.contains(" failovers ");
        logs.iter().all(|log| !log.writes_by("tandem-operator").iter().any(about)).then_some(())
    })
    .await;
}

pub(crate) async fn fault_17_the_same_request_twice_is_one_execution(world: Arc<World>) {
    let before = world.epochs("dc-a");
    let group = GROUPS[1];
    let mut first = fixtures::failover("once-a", "Switchover", "dc-b", &json!({"groups": [group]}));
    first["spec"]["idempotencyKey"] = json!("once");
    let mut second = first.clone();
    second["metadata"]["name"] = json!("once-b");
    let (a, b) = tokio::join!(world.ask("dc-a", &first, "Completed"), world.ask("dc-b", &second, "Completed"));
    assert_eq!(a.data["status"]["execution"], b.data["status"]["execution"]);
    eventually("one epoch more", PATIENCE, || async {
        let epoch = world.gates.answers("dc-b", group).first()?.epoch;
        assert!(epoch <= before[1] + 1, "it moved twice");
        (epoch == before[1] + 1).then_some(())
    })
    .await;
}

pub(crate) async fn fault_27_a_hold_blocks_at_either_site(world: Arc<World>) {
    let group = GROUPS[1];
    // Set at the site without authority, for the group.
    world.annotate("dc-b", Kind::FailoverGroup, group, "tandem.dev/hold", Some("works in the machine room")).await;
    let a = world.client("dc-a").await;
    eventually("the hold to show on the group", PATIENCE, || async {
        let found = api(&a, Kind::FailoverGroup, None).get(group).await.unwrap();
        (found.data["status"]["hold"] == format!("group/{group}")).then_some(())
    })
    .await;
    let wish = fixtures::failover("held", "Switchover", "dc-b", &json!({"groups": [group]}));
    let blocked = world.ask("dc-a", &wish, "Blocked").await;
    assert_eq!(blocked.data["status"]["reason"], "Held", "{}", blocked.data["status"]["message"]);
    world.stays("dc-a", Duration::from_secs(3)).await;
    // Lifted where it was set: the move goes on by itself.
    world.annotate("dc-b", Kind::FailoverGroup, group, "tandem.dev/hold", None).await;
    world.phase("dc-a", "held", "Completed").await;
    eventually("the group to be active at dc-b", PATIENCE, || async {
        (world.gates.is_active("dc-b", group) && world.gates.is_passive("dc-a", group)).then_some(())
    })
    .await;
}

pub(crate) async fn fault_15_operators_killed_in_the_middle_of_a_move_go_on(world: Arc<World>) {
    for (round, pause) in [150, 300, 450, 600].into_iter().enumerate() {
        let home = world.gates.is_active("dc-a", GROUPS[0]);
        let (here, there) = if home { ("dc-a", "dc-b") } else { ("dc-b", "dc-a") };
        let name = format!("killed-{round}");
        let client = world.client(here).await;
        let wish = fixtures::failover(&name, "Switchover", there, &json!({"all": true}));
        tandem_tests::apply(&client, &wish).await.unwrap();
        for site in [here, there] {
            for replica in 0..2 {
                tokio::time::sleep(Duration::from_millis(pause)).await;
                world.lab.run(&["kill", &format!("{site}/operator-{replica}")]);
            }
        }
        let ended = world.phase_ended(here, &name).await;
        println!("killed every {pause} ms: {ended}");
        for group in GROUPS {
            world.settled(group).await;
        }
    }
}

pub(crate) async fn fault_16_an_answer_that_is_lost_with_its_operator(world: Arc<World>) {
    let group = GROUPS[1];
    for (round, pause) in [50, 150, 250, 350, 450].into_iter().enumerate() {
        world.at_home().await;
        let before = world.epochs("dc-a")[1];
        let name = format!("unanswered-{round}");
        let wish = fixtures::failover(&name, "Switchover", "dc-b", &json!({"groups": [group]}));
        tandem_tests::apply(&world.client("dc-a").await, &wish).await.unwrap();
        tokio::time::sleep(Duration::from_millis(pause)).await; // where in the move it is hit
        // What dc-a sends arrives, what it is answered does not.
        for other in ["dc-b", "witness"] {
            world.lab.run(&["cut", "--one-way", other, "dc-a"]);
        }
        world.operators("dc-a", &["kill"]);
        world.lab.run(&["heal"]);
        let how = world.phase_ended("dc-a", &name).await;
        let site = world.settled(group).await;
        let epoch = world.gates.answers(site, group).first().unwrap().epoch;
        println!("hit after {pause} ms: {how}; at {site}, epoch {before} became {epoch}");
        // Moved: one more. Taken back: none where nothing was released, else one for the reclaim.
        assert!(epoch <= before + 1, "something was done twice");
        assert_eq!(site == "dc-b", how.starts_with("Completed"), "{how}");
    }
}

pub(crate) async fn fault_18_of_opposite_requests_one_wins(world: Arc<World>) {
    let group = GROUPS[1];
    let before = world.epochs("dc-a")[1];
    let out = fixtures::failover("opposite-out", "Switchover", "dc-b", &json!({"groups": [group]}));
    let back = fixtures::failover("opposite-back", "Switchover", "dc-a", &json!({"groups": [group]}));
    let again = fixtures::failover("opposite-again", "Switchover", "dc-b", &json!({"groups": [group]}));
    let (a, b) = (world.client("dc-a").await, world.client("dc-b").await);
    let (one, two, three) =
        tokio::join!(tandem_tests::apply(&a, &out), tandem_tests::apply(&b, &back), tandem_tests::apply(&b, &again));
    for asked in [one, two, three] {
        asked.unwrap();
    }
    let mut moves = 0;
    for (site, name) in [("dc-a", "opposite-out"), ("dc-b", "opposite-back"), ("dc-b", "opposite-again")] {
        let how = world.phase_ended(site, name).await;
        moves += u64::from(how.starts_with("Completed"));
        println!("{name}: {how}");
    }
    let site = world.settled(group).await;
    eventually("as many epochs as moves", PATIENCE, || async {
        let epoch = world.gates.answers(site, group).first()?.epoch;
        assert!(epoch <= before + moves, "epoch {before} became {epoch} by {moves} moves");
        (epoch == before + moves).then_some(())
    })
    .await;
    assert!(moves >= 1, "one of them wins");
    assert_eq!(site == "dc-b", moves % 2 == 1, "it is where the moves took it");
}

pub(crate) async fn fault_21_a_standby_without_room_blocks(world: Arc<World>) {
    let group = GROUPS[1];
    let b = world.client("dc-b").await;
    let cordon = |cordoned: bool| {
        let nodes = built_in(&b, "", "Node", None);
        async move {
            let patch = json!({"spec": {"unschedulable": cordoned}});
            nodes.patch("dc-b-node", &PatchParams::default(), &Patch::Merge(&patch)).await.unwrap();
        }
    };
    cordon(true).await;
    let a = world.client("dc-a").await;
    eventually("the group to be shown without room", PATIENCE, || async {
        let found = api(&a, Kind::FailoverGroup, None).get(group).await.unwrap();
        let reasons = found.data["status"]["whyNotAutomatic"].as_array()?.clone();
        reasons.iter().any(|why| why["reason"] == "NoRoom").then_some(())
    })
    .await;
    let wish = fixtures::failover("no-room", "Switchover", "dc-b", &json!({"groups": [group]}));
    let blocked = world.ask("dc-a", &wish, "Blocked").await;
    assert_eq!(blocked.data["status"]["reason"], "NoRoom", "{}", blocked.data["status"]["message"]);
    world.stays("dc-a", Duration::from_secs(3)).await;
    cordon(false).await;
    world.phase("dc-a", "no-room", "Completed").await;
    assert_eq!(world.settled(group).await, "dc-b");
}

pub(crate) async fn fault_33_a_target_that_dies_after_the_release_is_left(world: Arc<World>) {
    let group = GROUPS[1];
    let before = world.epochs("dc-a")[1];
    // Stopped, the target still counts as heard for `T`: long enough for the source to let go.
    world.operators("dc-b", &["pause"]);
    let wish = fixtures::failover("left", "Switchover", "dc-b", &json!({"groups": [group]}));
    let back = world.ask("dc-a", &wish, "RolledBack").await;
    println!("{}", back.data["status"]["message"]);
    let steps = back.data["status"]["groups"][0]["steps"].as_array().unwrap().clone();
    let released = steps.iter().any(|step| step["step"] == "Fencing" && step["outcome"] == "Done");
    assert!(released, "the source never let go, so that nothing was tried: {steps:?}");
    assert_eq!(world.settled(group).await, "dc-a");
    assert_eq!(world.epochs("dc-a")[1], before + 1, "taken back under an epoch of its own");
    world.operators("dc-b", &["resume"]);
    world.stays("dc-a", T).await;
    assert_eq!(world.epochs("dc-a")[1], before + 1, "the target wakes, and does not claim what is not its any more");
}
