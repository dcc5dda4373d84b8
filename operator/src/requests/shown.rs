//! How a request stands, for people at either site.

use super::carry::{judge, wall};
use crate::context::Context;
use crate::index::SiteReport;
use jiff::SignedDuration;
use kube::ResourceExt;
use std::collections::BTreeMap;
use tandem_core::requests::{demands_security, phase, standing, why};
use tandem_core::sync::{ObjectKey, Record};
use tandem_crds::{EnvironmentRequest, EnvironmentRequestStatus, Kind, RequestType, SitePhase, SiteProvisioning};

/// Writes into the status how a request stands. It goes by the published request: what was decided at a site without authority
/// is not a decision.
pub fn show(context: &Context, object: &EnvironmentRequest, status: &mut EnvironmentRequestStatus) {
    let key = ObjectKey::cluster(Kind::EnvironmentRequest, object.name_any());
    let Some(record) = context.index.record(&key) else { return };
    let Record::Live(live) = &record.value else { return };
    if status.phase.ended() {
        // What becomes of the environment later is another request's.
        return;
    }
    let Some(request) = crate::index::typed::<EnvironmentRequest>(live) else { return };
    let grace = SignedDuration::from_secs(i64::try_from(context.config.deletion_grace_seconds).unwrap_or(i64::MAX));
    let (stands, obstacle) = context.index.with_world(|world| {
        let stands = standing(&request.spec, demands_security(&request.spec, world));
        (stands, judge(&request, world, grace, wall()).err())
    });
    let provisioning = if request.spec.carried_out.is_some() { sites(context, &request) } else { Vec::new() };
    let stage = phase(&request.spec, &stands, &provisioning, wall());
    let said = why(stage, &stands, obstacle.as_ref(), &provisioning);
    status.phase = stage;
    status.provisioning = provisioning;
    (status.reason, status.message, status.message_zh) = (said.reason, said.message, said.message_zh);
}

/// What each site says of the environment and of the applications that were asked for.
fn sites(context: &Context, request: &EnvironmentRequest) -> Vec<SiteProvisioning> {
    let environment = ObjectKey::cluster(Kind::Environment, &request.spec.environment);
    let application = |name: &String| ObjectKey {
        kind: Kind::Application,
        namespace: Some(request.spec.environment.clone()),
        name: name.clone(),
    };
    let asked = request.spec.applications.iter().map(|asked| application(&asked.name));
    let parts: Vec<Part> = std::iter::once(environment).chain(asked).map(|key| Part::of(context, &key)).collect();
    let deletes = request.spec.kind == RequestType::Delete;
    context.config.sites.iter().map(|site| at_site(site, &parts, deletes)).collect()
}

/// One object that a request made or changed: the revision and generation at which it is published, if it is, and what the
/// sites say of it.
struct Part {
    live: Option<(i64, i64)>,
    reports: BTreeMap<String, SiteReport>,
}

impl Part {
    fn of(context: &Context, key: &ObjectKey) -> Self {
        let live = context.index.record(key).and_then(|record| match &record.value {
            Record::Live(live) => Some((record.revision, live.origin.generation)),
            Record::Tombstone(_) => None,
        });
        Self { live, reports: context.index.reports(key) }
    }
}

fn at_site(site: &str, parts: &[Part], deletes: bool) -> SiteProvisioning {
    let generation = parts.first().and_then(|part| part.live).map_or(0, |(_, generation)| generation);
    let mut shown = SiteProvisioning { site: site.to_owned(), generation, ..SiteProvisioning::default() };
    if deletes {
        let gone = parts.iter().all(|part| part.live.is_none() && !part.reports.contains_key(site));
        shown.phase = if gone { SitePhase::Provisioned } else { SitePhase::Waiting };
        return shown;
    }
    shown.phase = SitePhase::Provisioned;
    for part in parts {
        let report = part.reports.get(site);
        let told = report.zip(part.live).filter(|(report, (revision, _))| report.value.spec_revision >= *revision);
        let Some((report, _)) = told else {
            shown.phase = SitePhase::Waiting;
            shown.message.clear();
            return shown;
        };
        if !report.value.ready {
            shown.phase = SitePhase::Provisioning;
            let ready = report.value.conditions.iter().find(|condition| condition.kind == "Ready");
            shown.message = ready.map(|condition| condition.message.clone()).unwrap_or_default();
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use tandem_arbiter::records::{Condition, StatusRecord};
    use tandem_core::sync::Versioned;

    fn part(live: Option<i64>, reports: &[(&str, i64, bool)]) -> Part {
        let report = |revision: i64, ready: bool| {
            let condition = Condition {
                kind: "Ready".to_owned(),
                status: String::new(),
                reason: String::new(),
                message: "pods are not ready".to_owned(),
            };
            let detail = json!({});
            let record = StatusRecord {
                id: "i".to_owned(),
                spec_revision: revision,
                ready,
                conditions: vec![condition],
                detail,
            };
            Versioned::new(1, record)
        };
        let reports = reports.iter().map(|(site, at, ready)| ((*site).to_owned(), report(*at, *ready))).collect();
        Part { live: live.map(|revision| (revision, 3)), reports }
    }

    #[test]
    fn a_site_has_done_it_once_it_says_so_of_every_part_at_its_revision() {
        let stands = |parts: &[Part]| at_site("dc-b", parts, false);
        let done = part(Some(7), &[("dc-a", 7, true), ("dc-b", 8, true)]);
        assert_eq!((stands(&[done]).phase, stands(&[]).generation), (SitePhase::Provisioned, 0));
        let older = part(Some(9), &[("dc-b", 8, true)]);
        assert_eq!(stands(&[older]).phase, SitePhase::Waiting, "it speaks of what was before");
        let ready = || part(Some(7), &[("dc-b", 7, true)]);
        let busy = part(Some(7), &[("dc-b", 7, false)]);
        let found = stands(&[ready(), busy]);
        assert_eq!(
            (found.phase, found.message.as_str(), found.generation),
            (SitePhase::Provisioning, "pods are not ready", 3)
        );
        assert_eq!(
            stands(&[ready(), part(None, &[])]).phase,
            SitePhase::Waiting,
            "an application is not published yet"
        );
    }

    #[test]
    fn a_deletion_is_done_once_nothing_is_said_of_it_any_more() {
        assert_eq!(at_site("dc-b", &[part(Some(7), &[])], true).phase, SitePhase::Waiting);
        assert_eq!(at_site("dc-b", &[part(None, &[("dc-b", 7, true)])], true).phase, SitePhase::Waiting);
        assert_eq!(at_site("dc-b", &[part(None, &[("dc-a", 7, true)])], true).phase, SitePhase::Provisioned);
    }
}
