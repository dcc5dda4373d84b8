//! What security looks at: what somebody changed and was put back, what breaks a profile's rules, and what is waived.

mod drift;
mod finding;
mod gather;
mod report;
#[cfg(test)]
mod tests;

pub use drift::Drift;
pub use finding::{Finding, FindingKind, Sentence, Severity, Subject};
pub use gather::{KEPT, findings};
pub use report::{ReportKind, report};
