//! One operator replica, from start to stop.

use crate::accept::run_acceptance;
use crate::alarms::run_alarms;
use crate::audit::{Behind, run_audit, run_drifts};
use crate::cluster::{Cluster, ObjectName};
use crate::config::{Config, TlsFiles};
use crate::context::{Context, Dropped, Queues, at_rest};
use crate::controllers::{Blocked, is_shared_namespace, own_data_centre, provision};
use crate::drills::{Drills, run_drills, run_schedules};
use crate::failover::{
    GroupNotes, Strengths, run_collection, run_driver, run_groups, run_holds, run_peers, run_reports, run_requests,
    watch_requests,
};
use crate::findings::run_findings;
use crate::gate::{GateState, run_gate_feed};
use crate::http::{Health, Readiness, ServeError, serve};
use crate::index::Index;
use crate::link::{Link, LinkError};
use crate::metrics::{Certificate, Metrics};
use crate::pause::run_pause;
use crate::progress::Progress;
use crate::providers::{Providers, run_providers, run_self_fence};
use crate::queue::{Outcome, Queue};
use crate::requests::{run_carrying_out, run_expiry, run_promises, run_rules};
use crate::status::{Refusals, Reporter, Settling, SiteNotes, fold, run_reporter};
use crate::sync::{HeldBack, run_feed, run_opening, sync};
use futures::future::BoxFuture;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::runtime::watcher;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tandem_arbiter::health::certificate;
use tandem_arbiter::membership::MembershipError;
use tandem_core::names::LABEL_ID;
use tandem_core::sync::ObjectKey;
use tandem_crds::Kind;
use tandem_logs::Chain;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// How long changes of one object are gathered before it is looked at.
const GATHER: Duration = Duration::from_millis(150);
/// How often everything is looked at although nothing was seen to change.
const RESYNC: Duration = Duration::from_secs(600);
/// How many keys are worked on at once, by queue.
const SYNC_WORKERS: usize = 16;
const PROVISION_WORKERS: usize = 16;
const FOLD_WORKERS: usize = 8;

/// Why an operator replica stopped.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The kubeconfig cannot be used.
    #[error("the kubeconfig {path} cannot be used")]
    Kubeconfig {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: Box<kube::config::KubeconfigError>,
    },
    /// No client could be made from the kubeconfig.
    #[error("no client for the API server could be made")]
    Client(#[source] Box<kube::Error>),
    /// The arbiter cannot be used.
    #[error("the arbiter cannot be used")]
    Arbiter(#[from] LinkError),
    /// The heartbeat ended.
    #[error("the heartbeat ended")]
    Membership(#[from] MembershipError),
    /// Health and metrics cannot be served.
    #[error("health and metrics cannot be served")]
    Serve(#[from] ServeError),
    /// The metrics cannot be registered.
    #[error("the metrics cannot be registered")]
    Metrics(#[from] prometheus::Error),
    /// Signals cannot be waited for.
    #[error("signals cannot be waited for")]
    Signal(#[source] std::io::Error),
    /// A part of the operator ended that should run for ever.
    #[error("a part of the operator ended: {0}")]
    Part(String),
}

/// Runs until told to stop.
///
/// # Errors
/// See [`RunError`].
pub async fn run(config: Config) -> Result<(), RunError> {
    // Another part of the process may have chosen the same provider already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let config = Arc::new(config);
    let metrics = Metrics::new()?;
    let readiness = Readiness::default();
    for part in ["arbiter", "caches", "workers"] {
        readiness.set(part, false);
    }
    let incarnation = format!(
        "{}-{:x}",
        std::process::id(),
        tandem_arbiter::clock::Clock::now(&tandem_arbiter::clock::BootClock).as_nanos()
    );
    let (link, beat) = Link::connect(&config, incarnation).await?;
    let beat = beat.told(metrics.attempts());
    metrics.watch_link(link.clone())?;
    read_certificates(&metrics, &link, &config.tls).await;
    let (stop, stopped) = watch::channel(false);
    let mut parts: JoinSet<Result<(), RunError>> = JoinSet::new();
    // The heartbeat first: it needs local files and the arbiter alone.
    let stop_beat = wait_for(stopped.clone());
    let beat = tokio::spawn(async move { beat.run(stop_beat).await });
    let health = Health { readiness: readiness.clone(), metrics: metrics.clone() };
    let (address, tls) = (config.listen, config.tls.clone());
    // The gate next: it too needs the arbiter alone. The API server is waited for in the background, as long as it takes.
    let gate = GateState::new(link.gate().clone());
    parts.spawn(async move { Ok(serve(address, &tls, health, gate).await?) });
    let feeding = link.clone();
    parts.spawn(async move {
        run_gate_feed(feeding).await;
        Ok(())
    });
    let (watching, sites) = (link.clone(), config.sites.clone());
    parts.spawn(async move {
        run_peers(watching, sites).await;
        Ok(())
    });
    let closing = link.clone();
    parts.spawn(operate(Arc::clone(&config), link, readiness, metrics));
    let mut terminate = signal(SignalKind::terminate()).map_err(RunError::Signal)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(RunError::Signal)?;
    let mut beat = beat;
    let ended = tokio::select! {
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
        ended = &mut beat => match ended {
            Ok(Ok(())) => Err(RunError::Part("heartbeat".to_owned())),
            // Whoever runs it starts it again, and all that was read of the former arbiter is gone with the process.
            Ok(Err(error @ MembershipError::Anew { .. })) => {
                tracing::warn!(%error, "stopping to begin anew");
                return Err(error.into());
            }
            Ok(Err(error)) => return Err(error.into()),
            Err(error) => return Err(RunError::Part(error.to_string())),
        },
        ended = parts.join_next() => match ended {
            Some(Ok(Err(error))) => Err(error),
            Some(Err(error)) => Err(RunError::Part(error.to_string())),
            Some(Ok(Ok(()))) | None => Err(RunError::Part("a task".to_owned())),
        },
    };
    closing.gate().with(|gate| gate.close(closing.uptime()));
    // Whoever acts on the lead ends before it is given up.
    parts.shutdown().await;
    stop.send_replace(true);
    let _ = tokio::time::timeout(Duration::from_secs(3), beat).await;
    tracing::info!("stopped");
    ended
}

/// Says until when this process's own certificates are good. One that cannot be read keeps it from serving, which says so.
async fn read_certificates(metrics: &Metrics, link: &Link, served: &TlsFiles) {
    if let Ok(own) = certificate(&link.etcd().cert) {
        metrics.certificate(Certificate::ArbiterClient, own.expires);
    }
    if let Ok(pem) = tokio::fs::read(&served.cert_file).await
        && let Ok(server) = certificate(&pem)
    {
        metrics.certificate(Certificate::Server, server.expires);
    }
}

async fn wait_for(mut stopped: watch::Receiver<bool>) {
    // An error means that the sender is gone, which is a stop as well.
    let _ = stopped.wait_for(|stopped| *stopped).await;
}

async fn client(config: &Config) -> Result<kube::Client, RunError> {
    let path = &config.kubeconfig;
    let unusable = |source| RunError::Kubeconfig { path: path.clone(), source: Box::new(source) };
    let kubeconfig = Kubeconfig::read_from(path).map_err(unusable)?;
    let mut options =
        kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.map_err(unusable)?;
    options.connect_timeout = Some(Duration::from_secs(5));
    options.write_timeout = Some(Duration::from_secs(30));
    kube::Client::try_from(options).map_err(|source| RunError::Client(Box::new(source)))
}

/// The minor number of the API server's version; asked until it answers.
async fn server_minor(client: &kube::Client) -> u32 {
    loop {
        match client.apiserver_version().await {
            Ok(info) => {
                let digits: String = info.minor.chars().take_while(char::is_ascii_digit).collect();
                if let Ok(minor) = digits.parse() {
                    return minor;
                }
                tracing::warn!(minor = info.minor, "the API server's version cannot be read");
            }
            Err(error) => {
                tracing::warn!(error = %Chain(&error), "the API server does not answer yet")
            }
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

async fn operate(config: Arc<Config>, link: Link, readiness: Readiness, metrics: Metrics) -> Result<(), RunError> {
    let client = client(&config).await?;
    let minor = server_minor(&client).await;
    let guard = {
        let (link, config) = (link.clone(), Arc::clone(&config));
        // Put to rest, a site has no leader any more: then whoever is left may write, and workloads only go down.
        Arc::new(move || link.standing().leads || at_rest(&link, &config))
    };
    let cluster = Cluster::new(&config.site, &config.replica, client, minor, guard, metrics.clone());
    let index = Arc::new(Index::default());
    let context = Context {
        reporter: Reporter::new(&config.site, Arc::clone(&index)),
        config,
        link,
        cluster,
        index,
        queues: Queues::default(),
        refusals: Refusals::default(),
        settling: Settling::default(),
        strengths: Strengths::default(),
        group_notes: GroupNotes::default(),
        providers: Providers::default(),
        drills: Drills::default(),
        stirred: Arc::default(),
        asked: Arc::default(),
        site: SiteNotes::default(),
        blocked: Blocked::default(),
        held: HeldBack::default(),
        dropped: Dropped::default(),
        progress: Progress::default(),
        behind: Behind::default(),
    };
    context.cluster.metrics.watch_site(context.clone())?;
    let mut tasks: JoinSet<()> = JoinSet::new();
    watch_own(&context, &mut tasks);
    watch_rendered(&context, &mut tasks);
    tasks.spawn(run_feed(context.clone()));
    tasks.spawn(run_opening(context.clone()));
    tasks.spawn(run_reporter(context.clone()));
    tasks.spawn(run_groups(context.clone()));
    tasks.spawn(run_driver(context.clone()));
    tasks.spawn(run_providers(context.clone()));
    tasks.spawn(run_self_fence(context.link.clone(), context.providers.clone()));
    tasks.spawn(run_holds(context.clone()));
    tasks.spawn(run_collection(context.clone()));
    tasks.spawn(run_reports(context.clone()));
    tasks.spawn(run_acceptance(context.clone()));
    tasks.spawn(run_pause(context.clone()));
    tasks.spawn(run_alarms(context.clone()));
    tasks.spawn(run_audit(context.clone()));
    tasks.spawn(run_drifts(context.clone()));
    tasks.spawn(watch_requests(context.clone()));
    tasks.spawn(run_requests(context.clone()));
    tasks.spawn(run_drills(context.clone()));
    tasks.spawn(run_schedules(context.clone()));
    tasks.spawn(run_carrying_out(context.clone()));
    tasks.spawn(run_promises(context.clone()));
    tasks.spawn(run_rules(context.clone()));
    tasks.spawn(run_expiry(context.clone()));
    tasks.spawn(run_findings(context.clone()));
    tasks.spawn(keep_house(context.clone(), readiness.clone()));
    let queues = context.queues.clone();
    work(&mut tasks, &context, "sync", queues.sync, SYNC_WORKERS, |context, key| Box::pin(sync(context, key)));
    work(&mut tasks, &context, "provision", queues.provision, PROVISION_WORKERS, |context, key| {
        Box::pin(provision(context, key))
    });
    work(&mut tasks, &context, "fold", queues.fold, FOLD_WORKERS, |context, key| {
        Box::pin(fold_if_leading(context, key))
    });
    readiness.set("workers", true);
    let ended = tasks.join_next().await;
    readiness.set("workers", false);
    Err(RunError::Part(match ended {
        Some(Err(error)) => error.to_string(),
        _ => "a watch or a worker".to_owned(),
    }))
}

async fn fold_if_leading(context: Context, key: ObjectKey) -> Outcome {
    if context.link.standing().leads {
        return fold(context, key).await;
    }
    context.dropped.note();
    Outcome::Done
}

fn work(
    tasks: &mut JoinSet<()>,
    context: &Context,
    name: &'static str,
    queue: Queue<ObjectKey>,
    workers: usize,
    step: fn(Context, ObjectKey) -> BoxFuture<'static, Outcome>,
) {
    let context = context.clone();
    tasks.spawn(queue.run(workers, move |key| {
        let context = context.clone();
        Box::pin(async move {
            let metrics = context.cluster.metrics.clone();
            let timer = metrics.reconcile_seconds.with_label_values(&[name]).start_timer();
            let outcome = step(context, key).await;
            timer.observe_duration();
            let result = match outcome {
                Outcome::Done => "done",
                Outcome::After(_) => "waiting",
                Outcome::Retry => "failed",
            };
            metrics.reconciles.with_label_values(&[name, result]).inc();
            outcome
        })
    }));
}

fn watch_own(context: &Context, tasks: &mut JoinSet<()>) {
    for kind in Kind::ALL {
        let resource = Cluster::own_resource(kind);
        let api = context.cluster.api(&resource, None);
        let queues = context.queues.clone();
        let changed = move |name: &ObjectName, _: &kube::api::DynamicObject| {
            let key = ObjectKey { kind, namespace: name.namespace.clone(), name: name.name.clone() };
            queues.sync.add(key.clone());
            queues.fold.add_after(key, GATHER);
        };
        let (queues, index) = (context.queues.clone(), Arc::clone(&context.index));
        let listed = move || {
            // Everything of the kind: what the arbiter has and this list has not is to be made.
            for key in index.keys().into_iter().filter(|key| key.kind == kind) {
                queues.sync.add(key);
            }
        };
        let mirror = Arc::clone(&context.cluster.own);
        tasks.spawn(mirror.watch(api, resource, watcher::Config::default(), changed, listed));
    }
}

fn watch_rendered(context: &Context, tasks: &mut JoinSet<()>) {
    for resource in context.cluster.watched_kinds() {
        let api = context.cluster.api(&resource, None);
        // All of them, not only those that bear Tandem's labels: what somebody else made under a name that Tandem would use
        // must be seen before it is written over.
        let (queues, index, config) = (context.queues.clone(), Arc::clone(&context.index), Arc::clone(&context.config));
        let blocked = context.blocked.clone();
        let changed = move |name: &ObjectName, object: &kube::api::DynamicObject| {
            if let Some(waiting) = blocked.moved(name) {
                queues.provision.add_after(waiting, GATHER);
            }
            let id = object.metadata.labels.as_ref().and_then(|labels| labels.get(LABEL_ID));
            let shared = name.kind == "Namespace" && is_shared_namespace(&config, &name.name);
            if name.kind == "Node" || shared {
                queues.provision.add_after(own_data_centre(&config.site), GATHER);
            } else if let Some(owner) = id.and_then(|id| index.key_of(id)) {
                if name.kind == "Namespace" {
                    for dependent in index.dependents(&owner) {
                        queues.provision.add_after(dependent.clone(), GATHER);
                        // An object whose namespace was not there is made now.
                        queues.sync.add_after(dependent, GATHER);
                    }
                }
                queues.provision.add_after(owner, GATHER);
            } else if let Some(namespace) = &name.namespace {
                // A workload that some application may have adopted.
                for adopter in index.adopters(namespace, &name.name) {
                    queues.provision.add_after(adopter, GATHER);
                }
            }
        };
        let mirror = Arc::clone(&context.cluster.rendered);
        tasks.spawn(mirror.watch(api, resource, watcher::Config::default(), changed, || {}));
    }
}

/// What has to be seen to from time to time: who leads, what is ready, how far this site is, what can be collected.
async fn keep_house(context: Context, readiness: Readiness) {
    let mut acting = (false, None);
    let mut heartbeats = context.link.heartbeats();
    let mut last_resync = tokio::time::Instant::now();
    loop {
        // Also without heartbeats: what they said ends by itself.
        let _ = tokio::time::timeout(Duration::from_secs(1), heartbeats.changed()).await;
        let standing = context.link.standing();
        readiness.set("arbiter", context.link.seen().is_some() && standing.authority.is_some());
        readiness.set("caches", context.cluster.is_synced());
        let now = (standing.leads, standing.authority);
        let due = last_resync.elapsed() >= RESYNC;
        let missed = standing.leads && context.dropped.take();
        if now != acting || due || missed {
            if now != acting {
                tracing::info!(leads = standing.leads, authority = ?standing.authority, "standing changed");
            }
            if standing.leads && !acting.0 {
                context.progress.begin_to_wait();
            }
            acting = now;
            last_resync = tokio::time::Instant::now();
            look_at_everything(&context);
        }
        if standing.leads
            && let Err(error) = lead(&context, standing.authority == Some(true)).await
        {
            tracing::debug!(error = %Chain(&error), "the arbiter did not take it; trying again");
        } else if standing.authority.is_none()
            && let Err(error) = context.link.ensure_platform().await
        {
            tracing::debug!(error = %Chain(&error), "no record of authority yet");
        }
    }
}

/// What the leader of a site does with every heartbeat.
async fn lead(context: &Context, authority: bool) -> Result<(), LinkError> {
    let sites = &context.config.sites;
    let (leader, members) = context.link.look_around(sites).await?;
    if context.site.set_replicas(leader, members) {
        context.queues.provision.add(own_data_centre(&context.config.site));
    }
    let Some(seen) = context.link.seen() else { return Ok(()) };
    let applied = context.progress.applied(seen);
    context.link.set_applied(applied).await?;
    if authority && context.index.has_tombstones() {
        let collected = context.link.collect_tombstones(sites).await?;
        if collected > 0 {
            tracing::info!(collected, "tombstones collected");
        }
    }
    Ok(())
}

fn look_at_everything(context: &Context) {
    for key in context.index.keys() {
        context.queues.add(&key);
    }
    for kind in Kind::ALL {
        for object in context.cluster.own.of_kind(kind.name()) {
            let name = ObjectName::of(kind.name(), &object);
            context.queues.add(&ObjectKey { kind, namespace: name.namespace, name: name.name });
        }
    }
}
