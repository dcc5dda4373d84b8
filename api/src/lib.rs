//! The agencies' API of one site: who may see and ask what, over HTTPS.
//!
//! A request goes through, from the outside in: counting, what every answer has in its headers, the language of problems, the
//! [limits] that hold for everybody, signing in ([identity]), the limits of who that is, and a handler, which asks
//! [authorise] first and then acts. Nothing that a header says about who or where somebody is, is believed.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod acts;
pub mod authorise;
pub mod config;
pub mod coordination;
mod docs;
pub mod health;
pub mod identity;
pub mod issuer;
pub mod limits;
pub mod metrics;
pub mod objects;
pub mod openapi;
pub mod problem;
pub mod routes;
pub mod run;
pub mod state;
pub mod tls;
mod trace;
pub mod views;
