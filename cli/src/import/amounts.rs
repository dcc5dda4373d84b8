//! How much systems take, and how much room environments and budgets leave them.

use super::rows::Row;
use tandem_crds::{Application, Quota, StandbyClass};

const CORE: i64 = 1_000;
const GIBI: i64 = 1 << 30;

/// Processor time, memory, storage and pods. Sums stop at the largest number instead of passing it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amounts {
    /// Millicores.
    pub cpu: i64,
    /// Bytes.
    pub memory: i64,
    /// Bytes.
    pub storage: i64,
    /// Pods.
    pub pods: i64,
}

/// What a system takes at the site where it takes more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// All of it.
    pub all: Amounts,
    /// Its largest pod, which an update runs twice for a while.
    pub pod: Amounts,
}

impl Load {
    /// What a row asks for.
    #[must_use]
    pub fn of_row(row: &Row) -> Self {
        let standby = if row.standby_class == StandbyClass::Warm { row.standby_replicas.unwrap_or(1) } else { 0 };
        let pods = i64::from(row.replicas.max(standby));
        Self::of_pods(row.cpu, row.memory, pods).with_storage(row.storage)
    }

    /// What an application of the cluster asks for; amounts that cannot be read count as nothing.
    #[must_use]
    pub fn of_application(application: &Application) -> Self {
        let storage = application.spec.storage.as_ref().and_then(|storage| storage.units().ok()).unwrap_or(0);
        let components = application.spec.components.iter().flatten().map(|component| {
            let cpu = component.resources.cpu.millis().ok().and_then(|millis| i64::try_from(millis).ok()).unwrap_or(0);
            let memory = component.resources.memory.units().unwrap_or(0);
            let pods = component.replicas.active.max(component.replicas.standby.unwrap_or(0));
            Self::of_pods(cpu, memory, i64::from(pods))
        });
        components.fold(Self::default(), Self::plus).with_storage(storage)
    }

    fn of_pods(cpu: i64, memory: i64, pods: i64) -> Self {
        Self {
            all: Amounts { cpu: cpu.saturating_mul(pods), memory: memory.saturating_mul(pods), storage: 0, pods },
            pod: Amounts { cpu, memory, storage: 0, pods: 1 },
        }
    }

    fn with_storage(mut self, storage: i64) -> Self {
        self.all.storage = storage;
        self
    }

    /// Two systems together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self { all: self.all.plus(other.all), pod: self.pod.max(other.pod) }
    }

    /// The quota that holds it: so many percent more, and never less than lets the largest pod be replaced; in whole
    /// cores and GiB.
    #[must_use]
    pub fn quota(self, headroom: u32) -> Amounts {
        let roomy = self.all.grown(headroom);
        let replacing = if headroom > 0 { self.all.plus(self.pod) } else { self.all };
        roomy.max(replacing).rounded()
    }
}

impl Amounts {
    /// The sum.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            cpu: self.cpu.saturating_add(other.cpu),
            memory: self.memory.saturating_add(other.memory),
            storage: self.storage.saturating_add(other.storage),
            pods: self.pods.saturating_add(other.pods),
        }
    }

    /// The larger of each.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        Self {
            cpu: self.cpu.max(other.cpu),
            memory: self.memory.max(other.memory),
            storage: self.storage.max(other.storage),
            pods: self.pods.max(other.pods),
        }
    }

    /// So many percent more, rounded up.
    #[must_use]
    pub fn grown(self, percent: u32) -> Self {
        let grow = |amount: i64| grown(amount, percent);
        Self { cpu: grow(self.cpu), memory: grow(self.memory), storage: grow(self.storage), pods: grow(self.pods) }
    }

    /// In whole cores and GiB, rounded up.
    #[must_use]
    pub fn rounded(self) -> Self {
        let up = |amount: i64, step: i64| {
            let steps = amount / step + i64::from(amount % step > 0);
            steps.checked_mul(step).unwrap_or(amount)
        };
        Self {
            cpu: up(self.cpu, CORE),
            memory: up(self.memory, GIBI),
            storage: up(self.storage, GIBI),
            pods: self.pods,
        }
    }

    /// What a quota of the cluster gives; amounts that cannot be read count as nothing.
    #[must_use]
    pub fn of_quota(quota: &Quota) -> Self {
        Self {
            cpu: quota.cpu.millis().ok().and_then(|millis| i64::try_from(millis).ok()).unwrap_or(0),
            memory: quota.memory.units().unwrap_or(0),
            storage: quota.storage.units().unwrap_or(0),
            pods: quota.pods,
        }
    }
}

/// A number grown by so many percent, rounded up.
#[must_use]
pub fn grown(amount: i64, percent: u32) -> i64 {
    let grown = (i128::from(amount) * (100 + i128::from(percent)) + 99) / 100;
    i64::try_from(grown).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quota_lets_the_largest_pod_be_replaced() {
        let load = Load::of_pods(2_000, 4 * GIBI, 1).with_storage(10 * GIBI);
        assert_eq!(load.quota(20), Amounts { cpu: 4_000, memory: 8 * GIBI, storage: 12 * GIBI, pods: 2 });
        assert_eq!(load.quota(0), Amounts { cpu: 2_000, memory: 4 * GIBI, storage: 10 * GIBI, pods: 1 });
    }

    #[test]
    fn amounts_stop_at_the_largest_number() {
        let most = Amounts { cpu: i64::MAX, memory: i64::MAX, storage: i64::MAX, pods: i64::MAX };
        assert_eq!(most.plus(most).grown(20).rounded().pods, i64::MAX);
    }
}
