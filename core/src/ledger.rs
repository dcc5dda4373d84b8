//! The budget of a unit and what each of its environments took of it.
//!
//! A [`Ledger`] is a value: every operation returns the ledger as it would be afterwards, or a [`Refusal`] that says what
//! is short and how to mend it. The arbiter stores it under `ledger/<unit>` and changes it by compare-and-swap in the
//! transaction that publishes the environment or the unit, so that the sum of what was taken can never pass the budget,
//! in whatever order and however often claims arrive.

mod amounts;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

pub use amounts::{Amounts, Resource};

/// What one environment took of its unit's budget.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Taken {
    /// Durable id of the environment that took it.
    pub id: String,
    /// How much it took.
    pub amounts: Amounts,
}

/// What an approved request was promised for an environment, until the environment has taken it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Reserved {
    /// Object name of the environment that will take it.
    pub environment: String,
    /// How much the environment will have in all.
    pub amounts: Amounts,
}

/// A unit's budget and what is held of it. An environment holds, of each resource, the most of what it took and of what
/// requests for it were promised. Invariant: the sum of what is held never passes the budget.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ledger {
    /// What the unit may use in all.
    pub budget: Amounts,
    /// What each environment took, by the environment's object name.
    pub taken: BTreeMap<String, Taken>,
    /// What approved requests were promised, by the request's name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub reserved: BTreeMap<String, Reserved>,
}

/// One change of a unit's ledger, as it rides along with a publication.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Set the unit's budget (made with the first publication of the unit).
    Budget(Amounts),
    /// An environment takes so much in all: a first claim, a growth, a shrinkage or a repetition.
    Claim {
        /// Object name of the environment.
        environment: String,
        /// Durable id of the environment.
        id: String,
        /// What the environment takes in all (not: in addition).
        amounts: Amounts,
    },
    /// An environment is gone and gives back what it took.
    Release {
        /// Object name of the environment.
        environment: String,
        /// Durable id of the environment.
        id: String,
    },
    /// A request that is about to be approved is promised so much for its environment.
    Reserve {
        /// Name of the request.
        request: String,
        /// Object name of the environment.
        environment: String,
        /// What the environment will have in all.
        amounts: Amounts,
    },
    /// A request was carried out, or was not approved after all.
    Unreserve {
        /// Name of the request.
        request: String,
    },
    /// The unit is gone, and its ledger with it.
    Remove,
}

/// One resource of which there is not enough.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shortfall {
    /// Which resource.
    pub resource: Resource,
    /// What was asked: by a claim, in all; by a new budget, the new limit.
    pub asked: u64,
    /// What is free for the asker, with what it already holds counted as free.
    pub free: u64,
    /// The whole budget.
    pub budget: u64,
}

impl std::fmt::Display for Shortfall {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let r = self.resource;
        write!(f, "{r}: asks {}, free {} of {}", r.human(self.asked), r.human(self.free), r.human(self.budget))
    }
}

/// Why a change of a ledger is refused. The text says what was wrong and how to mend it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The claim does not fit what is free.
    #[error(
        "environment {environment} does not fit the unit's budget: {}. Ask for less, shrink another environment of the \
         unit, or raise the unit's budget",
        list(shortfalls)
    )]
    OverBudget {
        /// Object name of the environment that asked.
        environment: String,
        /// Every resource that is short.
        shortfalls: Vec<Shortfall>,
    },
    /// The new budget would be less than what is taken already.
    #[error(
        "the budget cannot fall below what the unit's environments hold: {}. Shrink or delete environments first, or \
         keep the budget at least that high",
        below(shortfalls)
    )]
    BelowTaken {
        /// Every resource of which more is taken; `asked` is the new limit and `budget` what is taken.
        shortfalls: Vec<Shortfall>,
    },
    /// Another environment holds this name.
    #[error(
        "the name {environment} is held by another environment (durable id {holder}). Wait until that one is deleted, \
         or choose another name"
    )]
    NameHeld {
        /// Object name of the environment that asked.
        environment: String,
        /// Durable id of the environment that holds the name.
        holder: String,
    },
    /// The unit has no ledger.
    #[error("the unit has no budget yet. Create the Unit, with a budget, before its environments")]
    NoBudget,
    /// The unit still has environments.
    #[error("the unit still has environments ({}). Delete them first", environments.join(", "))]
    StillTaken {
        /// Object names of the environments that still hold something.
        environments: Vec<String>,
    },
}

fn list(shortfalls: &[Shortfall]) -> String {
    let parts: Vec<String> = shortfalls.iter().map(Shortfall::to_string).collect();
    parts.join("; ")
}

fn below(shortfalls: &[Shortfall]) -> String {
    let parts: Vec<String> = shortfalls
        .iter()
        .map(|s| {
            let r = s.resource;
            format!("{r}: new budget {}, held {}", r.human(s.asked), r.human(s.budget))
        })
        .collect();
    parts.join("; ")
}

impl Ledger {
    /// An empty ledger with this budget.
    #[must_use]
    pub fn new(budget: Amounts) -> Self {
        Self { budget, taken: BTreeMap::new(), reserved: BTreeMap::new() }
    }

    /// The sum of what all environments hold. Saturates, which only a hand-made ledger can reach.
    #[must_use]
    pub fn sum(&self) -> Amounts {
        self.sum_without("")
    }

    /// What is still free, for an environment that holds nothing yet.
    #[must_use]
    pub fn free(&self) -> Amounts {
        self.budget.saturating_sub(&self.sum())
    }

    /// The ledger after `environment` takes `amounts` in all. Growing, shrinking and repeating are all claims; the same
    /// claim twice is one.
    ///
    /// # Errors
    /// [`Refusal::OverBudget`] where it does not fit, [`Refusal::NameHeld`] where an environment of another durable id
    /// holds the name.
    pub fn claim(&self, environment: &str, id: &str, amounts: &Amounts) -> Result<Self, Refusal> {
        if let Some(held) = self.taken.get(environment).filter(|held| held.id != id) {
            return Err(Refusal::NameHeld { environment: environment.to_owned(), holder: held.id.clone() });
        }
        self.fits(environment, amounts)?;
        let mut next = self.clone();
        next.taken.insert(environment.to_owned(), Taken { id: id.to_owned(), amounts: *amounts });
        Ok(next)
    }

    /// The ledger after the environment gave everything back. Releasing what is not held, or what another durable id
    /// holds under the same name, changes nothing.
    #[must_use]
    pub fn release(&self, environment: &str, id: &str) -> Self {
        let mut next = self.clone();
        if next.taken.get(environment).is_some_and(|held| held.id == id) {
            next.taken.remove(environment);
        }
        next
    }

    /// The ledger after a request was promised `amounts` in all for an environment. The same promise twice is one.
    ///
    /// # Errors
    /// [`Refusal::OverBudget`] where it does not fit.
    pub fn reserve(&self, request: &str, environment: &str, amounts: &Amounts) -> Result<Self, Refusal> {
        self.fits(environment, amounts)?;
        let mut next = self.clone();
        next.reserved.insert(request.to_owned(), Reserved { environment: environment.to_owned(), amounts: *amounts });
        Ok(next)
    }

    /// The ledger without what a request was promised.
    #[must_use]
    pub fn unreserve(&self, request: &str) -> Self {
        let mut next = self.clone();
        next.reserved.remove(request);
        next
    }

    /// The ledger under another budget.
    ///
    /// # Errors
    /// [`Refusal::BelowTaken`] where more is taken than the new budget allows.
    pub fn with_budget(&self, budget: &Amounts) -> Result<Self, Refusal> {
        let sum = self.sum();
        let shortfalls: Vec<Shortfall> = Resource::ALL
            .into_iter()
            .filter(|r| sum.get(*r) > budget.get(*r))
            .map(|resource| Shortfall { resource, asked: budget.get(resource), free: 0, budget: sum.get(resource) })
            .collect();
        if !shortfalls.is_empty() {
            return Err(Refusal::BelowTaken { shortfalls });
        }
        Ok(Self { budget: *budget, ..self.clone() })
    }

    /// Whether an environment may hold so much in all, beside what the others hold.
    fn fits(&self, environment: &str, amounts: &Amounts) -> Result<(), Refusal> {
        let free = self.budget.saturating_sub(&self.sum_without(environment));
        let shortfalls = self.shortfalls(amounts, &free);
        if shortfalls.is_empty() {
            return Ok(());
        }
        Err(Refusal::OverBudget { environment: environment.to_owned(), shortfalls })
    }

    fn sum_without(&self, environment: &str) -> Amounts {
        let taken = self.taken.iter().map(|(name, taken)| (name, &taken.amounts));
        let reserved = self.reserved.values().map(|reserved| (&reserved.environment, &reserved.amounts));
        let mut held: BTreeMap<&str, Amounts> = BTreeMap::new();
        for (name, amounts) in taken.chain(reserved).filter(|(name, _)| name.as_str() != environment) {
            let most = held.entry(name).or_default();
            *most = most.most(amounts);
        }
        held.values().fold(Amounts::default(), |sum, amounts| sum.saturating_add(amounts))
    }

    fn shortfalls(&self, asked: &Amounts, free: &Amounts) -> Vec<Shortfall> {
        Resource::ALL
            .into_iter()
            .filter(|r| asked.get(*r) > free.get(*r))
            .map(|resource| Shortfall {
                resource,
                asked: asked.get(resource),
                free: free.get(resource),
                budget: self.budget.get(resource),
            })
            .collect()
    }
}

impl Change {
    /// The ledger after this change; `None` where the unit has none afterwards.
    ///
    /// # Errors
    /// The [`Refusal`] of the operation; [`Refusal::NoBudget`] for a claim on a unit without a ledger, and
    /// [`Refusal::StillTaken`] for the removal of a ledger of which something is still taken.
    pub fn apply(&self, ledger: Option<&Ledger>) -> Result<Option<Ledger>, Refusal> {
        match (self, ledger) {
            (Self::Budget(amounts), None) => Ok(Some(Ledger::new(*amounts))),
            (Self::Budget(amounts), Some(ledger)) => ledger.with_budget(amounts).map(Some),
            (Self::Claim { .. }, None) => Err(Refusal::NoBudget),
            (Self::Claim { environment, id, amounts }, Some(ledger)) => {
                ledger.claim(environment, id, amounts).map(Some)
            }
            (Self::Reserve { .. }, None) => Err(Refusal::NoBudget),
            (Self::Reserve { request, environment, amounts }, Some(ledger)) => {
                ledger.reserve(request, environment, amounts).map(Some)
            }
            (Self::Release { .. } | Self::Unreserve { .. } | Self::Remove, None) => Ok(None),
            (Self::Unreserve { request }, Some(ledger)) => Ok(Some(ledger.unreserve(request))),
            (Self::Release { environment, id }, Some(ledger)) => Ok(Some(ledger.release(environment, id))),
            (Self::Remove, Some(ledger)) if ledger.taken.is_empty() && ledger.reserved.is_empty() => Ok(None),
            (Self::Remove, Some(ledger)) => {
                let reserved = ledger.reserved.values().map(|reserved| &reserved.environment);
                let environments: BTreeSet<&String> = ledger.taken.keys().chain(reserved).collect();
                Err(Refusal::StillTaken { environments: environments.into_iter().cloned().collect() })
            }
        }
    }
}
