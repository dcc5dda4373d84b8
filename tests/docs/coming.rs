//! What the manual speaks of and what is being built beside it. It goes, with this file, as soon as all of it is there: a test says
//! which of it is.

/// Documents.
pub(crate) const DOCUMENTS: [&str; 5] =
    ["docs/cli.md", "docs/logs.md", "docs/metrics.md", "docs/runbooks", "docs/support.md"];

/// Commands of `tandem`.
pub(crate) const COMMANDS: [&[&str]; 4] = [&["arbiter", "backup"], &["doctor"], &["pause"], &["resume"]];
