//! The routes. Handlers are thin: they ask [`authorise`](crate::authorise::authorise) first, then act.

pub(crate) mod applications;
pub(crate) mod audit;
pub(crate) mod data_centres;
pub(crate) mod desired;
pub(crate) mod environments;
mod events;
mod extract;
pub(crate) mod failover_groups;
pub(crate) mod failovers;
pub(crate) mod findings;
mod headers;
mod me;
pub(crate) mod page;
pub(crate) mod policies;
pub(crate) mod requests;
pub(crate) mod security_profiles;
#[cfg(test)]
mod tests;
pub(crate) mod units;

use crate::docs;
use crate::health;
use crate::identity::{Identity, sign_in};
use crate::limits::{self, Limits};
use crate::metrics;
use crate::problem::{Problem, localise};
use crate::state::AppState;
use crate::trace;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// What is answered to anybody.
pub(crate) fn open() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(health::healthz))
        .routes(routes!(health::readyz))
        .routes(routes!(health::metrics))
}

/// What is answered to those who are signed in.
pub(crate) fn signed_in() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(me::get))
        .routes(routes!(units::list))
        .routes(routes!(units::get, units::put))
        .routes(routes!(environments::list))
        .routes(routes!(environments::get))
        .routes(routes!(requests::list, requests::create::post))
        .routes(routes!(requests::get))
        .routes(routes!(requests::change::decide))
        .routes(routes!(requests::change::withdraw))
        .routes(routes!(requests::change::undo))
        .routes(routes!(requests::events::get))
        .routes(routes!(applications::list))
        .routes(routes!(applications::get, applications::put, applications::delete))
        .routes(routes!(data_centres::list))
        .routes(routes!(data_centres::get, data_centres::put))
        .routes(routes!(failover_groups::list))
        .routes(routes!(failover_groups::get, failover_groups::put))
        .routes(routes!(failovers::list, failovers::create::post))
        .routes(routes!(failovers::plan::post))
        .routes(routes!(failovers::get))
        .routes(routes!(failovers::events::get))
        .routes(routes!(failovers::report::get))
        .routes(routes!(failovers::change::approve))
        .routes(routes!(failovers::change::abort))
        .routes(routes!(failovers::change::pause))
        .routes(routes!(failovers::change::resume))
        .routes(routes!(audit::page))
        .routes(routes!(audit::file))
        .routes(routes!(audit::segments))
        .routes(routes!(audit::proof))
        .routes(routes!(findings::list))
        .routes(routes!(security_profiles::list))
        .routes(routes!(security_profiles::get, security_profiles::put))
        .routes(routes!(policies::get))
}

/// The whole API.
pub fn router(state: AppState, identity: Identity, limits: &Limits) -> Router {
    let signed_in = signed_in()
        .split_for_parts()
        .0
        .route_layer(from_fn_with_state(limits.clone(), limits::inner))
        .route_layer(from_fn_with_state((identity, state.metrics.clone()), sign_in));
    let (counted, random) = (state.metrics.clone(), state.random.clone());
    Router::new()
        .merge(signed_in)
        .merge(open().split_for_parts().0)
        .merge(docs::router())
        .fallback(async || Problem::NoSuchPath)
        .method_not_allowed_fallback(async || Problem::MethodNotAllowed)
        .with_state(state)
        .layer(DefaultBodyLimit::max(limits.body))
        .layer(from_fn_with_state(limits.clone(), limits::outer))
        .layer(from_fn(localise))
        .layer(from_fn(headers::harden))
        .layer(from_fn_with_state(counted, metrics::count))
        .layer(from_fn_with_state(random, trace::follow))
}
