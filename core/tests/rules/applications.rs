//! What is wrong with applications, a test a rule.

use tandem_core::check::{self, PolicyRule, Problem};
use tandem_crds::status::Reason;
use tandem_crds::{Application, ApplicationRef, Endpoint, Waiver};

use crate::fixtures::{City, environment, hall, only, plain, read, video};

fn problems(city: &City, application: &Application) -> Vec<Problem> {
    check::application(application, &city.world())
}

/// Changes the only thing that is to be wrong.
fn changed(change: impl FnOnce(&mut Application)) -> Application {
    let mut application = hall();
    change(&mut application);
    application
}

fn endpoint(application: &mut Application) -> &mut Endpoint {
    &mut application.spec.endpoints.as_mut().unwrap()[0]
}

fn check_one(change: impl FnOnce(&mut Application)) -> Vec<Problem> {
    problems(&City::new(), &changed(change))
}

#[test]
fn good_applications_pass() {
    for application in [hall(), video()] {
        assert_eq!(problems(&City::new(), &application), []);
        assert_eq!(problems(&City::new().publish(application.clone()), &application), []);
    }
}

#[test]
fn the_environment_must_be_there() {
    only(
        &check_one(|application| application.metadata.namespace = Some("default".to_owned())),
        Reason::NotFound,
        "metadata.namespace: the namespace default is no environment's: create the application in the namespace of an \
         Environment, or create the Environment default first",
    );
}

#[test]
fn a_suspended_unit_takes_nothing_new() {
    let mut city = City::new();
    city.units.get_mut("data").unwrap().spec.suspended = true;
    let found = problems(&city, &hall());
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].reason, found[0].path.as_str()), (Reason::Suspended, "metadata.namespace"));
    assert_eq!(problems(&city.publish(hall()), &hall()), []);
}

#[test]
fn an_environment_needs_a_profile() {
    let mut city = City::new();
    city.profiles.clear();
    let found = problems(&city, &hall());
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].reason, Reason::NotFound);
}

#[test]
fn an_image_must_come_from_an_allowed_registry() {
    let digest = format!("@sha256:{}", "0".repeat(64));
    only(
        &check_one(|a| a.spec.components.as_mut().unwrap()[1].image = format!("elsewhere.example/time{digest}")),
        Reason::PolicyViolation,
        &format!(
            "spec.components[1].image: 'elsewhere.example/time{digest}' comes from no registry that security profile mlps-3 \
             allows; take it from registry.bozhou.example/data"
        ),
    );
}

#[test]
fn an_image_must_have_a_digest_where_the_profile_says_so() {
    only(
        &check_one(|a| a.spec.components.as_mut().unwrap()[0].image = "registry.bozhou.example/data/hall:1".to_owned()),
        Reason::PolicyViolation,
        "spec.components[0].image: 'registry.bozhou.example/data/hall:1' has no digest: security profile mlps-3 requires \
         one; write it as <image>@sha256:<64 hexadecimal digits>",
    );
}

#[test]
fn the_profile_must_serve_the_level() {
    only(
        &check_one(|application| application.spec.mlps_level = Some(4)),
        Reason::PolicyViolation,
        "spec.mlpsLevel: the system is of MLPS level 4, but security profile mlps-3 serves level 3 at most; put it into an \
         environment whose profile serves level 4",
    );
}

#[test]
fn required_labels_must_be_there() {
    for labels in [None, Some([("gov.example/owner".to_owned(), String::new())].into())] {
        only(
            &check_one(|application| application.metadata.labels = labels),
            Reason::PolicyViolation,
            "metadata.labels: label gov.example/owner is missing: security profile mlps-3 requires it; give it a value",
        );
    }
}

#[test]
fn a_host_name_must_end_as_the_profile_says() {
    only(
        &check_one(|application| endpoint(application).hosts[1] = "hall.evilbozhou.example".to_owned()),
        Reason::PolicyViolation,
        "spec.endpoints[0].hosts[1]: hall.evilbozhou.example is no host name that security profile mlps-3 allows; it must \
         end in bozhou.example",
    );
}

/// A city whose profile waives the digest for hall in data-prod until February, changed by the test.
fn waiving(change: impl FnOnce(&mut Waiver)) -> City {
    let mut waiver: Waiver = read(
        "{rule: images.requireDigest, environment: data-prod, application: hall, reason: 供应商三月前交付摘要, \
         until: '2027-02-01T00:00:00+08:00'}",
    );
    change(&mut waiver);
    let mut city = City::new();
    city.profiles.get_mut("mlps-3").unwrap().spec.waivers.push(waiver);
    city
}

fn without_digest() -> Application {
    changed(|a| a.spec.components.as_mut().unwrap()[0].image = "registry.bozhou.example/data/hall:1".to_owned())
}

#[test]
fn what_is_waived_is_no_problem_and_only_that() {
    assert_eq!(problems(&waiving(|_| {}), &without_digest()), []);
    assert_eq!(problems(&waiving(|waiver| waiver.application = None), &without_digest()), []);
    for change in [
        (|waiver| waiver.application = Some("pay".to_owned())) as fn(&mut Waiver),
        |waiver| waiver.environment = "data-test".to_owned(),
        |waiver| waiver.rule = "images.registries".to_owned(),
        |waiver| waiver.until = "soon".to_owned(),
    ] {
        let found = problems(&waiving(change), &without_digest());
        assert_eq!(found.len(), 1, "{found:#?}");
        assert_eq!(found[0].reason, Reason::PolicyViolation);
    }
    // A waiver of one profile says nothing about an environment under another.
    let mut city = waiving(|_| {});
    city.profiles.get_mut("mlps-2").unwrap().spec.images.require_digest = true;
    city.environments.get_mut("data-prod").unwrap().spec.security_profile = Some("mlps-2".to_owned());
    let found = problems(&city, &without_digest());
    assert!(found.iter().any(|problem| problem.message.contains("has no digest")), "{found:#?}");
}

#[test]
fn a_waiver_ends_at_its_time_wherever_the_clock_hangs() {
    let mut city = waiving(|_| {});
    for (now, waived) in [
        ("2027-01-31T15:59:59Z", true),
        ("2027-01-31T23:59:59+08:00", true),
        ("2027-01-31T16:00:00Z", false),
        ("2027-02-01T00:00:01+08:00", false),
    ] {
        city.now = now.parse().unwrap();
        assert_eq!(problems(&city, &without_digest()).is_empty(), waived, "{now}");
    }
}

#[test]
fn every_rule_that_is_enforced_can_be_waived() {
    let mut broken = changed(|a| {
        a.spec.components.as_mut().unwrap()[0].image = "elsewhere.example/hall:1".to_owned();
        a.spec.mlps_level = Some(4);
        a.metadata.labels = None;
    });
    endpoint(&mut broken).hosts[0] = "hall.example".to_owned();
    let mut city = City::new();
    assert_eq!(problems(&city, &broken).len(), PolicyRule::ALL.len());
    for rule in PolicyRule::ALL {
        let waiver = waiving(|waiver| waiver.rule = rule.path().to_owned());
        let waiver = waiver.profiles["mlps-3"].spec.waivers[0].clone();
        let left = problems(&city, &broken).len();
        city.profiles.get_mut("mlps-3").unwrap().spec.waivers.push(waiver);
        assert_eq!(problems(&city, &broken).len(), left - 1, "{rule}");
    }
}

#[test]
fn a_host_name_is_one_applications() {
    let city = City::new().publish(hall());
    let mut other = video();
    endpoint(&mut other).hosts = vec!["hall.bozhou.example".to_owned()];
    only(
        &problems(&city, &other),
        Reason::HostNameTaken,
        "spec.endpoints[0].hosts[0]: hall.bozhou.example is already the host name of data-prod/hall; choose another or \
         remove it there",
    );
}

#[test]
fn whose_a_host_name_is_stays_within_the_unit() {
    let mut city = City::new().publish(hall());
    let mut others = environment();
    others.spec.unit = "police".to_owned();
    city.environments.insert("data-prod".to_owned(), others);
    let mut own = environment();
    own.metadata.name = Some("data-test".to_owned());
    city.environments.insert("data-test".to_owned(), own);
    let mut other = video();
    other.metadata.namespace = Some("data-test".to_owned());
    endpoint(&mut other).hosts = vec!["hall.bozhou.example".to_owned()];
    let found = problems(&city, &other);
    let taken = found.iter().find(|problem| problem.reason == Reason::HostNameTaken).unwrap();
    assert_eq!(
        taken.message,
        "hall.bozhou.example is already the host name of another unit's application; choose another"
    );
}

#[test]
fn a_host_name_may_be_shared_by_paths_of_one_application_only() {
    let second = |path: &str| {
        let mut second = endpoint(&mut hall()).clone();
        second.name = "more".to_owned();
        second.path = path.to_owned();
        second.hosts.truncate(1);
        second
    };
    let with = |path: &str| changed(|a| a.spec.endpoints.as_mut().unwrap().push(second(path)));
    assert_eq!(problems(&City::new(), &with("/more")), []);
    only(
        &problems(&City::new(), &with("/")),
        Reason::Invalid,
        "spec.endpoints[3].hosts[0]: hall.bozhou.example with the path / is spec.endpoints[0].hosts[0] already: give the \
         endpoint another path or host name",
    );
}

#[test]
fn an_application_must_fit_its_environment_alone() {
    only(
        &check_one(|application| application.spec.components.as_mut().unwrap()[0].replicas.active = 40),
        Reason::OverBudget,
        "spec.components: at the active site the application takes 20.1 of cpu, but the whole quota of environment \
         data-prod is 16; lower replicas or resources, or ask for a larger quota",
    );
    only(
        &check_one(|application| application.spec.storage = Some("2Ti".into())),
        Reason::OverBudget,
        "spec.storage: at the active site the application takes 2Ti of storage, but the whole quota of environment \
         data-prod is 1Ti; lower spec.storage, or ask for a larger quota",
    );
    let mut adopting = video();
    adopting.spec.adopt.as_mut().unwrap()[0].replicas.active = 1_000;
    let found = problems(&City::new(), &adopting);
    assert_eq!((found.len(), found[0].reason, found[0].path.as_str()), (1, Reason::OverBudget, "spec.adopt"));
}

#[test]
fn amounts_must_be_amounts() {
    only(
        &check_one(|application| application.spec.components.as_mut().unwrap()[0].resources.cpu = "0".into()),
        Reason::Invalid,
        "spec.components[0].resources.cpu: '0' is nothing: give an amount above zero",
    );
    let found =
        check_one(|application| application.spec.components.as_mut().unwrap()[0].resources.memory = "1GB".into());
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].path, "spec.components[0].resources.memory");
}

#[test]
fn a_dependency_must_be_there() {
    only(
        &check_one(|application| {
            application.spec.dependencies =
                vec![ApplicationRef { environment: Some("health-prod".to_owned()), application: "records".to_owned() }];
        }),
        Reason::NotFound,
        "spec.dependencies[0]: there is no application health-prod/records: create it first, correct the name, or take the \
         dependency out",
    );
}

#[test]
fn dependencies_may_not_go_in_a_circle() {
    let city = City::new()
        .publish(plain("data-prod", "other", &[]))
        .publish(plain("data-prod", "b", &[("health-prod", "c")]))
        .publish(plain("health-prod", "c", &[("data-prod", "a")]))
        // As it is published, a depends on nothing: what counts is what it is to be.
        .publish(plain("data-prod", "a", &[]));
    only(
        &problems(&city, &plain("data-prod", "a", &[("data-prod", "other"), ("data-prod", "b")])),
        Reason::DependencyCycle,
        "spec.dependencies[1]: applications would depend on each other in a circle: data-prod/a → data-prod/b → \
         health-prod/c → data-prod/a; take one of these dependencies out",
    );
    only(
        &problems(&city, &plain("data-prod", "a", &[("data-prod", "a")])),
        Reason::DependencyCycle,
        "spec.dependencies[0]: applications would depend on each other in a circle: data-prod/a → data-prod/a; take one of \
         these dependencies out",
    );
}

#[test]
fn a_circle_of_others_is_theirs_to_mend() {
    let city = City::new().publish(plain("data-prod", "b", &[("data-prod", "c")])).publish(plain(
        "data-prod",
        "c",
        &[("data-prod", "b")],
    ));
    assert_eq!(problems(&city, &plain("data-prod", "a", &[("data-prod", "b")])), []);
}

#[test]
fn a_failover_group_that_is_named_must_be_there() {
    let named = |group: &str| changed(|application| application.spec.failover_group = Some(group.to_owned()));
    let mut city = City::new();
    assert_eq!(problems(&city, &named("citizens"))[0].reason, Reason::NotFound);
    city.groups.insert("citizens".to_owned(), read("{metadata: {name: citizens}, spec: {}}"));
    assert_eq!(problems(&city, &named("citizens")), []);
    assert_eq!(problems(&city, &named("platform"))[0].reason, Reason::Invalid);
}

#[test]
fn two_applications_do_not_share_names_by_accident() {
    let mut first = hall();
    first.spec.components.as_mut().unwrap()[0].name = "web-api".to_owned();
    first.spec.endpoints.as_mut().unwrap().truncate(1);
    endpoint(&mut first).component = Some("web-api".to_owned());
    endpoint(&mut first).name = "web-public".to_owned();
    let mut second = hall();
    second.metadata.name = Some("hall-web".to_owned());
    second.spec.components.as_mut().unwrap()[0].name = "api".to_owned();
    second.spec.endpoints.as_mut().unwrap().truncate(1);
    endpoint(&mut second).hosts.clear();
    endpoint(&mut second).tls_secret = None;
    let found = problems(&City::new().publish(first), &second);
    let paths: Vec<&str> = found.iter().map(|problem| problem.path.as_str()).collect();
    assert_eq!(paths, ["spec.components[0].name", "spec.endpoints[0].name"], "{found:#?}");

    // And no failover group: data-prod/x-y and data-prod-x/y.
    let mut elsewhere = plain("data-prod-x", "y", &[]);
    elsewhere.spec.failover_group = None;
    only(
        &problems(&City::new().publish(elsewhere), &plain("data-prod", "x-y", &[])),
        Reason::Invalid,
        "spec.failoverGroup: the application's own group would be data-prod-x-y, which is also that of data-prod-x/y: the \
         two would move together; name a group in spec.failoverGroup or choose another name",
    );
}

#[test]
fn a_workload_is_adopted_once() {
    let mut second = video();
    second.metadata.name = Some("second".to_owned());
    second.spec.endpoints = None;
    let found = problems(&City::new().publish(video()), &second);
    let paths: Vec<&str> = found.iter().map(|problem| problem.path.as_str()).collect();
    assert_eq!(paths, ["spec.adopt[0].name", "spec.adopt[1].name"]);
    second.spec.adopt.as_mut().unwrap().truncate(1);
    second.spec.adopt.as_mut().unwrap()[0].name = "hall-web".to_owned();
    only(
        &problems(&City::new().publish(hall()), &second),
        Reason::Invalid,
        "spec.adopt[0].name: Deployment hall-web is application hall's already: a workload belongs to one application; take \
         it out here or there",
    );
}

#[test]
fn what_an_api_server_would_refuse_is_refused_before() {
    type Change = fn(&mut Application);
    let cases: [(&str, Change); 14] = [
        ("metadata.name", |a| a.metadata.name = Some("hall.web".to_owned())),
        ("metadata.name", |a| a.metadata.name = Some("12345".to_owned())),
        ("spec.components[0].ports[0].name", |a| web(a).ports[0].name = "80".to_owned()),
        ("spec.components[0].ports[1].name", |a| web(a).ports[1].name = "http".to_owned()),
        ("spec.components[0].ports[1].port", |a| web(a).ports[1].port = 8080),
        ("spec.components[0].env[1].name", |a| web(a).env[1].name = "MODE".to_owned()),
        ("spec.components[0].config", |a| drop(web(a).config.insert("a/b".to_owned(), String::new()))),
        ("spec.components[0].config", |a| drop(web(a).config.insert("big".to_owned(), "x".repeat(1 << 20)))),
        ("spec.endpoints[0].tlsSecret", |a| endpoint(a).hosts.clear()),
        ("spec.endpoints[0].path", |a| endpoint(a).path = "/a/../b".to_owned()),
        ("spec.endpoints[0].selector", |a| endpoint(a).component = None),
        ("spec.endpoints[0].selector", |a| drop(endpoint(a).selector.insert("app".to_owned(), "hall".to_owned()))),
        ("spec.access.from[0].application", |a| {
            a.spec.access.as_mut().unwrap().from[0].application = "data-prod/pay".to_owned();
        }),
        ("spec.access.to[0].environment", |a| {
            a.spec.access.as_mut().unwrap().to[0].environment = Some("Health".to_owned());
        }),
    ];
    for (n, (path, change)) in cases.into_iter().enumerate() {
        let found = check_one(change);
        assert_eq!(found.len(), 1, "case {n}: {found:#?}");
        assert_eq!((found[0].reason, found[0].path.as_str()), (Reason::Invalid, path), "case {n}");
    }
    let image = check_one(|a| web(a).image = format!("https://registry.bozhou.example/x@sha256:{}", "0".repeat(64)));
    assert!(
        image.iter().any(|problem| problem.reason == Reason::Invalid && problem.path == "spec.components[0].image")
    );
}

fn web(application: &mut Application) -> &mut tandem_crds::Component {
    &mut application.spec.components.as_mut().unwrap()[0]
}

#[test]
fn everything_is_told_at_once() {
    let found = check_one(|application| {
        application.spec.mlps_level = Some(4);
        application.metadata.labels = None;
        web(application).ports[0].name = "80".to_owned();
        endpoint(application).hosts[0] = "hall.example".to_owned();
    });
    assert_eq!(found.len(), 4, "{found:#?}");
}
