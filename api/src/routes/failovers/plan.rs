//! What a failover would do.

use super::writing::planned;
use crate::acts::Question;
use crate::authorise::{Action, authorise};
use crate::problem::Problem;
use crate::state::AppState;
use axum::Json;
use axum::extract::State;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tandem_core::plan::{Plan, Wanted};
use tandem_crds::{DataLoss, FailoverSelector, FailoverType};

/// A failover that might be asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NewPlan {
    /// Which groups.
    pub(crate) selector: FailoverSelector,
    /// What it is. Where left out: a Switchover while the sites that hold the groups are heard, else a Failover.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub(crate) kind: Option<FailoverType>,
    /// The site that the groups go to. Where left out: the other one; for a Failback, the preferred one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub(crate) to: Option<String>,
    /// Consent to losing what was not replicated; for a Failover alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) accept_data_loss: Option<DataLoss>,
    /// Move although the target does not report ready; for a Failover alone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) despite_not_ready: bool,
    /// How many groups move at once; 50 where left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub(crate) max_parallel: Option<i32>,
}

/// What a failover would do.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(transparent)]
pub(crate) struct PlanItem(pub(crate) Plan);

/// What a failover would do, in which order, with the times to expect and the reasons for which groups would be refused.
///
/// It changes nothing and promises nothing: the operators look again before anything moves.
#[utoipa::path(post, path = "/v1/failovers/plan", tag = "failovers", operation_id = "planFailover",
    request_body = NewPlan,
    responses((status = 200, description = "The plan.", body = PlanItem)))]
pub(crate) async fn post(
    State(state): State<AppState>,
    question: Question<NewPlan>,
) -> Result<Json<PlanItem>, Problem> {
    authorise(&question.principal, Action::PlanFailovers)?;
    let NewPlan { selector, kind, to, accept_data_loss, despite_not_ready, max_parallel } = question.body;
    let wanted = Wanted { kind, selector, to, accept_data_loss, despite_not_ready, max_parallel };
    Ok(Json(PlanItem(planned(&*state.objects, &wanted)?)))
}
