//! The order in which the groups of one execution move.

use std::collections::{BTreeMap, BTreeSet};

use super::{Journal, Side, Step};

/// The group whose active site publishes desired state: it moves before all others and depends on nothing.
pub const PLATFORM: &str = "platform";

/// A group, as far as the order matters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// The group.
    pub name: String,
    /// Its tier; 0 moves first.
    pub tier: u8,
    /// Groups that have to serve before it. Those that do not move with it are not waited for.
    pub depends_on: BTreeSet<String>,
}

impl Member {
    /// Whether it is the group that decides who publishes.
    #[must_use]
    pub fn is_platform(&self) -> bool {
        self.name == PLATFORM
    }
}

/// Groups that may move at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wave {
    /// The tier they move with: the lowest number among their own and those of the groups that wait for them.
    pub tier: u8,
    /// The groups, by name.
    pub groups: Vec<String>,
}

/// The order in which groups move.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Waves {
    /// The waves, the first one first.
    pub waves: Vec<Wave>,
    /// Circles of dependencies, each once, beginning with the name that sorts first. Their groups do not move.
    pub cycles: Vec<Vec<String>>,
    /// Groups that do not move because they depend on a circle.
    pub behind: Vec<String>,
}

/// The order in which these groups move: `platform` alone, then by tier, each after those it depends on, at most
/// `most` (at least 1) in a wave. A group that others of a higher tier depend on moves with that tier.
#[must_use]
pub fn plan_waves(groups: &[Member], most: usize) -> Waves {
    let mut plan = Waves::default();
    let mut open: BTreeMap<&str, BTreeSet<&str>> = dependencies(groups);
    let tiers = tiers(groups, &open);
    if open.remove(PLATFORM).is_some() {
        plan.waves.push(Wave { tier: 0, groups: vec![PLATFORM.to_owned()] });
        drop_from(&mut open, &[PLATFORM]);
    }
    let tier = |name: &str| tiers.get(name).copied().unwrap_or(u8::MAX);
    loop {
        let free: Vec<&str> = open.iter().filter(|(_, needs)| needs.is_empty()).map(|(name, _)| *name).collect();
        let Some(first) = free.iter().map(|name| tier(name)).min() else { break };
        let wave: Vec<&str> = free.into_iter().filter(|name| tier(name) == first).take(most.max(1)).collect();
        for name in &wave {
            open.remove(name);
        }
        drop_from(&mut open, &wave);
        plan.waves.push(Wave { tier: first, groups: wave.into_iter().map(str::to_owned).collect() });
    }
    let cycles: BTreeSet<Vec<String>> = open.keys().filter_map(|name| cycle(name, &open)).collect();
    let inside: BTreeSet<&String> = cycles.iter().flatten().collect();
    plan.behind = open.keys().map(|name| (*name).to_owned()).filter(|name| !inside.contains(name)).collect();
    plan.cycles = cycles.into_iter().collect();
    plan
}

/// What each group waits for, among the groups that move.
fn dependencies(groups: &[Member]) -> BTreeMap<&str, BTreeSet<&str>> {
    let names: BTreeSet<&str> = groups.iter().map(|g| g.name.as_str()).collect();
    let needs = |group: &Member| -> BTreeSet<&str> {
        names.iter().copied().filter(|name| !group.is_platform() && group.depends_on.contains(*name)).collect()
    };
    groups.iter().map(|group| (group.name.as_str(), needs(group))).collect()
}

fn drop_from<'a>(open: &mut BTreeMap<&'a str, BTreeSet<&'a str>>, done: &[&str]) {
    for needs in open.values_mut() {
        needs.retain(|name| !done.contains(name));
    }
}

/// The tier that each group moves with. Ends also where dependencies go in a circle: tiers only fall.
fn tiers<'a>(groups: &'a [Member], needs: &BTreeMap<&'a str, BTreeSet<&'a str>>) -> BTreeMap<&'a str, u8> {
    let mut tiers: BTreeMap<&str, u8> = groups.iter().map(|g| (g.name.as_str(), g.tier)).collect();
    loop {
        let mut changed = false;
        for (name, needs) in needs {
            let own = tiers.get(name).copied().unwrap_or(u8::MAX);
            for need in needs {
                if let Some(tier) = tiers.get_mut(need).filter(|tier| **tier > own) {
                    *tier = own;
                    changed = true;
                }
            }
        }
        if !changed {
            return tiers;
        }
    }
}

/// The circle that one comes to from this group: each that is left depends on another that is left.
fn cycle(start: &str, open: &BTreeMap<&str, BTreeSet<&str>>) -> Option<Vec<String>> {
    let mut path: Vec<&str> = Vec::new();
    let mut here = *open.get_key_value(start)?.0;
    while !path.contains(&here) {
        path.push(here);
        here = open.get(here)?.iter().next()?;
    }
    let mut circle = path.split_off(path.iter().position(|name| *name == here)?);
    let first = circle.iter().enumerate().min_by_key(|(_, name)| **name)?.0;
    circle.rotate_left(first);
    Some(circle.into_iter().map(str::to_owned).collect())
}

/// How a group's move stands, as far as others are concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Standing {
    /// It has not begun.
    Waiting,
    /// It has not begun, and rules or people do not let it.
    Blocked,
    /// It is under way.
    Moving,
    /// It serves at the target.
    Serving,
    /// It was begun and needs a person.
    NeedsHuman,
    /// It was taken back, or dropped.
    Back,
}

/// How a group's move stands.
#[must_use]
pub fn standing(journal: &Journal) -> Standing {
    let served = (Step::Completed..=Step::Protected).contains(&journal.step);
    match (&journal.side, journal.step) {
        (_, Step::RolledBack) if journal.over => Standing::Back,
        _ if served => Standing::Serving,
        (Some(Side::NeedsHuman { .. }), _) => Standing::NeedsHuman,
        (Some(Side::Blocked { .. } | Side::Paused), _) | (None, Step::AwaitingApproval) => Standing::Blocked,
        (None, Step::Validating) => Standing::Waiting,
        (None, _) => Standing::Moving,
    }
}

/// Whether it is a group's turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Turn {
    /// It is, or was.
    Now,
    /// It comes by itself: these have to serve first, or are under way and leave no place.
    Waits {
        /// The groups.
        groups: BTreeSet<String>,
    },
    /// These have to serve first, and will not by themselves.
    Stuck {
        /// The groups.
        groups: BTreeSet<String>,
    },
}

/// Which groups may begin now, and what the others wait for; groups that have begun have their turn.
///
/// Places are given in the order of `plan`, at most `most` (at least 1) at once. A group that is held up takes no place and
/// holds up only those that depend on it; it is looked at again whenever there is a place, so that several that are let go
/// in one instant may together pass `most`. While `platform` is under way nothing else begins. A group without an entry in
/// `standings` waits.
#[must_use]
pub fn start_now(
    plan: &Waves,
    groups: &[Member],
    standings: &BTreeMap<String, Standing>,
    most: usize,
) -> BTreeMap<String, Turn> {
    let of = |name: &str| standings.get(name).copied().unwrap_or(Standing::Waiting);
    let needs = dependencies(groups);
    let names = || plan.waves.iter().flat_map(|wave| wave.groups.iter());
    let mut moving: BTreeSet<String> = names().filter(|name| of(name) == Standing::Moving).cloned().collect();
    let unmovable: BTreeSet<&str> = plan.cycles.iter().flatten().chain(&plan.behind).map(String::as_str).collect();
    let mut turns = BTreeMap::new();
    for name in names() {
        let standing = of(name);
        if !matches!(standing, Standing::Waiting | Standing::Blocked) {
            turns.insert(name.clone(), Turn::Now);
            continue;
        }
        let open: BTreeSet<&str> = needs
            .get(name.as_str())
            .into_iter()
            .flatten()
            .copied()
            .filter(|need| of(need) != Standing::Serving)
            .collect();
        // What waits for something stuck is stuck itself: else a chain would look as if it went on by itself.
        let stuck = |need: &str| {
            matches!(of(need), Standing::Back | Standing::NeedsHuman | Standing::Blocked)
                || matches!(turns.get(need), Some(Turn::Stuck { .. }))
        };
        let hopeless: BTreeSet<String> = open.iter().filter(|need| stuck(need)).map(|s| (*s).to_owned()).collect();
        let alone = moving.contains(PLATFORM) && name != PLATFORM;
        let turn = if !hopeless.is_empty() {
            Turn::Stuck { groups: hopeless }
        } else if !open.is_empty() {
            Turn::Waits { groups: open.into_iter().map(str::to_owned).collect() }
        } else if alone || moving.len() >= most.max(1) {
            Turn::Waits { groups: moving.clone() }
        } else {
            if standing == Standing::Waiting {
                moving.insert(name.clone());
            }
            Turn::Now
        };
        turns.insert(name.clone(), turn);
    }
    for name in unmovable {
        let groups = needs.get(name).into_iter().flatten().map(|need| (*need).to_owned()).collect();
        turns.insert(name.to_owned(), Turn::Stuck { groups });
    }
    turns
}
