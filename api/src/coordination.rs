//! What both sites share, as the handlers need it: who has authority, the audit chain, what was answered to a request that is
//! sent again, promises of a unit's budget, what is published, and the failovers that were asked for. All of it is the arbiter's.
//!
//! What cannot be known or written is a problem, never a guess.

use crate::problem::Problem;
use futures::FutureExt;
use futures::future::BoxFuture;
use jiff::Timestamp;
use serde_json::Value;
use std::collections::BTreeMap;
use tandem_arbiter::Arbiter;
use tandem_arbiter::arbiter::{
    AuditError, AuditPage, Claimed, Completion, IdempotencyError, PromiseError, ReadError, Receipt,
};
use tandem_arbiter::records::{AnswerRecord, IdempotencyRecord, RequestRecord};
use tandem_arbiter::store::Store;
use tandem_core::audit::{Draft, Segment};
use tandem_core::findings::Drift;
use tandem_core::ledger::Change;
use tandem_core::policy::Version;
use tandem_core::sync::{ObjectKey, Origin, Record, Versioned};
use tandem_crds::Kind;
use tandem_logs::Chain;

/// What a handler waits for.
pub type Answer<'a, T> = BoxFuture<'a, Result<T, Problem>>;

/// Which site has authority.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authority {
    /// The site; `None` while it is between two.
    pub site: Option<String>,
    /// The revision of the record that says so.
    pub revision: i64,
}

/// What is published of an object.
#[derive(Clone, Debug, PartialEq)]
pub struct Published {
    /// From where.
    pub origin: Origin,
    /// What it says.
    pub spec: Value,
}

/// What both sites share.
pub trait Coordination: Send + Sync {
    /// Which site has authority now.
    fn authority(&self) -> Answer<'_, Authority>;
    /// Writes down that something is about to be done. Where this fails it must not be done.
    fn audit_begin(&self, draft: Draft) -> Answer<'_, Receipt>;
    /// Writes down how it ended.
    fn audit_complete<'a>(&'a self, receipt: &'a Receipt, completion: Completion) -> Answer<'a, ()>;
    /// A page of a site's chain.
    fn audit_page<'a>(&'a self, site: &'a str, from: u64, limit: u64) -> Answer<'a, AuditPage>;
    /// The sealed segments of a site's chain.
    fn audit_segments<'a>(&'a self, site: &'a str) -> Answer<'a, Vec<Segment>>;
    /// Claims the work on a request that was sent with a key.
    fn claim<'a>(&'a self, id: &'a str, record: &'a IdempotencyRecord, now: Timestamp) -> Answer<'a, Claimed>;
    /// Keeps what was answered to it.
    fn keep<'a>(
        &'a self,
        id: &'a str,
        revision: i64,
        record: &'a IdempotencyRecord,
        answer: &'a AnswerRecord,
    ) -> Answer<'a, ()>;
    /// Gives the key free.
    fn release<'a>(&'a self, id: &'a str, revision: i64) -> Answer<'a, ()>;
    /// Promises a request part of its unit's budget, or takes the promise back.
    fn promise<'a>(&'a self, authority: i64, unit: &'a str, change: &'a Change) -> Answer<'a, ()>;
    /// What is published of an object; `None` where nothing is, or it was deleted.
    fn published<'a>(&'a self, key: &'a ObjectKey) -> Answer<'a, Option<Published>>;
    /// Whether an object was deleted, as far as that is remembered.
    fn buried<'a>(&'a self, key: &'a ObjectKey) -> Answer<'a, bool>;
    /// What was published of an object that binds its agency, oldest first, each with the revision at which it was: as far
    /// back as versions are kept. Those of objects that bore the name before are among them.
    fn versions<'a>(&'a self, key: &'a ObjectKey) -> Answer<'a, Vec<Versioned<Version>>>;
    /// The same of every object of a kind, deleted ones among them.
    fn versions_of(&self, kind: Kind) -> Answer<'_, BTreeMap<ObjectKey, Vec<Versioned<Version>>>>;
    /// What each site has put back, with the site: objects that somebody else had changed.
    fn drifts(&self) -> Answer<'_, Vec<(String, Drift)>>;
    /// A failover that was asked for, as both sites read it; `None` while no operator has taken it in.
    fn asked<'a>(&'a self, id: &'a str) -> Answer<'a, Option<RequestRecord>>;
    /// The report on an execution, as it was written; `None` where there is none.
    fn report<'a>(&'a self, execution: &'a str) -> Answer<'a, Option<Value>>;
}

/// The arbiter, by a store.
#[derive(Debug)]
pub struct ByArbiter<S> {
    arbiter: Arbiter<S>,
    /// Held while a promise is made: those of one process would only be in each other's way.
    promising: tokio::sync::Mutex<()>,
}

impl<S: Store> ByArbiter<S> {
    /// The arbiter in this store, for this site.
    pub fn new(store: S, site: &str) -> Self {
        Self { arbiter: Arbiter::new(store, site), promising: tokio::sync::Mutex::default() }
    }

    /// The arbiter's operations.
    pub fn arbiter(&self) -> &Arbiter<S> {
        &self.arbiter
    }
}

impl<S: Store> Coordination for ByArbiter<S> {
    fn authority(&self) -> Answer<'_, Authority> {
        async {
            let found = self.arbiter.authority().await.map_err(|error| unreachable(&error))?;
            let found = found.ok_or(Problem::ArbiterUnavailable)?;
            let site = found.record.held_by(&found.record.active).then(|| found.record.active.clone());
            Ok(Authority { site, revision: found.revision })
        }
        .boxed()
    }

    fn audit_begin(&self, draft: Draft) -> Answer<'_, Receipt> {
        async { self.arbiter.audit_begin(draft).await.map_err(|error| unaudited(&error)) }.boxed()
    }

    fn audit_complete<'a>(&'a self, receipt: &'a Receipt, completion: Completion) -> Answer<'a, ()> {
        async { self.arbiter.audit_complete(receipt, completion).await.map(drop).map_err(|error| unaudited(&error)) }
            .boxed()
    }

    fn audit_page<'a>(&'a self, site: &'a str, from: u64, limit: u64) -> Answer<'a, AuditPage> {
        async move { self.arbiter.audit_page(site, from, limit).await.map_err(|error| unreachable(&error)) }.boxed()
    }

    fn audit_segments<'a>(&'a self, site: &'a str) -> Answer<'a, Vec<Segment>> {
        async {
            let segments = self.arbiter.audit_segments(site).await.map_err(|error| unreachable(&error))?;
            Ok(segments.into_iter().map(|segment| segment.value).collect())
        }
        .boxed()
    }

    fn claim<'a>(&'a self, id: &'a str, record: &'a IdempotencyRecord, now: Timestamp) -> Answer<'a, Claimed> {
        async move { self.arbiter.idempotency_claim(id, record, now).await.map_err(|error| unreachable(&error)) }
            .boxed()
    }

    fn keep<'a>(
        &'a self,
        id: &'a str,
        revision: i64,
        record: &'a IdempotencyRecord,
        answer: &'a AnswerRecord,
    ) -> Answer<'a, ()> {
        async move {
            match self.arbiter.idempotency_answer(id, revision, record, answer).await {
                Ok(_) => Ok(()),
                Err(IdempotencyError::Read(error)) => Err(unreachable(&error)),
                Err(error @ IdempotencyError::TooLarge { .. }) => {
                    tracing::error!(error = %Chain(&error), "an answer is too large to be kept");
                    Err(Problem::Internal)
                }
            }
        }
        .boxed()
    }

    fn release<'a>(&'a self, id: &'a str, revision: i64) -> Answer<'a, ()> {
        async move {
            self.arbiter.idempotency_release(id, revision).await.map(drop).map_err(|error| unreachable(&error))
        }
        .boxed()
    }

    fn promise<'a>(&'a self, authority: i64, unit: &'a str, change: &'a Change) -> Answer<'a, ()> {
        async move {
            let _alone = self.promising.lock().await;
            match self.arbiter.promise(authority, unit, change).await {
                Ok(()) => Ok(()),
                Err(PromiseError::Refused(refusal)) => Err(Problem::OverBudget(refusal)),
                Err(PromiseError::NotAuthority) => Err(Problem::AuthorityMoved),
                Err(error) => Err(unreachable(&error)),
            }
        }
        .boxed()
    }

    fn published<'a>(&'a self, key: &'a ObjectKey) -> Answer<'a, Option<Published>> {
        async {
            let found = self.arbiter.spec(key).await.map_err(|error: ReadError| unreachable(&error))?;
            Ok(found.and_then(|found| match found.value {
                Record::Live(live) => Some(Published { origin: live.origin, spec: live.spec }),
                Record::Tombstone(_) => None,
            }))
        }
        .boxed()
    }

    fn buried<'a>(&'a self, key: &'a ObjectKey) -> Answer<'a, bool> {
        async {
            let found = self.arbiter.spec(key).await.map_err(|error: ReadError| unreachable(&error))?;
            Ok(found.is_some_and(|found| matches!(found.value, Record::Tombstone(_))))
        }
        .boxed()
    }

    fn versions<'a>(&'a self, key: &'a ObjectKey) -> Answer<'a, Vec<Versioned<Version>>> {
        async { self.arbiter.versions(key).await.map_err(|error| unreachable(&error)) }.boxed()
    }

    fn versions_of(&self, kind: Kind) -> Answer<'_, BTreeMap<ObjectKey, Vec<Versioned<Version>>>> {
        async move { self.arbiter.versions_of(kind).await.map_err(|error| unreachable(&error)) }.boxed()
    }

    fn drifts(&self) -> Answer<'_, Vec<(String, Drift)>> {
        async { self.arbiter.drifts().await.map_err(|error| unreachable(&error)) }.boxed()
    }

    fn asked<'a>(&'a self, id: &'a str) -> Answer<'a, Option<RequestRecord>> {
        async move {
            let found = self.arbiter.request(id).await.map_err(|error| unreachable(&error))?;
            Ok(found.map(|found| found.value))
        }
        .boxed()
    }

    fn report<'a>(&'a self, execution: &'a str) -> Answer<'a, Option<Value>> {
        async move { self.arbiter.report(execution).await.map_err(|error| unreachable(&error)) }.boxed()
    }
}

fn unreachable(error: &(dyn std::error::Error + 'static)) -> Problem {
    tracing::warn!(error = %Chain(error), "the arbiter cannot be used");
    Problem::ArbiterUnavailable
}

fn unaudited(error: &AuditError) -> Problem {
    tracing::warn!(error = %Chain(error), "nothing can be written to the audit chain");
    Problem::NoAudit
}
