//! What the dashboards ask is answered.

use crate::world::{PATIENCE, UNIT, World};
use std::collections::BTreeSet;
use std::sync::Arc;
use tandem_tests::eventually;
use tandem_tests::watching::{Dashboard, asked, dashboards, root, rules};

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
    for query in dashboards(&root().join("dashboards")).iter().flat_map(Dashboard::queries) {
        // A rate takes two scrapes.
        eventually(&format!("an answer to {query:#?}"), PATIENCE, || async {
            let series = world.prometheus.range(&asked(&query.expr, UNIT), world.started).await;
            series.iter().any(|series| series.points.iter().any(|(_, value)| !value.is_nan())).then_some(())
        })
        .await;
    }
}
