//! What follows for an environment from the security profile that it is under.

use serde_json::json;
use tandem_crds::{Kind, PodSecurityLevel, SecurityProfileSpec, Waiver};

use super::{list, sorted, within};
use crate::policy::bound::EnvironmentBound;
use crate::policy::rule::{Area, Rule, Text};
use crate::sync::ObjectKey;

/// The rules that hold for an environment because of the profile that it is under.
pub(in crate::policy) fn profile(
    unit: &str,
    environment: (&str, &EnvironmentBound),
    profile: (&str, &SecurityProfileSpec),
) -> Vec<Rule> {
    let mut rules = vec![under(unit, environment.0, environment.1, profile.0), default_deny()];
    rules.extend(fields(profile.0, profile.1, environment.0));
    rules.push(hardening());
    for rule in &mut rules {
        rule.controls = controls(rule, profile.1);
    }
    within(rules, unit, Some(environment.0), None)
}

/// What the profile's own fields say. Each bears the path of its field, by which its controls are found.
fn fields(name: &str, spec: &SecurityProfileSpec, environment: &str) -> Vec<Rule> {
    let key = ObjectKey::cluster(Kind::SecurityProfile, name);
    let set = |rule: Rule, field: &str| rule.from(&key, format!("spec.{field}"));
    let level = spec.mlps_level;
    let mut rules = vec![
        set(
            Rule::new(
                Area::Protection,
                "protection.level",
                ("Highest MLPS level", "最高等级"),
                Text::new(
                    format!(
                        "Systems of MLPS level {level} at most run here. One that says a higher level is refused \
                            when it is published or changed; one that says none is not looked at."
                    ),
                    format!(
                        "此处最高运行等保 {level} 级的系统。声明更高等级的应用在发布或变更时被拒绝；未声明等级的应用不作检查。"
                    ),
                ),
                json!(level),
            ),
            "mlpsLevel",
        ),
        set(egress(spec), "egress"),
        set(suffixes(spec), "hostNameSuffixes"),
        set(ingress_class(spec), "ingressClass"),
    ];
    rules.extend([set(registries(spec), "images.registries"), set(digest(spec), "images.requireDigest")]);
    rules.extend([
        set(pod_security(spec), "podSecurity"),
        set(storage_classes(spec), "storageClasses"),
        set(labels(spec), "requiredLabels"),
        set(decision(spec), "securityDecision"),
        set(waivers(spec, environment), "waivers"),
    ]);
    rules
}

fn egress(spec: &SecurityProfileSpec) -> Rule {
    // As the policy is rendered: ports sorted, each once.
    let ranges: Vec<(&str, Vec<i32>)> = spec
        .egress
        .iter()
        .map(|rule| {
            let ports: std::collections::BTreeSet<i32> = rule.ports.iter().copied().collect();
            (rule.cidr.as_str(), ports.into_iter().collect())
        })
        .collect();
    let value: Vec<_> = ranges.iter().map(|(cidr, ports)| json!({"cidr": cidr, "ports": ports})).collect();
    let says = if ranges.is_empty() {
        Text::new(
            "Pods open no connection to any address outside, beside DNS and what applications declare.",
            "除域名解析和应用声明的访问外，容器组不得连接任何外部地址。",
        )
    } else {
        let en: Vec<String> = ranges
            .iter()
            .map(|(cidr, ports)| {
                let ports = if ports.is_empty() { "any port".to_owned() } else { format!("TCP {}", list(ports).en) };
                format!("{cidr} ({ports})")
            })
            .collect();
        let zh: Vec<String> = ranges
            .iter()
            .map(|(cidr, ports)| {
                let ports =
                    if ports.is_empty() { "任意端口".to_owned() } else { format!("TCP {}", list(ports).zh) };
                format!("{cidr}（{ports}）")
            })
            .collect();
        Text::new(
            format!("Pods may connect to these addresses: {}.", en.join("; ")),
            format!("容器组可连接以下地址：{}。", zh.join("；")),
        )
    };
    Rule::new(Area::Network, "network.egress", ("Addresses outside", "对外访问"), says, json!(value))
}

fn suffixes(spec: &SecurityProfileSpec) -> Rule {
    let suffixes = &spec.host_name_suffixes;
    let names = list(suffixes);
    let says = if suffixes.is_empty() {
        Text::new("Host names may have any ending.", "域名后缀不限。")
    } else {
        Text::new(
            format!(
                "Host names of applications end in one of: {}. Others are refused when the application is \
                    published or changed.",
                names.en
            ),
            format!("应用域名须以下列后缀之一结尾：{}。不符者在发布或变更时被拒绝。", names.zh),
        )
    };
    Rule::new(Area::HostNames, "hostNames.suffixes", ("Endings of host names", "域名后缀"), says, json!(suffixes))
}

fn ingress_class(spec: &SecurityProfileSpec) -> Rule {
    let says = match &spec.ingress_class {
        Some(class) => Text::new(
            format!(
                "What the public reaches goes through the gateway of ingress class {class}: Tandem writes the \
                    Ingresses, people cannot."
            ),
            format!("对外服务一律经由 ingress 类别 {class} 的网关：Ingress 由 Tandem 生成，人员不能自行创建。"),
        ),
        None => Text::new(
            "What the public reaches goes through the cluster's default gateway: Tandem writes the Ingresses, \
                people cannot.",
            "对外服务一律经由集群默认网关：Ingress 由 Tandem 生成，人员不能自行创建。",
        ),
    };
    Rule::new(Area::HostNames, "hostNames.ingressClass", ("Gateway", "网关类别"), says, json!(spec.ingress_class))
}

fn registries(spec: &SecurityProfileSpec) -> Rule {
    let registries = &spec.images.registries;
    let names = list(registries);
    let says = if registries.is_empty() {
        Text::new("Images may come from any registry.", "镜像仓库不限。")
    } else {
        Text::new(
            format!(
                "Images of components come from: {}. Others are refused when the application is published or \
                    changed. Workloads that an application adopts are not looked at.",
                names.en
            ),
            format!("组件镜像须来自：{}。不符者在应用发布或变更时被拒绝。应用接管的既有工作负载不作检查。", names.zh),
        )
    };
    Rule::new(Area::Images, "images.registries", ("Registries", "镜像仓库"), says, json!(registries))
}

fn digest(spec: &SecurityProfileSpec) -> Rule {
    let says = if spec.images.require_digest {
        Text::new(
            "Components name their image by its digest (@sha256:…); without, the application is refused when it is \
                published or changed. Workloads that an application adopts are not looked at.",
            "组件须以摘要（@sha256:…）指定镜像，否则应用在发布或变更时被拒绝。应用接管的既有工作负载不作检查。",
        )
    } else {
        Text::new("Images may be named by a tag alone.", "镜像可仅以标签指定。")
    };
    let value = json!(spec.images.require_digest);
    Rule::new(Area::Images, "images.requireDigest", ("Digest required", "须用镜像摘要"), says, value)
}

fn pod_security(spec: &SecurityProfileSpec) -> Rule {
    let (level, zh) = match spec.pod_security {
        PodSecurityLevel::Baseline => ("Baseline", "基线（Baseline）"),
        PodSecurityLevel::Restricted => ("Restricted", "受限（Restricted）"),
    };
    let says = Text::new(
        format!(
            "Pods keep to the Pod Security level {level}. The cluster holds every pod to it from Kubernetes 1.23 \
                on; on older ones only the pods that Tandem renders keep to it."
        ),
        format!(
            "容器组须符合 Pod 安全级别{zh}。Kubernetes 1.23 起由集群对全部容器组强制执行；更低版本上仅 Tandem 生成的容器组符合。"
        ),
    );
    Rule::new(Area::Pods, "pods.podSecurity", ("Pod Security level", "Pod 安全级别"), says, json!(spec.pod_security))
}

fn storage_classes(spec: &SecurityProfileSpec) -> Rule {
    let classes = &spec.storage_classes;
    let names = list(classes);
    let (en, zh) = if classes.is_empty() {
        ("Any storage class may be claimed from.".to_owned(), "存储类别不限。".to_owned())
    } else {
        (
            format!(
                "Storage is to be claimed from: {}. Nothing holds anybody to it yet: Tandem neither makes claims \
                    nor looks at those that others make.",
                names.en
            ),
            format!("存储应取自：{}。目前没有强制措施：Tandem 不创建、也不检查存储卷申请。", names.zh),
        )
    };
    let title = ("Storage classes", "存储类别");
    let rule = Rule::new(Area::Storage, "storage.classes", title, Text::new(en, zh), json!(classes));
    if classes.is_empty() { rule } else { rule.unenforced() }
}

fn labels(spec: &SecurityProfileSpec) -> Rule {
    let keys = &spec.required_labels;
    let names = list(keys);
    let says = if keys.is_empty() {
        Text::new("Applications need no label.", "应用无须标签。")
    } else {
        Text::new(
            format!(
                "Applications bear these labels, each with a value: {}. Without, they are refused when they are \
                    published or changed.",
                names.en
            ),
            format!("应用须带有以下标签且值不为空：{}。缺少者在发布或变更时被拒绝。", names.zh),
        )
    };
    Rule::new(Area::Labels, "labels.required", ("Required labels", "必需标签"), says, json!(keys))
}

fn decision(spec: &SecurityProfileSpec) -> Rule {
    let says = if spec.security_decision {
        Text::new(
            "A request for this environment needs a platform decision and a security decision, by two people. No \
                rule approves it.",
            "该环境的申请须经平台与安全两名人员分别审批，不得按规则自动批准。",
        )
    } else {
        Text::new(
            "A request for this environment needs a platform decision; what shrinks, or grows by little while the \
                use is high, may be approved by rule.",
            "该环境的申请须经平台审批；缩减以及高使用率下的小幅扩容可按规则自动批准。",
        )
    };
    let value = json!(spec.security_decision);
    Rule::new(Area::Requests, "requests.securityDecision", ("Second decision by security", "安全复审"), says, value)
}

/// What need not be kept in this environment, and until when. Whether that is over is for the reader: the document says what is
/// set, and does not change by itself.
fn waivers(spec: &SecurityProfileSpec, environment: &str) -> Rule {
    let here: Vec<&Waiver> = spec.waivers.iter().filter(|waiver| waiver.environment == environment).collect();
    let says = if here.is_empty() {
        Text::new("No rule of the profile is waived here.", "安全配置的规则在此均未豁免。")
    } else {
        let each = |waiver: &&Waiver| {
            let (rule, until, reason) = (&waiver.rule, &waiver.until, &waiver.reason);
            let (en, zh) = match &waiver.application {
                Some(application) => {
                    (format!("{rule} by application {application}"), format!("应用 {application} 的 {rule}"))
                }
                None => (format!("{rule} by every application"), format!("全部应用的 {rule}")),
            };
            Text::new(format!("{en}, until {until} ({reason})"), format!("{zh}，至 {until}（{reason}）"))
        };
        let each: Vec<Text> = here.iter().map(each).collect();
        let joined = |of: fn(&Text) -> &str, between: &str| each.iter().map(of).collect::<Vec<_>>().join(between);
        Text::new(
            format!("These need not be kept here until their time is over: {}.", joined(|text| &text.en, "; ")),
            format!("以下规则在期限内可不遵守：{}。", joined(|text| &text.zh, "；")),
        )
    };
    Rule::new(Area::Protection, "protection.waivers", ("Waivers", "豁免"), says, json!(here))
}

const DEFAULT_DENY: &str = "network.defaultDeny";

fn under(unit: &str, environment: &str, bound: &EnvironmentBound, profile: &str) -> Rule {
    let says = Text::new(
        format!("The environment is under the security profile {profile}."),
        format!("该环境适用安全配置 {profile}。"),
    );
    let sets = match &bound.security_profile {
        Some(_) => ObjectKey::cluster(Kind::Environment, environment),
        None => ObjectKey::cluster(Kind::Unit, unit),
    };
    let title = ("Security profile", "安全配置");
    Rule::new(Area::Protection, "protection.profile", title, says, json!(profile)).from(&sets, "spec.securityProfile")
}

fn hardening() -> Rule {
    Rule::new(
        Area::Protection,
        "protection.hardening",
        ("Level 3 and above", "三级及以上"),
        Text::new(
            "A profile for level 3 and above that does not demand Restricted pods and image digests is refused.",
            "等保三级及以上的安全配置须要求受限（Restricted）级别和镜像摘要，否则不予接受。",
        ),
        json!({"podSecurity": "Restricted", "images.requireDigest": true}),
    )
}

fn default_deny() -> Rule {
    Rule::new(
        Area::Network,
        DEFAULT_DENY,
        ("Everything is denied that is not allowed", "默认拒绝"),
        Text::new(
            "No pod is connected to and none connects anywhere, unless another rule here allows it. Tandem writes \
                NetworkPolicies; the cluster's network holds pods to them.",
            "除本文件其他规则允许的之外，任何容器组不得被访问，也不得对外连接。Tandem 生成 NetworkPolicy，由集群网络执行。",
        ),
        json!({"ingress": "denied", "egress": "denied"}),
    )
}

/// The controls that a profile says of a rule: of its field, or of what the field is part of. What is built in serves the
/// field that it makes good.
fn controls(rule: &Rule, profile: &SecurityProfileSpec) -> Vec<String> {
    let own = (rule.source.kind == Kind::SecurityProfile.name()).then_some(rule.source.field.as_deref()).flatten();
    let Some(field) = own.or((rule.id == DEFAULT_DENY).then_some("spec.egress")) else { return Vec::new() };
    let serves = |path: &str| {
        let path = path.strip_prefix("spec.").unwrap_or(path);
        field
            .strip_prefix("spec.")
            .is_some_and(|field| field.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')))
    };
    sorted(profile.controls.iter().filter(|control| serves(&control.rule)).map(|control| &control.control))
}

/// Rules that a profile says controls of although there is no such field: a slip that a reviewer has to see.
pub(in crate::policy) fn strays(profile: (&str, &SecurityProfileSpec), rules: &[Rule]) -> Vec<Text> {
    let fields: Vec<&str> = rules
        .iter()
        .filter(|rule| rule.source.name.as_deref() == Some(profile.0))
        .filter_map(|rule| rule.source.field.as_deref()?.strip_prefix("spec."))
        .collect();
    let known = |path: &str| {
        let path = path.strip_prefix("spec.").unwrap_or(path);
        fields.iter().any(|field| field.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')))
    };
    profile
        .1
        .controls
        .iter()
        .filter(|control| !known(&control.rule))
        .map(|control| {
            let (name, rule, number) = (profile.0, &control.rule, &control.control);
            Text::new(
                format!(
                    "Security profile {name} says that {rule} serves control {number}, but it has no such \
                    rule: correct spec.controls."
                ),
                format!("安全配置 {name} 称 {rule} 对应控制点 {number}，但没有这条规则：请更正 spec.controls。"),
            )
        })
        .collect()
}
