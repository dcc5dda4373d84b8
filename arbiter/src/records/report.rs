//! The report on an execution, as it is kept: in parts, since that on a whole city is larger than what etcd takes at once.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tandem_core::report::FailoverReport;
use tandem_core::sync::spec_hash;

/// The most bytes of groups in one part: etcd takes requests of 1.5 MiB.
const PART_BYTES: usize = 512 << 10;

/// A part of a report. What it says is kept as it was written, also what this release does not know: the digest is of all of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReportRecord {
    /// The execution.
    pub execution: String,
    /// SHA-256 of the whole report, see [`FailoverReport::digest`]. Parts of which that differs are of two reports.
    pub sha256: String,
    /// How many parts there are.
    pub parts: u16,
    /// When it was written, by the writer's wall clock.
    pub at: Timestamp,
    /// How many of its journals were over.
    pub over: usize,
    /// The report but for its groups; in the first part alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<Map<String, Value>>,
    /// Some of its groups.
    pub groups: Vec<Value>,
}

/// Why parts are not a report.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReportError {
    /// It is being written anew, or its writer died on the way.
    #[error("the parts of the report on {execution} are of two writings; ask again in a moment")]
    Torn {
        /// The execution.
        execution: String,
    },
    /// It is not what its digest says.
    #[error("the report on {execution} was changed after it was written: its SHA-256 is {found}, not {sha256}")]
    Changed {
        /// The execution.
        execution: String,
        /// What was written.
        sha256: String,
        /// What it is.
        found: String,
    },
}

/// A report in parts. `over`: how many of its journals are over.
#[must_use]
pub fn parts(report: &FailoverReport, over: usize) -> Vec<ReportRecord> {
    // Cannot fail: a map with string keys.
    let Ok(Value::Object(mut whole)) = serde_json::to_value(report) else { return Vec::new() };
    let sha256 = report.digest();
    let groups = match whole.remove("groups") {
        Some(Value::Array(groups)) => groups,
        _ => Vec::new(),
    };
    let mut all: Vec<Vec<Value>> = vec![Vec::new()];
    let mut bytes = 0;
    for group in groups {
        let more = group.to_string().len();
        if bytes > 0 && bytes + more > PART_BYTES {
            all.push(Vec::new());
            bytes = 0;
        }
        bytes += more;
        if let Some(part) = all.last_mut() {
            part.push(group);
        }
    }
    let parts = u16::try_from(all.len()).unwrap_or(u16::MAX);
    let mut whole = Some(whole);
    all.into_iter()
        .map(|groups| ReportRecord {
            execution: report.execution.clone(),
            sha256: sha256.clone(),
            parts,
            at: report.written.at,
            over,
            report: whole.take(),
            groups,
        })
        .collect()
}

/// The report of these parts, in order, as it was written; `None` where there are none.
///
/// # Errors
/// [`ReportError`].
pub fn joined(parts: Vec<ReportRecord>) -> Result<Option<Value>, ReportError> {
    let Some(first) = parts.first() else { return Ok(None) };
    let (execution, sha256, count) = (first.execution.clone(), first.sha256.clone(), usize::from(first.parts));
    let torn = || ReportError::Torn { execution: execution.clone() };
    let mut whole = first.report.clone().ok_or_else(torn)?;
    // A report that was longer before may have left parts behind.
    if parts.len() < count || parts.iter().take(count).any(|part| part.sha256 != sha256) {
        return Err(torn());
    }
    let groups: Vec<Value> = parts.into_iter().take(count).flat_map(|part| part.groups).collect();
    whole.insert("groups".to_owned(), Value::Array(groups));
    let whole = Value::Object(whole);
    let found = spec_hash(&whole);
    if found == sha256 { Ok(Some(whole)) } else { Err(ReportError::Changed { execution, sha256, found }) }
}
