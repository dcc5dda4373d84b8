//! Why what binds cannot be told.

use jiff::Timestamp;

use crate::failover::Language;
use crate::sync::ObjectKey;

/// Why what binds cannot be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Gap {
    /// The object is not published, so that nothing of it is in force.
    NotPublished(ObjectKey),
    /// What is published of the object, or was, cannot be read.
    Unreadable(ObjectKey),
    /// No version is kept of anything that binds the subject.
    NothingKept,
    /// The moment is before the oldest version that is kept.
    TooEarly {
        /// When that was published.
        since: Timestamp,
        /// Its revision.
        revision: i64,
    },
    /// At that moment the object was not there, or nothing is kept of it from then.
    NotThen(ObjectKey),
}

impl Gap {
    /// Why, and what can be done about it.
    #[must_use]
    pub fn sentence(&self, language: Language) -> String {
        let english = language == Language::English;
        match self {
            Self::NotPublished(key) if english => {
                format!("{key} is not published, so that nothing of it is in force; its status says why")
            }
            Self::NotPublished(key) => format!("{key} 尚未发布，因而没有任何规则生效；原因见其状态"),
            Self::Unreadable(key) if english => {
                format!("what is published of {key} cannot be read here: ask the API of a newer release")
            }
            Self::Unreadable(key) => format!("此处无法读取 {key} 的发布内容：请使用更新版本的接口"),
            Self::NothingKept if english => {
                "no version is kept of anything that binds here: what was before cannot be told".to_owned()
            }
            Self::NothingKept => "此处没有保存任何版本，无法得知此前的规则".to_owned(),
            Self::TooEarly { since, revision } if english => {
                format!(
                    "is before the oldest version that is kept, which is of {since} (revision {revision}): name a \
                        later one"
                )
            }
            Self::TooEarly { since, revision } => {
                format!("早于保存的最早版本 {since}（修订号 {revision}）：请指定更晚的时点")
            }
            Self::NotThen(key) if english => {
                format!("{key} was not there at that moment, or nothing of it is kept from then: name a later one")
            }
            Self::NotThen(key) => format!("{key} 在该时点不存在或没有保存版本：请指定更晚的时点"),
        }
    }
}
