//! Quotas of environments, budgets of units, and whether the one fits the other.
//!
//! An import never takes room away: where the cluster has a larger quota or budget already, that stays.

use super::amounts::{Amounts, Load, grown};
use super::check::{Inventory, UnitRecord};
use super::headers::Column;
use super::problem::Problem;
use super::rows::BudgetGiven;
use std::collections::{BTreeMap, BTreeSet};
use tandem_crds::{Budget, Quantity, Quota};

/// How room is given.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    /// How much larger quotas and budgets are than what they have to hold, in percent.
    pub headroom: u32,
    /// Whether the budget of a unit of the cluster is raised when it does not suffice.
    pub raise_budgets: bool,
}

/// A unit's budget and its environments' quotas.
#[derive(Clone, Debug)]
pub struct UnitPlan {
    /// The budget.
    pub budget: Budget,
    /// The quota of every environment that the file names, by its object name.
    pub quotas: BTreeMap<String, Quota>,
}

/// Gives a unit's environments quotas and the unit a budget.
///
/// # Errors
/// When the quotas pass the budget that is given, or that the unit has in the cluster.
pub fn plan_unit(
    inventory: &Inventory<'_>,
    code: &str,
    unit: &UnitRecord,
    accepted: &BTreeSet<usize>,
    from_file: Option<&(u64, BudgetGiven)>,
    room: Room,
) -> Result<UnitPlan, Problem> {
    let quotas = quotas(inventory, code, unit, accepted, room);
    let others = inventory
        .known
        .environments
        .iter()
        .filter(|(name, environment)| environment.spec.unit == code && !quotas.contains_key(*name));
    let mut asked = quotas.values().copied().fold(Amounts::default(), Amounts::plus);
    let mut environments = i64::try_from(quotas.len()).unwrap_or(i64::MAX);
    for (_, environment) in others {
        asked = asked.plus(Amounts::of_quota(&environment.spec.quota));
        environments += 1;
    }

    let standing = inventory.known.units.get(code).map(|unit| &unit.spec.budget);
    let mut given = unit.facts.budget.clone();
    let mut source = "the columns of the file".to_owned();
    if let Some((line, budget)) = from_file {
        given = budget.clone();
        source = format!("line {line} of the file of budgets");
    }
    let grow = asked.grown(room.headroom).rounded();
    let mut short = Vec::new();
    let mut choose =
        |what: &str, given: Option<i64>, standing: Option<i64>, asked: i64, computed: i64, show: fn(i64) -> String| {
            let limit = match (given, standing) {
                (Some(given), _) => (given, source.clone()),
                (None, Some(standing)) if asked <= standing || !room.raise_budgets => {
                    (standing, "the unit in the cluster".to_owned())
                }
                _ => return computed.max(asked),
            };
            if asked > limit.0 {
                short.push(format!("{what}: {} asked, {} given by {}", show(asked), show(limit.0), limit.1));
            }
            limit.0
        };
    let millis =
        |quantity: &Quantity| quantity.millis().ok().and_then(|millis| i64::try_from(millis).ok()).unwrap_or(0);
    let units = |quantity: &Quantity| quantity.units().unwrap_or(0);
    let cores = |millis: i64| Quantity::from_millicores(millis).0;
    let bytes = |bytes: i64| Quantity::from_bytes(bytes).0;
    let number = |number: i64| number.to_string();
    let budget = Budget {
        cpu: Quantity::from_millicores(choose(
            "CPU",
            given.cpu,
            standing.map(|b| millis(&b.cpu)),
            asked.cpu,
            grow.cpu,
            cores,
        )),
        memory: Quantity::from_bytes(choose(
            "memory",
            given.memory,
            standing.map(|b| units(&b.memory)),
            asked.memory,
            grow.memory,
            bytes,
        )),
        storage: Quantity::from_bytes(choose(
            "storage",
            given.storage,
            standing.map(|b| units(&b.storage)),
            asked.storage,
            grow.storage,
            bytes,
        )),
        pods: choose("pods", given.pods, standing.map(|b| b.pods), asked.pods, grow.pods, number),
        environments: choose(
            "environments",
            given.environments,
            standing.map(|b| b.environments),
            environments,
            grown(environments, room.headroom),
            number,
        ),
    };
    if short.is_empty() {
        return Ok(UnitPlan {
            budget,
            quotas: quotas.into_iter().map(|(name, amounts)| (name, as_quota(amounts))).collect(),
        });
    }
    let rows: Vec<usize> = unit.rows.iter().copied().filter(|index| accepted.contains(index)).collect();
    let remedy = if given == BudgetGiven::default() {
        format!("Take systems out, or raise the unit's budget: --raise-budgets, or `kubectl edit unit {code}`.")
    } else {
        format!(
            "Take systems out, raise the budget, or leave less room above what the systems ask ({} % now): --headroom.",
            room.headroom
        )
    };
    Err(Problem::rows(
        inventory.place(rows.first().copied().unwrap_or(unit.first), Column::Unit),
        rows,
        format!("the environments of the unit '{code}' pass its budget: {}.", short.join("; ")),
        remedy,
    ))
}

/// What the file's environments of a unit have to hold: its systems, and those that are in the cluster already.
fn quotas(
    inventory: &Inventory<'_>,
    code: &str,
    unit: &UnitRecord,
    accepted: &BTreeSet<usize>,
    room: Room,
) -> BTreeMap<String, Amounts> {
    let mut loads: BTreeMap<String, Load> = BTreeMap::new();
    let mut named: BTreeSet<(String, &str)> = BTreeSet::new();
    for (index, row) in inventory.rows() {
        if row.key.unit == code && accepted.contains(&index) && unit.rows.contains(&index) {
            let namespace = row.key.namespace();
            named.insert((namespace.clone(), row.key.system.as_str()));
            let load = loads.entry(namespace).or_default();
            *load = load.plus(Load::of_row(row));
        }
    }
    for ((namespace, name), application) in &inventory.known.applications {
        if let Some(load) = loads.get_mut(namespace)
            && !named.contains(&(namespace.clone(), name.as_str()))
        {
            *load = load.plus(Load::of_application(application));
        }
    }
    loads
        .into_iter()
        .map(|(name, load)| {
            let standing = inventory.known.environments.get(&name);
            let standing = standing.map_or_else(Amounts::default, |env| Amounts::of_quota(&env.spec.quota));
            (name, load.quota(room.headroom).max(standing))
        })
        .collect()
}

fn as_quota(amounts: Amounts) -> Quota {
    Quota {
        cpu: Quantity::from_millicores(amounts.cpu),
        memory: Quantity::from_bytes(amounts.memory),
        storage: Quantity::from_bytes(amounts.storage),
        pods: amounts.pods,
    }
}
