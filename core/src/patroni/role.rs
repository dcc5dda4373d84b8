//! What the data is, as one member sees it, and whether that member speaks for its site.

use super::{Access, Database, Lead, Member, Picture, Rank, Settings};
use crate::failover::Role;

/// What the site's data is.
#[must_use]
pub fn role(picture: &Picture) -> Role {
    // A cluster that follows takes no writes: a fence that comes while it is being rewound must not be remembered against it.
    if picture.standing.fenced && !picture.settings.is_some_and(|settings| settings.standby) {
        return Role::Fenced;
    }
    match picture.settings {
        None => Role::Unknown,
        Some(settings) if settings.standby => following(picture, settings),
        Some(settings) => leading(picture, settings),
    }
}

fn following(picture: &Picture, settings: Settings) -> Role {
    let told = picture.standing.demoted || picture.standing.stopped;
    match (picture.lead(), picture.database) {
        // Patroni would not see to it that it follows.
        _ if settings.paused => Role::Unknown,
        (Lead::Another, _) | (Lead::Mine, Database::Recovery { .. }) => Role::Standby,
        (Lead::Mine | Lead::Nobody, Database::Recovery { .. } | Database::Starting | Database::Stopped { .. })
            if told =>
        {
            Role::Standby
        }
        _ => Role::Unknown,
    }
}

fn leading(picture: &Picture, settings: Settings) -> Role {
    let is = if settings.access == Access::Closed { Role::Quiesced } else { Role::Active };
    match (picture.lead(), picture.database) {
        (Lead::Another, _) | (Lead::Mine, Database::Primary { .. }) => is,
        (Lead::Mine | Lead::Nobody, _) if is == Role::Quiesced && picture.left_stopped() => is,
        _ => Role::Unknown,
    }
}

/// Whether this member's answer is the site's. At most one's is, of those that see the same.
#[must_use]
pub fn speaks(picture: &Picture) -> bool {
    match picture.lead() {
        Lead::Mine => true,
        Lead::Another => false,
        // A primary whose Patroni is gone, or the one that was stopped.
        Lead::Unknown => matches!(picture.database, Database::Primary { .. }) || picture.left_stopped(),
        Lead::Nobody => {
            let first = picture.members.iter().flatten().map(|member| &member.name).min() == Some(&picture.name);
            // A site that came back alone has no leader, since the gate says no or it was paused half-way through a move, and must
            // be able to say that it is fenced: every member was told so.
            let alone = picture.settings.is_some_and(|settings| !settings.paused && !settings.standby);
            let up = matches!(picture.database, Database::Primary { .. } | Database::Unknown);
            let told = picture.standing.stopped && !up && !alone;
            if picture.standing.fenced { first } else { told || (alone && first) }
        }
    }
}

/// Whether this member, of a cluster that follows another site's, is on a timeline that its leader has left. Patroni rewinds no
/// replica whose leader is itself in recovery: where it stays so without moving, it has to be made anew.
#[must_use]
pub fn left_behind(picture: &Picture) -> bool {
    let Database::Recovery { .. } = picture.database else { return false };
    let follows = picture.settings.is_some_and(|settings| settings.standby && !settings.paused);
    let of = |wanted: &dyn Fn(&&Member) -> bool| picture.members.iter().flatten().find(|member| wanted(member));
    let leader = of(&|member| member.rank == Rank::Leader && member.name != picture.name && member.running);
    let own = of(&|member| member.rank == Rank::Replica && member.name == picture.name);
    let timelines = leader.zip(own).and_then(|(leader, own)| leader.timeline.zip(own.timeline));
    follows && timelines.is_some_and(|(leader, own)| own < leader)
}

/// How far the data has come: bytes of the log. Of a database that was stopped for the final sync, one byte more than where its
/// last checkpoint lies: a standby that is there has replayed it.
#[must_use]
pub fn position(picture: &Picture) -> Option<u64> {
    match picture.database {
        Database::Primary { flushed } => Some(flushed),
        Database::Recovery { replayed, .. } => Some(replayed),
        Database::Stopped { clean: true, checkpoint } if picture.standing.stopped => Some(checkpoint + 1),
        Database::Stopped { .. } | Database::Starting | Database::Unknown => None,
    }
}

/// The timeline on which this standby's position may be compared with the other site's: it is being sent it, and every member
/// runs and is on it. `None` while one has still to be rewound.
#[must_use]
pub fn comparable_timeline(picture: &Picture) -> Option<u32> {
    let Database::Recovery { streams: Some(timeline), .. } = picture.database else { return None };
    let members = picture.members.as_ref()?;
    let agree = members.iter().all(|member| {
        let own = member.rank == Rank::Leader && member.name == picture.name;
        own || (member.running && member.timeline == Some(timeline))
    });
    (role(picture) == Role::Standby && picture.lead() == Lead::Mine && agree).then_some(timeline)
}
