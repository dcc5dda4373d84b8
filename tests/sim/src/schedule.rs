//! Faults and when they happen: drawn from a seed, or stated by hand.

mod generate;
mod shrink;

use serde::{Deserialize, Serialize};

pub use generate::{Profile, generate};
pub use shrink::shrink;

use crate::engine::{Micros, seconds};
use crate::net::Place;

/// One process, by what it is rather than by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Who {
    /// A process of the world, counted in the order of adding, modulo how many there are.
    Process(u16),
    /// The etcd member at an endpoint.
    Etcd(u8),
    /// The etcd member that leads when the fault begins.
    EtcdLeader,
}

/// What goes wrong. It ends with the length of its [`Planned`], where it has an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fault {
    /// One direction between two places (or within one) is cut.
    OneWay {
        /// From there.
        from: Place,
        /// To there.
        to: Place,
    },
    /// Both directions between two places are cut.
    Cut(Place, Place),
    /// A place is cut from both others.
    CutOff(Place),
    /// Both directions are cut and healed in turn.
    Flap {
        /// One end.
        one: Place,
        /// The other end.
        other: Place,
        /// From one change to the next.
        every: Micros,
    },
    /// Both directions between two places take this much longer.
    Slow {
        /// One end.
        one: Place,
        /// The other end.
        other: Place,
        /// By how much.
        by: Micros,
    },
    /// Both directions between two places lose so many packets of a thousand, which are sent again.
    Lossy {
        /// One end.
        one: Place,
        /// The other end.
        other: Place,
        /// How many.
        per_mille: u32,
    },
    /// A process reaches nobody.
    Isolate(Who),
    /// A place is without power; its processes start again, all at once, when it is back.
    PowerOff(Place),
    /// A process is killed; it is started again at the end.
    Crash(Who),
    /// A process is stopped and goes on at the end (`SIGSTOP`, a long page fault). Of etcd's leader: a stall.
    Pause(Who),
    /// Every process of a place is stopped and goes on at the end.
    PauseAll(Place),
    /// The wall clocks of a place are wrong by this many microseconds more, until the end.
    WallClock {
        /// The place.
        place: Place,
        /// By how much.
        by: i64,
    },
    /// The boot clock of a process's machine runs fast by so many millionths, until the end.
    Drift {
        /// Whose machine.
        who: Who,
        /// By how much.
        ppm: i64,
    },
    /// etcd's leader gives up its role.
    Election,
    /// etcd forgets what happened up to so many revisions ago.
    Compact {
        /// How many revisions it keeps.
        keep: i64,
    },
    /// So many of a thousand of etcd's answers are lost.
    LoseAnswers(u32),
    /// The disk of an etcd member is slow by this much at every write.
    SlowDisk {
        /// The endpoint.
        endpoint: u8,
        /// By how much.
        by: Micros,
    },
    /// etcd is out of space.
    Full,
    /// The certificate of an etcd member has expired.
    Expired(u8),
    /// So many of a thousand deliveries of etcd's watches come twice, and as many in the wrong order.
    Watches(u32),
    /// All watches are ended.
    ResetWatches,
    /// The Kubernetes API of a place is slow by this much.
    SlowApi {
        /// The place.
        place: Place,
        /// By how much.
        by: Micros,
    },
    /// A backup of etcd is taken; the latest one is restored from.
    Backup,
    /// etcd is restored from the latest backup as a new cluster, at all endpoints.
    Restore,
    /// The member at an endpoint is forced to be a cluster of its own, beside the others.
    Fork(u8),
    /// A fault that only the world knows, for one of its processes.
    Nudge {
        /// The process.
        who: Who,
        /// What; the world says which numbers there are.
        what: u64,
    },
}

/// A fault with its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Planned {
    /// When it begins, in microseconds.
    pub at: Micros,
    /// How long it lasts, in microseconds; without meaning for what has no end.
    pub lasts: Micros,
    /// What it is.
    pub fault: Fault,
}

/// Faults, and a quiet end in which everything must come right.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    /// The faults.
    pub faults: Vec<Planned>,
    /// From here on there are none: what lasts longer ends here.
    pub quiet: Micros,
    /// The end of the run.
    pub end: Micros,
}

impl Schedule {
    /// A schedule without faults so far.
    #[must_use]
    pub fn new(quiet: Micros, end: Micros) -> Self {
        Self { faults: Vec::new(), quiet, end }
    }

    /// The same, and this fault.
    #[must_use]
    pub fn and(mut self, at: Micros, lasts: Micros, fault: Fault) -> Self {
        self.faults.push(Planned { at, lasts, fault });
        self
    }

    /// One line for each fault, for people.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let line = |planned: &Planned| {
            let (from, to) = (planned.at, self.quiet.min(planned.at.saturating_add(planned.lasts)));
            format!("{:>12} to {:>12} {:?}", seconds(from), seconds(to), planned.fault)
        };
        self.faults.iter().map(line).collect()
    }
}

/// Everything that a run follows from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Case {
    /// The seed: the world's sizes and times follow from it.
    pub seed: u64,
    /// A second seed for delays and chances. The shrinker tries several, because a schedule with fewer faults meets other
    /// delays.
    pub noise: u64,
    /// The faults.
    pub schedule: Schedule,
}
