//! Asks every member how it stands.

use std::time::Duration;

use futures::future::join_all;

use super::{ArbiterSeen, EndpointSeen, certificate, shown};
use crate::clock::{BootClock, Clock};
use crate::store::{EtcdAdmin, EtcdConfig};

/// Asks every endpoint at once, each for as long as the configuration's time-outs allow. What does not answer is told as such.
pub async fn look(config: &EtcdConfig, admin: &EtcdAdmin) -> ArbiterSeen {
    let endpoints = admin.endpoints().map(|endpoint| async move {
        let begun = BootClock.now();
        let status = admin.status(endpoint).await.map_err(|error| told(&error));
        let took: Duration = BootClock.now().saturating_sub(begun);
        EndpointSeen { endpoint: endpoint.to_owned(), status, took, certificate: shown(config, endpoint).await }
    });
    let (endpoints, members) = tokio::join!(join_all(endpoints), admin.members());
    ArbiterSeen { members: members.unwrap_or_default(), endpoints, own: certificate(&config.cert) }
}

fn told(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(|| error.to_string(), |source| format!("{error}: {source}"))
}
