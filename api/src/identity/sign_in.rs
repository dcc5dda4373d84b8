//! Signing in: what a request shows becomes somebody, or a problem.

use super::token::{judge, key_id};
use super::{Keys, PeerCertificate, Principal, TokenRules, Via, bearer, offices_conflict};
use super::{principal_of_certificate, with_groups};
use crate::metrics::Metrics;
use crate::objects::Objects;
use crate::problem::{Problem, Refusal};
use crate::state::Clock;
use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::sync::Arc;
use tandem_logs::Chain;

/// Tells who asks.
#[derive(Clone)]
pub struct Identity {
    issuer: Option<Arc<(TokenRules, Keys)>>,
    objects: Arc<dyn Objects>,
    clock: Clock,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}

impl Identity {
    /// By tokens of this issuer's, where there is one, and by client certificates; groups are looked up among the units.
    #[must_use]
    pub fn new(issuer: Option<(TokenRules, Keys)>, objects: Arc<dyn Objects>, clock: Clock) -> Self {
        super::install_provider();
        Self { issuer: issuer.map(Arc::new), objects, clock }
    }

    /// Who asks.
    ///
    /// # Errors
    /// When nothing is shown, what is shown does not hold, or one person bears offices that are to be kept apart.
    pub async fn of(&self, headers: &HeaderMap, peer: Option<&PeerCertificate>) -> Result<Principal, Problem> {
        let principal = match (bearer(headers).map_err(Problem::Unauthenticated)?, peer) {
            (Some(token), _) => self.of_token(token).await?,
            (None, Some(certificate)) => {
                principal_of_certificate(certificate, (self.clock)()).map_err(Problem::Unauthenticated)?
            }
            (None, None) => return Err(Problem::Unauthenticated(Refusal::Nothing)),
        };
        if offices_conflict(&principal) {
            return Err(Problem::OfficesConflict);
        }
        Ok(principal)
    }

    async fn of_token(&self, token: &str) -> Result<Principal, Problem> {
        let Some(issuer) = &self.issuer else { return Err(Problem::Unauthenticated(Refusal::NoIssuer)) };
        let (rules, keys) = issuer.as_ref();
        let (kid, algorithm) = key_id(token, rules).map_err(Problem::Unauthenticated)?;
        let now = (self.clock)();
        let key = keys.find(&kid, now).await.map_err(|error| {
            tracing::error!(error = %Chain(&error), "no token can be checked");
            Problem::KeysUnavailable
        })?;
        let key = key.ok_or(Problem::Unauthenticated(Refusal::UnknownKey))?;
        let claims = judge(token, algorithm, &key, rules, now).map_err(Problem::Unauthenticated)?;
        if claims.groups.is_empty() {
            return Ok(claims.principal);
        }
        // Where units cannot be read yet, the roles that the token itself gives still hold: they are what a failover needs.
        match self.objects.units() {
            Ok(units) => with_groups(claims, &units),
            Err(_) if claims.principal.roles.iter().any(|role| role.is_office()) => Ok(claims.principal),
            Err(problem) => Err(problem),
        }
    }
}

/// What a request shows of who asks, whether or not it holds; `None` where it shows nothing.
fn shows(headers: &HeaderMap, peer: Option<&PeerCertificate>) -> Option<Via> {
    match (bearer(headers), peer) {
        (Ok(Some(_)) | Err(_), _) => Some(Via::Token),
        (Ok(None), Some(_)) => Some(Via::Certificate),
        (Ok(None), None) => None,
    }
}

/// Lets through who is signed in, with a [`Principal`] in the request's extensions, and counts who is and who is not.
pub async fn sign_in(
    State((identity, metrics)): State<(Identity, Metrics)>,
    mut request: Request,
    next: Next,
) -> Response {
    // Put there by the acceptor, from the connection.
    let peer = request.extensions().get::<Option<PeerCertificate>>().cloned().flatten();
    let found = identity.of(request.headers(), peer.as_ref()).await;
    metrics.signed_in(shows(request.headers(), peer.as_ref()), found.as_ref().err());
    match found {
        Ok(principal) => {
            request.extensions_mut().insert(principal);
            next.run(request).await
        }
        Err(problem) => {
            // What was refused, and never what was shown.
            tracing::info!(path = request.uri().path(), problem = ?problem, "not signed in");
            problem.into_response()
        }
    }
}
