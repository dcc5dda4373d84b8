//! What people asked for: one record that both sites read alike.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tandem_core::drill::Drill;
use tandem_core::failover::{AcceptDataLoss, Approval, ExecutionKind};

/// A move that people asked for. Its key, `requests/<id>`, is the idempotency key and the id of the executions made for it.
///
/// What it selects is written down when it is made: by the time the second half of a city moves, the first half is no
/// longer at the site that was asked to be emptied. Only approvals, the two wishes and how a drill stands change afterwards.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RequestRecord {
    /// What it is.
    pub kind: ExecutionKind,
    /// The site that the groups leave.
    pub from: String,
    /// The site that they go to.
    pub to: String,
    /// The groups that move, each with the epoch under which it was seen by whoever asked: another one refuses.
    pub groups: BTreeMap<String, u64>,
    /// How many groups move at once, where it was said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_parallel: Option<usize>,
    /// Who asked.
    pub by: String,
    /// The site at which it was asked.
    pub site: String,
    /// Why.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// When, by the asker's wall clock.
    pub at: Timestamp,
    /// How many people have to agree, where nothing asks for more.
    #[serde(default)]
    pub approvals_wanted: u8,
    /// Who has agreed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub approvals: Vec<Approval>,
    /// Consent to losing what was not replicated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accept_data_loss: Option<AcceptDataLoss>,
    /// Move although the target does not report ready.
    #[serde(default)]
    pub despite_not_ready: bool,
    /// The sites at which somebody asked it to wait; it waits while there is one.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub paused_at: BTreeSet<String>,
    /// It shall be taken back. Never withdrawn.
    #[serde(default)]
    pub abort: bool,
    /// How a drill stands, as the site that rehearses says; nothing for what is none.
    #[serde(default, skip_serializing_if = "Drill::is_empty")]
    pub drill: Drill,
}

impl RequestRecord {
    /// Whether both say the same but for what may change.
    #[must_use]
    pub fn same_request(&self, other: &Self) -> bool {
        self.kind == other.kind && self.from == other.from && self.to == other.to && self.groups == other.groups
    }

    /// This record with what people at one site said since: nobody's word is lost, and an abort stands.
    #[must_use]
    pub fn with(&self, site: &str, approvals: &[Approval], paused: bool, abort: bool) -> Self {
        let mut next = self.clone();
        for approval in approvals {
            if !next.approvals.iter().any(|known| known.by == approval.by) {
                next.approvals.push(approval.clone());
            }
        }
        if paused {
            next.paused_at.insert(site.to_owned());
        } else {
            next.paused_at.remove(site);
        }
        next.abort |= abort;
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_added_and_never_lost() {
        let at = Timestamp::UNIX_EPOCH;
        let request = RequestRecord {
            kind: ExecutionKind::Switchover,
            from: "dc-a".into(),
            to: "dc-b".into(),
            groups: BTreeMap::from([("g".into(), 3)]),
            max_parallel: None,
            by: "wang".into(),
            site: "dc-a".into(),
            reason: String::new(),
            at,
            approvals_wanted: 0,
            approvals: vec![Approval { by: "li".into(), at }],
            accept_data_loss: None,
            despite_not_ready: false,
            paused_at: BTreeSet::from(["dc-b".to_owned()]),
            abort: true,
            drill: Drill::default(),
        };
        let said = [Approval { by: "li".into(), at }, Approval { by: "zhao".into(), at }];
        let next = request.with("dc-a", &said, false, false);
        assert_eq!(next.approvals.len(), 2);
        assert!(next.abort, "an abort stands");
        assert_eq!(next.paused_at.len(), 1, "what was said at one site is not withdrawn at the other");
        assert!(next.with("dc-b", &[], false, false).paused_at.is_empty());
        assert!(request.same_request(&next));
    }
}
