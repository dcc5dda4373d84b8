//! Why somebody may not do something with a request, with a sentence for people in both languages.

use tandem_crds::{DecisionRole, RequestType};

use super::{Role, Standing};
use crate::failover::Language;

/// Why somebody may not do something with a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There is no such request, as far as the asker is concerned.
    NotFound,
    /// Nobody knows who asks.
    Nameless,
    /// The asker goes by a name that is Tandem's own.
    ReservedName {
        /// The name.
        name: String,
    },
    /// Auditors write nothing, whatever else they are.
    AuditorWrites,
    /// It takes a role that the asker has not.
    RoleLacking {
        /// One of these would do.
        wanted: Vec<Role>,
    },
    /// It is asked in another's name.
    OtherRequester {
        /// In whose name.
        requester: String,
    },
    /// Nobody decides their own request.
    OwnRequest,
    /// One person decides once.
    AlreadyDecided {
        /// In which role they have decided.
        role: DecisionRole,
    },
    /// Somebody else has decided in that role.
    RoleHasDecided {
        /// The role.
        role: DecisionRole,
        /// Who has.
        by: String,
    },
    /// The security profile asks for no security decision.
    SecurityNotAsked,
    /// The request is not what the decision speaks of.
    ContentMoved,
    /// The request is decided or taken back already.
    Over {
        /// How it stands.
        standing: Standing,
    },
    /// It is no deletion that could be called off.
    NotADeletion {
        /// What it is.
        kind: RequestType,
    },
    /// The deletion was not approved: nothing is to be called off.
    NotApproved,
    /// The grace period is over.
    GraceOver,
    /// What makes a request what it is cannot be amended.
    Identity {
        /// The field.
        field: &'static str,
    },
    /// A new request comes with what only others may write.
    NotFresh,
    /// A time that is no time.
    NoTime {
        /// The text.
        text: String,
    },
    /// The time has passed.
    TimePassed {
        /// The time.
        until: String,
    },
}

impl Refusal {
    /// The code, for answers and metrics.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotFound => "NotFound",
            Self::Nameless => "Nameless",
            Self::ReservedName { .. } => "ReservedName",
            Self::AuditorWrites => "AuditorWrites",
            Self::RoleLacking { .. } => "RoleLacking",
            Self::OtherRequester { .. } => "OtherRequester",
            Self::OwnRequest => "OwnRequest",
            Self::AlreadyDecided { .. } => "AlreadyDecided",
            Self::RoleHasDecided { .. } => "RoleHasDecided",
            Self::SecurityNotAsked => "SecurityNotAsked",
            Self::ContentMoved => "ContentMoved",
            Self::Over { .. } => "Over",
            Self::NotADeletion { .. } => "NotADeletion",
            Self::NotApproved => "NotApproved",
            Self::GraceOver => "GraceOver",
            Self::Identity { .. } => "Identity",
            Self::NotFresh => "NotFresh",
            Self::NoTime { .. } => "NoTime",
            Self::TimePassed { .. } => "TimePassed",
        }
    }

    /// The sentence.
    #[must_use]
    pub fn sentence(&self, language: Language) -> String {
        match language {
            Language::English => self.english(),
            Language::Chinese => self.chinese(),
        }
    }

    fn english(&self) -> String {
        match self {
            Self::NotFound => "there is no such request".to_owned(),
            Self::Nameless => "nobody knows who asks; sign in with an account that has a name".to_owned(),
            Self::ReservedName { name } => {
                format!("'{name}' is a name of Tandem's own; sign in with a person's account")
            }
            Self::AuditorWrites => {
                "an auditor writes nothing; have somebody do it who has no auditor's role".to_owned()
            }
            Self::RoleLacking { wanted } => {
                let roles: Vec<&str> = wanted.iter().map(|role| role.as_str()).collect();
                format!("this takes one of these roles: {}", roles.join(", "))
            }
            Self::OtherRequester { requester } => {
                format!("the request is {requester}'s; nobody asks or amends in another's name")
            }
            Self::OwnRequest => "nobody decides their own request; have somebody else decide".to_owned(),
            Self::AlreadyDecided { role } => {
                format!("you have decided as {} already; the other decision must be another person's", role.as_str())
            }
            Self::RoleHasDecided { role, by } => format!("{by} has decided as {} already", role.as_str()),
            Self::SecurityNotAsked => {
                "the security profile asks for no security decision; a platform operator decides".to_owned()
            }
            Self::ContentMoved => "the request was amended since you read it; read it again and decide anew".to_owned(),
            Self::Over { standing } => {
                format!("the request stands as {}; make another request", standing.phase().as_str())
            }
            Self::NotADeletion { kind } => {
                format!(
                    "only an approved deletion can be called off, and this is {}; make another request",
                    kind.as_str()
                )
            }
            Self::NotApproved => "the deletion is not approved; withdraw the request instead".to_owned(),
            Self::GraceOver => "the grace period is over and the environment is being removed".to_owned(),
            Self::Identity { field } => format!("{field} cannot be amended; withdraw this request and make another"),
            Self::NotFresh => {
                "a new request has no id, decisions, withdrawal nor completion; leave them out".to_owned()
            }
            Self::NoTime { text } => format!("'{text}' is no time; write it like 2027-06-30T00:00:00+08:00"),
            Self::TimePassed { until } => format!("{until} has passed; name a time to come"),
        }
    }

    fn chinese(&self) -> String {
        match self {
            Self::NotFound => "该申请不存在".to_owned(),
            Self::Nameless => "无法确认操作人身份，请使用具名账户登录".to_owned(),
            Self::ReservedName { name } => format!("“{name}”为系统保留名称，请使用个人账户登录"),
            Self::AuditorWrites => "审计管理员不得进行任何写操作，请由不具审计角色的人员办理".to_owned(),
            Self::RoleLacking { wanted } => {
                let roles: Vec<&str> = wanted.iter().map(|role| role.chinese()).collect();
                format!("此操作需要以下角色之一：{}", roles.join("、"))
            }
            Self::OtherRequester { requester } => format!("该申请由 {requester} 提出，不得以他人名义提出或修改"),
            Self::OwnRequest => "本人不得审批自己的申请，请由他人审批".to_owned(),
            Self::AlreadyDecided { role } => {
                format!("您已以{}身份作出决定，另一决定须由他人作出", Role::from(*role).chinese())
            }
            Self::RoleHasDecided { role, by } => format!("{by} 已以{}身份作出决定", Role::from(*role).chinese()),
            Self::SecurityNotAsked => "安全策略不要求安全审批，由系统管理员审批即可".to_owned(),
            Self::ContentMoved => "申请内容在您查看之后已被修改，请重新查看后再作决定".to_owned(),
            Self::Over { standing } => format!("该申请{}，如有需要请重新申请", standing.chinese()),
            Self::NotADeletion { kind } => {
                format!("仅已批准的删除申请可以撤销，本申请为{}，请另行申请", kind_chinese(*kind))
            }
            Self::NotApproved => "删除申请尚未批准，请改为撤回申请".to_owned(),
            Self::GraceOver => "宽限期已过，环境正在清除".to_owned(),
            Self::Identity { field } => format!("{field} 不可修改，请撤回本申请后重新提出"),
            Self::NotFresh => "新申请不得带有标识、审批、撤回或完成记录，请去掉这些内容".to_owned(),
            Self::NoTime { text } => format!("“{text}”不是有效时间，请按 2027-06-30T00:00:00+08:00 的格式填写"),
            Self::TimePassed { until } => format!("时间 {until} 已过，请填写将来的时间"),
        }
    }
}

/// What a request is, in Chinese.
#[must_use]
pub fn kind_chinese(kind: RequestType) -> &'static str {
    match kind {
        RequestType::Create => "新建申请",
        RequestType::Resize => "扩缩容申请",
        RequestType::Extend => "延期申请",
        RequestType::Delete => "删除申请",
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.english())
    }
}

impl std::error::Error for Refusal {}
