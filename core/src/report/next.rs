//! What is to be done after a failover.

use super::document::{FailoverReport, GroupReport, GroupResult, Verdict};
use crate::drill::DrillResult;
use crate::policy::Text;

/// How many groups are named; the others are in the report.
const NAMED: usize = 8;

/// What is to be done now.
pub(super) fn next(report: &FailoverReport) -> Vec<Text> {
    let (from, to) = (&report.from, &report.to);
    let mut next = Vec::new();
    if let Some(drill) = &report.drill {
        let failed = drill.groups.iter().filter(|group| group.result != DrillResult::Passed.as_str());
        next.extend(names(failed.map(|group| &*group.name)).map(|groups| {
            Text::new(
                format!("These did not pass: {groups}. Mend what is said of each, and rehearse again."),
                format!("以下组未通过：{groups}。请按各组所述原因处理后再次演练。"),
            )
        }));
        return next;
    }
    let named = |wanted: &dyn Fn(&GroupReport) -> bool| {
        names(report.groups.iter().filter(|group| wanted(group)).map(|group| &*group.name))
    };
    if let Some(groups) = named(&|group| matches!(group.result, GroupResult::TakenBack | GroupResult::NotBegun)) {
        next.push(Text::new(
            format!(
                "These did not move, for the reasons given: {groups}. Ask for them again once the reasons are gone."
            ),
            format!("以下组没有移动（原因见各组）：{groups}。原因消除后可再次发起。"),
        ));
    }
    if let Some(groups) = named(&|group| matches!(group.loss.verdict, Verdict::Bounded | Verdict::Unknown)) {
        next.push(Text::new(
            format!(
                "What was lost of these is not known: {groups}. Ask for this report again once {from} follows; have the agencies compare \
                 what they sent last."
            ),
            format!("以下组丢失多少尚不清楚：{groups}。待 {from} 重新跟随后再查看本报告；请相关单位核对最后提交的内容。"),
        ));
    }
    let lost = |group: &GroupReport| {
        let dropped = group.loss.dropped.filter(|dropped| dropped.from != dropped.to || dropped.transactions > Some(0));
        group.loss.verdict == Verdict::Found && dropped.is_some()
    };
    if let Some(groups) = named(&lost) {
        next.push(Text::new(
            format!("{from} dropped what it alone had of these: {groups}. Tell the agencies, with the times given, to enter it again."),
            format!("{from} 丢弃了以下组中仅它拥有的数据：{groups}。请按所列时间通知相关单位重新录入。"),
        ));
    }
    if !report.settled {
        next.push(Text::new(
            format!("{from} does not follow everywhere yet: until it does, {to} has no standby for these groups. `tandem groups` shows it."),
            format!("{from} 尚未全部重新跟随：在此之前 {to} 上的这些组没有备用。可用 `tandem groups` 查看。"),
        ));
    }
    if let Some(groups) = named(&|group| group.rto.kept == Some(false)) {
        next.push(Text::new(
            format!("These were without service for longer than wanted: {groups}. The steps tell where the time went."),
            format!("以下组中断时间超过要求：{groups}。各步骤说明了耗时所在。"),
        ));
    }
    let away = |group: &GroupReport| {
        group.result == GroupResult::Served && group.applications.iter().any(|application| !application.ready)
    };
    if let Some(groups) = named(&away) {
        next.push(Text::new(
            format!("Applications of these were not ready at {to} when this was written: {groups}."),
            format!("本报告写成时，以下组有应用在 {to} 尚未就绪：{groups}。"),
        ));
    }
    next
}

fn names<'a>(groups: impl Iterator<Item = &'a str>) -> Option<String> {
    let all: Vec<&str> = groups.collect();
    let more = all.len().saturating_sub(NAMED);
    let named = all.iter().take(NAMED).copied().collect::<Vec<_>>().join(", ");
    match (all.is_empty(), more) {
        (true, _) => None,
        (false, 0) => Some(named),
        (false, more) => Some(format!("{named} (+{more})")),
    }
}
