//! The document: every rule in force, or what has changed since a moment.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tandem_crds::DisplayName;

use super::gap::Gap;
use super::history::{self, Moment, Objects, Subject};
use super::rule::{Place, Rule, Text};

/// What a document is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "PolicyHead")]
pub struct Head {
    /// The unit.
    pub unit: String,
    /// The unit's name for people.
    pub display_name: DisplayName,
    /// The environment; absent where all of the unit's are meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// When this was read.
    #[schemars(with = "String")]
    pub read_at: Timestamp,
    /// What else a reader has to know: what is not in force yet, what is not known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<Text>,
}

/// Every rule in force for a unit or an environment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Policies")]
pub struct Document {
    /// What it is about.
    #[serde(flatten)]
    pub head: Head,
    /// The rules, by area. One that is the same in several places stands once.
    pub rules: Vec<Rule>,
}

/// A rule whose value is another.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "PolicyChange")]
pub struct Changed {
    /// The rule as it is.
    pub rule: Rule,
    /// The value that it had.
    pub from: Value,
    /// What it said.
    pub said: Text,
}

/// The version that the past is compared at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "PolicyMoment")]
pub struct Against {
    /// The arbiter's revision of the newest version that counts.
    pub revision: i64,
    /// When that was published.
    #[schemars(with = "String")]
    pub at: Timestamp,
}

/// What has changed in what binds, since a moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "PolicyDifference")]
pub struct Difference {
    /// What it is about.
    #[serde(flatten)]
    pub head: Head,
    /// Since when.
    pub against: Against,
    /// Rules that were not in force then.
    pub added: Vec<Rule>,
    /// Rules that are in force no more. `set` says who took them away.
    pub removed: Vec<Rule>,
    /// Rules that have another value.
    pub changed: Vec<Changed>,
}

impl Document {
    /// The document of what is in force.
    ///
    /// # Errors
    /// [`Gap::NotPublished`] and [`Gap::Unreadable`], of the unit, the environment that is asked for, or a profile.
    pub fn of(objects: &Objects, head: Head) -> Result<Self, Gap> {
        let (rules, notes) = history::rules(objects, &head.subject())?;
        Ok(Self { head: head.with(notes), rules: merged(rules) })
    }
}

impl Difference {
    /// What has changed since a moment.
    ///
    /// # Errors
    /// Any [`Gap`]: what is not known of either side is never taken for nothing.
    pub fn since(objects: &Objects, head: Head, moment: Moment) -> Result<Self, Gap> {
        let (now, notes) = history::rules(objects, &head.subject())?;
        let then = history::at(objects, &head.subject(), moment)?;
        let mut before: BTreeMap<(String, Place), Rule> = keyed(then.rules);
        let (mut added, mut changed) = (Vec::new(), Vec::new());
        for (key, rule) in keyed(now) {
            match before.remove(&key) {
                None => added.push(rule),
                Some(was) if was.value != rule.value => {
                    changed.push(Changed { rule, from: was.value, said: was.sentence });
                }
                Some(_) => {}
            }
        }
        Ok(Self {
            head: head.with(notes.into_iter().chain(then.notes)),
            against: Against { revision: then.version.0, at: then.version.1 },
            added: merged(added),
            removed: merged(before.into_values().collect()),
            changed: merged_changes(changed),
        })
    }

    /// Whether nothing has changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.changed.is_empty()
    }
}

impl Head {
    fn subject(&self) -> Subject {
        Subject { unit: self.unit.clone(), environment: self.environment.clone() }
    }

    fn with(mut self, notes: impl IntoIterator<Item = Text>) -> Self {
        self.notes.extend(notes);
        self
    }
}

fn keyed(rules: Vec<Rule>) -> BTreeMap<(String, Place), Rule> {
    let key = |rule: &Rule| rule.key().map(|(id, place)| (id.to_owned(), place.clone()));
    rules.into_iter().filter_map(|rule| Some((key(&rule)?, rule))).collect()
}

/// Those that are the same but for where they hold become one, by area.
fn merged(rules: Vec<Rule>) -> Vec<Rule> {
    let mut all: Vec<Rule> = Vec::new();
    for mut rule in rules {
        let places = std::mem::take(&mut rule.places);
        let same = |other: &&mut Rule| Rule { places: Vec::new(), ..(*other).clone() } == rule;
        match all.iter_mut().filter(|other| other.id == rule.id).find(same) {
            Some(other) => other.places.extend(places),
            None => all.push(Rule { places, ..rule }),
        }
    }
    let order = order(all.iter());
    all.sort_by_key(|rule| (rule.area, order[&rule.id]));
    all
}

/// Where each id stands first, so that one rule's values in several places stay together.
fn order<'a>(rules: impl Iterator<Item = &'a Rule>) -> BTreeMap<String, usize> {
    let mut order = BTreeMap::new();
    for (n, rule) in rules.enumerate() {
        order.entry(rule.id.clone()).or_insert(n);
    }
    order
}

fn merged_changes(changes: Vec<Changed>) -> Vec<Changed> {
    let mut all: Vec<Changed> = Vec::new();
    for mut change in changes {
        let places = std::mem::take(&mut change.rule.places);
        let same = |other: &&mut Changed| {
            let bare = Rule { places: Vec::new(), ..other.rule.clone() };
            Changed { rule: bare, ..(*other).clone() } == change
        };
        match all.iter_mut().filter(|other| other.rule.id == change.rule.id).find(same) {
            Some(other) => other.rule.places.extend(places),
            None => {
                change.rule.places = places;
                all.push(change);
            }
        }
    }
    let order = order(all.iter().map(|change| &change.rule));
    all.sort_by_key(|change| (change.rule.area, order[&change.rule.id]));
    all
}
