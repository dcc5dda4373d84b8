//! Reading the chains.

use super::*;
use crate::identity::Role::Auditor;
use tandem_arbiter::Arbiter;
use tandem_core::audit::{Actor, Draft, Entry, Head, Outcome, Proof, Segment, verify, verify_file};

pub(super) fn entry(n: usize) -> Draft {
    Draft {
        id: format!("id-{n}"),
        at: at(10),
        actor: Actor { name: "wang".to_owned(), ..Actor::default() },
        action: "requests.approve".to_owned(),
        object: format!("environmentrequests/r-{n}"),
        before: None,
        after: None,
        outcome: Outcome::Done,
        begun: None,
        trace: None,
    }
}

async fn with_entries(count: usize) -> Api {
    let api = Api::over(city());
    let arbiter = Arbiter::new(api.site.store.clone(), "dc-a");
    for n in 0..count {
        let draft = entry(n);
        arbiter.audit_append(&draft).await.unwrap();
    }
    api
}

#[tokio::test]
async fn the_pages_are_a_chain_that_is_verified_offline() {
    let api = with_entries(7).await;
    let (_, _, first) = api.get(Auditor, "/v1/audit?limit=4").await;
    let (_, _, second) = api.get(Auditor, &format!("/v1/audit?from={}&limit=4", first["next"])).await;
    assert!(second.get("next").is_none());
    let entries: Vec<Entry> = [&first, &second]
        .into_iter()
        .flat_map(|page| page["entries"].as_array().unwrap().clone())
        .map(|entry| serde_json::from_value(entry).unwrap())
        .collect();
    let head: Head = serde_json::from_value(second["head"].clone()).unwrap();
    assert_eq!(verify(&Head::genesis("dc-a"), "dc-a", &entries), Ok(head.clone()));
    let (status, headers, file) = api.get(Auditor, "/v1/audit/file").await;
    assert_eq!((status, &headers["content-type"]), (200, &"application/x-ndjson".parse().unwrap()));
    let file = file.as_str().unwrap();
    assert_eq!(verify_file(file.as_bytes(), vec![head.clone()]).unwrap().head, head);
    let changed = file.replacen("wang", "wong", 1);
    assert!(verify_file(changed.as_bytes(), vec![head]).is_err(), "one byte is found");
    let (_, _, rest) = api.get(Auditor, "/v1/audit/file?from=4").await;
    assert_eq!(verify_file(rest.as_str().unwrap().as_bytes(), Vec::new()).unwrap().head.seq, 7);
}

#[tokio::test]
async fn a_proof_leads_to_the_head_and_to_a_sealed_segment() {
    let api = with_entries(7).await;
    let (status, _, proof) = api.get(Auditor, "/v1/audit/proof?seq=3").await;
    let proof: Proof = serde_json::from_value(proof).unwrap();
    let (_, _, page) = api.get(Auditor, "/v1/audit").await;
    let head: Head = serde_json::from_value(page["head"].clone()).unwrap();
    assert_eq!((status, proof.verify("dc-a", &head)), (200, Ok(())));
    let arbiter = Arbiter::new(api.site.store.clone(), "dc-a");
    arbiter.audit_seal(5, at(10)).await.unwrap().unwrap();
    let (_, _, segments) = api.get(Auditor, "/v1/audit/segments").await;
    let segment: Segment = serde_json::from_value(segments["items"][0].clone()).unwrap();
    let (_, _, proof) = api.get(Auditor, "/v1/audit/proof?seq=3&site=dc-a").await;
    let proof: Proof = serde_json::from_value(proof).unwrap();
    assert_eq!(proof.verify("dc-a", &segment.head()), Ok(()));
    assert_eq!(api.get(Auditor, "/v1/audit/proof?seq=8").await.0, 404);
    assert_eq!(api.get(Auditor, "/v1/audit/proof?seq=1&site=dc-b").await.0, 404, "that chain is empty");
}

#[tokio::test]
async fn what_is_asked_wrongly_is_named() {
    let api = with_entries(1).await;
    for query in [
        "audit?from=0",
        "audit?limit=501",
        "audit?site=dc-z",
        "audit?who=li",
        "audit/proof",
        "audit/proof?seq=x",
        "audit/segments?seq=1",
        "audit?limit=1&limit=2",
    ] {
        let (status, _, problem) = api.get(Auditor, &format!("/v1/{query}")).await;
        assert_eq!((status, problem["errors"].as_array().map(Vec::len)), (400, Some(1)), "{query}: {problem}");
    }
}
