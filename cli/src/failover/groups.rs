//! `tandem groups`: where each group is active, and whether it would survive the loss of that site.

use super::plan_text::{counted, sentence, some};
use super::table::{self, duration, text};
use crate::language::Lang;
use kube::ResourceExt;
use serde::Serialize;
use std::fmt::Write;
use tandem_core::plan::View;
use tandem_crds::status::READY;
use tandem_crds::{FailoverGroup, FailoverMode, GroupPhase, HOLD, Protection, Why};

/// One group, for programs.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Row<'a> {
    /// The group.
    pub group: String,
    /// Where it is active, by its record.
    pub active: Option<&'a str>,
    /// Its epoch; 0 where nobody has seen its record.
    pub epoch: u64,
    /// Where its record stands.
    pub phase: Option<GroupPhase>,
    /// Whether an unplanned failover may start by itself.
    pub mode: FailoverMode,
    /// Whether it is in order at both sites.
    pub ready: bool,
    /// Whether it would survive the loss of its site; absent where nobody has said.
    pub protected: Option<bool>,
    /// Why it would not; where it would, what to know nevertheless.
    pub why: &'a [Why],
    /// Why an unplanned failover would not start by itself.
    pub why_not_automatic: &'a [Why],
    /// The hold that covers it.
    pub hold: Option<String>,
    /// The execution that moves it.
    pub execution: Option<&'a str>,
    /// How far its data was behind, in seconds.
    pub lag_seconds: Option<i64>,
}

pub(crate) fn row(group: &FailoverGroup) -> Row<'_> {
    let status = group.status.as_ref();
    let readiness = status.and_then(|status| status.readiness.as_ref());
    let ready = |condition: &&k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition| condition.type_ == READY;
    Row {
        group: group.name_any(),
        active: status.and_then(|status| status.active_site.as_deref()),
        epoch: status.map_or(0, |status| status.epoch),
        phase: status.and_then(|status| status.phase),
        mode: group.spec.mode,
        ready: status.is_some_and(|status| status.conditions.iter().find(ready).is_some_and(|c| c.status == "True")),
        protected: readiness.map(|readiness| readiness.state == Protection::Protected),
        why: readiness.map_or(&[], |readiness| &readiness.reasons),
        why_not_automatic: status.map_or(&[], |status| &status.why_not_automatic),
        hold: status
            .and_then(|status| status.hold.clone())
            .or_else(|| group.annotations().contains_key(HOLD).then(|| format!("group/{}", group.name_any()))),
        execution: status.and_then(|status| status.execution.as_deref()),
        lag_seconds: status.and_then(|status| status.lag_seconds),
    }
}

/// The groups for people.
#[must_use]
pub fn table(view: &View, lang: Lang) -> String {
    let mut table = table::table(lang.say(
        ["GROUP", "ACTIVE", "EPOCH", "PHASE", "MODE", "READY", "PROTECTED", "LAG", "WHY"],
        ["组", "主用", "纪元", "阶段", "方式", "就绪", "受保护", "滞后", "原因"],
    ));
    let (yes, no) = (lang.say("yes", "是"), lang.say("no", "否"));
    for group in view.groups.values() {
        let row = row(group);
        let mut why: Vec<&str> = row.why.iter().map(|why| sentence(why, lang)).collect();
        let moving = row.execution.map(|execution| match lang {
            Lang::En => format!("moving: {execution}"),
            Lang::Zh => format!("切换中：{execution}"),
        });
        why.extend(moving.as_deref());
        table.add_row([
            row.group,
            row.active.unwrap_or("?").to_owned(),
            row.epoch.to_string(),
            row.phase.map_or("?", |phase| self::phase(phase, lang)).to_owned(),
            match row.mode {
                FailoverMode::Manual => lang.say("manual", "手动"),
                FailoverMode::Automatic => lang.say("automatic", "自动"),
            }
            .to_owned(),
            if row.ready { yes } else { no }.to_owned(),
            row.protected.map_or("?", |protected| if protected { yes } else { no }).to_owned(),
            // Seconds as people say them; no lag of theirs comes near what a f64 cannot hold.
            #[allow(clippy::cast_precision_loss)]
            row.lag_seconds.map_or_else(|| "-".to_owned(), |lag| duration(lag as f64)),
            why.join("; "),
        ]);
    }
    let mut out = text(&table);
    out.push_str(&summary(view, lang));
    out
}

fn phase(phase: GroupPhase, lang: Lang) -> &'static str {
    match phase {
        GroupPhase::Held => lang.say("Held", "持有"),
        GroupPhase::Released => lang.say("Released", "已释放"),
        GroupPhase::Unconfirmed => lang.say("Unconfirmed", "未确认"),
    }
}

fn summary(view: &View, lang: Lang) -> String {
    let rows = rows(view);
    let unprotected: Vec<&str> =
        rows.iter().filter(|row| row.protected == Some(false)).map(|row| row.group.as_str()).collect();
    let unknown = rows.iter().filter(|row| row.protected.is_none()).count();
    let authority = view.authority().unwrap_or("?");
    let (all, sites) = (rows.len(), view.sites.len());
    let mut out = String::from("\n");
    let _ = match lang {
        Lang::En => {
            writeln!(out, "{} over {}; {authority} may publish.", counted(all, "group"), counted(sites, "site"))
        }
        Lang::Zh => writeln!(out, "{sites} 个站点，{all} 组；由 {authority} 发布。"),
    };
    if !unprotected.is_empty() {
        let (count, names) = (unprotected.len(), some(&unprotected, lang));
        let _ = match lang {
            Lang::En => writeln!(out, "{count} would not survive the loss of their site: {names}."),
            Lang::Zh => writeln!(out, "{count} 组在主用站点失效时无法接管：{names}。"),
        };
    }
    if unknown > 0 {
        let _ = match lang {
            Lang::En => writeln!(out, "Of {unknown} nobody has said whether they would."),
            Lang::Zh => writeln!(out, "{unknown} 组的保护状态未知。"),
        };
    }
    out
}

/// The groups for programs.
#[must_use]
pub fn rows(view: &View) -> Vec<Row<'_>> {
    view.groups.values().map(row).collect()
}
