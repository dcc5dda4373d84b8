//! Which requests a rule approves: those that shrink, and those that grow by little while the use is high.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use tandem_crds::{
    Decision, DecisionOutcome, DecisionRole, Environment, EnvironmentRequest, EnvironmentRequestSpec, RequestType,
};

use super::standing::{Standing, content_digest, standing};
use crate::check::amounts_of;
use crate::failover::Language;
use crate::ledger::{Amounts, Resource};

/// Who decides where a rule does. Nobody signs in by this name.
pub const RULE: &str = "tandem:rule";

/// What the rules may approve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RuleSettings {
    /// Whether what only shrinks is approved.
    pub shrinking: bool,
    /// The most that a resource may grow, in per cent of what the environment has; 0 approves no growth.
    pub max_growth_per_cent: u64,
    /// The use from which on a resource may grow, in per cent of what the environment has.
    pub high_use_per_cent: u64,
    /// How old a report of the use may be.
    pub use_max_age: SignedDuration,
    /// How long after a growth by rule the next has to wait: small steps would else add up to a large one unseen.
    pub growth_interval: SignedDuration,
}

impl Default for RuleSettings {
    /// Shrinking, and 20 % once a month where 80 % are in use, as reported within the last hour.
    fn default() -> Self {
        Self {
            shrinking: true,
            max_growth_per_cent: 20,
            high_use_per_cent: 80,
            use_max_age: SignedDuration::from_hours(1),
            growth_interval: SignedDuration::from_hours(30 * 24),
        }
    }
}

impl RuleSettings {
    /// No rule approves anything.
    #[must_use]
    pub fn none() -> Self {
        Self { shrinking: false, max_growth_per_cent: 0, ..Self::default() }
    }
}

/// What an environment uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Use {
    /// How much, at the site where it uses most.
    pub amounts: Amounts,
    /// When that was seen.
    pub at: Timestamp,
}

/// What the rules have to know. What is missing sends the request to a person.
#[derive(Clone, Copy, Debug)]
pub struct RuleFacts<'a> {
    /// Whether a security decision is demanded.
    pub demands_security: bool,
    /// The environment as it is.
    pub environment: Option<&'a Environment>,
    /// What it uses.
    pub used: Option<Use>,
    /// When it last grew by rule, see [`last_growth`].
    pub last_growth: Option<Timestamp>,
    /// Now.
    pub now: Timestamp,
}

/// Which rule approves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// Nothing grows, and what is used fits.
    Shrinks,
    /// What grows grows by little, and is used up.
    GrowsByLittle,
}

/// Why a person has to decide.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Person {
    /// No rule is about such requests.
    Kind(RequestType),
    /// The request waits for nobody.
    NotPending,
    /// The security profile demands two people.
    SecurityDemanded,
    /// Applications come with it.
    Applications,
    /// The environment is not there, or being deleted.
    NoEnvironment,
    /// A quota cannot be read.
    Unreadable,
    /// Rules of this sort are switched off.
    Off,
    /// What is used is not known, or not lately.
    UseUnknown,
    /// More is in use than would be left.
    BelowUse(Resource),
    /// It grows by more than a rule may allow.
    TooMuch(Resource),
    /// It is not used up.
    NotUsed(Resource),
    /// It grew by rule not long ago.
    TooSoon,
}

impl Rule {
    /// What stands with the decision, in the language.
    #[must_use]
    pub fn sentence(self, language: Language) -> String {
        let text = match (self, language) {
            (Self::Shrinks, Language::English) => "approved by rule: nothing grows, and what is in use fits",
            (Self::Shrinks, Language::Chinese) => "按规则自动批准：各项均未增加，且满足当前用量",
            (Self::GrowsByLittle, Language::English) => "approved by rule: it grows by little, and the use is high",
            (Self::GrowsByLittle, Language::Chinese) => "按规则自动批准：增幅较小，且当前用量较高",
        };
        text.to_owned()
    }
}

impl Person {
    /// Why no rule decides, in the language.
    #[must_use]
    pub fn sentence(&self, language: Language) -> String {
        let english = language == Language::English;
        match self {
            Self::Kind(kind) if english => format!("a person decides: no rule is about {}", kind.as_str()),
            Self::Kind(kind) => format!("须人工审批：{}不适用自动规则", super::refusal::kind_chinese(*kind)),
            Self::BelowUse(of) if english => format!("a person decides: more {of} is in use than would be left"),
            Self::BelowUse(of) => format!("须人工审批：{of} 的当前用量超过申请后的配额"),
            Self::TooMuch(of) if english => format!("a person decides: {of} grows by more than a rule may allow"),
            Self::TooMuch(of) => format!("须人工审批：{of} 的增幅超过自动规则的上限"),
            Self::NotUsed(of) if english => format!("a person decides: {of} grows, but is not used up"),
            Self::NotUsed(of) => format!("须人工审批：{of} 的当前用量不足以说明需要扩容"),
            plain => plain.plain(english).to_owned(),
        }
    }

    fn plain(&self, english: bool) -> &'static str {
        let (en, zh) = match self {
            Self::NotPending => ("the request waits for no decision", "该申请无需审批"),
            Self::SecurityDemanded => (
                "people decide: the security profile demands a platform and a security decision",
                "须人工审批：安全策略要求系统管理员与安全管理员分别审批",
            ),
            Self::Applications => ("a person decides: applications come with it", "须人工审批：申请中包含应用"),
            Self::NoEnvironment => (
                "a person decides: the environment is not there or is being deleted",
                "须人工审批：环境不存在或正在删除",
            ),
            Self::Off => ("a person decides: the rules are switched off", "须人工审批：自动规则未启用"),
            Self::UseUnknown => ("a person decides: what is in use is not known", "须人工审批：当前用量未知"),
            Self::TooSoon => ("a person decides: it grew by rule not long ago", "须人工审批：近期已按规则扩容"),
            _ => ("a person decides: a quota cannot be read", "须人工审批：配额无法读取"),
        };
        if english { en } else { zh }
    }
}

/// Whether a rule approves a request.
///
/// # Errors
/// [`Person`]: why a person has to decide.
pub fn by_rule(
    request: &EnvironmentRequestSpec,
    facts: RuleFacts<'_>,
    settings: &RuleSettings,
) -> Result<Rule, Person> {
    if request.kind != RequestType::Resize {
        return Err(Person::Kind(request.kind));
    }
    if !matches!(standing(request, facts.demands_security), Standing::Pending { .. }) {
        return Err(Person::NotPending);
    }
    if facts.demands_security {
        return Err(Person::SecurityDemanded);
    }
    if !request.applications.is_empty() {
        return Err(Person::Applications);
    }
    let environment = facts
        .environment
        .filter(|environment| environment.spec.unit == request.unit && environment.spec.delete_after.is_none())
        .ok_or(Person::NoEnvironment)?;
    let before = amounts_of(&environment.spec.quota).ok_or(Person::Unreadable)?;
    let after = request.quota.as_ref().and_then(amounts_of).ok_or(Person::Unreadable)?;
    let grows: Vec<Resource> = Resource::ALL.into_iter().filter(|of| after.get(*of) > before.get(*of)).collect();
    let on = if grows.is_empty() { settings.shrinking } else { settings.max_growth_per_cent > 0 };
    if !on {
        return Err(Person::Off);
    }
    let used = lately(facts, settings).ok_or(Person::UseUnknown)?;
    if let Some(of) = Resource::ALL.into_iter().find(|of| used.get(*of) > after.get(*of)) {
        return Err(Person::BelowUse(of));
    }
    if grows.is_empty() {
        return Ok(Rule::Shrinks);
    }
    for of in grows {
        let (before, after, used) = (before.get(of), after.get(of), used.get(of));
        // In 128 bits nothing overflows: amounts and settings have 64.
        let share = |part: u64, per_cent: u64| u128::from(part) * 100 >= u128::from(before) * u128::from(per_cent);
        let growth = u128::from(after - before) * 100;
        if growth > u128::from(before) * u128::from(settings.max_growth_per_cent) {
            return Err(Person::TooMuch(of));
        }
        if !share(used, settings.high_use_per_cent) {
            return Err(Person::NotUsed(of));
        }
    }
    let waits = |last: Timestamp| facts.now.duration_since(last) < settings.growth_interval;
    if facts.last_growth.is_some_and(waits) { Err(Person::TooSoon) } else { Ok(Rule::GrowsByLittle) }
}

/// The use, where it was seen lately. A time to come is no time at which something was seen.
fn lately(facts: RuleFacts<'_>, settings: &RuleSettings) -> Option<Amounts> {
    let used = facts.used?;
    let age = facts.now.duration_since(used.at);
    (!age.is_negative() && age <= settings.use_max_age).then_some(used.amounts)
}

/// The request with the rule's decision.
#[must_use]
pub fn decided_by_rule(request: &EnvironmentRequestSpec, rule: Rule, now: Timestamp) -> EnvironmentRequestSpec {
    let mut next = request.clone();
    next.decisions.push(Decision {
        role: DecisionRole::Platform,
        outcome: DecisionOutcome::Approve,
        by: RULE.to_owned(),
        at: Time(now),
        digest: content_digest(request),
        note: format!("{} / {}", rule.sentence(Language::English), rule.sentence(Language::Chinese)),
    });
    next
}

/// When an environment last was approved by rule, by the requests that are kept. A shrinkage counts too: what is a growth and
/// what is not depends on what there was before.
#[must_use]
pub fn last_growth<'a>(
    environment: &str,
    requests: impl IntoIterator<Item = &'a EnvironmentRequest>,
) -> Option<Timestamp> {
    let of = requests.into_iter().filter(|request| request.spec.environment == environment);
    of.flat_map(|request| &request.spec.decisions).filter(|decision| decision.by == RULE).map(|d| d.at.0).max()
}
