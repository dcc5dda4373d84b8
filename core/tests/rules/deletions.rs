//! What deletion waits for.

use tandem_core::check;
use tandem_crds::Kind;
use tandem_crds::status::Reason;

use crate::fixtures::{City, hall, only, read, unit};

fn refusals(city: &City, kind: Kind, name: &str) -> Vec<check::Problem> {
    let found = check::deletion(kind, None, name, &city.world());
    assert!(found.iter().all(|problem| problem.reason == Reason::DeletionRefused));
    found
}

#[test]
fn a_unit_with_environments_stays() {
    let mut city = City::new();
    only(
        &refusals(&city, Kind::Unit, "data"),
        Reason::DeletionRefused,
        "unit data still has environments (data-prod): delete them first",
    );
    city.environments.clear();
    assert_eq!(refusals(&city, Kind::Unit, "data"), []);
}

#[test]
fn a_parent_stays() {
    let mut city = City::new();
    city.environments.clear();
    let mut child = unit();
    child.spec.parent = Some("data".to_owned());
    city.units.insert("town".to_owned(), child);
    only(
        &refusals(&city, Kind::Unit, "data"),
        Reason::DeletionRefused,
        "unit data is the parent of others (town): give them another parent or none first",
    );
}

#[test]
fn what_is_protected_stays_and_the_units_environments_with_it() {
    let mut city = City::new();
    city.units.get_mut("data").unwrap().spec.deletion_protection = true;
    only(
        &refusals(&city, Kind::Environment, "data-prod"),
        Reason::DeletionRefused,
        "unit data is protected from deletion, and its environments with it: set the Unit's spec.deletionProtection to \
         false first",
    );
    city.environments.get_mut("data-prod").unwrap().spec.deletion_protection = true;
    assert_eq!(refusals(&city, Kind::Environment, "data-prod").len(), 2);
    assert_eq!(refusals(&city, Kind::Unit, "data")[0].path, "spec.deletionProtection");
}

#[test]
fn an_environment_with_applications_stays() {
    let city = City::new().publish(hall());
    only(
        &refusals(&city, Kind::Environment, "data-prod"),
        Reason::DeletionRefused,
        "environment data-prod still has applications (hall): delete them first",
    );
    assert_eq!(refusals(&City::new(), Kind::Environment, "data-prod"), []);
    assert_eq!(check::deletion(Kind::Application, Some("data-prod"), "hall", &city.world()), []);
}

#[test]
fn a_long_list_is_cut() {
    let mut city = City::new();
    for n in 0..9 {
        let environment = city.environments["data-prod"].clone();
        city.environments.insert(format!("data-{n}"), environment);
    }
    assert_eq!(
        refusals(&city, Kind::Unit, "data")[0].message,
        "unit data still has environments (data-0, data-1, data-2, data-3, data-4 and 5 more): delete them first"
    );
}

#[test]
fn what_is_in_use_stays() {
    let mut city = City::new();
    assert_eq!(refusals(&city, Kind::SecurityProfile, "mlps-2"), []);
    city.environments.get_mut("data-prod").unwrap().spec.security_profile = Some("mlps-2".to_owned());
    assert_eq!(refusals(&city, Kind::SecurityProfile, "mlps-2").len(), 1);
    assert_eq!(refusals(&city, Kind::SecurityProfile, "mlps-3").len(), 1);

    city.groups.insert("citizens".to_owned(), read("{metadata: {name: citizens}, spec: {}}"));
    assert_eq!(refusals(&city, Kind::FailoverGroup, "citizens"), []);
    let mut city = city.publish(hall());
    assert_eq!(refusals(&city, Kind::FailoverGroup, "data-prod-hall").len(), 1, "the application's own");
    let mut moved = hall();
    moved.spec.failover_group = Some("citizens".to_owned());
    city = city.publish(moved);
    assert_eq!(refusals(&city, Kind::FailoverGroup, "citizens").len(), 1);
    assert_eq!(refusals(&city, Kind::FailoverGroup, "data-prod-hall"), []);
}

#[test]
fn a_site_stays() {
    assert_eq!(refusals(&City::new(), Kind::DataCentre, "dc-a").len(), 1);
}

#[test]
fn what_is_not_published_holds_nothing_up() {
    for kind in [Kind::Unit, Kind::Environment, Kind::SecurityProfile, Kind::FailoverGroup] {
        assert_eq!(refusals(&City::new(), kind, "unheard-of"), []);
    }
}
