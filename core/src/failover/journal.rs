//! The journal of one group in one execution: what `executions/<id>/<group>` holds in the arbiter.

use serde::{Deserialize, Serialize};

use super::facts::{Facts, Incident};
use super::{Language, Reason};

/// What an execution is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ExecutionKind {
    /// Planned, both sites healthy, nothing lost.
    Switchover,
    /// Unplanned: the holder is not heard any more.
    Failover,
    /// A rehearsal on clones; no epoch changes.
    Drill,
    /// A switchover home.
    Failback,
}

impl ExecutionKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Switchover, Self::Failover, Self::Drill, Self::Failback];

    /// The name, as it stands in journals and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Switchover => "Switchover",
            Self::Failover => "Failover",
            Self::Drill => "Drill",
            Self::Failback => "Failback",
        }
    }
}

/// How far a group's move has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Step {
    /// Whether it may begin is being looked at.
    Validating,
    /// It waits for people.
    AwaitingApproval,
    /// The source refuses new writes.
    Quiescing,
    /// The target receives what is left.
    FinalSync,
    /// The source's data becomes a standby.
    Demoting,
    /// The source lets go; its end is the release.
    Fencing,
    /// The target holds the group under a new epoch: the only point of no return.
    EpochCommitted,
    /// The target's data becomes writable.
    Promoting,
    /// Traffic goes to the target.
    Redirecting,
    /// Whether the target serves is being looked at.
    Verifying,
    /// The target serves.
    Completed,
    /// The former source follows again.
    Resyncing,
    /// The group is active at one site and kept ready at the other.
    Protected,
    /// It was taken back; the source serves.
    RolledBack,
}

impl Step {
    /// Every step, in their order; the way back is the last.
    pub const ALL: [Self; 14] = [
        Self::Validating,
        Self::AwaitingApproval,
        Self::Quiescing,
        Self::FinalSync,
        Self::Demoting,
        Self::Fencing,
        Self::EpochCommitted,
        Self::Promoting,
        Self::Redirecting,
        Self::Verifying,
        Self::Completed,
        Self::Resyncing,
        Self::Protected,
        Self::RolledBack,
    ];

    /// The name, as it stands in journals and metrics.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Validating => "Validating",
            Self::AwaitingApproval => "AwaitingApproval",
            Self::Quiescing => "Quiescing",
            Self::FinalSync => "FinalSync",
            Self::Demoting => "Demoting",
            Self::Fencing => "Fencing",
            Self::EpochCommitted => "EpochCommitted",
            Self::Promoting => "Promoting",
            Self::Redirecting => "Redirecting",
            Self::Verifying => "Verifying",
            Self::Completed => "Completed",
            Self::Resyncing => "Resyncing",
            Self::Protected => "Protected",
            Self::RolledBack => "RolledBack",
        }
    }
}

/// How a step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Outcome {
    /// Done.
    Done,
    /// Left out because the source cannot be reached.
    SkippedUnreachable,
    /// Left out because the group has no data.
    SkippedNoData,
    /// Failed.
    Failed,
}

/// What a step left behind for people and auditors.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// The step.
    pub step: Step,
    /// When it began, by the driver's wall clock; for people, never for decisions.
    pub begun: jiff::Timestamp,
    /// When it ended, likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<jiff::Timestamp>,
    /// How it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// What was seen, in one line.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
    /// What was known, in figures.
    #[serde(default, skip_serializing_if = "Facts::is_empty")]
    pub facts: Facts,
}

/// What keeps an execution where it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "name")]
pub enum Side {
    /// A rule does not allow it to go on; it goes on by itself once the rule does, or a person decides.
    Blocked {
        /// Which rule.
        why: Reason,
    },
    /// A person asked it to wait.
    Paused,
    /// It cannot be taken back any more, or taking it back fails. What was begun is still tried again.
    NeedsHuman {
        /// What a person has to look at.
        why: Reason,
    },
}

/// Longest sentence that is kept with an incident, in characters.
const SENTENCE_MOST: usize = 160;

impl Side {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Blocked { .. } => "Blocked",
            Self::Paused => "Paused",
            Self::NeedsHuman { .. } => "NeedsHuman",
        }
    }

    /// Why it is kept there.
    #[must_use]
    pub fn why(&self) -> &Reason {
        match self {
            Self::Blocked { why } | Self::NeedsHuman { why } => why,
            Self::Paused => &Reason::PauseAsked,
        }
    }

    fn incident(&self, step: Step, wall: jiff::Timestamp) -> Incident {
        let said = |language| self.why().sentence(language).chars().take(SENTENCE_MOST).collect();
        Incident {
            step,
            at: wall,
            until: None,
            side: self.name().to_owned(),
            reason: self.why().code().to_owned(),
            message: said(Language::English),
            message_zh: said(Language::Chinese),
        }
    }
}

/// A person's consent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// Who.
    pub by: String,
    /// When, by the approver's wall clock.
    pub at: jiff::Timestamp,
}

/// The fencing token of an effect. Providers keep the highest one seen and refuse lower ones.
///
/// The order is that of the fields. Executions are ordered by the arbiter revision at which their journal was made, since
/// two executions of a group may share an epoch (the first was taken back) and their names have no order.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[schemars(rename = "FencingToken")]
pub struct Token {
    /// Generation of the arbiter's data: one more after each restore.
    pub generation: u64,
    /// Epoch of the group's record.
    pub epoch: u64,
    /// `create_revision` of the execution's journal; 0 outside any execution.
    pub execution: i64,
    /// Number of the journal entry that the effect belongs to; grows with every entry, an abort's included.
    pub step: u32,
}

/// Longest note that is kept with a step, in characters: a journal stays far below the arbiter's 64 KiB.
const NOTE_MOST: usize = 400;

/// How many incidents are kept; those after them are counted.
const INCIDENTS_MOST: usize = 12;

/// The journal of one group in one execution.
///
/// It is the only memory of a move: what is done next follows from it and from what is seen, never from what a driver
/// remembers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Journal {
    /// The execution's id, which is its idempotency key.
    pub execution: String,
    /// The group.
    pub group: String,
    /// What it is.
    pub kind: ExecutionKind,
    /// The site that holds the group when it begins.
    pub from: String,
    /// The site that shall hold it.
    pub to: String,
    /// The group's epoch when it begins.
    pub epoch: u64,
    /// Number of this entry: one more with every put.
    pub entry: u32,
    /// How far it has come.
    pub step: Step,
    /// What keeps it there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub side: Option<Side>,
    /// Why it was taken back, or ended otherwise than as Protected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<Reason>,
    /// Nothing will be done for it any more.
    #[serde(default)]
    pub over: bool,
    /// What each step left behind.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<Evidence>,
    /// What kept it where it was on the way, the first ones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub incidents: Vec<Incident>,
    /// How many incidents came after those that are kept.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub more_incidents: u32,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // as serde calls it
fn is_zero(count: &u32) -> bool {
    *count == 0
}

impl Journal {
    /// The first entry of a move that begins at this time by the maker's wall clock.
    #[must_use]
    pub fn new(
        (execution, group): (&str, &str),
        kind: ExecutionKind,
        (from, to): (&str, &str),
        epoch: u64,
        wall: jiff::Timestamp,
    ) -> Self {
        Self {
            execution: execution.to_owned(),
            group: group.to_owned(),
            kind,
            from: from.to_owned(),
            to: to.to_owned(),
            epoch,
            entry: 1,
            step: Step::Validating,
            side: None,
            why: None,
            over: false,
            evidence: vec![begun(Step::Validating, wall)],
            incidents: Vec::new(),
            more_incidents: 0,
        }
    }

    /// Whether both sites take part: a switchover, also home.
    #[must_use]
    pub fn planned(&self) -> bool {
        matches!(self.kind, ExecutionKind::Switchover | ExecutionKind::Failback)
    }

    /// Whether nothing was touched yet, so that it may simply be dropped.
    #[must_use]
    pub fn untouched(&self) -> bool {
        let looking = matches!(self.step, Step::Validating | Step::AwaitingApproval);
        // An unplanned move touches nothing before the take-over.
        looking || (self.step == Step::Fencing && self.kind == ExecutionKind::Failover)
    }

    /// The proof that the source is fenced: the ended step Fencing. Nothing is promoted without it.
    #[must_use]
    pub fn fence_proof(&self) -> Option<&Evidence> {
        self.evidence.iter().find(|e| e.step == Step::Fencing && e.outcome == Some(Outcome::Done))
    }

    /// The entry after this one: the present step ended so, and `step` begun.
    #[must_use]
    pub fn advanced(&self, step: Step, outcome: Outcome, note: &str, wall: jiff::Timestamp) -> Self {
        let mut next = self.ended(outcome, note, wall);
        next.step = step;
        next.evidence.push(begun(step, wall));
        next
    }

    /// The entry after this one: the present step has ended so, and stands.
    #[must_use]
    pub fn ended(&self, outcome: Outcome, note: &str, wall: jiff::Timestamp) -> Self {
        let mut next = self.with_side(None, wall);
        if let Some(last) = next.evidence.iter_mut().rfind(|e| e.step == self.step) {
            // A step that has ended keeps its first outcome: the proof of a fence is not rewritten by a later abort.
            if last.outcome.is_none() {
                last.ended = Some(wall);
                last.outcome = Some(outcome);
                last.note = note.chars().take(NOTE_MOST).collect();
            }
        }
        next
    }

    /// The entry after this one, with these steps left out.
    #[must_use]
    pub fn skipped(mut self, steps: &[Step], outcome: Outcome, wall: jiff::Timestamp) -> Self {
        let skipped = |step: &Step| Evidence { ended: Some(wall), outcome: Some(outcome), ..begun(*step, wall) };
        let at = self.evidence.len().saturating_sub(1);
        self.evidence.splice(at..at, steps.iter().map(skipped));
        self
    }

    /// The entry after this one, at the same step, kept there by this or by nothing.
    #[must_use]
    pub fn with_side(&self, side: Option<Side>, wall: jiff::Timestamp) -> Self {
        let mut next = Self { entry: self.entry.saturating_add(1), ..self.clone() };
        // Only the last can be open, and none of those that are merely counted.
        if let Some(open) = next.incidents.last_mut().filter(|last| last.until.is_none()) {
            open.until = Some(wall);
        }
        if let Some(side) = &side {
            if next.incidents.len() < INCIDENTS_MOST {
                next.incidents.push(side.incident(self.step, wall));
            } else {
                next.more_incidents = next.more_incidents.saturating_add(1);
            }
        }
        next.side = side;
        next
    }

    /// This entry, with what was known at a step that it has.
    #[must_use]
    pub fn knowing(mut self, step: Step, know: impl FnOnce(&mut Facts)) -> Self {
        if let Some(evidence) = self.evidence.iter_mut().rfind(|evidence| evidence.step == step) {
            know(&mut evidence.facts);
        }
        self
    }

    /// Whether it is known of every step at which revision of the arbiter's it was told: not where an older release, which does
    /// not write that down, has put an entry.
    #[must_use]
    pub fn is_traced(&self) -> bool {
        self.entry == 1 || self.evidence.first().is_some_and(|first| first.facts.begun_revision.is_some())
    }

    /// This entry, put after `before` which stands at this revision of the arbiter's: what `before` told first is known by it.
    #[must_use]
    pub fn after(mut self, before: &Self, revision: i64) -> Self {
        if !before.is_traced() {
            return self;
        }
        // Steps are added and never taken away, so that both have what was before at the same places.
        for (evidence, told) in self.evidence.iter_mut().zip(&before.evidence) {
            evidence.facts.begun_revision.get_or_insert(revision);
            if told.ended.is_some() {
                evidence.facts.ended_revision.get_or_insert(revision);
            }
        }
        self
    }

    /// The entry after this one: being taken back. The source has yet to be restored.
    #[must_use]
    pub fn rolled_back(&self, why: &Reason, wall: jiff::Timestamp) -> Self {
        let note = why.sentence(Language::English);
        let mut next = self.advanced(Step::RolledBack, Outcome::Failed, &note, wall);
        next.why = Some(why.clone());
        next
    }

    /// The entry after this one, which is the last.
    #[must_use]
    pub fn closed(&self, outcome: Outcome, wall: jiff::Timestamp) -> Self {
        Self { over: true, ..self.ended(outcome, "", wall) }
    }
}

fn begun(step: Step, wall: jiff::Timestamp) -> Evidence {
    Evidence { step, begun: wall, ended: None, outcome: None, note: String::new(), facts: Facts::default() }
}
