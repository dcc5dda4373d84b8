//! The fence that a site carries out by itself: its heartbeats are not answered, and another site may soon hold its groups.
//!
//! The gate has closed by then, by its own deadline. Every replica fences, since which one leads is not certain without the
//! arbiter. Nothing of the API server is needed: endpoints and credentials are in memory. What cannot be reached is cut off by
//! its own switch, which runs out by the same deadline.

use super::{CallError, Providers};
use crate::link::Link;
use std::time::Duration;
use tandem_arbiter::hooks::{Call, Order};

/// How soon a fence that failed is tried again.
const AGAIN: Duration = Duration::from_millis(500);
/// How often it is looked for a deadline where none is known yet.
const LOOK: Duration = Duration::from_millis(250);

/// Fences whenever this replica's deadline passes, for ever.
pub async fn run_self_fence(link: Link, providers: Providers) {
    let mut heartbeats = link.heartbeats();
    loop {
        let wait = link.deadline().map_or(LOOK, |deadline| deadline.saturating_sub(link.uptime()));
        if !wait.is_zero() {
            // A heartbeat moves the deadline.
            if tokio::time::timeout(wait, heartbeats.changed()).await.is_ok_and(|changed| changed.is_err()) {
                return;
            }
            continue;
        }
        let held = held(&link, &providers);
        tracing::warn!(groups = held.len(), "heartbeats are not answered: the site is fenced, and writers are cut off");
        let fences = held.into_iter().map(|order| fence(&link, &providers, order));
        futures::future::join_all(fences).await;
        // Done, or over: what follows is another deadline's.
        while expired(&link) {
            if tokio::time::timeout(LOOK, heartbeats.changed()).await.is_ok_and(|changed| changed.is_err()) {
                return;
            }
        }
    }
}

fn expired(link: &Link) -> bool {
    link.deadline().is_some_and(|deadline| link.uptime() >= deadline)
}

/// The groups with data that this site held by what it has last seen, each with the token of that.
fn held(link: &Link, providers: &Providers) -> Vec<Order> {
    let groups: Vec<String> = providers.lock().keys().cloned().collect();
    link.gate().with(|gate| {
        let ours = groups
            .into_iter()
            .filter(|group| gate.record(group).is_some_and(|record| record.value.active == link.site()));
        ours.filter_map(|group| gate.token(&group).map(|token| Order { group, token, temporary: true })).collect()
    })
}

/// Fences one group's data until that is done, a newer decision was seen there, or heartbeats are answered again.
async fn fence(link: &Link, providers: &Providers, order: Order) {
    while expired(link) {
        let provider = providers.lock().get(&order.group).and_then(|entry| entry.provider.clone());
        let Some(provider) = provider else { return };
        match provider.call(Call::Fence, &order).await {
            Ok(super::Called::Done(_)) => {
                tracing::info!(group = order.group, "its writers are cut off");
                return;
            }
            Err(CallError::Refused(seen)) => {
                tracing::info!(group = order.group, ?seen, "a newer decision was seen there");
                return;
            }
            Ok(super::Called::UnderWay) => {}
            Err(CallError::Failed(why)) => {
                tracing::warn!(group = order.group, why, "its writers are not cut off yet; its own switch runs out");
            }
        }
        tokio::time::sleep(AGAIN).await;
    }
}
