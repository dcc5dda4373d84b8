//! How a group's data stands at a site.

use serde::{Deserialize, Serialize};
use tandem_core::failover::Reason;

use crate::hooks::State;

/// What a site says of a group's data. Written over and over: that it is written again is news, whatever it says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DataRecord {
    /// What the provider said; `None` where it says nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<State>,
    /// Why it says nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<Reason>,
}
