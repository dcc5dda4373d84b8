//! What has to hold before a group may move.

use std::collections::BTreeSet;
use std::time::Duration;

use super::policy::{ceiling, whole};
use super::{AcceptDataLoss, Approval, Data, ExecutionKind, Phase, Reason, Replication, Request, Silence, Situation};

/// How many people a consent to the exceptional takes.
const BREAK_GLASS: usize = 2;

/// How much could be lost if the target were promoted now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exposure {
    /// The group has no data.
    Nothing,
    /// What the holder acknowledged within this time.
    Within(Duration),
    /// Nobody can tell.
    Unknown,
}

/// How much could be lost if the target, whose newest report this is, were promoted now.
///
/// Lag, and the time for which the holder could go on acknowledging after the report: from when the report was first seen
/// until now, or until the holder's latest possible fence where that is earlier. Its last heartbeat was sent before it was
/// seen here, so that fence comes `fence_after` after that at the latest.
#[must_use]
pub fn exposure(
    replication: Replication,
    report: Option<&Data>,
    silence: Option<&Silence>,
    fence_after: Duration,
    now: Duration,
) -> Exposure {
    if replication == Replication::NoData {
        return Exposure::Nothing;
    }
    let Some((report, lag)) = report.and_then(|report| Some((report, report.lag?))) else {
        return Exposure::Unknown;
    };
    if replication == Replication::Synchronous && report.synchronous {
        return Exposure::Within(lag);
    }
    let until = silence.map_or(now, |silence| now.min(silence.since.saturating_add(fence_after)));
    Exposure::Within(lag.saturating_add(until.saturating_sub(report.since)))
}

/// Whether so much may be lost. Unknown counts as exceeded.
///
/// # Errors
/// [`Reason::RpoExceeded`] or [`Reason::RpoUnknown`] where nobody consented, [`Reason::MoreThanAccepted`] where it is more
/// than was consented to. Whether enough people consented is told by [`approvals_lacking`].
pub fn rpo_gate(exposure: Exposure, rpo: Duration, accepted: Option<&AcceptDataLoss>) -> Result<(), Reason> {
    match (exposure, accepted) {
        (Exposure::Nothing, _) => Ok(()),
        (Exposure::Within(exposure), _) if exposure <= rpo => Ok(()),
        (_, Some(AcceptDataLoss { max_seconds: None })) => Ok(()),
        (Exposure::Within(exposure), Some(AcceptDataLoss { max_seconds: Some(most) })) => {
            if exposure <= Duration::from_secs(*most) {
                Ok(())
            } else {
                Err(Reason::MoreThanAccepted { exposure: ceiling(exposure), accepted: *most })
            }
        }
        (Exposure::Within(exposure), None) => Err(Reason::RpoExceeded { exposure: ceiling(exposure), rpo: whole(rpo) }),
        (Exposure::Unknown, _) => Err(Reason::RpoUnknown { rpo: whole(rpo) }),
    }
}

/// How many different people have agreed. Nobody counts twice, however the name is written, and a nameless one not at all.
#[must_use]
pub fn distinct_approvers(approvals: &[Approval]) -> usize {
    let names: BTreeSet<String> =
        approvals.iter().map(|a| a.by.trim().to_lowercase()).filter(|name| !name.is_empty()).collect();
    names.len()
}

/// How many people have to agree.
#[must_use]
pub fn approvals_needed(request: &Request) -> usize {
    let exceptional = request.accept_data_loss.is_some() || request.despite_not_ready;
    let least = if exceptional { BREAK_GLASS } else { 0 };
    least.max(usize::from(request.approvals_wanted))
}

/// [`Reason::ApprovalsLacking`] where more people have to agree: two where data may be lost or readiness is passed over.
#[must_use]
pub fn approvals_lacking(request: &Request) -> Option<Reason> {
    let wanted = approvals_needed(request);
    let given = distinct_approvers(&request.approvals);
    (given < wanted).then_some(Reason::ApprovalsLacking { given: given as u64, wanted: wanted as u64 })
}

/// What keeps a switchover from `from` to `to` from beginning.
#[must_use]
pub fn planned(situation: &Situation, kind: ExecutionKind, from: &str, to: &str, now: Duration) -> Vec<Reason> {
    let s = situation;
    let mut wrong = common(s);
    if s.drill {
        wrong.push(Reason::DrillRunning);
    }
    if !s.ready(from) {
        wrong.push(Reason::SourceNotReady { site: from.to_owned() });
    }
    if !s.ready(to) {
        wrong.push(Reason::TargetNotReady { site: to.to_owned() });
    }
    wrong.extend(room(s, to));
    if s.policy.replication != Replication::NoData {
        // What the final synchronisation cannot fetch within its deadline would only end in a roll-back.
        let most = s.policy.deadlines.final_sync;
        match s.data(to).and_then(|data| data.lag) {
            None => wrong.push(Reason::LagUnknown { site: to.to_owned() }),
            Some(lag) if lag > most => {
                wrong.push(Reason::LagTooGreat { site: to.to_owned(), lag: ceiling(lag), most: whole(most) });
            }
            Some(_) => {}
        }
    }
    if kind == ExecutionKind::Failback {
        wrong.extend(dwelling(s, now));
    }
    wrong
}

/// What keeps an unplanned failover to `to` from beginning.
#[must_use]
pub fn unplanned(situation: &Situation, request: &Request, to: &str, now: Duration) -> Vec<Reason> {
    let s = situation;
    let mut wrong = common(s);
    if !s.holder_expired(now) {
        wrong.push(holder_alive(s, now));
    }
    if !s.heard(to) || !(s.ready(to) || request.despite_not_ready) {
        wrong.push(Reason::TargetNotReady { site: to.to_owned() });
    }
    wrong.extend(room(s, to));
    let exposure = exposure(s.policy.replication, s.data(to), s.silence.as_ref(), s.policy.timing.fence_after(), now);
    wrong.extend(rpo_gate(exposure, s.policy.rpo, request.accept_data_loss.as_ref()).err());
    if request.automatic.is_some() {
        wrong.extend(automatic_only(s, to, now));
    }
    wrong
}

/// What an automatic failover needs beside what one by hand needs.
fn automatic_only(s: &Situation, to: &str, now: Duration) -> Vec<Reason> {
    let mut wrong = Vec::new();
    if !s.policy.automatic {
        wrong.push(Reason::NotAutomatic);
    }
    if let Some(since) = s.sites.get(to).and_then(|view| view.ready_since) {
        let ready = now.saturating_sub(since);
        if ready < s.policy.min_ready {
            wrong.push(Reason::NotReadyLongEnough {
                site: to.to_owned(),
                ready: whole(ready),
                least: ceiling(s.policy.min_ready),
            });
        }
    }
    wrong.extend(dwelling(s, now));
    if s.record.failovers_lately >= s.policy.failovers_a_day {
        wrong.push(Reason::TooManyFailovers { lately: s.record.failovers_lately, most: s.policy.failovers_a_day });
    }
    wrong
}

fn common(s: &Situation) -> Vec<Reason> {
    let mut wrong = Vec::new();
    if s.record.phase == Phase::Unconfirmed {
        wrong.push(Reason::Unconfirmed);
    }
    if let Some(scope) = &s.hold {
        wrong.push(Reason::Held { scope: scope.clone() });
    }
    wrong
}

fn room(s: &Situation, to: &str) -> Option<Reason> {
    match s.sites.get(to).and_then(|view| view.room) {
        Some(true) => None,
        Some(false) => Some(Reason::NoRoom { site: to.to_owned() }),
        None => Some(Reason::RoomUnknown { site: to.to_owned() }),
    }
}

fn holder_alive(s: &Situation, now: Duration) -> Reason {
    let site = s.record.active.clone();
    match s.silence {
        None => Reason::HolderUnwatched { site },
        Some(silence) => Reason::HolderAlive {
            site,
            silent: whole(now.saturating_sub(silence.since)),
            least: ceiling(s.policy.timing.take_over),
        },
    }
}

/// A group that never moved has nothing to dwell on; any other dwells from when this reader first saw its epoch.
fn dwelling(s: &Situation, now: Duration) -> Option<Reason> {
    let here = now.saturating_sub(s.record.epoch_since);
    (s.record.epoch > 1 && here < s.policy.dwell)
        .then(|| Reason::Dwelling { here: whole(here), least: ceiling(s.policy.dwell) })
}
