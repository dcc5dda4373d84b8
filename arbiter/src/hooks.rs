//! What is said to the service that moves a group's data, and what it answers: the contract of docs/hooks.md, as types.
//!
//! The service keeps the highest token that it has seen, on disk, and asks [`Memory`] about every call: lower ones are refused,
//! the same one may come any number of times.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tandem_core::failover::{Dropped, EffectKind, Role, Token};

/// A call that changes something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Call {
    /// Refuse new writes.
    Quiesce,
    /// Finish what is under way: the position that is answered is final.
    FinalSync,
    /// Follow the other site.
    Demote,
    /// Cut writers off, and hand the token to the agent.
    Fence,
    /// Take writes.
    Promote,
    /// Take writes again: the move is taken back.
    Resume,
}

impl Call {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Quiesce, Self::FinalSync, Self::Demote, Self::Fence, Self::Promote, Self::Resume];

    /// The last part of its path.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Quiesce => "quiesce",
            Self::FinalSync => "final-sync",
            Self::Demote => "demote",
            Self::Fence => "fence",
            Self::Promote => "promote",
            Self::Resume => "resume",
        }
    }

    /// The call that carries out an effect; `None` where the effect is none of a provider's.
    #[must_use]
    pub fn of(kind: EffectKind) -> Option<Self> {
        match kind {
            EffectKind::Quiesce => Some(Self::Quiesce),
            EffectKind::FinalSync => Some(Self::FinalSync),
            EffectKind::Demote => Some(Self::Demote),
            EffectKind::Fence => Some(Self::Fence),
            EffectKind::Promote => Some(Self::Promote),
            EffectKind::Resume => Some(Self::Resume),
            EffectKind::ScaleActive
            | EffectKind::ScaleStandby
            | EffectKind::Redirect
            | EffectKind::Verify
            | EffectKind::SweepDrill => None,
        }
    }
}

/// The body of a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Order {
    /// The group.
    pub group: String,
    /// Under which token.
    pub token: Token,
    /// Of a fence alone: the site has fenced itself because the arbiter does not answer. Nothing has moved; writers are cut
    /// until the agent's next refresh, and the role stays.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub temporary: bool,
}

/// How the data stands: the answer to `GET state` and to every call that was carried out (200) or is under way (202).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct State {
    /// What it is.
    pub role: Role,
    /// How far it has come, in the service's own unit. Those of both sites compare.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<u64>,
    /// How far it is behind the active data, in milliseconds; `None` where that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lag_millis: Option<u64>,
    /// How long ago the lag was that, in milliseconds: a standby that does not reach the active site says what it last knew.
    #[serde(default)]
    pub lag_age_millis: u64,
    /// Nothing was acknowledged that this standby has not got.
    #[serde(default)]
    pub synchronous: bool,
    /// The highest token seen.
    #[serde(default)]
    pub token: Token,
    /// What was dropped to follow the other site, from the demotion on until the data takes writes again; `None` where nobody can
    /// tell, or nothing was demoted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dropped: Option<Dropped>,
}

impl Default for State {
    /// Nothing is known.
    fn default() -> Self {
        Self {
            role: Role::Unknown,
            position: None,
            lag_millis: None,
            lag_age_millis: 0,
            synchronous: false,
            token: Token::default(),
            dropped: None,
        }
    }
}

impl State {
    /// How long ago the lag was what it says.
    #[must_use]
    pub fn lag_age(&self) -> Duration {
        Duration::from_millis(self.lag_age_millis)
    }
}

/// The answer 409: a higher token was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// Which.
    pub seen: Token,
}

/// The highest token that a service has seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    highest: Token,
}

impl Memory {
    /// Takes in a call's token, which has to be on disk before the call is carried out.
    ///
    /// # Errors
    /// [`Seen`] where a higher one was seen: nothing may be done.
    pub fn take(&mut self, token: Token) -> Result<(), Seen> {
        if token < self.highest {
            return Err(Seen { seen: self.highest });
        }
        self.highest = token;
        Ok(())
    }

    /// The highest token seen.
    #[must_use]
    pub fn highest(&self) -> Token {
        self.highest
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_paths_are_the_names_of_the_effects() {
        for call in Call::ALL {
            assert_eq!(serde_json::to_value(call).unwrap(), call.name());
        }
        for kind in [EffectKind::Quiesce, EffectKind::FinalSync, EffectKind::Resume] {
            assert_eq!(Call::of(kind).unwrap().name(), kind.name());
        }
        assert_eq!(Call::of(EffectKind::Verify), None);
    }

    #[test]
    fn lower_tokens_are_refused_and_the_same_one_comes_again() {
        let token = |epoch, step| Token { generation: 1, epoch, execution: 7, step };
        let mut memory = Memory::default();
        assert_eq!(memory.take(token(3, 4)), Ok(()));
        assert_eq!(memory.take(token(3, 4)), Ok(()));
        assert_eq!(memory.take(token(3, 3)), Err(Seen { seen: token(3, 4) }));
        assert_eq!(memory.take(token(2, 9)), Err(Seen { seen: token(3, 4) }));
        assert_eq!(memory.take(token(4, 0)), Ok(()));
        assert_eq!(memory.highest(), token(4, 0));
    }

    #[test]
    fn what_goes_over_the_wire_is_as_the_contract_has_it() {
        let token = Token { generation: 1, epoch: 5, execution: 912, step: 4 };
        let order = Order { group: "ledger".into(), token, temporary: false };
        let wire = json!({"generation": 1, "epoch": 5, "execution": 912, "step": 4});
        assert_eq!(serde_json::to_value(&order).unwrap(), json!({"group": "ledger", "token": wire}));
        let least: State = serde_json::from_value(json!({"role": "Unknown"})).unwrap();
        assert_eq!((least.position, least.lag_millis, least.token), (None, None, Token::default()));
        let said = json!({
            "role": "Standby", "position": 41, "lagMillis": 0, "lagAgeMillis": 30, "synchronous": false, "token": wire,
        });
        let state: State = serde_json::from_value(said.clone()).unwrap();
        assert_eq!(serde_json::to_value(state).unwrap(), said);
        let dropped =
            json!({"epoch": 5, "from": 40, "to": 41, "transactions": 1, "lastCommit": "2026-01-01T00:00:00Z"});
        let mut told = said;
        told["dropped"] = dropped.clone();
        let state: State = serde_json::from_value(told).unwrap();
        assert_eq!(serde_json::to_value(state.dropped).unwrap(), dropped);
        // A later release may say more; a role that is not known is none.
        assert!(serde_json::from_value::<State>(json!({"role": "Standby", "more": 1})).is_ok());
        assert!(serde_json::from_value::<State>(json!({"role": "Leader"})).is_err());
    }
}
