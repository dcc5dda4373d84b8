//! Why a drill came to what it did, and what to know beside it.

use tandem_crds::Why;

use crate::failover::{Data, Reason, Role};

/// Why a drill came to what it did, or what to know beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// A rule that moves are under as well.
    Rule(Reason),
    /// The group has no workload that Tandem renders.
    NothingToClone,
    /// The clones do not fit into an environment's quota beside what runs there.
    NoQuota {
        /// The environment.
        environment: String,
        /// What is short, for people.
        short: String,
    },
    /// The cluster does not say yet how much of an environment's quota is used.
    QuotaUnknown {
        /// The environment.
        environment: String,
    },
    /// The clones do not fit onto the site's nodes beside what runs there.
    NoRoom {
        /// The site.
        site: String,
        /// What is short, for people.
        short: String,
    },
    /// Production's Services would send traffic to clones.
    Selected {
        /// The Services, `environment/name`.
        services: Vec<String>,
    },
    /// Secrets that clones read are not in this site.
    SecretsMissing {
        /// The Secrets, `environment/name`.
        secrets: Vec<String>,
    },
    /// The clones cannot be rendered.
    NotRendered {
        /// Why.
        why: String,
    },
    /// The cluster does not take something that is made for the drill.
    ObjectRefused {
        /// What, and why.
        why: String,
    },
    /// Not all was ready in time.
    NotReady {
        /// For how long it was waited, in seconds.
        seconds: u64,
        /// What was not ready.
        waiting: Vec<String>,
    },
    /// Its object was deleted.
    Deleted,
    /// The group is published no more.
    GroupGone,
    /// Workloads that are not rehearsed since Tandem only scales them.
    Adopted {
        /// The workloads, `environment/name`.
        workloads: Vec<String>,
    },
    /// How the standby's data stood. It was not opened.
    DataStood {
        /// What the data service says of it; `None` where it says nothing.
        data: Option<Data>,
    },
    /// The replica that measured is not the one that began.
    OtherReplica,
}

impl Cause {
    fn code(&self) -> &'static str {
        match self {
            Self::Rule(reason) => reason.code(),
            Self::NothingToClone => "NothingToClone",
            Self::NoQuota { .. } => "NoQuota",
            Self::QuotaUnknown { .. } => "QuotaUnknown",
            Self::NoRoom { .. } => "NoRoom",
            Self::Selected { .. } => "Selected",
            Self::SecretsMissing { .. } => "SecretMissing",
            Self::NotRendered { .. } => "NotRendered",
            Self::ObjectRefused { .. } => "ObjectRefused",
            Self::NotReady { .. } => "NotReady",
            Self::Deleted => "Deleted",
            Self::GroupGone => "GroupGone",
            Self::Adopted { .. } => "Adopted",
            Self::DataStood { .. } => "DataNotOpened",
            Self::OtherReplica => "OtherReplica",
        }
    }

    fn english(&self) -> String {
        match self {
            Self::Rule(reason) => reason.sentence(crate::failover::Language::English),
            Self::NothingToClone => {
                "the group has no workload that Tandem renders: there is nothing to rehearse".to_owned()
            }
            Self::NoQuota { environment, short } => format!(
                "the clones do not fit into the quota of {environment} beside what runs there: {short}; raise the quota, or drill \
                 fewer groups at once"
            ),
            Self::QuotaUnknown { environment } => {
                format!("the cluster does not say how much of the quota of {environment} is used")
            }
            Self::NoRoom { site, short } => {
                format!("the nodes of {site} have no room for the clones beside what runs there: {short}")
            }
            Self::Selected { services } => format!(
                "production's Services would send traffic to clones: {}; give their endpoints selectors of the agency's own labels",
                services.join(", ")
            ),
            Self::SecretsMissing { secrets } => {
                format!("Secrets are missing in this site: {}; create them here", secrets.join(", "))
            }
            Self::NotRendered { why } => format!("the clones cannot be rendered: {why}"),
            Self::ObjectRefused { why } => format!("the cluster does not take what the drill needs: {why}"),
            Self::NotReady { seconds, waiting } => {
                format!("not ready after {seconds} s: {}", waiting.join("; "))
            }
            Self::Deleted => "its Failover was deleted".to_owned(),
            Self::GroupGone => "the group is published no more".to_owned(),
            Self::Adopted { workloads } => {
                format!("adopted workloads are not rehearsed: Tandem only scales them: {}", workloads.join(", "))
            }
            Self::DataStood { data: None } => {
                "the data was not opened, and its service does not say how it stood".to_owned()
            }
            Self::DataStood { data: Some(data) } => {
                let lag = data.lag.map_or_else(
                    || "its lag is not known".to_owned(),
                    |lag| format!("{:.1} s behind", lag.as_secs_f64()),
                );
                let position = data.position.map_or_else(String::new, |position| format!(", at position {position}"));
                format!("the data was not opened: it was a {}, {lag}{position}", role(data.role))
            }
            Self::OtherReplica => {
                "the operator changed while it was measured: the time is a difference of wall clocks".to_owned()
            }
        }
    }

    fn chinese(&self) -> String {
        match self {
            Self::Rule(reason) => reason.sentence(crate::failover::Language::Chinese),
            Self::NothingToClone => "该组没有由 Tandem 生成的工作负载，无可演练".to_owned(),
            Self::NoQuota { environment, short } => {
                format!("环境 {environment} 的配额容不下演练副本：{short}；请提高配额，或减少同时演练的组")
            }
            Self::QuotaUnknown { environment } => format!("集群未说明环境 {environment} 的配额已用多少"),
            Self::NoRoom { site, short } => format!("站点 {site} 的节点容不下演练副本：{short}"),
            Self::Selected { services } => {
                format!("生产服务会把流量发给演练副本：{}；请改用单位自己的标签作选择器", services.join("、"))
            }
            Self::SecretsMissing { secrets } => format!("本站点缺少 Secret：{}；请在此创建", secrets.join("、")),
            Self::NotRendered { why } => format!("无法生成演练副本：{why}"),
            Self::ObjectRefused { why } => format!("集群不接受演练所需的对象：{why}"),
            Self::NotReady { seconds, waiting } => format!("{seconds} 秒后仍未就绪：{}", waiting.join("；")),
            Self::Deleted => "其 Failover 对象已被删除".to_owned(),
            Self::GroupGone => "该组已不再发布".to_owned(),
            Self::Adopted { workloads } => {
                format!("接管的工作负载不演练（Tandem 只调整其副本数）：{}", workloads.join("、"))
            }
            Self::DataStood { data: None } => "数据未打开，其服务也未说明数据状态".to_owned(),
            Self::DataStood { data: Some(data) } => {
                let lag =
                    data.lag.map_or_else(|| "滞后未知".to_owned(), |lag| format!("滞后 {:.1} 秒", lag.as_secs_f64()));
                let position = data.position.map_or_else(String::new, |position| format!("，位置 {position}"));
                format!("数据未打开：角色 {}，{lag}{position}", role(data.role))
            }
            Self::OtherReplica => "测量期间控制器副本已更换：所示时间为墙上时钟之差".to_owned(),
        }
    }
}

fn role(role: Role) -> &'static str {
    match role {
        Role::Active => "primary",
        Role::Quiesced => "quiesced primary",
        Role::Standby => "standby",
        Role::Fenced => "fenced former primary",
        Role::Unknown => "database of a role that cannot be told",
    }
}

impl From<&Cause> for Why {
    fn from(cause: &Cause) -> Self {
        Self { reason: cause.code().to_owned(), message: cause.english(), message_zh: cause.chinese() }
    }
}

impl From<Reason> for Cause {
    fn from(reason: Reason) -> Self {
        Self::Rule(reason)
    }
}
