//! Why there is no plan.

use crate::failover::Language;

/// Why there is no plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlanError {
    /// The API shows no sites.
    NoSites,
    /// There is no such site.
    UnknownSite {
        /// Which field names it.
        field: &'static str,
        /// What was named.
        site: String,
        /// The sites there are.
        known: Vec<String>,
    },
    /// There are no such groups.
    UnknownGroups {
        /// Some of them.
        names: Vec<String>,
        /// How many there are beside those.
        more: usize,
    },
    /// The unit has no environments.
    UnknownUnit(String),
    /// Nothing is selected.
    Nothing,
    /// Where to is not clear.
    WhereTo {
        /// Where the groups are active; empty where that is not known.
        active: Vec<String>,
    },
    /// No one site is preferred.
    NoPreferred,
    /// A planned move cannot have this.
    FailoverOnly {
        /// The field.
        field: &'static str,
    },
}

impl PlanError {
    /// The field of the request that is wrong, as it stands in a Failover's `spec`.
    #[must_use]
    pub fn field(&self) -> &'static str {
        match self {
            Self::NoSites | Self::Nothing => "selector",
            Self::UnknownSite { field, .. } | Self::FailoverOnly { field } => field,
            Self::UnknownGroups { .. } => "selector.groups",
            Self::UnknownUnit(_) => "selector.unit",
            Self::WhereTo { .. } | Self::NoPreferred => "to",
        }
    }

    /// What was wrong and how to mend it, for those who fill in fields and for those who give flags.
    #[must_use]
    pub fn sentence(&self, language: Language) -> String {
        match language {
            Language::English => self.english(),
            Language::Chinese => self.chinese(),
        }
    }

    fn english(&self) -> String {
        match self {
            Self::NoSites => "this cluster shows no DataCentre: is Tandem's operator running here?".to_owned(),
            Self::UnknownSite { site, known, .. } => {
                format!("there is no site {site}: the sites are {}", known.join(" and "))
            }
            Self::UnknownGroups { names, more } => {
                let more = if *more > 0 { format!(", and {more} more") } else { String::new() };
                format!(
                    "there is no failover group {}{more}: `tandem groups` lists them, and so does /v1/failover-groups",
                    names.join(", ")
                )
            }
            Self::UnknownUnit(unit) => format!(
                "no environment belongs to a unit {unit}: `kubectl get units` lists the units, and so does /v1/units"
            ),
            Self::Nothing => "no failover group is selected: `tandem groups` shows where each is active, and so does \
                /v1/failover-groups"
                .to_owned(),
            Self::WhereTo { active } => {
                let active = if active.is_empty() { "no known site".to_owned() } else { active.join(" and ") };
                format!("the groups are active at {active}: say where they shall go (to, --to)")
            }
            Self::NoPreferred => {
                "not just one site has spec.preference Primary: say where the groups shall go (to, --to)".to_owned()
            }
            Self::FailoverOnly { field } => format!(
                "{field} ({}) is for a failover alone (type Failover, --type failover): a planned move loses nothing and \
                needs a ready target",
                flag(field)
            ),
        }
    }

    fn chinese(&self) -> String {
        match self {
            Self::NoSites => "本集群中没有 DataCentre：Tandem 的 operator 是否在此运行？".to_owned(),
            Self::UnknownSite { site, known, .. } => format!("没有站点 {site}：现有站点为 {}", known.join("、")),
            Self::UnknownGroups { names, more } => {
                let more = if *more > 0 { format!(" 等 {} 个", names.len() + more) } else { String::new() };
                format!(
                    "没有切换组 {}{more}：可用 `tandem groups` 或 /v1/failover-groups 查看全部切换组",
                    names.join("、")
                )
            }
            Self::UnknownUnit(unit) => {
                format!("没有属于单位 {unit} 的环境：可用 `kubectl get units` 或 /v1/units 查看全部单位")
            }
            Self::Nothing => {
                "没有选中任何切换组：可用 `tandem groups` 或 /v1/failover-groups 查看各组的主用站点".to_owned()
            }
            Self::WhereTo { active } => {
                let active = if active.is_empty() { "未知站点".to_owned() } else { active.join("、") };
                format!("各组的主用站点为 {active}：请指明目标站点（to，--to）")
            }
            Self::NoPreferred => "spec.preference 为 Primary 的站点不是恰好一个：请指明目标站点（to，--to）".to_owned(),
            Self::FailoverOnly { field } => format!(
                "{field}（{}）仅用于故障切换（type 为 Failover，--type failover）：计划内的切换不丢失数据，且目标须就绪",
                flag(field)
            ),
        }
    }
}

/// The flag of the command line that stands for a field.
fn flag(field: &str) -> &'static str {
    match field {
        "acceptDataLoss" => "--accept-data-loss",
        "despiteNotReady" => "--despite-not-ready",
        _ => "--type",
    }
}

impl std::fmt::Display for PlanError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.english())
    }
}

impl std::error::Error for PlanError {}
