//! `/v1/units`.

use super::extract::{Named, Pairs, find};
use super::page::{Filter, YES_NO, asked, page, ready, text};
use crate::authorise::{Action, authorise, authorise_named};
use crate::identity::Principal;
use crate::objects::Owned;
use crate::problem::Problem;
use crate::state::AppState;
use crate::views::{UnitItem, UnitList};
use axum::Json;
use axum::extract::State;
use tandem_crds::Unit;

/// What the list can be filtered by.
pub(crate) const FILTERS: &[Filter<Unit>] = &[
    Filter { name: "level", values: &["City", "County", "Township", "Village"], of: |unit| text(unit.spec.level) },
    Filter { name: "parent", values: &[], of: |unit| unit.spec.parent.clone() },
    Filter { name: "suspended", values: YES_NO, of: |unit| Some(unit.spec.suspended.to_string()) },
    Filter {
        name: "ready",
        values: YES_NO,
        of: |unit| ready(unit.status.as_ref().map(|status| status.conditions.as_slice())),
    },
];

/// Units, by name. Agencies see their own.
#[utoipa::path(get, path = "/v1/units", tag = "units", operation_id = "listUnits",
    params(
        ("level" = Option<String>, Query, description = "Where in the government: City, County, Township or Village."),
        ("parent" = Option<String>, Query, description = "The unit that they belong to."),
        ("suspended" = Option<String>, Query, description = "Whether nothing new is admitted."),
        ("ready" = Option<String>, Query, description = "Whether they are in order at every site."),
    ),
    responses((status = 200, description = "A page of the list.", body = UnitList)))]
pub(crate) async fn list(
    principal: Principal,
    State(state): State<AppState>,
    Pairs(pairs): Pairs,
) -> Result<Json<UnitList>, Problem> {
    let owned = Owned::within(&authorise(&principal, Action::ReadUnits)?, &*state.objects)?;
    let asked = asked(pairs, FILTERS)?;
    let shown = state.objects.units()?.into_iter().filter(|unit| owned.has_unit(unit));
    Ok(Json(page(shown, &asked, FILTERS).into()))
}

/// A unit. Agencies see their own.
#[utoipa::path(get, path = "/v1/units/{name}", tag = "units", operation_id = "getUnit",
    params(("name" = String, Path, description = "The name.")),
    responses((status = 200, description = "A unit.", body = UnitItem)))]
pub(crate) async fn get(
    principal: Principal,
    State(state): State<AppState>,
    Named(name): Named<String>,
) -> Result<Json<UnitItem>, Problem> {
    let owned = Owned::within(&authorise_named(&principal, Action::ReadUnits)?, &*state.objects)?;
    let unit = find(state.objects.units()?, None, &name)?;
    if !owned.has_unit(&unit) {
        return Err(Problem::NotFound);
    }
    Ok(Json((&*unit).into()))
}

crate::routes::desired::written! {
    Unit, UnitItem, UnitChange, UnitSpec, WriteUnits, unit, "units.create", "units.update", "/v1/units/{name}", "units",
    "putUnit", "a unit"
}
