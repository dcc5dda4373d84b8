//! The report on a failover: who asked and agreed, what happened when, how the source was fenced, what was lost, and how each
//! of that is known.
//!
//! It is made of journals and of what people asked for, and of nothing else: what they do not have is said not to be known. That
//! nothing was lost is said only where positions prove it.

mod build;
mod document;
mod fence;
mod loss;
mod next;
mod page;
mod rehearsed;
mod served;
mod sources;
#[cfg(test)]
mod tests;
mod text;
mod words;

pub use document::{
    ApplicationReport, Consent, Event, FailoverReport, Fence, FenceState, Given, GroupReport, GroupResult, Loss,
    Measure, StepReport, VERSION, Verdict, Waited, Wave, Written,
};
pub use loss::loss;
pub use page::{STYLE, page};
pub use served::without_service;
pub use sources::{Asked, Move, Sources, Wanted};
pub use tandem_crds::FailoverPhase;
pub use text::text;
