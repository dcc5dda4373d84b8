//! What several tests need.

use tandem_core::failover::{ExecutionKind, Journal, Step};

/// The journal of a switchover from `dc-a` to `dc-b` that has just begun under epoch 1.
pub(crate) fn journal(execution: &str, group: &str) -> Journal {
    // Through JSON: what the journal may have beside these has defaults.
    let fields = serde_json::json!({
        "execution": execution, "group": group, "kind": ExecutionKind::Switchover, "from": "dc-a", "to": "dc-b",
        "epoch": 1, "entry": 1, "step": Step::Validating,
    });
    serde_json::from_value(fields).unwrap()
}

/// The same at another step.
pub(crate) fn at(journal: &Journal, step: Step) -> Journal {
    Journal { step, ..journal.clone() }
}
