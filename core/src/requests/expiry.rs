//! When an environment is no longer needed: warnings, and nothing else. Nothing is deleted because a time has passed.

use jiff::{SignedDuration, Timestamp};
use tandem_crds::EnvironmentSpec;

use crate::failover::Language;

/// How many days before an expiry people are warned, where nothing else is configured.
pub const WARN_DAYS: [u16; 3] = [30, 7, 1];

/// How an environment stands with its expiry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expiry {
    /// It has none.
    Never,
    /// There is time.
    Far,
    /// It expires soon.
    Soon {
        /// When.
        at: Timestamp,
        /// Within how many days: the closest warning that was passed, so that it says the same until the next one.
        days: u16,
    },
    /// It has expired, and goes on.
    Expired {
        /// When it did.
        at: Timestamp,
    },
    /// The time cannot be read.
    Unreadable {
        /// What stands there.
        text: String,
    },
}

impl Expiry {
    /// What is to be said of it, if anything is.
    #[must_use]
    pub fn sentence(&self, language: Language) -> Option<String> {
        let english = language == Language::English;
        match self {
            Self::Never | Self::Far => None,
            Self::Soon { at, days } if english => {
                Some(format!("the environment expires at {at}, within {days} days; ask to extend or to delete it"))
            }
            Self::Soon { at, days } => Some(format!("环境将于 {at} 到期（{days} 天内），请申请延期或删除")),
            Self::Expired { at } if english => {
                Some(format!("the environment expired at {at}; nothing was deleted; ask to extend or to delete it"))
            }
            Self::Expired { at } => Some(format!("环境已于 {at} 到期，目前未删除任何内容，请申请延期或删除")),
            Self::Unreadable { text } if english => {
                Some(format!("the environment's expiry '{text}' is no time; correct spec.expiresAt"))
            }
            Self::Unreadable { text } => Some(format!("环境的到期时间“{text}”无效，请更正 spec.expiresAt")),
        }
    }
}

/// How an environment stands with its expiry now, with warnings that many days before.
#[must_use]
pub fn expiry(environment: &EnvironmentSpec, warn_days: &[u16], now: Timestamp) -> Expiry {
    let Some(text) = &environment.expires_at else { return Expiry::Never };
    let Ok(at) = text.parse::<Timestamp>() else { return Expiry::Unreadable { text: text.clone() } };
    let left = at.duration_since(now);
    if left <= SignedDuration::ZERO {
        return Expiry::Expired { at };
    }
    let passed = warn_days.iter().copied().filter(|warning| left <= days(*warning)).min();
    passed.map_or(Expiry::Far, |days| Expiry::Soon { at, days })
}

/// When [`expiry`] will say something else, by itself; `None` where it never does.
#[must_use]
pub fn next_look(environment: &EnvironmentSpec, warn_days: &[u16], now: Timestamp) -> Option<Timestamp> {
    let at: Timestamp = environment.expires_at.as_ref()?.parse().ok()?;
    let warnings = warn_days.iter().filter_map(|warning| at.checked_sub(days(*warning)).ok());
    warnings.chain([at]).filter(|moment| *moment > now).min()
}

fn days(days: u16) -> SignedDuration {
    SignedDuration::from_hours(24 * i64::from(days))
}
