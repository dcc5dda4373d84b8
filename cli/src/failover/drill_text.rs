//! A drill, for people: as a table, and as lines of what changes. Pure.

use super::plan_text::sentence;
use super::table::{self, duration};
use crate::language::Lang;
use jiff::Timestamp;
use std::collections::BTreeMap;
use tandem_crds::{DrillReport, DrilledGroup};

/// How a group stands in a drill, for people; what a newer release says by its name.
fn standing(group: &DrilledGroup, lang: Lang) -> String {
    let name = match (group.step.as_str(), group.result.as_str()) {
        ("Completed", result) => result,
        ("", _) => "Pending",
        (step, _) => step,
    };
    let chinese = match name {
        "Pending" => "待演练",
        "Preparing" => "准备中",
        "Cloning" => "启动副本",
        "Sweeping" => "清除中",
        "Passed" => "通过",
        "Failed" => "未通过",
        "NotDrilled" => "未演练",
        "Aborted" => "已中止",
        "Swept" => "已让位于真实切换",
        other => other,
    };
    lang.say(name, chinese).to_owned()
}

/// What a group's drill has to say: what failed, else what to know.
fn said(group: &DrilledGroup, lang: Lang) -> String {
    let all = if group.why.is_empty() { &group.notes } else { &group.why };
    all.iter().map(|why| sentence(why, lang)).collect::<Vec<_>>().join(lang.say("; ", "；"))
}

/// The groups of a drill, in at most about `height` lines; those that did not pass first.
pub(super) fn board(drill: &DrillReport, height: usize, lang: Lang) -> Vec<String> {
    let mut sorted: Vec<&DrilledGroup> = drill.groups.iter().collect();
    sorted.sort_by_key(|group| (group.result == "Passed", group.step.is_empty(), &group.name));
    let mut table =
        table::table(lang.say(
            ["GROUP", "DRILL", "PODS READY", "RTO", "RPO", "WHY"],
            ["组", "演练", "就绪容器", "RTO", "RPO", "说明"],
        ));
    let room = height.saturating_sub(2).max(1);
    for group in sorted.iter().take(room) {
        let sum = |of: fn(&tandem_crds::DrilledClone) -> i32| group.clones.iter().map(of).sum::<i32>();
        let pods = if group.clones.is_empty() {
            String::new()
        } else {
            format!("{}/{}", sum(|clone| clone.ready), sum(|clone| clone.wanted))
        };
        table.add_row([
            group.name.clone(),
            standing(group, lang),
            pods,
            group.rto_seconds.map(duration).unwrap_or_default(),
            group.rpo_seconds.map(duration).unwrap_or_default(),
            said(group, lang),
        ]);
    }
    let mut lines = vec![String::new()];
    lines.extend(table::lines(&table));
    let more = sorted.len().saturating_sub(room);
    if more > 0 {
        lines.push(match lang {
            Lang::En => format!("… and {more} more"),
            Lang::Zh => format!("…… 另有 {more} 组"),
        });
    }
    lines
}

/// What changed of a drill between two looks.
pub(super) fn transitions(
    before: Option<&DrillReport>,
    after: &DrillReport,
    now: Timestamp,
    lang: Lang,
) -> Vec<String> {
    let stood: BTreeMap<&str, &DrilledGroup> =
        before.iter().flat_map(|drill| &drill.groups).map(|group| (group.name.as_str(), group)).collect();
    let mut lines = Vec::new();
    for group in after.groups.iter().filter(|group| !group.step.is_empty()) {
        if stood.get(group.name.as_str()).is_some_and(|was| was.step == group.step) {
            continue;
        }
        let at = match group.step.as_str() {
            "Completed" => group.ended.as_ref(),
            "Cloning" => group.cloned.as_ref(),
            "Preparing" => group.began.as_ref(),
            _ => None,
        };
        let at = at.map_or(now, |time| time.0).strftime("%Y-%m-%dT%H:%M:%SZ");
        let mut line = format!("{at} {} {}", group.name, standing(group, lang));
        if group.step == "Completed" {
            for (what, seconds) in [("RTO", group.rto_seconds), ("RPO", group.rpo_seconds)] {
                line.extend(seconds.map(|seconds| format!(" {what} {}", duration(seconds))));
            }
            let said = said(group, lang);
            if !said.is_empty() {
                line = format!("{line}: {said}");
            }
        }
        lines.push(line);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn report(group: &serde_json::Value) -> DrillReport {
        serde_json::from_value(json!({"site": "dc-b", "groups": [group]})).unwrap()
    }

    #[test]
    fn a_drill_is_told_step_by_step_and_says_what_failed() {
        let now = "2026-11-26T02:31:00Z".parse().unwrap();
        let cloning = report(&json!({"name": "tax", "step": "Cloning", "cloned": "2026-11-26T02:30:01.000000Z"}));
        assert_eq!(transitions(None, &cloning, now, Lang::En), ["2026-11-26T02:30:01Z tax Cloning"]);
        assert!(transitions(Some(&cloning), &cloning, now, Lang::En).is_empty());
        let failed = report(&json!({
            "name": "tax", "step": "Completed", "result": "Failed", "ended": "2026-11-26T02:30:40.000000Z",
            "rpoSeconds": 1.5, "why": [{"reason": "NotReady", "message": "not ready", "messageZh": "未就绪"}],
            "clones": [{"environment": "e", "application": "a", "component": "c", "deployment": "d", "wanted": 2, "ready": 1}],
        }));
        let told = transitions(Some(&cloning), &failed, now, Lang::Zh);
        assert_eq!(told.len(), 1);
        assert!(told[0].contains("未通过") && told[0].ends_with("未就绪"), "{told:?}");
        let board = board(&failed, 20, Lang::En).join("\n");
        assert!(board.contains("Failed") && board.contains("1/2") && board.contains("not ready"), "{board}");
    }
}
