//! What rows must keep to between them: one system a name, one application a host name, units that agree, references
//! that lead somewhere, and no circles.

use super::graph;
use super::headers::Column;
use super::known::Known;
use super::problem::{Place, Problem};
use super::references::{Target, resolve};
use super::rows::{Key, Parsed, Row, UnitFacts};
use super::table::Table;
use std::collections::{BTreeMap, BTreeSet};

/// A unit as its rows describe it together.
#[derive(Clone, Debug, Default)]
pub struct UnitRecord {
    /// The first row that names it, by index.
    pub first: usize,
    /// Every row that names it, by index.
    pub rows: Vec<usize>,
    /// What the rows say, put together.
    pub facts: UnitFacts,
}

/// An inventory that has been read.
pub struct Inventory<'a> {
    /// The table, for places.
    pub table: &'a Table,
    /// The rows, good and bad.
    pub parsed: &'a [Parsed],
    /// What the cluster holds.
    pub known: &'a Known,
}

/// What the checks found out beside problems.
#[derive(Debug, Default)]
pub struct Checked {
    /// Units by code.
    pub units: BTreeMap<String, UnitRecord>,
    /// What each row needs, by the row's index.
    pub needs: Vec<Vec<Target>>,
}

impl<'a> Inventory<'a> {
    /// The rows that could be read, with their indices.
    pub fn rows(&self) -> impl Iterator<Item = (usize, &'a Row)> + use<'a> {
        self.parsed.iter().enumerate().filter_map(|(index, parsed)| parsed.row.as_ref().map(|row| (index, row)))
    }

    fn keys(&self) -> impl Iterator<Item = (usize, &'a Key)> + use<'a> {
        self.parsed.iter().enumerate().filter_map(|(index, parsed)| parsed.key.as_ref().map(|key| (index, key)))
    }

    /// The line of a row.
    #[must_use]
    pub fn line(&self, index: usize) -> u64 {
        self.parsed.get(index).map_or(0, |parsed| parsed.line)
    }

    /// The place of a row's cell.
    #[must_use]
    pub fn place(&self, index: usize, column: Column) -> Place {
        self.table.place(self.line(index), column)
    }

    /// Makes every check between rows.
    pub fn check(&self, no_new_units: bool, problems: &mut Vec<Problem>) -> Checked {
        self.check_duplicates(problems);
        self.check_names(problems);
        self.check_hosts(problems);
        let units = self.gather_units(problems);
        self.check_units(&units, no_new_units, problems);
        let needs = self.resolve_dependencies(problems);
        self.check_cycles(&needs, problems);
        self.check_tiers(&needs, problems);
        Checked { units, needs }
    }

    fn check_duplicates(&self, problems: &mut Vec<Problem>) {
        let mut seen: BTreeMap<&Key, usize> = BTreeMap::new();
        for (index, key) in self.keys() {
            if let Some(first) = seen.get(key) {
                problems.push(Problem::rows(
                    self.place(index, Column::System),
                    vec![*first, index],
                    format!("the system {key} stands on line {} already.", self.line(*first)),
                    "Take one of the two out, or give one another code or environment.",
                ));
            } else {
                seen.insert(key, index);
            }
        }
    }

    /// Names that are put together from codes: short enough, and different for different things.
    fn check_names(&self, problems: &mut Vec<Problem>) {
        let mut namespaces: BTreeMap<String, (&Key, usize)> = BTreeMap::new();
        let mut groups: BTreeMap<String, (&Key, usize)> = BTreeMap::new();
        for (index, key) in self.keys() {
            let namespace = key.namespace();
            let group = format!("{namespace}-{}", key.system);
            if namespace.len() > 63 {
                problems.push(Problem::rows(
                    self.place(index, Column::Environment),
                    vec![index],
                    format!(
                        "the namespace '{namespace}' would have {} characters; at most 63 are possible.",
                        namespace.len()
                    ),
                    format!("Shorten the unit's code '{}' or the environment '{}'.", key.unit, key.environment),
                ));
            } else if group.len() > 63 {
                problems.push(Problem::rows(
                    self.place(index, Column::System),
                    vec![index],
                    format!(
                        "the failover group '{group}' would have {} characters; at most 63 are possible.",
                        group.len()
                    ),
                    format!("Shorten the system's code '{}' or the unit's '{}'.", key.system, key.unit),
                ));
            }
            let place = self.place(index, Column::Environment);
            match namespaces.get(&namespace) {
                Some((other, first)) if (&other.unit, &other.environment) != (&key.unit, &key.environment) => {
                    problems.push(Problem::rows(
                        place,
                        vec![*first, index],
                        format!(
                            "the namespace '{namespace}' is already that of unit '{}' (line {}).",
                            other.unit,
                            self.line(*first)
                        ),
                        "Give one of the two units another code.",
                    ));
                    continue;
                }
                Some(_) => {}
                None => {
                    namespaces.insert(namespace, (key, index));
                }
            }
            match groups.get(&group) {
                Some((other, first)) if *other != key => problems.push(Problem::rows(
                    self.place(index, Column::System),
                    vec![*first, index],
                    format!("the failover group '{group}' is already that of {other} (line {}).", self.line(*first)),
                    "Give one of the two systems another code.",
                )),
                Some(_) => {}
                None => {
                    groups.insert(group, (key, index));
                }
            }
        }
    }

    fn check_hosts(&self, problems: &mut Vec<Problem>) {
        let mut seen: BTreeMap<&str, (usize, &Key)> = BTreeMap::new();
        let taken = self.known.hosts();
        let in_file: BTreeSet<(String, &str)> =
            self.keys().map(|(_, key)| (key.namespace(), key.system.as_str())).collect();
        for (index, row) in self.rows() {
            for host in &row.hosts {
                match seen.get(host.as_str()) {
                    Some((first, other)) => problems.push(Problem::rows(
                        self.place(index, Column::Hosts),
                        vec![*first, index],
                        format!("the host name '{host}' is already that of {other} (line {}).", self.line(*first)),
                        "Give each application host names of its own.",
                    )),
                    None => {
                        seen.insert(host, (index, &row.key));
                    }
                }
                if let Some((namespace, name)) = taken.get(host.as_str())
                    && !in_file.contains(&((*namespace).to_owned(), *name))
                {
                    problems.push(Problem::rows(
                        self.place(index, Column::Hosts),
                        vec![index],
                        format!("the host name '{host}' is already that of the application {namespace}/{name} in the cluster."),
                        "Take it from that application first, or choose another.",
                    ));
                }
            }
        }
    }

    /// Puts together what rows say of their units; the first row that says a thing is held to be right.
    fn gather_units(&self, problems: &mut Vec<Problem>) -> BTreeMap<String, UnitRecord> {
        let mut units: BTreeMap<String, UnitRecord> = BTreeMap::new();
        let mut said: BTreeMap<(&str, Column), usize> = BTreeMap::new();
        for (index, row) in self.rows() {
            let unit = row.key.unit.as_str();
            let record =
                units.entry(unit.to_owned()).or_insert_with(|| UnitRecord { first: index, ..UnitRecord::default() });
            record.rows.push(index);
            let (all, own) = (&mut record.facts, &row.facts);
            let mut differing = Vec::new();
            let mut fact = |column, merged| match merged {
                Merged::Same => {}
                Merged::Taken => {
                    said.insert((unit, column), index);
                }
                Merged::Differs => differing.push(column),
            };
            fact(Column::UnitName, merge(&mut all.name, own.name.as_ref()));
            fact(Column::UnitNameEn, merge(&mut all.name_en, own.name_en.as_ref()));
            fact(Column::Level, merge(&mut all.level, own.level.as_ref()));
            fact(Column::Parent, merge(&mut all.parent, own.parent.as_ref()));
            let (all, own) = (&mut all.budget, &own.budget);
            fact(Column::BudgetCpu, merge(&mut all.cpu, own.cpu.as_ref()));
            fact(Column::BudgetMemory, merge(&mut all.memory, own.memory.as_ref()));
            fact(Column::BudgetStorage, merge(&mut all.storage, own.storage.as_ref()));
            fact(Column::BudgetPods, merge(&mut all.pods, own.pods.as_ref()));
            fact(Column::BudgetEnvironments, merge(&mut all.environments, own.environments.as_ref()));
            for column in differing {
                let first = said.get(&(unit, column)).copied().unwrap_or(0);
                let text = |index: usize| self.table.records.get(index).map_or("", |r| self.table.cell(r, column));
                problems.push(Problem::rows(
                    self.place(index, column),
                    vec![index],
                    format!(
                        "'{}' disagrees with line {}, which says '{}' of the unit '{unit}'.",
                        text(index),
                        self.line(first),
                        text(first)
                    ),
                    "Write the same on every row of the unit, or nothing on all but the first.",
                ));
            }
        }
        units
    }

    fn check_units(&self, units: &BTreeMap<String, UnitRecord>, no_new_units: bool, problems: &mut Vec<Problem>) {
        let in_file: BTreeSet<&str> = self.keys().map(|(_, key)| key.unit.as_str()).collect();
        for (code, unit) in units {
            let exists = self.known.units.contains_key(code);
            let mut refuse = |column, what: String, remedy: &str| {
                problems.push(Problem::rows(self.place(unit.first, column), unit.rows.clone(), what, remedy));
            };
            if no_new_units && !exists {
                refuse(
                    Column::Unit,
                    format!("the unit '{code}' is not in the cluster."),
                    "Mend the code, make the unit first, or import without --no-new-units.",
                );
            }
            if unit.facts.name.is_none() && !exists {
                refuse(
                    Column::UnitName,
                    format!("the unit '{code}' has no name."),
                    "Write it on the unit's first row.",
                );
            }
            if unit.facts.level.is_none() && !exists {
                refuse(
                    Column::Level,
                    format!("the unit '{code}' has no level."),
                    "Write 市 (City), 县 (County), 乡 (Township) or 村 (Village) on the unit's first row.",
                );
            }
            if let Some(parent) = &unit.facts.parent
                && !in_file.contains(parent.as_str())
                && !self.known.units.contains_key(parent)
            {
                refuse(
                    Column::Parent,
                    format!("there is no unit '{parent}' for '{code}' to belong to."),
                    "Mend the code, or add the unit's own rows to the file.",
                );
            }
        }
        self.check_parents(units, problems);
    }

    /// No unit belongs to itself, directly or over others.
    fn check_parents(&self, units: &BTreeMap<String, UnitRecord>, problems: &mut Vec<Problem>) {
        let codes: Vec<&String> = units.keys().collect();
        let above: Vec<Vec<usize>> = units
            .values()
            .map(|unit| {
                let parent = unit.facts.parent.as_ref();
                parent.and_then(|parent| codes.binary_search(&parent).ok()).into_iter().collect()
            })
            .collect();
        for cycle in graph::cycles(&above) {
            let names: Vec<&str> = cycle.iter().chain(cycle.first()).map(|unit| codes[*unit].as_str()).collect();
            let members = || cycle.iter().filter_map(|unit| units.get(codes[*unit]));
            let first = members().map(|unit| unit.first).min().unwrap_or(0);
            problems.push(Problem::rows(
                self.place(first, Column::Parent),
                members().flat_map(|unit| unit.rows.clone()).collect(),
                format!("units belong to each other in a circle: {}.", names.join(" → ")),
                "Take one of these parents out.",
            ));
        }
    }

    fn resolve_dependencies(&self, problems: &mut Vec<Problem>) -> Vec<Vec<Target>> {
        let keys: BTreeMap<&Key, usize> = self.keys().map(|(index, key)| (key, index)).collect();
        let mut needs = vec![Vec::new(); self.parsed.len()];
        for (index, row) in self.rows() {
            for dependency in &row.dependencies {
                match resolve(&row.key, dependency, &keys, self.known) {
                    Ok(target) => needs[index].push(target),
                    Err((what, remedy)) => {
                        problems.push(Problem::rows(self.place(index, Column::Dependencies), vec![index], what, remedy))
                    }
                }
            }
        }
        needs
    }

    /// Circles through the file's rows, and through applications that are in the cluster already.
    fn check_cycles(&self, needs: &[Vec<Target>], problems: &mut Vec<Problem>) {
        let rows = self.parsed.len();
        let in_file: BTreeMap<(String, &str), usize> =
            self.keys().map(|(index, key)| ((key.namespace(), key.system.as_str()), index)).collect();
        let existing: Vec<&(String, String)> = self.known.applications.keys().collect();
        let node = |namespace: &str, name: &str| {
            in_file
                .get(&(namespace.to_owned(), name))
                .copied()
                .or_else(|| existing.binary_search(&&(namespace.to_owned(), name.to_owned())).ok().map(|at| rows + at))
        };
        let mut edges: Vec<Vec<usize>> = needs
            .iter()
            .map(|targets| {
                targets
                    .iter()
                    .filter_map(|target| match target {
                        Target::Row(index) => Some(*index),
                        Target::Existing { namespace, name } => node(namespace, name),
                    })
                    .collect()
            })
            .collect();
        for ((namespace, _), application) in &self.known.applications {
            let refs = application.spec.dependencies.iter();
            edges.push(
                refs.filter_map(|r| node(r.environment.as_deref().unwrap_or(namespace), &r.application)).collect(),
            );
        }
        let label = |at: usize| match self.parsed.get(at) {
            Some(parsed) => parsed.key.as_ref().map(short).unwrap_or_default(),
            None => existing.get(at - rows).map(|(namespace, name)| format!("{namespace}/{name}")).unwrap_or_default(),
        };
        for mut cycle in graph::cycles(&edges) {
            // Told from its first row on, so that the same circle always reads the same.
            let from = cycle.iter().enumerate().min_by_key(|(_, at)| **at).map_or(0, |(position, _)| position);
            cycle.rotate_left(from);
            let members: Vec<usize> = cycle.iter().copied().filter(|at| *at < rows).collect();
            let Some(first) = members.first() else { continue };
            let names: Vec<String> = cycle.iter().chain(cycle.first()).map(|at| label(*at)).collect();
            let lines: Vec<String> = members.iter().map(|at| self.line(*at).to_string()).collect();
            problems.push(Problem::rows(
                self.place(*first, Column::Dependencies),
                members.clone(),
                format!(
                    "systems need each other in a circle: {} ({} {}).",
                    names.join(" → "),
                    if lines.len() == 1 { "line" } else { "lines" },
                    lines.join(", ")
                ),
                "Take one of these dependencies out: none of the systems could be brought up first.",
            ));
        }
    }

    fn check_tiers(&self, needs: &[Vec<Target>], problems: &mut Vec<Problem>) {
        for (index, row) in self.rows() {
            for target in &needs[index] {
                let (tier, name) = match target {
                    Target::Row(at) => match self.parsed.get(*at).and_then(|parsed| parsed.row.as_ref()) {
                        Some(needed) => (needed.tier, short(&needed.key)),
                        None => continue,
                    },
                    Target::Existing { namespace, name } => {
                        match self.known.applications.get(&(namespace.clone(), name.clone())) {
                            Some(needed) => (needed.spec.tier, format!("{namespace}/{name}")),
                            None => continue,
                        }
                    }
                };
                if tier > row.tier {
                    problems.push(Problem::warning(
                        self.place(index, Column::Tier),
                        format!("tier {} is brought up before tier {tier}, that of {name}, which it needs.", row.tier),
                        format!("Give {name} tier {} or an earlier one.", row.tier),
                    ));
                }
            }
        }
    }
}

/// A system's name in messages; the environment is named where it is not `prod`.
#[must_use]
pub fn short(key: &Key) -> String {
    if key.environment == "prod" { format!("{}/{}", key.unit, key.system) } else { key.to_string() }
}

/// How a fact of one row stands to what earlier rows say.
enum Merged {
    Same,
    Taken,
    Differs,
}

/// Takes a fact over where none stands.
fn merge<T: Clone + PartialEq>(all: &mut Option<T>, own: Option<&T>) -> Merged {
    match (&all, own) {
        (_, None) => Merged::Same,
        (Some(before), Some(own)) if before == own => Merged::Same,
        (Some(_), Some(_)) => Merged::Differs,
        (None, Some(own)) => {
            *all = Some(own.clone());
            Merged::Taken
        }
    }
}
