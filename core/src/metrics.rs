//! What a program measures, declared once: its registry and the manual's tables are both made from the same declarations.
//!
//! The names follow Prometheus' rules: a base unit at the end, `_total` for what only grows. A label's values come from a closed
//! set, or are the names of units, groups or sites, of which a city has so many and no more.

use std::collections::BTreeSet;
use std::fmt::Write;

/// How a metric moves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Type {
    /// Only up, from 0 at each start.
    Counter,
    /// Up and down.
    Gauge,
    /// Observations, counted by these upper bounds.
    Histogram(&'static [f64]),
}

impl Type {
    fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram(_) => "histogram",
        }
    }
}

/// Which replica tells a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Teller {
    /// Each, of itself or as it sees it.
    Each,
    /// The one that leads its site; the others have no such series.
    Leader,
    /// The one that leads the site with authority.
    Authority,
    /// The one that leads the site without authority.
    Follower,
    /// The one that did it; the sum over the replicas is the whole.
    Doer,
}

impl Teller {
    fn name(self) -> &'static str {
        match self {
            Self::Each => "each",
            Self::Leader => "the leader",
            Self::Authority => "the leader with authority",
            Self::Follower => "the leader without authority",
            Self::Doer => "whoever did it",
        }
    }
}

/// Names that may be a label's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Named {
    /// Of units.
    Units,
    /// Of failover groups.
    Groups,
    /// Of sites.
    Sites,
    /// Of this program's versions: the one that runs.
    Versions,
}

/// What a label's values are.
#[derive(Clone, Copy, Debug)]
pub enum Values {
    /// These and no others.
    Closed(fn() -> Vec<&'static str>),
    /// Names.
    Names(Named),
}

/// A label.
#[derive(Clone, Copy, Debug)]
pub struct Label {
    /// Its name.
    pub name: &'static str,
    /// What its values are.
    pub values: Values,
}

impl Label {
    /// A label with these values and no others.
    #[must_use]
    pub const fn closed(name: &'static str, values: fn() -> Vec<&'static str>) -> Self {
        Self { name, values: Values::Closed(values) }
    }

    /// A label whose values are names.
    #[must_use]
    pub const fn names(name: &'static str, of: Named) -> Self {
        Self { name, values: Values::Names(of) }
    }

    fn takes(&self, value: &str) -> bool {
        match self.values {
            Values::Closed(values) => values().contains(&value),
            Values::Names(_) => !value.is_empty(),
        }
    }

    fn count(&self, city: &City) -> usize {
        match self.values {
            Values::Closed(values) => values().len(),
            Values::Names(Named::Units) => city.units,
            Values::Names(Named::Groups) => city.groups,
            Values::Names(Named::Sites) => city.sites,
            Values::Names(Named::Versions) => 1,
        }
    }

    fn text(&self) -> String {
        match self.values {
            Values::Closed(values) => {
                let quoted: Vec<String> = values().into_iter().map(|value| format!("`{value}`")).collect();
                quoted.join(", ")
            }
            Values::Names(Named::Units) => "the names of the units".to_owned(),
            Values::Names(Named::Groups) => "the names of the failover groups".to_owned(),
            Values::Names(Named::Sites) => "the names of the sites".to_owned(),
            Values::Names(Named::Versions) => "the version that runs".to_owned(),
        }
    }
}

/// How much of what labels name there is.
#[derive(Clone, Copy, Debug)]
pub struct City {
    /// Units.
    pub units: usize,
    /// Failover groups.
    pub groups: usize,
    /// Sites.
    pub sites: usize,
}

/// The city that the manual counts for: 530 applications, each in a failover group of its own, and `platform`.
pub const CITY: City = City { units: 54, groups: 531, sites: 2 };

/// A metric as it is declared.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// How it moves.
    pub kind: Type,
    /// What is counted or measured, in the plural.
    pub unit: &'static str,
    /// Its labels.
    pub labels: &'static [Label],
    /// What it says, in a sentence or two.
    pub help: &'static str,
    /// Which replica tells it.
    pub teller: Teller,
}

impl Metric {
    const fn new(name: &'static str, kind: Type, unit: &'static str, teller: Teller, help: &'static str) -> Self {
        Self { name, kind, unit, labels: &[], help, teller }
    }

    /// A counter, told by whoever did what is counted.
    #[must_use]
    pub const fn counter(name: &'static str, unit: &'static str, help: &'static str) -> Self {
        Self::new(name, Type::Counter, unit, Teller::Doer, help)
    }

    /// A gauge, told by each replica.
    #[must_use]
    pub const fn gauge(name: &'static str, unit: &'static str, help: &'static str) -> Self {
        Self::new(name, Type::Gauge, unit, Teller::Each, help)
    }

    /// A histogram of seconds, told by whoever observed it.
    #[must_use]
    pub const fn histogram(name: &'static str, buckets: &'static [f64], help: &'static str) -> Self {
        Self::new(name, Type::Histogram(buckets), "seconds", Teller::Doer, help)
    }

    /// With these labels.
    #[must_use]
    pub const fn by(mut self, labels: &'static [Label]) -> Self {
        self.labels = labels;
        self
    }

    /// Told by this replica.
    #[must_use]
    pub const fn told_by(mut self, teller: Teller) -> Self {
        self.teller = teller;
        self
    }

    /// The names of its labels.
    #[must_use]
    pub fn label_names(&self) -> Vec<&'static str> {
        self.labels.iter().map(|label| label.name).collect()
    }

    /// The values of its labels in every series that it can have, in the labels' order; none where a label's values are names.
    /// A counter or histogram has to have all of them from the beginning: one that first appears with 1 was never seen to grow.
    #[must_use]
    pub fn every(&self) -> Vec<Vec<&'static str>> {
        self.labels.iter().fold(vec![Vec::new()], |series, label| match label.values {
            Values::Closed(values) => {
                let longer = |before: Vec<&'static str>| {
                    values().into_iter().map(move |value| [before.clone(), vec![value]].concat())
                };
                series.into_iter().flat_map(longer).collect()
            }
            Values::Names(_) => Vec::new(),
        })
    }

    /// How many series it has in a city at most.
    #[must_use]
    pub fn series(&self, city: &City) -> usize {
        let each = match self.kind {
            Type::Counter | Type::Gauge => 1,
            // The buckets, the one without a bound, the sum and the count.
            Type::Histogram(buckets) => buckets.len() + 3,
        };
        self.labels.iter().map(|label| label.count(city)).product::<usize>() * each
    }

    fn fault(&self) -> Option<&'static str> {
        let is_name = |text: &str| text.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
        let counts = matches!(self.kind, Type::Counter);
        let base = self.name.trim_end_matches("_total");
        if !self.name.strip_prefix("tandem_").is_some_and(is_name) {
            Some("the name must match ^tandem_[a-z_]+$")
        } else if self.name.ends_with("_total") != counts {
            Some("_total ends the names of counters, and of nothing else")
        } else if base.ends_with("_seconds") != self.unit.contains("seconds") {
            Some("_seconds ends the names of what is measured in seconds, and of nothing else")
        } else if !self.labels.iter().all(|label| is_name(label.name)) {
            Some("a label's name has small letters and _")
        } else if !self.help.ends_with('.') {
            Some("the help is a sentence")
        } else {
            None
        }
    }
}

/// Declares metrics: each becomes a static, and `ALL` has them all.
#[macro_export]
macro_rules! declare_metrics {
    ($($name:ident = $metric:expr;)+) => {
        $(pub(crate) static $name: $crate::metrics::Metric = $metric;)+
        pub(crate) static ALL: &[&$crate::metrics::Metric] = &[$(&$name),+];
    };
}

/// What is wrong with declarations, for the tests of whoever declares.
#[must_use]
pub fn faults(declared: &[&Metric]) -> Vec<String> {
    let mut names = BTreeSet::new();
    let mut found = Vec::new();
    for metric in declared {
        if !names.insert(metric.name) {
            found.push(format!("{}: declared twice", metric.name));
        }
        found.extend(metric.fault().map(|fault| format!("{}: {fault}", metric.name)));
    }
    found
}

/// What is wrong with a series that was found, for the tests of whoever declares: its name, and its labels with their values.
#[must_use]
pub fn stray(declared: &[&Metric], name: &str, labels: &[(&str, &str)]) -> Option<String> {
    let Some(metric) = declared.iter().find(|metric| metric.name == name) else {
        return Some(format!("{name} is not declared"));
    };
    let mut names: Vec<&str> = labels.iter().map(|(label, _)| *label).collect();
    let mut wanted = metric.label_names();
    names.sort_unstable();
    wanted.sort_unstable();
    if names != wanted {
        return Some(format!("{name} has the labels {names:?}, and is declared with {wanted:?}"));
    }
    let of = |label: &str| metric.labels.iter().find(|declared| declared.name == label);
    let odd = labels.iter().find(|(label, value)| !of(label).is_some_and(|declared| declared.takes(value)))?;
    Some(format!("{name}: {}={:?} is not one of its values", odd.0, odd.1))
}

/// The tables of a program for the manual: its metrics, the values of their labels, and how many series a city has at most.
#[must_use]
pub fn tables(declared: &[&Metric], city: &City) -> String {
    let mut text = String::from("| Metric | Type | Unit | Labels | What it says | Told by | Series |\n");
    text.push_str("| --- | --- | --- | --- | --- | --- | ---: |\n");
    let mut labels: Vec<(&str, String, Vec<&str>)> = Vec::new();
    let mut sum = 0;
    for metric in declared {
        let names: Vec<String> = metric.labels.iter().map(|label| format!("`{}`", label.name)).collect();
        let series = metric.series(city);
        sum += series;
        let (name, kind, unit) = (metric.name, metric.kind.name(), metric.unit);
        let (help, teller) = (metric.help, metric.teller.name());
        let _ = writeln!(text, "| `{name}` | {kind} | {unit} | {} | {help} | {teller} | {series} |", names.join(", "));
        for label in metric.labels {
            let values = label.text();
            match labels.iter_mut().find(|(name, known, _)| *name == label.name && *known == values) {
                Some((_, _, of)) => of.push(metric.name),
                None => labels.push((label.name, values, vec![metric.name])),
            }
        }
    }
    let City { units, groups, sites } = city;
    let _ = writeln!(
        text,
        "\nA replica has at most {sum} series in a city of {units} units, {groups} groups and {sites} sites.\n"
    );
    labels.sort_by_key(|(name, ..)| *name);
    text.push_str("| Label | Of | Values |\n| --- | --- | --- |\n");
    for (label, values, of) in labels {
        let of: Vec<String> = of.into_iter().map(|name| format!("`{name}`")).collect();
        let _ = writeln!(text, "| `{label}` | {} | {values} |", of.join(", "));
    }
    text
}

/// The manual with a program's tables where it marks their place; `None` where it does not.
#[must_use]
pub fn in_manual(manual: &str, program: &str, tables: &str) -> Option<String> {
    let (begin, end) = (format!("<!-- {program}: begin -->\n"), format!("<!-- {program}: end -->"));
    let (before, rest) = manual.split_once(&begin)?;
    let (_, after) = rest.split_once(&end)?;
    Some(format!("{before}{begin}{tables}{end}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RESULT: Label = Label::closed("result", || vec!["done", "failed"]);
    const GROUP: Label = Label::names("group", Named::Groups);
    const TOWN: City = City { units: 2, groups: 5, sites: 2 };

    crate::declare_metrics! {
        CALLS = Metric::counter("tandem_calls_total", "calls", "Calls made.").by(&[RESULT]);
        EPOCH = Metric::gauge("tandem_group_epoch", "epochs", "The epoch of a group.").by(&[GROUP]).told_by(Teller::Leader);
        TOOK = Metric::histogram("tandem_call_duration_seconds", &[0.1, 1.0], "How long a call took.").by(&[RESULT]);
    }

    #[test]
    fn names_follow_the_rules() {
        assert_eq!(faults(ALL), Vec::<String>::new());
        let wrong = [
            Metric::counter("tandem_calls", "calls", "Calls made."),
            Metric::gauge("tandem_wait_total", "calls", "Calls waiting."),
            Metric::gauge("tandem_wait", "seconds", "How long a call waits."),
            Metric::gauge("tandem_Wait_seconds", "seconds", "How long a call waits."),
            Metric::gauge("tandem_left_seconds", "seconds", "How long"),
            CALLS,
            CALLS,
        ];
        let wrong: Vec<&Metric> = wrong.iter().collect();
        assert_eq!(faults(&wrong).len(), 6, "{:?}", faults(&wrong));
    }

    #[test]
    fn series_are_known_before_anything_happens() {
        const KIND: Label = Label::closed("kind", || vec!["a", "b"]);
        let both = Metric::counter("tandem_calls_total", "calls", "Calls made.").by(&[KIND, RESULT]);
        assert_eq!(both.every(), [["a", "done"], ["a", "failed"], ["b", "done"], ["b", "failed"]]);
        let one = Metric::counter("tandem_calls_total", "calls", "Calls made.");
        assert_eq!(one.every(), [Vec::<&str>::new()]);
        assert!(EPOCH.every().is_empty(), "names are not known before");
    }

    #[test]
    fn a_series_that_was_not_declared_so_is_told() {
        assert_eq!(stray(ALL, "tandem_calls_total", &[("result", "done")]), None);
        assert_eq!(stray(ALL, "tandem_group_epoch", &[("group", "tax")]), None);
        for (name, labels) in [
            ("tandem_other_total", &[("result", "done")][..]),
            ("tandem_calls_total", &[("result", "late")]),
            ("tandem_calls_total", &[]),
            ("tandem_calls_total", &[("result", "done"), ("group", "tax")]),
        ] {
            assert!(stray(ALL, name, labels).is_some(), "{name} {labels:?}");
        }
    }

    #[test]
    fn the_tables_count_the_series_of_a_city() {
        assert_eq!((CALLS.series(&TOWN), EPOCH.series(&TOWN), TOOK.series(&TOWN)), (2, 5, 10));
        let text = tables(ALL, &TOWN);
        assert!(
            text.contains(
                "| `tandem_group_epoch` | gauge | epochs | `group` | The epoch of a group. | the leader | 5 |"
            )
        );
        assert!(text.contains("at most 17 series in a city of 2 units"), "{text}");
        assert!(
            text.contains("| `result` | `tandem_calls_total`, `tandem_call_duration_seconds` | `done`, `failed` |")
        );
    }

    #[test]
    fn the_tables_go_where_the_manual_marks_it() {
        let manual = "head\n<!-- api: begin -->\nold\n<!-- api: end -->\ntail\n";
        let wanted = "head\n<!-- api: begin -->\nnew\n<!-- api: end -->\ntail\n";
        assert_eq!(in_manual(manual, "api", "new\n").as_deref(), Some(wanted));
        assert_eq!(in_manual(manual, "operator", "new\n"), None);
    }
}
