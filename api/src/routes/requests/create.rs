//! Asking for something.

use super::writing::Writing;
use crate::acts::{Call, Done, Place, durable, faults, named, once};
use crate::authorise::{Action, authorise};
use crate::objects::writer::{WriteError, create, fresh};
use crate::objects::{ObjectRef, Scene};
use crate::problem::{Fault, FieldFault, Problem};
use crate::state::AppState;
use crate::views::EnvironmentRequestItem;
use axum::extract::State;
use axum::response::Response;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tandem_core::check;
use tandem_core::requests::{self, content_digest};
use tandem_core::sync::ObjectKey;
use tandem_crds::{
    DisplayName, EnvironmentMember, EnvironmentRequest, EnvironmentRequestSpec, Kind, Purpose, Quota, RequestType,
    RequestedApplication, Requester,
};

/// What an agency asks for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NewRequest {
    /// What is asked for.
    #[serde(rename = "type")]
    pub(crate) kind: RequestType,
    /// The unit that asks; the asker's own where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 40))]
    pub(crate) unit: Option<String>,
    /// The environment that it is about, by its full name: `<unit>-<name>`.
    #[schemars(length(min = 3, max = 63))]
    pub(crate) environment: String,
    /// Create: the environment's name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) display_name: Option<DisplayName>,
    /// Create: what the environment is for; production where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) purpose: Option<Purpose>,
    /// Create and Resize: the environment's share of the unit's budget, in each site; in all, not in addition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) quota: Option<Quota>,
    /// Create: the security profile; the unit's where none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub(crate) security_profile: Option<String>,
    /// Create: who may work in the environment, beside the unit's administrators and viewers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub(crate) members: Vec<EnvironmentMember>,
    /// Create and Extend: until when the environment is needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) until: Option<String>,
    /// Create and Resize: applications to be made in the environment.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub(crate) applications: Vec<RequestedApplication>,
    /// Why, for those who decide.
    #[schemars(length(min = 1, max = 1024))]
    pub(crate) reason: String,
}

/// Asks for an environment, or for one to be resized, kept longer or deleted.
///
/// Answered once the request is durable: from then on it is lost with neither site.
#[utoipa::path(post, path = "/v1/requests", tag = "requests", operation_id = "createRequest",
    request_body = NewRequest,
    responses((status = 201, description = "It is asked for, and durable.", body = EnvironmentRequestItem,
               headers(("Location" = String, description = "Where the request is found.")))))]
pub(crate) async fn post(State(state): State<AppState>, call: Call<NewRequest>) -> Result<Response, Problem> {
    let scope = authorise(&call.principal, Action::WriteRequests)?;
    let (call, body) = call.split();
    let unit = body.unit.clone().or_else(|| call.principal.unit.clone()).unwrap_or_default();
    if !scope.covers(&unit) {
        return Err(Problem::NotFound);
    }
    let own = state.clone();
    once(&state, Place::Authority, call, move |call, authority| async move {
        let writing = Writing { state: &own, who: &call.principal, authority };
        // The same request under the same key has the same name, also at the other site.
        let name = format!("{unit}-{}", &call.id[..12]);
        let request = EnvironmentRequest::new(&name, spec(&writing, unit, body));
        let written = ask(&writing, request).await?;
        let item = EnvironmentRequestItem::from(&written);
        Ok(Done::created(format!("/v1/requests/{name}"), &item))
    })
    .await
}

fn spec(writing: &Writing<'_>, unit: String, body: NewRequest) -> EnvironmentRequestSpec {
    EnvironmentRequestSpec {
        id: None,
        kind: body.kind,
        unit,
        environment: body.environment,
        display_name: body.display_name,
        purpose: body.purpose,
        quota: body.quota,
        security_profile: body.security_profile,
        members: body.members,
        until: body.until,
        applications: body.applications,
        reason: body.reason,
        requested_by: Requester { name: writing.who.name.clone(), roles: Vec::new() },
        submitted_at: Time(writing.state.now()),
        decisions: Vec::new(),
        withdrawn: None,
        undone: None,
        carried_out: None,
    }
}

async fn ask(writing: &Writing<'_>, mut request: EnvironmentRequest) -> Result<EnvironmentRequest, Problem> {
    let state = writing.state;
    let key = ObjectKey::cluster(Kind::EnvironmentRequest, request.metadata.name.clone().unwrap_or_default());
    let at = ObjectRef::from(&key);
    if let Some(there) = fresh::<EnvironmentRequest>(&*state.writer, &at).await? {
        return made_before(writing, &key, there, &request).await;
    }
    let next = requests::decide(
        &request.spec,
        writing.facts(&Scene::about(&*state.objects)?, &request.spec).facts(),
        &writing.principal(),
        &requests::Action::Submit,
        state.now(),
    )
    .map_err(Problem::Declined)?;
    request.spec = next.spec;
    sound(state, &request)?;
    let deed = writing.deed("requests.create", &at, None, &request.spec);
    let written = crate::acts::audited(state, deed, async {
        match create(&*state.writer, &at, &request).await {
            Ok(written) => Ok(written),
            // Sent twice at once, under a key that had expired in between: the other one's is looked at.
            Err(WriteError::Exists) => Err(Problem::InProgress),
            Err(error) => Err(error.into()),
        }
    })
    .await?;
    durable(state, &key, &written).await?;
    Ok(written)
}

/// What stands under the name of this key: the same request, made before its answer was lost, or another one, of a key that was
/// used long ago.
async fn made_before(
    writing: &Writing<'_>,
    key: &ObjectKey,
    there: EnvironmentRequest,
    asked: &EnvironmentRequest,
) -> Result<EnvironmentRequest, Problem> {
    let mut same = asked.spec.clone();
    same.submitted_at = there.spec.submitted_at.clone();
    same.requested_by = there.spec.requested_by.clone();
    let ours = there.spec.requested_by.name == asked.spec.requested_by.name;
    if !ours || content_digest(&same) != content_digest(&there.spec) {
        return Err(Problem::KeyReused);
    }
    durable(writing.state, key, &there).await?;
    Ok(there)
}

/// What the rules of the resource say, and whether it could be, as things are: said now, and not only by those who decide.
fn sound(state: &AppState, request: &EnvironmentRequest) -> Result<(), Problem> {
    let mut faults = faults(request);
    if faults.is_empty() {
        let scene = Scene::whole(&*state.objects)?;
        let problems = check::environment_request(request, &scene.world((state.clock)()));
        faults.extend(
            problems
                .into_iter()
                .map(|problem| FieldFault { field: named(&problem.path, ""), fault: Fault::Said(problem.message) }),
        );
    }
    if faults.is_empty() { Ok(()) } else { Err(Problem::Invalid(faults)) }
}
