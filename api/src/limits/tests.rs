use super::*;
use crate::identity::{Role, Via};
use axum::Router;
use axum::body::Body;
use axum::middleware::from_fn_with_state;
use axum::routing::get;
use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::sync::Mutex;
use tower::ServiceExt;

#[derive(Clone, Default)]
struct Hand(Arc<Mutex<Duration>>);

impl Hand {
    fn clock(&self) -> Monotonic {
        let time = Arc::clone(&self.0);
        Monotonic::new(move || *time.lock().unwrap())
    }

    fn advance(&self, by: Duration) {
        *self.0.lock().unwrap() += by;
    }
}

fn limits(burst: u32, places: usize, hand: &Hand) -> Limits {
    let (one, burst) = (NonZeroU32::MIN, NonZeroU32::new(burst).unwrap());
    Limits {
        addresses: Arc::new(Rates::new(one, burst, hand.clock())),
        clients: Arc::new(Rates::new(one, burst, hand.clock())),
        units: Arc::new(Rates::new(one, burst, hand.clock())),
        shed: Shed::new(places),
        timeout: Duration::from_millis(200),
        body: 100,
    }
}

fn router(limits: &Limits) -> Router {
    let hang = get(async || {
        std::future::pending::<()>().await;
    });
    Router::new()
        .route("/slow", hang)
        .fallback(async || "done")
        .layer(from_fn_with_state(limits.clone(), inner))
        .layer(from_fn_with_state(limits.clone(), outer))
}

async fn ask(limits: &Limits, path: &str, from: &str, who: Option<(&str, &str)>) -> Response {
    let mut request = Request::builder().uri(path).body(Body::empty()).unwrap();
    let address: SocketAddr = format!("{from}:4711").parse().unwrap();
    request.extensions_mut().insert(ConnectInfo(address));
    if let Some((name, unit)) = who {
        request.extensions_mut().insert(Principal {
            name: name.to_owned(),
            unit: Some(unit.to_owned()),
            roles: BTreeSet::from([Role::AgencyViewer]),
            via: Via::Token,
        });
    }
    router(limits).oneshot(request).await.unwrap()
}

fn is_for(response: &Response, allowance: Allowance) -> bool {
    matches!(response.extensions().get(), Some(Problem::TooMany { whose, .. }) if *whose == allowance)
}

#[test]
fn classes_go_by_whole_parts_of_the_path() {
    for (path, class) in [
        ("/healthz", Class::Health),
        ("/healthz/x", Class::Other),
        ("/v1/failovers", Class::Failover),
        ("/v1/failovers/f-1/abort", Class::Failover),
        ("/v1/failover-groups/g", Class::Failover),
        ("/v1/failoversx", Class::Other),
        ("/v1/units", Class::Other),
        ("/v1/units/v1/failovers", Class::Other),
    ] {
        assert_eq!(Class::of(path), class, "{path}");
    }
}

#[tokio::test]
async fn an_address_that_asks_too_often_is_told_when_to_come_back() {
    let hand = Hand::default();
    let limits = limits(2, 10, &hand);
    for _ in 0..2 {
        assert_eq!(ask(&limits, "/v1/units", "192.0.2.1", None).await.status(), 200);
    }
    let refused = ask(&limits, "/v1/units", "192.0.2.1", None).await;
    assert!(refused.status() == 429 && is_for(&refused, Allowance::Address));
    assert_eq!(refused.headers()["retry-after"], "2");
    // The same address as IPv6 has it; another; what is vital; health.
    assert_eq!(ask(&limits, "/v1/units", "[::ffff:192.0.2.1]", None).await.status(), 429);
    assert_eq!(ask(&limits, "/v1/units", "192.0.2.2", None).await.status(), 200);
    assert_eq!(ask(&limits, "/v1/failovers", "192.0.2.1", None).await.status(), 200);
    for _ in 0..10 {
        assert_eq!(ask(&limits, "/healthz", "192.0.2.1", None).await.status(), 200);
    }
    hand.advance(Duration::from_secs(1));
    assert_eq!(ask(&limits, "/v1/units", "192.0.2.1", None).await.status(), 200);
}

#[tokio::test]
async fn a_network_of_ipv6_is_one_address() {
    let limits = limits(1, 10, &Hand::default());
    assert_eq!(ask(&limits, "/v1/units", "[2001:db8::1]", None).await.status(), 200);
    assert_eq!(ask(&limits, "/v1/units", "[2001:db8::ffff:2]", None).await.status(), 429);
    assert_eq!(ask(&limits, "/v1/units", "[2001:db8:0:1::1]", None).await.status(), 200);
}

#[tokio::test]
async fn a_client_and_a_unit_have_allowances_of_their_own() {
    let limits = limits(2, 10, &Hand::default());
    for from in ["192.0.2.1", "192.0.2.2"] {
        assert_eq!(ask(&limits, "/v1/units", from, Some(("li", "health"))).await.status(), 200);
    }
    let refused = ask(&limits, "/v1/units", "192.0.2.3", Some(("li", "health"))).await;
    assert!(refused.status() == 429 && is_for(&refused, Allowance::Client));
    let colleague = ask(&limits, "/v1/units", "192.0.2.4", Some(("wang", "health"))).await;
    assert!(is_for(&colleague, Allowance::Unit), "the unit's allowance is its people's together");
    assert_eq!(ask(&limits, "/v1/units", "192.0.2.5", Some(("zhao", "water"))).await.status(), 200);
}

#[tokio::test]
async fn those_who_do_not_ask_are_forgotten() {
    let hand = Hand::default();
    let limits = limits(2, 10, &hand);
    for n in 0..1_000_u32 {
        let _ = limits.clients.take(&(n.to_string(), Class::Other));
    }
    hand.advance(Duration::from_secs(60));
    for _ in 0..100 {
        let _ = limits.clients.take(&("li".to_owned(), Class::Other));
    }
    assert!(limits.clients.known() < 10, "{}", limits.clients.known());
}

#[tokio::test]
async fn a_full_house_sheds_and_keeps_what_is_vital() {
    let limits = limits(1_000, 1, &Hand::default());
    let place = limits.shed.enter().unwrap();
    let shed = ask(&limits, "/v1/units", "192.0.2.1", None).await;
    assert_eq!((shed.status().as_u16(), &shed.headers()["retry-after"]), (503, &"3".parse().unwrap()));
    for vital in ["/healthz", "/readyz", "/metrics", "/v1/failovers", "/v1/failovers/f/abort", "/v1/failover-groups/g"]
    {
        assert_eq!(ask(&limits, vital, "192.0.2.1", None).await.status(), 200, "{vital}");
    }
    drop(place);
    assert_eq!(ask(&limits, "/v1/units", "192.0.2.1", None).await.status(), 200);
}

#[tokio::test]
async fn what_takes_too_long_ends_and_frees_its_place() {
    let limits = limits(1_000, 1, &Hand::default());
    let response = ask(&limits, "/slow", "192.0.2.1", None).await;
    assert_eq!(response.status(), 504);
    assert!(response.headers().contains_key("retry-after"));
    assert!(limits.shed.enter().is_some());
}

#[tokio::test]
async fn a_body_that_says_it_is_too_long_is_not_read() {
    let limits = limits(10, 1, &Hand::default());
    for (length, status) in [("100", 200), ("101", 413), ("18446744073709551615", 413)] {
        let request = Request::post("/v1/units").header("content-length", length).body(Body::empty()).unwrap();
        assert_eq!(router(&limits).oneshot(request).await.unwrap().status(), status, "{length}");
    }
}
