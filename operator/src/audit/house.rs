//! What the leader of a site puts in order in the arbiter from time to time.

use crate::context::Context;
use jiff::SignedDuration;
use std::time::Duration;
use tandem_core::audit::SEGMENT_ENTRIES;
use tandem_logs::Chain;

/// How often segments are sealed and answers that have expired are collected.
const OFTEN: Duration = Duration::from_secs(180);
/// How often what is kept for months is looked through: all of it is read for that.
const SELDOM: Duration = Duration::from_secs(6 * 3_600);

/// For how long what was put back is listed after the last time; the audit chain has it for good.
const DRIFT_KEPT: SignedDuration = SignedDuration::from_hours(24 * 30);

/// When what was put in order last, on this replica's own clock.
#[derive(Debug, Default)]
pub(super) struct House {
    often: Option<Duration>,
    seldom: Option<Duration>,
}

impl House {
    /// Puts in order what is due.
    pub(super) async fn keep(&mut self, context: &Context, now: Duration) {
        if due(&mut self.often, now, OFTEN) {
            seal(context).await;
            answers(context).await;
        }
        if due(&mut self.seldom, now, SELDOM) {
            versions(context).await;
            reports(context).await;
            drifts(context).await;
        }
    }
}

fn due(last: &mut Option<Duration>, now: Duration, every: Duration) -> bool {
    let due = last.is_none_or(|last| now.saturating_sub(last) >= every);
    if due {
        *last = Some(now);
    }
    due
}

async fn seal(context: &Context) {
    loop {
        match context.link.arbiter().audit_seal(SEGMENT_ENTRIES, super::now()).await {
            Ok(Some(segment)) => {
                tracing::info!(first = segment.first, last = segment.last, hash = segment.hash, "a segment was sealed");
            }
            Ok(None) => return,
            Err(error) => {
                return tracing::warn!(error = %Chain(&error), "the audit chain's next segment is not sealed");
            }
        }
    }
}

async fn answers(context: &Context) {
    match context.link.arbiter().collect_idempotency(super::now()).await {
        Ok(0) => {}
        Ok(collected) => tracing::debug!(collected, "answers that have expired were collected"),
        Err(error) => tracing::debug!(error = %Chain(&error), "answers that have expired are not collected yet"),
    }
}

async fn versions(context: &Context) {
    let Some(acting) = context.link.acting() else { return };
    let kept = SignedDuration::from_hours(24 * i64::from(context.config.version_retention_days));
    let Ok(cut) = super::now().checked_sub(kept) else { return };
    match context.link.arbiter().collect_versions(acting, cut).await {
        Ok(0) => {}
        Ok(collected) => tracing::info!(collected, %cut, "versions that are no longer kept were deleted"),
        Err(error) => tracing::warn!(error = %Chain(&error), "versions that are no longer kept are not deleted yet"),
    }
}

async fn reports(context: &Context) {
    let Some(acting) = context.link.acting() else { return };
    let kept = SignedDuration::from_hours(24 * i64::from(context.config.failover.report_retention_days));
    let Ok(cut) = super::now().checked_sub(kept) else { return };
    match context.link.arbiter().collect_reports(acting, cut).await {
        Ok(0) => {}
        Ok(collected) => tracing::info!(collected, %cut, "reports that are no longer kept were deleted"),
        Err(error) => tracing::warn!(error = %Chain(&error), "reports that are no longer kept are not deleted yet"),
    }
}

async fn drifts(context: &Context) {
    let Some(acting) = context.link.acting() else { return };
    match context.link.arbiter().collect_drifts(acting, super::now() - DRIFT_KEPT).await {
        Ok(0) => {}
        Ok(collected) => tracing::info!(collected, "what was put back long ago is no longer listed"),
        Err(error) => tracing::warn!(error = %Chain(&error), "what was put back long ago is not removed yet"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_due_is_done_at_once_and_then_in_its_time() {
        let mut last = None;
        let at = Duration::from_secs;
        let done = [5, 6, 184, 185, 186].map(|second| due(&mut last, at(second), OFTEN));
        assert_eq!(done, [true, false, false, true, false]);
    }
}
