//! Who is active for a failover group, and how that moves: the decisions, without anything that carries them out.
//!
//! - [`step`] says what one site does next for one group in one execution;
//! - [`automatic`] says whether an unplanned failover shall begin by itself, or why not;
//! - [`plan_waves`] and [`start_now`] order the groups of one execution, [`share_room`] shares a site's room among them;
//! - [`readiness`] says whether a group would survive the loss of a site, [`expectation`] what a move would cost;
//! - [`may_serve`] is what the gate answers, [`to_standby`] when a fenced site puts its workloads to rest;
//! - [`admit`] refuses settings that cannot be kept.
//!
//! Time is an argument: a [`Duration`](std::time::Duration) on the caller's boot clock, which neither wall clocks nor
//! other machines move. A decision follows from the records and from what is seen, never from what a process remembers,
//! so that a driver may die anywhere and another goes on. Missing or doubtful information refuses.

mod decision;
mod expectation;
mod facts;
mod gates;
mod journal;
mod machine;
mod observation;
mod policy;
mod readiness;
mod reason;
mod room;
mod serving;
mod settings;
mod trigger;
mod waves;

#[cfg(test)]
mod tests;

pub use decision::{Action, Decision, Effect, EffectKind, Transaction};
pub use expectation::{Expectation, StepExpectation, expectation};
pub use facts::{Dropped, Facts, Failures, Incident, Risk, Silent, Stood};
pub use gates::{
    Exposure, approvals_lacking, approvals_needed, distinct_approvers, exposure, planned, rpo_gate, unplanned,
};
pub use journal::{Approval, Evidence, ExecutionKind, Journal, Outcome, Side, Step, Token};
pub use machine::step;
pub use observation::{
    AcceptDataLoss, Answer, Answered, Data, GroupView, Now, Observation, Phase, Request, Role, Silence, SiteView,
    Situation,
};
pub use policy::{Deadlines, Floors, Policy, Replication, Timing, admit};
pub(crate) use readiness::data_lost;
pub use readiness::{EXPOSING, Readiness, readiness};
pub use reason::{Language, Reason};
pub use room::{Claim, share_room};
pub use serving::{may_serve, to_standby};
pub use trigger::{AUTOMATIC, Trigger, automatic, is_automatic};
pub use waves::{Member, PLATFORM, Standing, Turn, Wave, Waves, plan_waves, standing, start_now};
