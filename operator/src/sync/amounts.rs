//! Budgets and quotas as the ledger counts them.

use tandem_core::ledger::Amounts;
use tandem_crds::quantity::{Quantity, QuantityError};
use tandem_crds::{Environment, Unit};

fn millis(quantity: &Quantity) -> Result<u64, QuantityError> {
    u64::try_from(quantity.millis()?).map_err(|_| QuantityError::TooLarge(quantity.0.clone()))
}

fn bytes(quantity: &Quantity) -> Result<u64, QuantityError> {
    u64::try_from(quantity.units()?).map_err(|_| QuantityError::Malformed(quantity.0.clone()))
}

/// What a unit's environments may take together.
///
/// # Errors
/// When an amount is no quantity.
pub fn amounts_of_unit(unit: &Unit) -> Result<Amounts, QuantityError> {
    let budget = &unit.spec.budget;
    Ok(Amounts {
        cpu_millis: millis(&budget.cpu)?,
        memory_bytes: bytes(&budget.memory)?,
        storage_bytes: bytes(&budget.storage)?,
        pods: u64::try_from(budget.pods).unwrap_or(0),
        environments: u64::try_from(budget.environments).unwrap_or(0),
    })
}

/// What an environment takes of its unit's budget.
///
/// # Errors
/// When an amount is no quantity.
pub fn amounts_of_environment(environment: &Environment) -> Result<Amounts, QuantityError> {
    let quota = &environment.spec.quota;
    Ok(Amounts {
        cpu_millis: millis(&quota.cpu)?,
        memory_bytes: bytes(&quota.memory)?,
        storage_bytes: bytes(&quota.storage)?,
        pods: u64::try_from(quota.pods).unwrap_or(0),
        environments: 1,
    })
}
