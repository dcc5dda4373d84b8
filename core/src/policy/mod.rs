//! What binds an agency: the rules in force for a unit or an environment, who set each, since when, and what has changed.

mod author;
mod retention;
mod version;

pub use author::{author, buried_by};
pub use retention::{LEAST_DAYS, outlived};
pub use version::{Version, binding};
