//! Between our plain data and etcd's messages.

use std::error::Error as _;

use etcd_client::{
    Compare as EtcdCompare, CompareOp, Error, EventType, GetOptions, KeyValue, Txn as EtcdTxn, TxnOp, TxnOpResponse,
    TxnResponse, WatchResponse,
};
use tonic::{Code, ConnectError};

use super::super::{Cause, Event, StoreError, WatchBatch};
use super::prefix_end;
use crate::txn::{Compare, Kv, Op, Ordering, Origin, Server, Span, Target, Txn, TxnAnswer};

pub(super) fn request(txn: &Txn) -> EtcdTxn {
    EtcdTxn::new()
        .when(txn.compare.iter().map(compare).collect::<Vec<_>>())
        .and_then(txn.then.iter().map(op).collect::<Vec<_>>())
        .or_else(txn.otherwise.iter().map(op).collect::<Vec<_>>())
}

fn compare(compare: &Compare) -> EtcdCompare {
    let ordering = match compare.ordering {
        Ordering::Equal => CompareOp::Equal,
        Ordering::Less => CompareOp::Less,
        Ordering::Greater => CompareOp::Greater,
        Ordering::NotEqual => CompareOp::NotEqual,
    };
    let (Span::Key(key) | Span::Prefix(key)) = &compare.span;
    let built = match &compare.target {
        Target::Mod(revision) => EtcdCompare::mod_revision(key.as_str(), ordering, *revision),
        Target::Create(revision) => EtcdCompare::create_revision(key.as_str(), ordering, *revision),
        Target::Value(value) => EtcdCompare::value(key.as_str(), ordering, value.as_slice()),
    };
    match &compare.span {
        Span::Key(_) => built,
        Span::Prefix(prefix) => built.with_range(prefix_end(prefix)),
    }
}

fn op(op: &Op) -> TxnOp {
    match op {
        Op::Put { key, value } => TxnOp::put(key.as_str(), value.as_slice(), None),
        Op::Delete { key } => TxnOp::delete(key.as_str(), None),
        Op::Get(Span::Key(key)) => TxnOp::get(key.as_str(), None),
        Op::Get(Span::Prefix(prefix)) => {
            TxnOp::get(prefix.as_str(), Some(GetOptions::new().with_range(prefix_end(prefix))))
        }
    }
}

pub(super) fn answer(response: &TxnResponse) -> Result<TxnAnswer, StoreError> {
    let reads = response
        .op_responses()
        .iter()
        .map(|response| match response {
            TxnOpResponse::Get(get) => get.kvs().iter().map(kv).collect(),
            _ => Ok(Vec::new()),
        })
        .collect::<Result<_, _>>()?;
    Ok(TxnAnswer {
        succeeded: response.succeeded(),
        revision: response.header().map_or(0, etcd_client::ResponseHeader::revision),
        reads,
        origin: response.header().map(origin).unwrap_or_default(),
    })
}

pub(super) fn server(header: &etcd_client::ResponseHeader) -> Server {
    Server { member: header.member_id(), term: header.raft_term() }
}

pub(super) fn origin(header: &etcd_client::ResponseHeader) -> Origin {
    Origin { cluster: header.cluster_id(), server: server(header) }
}

pub(super) fn kv(kv: &KeyValue) -> Result<Kv, StoreError> {
    let key = kv.key_str().map_err(|_| StoreError::Refused(Cause::new("a key under our prefix is not UTF-8")))?;
    Ok(Kv {
        key: key.to_owned(),
        value: kv.value().to_vec(),
        create_revision: kv.create_revision(),
        mod_revision: kv.mod_revision(),
    })
}

/// The batch in a watch's message; `None` for messages that only say that the watch was set up.
pub(super) fn batch(response: &WatchResponse) -> Option<Result<WatchBatch, StoreError>> {
    if response.compact_revision() > 0 {
        return Some(Err(StoreError::Compacted { from: response.compact_revision() }));
    }
    if response.canceled() {
        let reason = response.cancel_reason();
        return Some(Err(StoreError::Unavailable(Cause::new(format!("the watch was cancelled: {reason}")))));
    }
    if response.created() {
        return None;
    }
    let events: Result<Vec<Event>, StoreError> = response.events().iter().filter_map(event).collect();
    let header = response.header().map_or(0, etcd_client::ResponseHeader::revision);
    Some(events.map(|events| WatchBatch {
        // A message of events may be older than the store's revision in its header.
        revision: events.last().map_or(header, Event::revision),
        events,
        origin: response.header().map(origin).unwrap_or_default(),
    }))
}

fn event(event: &etcd_client::Event) -> Option<Result<Event, StoreError>> {
    let found = event.kv()?;
    Some(kv(found).map(|kv| match event.event_type() {
        EventType::Put => Event::Put(kv),
        EventType::Delete => Event::Delete { key: kv.key, revision: kv.mod_revision },
    }))
}

/// What an error of etcd's client means for the request: was it certainly not carried out, or is that unknown?
pub(super) fn failure(error: &Error) -> StoreError {
    let cause = Cause::new(error.to_string());
    let Error::GRpcStatus(status) = error else {
        return match error {
            Error::InvalidArgs(_) | Error::InvalidUri(_) => StoreError::Refused(cause),
            _ => StoreError::Unknown(cause),
        };
    };
    if never_sent(status) {
        return StoreError::Unavailable(cause);
    }
    // Only what etcd itself says is certain. The client library uses the same codes for answers that it cannot read, of
    // transactions that were carried out.
    let Some(said) = status.message().strip_prefix("etcdserver: ") else {
        return StoreError::Unknown(cause);
    };
    match status.code() {
        Code::OutOfRange if said.contains("compacted") => StoreError::Compacted { from: 0 },
        // Found before a request is proposed, or when it is applied and before it has changed anything.
        Code::InvalidArgument
        | Code::FailedPrecondition
        | Code::OutOfRange
        | Code::PermissionDenied
        | Code::Unauthenticated
        | Code::Unimplemented
        | Code::NotFound => StoreError::Refused(cause),
        Code::ResourceExhausted if said == "too many requests" => StoreError::Refused(cause),
        // etcd's interceptor, before the request is looked at.
        Code::Unavailable if said == "no leader" => StoreError::Unavailable(cause),
        // Not certain, for one: "mvcc: database space exceeded". The transaction that first passes the quota is applied and
        // then answered with it.
        _ => StoreError::Unknown(cause),
    }
}

/// Whether there was no connection to send it over.
fn never_sent(status: &tonic::Status) -> bool {
    let mut source = status.source();
    while let Some(error) = source {
        if error.is::<ConnectError>() {
            return true;
        }
        source = error.source();
    }
    false
}
