//! The next thing to do for a call.

use super::{Access, Change, Database, Lead, Picture, Settings};
use std::fmt;

/// What was asked for. The calls of the contract, with the two kinds of fence apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Order {
    /// Refuse new writes.
    Quiesce,
    /// Stop, so that the position is final.
    FinalSync,
    /// Follow the other site.
    Demote,
    /// Cut writers off, and let nothing but a higher token open again.
    Fence,
    /// Cut writers off until the gate says yes again.
    TemporaryFence,
    /// Take writes.
    Promote,
    /// Take writes again.
    Resume,
}

/// One thing to do, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Next {
    /// Change Patroni's dynamic configuration.
    Change(Change),
    /// Have the own database load its list of who may connect.
    Reload,
    /// End the sessions that have to end.
    EndSessions,
    /// Stop the own database *fast*: it sends all that it has to whoever follows, and writes a last checkpoint.
    StopDatabase,
    /// Close the gate file.
    Fence,
    /// Nothing now: look again soon.
    Wait(Why),
    /// It makes no sense as the data stands.
    Refuse(Refusal),
    /// It is carried out, as far as this member is concerned.
    Done,
}

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Why {
    /// Patroni has not answered.
    Patroni,
    /// The member's Patroni has not yet seen the pause.
    Pause,
    /// The database is not yet what it has to become.
    Database,
    /// It went down without a last checkpoint.
    Crashed,
    /// Nobody streams to the other site: stopped now, the database would send nobody what it has.
    Follower,
    /// Nobody leads.
    Leader,
    /// It still runs as a primary though the cluster is told to follow.
    StillPrimary,
    /// It is not out of recovery yet.
    Promotion,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Patroni => {
                "this member's Patroni does not answer: see that it runs and that patroni.url is its REST API"
            }
            Self::Pause => "Patroni has not yet seen the pause",
            Self::Database => "the database neither answers nor is down",
            Self::Crashed => {
                "the database went down without its last checkpoint: resume, or fail over without this site"
            }
            Self::Follower => {
                "the other site does not stream: see there that its leader runs and follows this site by standby.primarySlotName"
            }
            Self::Leader => "no member of the cluster leads: look at Patroni's log, and that the gate says promotable",
            Self::StillPrimary => "the database still runs as a primary: Patroni is about to stop it",
            Self::Promotion => "not promoted yet: Patroni asks the gate first and then needs its leader key",
        })
    }
}

/// Why a call is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Refusal {
    /// It follows another site.
    #[error("it makes no sense while the data follows the other site")]
    Follows,
    /// It takes writes.
    #[error("it makes no sense before quiesce: applications may still connect")]
    NotQuiesced,
}

/// The one thing to do next for an order, as this member sees it.
#[must_use]
pub fn next(order: Order, picture: &Picture) -> Next {
    if matches!(order, Order::Fence | Order::TemporaryFence) {
        return fence(picture);
    }
    let Some(settings) = picture.settings else { return Next::Wait(Why::Patroni) };
    match picture.lead() {
        Lead::Unknown => Next::Wait(Why::Patroni),
        // Whoever leads acts; and what a member does that does not is no news to anybody.
        Lead::Another => Next::Done,
        Lead::Mine | Lead::Nobody => match order {
            Order::Quiesce => quiesce(picture, settings),
            Order::FinalSync => final_sync(picture, settings),
            Order::Demote => demote(picture, settings),
            _ => serve(picture, settings),
        },
    }
}

/// Every member: it must hold whoever leads, and without Patroni.
fn fence(picture: &Picture) -> Next {
    match picture.database {
        _ if !picture.gate_closed => Next::Fence,
        Database::Unknown => Next::Wait(Why::Database),
        _ if picture.sessions > 0 => Next::EndSessions,
        _ => Next::Done,
    }
}

fn quiesce(picture: &Picture, settings: Settings) -> Next {
    match picture.database {
        _ if settings.standby => Next::Refuse(Refusal::Follows),
        _ if !settings.paused || settings.access != Access::Closed => Next::Change(Change::Close),
        Database::Primary { .. } if !picture.pause_seen => Next::Wait(Why::Pause),
        _ => emptied(picture),
    }
}

/// Nobody gets in any more, and nobody is in.
fn emptied(picture: &Picture) -> Next {
    match picture.database {
        Database::Primary { .. } if picture.lead() != Lead::Mine => Next::Wait(Why::Leader),
        Database::Primary { .. } if picture.access_overdue => rewrite(picture, true),
        // In force first: what connects after the look would not be ended by it.
        Database::Primary { .. } if !picture.access_in_force => Next::Reload,
        Database::Primary { .. } if picture.sessions > 0 => Next::EndSessions,
        Database::Primary { .. } => Next::Done,
        Database::Stopped { .. } if picture.left_stopped() => Next::Done,
        Database::Stopped { .. } => Next::Wait(Why::Crashed),
        Database::Recovery { .. } => Next::Wait(Why::Leader),
        Database::Unknown | Database::Starting => Next::Wait(Why::Database),
    }
}

fn final_sync(picture: &Picture, settings: Settings) -> Next {
    if settings.standby {
        return Next::Refuse(Refusal::Follows);
    }
    if !settings.paused || settings.access != Access::Closed {
        return Next::Refuse(Refusal::NotQuiesced);
    }
    match picture.database {
        Database::Primary { .. } if !picture.pause_seen => Next::Wait(Why::Pause),
        Database::Primary { .. } => match emptied(picture) {
            Next::Done if !picture.followed => Next::Wait(Why::Follower),
            Next::Done => Next::StopDatabase,
            before => before,
        },
        _ => emptied(picture),
    }
}

fn demote(picture: &Picture, settings: Settings) -> Next {
    if !settings.standby || settings.paused {
        return Next::Change(Change::Follow);
    }
    match picture.database {
        Database::Primary { .. } => Next::Wait(Why::StillPrimary),
        Database::Unknown => Next::Wait(Why::Database),
        // Patroni starts it as a standby or not at all. It is not waited for: clients are.
        _ if picture.standing.stopped || picture.lead() == Lead::Mine => Next::Done,
        _ => Next::Wait(Why::Leader),
    }
}

fn serve(picture: &Picture, settings: Settings) -> Next {
    match picture.database {
        _ if settings.standby || settings.paused || settings.access != Access::Open => Next::Change(Change::Serve),
        Database::Primary { .. } if picture.lead() != Lead::Mine => Next::Wait(Why::Leader),
        Database::Primary { .. } if picture.access_overdue => rewrite(picture, false),
        Database::Primary { .. } if !picture.access_in_force => Next::Reload,
        Database::Primary { .. } => Next::Done,
        Database::Unknown => Next::Wait(Why::Database),
        _ => Next::Wait(Why::Promotion),
    }
}

/// Has Patroni write the list that it was told.
fn rewrite(picture: &Picture, closed: bool) -> Next {
    let marked = picture.settings.is_some_and(|settings| settings.marked);
    Next::Change(Change::Rewrite { closed, marked: !marked })
}
