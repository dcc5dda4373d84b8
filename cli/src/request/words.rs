//! Words that several texts have in common. Pure.

use crate::language::Lang;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use tandem_crds::{DecisionOutcome, DecisionRole, MemberRole, Purpose, RequestPhase, RequestType, SitePhase};

/// Others' words on one line, and with nothing in them that a terminal obeys or that turns the order of what is read: who
/// decides must see what they decide on.
#[must_use]
pub(super) fn clean(text: &str) -> String {
    let turns =
        |c: char| matches!(c, '\u{200e}' | '\u{200f}' | '\u{061c}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.trim_end()
        .chars()
        .map(|c| match c {
            '\n' | '\t' | '\r' | '\u{2028}' | '\u{2029}' => ' ',
            c if c.is_control() || turns(c) => '\u{fffd}',
            c => c,
        })
        .collect()
}

pub(super) fn kind(kind: RequestType, lang: Lang) -> &'static str {
    lang.say(
        kind.as_str(),
        match kind {
            RequestType::Create => "新建",
            RequestType::Resize => "调整配额",
            RequestType::Extend => "延期",
            RequestType::Delete => "删除",
        },
    )
}

pub(super) fn phase(phase: RequestPhase, lang: Lang) -> &'static str {
    lang.say(
        phase.as_str(),
        match phase {
            RequestPhase::Pending => "待审批",
            RequestPhase::Approved => "已批准",
            RequestPhase::Rejected => "已驳回",
            RequestPhase::Withdrawn => "已撤回",
            RequestPhase::Provisioning => "开通中",
            RequestPhase::Provisioned => "已开通",
            RequestPhase::PartiallyProvisioned => "部分开通",
        },
    )
}

pub(super) fn site_phase(phase: SitePhase, lang: Lang) -> &'static str {
    match phase {
        SitePhase::Waiting => lang.say("Waiting", "等待"),
        SitePhase::Provisioning => lang.say("Provisioning", "开通中"),
        SitePhase::Provisioned => lang.say("Provisioned", "已开通"),
        SitePhase::Failed => lang.say("Failed", "失败"),
    }
}

pub(super) fn role(role: DecisionRole, lang: Lang) -> &'static str {
    lang.say(
        role.as_str(),
        match role {
            DecisionRole::Platform => "系统管理员",
            DecisionRole::Security => "安全管理员",
        },
    )
}

/// What was decided, in the past.
pub(super) fn outcome(outcome: DecisionOutcome, lang: Lang) -> &'static str {
    match outcome {
        DecisionOutcome::Approve => lang.say("approved", "批准"),
        DecisionOutcome::Reject => lang.say("rejected", "驳回"),
    }
}

pub(super) fn purpose(purpose: Purpose, lang: Lang) -> &'static str {
    match purpose {
        Purpose::Production => lang.say("Production", "生产"),
        Purpose::Test => lang.say("Test", "测试"),
        Purpose::Development => lang.say("Development", "开发"),
        Purpose::Training => lang.say("Training", "培训"),
    }
}

pub(super) fn member_role(role: MemberRole, lang: Lang) -> &'static str {
    match role {
        MemberRole::Administrator => lang.say("Administrator", "管理员"),
        MemberRole::Viewer => lang.say("Viewer", "查看员"),
    }
}

/// What is said in the language, where it is said in it.
pub(super) fn message(english: &str, chinese: &str, lang: Lang) -> String {
    clean(if lang == Lang::Zh && !chinese.is_empty() { chinese } else { english })
}

/// A time for people, in UTC.
pub(super) fn minute(time: &Time) -> String {
    time.0.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

/// A time at the front of a line.
pub(super) fn second(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn others_words_do_nothing_to_a_terminal() {
        assert_eq!(clean("winter season, 卫健委 é"), "winter season, 卫健委 é");
        assert_eq!(clean("one\ntwo\tthree\r\n"), "one two three");
        assert_eq!(clean("\u{1b}[2Japproved\u{7}\u{202e}x\u{9b}"), "�[2Japproved��x�");
    }
}
