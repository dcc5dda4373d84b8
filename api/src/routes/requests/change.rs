//! Deciding on requests, taking them back, calling deletions off.

use super::super::extract::Named;
use super::writing::Writing;
use crate::acts::{Call, Done, Place, audited, durable, faults_of_change, once};
use crate::authorise::{Action, authorise_named};
use crate::identity::{Principal, Role};
use crate::objects::writer::replace;
use crate::objects::{ObjectRef, Scene};
use crate::problem::Problem;
use crate::state::AppState;
use crate::views::EnvironmentRequestItem;
use axum::extract::State;
use axum::response::Response;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tandem_core::check::amounts_of;
use tandem_core::ledger::Change;
use tandem_core::requests::{self, Ruling, Standing};
use tandem_core::sync::ObjectKey;
use tandem_crds::{DecisionOutcome, DecisionRole, EnvironmentRequest, EnvironmentRequestSpec, Kind, RequestType};

/// How often a change is tried that others' changes come in between of.
const TRIES: usize = 8;

/// A decision on a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NewDecision {
    /// What is decided. One rejection ends the request.
    pub(crate) outcome: DecisionOutcome,
    /// In which role; where it is left out, in the one that the decider has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) role: Option<DecisionRole>,
    /// The `digest` of the request as it was read. Where it was amended since, the decision is refused.
    #[schemars(length(min = 64, max = 64))]
    pub(crate) digest: String,
    /// What they have to say.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 1024))]
    pub(crate) note: String,
}

/// Why something is taken back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NewWord {
    /// What they have to say.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 1024))]
    pub(crate) note: String,
}

/// Decides on a request, as a platform operator or as a security administrator. Nobody decides their own.
///
/// An approval that is the last one needed is answered once the unit's budget has room for it, and it is durable.
#[utoipa::path(post, path = "/v1/requests/{name}/decisions", tag = "requests", operation_id = "decideRequest",
    params(("name" = String, Path, description = "The name.")),
    request_body = NewDecision,
    responses((status = 202, description = "It is decided, and durable.", body = EnvironmentRequestItem)))]
pub(crate) async fn decide(
    State(state): State<AppState>,
    Named(name): Named<String>,
    call: Call<NewDecision>,
) -> Result<Response, Problem> {
    let role = in_role(&call.principal, call.body.role)?;
    let action = match role {
        DecisionRole::Platform => Action::DecideForPlatform,
        DecisionRole::Security => Action::DecideForSecurity,
    };
    authorise_named(&call.principal, action)?;
    let (call, NewDecision { outcome, digest, note, .. }) = call.split();
    let ruling = Ruling { role, digest, note };
    let (verb, action) = match outcome {
        DecisionOutcome::Approve => ("requests.approve", requests::Action::Approve(ruling)),
        DecisionOutcome::Reject => ("requests.reject", requests::Action::Reject(ruling)),
    };
    change(state, name, call, verb, action).await
}

/// Takes a request back while nothing is decided.
#[utoipa::path(post, path = "/v1/requests/{name}/withdraw", tag = "requests", operation_id = "withdrawRequest",
    params(("name" = String, Path, description = "The name.")),
    request_body = NewWord,
    responses((status = 202, description = "It is taken back, and durable.", body = EnvironmentRequestItem)))]
pub(crate) async fn withdraw(
    State(state): State<AppState>,
    Named(name): Named<String>,
    call: Call<NewWord>,
) -> Result<Response, Problem> {
    authorise_named(&call.principal, Action::WriteRequests)?;
    let (call, NewWord { note }) = call.split();
    change(state, name, call, "requests.withdraw", requests::Action::Withdraw { note }).await
}

/// Calls an approved deletion off, within its grace period. The agency may, and a platform operator.
#[utoipa::path(post, path = "/v1/requests/{name}/undo", tag = "requests", operation_id = "undoRequest",
    params(("name" = String, Path, description = "The name.")),
    request_body = NewWord,
    responses((status = 202, description = "It is called off, and durable.", body = EnvironmentRequestItem)))]
pub(crate) async fn undo(
    State(state): State<AppState>,
    Named(name): Named<String>,
    call: Call<NewWord>,
) -> Result<Response, Problem> {
    authorise_named(&call.principal, Action::UndoRequests)?;
    let (call, NewWord { note }) = call.split();
    change(state, name, call, "requests.undo", requests::Action::Undo { note }).await
}

/// In which role somebody decides who has not said so.
fn in_role(who: &Principal, said: Option<DecisionRole>) -> Result<DecisionRole, Problem> {
    let has = |role| who.roles.contains(&role);
    match said {
        Some(role) => Ok(role),
        None if has(Role::PlatformOperator) => Ok(DecisionRole::Platform),
        None if has(Role::SecurityAdministrator) => Ok(DecisionRole::Security),
        // Who has neither is refused in whichever.
        None => Ok(DecisionRole::Platform),
    }
}

async fn change(
    state: AppState,
    name: String,
    call: Call<()>,
    verb: &'static str,
    action: requests::Action,
) -> Result<Response, Problem> {
    let own = state.clone();
    once(&state, Place::Authority, call, move |call, authority| async move {
        let writing = Writing { state: &own, who: &call.principal, authority };
        let key = ObjectKey::cluster(Kind::EnvironmentRequest, name.clone());
        let written = write(&writing, &ObjectRef::from(&key), verb, &action).await?;
        durable(&own, &key, &written).await?;
        Ok(Done::accepted(format!("/v1/requests/{name}"), &EnvironmentRequestItem::from(&written)))
    })
    .await
}

async fn write(
    writing: &Writing<'_>,
    key: &ObjectRef,
    verb: &'static str,
    action: &requests::Action,
) -> Result<EnvironmentRequest, Problem> {
    let state = writing.state;
    let principal = writing.principal();
    for _ in 0..TRIES {
        let current = writing.fresh(key).await?;
        if !principal.sees(&current.spec.unit) {
            return Err(Problem::NotFound);
        }
        if said_already(&current.spec, &principal.name, action) {
            return Ok(current);
        }
        let known = writing.facts(&Scene::about(&*state.objects)?, &current.spec);
        let next = requests::decide(&current.spec, known.facts(), &principal, action, state.now())
            .map_err(Problem::Declined)?;
        let mut wanted = current.clone();
        wanted.spec = next.spec;
        lawful(&wanted, &current)?;
        let promised = promise(&wanted, &next.standing);
        let unit = &wanted.spec.unit;
        let deed = writing.deed(verb, key, Some(&current.spec), &wanted.spec);
        let written = audited(state, deed, async {
            if let Some(promise) = &promised {
                state.coordination.promise(writing.authority, unit, promise).await?;
            }
            // Where this fails the promise stays until the operator sees that nothing came of it: somebody else's approval of
            // the same request may rest on it.
            Ok(replace(&*state.writer, key, &wanted).await?)
        })
        .await;
        match written {
            Err(Problem::KeptChanging) => {}
            other => return other,
        }
    }
    Err(Problem::KeptChanging)
}

/// Whether just this was said by just this person before: a request that is sent again after its answer was lost.
fn said_already(request: &EnvironmentRequestSpec, name: &str, action: &requests::Action) -> bool {
    let decided = |ruling: &Ruling, outcome| {
        request.decisions.iter().any(|decision| {
            decision.by == name
                && decision.outcome == outcome
                && decision.role == ruling.role
                && decision.digest == ruling.digest
        })
    };
    match action {
        requests::Action::Approve(ruling) => decided(ruling, DecisionOutcome::Approve),
        requests::Action::Reject(ruling) => decided(ruling, DecisionOutcome::Reject),
        requests::Action::Withdraw { .. } => request.withdrawn.as_ref().is_some_and(|word| word.by == name),
        requests::Action::Undo { .. } => request.undone.as_ref().is_some_and(|word| word.by == name),
        _ => false,
    }
}

/// What is promised of the unit's budget, where this makes the request an approved one.
fn promise(request: &EnvironmentRequest, standing: &Standing) -> Option<Change> {
    let spec = &request.spec;
    let asks = matches!(spec.kind, RequestType::Create | RequestType::Resize);
    if *standing != Standing::Approved || !asks || spec.carried_out.is_some() {
        return None;
    }
    Some(Change::Reserve {
        request: request.metadata.name.clone()?,
        environment: spec.environment.clone(),
        amounts: amounts_of(spec.quota.as_ref()?)?,
    })
}

/// What the rules of the resource say about a change.
fn lawful(wanted: &EnvironmentRequest, before: &EnvironmentRequest) -> Result<(), Problem> {
    let faults = faults_of_change(wanted, before);
    if faults.is_empty() { Ok(()) } else { Err(Problem::Invalid(faults)) }
}
