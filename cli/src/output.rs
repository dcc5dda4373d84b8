//! The only place that prints, and the ways in which results are written.

use clap::ValueEnum;
use serde::Serialize;
use std::error::Error;
use std::io::Write;
use tandem_logs::Chain;

/// How a command that reads writes what it found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people
    #[default]
    Table,
    /// For people, with more columns where there are more
    Wide,
    /// For programs
    Json,
    /// For programs, as YAML
    Yaml,
}

impl Output {
    /// What programs read; nothing where people are to read it. Both ways have the same fields.
    pub fn data(self, value: &impl Serialize) -> Option<String> {
        let failed = |error: &dyn Error| error.to_string();
        match self {
            Self::Table | Self::Wide => None,
            Self::Json => {
                Some(serde_json::to_string_pretty(value).map_or_else(|error| failed(&error), |text| text + "\n"))
            }
            // By way of JSON: YAML of its own has tags that JSON knows nothing of.
            Self::Yaml => Some(serde_json::to_value(value).map_or_else(
                |error| failed(&error),
                |value| serde_yaml::to_string(&value).unwrap_or_else(|error| failed(&error)),
            )),
        }
    }

    /// Writes what was found: the value for programs, the text for people.
    pub fn write(self, value: &impl Serialize, people: impl FnOnce() -> String) {
        result(&self.data(value).unwrap_or_else(people));
    }
}

/// Writes results to standard output. A reader that has gone away is no error of ours.
pub fn result(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Writes a line about what is going on to standard error.
pub fn note(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// Writes an error and what caused it to standard error.
pub fn error(error: &dyn Error) {
    note(&format!("error: {}", Chain(error)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn programs_read_the_same_fields_either_way() {
        let value = json!({"name": "dc-a", "steps": {"Promoting": 2}, "why": null});
        assert_eq!(Output::Table.data(&value), None);
        assert_eq!(Output::Wide.data(&value), None);
        let json: serde_json::Value = serde_json::from_str(&Output::Json.data(&value).unwrap()).unwrap();
        let yaml: serde_json::Value = serde_yaml::from_str(&Output::Yaml.data(&value).unwrap()).unwrap();
        assert_eq!((json, yaml), (value.clone(), value));
    }
}
