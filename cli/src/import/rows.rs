//! From a table to rows: every cell read, every cell that cannot be read reported.

use super::headers::{Column, bare_unit};
use super::problem::Problem;
use super::table::{Record, Table};
use super::values::{self, BadValue, Dependency};
use std::fmt;
use tandem_crds::{Purpose, StandbyClass, UnitLevel};

/// What names a system in the whole cloud.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// The unit's code.
    pub unit: String,
    /// The environment's name, such as `prod`.
    pub environment: String,
    /// The system's code.
    pub system: String,
}

impl Key {
    /// The name of the environment's namespace: `<unit>-<environment>`.
    #[must_use]
    pub fn namespace(&self) -> String {
        format!("{}-{}", self.unit, self.environment)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.unit, self.environment, self.system)
    }
}

/// What a row says of its unit. Nothing where the cell is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnitFacts {
    /// The name in Chinese.
    pub name: Option<String>,
    /// The name in English.
    pub name_en: Option<String>,
    /// The level.
    pub level: Option<UnitLevel>,
    /// The code of the unit above.
    pub parent: Option<String>,
    /// The budget.
    pub budget: BudgetGiven,
}

/// A unit's budget as far as it is given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BudgetGiven {
    /// Millicores.
    pub cpu: Option<i64>,
    /// Bytes.
    pub memory: Option<i64>,
    /// Bytes.
    pub storage: Option<i64>,
    /// Pods.
    pub pods: Option<i64>,
    /// Environments.
    pub environments: Option<i64>,
}

/// One application system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// What names it.
    pub key: Key,
    /// What the row says of the unit.
    pub facts: UnitFacts,
    /// What the environment is for.
    pub purpose: Purpose,
    /// The name in Chinese.
    pub name: String,
    /// The name in English.
    pub name_en: Option<String>,
    /// The level of the Multi-Level Protection Scheme; 2 where none is given.
    pub mlps: i64,
    /// Millicores of each pod.
    pub cpu: i64,
    /// Bytes of memory of each pod.
    pub memory: i64,
    /// Bytes of storage.
    pub storage: i64,
    /// Pods at the active site; 1 where nothing is given.
    pub replicas: i32,
    /// What runs at the other site; `Cold` where nothing is given.
    pub standby_class: StandbyClass,
    /// Pods at the other site, where the class is `Warm`.
    pub standby_replicas: Option<i32>,
    /// Host names.
    pub hosts: Vec<String>,
    /// 0 to 3; 3 where nothing is given.
    pub tier: i32,
    /// Recovery time objective in seconds.
    pub rto: Option<i64>,
    /// Recovery point objective in seconds.
    pub rpo: Option<i64>,
    /// Systems that it needs, as they are written.
    pub dependencies: Vec<Dependency>,
}

/// A record with what could be read of it.
#[derive(Clone, Debug)]
pub struct Parsed {
    /// The line on which it begins.
    pub line: u64,
    /// What names the system, where that could be read, also when the rest could not.
    pub key: Option<Key>,
    /// The row, where all of it could be read.
    pub row: Option<Row>,
}

/// The cells of one record, read one after the other; what cannot be read is reported and the rest read all the same.
struct Cells<'a> {
    table: &'a Table,
    record: &'a Record,
    index: usize,
    problems: &'a mut Vec<Problem>,
}

impl Cells<'_> {
    fn report(&mut self, column: Column, bad: BadValue) {
        let place = self.table.place(self.record.line, column);
        self.problems.push(Problem::rows(place, vec![self.index], bad.what, bad.remedy));
    }

    /// The value of a cell that may be empty.
    fn optional<T>(&mut self, column: Column, read: impl FnOnce(&str) -> Result<T, BadValue>) -> Option<T> {
        let text = self.table.cell(self.record, column);
        if text.is_empty() || matches!(text, "-" | "—" | "/" | "无") {
            return None;
        }
        match read(text) {
            Ok(value) => Some(value),
            Err(bad) => {
                self.report(column, bad);
                None
            }
        }
    }

    /// The value of a cell that must not be empty.
    fn needed<T>(&mut self, column: Column, remedy: &str, read: impl FnOnce(&str) -> Result<T, BadValue>) -> Option<T> {
        if self.table.cell(self.record, column).is_empty() {
            self.report(column, BadValue { what: "the cell is empty.".to_owned(), remedy: remedy.to_owned() });
            return None;
        }
        self.optional(column, read)
    }

    fn header(&self, column: Column) -> String {
        self.table.header(column).unwrap_or("").to_owned()
    }
}

/// Reads every record of an inventory.
#[must_use]
pub fn parse(table: &Table, problems: &mut Vec<Problem>) -> Vec<Parsed> {
    table
        .records
        .iter()
        .enumerate()
        .map(|(index, record)| {
            if problems.iter().any(|problem| problem.rows.contains(&index)) {
                // A row of another width than the header: its cells cannot be told apart.
                return Parsed { line: record.line, key: None, row: None };
            }
            let before = problems.len();
            let mut cells = Cells { table, record, index, problems };
            let key = read_key(&mut cells);
            let row = read_row(&mut cells, key.clone());
            let refused = problems[before..].iter().any(|problem| problem.rows.contains(&index));
            Parsed { line: record.line, key: key.map(|(key, _)| key), row: row.filter(|_| !refused) }
        })
        .collect()
}

fn read_key(cells: &mut Cells<'_>) -> Option<(Key, Purpose)> {
    let unit = cells.needed(
        Column::Unit,
        "Write the unit's code on every row; merged cells have to be filled down.",
        values::code,
    );
    let system = cells.needed(Column::System, "Write a code for the system, such as hall.", values::code);
    let given = cells.table.cell(cells.record, Column::Environment).is_empty();
    let environment = if given {
        Some(("prod".to_owned(), Purpose::Production))
    } else {
        cells.needed(Column::Environment, "", values::environment)
    };
    let (environment, purpose) = environment?;
    Some((Key { unit: unit?, environment, system: system? }, purpose))
}

fn read_row(cells: &mut Cells<'_>, key: Option<(Key, Purpose)>) -> Option<Row> {
    let facts = read_facts(cells);
    let name = cells.needed(Column::SystemName, "Write the system's name.", |text| values::name(text, 128));
    let name_en = cells.optional(Column::SystemNameEn, |text| values::name(text, 256));
    let mlps = cells.optional(Column::Mlps, values::mlps).unwrap_or(2);
    let cpu = cells.needed(Column::Cpu, "Write the cores of one pod, such as 2 or 500m.", values::millicores);
    let unit = bare_unit(&cells.header(Column::Memory));
    let memory =
        cells.needed(Column::Memory, "Write the memory of one pod, such as 4Gi.", |text| values::memory(text, unit));
    let unit = bare_unit(&cells.header(Column::Storage));
    let storage = cells.optional(Column::Storage, |text| values::storage(text, unit)).unwrap_or(0);
    let pods = |text: &str, from| values::whole(text, from, 1_000).map(|pods| i32::try_from(pods).unwrap_or(1_000));
    let replicas = cells.optional(Column::Replicas, |text| pods(text, 1)).unwrap_or(1);
    let standby_class = cells.optional(Column::StandbyClass, values::standby_class).unwrap_or_default();
    let standby_given = cells.optional(Column::StandbyReplicas, |text| pods(text, 0));
    let standby_replicas = match check_standby(standby_class, replicas, standby_given) {
        Ok(pods) => pods,
        Err(bad) => {
            cells.report(Column::StandbyReplicas, bad);
            None
        }
    };
    let hosts = cells.optional(Column::Hosts, values::hosts).unwrap_or_default();
    let tier = cells.optional(Column::Tier, values::tier).unwrap_or(3);
    let rto = cells.optional(Column::Rto, values::seconds);
    let rpo = cells.optional(Column::Rpo, values::seconds);
    let dependencies = cells.optional(Column::Dependencies, values::dependencies).unwrap_or_default();
    let (key, purpose) = key?;
    Some(Row {
        key,
        facts,
        purpose,
        name: name?,
        name_en,
        mlps,
        cpu: cpu?,
        memory: memory?,
        storage,
        replicas,
        standby_class,
        standby_replicas,
        hosts,
        tier,
        rto,
        rpo,
        dependencies,
    })
}

fn read_facts(cells: &mut Cells<'_>) -> UnitFacts {
    UnitFacts {
        name: cells.optional(Column::UnitName, |text| values::name(text, 128)),
        name_en: cells.optional(Column::UnitNameEn, |text| values::name(text, 256)),
        level: cells.optional(Column::Level, values::level),
        parent: cells.optional(Column::Parent, values::code),
        budget: read_budget(cells),
    }
}

fn read_budget(cells: &mut Cells<'_>) -> BudgetGiven {
    let memory_unit = bare_unit(&cells.header(Column::BudgetMemory));
    let storage_unit = bare_unit(&cells.header(Column::BudgetStorage));
    BudgetGiven {
        cpu: cells.optional(Column::BudgetCpu, values::budget_millicores),
        memory: cells.optional(Column::BudgetMemory, |text| values::budget_bytes(text, memory_unit)),
        storage: cells.optional(Column::BudgetStorage, |text| values::budget_bytes(text, storage_unit)),
        pods: cells.optional(Column::BudgetPods, |text| values::whole(text, 0, 100_000)),
        environments: cells.optional(Column::BudgetEnvironments, |text| values::whole(text, 0, 1_000)),
    }
}

/// Reads a file of budgets: unit codes, each with what is given of its budget and the line.
#[must_use]
pub fn parse_budgets(table: &Table, problems: &mut Vec<Problem>) -> Vec<(String, u64, BudgetGiven)> {
    let mut budgets: Vec<(String, u64, BudgetGiven)> = Vec::new();
    for (index, record) in table.records.iter().enumerate() {
        let mut cells = Cells { table, record, index, problems };
        let unit = cells.needed(Column::Unit, "Write the unit's code on every row.", values::code);
        let budget = read_budget(&mut cells);
        let Some(unit) = unit else { continue };
        if let Some((_, line, _)) = budgets.iter().find(|(other, _, _)| *other == unit) {
            let what = format!("the budget of '{unit}' stands on line {line} already.");
            cells.report(Column::Unit, BadValue { what, remedy: "Give every unit one row.".to_owned() });
            continue;
        }
        budgets.push((unit, record.line, budget));
    }
    budgets
}

/// The standby pods to state, if they fit the class.
fn check_standby(class: StandbyClass, active: i32, given: Option<i32>) -> Result<Option<i32>, BadValue> {
    let bad = |what: String, remedy: &str| Err(BadValue { what, remedy: remedy.to_owned() });
    match (class, given) {
        (StandbyClass::Cold, Some(pods)) if pods > 0 => bad(
            format!("{pods} standby pods, but the class is 冷备 (Cold), which runs none."),
            "Write 0 or nothing, or make the class 温备 (Warm).",
        ),
        (StandbyClass::Hot, Some(pods)) if pods != active => bad(
            format!(
                "{pods} standby pods, but the class is 热备 (Hot), which runs {active}, as many as at the active site."
            ),
            "Write the same number or nothing, or make the class 温备 (Warm).",
        ),
        (StandbyClass::Warm, Some(0)) => bad(
            "no standby pods, but the class is 温备 (Warm).".to_owned(),
            "Write 1 or more, or make the class 冷备 (Cold).",
        ),
        (StandbyClass::Warm, Some(pods)) if pods > active => bad(
            format!("{pods} standby pods are more than the {active} at the active site."),
            "Write no more than run at the active site.",
        ),
        (StandbyClass::Warm, given) => Ok(Some(given.unwrap_or(1))),
        _ => Ok(None),
    }
}
