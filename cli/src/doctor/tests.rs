//! What is judged of what was seen, and that a site is looked at without reading any Secret.

use super::check::{Check, Grade, exit};
use super::seen::{ArbiterView, ClockSeen, RightSeen, ServerSeen, Shown, SiteSeen, WebhookSeen, WorkloadSeen};
use super::{checks, gather, shown};
use crate::arbiter::status::{MemberRow, Report};
use crate::exit::Exit;
use crate::language::Lang;
use crate::output::Output;
use http::{Method, Request, Response, StatusCode};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;
use tandem_arbiter::health::{Certificate, CertificateProblem, Finding};
use tandem_crds::DataCentre;
use tandem_crds::manifests::{RuleSet, files};

fn now() -> Timestamp {
    "2030-01-02T03:04:05Z".parse().unwrap()
}

type Definitions = BTreeMap<String, Option<CustomResourceDefinition>>;

fn set(of: RuleSet) -> Definitions {
    static SETS: LazyLock<[Definitions; 2]> = LazyLock::new(|| [RuleSet::Cel, RuleSet::Plain].map(made));
    SETS[usize::from(of == RuleSet::Plain)].clone()
}

fn made(of: RuleSet) -> Definitions {
    let of_file = |(_, text): (String, String)| {
        let mut definition: CustomResourceDefinition = serde_yaml::from_str(&text).unwrap();
        definition.status = serde_json::from_value(json!({
            "acceptedNames": {"kind": "x", "plural": "x"}, "storedVersions": [],
            "conditions": [{"type": "Established", "status": "True"}]
        }))
        .unwrap();
        (definition.metadata.name.clone().unwrap(), Some(definition))
    };
    files(of).unwrap().into_iter().map(of_file).collect()
}

fn centre(condition: &str, status: &str) -> DataCentre {
    serde_json::from_value(json!({
        "apiVersion": "tandem.dev/v1alpha1", "kind": "DataCentre", "metadata": {"name": "dc-a"},
        "spec": {"displayName": {"zh": "a"}, "preference": "Primary"},
        "status": {"conditions": [{
            "type": condition, "status": status, "reason": "NoTolerance", "message": "one is lost",
            "lastTransitionTime": "2030-01-01T00:00:00Z"
        }]}
    }))
    .unwrap()
}

fn allowed(who: &'static str, allowed: bool) -> RightSeen {
    RightSeen { who, what: "list units.tandem.dev".into(), allowed }
}

fn good(context: &str) -> SiteSeen {
    let program = WorkloadSeen {
        name: "tandem-operator".into(),
        version: "0.4.1".into(),
        wanted: 2,
        ready: 2,
        updated: 2,
        secrets: BTreeMap::from([("operator-tls".to_owned(), Ok(true))]),
        priority: Some(("tandem".into(), Ok(true))),
    };
    SiteSeen {
        context: context.into(),
        server: Ok(ServerSeen { minor: Some(20), version: "v1.20.2".into() }),
        clock: Ok(ClockSeen { sent: now(), received: now(), said: now() }),
        definitions: Ok(set(RuleSet::Plain)),
        programs: Ok(vec![allowed("operator", true), allowed("api", true)]),
        own: Ok(vec![allowed("you", true)]),
        workloads: Ok(vec![program]),
        centres: Ok(vec![centre("Ready", "True")]),
        webhooks: Ok(Vec::new()),
    }
}

fn arbiter() -> ArbiterView {
    let member = MemberRow { certificate_expires: Some(Timestamp::MAX), ..MemberRow::default() };
    ArbiterView {
        report: Report { cluster: Some("8e9".into()), members: vec![member], ..Report::default() },
        trips: vec![("https://m:2379".into(), Duration::from_millis(3))],
    }
}

fn gate(expires: SignedDuration) -> Shown {
    ("https://gate:8443".into(), Ok(Certificate { name: "gate".into(), expires: now() + expires }))
}

/// The checks of one good site that was changed, beside another that is good.
fn changed(change: impl FnOnce(&mut SiteSeen)) -> Vec<Check> {
    let mut site = good("dc-a");
    change(&mut site);
    checks(&[site, good("dc-b")], &Ok(arbiter()), &[gate(SignedDuration::from_hours(999))], now()).0
}

/// The worst of a check.
fn of<'a>(checks: &'a [Check], name: &str, place: &str) -> &'a Check {
    let found = checks.iter().filter(|check| check.name == name && check.place == place);
    found.min_by_key(|check| check.grade).unwrap_or_else(|| panic!("no check {name} of {place}: {checks:#?}"))
}

#[test]
fn what_is_as_it_should_be_is_ok_and_nothing_else_is() {
    let all = changed(|_| {});
    let others: Vec<&Check> = all.iter().filter(|check| check.grade != Grade::Ok).collect();
    assert!(others.len() == 1 && others[0].name == "arbiter-clocks", "{others:#?}");
    assert_eq!(exit(&all, true), Exit::Ok);

    let silent = SiteSeen::silent("dc-a", "connection refused");
    let (all, anybody) = checks(&[silent], &Err("say how to reach it".into()), &[], now());
    assert!(!anybody && all.iter().all(|check| check.grade != Grade::Ok), "{all:#?}");
    assert_eq!(exit(&all, anybody), Exit::Cluster);
    assert!(of(&all, "api-server", "dc-a").finding.contains("connection refused"));
}

#[test]
fn what_cannot_be_seen_is_never_ok() {
    let why = || Err("forbidden".to_owned());
    let all = changed(|site| {
        (site.clock, site.definitions, site.programs) = (why(), Err("forbidden".into()), Err("forbidden".into()));
        (site.own, site.workloads) = (Err("forbidden".into()), Err("forbidden".into()));
        (site.centres, site.webhooks) = (Err("forbidden".into()), Err("forbidden".into()));
    });
    let of_site = all.iter().filter(|check| check.place == "dc-a" && check.name != "api-server");
    for check in of_site {
        assert!(check.grade == Grade::Skip && check.finding.contains("forbidden"), "{check:?}");
    }
    assert_eq!(of(&all, "versions", "sites").grade, Grade::Skip);
}

#[test]
fn each_fault_of_a_site_has_its_check() {
    type Change = fn(&mut SiteSeen);
    let program = |site: &mut SiteSeen, change: fn(&mut WorkloadSeen)| change(&mut site.workloads.as_mut().unwrap()[0]);
    let cases: Vec<(&str, Grade, &str, Change)> = vec![
        ("api-server", Grade::Fail, "too old", |site| {
            site.server = Ok(ServerSeen { minor: Some(19), version: "v1.19.0".into() });
        }),
        ("api-server", Grade::Warn, "newer", |site| {
            site.server = Ok(ServerSeen { minor: Some(99), version: "v1.99.0".into() });
        }),
        ("clock", Grade::Warn, "+5 s", |site| {
            site.clock = Ok(ClockSeen { sent: now(), received: now(), said: now() + SignedDuration::from_secs(5) });
        }),
        ("clock", Grade::Fail, "-119 s", |site| {
            site.clock = Ok(ClockSeen { sent: now(), received: now(), said: now() - SignedDuration::from_secs(120) });
        }),
        ("resource-types", Grade::Fail, "not there: units.tandem.dev", |site| {
            site.definitions.as_mut().unwrap().insert("units.tandem.dev".into(), None);
        }),
        ("resource-types", Grade::Fail, "another age", |site| site.definitions = Ok(set(RuleSet::Cel))),
        ("resource-types", Grade::Fail, "not as this release", |site| {
            let found = site.definitions.as_mut().unwrap().get_mut("units.tandem.dev").unwrap().as_mut().unwrap();
            found.spec.versions[0].schema = None;
        }),
        ("resource-types", Grade::Fail, "not established", |site| {
            site.definitions.as_mut().unwrap().get_mut("units.tandem.dev").unwrap().as_mut().unwrap().status = None;
        }),
        ("rights-of-operator", Grade::Fail, "list units.tandem.dev", |site| {
            site.programs.as_mut().unwrap()[0].allowed = false;
        }),
        ("rights-of-api", Grade::Fail, "list units", |site| site.programs.as_mut().unwrap()[1].allowed = false),
        ("rights-of-yours", Grade::Warn, "list units", |site| site.own = Ok(vec![allowed("you", false)])),
        ("data-centres", Grade::Fail, "one is lost", |site| site.centres = Ok(vec![centre("Ready", "False")])),
        ("data-centres", Grade::Warn, "NoTolerance", |site| {
            site.centres = Ok(vec![centre("ArbiterHealthy", "False")]);
        }),
        ("data-centres", Grade::Fail, "no DataCentre", |site| site.centres = Ok(Vec::new())),
        ("webhooks", Grade::Warn, "others/hook", |site| {
            site.webhooks = Ok(vec![WebhookSeen { name: "others/hook".into(), refuses: true }]);
        }),
        ("programs", Grade::Skip, "--namespace", |site| site.workloads = Ok(Vec::new())),
    ];
    for (name, grade, said, change) in cases {
        let all = changed(change);
        let check = of(&all, name, "dc-a");
        assert!(check.grade == grade && check.finding.contains(said), "{name}: {check:?}");
        assert!(!check.finding_zh.is_empty() && (grade == Grade::Skip || !check.mend.is_empty()), "{check:?}");
        assert!(check.mend.is_empty() == check.mend_zh.is_empty());
    }
    let all = changed(|site| program(site, |one| one.ready = 1));
    assert_eq!(of(&all, "programs", "dc-a").grade, Grade::Warn);
    let all = changed(|site| program(site, |one| one.ready = 0));
    assert_eq!(of(&all, "programs", "dc-a").grade, Grade::Fail);
    let all = changed(|site| program(site, |one| drop(one.secrets.insert("arbiter".into(), Ok(false)))));
    assert!(of(&all, "what-pods-need", "dc-a").finding.contains("Secret arbiter"));
    assert_eq!(exit(&all, true), Exit::Refused);
    let all = changed(|site| program(site, |one| drop(one.secrets.insert("arbiter".into(), Err("forbidden".into())))));
    assert_eq!(of(&all, "what-pods-need", "dc-a").grade, Grade::Skip);
    let all = changed(|site| program(site, |one| one.priority = Some(("tandem".into(), Ok(false)))));
    assert!(of(&all, "what-pods-need", "dc-a").finding.contains("PriorityClass tandem"));
}

#[test]
fn sites_may_be_one_minor_release_apart() {
    for (version, grade) in [
        ("0.4.9", Grade::Ok),
        ("0.5.0", Grade::Warn),
        ("0.3.0", Grade::Warn),
        ("0.6.0", Grade::Fail),
        ("1.4.0", Grade::Fail),
        ("main", Grade::Skip),
    ] {
        let all = changed(|site| site.workloads.as_mut().unwrap()[0].version = version.into());
        assert_eq!(of(&all, "versions", "sites").grade, grade, "{version}");
    }
}

#[test]
fn the_arbiter_is_judged_by_its_own_findings() {
    let judged = |change: fn(&mut ArbiterView)| {
        let mut view = arbiter();
        change(&mut view);
        checks(&[good("dc-a")], &Ok(view), &[], now()).0
    };
    let all = judged(|view| view.report.findings = vec![Finding::RestoreUnfinished.into()]);
    assert_eq!(of(&all, "arbiter", "arbiter").grade, Grade::Fail);
    let all = judged(|view| view.report.findings = vec![Finding::NoTolerance { lost: vec!["witness".into()] }.into()]);
    let check = of(&all, "arbiter", "arbiter");
    assert!(check.grade == Grade::Warn && check.mend.contains("tandem arbiter replace"), "{check:?}");
    let all = judged(|view| view.trips[0].1 = Duration::from_millis(21));
    assert!(of(&all, "arbiter-latency", "arbiter").finding.contains("21.0 ms"));
    let all = judged(|view| view.report.members.push(MemberRow::default()));
    assert_eq!(of(&all, "arbiter-certificates", "arbiter").grade, Grade::Skip, "one shows none");
    let all = judged(|view| view.report.unread = Some("permission denied".into()));
    assert_eq!(of(&all, "arbiter-records", "arbiter").grade, Grade::Skip);

    let gates = |shown: Shown| checks(&[], &Ok(arbiter()), &[shown], now()).0;
    for (shown, grade) in [
        (gate(SignedDuration::from_hours(-1)), Grade::Fail),
        (gate(SignedDuration::from_hours(24)), Grade::Warn),
        (gate(SignedDuration::from_hours(24 * 30)), Grade::Ok),
        (("https://gate:8443".into(), Err(CertificateProblem::Expired)), Grade::Fail),
        (("https://gate:8443".into(), Err(CertificateProblem::Unreachable("no route".into()))), Grade::Skip),
        (("https://gate:8443".into(), Err(CertificateProblem::Refused("UnknownIssuer".into()))), Grade::Fail),
    ] {
        assert_eq!(of(&gates(shown), "gate-certificate", "https://gate:8443").grade, grade);
    }
}

#[test]
fn people_and_programs_read_the_same() {
    let all = changed(|site| site.webhooks = Ok(vec![WebhookSeen { name: "others/hook".into(), refuses: true }]));
    let text = shown::text(&all, Output::Table, Lang::En);
    assert!(text.contains("WARN dc-a webhooks\n  → leave tandem.dev out") && text.contains("1 to look at"), "{text}");
    assert!(shown::text(&all, Output::Table, Lang::Zh).contains("项需关注"));
    let json: Vec<Value> = serde_json::from_str(&shown::text(&all, Output::Json, Lang::En)).unwrap();
    let yaml: Vec<Value> = serde_yaml::from_str(&shown::text(&all, Output::Yaml, Lang::En)).unwrap();
    assert_eq!(json, yaml);
    assert!(json.iter().any(|check| check["grade"] == "WARN" && check["place"] == "dc-a"));
}

/// An API server that knows little; what it was asked is kept.
fn server() -> (Client, Arc<Mutex<Vec<String>>>) {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&asked);
    let service = tower::service_fn(move |request: Request<Body>| {
        let accept = request.headers().get("accept").map(|value| value.to_str().unwrap().to_owned());
        let path = request.uri().path().to_owned();
        kept.lock().unwrap().push(format!("{} {path} {}", request.method(), accept.unwrap_or_default()));
        let review = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "metadata": {}, "spec": {}, "status": {"allowed": true}});
        let list = |items: Value| json!({"apiVersion": "v1", "kind": "List", "metadata": {}, "items": items});
        let (status, body) = match (request.method(), path.as_str()) {
            (_, "/version") => (200, json!({"major": "1", "minor": "20+", "gitVersion": "v1.20.2"})),
            (&Method::POST, path) if path.ends_with("accessreviews") => (201, review),
            (_, "/apis/apps/v1/namespaces/tandem-system/statefulsets") => (
                200,
                list(json!([{
                    "metadata": {"name": "tandem-operator"},
                    "spec": {"replicas": 2, "serviceName": "x", "selector": {}, "template": {
                        "metadata": {"labels": {"app.kubernetes.io/version": "0.1.0"}},
                        "spec": {"containers": [], "volumes": [{"name": "tls", "secret": {"secretName": "operator-tls"}}]}
                    }},
                    "status": {"replicas": 2, "readyReplicas": 2, "updatedReplicas": 2}
                }])),
            ),
            (_, path) if path.ends_with("/secrets/operator-tls") => (
                200,
                json!({
                    "apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": {"name": "operator-tls"}
                }),
            ),
            (_, "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations") => (
                403,
                json!({
                    "kind": "Status", "status": "Failure", "message": "not yours", "reason": "Forbidden", "code": 403
                }),
            ),
            (_, path) if path.contains("customresourcedefinitions/") => (
                404,
                json!({
                    "kind": "Status", "status": "Failure", "message": "none", "reason": "NotFound", "code": 404
                }),
            ),
            _ => (200, list(json!([]))),
        };
        let answer = Response::builder()
            .status(StatusCode::from_u16(status).unwrap())
            .header("date", "Wed, 02 Jan 2030 03:04:05 GMT")
            .body(Body::from(serde_json::to_vec(&body).unwrap()))
            .unwrap();
        async move { Ok::<_, Infallible>(answer) }
    });
    (Client::new(service, "default"), asked)
}

#[tokio::test]
async fn a_site_is_looked_at_and_no_secret_is_read() {
    let (client, asked) = server();
    let seen = Box::pin(gather::site(&client, "dc-a", "tandem-system")).await;
    assert_eq!(seen.server.unwrap(), ServerSeen { minor: Some(20), version: "v1.20.2".into() });
    assert_eq!(seen.clock.unwrap().said, now());
    assert!(seen.definitions.unwrap().values().all(Option::is_none));
    let programs = seen.programs.unwrap();
    assert!(programs.len() > 100 && programs.iter().all(|right| right.allowed));
    let workloads = seen.workloads.unwrap();
    assert_eq!(workloads[0].version, "0.1.0");
    assert_eq!(workloads[0].secrets["operator-tls"], Ok(true));
    assert_eq!(seen.webhooks.unwrap_err(), "not yours", "one refusal hides nothing else");
    let asked = asked.lock().unwrap();
    let of_secrets: Vec<&String> = asked.iter().filter(|line| line.contains("/secrets")).collect();
    assert!(
        !of_secrets.is_empty() && of_secrets.iter().all(|line| line.contains("PartialObjectMetadata")),
        "{of_secrets:?}"
    );
    let wrote = |line: &&String| !line.starts_with("GET") && !line.contains("accessreviews");
    assert_eq!(asked.iter().filter(wrote).count(), 0, "nothing is written");
}
