//! The gate, health, readiness and metrics, over TLS.

use crate::config::TlsFiles;
use crate::gate::{self, GateState};
use crate::metrics::Metrics;
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use axum_server::tls_rustls::RustlsConfig;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

/// Which parts of the operator are up. A part that is not known to be up is not.
#[derive(Clone, Debug, Default)]
pub struct Readiness {
    parts: Arc<Mutex<BTreeMap<&'static str, bool>>>,
}

impl Readiness {
    /// Says that a part is there and whether it is up.
    pub fn set(&self, part: &'static str, up: bool) {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner).insert(part, up);
    }

    /// The parts that are not up.
    #[must_use]
    pub fn missing(&self) -> Vec<&'static str> {
        let parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        parts.iter().filter(|(_, up)| !**up).map(|(part, _)| *part).collect()
    }
}

/// What the handlers need.
#[derive(Clone, Debug)]
pub struct Health {
    /// Which parts are up.
    pub readiness: Readiness,
    /// What is counted.
    pub metrics: Metrics,
}

/// The routes.
pub fn router(health: Health) -> Router {
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(health)
}

async fn readyz(State(health): State<Health>) -> (StatusCode, String) {
    let missing = health.readiness.missing();
    if missing.is_empty() {
        (StatusCode::OK, "ok\n".to_owned())
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {}\n", missing.join(", ")))
    }
}

async fn metrics(State(health): State<Health>) -> impl IntoResponse {
    // Not where the balancer's questions are answered: thousands of objects are looked at.
    let text = tokio::task::spawn_blocking(move || health.metrics.text()).await;
    match text.map_err(|error| error.to_string()).and_then(|text| text.map_err(|error| error.to_string())) {
        Ok(text) => (StatusCode::OK, [(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)], text),
        Err(error) => {
            tracing::error!(%error, "metrics could not be written");
            (StatusCode::INTERNAL_SERVER_ERROR, [(header::CONTENT_TYPE, "text/plain")], String::new())
        }
    }
}

/// Why the server could not serve.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The certificate or its key cannot be used.
    #[error("the certificate {cert} or its key cannot be used")]
    Certificate {
        /// The certificate's file.
        cert: String,
        /// Why not.
        source: std::io::Error,
    },
    /// The address cannot be listened on.
    #[error("cannot serve on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
}

/// Serves until the process ends.
///
/// # Errors
/// When the certificate cannot be used or the address cannot be listened on.
pub async fn serve(address: SocketAddr, tls: &TlsFiles, health: Health, gate: GateState) -> Result<(), ServeError> {
    let config = RustlsConfig::from_pem_file(&tls.cert_file, &tls.key_file)
        .await
        .map_err(|source| ServeError::Certificate { cert: tls.cert_file.display().to_string(), source })?;
    axum_server::bind_rustls(address, config)
        .serve(router(health).merge(gate::router(gate)).into_make_service())
        .await
        .map_err(|source| ServeError::Listen { address, source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;
    use axum::http::Request;
    use tower::ServiceExt;

    async fn status(health: &Health, path: &str) -> StatusCode {
        let request = Request::get(path).body(Body::empty()).unwrap();
        router(health.clone()).oneshot(request).await.unwrap().status()
    }

    #[tokio::test]
    async fn ready_only_while_every_part_is_up() {
        let health = Health { readiness: Readiness::default(), metrics: Metrics::new().unwrap() };
        health.readiness.set("caches", false);
        health.readiness.set("workers", true);
        assert_eq!(status(&health, "/healthz").await, StatusCode::OK);
        assert_eq!(status(&health, "/readyz").await, StatusCode::SERVICE_UNAVAILABLE);
        health.readiness.set("caches", true);
        assert_eq!(status(&health, "/readyz").await, StatusCode::OK);
        health.readiness.set("workers", false);
        assert_eq!(status(&health, "/readyz").await, StatusCode::SERVICE_UNAVAILABLE);
    }

    #[tokio::test]
    async fn metrics_are_in_prometheus_text() {
        let health = Health { readiness: Readiness::default(), metrics: Metrics::new().unwrap() };
        assert_eq!(status(&health, "/metrics").await, StatusCode::OK);
        assert!(health.metrics.text().unwrap().contains("tandem_build_info"));
    }
}
