//! Journals, and what is said of them.

mod pages;
mod proofs;
mod told;

use jiff::{SignedDuration, Timestamp};
use tandem_crds::FailoverPhase;

use super::{ApplicationReport, Asked, FailoverReport, Move, Sources, Wanted};
use crate::failover::*;

fn at(millis: i64) -> Timestamp {
    "2026-11-26T08:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_millis(millis)
}

fn asked(kind: ExecutionKind) -> Asked {
    Asked {
        kind,
        from: "dc-a".into(),
        to: "dc-b".into(),
        by: "wang".into(),
        site: "dc-b".into(),
        reason: "dc-a lost <power> & cooling".into(),
        at: at(-60_000),
        automatic: false,
        approvals_wanted: 0,
        approvals: Vec::new(),
        accept_data_loss: None,
        despite_not_ready: false,
        abort: false,
    }
}

fn token(step: u32) -> Token {
    Token { generation: 1, epoch: 4, execution: 900, step }
}

/// A switchover that went well, with the positions that prove it.
fn switchover() -> Journal {
    let mut journal = Journal::new(("home", "tax"), ExecutionKind::Switchover, ("dc-a", "dc-b"), 4, at(0));
    for (step, next, millis, note) in [
        (Step::Validating, Step::Quiescing, 40, ""),
        (Step::Quiescing, Step::FinalSync, 190, "Quiesced at 41"),
        (Step::FinalSync, Step::Demoting, 300, "Quiesced at 41"),
        (Step::Demoting, Step::Fencing, 360, "Standby at 41"),
    ] {
        journal = revised(&journal, &journal.advanced(next, Outcome::Done, note, at(millis))).knowing(step, |facts| {
            facts.token = Some(token(2)).filter(|_| step != Step::Validating);
            if step == Step::FinalSync {
                facts.source = Some(Stood::answered(41));
                facts.target = Some(Stood {
                    role: Some(Role::Standby),
                    position: Some(41),
                    lag_millis: Some(0),
                    age_millis: Some(12),
                });
            }
        });
    }
    journal = revised(&journal, &journal.ended(Outcome::Done, "Fenced at 41", at(400)))
        .knowing(Step::Fencing, |facts| facts.token = Some(token(5)));
    journal = revised(&journal, &journal.advanced(Step::EpochCommitted, Outcome::Done, "", at(450)))
        .knowing(Step::EpochCommitted, |facts| facts.release_seen = Some(true));
    served(journal, 500)
}

/// A failover after two people consented, that went well.
fn failover() -> Journal {
    let journal = Journal::new(("lost", "tax"), ExecutionKind::Failover, ("dc-a", "dc-b"), 4, at(0));
    let why = Reason::RpoExceeded { exposure: 12, rpo: 5 };
    let journal = revised(&journal, &journal.with_side(Some(Side::Blocked { why }), at(20)));
    let skipped = [Step::Quiescing, Step::FinalSync, Step::Demoting];
    let next = journal.advanced(Step::Fencing, Outcome::Done, "", at(30_000));
    let journal = revised(&journal, &next.skipped(&skipped, Outcome::SkippedUnreachable, at(30_000)));
    let next = journal.advanced(Step::EpochCommitted, Outcome::Done, "heartbeats of dc-a unmoved", at(30_050));
    let journal = revised(&journal, &next).knowing(Step::Fencing, |facts| {
        facts.silence =
            Some(Silent { revision: 777, unmoved_millis: 41_250, take_over_millis: 10_000, fence_after_millis: 7_000 });
        facts.risk = Some(Risk {
            replication: Replication::Asynchronous,
            exposure_millis: Some(11_500),
            rpo_millis: 5_000,
            accepted: Some(AcceptDataLoss { max_seconds: Some(60) }),
        });
        facts.source =
            Some(Stood { role: Some(Role::Active), position: Some(5_000), lag_millis: None, age_millis: Some(41_900) });
        facts.target = Some(Stood {
            role: Some(Role::Standby),
            position: Some(4_000),
            lag_millis: Some(4_500),
            age_millis: Some(80),
        });
        facts.approvers = vec!["ann".into(), "bob".into()];
    });
    served(journal, 30_100)
}

fn served(mut journal: Journal, from: i64) -> Journal {
    for (step, next, millis) in [
        (Step::EpochCommitted, Step::Promoting, 0),
        (Step::Promoting, Step::Redirecting, 300),
        (Step::Redirecting, Step::Verifying, 350),
        (Step::Verifying, Step::Completed, 900),
        (Step::Completed, Step::Resyncing, 950),
    ] {
        journal =
            revised(&journal, &journal.advanced(next, Outcome::Done, "", at(from + millis))).knowing(step, |facts| {
                facts.token = Some(Token { epoch: 5, ..token(8) }).filter(|_| step != Step::EpochCommitted);
                if step == Step::Promoting {
                    facts.target = Some(Stood::answered(4_100));
                    facts.failures = Some(Failures { count: 1, last: "no answer".into() });
                }
            });
    }
    journal
}

/// The former source follows again, and says what it dropped, where it does.
fn followed(journal: &Journal, dropped: Option<Dropped>) -> Journal {
    let next = journal.advanced(Step::Protected, Outcome::Done, "", at(600_000));
    let next = revised(journal, &next).knowing(Step::Resyncing, |facts| facts.dropped = dropped);
    revised(&next, &next.closed(Outcome::Done, at(600_000)))
}

fn dropped() -> Dropped {
    Dropped {
        epoch: 5,
        from: 3_900,
        to: 5_200,
        transactions: Some(3),
        first_commit: Some(at(-12_000)),
        last_commit: Some(at(-11_000)),
    }
}

/// As the arbiter stamps it: the entry before stood at a revision.
fn revised(before: &Journal, next: &Journal) -> Journal {
    next.clone().after(before, 1_000 + i64::from(before.entry))
}

fn moved<'a>(name: &str, journal: Option<&'a Journal>) -> Move<'a> {
    let application = |app: &str, ready: bool| ApplicationReport {
        namespace: format!("{name}-prod"),
        name: app.into(),
        ready,
        served_at: None,
        message: if ready { String::new() } else { "0 of 2 pods are ready".into() },
    };
    Move {
        journal: journal.map(|journal| (journal, 2_000)),
        epoch: 4,
        waits: None,
        wanted: Wanted { rto_millis: Some(60_000), rpo_millis: Some(5_000), take_over_millis: Some(10_000) },
        applications: vec![application("portal", true), application("batch", false)],
    }
}

fn report(asked: &Asked, phase: FailoverPhase, journals: &[(&str, Option<&Journal>)]) -> FailoverReport {
    FailoverReport::of(&Sources {
        execution: "lost",
        asked,
        phase,
        waves: vec![journals.iter().map(|(name, _)| (*name).to_owned()).collect()],
        moves: journals.iter().map(|(name, journal)| ((*name).to_owned(), moved(name, *journal))).collect(),
        drill: None,
        site: "dc-b",
        now: at(700_000),
    })
}
