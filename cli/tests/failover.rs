//! Everything about who is active: plans and tables for people, and the requests that a site's API gets, by a small API
//! server in memory.
#![allow(clippy::unwrap_used)]

#[path = "failover/fixtures.rs"]
mod fixtures;

use fixtures::{Server, failover_of, group, moved, site, time, view};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;
use tandem_cli::exit::Exit;
use tandem_cli::failover::args::{AskArgs, MoveArgs, SelectArgs};
use tandem_cli::failover::ask::{self, AskError};
use tandem_cli::failover::change::{Change, ChangeError, approve, change};
use tandem_cli::failover::hold::{self, HoldError, Target};
use tandem_cli::failover::watch::{How, WatchError, follow, latest, next};
use tandem_cli::failover::{board, groups, shown_plan, transitions, who};
use tandem_cli::language::Lang;
use tandem_core::plan::{Wanted, plan};
use tandem_crds::{Failover, FailoverSelector, FailoverType};

const QUICK: How = How { terminal: false, timeout: Some(Duration::from_secs(20)), poll: Duration::from_millis(1) };

fn all(kind: Option<FailoverType>) -> Wanted {
    Wanted { kind, selector: FailoverSelector { all: true, ..FailoverSelector::default() }, ..Wanted::default() }
}

fn these(names: &[&str], kind: Option<FailoverType>) -> Wanted {
    let groups = names.iter().map(|name| (*name).to_owned()).collect();
    Wanted { kind, selector: FailoverSelector { groups, ..FailoverSelector::default() }, ..Wanted::default() }
}

#[test]
fn a_plan_in_both_languages() {
    let plan = plan(&view(), &Wanted { to: Some("dc-b".into()), ..all(Some(FailoverType::Switchover)) }).unwrap();
    assert!(!plan.refuses());
    insta::assert_snapshot!("plan_switchover", shown_plan(&plan, Lang::En));
    insta::assert_snapshot!("plan_switchover_zh", shown_plan(&plan, Lang::Zh));
}

#[test]
fn a_plan_says_what_would_be_refused_and_who_waits_for_it() {
    let mut view = view();
    let ledger = view.groups.get_mut("ledger").unwrap();
    let readiness = json!({"state": "Unprotected", "reasons": [{"reason": "NoRoom"}]});
    ledger.status.as_mut().unwrap().readiness = serde_json::from_value(readiness).unwrap();
    let held = view.groups.get_mut("archive").unwrap();
    held.metadata.annotations = Some(BTreeMap::from([("tandem.dev/hold".into(), "audit".into())]));
    let plan = plan(&view, &these(&["ledger", "tax", "archive", "hall"], None)).unwrap();
    assert!(plan.refuses());
    insta::assert_snapshot!("plan_refused", shown_plan(&plan, Lang::En));
    insta::assert_snapshot!("plan_refused_zh", shown_plan(&plan, Lang::Zh));
}

#[test]
fn a_lost_site_is_left_by_failover() {
    let mut view = view();
    view.sites.get_mut("dc-a").unwrap().status.as_mut().unwrap().heard = Some(false);
    let plan = plan(&view, &all(None)).unwrap();
    assert_eq!((plan.kind, plan.to.as_str(), plan.refuses()), (FailoverType::Failover, "dc-b", false));
    insta::assert_snapshot!("plan_failover", shown_plan(&plan, Lang::En));
}

#[test]
fn a_plan_that_moves_nothing_says_so() {
    let nothing = plan(&view(), &all(Some(FailoverType::Failback))).unwrap();
    insta::assert_snapshot!("plan_nothing", shown_plan(&nothing, Lang::En));
}

#[tokio::test]
async fn the_status_is_seen_in_one_look() {
    let server = Server::default();
    for site in [site("dc-a", true), site("dc-b", false)] {
        server
            .add(&format!("datacentres/{}", site.metadata.name.clone().unwrap()), serde_json::to_value(site).unwrap());
    }
    server.add("failovergroups/tax", serde_json::to_value(group("tax", 1, &[])).unwrap());
    server.add("failovers/move-7", serde_json::to_value(moved()).unwrap());
    let report = tandem_cli::status::report(&tandem_cli::status::look_in_time(&server.client()).await.unwrap());
    assert_eq!((report.authority.as_deref(), report.groups.protected, report.well), (Some("dc-a"), 1, false));
    assert_eq!(report.problems[0].reason, "NeedsHuman");
}

#[tokio::test]
async fn a_site_is_paused_and_goes_on_by_its_annotation() {
    use tandem_cli::pause::{PauseError, clear, set};
    let server = Server::with([("datacentres/dc-b", serde_json::to_value(site("dc-b", false)).unwrap())]);
    let client = server.client();
    set(&client, "dc-b", ("network works", "wang"), false).await.unwrap();
    let annotations = || server.object("datacentres/dc-b")["metadata"]["annotations"].clone();
    assert_eq!(annotations(), json!({"tandem.dev/paused": "network works", "tandem.dev/paused-by": "wang"}));
    assert!(clear(&client, "dc-b").await.unwrap());
    assert_eq!(annotations(), json!({}));
    assert!(!clear(&client, "dc-b").await.unwrap(), "it was not");

    let status = json!({"phase": "Running", "from": "dc-a", "to": "dc-b"});
    server.add("failovers/move-7", serde_json::to_value(failover_of(status)).unwrap());
    let refused = set(&client, "dc-b", ("network works", "wang"), false).await.unwrap_err();
    assert!(matches!(&refused, PauseError::Moving(name) if name == "move-7"), "{refused}");
    assert_eq!(refused.exit(), Exit::Refused);
    set(&client, "dc-b", ("network works", "wang"), true).await.unwrap();
}

#[test]
fn moves_are_listed_the_newest_first() {
    let mut older = moved();
    older.metadata.name = Some("move-1".into());
    older.metadata.creation_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(time(-100_000)));
    let rows = tandem_cli::failover::list::rows(&[older, moved()]);
    assert_eq!(rows.iter().map(|row| row.name.as_str()).collect::<Vec<_>>(), ["move-7", "move-1"]);
    insta::assert_snapshot!("moves", tandem_cli::failover::list::table(&rows, time(75), Lang::En));
    insta::assert_yaml_snapshot!("moves_yaml", rows[0]);
}

#[tokio::test]
async fn the_plan_is_the_one_that_the_rest_api_shows() {
    let example: Value = serde_json::from_str(include_str!("../../core/src/plan/example.json")).unwrap();
    let server = Server::default();
    for plural in ["datacentres", "failovergroups"] {
        for object in example[plural].as_array().unwrap() {
            server.add(&format!("{plural}/{}", object["metadata"]["name"].as_str().unwrap()), object.clone());
        }
    }
    let view = tandem_cli::failover::look::look(&server.client(), None).await.unwrap();
    let what = SelectArgs { groups: ["tax", "hall"].map(str::to_owned).to_vec(), ..SelectArgs::default() };
    let args = MoveArgs { select: what, to: Some("dc-b".into()), ..MoveArgs::default() };
    let plan = plan(&view, &args.wanted(Some(FailoverType::Switchover))).unwrap();
    // As it is written and read.
    let shown: Value = serde_json::from_str(&serde_json::to_string(&plan).unwrap()).unwrap();
    assert_eq!(shown, example["plan"]);
}

#[test]
fn groups_as_a_table() {
    let mut view = view();
    let tax = view.groups.get_mut("tax").unwrap().status.as_mut().unwrap();
    let why = json!({"reason": "NoTolerance", "message": "the arbiter cannot lose another member", "messageZh": "仲裁不能再失去成员"});
    tax.readiness = serde_json::from_value(json!({"state": "Unprotected", "reasons": [why]})).unwrap();
    tax.lag_seconds = Some(75);
    view.groups.get_mut("archive").unwrap().status = None;
    insta::assert_snapshot!("groups", groups::table(&view, Lang::En));
    insta::assert_snapshot!("groups_zh", groups::table(&view, Lang::Zh));
    let rows: Value = serde_json::to_value(groups::rows(&view)).unwrap();
    assert_eq!(rows[3]["group"], "tax");
    assert_eq!((&rows[3]["protected"], &rows[3]["lagSeconds"]), (&json!(false), &json!(75)));
    assert_eq!(rows[0]["protected"], Value::Null, "nobody has said");
}

#[test]
fn a_move_under_way_as_a_table() {
    let lags = BTreeMap::from([("tax".to_owned(), 2)]);
    for (name, lang) in [("board", Lang::En), ("board_zh", Lang::Zh)] {
        insta::assert_snapshot!(name, board(&moved(), &lags, time(40), 40, lang).join("\n"));
    }
    let short = board(&moved(), &lags, time(40), 14, Lang::En);
    assert!(short.len() <= 14 && short.last().unwrap().contains("more"), "{short:#?}");
    assert!(short.iter().any(|line| line.contains("NeedsHuman")), "the most urgent first: {short:#?}");
}

#[test]
fn a_move_under_way_as_lines() {
    let start = failover_of(json!({}));
    let mut lines = transitions(None, &start, time(0), Lang::En);
    lines.extend(transitions(Some(&start), &moved(), time(40), Lang::En));
    assert_eq!(transitions(Some(&moved()), &moved(), time(41), Lang::En), Vec::<String>::new());
    let mut done = moved();
    let status = done.status.as_mut().unwrap();
    status.phase = tandem_crds::FailoverPhase::Completed;
    (status.rto_seconds, status.rpo_seconds) = (Some(12.3), Some(0.0));
    lines.extend(transitions(Some(&moved()), &done, time(60), Lang::En));
    insta::assert_snapshot!("lines", lines.join("\n"));
    insta::assert_snapshot!("lines_zh", transitions(Some(&start), &moved(), time(40), Lang::Zh).join("\n"));
}

#[tokio::test]
async fn a_move_is_asked_for_once() {
    let server = Server::default();
    let view = view();
    let wanted = these(&["hall", "tax"], Some(FailoverType::Switchover));
    let plan = plan(&view, &wanted).unwrap();
    let args = AskArgs { reason: "storage work".into(), idempotency_key: Some("move-7".into()), ..AskArgs::default() };
    let object = ask::request(&plan, &wanted, &args, "li", time(0));
    assert_eq!(tandem_crds::validation::broken_rules(&object, None), []);
    assert_eq!(ask::create(&server.client(), &object, Lang::En).await.unwrap(), "move-7");
    let made = server.object("failovers/move-7");
    insta::assert_yaml_snapshot!("request", made["spec"]);
    // The same again is the same move, whatever its maker says of it; another under its name is not.
    let again = ask::request(&plan, &wanted, &AskArgs { reason: "again".into(), ..args.clone() }, "wang", time(5));
    assert_eq!(ask::create(&server.client(), &again, Lang::En).await.unwrap(), "move-7");
    assert_eq!(server.object("failovers/move-7"), made);
    let mut other = object;
    other.spec.selector.groups.pop();
    let error = ask::create(&server.client(), &other, Lang::En).await.unwrap_err();
    assert!(matches!(error, AskError::Another(_)) && error.to_string().contains("--idempotency-key"), "{error}");
}

#[test]
fn a_name_of_ones_own_says_what_where_and_when() {
    let wanted = these(&["hall"], Some(FailoverType::Switchover));
    let plan = plan(&view(), &wanted).unwrap();
    let object = ask::request(&plan, &wanted, &AskArgs::default(), "li", time(0));
    assert_eq!(object.metadata.name.as_deref(), Some("switchover-dc-b-20300102-030405"));
    assert_eq!(object.spec.idempotency_key, None);
}

#[tokio::test]
async fn two_people_agree_though_others_change_it_meanwhile() {
    let server = Server::with([("failovers/move-7", serde_json::to_value(failover_of(json!({}))).unwrap())]);
    server.conflict(2);
    let client = server.client();
    let said = approve(&client, "move-7", "li", "as agreed", time(1), Lang::En).await.unwrap();
    assert!(said.contains("the first"), "{said}");
    let said = approve(&client, "move-7", " Li", "", time(2), Lang::En).await.unwrap();
    assert!(said.contains("already"), "{said}");
    let said = approve(&client, "move-7", "wang", "", time(3), Lang::Zh).await.unwrap();
    assert!(said.contains("共 2 名"), "{said}");
    let approvals = server.object("failovers/move-7")["spec"]["approvals"].clone();
    assert_eq!(approvals[0], json!({"by": "li", "at": "2030-01-02T03:04:06Z", "note": "as agreed"}));
    assert_eq!(approvals.as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn wishes_are_written_and_an_ended_move_takes_none() {
    let server = Server::with([
        ("failovers/move-7", serde_json::to_value(failover_of(json!({}))).unwrap()),
        ("failovers/old", serde_json::to_value(failover_of(json!({"phase": "Completed"}))).unwrap()),
    ]);
    let client = server.client();
    change(&client, "move-7", Change::Pause, Lang::En).await.unwrap();
    assert_eq!(server.object("failovers/move-7")["spec"]["pause"], true);
    change(&client, "move-7", Change::Resume, Lang::En).await.unwrap();
    change(&client, "move-7", Change::Abort, Lang::En).await.unwrap();
    let spec = server.object("failovers/move-7")["spec"].clone();
    assert_eq!((&spec["pause"], &spec["abort"]), (&json!(false), &json!(true)));
    let error = change(&client, "old", Change::Abort, Lang::En).await.unwrap_err();
    assert!(matches!(error, ChangeError::Ended { .. }), "{error}");
    let error = change(&client, "none", Change::Abort, Lang::En).await.unwrap_err();
    assert!(error.to_string().contains("no Failover named none"), "{error}");
}

#[tokio::test]
async fn holds_are_set_here_and_lifted_wherever_they_were_set() {
    let mut elsewhere = serde_json::to_value(group("tax", 1, &[])).unwrap();
    elsewhere["status"]["hold"] = "group/tax".into();
    let server = Server::with([
        ("failovergroups/hall", serde_json::to_value(group("hall", 2, &[])).unwrap()),
        ("failovergroups/tax", elsewhere),
        ("datacentres/dc-a", serde_json::to_value(site("dc-a", true)).unwrap()),
    ]);
    let client = server.client();
    let annotations = |path: &str| server.object(path)["metadata"]["annotations"].clone();
    let hall = Target::Group("hall".into());
    hold::set(&client, &hall, "storage work", Lang::En).await.unwrap();
    assert_eq!(annotations("failovergroups/hall"), json!({"tandem.dev/hold": "storage work"}));
    hold::clear(&client, &hall, Lang::En).await.unwrap();
    assert_eq!(annotations("failovergroups/hall"), json!({}));
    assert!(matches!(hold::clear(&client, &hall, Lang::En).await, Err(HoldError::NotHeld(_))));
    hold::clear(&client, &Target::Group("tax".into()), Lang::En).await.unwrap();
    assert_eq!(annotations("failovergroups/tax"), json!({"tandem.dev/hold-clear": "true"}));
    // Setting it anew takes the wish to lift it away.
    hold::set(&client, &Target::Group("tax".into()), "again", Lang::En).await.unwrap();
    assert_eq!(annotations("failovergroups/tax"), json!({"tandem.dev/hold": "again"}));
    let everything = Target::All("dc-a".into());
    hold::set(&client, &everything, "stop", Lang::En).await.unwrap();
    hold::set(&client, &Target::Site("dc-a".into()), "work", Lang::En).await.unwrap();
    assert_eq!(annotations("datacentres/dc-a"), json!({"tandem.dev/hold-all": "stop", "tandem.dev/hold": "work"}));
    let holds = hold::list(&tandem_cli::failover::look::look(&client, None).await.unwrap());
    insta::assert_snapshot!("holds", hold::table(&holds, Lang::En));
    hold::clear(&client, &everything, Lang::En).await.unwrap();
    assert_eq!(annotations("datacentres/dc-a"), json!({"tandem.dev/hold": "work"}));
}

#[tokio::test]
async fn a_move_is_followed_to_its_end() {
    let object = |status: Value| serde_json::to_value(failover_of(status)).unwrap();
    for (phase, exit) in [
        ("Completed", Exit::Ok),
        ("PartlyCompleted", Exit::Refused),
        ("RolledBack", Exit::Refused),
        ("Refused", Exit::Refused),
        ("NeedsHuman", Exit::Refused),
    ] {
        let server = Server::with([("failovers/move-7", object(json!({"phase": "Running"})))]);
        // The API server is lost for a while in between.
        server.script("failovers/move-7", [None, None, Some(object(json!({"phase": phase})))]);
        assert_eq!(follow(&server.client(), "move-7", QUICK, Lang::En).await.unwrap(), exit, "{phase}");
    }
}

#[tokio::test]
async fn a_move_that_does_not_end_is_given_up() {
    let running = serde_json::to_value(failover_of(json!({"phase": "Blocked"}))).unwrap();
    let server = Server::with([("failovers/move-7", running)]);
    let how = How { timeout: Some(Duration::from_millis(5)), ..QUICK };
    let error = follow(&server.client(), "move-7", how, Lang::En).await.unwrap_err();
    assert!(matches!(error, WatchError::TooLong { .. }), "{error}");
    assert!(matches!(latest(&Server::default().client()).await, Err(WatchError::None)));
    assert_eq!(latest(&server.client()).await.unwrap(), "move-7");
}

#[tokio::test]
async fn the_next_move_is_waited_for_and_one_that_has_ended_is_none() {
    let ended = serde_json::to_value(failover_of(json!({"phase": "Completed"}))).unwrap();
    let server = Server::with([("failovers/move-7", ended)]);
    let soon = How { timeout: Some(Duration::from_millis(5)), ..QUICK };
    let error = next(&server.client(), soon, Lang::En).await.unwrap_err();
    assert!(matches!(error, WatchError::NoneBegan { .. }), "{error}");
    let client = server.client();
    let waiting = tokio::spawn(async move { next(&client, QUICK, Lang::En).await });
    let mut begun = serde_json::to_value(failover_of(json!({"phase": "Running"}))).unwrap();
    begun["metadata"]["name"] = "auto-dc-a-7".into();
    server.add("failovers/auto-dc-a-7", begun);
    assert_eq!(waiting.await.unwrap().unwrap(), "auto-dc-a-7");
}

#[tokio::test]
async fn the_api_server_says_who_one_is_where_it_can() {
    for (version, name) in [(Some("v1"), Some("li")), (Some("v1beta1"), Some("li")), (None, None)] {
        let server = Server::default();
        if let Some(version) = version {
            server.knows_me(version, "li");
        }
        assert_eq!(who::reviewed(&server.client()).await.unwrap().as_deref(), name);
    }
}

#[test]
fn requests_read_as_they_are_written() {
    let object: Failover = failover_of(json!({}));
    let again: Failover = serde_json::from_value(serde_json::to_value(&object).unwrap()).unwrap();
    assert_eq!(object, again);
}
