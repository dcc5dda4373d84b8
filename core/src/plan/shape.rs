//! What is wanted, and what a plan says.

use schemars::JsonSchema;
use serde::Serialize;
use std::collections::BTreeSet;
use tandem_crds::{DataLoss, FailoverSelector, FailoverType, Why};

/// What somebody wants.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// What it is; where left out, it follows from whether the sources are heard.
    pub kind: Option<FailoverType>,
    /// Which groups.
    pub selector: FailoverSelector,
    /// Where to.
    pub to: Option<String>,
    /// Consent to losing data.
    pub accept_data_loss: Option<DataLoss>,
    /// Move although the target does not report ready.
    pub despite_not_ready: bool,
    /// How many groups move at once.
    pub max_parallel: Option<i32>,
}

/// What a move would do.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "FailoverPlan")]
pub struct Plan {
    /// What it is.
    #[serde(rename = "type")]
    pub kind: FailoverType,
    /// Where to.
    pub to: String,
    /// In which order.
    pub waves: Vec<PlannedWave>,
    /// Groups that cannot be put into an order.
    pub unmovable: Vec<PlannedGroup>,
    /// Groups that are there already.
    pub there: Vec<String>,
    /// How many different people have to agree.
    pub approvals_wanted: u64,
    /// About how long the control plane takes for all of it, in seconds.
    pub seconds: f64,
}

/// Groups that may move at once.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlannedWave {
    /// Its number, from 0.
    pub number: usize,
    /// The tier they move with.
    pub tier: u8,
    /// The groups.
    pub groups: Vec<PlannedGroup>,
}

/// A group that would move.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlannedGroup {
    /// The group.
    pub name: String,
    /// Where it is active; nothing where that is not known.
    pub from: Option<String>,
    /// Its epoch; nothing where that is not known.
    pub epoch: Option<u64>,
    /// Why it would be refused; empty where it would not.
    pub refused: Vec<Why>,
    /// For how long nobody is served, on a good day, in seconds.
    pub unserved_seconds: f64,
    /// For how long nobody is served before it is taken back or a person is called, in seconds.
    pub unserved_most_seconds: f64,
    /// What could be lost, on a good day, in seconds.
    pub loss_seconds: f64,
}

impl Plan {
    /// Every group of the plan, in order.
    pub fn groups(&self) -> impl Iterator<Item = &PlannedGroup> {
        self.waves.iter().flat_map(|wave| &wave.groups).chain(&self.unmovable)
    }

    /// Whether any group would be refused.
    #[must_use]
    pub fn refuses(&self) -> bool {
        self.groups().any(|group| !group.refused.is_empty())
    }

    /// The sites that are left.
    #[must_use]
    pub fn from(&self) -> BTreeSet<&str> {
        self.groups().filter_map(|group| group.from.as_deref()).collect()
    }
}
