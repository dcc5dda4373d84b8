//! `/v1/security/findings`: drift, violations and waivers.

use super::extract::Pairs;
use super::page::{Filter, asked, page_by};
use crate::authorise::{Action, Scope, authorise};
use crate::identity::Principal;
use crate::objects::Scene;
use crate::problem::Problem;
use crate::state::AppState;
use axum::Json;
use axum::extract::State;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tandem_core::findings::{Finding, findings};

/// A page of a list: what security looks at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct FindingList {
    /// The findings, by environment, kind, object and rule.
    pub(crate) items: Vec<Finding>,
    /// What to give as `continue` for the next page; absent on the last one.
    #[serde(default, rename = "continue", skip_serializing_if = "Option::is_none")]
    pub(crate) next: Option<String>,
}

/// What the list can be filtered by.
pub(crate) const FILTERS: &[Filter<Finding>] = &[
    Filter { name: "unit", values: &[], of: |finding| finding.unit.clone() },
    Filter { name: "environment", values: &[], of: |finding| finding.environment.clone() },
    Filter {
        name: "kind",
        values: &["Drift", "Violation", "Waiver"],
        of: |finding| Some(finding.kind.name().to_owned()),
    },
];

/// What somebody changed and was put back, what breaks a security profile's rules, and what is waived. Agencies see what is
/// found in their own environments.
#[utoipa::path(get, path = "/v1/security/findings", tag = "security", operation_id = "listFindings",
    params(
        ("unit" = Option<String>, Query, description = "The unit whose environments they are in."),
        ("environment" = Option<String>, Query, description = "The environment that they are in."),
        ("kind" = Option<String>, Query, description = "The sort: Drift, Violation or Waiver."),
    ),
    responses((status = 200, description = "A page of the list.", body = FindingList)))]
pub(crate) async fn list(
    principal: Principal,
    State(state): State<AppState>,
    Pairs(pairs): Pairs,
) -> Result<Json<FindingList>, Problem> {
    let scope = authorise(&principal, Action::ReadFindings)?;
    let asked = asked(pairs, FILTERS)?;
    let drifts = state.coordination.drifts().await?;
    let found = findings(&Scene::whole(&*state.objects)?.world((state.clock)()), &drifts);
    let shown = found.into_iter().filter(|finding| covers(&scope, finding)).map(Box::new);
    let (items, next) = page_by(shown, &asked, FILTERS, Finding::place);
    Ok(Json(FindingList { items: items.into_iter().map(|finding| *finding).collect(), next }))
}

/// What is in no unit's environment is the offices' alone.
fn covers(scope: &Scope, finding: &Finding) -> bool {
    match &finding.unit {
        Some(unit) => scope.covers(unit),
        None => *scope == Scope::All,
    }
}
