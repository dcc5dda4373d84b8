//! Keeps the ruleset of this network namespace as the Services are.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, stream};
use k8s_openapi::api::core::v1::{Endpoints, Service};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::sync::watch;

use super::addresses::Range;
use super::services::{ClusterService, Key, Services, key};
use super::way::Way;

/// Shortest time between two rulesets, and from a change to the ruleset that has it.
const DEBOUNCE: Duration = Duration::from_millis(500);
/// Wait before a ruleset is tried again that `nft` refused.
const RETRY: Duration = Duration::from_secs(5);

/// The Services with cluster addresses; `None` until they are all known.
pub(super) type Known = Option<Arc<BTreeMap<Key, ClusterService>>>;

/// Why a command of the network failed.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// The program could not be run.
    #[error("cannot run `{program}`")]
    Run {
        /// The program.
        program: &'static str,
        /// Why.
        source: std::io::Error,
    },
    /// The program failed.
    #[error("`{program}` failed: {message}")]
    Failed {
        /// The program.
        program: &'static str,
        /// What it wrote.
        message: String,
    },
}

enum Seen {
    Service(Box<watcher::Event<Service>>),
    Endpoints(Box<watcher::Event<Endpoints>>),
    Failed(watcher::Error),
}

/// Makes the way to cluster addresses: without a route, a connection fails before it is redirected. The source must not be
/// the cluster address itself, or answers would have to be translated twice.
pub(super) async fn add_route(cluster: Range, source: Ipv4Addr) -> Result<(), NetworkError> {
    let (cluster, source) = (cluster.to_string(), source.to_string());
    run("ip", &["route", "replace", &cluster, "dev", "lo", "src", &source], "").await
}

/// Watches and programs for ever. `real` are the addresses of pods that have processes.
pub(super) async fn run_proxy(
    client: Client,
    (pods, cluster): (Range, Range),
    ways: Vec<Way>,
    mut real: watch::Receiver<BTreeSet<Ipv4Addr>>,
    known: watch::Sender<Known>,
) {
    let config = watcher::Config::default;
    let services = watcher(Api::<Service>::all(client.clone()), config()).default_backoff();
    let endpoints = watcher(Api::<Endpoints>::all(client), config()).default_backoff();
    let services = services.map(|e| e.map_or_else(Seen::Failed, |e| Seen::Service(Box::new(e)))).boxed();
    let endpoints = endpoints.map(|e| e.map_or_else(Seen::Failed, |e| Seen::Endpoints(Box::new(e)))).boxed();
    let mut events = stream::select(services, endpoints);

    let mut state = State::default();
    state.services.ways = ways;
    let mut programmed = String::new();
    let mut due: Option<tokio::time::Instant> = None;
    loop {
        let changed = tokio::select! {
            event = events.next() => match event {
                Some(event) => state.take(event),
                None => return,
            },
            changed = real.changed() => match changed {
                Ok(()) => true,
                Err(_) => return,
            },
            () = wait_until(due) => {
                due = None;
                let ruleset = state.services.ruleset(pods, cluster, &real.borrow_and_update());
                if ruleset != programmed {
                    match run("nft", &["-f", "-"], &ruleset).await {
                        Ok(()) => {
                            tracing::debug!(services = state.services.services.len(), "programmed cluster addresses");
                            programmed = ruleset;
                        }
                        Err(error) => {
                            tracing::error!(%error, "cannot program cluster addresses");
                            due = Some(tokio::time::Instant::now() + RETRY);
                        }
                    }
                }
                continue;
            }
        };
        if state.complete() && (changed || known.borrow().is_none()) {
            if state.services_changed {
                state.services_changed = false;
                known.send_replace(Some(Arc::new(state.services.services.clone())));
            }
            due.get_or_insert_with(|| tokio::time::Instant::now() + DEBOUNCE);
        }
    }
}

async fn wait_until(due: Option<tokio::time::Instant>) {
    match due {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// What is known, and the new whole while a list is read.
#[derive(Default)]
struct State {
    services: Services,
    new_services: Services,
    new_endpoints: Services,
    listed: (bool, bool),
    services_changed: bool,
}

impl State {
    /// Both lists were read.
    fn complete(&self) -> bool {
        self.listed == (true, true)
    }

    /// Takes an event over. Says whether anything changed.
    fn take(&mut self, event: Seen) -> bool {
        use watcher::Event::{Apply, Delete, Init, InitApply, InitDone};
        let changed = match event {
            Seen::Failed(error) => {
                tracing::warn!(%error, "the watch of Services and Endpoints failed");
                return false;
            }
            Seen::Endpoints(event) => {
                return match *event {
                    Apply(e) => self.services.put_endpoints(&e),
                    Delete(e) => self.services.endpoints.remove(&key(&e)).is_some(),
                    Init => {
                        self.new_endpoints = Services::default();
                        false
                    }
                    InitApply(e) => {
                        self.new_endpoints.put_endpoints(&e);
                        false
                    }
                    InitDone => {
                        self.listed.1 = true;
                        self.services.endpoints = std::mem::take(&mut self.new_endpoints.endpoints);
                        true
                    }
                };
            }
            Seen::Service(event) => match *event {
                Apply(s) => self.services.put_service(&s),
                Delete(s) => self.services.services.remove(&key(&s)).is_some(),
                Init => {
                    self.new_services = Services::default();
                    false
                }
                InitApply(s) => {
                    self.new_services.put_service(&s);
                    false
                }
                InitDone => {
                    self.listed.0 = true;
                    self.services.services = std::mem::take(&mut self.new_services.services);
                    true
                }
            },
        };
        self.services_changed |= changed;
        changed
    }
}

/// Runs a program with that input.
pub(super) async fn run(program: &'static str, arguments: &[&str], input: &str) -> Result<(), NetworkError> {
    let failed = |source| NetworkError::Run { program, source };
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().map_err(failed)?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that reads nothing and ends closes the pipe: its exit status says more than that.
        let _ = stdin.write_all(input.as_bytes()).await;
    }
    let output = child.wait_with_output().await.map_err(failed)?;
    if output.status.success() {
        return Ok(());
    }
    Err(NetworkError::Failed { program, message: String::from_utf8_lossy(&output.stderr).trim().to_owned() })
}
