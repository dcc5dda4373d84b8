//! The task that beats.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

use super::{Act, Identity, Machine, MembershipError, Outcome, Timing, View};
use crate::arbiter::Arbiter;
use crate::arbiter::read;
use crate::clock::Clock;
use crate::gate::{Gate, SharedGate};
use crate::pins::{Mismatch, NotAccepted, Observed, Pins, read_acceptance, read_pins, write_pins};
use crate::records::{GenerationRecord, Key, ReplacementsRecord};
use crate::store::{Comparison, Counts, Met, Store, StoreError};
use crate::txn::{Op, Txn, TxnAnswer};

/// Beats every `T/5` until `stop`, campaigns when the site has no leader, and publishes what is known with every answer. On
/// `stop` the leadership is given up at once, so that another replica need not wait for `T`: whoever acts on it must have
/// ended before.
///
/// # Errors
/// [`MembershipError`]; by then the view says that nothing is led and nothing known.
pub async fn run_membership<S: Store, C: Clock>(
    store: S,
    identity: Identity,
    timing: Timing,
    clock: C,
    view: watch::Sender<View>,
    stop: impl Future<Output = ()> + Send,
) -> Result<(), MembershipError> {
    let Identity { site, replica, generation, .. } = &identity;
    let gate = SharedGate::new(Gate::new(site, replica, *generation, timing));
    run(store, Running::without_pins(identity, timing, gate), clock, view, stop).await
}

/// How an attempt at a heartbeat ended. What only leads to the next attempt at once, such as the look at a new connection, is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attempt {
    /// It was answered and counts, so long after it was sent.
    Answered(Duration),
    /// It was not answered, or not in time.
    Failed,
    /// It was answered and does not count: by an arbiter that is not the one that is pinned, or where replicas differ in `T`.
    Refused,
}

/// Whoever is told of attempts. What it does must be short and must not wait: the next heartbeat is due.
#[derive(Clone, Default)]
pub struct Attempts(Option<Arc<dyn Fn(Attempt) + Send + Sync>>);

impl Attempts {
    /// Told to this.
    pub fn new(tell: impl Fn(Attempt) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(tell)))
    }

    /// Tells of an attempt.
    pub fn tell(&self, attempt: Attempt) {
        if let Some(tell) = &self.0 {
            tell(attempt);
        }
    }
}

impl std::fmt::Debug for Attempts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Attempts").field("told", &self.0.is_some()).finish()
    }
}

/// What a membership runs with.
#[derive(Clone, Debug)]
pub struct Running {
    /// Who the replica is. With pins, their generation counts.
    pub identity: Identity,
    /// The times.
    pub timing: Timing,
    /// The gate that is fed. Whoever watches or acts feeds it too.
    pub gate: SharedGate,
    /// Where the pins are kept: a path on a disk of this replica's own. Where there is no file yet, the arbiter that is met
    /// first is pinned.
    pub pins: Option<PathBuf>,
    /// Asks for a heartbeat before the next is due: notified by whoever feeds the gate a release by this site, so that the
    /// claimant hears of it at once.
    pub wake: Arc<Notify>,
    /// Where it is said whose answers count beside those to heartbeats.
    pub comparison: Comparison,
    /// Who is told of attempts at a heartbeat.
    pub attempts: Attempts,
}

impl Running {
    /// A membership for which nothing is pinned: whatever answers counts.
    #[must_use]
    pub fn without_pins(identity: Identity, timing: Timing, gate: SharedGate) -> Self {
        let wake = Arc::<Notify>::default();
        let (comparison, attempts) = (Comparison::new(Arc::clone(&wake)), Attempts::default());
        Self { identity, timing, gate, pins: None, wake, comparison, attempts }
    }
}

/// As [`run_membership`], with a gate that others see and with pins.
///
/// While the arbiter is not the one that is pinned, no heartbeat counts; the gate is barred and says why. A member that was
/// replaced is followed by itself, from the arbiter's own record of it. A restored arbiter is followed once a person has
/// accepted it beside the pins ([`Pins::accept`]): the pins are written, and the membership ends so that whoever runs it begins
/// anew, since nothing that was read of the former arbiter counts any more. After that the replica reports by itself what it had
/// seen.
///
/// # Errors
/// [`MembershipError`]; by then the view says that nothing is led and nothing known, and the gate closes by its deadline.
pub async fn run<S: Store, C: Clock>(
    store: S,
    running: Running,
    clock: C,
    view: watch::Sender<View>,
    stop: impl Future<Output = ()> + Send,
) -> Result<(), MembershipError> {
    let mut stop = pin!(stop);
    let (wake, timing) = (Arc::clone(&running.wake), running.timing);
    let mut runner = Runner::new(store, running, clock).await?;
    let mut ticks = interval(timing.heartbeat());
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = &mut stop => break,
            _ = ticks.tick() => {}
            () = wake.notified() => {}
        }
        let round = tokio::select! {
            () = &mut stop => break,
            round = runner.rounds(&view) => round,
        };
        if let Err(error) = round {
            view.send_replace(View::default());
            runner.comparison.set(Counts::Nobodys);
            return Err(error);
        }
    }
    if let Some(resignation) = runner.machine.resign() {
        view.send_replace(runner.machine.view());
        runner.send(&resignation).await;
    }
    runner.keep_pins(true).await;
    Ok(())
}

struct Runner<S, C> {
    store: S,
    identity: Identity,
    timing: Timing,
    clock: C,
    machine: Machine,
    gate: SharedGate,
    pins: Option<PathBuf>,
    comparison: Comparison,
    attempts: Attempts,
    kept: Kept,
    /// The generation for which it was reported what this replica had seen.
    reported: u64,
    /// Why a person's word is not followed, as it was last logged.
    refused: Option<NotAccepted>,
}

/// What of the pins is on disk.
#[derive(Debug, Default)]
struct Kept {
    pins: Option<Pins>,
    at: Duration,
    writing: Option<JoinHandle<()>>,
}

impl<S: Store, C: Clock> Runner<S, C> {
    async fn new(store: S, running: Running, clock: C) -> Result<Self, MembershipError> {
        let Running { identity, timing, gate, pins, comparison, attempts, .. } = running;
        let machine = Machine::with_gate(identity.clone(), timing, gate.clone());
        let kept = Kept::default();
        let (reported, refused) = (0, None);
        let mut runner =
            Self { store, identity, timing, clock, machine, gate, pins, comparison, attempts, kept, reported, refused };
        if let Some(pins) = runner.load().await? {
            runner.begin(pins);
        }
        runner.say_who_counts();
        Ok(runner)
    }

    /// Tells whoever asks the same store whose answers count.
    fn say_who_counts(&self) {
        // What is to be pinned and is not yet is nobody.
        let unpinned = self.pins.is_some() && self.machine.pins().is_none();
        self.comparison.set(if unpinned { Counts::Nobodys } else { self.machine.counts() });
    }

    async fn load(&self) -> Result<Option<Pins>, MembershipError> {
        let Some(path) = self.pins.clone() else { return Ok(None) };
        let read = spawn_blocking({
            let path = path.clone();
            move || read_pins(&path)
        });
        let failed = |source| MembershipError::Pins { path, source };
        match read.await {
            Ok(found) => found.map_err(failed),
            Err(error) => Err(failed(std::io::Error::other(error))),
        }
    }

    /// Begins as after a start, with these pins.
    fn begin(&mut self, pins: Pins) {
        let now = self.clock.now();
        // `seen` never falls within an incarnation, and the revisions of another generation mean nothing.
        let incarnation = format!("{}.{}", self.identity.incarnation, pins.generation);
        let identity = Identity { generation: pins.generation, incarnation, ..self.identity.clone() };
        self.gate.with(|gate| gate.forget(now, pins.generation));
        self.machine = Machine::with_gate(identity, self.timing, self.gate.clone()).with_pins(pins.clone());
        self.kept.pins = Some(pins);
    }

    /// One heartbeat, and another at once where one is owed: the first brings the release, the second tells that it was
    /// seen.
    async fn rounds(&mut self, view: &watch::Sender<View>) -> Result<(), MembershipError> {
        self.round(view).await?;
        if self.machine.owes_news() {
            self.round(view).await?;
        }
        Ok(())
    }

    /// One heartbeat, tried at one endpoint after another until it is answered or the next one is due.
    async fn round(&mut self, view: &watch::Sender<View>) -> Result<(), MembershipError> {
        let begun = Instant::now();
        while begun.elapsed() < self.timing.heartbeat() {
            let ready = self.ready(view).await?;
            self.say_who_counts();
            if !ready {
                sleep(self.timing.attempt() / 10).await;
                continue;
            }
            let sent = self.clock.now();
            let Some(answer) = self.send(&self.machine.beat()).await else {
                self.machine.connected();
                // An endpoint that refuses at once must not be asked a thousand times a second.
                sleep(self.timing.attempt() / 10).await;
                continue;
            };
            let outcome = self.machine.answered(sent, self.clock.now(), &answer)?;
            self.say_who_counts();
            match outcome {
                Outcome::Counted => {
                    self.attempts.tell(Attempt::Answered(self.clock.now().saturating_sub(sent)));
                    view.send_replace(self.machine.view());
                    self.keep_pins(false).await;
                    self.act(view).await;
                    self.report().await;
                    break;
                }
                Outcome::Again | Outcome::Look => {}
                Outcome::OtherT(other) => {
                    self.attempts.tell(Attempt::Refused);
                    tracing::error!(%other, "fenced: not every replica has the same T");
                    view.send_replace(self.machine.view());
                    break;
                }
                Outcome::Mismatch(mismatch) => {
                    self.mismatched(view, &mismatch).await?;
                    break;
                }
            }
        }
        Ok(())
    }

    /// Whether a heartbeat may be sent: the arbiter is known over this connection.
    async fn ready(&mut self, view: &watch::Sender<View>) -> Result<bool, MembershipError> {
        let first = self.pins.is_some() && self.machine.pins().is_none();
        if !first && !self.machine.must_look() {
            return Ok(true);
        }
        let Some(met) = self.ask(self.store.identity()).await else { return Ok(false) };
        if first {
            let Some(answer) = self.ask(self.store.txn(&generation())).await else { return Ok(false) };
            let record = answer.one(0).map(read::<GenerationRecord>).transpose()?;
            let (generation, _) = Observed::generation(record.as_ref());
            tracing::info!(
                cluster = met.identity.cluster,
                generation,
                "the arbiter is pinned as it is met for the first time"
            );
            self.begin(Pins::adopt(met.identity, generation, answer.revision, BTreeMap::new()));
            self.kept.pins = None;
            return Ok(true);
        }
        self.follow_replacement(&met).await?;
        match self.machine.looked_at(self.clock.now(), &met.identity, met.server) {
            Ok(()) => Ok(true),
            Err(mismatch) => {
                self.mismatched(view, &mismatch).await?;
                Ok(false)
            }
        }
    }

    /// Where the members alone differ, and the arbiter says that one was replaced, goes on with the new ones.
    async fn follow_replacement(&mut self, met: &Met) -> Result<(), MembershipError> {
        let Some(pins) = self.machine.pins() else { return Ok(()) };
        if pins.cluster != met.identity.cluster || pins.members == met.identity.members {
            return Ok(());
        }
        let pins = pins.clone();
        let look = Txn { then: vec![Op::get(Key::Generation), Op::get(Key::Replacements)], ..Txn::default() };
        let Some(answer) = self.ask(self.store.txn(&look)).await else { return Ok(()) };
        let Some(observed) = observed(met, &answer)? else { return Ok(()) };
        let record = answer.one(1).map(read::<ReplacementsRecord>).transpose()?.unwrap_or_default();
        if let Some(next) = pins.replaced(&record, &observed)
            && self.write_now(&next).await
        {
            tracing::warn!(members = ?next.members, "a member of the arbiter was replaced");
            self.machine.repin(next);
        }
        Ok(())
    }

    async fn mismatched(&mut self, view: &watch::Sender<View>, mismatch: &Mismatch) -> Result<(), MembershipError> {
        tracing::error!(%mismatch, "fenced: the arbiter is not the one that is pinned");
        self.attempts.tell(Attempt::Refused);
        view.send_replace(self.machine.view());
        if let Some(pins) = self.load().await?
            && self.machine.pins().is_some_and(|ours| {
                ours.generation != pins.generation || ours.cluster != pins.cluster || ours.members != pins.members
            })
        {
            return Err(MembershipError::Anew { generation: pins.generation });
        }
        if let Some(pins) = self.accepted().await?
            && self.write_now(&pins).await
        {
            return Err(MembershipError::Anew { generation: pins.generation });
        }
        // It is fenced, and waits for a person: there is no hurry to ask again.
        sleep(self.timing.attempt()).await;
        Ok(())
    }

    /// The pins as they shall be, where a person has accepted the arbiter that answers.
    async fn accepted(&mut self) -> Result<Option<Pins>, MembershipError> {
        let (Some(path), Some(pins)) = (self.pins.clone(), self.machine.pins().cloned()) else { return Ok(None) };
        let word = match spawn_blocking(move || read_acceptance(&path)).await {
            Ok(Ok(Some(word))) => word,
            Ok(Ok(None)) => return Ok(None),
            Ok(Err(error)) => {
                tracing::error!(error = &error as &dyn std::error::Error, "which arbiter was accepted cannot be read");
                return Ok(None);
            }
            Err(_) => return Ok(None),
        };
        if word.generation == pins.generation && word.cluster == pins.cluster {
            // It was followed already, and says nothing of what answers now.
            return Ok(None);
        }
        let Some(met) = self.ask(self.store.identity()).await else { return Ok(None) };
        let Some(answer) = self.ask(self.store.txn(&generation())).await else { return Ok(None) };
        let Some(observed) = observed(&met, &answer)? else { return Ok(None) };
        match pins.accept(&word, &observed) {
            Ok(pins) => Ok(Some(pins)),
            Err(refused) => {
                if self.refused.as_ref() != Some(&refused) {
                    tracing::error!(%refused, "the arbiter that a person accepted is not followed");
                    self.refused = Some(refused);
                }
                Ok(None)
            }
        }
    }

    /// After a restore, says once what this replica had seen before it.
    async fn report(&mut self) {
        let Some(pins) = self.machine.pins() else { return };
        let generation = pins.generation;
        if generation <= 1 || self.reported == generation {
            return;
        }
        let Some(mine) = pins.highest(&self.identity.replica, generation) else {
            tracing::warn!(
                generation,
                "this replica met the arbiter after its restore and has nothing to report of before"
            );
            self.reported = generation;
            return;
        };
        let arbiter = Arbiter::new(self.store.clone(), &self.identity.site);
        match timeout(self.timing.attempt(), arbiter.report_highest(&mine)).await {
            Ok(Ok(())) => {
                tracing::info!(generation, groups = mine.groups.len(), "reported what was seen before the restore");
                self.reported = generation;
            }
            Ok(Err(error)) => tracing::warn!(
                error = &error as &dyn std::error::Error,
                "what was seen before the restore is not reported yet"
            ),
            Err(_) => tracing::warn!("what was seen before the restore is not reported yet: no answer in time"),
        }
    }

    /// Writes pins that have changed, before they are gone by; says whether they are on disk.
    async fn write_now(&mut self, pins: &Pins) -> bool {
        let Some(path) = self.pins.clone() else { return false };
        if let Some(writing) = self.kept.writing.take() {
            drop(writing.await);
        }
        let written = pins.clone();
        match spawn_blocking(move || write_pins(&path, &written)).await {
            Ok(Ok(())) => {
                self.kept.pins = Some(pins.clone());
                self.kept.at = self.clock.now();
                true
            }
            Ok(Err(error)) => {
                tracing::error!(error = &error as &dyn std::error::Error, "the pins cannot be changed");
                false
            }
            Err(_) => false,
        }
    }

    /// Writes the pins: a new epoch at once, a mere revision every `T`; never two writes at a time, and never waiting for a
    /// slow disk while heartbeats are due.
    async fn keep_pins(&mut self, last: bool) {
        let (Some(path), Some(pins)) = (&self.pins, self.machine.pins()) else { return };
        let now = self.clock.now();
        let news = self.kept.pins.as_ref().is_none_or(|kept| {
            kept.groups != pins.groups || kept.generation != pins.generation || kept.cluster != pins.cluster
        });
        let due = last || now.saturating_sub(self.kept.at) >= self.timing.t();
        if !news && !due {
            return;
        }
        match self.kept.writing.take() {
            Some(writing) if !last && !writing.is_finished() => {
                self.kept.writing = Some(writing);
                return;
            }
            Some(writing) => drop(writing.await),
            None => {}
        }
        let (path, written) = (path.clone(), pins.clone());
        self.kept.pins = Some(pins.clone());
        self.kept.at = now;
        let writing = spawn_blocking(move || {
            if let Err(error) = write_pins(&path, &written) {
                tracing::error!(error = &error as &dyn std::error::Error, path = %path.display(), "the pins are not written");
            }
        });
        if last {
            drop(writing.await);
        } else {
            self.kept.writing = Some(writing);
        }
    }

    async fn act(&mut self, view: &watch::Sender<View>) {
        for act in self.machine.acts(self.clock.now()) {
            match act {
                Act::Campaign(txn) => {
                    // A lost answer is found out by the next heartbeat, which reads the leader.
                    if let Some(answer) = self.send(&txn).await {
                        self.machine.campaigned(self.clock.now(), &answer);
                        view.send_replace(self.machine.view());
                    }
                }
                Act::Reap(txn) => drop(self.send(&txn).await),
            }
        }
    }

    /// Sends one transaction; after `T/10` without an answer, the next one goes elsewhere.
    async fn send(&self, txn: &Txn) -> Option<TxnAnswer> {
        self.ask(self.store.txn(txn)).await
    }

    async fn ask<T>(&self, request: impl Future<Output = Result<T, StoreError>>) -> Option<T> {
        let limit: Duration = self.timing.attempt();
        match timeout(limit, request).await {
            Ok(Ok(answer)) => return Some(answer),
            Ok(Err(error)) => tracing::debug!(error = &error as &dyn std::error::Error, "a heartbeat was not answered"),
            Err(_) => tracing::debug!(?limit, "a heartbeat was not answered in time"),
        }
        self.attempts.tell(Attempt::Failed);
        self.store.next_endpoint();
        None
    }
}

fn generation() -> Txn {
    Txn { then: vec![Op::get(Key::Generation)], ..Txn::default() }
}

/// What was observed of an arbiter, where both answers are of one server in one term.
fn observed(met: &Met, answer: &TxnAnswer) -> Result<Option<Observed>, MembershipError> {
    if answer.origin != met.origin() {
        return Ok(None);
    }
    let record = answer.one(0).map(read::<GenerationRecord>).transpose()?;
    Ok(Some(Observed {
        cluster: Some(met.identity.cluster),
        members: Some(met.identity.members.clone()),
        generation: Some(Observed::generation(record.as_ref())),
        revision: Some(answer.revision),
    }))
}
