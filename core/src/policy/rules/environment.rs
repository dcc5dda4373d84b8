//! What follows for an environment: from itself, from its profile, and from what Tandem gives every one.

use serde_json::{Value, json};
use tandem_crds::{Kind, MemberRole, SecurityProfileSpec};

use super::{list, profile, sorted, within};
use crate::names;
use crate::policy::bound::{EnvironmentBound, UnitBound};
use crate::policy::rule::{Area, Rule, Text};
use crate::render::amounts;
use crate::sync::ObjectKey;

/// The rules that hold for an environment as a whole. `profile` is the one that it is under.
pub(in crate::policy) fn environment(
    unit: (&str, &UnitBound),
    environment: (&str, &EnvironmentBound),
    profile: (&str, &SecurityProfileSpec),
) -> Vec<Rule> {
    let (name, bound) = environment;
    let key = ObjectKey::cluster(Kind::Environment, name);
    let mut rules = vec![under(unit, &key, bound, profile.0)];
    rules.extend(profile::profile(profile.0, profile.1));
    rules.extend(network());
    rules.extend(pods());
    rules.extend(quota(&key, bound));
    rules.extend(people(&key, bound));
    rules.extend(lifetime(&key, bound));
    for rule in &mut rules {
        rule.controls = controls(rule, profile.1);
    }
    within(rules, unit.0, Some(name), None)
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
                format!("Security profile {name} says that {rule} serves control {number}, but it has no such rule: correct spec.controls."),
                format!("安全配置 {name} 称 {rule} 对应控制点 {number}，但没有这条规则：请更正 spec.controls。"),
            )
        })
        .collect()
}

const DEFAULT_DENY: &str = "network.defaultDeny";

fn under(unit: (&str, &UnitBound), key: &ObjectKey, bound: &EnvironmentBound, profile: &str) -> Rule {
    let says = Text::new(
        format!("The environment is under the security profile {profile}."),
        format!("该环境适用安全配置 {profile}。"),
    );
    let rule =
        Rule::new(Area::Protection, "protection.profile", ("Security profile", "安全配置"), says, json!(profile));
    match (&bound.security_profile, &unit.1.security_profile) {
        (Some(_), _) => rule.from(key, "spec.securityProfile"),
        (None, _) => rule.from(&ObjectKey::cluster(Kind::Unit, unit.0), "spec.securityProfile"),
    }
}

fn network() -> Vec<Rule> {
    let rule = |id, title, says, value| Rule::new(Area::Network, id, title, says, value);
    vec![
        rule(
            DEFAULT_DENY,
            ("Everything is denied that is not allowed", "默认拒绝"),
            Text::new(
                "No pod is connected to and none connects anywhere, unless another rule here allows it.",
                "除本文件其他规则允许的之外，任何容器组不得被访问，也不得对外连接。",
            ),
            json!({"ingress": "denied", "egress": "denied"}),
        ),
        rule(
            "network.dns",
            ("Name resolution", "域名解析"),
            Text::new(
                "Pods may ask the cluster's DNS (port 53, UDP and TCP).",
                "容器组可访问集群域名解析服务（UDP 与 TCP 53 端口）。",
            ),
            json!({"namespaces": format!("{}={}", names::LABEL_ROLE, names::ROLE_DNS), "ports": ["53/UDP", "53/TCP"]}),
        ),
        rule(
            "network.application",
            ("Within an application", "应用内部"),
            Text::new("Pods of one application may connect to each other.", "同一应用的容器组之间可以互相访问。"),
            json!(true),
        ),
        rule(
            "network.exposure",
            ("No way around the gateway", "不得绕过网关"),
            Text::new(
                "There are no load balancers and no node ports: whatever is reached from outside goes through the gateway.",
                "不允许使用负载均衡器和节点端口：对外服务一律经由网关。",
            ),
            json!({"services.loadbalancers": "0", "services.nodeports": "0"}),
        ),
        Rule::new(
            Area::HostNames,
            "hostNames.unique",
            ("One application a host name", "域名唯一"),
            Text::new(
                "A host name that an application has is refused to every other one, of any unit.",
                "已被某一应用使用的域名，任何单位的其他应用均不得再用。",
            ),
            json!(true),
        ),
    ]
}

fn pods() -> Vec<Rule> {
    let rule = |id, title, says, value| Rule::new(Area::Pods, id, title, says, value);
    vec![
        rule(
            "pods.serviceAccountToken",
            ("No credentials for the cluster", "不挂载集群凭据"),
            Text::new(
                "Pods that Tandem renders run under the service account tandem-workload without its token. Workloads that an application adopts bring their own account.",
                "Tandem 生成的容器组以 tandem-workload 服务账号运行且不挂载令牌。应用接管的既有工作负载使用其自身账号。",
            ),
            json!({"serviceAccount": names::SERVICE_ACCOUNT, "automountServiceAccountToken": false}),
        ),
        rule(
            "pods.defaults",
            ("What a container takes that says nothing", "容器默认资源"),
            Text::new(
                "A container that names no amounts is held to 500m processor and 512Mi memory, and counts as 100m and 128Mi.",
                "未声明资源的容器以 500m 处理器、512Mi 内存为上限，按 100m、128Mi 计入配额。",
            ),
            json!({"limits": {"cpu": "500m", "memory": "512Mi"}, "requests": {"cpu": "100m", "memory": "128Mi"}}),
        ),
        rule(
            "pods.amounts",
            ("What a component takes is its limit", "组件资源上限"),
            Text::new(
                "Components declare processor and memory; their pods get as much and no more.",
                "组件须声明处理器与内存，其容器组获得的资源即为上限。",
            ),
            json!("requests equal limits"),
        ),
        rule(
            "pods.disruption",
            ("One pod at a time", "逐个中断"),
            Text::new(
                "Of a component with two pods or more, maintenance takes away one at a time.",
                "组件有两个及以上容器组时，维护操作每次最多中断一个。",
            ),
            json!({"maxUnavailable": 1}),
        ),
        Rule::new(
            Area::Protection,
            "protection.hardening",
            ("Level 3 and above", "三级及以上"),
            Text::new(
                "A profile for level 3 and above that does not demand Restricted pods and image digests is refused.",
                "等保三级及以上的安全配置须要求受限（Restricted）级别和镜像摘要，否则不予接受。",
            ),
            json!({"podSecurity": "Restricted", "images.requireDigest": true}),
        ),
    ]
}

fn quota(key: &ObjectKey, bound: &EnvironmentBound) -> Vec<Rule> {
    let quota = &bound.quota;
    // As the ResourceQuota has it. An amount that cannot be read is refused before it is published.
    let cpu = amounts::cpu("", &quota.cpu).unwrap_or_else(|_| json!(quota.cpu));
    let bytes = |quantity| amounts::bytes("", quantity).unwrap_or_else(|_| json!(quantity));
    let what: [(&str, Value, (&str, &str)); 4] = [
        ("cpu", cpu, ("processor cores", "核处理器")),
        ("memory", bytes(&quota.memory), ("of memory", "内存")),
        ("storage", bytes(&quota.storage), ("of persistent storage", "持久存储")),
        ("pods", json!(quota.pods), ("pods", "个容器组")),
    ];
    let mut rules: Vec<Rule> = what
        .into_iter()
        .map(|(field, value, (en, zh))| {
            let amount = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let says = Text::new(
                format!("The environment takes at most {amount} {en}, in each site."),
                format!("该环境在每个站点最多使用 {amount} {zh}。"),
            );
            let title = (&*format!("Quota: {field}"), &*format!("配额：{zh}"));
            Rule::new(Area::Resources, format!("quota.{field}"), title, says, value)
                .from(key, format!("spec.quota.{field}"))
        })
        .collect();
    rules.push(Rule::new(
        Area::Resources,
        "resources.budget",
        ("Quotas stay within the budget", "配额不超预算"),
        Text::new(
            "The quotas of all of a unit's environments never exceed its budget together, also when many are approved at once; an application that alone would exceed its environment's quota is refused.",
            "单位全部环境的配额之和任何时候不得超过其预算，同时批准多个申请时亦然；单个应用超过环境配额的不予接受。",
        ),
        json!(true),
    ));
    rules
}

fn people(key: &ObjectKey, bound: &EnvironmentBound) -> Vec<Rule> {
    let members = |role: MemberRole| {
        sorted(bound.members.iter().filter(|member| member.role == role).map(|member| &member.group))
    };
    let mut rules = Vec::new();
    for (groups, id, title, en, zh) in [
        (
            members(MemberRole::Administrator),
            "access.environmentAdministrators",
            ("Administrators of the environment", "环境管理员"),
            "manages applications",
            "管理",
        ),
        (
            members(MemberRole::Viewer),
            "access.environmentViewers",
            ("Viewers of the environment", "环境查看人员"),
            "looks",
            "查看",
        ),
    ] {
        if groups.is_empty() {
            continue;
        }
        let names = list(&groups);
        let says = Text::new(
            format!("Who is in one of these groups {en} in this environment: {}.", names.en),
            format!("以下用户组的成员可{zh}本环境：{}。", names.zh),
        );
        rules.push(Rule::new(Area::Access, id, title, says, json!(groups)).from(key, "spec.members"));
    }
    rules.push(Rule::new(
        Area::Access,
        "access.rights",
        ("What roles may do", "角色权限"),
        Text::new(
            "Administrators manage applications, delete pods and write Secrets; viewers look at workloads, logs and policies. Tandem gives no other role, and never the built-in edit or admin.",
            "管理员可管理应用、删除容器组、写入密钥；查看人员可查看工作负载、日志与策略。Tandem 不授予其他角色，也从不授予内置角色 edit 与 admin。",
        ),
        json!({
            "administrator": ["manage applications", "delete pods", "write secrets", "look"],
            "viewer": ["look"],
        }),
    ));
    rules.push(Rule::new(
        Area::Access,
        "access.secrets",
        ("Nobody reads Secrets", "密钥不可读取"),
        Text::new(
            "Roles that Tandem gives write Secrets and never read them; Secrets are never copied to the other site.",
            "Tandem 授予的角色可写入但不能读取密钥；密钥不会复制到另一站点。",
        ),
        json!({"read": false, "published": false}),
    ));
    rules
}

fn lifetime(key: &ObjectKey, bound: &EnvironmentBound) -> Vec<Rule> {
    let mut rules = Vec::new();
    if let Some(at) = &bound.expires_at {
        let says = Text::new(
            format!(
                "The environment is needed until {at}. People are warned before; nothing is stopped or deleted at that time by itself."
            ),
            format!("该环境的使用期限至 {at}。到期前会提醒；到期时不会自动停止或删除任何内容。"),
        );
        let rule = Rule::new(Area::Lifetime, "lifetime.expiry", ("Expiry", "到期时间"), says, json!(at)).unenforced();
        rules.push(rule.from(key, "spec.expiresAt"));
    }
    if let Some(at) = &bound.delete_after {
        let says = Text::new(
            format!(
                "An approved request has the environment deleted at {at}; until then that can be undone, and no new application is admitted."
            ),
            format!("经批准，该环境将于 {at} 删除；在此之前可撤销，期间不接纳新应用。"),
        );
        let title = ("Marked for deletion", "待删除");
        let rule = Rule::new(Area::Lifetime, "lifetime.marked", title, says, json!(at));
        rules.push(rule.from(key, "spec.deleteAfter"));
    }
    if bound.deletion_protection {
        let says = Text::new("The environment is not deleted, whoever asks.", "无论何人申请，该环境均不得删除。");
        let title = ("Deletion protection", "删除保护");
        let rule = Rule::new(Area::Lifetime, "lifetime.protection", title, says, json!(true));
        rules.push(rule.from(key, "spec.deletionProtection"));
    }
    rules.push(Rule::new(
        Area::Lifetime,
        "lifetime.deletion",
        ("An environment in use stays", "在用环境不得删除"),
        Text::new("An environment that has applications is not deleted.", "仍有应用的环境不得删除。"),
        json!(true),
    ));
    rules
}
