//! For how long a group was not served.

use jiff::Timestamp;

use crate::failover::{ExecutionKind, Journal, Step};

/// For how long a group was not served, in milliseconds: from when its source closed until the target's gate opened, by the
/// drivers' wall clocks. `None` before that.
///
/// Of an unplanned move the source's last sign of life counts, which the target's driver saw on its boot clock. A journal that does not
/// have it began `T` (`take_over_millis`) after that at the earliest.
#[must_use]
pub fn without_service(journal: &Journal, take_over_millis: Option<u64>) -> Option<u64> {
    let of = |step: Step| journal.evidence.iter().find(|evidence| evidence.step == step);
    let open = of(Step::Redirecting)?.begun;
    if journal.kind != ExecutionKind::Failover {
        // Until people have agreed the source serves.
        let closed = of(Step::AwaitingApproval).or_else(|| of(Step::Validating))?.ended?;
        return Some(between(closed, open));
    }
    let fenced = of(Step::Fencing)?;
    match (fenced.ended, &fenced.facts.silence) {
        (Some(ended), Some(silence)) => Some(between(ended, open).saturating_add(silence.unmoved_millis)),
        _ => Some(between(journal.evidence.first()?.begun, open).saturating_add(take_over_millis?)),
    }
}

/// From one time to another, in milliseconds; nothing where clocks say the reverse.
pub(super) fn between(from: Timestamp, to: Timestamp) -> u64 {
    u64::try_from(to.duration_since(from).as_millis()).unwrap_or(0)
}
