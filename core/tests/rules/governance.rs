//! What is wrong with units, environments, profiles, groups and data centres, a test a rule.

use tandem_core::check::{self, Problem};
use tandem_crds::status::Reason;
use tandem_crds::{DataCentre, Environment, SecurityProfile, Unit};

use crate::fixtures::{City, environment, only, profile, read, unit};

fn of_environment(change: impl FnOnce(&mut Environment)) -> Vec<Problem> {
    let mut environment = environment();
    change(&mut environment);
    // A quota of its own that leaves room: the fixture asks for more pods than the budget has, see below.
    check::environment(&environment, &roomy().world())
}

/// A city whose unit has pods enough for the fixture's environment.
fn roomy() -> City {
    let mut city = City::new();
    city.units.get_mut("data").unwrap().spec.budget.pods = 2_000;
    city
}

fn of_unit(change: impl FnOnce(&mut Unit)) -> Vec<Problem> {
    let mut unit = unit();
    change(&mut unit);
    check::unit(&unit, &City::new().world())
}

fn of_profile(change: impl FnOnce(&mut SecurityProfile)) -> Vec<Problem> {
    let mut profile = profile();
    change(&mut profile);
    check::security_profile(&profile, &City::new().world())
}

#[test]
fn good_ones_pass() {
    assert_eq!(of_environment(|_| {}), []);
    assert_eq!(of_unit(|_| {}), []);
    assert_eq!(of_profile(|_| {}), []);
    let city = City::new();
    let group = read("{metadata: {name: citizens}, spec: {}}");
    assert_eq!(check::failover_group(&group, &city.world()), []);
    let site: DataCentre = read("{metadata: {name: dc-a}, spec: {displayName: {zh: 一}, preference: Primary}}");
    assert_eq!(check::data_centre(&site, &city.world()), []);
}

#[test]
fn a_quota_must_fit_the_budget_alone() {
    only(
        &check::environment(&environment(), &City::new().world()),
        Reason::OverBudget,
        "spec.quota.pods: asks 1000 of pods, but the whole budget of unit data is 400; ask for less or raise the unit's \
         budget",
    );
    only(
        &of_environment(|environment| environment.spec.quota.cpu = "64500m".into()),
        Reason::OverBudget,
        "spec.quota.cpu: asks 64.5 of cpu, but the whole budget of unit data is 64; ask for less or raise the unit's budget",
    );
    let mut city = roomy();
    city.units.get_mut("data").unwrap().spec.budget.environments = 0;
    let found = check::environment(&environment(), &city.world());
    assert_eq!((found.len(), found[0].path.as_str()), (1, "spec.unit"));
}

#[test]
fn a_quota_is_amounts_above_zero() {
    only(
        &of_environment(|environment| environment.spec.quota.memory = "0Gi".into()),
        Reason::Invalid,
        "spec.quota.memory: '0Gi' is nothing: give an amount above zero",
    );
    let found = of_environment(|environment| {
        environment.spec.quota.cpu = "four".into();
        environment.spec.quota.pods = 0;
    });
    let paths: Vec<&str> = found.iter().map(|problem| problem.path.as_str()).collect();
    assert_eq!(paths, ["spec.quota.cpu", "spec.quota.pods"]);
    assert_eq!(of_environment(|environment| environment.spec.quota.storage = "0".into()), []);
}

#[test]
fn an_environments_unit_must_be_there() {
    only(
        &of_environment(|environment| environment.spec.unit = "health".to_owned()),
        Reason::NotFound,
        "spec.unit: there is no Unit health: create it first or correct the name",
    );
}

#[test]
fn a_suspended_unit_takes_no_new_environment() {
    let mut city = roomy();
    city.units.get_mut("data").unwrap().spec.suspended = true;
    assert_eq!(check::environment(&environment(), &city.world()), []);
    city.environments.clear();
    let found = check::environment(&environment(), &city.world());
    assert_eq!((found.len(), found[0].reason), (1, Reason::Suspended));
}

#[test]
fn a_profile_must_be_there() {
    only(
        &of_environment(|environment| environment.spec.security_profile = Some("none".to_owned())),
        Reason::NotFound,
        "spec.securityProfile: there is no SecurityProfile none: create it first or correct the name",
    );
    only(
        &of_unit(|unit| unit.spec.security_profile = "none".to_owned()),
        Reason::NotFound,
        "spec.securityProfile: there is no SecurityProfile none: create it first or correct the name",
    );
    let mut city = roomy();
    city.profiles.clear();
    let found = check::environment(&environment(), &city.world());
    assert_eq!((found.len(), found[0].path.as_str()), (1, "spec.securityProfile"));
}

#[test]
fn names_become_parts_of_names() {
    for name in ["data.prod", "Data", "", &"d".repeat(64)] {
        let found = of_environment(|environment| environment.metadata.name = Some(name.to_owned()));
        assert_eq!((found.len(), found[0].path.as_str()), (1, "metadata.name"), "{name}");
    }
    assert_eq!(of_unit(|unit| unit.metadata.name = Some("da.ta".to_owned()))[0].path, "metadata.name");
}

#[test]
fn nobody_names_groups_that_are_not_the_agencys() {
    for group in ["system:masters", "system:authenticated", "tandem:operators"] {
        let found = of_unit(|unit| unit.spec.viewers.push(group.to_owned()));
        assert_eq!(
            (found.len(), found[0].reason, found[0].path.as_str()),
            (1, Reason::PolicyViolation, "spec.viewers[1]")
        );
        let found = of_environment(|environment| environment.spec.members[1].group = group.to_owned());
        assert_eq!((found.len(), found[0].path.as_str()), (1, "spec.members[1].group"));
    }
}

#[test]
fn a_time_is_one_of_the_calendar() {
    only(
        &of_environment(|environment| environment.spec.expires_at = Some("2027-02-30T00:00:00+08:00".to_owned())),
        Reason::Invalid,
        "spec.expiresAt: '2027-02-30T00:00:00+08:00' is no time: write it like 2027-06-30T00:00:00+08:00",
    );
    assert_eq!(of_environment(|e| e.spec.expires_at = Some("2027-02-28T00:00:00+08:00".to_owned())), []);
}

#[test]
fn a_parent_must_be_there() {
    only(
        &of_unit(|unit| unit.spec.parent = Some("city".to_owned())),
        Reason::NotFound,
        "spec.parent: there is no Unit city: create it first, correct the name, or leave the parent out",
    );
}

#[test]
fn units_are_not_above_each_other_in_a_circle() {
    let named = |name: &str, parent: Option<&str>| {
        let mut unit = unit();
        unit.metadata.name = Some(name.to_owned());
        unit.spec.parent = parent.map(str::to_owned);
        (name.to_owned(), unit)
    };
    let mut city = City::new();
    city.units.extend([named("county", Some("town")), named("town", Some("data")), named("data", None)]);
    let (_, data) = named("data", Some("county"));
    only(
        &check::unit(&data, &city.world()),
        Reason::Invalid,
        "spec.parent: units would be above each other in a circle: data → county → town → data; name another parent for one \
         of them",
    );
    // A circle of others ends the search.
    city.units.extend([named("town", Some("county"))]);
    assert_eq!(check::unit(&data, &city.world()), []);
}

#[test]
fn a_budget_is_amounts() {
    let found = of_unit(|unit| {
        unit.spec.budget.cpu = "1e3".into();
        unit.spec.budget.pods = -1;
    });
    let paths: Vec<&str> = found.iter().map(|problem| problem.path.as_str()).collect();
    assert_eq!(paths, ["spec.budget.cpu", "spec.budget.pods"]);
}

#[test]
fn a_profiles_rules_can_be_followed() {
    let found = of_profile(|profile| {
        profile.spec.egress[1].cidr = "10.30.0.1/24".to_owned();
        profile.spec.images.registries.push("https://registry.example".to_owned());
        profile.spec.host_name_suffixes.push("*.example".to_owned());
        profile.spec.required_labels.extend(["a b".to_owned(), "tandem.dev/unit".to_owned()]);
    });
    let paths: Vec<&str> = found.iter().map(|problem| problem.path.as_str()).collect();
    assert_eq!(
        paths,
        [
            "spec.egress[1].cidr",
            "spec.images.registries[1]",
            "spec.hostNameSuffixes[1]",
            "spec.requiredLabels[1]",
            "spec.requiredLabels[2]",
        ]
    );
    assert!(found.iter().all(|problem| problem.reason == Reason::Invalid));
}

#[test]
fn a_waiver_says_what_where_why_and_until_when() {
    let of_waivers = |text: &str| of_profile(|profile| profile.spec.waivers = read(text));
    let good =
        "{rule: images.requireDigest, environment: data-none, reason: 旧系统, until: '2027-06-30T00:00:00+08:00'}";
    assert_eq!(of_waivers(&format!("[{good}]")), [], "the environment need not be there yet");
    let ended = good.replace("2027", "2020");
    assert_eq!(of_waivers(&format!("[{ended}]")), [], "one that has ended stays as it is");
    only(
        &of_waivers(&format!("[{}]", good.replace("images.requireDigest", "podSecurity"))),
        Reason::Invalid,
        "spec.waivers[0].rule: 'podSecurity' is no rule that can be waived: name one of mlpsLevel, requiredLabels, \
         images.registries, images.requireDigest, hostNameSuffixes",
    );
    only(
        &of_waivers(&format!("[{}]", good.replace("06-30", "02-30"))),
        Reason::Invalid,
        "spec.waivers[0].until: '2027-02-30T00:00:00+08:00' is no time: write it like 2027-06-30T00:00:00+08:00",
    );
    only(
        &of_waivers(&format!("[{}]", good.replace("旧系统", "' '"))),
        Reason::Invalid,
        "spec.waivers[0].reason: a waiver needs a reason: say who asked, and what is done meanwhile",
    );
    only(
        &of_waivers(&format!("[{}]", good.replace("data-none", "Data"))),
        Reason::Invalid,
        "spec.waivers[0].environment: 'Data' cannot be the name of an environment: give lower-case letters, digits and \
         dashes, as in health-prod",
    );
    only(
        &of_waivers(&format!("[{good}, {}]", good.replace("06-30", "05-30"))),
        Reason::Invalid,
        "spec.waivers[1]: is spec.waivers[0] once more: change that one's end, or take one of them out",
    );
}

#[test]
fn a_data_centre_has_amounts() {
    let site: DataCentre = read(
        "{metadata: {name: dc-a}, spec: {displayName: {zh: 一}, preference: Primary, capacity: {cpu: much, pods: 0}}}",
    );
    let found = check::data_centre(&site, &City::new().world());
    let paths: Vec<&str> = found.iter().map(|problem| problem.path.as_str()).collect();
    assert_eq!(paths, ["spec.capacity.cpu", "spec.capacity.pods"]);
}
