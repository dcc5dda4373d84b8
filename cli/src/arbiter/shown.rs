//! The arbiter's state for people.

use super::status::{FindingRow, Report};
use crate::failover::table;
use crate::language::Lang;

/// The whole report.
pub(super) fn report(report: &Report, lang: Lang) -> String {
    let mut text = head(report, lang);
    text.push('\n');
    text.push_str(&members(report, lang));
    if !report.replicas.is_empty() {
        text.push('\n');
        text.push_str(&replicas(report, lang));
    }
    text.push('\n');
    text.push_str(&findings(&report.findings, lang));
    text
}

fn head(report: &Report, lang: Lang) -> String {
    let unknown = || lang.say("not known", "未知").to_owned();
    let restore = match (&report.restore, lang) {
        (None, Lang::En) => "never restored".to_owned(),
        (None, Lang::Zh) => "从未恢复".to_owned(),
        (Some(phase), _) => format!("{phase:?}"),
    };
    let mut lines = vec![
        (lang.say("cluster", "集群"), report.cluster.clone().unwrap_or_else(unknown)),
        (
            lang.say("generation", "代次"),
            report.generation.map_or_else(unknown, |generation| format!("{generation} ({restore})")),
        ),
        (lang.say("revision", "修订"), report.revision.map_or_else(unknown, |revision| revision.to_string())),
        (
            lang.say("groups", "组"),
            format!("{}, {} {}", report.groups, lang.say("not confirmed:", "未确认："), report.unconfirmed.len()),
        ),
    ];
    if let Some(word) = &report.word {
        lines.push((lang.say("to be accepted by sites", "供站点接受"), word.clone()));
    }
    lines.into_iter().map(|(name, value)| format!("{name}: {value}\n")).collect()
}

fn members(report: &Report, lang: Lang) -> String {
    let mut table = table::table(lang.say(
        ["MEMBER", "ID", "ROLE", "VERSION", "DB", "QUOTA", "TERM", "INDEX", "BEHIND", "CERTIFICATE UNTIL", "ENDPOINT"],
        ["成员", "标识", "角色", "版本", "数据库", "配额", "任期", "索引", "落后", "证书有效期至", "地址"],
    ));
    for member in &report.members {
        let silent = lang.say("no answer", "无应答").to_owned();
        let role = if member.role.is_empty() { silent } else { member.role.clone() };
        let told = !member.role.is_empty();
        let number = |value: String| if told { value } else { String::new() };
        table.add_row([
            member.name.clone(),
            member.id.clone(),
            role,
            member.version.clone(),
            number(bytes(member.db_bytes)),
            number(format!("{}%", member.db_percent)),
            number(member.term.to_string()),
            number(member.index.to_string()),
            number(member.behind.to_string()),
            member.certificate_expires.map(|at| at.strftime("%Y-%m-%d").to_string()).unwrap_or_default(),
            member.endpoint.clone(),
        ]);
    }
    table::text(&table)
}

fn replicas(report: &Report, lang: Lang) -> String {
    let mut table = table::table(lang.say(
        ["SITE", "REPLICA", "HEARTBEAT", "GENERATION", "REPORTED"],
        ["站点", "副本", "心跳修订", "代次", "已上报"],
    ));
    for replica in &report.replicas {
        let reported = match replica.reported {
            None => "",
            Some(true) => lang.say("yes", "是"),
            Some(false) => lang.say("no", "否"),
        };
        table.add_row([
            replica.site.clone(),
            replica.replica.clone(),
            replica.heartbeat.to_string(),
            replica.generation.to_string(),
            reported.to_owned(),
        ]);
    }
    table::text(&table)
}

fn findings(findings: &[FindingRow], lang: Lang) -> String {
    if findings.is_empty() {
        return format!("{}\n", lang.say("Nothing is wrong.", "一切正常。"));
    }
    let mut text = String::new();
    for row in findings {
        let (message, mend) = lang.say((&row.message, &row.mend), (&row.message_zh, &row.mend_zh));
        text.push_str(&format!("{}: {message}\n  → {mend}\n", row.finding.reason()));
    }
    text
}

/// Bytes for people.
fn bytes(bytes: i64) -> String {
    let bytes = u64::try_from(bytes).unwrap_or(0);
    match bytes {
        0..1_048_576 => format!("{} KiB", bytes >> 10),
        1_048_576..10_737_418_240 => format!("{} MiB", bytes >> 20),
        _ => format!("{} GiB", bytes >> 30),
    }
}

#[cfg(test)]
mod tests {
    use super::super::status::{MemberRow, ReplicaRow, Report};
    use super::*;
    use tandem_arbiter::health::Finding;
    use tandem_arbiter::records::RestorePhase;

    fn shown(lang: Lang) -> String {
        let member = |name: &str, role: &str| MemberRow {
            id: "ab".into(),
            name: name.into(),
            endpoint: "https://192.0.2.1:2379".into(),
            role: role.into(),
            version: "3.4.23".into(),
            db_bytes: 5 << 20,
            term: 4,
            index: 812,
            ..MemberRow::default()
        };
        let lost = Finding::NoTolerance { lost: vec!["witness".into()] };
        report(
            &Report {
                cluster: Some("8e9".into()),
                generation: Some(2),
                restore: Some(RestorePhase::Confirming),
                word: Some("2:8e9:1,2,3".into()),
                revision: Some(77),
                groups: 3,
                unconfirmed: vec!["g".into()],
                members: vec![member("dc-a", "leader"), member("witness", "")],
                replicas: vec![ReplicaRow {
                    site: "dc-a".into(),
                    replica: "operator-0".into(),
                    heartbeat: 70,
                    generation: 2,
                    reported: Some(true),
                }],
                findings: vec![lost.into(), Finding::Unconfirmed { groups: 1 }.into()],
                unread: None,
            },
            lang,
        )
    }

    #[test]
    fn a_person_reads_what_is_wrong_and_what_to_do() {
        let text = shown(Lang::En);
        for part in [
            "generation: 2 (Confirming)",
            "2:8e9:1,2,3",
            "no answer",
            "5 MiB",
            "no tolerance left",
            "tandem arbiter confirm --all",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        let text = shown(Lang::Zh);
        for part in ["代次: 2", "无应答", "无法再承受", "已上报"] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
}
