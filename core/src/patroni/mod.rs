//! What a site's PostgreSQL under Patroni has to do for each call of the provider's contract (docs/hooks.md), and what it is.
//!
//! One agent stands beside each member. It looks ([`Picture`]), asks [`next`] for one thing to do, does it, and looks again, until
//! the call is [`Next::Done`]. Nothing is remembered between two looks but [`Standing`], so that a call may be repeated after a
//! crash half-way, and at another member once leadership has moved. [`role`] says what the data is.
//!
//! The order of things, and why: `failover.md`, section 4; docs/postgresql.md.

mod config;
mod plan;
mod role;
#[cfg(test)]
mod tests;

pub use config::{Access, Change, NotConfig, Settings, Wanted, mark, members};
pub use plan::{Next, Order, Refusal, Why, next};
pub use role::{comparable_timeline, left_behind, position, role, speaks};

use crate::failover::Role;
use serde::{Deserialize, Serialize};

/// What a member is in its cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rank {
    /// It has the leader's key: the primary, or where the cluster follows another site's, the one that streams from there.
    Leader,
    /// It follows the leader.
    Replica,
}

/// A member, as `GET /cluster` lists it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Member {
    /// Its name.
    pub name: String,
    /// What it is.
    pub rank: Rank,
    /// Whether its database runs.
    pub running: bool,
    /// On which timeline; `None` where it does not say.
    pub timeline: Option<u32>,
    /// Its REST API, up to the path.
    pub url: String,
}

/// How a member's own database is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Database {
    /// It cannot be told: it does not answer in time, or is just going down.
    Unknown,
    /// It does not run.
    Stopped {
        /// `pg_controldata` says *shut down*: as a primary, with nothing left to write.
        clean: bool,
        /// Where the latest checkpoint lies, as a number.
        checkpoint: u64,
    },
    /// It takes no sessions yet.
    Starting,
    /// It is out of recovery.
    Primary {
        /// How far its log is on disk.
        flushed: u64,
    },
    /// It replays.
    Recovery {
        /// How far.
        replayed: u64,
        /// The timeline that it is being sent; `None` where nobody sends.
        streams: Option<u32>,
    },
}

/// What a member's agent was told and has to know after a restart. On disk before anything is done for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Standing {
    /// A fence came, and since then neither demote nor promote nor resume was carried out.
    pub fenced: bool,
    /// It stopped this member's database for the final sync: it speaks for the site while nobody leads.
    pub stopped: bool,
    /// A demote was carried out: the database may be down for a moment and is a standby all the same.
    pub demoted: bool,
}

impl Standing {
    /// As it has to be before a step is taken.
    #[must_use]
    pub fn before(self, step: &Next, order: Order, role: Role) -> Self {
        match step {
            Next::StopDatabase => Self { stopped: true, ..self },
            Next::Change(Change::Follow) => Self { demoted: true, ..self },
            Next::Fence if order == Order::Fence && role != Role::Standby => Self { fenced: true, ..self },
            _ => self,
        }
    }

    /// As it has to be when an order is carried out.
    #[must_use]
    pub fn after(self, order: Order) -> Self {
        match order {
            Order::Demote => Self { fenced: false, demoted: true, ..self },
            Order::Promote | Order::Resume => Self::default(),
            Order::Quiesce | Order::FinalSync | Order::Fence | Order::TemporaryFence => self,
        }
    }
}

impl Picture {
    /// What this member has to remember still, where no order is being carried out: not that it was stopped or demoted once it
    /// runs in a cluster that has a leader. While it is quiesced, all of it.
    #[must_use]
    pub fn settled(&self) -> Standing {
        let quiesced = self.settings.is_none_or(|settings| settings.paused);
        let runs = matches!(self.database, Database::Primary { .. } | Database::Recovery { .. });
        let led = matches!(self.lead(), Lead::Mine | Lead::Another);
        if quiesced || !runs || !led {
            return self.standing;
        }
        Standing { stopped: false, demoted: false, ..self.standing }
    }
}

/// What an agent sees when it looks.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Picture {
    /// Its own member.
    pub name: String,
    /// Patroni's dynamic configuration; `None` where Patroni does not answer.
    pub settings: Option<Settings>,
    /// All members; `None` where Patroni does not answer.
    pub members: Option<Vec<Member>>,
    /// Its own member's Patroni has seen that it is paused: it will not start again what is stopped.
    pub pause_seen: bool,
    /// Its own database.
    pub database: Database,
    /// Its own database has loaded the list of [`Settings::access`]: whoever connects from now on is judged by it.
    pub access_in_force: bool,
    /// The other site streams from its own database.
    pub followed: bool,
    /// Its own database's file is still another list, for longer than Patroni takes to write it.
    pub access_overdue: bool,
    /// Sessions of its own database that have to end.
    pub sessions: u32,
    /// The gate file bears this fence.
    pub gate_closed: bool,
    /// What it was told.
    pub standing: Standing,
}

/// Who leads, as one member sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lead {
    /// It does.
    Mine,
    /// Another does.
    Another,
    /// Nobody does.
    Nobody,
    /// Patroni does not say.
    Unknown,
}

impl Picture {
    fn lead(&self) -> Lead {
        let Some(members) = &self.members else { return Lead::Unknown };
        match members.iter().find(|member| member.rank == Rank::Leader) {
            Some(leader) if leader.name == self.name => Lead::Mine,
            Some(_) => Lead::Another,
            None => Lead::Nobody,
        }
    }

    /// It stopped its database, which is still as it left it.
    fn left_stopped(&self) -> bool {
        self.standing.stopped && matches!(self.database, Database::Stopped { clean: true, .. })
    }

    /// The REST API of the member that leads, else of its own.
    #[must_use]
    pub fn leaders_url(&self) -> Option<&str> {
        let leader = self.members.as_ref()?.iter().find(|member| member.rank == Rank::Leader)?;
        Some(&leader.url)
    }
}
