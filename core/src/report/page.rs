//! The report as one HTML page, to be read, printed and filed, in both languages. It loads nothing and runs nothing; whatever
//! comes from an object is escaped.

use std::fmt::Display;

use tandem_crds::DrilledGroup;

use super::document::{FailoverReport, GroupReport};
use super::rehearsed;
use super::text::{approved, details, epochs, fenced, loss, measure, result, time};
use super::words::seconds;
use crate::failover::Language::{Chinese, English};
use crate::policy::{Escaped, Text};

/// The page's only style. It stands in the page itself; who serves the page allows it by its hash.
pub const STYLE: &str = include_str!("page.css");

/// The report as a page, with the digest that the audit chain has of it, where that is known.
#[must_use]
pub fn page(report: &FailoverReport, digest: Option<&str>) -> String {
    let mut page = Page(String::from("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"));
    let FailoverReport { from, to, consent, execution, .. } = report;
    page.push(format_args!("<title>{} {}</title><style>", report.kind.as_str(), Escaped(execution)));
    page.0.push_str(STYLE);
    page.0.push_str("</style></head>\n<body><main>");
    page.push(format_args!("<h1>{} <span>{}</span></h1>\n", Escaped(execution), report.kind.as_str()));
    page.push(format_args!(
        "<p class=\"whose\"><strong>{} → {}</strong> · {}</p>\n",
        Escaped(from),
        Escaped(to),
        report.phase.as_str()
    ));
    let by = if consent.automatic { "Tandem (automatic 自动)" } else { &consent.by };
    page.push(format_args!("<dl>"));
    page.fact(&Text::new("Asked by", "发起人"), by);
    page.fact(&Text::new("Asked at", "发起时间"), format!("{}, {}", time(consent.at), consent.site));
    page.fact(&Text::new("Why", "理由"), &consent.reason);
    page.fact(&Text::new("Approved", "批准"), two(|language| approved(report, language)));
    let (en, zh) = rehearsed::label(report);
    page.fact(&Text::new(en, zh), two(|language| measure(&report.rto, language)));
    page.fact(&Text::new("Lost", "丢失"), two(|language| loss(&report.loss, language)));
    page.push(format_args!("</dl>\n"));
    page.push(format_args!("<div class=\"note\">{}</div>\n", both(&report.loss.because)));
    page.title(&Text::new("What to do next", "后续工作"));
    if report.next.is_empty() {
        page.push(format_args!("{}\n", both(&Text::new("Nothing.", "无。"))));
    }
    for next in &report.next {
        page.push(format_args!("<div class=\"note\">{}</div>\n", both(next)));
    }
    page.title(&Text::new("What happened", "经过"));
    page.table(&[("When", "时间"), ("What", "事项")], "timeline");
    for event in &report.timeline {
        page.push(format_args!("<tr><td>{}</td><td>{}</td></tr>\n", time(event.at), both(&event.what)));
    }
    page.push(format_args!("</tbody></table>\n"));
    if report.drill.is_none() {
        waves(&mut page, report);
    }
    for group in &report.groups {
        one(&mut page, group, rehearsed::found(report, &group.name));
    }
    page.push(format_args!("<p class=\"foot\">{} · {}", Escaped(&report.written.site), time(report.written.at)));
    if let Some(digest) = digest {
        page.push(format_args!(" · SHA-256 <code>{}</code>", Escaped(digest)));
    }
    page.push(format_args!("</p></main></body></html>\n"));
    page.0
}

fn waves(page: &mut Page, report: &FailoverReport) {
    page.title(&Text::new("Waves", "批次"));
    page.table(&[("Wave", "批次"), ("Began", "开始"), ("Ended", "结束"), ("Groups", "组")], "waves");
    for wave in &report.waves {
        let at = |at: Option<jiff::Timestamp>| at.map(time).unwrap_or_default();
        let groups = wave.groups.join(", ");
        page.push(format_args!(
            "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>\n",
            wave.number,
            at(wave.began),
            at(wave.ended),
            Escaped(groups)
        ));
    }
    page.push(format_args!("</tbody></table>\n"));
}

fn one(page: &mut Page, group: &GroupReport, found: Option<&DrilledGroup>) {
    page.push(format_args!(
        "<h2>{} <span>{} · {}</span></h2>\n",
        Escaped(&group.name),
        result(group.result, English),
        result(group.result, Chinese)
    ));
    if let Some(found) = found {
        return drilled(page, group, found);
    }
    if let Some(why) = &group.why {
        page.push(format_args!("<div class=\"note\">{}</div>\n", both(&Text::new(&*why.message, &*why.message_zh))));
    }
    page.push(format_args!("<dl>"));
    page.fact(&Text::new("Epoch", "纪元"), epochs(group));
    page.fact(&Text::new("Without service", "中断时间"), two(|language| measure(&group.rto, language)));
    page.fact(&Text::new("Fence", "隔离"), two(|language| fenced(group.fence.state, language).to_owned()));
    page.fact(&Text::new("Lost", "丢失"), two(|language| loss(&group.loss, language)));
    page.push(format_args!("</dl>\n{}{}", both(&group.fence.because), both(&group.loss.because)));
    page.table(&[("Step", "步骤"), ("Began", "开始"), ("Took", "耗时"), ("Seen", "所见")], "steps");
    for step in &group.steps {
        page.push(format_args!(
            "<tr><th scope=\"row\">{}<code>{}</code></th><td>{}</td><td>{}</td><td><p>{}</p><p lang=\"zh\">{}</p></td></tr>\n",
            Escaped(&step.step),
            Escaped(&step.outcome),
            time(step.began),
            step.took_millis.map(seconds).unwrap_or_default(),
            Escaped(details(step, English)),
            Escaped(details(step, Chinese))
        ));
    }
    page.push(format_args!("</tbody></table>\n"));
    for waited in &group.waited {
        page.push(format_args!(
            "<div class=\"note\"><p><strong>{}</strong> ({}) {} … {}</p>{}</div>\n",
            Escaped(&waited.side),
            Escaped(&waited.step),
            time(waited.at),
            waited.until.map(time).unwrap_or_default(),
            both(&waited.message)
        ));
    }
    if group.more_waited > 0 {
        page.push(format_args!("<p>and more 另有: {}</p>\n", group.more_waited));
    }
    applications(page, group);
}

/// What a drill found of a group.
fn drilled(page: &mut Page, group: &GroupReport, found: &DrilledGroup) {
    page.push(format_args!("<dl>"));
    page.fact(&Text::new("Epoch", "纪元"), epochs(group));
    page.fact(&Text::new("Clones ready after", "副本就绪用时"), two(|language| measure(&group.rto, language)));
    page.push(format_args!("</dl>\n"));
    for (en, zh) in rehearsed::lines(found, English).into_iter().zip(rehearsed::lines(found, Chinese)) {
        page.push(format_args!("{}\n", both(&Text::new(en, zh))));
    }
}

fn applications(page: &mut Page, group: &GroupReport) {
    if group.applications.is_empty() {
        return;
    }
    page.table(
        &[("Application", "应用"), ("Served since", "自何时提供服务"), ("Ready", "就绪"), ("Why not", "未就绪原因")],
        "applications",
    );
    for application in &group.applications {
        page.push(format_args!(
            "<tr><th scope=\"row\">{}/{}</th><td>{}</td><td>{}</td><td>{}</td></tr>\n",
            Escaped(&application.namespace),
            Escaped(&application.name),
            application.served_at.map(time).unwrap_or_default(),
            if application.ready { "yes 是" } else { "no 否" },
            Escaped(&application.message)
        ));
    }
    page.push(format_args!("</tbody></table>\n"));
}

struct Page(String);

impl Page {
    fn push(&mut self, text: std::fmt::Arguments<'_>) {
        // Writing to a String does not fail.
        let _ = std::fmt::Write::write_fmt(&mut self.0, text);
    }

    fn title(&mut self, title: &Text) {
        self.push(format_args!("<h2>{} <span lang=\"zh\">{}</span></h2>\n", Escaped(&title.en), Escaped(&title.zh)));
    }

    fn fact(&mut self, what: &Text, value: impl Display) {
        self.push(format_args!("<div><dt>{}</dt><dd>{}</dd></div>", both(what), Escaped(value)));
    }

    fn table(&mut self, columns: &[(&str, &str)], class: &str) {
        self.push(format_args!("<table class=\"{class}\"><thead><tr>"));
        for (en, zh) in columns {
            self.push(format_args!("<th>{en} <span lang=\"zh\">{zh}</span></th>"));
        }
        self.push(format_args!("</tr></thead><tbody>\n"));
    }
}

fn both(text: &Text) -> String {
    format!("<p>{}</p><p lang=\"zh\">{}</p>", Escaped(&text.en), Escaped(&text.zh))
}

fn two(of: impl Fn(crate::failover::Language) -> String) -> String {
    let (en, zh) = (of(English), of(Chinese));
    if en == zh { en } else { format!("{en} · {zh}") }
}
