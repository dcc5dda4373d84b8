//! What this replica has put back is written down in the arbiter, for as long as it takes.

use crate::context::Context;
use std::time::Duration;
use tandem_arbiter::arbiter::ReadError;
use tandem_logs::Chain;

/// How long it is waited after the arbiter did not take one.
const RETRY: Duration = Duration::from_secs(2);

/// Writes down what was put back, for ever; whoever leads by then, since this replica did it.
pub async fn run_drifts(context: Context) {
    let cluster = &context.cluster;
    let mut failing = false;
    loop {
        let put_back = cluster.untold.next().await;
        while !context.link.pause().acts() {
            tokio::time::sleep(RETRY).await;
        }
        match context.link.arbiter().drifted(&put_back.drift, &put_back.actor).await {
            Ok(true) => failing = false,
            Err(ReadError::Record { key, source }) => {
                // A newer release wrote the record. Everything else waits behind this one.
                tracing::error!(key, error = %Chain(&source), "what was put back before cannot be read");
                cluster.never_told(&put_back);
            }
            other => {
                if !failing {
                    let error = other.err().map(|error| Chain(&error).to_string());
                    tracing::warn!(error, "what was put back is not written down yet");
                }
                failing = true;
                if let Some(untold) = cluster.untold.give_back(put_back) {
                    cluster.never_told(&untold);
                }
                tokio::time::sleep(RETRY).await;
            }
        }
    }
}
