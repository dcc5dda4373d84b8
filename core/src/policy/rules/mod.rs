//! The rules themselves, part by part: what follows from a unit, from an environment with its profile, from an application.
//! What [`crate::render`] writes and [`crate::check`] refuses stands here in words; nothing that neither of them does.

mod application;
mod environment;
mod profile;
mod unit;

pub(super) use application::application;
pub(super) use environment::environment;
pub(super) use profile::{profile, strays};
pub(super) use unit::unit;

use super::rule::{Place, Rule, Text};

/// Names as a list in a sentence of each language.
fn list<T: std::fmt::Display>(names: &[T]) -> Text {
    let all: Vec<String> = names.iter().map(T::to_string).collect();
    Text::new(all.join(", "), all.join("、"))
}

/// An amount in a sentence.
fn amount(value: &serde_json::Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Sorted, each once.
fn sorted<'a>(names: impl IntoIterator<Item = &'a String>) -> Vec<String> {
    let all: std::collections::BTreeSet<&String> = names.into_iter().collect();
    all.into_iter().cloned().collect()
}

/// Where all rules of a part hold.
fn within(mut rules: Vec<Rule>, unit: &str, environment: Option<&str>, application: Option<&str>) -> Vec<Rule> {
    let place = Place {
        unit: unit.to_owned(),
        environment: environment.map(str::to_owned),
        application: application.map(str::to_owned),
    };
    for rule in &mut rules {
        rule.places = vec![place.clone()];
    }
    rules
}
