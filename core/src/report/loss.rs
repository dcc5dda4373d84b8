//! What was lost, and how that is known. That nothing was is said only where positions prove it.

use super::document::{Loss, Verdict};
use super::sources::Wanted;
use super::words::{seconds, seconds_or};
use crate::failover::{Dropped, Evidence, ExecutionKind, Journal, Outcome, Replication, Step, Stood};
use crate::policy::Text;

/// What a group lost in its move.
#[must_use]
pub fn loss(journal: &Journal, wanted: &Wanted) -> Loss {
    if !promoted(journal) || journal.kind == ExecutionKind::Drill {
        return not_moved(journal);
    }
    if journal.kind == ExecutionKind::Failover { unplanned(journal, wanted) } else { planned(journal) }
}

/// What is said of a group that did not begin.
pub(super) fn not_begun(from: &str) -> Loss {
    stays(from)
}

/// The worst of these.
pub(super) fn worst<'a>(losses: impl Iterator<Item = &'a Loss>) -> Loss {
    let worst = losses.max_by_key(|loss| (loss.verdict, loss.at_most_millis, loss.missing_at_least));
    worst.cloned().unwrap_or_else(|| verdict(Verdict::NotMoved, Text::new("Nothing moved.", "没有移动任何组。")))
}

fn verdict(verdict: Verdict, because: Text) -> Loss {
    Loss {
        verdict,
        at_most_millis: None,
        wanted_millis: None,
        kept: None,
        source: None,
        target: None,
        missing_at_least: None,
        dropped: None,
        because,
    }
}

fn of(journal: &Journal, step: Step) -> Option<&Evidence> {
    journal.evidence.iter().find(|evidence| evidence.step == step)
}

fn done(journal: &Journal, step: Step) -> Option<&Evidence> {
    of(journal, step).filter(|evidence| evidence.outcome == Some(Outcome::Done))
}

fn promoted(journal: &Journal) -> bool {
    of(journal, Step::EpochCommitted).is_some()
}

fn stays(from: &str) -> Loss {
    let because = Text::new(
        format!("It did not move: {from} serves on with its own data."),
        format!("该组没有移动：{from} 以自身数据继续服务。"),
    );
    verdict(Verdict::NotMoved, because)
}

/// The epoch was not committed by this execution.
fn not_moved(journal: &Journal) -> Loss {
    let from = &journal.from;
    let back = of(journal, Step::RolledBack);
    let restored = back.is_none_or(|back| back.outcome != Some(Outcome::Failed));
    let touched = of(journal, Step::Quiescing).is_some() || of(journal, Step::Fencing).is_some();
    if journal.step == Step::RolledBack && touched && !restored {
        let because = Text::new(
            format!(
                "The move was ended before {from} was restored; what became of its data is told by the execution that followed."
            ),
            format!("{from} 恢复之前，此次切换即被终止；其数据的结果见后续的切换。"),
        );
        return verdict(Verdict::Unknown, because);
    }
    stays(from)
}

fn planned(journal: &Journal) -> Loss {
    let (from, to) = (&journal.from, &journal.to);
    if of(journal, Step::FinalSync).is_some_and(|sync| sync.outcome == Some(Outcome::SkippedNoData)) {
        return no_data();
    }
    let sync = done(journal, Step::FinalSync);
    let at = |stood: Option<Stood>| stood.and_then(|stood| stood.position);
    let (source, target) = (sync.and_then(|sync| sync.facts.source), sync.and_then(|sync| sync.facts.target));
    // The final position counts only as the answer to the final synchronisation; a report may be older than the last write.
    let last = at(source.filter(|stood| stood.age_millis.is_none()));
    let refused = done(journal, Step::Quiescing).is_some() && journal.fence_proof().is_some();
    let found = match (last, at(target)) {
        (Some(last), Some(reached)) if refused && reached >= last => {
            let because = Text::new(
                format!(
                    "Nothing: {from} refused writers from the step Quiescing on, said that its final position was {last}, and {to} \
                     had reached {reached}, not below it, before {from} let go."
                ),
                format!(
                    "无：自“静默”步骤起 {from} 拒绝写入，其应答的最终位置为 {last}；{from} 释放之前 {to} 已到达 {reached}，不低于该位置。"
                ),
            );
            verdict(Verdict::None, because)
        }
        _ => verdict(
            Verdict::Unknown,
            Text::new(
                "The move was planned, and goes on only where nothing is lost; but the journal does not have the positions that prove it.",
                "此次为计划内切换，只有在不丢数据时才会继续；但日志中没有可供证明的位置。",
            ),
        ),
    };
    Loss { source, target, ..found }
}

fn no_data() -> Loss {
    verdict(Verdict::NoData, Text::new("The group has no data that Tandem moves.", "该组没有由 Tandem 移动的数据。"))
}

fn unplanned(journal: &Journal, wanted: &Wanted) -> Loss {
    let from = &journal.from;
    let facts = done(journal, Step::Fencing).map(|fencing| &fencing.facts);
    let risk = facts.and_then(|facts| facts.risk);
    if risk.is_some_and(|risk| risk.replication == Replication::NoData) {
        return no_data();
    }
    let source = facts.and_then(|facts| facts.source);
    let promoted = done(journal, Step::Promoting).and_then(|promoting| promoting.facts.target);
    let before = facts.and_then(|facts| facts.target);
    // What it answered when it had been promoted is not below what it had received: the difference is the least that lacks.
    let missing_at_least = source.and_then(|stood| stood.position).zip(promoted.and_then(|stood| stood.position));
    let missing_at_least = missing_at_least.map(|(had, has)| had.saturating_sub(has));
    let at_most_millis = risk.and_then(|risk| risk.exposure_millis);
    let wanted_millis = risk.map(|risk| risk.rpo_millis).or(wanted.rpo_millis);
    let base = Loss {
        at_most_millis,
        wanted_millis,
        kept: at_most_millis.zip(wanted_millis).and_then(|(most, wanted)| (most <= wanted).then_some(true)),
        source,
        target: promoted.or(before),
        missing_at_least,
        ..verdict(Verdict::Unknown, Text::default())
    };
    let returned = of(journal, Step::Resyncing).and_then(|resyncing| resyncing.facts.dropped);
    if let Some(dropped) = returned {
        let because = found(from, &dropped);
        return Loss { verdict: Verdict::Found, dropped: Some(dropped), because, ..base };
    }
    let because = not_found(journal, &base, risk.is_some());
    Loss { verdict: if at_most_millis.is_some() { Verdict::Bounded } else { Verdict::Unknown }, because, ..base }
}

fn found(from: &str, dropped: &Dropped) -> Text {
    let Dropped { from: common, to, transactions, first_commit, last_commit, .. } = dropped;
    if common == to && transactions.unwrap_or(0) == 0 {
        return Text::new(
            format!("{from} came back, compared, and had nothing that had not been received: it dropped nothing."),
            format!("{from} 已恢复并比对：没有未被接收的数据，未丢弃任何内容。"),
        );
    }
    let (mut en, mut zh) = match transactions {
        Some(count) => (
            format!("{from} came back and dropped {count} transactions, positions {common} to {to}"),
            format!("{from} 已恢复，丢弃了 {count} 个事务，位置 {common} 至 {to}"),
        ),
        None => (
            format!(
                "{from} came back and dropped what lay between positions {common} and {to}; it did not count transactions"
            ),
            format!("{from} 已恢复，丢弃了位置 {common} 至 {to} 之间的内容，未统计事务数"),
        ),
    };
    if let (Some(first), Some(last)) = (first_commit, last_commit) {
        en.push_str(&format!(", committed from {first} to {last} by its clock"));
        zh.push_str(&format!("，按其时钟提交于 {first} 至 {last}"));
    }
    Text::new(en + ".", zh + "。")
}

/// The former source has not said what it had.
fn not_found(journal: &Journal, loss: &Loss, decided: bool) -> Text {
    let from = &journal.from;
    let (mut en, mut zh) = match loss.at_most_millis {
        Some(most) => {
            let most = seconds(most);
            (
                format!(
                    "Not more than what {from} acknowledged within {most}: that was the exposure when it was decided, by the target's \
                     last report."
                ),
                format!("不超过 {from} 在 {most} 内确认的写入：这是决定时按目标站点最近报告得出的风险上限。"),
            )
        }
        None if decided => (
            "Nobody could tell how much, and it was consented to.".to_owned(),
            "当时无法得知丢失多少，已经批准接受。".to_owned(),
        ),
        None => (
            "The journal does not say what could be lost when it was decided.".to_owned(),
            "日志没有记载决定时可能丢失多少。".to_owned(),
        ),
    };
    if let (Some(missing), Some(source)) = (loss.missing_at_least, &loss.source) {
        let age = seconds_or(source.age_millis, "?");
        en.push_str(&format!(
            " At least {missing} (in the provider's unit; bytes of WAL of PostgreSQL) of what {from} had in its last report, {age} old, \
             had not been received."
        ));
        zh.push_str(&format!(
            "按 {from} 最后一次报告（{age} 前），至少有 {missing}（数据服务的单位；PostgreSQL 为 WAL 字节）未被接收。"
        ));
    }
    if journal.over && of(journal, Step::Protected).is_some() {
        en.push_str(&format!(" {from} came back and follows again, and did not say what it dropped."));
        zh.push_str(&format!("{from} 已恢复并重新跟随，但没有说明丢弃了什么。"));
    } else {
        en.push_str(&format!(" How much exactly is unknown until {from} comes back."));
        zh.push_str(&format!("确切数量须待 {from} 恢复后才能得知。"));
    }
    Text::new(en, zh)
}
