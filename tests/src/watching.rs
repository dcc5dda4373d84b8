//! The rules and dashboards, as tests read them.

use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The repository.
#[must_use]
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Where the rules are.
#[must_use]
pub fn rules_file() -> PathBuf {
    root().join("charts/tandem/files/tandem.rules.yaml")
}

/// A rule that gives an alert or a recorded series.
#[derive(Clone, Debug)]
pub struct Rule {
    /// The alert's name, or that of the series.
    pub name: String,
    /// Whether it is an alert.
    pub alert: bool,
    /// What it asks.
    pub expr: String,
    /// The rule as it stands in the file.
    pub whole: Value,
}

/// All rules, in the order of the file.
#[must_use]
pub fn rules() -> Vec<Rule> {
    let file: Value = serde_yaml::from_str(&fs::read_to_string(rules_file()).unwrap()).unwrap();
    let groups = file["groups"].as_array().unwrap();
    let rules = groups.iter().flat_map(|group| group["rules"].as_array().unwrap());
    rules
        .map(|rule| Rule {
            name: rule["alert"].as_str().or(rule["record"].as_str()).unwrap().to_owned(),
            alert: rule["alert"].is_string(),
            expr: rule["expr"].as_str().unwrap().to_owned(),
            whole: rule.clone(),
        })
        .collect()
}

/// A dashboard, by the name of its file.
#[derive(Clone, Debug)]
pub struct Dashboard {
    /// Its file, without `.json`.
    pub name: String,
    /// What Grafana reads.
    pub whole: Value,
}

/// What a panel asks.
#[derive(Clone, Debug)]
pub struct Query {
    /// The dashboard and the panel's title, as `city / Authority`.
    pub of: String,
    /// The expression, with Grafana's variables in it.
    pub expr: String,
}

/// The dashboards in a folder.
#[must_use]
pub fn dashboards(folder: &Path) -> Vec<Dashboard> {
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut all: Vec<Dashboard> = files
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .map(|path| Dashboard {
            name: path.file_stem().unwrap().to_str().unwrap().to_owned(),
            whole: serde_json::from_slice(&fs::read(path).unwrap()).unwrap(),
        })
        .collect();
    all.sort_by(|one, other| one.name.cmp(&other.name));
    all
}

impl Dashboard {
    /// The panels, those that are titles of rows among them.
    ///
    /// # Panics
    /// When there are none.
    #[must_use]
    pub fn panels(&self) -> &[Value] {
        self.whole["panels"].as_array().unwrap()
    }

    /// What the panels ask.
    ///
    /// # Panics
    /// When a query has no expression.
    #[must_use]
    pub fn queries(&self) -> Vec<Query> {
        let of = |panel: &Value| {
            let of = format!("{} / {}", self.name, panel["title"].as_str().unwrap());
            let targets = panel["targets"].as_array().cloned().unwrap_or_default();
            targets
                .into_iter()
                .map(move |target| Query { of: of.clone(), expr: target["expr"].as_str().unwrap().to_owned() })
        };
        self.panels().iter().flat_map(of).collect()
    }
}

/// An expression with values in the place of Grafana's variables: everything, but for the one unit that a page is about.
#[must_use]
pub fn asked(expr: &str, unit: &str) -> String {
    let values = [("$__rate_interval", "1m"), ("$site", ".*"), ("$group", ".*"), ("$unit", unit)];
    values.iter().fold(expr.to_owned(), |expr, (variable, value)| expr.replace(variable, value))
}

/// The metrics of Tandem's that an expression names, histograms by their own name.
#[must_use]
pub fn metrics(expr: &str) -> BTreeSet<String> {
    let words = expr.split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != ':');
    let base = |word: &str| {
        let parts = ["_bucket", "_sum", "_count"];
        parts.iter().find_map(|part| word.strip_suffix(part)).unwrap_or(word).to_owned()
    };
    words.filter(|word| word.starts_with("tandem_")).map(base).collect()
}
