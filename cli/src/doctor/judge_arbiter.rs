//! What it means that was seen of the arbiter, and of gates. Pure.

use super::check::Check;
use super::seen::{ArbiterView, Seen, Shown};
use jiff::Timestamp;
use std::time::Duration;
use tandem_arbiter::health::{CertificateProblem, EXPIRES_SOON, Finding};

/// The longest round trip between sites, as docs/arbiter.md has it.
const TRIP_MOST: Duration = Duration::from_millis(20);

/// What has to be mended at once.
fn is_grave(finding: &Finding) -> bool {
    match finding {
        Finding::NoQuorum { .. }
        | Finding::OutOfSpace { .. }
        | Finding::Corrupt { .. }
        | Finding::CertificateExpired { .. }
        | Finding::TwoClusters { .. }
        | Finding::RestoreUnfinished
        | Finding::Unconfirmed { .. } => true,
        Finding::NoTolerance { .. }
        | Finding::NearlyFull { .. }
        | Finding::Slow { .. }
        | Finding::Lagging { .. }
        | Finding::CertificateExpires { .. }
        | Finding::Learner { .. }
        | Finding::Unprotected { .. }
        | Finding::AuditBehind { .. } => false,
    }
}

/// Every check of the arbiter.
#[must_use]
pub fn arbiter(seen: &Seen<ArbiterView>) -> Vec<Check> {
    let place = "arbiter";
    let view = match seen {
        Err(why) => {
            return vec![Check::skip(place, place, format!("not looked at: {why}"), format!("未检查：{why}"))];
        }
        Ok(view) => view,
    };
    let mut checks = Vec::new();
    for row in &view.report.findings {
        let said = |text: &str| format!("{}: {text}", row.finding.reason());
        let (en, zh) = (said(&row.message), said(&row.message_zh));
        let check =
            if is_grave(&row.finding) { Check::fail(place, place, en, zh) } else { Check::warn(place, place, en, zh) };
        checks.push(check.mend(row.mend.clone(), row.mend_zh.clone()));
    }
    if let Some(why) = &view.report.unread {
        checks.push(Check::skip(
            "arbiter-records",
            place,
            format!("what stands in it cannot be read: {why}"),
            format!("无法读取其内容：{why}"),
        ));
    }
    if checks.is_empty() {
        let members = view.report.members.len();
        checks.push(Check::ok(
            place,
            place,
            format!("{members} members, nothing is wrong"),
            format!("{members} 个成员，一切正常"),
        ));
    }
    checks.push(trips(view));
    let ends: Vec<Timestamp> = view.report.members.iter().filter_map(|member| member.certificate_expires).collect();
    // Those that end soon are findings already.
    checks.push(match ends.iter().min() {
        Some(first) if ends.len() == view.report.members.len() => Check::ok(
            "arbiter-certificates",
            place,
            format!("all members show theirs; the first ends {first}"),
            format!("各成员均出示证书；最早到期 {first}"),
        ),
        _ => Check::skip(
            "arbiter-certificates",
            place,
            format!("{} of {} members show theirs", ends.len(), view.report.members.len()),
            format!("{} 个成员中有 {} 个出示证书", view.report.members.len(), ends.len()),
        ),
    });
    checks.push(Check::skip(
        "arbiter-clocks",
        place,
        "etcd does not tell the time; look at its machines (chronyc tracking)",
        "etcd 不提供时间；请在其主机上查看（chronyc tracking）",
    ));
    checks
}

fn trips(view: &ArbiterView) -> Check {
    let (name, place) = ("arbiter-latency", "arbiter");
    let Some(longest) = view.trips.iter().map(|(_, trip)| *trip).max() else {
        return Check::skip(name, place, "no member answered", "没有成员应答");
    };
    let all: Vec<String> =
        view.trips.iter().map(|(endpoint, trip)| format!("{endpoint} {:.1} ms", trip.as_secs_f64() * 1000.0)).collect();
    let all = all.join(", ");
    if longest <= TRIP_MOST {
        return Check::ok(name, place, format!("from here: {all}"), format!("自本机：{all}"));
    }
    let most = TRIP_MOST.as_millis();
    Check::warn(name, place, format!("from here over {most} ms: {all}"), format!("自本机超过 {most} 毫秒：{all}")).mend(
        "between the three places it has to be less: measure there, and give them a shorter way",
        "三地之间须低于此值：请在各地测量并改善网络",
    )
}

/// A gate's certificate.
#[must_use]
pub fn gate((address, shown): &Shown, now: Timestamp) -> Check {
    let name = "gate-certificate";
    let mend = (
        "renew operator.tlsSecret, then kubectl rollout restart statefulset/tandem-operator",
        "更新 operator.tlsSecret，然后 kubectl rollout restart statefulset/tandem-operator",
    );
    match shown {
        Ok(good) if good.expires <= now => {
            Check::fail(name, address, format!("ended {}", good.expires), format!("已于 {} 过期", good.expires))
                .mend(mend.0, mend.1)
        }
        Err(CertificateProblem::Expired) => Check::fail(name, address, "has expired", "已过期").mend(mend.0, mend.1),
        Ok(good) if good.expires.duration_since(now) < EXPIRES_SOON => {
            Check::warn(name, address, format!("ends {}", good.expires), format!("将于 {} 过期", good.expires))
                .mend(mend.0, mend.1)
        }
        Ok(good) => Check::ok(name, address, format!("until {}", good.expires), format!("有效期至 {}", good.expires)),
        Err(CertificateProblem::Unreachable(why)) => {
            Check::skip(name, address, format!("not reached from here: {why}"), format!("自本机无法连接：{why}"))
        }
        Err(other) => Check::fail(name, address, other.to_string(), other.to_string()).mend(
            "give it a certificate with this address, of the authority of --gate-ca",
            "更换为含该地址、由 --gate-ca 签发的证书",
        ),
    }
}
