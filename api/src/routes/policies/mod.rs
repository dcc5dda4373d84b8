//! `/v1/security/policies`: every rule in force for a unit or an environment, as one document.

mod asked;
pub(super) mod form;
mod gather;

use super::extract::{Pairs, find};
use crate::authorise::{Action, Scope, authorise_named};
use crate::identity::Principal;
use crate::problem::{Fault, FieldFault, Problem};
use crate::state::AppState;
use asked::{Asked, Whose, asked};
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use form::Form;
use gather::gather;
use kube::ResourceExt;
use schemars::JsonSchema;
use serde::Serialize;
use tandem_core::policy::{Difference, Document, Gap, Head, Subject};

/// Every rule in force, or what has changed.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "PoliciesAnswer")]
pub(crate) enum Policies {
    /// Every rule in force.
    InForce(Document),
    /// With `against`: what has changed.
    Difference(Difference),
}

/// Every rule in force for a unit or one of its environments, each with who set it, since when, and the MLPS controls that it
/// serves. With `against`, what has changed since.
///
/// YAML unless `Accept` or `format` says otherwise; as HTML it is one page, to be read and printed. Agencies see their own unit's,
/// security administrators and auditors everybody's.
#[utoipa::path(get, path = "/v1/security/policies", tag = "security", operation_id = "readPolicies",
    params(
        ("unit" = Option<String>, Query, description = "The unit, with all of its environments and applications. An agency that names neither means its own."),
        ("environment" = Option<String>, Query, description = "One environment, instead."),
        ("against" = Option<String>, Query, description = "A revision of the arbiter's or a time (RFC 3339): what has changed since."),
        ("format" = Option<String>, Query, description = "yaml, html or json, whatever `Accept` says."),
    ),
    responses((status = 200, description = "The document.",
        content((Policies = "application/json"), (Policies = "application/yaml"), (String = "text/html")))))]
pub(crate) async fn get(
    principal: Principal,
    State(state): State<AppState>,
    Pairs(pairs): Pairs,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let scope = authorise_named(&principal, Action::ReadPolicies)?;
    let Asked { whose, against, form } = asked(pairs, state.now())?;
    let form = form.map_or_else(|| Form::wanted(&headers), Ok)?;
    let subject = subject(&state, &scope, whose)?;
    let unit = find(state.objects.units()?, None, &subject.unit)?;
    let gathered = gather(&state, &subject, against.is_some()).await?;
    let head = Head {
        unit: subject.unit,
        display_name: unit.spec.display_name.clone(),
        environment: subject.environment,
        read_at: state.now(),
        notes: gathered.notes,
    };
    let policies = match against {
        None => Document::of(&gathered.objects, head).map(Policies::InForce),
        Some(moment) => Difference::since(&gathered.objects, head, moment).map(Policies::Difference),
    };
    form.answer(&policies.map_err(|gap| refused(gap, against.is_some()))?)
}

/// Whose rules are meant. What is not within the scope is not there.
fn subject(state: &AppState, scope: &Scope, whose: Option<Whose>) -> Result<Subject, Problem> {
    let subject = match (whose, scope) {
        (Some(Whose::Unit(unit)), _) => Subject { unit, environment: None },
        (Some(Whose::Environment(name)), _) => {
            let environment = find(state.objects.environments()?, None, &name)?;
            Subject { unit: environment.spec.unit.clone(), environment: Some(environment.name_any()) }
        }
        (None, Scope::Unit(own)) => Subject { unit: own.clone(), environment: None },
        (None, Scope::All) => {
            let fault = Fault::OneOf { fields: ["unit", "environment"] };
            return Err(Problem::Invalid(vec![FieldFault { field: "unit".to_owned(), fault }]));
        }
    };
    if scope.covers(&subject.unit) { Ok(subject) } else { Err(Problem::NotFound) }
}

/// What is not known of the past is the moment's fault; what is not in force now is not.
fn refused(gap: Gap, of_the_past: bool) -> Problem {
    match gap {
        gap @ Gap::NotPublished(_) => Problem::NotInForce(gap),
        gap if of_the_past => {
            Problem::Invalid(vec![FieldFault { field: "against".to_owned(), fault: Fault::Gap(gap) }])
        }
        gap => Problem::NotInForce(gap),
    }
}
