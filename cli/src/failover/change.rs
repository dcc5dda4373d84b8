//! Changing a move that was asked for: agreeing, taking it back, having it wait.

use super::api::{self, ApiError};
use crate::language::Lang;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::Client;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use tandem_crds::{Failover, FailoverApproval};

/// How often a change is tried that others' changes come in between of.
const ATTEMPTS: usize = 5;

/// What to change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Take it back.
    Abort,
    /// Have it wait.
    Pause,
    /// Have it go on.
    Resume,
}

/// Why a move was not changed.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// It has ended.
    #[error("{name} has ended as {phase}: nothing of it can be changed any more")]
    Ended {
        /// The Failover.
        name: String,
        /// How it ended.
        phase: &'static str,
    },
    /// Somebody without a name cannot agree.
    #[error("say who agrees with --by")]
    Nameless,
    /// Others kept changing it.
    #[error("{0} was changed by others each time; try again")]
    Busy(String),
    /// The cluster refused or did not answer.
    #[error(transparent)]
    Api(#[from] ApiError),
}

/// Adds a person's consent. Somebody who has agreed already is told so.
///
/// # Errors
/// When it is not there, has ended, or the API server refuses.
pub async fn approve(
    client: &Client,
    name: &str,
    by: &str,
    note: &str,
    now: Timestamp,
    lang: Lang,
) -> Result<String, ChangeError> {
    if by.trim().is_empty() {
        return Err(ChangeError::Nameless);
    }
    for _ in 0..ATTEMPTS {
        let failover = open(client, name).await?;
        let mut approvals = failover.spec.approvals.clone();
        if approvals.iter().any(|approval| person(&approval.by) == person(by)) {
            return Ok(match lang {
                Lang::En => format!("{by} has agreed to {name} already\n"),
                Lang::Zh => format!("{by} 此前已批准 {name}\n"),
            });
        }
        // The API server keeps times to the second; what is sent should be what is kept.
        let at = Timestamp::from_second(now.as_second()).unwrap_or(now);
        approvals.push(FailoverApproval { by: by.to_owned(), at: Time(at), note: note.to_owned() });
        let people: BTreeSet<String> = approvals.iter().map(|approval| person(&approval.by)).collect();
        let patch = json!({
            "metadata": {"resourceVersion": failover.metadata.resource_version},
            "spec": {"approvals": approvals},
        });
        if api::merge::<Failover>(client, name, &patch).await?.is_some() {
            let count = people.len();
            return Ok(match lang {
                Lang::En if count == 1 => format!("{by} agrees to {name}, the first to do so\n"),
                Lang::En => format!("{by} agrees to {name}; {count} different people have\n"),
                Lang::Zh => format!("{by} 已批准 {name}；共 {count} 名不同人员批准\n"),
            });
        }
    }
    Err(ChangeError::Busy(name.to_owned()))
}

/// As the failover machine tells people apart.
fn person(by: &str) -> String {
    by.trim().to_lowercase()
}

/// Changes a wish.
///
/// # Errors
/// When it is not there, has ended, or the API server refuses.
pub async fn change(client: &Client, name: &str, change: Change, lang: Lang) -> Result<String, ChangeError> {
    open(client, name).await?;
    let patch: Value = match change {
        Change::Abort => json!({"spec": {"abort": true}}),
        Change::Pause => json!({"spec": {"pause": true}}),
        Change::Resume => json!({"spec": {"pause": false}}),
    };
    if api::merge::<Failover>(client, name, &patch).await?.is_none() {
        return Err(ChangeError::Busy(name.to_owned()));
    }
    Ok(match (change, lang) {
        (Change::Abort, Lang::En) => {
            format!("{name} is asked to be taken back; groups that are promoted already stay where they are\n")
        }
        (Change::Abort, Lang::Zh) => format!("已要求中止并回退 {name}；已提升的组保持不动\n"),
        (Change::Pause, Lang::En) => format!("{name} is asked to wait where that is safe\n"),
        (Change::Pause, Lang::Zh) => format!("已要求 {name} 在安全处暂停\n"),
        (Change::Resume, Lang::En) => format!("{name} is asked to go on\n"),
        (Change::Resume, Lang::Zh) => format!("已要求 {name} 继续\n"),
    })
}

async fn open(client: &Client, name: &str) -> Result<Failover, ChangeError> {
    let failover: Failover = api::get(client, name).await?;
    match failover.status.as_ref().map(|status| status.phase).filter(|phase| phase.ended()) {
        Some(phase) => Err(ChangeError::Ended { name: name.to_owned(), phase: phase.as_str() }),
        None => Ok(failover),
    }
}
