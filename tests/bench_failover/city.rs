//! How long all groups of the city take to move.

use crate::rounds::millis;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};
use tandem_crds::Kind;
use tandem_tests::gates::Recorder;
use tandem_tests::measured::{Round, Rounds};
use tandem_tests::{Lab, api, eventually};

/// How long anything of this size may take at most.
const PATIENCE: Duration = Duration::from_secs(900);
/// The city's groups: one for each of its applications, and `platform`.
const GROUPS: usize = 531;

/// Imports the city and takes dc-a's power, so often in all, each time on a lab of its own.
pub(crate) async fn run(rounds: &mut Rounds, count: usize) {
    while rounds.count(10, "city power-off") < count {
        let round = once().await;
        println!("the city: {:?}", round.figures);
        rounds.keep(round).unwrap();
    }
}

async fn once() -> Round {
    let lab = Lab::start_with("bench", &["--automatic"]);
    let inventory = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/bozhou/inventory.csv");
    let imported = lab.tandem("dc-a", &["import", inventory.to_str().unwrap(), "--apply"]);
    assert!(imported.status.success(), "{}", String::from_utf8_lossy(&imported.stderr));
    let gates = Recorder::start(&lab).await;
    let groups = api(&lab.client("dc-a").await, Kind::FailoverGroup, None);
    eventually("every group to be protected and automatic", PATIENCE, || async {
        let list = groups.list(&kube::api::ListParams::default()).await.ok()?.items;
        let protected = list.iter().filter(|group| {
            let status = &group.data["status"];
            let free = status["whyNotAutomatic"].as_array().is_none_or(Vec::is_empty);
            status["readiness"]["state"] == "Protected" && free
        });
        (protected.count() == GROUPS - 1).then_some(())
    })
    .await;
    let at = Instant::now();
    lab.run(&["power-off", "dc-a"]);
    let reached = |wanted: usize| {
        let gates = &gates;
        async move {
            eventually("groups to be active at dc-b", PATIENCE, || async {
                (gates.count_active("dc-b") >= wanted).then(Instant::now)
            })
            .await
        }
    };
    let first = reached(1).await;
    let all = reached(GROUPS).await;
    gates.assert_never_two();
    let figures = BTreeMap::from([
        ("firstGroupMillis".into(), millis(first - at)),
        ("allGroupsMillis".into(), millis(all - at)),
        ("allAfterFirstMillis".into(), millis(all - first)),
    ]);
    Round { t: 10, kind: "city power-off".into(), figures }
}
