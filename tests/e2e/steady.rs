//! A steady state writes nothing.

use crate::world::World;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tandem_tests::audit::AuditLog;
use tandem_tests::{apply, eventually};

/// The user that the operators' certificates name.
const OPERATOR: &str = "tandem-operator";
/// The user that the certificates of the agencies' API name.
const API: &str = "tandem-api";
/// How long nothing may be written.
const QUIET: Duration = Duration::from_secs(60);

pub(crate) async fn nothing_changes_and_nothing_is_written(world: Arc<World>) {
    world.agency("omega").await;
    // What earlier tests set going has to end first: quiet for ten seconds.
    eventually("ten quiet seconds", Duration::from_secs(120), || async {
        let logs = ["dc-a", "dc-b"].map(|site| AuditLog::from_now(world.lab.dir(), site));
        tokio::time::sleep(Duration::from_secs(10)).await;
        logs.iter().all(|log| log.writes_by(OPERATOR).is_empty()).then_some(())
    })
    .await;
    let logs = ["dc-a", "dc-b"].map(|site| AuditLog::from_now(world.lab.dir(), site));
    tokio::time::sleep(QUIET).await;
    for (log, client) in logs.iter().zip(world.both()) {
        // The log is alive: a write by somebody else is in it.
        let probe =
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "probe", "namespace": "default"}});
        apply(client, &probe).await.unwrap();
        eventually("the audit log to show a write", Duration::from_secs(10), || async {
            (!log.writes_by("lab-admin").is_empty()).then_some(())
        })
        .await;
        for user in [OPERATOR, API] {
            assert_eq!(log.writes_by(user), Vec::<String>::new(), "{user}");
        }
    }
}
