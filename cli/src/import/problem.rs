//! What is wrong with an inventory, where, and how to mend it.

use std::fmt;

/// Whether a problem keeps rows from being imported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Its rows (or the whole file) are refused.
    Error,
    /// Worth a look; nothing is refused for it.
    Warning,
}

/// Where in a file a problem is.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The line, counted from 1 as an editor counts; none for the whole file.
    pub line: Option<u64>,
    /// The column's number, counted from 1, and its header as it stands in the file.
    pub column: Option<(usize, String)>,
}

impl Place {
    /// The whole file.
    #[must_use]
    pub fn file() -> Self {
        Self::default()
    }

    /// A whole line.
    #[must_use]
    pub fn line(line: u64) -> Self {
        Self { line: Some(line), column: None }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.line, &self.column) {
            (None, None) => f.write_str("file"),
            (Some(line), None) => write!(f, "line {line}"),
            (None, Some((number, header))) => write!(f, "column {number} \"{header}\""),
            (Some(line), Some((number, header))) => write!(f, "line {line}, column {number} \"{header}\""),
        }
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Whether rows are refused for it.
    pub severity: Severity,
    /// Where it is.
    pub place: Place,
    /// What is wrong.
    pub what: String,
    /// What would be right.
    pub remedy: Box<str>,
    /// The rows refused for it, by index; an error without rows refuses the whole file.
    pub rows: Vec<usize>,
}

impl Problem {
    /// A problem that refuses the whole file.
    #[must_use]
    pub fn fatal(place: Place, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            place,
            what: what.into(),
            remedy: remedy.into().into_boxed_str(),
            rows: Vec::new(),
        }
    }

    /// A problem that refuses rows.
    #[must_use]
    pub fn rows(place: Place, rows: Vec<usize>, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { severity: Severity::Error, place, what: what.into(), remedy: remedy.into().into_boxed_str(), rows }
    }

    /// A problem that refuses nothing.
    #[must_use]
    pub fn warning(place: Place, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            severity: Severity::Warning,
            place,
            what: what.into(),
            remedy: remedy.into().into_boxed_str(),
            rows: Vec::new(),
        }
    }

    /// Whether it refuses the whole file.
    #[must_use]
    pub fn is_fatal(&self) -> bool {
        self.severity == Severity::Error && self.rows.is_empty()
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        write!(f, "{word}: {}: {}\n       {}", self.place, self.what, self.remedy)
    }
}

/// Sorts problems as they stand in the file: those of the whole file first, then by line and column.
pub fn sort(problems: &mut Vec<Problem>) {
    problems
        .sort_by(|a, b| (&a.place, a.severity, &a.what, &a.remedy).cmp(&(&b.place, b.severity, &b.what, &b.remedy)));
    problems.dedup();
}

/// `1 error`, `2 errors`.
#[must_use]
pub fn counted(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}
