//! Moves that people ask for.

use crate::world::{GROUPS, NAMESPACE, PATIENCE, World};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tandem_crds::Kind;
use tandem_tests::gates::check;
use tandem_tests::{api, eventually, fixtures};

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
        let ended = eventually(&format!("{name} to end"), PATIENCE, || async {
            let found = world.failover(here, &name).await?;
            let phase = found.data["status"]["phase"].as_str()?.to_owned();
            let ended = ["Completed", "PartlyCompleted", "RolledBack"].contains(&phase.as_str());
            ended.then(|| format!("{phase} {}", found.data["status"]["message"]))
        })
        .await;
        println!("killed every {pause} ms: {ended}");
        for group in GROUPS {
            eventually(&format!("{group} to be active at one site"), PATIENCE, || async {
                (world.gates.is_active(here, group) != world.gates.is_active(there, group)).then_some(())
            })
            .await;
        }
    }
}
