//! The dead-man switch beside a database: what is dead cannot fence itself, so its data must stop on its own.
//!
//! An agent beside each database polls the gate and writes a [`GateFile`] into memory (tmpfs). Whoever commits a write reads
//! it and asks [`writable`]. When the operators are killed or paused, nobody refreshes the file, and it runs out together
//! with their deadline: `validUntil` is counted from the *sending* of the poll, with what the gate said it was good for.
//!
//! A poll that is under way while the site fences could be answered "yes" before the fence and written after it. Therefore a
//! fence leaves its token with the agent, which from then on refuses any refresh whose token is not *higher*. A new epoch is
//! higher; so is what an abort goes on with, since it raises the step.
//!
//! The fence that a site carries out because no heartbeat was answered has no token of its own: nothing moved, and the site
//! goes on under the same one once heartbeats are answered. For it there is [`Agent::expire`]. A stray poll is harmless
//! there: the gate never says that it is good beyond the deadline that has passed.

mod file;
#[cfg(test)]
mod tests;

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tandem_core::failover::Token;

pub use file::{read_gate_file, write_gate_file};

use crate::guards::{Guard, Guards};

/// What the file holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GateFile {
    /// The group.
    pub group: String,
    /// The highest token the agent has seen, a fence's included.
    pub token: Token,
    /// `/proc/sys/kernel/random/boot_id` of the boot whose clock `valid_until_nanos` is on.
    pub boot_id: String,
    /// Until when writes may be accepted, in nanoseconds of the boot clock; 0 after a fence.
    #[serde(rename = "validUntil")]
    pub valid_until_nanos: u64,
    /// A fence left its token: only a higher one opens again.
    #[serde(default)]
    pub fenced: bool,
}

/// Why a write must be refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotWritable {
    /// There is no file: after a power-on, or where no agent runs.
    #[error("there is no gate file")]
    Missing,
    /// It was written before the machine was last started: its times mean nothing.
    #[error("the gate file is of another boot")]
    OtherBoot,
    /// It belongs to another group.
    #[error("the gate file is of group {found}")]
    OtherGroup {
        /// The group found.
        found: String,
    },
    /// It has run out, or a fence ended it.
    #[error("the gate file ran out")]
    Expired,
}

/// Whether a write to this group may be accepted at `now` on the boot clock of this boot. To be asked twice: in the
/// transaction, and after COMMIT before the client is told; too late then means "unknown", not "accepted".
///
/// # Errors
/// [`NotWritable`]; what is missing or doubtful refuses.
pub fn writable(file: Option<&GateFile>, group: &str, now: Duration, boot_id: &str) -> Result<(), NotWritable> {
    let file = file.ok_or(NotWritable::Missing)?;
    if file.boot_id != boot_id {
        return Err(NotWritable::OtherBoot);
    }
    if file.group != group {
        return Err(NotWritable::OtherGroup { found: file.group.clone() });
    }
    if !file.fenced && now < Duration::from_nanos(file.valid_until_nanos) { Ok(()) } else { Err(NotWritable::Expired) }
}

/// A gate's answer to a poll, as the agent needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Poll {
    /// Whether `GET /active/<group>` answered 200.
    pub active: bool,
    /// `Tandem-Token`.
    pub token: Token,
    /// `Tandem-Valid-For-Ms`.
    pub valid_for: Duration,
}

/// Why a refresh was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The gate said no.
    #[error("the gate does not say that the site is active")]
    Passive,
    /// A higher token was seen: this answer is older.
    #[error("a higher token was seen")]
    Older,
    /// A fence left a token that is not lower.
    #[error("a fence left a token that this one is not higher than")]
    Fenced,
}

/// The agent beside one database.
#[derive(Clone, Debug)]
pub struct Agent {
    file: GateFile,
    guards: Guards,
}

impl Agent {
    /// An agent that starts on this boot, from the file that it finds. One of another boot or group says nothing; one of
    /// this boot keeps its token, so that a fence outlives the agent.
    #[must_use]
    pub fn new(group: &str, boot_id: &str, found: Option<GateFile>) -> Self {
        let fresh = GateFile {
            group: group.to_owned(),
            token: Token::default(),
            boot_id: boot_id.to_owned(),
            valid_until_nanos: 0,
            fenced: false,
        };
        let file = found.filter(|file| file.boot_id == boot_id && file.group == group).unwrap_or(fresh);
        Self { file, guards: Guards::ALL }
    }

    /// The same with other guards.
    #[cfg(feature = "mutations")]
    #[must_use]
    pub fn with_guards(self, guards: Guards) -> Self {
        Self { guards, ..self }
    }

    /// What the file has to hold now.
    #[must_use]
    pub fn file(&self) -> &GateFile {
        &self.file
    }

    /// Takes in the answer to a poll that was sent at this time of the boot clock; then the file has to be written.
    ///
    /// # Errors
    /// [`Refused`]: nothing changed; the file runs out by itself.
    pub fn refresh(&mut self, sent: Duration, poll: &Poll) -> Result<&GateFile, Refused> {
        if !poll.active {
            return Err(Refused::Passive);
        }
        if self.guards.on(Guard::FenceToken) {
            if self.file.fenced && poll.token <= self.file.token {
                return Err(Refused::Fenced);
            }
            if poll.token < self.file.token {
                return Err(Refused::Older);
            }
        }
        let until = u64::try_from(sent.saturating_add(poll.valid_for).as_nanos()).unwrap_or(0);
        // Under one token an answer that overtook a later one takes nothing back.
        let until = if poll.token == self.file.token { until.max(self.file.valid_until_nanos) } else { until };
        self.file = GateFile { token: poll.token, valid_until_nanos: until, fenced: false, ..self.file.clone() };
        Ok(&self.file)
    }

    /// Carries out a fence: refuses writes at once, and every refresh that is not of a higher token. The fence counts as
    /// done when the file is written.
    ///
    /// # Errors
    /// [`Refused::Older`] where a higher token was seen: the fence is an old one's.
    pub fn fence(&mut self, token: &Token) -> Result<&GateFile, Refused> {
        if *token < self.file.token {
            return Err(Refused::Older);
        }
        self.file = GateFile { token: *token, valid_until_nanos: 0, fenced: true, ..self.file.clone() };
        Ok(&self.file)
    }

    /// Refuses writes at once, until the next refresh: the site fenced itself, and nothing moved.
    pub fn expire(&mut self) -> &GateFile {
        self.file.valid_until_nanos = 0;
        &self.file
    }
}

/// A token as text: `generation.epoch.execution.step`.
#[must_use]
pub fn token_text(token: &Token) -> String {
    let Token { generation, epoch, execution, step } = token;
    format!("{generation}.{epoch}.{execution}.{step}")
}

/// The token in a text that [`token_text`] wrote; `None` where it is none.
#[must_use]
pub fn parse_token(text: &str) -> Option<Token> {
    let mut parts = text.split('.');
    let token = Token {
        generation: parts.next()?.parse().ok()?,
        epoch: parts.next()?.parse().ok()?,
        execution: parts.next()?.parse().ok()?,
        step: parts.next()?.parse().ok()?,
    };
    parts.next().is_none().then_some(token)
}
