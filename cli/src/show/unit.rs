//! Agencies for people.

use super::used::Used;
use super::{called, facts, ready_cells, sites, yes_no};
use crate::failover::table;
use crate::language::Lang;
use kube::ResourceExt;
use std::collections::BTreeMap;
use tandem_crds::{Environment, Unit, UnitLevel};

fn level(level: UnitLevel, lang: Lang) -> &'static str {
    match level {
        UnitLevel::City => lang.say("City", "市级"),
        UnitLevel::County => lang.say("County", "县级"),
        UnitLevel::Township => lang.say("Township", "乡镇"),
        UnitLevel::Village => lang.say("Village", "村级"),
    }
}

/// What is given of the budget to environments: CPU, memory, storage, pods. `0` where nothing is.
fn given(unit: &Unit) -> [String; 4] {
    let used = unit.status.as_ref().and_then(|status| status.used.clone()).unwrap_or_default();
    let quantity = |amount: Option<tandem_crds::Quantity>| amount.map_or_else(|| "0".to_owned(), |amount| amount.0);
    [quantity(used.cpu), quantity(used.memory), quantity(used.storage), used.pods.unwrap_or(0).to_string()]
}

fn budget(unit: &Unit) -> [String; 4] {
    let budget = &unit.spec.budget;
    [budget.cpu.0.clone(), budget.memory.0.clone(), budget.storage.0.clone(), budget.pods.to_string()]
}

/// A list of them: of each budget, what is given to environments.
#[must_use]
pub fn table(units: &[&Unit], wide: bool, lang: Lang) -> String {
    let mut header = lang
        .say(
            ["UNIT", "NAME", "LEVEL", "CPU", "MEMORY", "STORAGE", "PODS", "ENVIRONMENTS", "READY", "WHY"],
            ["单位", "名称", "级别", "CPU", "内存", "存储", "容器组", "环境", "就绪", "原因"],
        )
        .to_vec();
    if wide {
        header.extend(lang.say(["PARENT", "PROFILE", "ADMINISTRATORS"], ["上级", "安全规范", "管理员"]));
    }
    let mut table = table::table(header);
    for unit in units {
        let [cpu, memory, storage, pods]: [String; 4] = {
            let (given, budget) = (given(unit), budget(unit));
            std::array::from_fn(|at| format!("{}/{}", given[at], budget[at]))
        };
        let count = unit.status.as_ref().map_or(0, |status| status.environments);
        let mut row = vec![
            unit.name_any(),
            called(&unit.spec.display_name, lang),
            level(unit.spec.level, lang).to_owned(),
            cpu,
            memory,
            storage,
            pods,
            format!("{count}/{}", unit.spec.budget.environments),
        ];
        row.extend(ready_cells(*unit, wide, lang));
        if wide {
            row.push(unit.spec.parent.clone().unwrap_or_default());
            row.push(unit.spec.security_profile.clone());
            row.push(unit.spec.administrators.join(","));
        }
        table.add_row(row);
    }
    table::text(&table)
}

/// One in detail. `used`: what runs in each namespace at the site that is asked.
#[must_use]
pub fn detail(unit: &Unit, environments: &[Environment], used: Option<&BTreeMap<String, Used>>, lang: Lang) -> String {
    let spec = &unit.spec;
    let mut text =
        format!("{}  {}  ({})\n\n", unit.name_any(), called(&spec.display_name, lang), level(spec.level, lang));
    text.push_str(&facts(&[
        (lang.say("parent", "上级"), spec.parent.clone().unwrap_or_default()),
        (lang.say("security profile", "安全规范"), spec.security_profile.clone()),
        (lang.say("administrators", "管理员"), spec.administrators.join(", ")),
        (lang.say("viewers", "查看者"), spec.viewers.join(", ")),
        (lang.say("suspended", "已停用"), yes_no(spec.suspended, lang)),
        (lang.say("deletion protection", "删除保护"), yes_no(spec.deletion_protection, lang)),
    ]));
    text.push('\n');
    let mut amounts =
        table::table(lang.say(
            ["", "CPU", "MEMORY", "STORAGE", "PODS", "ENVIRONMENTS"],
            ["", "CPU", "内存", "存储", "容器组", "环境"],
        ));
    let mut row = |name: &str, cells: [String; 4], environments: String| {
        amounts.add_row([vec![name.to_owned()], cells.to_vec(), vec![environments]].concat());
    };
    let count = unit.status.as_ref().map_or(0, |status| status.environments);
    row(lang.say("budget", "预算"), budget(unit), spec.budget.environments.to_string());
    row(lang.say("given", "已分配"), given(unit), count.to_string());
    if let Some(used) = used {
        let own = environments.iter().filter_map(|environment| used.get(&environment.name_any()).copied());
        let sum = own.fold(Used::default(), Used::and);
        row(lang.say("used at this site", "本站点已用"), sum.cells(), String::new());
    }
    text.push_str(&table::text(&amounts));
    text.push('\n');
    if environments.is_empty() {
        text.push_str(lang.say("No environments.\n", "没有环境。\n"));
    } else {
        text.push_str(&super::environment::table(&environments.iter().collect::<Vec<_>>(), false, lang));
    }
    text.push('\n');
    text.push_str(&sites(unit.status.as_ref().map_or(&[], |status| &status.sites), lang));
    text
}
