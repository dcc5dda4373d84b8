//! A check and what came of it.

use crate::exit::Exit;
use serde::Serialize;

/// How a check ended, the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Grade {
    /// It has to be mended.
    Fail,
    /// It works, and should be looked at.
    Warn,
    /// It could not be seen from here: nothing is known.
    Skip,
    /// It was seen, and is as it should be.
    Ok,
}

impl Grade {
    /// As it is written.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Fail => "FAIL",
            Self::Warn => "WARN",
            Self::Skip => "SKIP",
            Self::Ok => "OK",
        }
    }
}

/// One check, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Check {
    /// What is checked, in a word that stays the same.
    pub name: &'static str,
    /// Where: a site, `sites` for what they have to agree on, `arbiter`, or an address.
    pub place: String,
    /// How it ended.
    pub grade: Grade,
    /// What is so.
    pub finding: String,
    /// The same in Chinese.
    pub finding_zh: String,
    /// How to mend it; empty where nothing is to be done.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub mend: String,
    /// The same in Chinese.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub mend_zh: String,
}

impl Check {
    fn new(name: &'static str, place: &str, grade: Grade, en: String, zh: String) -> Self {
        let (mend, mend_zh) = (String::new(), String::new());
        Self { name, place: place.to_owned(), grade, finding: en, finding_zh: zh, mend, mend_zh }
    }

    /// It is as it should be.
    pub(super) fn ok(name: &'static str, place: &str, en: impl Into<String>, zh: impl Into<String>) -> Self {
        Self::new(name, place, Grade::Ok, en.into(), zh.into())
    }

    /// It could not be seen.
    pub(super) fn skip(name: &'static str, place: &str, en: impl Into<String>, zh: impl Into<String>) -> Self {
        Self::new(name, place, Grade::Skip, en.into(), zh.into())
    }

    /// It works, and should be looked at.
    pub(super) fn warn(name: &'static str, place: &str, en: impl Into<String>, zh: impl Into<String>) -> Self {
        Self::new(name, place, Grade::Warn, en.into(), zh.into())
    }

    /// It has to be mended.
    pub(super) fn fail(name: &'static str, place: &str, en: impl Into<String>, zh: impl Into<String>) -> Self {
        Self::new(name, place, Grade::Fail, en.into(), zh.into())
    }

    /// How to mend it.
    pub(super) fn mend(mut self, en: impl Into<String>, zh: impl Into<String>) -> Self {
        (self.mend, self.mend_zh) = (en.into(), zh.into());
        self
    }
}

/// The exit code: what was not seen fails nothing, but where nobody answered nothing is known at all.
#[must_use]
pub fn exit(checks: &[Check], anybody: bool) -> Exit {
    if !anybody {
        return Exit::Cluster;
    }
    if checks.iter().any(|check| check.grade == Grade::Fail) { Exit::Refused } else { Exit::Ok }
}
