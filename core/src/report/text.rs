//! The report for a terminal, in one language.

use std::fmt::Write;

use jiff::Timestamp;
use tandem_crds::DrilledGroup;

use super::document::{FailoverReport, FenceState, GroupReport, GroupResult, Loss, Measure, StepReport, Verdict};
use super::rehearsed;
use super::words::{seconds, seconds_or, token};
use crate::failover::{Language, Stood};
use crate::policy::Text;

/// The report in this language, with a line of each group; what it is longer for is in the HTML page and in the JSON.
#[must_use]
pub fn text(report: &FailoverReport, language: Language) -> String {
    let mut out = Out { text: String::new(), language };
    let say = |en: &'static str, zh: &'static str| out_of(language, en, zh);
    let FailoverReport { from, to, consent, .. } = report;
    out.line(format_args!("{} {}: {from} → {to}, {}", report.kind.as_str(), report.execution, report.phase.as_str()));
    let by = if consent.automatic { say("Tandem, by itself", "Tandem 自动") } else { &consent.by };
    out.line(format_args!("{}: {by}, {} ({})", say("Asked", "发起"), time(consent.at), consent.reason));
    out.line(format_args!("{}: {}", say("Approved", "批准"), approved(report, language)));
    let (en, zh) = rehearsed::label(report);
    out.line(format_args!("{}: {}", say(en, zh), measure(&report.rto, language)));
    out.line(format_args!("{}: {}", say("Lost", "丢失"), loss(&report.loss, language)));
    out.line(format_args!("  {}", out.of(&report.loss.because)));
    out.title(say("What happened", "经过"));
    for event in &report.timeline {
        out.line(format_args!("  {}  {}", time(event.at), out.of(&event.what)));
    }
    for group in &report.groups {
        out.group(group, rehearsed::found(report, &group.name));
    }
    if !report.next.is_empty() {
        out.title(say("What to do next", "后续工作"));
        for next in &report.next {
            out.line(format_args!("  - {}", out.of(next)));
        }
    }
    out.text
}

/// The one of two texts that is in this language.
pub(super) fn out_of<'a>(language: Language, en: &'a str, zh: &'a str) -> &'a str {
    match language {
        Language::English => en,
        Language::Chinese => zh,
    }
}

/// A time as people read it, to the millisecond.
pub(super) fn time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S%.3fZ").to_string()
}

/// Who agreed, in a line.
pub(super) fn approved(report: &FailoverReport, language: Language) -> String {
    let say = |en: &'static str, zh: &'static str| out_of(language, en, zh);
    let consent = &report.consent;
    let mut parts: Vec<String> =
        consent.given.iter().map(|given| format!("{} ({})", given.by, time(given.at))).collect();
    if parts.is_empty() {
        parts.push(say("nobody had to", "无需批准").to_owned());
    }
    if consent.wanted > 0 {
        parts.push(format!("{} {}", say("needed:", "需要："), consent.wanted));
    }
    if let Some(loss) = consent.accept_data_loss {
        let most =
            loss.max_seconds.map_or_else(|| say("any amount", "任意数量").to_owned(), |most| format!("{most} s"));
        parts.push(format!("{} {most}", say("consented to losing at most", "同意最多丢失")));
    }
    if consent.despite_not_ready {
        parts.push(say("although the target was not ready", "目标未就绪仍切换").to_owned());
    }
    if consent.aborted {
        parts.push(say("asked to be taken back", "已要求撤回").to_owned());
    }
    parts.join("; ")
}

/// A measure, in a line.
pub(super) fn measure(measure: &Measure, language: Language) -> String {
    let say = |en: &'static str, zh: &'static str| out_of(language, en, zh);
    let unknown = say("not known", "未知");
    let measured = seconds_or(measure.measured_millis, unknown);
    match (measure.wanted_millis, measure.kept) {
        (Some(wanted), Some(true)) => {
            format!("{measured} ({} {})", say("wanted at most", "要求不超过"), seconds(wanted))
        }
        (Some(wanted), Some(false)) => {
            format!("{measured} ({} {})", say("LONGER than the wanted", "超过要求的"), seconds(wanted))
        }
        (Some(wanted), None) => format!("{measured} ({} {})", say("wanted at most", "要求不超过"), seconds(wanted)),
        (None, _) => measured,
    }
}

/// A loss, in a word or two.
pub(super) fn loss(loss: &Loss, language: Language) -> String {
    let say = |en: &'static str, zh: &'static str| out_of(language, en, zh).to_owned();
    let mut said = match loss.verdict {
        Verdict::NotMoved => say("nothing moved", "没有移动"),
        Verdict::NoData => say("no data", "没有数据"),
        Verdict::None => say("nothing, proven by positions", "无，有位置为证"),
        Verdict::Found => match loss.dropped.and_then(|dropped| dropped.transactions) {
            Some(count) => format!("{count} {}", say("transactions, found", "个事务，已查明")),
            None => say("found by position, not counted", "按位置查明，未计数"),
        },
        Verdict::Bounded => {
            format!(
                "{} {}",
                say("not known; not more than the last", "尚不清楚；不超过最后"),
                seconds(loss.at_most_millis.unwrap_or(0))
            )
        }
        Verdict::Unknown => say("not known", "未知"),
    };
    if let Some(wanted) = loss.wanted_millis.filter(|_| loss.at_most_millis.is_some()) {
        let _ = write!(said, " ({} {})", say("wanted at most", "要求不超过"), seconds(wanted));
    }
    said
}

/// A result, in a word.
pub(super) fn result(result: GroupResult, language: Language) -> &'static str {
    let (en, zh) = match result {
        GroupResult::Served => ("served at the target", "目标已接管"),
        GroupResult::TakenBack => ("taken back", "已撤回"),
        GroupResult::NotBegun => ("did not begin", "未开始"),
        GroupResult::Rehearsed => ("rehearsed, not moved", "已演练，未移动"),
        GroupResult::Open => ("under way", "进行中"),
    };
    out_of(language, en, zh)
}

/// Whether a fence is proven, in a word.
pub(super) fn fenced(state: FenceState, language: Language) -> &'static str {
    let (en, zh) = match state {
        FenceState::Proven => ("proven", "有证明"),
        FenceState::NotNeeded => ("not needed", "无需"),
        FenceState::NotProven => ("NOT PROVEN", "没有证明"),
    };
    out_of(language, en, zh)
}

/// The epochs, before and after.
pub(super) fn epochs(group: &GroupReport) -> String {
    let after = group.epoch_after.map_or_else(|| "?".to_owned(), |after| after.to_string());
    format!("{} → {after}", group.epoch_before)
}

/// How data stood, in a line.
pub(super) fn stood(stood: &Stood, language: Language) -> String {
    let say = |en: &'static str, zh: &'static str| out_of(language, en, zh);
    let mut parts: Vec<String> = stood.role.map(|role| format!("{role:?}")).into_iter().collect();
    parts.extend(stood.position.map(|position| format!("@{position}")));
    parts.extend(stood.lag_millis.map(|lag| format!("{} {}", say("lag", "延迟"), seconds(lag))));
    parts.push(stood.age_millis.map_or_else(
        || say("answered", "应答").to_owned(),
        |age| format!("{} {}", say("report aged", "报告距今"), seconds(age)),
    ));
    parts.join(", ")
}

/// What a step left behind beside its note.
pub(super) fn details(step: &StepReport, language: Language) -> String {
    let say = |en: &'static str, zh: &'static str| out_of(language, en, zh);
    let mut parts: Vec<String> = Vec::new();
    parts.extend((!step.note.is_empty()).then(|| step.note.clone()));
    parts.extend(step.source.as_ref().map(|of| format!("{} {}", say("source:", "源："), stood(of, language))));
    parts.extend(step.target.as_ref().map(|of| format!("{} {}", say("target:", "目标："), stood(of, language))));
    if let Some(failures) = &step.failures {
        let (before, times) = (say("failed before, at least", "此前至少失败"), say("times, last:", "次，最近："));
        parts.push(format!("{before} {} {times} {}", failures.count, failures.last));
    }
    parts.extend(step.token.as_ref().map(|of| format!("{} {}", say("token", "令牌"), token(of))));
    let revision = step.ended_revision.or(step.began_revision);
    parts.extend(revision.map(|revision| format!("{} {revision}", say("revision", "修订"))));
    parts.join("; ")
}

struct Out {
    text: String,
    language: Language,
}

impl Out {
    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        // Writing to a String does not fail.
        let _ = self.text.write_fmt(line);
        self.text.push('\n');
    }

    fn title(&mut self, title: &str) {
        self.line(format_args!("\n{title}"));
    }

    fn of(&self, text: &Text) -> String {
        out_of(self.language, &text.en, &text.zh).to_owned()
    }

    fn say(&self, en: &'static str, zh: &'static str) -> &'static str {
        out_of(self.language, en, zh)
    }

    fn group(&mut self, group: &GroupReport, found: Option<&DrilledGroup>) {
        let language = self.language;
        let head = format!("{}: {}", group.name, result(group.result, language));
        self.title(&head);
        if let Some(found) = found {
            self.line(format_args!("  {}: {}", self.say("Epoch", "纪元"), epochs(group)));
            self.line(format_args!(
                "  {}: {}",
                self.say("Clones ready after", "副本就绪用时"),
                measure(&group.rto, language)
            ));
            for line in rehearsed::lines(found, language) {
                self.line(format_args!("  {line}"));
            }
            return;
        }
        if let Some(why) = &group.why {
            let why = out_of(language, &why.message, &why.message_zh).to_owned();
            self.line(format_args!("  {}: {why}", self.say("Why", "原因")));
        }
        self.line(format_args!("  {}: {}", self.say("Epoch", "纪元"), epochs(group)));
        self.line(format_args!("  {}: {}", self.say("Without service", "中断时间"), measure(&group.rto, language)));
        self.line(format_args!(
            "  {}: {}. {}",
            self.say("Fence", "隔离"),
            fenced(group.fence.state, language),
            self.of(&group.fence.because)
        ));
        self.line(format_args!(
            "  {}: {}. {}",
            self.say("Lost", "丢失"),
            loss(&group.loss, language),
            self.of(&group.loss.because)
        ));
        for step in &group.steps {
            let took = step.took_millis.map(seconds).unwrap_or_default();
            let line = format!("    {}  {:<16} {:<18} {took:>9}  ", time(step.began), step.step, step.outcome);
            self.line(format_args!("{line}{}", details(step, language)));
        }
        for waited in &group.waited {
            let until = waited.until.map_or_else(|| self.say("now", "现在").to_owned(), time);
            let what = self.of(&waited.message);
            self.line(format_args!("    {} … {until}  {} ({}): {what}", time(waited.at), waited.side, waited.step));
        }
        if group.more_waited > 0 {
            self.line(format_args!("    {} {}", self.say("and more:", "另有："), group.more_waited));
        }
        let served = group.applications.iter().filter(|application| application.ready).count();
        if !group.applications.is_empty() {
            let (en, zh) = ("Applications ready at the target", "目标已就绪的应用");
            self.line(format_args!("  {}: {served} / {}", self.say(en, zh), group.applications.len()));
        }
        for application in group.applications.iter().filter(|application| !application.ready) {
            self.line(format_args!("    {}/{}: {}", application.namespace, application.name, application.message));
        }
    }
}
