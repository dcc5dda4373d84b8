//! Accepted means durable: what the API answered for is there whatever happens to its site right after.

use crate::world::{PATIENCE, World};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use serde_json::{Value, json};
use std::sync::Arc;
use tandem_crds::Kind;
use tandem_tests::https::Shown;
use tandem_tests::{apply, eventually, fixtures};

/// How many requests are accepted before the power goes, and how many are sent.
const ACCEPTED: usize = 20;
const SENT: usize = 26;

fn asked(environment: &str) -> Value {
    json!({
        "type": "Create", "environment": environment, "purpose": "Test", "reason": "a test",
        "quota": {"cpu": "1", "memory": "2Gi", "storage": "10Gi", "pods": 5},
    })
}

pub(crate) async fn a_hundred_accepted_requests_survive_five_power_offs(world: Arc<World>) {
    let a = world.client("dc-a").await;
    apply(&a, &fixtures::unit("health")).await.unwrap();
    world.ready("dc-a", Kind::Unit, None, "health").await;
    let asks = |site: &str, person| world.lab.asks_api(site, Shown::Person(person));
    let mut accepted: Vec<(String, Value)> = Vec::new();
    for round in 0..5 {
        let li = asks("dc-a", "li");
        eventually("the unit to be shown at dc-a", PATIENCE, || async {
            (li.try_get("/v1/units/health").await.ok()?.status == 200).then_some(())
        })
        .await;
        let before = accepted.len();
        let posts: FuturesUnordered<_> = (0..SENT)
            .map(|n| {
                let (li, key) = (li.clone(), format!("r{round}-{n}"));
                async move { li.try_post("/v1/requests", &key, &asked(&format!("health-{key}"))).await }
            })
            .collect();
        let mut answers = posts.map(|answer| answer.ok().filter(|answer| answer.status == 201));
        while accepted.len() < before + ACCEPTED {
            let answer = answers.next().await.expect("so many are accepted");
            let Some(answer) = answer else { continue };
            accepted.push((answer.location.unwrap(), answer.body["digest"].clone()));
        }
        world.lab.run(&["power-off", "dc-a"]);
        // Those whose answer was on its way when the power went count as well.
        while let Some(answer) = answers.next().await {
            accepted.extend(answer.map(|answer| (answer.location.unwrap(), answer.body["digest"].clone())));
        }
        world.active("dc-b").await;
        let wang = asks("dc-b", "wang");
        for (place, _) in &accepted {
            eventually(&format!("{place} to be there at dc-b"), PATIENCE, || async {
                (wang.try_get(place).await.ok()?.status == 200).then_some(())
            })
            .await;
        }
        println!("round {round}: {} accepted, every one is there at dc-b", accepted.len());
        if round == 4 {
            completes_at_the_other_site(&world, accepted.last().unwrap()).await;
        }
        world.at_home().await;
    }
    assert!(accepted.len() >= 100);
}

/// What was accepted before the loss is decided and carried out at the other site alone, and at both once they are.
async fn completes_at_the_other_site(world: &World, (place, digest): &(String, Value)) {
    let wang = world.lab.asks_api("dc-b", Shown::Person("wang"));
    let decision = json!({"outcome": "Approve", "digest": digest});
    let decided = eventually("the decision to be taken at dc-b", PATIENCE, || async {
        let answer = wang.try_post(&format!("{place}/decisions"), "last", &decision).await.ok()?;
        (answer.status == 202).then_some(answer)
    })
    .await;
    let environment = decided.body["spec"]["environment"].as_str().unwrap().to_owned();
    world.made("dc-b", &environment).await;
    world.lab.run(&["power-on", "dc-a"]);
    for site in ["dc-b", "dc-a"] {
        let wang = world.lab.asks_api(site, Shown::Person("wang"));
        eventually(&format!("{place} to be provisioned, as {site} shows it"), 2 * PATIENCE, || async {
            (wang.try_get(place).await.ok()?.body["status"]["phase"] == "Provisioned").then_some(())
        })
        .await;
    }
}
