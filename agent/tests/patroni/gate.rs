//! A gate that says what a test tells it to.

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::get;
use axum_server::tls_rustls::RustlsConfig;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::net::TcpListener;
use std::path::Path;
use std::sync::{Arc, Mutex};
use tandem_arbiter::deadman::token_text;
use tandem_core::failover::Token;

#[derive(Clone, Copy, Debug, Default)]
struct Says {
    active: bool,
    promotable: bool,
    token: Token,
}

/// The gate of one site.
#[derive(Clone)]
pub(crate) struct Gate {
    says: Arc<Mutex<Says>>,
    pub(crate) url: String,
}

impl Gate {
    pub(crate) fn start(certs: &Path) -> Self {
        let chain = CertificateDer::pem_file_iter(certs.join("gate.crt")).unwrap().map(Result::unwrap).collect();
        let key = PrivateKeyDer::from_pem_file(certs.join("gate.key")).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let url = format!("https://{}", listener.local_addr().unwrap());
        let says = Arc::new(Mutex::new(Says::default()));
        let routes = Router::new()
            .route("/active/{group}", get(active))
            .route("/promotable/{group}", get(promotable))
            .with_state(Arc::clone(&says));
        let server = axum_server::from_tcp_rustls(listener, RustlsConfig::from_config(Arc::new(config))).unwrap();
        tokio::spawn(server.serve(routes.into_make_service()));
        Self { says, url }
    }

    /// Whether it is active, and holds the group, under which token.
    pub(crate) fn say(&self, active: bool, promotable: bool, token: Token) {
        *self.says.lock().unwrap() = Says { active, promotable, token };
    }

    pub(crate) fn is_active(&self) -> bool {
        self.says.lock().unwrap().active
    }
}

fn status(yes: bool) -> StatusCode {
    if yes { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}

async fn active(State(says): State<Arc<Mutex<Says>>>) -> impl IntoResponse {
    let says = *says.lock().unwrap();
    let headers = [
        ("Tandem-Token", token_text(&says.token)),
        ("Tandem-Valid-For-Ms", if says.active { "5000" } else { "0" }.to_owned()),
    ];
    (status(says.active), headers)
}

async fn promotable(State(says): State<Arc<Mutex<Says>>>) -> impl IntoResponse {
    status(says.lock().unwrap().promotable)
}
