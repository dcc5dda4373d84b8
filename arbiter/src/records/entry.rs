//! A journal as it stands in the arbiter, and the next entry of it as it shall be written.

use tandem_core::failover::{Journal, Token};

use super::{GroupRecord, encode};

/// The most bytes a journal may take in the arbiter: 64 KiB. etcd takes requests of 1.5 MiB; a journal that grows without
/// end would first slow every heartbeat down and then be refused in the middle of a move.
pub const JOURNAL_BYTES: usize = 64 << 10;

/// A journal as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalSeen {
    /// `mod_revision`: what the next put compares.
    pub revision: i64,
    /// `create_revision`: what orders executions in a [`Token`].
    pub created: i64,
    /// The journal.
    pub journal: Journal,
}

impl JournalSeen {
    /// The token of the effects of the entry that was read, under this group record.
    #[must_use]
    pub fn token(&self, generation: u64, record: &GroupRecord) -> Token {
        Token { generation, epoch: record.epoch, execution: self.created, step: self.journal.entry }
    }

    /// The next entry: `next` with the number that follows.
    ///
    /// # Errors
    /// [`EntryError`].
    pub fn next(&self, next: Journal) -> Result<Entry, EntryError> {
        let before = &self.journal;
        let same = before.execution == next.execution
            && before.group == next.group
            && before.kind == next.kind
            && before.from == next.from
            && before.to == next.to
            && before.epoch == next.epoch;
        if !same {
            return Err(EntryError::OtherExecution {
                execution: before.execution.clone(),
                group: before.group.clone(),
            });
        }
        let next = Journal { entry: before.entry + 1, ..next }.after(before, self.revision);
        Entry::checked(self.revision, self.created, next)
    }
}

/// One entry of a journal, ready to be written. It is not too large, and follows the one it was made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    revision: i64,
    created: i64,
    journal: Journal,
}

impl Entry {
    /// The first entry of a new journal. Its number is 1.
    ///
    /// # Errors
    /// [`EntryError::TooLarge`] and [`EntryError::Name`].
    pub fn first(journal: Journal) -> Result<Self, EntryError> {
        for name in [&journal.execution, &journal.group] {
            if name.is_empty() || name.contains('/') {
                return Err(EntryError::Name { name: name.clone() });
            }
        }
        Self::checked(0, 0, Journal { entry: 1, ..journal })
    }

    fn checked(revision: i64, created: i64, journal: Journal) -> Result<Self, EntryError> {
        let bytes = encode(&journal).len();
        if bytes > JOURNAL_BYTES {
            Err(EntryError::TooLarge { bytes })
        } else {
            Ok(Self { revision, created, journal })
        }
    }

    /// `mod_revision` of the journal that it was made from; 0 for the first.
    #[must_use]
    pub fn revision(&self) -> i64 {
        self.revision
    }

    /// The journal with this entry, as it stands once the entry was written at this revision.
    #[must_use]
    pub fn written(&self, revision: i64) -> JournalSeen {
        let created = if self.created == 0 { revision } else { self.created };
        JournalSeen { revision, created, journal: self.journal.clone() }
    }

    /// `create_revision` of the journal that it was made from; 0 for the first.
    #[must_use]
    pub fn created(&self) -> i64 {
        self.created
    }

    /// The journal with this entry.
    #[must_use]
    pub fn journal(&self) -> &Journal {
        &self.journal
    }
}

/// Why an entry cannot be written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// More than [`JOURNAL_BYTES`].
    #[error("the journal would take {bytes} bytes, at most {JOURNAL_BYTES} are possible; shorten its notes")]
    TooLarge {
        /// How many it would take.
        bytes: usize,
    },
    /// What makes an execution never changes.
    #[error(
        "the entry does not belong to execution {execution} of group {group}: id, group, kind, sites and epoch stay"
    )]
    OtherExecution {
        /// The execution.
        execution: String,
        /// The group.
        group: String,
    },
    /// An execution's id or a group's name that no key can hold.
    #[error("{name:?} cannot be part of a key; it must not be empty nor contain a slash")]
    Name {
        /// The name.
        name: String,
    },
}

#[cfg(test)]
mod tests {
    use tandem_core::failover::{Evidence, ExecutionKind, Outcome, Step};

    use super::*;
    use crate::testing::journal;

    #[test]
    fn entries_are_numbered_and_keep_what_the_execution_is() {
        let first = Entry::first(journal("x1", "g")).unwrap();
        assert_eq!((first.revision(), first.journal().entry), (0, 1));
        let seen = JournalSeen { revision: 9, created: 7, journal: first.journal().clone() };
        let next = seen.next(Journal { step: Step::Quiescing, ..first.journal().clone() }).unwrap();
        assert_eq!((next.revision(), next.journal().entry), (9, 2));
        let other = Journal { to: "dc-c".into(), ..first.journal().clone() };
        assert!(matches!(seen.next(other), Err(EntryError::OtherExecution { .. })));
        let token = seen.token(3, &GroupRecord { epoch: 5, ..GroupRecord::first("dc-a") });
        assert_eq!(token, Token { generation: 3, epoch: 5, execution: 7, step: 1 });
    }

    #[test]
    fn what_was_told_is_known_by_the_revision_at_which_it_was() {
        let wall = jiff::Timestamp::UNIX_EPOCH;
        let seen = |entry: &Entry, revision| entry.written(revision);
        let asked = Journal::new(("x1", "g"), ExecutionKind::Switchover, ("dc-a", "dc-b"), 1, wall);
        let first = seen(&Entry::first(asked).unwrap(), 7);
        let begun = seen(&first.next(first.journal.advanced(Step::Fencing, Outcome::Done, "", wall)).unwrap(), 9);
        let released = seen(&begun.next(begun.journal.ended(Outcome::Done, "", wall)).unwrap(), 12);
        let claim = released.journal.advanced(Step::EpochCommitted, Outcome::Done, "", wall);
        let claimed = seen(&released.next(claim).unwrap(), 15);
        let last = seen(&claimed.next(claimed.journal.with_side(None, wall)).unwrap(), 20);
        let revisions: Vec<_> =
            last.journal.evidence.iter().map(|e| (e.step, e.facts.begun_revision, e.facts.ended_revision)).collect();
        let expected = [
            (Step::Validating, Some(7), Some(9)),
            (Step::Fencing, Some(9), Some(12)),
            (Step::EpochCommitted, Some(15), None),
        ];
        assert_eq!(revisions, expected, "the release is what ended Fencing");
    }

    #[test]
    fn a_journal_that_grew_too_large_is_refused_before_it_is_sent() {
        let mut large = journal("x1", "g");
        let note = "x".repeat(JOURNAL_BYTES / 2);
        let evidence = Evidence {
            note,
            ..Journal::new(("x1", "g"), ExecutionKind::Drill, ("a", "b"), 1, jiff::Timestamp::UNIX_EPOCH)
                .evidence
                .remove(0)
        };
        large.evidence = vec![evidence.clone(), evidence];
        assert!(matches!(Entry::first(large), Err(EntryError::TooLarge { bytes }) if bytes > JOURNAL_BYTES));
    }

    #[test]
    fn a_name_that_would_make_another_key_is_refused() {
        for name in ["", "a/b"] {
            let bad = Journal { execution: name.into(), ..journal("x1", "g") };
            assert!(matches!(Entry::first(bad), Err(EntryError::Name { .. })));
        }
    }
}
