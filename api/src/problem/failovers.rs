//! Why a failover is not made or changed, as things stand.

use std::collections::BTreeSet;
use tandem_core::failover::Language;
use tandem_crds::{FailoverPhase, Why};

/// Why a failover is not made or changed, as things stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Declined {
    /// The site's operator refused it.
    Operator(Why),
    /// Every group that is selected is there already.
    NothingToMove {
        /// Where.
        to: String,
    },
    /// Nobody agrees to what they asked for themselves.
    OwnRequest,
    /// It has ended.
    Ended {
        /// How.
        phase: FailoverPhase,
    },
    /// Nobody asked for it: it began by itself.
    Automatic,
    /// It was asked to wait at another site too.
    PausedElsewhere {
        /// Where.
        sites: BTreeSet<String>,
    },
}

impl Declined {
    /// Why, in one word.
    #[must_use]
    pub fn code(&self) -> &str {
        match self {
            Self::Operator(why) => &why.reason,
            Self::NothingToMove { .. } => "NothingToMove",
            Self::OwnRequest => "OwnRequest",
            Self::Ended { .. } => "Ended",
            Self::Automatic => "Automatic",
            Self::PausedElsewhere { .. } => "PausedElsewhere",
        }
    }

    /// Why, in a sentence.
    #[must_use]
    pub fn sentence(&self, language: Language) -> String {
        match language {
            Language::English => self.english(),
            Language::Chinese => self.chinese(),
        }
    }

    fn english(&self) -> String {
        match self {
            Self::Operator(why) => {
                format!("the failover was refused and nothing was touched: {}; ask anew with another key", said(why))
            }
            Self::NothingToMove { to } => {
                format!("every group that is selected is active at {to} already: there is nothing to move")
            }
            Self::OwnRequest => {
                "nobody agrees to a failover that they asked for themselves; have somebody else agree".to_owned()
            }
            Self::Ended { phase } => {
                format!("it has ended as {}: nothing of it can be changed any more", phase.as_str())
            }
            Self::Automatic => {
                "it began by itself, and nobody is heard on what nobody asked for; a hold stops what has \
                not been promoted yet (tandem hold set)"
                    .to_owned()
            }
            Self::PausedElsewhere { sites } => format!(
                "it still waits, because it was asked to at {} as well; resume it there too",
                sites.iter().map(String::as_str).collect::<Vec<_>>().join(" and ")
            ),
        }
    }

    fn chinese(&self) -> String {
        match self {
            Self::Operator(why) if why.message_zh.is_empty() => {
                format!("切换请求被拒绝（{}），未作任何改动：{}；请使用新的键重新申请", why.reason, said(why))
            }
            Self::Operator(why) => format!("切换请求被拒绝，未作任何改动：{}；请使用新的键重新申请", why.message_zh),
            Self::NothingToMove { to } => format!("所选各组的主用站点已是 {to}，无需切换"),
            Self::OwnRequest => "本人不得批准自己申请的切换，请由他人批准".to_owned(),
            Self::Ended { phase } => format!("该切换已结束（{}），不能再作更改", phase.as_str()),
            Self::Automatic => {
                "该切换由系统自动发起，无人申请，因而不接受批准、中止或暂停；可用冻结阻止尚未提升的组（tandem hold set）"
                    .to_owned()
            }
            Self::PausedElsewhere { sites } => format!(
                "该切换仍在等待：在 {} 也有人要求暂停；请在该站点恢复",
                sites.iter().map(String::as_str).collect::<Vec<_>>().join("、")
            ),
        }
    }
}

/// What the operator said; the word where it gave no sentence.
fn said(why: &Why) -> &str {
    if why.message.is_empty() { &why.reason } else { &why.message }
}
