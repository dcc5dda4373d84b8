//! The rules, their tests, the runbooks and the dashboards: each alert has a case and a page, each query is one that Prometheus reads,
//! each metric is one that there is.
//!
//! Needs promtool: `make dashboards` gets it. What they show of a city that runs is `tests/watch/`'s to find out.
#![allow(clippy::unwrap_used)]

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use tandem_tests::watching::{Dashboard, asked, dashboards, metrics, root, rules, rules_file};

/// What is on no panel, and why.
const NOT_SHOWN: [(&str, &str); 0] = [];
/// The dashboards.
const NAMES: [&str; 5] = ["api", "city", "failover", "operator", "unit"];
/// Units of Grafana's that panels may have.
const UNITS: [&str; 6] = ["short", "s", "bytes", "percentunit", "ops", "reqps"];
/// What each runbook says, in this order.
const PARTS: [&str; 7] =
    ["\n中文：", "**What it means.** ", "**Look**", "**Do**", "**Do not.** ", "**It is over** when ", "**Tell** "];

fn promtool(arguments: &[&str]) {
    let promtool = std::env::var("TANDEM_PROMTOOL").unwrap_or_else(|_| "promtool".to_owned());
    let output = Command::new(&promtool)
        .args(arguments)
        .output()
        .unwrap_or_else(|error| panic!("{promtool}: {error}; run `make dashboards`, which installs it"));
    let said = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    assert!(output.status.success(), "promtool {}:\n{said}", arguments.join(" "));
}

fn cases() -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> =
        fs::read_dir(root().join("dashboards/rules/tests")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn all() -> Vec<Dashboard> {
    dashboards(&root().join("dashboards"))
}

#[test]
fn prometheus_takes_the_rules_and_every_case_of_them_holds() {
    promtool(&["check", "rules", rules_file().to_str().unwrap()]);
    let files = cases();
    let mut arguments = vec!["test", "rules"];
    arguments.extend(files.iter().map(|file| file.to_str().unwrap()));
    promtool(&arguments);
}

/// Seconds of `1h`, `90s`, `2m`.
fn seconds(duration: &str) -> u64 {
    let (number, unit) = duration.split_at(duration.len() - 1);
    let factor = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => panic!("{duration}"),
    };
    number.parse::<u64>().unwrap() * factor
}

#[test]
fn every_alert_is_seen_to_wait_to_fire_and_to_resolve() {
    let mut seen: BTreeMap<String, bool> = rules().into_iter().map(|rule| (rule.name, false)).collect();
    for file in cases() {
        let file: Value = serde_yaml::from_str(&fs::read_to_string(file).unwrap()).unwrap();
        for case in list(&file["tests"]) {
            let mut told: BTreeMap<&str, Vec<(u64, bool)>> = BTreeMap::new();
            for asked in list(&case["promql_expr_test"]) {
                let expr = text(&asked["expr"]);
                let fires = !list(&asked["exp_samples"]).is_empty();
                match expr.split_once("alertname=\"") {
                    Some((_, rest)) if expr.contains("alertstate=\"firing\"") => {
                        let alert = rest.split('"').next().unwrap();
                        told.entry(alert).or_default().push((seconds(text(&asked["eval_time"])), fires));
                    }
                    _ => {
                        for (name, seen) in seen.iter_mut().filter(|(name, _)| name.contains(':')) {
                            *seen |= expr.contains(name.as_str()) && fires;
                        }
                    }
                }
            }
            for (alert, mut told) in told {
                told.sort_unstable();
                let first = told.iter().position(|(_, fires)| *fires);
                let life = first.is_some_and(|first| first > 0 && told[first..].iter().any(|(_, fires)| !fires));
                let known = seen.get_mut(alert).unwrap_or_else(|| panic!("there is no alert {alert}"));
                *known |= life;
                let name = text(&case["name"]);
                assert!(name.starts_with(alert), "the case '{name}' is about {alert}");
            }
        }
    }
    let without: Vec<&String> = seen.iter().filter(|(_, seen)| !**seen).map(|(name, _)| name).collect();
    assert!(without.is_empty(), "no case in dashboards/rules/tests: {without:?}");
}

#[test]
fn every_alert_says_what_a_person_needs() {
    let all = rules();
    for rule in all.iter().filter(|rule| rule.alert) {
        // A recorded series has the labels that its own rule gives it.
        let recorded = all.iter().filter(|other| !other.alert && rule.expr.contains(&other.name));
        let expr: String = [&rule.expr].into_iter().chain(recorded.map(|other| &other.expr)).cloned().collect();
        let (name, annotations) = (&rule.name, &rule.whole["annotations"]);
        assert!(name.starts_with("Tandem"), "{name}");
        assert!(["critical", "warning", "info"].contains(&text(&rule.whole["labels"]["severity"])), "{name}");
        assert!(!text(&annotations["summary"]).is_empty() && !text(&annotations["description"]).is_empty(), "{name}");
        for (annotation, said) in annotations.as_object().unwrap() {
            for label in text(said).split("$labels.").skip(1) {
                let label: String = label.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
                let by = expr.split(['(', ')', ',', ' ']).any(|word| word == label);
                assert!(by, "{name}: the {annotation} has a label that the series have not: {label}");
            }
        }
    }
}

#[test]
fn every_alert_has_a_runbook_and_every_runbook_an_alert() {
    let folder = root().join("docs/runbooks");
    let index = fs::read_to_string(folder.join("README.md")).unwrap();
    let mut pages = BTreeSet::new();
    for rule in rules().iter().filter(|rule| rule.alert) {
        let link = text(&rule.whole["annotations"]["runbook_url"]);
        let page = link.strip_prefix("docs/runbooks/").unwrap_or_else(|| panic!("{}: {link}", rule.name));
        assert!(folder.join(page).is_file(), "{}: {link} is not there", rule.name);
        let row = format!("| [{}]({page}) | {} | ", rule.name, text(&rule.whole["labels"]["severity"]));
        assert!(index.contains(&row), "docs/runbooks/README.md has no row that begins with {row}");
        pages.insert(page.to_owned());
    }
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let page = path.file_name().unwrap().to_str().unwrap();
        if page == "README.md" {
            continue;
        }
        assert!(pages.contains(page), "no alert leads to docs/runbooks/{page}");
        let mut rest = &*fs::read_to_string(&path).unwrap();
        assert!(rest.starts_with(&format!("# {}\n", page.trim_end_matches(".md"))), "{page}");
        for part in PARTS {
            rest = rest.split_once(part).unwrap_or_else(|| panic!("{page}: where is '{part}'?")).1;
        }
    }
    assert!(index.lines().nth(2).unwrap().starts_with("中文："));
}

/// Whether two panels are on the same place.
fn overlap(one: &Value, other: &Value) -> bool {
    let edges = |panel: &Value| {
        let at = |name: &str| panel["gridPos"][name].as_u64().unwrap();
        (at("x"), at("x") + at("w"), at("y"), at("y") + at("h"))
    };
    let ((left, right, top, bottom), (left2, right2, top2, bottom2)) = (edges(one), edges(other));
    left < right2 && left2 < right && top < bottom2 && top2 < bottom
}

#[test]
fn dashboards_are_such_as_grafana_reads() {
    let all = all();
    assert_eq!(all.iter().map(|dashboard| dashboard.name.as_str()).collect::<Vec<_>>(), NAMES);
    let uids: BTreeSet<&str> = all.iter().map(|dashboard| text(&dashboard.whole["uid"])).collect();
    assert_eq!(uids.len(), all.len());
    for dashboard in &all {
        let (name, whole) = (&dashboard.name, &dashboard.whole);
        assert!(text(&whole["title"]).starts_with("Tandem / ") && text(&whole["uid"]).len() <= 40, "{name}");
        let variables = list(&whole["templating"]["list"]);
        assert_eq!((text(&variables[0]["name"]), text(&variables[0]["type"])), ("datasource", "datasource"), "{name}");
        let names: Vec<String> = variables.iter().map(|variable| format!("${}", text(&variable["name"]))).collect();
        let ids: BTreeSet<u64> = dashboard.panels().iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
        assert_eq!(ids.len(), dashboard.panels().len(), "{name}: two panels have one id");
        for (number, panel) in dashboard.panels().iter().enumerate() {
            let what = format!("{name} / {}", text(&panel["title"]));
            let place = &panel["gridPos"];
            assert!(place["x"].as_u64().unwrap() + place["w"].as_u64().unwrap() <= 24, "{what} is beyond the edge");
            for other in &dashboard.panels()[number + 1..] {
                assert!(!overlap(panel, other), "{what} lies on {}", text(&other["title"]));
            }
            if panel["type"] == "row" {
                continue;
            }
            assert_eq!(text(&panel["datasource"]["uid"]), "${datasource}", "{what}");
            let (english, chinese) = text(&panel["description"]).split_once("\n\n").unwrap();
            assert!(english.ends_with('.') && english.is_ascii(), "{what}: {english}");
            assert!(!chinese.is_ascii(), "{what} has no Chinese title in its description");
            assert!(UNITS.contains(&text(&panel["fieldConfig"]["defaults"]["unit"])), "{what}");
            let letters: BTreeSet<&str> = list(&panel["targets"]).iter().map(|query| text(&query["refId"])).collect();
            assert!(!letters.is_empty() && letters.len() == list(&panel["targets"]).len(), "{what}");
        }
        for query in dashboard.queries() {
            for variable in query.expr.split('$').skip(1).map(|rest| {
                let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
                format!("${}", &rest[..end])
            }) {
                assert!(variable == "$__rate_interval" || names.contains(&variable), "{}: {variable}", query.of);
            }
        }
    }
}

#[test]
fn the_charts_copies_are_the_same_dashboards() {
    for (one, copy) in all().iter().zip(dashboards(&root().join("charts/tandem/files/dashboards"))) {
        assert_eq!((&one.name, &one.whole), (&copy.name, &copy.whole), "run dashboards/generate.py");
    }
}

#[test]
fn prometheus_reads_every_query_of_every_panel() {
    let mut file = "groups:\n  - name: panels\n    rules:\n".to_owned();
    let queries: Vec<_> = all().iter().flat_map(Dashboard::queries).collect();
    assert!(queries.len() > 60, "{}", queries.len());
    for (number, query) in queries.iter().enumerate() {
        let expr = serde_json::to_string(&asked(&query.expr, "health")).unwrap();
        writeln!(file, "      - record: panel:{number}\n        expr: {expr}").unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("panels.yaml");
    fs::write(&path, file).unwrap();
    promtool(&["check", "rules", path.to_str().unwrap()]);
}

#[test]
fn every_metric_is_declared_and_every_declared_one_is_shown() {
    let manual = fs::read_to_string(root().join("docs/metrics.md")).unwrap();
    let declared: BTreeSet<String> = manual
        .lines()
        .filter_map(|line| line.strip_prefix("| `tandem_")?.split(['`', '{']).next())
        .map(|name| format!("tandem_{name}"))
        .collect();
    assert!(declared.len() > 40, "docs/metrics.md declares {} metrics", declared.len());
    let shown: BTreeSet<String> =
        all().iter().flat_map(Dashboard::queries).flat_map(|query| metrics(&query.expr)).collect();
    let recorded: BTreeSet<String> = rules().into_iter().filter(|rule| !rule.alert).map(|rule| rule.name).collect();
    let asked: BTreeSet<String> = rules().iter().flat_map(|rule| metrics(&rule.expr)).chain(shown.clone()).collect();
    let unknown: Vec<&str> = asked
        .iter()
        .filter(|name| !declared.contains(*name) && !recorded.contains(*name))
        .map(String::as_str)
        .collect();
    assert_eq!(unknown, Vec::<&str>::new(), "not in docs/metrics.md");
    let left_out: BTreeSet<&str> = NOT_SHOWN.iter().map(|(name, _)| *name).collect();
    let unshown: BTreeSet<&str> = declared.difference(&shown).map(String::as_str).collect();
    assert_eq!(unshown, left_out, "on no panel, and not in NOT_SHOWN, or the other way round");
}
