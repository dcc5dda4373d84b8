//! What security looks at: what somebody changed and was put back, what breaks a profile's rules, and what is waived.

mod drift;

pub use drift::Drift;
