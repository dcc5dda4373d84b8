//! `Hook`: a service of the group's own, spoken to over HTTPS as docs/hooks.md has it.
//!
//! [`Service`] is what speaks that contract, whoever answers it: the agents beside PostgreSQL do too, and say more.

use super::https::{Https, Unusable};
use super::{CallError, Called, Provider};
use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use http::{Method, Request};
use http_body_util::Full;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::time::Duration;
use tandem_arbiter::hooks::{Call, Order, Seen, State};

/// How long a call may take where the settings say nothing.
const TIMEOUT: Duration = Duration::from_secs(2);
/// The longest cause that is passed on, in characters.
const CAUSE: usize = 160;

/// What is shown to the service.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Credentials {
    /// A client certificate: chain and key, PEM.
    Certificate {
        /// The chain.
        chain: Vec<u8>,
        /// The key.
        key: Vec<u8>,
    },
    /// A bearer token.
    Token(String),
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Certificate { .. } => "a client certificate",
            Self::Token(_) => "a token",
        })
    }
}

/// Somebody who answers the contract.
#[derive(Debug)]
pub(super) struct Service {
    base: String,
    https: Https,
    authorization: Option<HeaderValue>,
    credentials: Credentials,
}

/// What a service says of a failure.
#[derive(Deserialize)]
struct Failure {
    error: String,
}

/// What was answered to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answered<T> {
    /// It is carried out, and this is how it stands.
    Done(T),
    /// It is being carried out.
    UnderWay,
}

impl Service {
    /// The service at this address, which these authorities vouch for; it is shown these credentials.
    pub(super) fn new(
        url: &str,
        ca_bundle: &str,
        timeout: Option<i64>,
        credentials: Credentials,
    ) -> Result<Self, Unusable> {
        let timeout = timeout.and_then(|n| u64::try_from(n).ok()).map_or(TIMEOUT, Duration::from_secs);
        let (shown, authorization) = match &credentials {
            Credentials::Certificate { chain, key } => (Some((chain.as_slice(), key.as_slice())), None),
            Credentials::Token(token) => {
                let value = HeaderValue::try_from(format!("Bearer {token}"));
                let mut value = value.map_err(|_| Unusable::Token)?;
                value.set_sensitive(true);
                (None, Some(value))
            }
        };
        let https = Https::new(ca_bundle.as_bytes(), shown, timeout)?;
        Ok(Self { base: url.trim_end_matches('/').to_owned(), https, authorization, credentials })
    }

    async fn send(&self, method: Method, path: &str, body: Option<Vec<u8>>) -> Result<(u16, Bytes), CallError> {
        let mut request = Request::builder().method(method).uri(format!("{}/{path}", self.base));
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        if body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let request = request.body(Full::new(Bytes::from(body.unwrap_or_default())));
        let request = request.map_err(|_| CallError::Failed("the address is no URL".to_owned()))?;
        self.https.send(request).await.map_err(|error| CallError::Failed(self.harmless(&error.to_string())))
    }

    /// A cause, short and with nothing in it that was shown to the service: one that answers with what it was sent must not
    /// bring a token into a status.
    fn harmless(&self, cause: &str) -> String {
        let secret = match &self.credentials {
            Credentials::Token(token) => cause.contains(token.as_str()),
            Credentials::Certificate { .. } => cause.contains("-----BEGIN"),
        };
        if secret {
            return "the cause is left out: it holds what was shown to the service".to_owned();
        }
        cause.chars().filter(|c| !c.is_control()).take(CAUSE).collect()
    }

    fn failed(&self, status: u16, body: &[u8]) -> CallError {
        let said = serde_json::from_slice::<Failure>(body).map(|failure| failure.error);
        let cause = said.map_or_else(|_| format!("status {status}"), |said| format!("status {status}: {said}"));
        CallError::Failed(self.harmless(&cause))
    }

    /// How the data stands, as it says.
    pub(super) async fn state<T: DeserializeOwned>(&self) -> Result<T, CallError> {
        let (status, body) = self.send(Method::GET, "state", None).await?;
        if status != 200 {
            return Err(self.failed(status, &body));
        }
        read(status, &body)
    }

    /// Asks it to carry out a call.
    pub(super) async fn call<T: DeserializeOwned>(&self, call: Call, order: &Order) -> Result<Answered<T>, CallError> {
        let body = serde_json::to_vec(order).map_err(|error| CallError::Failed(error.to_string()))?;
        let (status, body) = self.send(Method::POST, call.name(), Some(body)).await?;
        match status {
            200 => Ok(Answered::Done(read(status, &body)?)),
            202 => Ok(Answered::UnderWay),
            409 => match serde_json::from_slice::<Seen>(&body) {
                Ok(Seen { seen }) if seen > order.token => Err(CallError::Refused(seen)),
                _ => Err(CallError::Failed("it answered 409 and named no higher token".to_owned())),
            },
            _ => Err(self.failed(status, &body)),
        }
    }
}

fn read<T: DeserializeOwned>(status: u16, body: &[u8]) -> Result<T, CallError> {
    // What does not fit is not repeated: it is somebody else's text.
    serde_json::from_slice(body)
        .map_err(|_| CallError::Failed(format!("the answer {status} is not as docs/hooks.md has it")))
}

/// A group's service at this site.
#[derive(Debug)]
pub(super) struct Hook(pub(super) Service);

impl Provider for Hook {
    fn state(&self) -> BoxFuture<'_, Result<State, CallError>> {
        self.0.state().boxed()
    }

    fn call<'a>(&'a self, call: Call, order: &'a Order) -> BoxFuture<'a, Result<Called, CallError>> {
        async move {
            Ok(match self.0.call(call, order).await? {
                Answered::Done(state) => Called::Done(state),
                Answered::UnderWay => Called::UnderWay,
            })
        }
        .boxed()
    }
}
