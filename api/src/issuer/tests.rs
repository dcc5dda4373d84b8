use super::*;
use crate::identity::testing::rules;
use crate::identity::{Fetch, FetchError, Identity, Keys, Role};
use crate::objects::testing::Memory;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request};
use futures::future::BoxFuture;
use jiff::Timestamp;
use ring::rand::SystemRandom;
use serde_json::Value;
use std::path::Path;
use tower::ServiceExt;

const ADDRESS: &str = "https://127.0.0.1:9444";
const PEOPLE: &str = "
- {name: li, unit: health, roles: [agency-administrator], secret: true}
- {name: wang, roles: [platform-operator]}
";

fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

/// An issuer, and the secrets that it printed.
fn issuer() -> (Router, BTreeMap<String, String>) {
    let random = SystemRandom::new();
    let people = People::parse(Path::new("/people.yaml"), PEOPLE).unwrap();
    let (secrets, printed) = Secrets::make(&people, &random).unwrap();
    let state = IssuerState {
        issuer: ADDRESS.into(),
        audience: "tandem-api".into(),
        people: Arc::new(people),
        secrets: Arc::new(secrets),
        key: Arc::new(SigningKey::make(&random).unwrap()),
        clock: Arc::new(now),
    };
    (router(state), printed.into_iter().collect())
}

async fn call(router: &Router, request: Request<Body>) -> (u16, Value) {
    let response = router.clone().oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    let body = to_bytes(response.into_body(), 1 << 16).await.unwrap();
    (status, serde_json::from_slice(&body).unwrap_or_default())
}

async fn token(router: &Router, form: &str, peer: Option<PeerCertificate>) -> (u16, Value) {
    let mut request = Request::post("/token").body(Body::from(form.to_owned())).unwrap();
    request.extensions_mut().insert(peer);
    call(router, request).await
}

fn certificate(name: &str) -> PeerCertificate {
    let (mut params, key) = (rcgen::CertificateParams::default(), rcgen::KeyPair::generate().unwrap());
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    PeerCertificate(params.self_signed(&key).unwrap().der().clone())
}

/// Reads from the issuer's router as if it were the network.
struct Direct(Router);

impl Fetch for Direct {
    fn get<'a>(&'a self, url: &'a str) -> BoxFuture<'a, Result<Bytes, FetchError>> {
        Box::pin(async move {
            let path = url.strip_prefix(ADDRESS).unwrap();
            let response = self.0.clone().oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap();
            assert_eq!(response.status(), 200, "{url}");
            Ok(to_bytes(response.into_body(), 1 << 16).await.unwrap())
        })
    }
}

#[tokio::test]
async fn a_token_of_the_issuers_is_one_that_the_api_takes() {
    let (router, secrets) = issuer();
    let form = format!("grant_type=client_credentials&client_id=li&client_secret={}", secrets["li"]);
    let (status, answer) = token(&router, &form, None).await;
    assert_eq!((status, &answer["expires_in"]), (200, &600.into()));
    let mut rules = rules();
    rules.issuer = ADDRESS.to_owned();
    let hour = Duration::from_secs(3_600);
    let keys = Keys::new(ADDRESS.to_owned(), Arc::new(Direct(router)), hour, hour, Duration::from_secs(1));
    let identity = Identity::new(Some((rules, keys)), Arc::new(Memory::default()), Arc::new(now));
    let shown = format!("Bearer {}", answer["access_token"].as_str().unwrap());
    let headers = HeaderMap::from_iter([(header::AUTHORIZATION, shown.parse().unwrap())]);
    let li = identity.of(&headers, None).await.unwrap();
    assert_eq!((li.name.as_str(), li.unit.as_deref()), ("li", Some("health")));
    assert_eq!(li.roles, std::collections::BTreeSet::from([Role::AgencyAdministrator]));
}

#[tokio::test]
async fn a_certificate_gets_a_token_for_its_name_and_no_other() {
    let (router, _) = issuer();
    let form = "grant_type=client_credentials";
    assert_eq!(token(&router, form, Some(certificate("wang"))).await.0, 200);
    let own = format!("{form}&client_id=wang");
    assert_eq!(token(&router, &own, Some(certificate("wang"))).await.0, 200);
    let others = format!("{form}&client_id=li");
    assert_eq!(token(&router, &others, Some(certificate("wang"))).await.0, 401);
    assert_eq!(token(&router, form, Some(certificate("stranger"))).await.0, 401);
}

#[tokio::test]
async fn whoever_shows_nothing_or_the_wrong_thing_gets_nothing() {
    let (router, secrets) = issuer();
    let secret = &secrets["li"];
    for (form, status) in [
        ("grant_type=client_credentials".to_owned(), 401),
        ("grant_type=client_credentials&client_id=li".to_owned(), 401),
        ("grant_type=client_credentials&client_id=li&client_secret=".to_owned(), 401),
        ("grant_type=client_credentials&client_id=li&client_secret=li".to_owned(), 401),
        (format!("grant_type=client_credentials&client_id=wang&client_secret={secret}"), 401),
        (format!("grant_type=client_credentials&client_id=li&client_id=li&client_secret={secret}"), 400),
        (format!("grant_type=password&client_id=li&client_secret={secret}"), 400),
        (String::new(), 400),
    ] {
        let (found, answer) = token(&router, &form, None).await;
        assert_eq!(found, status, "{form}");
        assert!(answer.get("access_token").is_none());
    }
}

#[test]
fn secrets_are_made_for_those_who_are_to_have_one_and_are_new_each_time() {
    let ((_, one), (_, other)) = (issuer(), issuer());
    assert_eq!(one.keys().collect::<Vec<_>>(), ["li"]);
    assert!(one["li"].len() >= 43 && one["li"] != other["li"]);
}

#[test]
fn people_who_make_no_sense_are_refused() {
    for (text, wrong) in [
        ("[{name: ''}]", "is no name"),
        ("[{name: li, unit: 'Not One'}]", "has a unit"),
        ("[{name: li}, {name: li}]", "is there twice"),
    ] {
        let error = People::parse(Path::new("/people.yaml"), text).unwrap_err().to_string();
        assert!(error.contains(wrong) && error.contains("/people.yaml"), "{error}");
    }
    for text in ["[{name: li, password: x}]", "[{name: li, roles: [root]}]"] {
        assert!(matches!(People::parse(Path::new("/p"), text), Err(PeopleError::Parse { .. })), "{text}");
    }
}

#[tokio::test]
async fn only_what_is_public_of_the_key_is_published() {
    let (router, _) = issuer();
    let (_, set) = call(&router, Request::get("/keys").body(Body::empty()).unwrap()).await;
    let key = set["keys"][0].as_object().unwrap();
    assert_eq!(
        key.keys().map(String::as_str).collect::<std::collections::BTreeSet<_>>(),
        ["alg", "crv", "kid", "kty", "use", "x", "y"].into()
    );
}
