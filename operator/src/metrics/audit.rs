//! The audit chain, and what was put back.

use tandem_core::metrics::{Metric, Teller};

tandem_core::declare_metrics! {
    PENDING = Metric::gauge(
        "tandem_audit_pending",
        "entries",
        "Entries that wait for their place in the site's audit chain; 0 where this replica does not lead.",
    );
    ENTRIES = Metric::counter("tandem_audit_entries_total", "entries", "Entries put into the site's audit chain.");
    HEAD = Metric::gauge(
        "tandem_audit_head",
        "number",
        "The number of the newest entry of the site's audit chain, as it was read in the last 15 s. It never falls.",
    ).told_by(Teller::Leader);
    DRIFT_UNTOLD = Metric::counter(
        "tandem_drift_untold_total",
        "times",
        "How often something was put back in the cluster and that could not be written down in the arbiter.",
    );
}
