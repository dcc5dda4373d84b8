//! What the operator counts. Labels come from closed enums only.

use prometheus::{
    Encoder, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
};

/// The operator's metrics. Cloning gives another handle to the same ones.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Registry,
    /// Reconciles by queue and result.
    pub reconciles: IntCounterVec,
    /// How long a reconcile took, in seconds, by queue.
    pub reconcile_seconds: HistogramVec,
    /// Keys waiting or being worked on, by queue.
    pub queue_depth: IntGaugeVec,
    /// Write requests sent to this site's API server, by verb.
    pub writes: IntCounterVec,
    /// Whether this replica leads its site.
    pub leader: IntGauge,
    /// Whether this site has authority.
    pub authority: IntGauge,
    /// The arbiter's revision up to which everything has been applied here.
    pub applied_revision: IntGauge,
    /// Objects that the follower found changed here and put back.
    pub conflicts: IntCounterVec,
    /// Whether the mass-change brake holds the follower.
    pub brake: IntGauge,
    /// Whether people have paused this site.
    pub paused: IntGauge,
    /// Epoch of each failover group.
    pub epochs: IntGaugeVec,
    /// Whether this replica's gate answers 200, by failover group.
    pub active: IntGaugeVec,
    /// Whether something is wrong, by condition of the data centre.
    pub alarm: IntGaugeVec,
    /// Whether this site is fenced, by this replica's heartbeats.
    pub fenced: IntGauge,
    /// Executions that are not over, by step.
    pub executions: IntGaugeVec,
    /// Journal entries written by this replica, by the step that they begin.
    pub steps: IntCounterVec,
    /// Take-overs by this replica, by cause.
    pub take_overs: IntCounterVec,
    /// Calls made for executions, by kind and result.
    pub effects: IntCounterVec,
    /// Entries that wait for their place in the site's audit chain, as its leader sees it.
    pub audit_pending: IntGauge,
    /// Entries that this replica has given their place.
    pub audit_entries: IntCounter,
    /// How often this replica put something back and could not write that down in the arbiter.
    pub drift_untold: IntCounter,
}

impl Metrics {
    /// Registers every metric.
    ///
    /// # Errors
    /// When two metrics have one name.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let counters = |name: &str, help: &str, labels: &[&str]| -> Result<IntCounterVec, prometheus::Error> {
            let metric = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(metric.clone()))?;
            Ok(metric)
        };
        let gauge = |name: &str, help: &str| -> Result<IntGauge, prometheus::Error> {
            let metric = IntGauge::new(name, help)?;
            registry.register(Box::new(metric.clone()))?;
            Ok(metric)
        };
        let reconciles = counters("tandem_reconciles_total", "Reconciles, by queue and result.", &["queue", "result"])?;
        let writes =
            counters("tandem_kubernetes_writes_total", "Write requests sent to the site's API server.", &["verb"])?;
        let conflicts = counters(
            "tandem_conflicts_total",
            "Edits made without authority, saved and put back, by kind.",
            &["kind"],
        )?;
        let reconcile_seconds = HistogramVec::new(
            HistogramOpts::new("tandem_reconcile_duration_seconds", "How long a reconcile took.")
                .buckets(vec![0.001, 0.005, 0.02, 0.1, 0.5, 2.0, 10.0]),
            &["queue"],
        )?;
        registry.register(Box::new(reconcile_seconds.clone()))?;
        let queue_depth =
            IntGaugeVec::new(Opts::new("tandem_queue_depth", "Keys waiting or being worked on."), &["queue"])?;
        registry.register(Box::new(queue_depth.clone()))?;
        let leader = gauge("tandem_leader", "1 while this replica leads its site.")?;
        let authority = gauge("tandem_authority", "1 while this site may publish desired state.")?;
        let applied_revision = gauge("tandem_applied_revision", "The arbiter's revision applied in this site.")?;
        let paused = gauge("tandem_paused", "1 while people have paused this site: it observes and writes nothing.")?;
        let brake = gauge("tandem_brake_tripped", "1 while the mass-change brake holds the follower.")?;
        let gauges = |name: &str, help: &str, label: &str| -> Result<IntGaugeVec, prometheus::Error> {
            let metric = IntGaugeVec::new(Opts::new(name, help), &[label])?;
            registry.register(Box::new(metric.clone()))?;
            Ok(metric)
        };
        let epochs = gauges("tandem_group_epoch", "The epoch of a failover group, by the arbiter's record.", "group")?;
        let active = gauges("tandem_group_active", "1 while this replica's gate answers 200 for a group.", "group")?;
        let alarm =
            gauges("tandem_alarm", "1 while something is wrong, by condition of the data centre.", "condition")?;
        let fenced = gauge("tandem_fenced", "1 while this site is fenced, by this replica's heartbeats.")?;
        let executions = gauges("tandem_executions", "Executions that are not over, by step.", "step")?;
        let steps = counters("tandem_failover_entries_total", "Journal entries written here, by step.", &["step"])?;
        let take_overs = counters("tandem_take_overs_total", "Groups taken over by this replica.", &["cause"])?;
        let effects = counters("tandem_failover_calls_total", "Calls made for executions.", &["call", "result"])?;
        let audit_pending = gauge("tandem_audit_pending", "Entries that wait for their place in the audit chain.")?;
        let audit_entries = IntCounter::new("tandem_audit_entries_total", "Entries put into the audit chain here.")?;
        registry.register(Box::new(audit_entries.clone()))?;
        let drift_untold =
            IntCounter::new("tandem_drift_untold_total", "What was put back and never written down in the arbiter.")?;
        registry.register(Box::new(drift_untold.clone()))?;
        Ok(Self {
            registry,
            drift_untold,
            audit_pending,
            audit_entries,
            epochs,
            active,
            alarm,
            fenced,
            executions,
            steps,
            take_overs,
            effects,
            reconciles,
            reconcile_seconds,
            queue_depth,
            writes,
            leader,
            authority,
            applied_revision,
            conflicts,
            brake,
            paused,
        })
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
