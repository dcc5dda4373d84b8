//! What panels showed, for the pictures of the manual.

use crate::prometheus::now;
use crate::world::{UNIT, World};
use serde_json::{Value, json};
use std::fs;
use std::path::PathBuf;
use std::time::Duration;
use tandem_tests::watching::{Dashboard, asked, dashboards, root};

/// How much is on the pictures before and after.
const MARGIN: Duration = Duration::from_secs(20);

fn folder() -> Option<PathBuf> {
    std::env::var_os("TANDEM_KEEP_WATCH").map(PathBuf::from)
}

/// Lets the pictures' margin pass, where there are to be any.
pub(crate) async fn margin() {
    if folder().is_some() {
        tokio::time::sleep(MARGIN).await;
    }
}

/// Writes what every panel's queries were answered since then into the folder TANDEM_KEEP_WATCH, one file a dashboard; nothing where
/// that is not set. `worst` is when most was wrong: what panels show that show one moment.
pub(crate) async fn keep(world: &World, since: f64, worst: f64) {
    let Some(folder) = folder() else { return };
    fs::create_dir_all(&folder).unwrap();
    let until = now();
    for dashboard in dashboards(&root().join("dashboards")) {
        let kept =
            json!({"start": since, "end": until, "at": worst, "queries": answers(world, &dashboard, since).await});
        fs::write(folder.join(format!("{}.json", dashboard.name)), serde_json::to_vec(&kept).unwrap()).unwrap();
    }
    println!("what panels showed is in {}", folder.display());
}

/// The answers in the order of the queries.
async fn answers(world: &World, dashboard: &Dashboard, since: f64) -> Vec<Value> {
    let mut answers = Vec::new();
    for query in dashboard.queries() {
        let series = world.prometheus.range(&asked(&query.expr, UNIT), since).await;
        let series: Vec<Value> = series
            .iter()
            .map(|series| {
                // What is no number is left out.
                let points: Vec<&(f64, f64)> = series.points.iter().filter(|(_, value)| value.is_finite()).collect();
                json!({"labels": series.labels, "points": points})
            })
            .collect();
        answers.push(json!({"of": query.of, "expr": query.expr, "series": series}));
    }
    answers
}
