//! Whether entries are a chain, and where the first link is broken.

use super::entry::{Entry, Head, VERSION};
use crate::failover::Language;

/// The first broken link of a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// The number of the entry at which the chain breaks: that which should stand there.
    pub seq: u64,
    /// What is wrong there.
    pub why: Flaw,
}

/// What is wrong with a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// The number is another one: entries are missing, doubled or out of order.
    Number {
        /// The number found.
        found: u64,
    },
    /// The entry is of another site's chain.
    Site {
        /// The site found.
        found: String,
    },
    /// The entry does not hang on the one before: one of the two was changed, or something between them is missing.
    Previous,
    /// The entry does not hash to what was written beside it: it was changed.
    Hash,
    /// The chain does not have the hash that is known of it from elsewhere: it was written anew.
    Anchor,
    /// It says that it completes an entry which does not come before it.
    Completes {
        /// The number of that entry.
        begun: u64,
    },
    /// It is of a version that this release does not know.
    Version {
        /// The version found.
        found: String,
    },
    /// It cannot be read as what should stand there.
    Unreadable,
    /// It is not written as Tandem writes it.
    NotCanonical,
    /// There is no entry.
    Empty,
    /// The end is missing.
    Truncated,
    /// Something stands behind the end.
    BehindTheEnd,
}

impl Flaw {
    /// The sentence.
    #[must_use]
    pub fn sentence(&self, language: Language) -> String {
        let english = language == Language::English;
        match self {
            Self::Number { found } if english => {
                format!("entry {found} stands there; entries are missing, doubled or out of order")
            }
            Self::Number { found } => format!("此处为第 {found} 条，记录缺失、重复或次序有误"),
            Self::Site { found } if english => format!("it is of the chain of site {found}"),
            Self::Site { found } => format!("该记录属于站点 {found} 的链"),
            Self::Completes { begun } if english => {
                format!("it completes entry {begun}, which does not come before it")
            }
            Self::Completes { begun } => format!("它所完成的第 {begun} 条不在其前"),
            Self::Version { found } if english => {
                format!("version {found} is unknown (this release knows {VERSION}); verify with a newer release")
            }
            Self::Version { found } => format!("版本 {found} 未知（本程序支持 {VERSION}），请使用更新的程序校验"),
            plain => plain.plain(english).to_owned(),
        }
    }

    fn plain(&self, english: bool) -> &'static str {
        let (en, zh) = match self {
            Self::Previous => (
                "it does not hang on the entry before: one of the two was changed, or something between them is missing",
                "与前一条不相衔接：其中一条被改动，或中间有缺失",
            ),
            Self::Hash => {
                ("it does not hash to what was written beside it: it was changed", "与所附哈希值不符：内容被改动")
            }
            Self::Anchor => (
                "the chain has not the hash that is known of it from elsewhere: it was written anew",
                "与另行保存的哈希值不符：整条链被重写",
            ),
            Self::NotCanonical => ("it is not written as Tandem writes it: it was changed", "书写形式有误：内容被改动"),
            Self::Empty => ("there is no entry", "没有任何记录"),
            Self::Truncated => ("the end is missing: the file was cut off", "缺少结尾：文件不完整"),
            Self::BehindTheEnd => ("something stands behind the end", "结尾之后还有内容"),
            _ => ("it cannot be read: it was changed", "无法读取：内容被改动"),
        };
        if english { en } else { zh }
    }
}

impl Broken {
    /// The sentence, with the number of the link.
    #[must_use]
    pub fn sentence(&self, language: Language) -> String {
        let why = self.why.sentence(language);
        match language {
            Language::English => format!("the chain breaks at entry {}: {why}", self.seq),
            Language::Chinese => format!("审计链在第 {} 条断开：{why}", self.seq),
        }
    }
}

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.sentence(Language::English))
    }
}

impl std::error::Error for Broken {}

/// Looks at the entry that should follow `head`; returns the head after it.
///
/// # Errors
/// [`Broken`] with the number that should stand there.
pub fn link(head: &Head, site: &str, entry: &Entry) -> Result<Head, Broken> {
    let seq = head.seq + 1;
    let broken = |why| Err(Broken { seq, why });
    if entry.version != VERSION {
        return broken(Flaw::Version { found: entry.version.to_string() });
    }
    if entry.seq != seq {
        return broken(Flaw::Number { found: entry.seq });
    }
    if entry.site != site {
        return broken(Flaw::Site { found: entry.site.clone() });
    }
    if entry.previous != head.hash {
        return broken(Flaw::Previous);
    }
    if let Some(begun) = entry.begun.filter(|begun| *begun == 0 || *begun >= seq) {
        return broken(Flaw::Completes { begun });
    }
    Ok(entry.head())
}

/// Verifies that entries follow `start` one by one; returns the head after the last.
///
/// That tells that nothing was changed, left out or added in between. Whether it is *the* chain tells a head that is known
/// from elsewhere: compare.
///
/// # Errors
/// [`Broken`]: the first broken link.
pub fn verify<'a>(start: &Head, site: &str, entries: impl IntoIterator<Item = &'a Entry>) -> Result<Head, Broken> {
    entries.into_iter().try_fold(start.clone(), |head, entry| link(&head, site, entry))
}

/// The numbers of entries that say something was begun and that no later one completes, in order: what was under way when
/// somebody died, and is to be looked after.
#[must_use]
pub fn unfinished<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> Vec<u64> {
    let mut open = std::collections::BTreeSet::new();
    for entry in entries {
        if entry.outcome == super::Outcome::Begun {
            open.insert(entry.seq);
        }
        if let Some(begun) = entry.begun {
            open.remove(&begun);
        }
    }
    open.into_iter().collect()
}
