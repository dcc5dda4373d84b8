//! Objects that somebody else changed, and that were put back.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What became of one object of a site: the latest, and how often.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Drift {
    /// The object's kind, such as `NetworkPolicy`.
    pub kind: String,
    /// Its namespace, which is its environment's name; `None` for what has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
    /// Who changed it, as far as Kubernetes says: a field manager's name, not a person's.
    pub by: String,
    /// Which fields, or that it was deleted.
    pub fields: Vec<String>,
    /// When it was put back first, by the operator's wall clock.
    pub first: Timestamp,
    /// When it was put back last.
    pub last: Timestamp,
    /// How often.
    pub times: u64,
}

impl Drift {
    /// This, and the same object put back again since.
    #[must_use]
    pub fn and(self, later: &Self) -> Self {
        Self {
            by: later.by.clone(),
            fields: later.fields.clone(),
            last: later.last,
            times: self.times.saturating_add(later.times),
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_stands_and_all_are_counted() {
        let drift = |by: &str, first, last, times| Drift {
            kind: "NetworkPolicy".into(),
            namespace: Some("health-prod".into()),
            name: "tandem-default-deny".into(),
            by: by.into(),
            fields: vec![format!("by {by}")],
            first: Timestamp::from_second(first).unwrap(),
            last: Timestamp::from_second(last).unwrap(),
            times,
        };
        let both = drift("helm", 1, 4, 3).and(&drift("kubectl-edit", 6, 9, 2));
        assert_eq!(both, Drift { first: Timestamp::from_second(1).unwrap(), ..drift("kubectl-edit", 6, 9, 5) });
        assert_eq!(drift("helm", 1, 4, u64::MAX).and(&both).times, u64::MAX);
    }
}
