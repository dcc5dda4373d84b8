//! What is told of states that are made up, and that only what is declared is told.

use super::samples::Samples;
use super::*;
use crate::cluster::Mirror;
use crate::context::Queues;
use crate::failover::{Board, GroupNote, GroupNotes, Peers};
use crate::index::Index;
use crate::link::Standing;
use crate::progress::Progress;
use crate::status::Refusals;
use crate::sync::unpublished_for;
use prometheus::proto::MetricFamily;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;
use tandem_arbiter::gate::{Gate, SharedGate};
use tandem_arbiter::membership::{Attempt, Timing};
use tandem_arbiter::peers::{MemberSeen, MembersRead};
use tandem_arbiter::records::{Condition, GroupRecord, JournalSeen, MemberRecord, Phase, StatusRecord, Versioned};
use tandem_core::check::Problem;
use tandem_core::failover::{EXPOSING, ExecutionKind, Journal, Outcome, Reason as Why, Side, Step};
use tandem_core::metrics::{CITY, faults, in_manual, stray, tables};
use tandem_core::names::{ANNOTATION_REVISION, ANNOTATION_SYNCED, LABEL_ID, LIMITS};
use tandem_core::sync::{ObjectKey, Origin, Record, SpecRecord, Tombstone, spec_hash};
use tandem_crds::status::Reason;
use tandem_crds::{GroupReadiness, Kind, Protection};

fn second(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// Every gauge and counter as `name{label="value"}`, with its value; a histogram's count and sum.
fn flat(families: &[MetricFamily]) -> BTreeMap<String, f64> {
    let mut found = BTreeMap::new();
    for family in families {
        for series in family.get_metric() {
            let labels: Vec<(&str, &str)> = series.get_label().iter().map(|pair| (pair.name(), pair.value())).collect();
            assert_eq!(stray(&declared(), family.name(), &labels), None);
            let labels: Vec<String> = labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
            let name = format!("{}{{{}}}", family.name(), labels.join(","));
            let histogram = series.get_histogram();
            let value = series.get_gauge().get_value() + series.get_counter().get_value();
            if histogram.get_sample_count() > 0 {
                found.insert(format!("{name} count"), histogram.get_sample_count() as f64);
                found.insert(format!("{name} sum"), histogram.get_sample_sum());
            } else {
                assert!(found.insert(name.clone(), value).is_none(), "{name} is there twice");
            }
        }
    }
    found
}

/// What one look finds.
fn told(look: impl FnOnce(&mut Samples)) -> BTreeMap<String, f64> {
    let mut samples = Samples::default();
    look(&mut samples);
    flat(&samples.families())
}

/// What one look finds of the metrics whose names begin so, without what is 0.
fn of(all: &BTreeMap<String, f64>, name: &str) -> Vec<(String, f64)> {
    let named = all.iter().filter(|(series, value)| series.starts_with(&format!("{name}{{")) && **value != 0.0);
    named.map(|(series, value)| (series[name.len() + 1..series.len() - 1].to_owned(), *value)).collect()
}

fn just(series: &str, value: f64) -> Vec<(String, f64)> {
    vec![(series.to_owned(), value)]
}

#[test]
fn declarations_follow_the_rules() {
    assert_eq!(faults(&declared()), Vec::<String>::new());
}

/// With `TANDEM_WRITE_DOCS=1` the tables are written; else they are compared.
#[test]
fn the_manual_has_every_metric_of_the_operator() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/metrics.md");
    let manual = std::fs::read_to_string(&path).unwrap();
    let wanted = in_manual(&manual, "operator", &tables(&declared(), &CITY)).unwrap();
    if std::env::var_os("TANDEM_WRITE_DOCS").is_some() {
        std::fs::write(&path, &wanted).unwrap();
    } else {
        assert_eq!(manual, wanted, "run `make generate` and commit docs/metrics.md");
    }
}

#[test]
fn verbs_in_the_source_are_the_declared_ones() {
    fn sources(folder: &Path, found: &mut String) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                sources(&path, found);
            } else if path != Path::new(file!()) {
                found.push_str(&std::fs::read_to_string(path).unwrap());
            }
        }
    }
    let mut source = String::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut source);
    let mut verbs = BTreeSet::new();
    for call in ["writes.with_label_values(&[\"", "self.count(\"", "send(context, \""] {
        verbs.extend(source.split(call).skip(1).filter_map(|rest| rest.split('"').next()));
    }
    verbs.retain(|verb| !verb.is_empty() && !verb.contains(','));
    assert!(verbs.len() > 5, "{verbs:?}");
    for verb in verbs {
        assert_eq!(stray(&declared(), "tandem_kubernetes_writes_total", &[("verb", verb)]), None);
    }
}

#[test]
fn the_fence_draws_nearer_and_comes() {
    let at = |deadline, alive, now| {
        let told = told(|samples| arbiter::fence(samples, deadline, alive, second(now)));
        (told["tandem_fence_time_left_seconds{}"], told["tandem_fenced{}"])
    };
    assert_eq!(at(None, false, 3), (0.0, 1.0), "no heartbeat has counted yet");
    assert_eq!(at(Some(second(10)), true, 3), (7.0, 0.0));
    assert_eq!(at(Some(second(10)), false, 12), (0.0, 1.0));
}

#[test]
fn attempts_at_a_heartbeat_are_counted_as_they_ended() {
    let metrics = Metrics::new().unwrap();
    let attempts = metrics.attempts();
    assert_eq!(flat(&metrics.registry.gather())["tandem_heartbeats_total{result=failed}"], 0.0, "there from the start");
    for attempt in [Attempt::Answered(Duration::from_millis(250)), Attempt::Failed, Attempt::Failed, Attempt::Refused] {
        attempts.tell(attempt);
    }
    let told = flat(&metrics.registry.gather());
    let counted =
        ["answered", "failed", "refused"].map(|result| told[&format!("tandem_heartbeats_total{{result={result}}}")]);
    assert_eq!(counted, [1.0, 2.0, 1.0]);
    let took = ["count", "sum"].map(|what| told[&format!("tandem_heartbeat_duration_seconds{{}} {what}")]);
    assert_eq!(took, [1.0, 0.25]);
}

#[test]
fn a_silent_site_is_told_once_it_was_read() {
    let peers = Peers::new(["dc-b".to_owned()].iter(), Timing::from_heartbeat(second(1)).unwrap());
    let look = |now| told(|samples| arbiter::peers(samples, &peers, second(now)));
    assert!(look(5).is_empty());
    let record = MemberRecord { seen: 4, generation: 1, incarnation: "first".into(), t_millis: 5_000 };
    let member = MemberSeen { replica: "operator-0".into(), created: 1, revision: 5, record: Some(record) };
    peers.read(second(6), &MembersRead { site: "dc-b".into(), revision: 10, members: vec![member] });
    assert_eq!(of(&look(9), "tandem_peer_silent_seconds"), just("site=dc-b", 3.0));
}

#[test]
fn the_holder_of_each_group_is_told_until_the_group_is_gone() {
    let board = Board::default();
    let gate = SharedGate::new(Gate::new("dc-a", "operator-0", 1, Timing::from_heartbeat(second(2)).unwrap()));
    let enter = |revision, name: &str, record: GroupRecord| {
        let record = Versioned::new(revision, record);
        board.enter_group(second(1), name, &record);
        gate.with(|gate| gate.counted(second(1), second(1), revision, &BTreeMap::from([(name.to_owned(), record)])));
    };
    enter(5, "tax", GroupRecord { epoch: 4, ..GroupRecord::first("dc-a") });
    let sites = ["dc-b".to_owned(), "dc-a".to_owned()];
    let look = || told(|samples| failover::groups(samples, &board, &gate, &sites, second(2)));
    let here = look();
    assert_eq!(of(&here, "tandem_group_epoch"), just("group=tax", 4.0));
    assert_eq!(of(&here, "tandem_group_active"), just("group=tax", 1.0));
    assert_eq!(of(&here, "tandem_group_active_site"), just("group=tax,site=dc-a", 1.0));
    assert_eq!(here["tandem_group_active_site{group=tax,site=dc-b}"], 0.0);
    let released = GroupRecord { phase: Phase::Released { to: "dc-b".into() }, ..GroupRecord::first("dc-a") };
    enter(6, "tax", released);
    let between = look();
    assert_eq!(of(&between, "tandem_group_active_site"), [], "nobody holds it");
    assert_eq!(between["tandem_group_active{group=tax}"], 0.0);
    enter(7, "tax", GroupRecord { retired: true, ..GroupRecord::first("dc-b") });
    assert!(look().is_empty());
}

fn planned(step: Step) -> Journal {
    let at = |second| Timestamp::from_second(second).unwrap();
    let first = Journal::new(("x", "tax"), ExecutionKind::Switchover, ("dc-a", "dc-b"), 3, at(10));
    let steps = [(Step::Fencing, 20), (Step::Promoting, 21), (Step::Verifying, 24), (Step::Completed, 25)];
    let reached = steps.into_iter().filter(|(reached, _)| *reached <= step);
    reached.fold(first, |journal, (next, second)| journal.advanced(next, Outcome::Done, "", at(second)))
}

#[test]
fn moves_that_are_not_over_are_told_by_their_step() {
    let board = Board::default();
    let look = || told(|samples| failover::executions(samples, &board));
    let sides = 3;
    assert_eq!((look().len(), of(&look(), "tandem_executions").len()), (Step::ALL.len() + sides, 0));
    let enter = |revision, journal| board.enter_journal(second(1), &JournalSeen { revision, created: 1, journal });
    enter(3, planned(Step::Promoting));
    assert_eq!(of(&look(), "tandem_executions"), just("step=Promoting", 1.0));
    assert_eq!(of(&look(), "tandem_executions_aside"), []);
    let why = Why::TooLong { step: Step::Promoting };
    enter(4, planned(Step::Promoting).with_side(Some(Side::NeedsHuman { why }), Timestamp::UNIX_EPOCH));
    assert_eq!(of(&look(), "tandem_executions_aside"), just("side=NeedsHuman", 1.0));
    enter(5, Journal { over: true, ..planned(Step::Completed) });
    assert_eq!((of(&look(), "tandem_executions"), of(&look(), "tandem_executions_aside")), (vec![], vec![]));
}

#[test]
fn what_grows_is_there_from_the_beginning() {
    let told = Metrics::new().unwrap().registry.gather();
    for metric in declared().into_iter().filter(|metric| !matches!(metric.kind, Type::Gauge)) {
        let series = told.iter().find(|family| family.name() == metric.name).map(|family| family.get_metric().len());
        assert_eq!(series, Some(metric.every().len()), "{}: a first move is not seen to be one", metric.name);
    }
}

#[test]
fn steps_and_moves_are_timed_once_when_they_end() {
    let metrics = Metrics::new().unwrap();
    let (promoting, verifying, completed) =
        (planned(Step::Promoting), planned(Step::Verifying), planned(Step::Completed));
    metrics.moved(&promoting, &verifying);
    metrics.moved(&verifying, &verifying.with_side(None, Timestamp::UNIX_EPOCH));
    metrics.moved(&verifying, &completed);
    let resyncing = completed.advanced(Step::Resyncing, Outcome::Done, "", Timestamp::from_second(90).unwrap());
    metrics.moved(&completed, &resyncing);
    let told = flat(&metrics.registry.gather());
    let step = |step: &str, what: &str| {
        told.get(&format!("tandem_failover_step_duration_seconds{{step={step}}} {what}")).copied()
    };
    assert_eq!((step("Promoting", "count"), step("Promoting", "sum")), (Some(1.0), Some(3.0)));
    assert_eq!((step("Verifying", "count"), step("Verifying", "sum")), (Some(1.0), Some(1.0)));
    assert_eq!((step("Fencing", "count"), step("Validating", "count")), (None, None), "they had ended before");
    let whole = "tandem_failover_duration_seconds{result=completed,type=Switchover}";
    assert_eq!((told[&format!("{whole} count")], told[&format!("{whole} sum")]), (1.0, 15.0));
    assert_eq!(told["tandem_failover_entries_total{step=Verifying}"], 2.0);
    // Another one is taken back.
    let at = |second| Timestamp::from_second(second).unwrap();
    let back = planned(Step::Fencing).rolled_back(&Why::AbortAsked, at(30));
    metrics.moved(&planned(Step::Fencing), &back);
    metrics.moved(&back, &back.closed(Outcome::Done, at(32)));
    let told = flat(&metrics.registry.gather());
    let whole = "tandem_failover_duration_seconds{result=rolled_back,type=Switchover}";
    assert_eq!((told[&format!("{whole} count")], told[&format!("{whole} sum")]), (1.0, 22.0));
}

#[test]
fn what_exposes_groups_is_counted_and_old_looks_say_nothing() {
    let (board, notes) = (Board::default(), GroupNotes::default());
    for (revision, name) in (1..).zip(["tax", "water", "new", "gone"]) {
        let record = GroupRecord { retired: name == "gone", ..GroupRecord::first("dc-a") };
        board.enter_group(second(1), name, &Versioned::new(revision, record));
    }
    let note = |state, reasons: &[&str]| GroupNote {
        readiness: GroupReadiness {
            state,
            reasons: reasons
                .iter()
                .map(|reason| tandem_crds::Why { reason: (*reason).to_owned(), ..tandem_crds::Why::default() })
                .collect(),
        },
        why_not_automatic: Vec::new(),
        hold: None,
        lag_seconds: None,
    };
    notes.set("tax", note(Protection::Protected, &["GateOnly"]));
    notes.set("water", note(Protection::Unprotected, &["Held", "TargetSilent", "FromTheFuture"]));
    notes.set("gone", note(Protection::Unprotected, &["Held"]));
    let look = |now| told(|samples| failover::readiness(samples, &board, &notes, second(now)));
    assert_eq!(of(&look(10), "tandem_groups"), just("readiness=Unknown", 3.0), "nobody has looked yet");
    notes.set_looked(second(10));
    let told = look(11);
    let counts = ["Protected", "Unprotected", "Unknown"].map(|of| told[&format!("tandem_groups{{readiness={of}}}")]);
    assert_eq!(counts, [1.0, 1.0, 1.0]);
    let exposed: Vec<String> = of(&told, "tandem_groups_exposed").into_iter().map(|(reason, _)| reason).collect();
    assert_eq!(exposed, ["reason=Held", "reason=TargetSilent", "reason=Unknown"]);
    assert_eq!(told.len(), 3 + EXPOSING.len(), "the others are there and 0");
    assert_eq!(of(&look(100), "tandem_groups"), just("readiness=Unknown", 3.0), "the loop stands still");
}

#[test]
fn only_a_leader_tells_what_waits() {
    let open = sync::Open { applied: Some(20), unpublished: second(3), unapplied: second(7) };
    let look = |leads, authority, seen| {
        let standing = Standing { leads, authority, authority_site: None };
        told(|samples| {
            sync::standing(samples, (leads, false), &standing, seen);
            sync::open(samples, &standing, &open);
        })
    };
    let authority = look(true, Some(true), Some(30));
    assert_eq!((authority["tandem_arbiter_revision{}"], authority["tandem_applied_revision{}"]), (30.0, 20.0));
    assert_eq!((authority["tandem_leader{}"], authority["tandem_authority{}"]), (1.0, 1.0));
    assert_eq!(authority["tandem_publish_lag_seconds{}"], 3.0);
    assert!(!authority.contains_key("tandem_follow_lag_seconds{}"));
    let follower = look(true, Some(false), Some(30));
    assert_eq!((follower["tandem_authority{}"], follower["tandem_follow_lag_seconds{}"]), (0.0, 7.0));
    assert!(!follower.contains_key("tandem_publish_lag_seconds{}"));
    let other: Vec<String> = look(false, Some(true), Some(30)).into_keys().collect();
    assert_eq!(other, ["tandem_arbiter_revision{}", "tandem_authority{}", "tandem_leader{}", "tandem_paused{}"]);
    let unknown: Vec<String> = look(false, None, None).into_keys().collect();
    assert_eq!(unknown, ["tandem_authority{}", "tandem_leader{}", "tandem_paused{}"], "nothing was read yet");
}

fn live(key: ObjectKey, spec: Value) -> Record {
    let origin = Origin { site: "dc-a".into(), uid: "u".into(), generation: 1 };
    let (labels, annotations) = (BTreeMap::new(), BTreeMap::new());
    let id = format!("id-{}", key.name);
    let published_at = Timestamp::UNIX_EPOCH;
    Record::Live(SpecRecord { id, key, labels, annotations, spec, origin, published_at, trace: None })
}

fn buried(key: ObjectKey) -> Record {
    let origin = Origin { site: "dc-a".into(), uid: "u".into(), generation: 1 };
    Record::Tombstone(Tombstone { id: format!("id-{}", key.name), key, origin, deleted_at: Timestamp::UNIX_EPOCH })
}

fn refused(reason: Reason) -> [Problem; 1] {
    [Problem { reason, path: "spec".to_owned(), message: "no".to_owned() }]
}

#[tokio::test(start_paused = true)]
async fn an_edit_waits_until_it_is_published_or_refused() {
    let (own, index, refusals) = (Mirror::default(), Index::default(), Refusals::default());
    let queues = Queues::default();
    let waits = || unpublished_for("dc-a", &own, &index, &refusals, &queues.sync);
    let key = ObjectKey::cluster(Kind::Unit, "tax");
    queues.sync.add(key.clone());
    tokio::time::advance(second(5)).await;
    assert_eq!(waits(), Duration::ZERO, "there is no such object");
    let spec = json!({"id": "id-tax", "level": "City"});
    let object = |spec: &Value, annotations: Value| {
        let metadata = json!({"name": "tax", "uid": "u", "generation": 1, "annotations": annotations});
        serde_json::from_value(json!({"metadata": metadata, "spec": spec})).unwrap()
    };
    own.put("Unit", object(&json!({"level": "City"}), json!({})));
    assert_eq!(waits(), second(5));
    refusals.set(&key, &refused(Reason::Invalid));
    assert_eq!(waits(), Duration::ZERO, "it waits for a person");
    refusals.set(&key, &[]);
    index.enter(Versioned::new(7, live(key, spec.clone())));
    own.put("Unit", object(&spec, json!({ANNOTATION_REVISION: "7", ANNOTATION_SYNCED: spec_hash(&spec)})));
    assert_eq!(waits(), Duration::ZERO, "it is in the arbiter");
}

#[test]
fn objects_are_counted_by_how_they_stand_here() {
    let (index, refusals) = (Index::default(), Refusals::default());
    let look = || told(|samples| tenants::objects(samples, &index, &refusals, "dc-a"));
    assert_eq!(look().len(), Kind::ALL.len(), "each kind has a series");
    let key = |name: &str| ObjectKey::namespaced(Kind::Application, "tax-prod", name);
    for (revision, name) in (1..).zip(["fine", "slow", "odd", "silent", "edited"]) {
        index.enter(Versioned::new(revision, live(key(name), json!({}))));
    }
    let report = |site: &str, name: &str, ready, reason: &str| {
        let condition =
            Condition { kind: "Ready".into(), status: "x".into(), reason: reason.into(), message: String::new() };
        let (id, detail) = ("i".to_owned(), json!({}));
        let record = StatusRecord { id, spec_revision: 1, ready, conditions: vec![condition], detail };
        index.enter_report(site, &key(name), Versioned::new(9, record));
    };
    report("dc-a", "fine", true, "Ready");
    report("dc-a", "slow", false, "PodsNotReady");
    report("dc-a", "odd", false, "FromTheFuture");
    report("dc-b", "silent", true, "Ready");
    report("dc-a", "edited", true, "Ready");
    refusals.set(&key("edited"), &refused(Reason::PolicyViolation));
    refusals.set(&ObjectKey::cluster(Kind::Unit, "new"), &refused(Reason::Invalid));
    let wanted = [
        "kind=Application,ready=false,reason=PodsNotReady",
        "kind=Application,ready=false,reason=PolicyViolation",
        "kind=Application,ready=false,reason=SiteNotReported",
        "kind=Application,ready=false,reason=Unknown",
        "kind=Application,ready=true,reason=Ready",
        "kind=Unit,ready=false,reason=Invalid",
    ];
    assert_eq!(of(&look(), "tandem_objects"), wanted.map(|series| (series.to_owned(), 1.0)));
    index.enter(Versioned::new(20, buried(key("slow"))));
    assert!(of(&look(), "tandem_objects").iter().all(|(series, _)| !series.contains("PodsNotReady")));
}

#[test]
fn a_units_budget_quotas_and_use_are_told_until_it_is_gone() {
    let (index, rendered) = (Index::default(), Mirror::default());
    let look = || told(|samples| tenants::units(samples, &index, &rendered));
    let unit = ObjectKey::cluster(Kind::Unit, "tax");
    let budget = json!({"cpu": "16", "memory": "64Gi", "storage": "1Ti", "pods": 60, "environments": 6});
    let spec = json!({
        "displayName": {"zh": "税务"}, "level": "City", "securityProfile": "mlps-2", "administrators": ["a"], "viewers": [],
        "budget": budget,
    });
    index.enter(Versioned::new(1, live(unit.clone(), spec)));
    for (revision, name) in (2..).zip(["tax-prod", "tax-test"]) {
        let quota = json!({"cpu": "2500m", "memory": "16Gi", "storage": "100Gi", "pods": 20});
        let spec = json!({"unit": "tax", "purpose": "Production", "quota": quota});
        let key = ObjectKey::cluster(Kind::Environment, name);
        index.enter(Versioned::new(revision, live(key, spec)));
    }
    let used = json!({
        "limits.cpu": "1500m", "requests.cpu": "200m", "limits.memory": "1Gi", "requests.memory": "2Gi",
        "requests.storage": "0", "pods": "3",
    });
    let metadata = json!({"name": LIMITS, "namespace": "tax-prod", "labels": {LABEL_ID: "1"}});
    let quota = json!({"metadata": metadata, "status": {"used": used}});
    rendered.put("ResourceQuota", serde_json::from_value(quota).unwrap());
    let told = look();
    let all = |metric: &str| {
        ["cpu_cores", "memory_bytes", "storage_bytes", "pods", "environments"]
            .map(|resource| told[&format!("tandem_unit_{metric}{{unit=tax,resource={resource}}}")])
    };
    let (gi, ti) = (f64::from(1 << 30), 1_099_511_627_776.0);
    assert_eq!(all("budget"), [16.0, 64.0 * gi, ti, 60.0, 6.0]);
    assert_eq!(all("allocated"), [5.0, 32.0 * gi, 200.0 * gi, 40.0, 2.0]);
    assert_eq!(all("used"), [1.5, 2.0 * gi, 0.0, 3.0, 1.0]);
    index.enter(Versioned::new(9, buried(unit)));
    assert!(look().is_empty());
}

#[test]
fn requests_are_counted_by_the_phase_that_this_site_shows() {
    let own = Mirror::default();
    for (name, status) in
        [("a", json!({"phase": "Provisioned"})), ("b", json!({"phase": "Provisioned"})), ("c", json!(null))]
    {
        let request = json!({"metadata": {"name": name}, "status": status});
        own.put("EnvironmentRequest", serde_json::from_value(request).unwrap());
    }
    let told = told(|samples| tenants::requests(samples, &own));
    let wanted = [("phase=Pending".to_owned(), 1.0), ("phase=Provisioned".to_owned(), 2.0)];
    assert_eq!((told.len(), of(&told, "tandem_requests")), (7, wanted.to_vec()));
}

#[test]
fn the_registry_tells_what_is_counted_and_what_is_looked_up() {
    let metrics = Metrics::new().unwrap();
    let queues = Queues::default();
    queues.provision.add(ObjectKey::cluster(Kind::Unit, "tax"));
    let progress = Progress::default();
    metrics
        .scrape(&[sync::SCRAPED_OF_SITE, reconcile::SCRAPED], move |samples| {
            let standing = Standing { leads: true, authority: Some(false), authority_site: None };
            sync::open(samples, &standing, &sync::Open { unapplied: progress.waits(), ..sync::Open::default() });
            reconcile::queues(samples, &queues);
        })
        .unwrap();
    metrics.certificate(Certificate::Member, Timestamp::from_second(1_900_000_000).unwrap());
    let head = metrics.audit_head.with_label_values(&[] as &[&str]);
    head.set(42);
    let told = flat(&metrics.registry.gather());
    for (series, value) in [
        ("tandem_queue_depth{queue=provision}", 1.0),
        ("tandem_queue_depth{queue=sync}", 0.0),
        ("tandem_follow_lag_seconds{}", 0.0),
        ("tandem_certificate_expiry_timestamp_seconds{certificate=member}", 1_900_000_000.0),
        ("tandem_audit_head{}", 42.0),
        (&format!("tandem_build_info{{program=operator,version={}}}", env!("CARGO_PKG_VERSION")), 1.0),
    ] {
        assert_eq!(told.get(series), Some(&value), "{series}");
    }
    metrics.audit_head.reset();
    assert!(!flat(&metrics.registry.gather()).contains_key("tandem_audit_head{}"), "another replica leads");
    assert!(metrics.text().unwrap().contains("# TYPE tandem_queue_depth gauge"));
    assert!(metrics.scrape(&[sync::SCRAPED_OF_SITE], |_| {}).is_err(), "nothing is told twice");
}
