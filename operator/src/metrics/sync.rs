//! Between this site's objects and the arbiter's records.

use super::labels::KIND;
use super::samples::Samples;
use crate::context::Context;
use crate::link::Standing;
use crate::sync::unpublished_for;
use std::time::Duration;
use tandem_core::metrics::{Label, Metric, Teller};

const RESULT: Label = Label::closed("result", || vec!["published", "refused", "failed"]);

tandem_core::declare_metrics! {
    LEADER = Metric::gauge("tandem_leader", "1 or 0", "1 while this replica leads its site, also while the site is paused.");
    PAUSED = Metric::gauge("tandem_paused", "1 or 0", "1 while people have paused this site: it observes and writes nothing.");
    AUTHORITY = Metric::gauge(
        "tandem_authority",
        "1 or 0",
        "1 while this site may publish desired state. 0 also while that is not known.",
    );
    ARBITER_REVISION = Metric::gauge(
        "tandem_arbiter_revision",
        "revision",
        "The arbiter's newest revision up to which this replica has taken in desired state. Absent before the first list.",
    );
    APPLIED_REVISION = Metric::gauge(
        "tandem_applied_revision",
        "revision",
        "The arbiter's revision up to which all desired state is applied in this site.",
    ).told_by(Teller::Leader);
    PUBLISH_LAG = Metric::gauge(
        "tandem_publish_lag_seconds",
        "seconds",
        "How long the oldest local edit waits that is to be published and is not in the arbiter yet; 0 when there is none. What is \
         refused does not wait, and a deletion has its own time.",
    ).told_by(Teller::Authority);
    FOLLOW_LAG = Metric::gauge(
        "tandem_follow_lag_seconds",
        "seconds",
        "How long the oldest change of the arbiter's waits that is not applied here yet, one that the brake holds back among them, \
         since this replica took it in or began to lead; 0 when there is none.",
    ).told_by(Teller::Follower);
    PUBLISHES = Metric::counter(
        "tandem_publishes_total",
        "objects",
        "Publications and burials of objects: in the arbiter, refused by the rules or the budget, or failed and tried again.",
    ).by(&[KIND, RESULT]);
    CONFLICTS = Metric::counter("tandem_conflicts_total", "edits", "Edits made without authority, saved and put back, by kind.")
        .by(&[KIND]);
    BRAKE = Metric::gauge("tandem_brake_tripped", "1 or 0", "1 while the mass-change brake holds the follower.");
}

/// What is looked up at a scrape, from the arbiter alone.
pub(super) const SCRAPED: &[&Metric] = &[&LEADER, &PAUSED, &AUTHORITY, &ARBITER_REVISION];
/// What is looked up at a scrape beside that.
pub(super) const SCRAPED_OF_SITE: &[&Metric] = &[&APPLIED_REVISION, &PUBLISH_LAG, &FOLLOW_LAG];

/// Who has the lead, whether it may act, and up to which revision everything is taken in.
pub(super) fn standing(samples: &mut Samples, (lead, paused): (bool, bool), standing: &Standing, seen: Option<i64>) {
    samples.set(&LEADER, &[], f64::from(u8::from(lead)));
    samples.set(&PAUSED, &[], f64::from(u8::from(paused)));
    samples.set(&AUTHORITY, &[], f64::from(u8::from(standing.authority == Some(true))));
    if let Some(seen) = seen {
        // Revisions stay far below what such a number holds exactly.
        samples.set(&ARBITER_REVISION, &[], seen as f64);
    }
}

/// What a leader has not published or applied.
#[derive(Clone, Debug, Default)]
pub(super) struct Open {
    /// Up to which revision everything is applied.
    pub(super) applied: Option<i64>,
    /// For how long something is not published.
    pub(super) unpublished: Duration,
    /// For how long something is not applied.
    pub(super) unapplied: Duration,
}

impl Open {
    pub(super) fn of(context: &Context) -> Self {
        Self {
            applied: context.link.seen().map(|seen| context.progress.applied(seen)),
            unpublished: unpublished_for(
                &context.config.site,
                &context.cluster.own,
                &context.index,
                &context.refusals,
                &context.queues.sync,
            ),
            unapplied: context.progress.waits(),
        }
    }
}

/// How far the site is, and what waits; only of a leader: others take everything in and apply nothing.
pub(super) fn open(samples: &mut Samples, standing: &Standing, open: &Open) {
    if !standing.leads {
        return;
    }
    if let Some(applied) = open.applied {
        samples.set(&APPLIED_REVISION, &[], applied as f64);
    }
    match standing.authority {
        Some(true) => samples.set(&PUBLISH_LAG, &[], open.unpublished.as_secs_f64()),
        Some(false) => samples.set(&FOLLOW_LAG, &[], open.unapplied.as_secs_f64()),
        None => {}
    }
}
