//! Calls: what is sent, once and again, where, and what is said about it.

use super::server::{Pki, TOKEN, bare, json_answer, pending, problem, request, tandem};
use axum::http::Method;
use serde_json::json;
use std::time::{Duration, Instant};

const CREATE: &[&str] = &[
    "create",
    "--type",
    "create",
    "--environment",
    "health-new",
    "--cpu",
    "4",
    "--memory",
    "8Gi",
    "--storage",
    "100Gi",
    "--pods",
    "20",
    "--display-name",
    "卫健新业务",
    "--reason",
    "registration opens in May",
];

fn with<'a>(command: &[&'a str], more: &[&'a str]) -> Vec<&'a str> {
    [command, more].concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_for_is_sent_once_and_shown() {
    let pki = Pki::new();
    let api = pki.serve(None, |_, _| json_answer(201, &request(pending()))).await;
    let ran = tandem(&pki, &api, CREATE).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(
        ran.out,
        "health-3f9a0c417b2d  Create health-new (unit health)  Pending: it waits for a decision as Platform\n"
    );
    let seen = api.seen();
    let [call] = seen.as_slice() else { panic!("{seen:?}") };
    assert_eq!((&call.method, call.path.as_str()), (&Method::POST, "/v1/requests"));
    assert_eq!(call.header("authorization"), format!("Bearer {TOKEN}"));
    assert_eq!(call.header("accept-language"), "en");
    assert_eq!(call.header("content-type"), "application/json");
    let key: uuid::Uuid = call.header("idempotency-key").parse().unwrap();
    assert_eq!(key.get_version_num(), 4);
    assert_eq!(
        call.json(),
        json!({"type": "Create", "environment": "health-new", "displayName": {"zh": "卫健新业务"},
            "quota": {"cpu": "4", "memory": "8Gi", "storage": "100Gi", "pods": 20}, "reason": "registration opens in May"})
    );
    let again = tandem(&pki, &api, &with(CREATE, &["--output", "json", "--lang", "zh"])).await;
    assert_eq!(serde_json::from_str::<serde_json::Value>(&again.out).unwrap(), request(pending()));
    let call = api.seen().pop().unwrap();
    assert_eq!(call.header("accept-language"), "zh");
    assert_ne!(call.header("idempotency-key"), key.to_string(), "each call has a key of its own");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_says_what_is_asked_for() {
    let pki = Pki::new();
    let api = pki.serve(None, |_, _| json_answer(201, &request(pending()))).await;
    let file = pki.file("request.yaml");
    std::fs::write(&file, "type: Extend\nenvironment: health-lab\nuntil: 2027-06-30T00:00:00Z\nreason: it goes on\n")
        .unwrap();
    let ran = tandem(&pki, &api, &["create", "-f", file.to_str().unwrap()]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    let body = api.seen()[0].json();
    assert_eq!(
        body,
        json!({"type": "Extend", "environment": "health-lab", "until": "2027-06-30T00:00:00Z", "reason": "it goes on"})
    );
    std::fs::write(&file, "type: Extend\nreason: [it goes\nuntil: x\n").unwrap();
    let ran = tandem(&pki, &api, &["create", "-f", file.to_str().unwrap()]).await;
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("request.yaml, line 3"), "{}", ran.err);
    assert_eq!(api.seen().len(), 1, "nothing was sent");
    let ran = tandem(&pki, &api, &["create", "-f", file.to_str().unwrap(), "--cpu", "4"]).await;
    assert_eq!((ran.code, ran.err.contains("cannot be used with")), (2, true), "{}", ran.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_sent_on_once_with_the_same_key() {
    let pki = Pki::new();
    let active = pki.serve(None, |_, _| json_answer(201, &request(pending()))).await;
    let to = active.url.clone();
    let standby =
        pki.serve(None, move |_, _| problem(421, None, "Another site has authority", json!({"address": to}))).await;
    let ran = tandem(&pki, &standby, CREATE).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.err.contains(&format!("sending it to {} with the same Idempotency-Key", active.url)), "{}", ran.err);
    let (first, second) = (standby.seen(), active.seen());
    assert_eq!((first.len(), second.len()), (1, 1));
    assert_eq!(first[0].header("idempotency-key"), second[0].header("idempotency-key"));
    assert_eq!(first[0].body, second[0].body);
    assert_eq!(second[0].header("authorization"), format!("Bearer {TOKEN}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_not_sent_to_and_fro() {
    let pki = Pki::new();
    let third = pki.serve(None, |_, _| json_answer(201, &request(pending()))).await;
    let to = third.url.clone();
    let second = pki.serve(None, move |_, _| problem(421, None, "Another site", json!({"address": to}))).await;
    let to = second.url.clone();
    let first = pki.serve(None, move |_, _| problem(421, None, "Another site", json!({"address": to}))).await;
    let ran = tandem(&pki, &first, &with(CREATE, &["--idempotency-key", "k-7"])).await;
    assert_eq!(ran.code, 3, "{ran:?}");
    assert!(ran.err.contains("Another site (421)") && ran.err.contains("--idempotency-key k-7"), "{}", ran.err);
    assert_eq!((first.seen().len(), second.seen().len(), third.seen().len()), (1, 1, 0));
    let nowhere = pki.serve(None, |_, _| problem(421, None, "Another site", json!({}))).await;
    let ran = tandem(&pki, &nowhere, CREATE).await;
    assert_eq!((ran.code, ran.err.contains("(--api)")), (3, true), "{}", ran.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_sent_again_with_the_same_key_while_the_api_asks_to_wait() {
    let pki = Pki::new();
    let api = pki
        .serve(None, |_, nth| match nth {
            0 => problem(503, Some(1), "Authority is moving", json!({})),
            1 => problem(429, Some(0), "Too many requests", json!({})),
            2 => problem(409, Some(0), "Being worked on", json!({})),
            _ => json_answer(201, &request(pending())),
        })
        .await;
    let begun = Instant::now();
    let ran = tandem(&pki, &api, CREATE).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(begun.elapsed() >= Duration::from_secs(1));
    assert!(ran.err.contains("Authority is moving (503): so it is; trying again in 1 s"), "{}", ran.err);
    assert!(ran.err.contains("Too many requests (429)") && ran.err.contains("Being worked on (409)"), "{}", ran.err);
    let seen = api.seen();
    assert_eq!(seen.len(), 4);
    assert!(seen.iter().all(|call| call.header("idempotency-key") == seen[0].header("idempotency-key")));
    assert!(seen.iter().all(|call| call.body == seen[0].body));
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_given_up_in_time_and_can_be_repeated_by_its_key() {
    let pki = Pki::new();
    let api = pki
        .serve(None, |_, nth| match nth {
            0 => problem(503, Some(2), "No audit entry", json!({})),
            _ => {
                let mut answer = json_answer(201, &request(pending()));
                answer.headers_mut().insert("idempotency-replayed", "true".parse().unwrap());
                answer
            }
        })
        .await;
    let ran = tandem(&pki, &api, &with(CREATE, &["--wait", "1"])).await;
    assert_eq!(ran.code, 3, "{ran:?}");
    assert!(ran.err.contains("No audit entry (503)") && ran.err.contains("--wait"), "{}", ran.err);
    let key = api.seen()[0].header("idempotency-key").to_owned();
    assert!(ran.err.contains(&format!("--idempotency-key {key}")), "{}", ran.err);
    let ran = tandem(&pki, &api, &with(CREATE, &["--idempotency-key", &key])).await;
    assert_eq!((ran.code, ran.err.contains("done before under this key")), (0, true), "{ran:?}");
    assert_eq!(api.seen()[1].header("idempotency-key"), key);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_problem_is_shown_with_each_field_in_the_language() {
    let pki = Pki::new();
    let api = pki
        .serve(None, |call, _| {
            let title = if call.header("accept-language") == "zh" { "字段有误" } else { "Fields are wrong" };
            let errors = json!([
                {"field": "quota.cpu", "message": "must be more than 0", "messageZh": "必须大于 0"},
                {"field": "reason", "message": "is missing", "messageZh": "缺失"},
            ]);
            problem(400, None, title, json!({"errors": errors}))
        })
        .await;
    let ran = tandem(&pki, &api, CREATE).await;
    assert_eq!(ran.code, 1);
    let wanted = "error: Fields are wrong (400): so it is\n  quota.cpu: must be more than 0\n  reason: is missing\n";
    assert!(ran.err.contains(wanted), "{}", ran.err);
    let ran = tandem(&pki, &api, &with(CREATE, &["--lang", "zh"])).await;
    assert!(ran.err.contains("字段有误（400）") && ran.err.contains("quota.cpu：必须大于 0"), "{}", ran.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn exit_codes_by_what_the_api_says() {
    let pki = Pki::new();
    for (status, code, says) in [
        (401, 3, "--token-file"),
        (403, 1, "Not so (403)"),
        (404, 1, "Not so (404)"),
        (409, 1, "Not so (409)"),
        (422, 1, "Not so (422)"),
        (500, 3, "Not so (500)"),
        (503, 3, "Not so (503)"),
    ] {
        let api = pki.serve(None, move |_, _| problem(status, None, "Not so", json!({}))).await;
        let ran = tandem(&pki, &api, &["get", "health-1"]).await;
        assert_eq!(ran.code, code, "{ran:?}");
        assert!(ran.err.contains(says) && !ran.err.contains("Idempotency-Key"), "{}", ran.err);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_authoritys_api_is_not_spoken_to() {
    let (pki, other) = (Pki::new(), Pki::new());
    let api = other.serve(None, |_, _| json_answer(201, &request(pending()))).await;
    let ran = tandem(&pki, &api, CREATE).await;
    assert_eq!(ran.code, 3, "{ran:?}");
    assert!(ran.err.contains("certificate does not hold") && ran.err.contains("--ca"), "{}", ran.err);
    assert!(api.seen().is_empty(), "nothing was sent, the token least of all");
    // The name has to be the certificate's as well.
    let api = pki.serve(None, |_, _| json_answer(200, &request(pending()))).await;
    let token = pki.file("token");
    let url = api.url.replace("localhost", "127.0.0.1");
    let ran = bare(&pki, &url, &["get", "x", "--token-file", token.to_str().unwrap()], &[]).await;
    assert_eq!((ran.code, api.seen().len()), (3, 0), "{ran:?}");
    // Nor where a call is sent on to.
    let to = other.serve(None, |_, _| json_answer(201, &request(pending()))).await;
    let address = to.url.clone();
    let api = pki.serve(None, move |_, _| problem(421, None, "Another site", json!({"address": address}))).await;
    assert_eq!(tandem(&pki, &api, CREATE).await.code, 3);
    assert!(to.seen().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_answers() {
    let pki = Pki::new();
    let ran = bare(&pki, "https://localhost:1", CREATE, &[("TANDEM_TOKEN", TOKEN)]).await;
    assert_eq!(ran.code, 3);
    assert!(
        ran.err.contains("no answer from https://localhost:1: it cannot be reached")
            && ran.err.contains("--idempotency-key"),
        "{}",
        ran.err
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_signs_in_by_certificate_or_by_the_environment() {
    let (pki, people) = (Pki::new(), Pki::new());
    let api = pki.serve(Some(&people), |_, _| json_answer(200, &json!({"items": []}))).await;
    let (cert, key) = people.person("li");
    let (cert, key) = (cert.to_str().unwrap(), key.to_str().unwrap());
    let ran = bare(&pki, &api.url, &["list", "--cert", cert, "--key", key], &[("TANDEM_TOKEN", TOKEN)]).await;
    assert_eq!((ran.code, ran.out.as_str()), (0, "No requests.\n"), "{ran:?}");
    let ran = bare(&pki, &api.url, &["list", "--lang", "zh"], &[("TANDEM_CERT", cert), ("TANDEM_KEY", key)]).await;
    assert_eq!((ran.code, ran.out.as_str()), (0, "没有申请。\n"), "{ran:?}");
    assert!(api.seen().iter().all(|call| call.header("authorization").is_empty()));
    let ran = bare(&pki, &api.url, &["list"], &[("TANDEM_TOKEN", TOKEN)]).await;
    assert_eq!((ran.code, api.seen().len()), (3, 2), "a certificate is wanted there: {ran:?}");
    let open = pki.serve(None, |_, _| json_answer(200, &json!({"items": []}))).await;
    let ran = bare(&pki, &open.url, &["list"], &[("TANDEM_TOKEN", TOKEN)]).await;
    assert_eq!((ran.code, open.seen()[0].header("authorization")), (0, format!("Bearer {TOKEN}").as_str()));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_for_a_connection_is_wrong_usage() {
    let pki = Pki::new();
    for (url, arguments, variables, says) in [
        ("https://localhost:1", &["list"][..], &[][..], "--token-file"),
        ("http://localhost:1", &["list"], &[("TANDEM_TOKEN", TOKEN)], "https://"),
        ("https://localhost:1", &["list"], &[("TANDEM_TOKEN", TOKEN), ("TANDEM_TOKEN_FILE", "x")], "twice"),
        ("https://localhost:1", &["list", "--token-file", "/nowhere/token"], &[], "/nowhere/token"),
        ("https://localhost:1", &["list", "--ca", "/nowhere/ca"], &[("TANDEM_TOKEN", TOKEN)], "/nowhere/ca"),
        ("https://localhost:1", &["list", "--cert", "a"], &[], "--key"),
        ("https://localhost:1", &["create"], &[("TANDEM_TOKEN", TOKEN)], "--type"),
    ] {
        let ran = bare(&pki, url, arguments, variables).await;
        assert_eq!(ran.code, 2, "{ran:?}");
        assert!(ran.err.contains(says), "{says}: {}", ran.err);
    }
    let empty = pki.file("empty");
    std::fs::write(&empty, "no PEM").unwrap();
    let ran =
        bare(&pki, "https://localhost:1", &["list", "--ca", empty.to_str().unwrap()], &[("TANDEM_TOKEN", TOKEN)]).await;
    assert_eq!((ran.code, ran.err.contains("it is no authority")), (2, true), "{}", ran.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_that_repeats_a_token_brings_it_onto_no_screen() {
    let pki = Pki::new();
    let api = pki
        .serve(None, |call, _| {
            problem(401, None, "Who?", json!({"detail": format!("not {}", call.header("authorization"))}))
        })
        .await;
    let ran = tandem(&pki, &api, &["get", "x"]).await;
    assert!(ran.err.contains("not Bearer …"), "{}", ran.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_has_all_pages_and_its_filters() {
    let pki = Pki::new();
    let api = pki
        .serve(None, |call, _| {
            let next = if call.path.contains("continue=a%2Fb") { json!(null) } else { json!("a/b") };
            json_answer(200, &json!({"items": [request(pending())], "continue": next}))
        })
        .await;
    let filters = [
        "list",
        "--unit",
        "health&limit=1",
        "--type",
        "create",
        "--phase",
        "PartiallyProvisioned",
        "--environment",
        "health-new",
    ];
    let ran = tandem(&pki, &api, &filters).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(ran.out.matches("health-3f9a0c417b2d").count(), 2, "{}", ran.out);
    let paths: Vec<String> = api.seen().into_iter().map(|call| call.path).collect();
    let query = "limit=200&unit=health%26limit%3D1&environment=health-new&type=Create&phase=PartiallyProvisioned";
    assert_eq!(paths, [format!("/v1/requests?{query}"), format!("/v1/requests?{query}&continue=a%2Fb")]);
    let ran = tandem(&pki, &api, &["list", "-o", "json"]).await;
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(&ran.out).unwrap(),
        json!([request(pending()), request(pending())])
    );
    let circle = pki.serve(None, |_, _| json_answer(200, &json!({"items": [], "continue": "x"}))).await;
    let ran = tandem(&pki, &circle, &["list"]).await;
    assert_eq!((ran.code, circle.seen().len()), (3, 2), "{ran:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_decision_is_on_the_digest_that_was_shown() {
    let pki = Pki::new();
    let api = pki
        .serve(None, |call, _| match (call.method.clone(), call.path.as_str()) {
            (Method::GET, "/v1/requests/health-1") => json_answer(200, &request(pending())),
            (Method::GET, "/v1/units/health") => json_answer(
                200,
                &json!({"name": "health", "spec": {"budget": {"cpu": "64", "memory": "256Gi", "storage": "10Ti", "pods": 500, "environments": 4}},
                    "status": {"environments": 2, "used": {"cpu": "40", "memory": "160Gi", "storage": "2Ti", "pods": 300}}}),
            ),
            (Method::POST, "/v1/requests/health-1/decisions") => {
                json_answer(202, &request(json!({"phase": "Approved", "message": "it is approved", "messageZh": "申请已批准"})))
            }
            _ => problem(404, None, "Not found", json!({})),
        })
        .await;
    let ran = tandem(&pki, &api, &["approve", "health-1"]).await;
    assert_eq!(ran.code, 2, "nobody can be asked: {ran:?}");
    assert!(ran.err.contains("--yes") && ran.err.contains("tandem request get"), "{}", ran.err);
    assert!(api.seen().iter().all(|call| call.method == Method::GET));
    let ran = tandem(&pki, &api, &["approve", "health-1", "--yes", "--note", "as agreed", "--role", "platform"]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    for said in [
        "asked by",
        "li, 2026-03-01 08:00 UTC",
        "registration opens in May",
        "UNIT'S BUDGET",
        "256Gi",
        "about to approve",
    ] {
        assert!(ran.err.contains(said), "{said}: {}", ran.err);
    }
    assert!(ran.out.ends_with("Approved: it is approved\n"), "{}", ran.out);
    let sent = api.seen().pop().unwrap();
    let digest = request(pending())["digest"].clone();
    assert_eq!(sent.json(), json!({"outcome": "Approve", "role": "Platform", "digest": digest, "note": "as agreed"}));
    assert!(!sent.header("idempotency-key").is_empty());
    let ran = tandem(&pki, &api, &["reject", "health-1", "-y"]).await;
    assert!(ran.err.contains("reject this, which ends it"), "{}", ran.err);
    assert_eq!(api.seen().pop().unwrap().json(), json!({"outcome": "Reject", "digest": digest}));
}

#[tokio::test(flavor = "multi_thread")]
async fn content_that_moved_meanwhile_is_said_and_others_are_not_retried() {
    let pki = Pki::new();
    let api = pki
        .serve(None, |call, _| match call.method {
            Method::GET if call.path.starts_with("/v1/requests/") => json_answer(200, &request(pending())),
            Method::POST => problem(409, None, "Not as things stand", json!({"reason": "ContentMoved"})),
            _ => problem(403, None, "Not allowed", json!({})),
        })
        .await;
    let ran = tandem(&pki, &api, &["approve", "health-1", "--yes"]).await;
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.err.contains("changed after it was shown to you"), "{}", ran.err);
    assert_eq!(api.seen().iter().filter(|call| call.method == Method::POST).count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn words_take_things_back() {
    let pki = Pki::new();
    let api = pki.serve(None, |_, _| json_answer(202, &request(json!({"phase": "Withdrawn"})))).await;
    assert_eq!(tandem(&pki, &api, &["withdraw", "health-1", "--note", "not needed"]).await.code, 0);
    assert_eq!(tandem(&pki, &api, &["undo", "health/../1"]).await.code, 0);
    let seen = api.seen();
    assert_eq!(
        (seen[0].path.as_str(), seen[0].json()),
        ("/v1/requests/health-1/withdraw", json!({"note": "not needed"}))
    );
    assert_eq!((seen[1].path.as_str(), seen[1].json()), ("/v1/requests/health%2F..%2F1/undo", json!({})));
}
