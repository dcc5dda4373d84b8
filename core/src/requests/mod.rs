//! The life of a request: who may do what with it, when it is approved, and what it makes of the environment.
//!
//! ```text
//! Pending ─▶ Approved ─▶ Provisioning ─▶ Provisioned | PartiallyProvisioned
//!    ├─▶ Rejected
//!    └─▶ Withdrawn   (an approved deletion: within its grace period)
//! ```
//!
//! Duties are separate: what belongs to other units does not exist for the asker, nobody decides their own request, and
//! where the security profile demands it, a platform and a security decision are needed by two people. Each of these is
//! looked at twice: when somebody acts ([`decide()`]), and whenever it is asked how a request stands ([`standing()`]), so
//! that a decision which came by another way counts for nothing.

mod decide;
mod expiry;
mod outcome;
mod principal;
mod progress;
mod refusal;
mod rules;
mod standing;
#[cfg(test)]
mod tests;

pub use decide::{Action, Facts, Next, Ruling, decide};
pub use expiry::{Expiry, WARN_DAYS, expiry, next_look};
pub use outcome::{GRACE, Obstacle, Outcome, Scene, new_environment, outcome, requested_application};
pub use principal::{OWN_NAMES, Principal, Role};
pub use progress::{PATIENCE, phase, why};
pub use refusal::{Refusal, kind_chinese};
pub use rules::{Person, RULE, Rule, RuleFacts, RuleSettings, Use, by_rule, decided_by_rule, last_growth};
pub use standing::{Standing, content_digest, demands_security, standing};
