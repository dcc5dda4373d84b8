//! What the operator measures, by subject. Each metric is declared once, beside its subject; the registry and
//! `docs/metrics.md` come from that.
//!
//! What happens is counted where it happens. What *is* (time left, lag, how many of what) is looked up at each scrape, from what the
//! replica has in memory: it is never older than the answer, also while a loop stands still, and series of what has gone are gone. A
//! scrape asks nobody anything and writes nothing.

mod arbiter;
mod audit;
mod failover;
mod labels;
mod process;
mod reconcile;
mod samples;
mod sync;
mod tenants;
#[cfg(test)]
mod tests;

pub use process::Certificate;

use crate::context::Context;
use crate::link::Link;
use jiff::Timestamp;
use prometheus::core::Collector;
use prometheus::{
    Encoder, GaugeVec, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder,
};
use samples::{Samples, Scraped};
use tandem_core::metrics::{Metric, Type};

/// The operator's metrics. Cloning gives another handle to the same ones.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Registry,
    /// Reconciles by queue and result.
    pub reconciles: IntCounterVec,
    /// How long a reconcile took, in seconds, by queue.
    pub reconcile_seconds: HistogramVec,
    /// Write requests sent to this site's API server, by verb.
    pub writes: IntCounterVec,
    /// Publications by kind and result.
    pub publishes: IntCounterVec,
    /// Objects that the follower found changed here and put back.
    pub conflicts: IntCounterVec,
    /// Whether the mass-change brake holds the follower.
    pub brake: IntGauge,
    /// Whether something is wrong, by condition of the data centre.
    pub alarm: IntGaugeVec,
    /// Until when certificates are good, in seconds since 1970.
    certificates: GaugeVec,
    /// Attempts at a heartbeat, by result.
    heartbeats: IntCounterVec,
    /// How long a heartbeat's answer took, in seconds.
    heartbeat_seconds: HistogramVec,
    /// Journal entries written by this replica, by the step that they begin.
    steps: IntCounterVec,
    /// How long steps took, in seconds.
    step_seconds: HistogramVec,
    /// How long groups were under way, in seconds.
    failover_seconds: HistogramVec,
    /// Take-overs by this replica, by cause.
    pub take_overs: IntCounterVec,
    /// Drills of a group that ended here, by result.
    pub drills: IntCounterVec,
    /// Calls made for executions, by kind and result.
    pub effects: IntCounterVec,
    /// Entries that wait for their place in the site's audit chain, as its leader sees it.
    pub audit_pending: IntGauge,
    /// Entries that this replica has given their place.
    pub audit_entries: IntCounter,
    /// The number of the newest entry of the site's audit chain; without a series while this replica does not lead.
    pub audit_head: IntGaugeVec,
    /// How often this replica put something back and could not write that down in the arbiter.
    pub drift_untold: IntCounter,
}

/// Every metric of the operator, as it is declared.
#[must_use]
pub fn declared() -> Vec<&'static Metric> {
    [process::ALL, arbiter::ALL, sync::ALL, failover::ALL, tenants::ALL, reconcile::ALL, audit::ALL].concat()
}

fn opts(metric: &Metric) -> Opts {
    Opts::new(metric.name, metric.help)
}

fn register<C: Collector + Clone + 'static>(registry: &Registry, metric: C) -> Result<C, prometheus::Error> {
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

impl Metrics {
    /// Registers every metric that is counted where it happens.
    ///
    /// # Errors
    /// When two metrics have one name.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let counters = |metric: &Metric| {
            let counters = register(&registry, IntCounterVec::new(opts(metric), &metric.label_names())?)?;
            for values in metric.every() {
                counters.with_label_values(&values);
            }
            Ok::<_, prometheus::Error>(counters)
        };
        let counter = |metric: &Metric| register(&registry, IntCounter::with_opts(opts(metric))?);
        let gauges = |metric: &Metric| register(&registry, IntGaugeVec::new(opts(metric), &metric.label_names())?);
        let gauge = |metric: &Metric| register(&registry, IntGauge::with_opts(opts(metric))?);
        let histograms = |metric: &Metric| {
            let buckets = if let Type::Histogram(buckets) = metric.kind { buckets.to_vec() } else { Vec::new() };
            let opts = HistogramOpts::new(metric.name, metric.help).buckets(buckets);
            let histograms = register(&registry, HistogramVec::new(opts, &metric.label_names())?)?;
            for values in metric.every() {
                histograms.with_label_values(&values);
            }
            Ok::<_, prometheus::Error>(histograms)
        };
        let build = gauges(&process::BUILD_INFO)?;
        build.with_label_values(&["operator", env!("CARGO_PKG_VERSION")]).set(1);
        let certificates = &process::CERTIFICATE_EXPIRY;
        Ok(Self {
            reconciles: counters(&reconcile::RECONCILES)?,
            reconcile_seconds: histograms(&reconcile::DURATION)?,
            writes: counters(&reconcile::WRITES)?,
            publishes: counters(&sync::PUBLISHES)?,
            conflicts: counters(&sync::CONFLICTS)?,
            brake: gauge(&sync::BRAKE)?,
            alarm: gauges(&arbiter::ALARM)?,
            certificates: register(&registry, GaugeVec::new(opts(certificates), &certificates.label_names())?)?,
            heartbeats: counters(&arbiter::HEARTBEATS)?,
            heartbeat_seconds: histograms(&arbiter::HEARTBEAT_DURATION)?,
            steps: counters(&failover::ENTRIES)?,
            step_seconds: histograms(&failover::STEP_DURATION)?,
            failover_seconds: histograms(&failover::DURATION)?,
            take_overs: counters(&failover::TAKE_OVERS)?,
            drills: counters(&failover::DRILLS)?,
            effects: counters(&failover::CALLS)?,
            audit_pending: gauge(&audit::PENDING)?,
            audit_entries: counter(&audit::ENTRIES)?,
            audit_head: gauges(&audit::HEAD)?,
            drift_untold: counter(&audit::DRIFT_UNTOLD)?,
            registry,
        })
    }

    /// Until when a certificate is good.
    pub fn certificate(&self, which: Certificate, expires: Timestamp) {
        // To the second: such numbers are exact.
        self.certificates.with_label_values(&[which.as_str()]).set(expires.as_second() as f64);
    }

    /// From now on also tells what this replica has seen of the arbiter.
    ///
    /// # Errors
    /// When that is told already.
    pub fn watch_link(&self, link: Link) -> Result<(), prometheus::Error> {
        let mut sites = link.peers().sites();
        sites.push(link.site().to_owned());
        self.scrape(&[arbiter::SCRAPED, sync::SCRAPED, failover::SCRAPED], move |samples| {
            let now = link.uptime();
            let lead = (link.lead().is_some(), link.pause().is_on());
            sync::standing(samples, lead, &link.standing(), link.seen());
            arbiter::fence(samples, link.deadline(), link.alive(), now);
            arbiter::peers(samples, link.peers(), now);
            failover::groups(samples, link.board(), link.gate(), &sites, now);
            failover::executions(samples, link.board());
        })
    }

    /// From now on also tells what this replica has seen of its site.
    ///
    /// # Errors
    /// When that is told already.
    pub fn watch_site(&self, context: Context) -> Result<(), prometheus::Error> {
        // The registry lives as long as what it looks at, which is as long as the process.
        let scraped = [sync::SCRAPED_OF_SITE, failover::SCRAPED_OF_SITE, tenants::SCRAPED, reconcile::SCRAPED];
        self.scrape(&scraped, move |samples| {
            let standing = context.link.standing();
            sync::open(samples, &standing, &sync::Open::of(&context));
            if standing.leads {
                failover::readiness(samples, context.link.board(), &context.group_notes, context.link.uptime());
                failover::drills(samples, &context.index, &context.cluster.own, crate::failover::wall());
            }
            tenants::objects(samples, &context.index, &context.refusals, &context.config.site);
            tenants::units(samples, &context.index, &context.cluster.rendered);
            tenants::requests(samples, &context.cluster.own);
            reconcile::queues(samples, &context.queues);
        })
    }

    fn scrape(
        &self,
        metrics: &[&[&'static Metric]],
        look: impl Fn(&mut Samples) + Send + Sync + 'static,
    ) -> Result<(), prometheus::Error> {
        self.registry.register(Box::new(Scraped::new(&metrics.concat(), look)?))
    }

    /// The metrics in Prometheus' text format.
    ///
    /// # Errors
    /// When they cannot be encoded.
    pub fn text(&self) -> Result<String, prometheus::Error> {
        let mut buffer = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut buffer)?;
        Ok(String::from_utf8_lossy(&buffer).into_owned())
    }
}
