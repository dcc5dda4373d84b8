//! What follows from an environment alone.

use serde_json::json;
use tandem_crds::{Kind, MemberRole};

use super::{amount, list, sorted, within};
use crate::names;
use crate::policy::bound::EnvironmentBound;
use crate::policy::rule::{Area, Rule, Text};
use crate::render::amounts;
use crate::sync::ObjectKey;

/// The rules that hold for an environment whatever its profile: what it says itself, and what Tandem gives every one.
pub(in crate::policy) fn environment(unit: &str, name: &str, bound: &EnvironmentBound) -> Vec<Rule> {
    let key = ObjectKey::cluster(Kind::Environment, name);
    let mut rules = network();
    rules.extend(pods());
    rules.extend(quota(&key, bound));
    rules.extend(people(&key, bound));
    rules.extend(lifetime(&key, bound));
    within(rules, unit, Some(name), None)
}

fn network() -> Vec<Rule> {
    let rule = |id, title, says, value| Rule::new(Area::Network, id, title, says, value);
    vec![
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
                "There are no load balancers and no node ports: whatever is reached from outside goes through the \
                    gateway.",
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
                "Pods that Tandem renders run under the service account tandem-workload without its token. \
                    Workloads that an application adopts bring their own account.",
                "Tandem 生成的容器组以 tandem-workload 服务账号运行且不挂载令牌。应用接管的既有工作负载使用其自身账号。",
            ),
            json!({"serviceAccount": names::SERVICE_ACCOUNT, "automountServiceAccountToken": false}),
        ),
        rule(
            "pods.defaults",
            ("What a container takes that says nothing", "容器默认资源"),
            Text::new(
                "A container that names no amounts is held to 500m processor and 512Mi memory, and counts as 100m \
                    and 128Mi.",
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
    ]
}

fn quota(key: &ObjectKey, bound: &EnvironmentBound) -> Vec<Rule> {
    let quota = &bound.quota;
    // As the ResourceQuota has it. An amount that cannot be read is refused before it is published.
    let cpu = amounts::cpu("", &quota.cpu).unwrap_or_else(|_| json!(quota.cpu));
    let bytes = |quantity| amounts::bytes("", quantity).unwrap_or_else(|_| json!(quantity));
    let mut rules: Vec<Rule> = [
        ("cpu", cpu, "processor", "处理器"),
        ("memory", bytes(&quota.memory), "memory", "内存"),
        ("storage", bytes(&quota.storage), "persistent storage", "持久存储"),
        ("pods", json!(quota.pods), "pods", "容器组"),
    ]
    .into_iter()
    .map(|(field, value, en, zh)| {
        let amount = amount(&value);
        let says = Text::new(
            format!("The environment takes at most this much {en}, in each site: {amount}."),
            format!("该环境在每个站点的{zh}上限：{amount}。"),
        );
        let title = (&*format!("Quota: {en}"), &*format!("配额：{zh}"));
        let field = format!("quota.{field}");
        Rule::new(Area::Resources, field.as_str(), title, says, value).from(key, format!("spec.{field}"))
    })
    .collect();
    rules.push(Rule::new(
        Area::Resources,
        "resources.budget",
        ("Quotas stay within the budget", "配额不超预算"),
        Text::new(
            "The quotas of all of a unit's environments never exceed its budget together, also when many are \
                approved at once; an application that alone would exceed its environment's quota is refused.",
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
            "manage applications in",
            "管理本环境中的应用",
        ),
        (
            members(MemberRole::Viewer),
            "access.environmentViewers",
            ("Viewers of the environment", "环境查看人员"),
            "look into",
            "查看本环境",
        ),
    ] {
        if groups.is_empty() {
            continue;
        }
        let names = list(&groups);
        let says = Text::new(
            format!("Members of these groups {en} this environment: {}.", names.en),
            format!("以下用户组的成员可{zh}：{}。", names.zh),
        );
        rules.push(Rule::new(Area::Access, id, title, says, json!(groups)).from(key, "spec.members"));
    }
    rules.push(Rule::new(
        Area::Access,
        "access.rights",
        ("What roles may do", "角色权限"),
        Text::new(
            "Administrators manage applications, delete pods and write Secrets; viewers look at workloads, logs \
                and policies. Tandem gives no other role, and never the built-in edit or admin.",
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
                "The environment is needed until {at}. People are warned before; nothing is stopped or deleted at \
                    that time by itself."
            ),
            format!("该环境的使用期限至 {at}。到期前会提醒；到期时不会自动停止或删除任何内容。"),
        );
        let rule = Rule::new(Area::Lifetime, "lifetime.expiry", ("Expiry", "到期时间"), says, json!(at)).unenforced();
        rules.push(rule.from(key, "spec.expiresAt"));
    }
    if let Some(at) = &bound.delete_after {
        let says = Text::new(
            format!(
                "An approved request has the environment deleted at {at}; until then that can be undone, and no \
                    new application is admitted."
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
