//! Whether something fits into a budget or a quota on its own. The sum is the ledger's.

use tandem_crds::status::Reason;
use tandem_crds::{Application, Budget, Environment, Quota, Unit};

use super::Problem;
use super::fields::{Zero, millis, units};
use crate::ledger::{Amounts, Resource};

/// What an environment takes of its unit's budget; `None` where its quota can't be read.
#[must_use]
pub fn quota_amounts(environment: &Environment) -> Option<Amounts> {
    amounts_of(&environment.spec.quota)
}

/// What a quota says; `None` where it can't be read.
#[must_use]
pub fn amounts_of(quota: &Quota) -> Option<Amounts> {
    of_quota(quota, &mut Vec::new())
}

/// What a unit's environments may take together; `None` where its budget can't be read.
#[must_use]
pub fn budget_amounts(unit: &Unit) -> Option<Amounts> {
    of_budget(&unit.spec.budget, &mut Vec::new())
}

/// What a quota says, with a problem for each amount that can't be read or is nothing.
pub(super) fn of_quota(quota: &Quota, problems: &mut Vec<Problem>) -> Option<Amounts> {
    let cpu = millis("spec.quota.cpu", &quota.cpu, Zero::Refused, problems);
    let memory = units("spec.quota.memory", &quota.memory, Zero::Refused, problems);
    // An environment may well have no persistent storage.
    let storage = units("spec.quota.storage", &quota.storage, Zero::Allowed, problems);
    let pods = u64::try_from(quota.pods).ok().filter(|pods| *pods > 0);
    if pods.is_none() {
        let message = format!("{} pods: give at least one", quota.pods);
        problems.push(Problem::new(Reason::Invalid, "spec.quota.pods", message));
    }
    Some(Amounts { cpu_millis: cpu?, memory_bytes: memory?, storage_bytes: storage?, pods: pods?, environments: 1 })
}

/// What a budget says, with a problem for each amount that can't be read.
pub(super) fn of_budget(budget: &Budget, problems: &mut Vec<Problem>) -> Option<Amounts> {
    let cpu = millis("spec.budget.cpu", &budget.cpu, Zero::Allowed, problems);
    let memory = units("spec.budget.memory", &budget.memory, Zero::Allowed, problems);
    let storage = units("spec.budget.storage", &budget.storage, Zero::Allowed, problems);
    let mut count = |field: &str, number: i64| {
        let read = u64::try_from(number).ok();
        if read.is_none() {
            let message = format!("{number} is below zero: give zero or more");
            problems.push(Problem::new(Reason::Invalid, format!("spec.budget.{field}"), message));
        }
        read
    };
    let pods = count("pods", budget.pods);
    let environments = count("environments", budget.environments);
    Some(Amounts {
        cpu_millis: cpu?,
        memory_bytes: memory?,
        storage_bytes: storage?,
        pods: pods?,
        environments: environments?,
    })
}

/// Whether an environment's quota fits its unit's budget on its own.
pub(super) fn environment_fits(quota: &Amounts, unit: &str, budget: &Budget, problems: &mut Vec<Problem>) {
    // A budget that can't be read is the unit's problem, and told there.
    let Some(budget) = of_budget(budget, &mut Vec::new()) else { return };
    for resource in Resource::ALL.into_iter().filter(|resource| quota.get(*resource) > budget.get(*resource)) {
        let path = match resource {
            Resource::Environments => "spec.unit".to_owned(),
            other => format!("spec.quota.{other}"),
        };
        let message = format!(
            "asks {} of {resource}, but the whole budget of unit {unit} is {}; ask for less or raise the unit's budget",
            resource.human(quota.get(resource)),
            resource.human(budget.get(resource)),
        );
        problems.push(Problem::new(Reason::OverBudget, path, message));
    }
}

/// What an application takes at the active site. Adopted workloads count as pods only: what each takes is not known.
fn of_application(application: &Application, problems: &mut Vec<Problem>) -> Option<Amounts> {
    let spec = &application.spec;
    let before = problems.len();
    let mut total = Amounts::default();
    for (n, component) in spec.components.iter().flatten().enumerate() {
        let path = |field: &str| format!("spec.components[{n}].resources.{field}");
        let cpu = millis(&path("cpu"), &component.resources.cpu, Zero::Refused, problems);
        let memory = units(&path("memory"), &component.resources.memory, Zero::Refused, problems);
        let pods = u64::try_from(component.replicas.active).unwrap_or_default();
        total = total.saturating_add(&Amounts {
            cpu_millis: cpu.unwrap_or_default().saturating_mul(pods),
            memory_bytes: memory.unwrap_or_default().saturating_mul(pods),
            pods,
            ..Amounts::default()
        });
    }
    for adopted in spec.adopt.iter().flatten() {
        let pods = u64::try_from(adopted.replicas.active).unwrap_or_default();
        total = total.saturating_add(&Amounts { pods, ..Amounts::default() });
    }
    if let Some(storage) = &spec.storage {
        total.storage_bytes = units("spec.storage", storage, Zero::Allowed, problems).unwrap_or_default();
    }
    (problems.len() == before).then_some(total)
}

/// Whether an application fits its environment's quota on its own, and whether its amounts can be read at all.
pub(super) fn application_fits(
    application: &Application,
    environment: Option<(&str, &Environment)>,
    problems: &mut Vec<Problem>,
) {
    let Some(wanted) = of_application(application, problems) else { return };
    let Some((name, environment)) = environment else { return };
    let Some(quota) = of_quota(&environment.spec.quota, &mut Vec::new()) else { return };
    for resource in [Resource::Cpu, Resource::Memory, Resource::Storage, Resource::Pods] {
        if wanted.get(resource) <= quota.get(resource) {
            continue;
        }
        let (path, remedy) = match resource {
            Resource::Storage => ("spec.storage", "lower spec.storage"),
            _ if application.spec.components.is_some() => ("spec.components", "lower replicas or resources"),
            _ => ("spec.adopt", "lower replicas"),
        };
        let message = format!(
            "at the active site the application takes {} of {resource}, but the whole quota of environment {name} is {}; \
             {remedy}, or ask for a larger quota",
            resource.human(wanted.get(resource)),
            resource.human(quota.get(resource)),
        );
        problems.push(Problem::new(Reason::OverBudget, path, message));
    }
}
