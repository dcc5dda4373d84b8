//! Texts for people, in both languages.

use super::server::{item, pending, request};
use serde_json::{Value, json};
use tandem_cli::language::Lang;
use tandem_cli::request::item::{Against, Item};
use tandem_cli::request::{became, list_text, shown, transitions};

fn read(value: Value) -> Item {
    serde_json::from_value(value).unwrap()
}

/// A request that was decided on twice, and which one site has carried out.
fn decided() -> Item {
    let spec = json!({
        "type": "Resize",
        "unit": "health",
        "environment": "health-prod",
        "quota": {"cpu": "8", "memory": "32Gi", "storage": "200Gi", "pods": 60},
        "applications": [{"name": "booking", "spec": {"displayName": {"zh": "预约挂号"}, "components":
            [{"name": "web", "image": "registry.city.example/health/booking:2.1",
                "resources": {"cpu": "500m", "memory": "1Gi"}}]}}],
        "reason": "winter season\u{1b}[2J",
        "requestedBy": {"name": "li"},
        "submittedAt": "2026-03-01T08:00:00Z",
        "decisions": [
            {"role": "Platform", "outcome": "Approve", "by": "wang", "at": "2026-03-01T09:00:00Z", "digest": "0".repeat(64)},
            {"role": "Security", "outcome": "Approve", "by": "zhao", "at": "2026-03-01T09:30:00Z", "digest": "0".repeat(64),
                "note": "digests only"},
        ],
    });
    let status = json!({"phase": "PartiallyProvisioned", "message": "not done yet at dc-b", "messageZh": "以下站点尚未完成：dc-b",
        "provisioning": [{"site": "dc-a", "generation": 3, "phase": "Provisioned"},
            {"site": "dc-b", "generation": 0, "phase": "Waiting", "message": "the site has not reported"}]});
    let mut decided = read(item(spec, status));
    decided.spec.decisions[1].digest.clone_from(&decided.digest);
    decided
}

fn against() -> Against {
    let environment =
        json!({"spec": {"unit": "health", "quota": {"cpu": "4", "memory": "16Gi", "storage": "200Gi", "pods": 30}}});
    let unit = json!({"spec": {"budget": {"cpu": "64", "memory": "256Gi", "storage": "10Ti", "pods": 500, "environments": 4}},
        "status": {"environments": 2, "used": {"cpu": "40", "memory": "160Gi", "pods": 300}}});
    Against::of(serde_json::from_value(environment).unwrap(), serde_json::from_value(unit).unwrap())
}

#[test]
fn one_request_in_both_languages() {
    let item = decided();
    assert!(item.known_whole());
    insta::assert_snapshot!("request_shown", shown(&item, &against(), Lang::En));
    insta::assert_snapshot!("request_shown_zh", shown(&item, &against(), Lang::Zh));
    insta::assert_snapshot!("request_shown_new", shown(&read(request(pending())), &Against::default(), Lang::En));
}

#[test]
fn a_list_in_both_languages() {
    let items = [decided(), read(request(pending())), read(request(Value::Null))];
    insta::assert_snapshot!("request_list", list_text(&items, Lang::En));
    insta::assert_snapshot!("request_list_zh", list_text(&items, Lang::Zh));
    assert_eq!(
        became(&read(request(Value::Null)), Lang::Zh),
        "health-3f9a0c417b2d  新建 health-new（单位 health）  待审批\n"
    );
}

#[test]
fn what_changes_is_told_once_in_both_languages() {
    let now = "2026-03-01T10:00:00Z".parse().unwrap();
    let (after, mut before) = (decided(), decided());
    before.spec.decisions.truncate(1);
    before.status = None;
    insta::assert_snapshot!("request_lines", transitions(None, &after, now, Lang::En).join("\n"));
    insta::assert_snapshot!("request_lines_zh", transitions(Some(&before), &after, now, Lang::Zh).join("\n"));
    assert!(transitions(Some(&after), &after, now, Lang::En).is_empty());
}

#[test]
fn what_this_program_does_not_know_is_said_to_be_there() {
    let mut newer = request(pending());
    newer["spec"]["gpus"] = json!(8);
    newer["digest"] = json!("f".repeat(64));
    let item = read(newer);
    assert!(!item.known_whole());
    assert!(shown(&item, &Against::default(), Lang::En).contains("This is not all of it"));
    assert!(shown(&item, &Against::default(), Lang::Zh).contains("并非全部内容"));
}
