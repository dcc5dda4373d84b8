//! What it means that was seen of a site. Pure.

use super::check::Check;
use super::kinds;
use super::seen::{ClockSeen, RightSeen, Seen, SiteSeen, WorkloadSeen};
use serde_json::Value;
use tandem_crds::DataCentre;
use tandem_crds::manifests::RuleSet;
use tandem_crds::status::READY;

/// The oldest server that Tandem runs on, and the newest that it was tried on.
const OLDEST: u32 = 20;
const NEWEST: u32 = 35;
/// From how many seconds on a clock is worth a word, and from how many on certificates and tokens begin to fail.
const SKEW_SEEN: f64 = 2.0;
const SKEW_MOST: f64 = 60.0;
/// Conditions of a data centre that are alarms.
const ALARMS: [&str; 3] = ["ArbiterHealthy", "Protected", "Audited"];

/// What could not be seen, and why.
fn unseen(name: &'static str, place: &str, why: &str) -> Check {
    Check::skip(name, place, format!("not seen: {why}"), format!("无法查看：{why}"))
}

/// Every check of one site.
#[must_use]
pub fn site(seen: &SiteSeen) -> Vec<Check> {
    let mut checks = vec![server(seen)];
    if seen.server.is_err() {
        // What else is not seen has one cause, and is told once.
        return checks;
    }
    checks.push(clock(seen));
    checks.extend(kinds(seen));
    checks.push(rights(&seen.context, "rights-of-operator", "operator", &seen.programs));
    checks.push(rights(&seen.context, "rights-of-api", "api", &seen.programs));
    checks.push(rights(&seen.context, "rights-of-yours", "you", &seen.own));
    checks.extend(programs(seen));
    checks.extend(centre(seen));
    checks.push(webhooks(seen));
    checks
}

fn server(seen: &SiteSeen) -> Check {
    let (name, place) = ("api-server", seen.context.as_str());
    let server = match &seen.server {
        Err(why) => {
            return Check::fail(name, place, format!("does not answer: {why}"), format!("无应答：{why}")).mend(
                "bring the API server back, or mend the kubeconfig (--kubeconfig, --context); nothing else of this site was seen",
                "恢复 API server，或修正 kubeconfig（--kubeconfig、--context）；该站点的其余各项均未检查",
            );
        }
        Ok(server) => server,
    };
    let version = &server.version;
    match server.minor {
        None => Check::skip(
            name,
            place,
            format!("its version is not understood: {version}"),
            format!("无法识别版本：{version}"),
        ),
        Some(minor) if minor < OLDEST => {
            Check::fail(name, place, format!("{version} is too old"), format!("{version} 版本过旧")).mend(
                format!("Tandem runs on Kubernetes 1.{OLDEST} and later"),
                format!("Tandem 要求 Kubernetes 1.{OLDEST} 及以上"),
            )
        }
        Some(minor) if minor > NEWEST => Check::warn(
            name,
            place,
            format!("{version} is newer than any that this release was tried on (1.{NEWEST})"),
            format!("{version} 新于本版本验证过的最新版本（1.{NEWEST}）"),
        )
        .mend("look for a newer release of Tandem", "查看是否有更新的 Tandem 版本"),
        Some(_) => Check::ok(name, place, version.clone(), version.clone()),
    }
}

/// By how many seconds a clock is off at least, whatever the way took; positive where it is ahead of the one here.
fn skew(clock: &ClockSeen) -> f64 {
    let seconds = |later: jiff::Timestamp, earlier: jiff::Timestamp| later.duration_since(earlier).as_secs_f64();
    // What is said in whole seconds was up to a second later.
    let (ahead, behind) = (seconds(clock.said, clock.received), seconds(clock.sent, clock.said) - 1.0);
    if ahead > 0.0 {
        ahead
    } else if behind > 0.0 {
        -behind
    } else {
        0.0
    }
}

fn clock(seen: &SiteSeen) -> Check {
    let (name, place) = ("clock", seen.context.as_str());
    let off = match &seen.clock {
        Err(why) => return unseen(name, place, why),
        Ok(clock) => skew(clock),
    };
    let said = (
        format!("the API server's clock is {off:+.0} s from the one here"),
        format!("API server 与本机时钟相差 {off:+.0} 秒"),
    );
    let mend = (
        "set both by NTP (chrony); failover does not go by it, but certificates, tokens and what people read do",
        "以 NTP（chrony）校准；切换不依赖墙上时钟，但证书、令牌与显示的时间依赖它",
    );
    match off.abs() {
        off if off >= SKEW_MOST => Check::fail(name, place, said.0, said.1).mend(mend.0, mend.1),
        off if off >= SKEW_SEEN => Check::warn(name, place, said.0, said.1).mend(mend.0, mend.1),
        _ => Check::ok(name, place, "as the one here, to 2 s", "与本机一致（2 秒以内）"),
    }
}

/// A schema as it is compared: without what only servers of one age keep.
fn schema(definition: &Value, rules: bool) -> Vec<Value> {
    fn without_rules(value: &mut Value) {
        match value {
            Value::Object(map) => {
                map.remove("x-kubernetes-validations");
                map.values_mut().for_each(without_rules);
            }
            Value::Array(items) => items.iter_mut().for_each(without_rules),
            _ => {}
        }
    }
    let versions = definition.pointer("/spec/versions").and_then(Value::as_array);
    let of = |version: &Value| {
        let mut schema = version.pointer("/schema/openAPIV3Schema").cloned().unwrap_or_default();
        if !rules {
            without_rules(&mut schema);
        }
        schema
    };
    versions.into_iter().flatten().map(of).collect()
}

/// The resource types: all there, established, of the set that fits the server, as this release has them.
fn kinds(seen: &SiteSeen) -> Vec<Check> {
    let place = seen.context.as_str();
    let found = match &seen.definitions {
        Err(why) => return vec![unseen("resource-types", place, why)],
        Ok(found) => found,
    };
    let (mut absent, mut pending, mut other, mut set) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let wanted_set = seen.server.as_ref().ok().and_then(|server| server.minor).map(RuleSet::for_server);
    for wanted in kinds::wanted() {
        let name = wanted.name.clone();
        let Some(definition) = found.get(&name).and_then(Option::as_ref) else {
            absent.push(name);
            continue;
        };
        let conditions = definition.status.iter().flat_map(|status| status.conditions.iter().flatten());
        if !conditions.into_iter().any(|condition| condition.type_ == "Established" && condition.status == "True") {
            pending.push(name.clone());
        }
        let (wanted, definition) = (&wanted.definition, serde_json::to_value(definition).unwrap_or_default());
        if schema(wanted, false) != schema(&definition, false) {
            other.push(name);
        } else {
            let has_rules = schema(&definition, true) == schema(wanted, true);
            let needs = wanted_set.map(|set| set == RuleSet::Cel);
            if needs.is_some_and(|needs| needs != has_rules) {
                set.push(name);
            }
        }
    }
    let mend = (
        "helm upgrade the chart of this release at this site (crds.enabled: true)",
        "在该站点以本版本 chart 执行 helm upgrade（crds.enabled: true）",
    );
    let mut checks = Vec::new();
    let mut fail = |names: &[String], en: &str, zh: &str| {
        if !names.is_empty() {
            let names = names.join(", ");
            let check = Check::fail("resource-types", place, format!("{en}: {names}"), format!("{zh}：{names}"));
            checks.push(check.mend(mend.0, mend.1));
        }
    };
    fail(&absent, "not there", "缺失");
    fail(&pending, "there, and not established", "已安装但尚未就绪");
    fail(&other, "not as this release of tandem has them", "与本版本 tandem 不一致");
    fail(
        &set,
        "of the set for servers of another age (with or without CEL)",
        "与服务器版本不匹配的一套（含或不含 CEL）",
    );
    if checks.is_empty() {
        checks.push(Check::ok("resource-types", place, "all there, as this release has them", "齐全，且与本版本一致"));
    }
    checks
}

fn rights(place: &str, name: &'static str, who: &str, seen: &Seen<Vec<RightSeen>>) -> Check {
    let found = match seen {
        Err(why) => return unseen(name, place, why),
        Ok(found) => found,
    };
    let of_who: Vec<&RightSeen> = found.iter().filter(|right| right.who == who).collect();
    let missing: Vec<&str> = of_who.iter().filter(|right| !right.allowed).map(|right| right.what.as_str()).collect();
    if of_who.is_empty() {
        return unseen(name, place, "nothing was asked");
    }
    if missing.is_empty() {
        let count = of_who.len();
        return Check::ok(name, place, format!("{count} of {count} allowed"), format!("{count} 项权限齐全"));
    }
    let few = missing.iter().take(5).copied().collect::<Vec<_>>().join(", ");
    let more = if missing.len() > 5 { ", …" } else { "" };
    let said = (
        format!("may not ({} of {}): {few}{more}", missing.len(), of_who.len()),
        format!("缺少权限（{} / {}）：{few}{more}", missing.len(), of_who.len()),
    );
    if who == "you" {
        return Check::warn(name, place, said.0, said.1).mend(
            "some commands will be refused; tandem:platform-operator is the role for them (people.platformOperators of the chart)",
            "部分命令将被拒绝；所需角色为 tandem:platform-operator（chart 的 people.platformOperators）",
        );
    }
    Check::fail(name, place, said.0, said.1).mend(
        format!("helm upgrade the chart of this release; or put ClusterRole and ClusterRoleBinding tandem:{who} back"),
        format!("以本版本 chart 执行 helm upgrade，或恢复 ClusterRole 与 ClusterRoleBinding tandem:{who}"),
    )
}

fn programs(seen: &SiteSeen) -> Vec<Check> {
    let place = seen.context.as_str();
    let found = match &seen.workloads {
        Err(why) => return vec![unseen("programs", place, why)],
        Ok(found) if found.is_empty() => {
            return vec![unseen(
                "programs",
                place,
                "none of the chart's are in this namespace (--namespace); they may run otherwise",
            )];
        }
        Ok(found) => found,
    };
    let mut checks: Vec<Check> = found.iter().map(|program| ready(place, program)).collect();
    let (mut absent, mut unknown, mut named) = (Vec::new(), Vec::new(), 0);
    let things = found.iter().flat_map(|program| {
        let secrets = program.secrets.iter().map(|(name, seen)| (format!("Secret {name}"), seen));
        secrets.chain(program.priority.iter().map(|(name, seen)| (format!("PriorityClass {name}"), seen)))
    });
    for (name, seen) in things {
        named += 1;
        match seen {
            Ok(true) => {}
            Ok(false) if absent.contains(&name) => {}
            Ok(false) => absent.push(name),
            Err(why) => unknown.push(format!("{name}: {why}")),
        }
    }
    if !absent.is_empty() {
        let names = absent.join(", ");
        checks.push(
            Check::fail("what-pods-need", place, format!("not there: {names}"), format!("缺失：{names}")).mend(
                "make them before the next restart (charts/tandem/README.md, step 2)",
                "在下次重启之前创建（charts/tandem/README.md 第 2 步）",
            ),
        );
    }
    if let Some(first) = unknown.first() {
        checks.push(unseen("what-pods-need", place, first));
    }
    if absent.is_empty() && unknown.is_empty() && named > 0 {
        checks.push(Check::ok(
            "what-pods-need",
            place,
            "Secrets and PriorityClass are there",
            "Secret 与 PriorityClass 均存在",
        ));
    }
    checks
}

fn ready(place: &str, program: &WorkloadSeen) -> Check {
    let WorkloadSeen { name, version, wanted, ready, updated, .. } = program;
    let said = (
        format!("{name} {version}: {ready} of {wanted} ready, {updated} of the newest"),
        format!("{name} {version}：{ready} / {wanted} 就绪，{updated} 个为最新"),
    );
    let mend = (
        format!("kubectl describe and logs of its pods; kubectl rollout status of {name} says what it waits for"),
        format!("查看其 Pod 的 describe 与 logs；kubectl rollout status {name}"),
    );
    if *wanted > 0 && *ready == 0 {
        return Check::fail("programs", place, said.0, said.1).mend(mend.0, mend.1);
    }
    if ready < wanted || updated < wanted {
        return Check::warn("programs", place, said.0, said.1).mend(mend.0, mend.1);
    }
    Check::ok("programs", place, said.0, said.1)
}

fn centre(seen: &SiteSeen) -> Vec<Check> {
    let place = seen.context.as_str();
    let found = match &seen.centres {
        Err(why) => return vec![unseen("data-centres", place, why)],
        Ok(found) => found,
    };
    if found.is_empty() {
        let check = Check::fail("data-centres", place, "there is no DataCentre", "没有 DataCentre");
        return vec![check.mend(
            "apply one for each site at the authority (charts/tandem/README.md, step 5)",
            "在主控站点为每个站点创建（charts/tandem/README.md 第 5 步）",
        )];
    }
    let mut checks: Vec<Check> = found.iter().flat_map(|centre| conditions(place, centre)).collect();
    if checks.is_empty() {
        checks.push(Check::ok("data-centres", place, "no condition is an alarm", "无告警状况"));
    }
    checks
}

fn conditions(place: &str, centre: &DataCentre) -> Vec<Check> {
    let name = centre.metadata.name.clone().unwrap_or_default();
    let Some(status) = &centre.status else {
        let check = Check::warn("data-centres", place, format!("{name} has no status yet"), format!("{name} 尚无状态"));
        return vec![check.mend("is an operator running at this site?", "该站点的 operator 是否在运行？")];
    };
    let mut checks = Vec::new();
    for condition in &status.conditions {
        let (type_, alarm) = (condition.type_.as_str(), condition.status == "False");
        if !alarm || !(type_ == READY || ALARMS.contains(&type_)) {
            continue;
        }
        let said = format!("{name} {type_}: {}: {}", condition.reason, condition.message);
        let check = if type_ == READY {
            Check::fail("data-centres", place, said.clone(), said)
        } else {
            Check::warn("data-centres", place, said.clone(), said)
        };
        checks.push(check.mend(
            "docs/arbiter.md and docs/failover.md list the reasons",
            "原因见 docs/arbiter.md 与 docs/failover.md",
        ));
    }
    checks
}

fn webhooks(seen: &SiteSeen) -> Check {
    let (name, place) = ("webhooks", seen.context.as_str());
    let found = match &seen.webhooks {
        Err(why) => return unseen(name, place, why),
        Ok(found) => found,
    };
    let refuses: Vec<&str> = found.iter().filter(|hook| hook.refuses).map(|hook| hook.name.as_str()).collect();
    if refuses.is_empty() {
        return Check::ok(name, place, "none that could stop Tandem's writes", "没有会阻断 Tandem 写入的 webhook");
    }
    let names = refuses.join(", ");
    Check::warn(
        name,
        place,
        format!("stand before Tandem's kinds and refuse when they are away: {names}"),
        format!("会拦截 Tandem 资源，不可用时将拒绝写入：{names}"),
    )
    .mend(
        "leave tandem.dev out of their rules, or have them ignore failures: what a failover writes must not wait for them",
        "在其规则中排除 tandem.dev，或设为失败时忽略：切换的写入不应依赖它们",
    )
}

/// What sites have to agree on.
#[must_use]
pub fn between(sites: &[SiteSeen]) -> Check {
    let (name, place) = ("versions", "sites");
    let mut found: Vec<(&str, &str, &str)> = Vec::new();
    for site in sites {
        for program in site.workloads.iter().flatten().filter(|program| !program.version.is_empty()) {
            found.push((&site.context, &program.name, &program.version));
        }
    }
    let mut places: Vec<&str> = found.iter().map(|(place, ..)| *place).collect();
    places.dedup();
    if places.len() < 2 {
        return unseen(name, place, "the programs of two sites are needed: give --context twice");
    }
    let minor = |version: &str| -> Option<(u64, u64)> {
        let mut parts = version.split('.').map(|part| part.parse().ok());
        Some((parts.next()??, parts.next()??))
    };
    let all: Vec<String> = found.iter().map(|(place, name, version)| format!("{place}/{name} {version}")).collect();
    let all = all.join(", ");
    let Some(numbers) = found.iter().map(|(_, _, version)| minor(version)).collect::<Option<Vec<_>>>() else {
        return unseen(name, place, &format!("not all versions are understood: {all}"));
    };
    let (first, last) = (numbers.iter().min().copied(), numbers.iter().max().copied());
    match (first, last) {
        (Some(first), Some(last)) if first == last => Check::ok(name, place, all.clone(), all),
        (Some((a, x)), Some((b, y))) if a == b && y - x == 1 => Check::warn(name, place, all.clone(), all)
            .mend("one minor release apart: end the upgrade", "相差一个次版本：请完成升级"),
        _ => Check::fail(name, place, all.clone(), all).mend(
            "sites may be one minor release apart and no more: upgrade the older one, release by release",
            "两站点最多相差一个次版本：请逐版本升级较旧的站点",
        ),
    }
}
