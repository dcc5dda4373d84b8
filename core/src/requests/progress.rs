//! The phase of a request, and why it is in it.

use jiff::{SignedDuration, Timestamp};
use tandem_crds::{DecisionRole, EnvironmentRequestSpec, RequestPhase, RequestType, SitePhase, SiteProvisioning, Why};

use super::outcome::Obstacle;
use super::principal::Role;
use super::standing::Standing;
use crate::failover::Language;

/// How long a site may be silent, or at work, while others are done, before that is called partial.
pub const PATIENCE: SignedDuration = SignedDuration::from_secs(120);

/// How a request stands as a whole. `sites` are all sites that have to do it, with what each says.
///
/// The clock decides about nothing but a word: whether sites that lag are called partial already.
#[must_use]
pub fn phase(
    request: &EnvironmentRequestSpec,
    standing: &Standing,
    sites: &[SiteProvisioning],
    now: Timestamp,
) -> RequestPhase {
    let Some(carried_out) = &request.carried_out else { return standing.phase() };
    if *standing != Standing::Approved {
        return standing.phase();
    }
    let done = sites.iter().filter(|site| site.phase == SitePhase::Provisioned).count();
    let failed = sites.iter().any(|site| site.phase == SitePhase::Failed);
    let late = now.duration_since(carried_out.0) > PATIENCE;
    match done {
        0 => RequestPhase::Provisioning,
        all if all == sites.len() => RequestPhase::Provisioned,
        // A deletion begins to be seen only once its grace period is over, long after it was carried out.
        _ if failed || (late && request.kind != RequestType::Delete) => RequestPhase::PartiallyProvisioned,
        _ => RequestPhase::Provisioning,
    }
}

/// Why it is in this phase, in both languages.
#[must_use]
pub fn why(phase: RequestPhase, standing: &Standing, obstacle: Option<&Obstacle>, sites: &[SiteProvisioning]) -> Why {
    if let Some(obstacle) = obstacle {
        let sentence = |language| obstacle.sentence(language);
        return told(obstacle.code(), sentence(Language::English), sentence(Language::Chinese));
    }
    match phase {
        RequestPhase::Pending | RequestPhase::Rejected | RequestPhase::Withdrawn => by_decision(phase, standing),
        RequestPhase::Approved => {
            told("Approved", "it is approved and will be carried out".into(), "申请已批准，即将办理".into())
        }
        RequestPhase::Provisioned => told("Provisioned", "every site has done it".into(), "各站点均已完成".into()),
        RequestPhase::Provisioning | RequestPhase::PartiallyProvisioned => {
            let lag: Vec<&SiteProvisioning> =
                sites.iter().filter(|site| site.phase != SitePhase::Provisioned).collect();
            let names: Vec<&str> = lag.iter().map(|site| site.site.as_str()).collect();
            let said = lag.iter().find(|site| !site.message.is_empty());
            let said = said.map(|site| format!(" ({}: {})", site.site, site.message)).unwrap_or_default();
            let english = if names.is_empty() {
                "the sites have not reported yet".to_owned()
            } else {
                format!("not done yet at {}{said}", names.join(", "))
            };
            let chinese = if names.is_empty() {
                "各站点尚未上报".to_owned()
            } else {
                format!("以下站点尚未完成：{}{said}", names.join("、"))
            };
            told(phase.as_str(), english, chinese)
        }
    }
}

fn by_decision(phase: RequestPhase, standing: &Standing) -> Why {
    match standing {
        Standing::Pending { lacking } => {
            let english: Vec<&str> = lacking.iter().map(|role| role.as_str()).collect();
            let chinese: Vec<&str> = lacking.iter().map(|role: &DecisionRole| Role::from(*role).chinese()).collect();
            told(
                "DecisionLacking",
                format!("it waits for a decision as {}", english.join(" and as ")),
                format!("等待{}审批", chinese.join("、")),
            )
        }
        Standing::Rejected { by, role, note } => {
            let note = if note.is_empty() { String::new() } else { format!(": {note}") };
            told(
                "Rejected",
                format!("{by} refused it as {}{note}", role.as_str()),
                format!("{by} 以{}身份驳回{}", Role::from(*role).chinese(), note.replacen(": ", "：", 1)),
            )
        }
        Standing::Withdrawn { by } => told("Withdrawn", format!("{by} took it back"), format!("{by} 已撤回申请")),
        Standing::Undone { by } => told("Undone", format!("{by} called the deletion off"), format!("{by} 已撤销删除")),
        Standing::Approved => told(phase.as_str(), "it is approved".to_owned(), "申请已批准".to_owned()),
    }
}

fn told(reason: &str, message: String, message_zh: String) -> Why {
    Why { reason: reason.to_owned(), message, message_zh }
}
