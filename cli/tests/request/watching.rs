//! Following: what comes as events, also where the stream breaks off.

use super::server::{Pki, Seen, TOKEN, json_answer, pending, problem, request, tandem};
use axum::body::{Body, Bytes};
use axum::response::Response;
use futures::StreamExt;
use serde_json::{Value, json};
use std::convert::Infallible;
use std::time::Duration;
use tandem_cli::exit::Exit;
use tandem_cli::language::Lang;
use tandem_cli::request::access::Access;
use tandem_cli::request::args::ApiArgs;
use tandem_cli::request::client::Client;
use tandem_cli::request::watch::{How, Pace, follow};

fn is_stream(call: &Seen) -> bool {
    call.path == "/v1/requests/health-1/events"
}

fn event(id: &str, status: Value) -> String {
    format!("event: request\nid: {id}\nretry: 50\ndata: {}\n\n", request(status))
}

const END: &str = "event: end\ndata: {}\n\n";

fn provisioning() -> Value {
    json!({"phase": "Provisioning", "message": "the sites are at work", "messageZh": "各站点正在处理",
        "provisioning": [{"site": "dc-a", "generation": 1, "phase": "Provisioning", "message": "no node has room"}]})
}

fn provisioned() -> Value {
    json!({"phase": "Provisioned", "message": "every site has done it", "messageZh": "各站点均已完成",
        "provisioning": [{"site": "dc-a", "generation": 1, "phase": "Provisioned"},
            {"site": "dc-b", "generation": 1, "phase": "Provisioned"}]})
}

/// A stream of these pieces, which ends after them.
fn stream(pieces: Vec<String>) -> Response {
    let pieces = futures::stream::iter(pieces).map(|piece| Ok::<_, Infallible>(Bytes::from(piece)));
    Response::builder().header("content-type", "text/event-stream").body(Body::from_stream(pieces)).unwrap()
}

/// A stream that stays open after these pieces.
fn open_stream(pieces: Vec<String>) -> Response {
    let pieces = futures::stream::iter(pieces).map(|piece| Ok::<_, Infallible>(Bytes::from(piece)));
    let body = Body::from_stream(pieces.chain(futures::stream::pending()));
    Response::builder().header("content-type", "text/event-stream").body(body).unwrap()
}

/// What is told, without the times at the front.
fn told(out: &str) -> Vec<&str> {
    out.lines()
        .map(|line| {
            let (time, rest) = line.split_once(' ').unwrap();
            assert!(time.len() == 20 && time.ends_with('Z'), "{line}");
            rest
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_is_taken_up_again_where_it_broke_off() {
    let pki = Pki::new();
    let streams = std::sync::atomic::AtomicUsize::new(0);
    let api = pki
        .serve(None, move |call, _| {
            if !is_stream(call) {
                return json_answer(200, &request(pending()));
            }
            match streams.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
                // The second event is cut off within its data.
                0 => stream(vec![event("a1", pending()), event("b2", provisioning())[..80].to_owned()]),
                1 => problem(503, None, "Overloaded", json!({})),
                2 => stream(vec![": \n\n".to_owned(), event("b2", provisioning())]),
                _ => stream(vec![event("c3", provisioned()), END.to_owned()]),
            }
        })
        .await;
    let ran = tandem(&pki, &api, &["watch", "health-1"]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(
        told(&ran.out),
        [
            "health-3f9a0c417b2d Create health-new, asked by li: registration opens in May",
            "health-3f9a0c417b2d Pending: it waits for a decision as Platform",
            "health-3f9a0c417b2d Provisioning: the sites are at work",
            "health-3f9a0c417b2d [dc-a] Provisioning: no node has room",
            "health-3f9a0c417b2d Provisioned: every site has done it",
            "health-3f9a0c417b2d [dc-a] Provisioned",
            "health-3f9a0c417b2d [dc-b] Provisioned",
        ]
    );
    assert_eq!(ran.err.matches("Overloaded (503)").count(), 1, "{}", ran.err);
    let all = api.seen();
    let seen: Vec<&Seen> = all.iter().filter(|call| is_stream(call)).collect();
    let last: Vec<&str> = seen.iter().map(|call| call.header("last-event-id")).collect();
    assert_eq!(last, ["", "a1", "a1", "b2"]);
    assert!(seen.iter().all(|call| call.header("accept") == "text/event-stream"));
}

#[tokio::test(flavor = "multi_thread")]
async fn it_ends_as_the_request_does() {
    let pki = Pki::new();
    let rejected = json!({"phase": "Rejected", "message": "wang refused it as Platform", "messageZh": "wang 以系统管理员身份驳回"});
    for (pieces, code, out, err) in [
        (vec![event("1", rejected.clone()), END.to_owned()], 1, "已驳回：wang 以系统管理员身份驳回", ""),
        (vec![event("1", json!({"phase": "Withdrawn"})), END.to_owned()], 1, "已撤回", ""),
        (vec![event("1", pending()), END.to_owned()], 1, "待审批", "no longer there"),
        (vec![event("1", provisioned())], 0, "已开通", ""),
        (vec!["event: request\ndata: {\"name\": 7}\n\n".to_owned()], 3, "", "older than the API"),
    ] {
        let api =
            pki.serve(None, move |call, _| {
                if is_stream(call) { stream(pieces.clone()) } else { json_answer(200, &request(pending())) }
            })
            .await;
        let ran = tandem(&pki, &api, &["watch", "health-1", "--lang", "zh"]).await;
        assert_eq!(ran.code, code, "{ran:?}");
        assert!(ran.out.contains(out) && ran.err.contains(err), "{ran:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_seen_is_not_waited_for() {
    let pki = Pki::new();
    let nothing = pki.serve(None, |_, _| problem(404, None, "Not found", json!({}))).await;
    let ran = tandem(&pki, &nothing, &["watch", "health-1"]).await;
    assert_eq!((ran.code, nothing.seen().len()), (1, 1), "{ran:?}");
    let streams = std::sync::atomic::AtomicUsize::new(0);
    let no_longer = pki
        .serve(None, move |call, _| match is_stream(call) {
            false => json_answer(200, &request(pending())),
            true if streams.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 0 => {
                stream(vec![event("1", pending())])
            }
            true => problem(401, None, "Not signed in", json!({})),
        })
        .await;
    let ran = tandem(&pki, &no_longer, &["watch", "health-1"]).await;
    assert_eq!(ran.code, 3, "{ran:?}");
    assert!(ran.err.contains("Not signed in (401)"), "{}", ran.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_timeout_says_that_it_goes_on() {
    let pki = Pki::new();
    let api = pki
        .serve(None, |call, _| {
            if is_stream(call) {
                open_stream(vec![event("1", pending())])
            } else {
                json_answer(200, &request(pending()))
            }
        })
        .await;
    let ran = tandem(&pki, &api, &["watch", "health-1", "--timeout", "1"]).await;
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.err.contains("has not ended after 1 s; it goes on by itself"), "{}", ran.err);
    assert_eq!(told(&ran.out).len(), 2, "what came was told at once: {}", ran.out);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_just_made_is_followed_also_where_it_does_not_show_yet() {
    let pki = Pki::new();
    let api = pki
        .serve(None, |call, nth| match nth {
            0 => json_answer(201, &request(pending())),
            1 => problem(404, None, "Not found", json!({})),
            _ => {
                assert_eq!(call.path, "/v1/requests/health-3f9a0c417b2d/events");
                stream(vec![event("1", provisioned()), END.to_owned()])
            }
        })
        .await;
    let what =
        ["create", "--type", "delete", "--environment", "health-new", "--reason", "x", "--watch", "--timeout", "30"];
    let ran = tandem(&pki, &api, &what).await;
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{ran:?}");
    assert_eq!(api.seen().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_that_falls_silent_is_taken_for_lost() {
    let pki = Pki::new();
    let api = pki
        .serve(None, |_, nth| match nth {
            0 => open_stream(vec![event("1", pending())]),
            _ => stream(vec![event("2", provisioned()), END.to_owned()]),
        })
        .await;
    let args = ApiArgs { api: Some(api.url.clone()), ca: Some(pki.file("ca.crt")), ..ApiArgs::default() };
    let access = Access::new(&args, |name| (name == "TANDEM_TOKEN").then(|| TOKEN.to_owned())).unwrap();
    let pace = Pace { silence: Duration::from_millis(500), ..Pace::default() };
    let how = How { timeout: Some(Duration::from_secs(30)), fresh: true, pace };
    let exit = follow(&mut Client::new(access, Lang::En), "health-1", how, Lang::En).await.unwrap();
    assert_eq!(exit, Exit::Ok);
    assert_eq!(api.seen()[1].header("last-event-id"), "1");
}
