//! Who is active, from the board to provisioning: seen by a watch, a change is acted on before the next heartbeat.

use crate::context::Context;
use crate::sync::group_changed;
use std::collections::BTreeMap;
use std::time::Duration;
use tandem_core::sync::ObjectKey;
use tandem_crds::Kind;

/// How often it is looked whether the site has been fenced for long.
const LOOK: Duration = Duration::from_secs(5);

/// Hands every change of a group's record on, for ever; and has everything looked at once workloads are to rest.
pub async fn run_groups(context: Context) {
    let mut known: BTreeMap<String, i64> = BTreeMap::new();
    let mut changes = context.link.board().changes();
    let mut resting = false;
    loop {
        changes.mark_unchanged();
        for (name, held) in context.link.board().groups() {
            let revision = held.record.revision;
            if known.insert(name.clone(), revision) != Some(revision) {
                group_changed(&context, &name, held.record);
                context.stirred.notify_one();
            }
        }
        let rested = std::mem::replace(&mut resting, context.at_rest());
        if resting && !rested {
            tracing::error!("fenced for long: the workloads of this site are put to rest");
            for key in context.index.keys().into_iter().filter(|key: &ObjectKey| key.kind == Kind::Application) {
                context.queues.provision.add(key);
            }
        }
        tokio::select! {
            changed = changes.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(LOOK) => {}
        }
    }
}
