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
