//! Drills: groups are rehearsed on clones at the site that is not active.
//!
//! A drill stands in the record of its request, where both sites read it; what to do next is said by [`tandem_core::drill`]. It
//! holds nothing of its groups: a real move sees in the record that clones may be there, and waits until they are swept.
//!
//! - `drive` asks what is to be done, and puts what has become of it into the record;
//! - `clones` makes, looks at and takes away;
//! - `schedule` asks for what a group's schedule says, and removes old reports.

mod clones;
mod drive;
mod schedule;

pub use drive::run_drills;
pub use schedule::run_schedules;

use crate::cluster::ObjectName;
use crate::context::Context;
use crate::failover::FAILOVER;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tandem_arbiter::records::RequestRecord;
use tandem_core::drill::{Cause, DrillStep};
use tandem_core::failover::ExecutionKind;
use tandem_core::names;
use tandem_crds::Failover;
use tokio::sync::Notify;

/// Who asks for what a schedule says.
const BY: &str = "tandem";

/// What this replica made for drills. All of it may be forgotten at any time: labels and records say the rest. Cloning gives
/// another handle to the same.
#[derive(Clone, Debug, Default)]
pub struct Drills {
    made: Arc<Mutex<Made>>,
    told: Arc<Notify>,
}

#[derive(Debug, Default)]
struct Made {
    /// What was sent to the cluster, by drill: the watch may not have shown it yet.
    objects: BTreeMap<String, BTreeSet<ObjectName>>,
    /// What the cluster will not take, by drill.
    refused: BTreeMap<String, Cause>,
    /// Since when each drill is seen at its step, and whether this replica put it there.
    steps: BTreeMap<String, (Option<DrillStep>, Duration, bool)>,
}

impl Drills {
    fn lock(&self) -> MutexGuard<'_, Made> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has drills looked at now.
    pub fn stir(&self) {
        self.told.notify_one();
    }

    /// Since when a drill is seen at a step, and whether this replica put it there.
    fn since(&self, drill: &str, step: Option<DrillStep>, now: Duration) -> (Duration, bool) {
        let mut made = self.lock();
        match made.steps.get(drill) {
            Some((known, since, own)) if *known == step => (*since, *own),
            _ => {
                made.steps.insert(drill.to_owned(), (step, now, false));
                (now, false)
            }
        }
    }

    /// A drill was put to a step by this replica.
    fn put(&self, drill: &str, step: DrillStep, now: Duration) {
        let mut made = self.lock();
        if step == DrillStep::Completed {
            made.steps.remove(drill);
            made.refused.remove(drill);
            made.objects.remove(drill);
        } else {
            made.steps.insert(drill.to_owned(), (Some(step), now, true));
        }
    }

    /// Forgets everything: another replica acts.
    fn forget(&self) {
        *self.lock() = Made::default();
    }
}

/// The group whose schedule asked for a drill; `None` where it was no schedule.
#[must_use]
pub(crate) fn scheduled<'a>(id: &str, record: &'a RequestRecord) -> Option<&'a String> {
    let (group, _) = record.groups.first_key_value()?;
    let ours = record.kind == ExecutionKind::Drill && record.by == BY && record.groups.len() == 1;
    // Names are as a schedule makes them, but for their time.
    let form = names::scheduled_drill(group, jiff::Timestamp::UNIX_EPOCH);
    let time = "19700101t0000".len();
    (ours && id.len() == form.len() && form.get(..form.len() - time) == id.get(..id.len() - time)).then_some(group)
}

/// Whether a drill that this site rehearses has begun, and its object here was deleted since: it is ended, and not shown anew.
#[must_use]
pub(crate) fn is_given_up(context: &Context, record: &RequestRecord) -> bool {
    record.kind == ExecutionKind::Drill && record.to == context.config.site && !record.drill.is_empty()
}

/// The drills for which there is an object here, with it.
fn objects(context: &Context) -> BTreeMap<String, Failover> {
    let objects = context.cluster.own.of_kind(FAILOVER);
    let decoded = objects
        .iter()
        .filter_map(|object| serde_json::to_value(&**object).and_then(serde_json::from_value::<Failover>).ok())
        .filter(|failover| ExecutionKind::from(failover.spec.kind) == ExecutionKind::Drill);
    decoded.map(|failover| (failover.execution().to_owned(), failover)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_what_a_schedule_asked_for_is_removed_by_itself() {
        let record = |by: &str, groups: &[&str]| -> RequestRecord {
            let groups: BTreeMap<&str, u64> = groups.iter().map(|group| (*group, 1)).collect();
            serde_json::from_value(json!({
                "kind": "Drill", "from": "dc-a", "to": "dc-b", "groups": groups, "by": by, "site": "dc-b",
                "at": "2026-11-26T02:30:00Z",
            }))
            .unwrap()
        };
        let id = names::scheduled_drill("tax", "2026-11-26T02:30:00Z".parse().unwrap());
        assert_eq!(scheduled(&id, &record(BY, &["tax"])), Some(&"tax".to_owned()));
        assert_eq!(scheduled(&id, &record("wang", &["tax"])), None, "a person");
        assert_eq!(scheduled("drill-tax", &record(BY, &["tax"])), None);
        assert_eq!(scheduled(&id, &record(BY, &["tax", "water"])), None);
    }

    #[test]
    fn a_step_is_timed_from_when_it_was_put_here_or_first_seen() {
        let (drills, second) = (Drills::default(), Duration::from_secs);
        drills.put("d", DrillStep::Cloning, second(5));
        assert_eq!(drills.since("d", Some(DrillStep::Cloning), second(9)), (second(5), true));
        drills.forget();
        assert_eq!(drills.since("d", Some(DrillStep::Cloning), second(9)), (second(9), false));
        assert_eq!(drills.since("d", Some(DrillStep::Cloning), second(12)), (second(9), false));
    }
}
