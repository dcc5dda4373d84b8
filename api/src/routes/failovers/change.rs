//! Agreeing to a failover, taking it back, having it wait.

use super::super::extract::Named;
use super::super::requests::change::NewWord;
use super::writing::taken;
use crate::acts::{Call, Deed, Done, Place, audited, faults_of_change, once};
use crate::authorise::{Action, authorise_named};
use crate::identity::Principal;
use crate::objects::ObjectRef;
use crate::objects::writer::{fresh, replace};
use crate::problem::{Declined, Problem};
use crate::state::AppState;
use crate::views::FailoverItem;
use axum::extract::State;
use axum::response::Response;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tandem_arbiter::records::RequestRecord;
use tandem_core::failover::is_automatic;
use tandem_core::sync::spec_hash;
use tandem_crds::{Failover, FailoverApproval, FailoverSpec};

/// How often a change is tried that others' changes come in between of.
const TRIES: usize = 8;

/// A wish about a failover. There is nothing to be said with it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct NewWish {}

/// What somebody says of a failover.
enum Word {
    Approve { note: String },
    Abort,
    Pause,
    Resume,
}

/// Agrees to a failover. Nobody agrees to their own; each person counts once. An approval is never withdrawn: abort instead.
#[utoipa::path(post, path = "/v1/failovers/{name}/approvals", tag = "failovers", operation_id = "approveFailover",
    params(("name" = String, Path, description = "The name.")),
    request_body = NewWord,
    responses((status = 202, description = "It is agreed to, and both sites know.", body = FailoverItem)))]
pub(crate) async fn approve(
    State(state): State<AppState>,
    Named(name): Named<String>,
    call: Call<NewWord>,
) -> Result<Response, Problem> {
    authorise_named(&call.principal, Action::WriteFailovers)?;
    let (call, NewWord { note }) = call.split();
    say(state, name, call, Word::Approve { note }).await
}

/// Asks for a failover to be taken back. That is never withdrawn; groups whose new epoch is committed stay where they are.
#[utoipa::path(post, path = "/v1/failovers/{name}/abort", tag = "failovers", operation_id = "abortFailover",
    params(("name" = String, Path, description = "The name.")),
    request_body = NewWish,
    responses((status = 202, description = "It is asked for, and both sites know.", body = FailoverItem)))]
pub(crate) async fn abort(
    State(state): State<AppState>,
    Named(name): Named<String>,
    call: Call<NewWish>,
) -> Result<Response, Problem> {
    authorise_named(&call.principal, Action::WriteFailovers)?;
    say(state, name, call.split().0, Word::Abort).await
}

/// Asks for a failover to wait where that is safe.
#[utoipa::path(post, path = "/v1/failovers/{name}/pause", tag = "failovers", operation_id = "pauseFailover",
    params(("name" = String, Path, description = "The name.")),
    request_body = NewWish,
    responses((status = 202, description = "It is asked for, and both sites know.", body = FailoverItem)))]
pub(crate) async fn pause(
    State(state): State<AppState>,
    Named(name): Named<String>,
    call: Call<NewWish>,
) -> Result<Response, Problem> {
    authorise_named(&call.principal, Action::WriteFailovers)?;
    say(state, name, call.split().0, Word::Pause).await
}

/// Asks for a failover to go on that was asked to wait at this site.
#[utoipa::path(post, path = "/v1/failovers/{name}/resume", tag = "failovers", operation_id = "resumeFailover",
    params(("name" = String, Path, description = "The name.")),
    request_body = NewWish,
    responses((status = 202, description = "It is asked for, and both sites know.", body = FailoverItem)))]
pub(crate) async fn resume(
    State(state): State<AppState>,
    Named(name): Named<String>,
    call: Call<NewWish>,
) -> Result<Response, Problem> {
    authorise_named(&call.principal, Action::WriteFailovers)?;
    say(state, name, call.split().0, Word::Resume).await
}

async fn say(state: AppState, name: String, call: Call<()>, word: Word) -> Result<Response, Problem> {
    let own = state.clone();
    once(&state, Place::Anywhere, call, move |call, _| async move {
        let who = &call.principal;
        let written = write(&own, who, &ObjectRef::failover(&name), &word).await?;
        let record = taken(&own, &written, |record| word.is_heard(record, who, &own.site)).await?;
        if matches!(word, Word::Resume) && !record.paused_at.is_empty() {
            return Err(Problem::FailoverDeclined(Declined::PausedElsewhere { sites: record.paused_at }));
        }
        Ok(Done::accepted(format!("/v1/failovers/{name}"), &FailoverItem::from(&written)))
    })
    .await
}

async fn write(state: &AppState, who: &Principal, at: &ObjectRef, word: &Word) -> Result<Failover, Problem> {
    for _ in 0..TRIES {
        let current: Failover = fresh(&*state.writer, at).await?.ok_or(Problem::NotFound)?;
        may(word, &current, who).map_err(Problem::FailoverDeclined)?;
        let mut wanted = current.clone();
        word.say(&mut wanted.spec, who, Time(state.now()));
        // Said before: a request that is sent again after its answer was lost, or the same once more.
        if wanted == current {
            return Ok(current);
        }
        let faults = faults_of_change(&wanted, &current);
        if !faults.is_empty() {
            return Err(Problem::Invalid(faults));
        }
        let digest = |spec: &FailoverSpec| Some(spec_hash(&json!(spec)));
        let deed =
            Deed { who, action: word.action(), object: at, before: digest(&current.spec), after: digest(&wanted.spec) };
        match audited(state, deed, async { Ok(replace(&*state.writer, at, &wanted).await?) }).await {
            Err(Problem::KeptChanging) => {}
            other => return other,
        }
    }
    Err(Problem::KeptChanging)
}

/// Whether somebody may say that of a failover as it stands.
fn may(word: &Word, failover: &Failover, who: &Principal) -> Result<(), Declined> {
    if is_automatic(failover.execution()) {
        return Err(Declined::Automatic);
    }
    if let Some(phase) = failover.status.as_ref().map(|status| status.phase).filter(|phase| phase.ended()) {
        return Err(Declined::Ended { phase });
    }
    let asker = failover.spec.requested_by.as_deref().unwrap_or_default();
    if matches!(word, Word::Approve { .. }) && person(asker) == person(&who.name) {
        return Err(Declined::OwnRequest);
    }
    Ok(())
}

/// As the failover machine tells people apart.
fn person(name: &str) -> String {
    name.trim().to_lowercase()
}

impl Word {
    /// What it is in the audit chain.
    fn action(&self) -> &'static str {
        match self {
            Self::Approve { .. } => "failovers.approve",
            Self::Abort => "failovers.abort",
            Self::Pause => "failovers.pause",
            Self::Resume => "failovers.resume",
        }
    }

    /// Says it. Who has agreed already is not noted once more.
    fn say(&self, spec: &mut FailoverSpec, who: &Principal, at: Time) {
        match self {
            Self::Approve { note } => {
                if !spec.approvals.iter().any(|given| person(&given.by) == person(&who.name)) {
                    spec.approvals.push(FailoverApproval { by: who.name.clone(), at, note: note.clone() });
                }
            }
            Self::Abort => spec.abort = true,
            Self::Pause => spec.pause = true,
            Self::Resume => spec.pause = false,
        }
    }

    /// Whether both sites know that it was said.
    fn is_heard(&self, record: &RequestRecord, who: &Principal, site: &str) -> bool {
        match self {
            Self::Approve { .. } => record.approvals.iter().any(|given| person(&given.by) == person(&who.name)),
            Self::Abort => record.abort,
            Self::Pause => record.paused_at.contains(site),
            Self::Resume => !record.paused_at.contains(site),
        }
    }
}
