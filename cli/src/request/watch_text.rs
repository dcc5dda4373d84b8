//! A request under way, for people: lines of what changes. Pure.

use super::item::Item;
use super::text::decided;
use super::words::{clean, kind, message, phase, second, site_phase};
use crate::language::Lang;
use jiff::Timestamp;
use std::collections::BTreeMap;
use tandem_crds::EnvironmentRequestStatus;

/// What changed between two looks, one line each, with the time at the front. The first look tells of all that stands.
#[must_use]
pub fn transitions(before: Option<&Item>, after: &Item, now: Timestamp, lang: Lang) -> Vec<String> {
    let (time, name) = (second(now), clean(&after.name));
    let mut lines = Vec::new();
    if before.is_none() {
        let (asks, environment) = (kind(after.spec.kind, lang), clean(&after.spec.environment));
        let (by, reason) = (clean(&after.spec.requested_by.name), clean(&after.spec.reason));
        lines.push(lang.say(
            format!("{time} {name} {asks} {environment}, asked by {by}: {reason}"),
            format!("{time} {name} {asks} {environment}，申请人 {by}：{reason}"),
        ));
    }
    let told = before.map_or(0, |before| before.spec.decisions.len());
    for decision in after.spec.decisions.iter().skip(told) {
        lines.push(format!("{time} {name} {}", decided(decision, &after.digest, lang)));
    }
    let empty = EnvironmentRequestStatus::default();
    let status = after.status.as_ref().unwrap_or(&empty);
    let old = before.map(|before| before.status.as_ref().unwrap_or(&empty));
    if old.map(|old| (old.phase, &old.message)) != Some((status.phase, &status.message)) {
        let said = message(&status.message, &status.message_zh, lang);
        lines.push(format!("{time} {name} {}{}", phase(status.phase, lang), behind(&said, lang)));
    }
    let stood: BTreeMap<&str, _> = old
        .iter()
        .flat_map(|old| &old.provisioning)
        .map(|site| (site.site.as_str(), (site.phase, &site.message)))
        .collect();
    for site in &status.provisioning {
        if stood.get(site.site.as_str()) != Some(&(site.phase, &site.message)) {
            let said = behind(&clean(&site.message), lang);
            lines.push(format!("{time} {name} [{}] {}{said}", clean(&site.site), site_phase(site.phase, lang)));
        }
    }
    lines
}

fn behind(said: &str, lang: Lang) -> String {
    if said.is_empty() { String::new() } else { format!("{}{said}", lang.say(": ", "：")) }
}

/// That the API is silent, once.
#[must_use]
pub(super) fn silent(why: &str, lang: Lang) -> String {
    lang.say(
        format!("{why}; trying again. The request goes on by itself, and the other site's API shows it as well"),
        format!("{why}；正在重试。申请仍在继续处理，也可通过另一站点的 API 查看"),
    )
}
