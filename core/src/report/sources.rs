//! What a report is made of.

use std::collections::BTreeMap;

use jiff::Timestamp;
use tandem_crds::{DrillReport, FailoverPhase, Why};

use super::document::ApplicationReport;
use crate::failover::{AcceptDataLoss, Approval, ExecutionKind, Journal};

/// What people asked for.
#[derive(Clone, Debug)]
pub struct Asked {
    /// What it is.
    pub kind: ExecutionKind,
    /// The site that the groups leave.
    pub from: String,
    /// The site that they go to.
    pub to: String,
    /// Who asked; empty where that is not known.
    pub by: String,
    /// The site at which it was asked.
    pub site: String,
    /// Why.
    pub reason: String,
    /// When, by the asker's wall clock.
    pub at: Timestamp,
    /// Nobody asked: it began by itself.
    pub automatic: bool,
    /// How many people have to agree, where nothing asks for more.
    pub approvals_wanted: u8,
    /// Who has agreed.
    pub approvals: Vec<Approval>,
    /// Consent to losing what was not replicated.
    pub accept_data_loss: Option<AcceptDataLoss>,
    /// Move although the target does not report ready.
    pub despite_not_ready: bool,
    /// Somebody asked to take it back.
    pub abort: bool,
}

/// What a group's settings ask for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// The longest that it may not be served, in milliseconds; `None` where nobody said.
    pub rto_millis: Option<u64>,
    /// The most that it may lose, in milliseconds.
    pub rpo_millis: Option<u64>,
    /// `T`, in milliseconds.
    pub take_over_millis: Option<u64>,
}

/// One group's move.
#[derive(Clone, Debug)]
pub struct Move<'a> {
    /// The journal, and the arbiter's revision at which it stands; `None`: it did not begin.
    pub journal: Option<(&'a Journal, i64)>,
    /// The epoch at which it was asked to move.
    pub epoch: u64,
    /// Why it did not begin.
    pub waits: Option<Why>,
    /// What its settings ask for.
    pub wanted: Wanted,
    /// Its applications, as they stood at the target when this was gathered.
    pub applications: Vec<ApplicationReport>,
}

/// What a report is made of.
#[derive(Clone, Debug)]
pub struct Sources<'a> {
    /// The execution's id.
    pub execution: &'a str,
    /// What was asked for.
    pub asked: &'a Asked,
    /// How it stands as a whole.
    pub phase: FailoverPhase,
    /// The order in which groups move.
    pub waves: Vec<Vec<String>>,
    /// Each group.
    pub moves: BTreeMap<String, Move<'a>>,
    /// What a drill found; `None` where it is none.
    pub drill: Option<DrillReport>,
    /// The site at which this was gathered.
    pub site: &'a str,
    /// When, by its wall clock.
    pub now: Timestamp,
}
