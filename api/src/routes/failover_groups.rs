//! `/v1/failover-groups`.

use super::extract::{Named, Pairs, find};
use super::page::{Filter, YES_NO, asked, page, ready, text};
use crate::authorise::{Action, authorise, authorise_named};
use crate::identity::Principal;
use crate::objects::Owned;
use crate::problem::Problem;
use crate::state::AppState;
use crate::views::{FailoverGroupItem, FailoverGroupList};
use axum::Json;
use axum::extract::State;
use std::sync::Arc;
use tandem_crds::FailoverGroup;

/// What the list can be filtered by.
pub(crate) const FILTERS: &[Filter<FailoverGroup>] = &[
    Filter { name: "activeSite", values: &[], of: |group| group.status.as_ref()?.active_site.clone() },
    Filter { name: "mode", values: &["Manual", "Automatic"], of: |group| text(group.spec.mode) },
    Filter {
        name: "phase",
        values: &["Held", "Released", "Unconfirmed"],
        of: |group| text(group.status.as_ref()?.phase?),
    },
    Filter {
        name: "ready",
        values: YES_NO,
        of: |group| ready(group.status.as_ref().map(|status| status.conditions.as_slice())),
    },
];

/// Failover groups, by name. Agencies see those that an application of theirs is in, without the names of others' groups.
#[utoipa::path(get, path = "/v1/failover-groups", tag = "failover-groups", operation_id = "listFailoverGroups",
    params(
        ("activeSite" = Option<String>, Query, description = "The site at which they are active."),
        ("mode" = Option<String>, Query, description = "Whether they move by themselves: Manual or Automatic."),
        ("phase" = Option<String>, Query, description = "How the arbiter has them: Held, Released or Unconfirmed."),
        ("ready" = Option<String>, Query, description = "Whether they are in order at every site."),
    ),
    responses((status = 200, description = "A page of the list.", body = FailoverGroupList)))]
pub(crate) async fn list(
    principal: Principal,
    State(state): State<AppState>,
    Pairs(pairs): Pairs,
) -> Result<Json<FailoverGroupList>, Problem> {
    let owned = Owned::within(&authorise(&principal, Action::ReadFailoverGroups)?, &*state.objects)?;
    let asked = asked(pairs, FILTERS)?;
    let shown =
        state.objects.failover_groups()?.into_iter().filter_map(|group| owned.part_of_group(&group).map(Arc::new));
    Ok(Json(page(shown, &asked, FILTERS).into()))
}

/// A failover group. Agencies see those that an application of theirs is in, without the names of others' groups.
#[utoipa::path(get, path = "/v1/failover-groups/{name}", tag = "failover-groups", operation_id = "getFailoverGroup",
    params(("name" = String, Path, description = "The name.")),
    responses((status = 200, description = "A failover group.", body = FailoverGroupItem)))]
pub(crate) async fn get(
    principal: Principal,
    State(state): State<AppState>,
    Named(name): Named<String>,
) -> Result<Json<FailoverGroupItem>, Problem> {
    let owned = Owned::within(&authorise_named(&principal, Action::ReadFailoverGroups)?, &*state.objects)?;
    let group = find(state.objects.failover_groups()?, None, &name)?;
    let part = owned.part_of_group(&group).ok_or(Problem::NotFound)?;
    Ok(Json((&part).into()))
}

crate::routes::desired::written! {
    FailoverGroup, FailoverGroupItem, FailoverGroupChange, FailoverGroupSpec, WriteFailoverGroups, failover_group,
    "failover-groups.create", "failover-groups.update", "/v1/failover-groups/{name}", "failover-groups",
    "putFailoverGroup", "a failover group"
}
