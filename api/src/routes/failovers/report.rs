//! The report on a failover.

use super::super::extract::{Named, Pairs, find};
use super::super::policies::form::{Form, only};
use crate::authorise::{Action, authorise_named};
use crate::identity::Principal;
use crate::objects::Owned;
use crate::problem::{Fault, FieldFault, Problem};
use crate::state::AppState;
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{Html, IntoResponse, Response};
use kube::ResourceExt;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use std::sync::LazyLock;
use tandem_core::report::{FailoverReport, STYLE, page};
use tandem_core::sync::spec_hash;

static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| only(STYLE));

const FORMS: [Form; 2] = [Form::Json, Form::Html];

/// The report on a failover.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[schemars(rename = "FailoverReportAnswer")]
pub(crate) struct ReportItem {
    /// The report.
    #[serde(flatten)]
    report: FailoverReport,
    /// SHA-256 of the canonical text of all else here (keys sorted, no white space). The audit chain has it as `after` of the entry
    /// `failovers.report`. Agencies, who are given a part, are given none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
}

/// The report on a failover that has ended: who asked and agreed, what happened when, how the source was fenced, what was lost,
/// and how each of that is known. Agencies are told what became of their own groups.
///
/// It is written some seconds after the end, and again once former sources follow. It is found by the failover's name, and once
/// that object is gone by the execution's id. JSON unless `Accept` or `format` says otherwise; as HTML it is one page, to be read and
/// printed.
#[utoipa::path(get, path = "/v1/failovers/{name}/report", tag = "failovers", operation_id = "reportFailover",
    params(
        ("name" = String, Path, description = "The name, or the execution's id."),
        ("format" = Option<String>, Query, description = "json or html, whatever `Accept` says."),
    ),
    responses((status = 200, description = "The report.",
        content((ReportItem = "application/json"), (String = "text/html")))))]
pub(crate) async fn get(
    principal: Principal,
    State(state): State<AppState>,
    Named(name): Named<String>,
    Pairs(pairs): Pairs,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let scope = authorise_named(&principal, Action::ReadFailovers)?;
    let form = form(&pairs)?.map_or_else(|| Form::wanted_of(&FORMS, &headers), Ok)?;
    let owned = Owned::within(&scope, &*state.objects)?;
    let found = find(state.objects.failovers()?, None, &name).ok();
    if found.as_ref().is_some_and(|failover| owned.part_of(failover).is_none()) {
        return Err(Problem::NotFound);
    }
    let execution = found
        .as_ref()
        .map_or(name, |failover| failover.spec.idempotency_key.clone().unwrap_or_else(|| failover.name_any()));
    let Some(whole) = state.coordination.report(&execution).await? else {
        return Err(if found.is_some() { Problem::NoReport } else { Problem::NotFound });
    };
    answer(&owned, whole, form)
}

fn form(pairs: &[(String, String)]) -> Result<Option<Form>, Problem> {
    let wrong = |field: &str, fault| Problem::Invalid(vec![FieldFault { field: field.to_owned(), fault }]);
    match pairs {
        [] => Ok(None),
        [(field, value)] if field == "format" => {
            let named = Form::named(value).filter(|form| FORMS.contains(form));
            named.map(Some).ok_or_else(|| wrong(field, Fault::Value { known: vec!["json", "html"] }))
        }
        [(first, _), (second, _), ..] if first == "format" && second == "format" => Err(wrong("format", Fault::Twice)),
        all => {
            let unknown = all.iter().find(|(field, _)| field != "format").map_or("query", |(field, _)| field);
            Err(wrong(unknown, Fault::Unknown { known: vec!["format"] }))
        }
    }
}

/// What somebody is told, in a form. Whoever may see all is given what was written, also what this release does not know.
fn answer(owned: &Owned, mut whole: Value, form: Form) -> Result<Response, Problem> {
    let read = |whole: &Value| {
        serde_json::from_value::<FailoverReport>(whole.clone()).map_err(|error| {
            tracing::error!(%error, "a report does not fit this release");
            Problem::Internal
        })
    };
    let (part, digest) = match owned {
        Owned::All => (None, Some(spec_hash(&whole))),
        Owned::Unit { groups, .. } => {
            (Some(read(&whole)?.part(&|group| groups.contains(group)).ok_or(Problem::NotFound)?), None)
        }
    };
    let mut response = match form {
        Form::Html => {
            let report = part.map_or_else(|| read(&whole), Ok)?;
            ([(header::CONTENT_SECURITY_POLICY, POLICY.clone())], Html(page(&report, digest.as_deref())))
                .into_response()
        }
        _ => match part {
            Some(part) => Json(ReportItem { report: part, sha256: None }).into_response(),
            None => {
                whole["sha256"] = digest.into();
                Json(whole).into_response()
            }
        },
    };
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("accept"));
    Ok(response)
}
