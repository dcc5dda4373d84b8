//! From journals to the report.

use jiff::Timestamp;
use tandem_crds::{DrillReport, FailoverType, Why};

use super::document::{
    Consent, Event, FailoverReport, Given, GroupReport, GroupResult, Measure, StepReport, VERSION, Waited, Wave,
    Written,
};
use super::served::{between, without_service};
use super::sources::{Asked, Move, Sources};
use super::{fence, loss, next, rehearsed};
use crate::failover::{Evidence, ExecutionKind, Incident, Journal, Outcome, Request, Side, Step, approvals_needed};
use crate::policy::Text;

impl FailoverReport {
    /// The report on what these tell.
    #[must_use]
    pub fn of(sources: &Sources<'_>) -> Self {
        let asked = sources.asked;
        let groups: Vec<GroupReport> = sources.moves.iter().map(|(name, of)| group(name, of, sources)).collect();
        let journals = || sources.moves.values().filter_map(|of| of.journal.map(|(journal, _)| journal));
        let began = journals().filter_map(begun).min();
        let ended = journals().filter_map(ended).max();
        let mut report = Self {
            version: VERSION,
            execution: sources.execution.to_owned(),
            kind: kind(asked.kind),
            from: asked.from.clone(),
            to: asked.to.clone(),
            phase: sources.phase,
            settled: journals().all(|journal| journal.over),
            consent: consent(asked, journals()),
            began,
            ended,
            took_millis: began.zip(ended).map(|(began, ended)| between(began, ended)),
            rto: longest(groups.iter().map(|group| &group.rto)),
            loss: loss::worst(groups.iter().map(|group| &group.loss)),
            timeline: timeline(asked, &journals().collect::<Vec<_>>()),
            waves: waves(sources),
            groups,
            next: Vec::new(),
            drill: None,
            written: Written { site: sources.site.to_owned(), at: sources.now },
        };
        if let Some(drill) = &sources.drill {
            rehearsed::tell(&mut report, drill);
        }
        report.next = next::next(&report);
        report
    }
}

fn kind(kind: ExecutionKind) -> FailoverType {
    match kind {
        ExecutionKind::Switchover => FailoverType::Switchover,
        ExecutionKind::Failover => FailoverType::Failover,
        ExecutionKind::Drill => FailoverType::Drill,
        ExecutionKind::Failback => FailoverType::Failback,
    }
}

fn consent<'a>(asked: &Asked, journals: impl Iterator<Item = &'a Journal>) -> Consent {
    let mut counted: Vec<String> =
        journals.flat_map(|journal| &journal.evidence).flat_map(|evidence| evidence.facts.approvers.clone()).collect();
    counted.sort();
    counted.dedup();
    let request = Request {
        approvals_wanted: asked.approvals_wanted,
        accept_data_loss: asked.accept_data_loss,
        despite_not_ready: asked.despite_not_ready,
        ..Request::default()
    };
    Consent {
        automatic: asked.automatic,
        by: asked.by.clone(),
        site: asked.site.clone(),
        at: asked.at,
        reason: asked.reason.clone(),
        wanted: approvals_needed(&request) as u64,
        given: asked.approvals.iter().map(|given| Given { by: given.by.clone(), at: given.at }).collect(),
        counted,
        accept_data_loss: asked.accept_data_loss,
        despite_not_ready: asked.despite_not_ready,
        aborted: asked.abort,
    }
}

fn begun(journal: &Journal) -> Option<Timestamp> {
    journal.evidence.first().map(|first| first.begun)
}

fn of(journal: &Journal, step: Step) -> Option<&Evidence> {
    journal.evidence.iter().find(|evidence| evidence.step == step)
}

fn served(journal: &Journal) -> Option<Timestamp> {
    of(journal, Step::Completed).map(|evidence| evidence.begun)
}

/// When a group was served at the target, or had been taken back.
fn ended(journal: &Journal) -> Option<Timestamp> {
    served(journal).or_else(|| {
        let last = journal.evidence.last().filter(|_| journal.over)?;
        Some(last.ended.unwrap_or(last.begun))
    })
}

/// The longest that is known. Where one is not known, whether all were kept is not either.
pub(super) fn longest<'a>(all: impl Iterator<Item = &'a Measure>) -> Measure {
    let all: Vec<&Measure> = all.filter(|measure| measure.measured_millis.is_some()).collect();
    let worst = all.iter().max_by_key(|measure| measure.measured_millis);
    let wanted = all.iter().filter_map(|measure| measure.wanted_millis).min();
    let kept: Vec<bool> = all.iter().filter_map(|measure| measure.kept).collect();
    Measure {
        measured_millis: worst.and_then(|measure| measure.measured_millis),
        wanted_millis: wanted,
        kept: (!kept.is_empty()).then(|| kept.iter().all(|kept| *kept)),
    }
}

fn waves(sources: &Sources<'_>) -> Vec<Wave> {
    let times = |groups: &[String], of: fn(&Journal) -> Option<Timestamp>| -> Vec<Timestamp> {
        let journals = groups.iter().filter_map(|name| sources.moves.get(name)?.journal);
        journals.filter_map(|(journal, _)| of(journal)).collect()
    };
    (0..)
        .zip(&sources.waves)
        .map(|(number, groups)| Wave {
            number,
            groups: groups.clone(),
            began: times(groups, begun).into_iter().min(),
            ended: times(groups, ended).into_iter().max(),
        })
        .collect()
}

/// What happened when. With many groups: the first and the last of each.
fn timeline(asked: &Asked, journals: &[&Journal]) -> Vec<Event> {
    let (from, to) = (&asked.from, &asked.to);
    let mut events: Vec<Event> = Vec::new();
    let mut tell = |at: Option<Timestamp>, en: String, zh: String| {
        events.extend(at.map(|at| Event { at, what: Text::new(en, zh) }));
    };
    if !asked.automatic {
        tell(Some(asked.at), format!("{} asked for it", asked.by), format!("{} 发起", asked.by));
    }
    for given in &asked.approvals {
        tell(Some(given.at), format!("{} approved", given.by), format!("{} 批准", given.by));
    }
    let at = |step: Step| journals.iter().filter_map(move |journal| of(journal, step));
    let began = |step: Step| at(step).map(|evidence| evidence.begun);
    tell(began(Step::Validating).min(), "the first group began".into(), "第一个组开始".into());
    tell(
        began(Step::Quiescing).filter(|_| asked.kind != ExecutionKind::Failover).min(),
        format!("{from} began to refuse writers"),
        format!("{from} 开始拒绝写入"),
    );
    let fenced = at(Step::Fencing).filter(|evidence| evidence.outcome == Some(Outcome::Done));
    tell(
        fenced.filter_map(|evidence| evidence.ended).min(),
        format!("the first group was fenced at {from}"),
        format!("第一个组在 {from} 被隔离"),
    );
    tell(
        began(Step::EpochCommitted).min(),
        format!("{to} held the first group under its new epoch"),
        format!("{to} 以新纪元持有第一个组"),
    );
    tell(
        began(Step::Completed).min(),
        format!("the first group was served at {to}"),
        format!("第一个组在 {to} 提供服务"),
    );
    let last = began(Step::Completed).max().filter(|_| at(Step::Completed).count() > 1);
    tell(last, format!("the last group was served at {to}"), format!("最后一个组在 {to} 提供服务"));
    tell(began(Step::RolledBack).max(), "the last group was taken back".into(), "最后一个组被撤回".into());
    let follows = journals.iter().filter(|journal| journal.kind != ExecutionKind::Drill).all(|journal| journal.over);
    let protected = began(Step::Protected).max().filter(|_| follows);
    tell(protected, format!("{from} follows again"), format!("{from} 重新跟随"));
    events.sort_by_key(|event| event.at);
    events
}

fn group(name: &str, of_group: &Move<'_>, sources: &Sources<'_>) -> GroupReport {
    let wave = sources.waves.iter().position(|wave| wave.iter().any(|group| group == name));
    let wave = wave.and_then(|wave| u32::try_from(wave).ok());
    let wanted = &of_group.wanted;
    let Some((journal, revision)) = of_group.journal else {
        return GroupReport {
            name: name.to_owned(),
            wave,
            result: GroupResult::NotBegun,
            step: String::new(),
            why: of_group.waits.clone(),
            epoch_before: of_group.epoch,
            epoch_after: None,
            rto: Measure::new(None, wanted.rto_millis),
            loss: loss::not_begun(&sources.asked.from),
            fence: fence::not_begun(),
            steps: Vec::new(),
            waited: Vec::new(),
            more_waited: 0,
            applications: of_group.applications.clone(),
        };
    };
    let result = match journal.step {
        Step::RolledBack => GroupResult::TakenBack,
        Step::Completed | Step::Resyncing | Step::Protected => GroupResult::Served,
        _ => GroupResult::Open,
    };
    let why = journal.side.as_ref().map(Side::why).or(journal.why.as_ref());
    let verified = of(journal, Step::Verifying).filter(|evidence| evidence.outcome == Some(Outcome::Done));
    let mut applications = of_group.applications.clone();
    for application in &mut applications {
        application.served_at = verified.and_then(|evidence| evidence.ended);
    }
    GroupReport {
        name: name.to_owned(),
        wave,
        result,
        step: journal.step.code().to_owned(),
        why: why.map(Why::from),
        epoch_before: journal.epoch,
        epoch_after: epoch_after(journal),
        rto: Measure::new(without_service(journal, wanted.take_over_millis), wanted.rto_millis),
        loss: loss(journal, wanted),
        fence: fence::fence(journal, revision),
        steps: journal.evidence.iter().map(|evidence| step(evidence, journal, revision)).collect(),
        waited: journal.incidents.iter().map(waited).collect(),
        more_waited: journal.more_incidents,
        applications,
    }
}

/// The epoch that an execution left: every transaction that commits one, a reclaim's too, makes it one more.
fn epoch_after(journal: &Journal) -> Option<u64> {
    if of(journal, Step::EpochCommitted).is_some() {
        return Some(journal.epoch.saturating_add(1));
    }
    let released = journal.fence_proof().is_some();
    let back = of(journal, Step::RolledBack)?;
    match (released, back.outcome) {
        (false, Some(Outcome::Done)) => Some(journal.epoch),
        (true, Some(Outcome::Done)) => Some(journal.epoch.saturating_add(1)),
        _ => None,
    }
}

fn step(evidence: &Evidence, journal: &Journal, revision: i64) -> StepReport {
    let facts = &evidence.facts;
    // What the journal's last entry told first is known by the revision at which it stands.
    let last = journal.is_traced().then_some(revision);
    let skipped = matches!(evidence.outcome, Some(Outcome::SkippedNoData | Outcome::SkippedUnreachable));
    StepReport {
        step: evidence.step.code().to_owned(),
        began: evidence.begun,
        ended: evidence.ended,
        took_millis: evidence.ended.filter(|_| !skipped).map(|ended| between(evidence.begun, ended)),
        outcome: evidence.outcome.map(|outcome| format!("{outcome:?}")).unwrap_or_default(),
        note: evidence.note.clone(),
        began_revision: facts.begun_revision.or(last),
        ended_revision: facts.ended_revision.or_else(|| evidence.ended.and(last)),
        token: facts.token,
        failures: facts.failures.clone(),
        source: facts.source,
        target: facts.target,
    }
}

fn waited(incident: &Incident) -> Waited {
    Waited {
        step: incident.step.code().to_owned(),
        side: incident.side.clone(),
        at: incident.at,
        until: incident.until,
        reason: incident.reason.clone(),
        message: Text::new(&*incident.message, &*incident.message_zh),
    }
}

impl FailoverReport {
    /// What an agency is told: what became of these groups and what they lost; `None` where it is about none of them. Of the others
    /// nothing, and of the platform's people and their reasons nothing. What is said of all is worked out anew.
    #[must_use]
    pub fn part(&self, has: &dyn Fn(&str) -> bool) -> Option<Self> {
        let told = |group: &GroupReport| {
            let mut group = GroupReport { steps: Vec::new(), waited: Vec::new(), ..group.clone() };
            // Its sentence may name others' groups.
            if let Some(why) = group.why.as_mut().filter(|why| names_groups(&why.reason)) {
                why.message.clear();
                why.message_zh.clear();
            }
            group
        };
        let groups: Vec<GroupReport> = self.groups.iter().filter(|group| has(&group.name)).map(told).collect();
        if groups.is_empty() {
            return None;
        }
        let waves = self.waves.iter().map(|wave| Wave {
            groups: wave.groups.iter().filter(|group| has(group)).cloned().collect(),
            began: None,
            ended: None,
            ..wave.clone()
        });
        let consent = Consent {
            by: String::new(),
            reason: String::new(),
            given: Vec::new(),
            counted: Vec::new(),
            ..self.consent.clone()
        };
        let mut part = Self {
            consent,
            rto: longest(groups.iter().map(|group| &group.rto)),
            loss: loss::worst(groups.iter().map(|group| &group.loss)),
            timeline: Vec::new(),
            waves: waves.filter(|wave| !wave.groups.is_empty()).collect(),
            groups,
            drill: self.drill.as_ref().map(|drill| DrillReport {
                groups: drill.groups.iter().filter(|group| has(&group.name)).cloned().collect(),
                ..drill.clone()
            }),
            ..self.clone()
        };
        part.next = next::next(&part);
        Some(part)
    }
}

/// Whether the sentence of a reason names groups.
fn names_groups(reason: &str) -> bool {
    matches!(reason, "WaitsFor" | "DependsOnStuck")
}
