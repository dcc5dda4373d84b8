//! What binds an agency: the rules in force for a unit or an environment, who set each, since when, and what has changed.

mod author;
mod bound;
mod document;
mod gap;
mod history;
mod page;
mod retention;
mod rule;
mod rules;
#[cfg(test)]
mod tests;
mod version;

pub use author::{author, buried_by};
pub use document::{Against, Changed, Difference, Document, Head};
pub use gap::Gap;
pub use history::{Kept, Moment, Objects, Subject, profiles_named};
pub(crate) use page::Escaped;
pub use page::{STYLE, difference as difference_page, document as document_page};
pub use retention::{LEAST_DAYS, outlived};
pub use rule::{Area, Place, Rule, Set, Source, Text};
pub use version::{Version, binding};
