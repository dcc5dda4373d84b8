//! What waits is entered into the site's chain by the site's leader, which also keeps house.

use super::house::House;
use crate::context::Context;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tandem_arbiter::arbiter::{AuditError, Drained};
use tandem_logs::Chain;

/// How often it is looked for what waits.
const LOOK: Duration = Duration::from_secs(1);
/// How many are entered by one look; where more wait, the next follows at once.
const AT_ONCE: usize = 600;
/// How often the chain's head is read, for the metric: whoever else appends to it tells nobody.
const HEAD: Duration = Duration::from_secs(15);
/// What waits for longer is an alarm.
const LATE: Duration = Duration::from_secs(60);

/// How many entries wait that should not any more, for whoever tells of it.
#[derive(Clone, Debug, Default)]
pub struct Behind {
    waiting: Arc<AtomicUsize>,
}

impl Behind {
    /// How many wait, while some have for longer than a minute; 0 otherwise.
    #[must_use]
    pub fn get(&self) -> usize {
        self.waiting.load(Ordering::Acquire)
    }

    fn set(&self, waiting: usize) {
        self.waiting.store(waiting, Ordering::Release);
    }
}

/// What is known of how long something has waited: the store's revision at each look of the last minute or so, on this replica's
/// own clock. What was written at or below a revision that was seen a minute ago is older than a minute, whatever the clock of
/// its writer said.
#[derive(Debug, Default)]
struct Looks {
    looks: VecDeque<(Duration, i64)>,
}

impl Looks {
    /// Takes in a look. Says whether what was written at `oldest` has waited for too long.
    fn take(&mut self, now: Duration, revision: i64, oldest: Option<i64>) -> bool {
        self.looks.push_back((now, revision));
        // The newest that is old enough says all that the ones before it do.
        while self.looks.get(1).is_some_and(|(at, _)| now.saturating_sub(*at) >= LATE) {
            self.looks.pop_front();
        }
        let first = self.looks.front().filter(|(at, _)| now.saturating_sub(*at) >= LATE);
        first.zip(oldest).is_some_and(|((_, seen), oldest)| oldest <= *seen)
    }
}

/// Enters what waits, seals segments, and collects answers that have expired, for ever; only while this replica leads its
/// site. Nothing else waits for it.
pub async fn run_audit(context: Context) {
    let mut looks = Looks::default();
    let mut house = House::default();
    let mut failing: Option<Failing> = None;
    let mut head: Option<Duration> = None;
    let mut unreadable = 0;
    loop {
        if context.link.leadership().is_none() {
            // Another replica looks now, and says how it stands.
            looks = Looks::default();
            failing = None;
            head = None;
            context.cluster.metrics.audit_head.reset();
            show(&context, 0, false);
            tokio::time::sleep(LOOK).await;
            continue;
        }
        let drained = context.link.arbiter().audit_chain_pending(AT_ONCE).await;
        let now = context.link.uptime();
        let more = match drained {
            Ok(Drained { entered, left, unreadable: found, oldest, revision }) => {
                if found > unreadable {
                    tracing::warn!(
                        entries = found,
                        "audit entries that wait cannot be read; a newer release enters them"
                    );
                }
                unreadable = found;
                context.cluster.metrics.audit_entries.inc_by(u64::try_from(entered).unwrap_or(u64::MAX));
                show(&context, left, looks.take(now, revision, oldest));
                failing = None;
                entered > 0 && left > 0
            }
            Err(error) => {
                let since = tell(&error, now, &mut failing);
                if now.saturating_sub(since) >= LATE {
                    // How many is not known; that they wait is.
                    show(&context, context.behind.get().max(1), true);
                }
                false
            }
        };
        if head.is_none_or(|at| now.saturating_sub(at) >= HEAD)
            && let Ok(found) = context.link.arbiter().audit_head(context.link.site()).await
        {
            head = Some(now);
            show_head(&context, found.value.seq);
        }
        house.keep(&context, now).await;
        if !more {
            tokio::time::sleep(LOOK).await;
        }
    }
}

fn show(context: &Context, left: usize, late: bool) {
    context.cluster.metrics.audit_pending.set(i64::try_from(left).unwrap_or(i64::MAX));
    context.behind.set(if late { left } else { 0 });
}

fn show_head(context: &Context, seq: u64) {
    let gauge = context.cluster.metrics.audit_head.with_label_values(&[] as &[&str]);
    gauge.set(i64::try_from(seq).unwrap_or(i64::MAX));
}

/// Since when nothing could be entered, and what was said of it last.
struct Failing {
    since: Duration,
    said: String,
}

/// Says what keeps it from being entered, once. That what stands in the arbiter is no chain is for people; all else may pass.
/// Gives back since when it has been so.
fn tell(error: &AuditError, now: Duration, failing: &mut Option<Failing>) -> Duration {
    let said = Chain(error).to_string();
    let since = failing.as_ref().map_or(now, |failing| failing.since);
    if failing.as_ref().is_none_or(|failing| failing.said != said) {
        match error {
            AuditError::Broken(_) => tracing::error!(error = said, "the audit chain cannot be continued"),
            _ => tracing::warn!(error = said, "what waits is not entered into the audit chain yet"),
        }
    }
    *failing = Some(Failing { since, said });
    since
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_for_a_minute_is_late_by_this_replicas_own_clock() {
        let at = Duration::from_secs;
        let mut looks = Looks::default();
        for second in 0..60 {
            assert!(
                !looks.take(at(second), 100 + i64::try_from(second).unwrap(), Some(90)),
                "not known for a minute yet"
            );
        }
        assert!(looks.take(at(60), 160, Some(90)));
        assert!(looks.take(at(61), 161, Some(101)), "written before the look of a minute ago");
        assert!(!looks.take(at(62), 162, Some(103)), "written after it");
        assert!(!looks.take(at(63), 163, None));
        assert!(looks.looks.len() < 64, "no more is remembered than is needed");
        // Nobody looked for long: only what was there then is known to be old.
        assert!(looks.take(at(600), 900, Some(163)));
        assert!(!looks.take(at(601), 901, Some(164)));
    }
}
