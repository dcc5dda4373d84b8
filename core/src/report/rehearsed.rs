//! What the report says of a drill: nothing moved, and what its clones came to.

use jiff::Timestamp;
use tandem_crds::{DrillReport, DrilledGroup, Why};

use super::build::longest;
use super::document::{Event, FailoverReport, GroupResult, Measure};
use super::served::between;
use super::text::out_of;
use super::words::seconds;
use crate::failover::Language;
use crate::policy::Text;

/// Completes the report of a drill, which has no journals.
pub(super) fn tell(report: &mut FailoverReport, drill: &DrillReport) {
    let times = |of: fn(&DrilledGroup) -> Option<Timestamp>| drill.groups.iter().filter_map(of);
    report.began = times(|group| Some(group.began.as_ref()?.0)).min();
    report.ended = times(|group| Some(group.ended.as_ref()?.0)).max();
    report.took_millis = report.began.zip(report.ended).map(|(began, ended)| between(began, ended));
    for group in &mut report.groups {
        let Some(found) = drill.groups.iter().find(|found| found.name == group.name) else { continue };
        if found.cloned.is_some() {
            group.result = GroupResult::Rehearsed;
        }
        group.step.clone_from(&found.step);
        (group.epoch_before, group.epoch_after) = (found.epoch, Some(found.epoch));
        group.rto = Measure::new(found.rto_seconds.map(millis), group.rto.wanted_millis);
    }
    report.rto = longest(report.groups.iter().map(|group| &group.rto));
    report.waves.clear();
    let mut event = |at: Option<Timestamp>, en: &str, zh: &str| {
        report.timeline.extend(at.map(|at| Event { at, what: Text::new(en, zh) }));
    };
    event(times(|group| Some(group.began.as_ref()?.0)).min(), "the first group was prepared", "第一个组开始准备");
    event(times(|group| Some(group.cloned.as_ref()?.0)).min(), "the first clones were started", "第一批副本启动");
    event(times(|group| Some(group.ended.as_ref()?.0)).max(), "nothing was left of the clones", "副本已全部清除");
    report.timeline.sort_by_key(|event| event.at);
    report.drill = Some(drill.clone());
}

/// What a drill found of a group; `None` where the report is of none.
pub(super) fn found<'a>(report: &'a FailoverReport, group: &str) -> Option<&'a DrilledGroup> {
    report.drill.as_ref()?.groups.iter().find(|found| found.name == group)
}

/// What a drill found of a group, line by line.
pub(super) fn lines(found: &DrilledGroup, language: Language) -> Vec<String> {
    let say = |en: &'static str, zh: &'static str| out_of(language, en, zh);
    let mut lines = vec![format!("{}: {}", say("Drill", "演练"), result(&found.result, language))];
    let lost = found.rpo_seconds.map(|lost| seconds(millis(lost)));
    lines.extend(lost.map(|lost| format!("{}: {lost}", say("Open to loss when it began", "开始时可能丢失"))));
    let told = |label: &str, all: &[Why]| -> Vec<String> {
        all.iter().map(|why| format!("{label}: {}", out_of(language, &why.message, &why.message_zh))).collect()
    };
    lines.extend(told(say("Why", "原因"), &found.why));
    lines.extend(told(say("To know", "说明"), &found.notes));
    for clone in &found.clones {
        let (environment, application, component) = (&clone.environment, &clone.application, &clone.component);
        let ready = format!("{} / {}", clone.ready, clone.wanted);
        let said = if clone.said.is_empty() { String::new() } else { format!(" ({})", clone.said) };
        lines.push(format!("{environment}/{application} {component}: {ready} {}{said}", say("ready", "就绪")));
    }
    lines
}

/// A drill's result, in a word; what a newer release says by its name.
fn result(result: &str, language: Language) -> &str {
    let chinese = match result {
        "Passed" => "通过",
        "Failed" => "未通过",
        "NotDrilled" => "未演练",
        "Aborted" => "已中止",
        "Swept" => "已让位于真实切换",
        other => other,
    };
    out_of(language, result, chinese)
}

/// How long people are, or would be, without service: what the figure is called.
pub(super) fn label(report: &FailoverReport) -> (&'static str, &'static str) {
    match report.drill {
        Some(_) => ("Clones ready after", "副本就绪用时"),
        None => ("Without service", "中断时间"),
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // seconds of a drill are few, and not below 0
fn millis(seconds: f64) -> u64 {
    (seconds * 1000.0).round() as u64
}
