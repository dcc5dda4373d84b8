//! What asking for a failover and changing one have in common.

use crate::objects::Objects;
use crate::problem::{Declined, Fault, FieldFault, Problem};
use crate::state::AppState;
use std::time::Duration;
use tandem_arbiter::records::RequestRecord;
use tandem_core::plan::{Plan, PlanError, View, Wanted, plan};
use tandem_crds::{Failover, FailoverPhase, Why};

/// The first pause between two looks, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(250));
/// The most groups that may move at once.
const PARALLEL_MOST: u16 = 1000;

/// What a move would do, as this site's objects are.
///
/// # Errors
/// [`Problem::Invalid`] where it is not clear what is wanted, or names are not known; [`Problem::NotRead`].
pub(super) fn planned(objects: &dyn Objects, wanted: &Wanted) -> Result<Plan, Problem> {
    if wanted.max_parallel.is_some_and(|most| !(1..=i32::from(PARALLEL_MOST)).contains(&most)) {
        return Err(wrong("maxParallel", Fault::Range { least: 1, most: PARALLEL_MOST.into() }));
    }
    let view = view(objects, wanted.selector.unit.as_deref())?;
    plan(&view, wanted).map_err(|error: PlanError| wrong(error.field(), Fault::Plan(error)))
}

fn wrong(field: &str, fault: Fault) -> Problem {
    Problem::Invalid(vec![FieldFault { field: field.to_owned(), fault }])
}

/// Sites and groups, and the groups of a unit where one is named.
fn view(objects: &dyn Objects, unit: Option<&str>) -> Result<View, Problem> {
    let sites = objects.data_centres()?.iter().map(|site| (**site).clone()).collect();
    let groups = objects.failover_groups()?.iter().map(|group| (**group).clone()).collect();
    let view = View::new(sites, groups);
    let Some(unit) = unit else { return Ok(view) };
    let (environments, applications) = (objects.environments()?, objects.applications()?);
    Ok(view.with_unit(unit, environments.iter().map(|one| &**one), applications.iter().map(|one| &**one)))
}

/// Waits until the site's operator has brought what a failover says into the arbiter, where both sites read it: until the record
/// there is as it should be.
///
/// # Errors
/// [`Problem::FailoverDeclined`] where the operator has refused it; [`Problem::NotDurable`] where all that took too long: it
/// stands at this site, and may be taken in yet.
pub(super) async fn taken(
    state: &AppState,
    failover: &Failover,
    is_there: impl Fn(&RequestRecord) -> bool,
) -> Result<RequestRecord, Problem> {
    let id = failover.execution();
    let waiting = async {
        let mut pause = PAUSES.0;
        loop {
            // While the arbiter does not answer there is still time for it to.
            if let Ok(Some(record)) = state.coordination.asked(id).await
                && is_there(&record)
            {
                return Ok(record);
            }
            if let Some(why) = refused(&*state.objects, failover) {
                return Err(Problem::FailoverDeclined(Declined::Operator(why)));
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSES.1);
        }
    };
    tokio::time::timeout(state.patience, waiting).await.unwrap_or(Err(Problem::NotDurable))
}

/// Why the operator has refused a failover, where it has: from memory, so that it costs the API server nothing.
fn refused(objects: &dyn Objects, failover: &Failover) -> Option<Why> {
    let all = objects.failovers().ok()?;
    let same =
        |other: &Failover| other.metadata.name == failover.metadata.name && other.metadata.uid == failover.metadata.uid;
    let found = all.iter().find(|other| same(other))?;
    let status = found.status.as_ref().filter(|status| status.phase == FailoverPhase::Refused)?;
    Some(Why { reason: status.reason.clone(), message: status.message.clone(), message_zh: status.message_zh.clone() })
}
