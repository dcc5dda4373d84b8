//! `Patroni`: PostgreSQL, spoken to through the agents beside its members, as docs/postgresql.md has it.
//!
//! Every agent of the site is sent every call, so that each has seen the token before anything is done under it, and whichever
//! member leads by then acts: leadership may have moved inside the site since the last look. What counts is what the agent of the
//! member that leads answers.

use super::hook::{Answered, Credentials, Service};
use super::https::Unusable;
use super::{CallError, Called, Provider};
use futures::FutureExt;
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use serde::Deserialize;
use std::future::Future;
use std::sync::Arc;
use tandem_arbiter::hooks::{Call, Order, State};
use tandem_core::failover::Token;
use tandem_crds::PatroniSite;
use tokio::task::JoinHandle;

/// The members of a group's PostgreSQL at this site.
#[derive(Debug)]
pub(super) struct Patroni {
    members: Vec<Arc<Service>>,
}

/// What an agent answers of its member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
struct Member {
    /// It speaks for the site: its member leads, or was stopped as the one that led.
    #[serde(default)]
    leader: bool,
    #[serde(flatten)]
    state: State,
}

impl Patroni {
    /// The members that the settings name, with these credentials.
    pub(super) fn new(site: &PatroniSite, timeout: Option<i64>, credentials: &Credentials) -> Result<Self, Unusable> {
        let member = |url: &String| Service::new(url, &site.ca_bundle, timeout, credentials.clone()).map(Arc::new);
        Ok(Self { members: site.members.iter().map(member).collect::<Result<_, _>>()? })
    }

    /// Asks every member at once. A question goes on when nobody waits for its answer any more: a token is to be seen by all.
    fn ask<T, F>(&self, ask: impl Fn(Arc<Service>) -> F) -> FuturesUnordered<JoinHandle<T>>
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        self.members.iter().map(|member| tokio::spawn(ask(Arc::clone(member)))).collect()
    }
}

/// The site's data where nobody leads: nothing is known of it but what was seen.
fn leaderless(token: Token) -> State {
    State { token, ..State::default() }
}

fn nobody(mut failures: Vec<String>) -> CallError {
    failures.dedup();
    CallError::Failed(failures.join("; "))
}

impl Provider for Patroni {
    fn state(&self) -> BoxFuture<'_, Result<State, CallError>> {
        async move {
            let mut asked = self.ask(|member| async move { member.state::<Member>().await });
            let (mut highest, mut failures, mut answered) = (Token::default(), Vec::new(), false);
            while let Some(answer) = asked.next().await {
                match answer {
                    Ok(Ok(member)) if member.leader => return Ok(member.state),
                    Ok(Ok(member)) => (answered, highest) = (true, highest.max(member.state.token)),
                    Ok(Err(error)) => failures.push(error.to_string()),
                    Err(error) => failures.push(error.to_string()),
                }
            }
            if answered { Ok(leaderless(highest)) } else { Err(nobody(failures)) }
        }
        .boxed()
    }

    fn call<'a>(&'a self, call: Call, order: &'a Order) -> BoxFuture<'a, Result<Called, CallError>> {
        async move {
            let mut asked = self.ask(|member| {
                let order = order.clone();
                async move { member.call::<Member>(call, &order).await }
            });
            let (mut done, mut under_way, mut failures) = (Vec::new(), false, Vec::new());
            while let Some(answer) = asked.next().await {
                match answer {
                    Ok(Ok(Answered::Done(member))) if member.leader => return Ok(Called::Done(member.state)),
                    Ok(Ok(Answered::Done(member))) => done.push(member.state),
                    Ok(Ok(Answered::UnderWay)) => under_way = true,
                    Ok(Err(CallError::Refused(seen))) => return Err(CallError::Refused(seen)),
                    Ok(Err(CallError::Failed(why))) => failures.push(why),
                    Err(error) => failures.push(error.to_string()),
                }
            }
            match done.first() {
                // Nobody leads, and every member's writers are cut off: whoever leads next finds its gate file fenced.
                Some(state) if call == Call::Fence && done.len() == self.members.len() => Ok(Called::Done(*state)),
                // Somebody will lead, or goes on.
                _ if under_way || (!done.is_empty() && failures.is_empty()) => Ok(Called::UnderWay),
                _ => Err(nobody(failures)),
            }
        }
        .boxed()
    }
}
