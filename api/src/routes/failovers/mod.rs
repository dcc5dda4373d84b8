//! `/v1/failovers`.

pub(crate) mod change;
pub(crate) mod create;
pub(crate) mod events;
pub(crate) mod plan;
pub(crate) mod report;
mod writing;

use super::extract::{Named, Pairs, find};
use super::page::{Filter, asked, page, text};
use crate::authorise::{Action, authorise, authorise_named};
use crate::identity::Principal;
use crate::objects::Owned;
use crate::problem::Problem;
use crate::state::AppState;
use crate::views::{FailoverItem, FailoverList};
use axum::Json;
use axum::extract::State;
use std::sync::Arc;
use tandem_crds::Failover;

/// What the list can be filtered by.
pub(crate) const FILTERS: &[Filter<Failover>] = &[
    Filter {
        name: "type",
        values: &["Switchover", "Failover", "Drill", "Failback"],
        of: |failover| text(failover.spec.kind),
    },
    Filter {
        name: "phase",
        values: &[
            "Pending",
            "AwaitingApproval",
            "Running",
            "Blocked",
            "Paused",
            "NeedsHuman",
            "Completed",
            "PartlyCompleted",
            "RolledBack",
            "Refused",
        ],
        of: |failover| text(failover.status.as_ref()?.phase),
    },
];

/// Failovers, by name. Agencies see those that move groups of theirs, and of each their own part.
#[utoipa::path(get, path = "/v1/failovers", tag = "failovers", operation_id = "listFailovers",
    params(
        ("type" = Option<String>, Query, description = "What they are: Switchover, Failover, Drill or Failback."),
        ("phase" = Option<String>, Query, description = "How they stand, such as Running or Completed."),
    ),
    responses((status = 200, description = "A page of the list.", body = FailoverList)))]
pub(crate) async fn list(
    principal: Principal,
    State(state): State<AppState>,
    Pairs(pairs): Pairs,
) -> Result<Json<FailoverList>, Problem> {
    let owned = Owned::within(&authorise(&principal, Action::ReadFailovers)?, &*state.objects)?;
    let asked = asked(pairs, FILTERS)?;
    let shown = state.objects.failovers()?.into_iter().filter_map(|failover| owned.part_of(&failover).map(Arc::new));
    Ok(Json(page(shown, &asked, FILTERS).into()))
}

/// A failover. Agencies see those that move groups of theirs, and of each their own part.
#[utoipa::path(get, path = "/v1/failovers/{name}", tag = "failovers", operation_id = "getFailover",
    params(("name" = String, Path, description = "The name.")),
    responses((status = 200, description = "A failover.", body = FailoverItem)))]
pub(crate) async fn get(
    principal: Principal,
    State(state): State<AppState>,
    Named(name): Named<String>,
) -> Result<Json<FailoverItem>, Problem> {
    let owned = Owned::within(&authorise_named(&principal, Action::ReadFailovers)?, &*state.objects)?;
    let failover = find(state.objects.failovers()?, None, &name)?;
    let part = owned.part_of(&failover).ok_or(Problem::NotFound)?;
    Ok(Json((&part).into()))
}
