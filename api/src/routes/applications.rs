//! `/v1/applications`.

use super::desired::{Wanted, Written, delete as delete_desired, put as put_desired};
use super::extract::{Named, Pairs, find};
use super::page::{Filter, YES_NO, asked, page, ready};
use crate::acts::Call;
use crate::authorise::{Action, authorise, authorise_named};
use crate::identity::Principal;
use crate::objects::{Owned, group_of};
use crate::problem::Problem;
use crate::state::AppState;
use crate::views::{ApplicationItem, ApplicationList};
use axum::Json;
use axum::extract::State;
use axum::response::Response;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tandem_core::check::{self, World};
use tandem_core::sync::ObjectKey;
use tandem_crds::{Application, ApplicationSpec, Kind};

/// What the list can be filtered by.
pub(crate) const FILTERS: &[Filter<Application>] = &[
    Filter { name: "environment", values: &[], of: |application| application.metadata.namespace.clone() },
    Filter { name: "failoverGroup", values: &[], of: group_of },
    Filter { name: "tier", values: &["0", "1", "2", "3"], of: |application| Some(application.spec.tier.to_string()) },
    Filter { name: "activeSite", values: &[], of: |application| application.status.as_ref()?.active_site.clone() },
    Filter {
        name: "ready",
        values: YES_NO,
        of: |application| ready(application.status.as_ref().map(|status| status.conditions.as_slice())),
    },
];

/// Applications, by name. Agencies see their own unit's.
#[utoipa::path(get, path = "/v1/applications", tag = "applications", operation_id = "listApplications",
    params(
        ("environment" = Option<String>, Query, description = "The environment that they are in."),
        ("failoverGroup" = Option<String>, Query, description = "The group that they move with."),
        ("tier" = Option<String>, Query, description = "The tier: 0, 1, 2 or 3."),
        ("activeSite" = Option<String>, Query, description = "The site at which they are active."),
        ("ready" = Option<String>, Query, description = "Whether they are in order at every site."),
    ),
    responses((status = 200, description = "A page of the list.", body = ApplicationList)))]
pub(crate) async fn list(
    principal: Principal,
    State(state): State<AppState>,
    Pairs(pairs): Pairs,
) -> Result<Json<ApplicationList>, Problem> {
    let owned = Owned::within(&authorise(&principal, Action::ReadApplications)?, &*state.objects)?;
    let asked = asked(pairs, FILTERS)?;
    let shown = state.objects.applications()?.into_iter().filter(|application| owned.has_application(application));
    Ok(Json(page(shown, &asked, FILTERS).into()))
}

/// An application. Agencies see their own unit's.
#[utoipa::path(get, path = "/v1/applications/{environment}/{name}", tag = "applications", operation_id = "getApplication",
    params(("environment" = String, Path, description = "The environment."), ("name" = String, Path, description = "The name.")),
    responses((status = 200, description = "An application.", body = ApplicationItem)))]
pub(crate) async fn get(
    principal: Principal,
    State(state): State<AppState>,
    Named((environment, name)): Named<(String, String)>,
) -> Result<Json<ApplicationItem>, Problem> {
    let owned = Owned::within(&authorise_named(&principal, Action::ReadApplications)?, &*state.objects)?;
    let application = find(state.objects.applications()?, Some(&environment), &name)?;
    if !owned.has_application(&application) {
        return Err(Problem::NotFound);
    }
    Ok(Json((&*application).into()))
}

/// What is wanted of an application.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ApplicationChange {
    /// The `resourceVersion` of the object that this was made from: where it has changed since, nothing is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) resource_version: Option<String>,
    /// What is wanted.
    pub(crate) spec: ApplicationSpec,
}

impl Written for Application {
    type Item = ApplicationItem;
    const ACTIONS: (&'static str, &'static str) = ("applications.create", "applications.update");

    fn wrong(&self, world: &World<'_>) -> Vec<check::Problem> {
        check::application(self, world)
    }

    fn place(key: &ObjectKey) -> String {
        format!("/v1/applications/{}/{}", key.namespace.as_deref().unwrap_or_default(), key.name)
    }
}

/// Makes or changes an application in an environment of the asker's own unit.
#[utoipa::path(put, path = "/v1/applications/{environment}/{name}", tag = "applications", operation_id = "putApplication",
    params(("environment" = String, Path, description = "The environment."),
           ("name" = String, Path, description = "The name.")),
    request_body = ApplicationChange,
    responses((status = 201, description = "It is made, and durable.", body = ApplicationItem),
              (status = 202, description = "It is changed, and durable.", body = ApplicationItem)))]
pub(crate) async fn put(
    State(state): State<AppState>,
    Named((environment, name)): Named<(String, String)>,
    call: Call<ApplicationChange>,
) -> Result<Response, Problem> {
    may_write(&state, &call.principal, &environment)?;
    let (call, ApplicationChange { spec, resource_version: version }) = call.split();
    let key = ObjectKey::namespaced(Kind::Application, environment, name);
    put_desired::<Application>(&state, call, key, Wanted { spec: json!(spec), version }).await
}

/// Nothing: what is deleted is named by its path.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Nothing {}

/// Deletes an application of the asker's own unit, in both sites.
///
/// Its data is not Tandem's: what a volume or a database holds stays where it is.
#[utoipa::path(delete, path = "/v1/applications/{environment}/{name}", tag = "applications",
    operation_id = "deleteApplication",
    params(("environment" = String, Path, description = "The environment."),
           ("name" = String, Path, description = "The name.")),
    responses((status = 204, description = "It is taken away in both sites, and that is durable.")))]
pub(crate) async fn delete(
    State(state): State<AppState>,
    Named((environment, name)): Named<(String, String)>,
    call: Call<Nothing>,
) -> Result<Response, Problem> {
    may_write(&state, &call.principal, &environment)?;
    let (call, Nothing {}) = call.split();
    let key = ObjectKey::namespaced(Kind::Application, environment, name);
    delete_desired::<Application>(&state, call, key, "applications.delete").await
}

/// Whether somebody may write applications in an environment.
fn may_write(state: &AppState, who: &Principal, environment: &str) -> Result<(), Problem> {
    let owned = Owned::within(&authorise_named(who, Action::WriteApplications)?, &*state.objects)?;
    let place = find(state.objects.environments()?, None, environment)?;
    if owned.has_environment(&place) { Ok(()) } else { Err(Problem::NotFound) }
}
