//! The language in which people are told.

use clap::ValueEnum;
use tandem_core::failover::Language;

/// A language that can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Lang {
    /// English
    En,
    /// Chinese (简体中文)
    Zh,
}

impl Lang {
    /// The language that is asked for; else the one of the environment (`LC_ALL`, `LC_MESSAGES`, `LANG`, the first that is
    /// not empty), where English stands for all but Chinese.
    #[must_use]
    pub fn pick(asked: Option<Self>, environment: impl Fn(&str) -> Option<String>) -> Self {
        let found =
            || ["LC_ALL", "LC_MESSAGES", "LANG"].into_iter().filter_map(environment).find(|value| !value.is_empty());
        asked.unwrap_or_else(|| match found() {
            Some(value) if value.to_lowercase().starts_with("zh") => Self::Zh,
            _ => Self::En,
        })
    }

    /// One of two texts.
    #[must_use]
    pub fn say<T>(self, english: T, chinese: T) -> T {
        match self {
            Self::En => english,
            Self::Zh => chinese,
        }
    }

    /// The language as the failover machine names it.
    #[must_use]
    pub fn of_core(self) -> Language {
        self.say(Language::English, Language::Chinese)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_comes_first_then_the_environment() {
        let set = |pairs: &'static [(&str, &str)]| {
            move |name: &str| pairs.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned())
        };
        assert_eq!(Lang::pick(None, set(&[])), Lang::En);
        assert_eq!(Lang::pick(None, set(&[("LANG", "zh_CN.UTF-8")])), Lang::Zh);
        assert_eq!(Lang::pick(None, set(&[("LC_ALL", ""), ("LANG", "zh_CN.UTF-8")])), Lang::Zh);
        assert_eq!(Lang::pick(None, set(&[("LC_ALL", "C.UTF-8"), ("LANG", "zh_CN.UTF-8")])), Lang::En);
        assert_eq!(Lang::pick(Some(Lang::En), set(&[("LC_ALL", "zh_CN")])), Lang::En);
    }
}
