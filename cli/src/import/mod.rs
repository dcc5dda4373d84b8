//! `tandem import`: from a department's spreadsheet of systems to resources.
//!
//! The steps, each its own file: [`decode`] (bytes to text) → [`table`] (text to cells) → [`rows`] (cells to values) →
//! [`mod@check`] (rows among themselves and with the cluster) → [`budget`] (quotas and budgets) → [`build`] (resources) →
//! [`emit`] or [`apply`]. All but the last know nothing of files or clusters.

pub mod amounts;
pub mod apply;
pub mod budget;
pub mod build;
pub mod check;
pub mod command;
pub mod decode;
pub mod emit;
pub mod graph;
pub mod headers;
pub mod known;
pub mod problem;
pub mod progress;
pub mod references;
pub mod report;
pub mod retry;
pub mod rows;
pub mod table;
pub mod values;

use budget::{Room, UnitPlan};
use build::Resources;
use check::{Checked, Inventory, short};
use decode::Encoding;
use headers::{Column, REQUIRED, REQUIRED_OF_BUDGETS};
use known::Known;
use problem::{Problem, Severity};
use references::Target;
use rows::{BudgetGiven, Parsed, Row};
use std::collections::{BTreeMap, BTreeSet};
use table::Table;

/// How strictly to import, and how much room to leave.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Go on with the good rows when some are bad.
    pub keep_going: bool,
    /// Refuse units that are not in the cluster.
    pub no_new_units: bool,
    /// Quotas and budgets.
    pub room: Room,
}

impl Default for Options {
    fn default() -> Self {
        Self { keep_going: false, no_new_units: false, room: Room { headroom: 20, raise_budgets: false } }
    }
}

/// A file that has been read: cells with their values, and what is wrong with single cells.
#[derive(Debug)]
pub struct Sheet {
    /// The encoding that was found.
    pub encoding: Encoding,
    /// The table.
    pub table: Table,
    /// Its rows.
    pub parsed: Vec<Parsed>,
    /// Budgets of units, from a file of their own, each with its line.
    pub budgets: BTreeMap<String, (u64, BudgetGiven)>,
    /// What is wrong so far.
    pub problems: Vec<Problem>,
}

/// What became of a sheet.
#[derive(Debug)]
pub struct Outcome {
    /// Everything that is wrong, in the order of the file.
    pub problems: Vec<Problem>,
    /// The resources of the rows that are accepted.
    pub resources: Resources,
    /// How many rows are accepted.
    pub accepted: usize,
    /// How many are refused.
    pub refused: usize,
}

impl Outcome {
    /// Whether anything is refused.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.problems.iter().any(|problem| problem.severity == Severity::Error)
    }

    /// Whether the file as a whole is refused.
    #[must_use]
    pub fn is_fatal(&self) -> bool {
        self.problems.iter().any(Problem::is_fatal)
    }
}

/// Reads an inventory, and a file of budgets where there is one.
///
/// # Errors
/// With what is wrong, when no rows can be made out at all.
pub fn read(inventory: &[u8], budgets: Option<&[u8]>) -> Result<Sheet, Vec<Problem>> {
    let mut problems = Vec::new();
    let (text, encoding) = decode::decode(inventory).map_err(|problem| vec![problem])?;
    let table = match Table::read(&text, REQUIRED, &mut problems) {
        Ok(table) => table,
        Err(fatal) => {
            problems.extend(fatal);
            problem::sort(&mut problems);
            return Err(problems);
        }
    };
    let parsed = rows::parse(&table, &mut problems);
    if parsed.is_empty() {
        problems.push(Problem::fatal(
            problem::Place::file(),
            "there are no rows below the header.",
            "Give a line for each application system.",
        ));
    }
    let budgets = match budgets {
        Some(bytes) => read_budgets(bytes, &mut problems),
        None => BTreeMap::new(),
    };
    Ok(Sheet { encoding, table, parsed, budgets, problems })
}

/// Reads a file of budgets. What is wrong in it refuses everything: no row of the inventory is to blame.
fn read_budgets(bytes: &[u8], problems: &mut Vec<Problem>) -> BTreeMap<String, (u64, BudgetGiven)> {
    let mut own = Vec::new();
    let table = decode::decode(bytes)
        .map_err(|problem| vec![problem])
        .and_then(|(text, _)| Table::read(&text, REQUIRED_OF_BUDGETS, &mut own));
    let budgets = match table {
        Ok(table) => rows::parse_budgets(&table, &mut own),
        Err(fatal) => {
            own.extend(fatal);
            Vec::new()
        }
    };
    problems.extend(own.into_iter().map(|problem| Problem {
        what: format!("in the file of budgets: {}", problem.what),
        rows: Vec::new(),
        ..problem
    }));
    budgets.into_iter().map(|(unit, line, budget)| (unit, (line, budget))).collect()
}

/// Checks a sheet against itself and against what the cluster holds, and makes resources of the rows that are accepted.
#[must_use]
pub fn check(sheet: &Sheet, known: &Known, options: Options) -> Outcome {
    let mut problems = sheet.problems.clone();
    let inventory = Inventory { table: &sheet.table, parsed: &sheet.parsed, known };
    let checked = inventory.check(options.no_new_units, &mut problems);
    let mut refused: BTreeSet<usize> = (0..sheet.parsed.len()).filter(|at| sheet.parsed[*at].row.is_none()).collect();
    // Every pass refuses at least one row more or is the last.
    let resources = loop {
        refused.extend(problems.iter().filter(|p| p.severity == Severity::Error).flat_map(|p| p.rows.iter().copied()));
        if options.keep_going {
            spread(&inventory, &checked, &mut refused, &mut problems);
        }
        let before = problems.len();
        let resources = make(&inventory, &checked, &refused, sheet, options.room, &mut problems);
        let new_rows = problems[before..].iter().flat_map(|p| &p.rows).any(|row| !refused.contains(row));
        if !new_rows {
            break resources;
        }
    };
    check_profiles(&resources, known, &mut problems);
    problem::sort(&mut problems);
    let accepted = sheet.parsed.len() - refused.len();
    Outcome { problems, resources, accepted, refused: refused.len() }
}

/// Refuses rows that need what is refused.
fn spread(inventory: &Inventory<'_>, checked: &Checked, refused: &mut BTreeSet<usize>, problems: &mut Vec<Problem>) {
    loop {
        let before = refused.len();
        for (index, _) in inventory.rows() {
            let bad = checked.needs[index].iter().find_map(|target| match target {
                Target::Row(at) if refused.contains(at) => Some(*at),
                _ => None,
            });
            if let Some(bad) = bad.filter(|_| !refused.contains(&index)) {
                let name = inventory.parsed[bad].key.as_ref().map(short).unwrap_or_default();
                problems.push(Problem::rows(
                    inventory.place(index, Column::Dependencies),
                    vec![index],
                    format!("it needs {name}, whose row (line {}) is refused.", inventory.line(bad)),
                    "Mend that row.",
                ));
                refused.insert(index);
            }
        }
        for (code, unit) in &checked.units {
            let Some(parent) = &unit.facts.parent else { continue };
            let parent_stands = inventory.known.units.contains_key(parent)
                || checked.units.get(parent).is_some_and(|parent| parent.rows.iter().any(|at| !refused.contains(at)));
            let left: Vec<usize> = unit.rows.iter().copied().filter(|at| !refused.contains(at)).collect();
            if !parent_stands && !left.is_empty() {
                problems.push(Problem::rows(
                    inventory.place(left[0], Column::Parent),
                    left.clone(),
                    format!("every row of '{parent}', the unit above '{code}', is refused."),
                    format!("Mend the rows of '{parent}'."),
                ));
                refused.extend(left);
            }
        }
        if refused.len() == before {
            return;
        }
    }
}

/// Makes resources of the rows that are not refused, and reports what they break.
fn make(
    inventory: &Inventory<'_>,
    checked: &Checked,
    refused: &BTreeSet<usize>,
    sheet: &Sheet,
    room: Room,
    problems: &mut Vec<Problem>,
) -> Resources {
    let accepted: BTreeMap<usize, &Row> = inventory.rows().filter(|(index, _)| !refused.contains(index)).collect();
    let indices: BTreeSet<usize> = accepted.keys().copied().collect();
    let mut resources = Resources::default();
    for (code, unit) in &checked.units {
        let rows: Vec<(usize, &Row)> =
            unit.rows.iter().filter_map(|index| accepted.get(index).map(|row| (*index, *row))).collect();
        if rows.is_empty() {
            continue;
        }
        let plan: Result<UnitPlan, Problem> =
            budget::plan_unit(inventory, code, unit, &indices, sheet.budgets.get(code), room);
        match plan {
            Ok(plan) => build::add_unit(&mut resources, inventory, code, unit, &plan, &rows, &checked.needs),
            Err(problem) => problems.push(problem),
        }
    }
    build::sort(&mut resources);
    build::validate(&resources, inventory, problems);
    resources
}

/// The security profiles that environments name have to be there; Tandem does not invent them.
fn check_profiles(resources: &Resources, known: &Known, problems: &mut Vec<Problem>) {
    let Some(profiles) = &known.security_profiles else { return };
    for name in resources.security_profiles() {
        if !profiles.contains(&name) {
            problems.push(Problem::fatal(
                problem::Place::file(),
                format!("the cluster has no security profile '{name}'."),
                format!("Have the security team make it: `kubectl get securityprofiles` shows those that are there; '{name}' serves systems of that MLPS level."),
            ));
        }
    }
}
