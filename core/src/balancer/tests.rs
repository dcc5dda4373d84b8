//! What is written for a description, and what is refused of one.

use super::{Description, haproxy};

const EXAMPLE: &str = include_str!("../../../cli/src/balancer/example.yaml");
const ALL: &str = include_str!("../../../cli/tests/data/balancer/all.yaml");

fn description(yaml: &str) -> Description {
    serde_yaml::from_str(yaml).unwrap()
}

fn written(yaml: &str) -> String {
    haproxy(&description(yaml)).unwrap()
}

/// What is said of the example with one thing changed.
fn refused(from: &str, to: &str) -> String {
    assert!(EXAMPLE.contains(from), "{from}");
    let problems = haproxy(&description(&EXAMPLE.replacen(from, to, 1))).unwrap_err();
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_example() {
    insta::with_settings!({ prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!("balancer_example", written(EXAMPLE));
    });
}

#[test]
fn every_field() {
    insta::with_settings!({ prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!("balancer_all", written(ALL));
    });
}

#[test]
fn the_cut_is_a_tenth_of_t_and_never_more() {
    for seconds in [1, 2, 6] {
        let text = EXAMPLE.replacen("heartbeatSeconds: 2", &format!("heartbeatSeconds: {seconds}"), 1);
        let times = description(&text).times();
        assert_eq!(times.cut(), times.t / 10);
        assert!(times.fence() + times.cut() < times.t);
        // The two parts of a question come one after the other.
        let half = format!("{}ms", times.timeout.as_millis() / 2);
        let text = written(&text);
        for line in [format!("timeout connect {half}\n"), format!("timeout check {half}\n")] {
            assert!(text.contains(&line), "{line}{text}");
        }
        assert!(text.contains(&format!("hard-stop-after {}ms\n", times.cut().as_millis())), "{text}");
    }
}

#[test]
fn times_over_a_twentieth_of_t_are_refused() {
    for field in ["interMillis", "timeoutMillis"] {
        let with = |millis: u32| format!("heartbeatSeconds: 2\n{field}: {millis}");
        let said = refused("heartbeatSeconds: 2", &with(501));
        assert!(said.starts_with(&format!("{field}: 501 ms is more than T/20 = 500 ms")), "{said}");
        assert!(said.contains("leave it out"), "{said}");
        let fits = EXAMPLE.replacen("heartbeatSeconds: 2", &with(500), 1);
        assert_eq!(haproxy(&description(&fits)).map(drop), Ok(()));
        assert!(refused("heartbeatSeconds: 2", &with(0)).contains("too short"));
    }
    assert!(refused("heartbeatSeconds: 2", "heartbeatSeconds: 0").starts_with("heartbeatSeconds: 0 is not between"));
}

#[test]
fn what_is_wrong_is_said_with_its_place_and_its_mend() {
    for (from, to, said) in [
        ("[10.90.0.5:8443, 10.90.0.6:8443]", "[]", "sites[0].gates: dc-a has no gate"),
        (
            "10.90.0.5:8443",
            "gate.dc-a:8443",
            "sites[0].gates[0]: 'gate.dc-a:8443' is no address with a port; write an IP",
        ),
        ("10.90.0.5:8443", "10.90.0.5:0", "sites[0].gates[0]: '10.90.0.5:0' is no address"),
        ("10.90.0.5:8443", "0.0.0.0:8443", "sites[0].gates[0]: nothing is reached at 0.0.0.0:8443"),
        (
            "10.90.64.5:8443",
            "10.90.0.5:8443",
            "sites[1].gates[0]: the gate 10.90.0.5:8443 is sites[0].gates[0] already",
        ),
        ("name: dc-b", "name: dc-a", "sites[1].name: the site dc-a is sites[0].name already"),
        ("name: dc-a", "name: DC A", "sites[0].name: 'DC A' is no name"),
        ("/etc/haproxy/tandem/reached-ca.crt", "reached-ca.crt", "sites[0].caFile: 'reached-ca.crt' is no path"),
        ("/etc/haproxy/tandem/reached-ca.crt", "\"/etc/a b\"", "sites[0].caFile: '/etc/a b' is no path"),
        ("gate.dc-a.city.example", "10.90.0.5", "sites[0].gateName: '10.90.0.5' is no DNS name"),
        ("gate.dc-a.city.example", "\"a b\"", "sites[0].gateName: 'a b' is no DNS name"),
        ("user: haproxy", "user: \"a\\n    lua-load /x\"", "user: "),
        ("user: haproxy", "stats: 0.0.0.0:8404", "stats: 0.0.0.0:8404 can be reached by others"),
        ("user: haproxy", "stats: 8404", "stats: '8404' is no address"),
        ("group: service-hall", "group: service_hall", "entries[0].group: 'service_hall' is no name"),
        ("bind: 0.0.0.0:443", "bind: \"443\"", "entries[0].bind: '443' is no address"),
        (
            "dc-b: 10.90.64.80:80",
            "dc-c: 10.90.64.80:80",
            "entries[0].endpoints.dc-b: service-hall has no endpoint at dc-b",
        ),
        (
            "dc-b: 10.90.64.80:80",
            "dc-c: 10.90.64.80:80",
            "entries[0].endpoints.dc-c: there is no such site; write one of dc-a, dc-b",
        ),
        (
            "dc-b: 10.90.64.80:80",
            "dc-b: 10.90.0.80:80",
            "entries[0].endpoints.dc-b: 10.90.0.80:80 is the endpoint at dc-a too",
        ),
    ] {
        let problems = refused(from, to);
        assert!(problems.contains(said), "{to}: {problems}");
        assert!(problems.lines().all(|line| line.contains("; ")), "{problems}");
    }
}

#[test]
fn entries_have_names_and_addresses_of_their_own() {
    let second = EXAMPLE.split_once("entries:\n").unwrap().1;
    let problems = haproxy(&description(&format!("{EXAMPLE}{second}"))).unwrap_err();
    let fields: Vec<&str> = problems.iter().map(|problem| problem.field.as_str()).collect();
    assert_eq!(fields, ["entries[1].group", "entries[1].bind"], "{problems:?}");
}

#[test]
fn a_balancer_before_one_site_or_before_nothing_is_refused() {
    let (start, rest) = EXAMPLE.split_once("  - name: dc-b").unwrap();
    let entries = rest.split_once("entries:").unwrap().1.replace(", dc-b: 10.90.64.80:80", "");
    let one = haproxy(&description(&format!("{start}entries:{entries}"))).unwrap_err();
    assert_eq!(one[0].to_string(), "sites: there is one site, so nothing can move; describe both");
    let none = EXAMPLE.split_once("entries:").unwrap().0.to_owned() + "entries: []\n";
    assert_eq!(haproxy(&description(&none)).unwrap_err()[0].field, "entries");
}

#[test]
fn a_field_that_there_is_not_is_refused() {
    assert!(serde_yaml::from_str::<Description>(&EXAMPLE.replace("user:", "usr:")).is_err());
    assert!(serde_yaml::from_str::<Description>(&EXAMPLE.replace("bind:", "listen:")).is_err());
}
