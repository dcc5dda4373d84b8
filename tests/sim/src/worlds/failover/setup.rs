//! Sizes, groups, settings, and what people and providers can be nudged to.

use std::str::FromStr;
use std::sync::LazyLock;
use std::time::Duration;

use tandem_arbiter::guards::{Guard, Guards};
use tandem_arbiter::membership::Timing;
use tandem_arbiter::records::PLATFORM;
use tandem_core::failover::{Deadlines, Member, Policy, Replication, Request, Timing as Times};

use crate::engine::{Rng, SECOND};
use crate::net::Place;

/// The groups: name, tier, what it depends on, and whether it has data.
pub(super) const GROUPS: [(&str, u8, &[&str], bool); 3] =
    [(PLATFORM, 0, &[], false), ("base", 1, &[], true), ("tax", 0, &["base"], true)];

/// A guard that can be left out, to see that the simulator misses it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Setup {
    /// Which guards of the arbiter's logic stand.
    pub guards: Guards,
    /// An abort after the release restores the source at once, without its transaction.
    pub restores_locally: bool,
}

impl Setup {
    /// All guards but this one.
    #[must_use]
    pub fn without(guard: Guard) -> Self {
        Self { guards: Guards::ALL.without(guard), ..Self::default() }
    }
}

/// The guards that can be left out, by name.
pub const MUTATIONS: [(&str, Guard); 17] = [
    ("take-over-range", Guard::TakeOverRange),
    ("take-over-group", Guard::TakeOverGroup),
    ("own-first-sight", Guard::OwnFirstSight),
    ("claim-seen", Guard::ClaimSeen),
    ("claim-fresh-list", Guard::ClaimFreshList),
    ("deadline-from-sending", Guard::DeadlineFromSending),
    ("claim-group", Guard::ClaimGroup),
    ("release-compares", Guard::ReleaseCompares),
    ("heartbeat-reads-groups", Guard::HeartbeatReadsGroups),
    ("never-backwards", Guard::NeverBackwards),
    ("delete-as-watched", Guard::DeleteAsWatched),
    ("holds", Guard::Holds),
    ("fence-token", Guard::FenceToken),
    ("journal-compare", Guard::JournalCompare),
    ("leader-compare", Guard::LeaderCompare),
    ("pins", Guard::Pins),
    ("answers-compared", Guard::AnswersCompared),
];

impl FromStr for Setup {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match (text, MUTATIONS.iter().find(|(name, _)| *name == text)) {
            ("nothing", _) => Ok(Self::default()),
            ("restores-by-transaction", _) => Ok(Self { restores_locally: true, ..Self::default() }),
            (_, Some((_, guard))) => Ok(Self::without(*guard)),
            (_, None) => {
                let names: Vec<&str> = MUTATIONS.iter().map(|(name, _)| *name).collect();
                Err(format!("nothing, restores-by-transaction, {}", names.join(", ")))
            }
        }
    }
}

/// What a replica is nudged to, on behalf of people at its site; the number of [`Fault::Nudge`](crate::schedule::Fault).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// A switchover of this group to the site that does not hold it.
    Switchover(usize),
    /// An unplanned failover of this group to this site, by hand.
    Failover(usize),
    /// Whatever is under way shall be taken back.
    Abort,
    /// A hold on everything.
    Hold,
    /// The hold is cleared.
    Unhold,
    /// The replica is ended well, and starts anew.
    End,
    /// The object at this site is edited.
    Edit,
}

impl Ask {
    /// The number of this nudge.
    #[must_use]
    pub fn number(self) -> u64 {
        match self {
            Self::Switchover(group) => group as u64,
            Self::Failover(group) => 3 + group as u64,
            Self::Abort => 6,
            Self::Hold => 7,
            Self::Unhold => 8,
            Self::End => 9,
            Self::Edit => 11,
        }
    }

    pub(super) fn of(number: u64) -> Self {
        match number % NUDGES {
            n @ 0..=2 => Self::Switchover(n as usize),
            n @ 3..=5 => Self::Failover(n as usize - 3),
            6 => Self::Abort,
            7 => Self::Hold,
            8 => Self::Unhold,
            9 => Self::End,
            11 => Self::Edit,
            n => Self::Switchover(n as usize % GROUPS.len()),
        }
    }
}

/// What a provider is nudged to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Every call fails.
    Fails,
    /// Calls are swallowed.
    Hangs,
    /// Calls are carried out, and answered late.
    Late,
    /// All is well again.
    Mended,
    /// The fence fails.
    FenceFails,
    /// The demotion hangs.
    DemoteHangs,
    /// The redirection fails.
    RedirectFails,
    /// The verification fails.
    VerifyFails,
    /// The site has no room for the group.
    NoRoom,
    /// Clones of a drill are there.
    Drill,
    /// It does not receive what the other site writes.
    Stalled,
    /// Its machine is short of everything: commits take long, and the agent comes to the answers of its polls late.
    Busy,
}

impl Trouble {
    const ALL: [Self; 12] = [
        Self::Fails,
        Self::Hangs,
        Self::Late,
        Self::Mended,
        Self::FenceFails,
        Self::DemoteHangs,
        Self::RedirectFails,
        Self::VerifyFails,
        Self::NoRoom,
        Self::Drill,
        Self::Stalled,
        Self::Busy,
    ];

    /// The number of this nudge.
    #[must_use]
    pub fn number(self) -> u64 {
        self as u64
    }

    pub(super) fn of(number: u64) -> Self {
        Self::ALL[(number % Self::ALL.len() as u64) as usize]
    }
}

/// How many numbers of nudges there are.
pub(super) const NUDGES: u64 = 12;

/// The process of a replica, as the schedule counts.
#[must_use]
pub fn replica(place: Place, number: u16) -> u16 {
    place.index() as u16 * 2 + number
}

/// The process of a group's database, as the schedule counts.
#[must_use]
pub fn database(group: usize, place: Place) -> u16 {
    4 + group as u16 * 2 + place.index() as u16
}

/// How long a heartbeat lasts: explicit schedules (seeds from 2⁶³ on) have a `T` of 5 s.
pub(super) fn timing(seed: u64) -> Timing {
    let long = seed < 1 << 63 && Rng::stream(seed, 2).per_mille(250);
    let beat = Duration::from_micros(if long { 2 * SECOND } else { SECOND });
    Timing::from_heartbeat(beat).unwrap_or_else(|_| unreachable!("a second is enough"))
}

/// The settings of a group: the defaults, scaled to runs of a minute.
pub(super) fn policy(group: usize, timing: Timing) -> Policy {
    let t = timing.t();
    let second = Duration::from_secs(1);
    Policy {
        automatic: true,
        rpo: t * 3,
        replication: if GROUPS[group].3 { Replication::Asynchronous } else { Replication::NoData },
        min_ready: t / 2,
        dwell: t,
        failovers_a_day: 20,
        scale_after: t * 6,
        deadlines: Deadlines {
            quiesce: t / 2,
            final_sync: t / 2,
            demote: t / 2,
            fence: t / 2,
            claim: t + second,
            promote: t * 2,
            redirect: t * 2,
            verify: t * 2,
            resume: t * 2,
            resync: t * 20,
        },
        timing: Times { take_over: t, report_interval: t / 5 },
    }
}

/// The groups as the order of moves sees them.
pub(super) fn members() -> &'static [Member] {
    static MEMBERS: LazyLock<Vec<Member>> = LazyLock::new(make_members);
    &MEMBERS
}

fn make_members() -> Vec<Member> {
    let member = |(name, tier, needs, _): &(&str, u8, &[&str], bool)| Member {
        name: (*name).to_owned(),
        tier: *tier,
        depends_on: needs.iter().map(|need| (*need).to_owned()).collect(),
    };
    GROUPS.iter().map(member).collect()
}

pub(super) fn index(group: &str) -> Option<usize> {
    GROUPS.iter().position(|(name, ..)| *name == group)
}

/// The request of an automatic failover, from its name.
pub(super) fn automatic(execution: &str) -> Option<Request> {
    let watched = execution.strip_prefix("auto-")?.rsplit('-').next()?.parse().ok()?;
    Some(Request { automatic: Some(watched), ..Request::default() })
}
