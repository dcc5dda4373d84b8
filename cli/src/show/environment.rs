//! Environments for people.

use super::used::Used;
use super::{called, facts, ready_cells, sites, yes_no};
use crate::failover::table;
use crate::language::Lang;
use kube::ResourceExt;
use std::collections::BTreeMap;
use tandem_crds::{Application, Environment, MemberRole, Purpose};

fn purpose(purpose: Purpose, lang: Lang) -> &'static str {
    match purpose {
        Purpose::Production => lang.say("Production", "生产"),
        Purpose::Test => lang.say("Test", "测试"),
        Purpose::Development => lang.say("Development", "开发"),
        Purpose::Training => lang.say("Training", "培训"),
    }
}

fn quota(environment: &Environment) -> [String; 4] {
    let quota = &environment.spec.quota;
    [quota.cpu.0.clone(), quota.memory.0.clone(), quota.storage.0.clone(), quota.pods.to_string()]
}

/// When it ends; when it is deleted, where that is decided.
fn ends(environment: &Environment, lang: Lang) -> String {
    match (&environment.spec.delete_after, &environment.spec.expires_at) {
        (Some(at), _) => lang.say(format!("deleted {at}"), format!("删除于 {at}")),
        (None, Some(at)) => at.clone(),
        (None, None) => String::new(),
    }
}

/// A list of them.
#[must_use]
pub fn table(environments: &[&Environment], wide: bool, lang: Lang) -> String {
    let mut header = lang
        .say(
            ["ENVIRONMENT", "UNIT", "PURPOSE", "CPU", "MEMORY", "STORAGE", "PODS", "EXPIRES", "READY", "WHY"],
            ["环境", "单位", "用途", "CPU", "内存", "存储", "容器组", "到期", "就绪", "原因"],
        )
        .to_vec();
    if wide {
        header.extend(lang.say(["PROFILE", "REQUEST"], ["安全规范", "申请"]));
    }
    let mut table = table::table(header);
    for environment in environments {
        let spec = &environment.spec;
        let mut row = vec![environment.name_any(), spec.unit.clone(), purpose(spec.purpose, lang).to_owned()];
        row.extend(quota(environment));
        row.push(ends(environment, lang));
        row.extend(ready_cells(*environment, wide, lang));
        if wide {
            row.push(spec.security_profile.clone().unwrap_or_else(|| lang.say("(unit's)", "（单位）").to_owned()));
            row.push(spec.request.clone().unwrap_or_default());
        }
        table.add_row(row);
    }
    table::text(&table)
}

/// One in detail. `used`: what runs in each namespace at the site that is asked.
#[must_use]
pub fn detail(
    environment: &Environment,
    applications: &[Application],
    used: Option<&BTreeMap<String, Used>>,
    lang: Lang,
) -> String {
    let (name, spec) = (environment.name_any(), &environment.spec);
    let display = spec.display_name.as_ref().map(|name| called(name, lang)).unwrap_or_default();
    let title = [name.clone(), display, format!("({})", purpose(spec.purpose, lang))];
    let mut text = title.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("  ") + "\n\n";
    let members = spec.members.iter().map(|member| {
        let role = match member.role {
            MemberRole::Administrator => lang.say("administrator", "管理员"),
            MemberRole::Viewer => lang.say("viewer", "查看者"),
        };
        format!("{} ({role})", member.group)
    });
    text.push_str(&facts(&[
        (lang.say("unit", "单位"), spec.unit.clone()),
        (lang.say("namespace, at both sites", "命名空间（两站点相同）"), name.clone()),
        (
            lang.say("security profile", "安全规范"),
            spec.security_profile.clone().unwrap_or_else(|| lang.say("the unit's", "同单位").to_owned()),
        ),
        (lang.say("members", "成员"), members.collect::<Vec<_>>().join(", ")),
        (lang.say("expires", "到期"), spec.expires_at.clone().unwrap_or_default()),
        (lang.say("deleted after", "删除时间"), spec.delete_after.clone().unwrap_or_default()),
        (lang.say("last request", "最近申请"), spec.request.clone().unwrap_or_default()),
        (lang.say("deletion protection", "删除保护"), yes_no(spec.deletion_protection, lang)),
    ]));
    text.push('\n');
    let mut amounts =
        table::table(lang.say(["", "CPU", "MEMORY", "STORAGE", "PODS"], ["", "CPU", "内存", "存储", "容器组"]));
    let mut row = |name: &str, cells: [String; 4]| {
        amounts.add_row([vec![name.to_owned()], cells.to_vec()].concat());
    };
    row(lang.say("quota", "配额"), quota(environment));
    if let Some(used) = used {
        row(lang.say("used at this site", "本站点已用"), used.get(&name).copied().unwrap_or_default().cells());
    }
    text.push_str(&table::text(&amounts));
    text.push('\n');
    if applications.is_empty() {
        text.push_str(lang.say("No applications.\n", "没有应用。\n"));
    } else {
        text.push_str(&super::application::table(&applications.iter().collect::<Vec<_>>(), false, lang));
    }
    text.push('\n');
    text.push_str(&sites(environment.status.as_ref().map_or(&[], |status| &status.sites), lang));
    text
}
