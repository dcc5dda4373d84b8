//! `tandem request`: texts for people, and the program itself against a small API over TLS.
#![allow(clippy::unwrap_used)]

#[path = "request/calls.rs"]
mod calls;
#[path = "request/contract.rs"]
mod contract;
#[path = "request/server.rs"]
mod server;
#[path = "request/texts.rs"]
mod texts;
#[path = "request/watching.rs"]
mod watching;
