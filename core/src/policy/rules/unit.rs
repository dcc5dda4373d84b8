//! What follows from a unit alone.

use serde_json::json;
use tandem_crds::Kind;

use super::{amount, list, sorted, within};
use crate::policy::bound::UnitBound;
use crate::policy::rule::{Area, Rule, Text};
use crate::render::amounts;
use crate::sync::ObjectKey;

/// The rules that hold for a unit as a whole.
pub(in crate::policy) fn unit(name: &str, bound: &UnitBound) -> Vec<Rule> {
    let key = ObjectKey::cluster(Kind::Unit, name);
    let mut rules = people(&key, bound);
    rules.extend(budget(&key, bound));
    if bound.suspended {
        let says = Text::new(
            "The unit is suspended: what runs goes on, but no new environment and no new application is admitted.",
            "该单位已被暂停：已运行的系统继续运行，但不再接纳新的环境和应用。",
        );
        let rule = Rule::new(Area::Lifetime, "lifetime.suspended", ("Suspended", "暂停接纳"), says, json!(true));
        rules.push(rule.from(&key, "spec.suspended"));
    }
    if bound.deletion_protection {
        let says = Text::new(
            "Neither the unit nor any of its environments is deleted, whoever asks.",
            "无论何人申请，该单位及其环境均不得删除。",
        );
        let title = ("Deletion protection of the unit", "单位删除保护");
        let rule = Rule::new(Area::Lifetime, "lifetime.unitProtection", title, says, json!(true));
        rules.push(rule.from(&key, "spec.deletionProtection"));
    }
    rules.push(Rule::new(
        Area::Lifetime,
        "lifetime.unitDeletion",
        ("A unit in use stays", "在用单位不得删除"),
        Text::new(
            "A unit that has environments, or units below it, is not deleted.",
            "仍有环境或下级单位的单位不得删除。",
        ),
        json!(true),
    ));
    rules.push(Rule::new(
        Area::Requests,
        "requests.separation",
        ("Nobody decides their own request", "申请与审批分离"),
        Text::new(
            "Whoever asks for an environment, or for a change of one, does not decide on it.",
            "申请人不得审批自己提出的环境申请或变更申请。",
        ),
        json!(true),
    ));
    within(rules, name, None, None)
}

fn people(key: &ObjectKey, bound: &UnitBound) -> Vec<Rule> {
    let administrators = sorted(&bound.administrators);
    let viewers = sorted(&bound.viewers);
    let named = |groups: &[String], en: &str, zh: &str| {
        let names = list(groups);
        if groups.is_empty() {
            Text::new(format!("No group may {en} all of the unit's environments."), format!("未指定可{zh}的用户组。"))
        } else {
            Text::new(
                format!("Members of these groups {en} all of the unit's environments: {}.", names.en),
                format!("以下用户组的成员可{zh}：{}。", names.zh),
            )
        }
    };
    let rule = |id, title, says, groups| Rule::new(Area::Access, id, title, says, groups);
    vec![
        rule(
            "access.administrators",
            ("Administrators of the unit", "单位管理员"),
            named(&administrators, "manage applications in", "管理该单位全部环境中的应用"),
            json!(administrators),
        )
        .from(key, "spec.administrators"),
        rule(
            "access.viewers",
            ("Viewers of the unit", "单位查看人员"),
            named(&viewers, "look into", "查看该单位全部环境"),
            json!(viewers),
        )
        .from(key, "spec.viewers"),
        rule(
            "access.reservedGroups",
            ("Reserved groups", "保留用户组"),
            Text::new(
                "No group whose name begins with system: or tandem: is given a role: those are Kubernetes' and \
                    Tandem's own.",
                "名称以 system: 或 tandem: 开头的用户组属于 Kubernetes 与 Tandem，不得授予角色。",
            ),
            json!(["system:", "tandem:"]),
        ),
    ]
}

fn budget(key: &ObjectKey, bound: &UnitBound) -> Vec<Rule> {
    let budget = &bound.budget;
    // An amount that cannot be read is refused before it is published; it is shown as it stands.
    let cpu = amounts::cpu("", &budget.cpu).unwrap_or_else(|_| json!(budget.cpu));
    let bytes = |quantity| amounts::bytes("", quantity).unwrap_or_else(|_| json!(quantity));
    [
        ("cpu", cpu, "processor", "处理器"),
        ("memory", bytes(&budget.memory), "memory", "内存"),
        ("storage", bytes(&budget.storage), "persistent storage", "持久存储"),
        ("pods", json!(budget.pods), "pods", "容器组"),
        ("environments", json!(budget.environments), "environments", "环境数量"),
    ]
    .into_iter()
    .map(|(field, value, en, zh)| {
        let amount = amount(&value);
        let says = Text::new(
            format!("All of the unit's environments together take at most this much, in each site: {amount} ({en})."),
            format!("该单位全部环境在每个站点的{zh}合计上限：{amount}。"),
        );
        let title = (&*format!("Budget: {en}"), &*format!("预算：{zh}"));
        let field = format!("budget.{field}");
        Rule::new(Area::Resources, field.as_str(), title, says, value).from(key, format!("spec.{field}"))
    })
    .collect()
}
