use super::calls::Leave;
use super::hook::{Credentials, Hook, Service};
use super::patroni::Patroni;
use super::*;
use axum::extract::State as Shared;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use axum_server::tls_rustls::RustlsConfig;
use futures::FutureExt;
use rcgen::{CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use serde_json::json;
use std::collections::{BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use tandem_core::failover::{Effect, EffectKind};
use tandem_crds::{HookSite, PatroniSite};

fn token(epoch: u64, step: u32) -> Token {
    Token { generation: 1, epoch, execution: 7, step }
}

fn order(token: Token) -> Order {
    Order { group: "ledger".to_owned(), token, temporary: false }
}

/// An authority, and what it has signed: chain and key.
struct Pki {
    ca: CertifiedIssuer<'static, KeyPair>,
}

impl Pki {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        Self { ca: CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap() }
    }

    fn issue(&self) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        (params.signed_by(&key, &self.ca).unwrap().pem(), key.serialize_pem())
    }

    /// Serves on loopback; asks for certificates of `clients`.
    async fn serve(&self, routes: Router, clients: Option<&Pki>) -> SocketAddr {
        let (chain, key) = self.issue();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider));
        let builder = builder.with_safe_default_protocol_versions().unwrap();
        let builder = match clients {
            Some(clients) => {
                let mut roots = RootCertStore::empty();
                roots.add(CertificateDer::from_pem_slice(clients.ca.pem().as_bytes()).unwrap()).unwrap();
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                builder.with_client_cert_verifier(verifier.build().unwrap())
            }
            None => builder.with_no_client_auth(),
        };
        let config = builder
            .with_single_cert(
                vec![CertificateDer::from_pem_slice(chain.as_bytes()).unwrap()],
                PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap(),
            )
            .unwrap();
        let handle = axum_server::Handle::new();
        let server = axum_server::bind_rustls(
            SocketAddr::from(([127, 0, 0, 1], 0)),
            RustlsConfig::from_config(Arc::new(config)),
        );
        tokio::spawn(server.handle(handle.clone()).serve(routes.into_make_service()));
        handle.listening().await.unwrap()
    }

    fn site(&self, address: SocketAddr) -> HookSite {
        let url = format!("https://localhost:{}/v1", address.port());
        HookSite { site: "dc-a".to_owned(), url, ca_bundle: self.ca.pem(), ..HookSite::default() }
    }
}

const SECRET: &str = "s3cret-token-of-the-platform";

fn bearer() -> Credentials {
    Credentials::Token(SECRET.to_owned())
}

fn speak(site: &HookSite, timeout: Option<i64>, credentials: Credentials) -> Result<Service, https::Unusable> {
    Service::new(&site.url, &site.ca_bundle, timeout, credentials)
}

/// A service that takes calls by their token's step: what it answers, and what it was asked.
fn service(asked: Arc<Mutex<Vec<Order>>>) -> Router {
    async fn call(
        Shared(asked): Shared<Arc<Mutex<Vec<Order>>>>,
        headers: HeaderMap,
        Json(order): Json<Order>,
    ) -> Response {
        let step = order.token.step;
        asked.lock().unwrap().push(order);
        let state = json!({"role": "Quiesced", "position": 41, "token": token(5, 1)});
        match step {
            1 => Json(state).into_response(),
            2 => (StatusCode::ACCEPTED, Json(state)).into_response(),
            3 => (StatusCode::CONFLICT, Json(json!({"seen": token(9, 0)}))).into_response(),
            4 => (StatusCode::CONFLICT, Json(json!({"seen": token(1, 0)}))).into_response(),
            5 => {
                let sent = headers["authorization"].to_str().unwrap().to_owned();
                let error = json!({"error": format!("who are you, {sent}?")});
                (StatusCode::UNAUTHORIZED, Json(error)).into_response()
            }
            6 => (StatusCode::OK, "not JSON: s3cret").into_response(),
            7 => (StatusCode::INTERNAL_SERVER_ERROR, Json(json!({"error": "x".repeat(9_000)}))).into_response(),
            _ => std::future::pending().await,
        }
    }
    Router::new()
        .route("/v1/quiesce", post(call))
        .route("/v1/state", get(async || Json(json!({"role": "Active", "position": 3}))))
        .with_state(asked)
}

#[tokio::test]
async fn each_answer_means_what_the_contract_says() {
    let (pki, asked) = (Pki::new(), Arc::<Mutex<Vec<Order>>>::default());
    let address = pki.serve(service(Arc::clone(&asked)), None).await;
    let hook = Hook(speak(&pki.site(address), Some(1), bearer()).unwrap());
    let state = hook.state().await.unwrap();
    assert_eq!((state.role, state.position, state.lag_millis), (Role::Active, Some(3), None));
    let call = async |step| hook.call(Call::Quiesce, &order(token(5, step))).await;
    let quiesced = State { role: Role::Quiesced, position: Some(41), token: token(5, 1), ..state };
    assert_eq!(call(1).await, Ok(Called::Done(quiesced)));
    assert_eq!(call(2).await, Ok(Called::UnderWay));
    assert_eq!(call(3).await, Err(CallError::Refused(token(9, 0))));
    // What is said not to be higher refuses nothing; something is wrong there.
    assert!(matches!(call(4).await, Err(CallError::Failed(_))));
    for step in [5, 6, 7, 8] {
        let Err(CallError::Failed(why)) = call(step).await else { panic!("{step}") };
        assert!(why.len() <= 200 && !why.contains("s3cret"), "{step}: {why}");
    }
    // A token that was lost on the way is sent again just so.
    assert_eq!(call(1).await, call(1).await);
    assert_eq!(asked.lock().unwrap().iter().filter(|order| order.token == token(5, 1)).count(), 3);
    assert!(!format!("{hook:?}").contains("s3cret"));
}

#[tokio::test]
async fn certificates_are_verified_on_both_sides() {
    let (pki, clients, strangers) = (Pki::new(), Pki::new(), Pki::new());
    let address = pki.serve(service(Arc::default()), Some(&clients)).await;
    let with = |signed: &Pki, site: &HookSite| {
        let (chain, key) = signed.issue();
        let credentials = Credentials::Certificate { chain: chain.into_bytes(), key: key.into_bytes() };
        Hook(speak(site, Some(5), credentials).unwrap())
    };
    let site = pki.site(address);
    assert!(with(&clients, &site).state().await.is_ok());
    assert!(with(&strangers, &site).state().await.is_err());
    let elsewhere = HookSite { ca_bundle: strangers.ca.pem(), ..site };
    assert!(with(&clients, &elsewhere).state().await.is_err(), "the service is nobody that was named");
}

#[test]
fn what_is_no_certificate_is_of_no_use_and_not_repeated() {
    let site = HookSite { ca_bundle: Pki::new().ca.pem(), ..HookSite::default() };
    let credentials = Credentials::Certificate { chain: b"s3cret".to_vec(), key: b"s3cret".to_vec() };
    let error = speak(&site, None, credentials).unwrap_err();
    assert!(!format!("{error} {error:?}").contains("s3cret"), "{error:?}");
    assert!(speak(&HookSite { ca_bundle: "none".to_owned(), ..site }, None, bearer()).is_err());
}

/// What an agent beside a member answers to everything, and which calls it was sent.
#[derive(Clone, Debug)]
struct Beside {
    status: u16,
    body: serde_json::Value,
    asked: Arc<Mutex<Vec<Order>>>,
}

fn beside(status: u16, body: serde_json::Value) -> Beside {
    Beside { status, body, asked: Arc::default() }
}

fn member(leader: bool, role: &str, position: u64) -> Beside {
    beside(200, json!({"leader": leader, "role": role, "position": position, "token": token(5, 1), "timeline": 3}))
}

/// PostgreSQL with an agent like each of these; `None` is one whose machine is gone.
async fn patroni(pki: &Pki, agents: &[Option<Beside>]) -> Patroni {
    async fn answer(Shared(agent): Shared<Beside>, order: Option<Json<Order>>) -> Response {
        agent.asked.lock().unwrap().extend(order.map(|Json(order)| order));
        (StatusCode::from_u16(agent.status).unwrap(), Json(agent.body)).into_response()
    }
    let mut members = Vec::new();
    for agent in agents {
        let address = match agent {
            Some(agent) => {
                let routes = Router::new().route("/v1/{call}", get(answer).post(answer)).with_state(agent.clone());
                pki.serve(routes, None).await
            }
            None => SocketAddr::from(([127, 0, 0, 1], 1)),
        };
        members.push(format!("https://localhost:{}/v1", address.port()));
    }
    let site = PatroniSite { site: "dc-a".to_owned(), members, ca_bundle: pki.ca.pem(), ..PatroniSite::default() };
    Patroni::new(&site, Some(5), &bearer()).unwrap()
}

#[tokio::test]
async fn of_several_members_the_one_that_leads_speaks_for_the_site() {
    let pki = Pki::new();
    let (follows, leads) = (member(false, "Standby", 40), member(true, "Active", 41));
    let database = patroni(&pki, &[Some(follows.clone()), Some(leads.clone()), None]).await;
    assert_eq!(database.state().await.unwrap().position, Some(41), "a machine that is gone stops nobody");
    let Ok(Called::Done(state)) = database.call(Call::Quiesce, &order(token(5, 1))).await else { panic!() };
    assert_eq!((state.role, state.position), (Role::Active, Some(41)));
    // The one that only follows has to have seen the token as well, whoever answered first.
    let patience = tokio::time::timeout(Duration::from_secs(5), async {
        while follows.asked.lock().unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
    });
    patience.await.expect("every member is told");
    assert_eq!(*follows.asked.lock().unwrap(), *leads.asked.lock().unwrap());
}

#[tokio::test]
async fn where_no_member_leads_nothing_is_known_and_only_a_fence_is_done() {
    let pki = Pki::new();
    let follows = || Some(member(false, "Standby", 40));
    let database = patroni(&pki, &[follows(), follows()]).await;
    let state = database.state().await.unwrap();
    assert_eq!((state.role, state.position, state.token), (Role::Unknown, None, token(5, 1)));
    let call = async |database: &Patroni, call| database.call(call, &order(token(5, 1))).await;
    assert_eq!(call(&database, Call::Promote).await, Ok(Called::UnderWay), "somebody will lead");
    assert!(matches!(call(&database, Call::Fence).await, Ok(Called::Done(_))), "every member is cut off");
    let database = patroni(&pki, &[follows(), None]).await;
    assert!(matches!(call(&database, Call::Fence).await, Err(CallError::Failed(_))), "one may lead, unseen");
    assert!(patroni(&pki, &[None, None]).await.state().await.is_err());
}

#[tokio::test]
async fn one_member_that_has_seen_more_refuses_for_all() {
    let pki = Pki::new();
    let newer = beside(409, json!({"seen": token(9, 0)}));
    let working = beside(202, json!({"leader": true, "role": "Quiesced"}));
    let database = patroni(&pki, &[Some(working.clone()), Some(newer)]).await;
    let answer = database.call(Call::Demote, &order(token(5, 1))).await;
    assert_eq!(answer, Err(CallError::Refused(token(9, 0))));
    let database = patroni(&pki, &[Some(working), Some(beside(500, json!({"error": "no disk"})))]).await;
    assert_eq!(database.call(Call::Demote, &order(token(5, 1))).await, Ok(Called::UnderWay));
}

/// A provider that answers what it was given, in turn; and then never.
#[derive(Debug, Default)]
struct Scripted {
    answers: Mutex<VecDeque<Result<Called, CallError>>>,
    asked: Mutex<Vec<Token>>,
}

impl Provider for Scripted {
    fn state(&self) -> BoxFuture<'_, Result<State, CallError>> {
        futures::future::pending().boxed()
    }

    fn call<'a>(&'a self, _: Call, order: &'a Order) -> BoxFuture<'a, Result<Called, CallError>> {
        self.asked.lock().unwrap().push(order.token);
        let answer = self.answers.lock().unwrap().pop_front();
        async move {
            match answer {
                Some(answer) => answer,
                None => futures::future::pending().await,
            }
        }
        .boxed()
    }
}

/// A site that may act until its deadline.
#[derive(Clone, Debug, Default)]
struct Site {
    fenced: Arc<std::sync::atomic::AtomicBool>,
    seconds: Arc<AtomicU64>,
    stirred: Arc<tokio::sync::Notify>,
}

impl Leave for Site {
    fn now(&self) -> Duration {
        Duration::from_secs(self.seconds.load(Ordering::SeqCst))
    }

    fn refusal(&self, _: &Order) -> Option<Answer> {
        let fenced = self.fenced.load(Ordering::SeqCst);
        fenced.then(|| Answer::Failed { why: "fenced".to_owned(), at: self.now() })
    }

    fn heard(&self, _: &str, _: &State) {}

    fn answered(&self) {
        self.stirred.notify_one();
    }
}

fn with(answers: impl IntoIterator<Item = Result<Called, CallError>>) -> (Providers, Arc<Scripted>) {
    let provider = Arc::new(Scripted { answers: Mutex::new(answers.into_iter().collect()), ..Scripted::default() });
    let providers = Providers::default();
    let entry = Entry { provider: Some(Arc::<Scripted>::clone(&provider)), ..Entry::default() };
    providers.lock().insert("ledger".to_owned(), entry);
    (providers, provider)
}

fn state(role: Role, position: u64) -> State {
    State {
        role,
        position: Some(position),
        lag_millis: Some(500),
        lag_age_millis: 250,
        token: token(5, 1),
        ..State::default()
    }
}

#[tokio::test]
async fn the_driver_never_waits_and_what_failed_goes_again_under_the_same_token() {
    let done = Called::Done(state(Role::Quiesced, 41));
    let lost = Err(CallError::Failed("no answer".to_owned()));
    let (providers, provider) = with([lost, Ok(Called::UnderWay), Ok(done)]);
    let site = Site::default();
    let begin = |first| providers.begin(&site, order(token(5, 1)), Call::FinalSync, first);
    assert_eq!(begin(true), Answer::Running);
    assert_eq!(begin(true), Answer::Running, "one at a time");
    site.stirred.notified().await;
    assert_eq!(begin(false), Answer::Failed { why: "no answer".to_owned(), at: Duration::ZERO });
    assert_eq!(begin(true), Answer::Running);
    site.stirred.notified().await;
    let Answer::Done { position, .. } = begin(false) else { panic!() };
    assert_eq!(position, Some(41));
    assert_eq!(*provider.asked.lock().unwrap(), vec![token(5, 1); 3]);
    assert_eq!(providers.data("dc-a", "ledger").0.unwrap().role, Role::Quiesced);
}

#[tokio::test]
async fn a_later_token_takes_the_place_of_a_call_that_hangs() {
    let (providers, provider) = with([]);
    let site = Site::default();
    assert_eq!(providers.begin(&site, order(token(5, 1)), Call::Demote, true), Answer::Running);
    while provider.asked.lock().unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    provider.answers.lock().unwrap().push_back(Err(CallError::Refused(token(9, 0))));
    assert_eq!(providers.begin(&site, order(token(5, 2)), Call::Demote, true), Answer::Running);
    site.stirred.notified().await;
    assert_eq!(providers.begin(&site, order(token(5, 2)), Call::Demote, false), Answer::Refused);
}

#[tokio::test]
async fn nothing_leaves_after_the_deadline() {
    let (providers, provider) = with([Ok(Called::Done(state(Role::Active, 1)))]);
    let site = Site::default();
    site.fenced.store(true, Ordering::SeqCst);
    assert_eq!(providers.begin(&site, order(token(5, 1)), Call::Promote, true), Answer::Running);
    site.stirred.notified().await;
    let answer = providers.begin(&site, order(token(5, 1)), Call::Promote, false);
    assert_eq!(answer, Answer::Failed { why: "fenced".to_owned(), at: Duration::ZERO });
    assert!(provider.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn without_a_provider_a_call_fails_and_says_why() {
    let providers = Providers::default();
    let trouble = Reason::SecretMissing { site: "dc-a".to_owned(), secret: "ledger".to_owned() };
    let entry = Entry { trouble: Some(trouble), ..Entry::default() };
    providers.lock().insert("ledger".to_owned(), entry);
    let Answer::Failed { why, .. } = providers.begin(&Site::default(), order(token(5, 1)), Call::Promote, true) else {
        panic!()
    };
    assert!(why.contains("the Secret ledger"), "{why}");
}

#[test]
fn a_report_is_as_old_as_what_it_says() {
    let (providers, _) = with([]);
    let second = Duration::from_secs;
    assert!(providers.heard("ledger", &state(Role::Standby, 7), second(100)));
    assert!(!providers.heard("ledger", &state(Role::Standby, 7), second(101)), "no news");
    assert!(!providers.heard("ledger", &state(Role::Active, 9), second(99)), "asked before the one that is known");
    let data = providers.data("dc-a", "ledger").0.unwrap();
    assert_eq!((data.role, data.since), (Role::Standby, Duration::from_millis(100_750)));
    let everything = BTreeSet::from(["ledger".to_owned()]);
    let told = |now, moving: &BTreeSet<String>| providers.to_tell("dc-a", second(now), second(2), moving);
    // Told two seconds after it was asked for: the other site counts from when it reads that.
    let record = &told(103, &BTreeSet::new())[0].1;
    let read = super::data(&record.state.unwrap(), second(200));
    assert_eq!((read.since, read.lag), (Duration::from_millis(197_750), Some(Duration::from_millis(500))));
    assert!(told(104, &everything).is_empty(), "nothing new");
    providers.heard("ledger", &state(Role::Standby, 8), second(104));
    assert!(told(104, &BTreeSet::new()).is_empty(), "it does not move");
    assert_eq!(told(104, &everything).len(), 1);
    assert_eq!(told(106, &BTreeSet::new()).len(), 1, "that it is said again is news");
}

#[test]
fn a_silent_service_closes_the_gate_and_says_so() {
    let (providers, _) = with([]);
    let second = Duration::from_secs;
    providers.heard("ledger", &state(Role::Active, 7), second(100));
    let shown = |now| providers.shown(second(now), second(10))[0].1;
    assert_eq!((shown(109), shown(110)), (Shown::Primary, Shown::Changing));
    let fail = |now| providers.failed("ledger", "refused".to_owned(), second(now), second(4));
    fail(101);
    fail(104);
    assert_eq!(providers.data("dc-a", "ledger").1, None, "a moment");
    fail(105);
    let (data, trouble) = providers.data("dc-a", "ledger");
    assert_eq!(data.unwrap().position, Some(7), "what was last known ages, and is not forgotten");
    assert_eq!(trouble, Some(Reason::ProviderSilent { site: "dc-a".to_owned(), why: "refused".to_owned() }));
    providers.heard("ledger", &state(Role::Active, 8), second(106));
    assert_eq!(providers.data("dc-a", "ledger").1, None);
}

#[test]
fn every_effect_on_data_is_a_call() {
    let effect = Effect { kind: EffectKind::Demote, token: token(5, 1) };
    assert_eq!(Call::of(effect.kind), Some(Call::Demote));
    assert_eq!((shown(Role::Quiesced), shown(Role::Unknown)), (Shown::Changing, Shown::Changing));
}
