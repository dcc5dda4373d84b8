//! Whether an unplanned failover begins by itself.

use std::time::Duration;

use super::{Phase, Reason, Request, Situation, gates};

/// What begins an automatic execution's id. No request has such an id.
pub const AUTOMATIC: &str = "auto-";

/// Whether an id is one that Tandem gives to what begins by itself.
#[must_use]
pub fn is_automatic(execution: &str) -> bool {
    execution.starts_with(AUTOMATIC)
}

/// Whether an unplanned failover begins by itself, or why not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// Make the execution, unless it is there already.
    Start {
        /// Its id: the same for every replica that sees the same silence, so that it is made once, and for every group that the
        /// silent site holds, so that people see one failover and not hundreds.
        execution: String,
        /// The silent holder.
        from: String,
        /// The site that takes over: the reader's.
        to: String,
        /// The group's epoch.
        epoch: u64,
        /// Newest revision among the holder's heartbeats, for [`Request::automatic`].
        watched: i64,
    },
    /// Not yet, but as soon as the target has been ready for long enough, with nothing else in the way: it belongs to the
    /// execution that the rest of the silent site's groups are in.
    Soon {
        /// The id of the execution.
        execution: String,
        /// The silent holder.
        from: String,
        /// The site that will take over: the reader's.
        to: String,
        /// The group's epoch.
        epoch: u64,
    },
    /// Not now, because of all of these.
    Not(Vec<Reason>),
}

/// Whether this site's leader begins an unplanned failover of a group to itself. Every gate of [`super::unplanned`] is looked
/// at again by [`step`](super::step) before the take-over.
#[must_use]
pub fn automatic(situation: &Situation, now: Duration) -> Trigger {
    let s = situation;
    if s.record.active == s.me {
        return Trigger::Not(vec![Reason::HeldHere]);
    }
    let mut why = Vec::new();
    if !s.leads {
        why.push(Reason::NotLeader);
    }
    if s.fenced {
        why.push(Reason::Fenced { site: s.me.clone() });
    }
    if let Phase::Released { to } = &s.record.phase {
        why.push(Reason::ReleasedTo { site: to.clone() });
    }
    let watched = s.silence.map_or(0, |silence| silence.newest);
    let request = Request { automatic: Some(watched), ..Request::default() };
    why.extend(gates::unplanned(s, &request, &s.me, now));
    let execution = format!("{AUTOMATIC}{}-{watched}", s.record.active);
    let (from, to, epoch) = (s.record.active.clone(), s.me.clone(), s.record.epoch);
    match why.as_slice() {
        [] => Trigger::Start { execution, from, to, epoch, watched },
        [Reason::NotReadyLongEnough { .. }] => Trigger::Soon { execution, from, to, epoch },
        _ => Trigger::Not(why),
    }
}
