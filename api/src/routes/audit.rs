//! `/v1/audit`: the chains of both sites, and proofs that an entry is in one.

use super::extract::Pairs;
use crate::authorise::{Action, authorise};
use crate::identity::Principal;
use crate::problem::{Fault, FieldFault, Problem};
use crate::state::AppState;
use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tandem_core::audit::{Entry, Head, Proof, Segment, to_file};

/// How many entries a page has where nothing is said, and at most.
const ENTRIES: (u64, u64) = (100, 500);
/// How many entries may follow the one that is to be proved: two segments.
const FOLLOW: u64 = 2_000;

/// How many entries a file has at most, about.
const EXPORTED: usize = 20_000;

/// A page of a site's chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AuditPage {
    /// The entries, in order. Those of segments that were exported and dropped are not among them.
    pub(crate) entries: Vec<Entry>,
    /// What to give as `from` for the next page; absent at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) next: Option<u64>,
    /// How far the chain went when this was read. Keep it elsewhere: by it, it is found out whether the chain was written anew.
    pub(crate) head: Head,
}

/// The sealed segments of a site's chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct AuditSegments {
    /// The segments, in order, without their entries.
    pub(crate) items: Vec<Segment>,
}

/// That an entry is in a chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(transparent)]
pub(crate) struct AuditProof(Proof);

/// What is asked of a chain.
struct Asked {
    site: String,
    numbers: [(&'static str, Option<u64>); 2],
}

/// Reads a query with a site and two numbers, each within its range.
fn asked(
    state: &AppState,
    pairs: Vec<(String, String)>,
    known: [(&'static str, (u64, u64)); 2],
) -> Result<Asked, Problem> {
    let mut asked = Asked { site: state.site.to_string(), numbers: known.map(|(name, _)| (name, None)) };
    let mut faults = Vec::new();
    let mut seen = std::collections::BTreeSet::new();
    for (field, value) in pairs {
        let place = known.iter().position(|(name, _)| !name.is_empty() && *name == field);
        let fault = if !seen.insert(field.clone()) {
            Some(Fault::Twice)
        } else if field == "site" {
            let there = state.addresses.contains_key(&value);
            asked.site = value;
            (!there).then(|| Fault::Said(format!("there is no such site; there are {}", sites(state))))
        } else if let Some(place) = place {
            let (least, most) = known[place].1;
            let number = value.parse().ok().filter(|number| (least..=most).contains(number));
            asked.numbers[place].1 = number;
            number.is_none().then_some(Fault::Range { least, most })
        } else {
            let names = known.iter().map(|(name, _)| *name).filter(|name| !name.is_empty());
            Some(Fault::Unknown { known: std::iter::once("site").chain(names).collect() })
        };
        faults.extend(fault.map(|fault| FieldFault { field, fault }));
    }
    if faults.is_empty() { Ok(asked) } else { Err(Problem::Invalid(faults)) }
}

fn sites(state: &AppState) -> String {
    state.addresses.keys().cloned().collect::<Vec<_>>().join(", ")
}

/// Entries of a site's audit chain, in order. `tandem audit verify` checks them offline.
#[utoipa::path(get, path = "/v1/audit", tag = "audit", operation_id = "readAudit",
    params(
        ("site" = Option<String>, Query, description = "Whose chain; this site's where it is left out."),
        ("from" = Option<u64>, Query, minimum = 1, description = "The number of the first entry; 1 where it is left out."),
        ("limit" = Option<u64>, Query, minimum = 1, maximum = 500, description = "How many entries at most; 100 where it is left out."),
    ),
    responses((status = 200, description = "A page of the chain.", body = AuditPage)))]
pub(crate) async fn page(
    principal: Principal,
    State(state): State<AppState>,
    Pairs(pairs): Pairs,
) -> Result<Json<AuditPage>, Problem> {
    authorise(&principal, Action::ReadAudit)?;
    let Asked { site, numbers: [(_, from), (_, limit)] } =
        asked(&state, pairs, [("from", (1, i64::MAX as u64)), ("limit", (1, ENTRIES.1))])?;
    let page = state.coordination.audit_page(&site, from.unwrap_or(1), limit.unwrap_or(ENTRIES.0)).await?;
    Ok(Json(AuditPage { entries: page.entries, next: page.next, head: page.head }))
}

/// A site's audit chain as a file, as `tandem audit verify` reads it: from the number `from` on, at most 20 000 entries.
#[utoipa::path(get, path = "/v1/audit/file", tag = "audit", operation_id = "exportAudit",
    params(
        ("site" = Option<String>, Query, description = "Whose chain; this site's where it is left out."),
        ("from" = Option<u64>, Query, minimum = 1, description = "The number of the first entry; 1 where it is left out."),
    ),
    responses((status = 200, description = "The file.", content_type = "application/x-ndjson", body = String)))]
pub(crate) async fn file(
    principal: Principal,
    State(state): State<AppState>,
    Pairs(pairs): Pairs,
) -> Result<Response, Problem> {
    authorise(&principal, Action::ReadAudit)?;
    let Asked { site, numbers: [(_, from), _] } = asked(&state, pairs, [("from", (1, i64::MAX as u64)), ("", (0, 0))])?;
    let mut entries: Vec<Entry> = Vec::new();
    let mut next = Some(from.unwrap_or(1));
    while let Some(at) = next.filter(|_| entries.len() < EXPORTED) {
        let page = state.coordination.audit_page(&site, at, ENTRIES.1).await?;
        entries.extend(page.entries);
        next = page.next;
    }
    let first = entries.first().ok_or(Problem::NotFound)?;
    let start = Head { seq: first.seq.saturating_sub(1), hash: first.previous.clone() };
    let text = to_file(&start, &site, &entries).map_err(|broken| {
        tracing::error!(error = %tandem_logs::Chain(&broken), of_site = site, "the audit chain does not hang together");
        Problem::ChainBroken { seq: broken.seq }
    })?;
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], text).into_response())
}

/// The sealed segments of a site's audit chain.
#[utoipa::path(get, path = "/v1/audit/segments", tag = "audit", operation_id = "readAuditSegments",
    params(("site" = Option<String>, Query, description = "Whose chain; this site's where it is left out.")),
    responses((status = 200, description = "The segments.", body = AuditSegments)))]
pub(crate) async fn segments(
    principal: Principal,
    State(state): State<AppState>,
    Pairs(pairs): Pairs,
) -> Result<Json<AuditSegments>, Problem> {
    authorise(&principal, Action::ReadAudit)?;
    let Asked { site, .. } = asked(&state, pairs, [("", (0, 0)); 2])?;
    Ok(Json(AuditSegments { items: state.coordination.audit_segments(&site).await? }))
}

/// A proof that an entry is in a site's chain: the entry, and digests of what follows it, which give nothing away. It leads to
/// the end of the sealed segment that the entry is in, or, where that is not sealed yet, to the chain's present head.
#[utoipa::path(get, path = "/v1/audit/proof", tag = "audit", operation_id = "proveAudit",
    params(
        ("site" = Option<String>, Query, description = "Whose chain; this site's where it is left out."),
        ("seq" = u64, Query, minimum = 1, description = "The number of the entry."),
    ),
    responses((status = 200, description = "The proof.", body = AuditProof)))]
pub(crate) async fn proof(
    principal: Principal,
    State(state): State<AppState>,
    Pairs(pairs): Pairs,
) -> Result<Json<AuditProof>, Problem> {
    authorise(&principal, Action::ReadAudit)?;
    let Asked { site, numbers: [(name, seq), _] } =
        asked(&state, pairs, [("seq", (1, i64::MAX as u64)), ("", (0, 0))])?;
    let missing = Fault::Range { least: 1, most: i64::MAX as u64 };
    let seq = seq.ok_or_else(|| Problem::Invalid(vec![FieldFault { field: name.to_owned(), fault: missing }]))?;
    let segments = state.coordination.audit_segments(&site).await?;
    let sealed = segments.iter().find(|segment| (segment.first..=segment.last).contains(&seq));
    let upto = sealed.map_or(FOLLOW, |segment| segment.last - seq + 1);
    let page = state.coordination.audit_page(&site, seq, upto).await?;
    if page.next.is_some() && sealed.is_none() {
        // More than two segments wait to be sealed: a proof would grow without end.
        return Err(Problem::NotRead);
    }
    Proof::of(seq, &page.entries).map(|proof| Json(AuditProof(proof))).ok_or(Problem::NotFound)
}
