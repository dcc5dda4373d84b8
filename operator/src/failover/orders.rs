//! Which executions there are to be: those that people asked for, and those that begin by themselves; and whose turn it is.

use super::picture::{Picture, ReadySince};
use super::{JournalHeld, JournalKey};
use crate::context::Context;
use std::collections::BTreeMap;
use tandem_arbiter::records::RequestRecord;
pub use tandem_core::failover::is_automatic;
use tandem_core::failover::{
    AUTOMATIC, ExecutionKind, Journal, Member, Request, Standing, Trigger, Turn, Waves, automatic, plan_waves,
    standing, start_now,
};

/// What is to be begun, and whose turn it is.
#[derive(Default)]
pub(super) struct Orders {
    /// Executions to make.
    pub(super) begin: Vec<Journal>,
    /// Whose turn it is; one that is not here has it.
    pub(super) turns: BTreeMap<JournalKey, Turn>,
}

/// The revision of the heartbeat after which the holder fell silent, from the id of an automatic execution, which is made of
/// it.
fn watched(execution: &str) -> Option<i64> {
    execution.strip_prefix(AUTOMATIC)?.rsplit('-').next()?.parse().ok()
}

/// What people asked for in an execution; `None` where their request has not been seen.
pub(super) fn request(context: &Context, journal: &Journal) -> Option<Request> {
    if is_automatic(&journal.execution) {
        return watched(&journal.execution).map(|watched| Request { automatic: Some(watched), ..Request::default() });
    }
    context.link.board().with_request(&journal.execution, |record| Request {
        automatic: None,
        expected_epoch: record.groups.get(&journal.group).copied(),
        approvals_wanted: record.approvals_wanted,
        accept_data_loss: record.accept_data_loss,
        despite_not_ready: record.despite_not_ready,
        approvals: record.approvals.clone(),
        abort: record.abort,
        paused: !record.paused_at.is_empty(),
    })
}

/// Works out what is to be begun, and whose turn it is.
pub(super) fn plan(context: &Context, picture: &Picture, ready: &ReadySince) -> Orders {
    let mut orders = Orders::default();
    for (id, record) in context.link.board().requests() {
        if record.value.kind == ExecutionKind::Drill {
            // It moves nothing; see `drills`.
            continue;
        }
        asked(context, picture, &id, &record.value, &mut orders);
    }
    by_itself(context, picture, ready, &mut orders);
    orders
}

/// The groups of a request, in their order, and whose turn it is.
pub(super) struct Order {
    pub(super) waves: Waves,
    pub(super) turns: BTreeMap<String, Turn>,
}

/// The order of a request's groups.
pub(super) fn order(
    picture: &Picture,
    record: &RequestRecord,
    journals: &BTreeMap<String, JournalHeld>,
    most: usize,
) -> Order {
    let members: Vec<Member> = record
        .groups
        .keys()
        .map(|name| {
            let unknown = || Member { name: name.clone(), tier: u8::MAX, depends_on: Default::default() };
            picture.facts.get(name).map_or_else(unknown, |facts| facts.member.clone())
        })
        .collect();
    let waves = plan_waves(&members, most);
    let standings: BTreeMap<String, Standing> = record
        .groups
        .keys()
        .map(|name| {
            let stands = match journals.get(name) {
                Some(held) => standing(&held.seen.journal),
                // It moved without this request: it will not move by it any more.
                None if !begins(picture, record, name) => Standing::Back,
                None => Standing::Waiting,
            };
            (name.clone(), stands)
        })
        .collect();
    let turns = start_now(&waves, &members, &standings, most);
    Order { waves, turns }
}

/// Whether a group is still where its request saw it.
pub(super) fn begins(picture: &Picture, record: &RequestRecord, group: &str) -> bool {
    picture.groups.get(group).is_some_and(|held| {
        held.record.value.active == record.from && record.groups.get(group) == Some(&held.record.value.epoch)
    })
}

fn asked(context: &Context, picture: &Picture, id: &str, record: &RequestRecord, orders: &mut Orders) {
    let journals = context.link.board().execution(id);
    if journals.len() == record.groups.len() && journals.values().all(|held| held.seen.journal.over) {
        return;
    }
    let most = record.max_parallel.unwrap_or(context.config.failover.max_parallel);
    let Order { turns, .. } = order(picture, record, &journals, most);
    let planned = matches!(record.kind, ExecutionKind::Switchover | ExecutionKind::Failback);
    let maker = if planned { &record.from } else { &record.to };
    for (group, turn) in turns {
        let open = !journals.contains_key(&group);
        if open && *maker == picture.me && turn == Turn::Now && !record.abort && begins(picture, record, &group) {
            let epoch = record.groups.get(&group).copied().unwrap_or(0);
            let sites = (record.from.as_str(), record.to.as_str());
            orders.begin.push(Journal::new((id, &group), record.kind, sites, epoch, picture.now.wall));
        }
        orders.turns.insert((id.to_owned(), group), turn);
    }
}

/// What begins by itself: every automatic group of a silent site is of one order, though each has an execution of its own.
fn by_itself(context: &Context, picture: &Picture, ready: &ReadySince, orders: &mut Orders) {
    let mut starts: BTreeMap<String, Journal> = BTreeMap::new();
    for name in picture.groups.keys() {
        let Some(situation) = picture.situation(context, ready, name, &picture.me) else { continue };
        if let Trigger::Start { execution, from, to, epoch, .. } = automatic(&situation, picture.now.boot) {
            let sites = (from.as_str(), to.as_str());
            let journal = Journal::new((&execution, name), ExecutionKind::Failover, sites, epoch, picture.now.wall);
            starts.insert(name.clone(), journal);
        }
    }
    // Those that were begun stay in the order until they serve: others depend on them.
    let begun: BTreeMap<String, JournalHeld> = context
        .link
        .board()
        .open_journals()
        .into_iter()
        .filter(|held| is_automatic(&held.seen.journal.execution) && held.seen.journal.to == picture.me)
        .map(|held| (held.seen.journal.group.clone(), held))
        .collect();
    let names = starts.keys().chain(begun.keys().filter(|name| !starts.contains_key(*name)));
    let members: Vec<Member> =
        names.filter_map(|name| picture.facts.get(name)).map(|facts| facts.member.clone()).collect();
    if members.is_empty() {
        return;
    }
    let most = context.config.failover.max_parallel;
    let waves = plan_waves(&members, most);
    let standings = begun.iter().map(|(name, held)| (name.clone(), standing(&held.seen.journal))).collect();
    for (group, turn) in start_now(&waves, &members, &standings, most) {
        let current = begun.get(&group).map(|held| held.seen.journal.execution.clone());
        if let Some(journal) = starts.remove(&group)
            && current.as_ref() != Some(&journal.execution)
            && turn == Turn::Now
            && supersedes(picture, context, &journal)
        {
            orders.begin.push(journal);
        }
        if let Some(execution) = current {
            orders.turns.insert((execution, group), turn);
        }
    }
}

/// Whether an automatic execution may take the place of the one that has the group. One that brings the group here by a
/// person's wish is left alone: it is that person's.
fn supersedes(picture: &Picture, context: &Context, journal: &Journal) -> bool {
    let Some(held) = picture.groups.get(&journal.group) else { return false };
    let Some(other) = &held.record.value.execution else { return true };
    let Some(other) = context.link.board().journal(other, &journal.group) else { return false };
    let other = &other.seen.journal;
    let comes_here = other.kind == ExecutionKind::Failover && other.to == picture.me && other.epoch == journal.epoch;
    !comes_here
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_silence_is_in_the_id() {
        assert_eq!(watched("auto-dc-a-1234"), Some(1234));
        assert_eq!(watched("home-2026"), None);
        assert!(is_automatic("auto-dc-a-9") && !is_automatic("home"));
    }
}
