//! How a city stands, for people: one screen. Pure.

use super::problems::{Problem, Severity};
use super::report::{Groups, Report, SiteRow};
use crate::failover::list::MoveRow;
use crate::failover::plan_text::{kind, sentence};
use crate::failover::table::{self, duration};
use crate::failover::watch_text::{phase, step};
use crate::language::Lang;
use console::{measure_text_width, truncate_str};
use jiff::Timestamp;

/// How wide a line is, in columns, where it can be cut.
const WIDTH: usize = 110;
/// How many moves are named.
const MOVES_MOST: usize = 3;

/// The screen. `limit`: how many problems are shown, their names and messages cut to a line; 0 for all of all.
#[must_use]
pub fn screen(report: &Report, limit: usize, now: Timestamp, lang: Lang) -> Vec<String> {
    let mut lines = vec![head(report, now, lang), String::new()];
    lines.extend(sites(&report.sites, lang));
    lines.push(String::new());
    lines.push(match (&report.authority, lang) {
        (Some(site), Lang::En) => format!("Authority  {site} may publish"),
        (Some(site), Lang::Zh) => format!("发布权  {site}"),
        (None, Lang::En) => "Authority  nobody, or more than one site".to_owned(),
        (None, Lang::Zh) => "发布权  无站点或不止一个站点".to_owned(),
    });
    lines.push(groups(&report.groups, lang));
    lines.extend(moves(&report.moves, now, lang));
    lines.push(String::new());
    lines.extend(kinds(report, lang));
    lines.push(String::new());
    lines.extend(problems(report, limit, lang));
    lines
}

fn head(report: &Report, now: Timestamp, lang: Lang) -> String {
    let at = now.strftime("%Y-%m-%d %H:%M:%SZ");
    match (&report.seen_from, lang) {
        (Some(site), Lang::En) => format!("As the cluster of {site} shows it, {at}"),
        (Some(site), Lang::Zh) => format!("{site} 集群所示，{at}"),
        (None, Lang::En) => format!("As this cluster shows it, {at}"),
        (None, Lang::Zh) => format!("本集群所示，{at}"),
    }
}

fn sites(sites: &[SiteRow], lang: Lang) -> Vec<String> {
    let mut table = table::table(lang.say(
        ["SITE", "NAME", "AUTHORITY", "LEADER", "MEMBERS", "HEARD", "FENCED", "ARBITER", "READY"],
        ["站点", "名称", "发布权", "主控", "副本", "可达", "已隔离", "仲裁", "就绪"],
    ));
    let (yes, no) = (lang.say("yes", "是"), lang.say("no", "否"));
    let word = |value: Option<bool>| value.map_or("?", |value| if value { yes } else { no }).to_owned();
    for site in sites {
        let name = match (&site.display_name.en, lang) {
            (Some(english), Lang::En) => english,
            _ => &site.display_name.zh,
        };
        table.add_row([
            site.name.clone(),
            cut(name, 20),
            word(Some(site.authority)),
            site.leader.clone().unwrap_or_else(|| "-".to_owned()),
            cut(&site.members.join(","), 40),
            word(site.heard),
            // What a silent site said last says nothing of now.
            word(site.fenced.filter(|_| site.heard != Some(false))),
            // The other site tells of the arbiter at its own cluster.
            site.arbiter.clone().unwrap_or_else(|| "-".to_owned()),
            match &site.reason {
                // Likewise.
                _ if site.heard == Some(false) => "?".to_owned(),
                None => yes.to_owned(),
                Some(reason) => format!("{no}: {reason}"),
            },
        ]);
    }
    table::lines(&table)
}

fn groups(groups: &Groups, lang: Lang) -> String {
    let mut at: Vec<String> = groups.active_at.iter().map(|(site, count)| format!("{site} {count}")).collect();
    if groups.active_nowhere > 0 {
        at.push(format!("{} {}", lang.say("nowhere", "无站点"), groups.active_nowhere));
    }
    let mut parts = vec![
        lang.say(format!("{} protected", groups.protected), format!("受保护 {}", groups.protected)),
        lang.say(format!("{} exposed", groups.exposed), format!("不受保护 {}", groups.exposed)),
    ];
    for (count, english, chinese) in [
        (groups.unknown, "not known", "未知"),
        (groups.held, "held", "冻结"),
        (groups.moving, "moving", "切换中"),
        (groups.settling, "settling", "收尾中"),
        (groups.automatic, "automatic", "自动"),
    ] {
        if count > 0 {
            parts.push(lang.say(format!("{count} {english}"), format!("{chinese} {count}")));
        }
    }
    let at = if at.is_empty() { String::new() } else { format!("{}; ", at.join(", ")) };
    let label = lang.say("Groups   ", "组");
    format!("{label}  {}: {at}{}", groups.all, parts.join(", "))
}

fn moves(moves: &[MoveRow], now: Timestamp, lang: Lang) -> Vec<String> {
    let label = lang.say("Moves    ", "切换");
    if moves.is_empty() {
        return vec![format!("{label}  {}", lang.say("none under way", "无"))];
    }
    let mut lines = Vec::new();
    for row in moves.iter().take(MOVES_MOST) {
        let unknown = || "?".to_owned();
        let mut parts = vec![
            row.name.clone(),
            kind(row.kind, lang).to_owned(),
            format!("{} -> {}", row.from.clone().unwrap_or_else(unknown), row.to.clone().unwrap_or_else(unknown)),
            phase(row.phase, lang).to_owned(),
        ];
        parts.extend(row.seconds(now).map(duration));
        lines.push(format!("{label}  {}", parts.join("  ")));
        let mut how = vec![lang.say(
            format!("{} of {} serving", row.serving, row.groups),
            format!("已接管 {}/{}", row.serving, row.groups),
        )];
        how.extend(row.steps.iter().map(|(name, count)| format!("{} {count}", step(name, lang))));
        if row.held_up > 0 {
            how.push(lang.say(format!("{} held up", row.held_up), format!("受阻 {}", row.held_up)));
        }
        let why = sentence(&row.why, lang);
        let why = if why.is_empty() { String::new() } else { format!(" ({why})") };
        lines.push(cut(&format!("           {}{why}", how.join(", ")), WIDTH));
    }
    if moves.len() > MOVES_MOST {
        let more = moves.len() - MOVES_MOST;
        lines.push(lang.say(
            format!("           and {more} more: tandem failover list --under-way"),
            format!("           另有 {more} 个：tandem failover list --under-way"),
        ));
    }
    lines
}

fn kinds(report: &Report, lang: Lang) -> Vec<String> {
    let mut table = table::bare();
    let cells = |first: &str, of: &dyn Fn(&super::report::Count) -> String| -> Vec<String> {
        [first.to_owned()].into_iter().chain(report.kinds.iter().map(of)).collect()
    };
    table.add_row(cells(lang.say("KIND", "类型"), &|count| count.kind.to_owned()));
    table.add_row(cells(lang.say("READY", "就绪"), &|count| format!("{}/{}", count.ready, count.of)));
    table::lines(&table)
}

fn problems(report: &Report, limit: usize, lang: Lang) -> Vec<String> {
    let all = &report.problems;
    let wrong = all.iter().filter(|problem| problem.severity != Severity::Notice).count();
    let mut lines = vec![match (wrong, all.len(), lang) {
        (0, 0, _) => lang.say("Nothing is wrong.", "一切正常。").to_owned(),
        (0, _, _) => lang.say("Nothing is wrong. Good to know:", "一切正常。请留意：").to_owned(),
        (1, _, Lang::En) => "1 thing is wrong. What to do:".to_owned(),
        (_, _, Lang::En) => format!("{wrong} things are wrong. What to do, the worst first:"),
        (_, _, Lang::Zh) => format!("{wrong} 个问题，按严重程度排列："),
    }];
    let shown = if limit == 0 { all.len() } else { limit };
    for (number, problem) in (1..).zip(all.iter().take(shown)) {
        lines.extend(self::problem(number, problem, limit == 0, lang));
    }
    let more = all.len().saturating_sub(shown);
    if more > 0 {
        lines.push(lang.say(
            format!("… and {more} more (--limit 0 shows all, and every name)"),
            format!("……另有 {more} 项（--limit 0 显示全部及所有名称）"),
        ));
    }
    lines
}

fn problem(number: usize, problem: &Problem, whole: bool, lang: Lang) -> Vec<String> {
    let severity = match problem.severity {
        Severity::Critical => lang.say("CRITICAL", "严重"),
        Severity::Warning => lang.say("WARNING", "警告"),
        Severity::Notice => lang.say("NOTICE", "提示"),
    };
    let title = format!("{number:>2}. {severity} {}", problem.reason);
    let title = match problem.kind {
        None => title,
        Some(kind) => {
            let (count, room) = (problem.objects.len(), WIDTH.saturating_sub(measure_text_width(&title) + 24));
            let names = if whole { problem.objects.join(", ") } else { names(&problem.objects, room, lang) };
            let many = if count > 1 { format!("{count} × ") } else { String::new() };
            format!("{title}: {many}{kind} {names}")
        }
    };
    let message =
        if problem.message_zh.is_empty() { &problem.message } else { lang.say(&problem.message, &problem.message_zh) };
    let mut lines = vec![title];
    if !message.is_empty() {
        let message = format!("    {}", message.replace('\n', " "));
        lines.push(if whole { message } else { cut(&message, WIDTH) });
    }
    lines.push(format!("    {}", lang.say(&problem.meaning, &problem.meaning_zh)));
    lines.push(format!("    → {}", lang.say(&problem.mend, &problem.mend_zh)));
    lines
}

/// As many names as there is room for, one at least, and how many there are beside them.
fn names(names: &[String], room: usize, lang: Lang) -> String {
    let mut shown = String::new();
    for (place, name) in names.iter().enumerate() {
        if place > 0 && measure_text_width(&shown) + measure_text_width(name) > room {
            let more = names.len() - place;
            shown.push_str(&lang.say(format!(" and {more} more"), format!(" 等（另有 {more} 个）")));
            break;
        }
        if place > 0 {
            shown.push_str(", ");
        }
        shown.push_str(name);
    }
    shown
}

/// A text of so many columns at most.
fn cut(text: &str, columns: usize) -> String {
    truncate_str(text, columns, "…").into_owned()
}
