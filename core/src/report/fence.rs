//! How the source was fenced, and how that is known.

use super::document::{Fence, FenceState};
use super::words::{seconds, token};
use crate::failover::{ExecutionKind, Journal, Step};
use crate::policy::Text;

/// How the source was fenced, by a journal that stands at this revision.
pub(super) fn fence(journal: &Journal, revision: i64) -> Fence {
    let of = |step: Step| journal.evidence.iter().find(|evidence| evidence.step == step);
    let Some(proof) = journal.fence_proof() else {
        return match of(Step::EpochCommitted) {
            Some(_) => none(
                FenceState::NotProven,
                Text::new(
                    "The epoch was committed, and the journal has no proof of a fence. Have this looked at.",
                    "新纪元已提交，但日志中没有隔离证明，请核查。",
                ),
            ),
            None => none(
                FenceState::NotNeeded,
                Text::new("Nothing was promoted, so that nothing had to be fenced.", "没有提升任何数据，无需隔离。"),
            ),
        };
    };
    let facts = &proof.facts;
    // What was put last is known by the journal's own revision.
    let revision = facts.ended_revision.or(journal.is_traced().then_some(revision));
    let base = Fence { revision, at: proof.ended, token: facts.token, ..none(FenceState::Proven, Text::default()) };
    if journal.kind == ExecutionKind::Failover {
        let silence = facts.silence;
        return Fence {
            way: "silence".to_owned(),
            watched_revision: silence.map(|silence| silence.revision),
            unmoved_millis: silence.map(|silence| silence.unmoved_millis),
            take_over_millis: silence.map(|silence| silence.take_over_millis),
            fence_after_millis: silence.map(|silence| silence.fence_after_millis),
            because: silent(journal, revision, &proof.note),
            ..base
        };
    }
    let seen = of(Step::EpochCommitted).and_then(|evidence| evidence.facts.release_seen);
    Fence { way: "release".to_owned(), because: released(journal, revision, facts.token.as_ref(), seen), ..base }
}

/// What is said of a group that did not begin.
pub(super) fn not_begun() -> Fence {
    none(FenceState::NotNeeded, Text::new("It did not begin.", "未开始。"))
}

fn none(state: FenceState, because: Text) -> Fence {
    Fence {
        state,
        way: String::new(),
        revision: None,
        at: None,
        token: None,
        watched_revision: None,
        unmoved_millis: None,
        take_over_millis: None,
        fence_after_millis: None,
        because,
    }
}

/// Which transaction, where that is known.
fn which(revision: Option<i64>) -> (String, String) {
    revision.map_or_else(
        || (", of which the journal does not have the revision,".to_owned(), "（日志未记载修订）".to_owned()),
        |revision| (format!(", revision {revision},"), format!("（修订 {revision}）")),
    )
}

fn silent(journal: &Journal, revision: Option<i64>, note: &str) -> Text {
    let Journal { from, to, .. } = journal;
    let (en, zh) = which(revision);
    let silence = journal.fence_proof().and_then(|proof| proof.facts.silence);
    let Some(silence) = silence else {
        return Text::new(
            format!(
                "The take-over{en} compared that {from} was silent; the journal has no figures of it, only: {note}"
            ),
            format!("接管事务{zh}比较过 {from} 的静默；日志没有其数值，仅有：{note}"),
        );
    };
    let (watched, unmoved) = (silence.revision, seconds(silence.unmoved_millis));
    let (take_over, fence) = (seconds(silence.take_over_millis), seconds(silence.fence_after_millis));
    Text::new(
        format!(
            "The heartbeats of {from} had not moved since revision {watched} for {unmoved} on the boot clock of {to} (T is \
             {take_over}); a site that is not answered fences itself after {fence}. The take-over{en} compared that none had \
             moved."
        ),
        format!(
            "{from} 的心跳自修订 {watched} 起，按 {to} 的启动时钟已静止 {unmoved}（T 为 {take_over}）；得不到应答的站点在 {fence} \
             后自我隔离。接管事务{zh}比较过心跳没有变动。"
        ),
    )
}

fn released(
    journal: &Journal,
    revision: Option<i64>,
    fence: Option<&crate::failover::Token>,
    seen: Option<bool>,
) -> Text {
    let Journal { from, to, epoch, .. } = journal;
    let (which_en, which_zh) = which(revision);
    let mut text = match fence.map(token) {
        Some(token) => Text::new(
            format!(
                "The provider of {from} answered the fence under token {token}. Then {from} let go: after the release{which_en} {from} holds nothing under epoch {epoch} any more."
            ),
            format!(
                "{from} 的数据服务已应答令牌 {token} 下的隔离，随后 {from} 释放{which_zh}，此后 {from} 在纪元 {epoch} \
                 下不再持有该组。"
            ),
        ),
        None => Text::new(
            format!(
                "The gate of {from} was closed and {from} let go: after the release{which_en} {from} holds nothing under epoch \
                 {epoch} any more. No data service was asked to fence, or the journal does not say so."
            ),
            format!(
                "{from} 的门已关闭，随后 {from} 释放{which_zh}，此后 {from} 在纪元 {epoch} \
                 下不再持有该组。没有要求数据服务隔离，或日志未记载。"
            ),
        ),
    };
    let (en, zh) = match seen {
        Some(true) => (
            format!(" {to} claimed it once every replica of {from} had seen the release."),
            format!("{from} 的所有副本看到释放之后，{to} 才认领。"),
        ),
        Some(false) => (
            format!(" {to} claimed it once T had passed since it saw the release."),
            format!("{to} 看到释放并经过 T 之后才认领。"),
        ),
        None => return text,
    };
    text.en.push_str(&en);
    text.zh.push_str(&zh);
    text
}
