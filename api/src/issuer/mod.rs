//! A small issuer of tokens, for the lab only: discovery, keys, and tokens for the people in a file.
//!
//! It signs with a key that is made when it starts and is nowhere else. People show a client certificate, or a secret that is
//! made and printed when it starts: there is no password in any file, and none by default.

mod people;
mod signing;
#[cfg(test)]
mod tests;

pub use people::{People, PeopleError, Person, Secrets};
pub use signing::{SigningError, SigningKey};

use crate::identity::{PeerCertificate, principal_of_certificate};
use crate::state::Clock;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// How long a token holds.
pub const VALID: Duration = Duration::from_secs(600);

/// What the issuer needs.
#[derive(Clone)]
pub struct IssuerState {
    /// Its address, as in tokens.
    pub issuer: Arc<str>,
    /// For whom its tokens are.
    pub audience: Arc<str>,
    /// Who gets tokens.
    pub people: Arc<People>,
    /// What they show who have no certificate.
    pub secrets: Arc<Secrets>,
    /// What signs.
    pub key: Arc<SigningKey>,
    /// Reads the wall clock.
    pub clock: Clock,
}

impl std::fmt::Debug for IssuerState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IssuerState").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}

/// The issuer's routes.
pub fn router(state: IssuerState) -> Router {
    Router::new()
        .route("/.well-known/openid-configuration", get(discovery))
        .route("/keys", get(keys))
        .route("/token", post(token))
        .layer(DefaultBodyLimit::max(16 * 1024))
        .with_state(state)
}

async fn discovery(State(state): State<IssuerState>) -> Response {
    let issuer = &*state.issuer;
    let document = json!({
        "issuer": issuer,
        "jwks_uri": format!("{issuer}/keys"),
        "token_endpoint": format!("{issuer}/token"),
        "grant_types_supported": ["client_credentials"],
        "response_types_supported": ["token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
        "token_endpoint_auth_methods_supported": ["tls_client_auth", "client_secret_post"],
    });
    Json(document).into_response()
}

async fn keys(State(state): State<IssuerState>) -> Response {
    Json(json!({"keys": [state.key.jwk()]})).into_response()
}

/// RFC 6749, 4.4 with a secret, and RFC 8705, 2.1 with a certificate: the name is the certificate's, or `client_id`.
async fn token(
    State(state): State<IssuerState>,
    peer: Option<Extension<Option<PeerCertificate>>>,
    body: Bytes,
) -> Response {
    let Some(form) = form(&body) else { return refuse("invalid_request") };
    if form.get("grant_type").map(String::as_str) != Some("client_credentials") {
        return refuse("unsupported_grant_type");
    }
    let shown =
        peer.and_then(|Extension(peer)| peer).and_then(|peer| principal_of_certificate(&peer, (state.clock)()).ok());
    let asked = form.get("client_id");
    let name = match (shown, asked, form.get("client_secret")) {
        (Some(shown), None, None) => shown.name,
        (Some(shown), Some(asked), None) if shown.name == *asked => shown.name,
        (None, Some(asked), Some(secret)) if state.secrets.fits(asked, secret) => asked.clone(),
        _ => return refuse("invalid_client"),
    };
    let Some(person) = state.people.named(&name) else { return refuse("invalid_client") };
    let now = (state.clock)().as_second();
    let claims = person.claims(&state.issuer, &state.audience, now, VALID);
    match state.key.sign(&claims) {
        Ok(token) => {
            let answer = json!({"access_token": token, "token_type": "Bearer", "expires_in": VALID.as_secs()});
            ([(header::CACHE_CONTROL, "no-store")], Json(answer)).into_response()
        }
        Err(error) => {
            tracing::error!(%error, "a token could not be signed");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// A form's fields, each once.
fn form(body: &[u8]) -> Option<BTreeMap<String, String>> {
    let uri: Uri = format!("/?{}", std::str::from_utf8(body).ok()?.trim()).parse().ok()?;
    let axum::extract::Query(pairs) = axum::extract::Query::<Vec<(String, String)>>::try_from_uri(&uri).ok()?;
    let mut fields = BTreeMap::new();
    for (name, value) in pairs {
        if fields.insert(name, value).is_some() {
            return None;
        }
    }
    Some(fields)
}

fn refuse(error: &'static str) -> Response {
    let status = if error == "invalid_client" { StatusCode::UNAUTHORIZED } else { StatusCode::BAD_REQUEST };
    (status, [(header::CACHE_CONTROL, "no-store")], Json(json!({"error": error}))).into_response()
}
