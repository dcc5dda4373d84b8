//! The agent in Patroni mode: the contract of docs/hooks.md over one member of a PostgreSQL cluster under Patroni.
//!
//! [`mod@file`] is its file, [`eyes`] looks (Patroni's [`rest`] API and the [`local`] database), [`service`] answers operators, [`work`]
//! carries out a call one step at a time as [`tandem_core::patroni`] says, [`standing`] is on disk, [`watch`] measures how far a
//! standby is behind, [`switch`] keeps the dead-man switch in the database, [`promotable`] is asked before each promotion, [`dropped`]
//! says what a former primary throws away, `rejoin` has one made anew that was left on an old timeline. docs/postgresql.md is for whoever installs it.

mod changed;
pub mod dropped;
pub mod eyes;
pub mod file;
pub mod local;
pub mod promotable;
mod rejoin;
pub mod rest;
pub mod service;
pub mod standing;
pub mod switch;
pub mod watch;
pub mod work;

use crate::agent::Keeper;
use crate::tls;
use eyes::Eyes;
use file::PatroniFile;
use service::Service;
use std::path::Path;
use std::sync::Arc;
use tandem_arbiter::clock::BootClock;
use tokio::task::JoinSet;

/// Serves, watches and keeps the switch, until one of them cannot go on.
///
/// # Errors
/// Where a file cannot be read or written, or the address is taken.
pub async fn run(group: String, file: PatroniFile, keeper: Keeper, gate_file: &Path) -> Result<(), Error> {
    let tls = tls::server(&file.tls)?;
    let eyes = Arc::new(Eyes::open(&file)?);
    let watch = watch::Watch::open(&file)?;
    switch::point(&file.postgresql, gate_file)?;
    let listen = file.listen;
    let stage = file.stage_faults;
    let service = Service::open(group, file, keeper, eyes, BootClock)?;
    let mut tasks: JoinSet<std::io::Result<()>> = JoinSet::new();
    let routes = service::router(Arc::clone(&service), stage).into_make_service();
    tasks.spawn(axum_server::bind_rustls(listen, tls).serve(routes));
    let watching = Arc::clone(&service);
    tasks.spawn(async move {
        watch.follow(&watching).await;
        Ok(())
    });
    let followed = Arc::clone(&service);
    tasks.spawn(async move {
        rejoin::keep(&followed).await;
        Ok(())
    });
    tasks.spawn(async move {
        switch::keep(&service).await;
        Ok(())
    });
    while let Some(ended) = tasks.join_next().await {
        ended.map_err(std::io::Error::other)??;
    }
    Ok(())
}

/// Why the agent cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Certificates.
    #[error("the agent's certificates cannot be used")]
    Tls(#[from] tls::TlsError),
    /// A file or the address.
    #[error("the agent's folder, its link beside the socket, or its address cannot be used")]
    Io(#[from] std::io::Error),
}
