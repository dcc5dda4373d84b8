//! What Patroni asks before each promotion: whether a gate of this site's says that it may.

use crate::tls::HttpsClient;
use std::time::Duration;
use tokio::task::JoinSet;

/// How long a gate may take to answer.
pub const PATIENCE: Duration = Duration::from_millis(500);

/// Whether one of the gates says so. All are asked at once.
pub async fn promotable(client: &HttpsClient, gates: &[String], group: &str) -> bool {
    let mut asked = JoinSet::new();
    for gate in gates {
        let (client, url) = (client.clone(), format!("{}/promotable/{group}", gate.trim_end_matches('/')));
        asked.spawn(async move { matches!(client.get(&url).await, Ok((200, ..))) });
    }
    while let Some(answer) = asked.join_next().await {
        if answer.unwrap_or(false) {
            return true;
        }
    }
    false
}
