//! The whole API in memory: `router().oneshot(request)`, no sockets.

use super::*;
use crate::config::{LimitsConfig, RateConfig};
use crate::coordination::ByArbiter;
use crate::health::Readiness;
use crate::identity::testing::{ISSUER, Signing, TestIssuer, at, claims, rules};
use crate::identity::{Fetch, Keys, Role};
use crate::limits::Monotonic;
use crate::metrics::Metrics;
use crate::objects::site::Site;
use crate::objects::testing::{Memory, city, unit, waived};
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Method, Request};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;
use tower::ServiceExt;

mod audit;
mod failovers;
mod findings;
mod policies;
mod reports;
mod table;
mod writes;

/// An API over a site in memory, and a key that its issuer publishes.
pub(crate) struct Api {
    pub(crate) router: Router,
    pub(crate) site: Arc<Site>,
    pub(crate) state: AppState,
    identity: Identity,
    limits: Limits,
    key: Signing,
    readiness: Readiness,
}

impl Api {
    pub(crate) fn over(objects: Memory) -> Self {
        let key = Signing::new("k");
        let fetch: Arc<dyn Fetch> = TestIssuer::with(&[&key]);
        let seconds = Duration::from_secs;
        let keys = Keys::new(ISSUER.to_owned(), fetch, seconds(600), seconds(3_600), seconds(10));
        let site = Arc::new(Site::with(objects));
        let identity = Identity::new(Some((rules(), keys)), site.clone(), Arc::new(|| at(10)));
        let readiness = Readiness::default();
        let metrics = Metrics::new().unwrap();
        let ids = std::sync::atomic::AtomicU64::new(1);
        let addresses = ["dc-a", "dc-b"].map(|site| (site.to_owned(), format!("https://api.{site}.example")));
        let state = AppState {
            objects: site.clone(),
            writer: site.clone(),
            coordination: Arc::new(ByArbiter::new(site.store.clone(), "dc-a")),
            readiness: readiness.clone(),
            metrics,
            site: "dc-a".into(),
            addresses: Arc::new(addresses.into()),
            patience: Duration::from_millis(300),
            streams: Arc::new(tokio::sync::Semaphore::new(2)),
            stopping: tokio_util::sync::CancellationToken::new(),
            running: tokio_util::task::TaskTracker::new(),
            clock: Arc::new(|| at(10)),
            random: Arc::new(move || ids.fetch_add(1, std::sync::atomic::Ordering::SeqCst).into()),
        };
        // Time stands still, so that what one test asks has to be within one burst.
        let many = RateConfig { per_second: NonZeroU32::MIN, burst: NonZeroU32::MAX };
        let limits = LimitsConfig { address: many, client: many, unit: many, ..LimitsConfig::default() };
        let limits = crate::run::limits(&limits, &Monotonic::new(|| Duration::ZERO));
        let router = router(state.clone(), identity.clone(), &limits);
        Self { router, site, state, identity, limits, key, readiness }
    }

    /// Takes in what was changed in the state.
    fn rebuild(&mut self) {
        self.router = router(self.state.clone(), self.identity.clone(), &self.limits);
    }

    pub(crate) fn token(&self, unit: Option<&str>, roles: &[Role]) -> String {
        self.token_of("li", unit, roles)
    }

    pub(crate) fn token_of(&self, name: &str, unit: Option<&str>, roles: &[Role]) -> String {
        self.key.sign(&claims(name, unit, roles))
    }

    async fn send(&self, request: Request<Body>) -> (u16, HeaderMap, Value) {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = to_bytes(response.into_body(), 1 << 22).await.unwrap();
        (
            status,
            headers,
            serde_json::from_slice(&body).unwrap_or(Value::String(String::from_utf8(body.to_vec()).unwrap())),
        )
    }

    /// What somebody with a role sees; agencies' people are of the unit `health`.
    async fn get(&self, role: Role, path: &str) -> (u16, HeaderMap, Value) {
        let unit = (!role.is_office()).then_some("health");
        let request = Request::get(path).header("authorization", format!("Bearer {}", self.token(unit, &[role])));
        self.send(request.body(Body::empty()).unwrap()).await
    }

    async fn anonymous(&self, method: Method, path: &str) -> (u16, HeaderMap, Value) {
        self.send(Request::builder().method(method).uri(path).body(Body::empty()).unwrap()).await
    }
}

fn names(list: &Value) -> Vec<&str> {
    list["items"].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn an_agency_sees_its_own_and_nothing_of_others() {
    let api = Api::over(city());
    for (path, own) in [
        ("/v1/units", &["health"] as &[&str]),
        ("/v1/environments", &["health-prod"]),
        ("/v1/requests", &["health-longer"]),
        ("/v1/applications", &["portal"]),
        ("/v1/failover-groups", &["health-group"]),
        ("/v1/failovers", &["both-move", "health-move"]),
        ("/v1/security/profiles", &["level-2"]),
    ] {
        for role in [Role::AgencyAdministrator, Role::AgencyViewer] {
            let (status, _, list) = api.get(role, path).await;
            assert_eq!((status, names(&list).as_slice()), (200, own), "{path}");
            assert!(!list.to_string().contains("water"), "{path}: {list}");
        }
    }
}

/// A problem without its trace, which is another one for each request, by nothing but chance.
fn untraced((status, mut headers, mut problem): (u16, HeaderMap, Value)) -> (u16, HeaderMap, Value) {
    headers.remove("traceparent").unwrap();
    problem.as_object_mut().unwrap().remove("trace").unwrap();
    (status, headers, problem)
}

#[tokio::test]
async fn what_belongs_to_others_is_not_there_and_looks_like_what_is_nowhere() {
    let api = Api::over(city());
    for (theirs, nobodys) in [
        ("/v1/units/water", "/v1/units/fire"),
        ("/v1/environments/water-prod", "/v1/environments/fire-prod"),
        ("/v1/requests/water-longer", "/v1/requests/fire-longer"),
        ("/v1/applications/water-prod/portal", "/v1/applications/fire-prod/portal"),
        ("/v1/failover-groups/water-group", "/v1/failover-groups/fire-group"),
        ("/v1/failovers/water-move", "/v1/failovers/fire-move"),
        ("/v1/security/profiles/level-3", "/v1/security/profiles/level-9"),
        ("/v1/data-centres/dc-a", "/v1/data-centres/dc-z"),
    ] {
        let (theirs, nobodys) =
            (api.get(Role::AgencyAdministrator, theirs).await, api.get(Role::AgencyAdministrator, nobodys).await);
        assert_eq!((theirs.0, nobodys.0), (404, 404), "{}", theirs.2);
        assert_eq!(untraced(theirs), untraced(nobodys), "the two cannot be told apart");
    }
}

#[tokio::test]
async fn what_is_waived_for_others_is_not_an_agencys_to_read() {
    let api = Api::over(waived(city()));
    for path in ["/v1/security/profiles", "/v1/security/profiles/level-2"] {
        let text = api.get(Role::AgencyViewer, path).await.2.to_string();
        assert!(text.contains("the vendor's next release"), "{path}: {text}");
        assert!(!text.contains("water") && !text.contains("fire"), "{path}: {text}");
        let text = api.get(Role::SecurityAdministrator, path).await.2.to_string();
        assert!(text.contains("the water works") && text.contains("the fire brigade"), "{path}: {text}");
    }
}

#[tokio::test]
async fn the_platforms_people_see_everything_and_an_object_whole() {
    let api = Api::over(city());
    for role in [Role::PlatformOperator, Role::SecurityAdministrator, Role::Auditor] {
        assert_eq!(names(&api.get(role, "/v1/units").await.2), ["health", "water"]);
        assert_eq!(names(&api.get(role, "/v1/data-centres").await.2), ["dc-a"]);
        assert_eq!(api.get(role, "/v1/applications/water-prod/portal").await.2["environment"], "water-prod");
    }
    let (_, _, unit) = api.get(Role::Auditor, "/v1/units/health").await;
    assert_eq!(
        (&unit["name"], &unit["generation"], &unit["resourceVersion"]),
        (&"health".into(), &3.into(), &"7".into())
    );
    assert_eq!(unit["spec"]["budget"]["cpu"], "8");
    assert!(unit.get("metadata").is_none() && unit.get("apiVersion").is_none());
}

#[tokio::test]
async fn lists_are_paged_and_filtered_and_say_what_is_wrong() {
    let mut objects = city();
    objects.units = (0..5).map(|n| Arc::new(unit(&format!("u{n}")))).collect();
    let api = Api::over(objects);
    let (_, _, first) = api.get(Role::Auditor, "/v1/units?limit=3").await;
    assert_eq!(names(&first), ["u0", "u1", "u2"]);
    let next = first["continue"].as_str().unwrap();
    let (_, _, second) = api.get(Role::Auditor, &format!("/v1/units?limit=3&continue={next}")).await;
    assert_eq!(names(&second), ["u3", "u4"]);
    assert!(second.get("continue").is_none());
    assert!(names(&api.get(Role::Auditor, "/v1/units?level=County").await.2).is_empty());
    let (status, headers, problem) = api.get(Role::Auditor, "/v1/units?limit=no&levle=City").await;
    assert_eq!((status, &headers["content-type"]), (400, &"application/problem+json".parse().unwrap()));
    let fields: Vec<&str> =
        problem["errors"].as_array().unwrap().iter().map(|error| error["field"].as_str().unwrap()).collect();
    assert_eq!(fields, ["limit", "levle"]);
}

#[tokio::test]
async fn problems_are_in_the_language_that_is_asked_for() {
    let api = Api::over(city());
    let request = Request::get("/v1/units").header("accept-language", "zh-CN").body(Body::empty()).unwrap();
    let (status, headers, problem) = api.send(request).await;
    assert_eq!(
        (status, problem["title"].as_str(), &headers["content-language"]),
        (401, Some("未登录"), &"zh".parse().unwrap())
    );
    assert!(headers.contains_key("www-authenticate"));
    let (_, _, english) = api.anonymous(Method::GET, "/v1/units").await;
    assert_eq!(english["title"], "Not signed in");
}

#[tokio::test]
async fn an_answer_and_its_problem_name_the_trace_of_the_request() {
    let api = Api::over(city());
    let asked = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let trace = |headers: &HeaderMap| headers["traceparent"].to_str().unwrap().to_owned();
    for language in ["en", "zh"] {
        let request = Request::get("/v1/units").header("traceparent", asked).header("accept-language", language);
        let (_, headers, problem) = api.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(problem["trace"], "4bf92f3577b34da6a3ce929d0e0e4736", "{language}");
        assert!(trace(&headers).starts_with(&asked[..36]) && trace(&headers) != asked, "{headers:?}");
    }
    // Also of what is nowhere, and of what is well.
    let (_, headers, problem) = api.anonymous(Method::GET, "/nowhere").await;
    assert_eq!(problem["trace"], trace(&headers)[3..35]);
    let (status, headers, _) = api.get(Role::Auditor, "/v1/units").await;
    assert_eq!((status, trace(&headers).len()), (200, 55));
    assert!(!trace(&headers).contains("4bf92f35"));
}

#[tokio::test]
async fn headers_that_claim_an_identity_are_not_believed() {
    let api = Api::over(city());
    for (name, value) in [
        ("x-forwarded-user", "admin"),
        ("x-remote-user", "admin"),
        ("x-remote-group", "system:masters"),
        ("x-forwarded-client-cert", "Subject=\"CN=wang,O=tandem:role:auditor\""),
        ("ssl-client-subject-dn", "CN=wang,O=tandem:role:auditor"),
        ("x-ssl-client-cert", "-----BEGIN CERTIFICATE-----"),
        ("cookie", "session=admin"),
    ] {
        let request = Request::get("/v1/me").header(name, value).body(Body::empty()).unwrap();
        assert_eq!(api.send(request).await.0, 401, "{name}");
    }
}

#[tokio::test]
async fn me_says_who_one_is_also_without_any_role() {
    let api = Api::over(city());
    let (status, _, me) = api.get(Role::AgencyViewer, "/v1/me").await;
    assert_eq!(status, 200);
    let wanted = serde_json::json!({"name": "li", "unit": "health", "roles": ["agency-viewer"], "via": "token"});
    assert_eq!(me, wanted);
    let token = api.token(None, &[]);
    for (path, status) in [("/v1/me", 200), ("/v1/units", 403), ("/v1/units/health", 403)] {
        let request =
            Request::get(path).header("authorization", format!("Bearer {token}")).body(Body::empty()).unwrap();
        assert_eq!(api.send(request).await.0, status, "{path}");
    }
}

#[tokio::test]
async fn nothing_is_shown_before_it_was_read() {
    let mut objects = city();
    objects.unread = true;
    let api = Api::over(objects);
    let (status, headers, problem) = api.get(Role::Auditor, "/v1/units").await;
    assert_eq!((status, problem["type"].as_str()), (503, Some("/docs/problems#not-read")));
    assert!(headers.contains_key("retry-after"));
}

#[tokio::test]
async fn ready_only_while_every_part_is_up() {
    let api = Api::over(city());
    api.readiness.set("units", false);
    assert_eq!(api.anonymous(Method::GET, "/healthz").await.0, 200);
    let (status, _, text) = api.anonymous(Method::GET, "/readyz").await;
    assert_eq!((status, text.as_str()), (503, Some("not ready: units\n")));
    api.readiness.set("units", true);
    assert_eq!(api.anonymous(Method::GET, "/readyz").await.0, 200);
}

#[tokio::test]
async fn what_is_counted_names_nobody() {
    let api = Api::over(city());
    api.get(Role::AgencyViewer, "/v1/units/health").await;
    api.anonymous(Method::GET, "/v1/units").await;
    let (_, _, text) = api.anonymous(Method::GET, "/metrics").await;
    let text = text.as_str().unwrap();
    assert!(text.contains("tandem_api_requests_total{class=\"other\",status=\"2xx\"} 1"), "{text}");
    assert!(text.contains("tandem_api_problems_total{kind=\"unauthenticated\"} 1"), "{text}");
    assert!(text.contains("tandem_api_sign_ins_total{result=\"accepted\",way=\"token\"} 1"), "{text}");
    assert!(text.contains("tandem_api_sign_ins_total{result=\"refused\",way=\"nothing\"} 1"), "{text}");
    assert!(!text.contains("health\"}") || !text.contains("li\""), "{text}");
}

#[tokio::test]
async fn every_answer_is_hardened_and_what_is_nowhere_is_a_problem() {
    let api = Api::over(city());
    for (method, path, status) in [
        (Method::GET, "/v1/nothing", 404),
        (Method::GET, "/", 404),
        (Method::DELETE, "/v1/units", 405),
        (Method::POST, "/healthz", 405),
        (Method::GET, "/v1/units", 401),
        (Method::GET, "/docs", 200),
        (Method::GET, "/docs/problems", 200),
        (Method::GET, "/docs/docs.js", 200),
        (Method::GET, "/docs/docs.css", 200),
        (Method::GET, "/openapi.json", 200),
    ] {
        let (found, headers, _) = api.anonymous(method.clone(), path).await;
        assert_eq!(found, status, "{method} {path}");
        for header in
            ["x-content-type-options", "strict-transport-security", "content-security-policy", "cache-control"]
        {
            assert!(headers.contains_key(header), "{path} lacks {header}");
        }
        if status >= 400 {
            assert_eq!(headers["content-type"], "application/problem+json", "{method} {path}");
        }
    }
}
