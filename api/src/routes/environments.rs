//! `/v1/environments`.

use super::extract::{Named, Pairs, find};
use super::page::{Filter, YES_NO, asked, page, ready, text};
use crate::authorise::{Action, authorise, authorise_named};
use crate::identity::Principal;
use crate::objects::Owned;
use crate::problem::Problem;
use crate::state::AppState;
use crate::views::{EnvironmentItem, EnvironmentList};
use axum::Json;
use axum::extract::State;
use tandem_crds::Environment;

/// What the list can be filtered by.
pub(crate) const FILTERS: &[Filter<Environment>] = &[
    Filter { name: "unit", values: &[], of: |environment| Some(environment.spec.unit.clone()) },
    Filter {
        name: "purpose",
        values: &["Production", "Test", "Development", "Training"],
        of: |environment| text(environment.spec.purpose),
    },
    Filter {
        name: "ready",
        values: YES_NO,
        of: |environment| ready(environment.status.as_ref().map(|status| status.conditions.as_slice())),
    },
];

/// Environments, by name. Agencies see their own unit's.
#[utoipa::path(get, path = "/v1/environments", tag = "environments", operation_id = "listEnvironments",
    params(
        ("unit" = Option<String>, Query, description = "The unit whose they are."),
        ("purpose" = Option<String>, Query, description = "What they are for: Production, Test, Development or Training."),
        ("ready" = Option<String>, Query, description = "Whether they are in order at every site."),
    ),
    responses((status = 200, description = "A page of the list.", body = EnvironmentList)))]
pub(crate) async fn list(
    principal: Principal,
    State(state): State<AppState>,
    Pairs(pairs): Pairs,
) -> Result<Json<EnvironmentList>, Problem> {
    let owned = Owned::within(&authorise(&principal, Action::ReadEnvironments)?, &*state.objects)?;
    let asked = asked(pairs, FILTERS)?;
    let shown = state.objects.environments()?.into_iter().filter(|environment| owned.has_environment(environment));
    Ok(Json(page(shown, &asked, FILTERS).into()))
}

/// An environment. Agencies see their own unit's.
#[utoipa::path(get, path = "/v1/environments/{name}", tag = "environments", operation_id = "getEnvironment",
    params(("name" = String, Path, description = "The name.")),
    responses((status = 200, description = "An environment.", body = EnvironmentItem)))]
pub(crate) async fn get(
    principal: Principal,
    State(state): State<AppState>,
    Named(name): Named<String>,
) -> Result<Json<EnvironmentItem>, Problem> {
    let owned = Owned::within(&authorise_named(&principal, Action::ReadEnvironments)?, &*state.objects)?;
    let environment = find(state.objects.environments()?, None, &name)?;
    if !owned.has_environment(&environment) {
        return Err(Problem::NotFound);
    }
    Ok(Json((&*environment).into()))
}
