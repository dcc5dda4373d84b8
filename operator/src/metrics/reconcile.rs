//! The operator's own work.

use super::labels::SHORT;
use super::samples::Samples;
use crate::context::Queues;
use tandem_core::metrics::{Label, Metric};

const QUEUE: Label = Label::closed("queue", || vec!["sync", "provision", "fold"]);
const RESULT: Label = Label::closed("result", || vec!["done", "waiting", "failed"]);
const VERB: Label =
    Label::closed("verb", || vec!["apply", "create", "delete", "event", "label", "patch", "scale", "status", "update"]);

tandem_core::declare_metrics! {
    RECONCILES = Metric::counter("tandem_reconciles_total", "reconciles", "Reconciles, by queue and result.").by(&[QUEUE, RESULT]);
    DURATION = Metric::histogram("tandem_reconcile_duration_seconds", SHORT, "How long a reconcile took.").by(&[QUEUE]);
    DEPTH = Metric::gauge(
        "tandem_queue_depth",
        "keys",
        "Keys that wait to be worked on or are being worked on now; those that are due later do not count.",
    ).by(&[QUEUE]);
    WRITES = Metric::counter(
        "tandem_kubernetes_writes_total",
        "requests",
        "Write requests sent to the site's API server. In a steady state it stands still.",
    ).by(&[VERB]);
}

/// What is looked up at a scrape.
pub(super) const SCRAPED: &[&Metric] = &[&DEPTH];

/// How much waits.
pub(super) fn queues(samples: &mut Samples, queues: &Queues) {
    for (name, queue) in [("sync", &queues.sync), ("provision", &queues.provision), ("fold", &queues.fold)] {
        samples.count(&DEPTH, &[name], queue.depth());
    }
}
