//! What people and programs are told of a city.

use super::*;
use console::measure_text_width;
use serde_json::{Value, json};
use tandem_crds::{DataCentre, Failover, FailoverGroup};

const NOW: i64 = 1_893_553_445;

fn read<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

fn condition(kind: &str, good: bool, reason: &str, message: &str) -> Value {
    json!({"type": kind, "status": if good { "True" } else { "False" }, "reason": reason, "message": message,
           "lastTransitionTime": "2030-01-01T00:00:00Z"})
}

fn ready() -> Value {
    condition("Ready", true, "Ready", "in order in dc-a and dc-b")
}

fn site(name: &str, own: bool, change: impl FnOnce(&mut Value)) -> DataCentre {
    let mut conditions = vec![ready()];
    if own {
        conditions.push(condition("ArbiterHealthy", true, "Healthy", "nothing is wrong / 正常"));
    }
    let mut object = json!({
        "metadata": {"name": name, "generation": 1},
        "spec": {"displayName": {"zh": "主中心", "en": format!("Centre {name}")},
                 "preference": if name == "dc-a" { "Primary" } else { "Secondary" }},
        "status": {"authority": name == "dc-a", "observedGeneration": 1, "leader": "operator-0", "heard": true,
                   "fenced": false, "members": [{"name": "operator-0"}, {"name": "operator-1"}], "conditions": conditions}
    });
    change(&mut object);
    read(object)
}

fn group(name: &str, change: impl FnOnce(&mut Value)) -> FailoverGroup {
    let mut object = json!({
        "metadata": {"name": name, "generation": 1}, "spec": {"mode": "Automatic"},
        "status": {"activeSite": "dc-a", "epoch": 1, "phase": "Held", "observedGeneration": 1, "conditions": [ready()],
                   "readiness": {"state": "Protected"}}
    });
    change(&mut object);
    read(object)
}

fn application(name: &str, ready: &Value, sites: &Value) -> tandem_crds::Application {
    read(json!({
        "metadata": {"name": name, "namespace": "health-prod", "generation": 1},
        "spec": {"displayName": {"zh": "大厅"}, "components": []},
        "status": {"activeSite": "dc-a", "observedGeneration": 1, "conditions": [ready], "sites": sites}
    }))
}

/// Two sites and so many groups with an application each, all in order.
fn well(groups: usize) -> Seen {
    Seen {
        view: View::new(
            vec![site("dc-a", true, |_| {}), site("dc-b", false, |_| {})],
            (0..groups).map(|number| group(&format!("health-prod-app-{number:03}"), |_| {})).collect(),
        ),
        applications: (0..groups)
            .map(|number| application(&format!("app-{number:03}"), &ready(), &json!([])))
            .collect(),
        ..Seen::default()
    }
}

fn shown(seen: &Seen, limit: usize, lang: Lang) -> String {
    screen(&report(seen), limit, Timestamp::from_second(NOW).unwrap(), lang).join("\n")
}

/// A city at 3 a.m.: dc-a is silent, a move is blocked, the arbiter has lost a member, and more.
fn ill() -> Seen {
    let mut seen = well(0);
    let lost = "the arbiter has lost dc-a and cannot lose another member: no tolerance left (bring the lost member back, or \
                tandem arbiter replace MEMBER) / 仲裁已失去成员 dc-a，无法再承受失去一个成员（恢复失去的成员，或执行 tandem \
                arbiter replace 成员名）";
    let silent = "dc-a is not heard: what is active here could not move there and is not protected (bring the site back; \
                  nothing moves there meanwhile) / 站点 dc-a 失去联系";
    seen.view.sites = [
        ("dc-a".to_owned(), site("dc-a", false, |site| site["status"]["heard"] = false.into())),
        (
            "dc-b".to_owned(),
            site("dc-b", true, |site| {
                site["status"]["conditions"] = json!([
                    ready(),
                    condition("ArbiterHealthy", false, "NoTolerance", lost),
                    condition("Protected", false, "Unprotected", silent),
                ]);
                site["status"]["members"] = json!([{"name": "operator-0"}]);
            }),
        ),
    ]
    .into();
    let why = json!({"reason": "NoRoom", "message": "dc-b has no room for the group", "messageZh": "dc-b 容量不足"});
    let blocked = group("tax-prod-ledger", |group| group["status"]["execution"] = "move-7".into());
    let stays = group("health-prod-hall", |group| group["status"]["whyNotAutomatic"] = json!([why]));
    let exposed = group("water-prod-web", |group| {
        group["status"]["activeSite"] = "dc-b".into();
        group["status"]["readiness"] = json!({"state": "Unprotected", "reasons": [why]});
    });
    seen.view.groups =
        [blocked, stays, exposed].into_iter().map(|group| (group.metadata.name.clone().unwrap(), group)).collect();
    seen.applications = vec![
        application(
            "hall",
            &condition("Ready", false, "PodsNotReady", "dc-a: 1 of 2 pods ready"),
            &json!([{"site": "dc-a", "ready": false, "reason": "PodsNotReady", "message": "1 of 2 pods ready"}]),
        ),
        application(
            "vault",
            &condition("Ready", false, "SecretMissing", "dc-b: there is no Secret db-password"),
            &json!([]),
        ),
        application("vault-2", &condition("Ready", false, "SecretMissing", "dc-b: there is no Secret tls"), &json!([])),
    ];
    let failover: Failover = read(json!({
        "metadata": {"name": "move-7"},
        "spec": {"type": "Failover", "to": "dc-b", "selector": {"site": "dc-a"}, "reason": "dc-a lost power"},
        "status": {"phase": "Blocked", "from": "dc-a", "to": "dc-b", "began": "2030-01-02T03:03:05.000000Z",
                   "reason": "NoRoom", "message": "dc-b has no room for the group", "messageZh": "dc-b 容量不足",
                   "groups": [{"name": "platform", "step": "Completed"}, {"name": "a", "step": "Promoting"},
                              {"name": "tax-prod-ledger", "step": "Validating", "side": "Blocked"}]}
    }));
    seen.failovers = vec![failover];
    seen
}

#[test]
fn a_city_that_is_well_says_so_on_one_screen() {
    let seen = well(530);
    let report = report(&seen);
    assert!(report.well && report.problems.is_empty());
    assert_eq!(report.seen_from.as_deref(), Some("dc-a"));
    insta::assert_snapshot!("well", shown(&seen, 6, Lang::En));
    insta::assert_snapshot!("well_zh", shown(&seen, 6, Lang::Zh));
}

#[test]
fn what_is_wrong_comes_worst_first_with_what_to_do() {
    let seen = ill();
    assert!(!report(&seen).well);
    insta::assert_snapshot!("ill", shown(&seen, 0, Lang::En));
    insta::assert_snapshot!("ill_zh", shown(&seen, 0, Lang::Zh));
    insta::assert_yaml_snapshot!("ill_yaml", report(&seen));
}

#[test]
fn the_whole_city_in_trouble_fits_a_screen() {
    let mut seen = ill();
    let why = |reason: &str| json!({"reason": reason, "message": format!("{reason} as a sentence of some length, said by the operator")});
    for number in 0..530 {
        let reason = ["NoRoom", "TargetNotReady", "RpoUnknown", "SecretMissing"][number % 4];
        let name = format!("health-prod-application-{number:03}");
        let group = group(&name, |group| {
            group["status"]["activeSite"] = "dc-b".into();
            group["status"]["readiness"] = json!({"state": "Unprotected", "reasons": [why(reason)]});
        });
        seen.view.groups.insert(name, group);
        let reason = ["PodsNotReady", "OverBudget", "Invalid", "NotOurs", "Progressing"][number % 5];
        let long = "a message that goes on and on ".repeat(20);
        seen.applications.push(application(
            &format!("app-{number:03}"),
            &condition("Ready", false, reason, &long),
            &json!([]),
        ));
    }
    for lang in [Lang::En, Lang::Zh] {
        let text = shown(&seen, 6, lang);
        assert!(text.lines().count() <= 42, "{} lines:\n{text}", text.lines().count());
        let widest = text.lines().map(measure_text_width).max().unwrap();
        assert!(widest <= 120, "{widest} columns:\n{text}");
    }
    let all = shown(&seen, 0, Lang::En);
    assert!(all.contains("health-prod/app-529") && all.contains("health-prod-application-528"), "every name: {all}");
}

#[test]
fn a_fenced_site_and_an_arbiter_without_a_majority_are_the_worst() {
    let mut seen = well(1);
    let message = "1 of 3 members of the arbiter answer with a leader: no majority, every site fences itself (bring members back \
                   until a majority answers; sites then serve again by themselves) / 仲裁";
    seen.view.sites.insert(
        "dc-a".to_owned(),
        site("dc-a", true, |site| {
            site["status"]["fenced"] = true.into();
            site["status"]["conditions"] = json!([ready(), condition("ArbiterHealthy", false, "NoQuorum", message)]);
        }),
    );
    let found = find(&seen);
    assert_eq!(found.iter().map(|problem| problem.reason.as_str()).collect::<Vec<_>>(), ["NoQuorum", "Fenced"]);
    assert!(!found[0].message.contains("bring members back"), "it is told once: {}", found[0].message);
    assert!(found[0].mend.contains("bring members back"));
}

#[test]
fn what_people_set_is_good_to_know_and_nothing_wrong() {
    let mut seen = well(1);
    let holds = json!([{"scope": "site/dc-b", "reason": "storage work", "by": "wang"}]);
    let held = site("dc-b", false, |site| site["status"]["holds"] = holds);
    seen.view.sites.insert("dc-b".to_owned(), held);
    let away = group("health-prod-app-000", |group| group["status"]["activeSite"] = "dc-b".into());
    seen.view.groups.insert("health-prod-app-000".to_owned(), away);
    let report = report(&seen);
    assert!(report.well);
    let told: Vec<_> = report.problems.iter().map(|problem| (problem.severity, problem.reason.as_str())).collect();
    assert_eq!(told, [(Severity::Notice, "Held"), (Severity::Notice, "AwayFromHome")]);
    assert_eq!(report.problems[0].message, "wang: storage work");
}

#[test]
fn groups_that_do_not_follow_again_yet_are_told_of_and_nothing_is_wrong() {
    let mut seen = well(1);
    let returning = group("health-prod-app-000", |group| {
        group["status"]["readiness"] = json!({"state": "Unprotected", "reasons": [{"reason": "TargetNotReady"}]});
        group["status"]["execution"] = "auto-dc-b-7".into();
    });
    seen.view.groups.insert("health-prod-app-000".to_owned(), returning);
    let report = report(&seen);
    let told: Vec<_> = report.problems.iter().map(|problem| (problem.severity, problem.reason.as_str())).collect();
    assert_eq!(told, [(Severity::Notice, "NotProtectedYet")]);
    assert!(report.well);
}

#[test]
fn a_paused_site_is_told_of_once_at_either_site() {
    let sentence = "paused by wang: network works; it observes and writes nothing until tandem resume";
    let own = json!([ready(), condition("Paused", true, "Paused", sentence)]);
    let told = json!([condition("Ready", false, "Paused", &format!("dc-b: {sentence}"))]);
    for conditions in [own, told] {
        let mut seen = well(1);
        let site = site("dc-b", false, |site| site["status"]["conditions"] = conditions);
        seen.view.sites.insert("dc-b".to_owned(), site);
        let found = find(&seen);
        assert_eq!(found.iter().map(|problem| problem.reason.as_str()).collect::<Vec<_>>(), ["Paused"]);
        assert!(found[0].message.contains("wang: network works") && found[0].message.contains("since 2030-01-01"));
        assert!(found[0].mend.contains("tandem resume --context dc-b"));
    }
    let mut seen = well(1);
    let asked = site("dc-b", false, |site| site["metadata"]["annotations"] = json!({"tandem.dev/paused": "works"}));
    seen.view.sites.insert("dc-b".to_owned(), asked);
    assert!(find(&seen)[0].message.contains("not in force yet"));
}

#[test]
fn a_cluster_without_sites_is_told_from_one_that_is_well() {
    let found = find(&Seen::default());
    assert_eq!(found.iter().map(|problem| problem.reason.as_str()).collect::<Vec<_>>(), ["NoSites"]);
}

/// Every reason that a condition may bear, and what there is to say about it.
#[test]
fn there_is_advice_for_every_reason() {
    let unknown = advice(Subject::Object("Unit"), "of a newer release");
    for reason in [
        "Progressing",
        "Invalid",
        "NotFound",
        "OverBudget",
        "PolicyViolation",
        "DependencyCycle",
        "HostNameTaken",
        "SecretMissing",
        "NotOurs",
        "WorkloadMissing",
        "PodsNotReady",
        "SiteNotReported",
        "SiteNotReady",
        "ArbiterUnreachable",
        "NotAuthority",
        "Conflict",
        "Quarantined",
        "DeletionRefused",
        "Deleting",
        "BrakeTripped",
        "Suspended",
        "Maintenance",
        "Paused",
        "ApplyFailed",
    ] {
        read::<tandem_crds::status::Reason>(reason.into());
        assert_ne!(advice(Subject::Object("Unit"), reason), unknown, "{reason}");
    }
    for reason in ["NoQuorum", "NoTolerance", "OutOfSpace", "Learner", "AuditBehind", "Unprotected"] {
        assert!(tandem_arbiter::health::mend(reason).is_some(), "{reason}");
    }
    assert_eq!(tandem_arbiter::health::mend("of a newer release"), None);
}

#[test]
fn a_group_whose_move_has_ended_settles_and_does_not_move() {
    let mut seen = well(0);
    let of = |execution: &str| group(execution, |group| group["status"]["execution"] = json!(execution));
    seen.view = View::new(vec![], vec![of("over"), of("under-way"), of("not-seen-yet")]);
    let failover = |name: &str, execution: &str, phase: &str| -> Failover {
        let selector = json!({"groups": [execution]});
        let spec = json!({"type": "Switchover", "reason": "r", "selector": selector, "idempotencyKey": execution});
        read(json!({"metadata": {"name": name}, "spec": spec, "status": {"phase": phase}}))
    };
    seen.failovers = vec![failover("a", "over", "Completed"), failover("b", "under-way", "Running")];
    let groups = report(&seen).groups;
    assert_eq!((groups.moving, groups.settling), (2, 1));
}
