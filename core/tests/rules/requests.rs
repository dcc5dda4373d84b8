//! Whether what is asked for could be, as things are.

use tandem_core::check;
use tandem_crds::status::Reason;
use tandem_crds::{EnvironmentRequest, RequestType, RequestedApplication};

use crate::fixtures::{City, hall, only, read};

fn request(kind: RequestType, environment: &str, more: &str) -> EnvironmentRequest {
    let kind = kind.as_str();
    read(&format!(
        "
        metadata: {{name: data-1}}
        spec:
          type: {kind}
          unit: data
          environment: {environment}
          reason: more work
          requestedBy: {{name: li}}
          submittedAt: '2030-01-01T00:00:00Z'
          {more}
        "
    ))
}

const QUOTA: &str = "quota: {cpu: '16', memory: 64Gi, storage: 1Ti, pods: 100}";

fn asked(name: &str) -> RequestedApplication {
    let hall = hall();
    let mut spec = hall.spec;
    spec.id = None;
    spec.access = None;
    RequestedApplication { name: name.to_owned(), labels: hall.metadata.labels.unwrap(), spec }
}

#[test]
fn what_can_be_is_in_order() {
    let city = City::new();
    for request in [
        request(RequestType::Create, "data-test", QUOTA),
        request(RequestType::Resize, "data-prod", QUOTA),
        request(RequestType::Delete, "data-prod", ""),
    ] {
        assert_eq!(check::environment_request(&request, &city.world()), []);
    }
    let mut with_application = request(RequestType::Create, "data-test", QUOTA);
    with_application.spec.applications = vec![asked("hall")];
    assert_eq!(check::environment_request(&with_application, &city.world()), []);
}

#[test]
fn what_is_there_or_is_not_is_said() {
    let city = City::new();
    let taken = request(RequestType::Create, "data-prod", QUOTA);
    only(
        &check::environment_request(&taken, &city.world()),
        Reason::Invalid,
        "spec.environment: there is an environment data-prod already: ask for another name, or for a Resize",
    );
    let gone = request(RequestType::Resize, "data-test", QUOTA);
    only(
        &check::environment_request(&gone, &city.world()),
        Reason::NotFound,
        "spec.environment: there is no environment data-test: correct the name, or ask to create it",
    );
    let mut other = City::new();
    other.environments.get_mut("data-prod").unwrap().spec.unit = "tax".into();
    let foreign = request(RequestType::Delete, "data-prod", "");
    only(
        &check::environment_request(&foreign, &other.world()),
        Reason::NotFound,
        "spec.environment: there is no environment data-prod of unit data",
    );
}

#[test]
fn what_does_not_fit_is_named_as_the_requests_own_field() {
    let city = City::new();
    let large = request(RequestType::Resize, "data-prod", "quota: {cpu: '65', memory: 64Gi, storage: 1Ti, pods: 100}");
    let problems = check::environment_request(&large, &city.world());
    assert_eq!((problems.len(), problems[0].reason), (1, Reason::OverBudget), "{problems:?}");
    assert_eq!(problems[0].path, "spec.quota.cpu");
    let mut city = City::new();
    city.units.get_mut("data").unwrap().spec.suspended = true;
    let new = request(RequestType::Create, "data-test", QUOTA);
    assert_eq!(check::environment_request(&new, &city.world())[0].reason, Reason::Suspended);
    let smaller = request(RequestType::Resize, "data-prod", QUOTA);
    assert_eq!(check::environment_request(&smaller, &city.world()), [], "what runs goes on");
}

#[test]
fn applications_are_held_to_the_rules_before_there_is_an_environment() {
    let city = City::new();
    let mut new = request(RequestType::Create, "data-test", QUOTA);
    let mut loose = asked("hall");
    loose.spec.components.as_mut().unwrap()[0].image = "docker.io/library/nginx".into();
    new.spec.applications = vec![loose];
    let problems = check::environment_request(&new, &city.world());
    assert!(problems.iter().all(|problem| problem.reason == Reason::PolicyViolation), "{problems:?}");
    assert_eq!(problems[0].path, "spec.applications[0].spec.components[0].image");
    // Two of one request are held to each other.
    new.spec.applications = vec![asked("hall"), asked("mall")];
    let problems = check::environment_request(&new, &city.world());
    assert!(problems.iter().any(|problem| problem.reason == Reason::HostNameTaken), "{problems:?}");
    assert!(problems.iter().all(|problem| problem.path.starts_with("spec.applications[1]")), "{problems:?}");
    new.spec.applications = vec![asked("hall"), asked("hall")];
    let problems = check::environment_request(&new, &city.world());
    assert_eq!(problems[0].path, "spec.applications[1].name");
    // One that is there already is the agency's to change, not a request's.
    let city = City::new().publish(hall());
    let mut larger = request(RequestType::Resize, "data-prod", QUOTA);
    larger.spec.applications = vec![asked("hall")];
    only(
        &check::environment_request(&larger, &city.world()),
        Reason::Invalid,
        "spec.applications[0].name: there is an application hall already: take it out here, and change the Application",
    );
}

#[test]
fn an_extension_comes_later_and_a_deletion_is_possible() {
    let mut city = City::new();
    city.environments.get_mut("data-prod").unwrap().spec.expires_at = Some("2031-01-01T00:00:00Z".into());
    let until = |until: &str| request(RequestType::Extend, "data-prod", &format!("until: '{until}'"));
    assert_eq!(check::environment_request(&until("2031-01-01T08:00:01+08:00"), &city.world()), []);
    let same = check::environment_request(&until("2031-01-01T08:00:00+08:00"), &city.world());
    assert!(same[0].message.contains("name a later time"), "{same:?}");
    let none = check::environment_request(&until("2031-02-30T00:00:00Z"), &city.world());
    assert!(none[0].message.contains("is no time"), "{none:?}");
    let never = check::environment_request(&until("2031-01-01T00:00:00Z"), &City::new().world());
    assert!(never[0].message.contains("does not expire"), "{never:?}");

    city.environments.get_mut("data-prod").unwrap().spec.deletion_protection = true;
    let delete = request(RequestType::Delete, "data-prod", "");
    assert_eq!(check::environment_request(&delete, &city.world())[0].reason, Reason::DeletionRefused);
    let busy = City::new().publish(hall());
    assert_eq!(check::environment_request(&delete, &busy.world())[0].reason, Reason::DeletionRefused);
}

#[test]
fn what_is_marked_for_deletion_takes_nothing_new() {
    let mut city = City::new().publish(hall());
    city.environments.get_mut("data-prod").unwrap().spec.delete_after = Some("2030-02-01T00:00:00Z".into());
    let larger = request(RequestType::Resize, "data-prod", QUOTA);
    assert_eq!(check::environment_request(&larger, &city.world())[0].reason, Reason::Deleting);
    assert_eq!(check::application(&hall(), &city.world()), [], "what is there goes on");
    let mut new = hall();
    new.metadata.name = Some("mall".into());
    new.spec.endpoints = None;
    only(
        &check::application(&new, &city.world()),
        Reason::Deleting,
        "metadata.namespace: environment data-prod is marked for deletion at 2030-02-01T00:00:00Z: no application is \
         admitted; undo the deletion first, or use another environment",
    );
}

#[test]
fn nothing_is_wrong_with_what_is_over() {
    let city = City::new();
    let word = "{by: li, at: '2030-01-01T00:00:00Z'}";
    let digest = "a".repeat(64);
    for over in [
        format!("withdrawn: {word}"),
        "carriedOut: '2030-01-01T00:00:00Z'".to_owned(),
        format!(
            "decisions: [{{role: Platform, outcome: Reject, by: wang, at: '2030-01-01T00:00:00Z', digest: {digest}}}]"
        ),
    ] {
        let request = request(RequestType::Create, "data-prod", &format!("{QUOTA}\n          {over}"));
        assert_eq!(check::environment_request(&request, &city.world()), []);
    }
}

#[test]
fn a_profile_that_is_not_known_demands_a_security_decision() {
    use tandem_core::requests::demands_security;
    let mut city = City::new();
    let new = request(RequestType::Create, "data-test", QUOTA);
    let standing = request(RequestType::Resize, "data-prod", QUOTA);
    for request in [&new, &standing] {
        assert!(!demands_security(&request.spec, &city.world()));
    }
    city.profiles.get_mut("mlps-3").unwrap().spec.security_decision = true;
    for request in [&new, &standing] {
        assert!(demands_security(&request.spec, &city.world()));
    }
    let lenient = request(RequestType::Create, "data-test", &format!("{QUOTA}\n          securityProfile: mlps-2"));
    assert!(!demands_security(&lenient.spec, &city.world()));
    city.profiles.clear();
    for request in [&new, &standing, &lenient] {
        assert!(demands_security(&request.spec, &city.world()));
    }
}
