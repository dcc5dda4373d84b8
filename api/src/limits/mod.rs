//! What keeps the API up under load, from the outside in: how long a body may be, how often an address may ask, how many
//! requests are worked on at once, how long one may take; and, once somebody is signed in, how often they and their unit may
//! ask.
//!
//! Health, metrics and everything about failovers are *vital*: they are never shed, and floods elsewhere do not use up what
//! they are allowed, as they are needed most when everything else is on fire.

mod rate;
mod shed;
#[cfg(test)]
mod tests;

pub use rate::{Monotonic, Rates};
pub use shed::Shed;

use crate::identity::Principal;
use crate::problem::{Allowance, Problem};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::header;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// How urgent a path is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// Health, readiness and metrics: neither shed nor counted.
    Health,
    /// About failovers: never shed, and with allowances of its own.
    Failover,
    /// All else.
    Other,
}

impl Class {
    /// Every class.
    pub const ALL: [Self; 3] = [Self::Health, Self::Failover, Self::Other];

    /// The class of a path.
    #[must_use]
    pub fn of(path: &str) -> Self {
        let below = |root: &str| path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        if matches!(path, "/healthz" | "/readyz" | "/metrics") {
            Self::Health
        } else if below("/v1/failovers") || below("/v1/failover-groups") {
            Self::Failover
        } else {
            Self::Other
        }
    }

    /// The name, as a metric's label.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Health => "health",
            Self::Failover => "failover",
            Self::Other => "other",
        }
    }
}

/// The limits of one process. Cloning gives another handle to the same ones.
#[derive(Clone, Debug)]
pub struct Limits {
    /// How often addresses may ask.
    pub addresses: Arc<Rates<(IpAddr, Class)>>,
    /// How often people and programs may ask, by name.
    pub clients: Arc<Rates<(String, Class)>>,
    /// How often units may ask.
    pub units: Arc<Rates<(String, Class)>>,
    /// How many requests are worked on at once.
    pub shed: Shed,
    /// How long one may take, its body included.
    pub timeout: Duration,
    /// The longest body, in bytes.
    pub body: usize,
}

/// How long a body may be that does not say its length, for whoever reads it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BodyLimit(pub(crate) usize);

/// Before anybody is signed in.
pub async fn outer(State(limits): State<Limits>, mut request: Request, next: Next) -> Response {
    request.extensions_mut().insert(BodyLimit(limits.body));
    let class = Class::of(request.uri().path());
    if class == Class::Health {
        return within(limits.timeout, request, next).await;
    }
    if body_of(&request).is_some_and(|length| length > limits.body as u64) {
        return Problem::TooLarge { most: limits.body }.into_response();
    }
    // The address is the connection's. What headers say about it is not looked at.
    if let Some(ConnectInfo(address)) = request.extensions().get::<ConnectInfo<SocketAddr>>()
        && let Err(after) = limits.addresses.take(&(network(address.ip()), class))
    {
        return Problem::TooMany { whose: Allowance::Address, after }.into_response();
    }
    if class == Class::Failover {
        return within(limits.timeout, request, next).await;
    }
    let Some(_place) = limits.shed.enter() else { return Problem::Overloaded.into_response() };
    within(limits.timeout, request, next).await
}

/// Once somebody is signed in.
pub async fn inner(State(limits): State<Limits>, request: Request, next: Next) -> Response {
    let class = Class::of(request.uri().path());
    if let Some(principal) = request.extensions().get::<Principal>() {
        if let Err(after) = limits.clients.take(&(principal.name.clone(), class)) {
            return Problem::TooMany { whose: Allowance::Client, after }.into_response();
        }
        if let Some(unit) = &principal.unit
            && let Err(after) = limits.units.take(&(unit.clone(), class))
        {
            return Problem::TooMany { whose: Allowance::Unit, after }.into_response();
        }
    }
    next.run(request).await
}

/// What counts as one address: for IPv6 the network of 64 bits, as whoever has one has all of it.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        four => four,
    }
}

async fn within(timeout: Duration, request: Request, next: Next) -> Response {
    match tokio::time::timeout(timeout, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Problem::TooSlow.into_response(),
    }
}

/// The length that a body says it has. One that says nothing is cut off while it is read.
fn body_of(request: &Request) -> Option<u64> {
    request.headers().get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}
