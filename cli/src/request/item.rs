//! What the API shows, as far as it is told to people. Everything else is there in JSON.

use serde::Deserialize;
use serde_json::Value;
use tandem_core::requests::content_digest;
use tandem_crds::{
    Budget, Capacity, EnvironmentRequestSpec, EnvironmentRequestStatus, EnvironmentSpec, Quota, RequestPhase,
    UnitStatus,
};

/// A request.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Item {
    /// The name.
    pub name: String,
    /// SHA-256 of what is asked for, as the API has it.
    pub digest: String,
    /// What is asked for, and what was decided.
    pub spec: EnvironmentRequestSpec,
    /// What became of it.
    #[serde(default)]
    pub status: Option<EnvironmentRequestStatus>,
}

impl Item {
    /// How it stands.
    #[must_use]
    pub fn phase(&self) -> RequestPhase {
        self.status.as_ref().map(|status| status.phase).unwrap_or_default()
    }

    /// Whether all that is asked for is known to this program: where it is not, a person who decides by what is shown here would
    /// decide on what they have not read.
    #[must_use]
    pub fn known_whole(&self) -> bool {
        content_digest(&self.spec) == self.digest
    }
}

/// A page of a list, each item as it was sent.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Page {
    /// The items.
    pub items: Vec<Value>,
    /// What to give as `continue` for the next page.
    #[serde(default, rename = "continue")]
    pub next: Option<String>,
}

/// What of a unit matters to who decides.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct UnitItem {
    spec: UnitBudget,
    #[serde(default)]
    status: Option<UnitStatus>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
struct UnitBudget {
    budget: Budget,
}

/// An environment.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct EnvironmentItem {
    spec: EnvironmentSpec,
}

/// What a request is held against by who decides, as far as it could be read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Against {
    /// What the environment has now.
    pub quota: Option<Quota>,
    /// Until when the environment is needed, as was said so far.
    pub expires_at: Option<String>,
    /// What the unit's environments take together.
    pub used: Option<Capacity>,
    /// What they may take together.
    pub budget: Option<Budget>,
}

impl Against {
    /// From the environment and the unit.
    #[must_use]
    pub fn of(environment: Option<EnvironmentItem>, unit: Option<UnitItem>) -> Self {
        let (quota, expires_at) = match environment {
            Some(EnvironmentItem { spec }) => (Some(spec.quota), spec.expires_at),
            None => (None, None),
        };
        let (budget, used) = match unit {
            Some(UnitItem { spec, status }) => (Some(spec.budget), status.and_then(|status| status.used)),
            None => (None, None),
        };
        Self { quota, expires_at, used, budget }
    }
}
