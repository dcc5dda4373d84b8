//! The columns of an inventory and the headers by which they are known.

use super::decode::half_width;
use super::values::ByteUnit;

/// What a column says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Column {
    /// The unit's code: a DNS label.
    Unit,
    /// The unit's name in Chinese.
    UnitName,
    /// The unit's name in English.
    UnitNameEn,
    /// City, county, township or village.
    Level,
    /// The code of the unit that the unit belongs to.
    Parent,
    /// The system's name in Chinese.
    SystemName,
    /// The system's name in English.
    SystemNameEn,
    /// The system's code: a DNS label.
    System,
    /// The system's level in the Multi-Level Protection Scheme.
    Mlps,
    /// The environment.
    Environment,
    /// Processor cores of each pod.
    Cpu,
    /// Memory of each pod.
    Memory,
    /// Storage of the system.
    Storage,
    /// Pods at the active site.
    Replicas,
    /// Cold, warm or hot.
    StandbyClass,
    /// Pods at the other site.
    StandbyReplicas,
    /// Host names.
    Hosts,
    /// 0 (first) to 3 (last).
    Tier,
    /// Recovery time objective.
    Rto,
    /// Recovery point objective.
    Rpo,
    /// Systems that must be up first.
    Dependencies,
    /// The unit's budget: processor cores.
    BudgetCpu,
    /// The unit's budget: memory.
    BudgetMemory,
    /// The unit's budget: storage.
    BudgetStorage,
    /// The unit's budget: pods.
    BudgetPods,
    /// The unit's budget: environments.
    BudgetEnvironments,
}

/// Every column with the headers that mean it, the one to recommend first. Compared without case, spaces, dashes,
/// underscores and what stands in brackets.
pub const ALIASES: &[(Column, &[&str])] = &[
    (
        Column::Unit,
        &["单位代码", "unit code", "单位编码", "部门代码", "部门编码", "unit", "unit id", "agency code", "agency"],
    ),
    (
        Column::UnitName,
        &["单位名称", "unit name", "单位", "单位中文名称", "部门名称", "部门", "agency name", "unit name zh"],
    ),
    (Column::UnitNameEn, &["单位英文名称", "unit name en", "单位英文名", "部门英文名称", "english unit name"]),
    (Column::Level, &["单位层级", "level", "层级", "行政层级", "单位级别", "行政级别", "unit level"]),
    (Column::Parent, &["上级单位", "parent", "上级单位代码", "主管单位", "parent unit"]),
    (
        Column::SystemName,
        &[
            "系统名称",
            "system name",
            "应用系统名称",
            "应用系统",
            "系统中文名称",
            "系统",
            "application name",
            "system name zh",
        ],
    ),
    (Column::SystemNameEn, &["系统英文名称", "system name en", "系统英文名", "english system name", "english name"]),
    (
        Column::System,
        &["系统代码", "system code", "系统编码", "应用代码", "应用编码", "system", "application", "application code"],
    ),
    (
        Column::Mlps,
        &[
            "等保级别",
            "security level",
            "等级保护",
            "等保等级",
            "等保",
            "安全等级",
            "安全保护等级",
            "mlps",
            "mlps level",
        ],
    ),
    (Column::Environment, &["环境", "environment", "部署环境", "运行环境", "env"]),
    (Column::Cpu, &["CPU", "cpu", "CPU核数", "核数", "处理器", "vcpu", "cores"]),
    (Column::Memory, &["内存", "memory", "内存大小", "ram", "mem"]),
    (Column::Storage, &["存储", "storage", "存储容量", "磁盘", "硬盘", "存储空间", "disk"]),
    (
        Column::Replicas,
        &["主用副本数", "replicas", "副本数", "实例数", "主副本数", "active replicas", "replicas active"],
    ),
    (Column::StandbyClass, &["备用级别", "standby class", "备份方式", "热备冷备", "容灾方式", "standby"]),
    (Column::StandbyReplicas, &["备用副本数", "standby replicas", "备副本数", "replicas standby"]),
    (Column::Hosts, &["域名", "host names", "访问域名", "主机名", "hosts", "host", "host name", "hostnames", "domain"]),
    (Column::Tier, &["业务等级", "tier", "重要等级", "恢复等级", "系统等级", "业务级别"]),
    (Column::Rto, &["RTO", "rto", "恢复时间目标", "recovery time objective"]),
    (Column::Rpo, &["RPO", "rpo", "恢复点目标", "recovery point objective"]),
    (Column::Dependencies, &["依赖系统", "dependencies", "依赖", "依赖关系", "depends on", "dependency"]),
    (Column::BudgetCpu, &["预算CPU", "budget cpu", "CPU预算", "单位CPU预算", "cpu budget"]),
    (Column::BudgetMemory, &["预算内存", "budget memory", "内存预算", "单位内存预算", "memory budget"]),
    (Column::BudgetStorage, &["预算存储", "budget storage", "存储预算", "单位存储预算", "storage budget"]),
    (Column::BudgetPods, &["预算副本数", "budget pods", "副本数预算", "预算实例数", "pods budget"]),
    (Column::BudgetEnvironments, &["预算环境数", "budget environments", "环境数预算", "environments budget"]),
];

/// The columns that an inventory must have.
pub const REQUIRED: &[Column] =
    &[Column::Unit, Column::UnitName, Column::Level, Column::SystemName, Column::System, Column::Cpu, Column::Memory];

/// The columns that a file of budgets must have.
pub const REQUIRED_OF_BUDGETS: &[Column] = &[Column::Unit];

impl Column {
    /// The headers that mean this column, the ones to recommend first: the Chinese, then the English.
    #[must_use]
    pub fn headers(self) -> &'static [&'static str] {
        ALIASES.iter().find(|(column, _)| *column == self).map_or(&[], |(_, headers)| headers)
    }

    /// The headers to recommend, as a message shows them.
    #[must_use]
    pub fn recommended(self) -> String {
        let headers = self.headers();
        match headers {
            [zh, en, ..] if !zh.eq_ignore_ascii_case(en) => format!("\"{zh}\" ({en})"),
            [only, ..] => format!("\"{only}\""),
            [] => String::new(),
        }
    }
}

/// The column that a header means.
#[must_use]
pub fn recognise(header: &str) -> Option<Column> {
    let wanted = normalise(header);
    ALIASES
        .iter()
        .find(|(_, headers)| headers.iter().any(|known| normalise(known) == wanted))
        .map(|(column, _)| *column)
}

/// The unit of bytes that a header gives for bare numbers, such as `内存(MB)`; GiB where it gives none.
#[must_use]
pub fn bare_unit(header: &str) -> ByteUnit {
    let header = half_width(header).to_ascii_uppercase();
    let inside = header.split_once(['(', '[', '/']).map_or("", |(_, inside)| inside);
    match inside.trim_start().chars().next() {
        Some('M') => ByteUnit::Mebi,
        Some('T') => ByteUnit::Tebi,
        _ => ByteUnit::Gibi,
    }
}

fn normalise(header: &str) -> String {
    let header = half_width(header).to_lowercase();
    let mut depth = 0_u32;
    let mut kept = String::new();
    for c in header.chars() {
        match c {
            '(' | '[' | '【' => depth += 1,
            ')' | ']' | '】' => depth = depth.saturating_sub(1),
            _ if depth > 0 => {}
            ' ' | '\t' | '\r' | '\n' | '-' | '_' | '*' | ':' | '/' | '.' => {}
            _ => kept.push(c),
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    #[test]
    fn no_header_means_two_columns() {
        let mut seen = HashMap::new();
        for (column, headers) in ALIASES {
            for header in *headers {
                if let Some(other) = seen.insert(normalise(header), *column) {
                    assert_eq!(other, *column, "{header}");
                }
            }
        }
    }

    #[test]
    fn headers_are_known_as_people_write_them() {
        for (header, column) in [
            ("CPU（每副本）", Column::Cpu),
            ("内存(GB)", Column::Memory),
            (" Unit_Code* ", Column::Unit),
            ("ＲＴＯ", Column::Rto),
            ("Host-Names", Column::Hosts),
            ("备用\n级别", Column::StandbyClass),
        ] {
            assert_eq!(recognise(header), Some(column), "{header}");
        }
        assert_eq!(recognise("联系人"), None);
        assert_eq!(recognise(""), None);
    }

    #[test]
    fn a_header_may_give_the_unit() {
        assert_eq!(bare_unit("内存（MB）"), ByteUnit::Mebi);
        assert_eq!(bare_unit("storage (TB)"), ByteUnit::Tebi);
        assert_eq!(bare_unit("内存（每副本）"), ByteUnit::Gibi);
    }
}
