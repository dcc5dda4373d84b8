//! A move under way, for people: as a table, and as lines of what changes. Pure.

use super::drill_text;
use super::plan_text::kind;
use super::table::{self, duration};
use crate::language::Lang;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::ResourceExt;
use serde_json::Value;
use std::collections::BTreeMap;
use tandem_core::failover::Step;
use tandem_crds::{Failover, FailoverPhase, FailoverStatus, GroupMove, MoveStep};

/// How a group stands, the most urgent first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Standing {
    NeedsHuman,
    HeldUp,
    Moving,
    Waiting,
    Back,
    Serving,
}

pub(crate) fn standing(group: &GroupMove) -> Standing {
    match (group.side.as_str(), group.step.as_str()) {
        (_, "Completed" | "Resyncing" | "Protected") => Standing::Serving,
        ("NeedsHuman", _) => Standing::NeedsHuman,
        ("Blocked" | "Paused", _) | (_, "AwaitingApproval") => Standing::HeldUp,
        (_, "RolledBack") => Standing::Back,
        (_, "" | "Validating") => Standing::Waiting,
        _ => Standing::Moving,
    }
}

/// A step for people; one of a newer release by its name.
pub(crate) fn step(name: &str, lang: Lang) -> String {
    match lang {
        Lang::En => name.to_owned(),
        Lang::Zh => serde_json::from_value::<Step>(Value::from(name))
            .map_or_else(|_| name.to_owned(), |step| step.name(lang.of_core()).to_owned()),
    }
}

fn side(name: &str, lang: Lang) -> &str {
    match name {
        "Blocked" => lang.say("Blocked", "受阻"),
        "Paused" => lang.say("Paused", "已暂停"),
        "NeedsHuman" => lang.say("NeedsHuman", "需要人工"),
        other => other,
    }
}

pub(crate) fn phase(phase: FailoverPhase, lang: Lang) -> &'static str {
    lang.say(
        phase.as_str(),
        match phase {
            FailoverPhase::Pending => "待执行",
            FailoverPhase::AwaitingApproval => "等待批准",
            FailoverPhase::Running => "执行中",
            FailoverPhase::Blocked => "受阻",
            FailoverPhase::Paused => "已暂停",
            FailoverPhase::NeedsHuman => "需要人工",
            FailoverPhase::Completed => "已完成",
            FailoverPhase::PartlyCompleted => "部分完成",
            FailoverPhase::RolledBack => "已回退",
            FailoverPhase::Refused => "被拒绝",
        },
    )
}

fn message<'a>(english: &'a str, chinese: &'a str, lang: Lang) -> &'a str {
    if lang == Lang::Zh && !chinese.is_empty() { chinese } else { english }
}

fn between(from: Option<&MicroTime>, to: Option<&MicroTime>, now: Timestamp) -> Option<f64> {
    let from = from?.0;
    let to = to.map_or(now, |time| time.0);
    Some(to.duration_since(from).as_secs_f64().max(0.0))
}

/// The move as it stands, in at most about `height` lines.
#[must_use]
pub fn board(
    failover: &Failover,
    lags: &BTreeMap<String, i64>,
    now: Timestamp,
    height: usize,
    lang: Lang,
) -> Vec<String> {
    let status = failover.status.clone().unwrap_or_default();
    let mut lines = vec![title(failover, &status, now, lang)];
    if let Some(drill) = &status.drill {
        lines.extend(drill_text::board(drill, height.saturating_sub(1), lang));
        return lines;
    }
    let said = message(&status.message, &status.message_zh, lang);
    if !said.is_empty() {
        lines.push(format!("  {said}"));
    }
    if failover.spec.abort {
        lines.push(lang.say("  Somebody asked to take it back.", "  有人要求中止并回退。").to_owned());
    }
    if status.groups.is_empty() {
        lines.push(lang.say("  The operator has not planned it yet.", "  控制器尚未生成计划。").to_owned());
        return lines;
    }
    lines.push(String::new());
    lines.extend(waves(&status, (height / 3).max(2), lang));
    lines.push(String::new());
    // The table's header and the line that counts the rest need a place too.
    let room = height.saturating_sub(lines.len() + 2).max(1);
    lines.extend(groups(&status, lags, now, room, lang));
    lines
}

fn title(failover: &Failover, status: &FailoverStatus, now: Timestamp, lang: Lang) -> String {
    let from = status.from.as_ref().or(failover.spec.from.as_ref()).map_or("?", String::as_str);
    let to = status.to.as_ref().or(failover.spec.to.as_ref()).map_or("?", String::as_str);
    let mut parts = vec![
        failover.name_any(),
        kind(failover.spec.kind, lang).to_owned(),
        format!("{from} -> {to}"),
        phase(status.phase, lang).to_owned(),
    ];
    parts.extend(between(status.began.as_ref(), status.ended.as_ref(), now).map(duration));
    parts.extend(status.rto_seconds.map(|rto| format!("RTO {}", duration(rto))));
    parts.extend(status.rpo_seconds.map(|rpo| format!("RPO {}", duration(rpo))));
    parts.join("  ")
}

/// One line a wave: how its groups stand. Where that would be more lines than there is room for, those where all is as it
/// was or shall be are left out. The last line counts them all.
fn waves(status: &FailoverStatus, room: usize, lang: Lang) -> Vec<String> {
    let mut table = table::table(lang.say(
        ["WAVE", "GROUPS", "SERVING", "MOVING", "WAITING", "HELD UP", "TAKEN BACK"],
        ["批次", "组数", "已接管", "切换中", "等待", "受阻", "已回退"],
    ));
    let mut by_wave: BTreeMap<i32, Vec<Standing>> = BTreeMap::new();
    for group in &status.groups {
        by_wave.entry(group.wave).or_default().push(standing(group));
    }
    let few = by_wave.len() <= room;
    let plain = |standings: &[Standing]| {
        [Standing::Serving, Standing::Waiting].iter().any(|of| standings.iter().all(|standing| standing == of))
    };
    let shown = by_wave.iter().filter(|(_, standings)| few || !plain(standings)).take(room);
    let every: Vec<Standing> = by_wave.values().flatten().copied().collect();
    let rows = shown.map(|(wave, standings)| (wave.to_string(), standings.as_slice()));
    for (wave, standings) in rows.chain([(lang.say("all", "合计").to_owned(), every.as_slice())]) {
        let count = |of: &[Standing]| standings.iter().filter(|standing| of.contains(standing)).count().to_string();
        table.add_row([
            wave,
            standings.len().to_string(),
            count(&[Standing::Serving]),
            count(&[Standing::Moving]),
            count(&[Standing::Waiting]),
            count(&[Standing::HeldUp, Standing::NeedsHuman]),
            count(&[Standing::Back]),
        ]);
    }
    table::lines(&table)
}

fn groups(
    status: &FailoverStatus,
    lags: &BTreeMap<String, i64>,
    now: Timestamp,
    room: usize,
    lang: Lang,
) -> Vec<String> {
    let mut sorted: Vec<&GroupMove> = status.groups.iter().collect();
    sorted.sort_by(|a, b| (standing(a), a.wave, &a.name).cmp(&(standing(b), b.wave, &b.name)));
    let mut table = table::table(lang.say(
        ["WAVE", "GROUP", "STEP", "FOR", "SINCE BEGUN", "EPOCH", "LAG", "WHY"],
        ["批次", "组", "步骤", "本步用时", "总用时", "纪元", "滞后", "原因"],
    ));
    for group in sorted.iter().take(room) {
        let mut at = step(&group.step, lang);
        if !group.side.is_empty() {
            at = format!("{at} ({})", side(&group.side, lang));
        }
        let current = group.steps.iter().rfind(|step| step.step == group.step && step.ended.is_none());
        let told = |seconds: Option<f64>| seconds.map(duration).unwrap_or_default();
        // Seconds as people say them; no lag of theirs comes near what a f64 cannot hold.
        #[allow(clippy::cast_precision_loss)]
        let lag = lags.get(&group.name).map(|lag| *lag as f64);
        table.add_row([
            group.wave.to_string(),
            group.name.clone(),
            at,
            told(current.and_then(|step| between(step.began.as_ref(), None, now))),
            told(between(group.began.as_ref(), group.ended.as_ref(), now)),
            group.epoch.to_string(),
            told(lag),
            message(&group.message, &group.message_zh, lang).to_owned(),
        ]);
    }
    let mut lines = table::lines(&table);
    let more = sorted.len().saturating_sub(room);
    if more > 0 {
        lines.push(match lang {
            Lang::En => format!("… and {more} more"),
            Lang::Zh => format!("…… 另有 {more} 组"),
        });
    }
    lines
}

/// What changed between two looks, one line each, with the time at the front. The first look tells of all that stands.
#[must_use]
pub fn transitions(before: Option<&Failover>, after: &Failover, now: Timestamp, lang: Lang) -> Vec<String> {
    let mut lines = Vec::new();
    let name = after.name_any();
    let status = after.status.clone().unwrap_or_default();
    let old = before.and_then(|before| before.status.clone());
    let at = |time: Option<&MicroTime>| time.map_or(now, |time| time.0).strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    if old.as_ref().map(|old| (old.phase, &old.reason)) != Some((status.phase, &status.reason)) {
        let ended = status.ended.as_ref().filter(|_| status.phase.ended());
        let mut line = format!("{} {name} {}", at(ended), phase(status.phase, lang));
        let said = message(&status.message, &status.message_zh, lang);
        if !said.is_empty() {
            line = format!("{line}: {said}");
        }
        if status.phase.ended() {
            for (what, seconds) in [("RTO", status.rto_seconds), ("RPO", status.rpo_seconds)] {
                line.extend(seconds.map(|seconds| format!(" {what} {}", duration(seconds))));
            }
        }
        lines.push(line);
    }
    if let Some(drill) = &status.drill {
        let before = old.as_ref().and_then(|old| old.drill.as_ref());
        lines.extend(drill_text::transitions(before, drill, now, lang));
        return lines;
    }
    let stood: BTreeMap<&str, &GroupMove> =
        old.iter().flat_map(|old| &old.groups).map(|group| (group.name.as_str(), group)).collect();
    let empty = GroupMove::default();
    for group in &status.groups {
        let was = stood.get(group.name.as_str()).copied().unwrap_or(&empty);
        let label = format!("[{}] {}", group.wave, group.name);
        for (index, done) in group.steps.iter().enumerate() {
            let told = was.steps.get(index).is_some_and(|step| step.ended.is_some());
            if done.ended.is_some() && !told {
                lines.push(format!("{} {label} {}", at(done.ended.as_ref()), ended(done, lang)));
            }
        }
        let entered = !group.step.is_empty() && group.step != was.step;
        let held = (&group.side, &group.reason) != (&was.side, &was.reason);
        if entered || (held && !(group.side.is_empty() && group.reason.is_empty())) {
            let began = group.steps.iter().rfind(|step| step.step == group.step && step.ended.is_none());
            let time = if entered { at(began.and_then(|step| step.began.as_ref())) } else { at(None) };
            let mut line = format!("{time} {label} -> {}", step(&group.step, lang));
            if !group.side.is_empty() {
                line = format!("{line} ({})", side(&group.side, lang));
            }
            let said = message(&group.message, &group.message_zh, lang);
            if !said.is_empty() {
                line = format!("{line}: {said}");
            }
            lines.push(line);
        }
    }
    lines
}

/// How a step ended, with its time and what was seen.
fn ended(done: &MoveStep, lang: Lang) -> String {
    let outcome = match done.outcome.as_str() {
        "Done" => lang.say("done", "完成"),
        "SkippedUnreachable" => lang.say("left out (unreachable)", "跳过（不可达）"),
        "SkippedNoData" => lang.say("left out (no data)", "跳过（无数据）"),
        "Failed" => lang.say("failed", "失败"),
        other => other,
    };
    let took = match (&done.began, &done.ended) {
        (Some(began), Some(ended)) => {
            format!(" {}", duration(ended.0.duration_since(began.0).as_secs_f64().max(0.0)))
        }
        _ => String::new(),
    };
    let evidence = if done.evidence.is_empty() { String::new() } else { format!(" ({})", done.evidence) };
    format!("{} {outcome}{took}{evidence}", step(&done.step, lang))
}
