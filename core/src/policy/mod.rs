//! What binds an agency: the rules in force for a unit or an environment, who set each, since when, and what has changed.

mod version;

pub use version::{Version, binding};
