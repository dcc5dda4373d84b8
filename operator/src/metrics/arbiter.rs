//! The arbiter: heartbeats, the fence, the other site, what is wrong.

use super::Metrics;
use super::labels::{SHORT, SITE};
use super::samples::Samples;
use crate::alarms::{ARBITER_HEALTHY, AUDITED, PROTECTED};
use crate::failover::Peers;
use std::time::Duration;
use tandem_arbiter::membership::{Attempt, Attempts};
use tandem_core::metrics::{Label, Metric};

const RESULT: Label = Label::closed("result", || vec!["answered", "failed", "refused"]);
const CONDITION: Label = Label::closed("condition", || vec![ARBITER_HEALTHY, AUDITED, PROTECTED]);

tandem_core::declare_metrics! {
    FENCED = Metric::gauge("tandem_fenced", "1 or 0", "1 while this site is fenced, by this replica's heartbeats.");
    FENCE_TIME_LEFT = Metric::gauge(
        "tandem_fence_time_left_seconds",
        "seconds",
        "How long until this replica's gate closes by itself, unless a heartbeat is answered before; 0 while it is fenced. It falls \
         from 0.7 T and is set back with every heartbeat.",
    );
    HEARTBEATS = Metric::counter(
        "tandem_heartbeats_total",
        "attempts",
        "Attempts at a heartbeat: answered and counted, not answered in time, or refused since the arbiter is not the one that is \
         pinned or replicas differ in T.",
    ).by(&[RESULT]);
    HEARTBEAT_DURATION = Metric::histogram(
        "tandem_heartbeat_duration_seconds",
        SHORT,
        "From the sending of a heartbeat that counts to its answer.",
    );
    PEER_SILENT = Metric::gauge(
        "tandem_peer_silent_seconds",
        "seconds",
        "For how long this replica has seen no heartbeat of the other site move. It also grows while the arbiter does not answer \
         this replica. Absent until it was first read.",
    ).by(&[SITE]);
    ALARM = Metric::gauge(
        "tandem_alarm",
        "1 or 0",
        "1 while the data centre's condition is False; its message says what is wrong and what to do. Told once the first look has \
         found something or nothing.",
    ).by(&[CONDITION]);
}

/// What is looked up at a scrape.
pub(super) const SCRAPED: &[&Metric] = &[&FENCED, &FENCE_TIME_LEFT, &PEER_SILENT];

/// How long until the fence, and whether it has come.
pub(super) fn fence(samples: &mut Samples, deadline: Option<Duration>, alive: bool, now: Duration) {
    let left = deadline.map_or(Duration::ZERO, |deadline| deadline.saturating_sub(now));
    samples.set(&FENCED, &[], f64::from(u8::from(!alive)));
    samples.set(&FENCE_TIME_LEFT, &[], left.as_secs_f64());
}

/// How long the other sites have been silent.
pub(super) fn peers(samples: &mut Samples, peers: &Peers, now: Duration) {
    for site in peers.sites() {
        if let Some(silence) = peers.silence(&site) {
            samples.set(&PEER_SILENT, &[&site], now.saturating_sub(silence.since).as_secs_f64());
        }
    }
}

impl Metrics {
    /// Counts attempts at a heartbeat.
    #[must_use]
    pub fn attempts(&self) -> Attempts {
        let (heartbeats, seconds) = (self.heartbeats.clone(), self.heartbeat_seconds.clone());
        let seconds = seconds.with_label_values(&[] as &[&str]);
        Attempts::new(move |attempt| {
            let result = match attempt {
                Attempt::Answered(took) => {
                    seconds.observe(took.as_secs_f64());
                    "answered"
                }
                Attempt::Failed => "failed",
                Attempt::Refused => "refused",
            };
            heartbeats.with_label_values(&[result]).inc();
        })
    }
}
