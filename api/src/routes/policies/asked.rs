//! What is asked of the policies. Pure.

use super::form::Form;
use crate::problem::{Fault, FieldFault, Problem};
use jiff::Timestamp;
use std::collections::BTreeSet;
use tandem_core::policy::Moment;

/// Whose policies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Whose {
    /// A unit's, with all that it has.
    Unit(String),
    /// One environment's.
    Environment(String),
}

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) whose: Option<Whose>,
    pub(super) against: Option<Moment>,
    pub(super) form: Option<Form>,
}

/// Reads a query. What is not known is refused rather than passed over.
pub(super) fn asked(pairs: Vec<(String, String)>, now: Timestamp) -> Result<Asked, Problem> {
    let mut asked = Asked { whose: None, against: None, form: None };
    let mut faults = Vec::new();
    let mut seen = BTreeSet::new();
    for (field, value) in pairs {
        let fault = if !seen.insert(field.clone()) {
            Some(Fault::Twice)
        } else {
            match field.as_str() {
                "unit" | "environment" if asked.whose.is_some() => {
                    Some(Fault::OneOf { fields: ["unit", "environment"] })
                }
                "unit" => {
                    asked.whose = Some(Whose::Unit(value));
                    None
                }
                "environment" => {
                    asked.whose = Some(Whose::Environment(value));
                    None
                }
                "against" => {
                    asked.against = moment(&value, now);
                    asked.against.is_none().then_some(Fault::Moment)
                }
                "format" => {
                    asked.form = Form::named(&value);
                    asked.form.is_none().then(|| Fault::Value { known: Form::NAMES.to_vec() })
                }
                _ => Some(Fault::Unknown { known: vec!["unit", "environment", "against", "format"] }),
            }
        };
        faults.extend(fault.map(|fault| FieldFault { field, fault }));
    }
    if faults.is_empty() { Ok(asked) } else { Err(Problem::Invalid(faults)) }
}

/// A revision, or a time that is not to come.
fn moment(text: &str, now: Timestamp) -> Option<Moment> {
    if let Ok(revision) = text.parse::<i64>() {
        return (revision > 0).then_some(Moment::Revision(revision));
    }
    // In a query that nobody has escaped, the plus of an offset is a blank.
    let time = text.replace(' ', "+").parse::<Timestamp>().ok()?;
    (time <= now).then_some(Moment::Time(time))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Asked, Problem> {
        let now = "2026-06-01T00:00:00Z".parse().unwrap();
        asked(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(), now)
    }

    #[test]
    fn a_moment_is_a_revision_or_a_time_of_the_past() {
        let of = |text| read(&[("against", text)]).map(|asked| asked.against.unwrap());
        assert_eq!(of("42"), Ok(Moment::Revision(42)));
        let time = Moment::Time("2026-01-31T00:00:00Z".parse().unwrap());
        for text in ["2026-01-31T00:00:00Z", "2026-01-31T08:00:00+08:00", "2026-01-31T08:00:00 08:00"] {
            assert_eq!(of(text), Ok(time), "{text}");
        }
        for text in ["0", "-1", "", "yesterday", "2026-01-31", "2026-06-01T00:00:01Z", "99999999999999999999"] {
            assert!(of(text).is_err(), "{text}");
        }
    }

    #[test]
    fn every_parameter_that_is_wrong_is_named() {
        let wrong = [("unit", "a"), ("environment", "a-b"), ("unit", "b"), ("format", "pdf"), ("uint", "a")];
        let Err(Problem::Invalid(faults)) = read(&wrong) else { panic!("taken") };
        let fields: Vec<&str> = faults.iter().map(|fault| fault.field.as_str()).collect();
        assert_eq!(fields, ["environment", "unit", "format", "uint"]);
    }
}
