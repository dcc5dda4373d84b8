//! This site's reports to the arbiter: one an object, written when it changes and never otherwise.

use crate::context::Context;
use crate::index::Index;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tandem_arbiter::records::{Condition, StatusRecord};
use tandem_core::sync::{ObjectKey, Record, Versioned};
use tandem_crds::status::{PodCount, READY, Reason};
use tandem_logs::Chain;
use tokio::sync::Notify;
use tokio::time::Instant;

/// How long something may be on its way before that is worth a report.
const PATIENCE: Duration = Duration::from_secs(4);
/// How long the index may take to learn what was written. After that it is believed: the arbiter may have been restored.
const LEARNT: Duration = Duration::from_secs(60);
/// How long reports are gathered into one write.
const GATHER: Duration = Duration::from_millis(200);
/// How many reports go into one transaction at most; etcd allows 128 operations.
const BATCH: usize = 100;

/// How an object stands in this site.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// Whether it is in order.
    pub ready: bool,
    /// Why, in one word.
    pub reason: Reason,
    /// Why, in a sentence.
    pub message: String,
    /// Pods ready of pods wanted.
    pub pods: Option<PodCount>,
    /// What only this kind has to say.
    pub detail: Value,
}

impl Report {
    /// In order.
    #[must_use]
    pub fn ready() -> Self {
        Self { ready: true, reason: Reason::Ready, message: String::new(), pods: None, detail: Value::Null }
    }

    /// Not in order.
    #[must_use]
    pub fn not_ready(reason: Reason, message: impl Into<String>) -> Self {
        Self { ready: false, reason, message: message.into(), pods: None, detail: Value::Null }
    }

    /// With so many pods.
    #[must_use]
    pub fn with_pods(mut self, pods: PodCount) -> Self {
        self.pods = Some(pods);
        self
    }

    /// With what only this kind has to say.
    #[must_use]
    pub fn with_detail(mut self, detail: Value) -> Self {
        self.detail = detail;
        self
    }

    fn into_record(self, id: &str, revision: i64) -> StatusRecord {
        let condition = Condition {
            kind: READY.to_owned(),
            status: if self.ready { "True" } else { "False" }.to_owned(),
            reason: self.reason.as_str().to_owned(),
            message: self.message,
        };
        let mut detail = json!({});
        if let Some(pods) = self.pods {
            detail["pods"] = json!(pods);
        }
        if !self.detail.is_null() {
            detail["site"] = self.detail;
        }
        StatusRecord {
            id: id.to_owned(),
            spec_revision: revision,
            ready: self.ready,
            conditions: vec![condition],
            detail,
        }
    }
}

/// Takes reports and has them written.
#[derive(Clone, Debug)]
pub struct Reporter {
    site: String,
    index: Arc<Index>,
    pending: Arc<Mutex<BTreeMap<ObjectKey, Pending>>>,
    /// What this replica wrote, or began to, while it leads: the index learns of it later.
    sent: Arc<Mutex<BTreeMap<ObjectKey, Sent>>>,
    /// Of which record it was told that the object is ready.
    told: Arc<Mutex<BTreeMap<ObjectKey, i64>>>,
    added: Arc<Notify>,
}

/// What became of the last report of an object.
#[derive(Debug)]
enum Sent {
    /// It is being written, or nobody knows whether it was.
    Doubtful,
    /// It is written, since then.
    Written(StatusRecord, Instant),
}

#[derive(Debug)]
struct Pending {
    record: StatusRecord,
    due: Instant,
}

impl Reporter {
    /// A reporter for a site that has nothing to report yet.
    #[must_use]
    pub fn new(site: &str, index: Arc<Index>) -> Self {
        Self {
            site: site.to_owned(),
            index,
            pending: Arc::default(),
            sent: Arc::default(),
            told: Arc::default(),
            added: Arc::default(),
        }
    }

    /// Reports how an object stands. What the arbiter has already is not written again, and what is merely on its way is
    /// given some seconds to arrive.
    pub fn report(&self, key: &ObjectKey, of: &Versioned<Record>, report: Report) {
        let passing = matches!(report.reason, Reason::Progressing | Reason::PodsNotReady);
        let record = report.into_record(of.value.id(), of.revision);
        let written = self.index.reports(key).remove(&self.site).map(|held| held.value);
        if self.becomes_ready(key, written.as_ref(), &record) {
            let elapsed_seconds = since_published(&of.value, now());
            tracing::info!(revision = of.revision, elapsed_seconds, "ready");
        }
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        let there = match self.sent.lock().unwrap_or_else(PoisonError::into_inner).get(key) {
            Some(Sent::Doubtful) => false,
            Some(Sent::Written(sent, at)) if at.elapsed() < LEARNT => *sent == record,
            _ => written.as_ref() == Some(&record),
        };
        if there {
            pending.remove(key);
            return;
        }
        // Also of what was not in order before: how many pods of many are ready by now is not worth a write each time.
        let news = written.is_none_or(|written| written.spec_revision != record.spec_revision || !written.ready);
        let now = Instant::now();
        let due = match pending.get(key) {
            // The patience runs from the first time.
            Some(waiting) if passing => waiting.due,
            _ if passing && news => now + PATIENCE,
            _ => now,
        };
        pending.insert(key.clone(), Pending { record, due });
        drop(pending);
        self.added.notify_one();
    }

    /// Whether an object is ready for a record for the first time: neither was that written, nor told since the start.
    fn becomes_ready(&self, key: &ObjectKey, written: Option<&StatusRecord>, record: &StatusRecord) -> bool {
        let revision = record.spec_revision;
        if !record.ready || written.is_some_and(|written| written.ready && written.spec_revision >= revision) {
            return false;
        }
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.insert(key.clone(), revision).is_none_or(|before| before < revision)
    }

    /// Drops what was to be reported of an object that is gone.
    pub fn forget(&self, key: &ObjectKey) {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
        self.sent.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
        self.told.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }

    /// Forgets what it was about to write and what it wrote: another replica writes now.
    fn stop(&self) {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.sent.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// What is to be written now. From here on nobody knows whether it is, until [`Self::written`].
    fn due(&self, now: Instant) -> Vec<(ObjectKey, StatusRecord)> {
        let pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        let due = pending.iter().filter(|(_, pending)| pending.due <= now);
        let due: Vec<_> = due.take(BATCH).map(|(key, pending)| (key.clone(), pending.record.clone())).collect();
        let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        sent.extend(due.iter().map(|(key, _)| (key.clone(), Sent::Doubtful)));
        due
    }

    fn next_due(&self) -> Option<Instant> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner).values().map(|pending| pending.due).min()
    }

    fn written(&self, batch: &[(ObjectKey, StatusRecord)]) {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        for (key, record) in batch {
            if pending.get(key).is_some_and(|waiting| waiting.record == *record) {
                pending.remove(key);
            }
        }
        let (mut sent, now) = (self.sent.lock().unwrap_or_else(PoisonError::into_inner), Instant::now());
        sent.extend(batch.iter().map(|(key, record)| (key.clone(), Sent::Written(record.clone(), now))));
    }
}

/// How long ago a record was published, in seconds, to the millisecond. The publisher's clock may be another's.
fn since_published(record: &Record, now: Timestamp) -> f64 {
    match record {
        Record::Live(live) => (now.duration_since(live.published_at).as_secs_f64() * 1e3).round().max(0.0) / 1e3,
        Record::Tombstone(_) => 0.0,
    }
}

#[allow(clippy::disallowed_methods)] // an edge: the time is for people who read the log, and decides nothing
fn now() -> Timestamp {
    Timestamp::now()
}

/// Writes reports to the arbiter, gathered, for ever; only while this replica leads.
pub async fn run_reporter(context: Context) {
    let reporter = &context.reporter;
    loop {
        let next = reporter.next_due();
        tokio::select! {
            () = reporter.added.notified() => {}
            () = async { match next {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            } } => {}
        }
        tokio::time::sleep(GATHER).await;
        if !context.link.standing().leads {
            // Another replica finds the same out and reports it; this one looks again should it lead again.
            context.dropped.note();
            reporter.stop();
            continue;
        }
        loop {
            let batch = reporter.due(Instant::now());
            if batch.is_empty() {
                break;
            }
            match context.link.report_status(&batch).await {
                Ok(()) => reporter.written(&batch),
                Err(error) => {
                    tracing::warn!(error = %Chain(&error), "reports could not be written");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    break;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tandem_core::sync::{Origin, SpecRecord};
    use tandem_crds::Kind;

    fn record(published_at: Timestamp) -> Record {
        Record::Live(SpecRecord {
            id: "1".into(),
            key: ObjectKey::cluster(Kind::Unit, "health"),
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
            spec: json!({}),
            origin: Origin { site: "dc-a".into(), uid: "u".into(), generation: 1 },
            published_at,
            trace: None,
        })
    }

    #[test]
    fn what_changes_back_while_it_is_written_is_written_again() {
        let key = ObjectKey::cluster(Kind::Unit, "health");
        let of = Versioned { value: record(Timestamp::UNIX_EPOCH), revision: 5 };
        let not_ready = || Report::not_ready(Reason::SecretMissing, "no");
        let reporter = Reporter::new("dc-a", Arc::default());
        let due = || reporter.due(Instant::now()).into_iter().map(|(_, record)| record.ready).collect::<Vec<_>>();
        reporter.report(&key, &of, Report::ready());
        let first = reporter.due(Instant::now());
        reporter.written(&first);
        assert!(due().is_empty());
        // The index has not heard of it yet, and it is not written twice.
        reporter.report(&key, &of, Report::ready());
        assert!(due().is_empty());
        reporter.report(&key, &of, not_ready());
        let second = reporter.due(Instant::now());
        // On its way; what the arbiter had before is no reason to leave this out.
        reporter.report(&key, &of, Report::ready());
        reporter.written(&second);
        assert_eq!(due(), [true], "else it would be told not to be ready for good");
    }

    #[test]
    fn ready_is_told_once_for_each_record_also_over_restarts() {
        let said = |revision, ready: bool| {
            let report = if ready { Report::ready() } else { Report::not_ready(Reason::PodsNotReady, "no") };
            report.into_record("1", revision)
        };
        let key = ObjectKey::cluster(Kind::Unit, "health");
        let reporter = || Reporter::new("dc-a", Arc::default());
        let first = reporter();
        assert!(!first.becomes_ready(&key, None, &said(5, false)));
        assert!(first.becomes_ready(&key, None, &said(5, true)));
        assert!(!first.becomes_ready(&key, None, &said(5, true)), "the arbiter has not answered yet");
        assert!(!first.becomes_ready(&key, Some(&said(5, false)), &said(5, true)), "a pod that was away is back");
        assert!(first.becomes_ready(&key, Some(&said(5, true)), &said(6, true)));
        assert!(!reporter().becomes_ready(&key, Some(&said(6, true)), &said(6, true)), "after a restart");
        first.forget(&key);
        assert!(first.becomes_ready(&key, None, &said(7, true)), "another object of the name");
    }

    #[test]
    fn what_was_published_by_a_clock_that_is_ahead_is_not_negative() {
        let at = |millisecond| Timestamp::from_millisecond(millisecond).unwrap();
        assert!((since_published(&record(at(1_000)), at(3_500)) - 2.5).abs() < 1e-9);
        assert!(since_published(&record(at(9_000)), at(3_500)).abs() < f64::EPSILON);
    }
}
