//! A plan for people.

use super::table::{duration, table, text};
use crate::language::Lang;
use std::collections::BTreeMap;
use std::fmt::Write;
use tandem_core::plan::{Plan, PlannedGroup};
use tandem_crds::{FailoverType, Why};

/// How many groups of one reason are named.
const NAMES_MOST: usize = 8;

/// The sentence in the language; English where there is no other.
pub(crate) fn sentence(why: &Why, lang: Lang) -> &str {
    let said = lang.say(&why.message, &why.message_zh);
    if !said.is_empty() {
        said
    } else if !why.message.is_empty() {
        &why.message
    } else {
        &why.reason
    }
}

/// What a move is, for people.
pub(crate) fn kind(kind: FailoverType, lang: Lang) -> &'static str {
    match kind {
        FailoverType::Switchover => lang.say("Switchover (planned)", "计划切换"),
        FailoverType::Failover => lang.say("Failover (unplanned)", "故障切换"),
        FailoverType::Drill => lang.say("Drill", "演练"),
        FailoverType::Failback => lang.say("Failback (planned)", "回切"),
    }
}

/// A plan for people.
#[must_use]
pub fn shown(plan: &Plan, lang: Lang) -> String {
    let mut out = String::new();
    let from: Vec<&str> = plan.from().into_iter().collect();
    let (count, waves) = (plan.groups().count(), plan.waves.len());
    let title = kind(plan.kind, lang);
    if count == 0 {
        let _ = writeln!(out, "{title}\n");
        return out + &there(plan, lang) + &told(plan, lang);
    }
    let _ = match lang {
        Lang::En => {
            let (groups, waves) = (counted(count, "group"), counted(waves, "wave"));
            writeln!(out, "{title}: {} to {}, {groups} in {waves}\n", from.join(", "), plan.to)
        }
        Lang::Zh => writeln!(out, "{title}：{} → {}，共 {count} 组，分 {waves} 批\n", from.join("、"), plan.to),
    };
    out.push_str(&rows(plan, lang));
    out.push('\n');
    out.push_str(&refused(plan, lang));
    out.push_str(&there(plan, lang));
    out.push_str(&told(plan, lang));
    out
}

/// What becomes of a group that is not refused.
fn would(kind: FailoverType, lang: Lang) -> &'static str {
    if kind == FailoverType::Drill { lang.say("be rehearsed", "演练") } else { lang.say("move", "切换") }
}

/// Groups that need not move.
fn there(plan: &Plan, lang: Lang) -> String {
    if plan.there.is_empty() {
        return String::new();
    }
    let names = some(&plan.there.iter().map(String::as_str).collect::<Vec<_>>(), lang);
    match lang {
        Lang::En => format!("Already at {}: {names}\n", plan.to),
        Lang::Zh => format!("已在 {}：{names}\n", plan.to),
    }
}

fn rows(plan: &Plan, lang: Lang) -> String {
    let mut table = table(lang.say(
        ["WAVE", "TIER", "GROUP", "FROM", "EPOCH", "NOT SERVED", "AT MOST", "WOULD"],
        ["批次", "级别", "组", "主用", "纪元", "预计中断", "最长中断", "结果"],
    ));
    let mut row = |wave: String, tier: String, group: &PlannedGroup| {
        table.add_row([
            wave,
            tier,
            group.name.clone(),
            group.from.clone().unwrap_or_else(|| "?".to_owned()),
            group.epoch.map(|epoch| epoch.to_string()).unwrap_or_default(),
            duration(group.unserved_seconds),
            duration(group.unserved_most_seconds),
            if group.refused.is_empty() { would(plan.kind, lang) } else { lang.say("be refused", "拒绝") }.to_owned(),
        ]);
    };
    for wave in &plan.waves {
        for group in &wave.groups {
            row(wave.number.to_string(), wave.tier.to_string(), group);
        }
    }
    for group in &plan.unmovable {
        row("-".to_owned(), "-".to_owned(), group);
    }
    text(&table)
}

/// Reasons, each once, with the groups that it keeps.
fn refused(plan: &Plan, lang: Lang) -> String {
    let mut by_reason: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for group in plan.groups() {
        for why in &group.refused {
            by_reason.entry(sentence(why, lang)).or_default().push(&group.name);
        }
    }
    if by_reason.is_empty() {
        return String::new();
    }
    let mut out = format!("{}\n", lang.say("Would be refused:", "将被拒绝："));
    for (reason, groups) in by_reason {
        let _ = match lang {
            Lang::En => writeln!(out, "  {}: {reason}", some(&groups, lang)),
            Lang::Zh => writeln!(out, "  {}：{reason}", some(&groups, lang)),
        };
    }
    out.push('\n');
    out
}

fn told(plan: &Plan, lang: Lang) -> String {
    let mut out = String::new();
    let going = plan.groups().filter(|group| group.refused.is_empty()).count();
    if plan.kind == FailoverType::Drill && going > 0 {
        return match lang {
            Lang::En => format!(
                "{} would be rehearsed on clones at {}. Nothing moves, and no epoch changes.\n",
                counted(going, "group"),
                plan.to
            ),
            Lang::Zh => format!("将在 {} 用副本演练 {going} 组；不切换任何组，纪元不变。\n", plan.to),
        };
    }
    if going == 0 {
        return format!("{}\n", lang.say("Nothing would move.", "不会切换任何组。"));
    }
    let about = duration(plan.seconds);
    let _ = match lang {
        Lang::En => {
            let going = counted(going, "group");
            writeln!(out, "{going} would be moved after about {about}, without the time that pods need to start.")
        }
        Lang::Zh => writeln!(out, "约 {about} 后 {going} 组切换完毕（不含容器启动时间）。"),
    };
    let loss = plan.groups().map(|group| group.loss_seconds).fold(0.0, f64::max);
    if loss > 0.0 {
        let loss = duration(loss);
        let _ = match lang {
            Lang::En => writeln!(out, "Up to about {loss} of writes could be lost."),
            Lang::Zh => writeln!(out, "最多约 {loss} 的写入可能丢失。"),
        };
    }
    if plan.approvals_wanted > 0 {
        let wanted = plan.approvals_wanted;
        let _ = match lang {
            Lang::En => {
                writeln!(out, "It waits until {wanted} different people have agreed (tandem failover approve).")
            }
            Lang::Zh => writeln!(out, "须由 {wanted} 名不同人员批准后才会执行（tandem failover approve）。"),
        };
    }
    out
}

/// So many of them, in English.
pub(crate) fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

/// Some of the names, and how many there are beside them.
pub(crate) fn some(names: &[&str], lang: Lang) -> String {
    let shown = names.iter().take(NAMES_MOST).copied().collect::<Vec<_>>().join(lang.say(", ", "、"));
    match (names.len().saturating_sub(NAMES_MOST), lang) {
        (0, _) => shown,
        (more, Lang::En) => format!("{shown} and {more} more"),
        (more, Lang::Zh) => format!("{shown} 等 {} 组", more + NAMES_MOST),
    }
}
