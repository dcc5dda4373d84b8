//! Asking for a failover.

use super::writing::{planned, taken};
use crate::acts::{Call, Deed, Done, Place, audited, faults, once};
use crate::authorise::{Action, authorise};
use crate::identity::Principal;
use crate::objects::ObjectRef;
use crate::objects::writer::{WriteError, create, fresh};
use crate::problem::{Declined, Problem};
use crate::state::AppState;
use crate::views::FailoverItem;
use axum::extract::State;
use axum::response::Response;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::BTreeMap;
use tandem_core::failover::ExecutionKind;
use tandem_core::plan::Wanted;
use tandem_core::sync::spec_hash;
use tandem_crds::{DataLoss, Failover, FailoverPhase, FailoverSelector, FailoverSpec, FailoverType};

/// Label on an object that a site's operator made for a request of another site.
const ASKED_AT: &str = "tandem.dev/asked-at";

/// A failover that is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NewFailover {
    /// Which groups.
    pub(crate) selector: FailoverSelector,
    /// What it is. Switchover and Failback are planned and need both sites; Failover is for a site that is lost.
    #[serde(rename = "type")]
    pub(crate) kind: FailoverType,
    /// The site that the groups go to. Where left out: the other one; for a Failback, the preferred one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub(crate) to: Option<String>,
    /// The epoch that the asker saw, by group, as the plan has it; where a group is at another epoch, all is refused.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 1000))]
    pub(crate) expected_epochs: BTreeMap<String, u64>,
    /// Why, for those who read about it later.
    #[schemars(length(min = 1, max = 1024))]
    pub(crate) reason: String,
    /// Consent to losing what was not replicated; takes two approvals. For a Failover alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) accept_data_loss: Option<DataLoss>,
    /// Move although the target does not report ready; takes two approvals. For a Failover alone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) despite_not_ready: bool,
    /// How many groups move at once; 50 where left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub(crate) max_parallel: Option<i32>,
}

/// Asks for a failover, at either site, also while the other is lost.
///
/// Answered once it is durable: both sites know what was asked for. That groups are served at the target is another matter:
/// follow its events.
#[utoipa::path(post, path = "/v1/failovers", tag = "failovers", operation_id = "createFailover",
    request_body = NewFailover,
    responses((status = 201, description = "It is asked for, and durable.", body = FailoverItem,
               headers(("Location" = String, description = "Where the failover is found.")))))]
pub(crate) async fn post(State(state): State<AppState>, call: Call<NewFailover>) -> Result<Response, Problem> {
    authorise(&call.principal, Action::WriteFailovers)?;
    let (call, body) = call.split();
    let own = state.clone();
    once(&state, Place::Anywhere, call, move |call, _| async move {
        // The same failover under the same key has the same name, also at the other site.
        let name = format!("{}-{}", body.kind.as_str().to_lowercase(), &call.id[..12]);
        let failover = Failover::new(&name, spec(&call.principal, &name, body));
        let written = ask(&own, &call.principal, &failover).await?;
        Ok(Done::created(format!("/v1/failovers/{name}"), &FailoverItem::from(&written)))
    })
    .await
}

fn spec(who: &Principal, name: &str, body: NewFailover) -> FailoverSpec {
    FailoverSpec {
        kind: body.kind,
        from: None,
        to: body.to,
        selector: body.selector,
        expected_epochs: body.expected_epochs,
        idempotency_key: Some(name.to_owned()),
        reason: body.reason,
        requested_by: Some(who.name.clone()),
        approvals: Vec::new(),
        accept_data_loss: body.accept_data_loss,
        despite_not_ready: body.despite_not_ready,
        max_parallel: body.max_parallel,
        pause: false,
        abort: false,
    }
}

async fn ask(state: &AppState, who: &Principal, failover: &Failover) -> Result<Failover, Problem> {
    let at = ObjectRef::failover(failover.metadata.name.as_deref().unwrap_or_default());
    let written = match fresh::<Failover>(&*state.writer, &at).await? {
        // Made before its answer was lost; or, of a key that was used long ago, another one.
        Some(there) if same(&there, failover) => {
            // It was carried out; what the arbiter knew of it may have been collected since.
            if there.status.as_ref().is_some_and(|s| s.phase.ended() && s.phase != FailoverPhase::Refused) {
                return Ok(there);
            }
            there
        }
        Some(_) => return Err(Problem::KeyReused),
        None => {
            sound(state, failover)?;
            let after = Some(spec_hash(&json!(failover.spec)));
            let deed = Deed { who, action: "failovers.create", object: &at, before: None, after };
            audited(state, deed, async {
                match create(&*state.writer, &at, failover).await {
                    Ok(written) => Ok(written),
                    // Sent twice at once, or the operator was faster with the other site's: that one is looked at.
                    Err(WriteError::Exists) => Err(Problem::InProgress),
                    Err(error) => Err(error.into()),
                }
            })
            .await?
        }
    };
    let kind = ExecutionKind::from(failover.spec.kind);
    taken(state, &written, |record| record.kind == kind && record.by == who.name).await?;
    Ok(written)
}

/// Whether what stands under the name of a key is what is asked for. What people said of it since does not count. One that the
/// operator made for the other site has what was selected there instead of the selector.
fn same(there: &Failover, asked: &Failover) -> bool {
    let made_for_another = there.metadata.labels.as_ref().is_some_and(|labels| labels.contains_key(ASKED_AT));
    let mut wanted = asked.spec.clone();
    wanted.approvals.clone_from(&there.spec.approvals);
    (wanted.pause, wanted.abort) = (there.spec.pause, there.spec.abort);
    if made_for_another {
        wanted.selector.clone_from(&there.spec.selector);
        wanted.expected_epochs.clone_from(&there.spec.expected_epochs);
        wanted.from.clone_from(&there.spec.from);
        wanted.to = wanted.to.or_else(|| there.spec.to.clone());
    }
    wanted == there.spec
}

/// Whether it is clear what is wanted, there is such a thing, and the rules of the resource allow it. Whether groups can move as
/// things are is for the operators, who look until they can.
fn sound(state: &AppState, failover: &Failover) -> Result<(), Problem> {
    let spec = &failover.spec;
    let wanted = Wanted {
        kind: Some(spec.kind),
        selector: spec.selector.clone(),
        to: spec.to.clone(),
        accept_data_loss: spec.accept_data_loss,
        despite_not_ready: spec.despite_not_ready,
        max_parallel: spec.max_parallel,
    };
    let plan = planned(&*state.objects, &wanted)?;
    let faults = faults(failover);
    if !faults.is_empty() {
        return Err(Problem::Invalid(faults));
    }
    if plan.groups().next().is_none() {
        return Err(Problem::FailoverDeclined(Declined::NothingToMove { to: plan.to }));
    }
    Ok(())
}
