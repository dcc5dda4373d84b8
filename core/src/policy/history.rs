//! What binds, now and at an earlier moment, from the objects and their versions; and which version brought each rule.
//!
//! Rules are rendered part by part (the unit, each environment, each application) at every version of the objects that the part
//! follows from, and compared by id and value: a quota that was written another way, or a profile of another name that says the
//! same, is no new rule.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tandem_crds::{Kind, SecurityProfileSpec};

use super::bound::{ApplicationBound, EnvironmentBound, UnitBound};
use super::gap::Gap;
use super::rule::{Rule, Set, Text};
use super::rules;
use super::version::Version;
use crate::sync::{ObjectKey, Versioned};

/// An object: what of it binds as it is published now, and the versions that are kept, oldest first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Kept {
    /// See [`binding`](super::binding); `None` where the object is not published, or was deleted.
    pub now: Option<Value>,
    /// The versions. An object without any is as it was before versions were kept.
    pub versions: Vec<Versioned<Version>>,
}

/// A unit's objects: itself, its environments, their applications, and every profile that any of their versions names.
pub type Objects = BTreeMap<ObjectKey, Kept>;

/// Whose rules are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// The unit.
    pub unit: String,
    /// One of its environments; all where none is named.
    pub environment: Option<String>,
}

/// A moment of the past.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Right after this revision of the arbiter's.
    Revision(i64),
    /// By the publishers' wall clocks.
    Time(Timestamp),
}

/// A part of what binds.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Unit,
    /// What an environment has of its profile.
    Profile(String),
    /// What it has whatever its profile.
    Environment(String),
    Application(String, String),
}

/// Where in time.
#[derive(Clone, Copy)]
enum When {
    Now,
    Right(i64),
}

/// The security profiles that the unit and its environments name or named: those whose versions are needed too.
#[must_use]
pub fn profiles_named(objects: &Objects) -> BTreeSet<String> {
    let says = |kept: &Kept| -> Vec<Value> {
        kept.now.iter().chain(kept.versions.iter().filter_map(|version| version.value.says.as_ref())).cloned().collect()
    };
    objects
        .iter()
        .filter(|(key, _)| matches!(key.kind, Kind::Unit | Kind::Environment))
        .flat_map(|(_, kept)| says(kept))
        .filter_map(|says| says.get("securityProfile")?.as_str().map(str::to_owned))
        .collect()
}

/// Every rule in force, each with who set it and since when; and what else a reader has to know.
///
/// # Errors
/// [`Gap::NotPublished`] and [`Gap::Unreadable`], of the unit, the environment that is asked for, or a profile.
pub(super) fn rules(objects: &Objects, subject: &Subject) -> Result<(Vec<Rule>, Vec<Text>), Gap> {
    let past = Past { objects, subject };
    for key in past.roots() {
        if objects.get(&key).is_none_or(|kept| kept.now.is_none()) {
            return Err(Gap::NotPublished(key));
        }
    }
    let (mut all, mut notes) = (Vec::new(), Vec::new());
    for part in past.parts() {
        let mut rules = past.own(&part, When::Now)?;
        let traced = past.trace(&part);
        for rule in rules.iter_mut().filter(|rule| rule.set != Set::BuiltIn) {
            rule.set = traced.brought(rule);
        }
        notes.extend(past.strays(&part, &rules)?);
        all.extend(rules);
    }
    let mut said = Vec::new();
    notes.retain(|note| {
        !said.contains(note) && {
            said.push(note.clone());
            true
        }
    });
    Ok((all, notes))
}

/// What was in force at a moment.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Then {
    /// The newest version that counts: its revision and when it was published.
    pub(super) version: (i64, Timestamp),
    pub(super) rules: Vec<Rule>,
    pub(super) notes: Vec<Text>,
}

/// Every rule that was in force at a moment. Of a rule that has gone since, `set` says who took it away.
///
/// # Errors
/// [`Gap::NothingKept`], [`Gap::TooEarly`], [`Gap::NotThen`] and [`Gap::Unreadable`]: what is not known is never taken for
/// nothing.
pub(super) fn at(objects: &Objects, subject: &Subject, moment: Moment) -> Result<Then, Gap> {
    let past = Past { objects, subject };
    let parts = past.parts();
    let keys: BTreeSet<ObjectKey> = parts.iter().flat_map(|part| past.keys(part)).collect();
    let versions: BTreeMap<i64, Timestamp> = keys
        .iter()
        .flat_map(|key| &objects[key].versions)
        .map(|version| (version.revision, version.value.at))
        .collect();
    let (first, since) = versions.first_key_value().ok_or(Gap::NothingKept)?;
    let counts = |(revision, at): &(&i64, &Timestamp)| match moment {
        Moment::Revision(asked) => **revision <= asked,
        Moment::Time(asked) => **at <= asked,
    };
    let too_early = Gap::TooEarly { since: *since, revision: *first };
    let (revision, at) = versions.iter().rev().find(counts).ok_or(too_early)?;
    let when = When::Right(*revision);
    for key in past.roots() {
        if objects.get(&key).and_then(|kept| kept.state(when)).is_none() {
            return Err(Gap::NotThen(key));
        }
    }
    let (mut rules, mut notes) = (Vec::new(), Vec::new());
    for part in &parts {
        let mut then = past.own(part, when)?;
        let traced = past.trace(part);
        for rule in &mut then {
            rule.set = traced.took(rule);
        }
        rules.extend(then);
        notes.extend(past.appears(part, *revision));
    }
    Ok(Then { version: (*revision, *at), rules, notes })
}

impl Kept {
    /// What of it bound at a moment.
    fn state(&self, when: When) -> Option<&Value> {
        let When::Right(revision) = when else { return self.now.as_ref() };
        if self.versions.is_empty() {
            // Every change has a version: this has not changed since versions are kept.
            return self.now.as_ref();
        }
        self.versions.iter().rev().find(|version| version.revision <= revision)?.value.says.as_ref()
    }
}

struct Past<'a> {
    objects: &'a Objects,
    subject: &'a Subject,
}

impl Past<'_> {
    fn unit(&self) -> ObjectKey {
        ObjectKey::cluster(Kind::Unit, &*self.subject.unit)
    }

    /// What has to be there for there to be any rule.
    fn roots(&self) -> Vec<ObjectKey> {
        let environment = self.subject.environment.iter().map(|name| ObjectKey::cluster(Kind::Environment, &**name));
        std::iter::once(self.unit()).chain(environment).collect()
    }

    /// Every part that there is or was.
    fn parts(&self) -> Vec<Part> {
        let wanted = |name: &str| self.subject.environment.as_deref().is_none_or(|only| only == name);
        let mut parts = vec![Part::Unit];
        for (key, _) in self.objects.range(ObjectKey::cluster(Kind::Environment, "")..) {
            match (key.kind, &key.namespace) {
                (Kind::Environment, _) if wanted(&key.name) => {
                    parts.extend([Part::Profile(key.name.clone()), Part::Environment(key.name.clone())]);
                }
                (Kind::Application, Some(environment)) if wanted(environment) => {
                    parts.push(Part::Application(environment.clone(), key.name.clone()));
                }
                _ => {}
            }
        }
        parts
    }

    /// The objects that a part follows from.
    fn keys(&self, part: &Part) -> Vec<ObjectKey> {
        let mut keys = match part {
            Part::Unit => vec![self.unit()],
            Part::Environment(name) => vec![ObjectKey::cluster(Kind::Environment, &**name)],
            Part::Profile(name) => vec![ObjectKey::cluster(Kind::Environment, &**name), self.unit()],
            Part::Application(environment, name) => {
                vec![ObjectKey::namespaced(Kind::Application, &**environment, &**name)]
            }
        };
        if matches!(part, Part::Profile(_)) {
            let own = keys.iter().filter_map(|key| Some((key.clone(), self.objects.get(key)?.clone()))).collect();
            keys.extend(profiles_named(&own).into_iter().map(|name| ObjectKey::cluster(Kind::SecurityProfile, name)));
        }
        keys.retain(|key| self.objects.contains_key(key));
        keys
    }

    fn read<T: DeserializeOwned>(&self, key: &ObjectKey, when: When) -> Result<Option<T>, Gap> {
        let Some(says) = self.objects.get(key).and_then(|kept| kept.state(when)) else { return Ok(None) };
        serde_json::from_value(says.clone()).map(Some).map_err(|_| Gap::Unreadable(key.clone()))
    }

    /// An environment of this unit.
    fn environment(&self, name: &str, when: When) -> Result<Option<EnvironmentBound>, Gap> {
        let bound: Option<EnvironmentBound> = self.read(&ObjectKey::cluster(Kind::Environment, name), when)?;
        Ok(bound.filter(|bound| bound.unit == self.subject.unit))
    }

    /// The profile that an environment is under: its own, else its unit's. Without it nothing is known of what binds there.
    fn profile(&self, bound: &EnvironmentBound, when: When) -> Result<(String, SecurityProfileSpec), Gap> {
        let lacks = |key| match when {
            When::Now => Gap::NotPublished(key),
            When::Right(_) => Gap::NotThen(key),
        };
        let name = match &bound.security_profile {
            Some(own) => own.clone(),
            None => self.read::<UnitBound>(&self.unit(), when)?.ok_or_else(|| lacks(self.unit()))?.security_profile,
        };
        let key = ObjectKey::cluster(Kind::SecurityProfile, &*name);
        let spec = self.read(&key, when)?.ok_or_else(|| lacks(key))?;
        Ok((name, spec))
    }

    /// A part's rules, where it is the unit's: a name can have been another unit's before.
    fn own(&self, part: &Part, when: When) -> Result<Vec<Rule>, Gap> {
        match part {
            Part::Application(environment, _) if self.environment(environment, when)?.is_none() => Ok(Vec::new()),
            part => self.render(part, when),
        }
    }

    /// A part's rules; none where it is not there.
    fn render(&self, part: &Part, when: When) -> Result<Vec<Rule>, Gap> {
        let unit = &*self.subject.unit;
        Ok(match part {
            Part::Unit => self.read(&self.unit(), when)?.map(|bound| rules::unit(unit, &bound)).unwrap_or_default(),
            Part::Environment(name) => {
                let bound = self.environment(name, when)?;
                bound.map(|bound| rules::environment(unit, name, &bound)).unwrap_or_default()
            }
            Part::Profile(name) => match self.environment(name, when)? {
                Some(bound) => {
                    let (profile, spec) = self.profile(&bound, when)?;
                    rules::profile(unit, (name, &bound), (&profile, &spec))
                }
                None => Vec::new(),
            },
            Part::Application(environment, name) => {
                let key = ObjectKey::namespaced(Kind::Application, &**environment, &**name);
                let bound: Option<ApplicationBound> = self.read(&key, when)?;
                bound.map(|bound| rules::application(unit, environment, name, &bound)).unwrap_or_default()
            }
        })
    }

    /// What a profile says controls of although it has no such rule.
    fn strays(&self, part: &Part, rules: &[Rule]) -> Result<Vec<Text>, Gap> {
        let Part::Profile(name) = part else { return Ok(Vec::new()) };
        let Some(bound) = self.environment(name, When::Now)? else { return Ok(Vec::new()) };
        let (profile, spec) = self.profile(&bound, When::Now)?;
        Ok(rules::strays((&profile, &spec), rules))
    }

    /// What is to be said of a part that nothing is kept of from that moment, although it is there now.
    fn appears(&self, part: &Part, revision: i64) -> Option<Text> {
        let (key, kind) = match part {
            Part::Unit | Part::Profile(_) => return None,
            Part::Environment(name) => (ObjectKey::cluster(Kind::Environment, &**name), ("environment", "环境")),
            // Where the environment itself appears, that says it of what is in it.
            Part::Application(environment, name) => {
                self.environment(environment, When::Right(revision)).ok()??;
                (ObjectKey::namespaced(Kind::Application, &**environment, &**name), ("application", "应用"))
            }
        };
        let kept = self.objects.get(&key).filter(|kept| kept.now.is_some())?;
        let first = kept.versions.first().filter(|first| first.revision > revision)?;
        let (name, since) =
            (key.namespace.iter().chain([&key.name]).cloned().collect::<Vec<_>>().join("/"), first.value.at);
        Some(Text::new(
            format!(
                "The oldest version that is kept of the {} {name} is of {since}: its rules are shown as added.",
                kind.0
            ),
            format!("{} {name} 保存的最早版本为 {since}：其规则均列为新增。", kind.1),
        ))
    }

    /// Which version brought each of a part's rules, and which took away those that are gone.
    fn trace(&self, part: &Part) -> Traced {
        let mut versions: BTreeMap<i64, Vec<(ObjectKey, usize)>> = BTreeMap::new();
        for key in self.keys(part) {
            for (n, version) in self.objects[&key].versions.iter().enumerate() {
                versions.entry(version.revision).or_default().push((key.clone(), n));
            }
        }
        let mut traced = Traced::default();
        for (revision, here) in versions {
            // What cannot be read of the past is not known to have been so.
            let rules = self.render(part, When::Right(revision)).unwrap_or_default();
            let mut next = BTreeMap::new();
            for rule in rules {
                let value = match traced.runs.remove(&rule.id) {
                    Some((value, set)) if value == rule.value => (value, set),
                    _ => {
                        let set = self.set(&here, &rule);
                        (rule.value, set)
                    }
                };
                traced.gone.remove(&rule.id);
                next.insert(rule.id, value);
            }
            let gone = std::mem::replace(&mut traced.runs, next);
            traced.gone.extend(gone.into_keys().map(|id| (id, self.version(&here[0]))));
        }
        traced
    }

    /// The version, of those of one revision, that brought a rule: its source's; else the environment's, which came under it;
    /// else the unit's, which changed to another profile. That a version is the first one kept of something else brings nothing.
    fn set(&self, here: &[(ObjectKey, usize)], rule: &Rule) -> Set {
        let source = |(key, _): &(ObjectKey, usize)| {
            key.kind.name() == rule.source.kind && Some(&key.name) == rule.source.name.as_ref()
        };
        let found = here
            .iter()
            .find(|version| source(version))
            .or_else(|| here.iter().find(|(key, _)| key.kind == Kind::Environment))
            .or_else(|| here.iter().find(|(key, n)| key.kind == Kind::Unit && *n > 0));
        found.map(|version| self.version(version)).unwrap_or_default()
    }

    fn version(&self, (key, n): &(ObjectKey, usize)) -> Set {
        let versions = &self.objects[key].versions;
        let request = |n: usize| versions.get(n)?.value.says.as_ref()?.get("request")?.as_str();
        let before = n.checked_sub(1).and_then(request);
        Set::Known {
            by: versions[*n].value.by.clone(),
            since: versions[*n].value.at,
            revision: versions[*n].revision,
            request: request(*n).filter(|now| Some(*now) != before).map(str::to_owned),
            oldest: *n == 0,
        }
    }
}

/// What the versions say of a part's rules, by id.
#[derive(Default)]
struct Traced {
    /// The value that the newest version has, and what brought it.
    runs: BTreeMap<String, (Value, Set)>,
    /// What took it away.
    gone: BTreeMap<String, Set>,
}

impl Traced {
    /// What brought a rule that is in force; not known where the versions end with another value than what is published.
    fn brought(&self, rule: &Rule) -> Set {
        let run = self.runs.get(&rule.id).filter(|(value, _)| *value == rule.value);
        run.map(|(_, set)| set.clone()).unwrap_or_default()
    }

    /// What took away a rule that is not.
    fn took(&self, rule: &Rule) -> Set {
        self.gone.get(&rule.id).cloned().unwrap_or_default()
    }
}
