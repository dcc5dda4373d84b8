//! Amounts of what a unit may use, with arithmetic that never wraps.

use serde::{Deserialize, Serialize};

/// How much of each resource. Limits and claims are both amounts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Amounts {
    /// Processor time in thousandths of a core.
    pub cpu_millis: u64,
    /// Memory in bytes.
    pub memory_bytes: u64,
    /// Persistent storage in bytes.
    pub storage_bytes: u64,
    /// Number of pods.
    pub pods: u64,
    /// Number of environments; a claim of one environment asks for 1.
    pub environments: u64,
}

/// One of the resources that [`Amounts`] counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Resource {
    /// Processor time.
    Cpu,
    /// Memory.
    Memory,
    /// Persistent storage.
    Storage,
    /// Pods.
    Pods,
    /// Environments.
    Environments,
}

impl Resource {
    /// Every resource, in the order in which people read them.
    pub const ALL: [Self; 5] = [Self::Cpu, Self::Memory, Self::Storage, Self::Pods, Self::Environments];

    /// An amount of this resource as people write it: cores for processor time (`12`, `0.5`), binary units for memory
    /// and storage (`40Gi`), plain numbers else.
    #[must_use]
    pub fn human(self, amount: u64) -> String {
        match self {
            Self::Cpu => cores(amount),
            Self::Memory | Self::Storage => bytes(amount),
            Self::Pods | Self::Environments => amount.to_string(),
        }
    }
}

impl std::fmt::Display for Resource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Cpu => "cpu",
            Self::Memory => "memory",
            Self::Storage => "storage",
            Self::Pods => "pods",
            Self::Environments => "environments",
        })
    }
}

fn cores(millis: u64) -> String {
    match millis % 1000 {
        0 => (millis / 1000).to_string(),
        rest => {
            let fraction = format!("{rest:03}");
            format!("{}.{}", millis / 1000, fraction.trim_end_matches('0'))
        }
    }
}

/// The largest binary unit that states the amount exactly, so that a message never rounds a shortfall away.
fn bytes(amount: u64) -> String {
    const UNITS: [(u32, &str); 5] = [(50, "Pi"), (40, "Ti"), (30, "Gi"), (20, "Mi"), (10, "Ki")];
    if amount == 0 {
        return "0".to_owned();
    }
    UNITS
        .into_iter()
        .find(|(shift, _)| amount.trailing_zeros() >= *shift)
        .map_or_else(|| amount.to_string(), |(shift, unit)| format!("{}{unit}", amount >> shift))
}

impl Amounts {
    /// How much of one resource.
    #[must_use]
    pub fn get(&self, resource: Resource) -> u64 {
        match resource {
            Resource::Cpu => self.cpu_millis,
            Resource::Memory => self.memory_bytes,
            Resource::Storage => self.storage_bytes,
            Resource::Pods => self.pods,
            Resource::Environments => self.environments,
        }
    }

    /// The sum, or `None` where one of the resources would overflow.
    #[must_use]
    pub fn checked_add(&self, other: &Self) -> Option<Self> {
        Some(Self {
            cpu_millis: self.cpu_millis.checked_add(other.cpu_millis)?,
            memory_bytes: self.memory_bytes.checked_add(other.memory_bytes)?,
            storage_bytes: self.storage_bytes.checked_add(other.storage_bytes)?,
            pods: self.pods.checked_add(other.pods)?,
            environments: self.environments.checked_add(other.environments)?,
        })
    }

    /// The difference, or `None` where one of the resources would fall below zero.
    #[must_use]
    pub fn checked_sub(&self, other: &Self) -> Option<Self> {
        Some(Self {
            cpu_millis: self.cpu_millis.checked_sub(other.cpu_millis)?,
            memory_bytes: self.memory_bytes.checked_sub(other.memory_bytes)?,
            storage_bytes: self.storage_bytes.checked_sub(other.storage_bytes)?,
            pods: self.pods.checked_sub(other.pods)?,
            environments: self.environments.checked_sub(other.environments)?,
        })
    }

    /// The sum, at most the largest number in each resource: a sum that is used as a bound then refuses.
    #[must_use]
    pub fn saturating_add(&self, other: &Self) -> Self {
        Self {
            cpu_millis: self.cpu_millis.saturating_add(other.cpu_millis),
            memory_bytes: self.memory_bytes.saturating_add(other.memory_bytes),
            storage_bytes: self.storage_bytes.saturating_add(other.storage_bytes),
            pods: self.pods.saturating_add(other.pods),
            environments: self.environments.saturating_add(other.environments),
        }
    }

    /// The difference, at least zero in each resource.
    #[must_use]
    pub fn saturating_sub(&self, other: &Self) -> Self {
        Self {
            cpu_millis: self.cpu_millis.saturating_sub(other.cpu_millis),
            memory_bytes: self.memory_bytes.saturating_sub(other.memory_bytes),
            storage_bytes: self.storage_bytes.saturating_sub(other.storage_bytes),
            pods: self.pods.saturating_sub(other.pods),
            environments: self.environments.saturating_sub(other.environments),
        }
    }

    /// The larger of each resource.
    #[must_use]
    pub fn most(&self, other: &Self) -> Self {
        Self {
            cpu_millis: self.cpu_millis.max(other.cpu_millis),
            memory_bytes: self.memory_bytes.max(other.memory_bytes),
            storage_bytes: self.storage_bytes.max(other.storage_bytes),
            pods: self.pods.max(other.pods),
            environments: self.environments.max(other.environments),
        }
    }

    /// Whether this is at most `limit` in every resource.
    #[must_use]
    pub fn fits(&self, limit: &Self) -> bool {
        Resource::ALL.into_iter().all(|r| self.get(r) <= limit.get(r))
    }
}
