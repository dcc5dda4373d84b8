//! How a standby follows the other site's service, over a listener of its own: databases have their own way to each other, with
//! certificates of its own, and no operator goes there.

use super::service::Service;
use super::store::Entry;
use crate::tls::HttpsClient;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;
use tandem_arbiter::clock::Clock;
use tandem_core::failover::Role;

/// How soon the other site is asked again where it had nothing new, and where it did not answer.
const AGAIN: Duration = Duration::from_millis(20);
const SILENT: Duration = Duration::from_millis(200);
/// How many numbers go in one answer.
pub(super) const MOST: usize = 1000;

/// What a standby asks.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct After {
    /// How many numbers it has.
    #[serde(default)]
    pub(super) after: u64,
}

/// What it is answered.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Copied {
    pub(super) role: Role,
    pub(super) epoch: Option<u64>,
    pub(super) position: u64,
    pub(super) history: Vec<(u64, u64)>,
    pub(super) entries: Vec<Entry>,
}

/// When a standby last heard of the active site, and last had everything that it had.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Contact {
    heard: Option<Duration>,
    whole: Option<Duration>,
}

impl Contact {
    /// Takes in an answer to a question sent at this time.
    pub(super) fn met(&mut self, sent: Duration, whole: bool) {
        self.heard = Some(sent);
        if whole {
            self.whole = Some(sent);
        }
    }

    /// Lag, and how long ago it was that, in milliseconds.
    pub(super) fn lag(&self, now: Duration) -> (Option<u64>, u64) {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        match (self.heard, self.whole) {
            (Some(heard), Some(whole)) => {
                (Some(millis(heard.saturating_sub(whole))), millis(now.saturating_sub(heard)))
            }
            _ => (None, 0),
        }
    }
}

/// Follows the other site for ever, whenever this one is a standby.
pub async fn follow<C: Clock>(service: Arc<Service<C>>, client: HttpsClient, peer: String) {
    loop {
        let pause = match round(&service, &client, &peer).await {
            Some(true) => Duration::ZERO,
            Some(false) => AGAIN,
            None => SILENT,
        };
        tokio::time::sleep(pause).await;
    }
}

/// Asks once. Says whether there was something new; `None` where nobody answered.
async fn round<C: Clock>(service: &Service<C>, client: &HttpsClient, peer: &str) -> Option<bool> {
    let after = service.following()?;
    let sent = service.clock().now();
    let (status, _, body) = client.get(&format!("{peer}/replicate?after={after}")).await.ok()?;
    let copy: Copied = (status == 200).then(|| serde_json::from_slice(&body).ok())??;
    Some(service.copied(sent, after, &copy))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_standby_that_hears_nothing_says_what_it_last_knew() {
        let second = Duration::from_secs;
        let mut contact = Contact::default();
        assert_eq!(contact.lag(second(9)), (None, 0));
        contact.met(second(10), false);
        assert_eq!(contact.lag(second(11)), (None, 0), "it never had everything");
        contact.met(second(11), true);
        contact.met(second(14), false);
        assert_eq!(contact.lag(second(20)), (Some(3_000), 6_000));
    }
}
