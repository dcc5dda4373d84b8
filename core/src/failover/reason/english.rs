//! The sentences in English.

use super::{Reason, Step};

/// The first of so many groups by name: a city has hundreds, and each of those that wait says so.
fn groups_named(groups: &[String]) -> String {
    let (shown, left_out) = super::first(groups);
    let shown = shown.join(", ");
    if left_out == 0 { shown } else { format!("{shown} and {left_out} more") }
}

pub(super) fn sentence(reason: &Reason) -> String {
    match reason {
        Reason::Going { step } => format!("{} goes on", self::step(*step)),
        Reason::Over => "the execution has ended".to_owned(),
        Reason::NotConcerned { site } => format!("{site} has no part in this move"),
        Reason::NotLeader => "another replica acts for this site".to_owned(),
        Reason::NotDriver { site } => format!("{site} drives at this point"),
        Reason::Fenced { site } => format!("{site} is fenced: the arbiter has not answered it in time"),
        Reason::AnswerOutstanding => {
            "the outcome of the last transaction is not known yet; the records are being read again".to_owned()
        }
        Reason::StaleView => "the records seen here are not up to date; waiting until they are".to_owned(),
        Reason::TokenRefused => "the call was refused because a newer decision was seen there".to_owned(),
        Reason::Contradiction => {
            "record and journal contradict each other; compare both before anything is done".to_owned()
        }
        Reason::Unconfirmed => "the arbiter was restored; the holder has to be confirmed first".to_owned(),
        Reason::NotBegun => "the group's record names no execution any more".to_owned(),
        Reason::OtherExecution { execution } => format!("the execution {execution} is moving this group"),
        Reason::Superseded { epoch } => {
            format!("the group has moved on without this execution and is at epoch {epoch}")
        }
        Reason::EpochMoved { expected, found } => {
            format!("asked for at epoch {expected}, but the group is at {found}; look again and ask anew")
        }
        Reason::AbortAsked => "somebody asked to take it back".to_owned(),
        Reason::PauseAsked => "somebody asked it to wait".to_owned(),
        Reason::Reclaimed => "the source took the group back".to_owned(),
        Reason::ApprovalsLacking { given, wanted } => {
            format!("{given} of {wanted} approvals by different people are given")
        }
        Reason::Held { scope } => format!("the hold {scope} forbids every promotion until it is lifted"),
        Reason::DrillRunning => "the clones of a drill have to be taken away first".to_owned(),
        Reason::DrillIsElsewhere => "a drill moves no group".to_owned(),
        Reason::WaitsFor { groups } => format!("it waits for {}", groups_named(groups)),
        Reason::DependsOnStuck { groups } => format!("it depends on {}, which cannot go on", groups_named(groups)),
        Reason::SourceNotReady { site } => {
            format!("the group is not healthy at {site}; ask for a failover if that site is lost")
        }
        Reason::SourceSilent { site } => {
            format!("{site} is not heard; a failover can be asked for, or it goes on when the site returns")
        }
        Reason::SourceNotFollowing { site } => format!("{site} does not follow as a standby yet"),
        Reason::TargetNotReady { site } => format!("the group is not ready at {site}"),
        Reason::TargetSilent { site } => format!("{site} is not heard"),
        Reason::TargetBehind { site } => format!("{site} has not received everything yet"),
        Reason::StandbyNotFollowing { site } => format!("the data at {site} does not follow the active site"),
        Reason::NoOtherSite => "no other site is known".to_owned(),
        Reason::NoRoom { site } => format!("{site} has no room for the group"),
        Reason::RoomUnknown { site } => format!("whether {site} has room for the group is not known"),
        Reason::LagUnknown { site } => format!("how far {site} is behind is not known"),
        Reason::LagTooGreat { site, lag, most } => {
            format!("{site} is {lag} s behind; a planned move needs {most} s or less")
        }
        Reason::RpoExceeded { exposure, rpo } => format!(
            "up to {exposure} s of writes could be lost, the RPO is {rpo} s; it takes acceptDataLoss and two approvers"
        ),
        Reason::RpoUnknown { rpo } => format!(
            "how much could be lost is not known, the RPO is {rpo} s; it takes acceptDataLoss without a limit and two approvers"
        ),
        Reason::MoreThanAccepted { exposure, accepted } => {
            format!("up to {exposure} s of writes could be lost, {accepted} s were accepted")
        }
        Reason::HolderAlive { site, silent, least } => format!(
            "{site} has been silent for {silent} s, it takes {least} s; while it is alive, ask for a switchover"
        ),
        Reason::HolderUnwatched { site } => format!("the heartbeats of {site} are not watched from here"),
        Reason::HolderReturned { site } => format!("{site} was heard again before anything was done"),
        Reason::HeldHere => "this site holds the group".to_owned(),
        Reason::ReleasedTo { site } => format!("the group is released to {site} and not claimed yet"),
        Reason::NotAutomatic => "the group is in manual mode".to_owned(),
        Reason::NotReadyLongEnough { site, ready, least } => {
            format!("{site} has been ready for {ready} s, an automatic failover takes {least} s")
        }
        Reason::Dwelling { here, least } => {
            format!("the group has been where it is for {here} s and stays for {least} s")
        }
        Reason::TooManyFailovers { lately, most } => {
            format!("{lately} automatic failovers within a day, {most} are allowed")
        }
        Reason::TooLong { step } => format!("{} has passed its deadline", self::step(*step)),
        Reason::CallFailed { what, why } => format!("the call {what} failed and is tried again: {why}"),
        Reason::ClaimTooLate { site } => format!("{site} did not claim the group in time"),
        Reason::AwaitsClaim { site } => format!("released; waiting until {site} claims the group"),
        Reason::ReleaseNotSeen { site } => format!("not every replica at {site} has seen the release yet"),
        Reason::NoFenceProof => {
            "no proof that the source is fenced is recorded; nothing is promoted without it".to_owned()
        }
        Reason::NoTolerance => "the arbiter cannot lose another member".to_owned(),
        Reason::GateOnly => "no data provider: only one active site is promised, not the data".to_owned(),
        Reason::SecretMissing { site, secret } => {
            format!("the Secret {secret} is missing or cannot be used at {site}; create it there")
        }
        Reason::NoEndpoint { site } => {
            format!("the provider's settings name nothing at {site}; add it to spec.hook.sites, or spec.patroni.sites")
        }
        Reason::ProviderSilent { site, why } => {
            format!("the data service at {site} does not answer as it should: {why}")
        }
        Reason::BelowFloor { field, seconds, least } => format!("{field} is {seconds} s; set {least} s or more"),
        Reason::AboveCeiling { field, value, most } => format!("{field} is {value}; set {most} or less"),
        Reason::RpoTooStrictForAutomatic { rpo, least } => format!(
            "an automatic failover cannot keep an RPO of {rpo} s with asynchronous replication; set {least} s or more, replicate synchronously, or choose manual mode"
        ),
        Reason::Unknown => "a newer release gave a reason that this one does not know".to_owned(),
    }
}

pub(super) fn step(step: Step) -> &'static str {
    match step {
        Step::Validating => "validating",
        Step::AwaitingApproval => "awaiting approval",
        Step::Quiescing => "quiescing",
        Step::FinalSync => "the final synchronisation",
        Step::Demoting => "demoting",
        Step::Fencing => "fencing",
        Step::EpochCommitted => "committing the epoch",
        Step::Promoting => "promoting",
        Step::Redirecting => "redirecting",
        Step::Verifying => "verifying",
        Step::Completed => "completion",
        Step::Resyncing => "resynchronising",
        Step::Protected => "protection",
        Step::RolledBack => "taking back",
    }
}
