//! Calls that the driver asks for, carried out as tasks.

use super::{Asked, CallError, Called, Heard, Providers, shown};
use crate::link::Link;
use std::sync::Arc;
use std::time::Duration;
use tandem_arbiter::hooks::{Call, Order, State};
use tandem_core::failover::{Answer, Effect};
use tokio::sync::Notify;

/// How soon a call that is under way at the service is asked for again.
const AGAIN: Duration = Duration::from_millis(100);

/// Who may call, and who is told of answers.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) link: Link,
    pub(crate) stirred: Arc<Notify>,
}

/// What a caller has to be asked just before each call leaves, and told of what comes back.
pub(super) trait Leave: Clone + Send + Sync + 'static {
    /// The boot clock.
    fn now(&self) -> Duration;
    /// Why a call under this order may not leave at this moment; `None` where it may.
    fn refusal(&self, order: &Order) -> Option<Answer>;
    /// Shows how the data stands.
    fn heard(&self, group: &str, state: &State);
    /// There is an answer to look at.
    fn answered(&self);
}

impl Leave for Caller {
    fn now(&self) -> Duration {
        self.link.uptime()
    }

    fn refusal(&self, order: &Order) -> Option<Answer> {
        if !self.link.alive() || self.link.leadership().is_none() {
            return Some(Answer::Failed { why: "this replica may not act for its site".to_owned(), at: self.now() });
        }
        let newest = self.link.gate().with(|gate| gate.token(&order.group));
        newest.is_some_and(|newest| order.token < newest).then_some(Answer::Refused)
    }

    fn heard(&self, group: &str, state: &State) {
        let now = self.now();
        self.link.gate().with(|gate| gate.provider(now, group, Some(shown(state.role))));
    }

    fn answered(&self) {
        self.stirred.notify_one();
    }
}

impl Providers {
    /// Calls, or looks again at a call that is under way. `first`: the machine asks for it (again); otherwise it only looks.
    pub(crate) fn call(&self, caller: &Caller, group: &str, effect: Effect, call: Call, first: bool) -> Answer {
        self.begin(caller, Order { group: group.to_owned(), token: effect.token, temporary: false }, call, first)
    }

    pub(super) fn begin<L: Leave>(&self, leave: &L, order: Order, call: Call, first: bool) -> Answer {
        let mut entries = self.lock();
        let entry = entries.entry(order.group.clone()).or_default();
        if let Some(asked) = entry.calls.get(&call).filter(|asked| asked.token == order.token)
            && (!first || asked.answer == Answer::Running)
        {
            return asked.answer.clone();
        }
        let Some(provider) = entry.provider.clone() else {
            let why = entry.trouble.as_ref().map_or_else(
                || "the group's provider is not known here yet".to_owned(),
                |trouble| trouble.sentence(tandem_core::failover::Language::English),
            );
            return Answer::Failed { why, at: leave.now() };
        };
        entry.calls.insert(call, Asked { token: order.token, answer: Answer::Running });
        let (providers, leave) = (self.clone(), leave.clone());
        tokio::spawn(async move {
            let answer = loop {
                // Asked at the last moment: what leaves after the deadline could meet another site's.
                if let Some(refusal) = leave.refusal(&order) {
                    break refusal;
                }
                match provider.call(call, &order).await {
                    Ok(Called::UnderWay) => tokio::time::sleep(AGAIN).await,
                    Ok(Called::Done(state)) => break providers.done(&leave, &order.group, &state),
                    Err(CallError::Refused(_)) => break Answer::Refused,
                    Err(CallError::Failed(why)) => break Answer::Failed { why, at: leave.now() },
                }
            };
            providers.end(&order, call, answer);
            leave.answered();
        });
        Answer::Running
    }

    fn done<L: Leave>(&self, leave: &L, group: &str, state: &State) -> Answer {
        let at = leave.now();
        if let Some(entry) = self.lock().get_mut(group) {
            entry.heard = Some(Heard { state: *state, at });
            entry.looked.soon();
        }
        leave.heard(group, state);
        let position = state.position.map_or_else(String::new, |position| format!(" at {position}"));
        Answer::Done { note: format!("{:?}{position}", state.role), position: state.position }
    }

    fn end(&self, order: &Order, call: Call, answer: Answer) {
        let mut entries = self.lock();
        let asked = entries.get_mut(&order.group).and_then(|entry| entry.calls.get_mut(&call));
        // A later token's call may have taken its place.
        if let Some(asked) = asked.filter(|asked| asked.token == order.token) {
            asked.answer = answer;
        }
    }
}
