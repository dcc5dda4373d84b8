//! Reports on executions: kept for longer than what they are made of.

use jiff::Timestamp;
use serde_json::Value;
use tandem_core::report::FailoverReport;
use tandem_core::sync::Versioned;

use super::{ActError, Arbiter, ReadError, moved, read};
use crate::records::{Key, RecordError, ReportRecord, decode, joined, parts};
use crate::store::Store;
use crate::txn::{self, Acting, Compare, Op, Txn, notes};

/// How many parts one transaction deletes.
const AT_ONCE: usize = 100;

impl<S: Store> Arbiter<S> {
    /// The first part of a report: how far it has come.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn report_head(&self, execution: &str) -> Result<Option<Versioned<ReportRecord>>, ReadError> {
        self.read_one(&Key::Report { execution: execution.to_owned(), part: 0 }).await
    }

    /// A report as it was written; `None` where there is none.
    ///
    /// # Errors
    /// [`ReadError`]; also where it is just being written anew, or was changed since.
    pub async fn report(&self, execution: &str) -> Result<Option<Value>, ReadError> {
        let prefix = Key::report(execution);
        let range = self.store.range(&prefix).await?;
        let parts: Result<Vec<ReportRecord>, ReadError> = range.kvs.iter().map(read).collect();
        let whole = joined(parts?);
        whole.map_err(|error| ReadError::Record {
            key: prefix,
            source: RecordError::Malformed { why: error.to_string() },
        })
    }

    /// Keeps a report in place of what stands there, whose first part was read at `seen` (0: there was none); says whether it
    /// was kept. The first part goes last, with the entry of the audit chain that has its digest.
    ///
    /// # Errors
    /// [`ActError`]; it can be called again after any.
    pub async fn put_report(
        &self,
        acting: Acting<'_>,
        seen: Option<&Versioned<ReportRecord>>,
        report: &FailoverReport,
        over: usize,
    ) -> Result<bool, ActError> {
        let leads = || Compare::unchanged(Key::Leader(acting.site.to_owned()), acting.leader);
        let mut all = parts(report, over);
        if all.is_empty() {
            return Ok(false);
        }
        let head = all.remove(0);
        let key = |part: usize| Key::Report {
            execution: head.execution.clone(),
            part: u16::try_from(part).unwrap_or(u16::MAX),
        };
        for (place, part) in all.iter().enumerate() {
            let txn = Txn { compare: vec![leads()], then: vec![Op::put(key(place + 1), part)], otherwise: Vec::new() };
            if !self.store.txn(&txn).await.map_err(ReadError::from)?.succeeded {
                return Err(ActError::NotLeader);
            }
        }
        let revision = seen.map_or(0, |seen| seen.revision);
        let mut txn = Txn {
            compare: vec![leads(), Compare::unchanged(key(0), revision)],
            then: vec![Op::put(key(0), &head)],
            otherwise: vec![Op::get(key(0))],
        };
        let before = seen.map(|seen| seen.value.sha256.as_str());
        let entry = acting.scribe().map(|scribe| notes::report(scribe, revision, before, &head));
        txn::note_all(&mut txn, self.site(), entry);
        let answer = self.store.txn(&txn).await.map_err(ReadError::from)?;
        if !answer.succeeded && moved(answer.one(0)) == revision {
            return Err(ActError::NotLeader);
        }
        Ok(answer.succeeded)
    }

    /// Deletes the reports that were written before `cut` for the last time; returns how many parts.
    ///
    /// # Errors
    /// [`ActError`]; it can be called again after any.
    pub async fn collect_reports(&self, acting: Acting<'_>, cut: Timestamp) -> Result<usize, ActError> {
        let range = self.store.range(&Key::reports()).await.map_err(ReadError::from)?;
        let old = range.kvs.iter().filter(|kv| match decode::<ReportRecord>(&kv.value) {
            Ok(part) => part.at < cut,
            Err(error) => {
                tracing::warn!(key = kv.key, %error, "a report cannot be read and is left alone");
                false
            }
        });
        let old: Vec<_> = old.collect();
        for batch in old.chunks(AT_ONCE) {
            let mut txn = Txn {
                compare: vec![Compare::unchanged(Key::Leader(acting.site.to_owned()), acting.leader)],
                ..Txn::default()
            };
            txn.then.extend(batch.iter().map(|kv| Op::delete(&kv.key)));
            if !self.store.txn(&txn).await.map_err(ReadError::from)?.succeeded {
                return Err(ActError::NotLeader);
            }
        }
        Ok(old.len())
    }
}
