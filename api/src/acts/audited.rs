//! No entry, no action: what is done stands in the audit chain before it is done, and how it ended after it.

use crate::identity::{Principal, Via};
use crate::objects::ObjectRef;
use crate::problem::Problem;
use crate::state::AppState;
use crate::trace;
use tandem_arbiter::arbiter::Completion;
use tandem_core::audit::{Actor, Draft, Outcome};

/// How often it is tried to write down how something ended.
const TRIES: usize = 5;

/// Something that is about to be done.
#[derive(Clone, Debug)]
pub(crate) struct Deed<'a> {
    /// By whom.
    pub(crate) who: &'a Principal,
    /// What, such as `requests.approve`.
    pub(crate) action: &'static str,
    /// To what.
    pub(crate) object: &'a ObjectRef,
    /// SHA-256 of what it says before; `None` where there is nothing yet.
    pub(crate) before: Option<String>,
    /// SHA-256 of what it is to say after it.
    pub(crate) after: Option<String>,
}

/// Does something between its two entries.
///
/// # Errors
/// [`Problem::NoAudit`], and then nothing was done; what the deed says.
pub(crate) async fn audited<T, F: Future<Output = Result<T, Problem>>>(
    state: &AppState,
    deed: Deed<'_>,
    act: F,
) -> Result<T, Problem> {
    let via = match deed.who.via {
        Via::Token => "api token",
        Via::Certificate => "api certificate",
    };
    let draft = Draft {
        id: state.random_id(),
        at: state.now(),
        actor: Actor {
            name: deed.who.name.clone(),
            roles: deed.who.roles.iter().map(|role| role.as_str().to_owned()).collect(),
            via: via.to_owned(),
        },
        action: deed.action.to_owned(),
        object: deed.object.to_string(),
        before: deed.before.clone(),
        after: deed.after.clone(),
        outcome: Outcome::Begun,
        begun: None,
        trace: trace::current().map(|trace| trace.trace_id()),
    };
    let receipt = state.coordination.audit_begin(draft).await?;
    let result = act.await;
    if matches!(result, Err(Problem::NotKnown)) {
        // Nobody knows how it ended: the entry stays without an end, which whoever verifies the chain is told.
        return result;
    }
    let done = result.is_ok();
    let after = if done { deed.after.clone() } else { deed.before.clone() };
    let completion = Completion { id: state.random_id(), at: state.now(), done, after };
    for _ in 0..TRIES {
        if state.coordination.audit_complete(&receipt, completion.clone()).await.is_ok() {
            return result;
        }
    }
    tracing::error!(entry = receipt.seq, "how an action ended could not be written to the audit chain");
    result
}
