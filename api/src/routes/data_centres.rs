//! `/v1/data-centres`.

use super::extract::{Named, Pairs, find};
use super::page::{Filter, YES_NO, asked, page, ready, text};
use crate::authorise::{Action, authorise, authorise_named};
use crate::identity::Principal;
use crate::problem::Problem;
use crate::state::AppState;
use crate::views::{DataCentreItem, DataCentreList};
use axum::Json;
use axum::extract::State;
use tandem_crds::DataCentre;

/// What the list can be filtered by.
pub(crate) const FILTERS: &[Filter<DataCentre>] = &[
    Filter { name: "preference", values: &["Primary", "Secondary"], of: |site| text(site.spec.preference) },
    Filter {
        name: "ready",
        values: YES_NO,
        of: |site| ready(site.status.as_ref().map(|status| status.conditions.as_slice())),
    },
];

/// Sites, by name. Not for agencies.
#[utoipa::path(get, path = "/v1/data-centres", tag = "data-centres", operation_id = "listDataCentres",
    params(
        ("preference" = Option<String>, Query, description = "Which one is preferred: Primary or Secondary."),
        ("ready" = Option<String>, Query, description = "Whether they are in order."),
    ),
    responses((status = 200, description = "A page of the list.", body = DataCentreList)))]
pub(crate) async fn list(
    principal: Principal,
    State(state): State<AppState>,
    Pairs(pairs): Pairs,
) -> Result<Json<DataCentreList>, Problem> {
    authorise(&principal, Action::ReadDataCentres)?;
    let asked = asked(pairs, FILTERS)?;
    let shown = state.objects.data_centres()?;
    Ok(Json(page(shown, &asked, FILTERS).into()))
}

/// A site. Not for agencies.
#[utoipa::path(get, path = "/v1/data-centres/{name}", tag = "data-centres", operation_id = "getDataCentre",
    params(("name" = String, Path, description = "The name.")),
    responses((status = 200, description = "A site.", body = DataCentreItem)))]
pub(crate) async fn get(
    principal: Principal,
    State(state): State<AppState>,
    Named(name): Named<String>,
) -> Result<Json<DataCentreItem>, Problem> {
    authorise_named(&principal, Action::ReadDataCentres)?;
    let site = find(state.objects.data_centres()?, None, &name)?;
    Ok(Json((&*site).into()))
}

crate::routes::desired::written! {
    DataCentre, DataCentreItem, DataCentreChange, DataCentreSpec, WriteDataCentres, data_centre, "data-centres.create",
    "data-centres.update", "/v1/data-centres/{name}", "data-centres", "putDataCentre", "a site"
}
