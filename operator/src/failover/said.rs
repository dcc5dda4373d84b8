//! What is said of each failover group: for status and metrics.

use super::driver::{Memory as Driver, is_quiet};
use super::picture::Picture;
use crate::context::Context;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tandem_arbiter::records::PLATFORM;
use tandem_core::failover::{Readiness, Reason, Request, Situation, readiness, unplanned};
use tandem_core::sync::ObjectKey;
use tandem_crds::{GroupReadiness, Kind, Protection, Why};

/// What is said of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupNote {
    /// Whether it would survive the loss of the site that runs it.
    pub readiness: GroupReadiness,
    /// Why an unplanned failover would not begin by itself if that site were lost.
    pub why_not_automatic: Vec<Why>,
    /// The hold that covers it.
    pub hold: Option<String>,
    /// How far the data at the other site was behind, in seconds.
    pub lag_seconds: Option<i64>,
}

impl GroupNote {
    fn of(situation: &Situation, target: &str, picture: &Picture) -> Self {
        let whys = |reasons: &[Reason]| reasons.iter().map(Why::from).collect::<Vec<_>>();
        let (state, reasons) = match readiness(situation, true, picture.now.boot) {
            Readiness::Protected { notes } => (Protection::Protected, notes),
            Readiness::Unprotected { reasons } => (Protection::Unprotected, reasons),
        };
        let watched = situation.silence.map_or(0, |silence| silence.newest);
        let request = Request { automatic: Some(watched), ..Request::default() };
        let mut wrong = unplanned(situation, &request, target, picture.now.boot);
        // That the holder lives is no obstacle to what would happen if it did not.
        wrong.retain(|reason| !is_quiet(reason));
        Self {
            readiness: GroupReadiness { state, reasons: whys(&reasons) },
            why_not_automatic: whys(&wrong),
            hold: situation.hold.clone(),
            lag_seconds: situation.data(target).and_then(|data| i64::try_from(data.lag?.as_secs()).ok()),
        }
    }

    /// Whether both say the same but for figures, which move by themselves.
    fn is_like(&self, other: &Self) -> bool {
        let same = |a: &[Why], b: &[Why]| a.iter().map(|why| &why.reason).eq(b.iter().map(|why| &why.reason));
        self.hold == other.hold
            && self.readiness.state == other.readiness.state
            && same(&self.readiness.reasons, &other.readiness.reasons)
            && same(&self.why_not_automatic, &other.why_not_automatic)
    }
}

/// What is said of each failover group. Cloning gives another handle to the same.
#[derive(Clone, Debug, Default)]
pub struct GroupNotes {
    notes: Arc<Mutex<Notes>>,
}

#[derive(Debug, Default)]
struct Notes {
    by_group: BTreeMap<String, GroupNote>,
    looked: Option<Duration>,
}

impl GroupNotes {
    fn lock(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When the groups were last looked at, on this replica's boot clock.
    #[must_use]
    pub fn looked(&self) -> Option<Duration> {
        self.lock().looked
    }

    /// All groups were looked at.
    pub(crate) fn set_looked(&self, now: Duration) {
        self.lock().looked = Some(now);
    }

    /// What is said of a group; `None` before it was looked at.
    #[must_use]
    pub fn get(&self, group: &str) -> Option<GroupNote> {
        self.lock().by_group.get(group).cloned()
    }

    /// Says something of a group, unless only its figures are new. Says whether it was news.
    pub(crate) fn set(&self, group: &str, note: GroupNote) -> bool {
        let notes = &mut self.lock().by_group;
        if notes.get(group).is_some_and(|known| known.is_like(&note)) {
            return false;
        }
        notes.insert(group.to_owned(), note);
        true
    }
}

/// When it was last worked out.
#[derive(Debug, Default)]
pub(super) struct Memory {
    at: Option<Duration>,
}

/// How often what is said is worked out: sentences for hundreds of groups must not hold up a move.
const EVERY: Duration = Duration::from_secs(1);

/// Brings what is said of the groups up to date.
pub(super) fn keep(context: &Context, picture: &Picture, memory: &mut Driver) {
    if memory.said.at.is_some_and(|at| picture.now.boot.saturating_sub(at) < EVERY) {
        return;
    }
    memory.said.at = Some(picture.now.boot);
    for (name, held) in &picture.groups {
        let record = &held.record.value;
        let Some(target) = picture.other(&record.active) else { continue };
        let Some(situation) = picture.situation(context, &memory.ready, name, target) else { continue };
        let news = context.group_notes.set(name, GroupNote::of(&situation, target, picture));
        // `platform` has no object to show it on.
        if news && name != PLATFORM {
            context.queues.fold.add(ObjectKey::cluster(Kind::FailoverGroup, name.as_str()));
        }
    }
    context.group_notes.set_looked(picture.now.boot);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_that_move_by_themselves_are_no_news() {
        let note = |ready: u64| GroupNote {
            readiness: GroupReadiness { state: Protection::Protected, reasons: Vec::new() },
            why_not_automatic: vec![Why::from(&Reason::NotReadyLongEnough { site: "dc-b".into(), ready, least: 600 })],
            hold: None,
            lag_seconds: None,
        };
        let notes = GroupNotes::default();
        assert!(notes.set("g", note(1)));
        assert!(!notes.set("g", note(2)));
        assert_eq!(notes.get("g"), Some(note(1)));
        assert!(notes.set("g", GroupNote { hold: Some("all".into()), ..note(3) }));
    }
}
