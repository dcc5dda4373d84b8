//! What the dashboards ask is answered.

use crate::world::{NAMESPACE, PATIENCE, UNIT, World};
use serde_json::json;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tandem_tests::watching::{Dashboard, asked, dashboards, root, rules};
use tandem_tests::{apply, fixtures};

/// How often what was not answered yet is asked again.
const LOOK: Duration = Duration::from_millis(500);

pub(crate) async fn every_rule_is_evaluated(world: Arc<World>) {
    let evaluated = world.prometheus.rules().await;
    let names: BTreeSet<&str> = evaluated.iter().map(|(name, _, _)| name.as_str()).collect();
    assert_eq!(names, rules().iter().map(|rule| rule.name.as_str()).collect());
    let ill: Vec<_> = evaluated.iter().filter(|(_, health, _)| health != "ok").collect();
    assert!(ill.is_empty(), "{ill:#?}");
    for rule in rules().iter().filter(|rule| !rule.alert) {
        let series = world.prometheus.range(&rule.name, world.started).await;
        assert!(series.iter().any(|series| series.points.iter().any(|(_, value)| !value.is_nan())), "{}", rule.name);
    }
}

pub(crate) async fn every_query_of_every_panel_is_answered(world: Arc<World>) {
    world.request("health-asked");
    // Some panels have nothing to show where everything is in order.
    let mut incomplete = fixtures::application(NAMESPACE, "incomplete", 1);
    incomplete["spec"]["components"][0]["secrets"] = json!(["not-there"]);
    apply(&world.lab.client("dc-a").await, &incomplete).await.unwrap();
    let mut unanswered = dashboards(&root().join("dashboards")).iter().flat_map(Dashboard::queries).collect::<Vec<_>>();
    // A rate takes two scrapes.
    let begun = Instant::now();
    loop {
        let mut left = Vec::new();
        for query in unanswered {
            let series = world.prometheus.range(&asked(&query.expr, UNIT), world.started).await;
            if !series.iter().any(|series| series.points.iter().any(|(_, value)| !value.is_nan())) {
                left.push(query);
            }
        }
        unanswered = left;
        if unanswered.is_empty() {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "not answered: {unanswered:#?}");
        tokio::time::sleep(LOOK).await;
    }
}
