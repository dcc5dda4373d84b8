//! The people of the lab, who ask the agencies' API: one name is one person, by certificate and by token alike.

use serde_json::{Value, json};

/// Somebody who may ask the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Person {
    /// The name: in certificates, tokens and the audit chain.
    pub name: &'static str,
    /// The unit that they act for; the platform's own people have none.
    pub unit: Option<&'static str>,
    /// What they are, as the API names it.
    pub role: &'static str,
}

const fn of_unit(name: &'static str, role: &'static str, unit: &'static str) -> Person {
    Person { name, unit: Some(unit), role }
}

const fn of_platform(name: &'static str, role: &'static str) -> Person {
    Person { name, unit: None, role }
}

/// Everybody: somebody for each role, and an agency beside the first, to see that neither sees what is the other's. The units
/// are of the city's inventory. Nobody bears two of the last three offices, which MLPS wants to be three people's.
pub const PEOPLE: [Person; 6] = [
    of_unit("li", "agency-administrator", "health"),
    of_unit("zhao", "agency-viewer", "health"),
    of_unit("sun", "agency-administrator", "water"),
    of_platform("wang", "platform-operator"),
    of_platform("chen", "security-administrator"),
    of_platform("liu", "auditor"),
];

/// The roles that the API knows. The lab's issuer names them as the API does.
pub const ROLES: [&str; 5] =
    ["agency-administrator", "agency-viewer", "platform-operator", "security-administrator", "auditor"];

impl Person {
    /// The organisations in their certificate.
    #[must_use]
    pub fn organisations(&self) -> Vec<String> {
        let unit = self.unit.map(|unit| format!("tandem:unit:{unit}"));
        unit.into_iter().chain([format!("tandem:role:{}", self.role)]).collect()
    }

    /// Who they are, in a few words.
    #[must_use]
    pub fn shown(&self) -> String {
        let Self { name, unit, role } = self;
        unit.map_or_else(|| format!("{name} ({role})"), |unit| format!("{name} ({role} of {unit})"))
    }

    /// What the issuer is told of them. They show a certificate for a token: a secret would have to be printed into a log.
    #[must_use]
    pub fn for_issuer(&self) -> Value {
        let mut told = json!({"name": self.name, "roles": [self.role]});
        if let Some(unit) = self.unit {
            told["unit"] = unit.into();
        }
        told
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn one_name_is_one_person_and_every_role_has_somebody() {
        let names: BTreeSet<&str> = PEOPLE.iter().map(|person| person.name).collect();
        assert_eq!(names.len(), PEOPLE.len());
        let roles: BTreeSet<&str> = PEOPLE.iter().map(|person| person.role).collect();
        assert_eq!(roles, BTreeSet::from(ROLES));
    }

    #[test]
    fn units_are_of_the_city() {
        let inventory = include_str!("../../tests/data/bozhou/inventory.csv");
        for unit in PEOPLE.iter().filter_map(|person| person.unit) {
            assert!(inventory.lines().any(|line| line.starts_with(&format!("{unit},"))), "{unit}");
        }
    }

    #[test]
    fn certificates_and_tokens_say_the_same() {
        assert_eq!(PEOPLE[0].organisations(), ["tandem:unit:health", "tandem:role:agency-administrator"]);
        assert_eq!(PEOPLE[0].for_issuer(), json!({"name": "li", "unit": "health", "roles": ["agency-administrator"]}));
        assert_eq!(PEOPLE[3].organisations(), ["tandem:role:platform-operator"]);
        assert_eq!(PEOPLE[3].for_issuer(), json!({"name": "wang", "roles": ["platform-operator"]}));
    }
}
