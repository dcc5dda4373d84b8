//! Requests for people: lists, one of them, and what became of a call. Pure.

use super::item::{Against, Item};
use super::words::{clean, kind, member_role, message, minute, outcome, phase, purpose, role, site_phase};
use crate::failover::table::{self, text};
use crate::language::Lang;
use std::fmt::Write;
use tandem_crds::{ApplicationSpec, Decision, RequestedApplication};

/// A list.
#[must_use]
pub fn list(items: &[Item], lang: Lang) -> String {
    if items.is_empty() {
        return lang.say("No requests.\n", "没有申请。\n").to_owned();
    }
    let mut table = table::table(lang.say(
        ["NAME", "TYPE", "ENVIRONMENT", "PHASE", "BY", "SUBMITTED", "WHY"],
        ["名称", "类型", "环境", "状态", "申请人", "提交时间", "说明"],
    ));
    for item in items {
        let (english, chinese) = messages(item);
        table.add_row([
            clean(&item.name),
            kind(item.spec.kind, lang).to_owned(),
            clean(&item.spec.environment),
            phase(item.phase(), lang).to_owned(),
            clean(&item.spec.requested_by.name),
            minute(&item.spec.submitted_at),
            message(english, chinese, lang),
        ]);
    }
    text(&table)
}

fn messages(item: &Item) -> (&str, &str) {
    item.status.as_ref().map_or(("", ""), |status| (status.message.as_str(), status.message_zh.as_str()))
}

/// One request: what is asked for and against what, who decided, how far each site is.
#[must_use]
pub fn shown(item: &Item, against: &Against, lang: Lang) -> String {
    let mut out = format!("{}\n", title(item, lang));
    let mut rows = Rows { table: table::bare() };
    asked(&mut rows, item, against, lang);
    let (english, chinese) = messages(item);
    rows.some(lang.say("why", "说明"), message(english, chinese, lang));
    out.push_str(&indented(&table::lines(&rows.table)));
    if let Some(quota) = quota(item, against, lang) {
        out.push('\n');
        out.push_str(&indented(&quota));
    }
    let sites = sites(item, lang);
    if !sites.is_empty() {
        out.push('\n');
        out.push_str(&indented(&sites));
    }
    if !item.known_whole() {
        out.push_str(lang.say(
            "\n  This is not all of it: the API is of another version than this program. See --output json.\n",
            "\n  以上并非全部内容：API 与本程序版本不同。请用 --output json 查看。\n",
        ));
    }
    out
}

fn title(item: &Item, lang: Lang) -> String {
    let (name, spec) = (clean(&item.name), &item.spec);
    let (asks, of) = (kind(spec.kind, lang), phase(item.phase(), lang));
    let (environment, unit) = (clean(&spec.environment), clean(&spec.unit));
    lang.say(
        format!("{name}  {asks} {environment} (unit {unit})  {of}"),
        format!("{name}  {asks} {environment}（单位 {unit}）  {of}"),
    )
}

struct Rows {
    table: comfy_table::Table,
}

impl Rows {
    fn some(&mut self, name: &str, value: String) {
        if !value.is_empty() {
            self.table.add_row([name.to_owned(), value]);
        }
    }
}

fn asked(rows: &mut Rows, item: &Item, against: &Against, lang: Lang) {
    let spec = &item.spec;
    let by = clean(&spec.requested_by.name);
    rows.some(lang.say("asked by", "申请人"), format!("{by}, {}", minute(&spec.submitted_at)));
    rows.some(lang.say("reason", "事由"), clean(&spec.reason));
    let named = spec.display_name.as_ref();
    rows.some(
        lang.say("called", "名称"),
        named
            .map(|name| {
                [Some(&name.zh), name.en.as_ref()]
                    .into_iter()
                    .flatten()
                    .map(|n| clean(n))
                    .collect::<Vec<_>>()
                    .join(" / ")
            })
            .unwrap_or_default(),
    );
    rows.some(lang.say("purpose", "用途"), spec.purpose.map(|of| purpose(of, lang).to_owned()).unwrap_or_default());
    rows.some(lang.say("profile", "安全策略"), spec.security_profile.as_deref().map(clean).unwrap_or_default());
    let members: Vec<String> = spec
        .members
        .iter()
        .map(|member| format!("{} ({})", clean(&member.group), member_role(member.role, lang)))
        .collect();
    rows.some(lang.say("members", "成员组"), members.join(", "));
    let until = spec.until.as_deref().map(clean).map(|until| match &against.expires_at {
        Some(now) => lang.say(format!("{until} (now {})", clean(now)), format!("{until}（现为 {}）", clean(now))),
        None => until,
    });
    rows.some(lang.say("until", "使用至"), until.unwrap_or_default());
    for application in &spec.applications {
        rows.some(lang.say("application", "应用"), described(application, lang));
    }
    for decision in &spec.decisions {
        rows.some(lang.say("decided", "审批"), decided(decision, &item.digest, lang));
    }
    for (what, word) in
        [(lang.say("withdrawn", "撤回"), &spec.withdrawn), (lang.say("called off", "撤销删除"), &spec.undone)]
    {
        if let Some(word) = word {
            rows.some(what, format!("{}, {}{}", clean(&word.by), minute(&word.at), noted(&word.note, lang)));
        }
    }
}

/// Who decided what, and with which words. On content of another digest than it has now, a decision counts for nothing.
pub(super) fn decided(decision: &Decision, digest: &str, lang: Lang) -> String {
    let (by, what, of) = (clean(&decision.by), outcome(decision.outcome, lang), role(decision.role, lang));
    let note = noted(&decision.note, lang);
    let at = minute(&decision.at);
    let counts = decision.digest == digest;
    let before = if counts { "" } else { lang.say(" (on what it said before)", "（针对变更前的内容）") };
    lang.say(format!("{by} {what} as {of}, {at}{before}{note}"), format!("{by} 以{of}身份{what}，{at}{before}{note}"))
}

fn noted(note: &str, lang: Lang) -> String {
    if note.is_empty() { String::new() } else { format!("{}{}", lang.say(": ", "："), clean(note)) }
}

/// An application, by what it would run.
fn described(application: &RequestedApplication, lang: Lang) -> String {
    let ApplicationSpec { components, adopt, .. } = &application.spec;
    let images = components.iter().flatten().map(|component| clean(&component.image));
    let adopted = adopt.iter().flatten().map(|workload| clean(&workload.name));
    let runs: Vec<String> = images.chain(adopted).collect();
    format!("{}{}{}", clean(&application.name), lang.say(": ", "："), runs.join(", "))
}

/// The quota that is asked for, beside what the environment has and what the unit's take and may take.
fn quota(item: &Item, against: &Against, lang: Lang) -> Option<Vec<String>> {
    let asked = item.spec.quota.as_ref()?;
    let mut header = vec![lang.say("IN EACH SITE", "每站点"), lang.say("ASKED", "申请")];
    header.extend(against.quota.as_ref().map(|_| lang.say("NOW", "现有")));
    header.extend(against.used.as_ref().map(|_| lang.say("UNIT USES", "单位已用")));
    header.extend(against.budget.as_ref().map(|_| lang.say("UNIT'S BUDGET", "单位预算")));
    let mut table = table::table(header);
    let or_none = |amount: Option<String>| amount.unwrap_or_else(|| "-".to_owned());
    let names = lang.say(["cpu", "memory", "storage", "pods"], ["CPU", "内存", "存储", "副本数"]);
    for (index, name) in names.into_iter().enumerate() {
        let mut row = vec![name.to_owned(), of_quota(asked, index)];
        row.extend(against.quota.as_ref().map(|quota| of_quota(quota, index)));
        row.extend(against.used.as_ref().map(|used| {
            let amounts = [&used.cpu, &used.memory, &used.storage].map(|amount| amount.as_ref().map(|a| clean(&a.0)));
            or_none(amounts.into_iter().chain([used.pods.map(|pods| pods.to_string())]).nth(index).flatten())
        }));
        row.extend(against.budget.as_ref().map(|budget| {
            let amounts = [&budget.cpu, &budget.memory, &budget.storage].map(|amount| clean(&amount.0));
            or_none(amounts.into_iter().chain([budget.pods.to_string()]).nth(index))
        }));
        table.add_row(row);
    }
    Some(table::lines(&table))
}

fn of_quota(quota: &tandem_crds::Quota, index: usize) -> String {
    match index {
        0 => clean(&quota.cpu.0),
        1 => clean(&quota.memory.0),
        2 => clean(&quota.storage.0),
        _ => quota.pods.to_string(),
    }
}

fn sites(item: &Item, lang: Lang) -> Vec<String> {
    let provisioning = item.status.iter().flat_map(|status| &status.provisioning);
    let mut table = table::table(lang.say(["SITE", "PHASE", "WHY"], ["站点", "状态", "说明"]));
    for site in provisioning {
        table.add_row([clean(&site.site), site_phase(site.phase, lang).to_owned(), clean(&site.message)]);
    }
    if table.row_count() == 0 { Vec::new() } else { table::lines(&table) }
}

fn indented(lines: &[String]) -> String {
    let mut out = String::new();
    for line in lines {
        let _ = writeln!(out, "  {line}");
    }
    out
}

/// What became of a call, on one line.
#[must_use]
pub fn became(item: &Item, lang: Lang) -> String {
    let (english, chinese) = messages(item);
    let said = message(english, chinese, lang);
    let said = if said.is_empty() { said } else { format!("{}{said}", lang.say(": ", "：")) };
    format!("{}{said}\n", title(item, lang))
}
