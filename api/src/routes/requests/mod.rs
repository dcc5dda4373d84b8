//! `/v1/requests`.

pub(crate) mod change;
pub(crate) mod create;
pub(crate) mod events;
mod writing;

use super::extract::{Named, Pairs, find};
use super::page::{Filter, asked, page, text};
use crate::authorise::{Action, authorise, authorise_named};
use crate::identity::Principal;
use crate::objects::Owned;
use crate::problem::Problem;
use crate::state::AppState;
use crate::views::{EnvironmentRequestItem, EnvironmentRequestList};
use axum::Json;
use axum::extract::State;
use tandem_crds::EnvironmentRequest;

/// What the list can be filtered by.
pub(crate) const FILTERS: &[Filter<EnvironmentRequest>] = &[
    Filter { name: "unit", values: &[], of: |request| Some(request.spec.unit.clone()) },
    Filter { name: "environment", values: &[], of: |request| Some(request.spec.environment.clone()) },
    Filter { name: "type", values: &["Create", "Resize", "Extend", "Delete"], of: |request| text(request.spec.kind) },
    Filter {
        name: "phase",
        values: &[
            "Pending",
            "Approved",
            "Rejected",
            "Withdrawn",
            "Provisioning",
            "Provisioned",
            "PartiallyProvisioned",
        ],
        of: |request| text(request.status.as_ref()?.phase),
    },
];

/// Requests for environments, by name. Agencies see their own unit's.
#[utoipa::path(get, path = "/v1/requests", tag = "requests", operation_id = "listRequests",
    params(
        ("unit" = Option<String>, Query, description = "The unit that asks."),
        ("environment" = Option<String>, Query, description = "The environment that they are about."),
        ("type" = Option<String>, Query, description = "What is asked for: Create, Resize, Extend or Delete."),
        ("phase" = Option<String>, Query, description = "How they stand, such as Pending or Provisioned."),
    ),
    responses((status = 200, description = "A page of the list.", body = EnvironmentRequestList)))]
pub(crate) async fn list(
    principal: Principal,
    State(state): State<AppState>,
    Pairs(pairs): Pairs,
) -> Result<Json<EnvironmentRequestList>, Problem> {
    let owned = Owned::within(&authorise(&principal, Action::ReadRequests)?, &*state.objects)?;
    let asked = asked(pairs, FILTERS)?;
    let shown = state.objects.requests()?.into_iter().filter(|request| owned.has_request(request));
    Ok(Json(page(shown, &asked, FILTERS).into()))
}

/// A request for an environment, with what was decided and how far each site is. Agencies see their own unit's.
#[utoipa::path(get, path = "/v1/requests/{name}", tag = "requests", operation_id = "getRequest",
    params(("name" = String, Path, description = "The name.")),
    responses((status = 200, description = "A request.", body = EnvironmentRequestItem)))]
pub(crate) async fn get(
    principal: Principal,
    State(state): State<AppState>,
    Named(name): Named<String>,
) -> Result<Json<EnvironmentRequestItem>, Problem> {
    let owned = Owned::within(&authorise_named(&principal, Action::ReadRequests)?, &*state.objects)?;
    let request = find(state.objects.requests()?, None, &name)?;
    if !owned.has_request(&request) {
        return Err(Problem::NotFound);
    }
    Ok(Json((&*request).into()))
}
