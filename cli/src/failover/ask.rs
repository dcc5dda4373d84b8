//! Asking for a move: the `Failover` object.

use super::api::{self, ApiError};
use super::args::AskArgs;
use crate::language::Lang;
use crate::output;
use jiff::Timestamp;
use kube::{Client, ResourceExt};
use std::collections::BTreeMap;
use std::io::{BufRead, IsTerminal, Write};
use tandem_core::plan::{Plan, Wanted};
use tandem_crds::{Failover, FailoverSpec};

/// As many epochs as a Failover takes.
const EPOCHS_MOST: usize = 1000;

/// Why a move was not asked for.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// No groups are named.
    #[error("say which groups: --groups, --unit, --site or --all")]
    NoSelector,
    /// Nobody can be asked.
    #[error("there is no terminal on which to ask whether to go on: look at `tandem failover plan`, then give --yes")]
    NoTerminal,
    /// The answer could not be read.
    #[error("the answer cannot be read")]
    Answer(#[source] std::io::Error),
    /// Another request has the name.
    #[error("there is a Failover named {0} already, and it asks for something else: give another --idempotency-key")]
    Another(String),
    /// The cluster refused or did not answer.
    #[error(transparent)]
    Api(#[from] ApiError),
}

/// Asks on the terminal whether to go on.
///
/// # Errors
/// When there is no terminal, or it cannot be read.
pub fn confirmed(yes: bool, lang: Lang) -> Result<bool, AskError> {
    if yes {
        return Ok(true);
    }
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        return Err(AskError::NoTerminal);
    }
    let mut prompt = std::io::stderr().lock();
    let question = lang.say("Go on? Type yes to do so: ", "是否继续？输入 yes 确认：");
    let _ = write!(prompt, "{question}").and_then(|()| prompt.flush());
    drop(prompt);
    let mut answer = String::new();
    stdin.lock().read_line(&mut answer).map_err(AskError::Answer)?;
    let going = answer.trim() == "yes";
    if !going {
        output::note(lang.say("Nothing was asked for.", "未提交任何请求。"));
    }
    Ok(going)
}

/// The object that asks for a planned move. It names the epochs that the plan showed, so that groups which move in between
/// are refused.
#[must_use]
pub fn request(plan: &Plan, wanted: &Wanted, ask: &AskArgs, by: &str, now: Timestamp) -> Failover {
    let name = ask.idempotency_key.clone().unwrap_or_else(|| {
        let kind = plan.kind.as_str().to_lowercase();
        format!("{kind}-{}-{}", plan.to, now.strftime("%Y%m%d-%H%M%S"))
    });
    let epochs: BTreeMap<String, u64> =
        plan.groups().filter_map(|group| Some((group.name.clone(), group.epoch?))).collect();
    let from = plan.from();
    let spec = FailoverSpec {
        kind: plan.kind,
        from: if from.len() == 1 { from.first().map(|site| (*site).to_owned()) } else { None },
        to: Some(plan.to.clone()),
        selector: wanted.selector.clone(),
        expected_epochs: if epochs.len() <= EPOCHS_MOST { epochs } else { BTreeMap::new() },
        idempotency_key: ask.idempotency_key.clone(),
        reason: ask.reason.clone(),
        requested_by: Some(by.to_owned()),
        approvals: Vec::new(),
        accept_data_loss: wanted.accept_data_loss,
        despite_not_ready: wanted.despite_not_ready,
        max_parallel: wanted.max_parallel,
        pause: false,
        abort: false,
    };
    Failover::new(&name, spec)
}

/// Makes the object; one that asks for the same under the same name is as good. Gives the name.
///
/// # Errors
/// When the API server refuses, or the name is another request's.
pub async fn create(client: &Client, object: &Failover, lang: Lang) -> Result<String, AskError> {
    let name = object.name_any();
    if api::create(client, object).await?.is_some() {
        output::result(&match lang {
            Lang::En => format!("failover {name} asked for; follow it with: tandem failover watch {name}\n"),
            Lang::Zh => format!("已提交切换请求 {name}；跟踪：tandem failover watch {name}\n"),
        });
        return Ok(name);
    }
    let there: Failover = api::get(client, &name).await?;
    if !same(&there.spec, &object.spec) {
        return Err(AskError::Another(name));
    }
    output::result(&match lang {
        Lang::En => format!("failover {name} has been asked for already\n"),
        Lang::Zh => format!("切换请求 {name} 此前已提交\n"),
    });
    Ok(name)
}

/// Whether two requests ask for the same. The reason's words, who asked and the epochs that they saw may differ: by the time
/// somebody asks again, groups may have moved.
fn same(one: &FailoverSpec, other: &FailoverSpec) -> bool {
    let core = |spec: &FailoverSpec| {
        let spec = spec.clone();
        (spec.kind, spec.to, spec.selector, spec.accept_data_loss, spec.despite_not_ready, spec.max_parallel)
    };
    core(one) == core(other)
}
