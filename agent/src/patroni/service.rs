//! What the agent answers to operators: the contract, the log, staged faults.

use super::Error;
use super::eyes::Eyes;
use super::file::PatroniFile;
use super::standing::{Refusal, Store};
use super::work::{Failure, Work, told};
use crate::agent::Keeper;
use crate::contact::Contact;
use crate::faults::{Fault, Mode};
use crate::log::{Line, Log, nanos};
use axum::extract::{Path as Part, Query, State as Shared};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tandem_arbiter::clock::Clock;
use tandem_arbiter::hooks::{Call, Order, State};
use tandem_core::failover::{Dropped, Role, Token};
use tandem_core::patroni::{self as plan, Picture, Standing, position, role, speaks};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

/// How long a call is waited for before it is answered that it is under way: less than the least `timeoutSeconds`, 1.
const FIRST: Duration = Duration::from_millis(700);

/// What an agent answers: the state of docs/hooks.md, and whether it is the site's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    /// How the data stands.
    #[serde(flatten)]
    pub state: State,
    /// This member speaks for its site.
    pub leader: bool,
    /// What is waited for, or wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

type Ended = Option<Result<(), (StatusCode, String)>>;

/// A call that is being carried out, or was and nobody has been told yet.
#[derive(Debug)]
struct Job {
    work: Arc<Work>,
    ended: watch::Receiver<Ended>,
    handle: JoinHandle<()>,
    began: Duration,
}

/// Two calls may go on beside each other: one of the contract, and the fence of a site that fenced itself.
#[derive(Debug, Default)]
struct Jobs {
    call: Option<Job>,
    temporary: Option<Job>,
}

impl Jobs {
    fn slot(&mut self, order: plan::Order) -> &mut Option<Job> {
        if order == plan::Order::TemporaryFence { &mut self.temporary } else { &mut self.call }
    }
}

#[derive(Debug)]
struct Inner {
    store: Store,
    log: Log,
    contact: Contact,
    faults: BTreeMap<Call, Mode>,
    problems: Vec<String>,
}

/// The agent of one member.
#[derive(Debug)]
pub struct Service<C> {
    group: String,
    file: PatroniFile,
    keeper: Keeper,
    eyes: Arc<Eyes>,
    clock: C,
    inner: Mutex<Inner>,
    jobs: tokio::sync::Mutex<Jobs>,
    /// Told when the site has become active.
    pub(super) active: Notify,
}

/// Why `GET state` has no answer.
type Silent = String;

impl<C: Clock> Service<C> {
    /// Opens the agent's folder.
    ///
    /// # Errors
    /// Where it cannot be read or written.
    pub fn open(
        group: String,
        file: PatroniFile,
        keeper: Keeper,
        eyes: Arc<Eyes>,
        clock: C,
    ) -> Result<Arc<Self>, Error> {
        let inner = Inner {
            store: Store::open(&file.folder)?,
            log: Log::open(&file.folder)?,
            contact: Contact::default(),
            faults: BTreeMap::new(),
            problems: Vec::new(),
        };
        let (inner, jobs, active) = (Mutex::new(inner), tokio::sync::Mutex::default(), Notify::new());
        Ok(Arc::new(Self { group, file, keeper, eyes, clock, inner, jobs, active }))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The group.
    #[must_use]
    pub fn group(&self) -> &str {
        &self.group
    }

    /// The agent's file.
    #[must_use]
    pub fn file(&self) -> &PatroniFile {
        &self.file
    }

    /// The clock.
    #[must_use]
    pub fn clock(&self) -> &C {
        &self.clock
    }

    pub(super) fn eyes(&self) -> &Eyes {
        &self.eyes
    }

    pub(super) fn keeper(&self) -> &Keeper {
        &self.keeper
    }

    pub(super) fn standing(&self) -> Standing {
        self.lock().store.standing()
    }

    pub(super) fn stand(&self, standing: Standing) -> std::io::Result<()> {
        self.lock().store.stand(standing)
    }

    /// The highest token seen.
    pub(super) fn token(&self) -> Token {
        self.lock().store.token()
    }

    pub(super) fn keep_dropped(&self, dropped: Option<Dropped>) -> std::io::Result<()> {
        self.lock().store.drop(dropped)
    }

    /// Takes in that the other site's primary answered a question that was sent at this time.
    pub(super) fn met(&self, sent: Duration) {
        self.lock().contact.met(sent, false);
    }

    /// Takes in that everything is here that it had then.
    pub(super) fn reached(&self, sent: Duration) {
        self.lock().contact.reached(sent);
    }

    /// What is wrong with the switch in the database; told with the state.
    pub(super) fn problems(&self, problems: Vec<String>) {
        let mut inner = self.lock();
        if inner.problems != problems {
            for problem in &problems {
                tracing::error!(problem, "the dead-man switch in the database is not whole");
            }
            inner.problems = problems;
        }
    }

    async fn answer(&self, waits: Option<plan::Why>, age: Duration) -> Result<Answer, Silent> {
        let look = self.eyes.recent(age).await;
        let mut picture: Picture = look.picture.clone();
        picture.standing = self.standing();
        self.settle(&mut picture);
        let is = role(&picture);
        if is == Role::Unknown && (picture.settings.is_none() || picture.members.is_none()) {
            return Err(look.trouble.clone().unwrap_or_else(|| "Patroni does not answer".to_owned()));
        }
        let inner = self.lock();
        let (lag_millis, lag_age_millis) = match is {
            Role::Standby => inner.contact.lag(self.clock.now()),
            _ => (None, 0),
        };
        let state = State {
            role: is,
            position: position(&picture),
            lag_millis,
            lag_age_millis,
            synchronous: false,
            token: inner.store.token(),
            dropped: inner.store.dropped(),
        };
        let waits = waits.map(|why| why.to_string());
        let led = picture.members.iter().flatten().any(|member| member.rank == plan::Rank::Leader);
        let unled = (picture.settings.is_some_and(|settings| settings.standby) && !led)
            .then(|| "nobody leads this standby cluster: docs/postgresql.md, 'A site without a leader'".to_owned());
        let unfollowed =
            (is == Role::Active && speaks(&picture) && !picture.followed).then(|| plan::Why::Follower.to_string());
        let problems = (!inner.problems.is_empty()).then(|| inner.problems.join("; "));
        Ok(Answer {
            state,
            leader: speaks(&picture),
            why: waits.or(look.trouble.clone()).or(unled).or(unfollowed).or(problems),
        })
    }

    /// Forgets what is over, unless a call is at it.
    fn settle(&self, picture: &mut Picture) {
        let Ok(jobs) = self.jobs.try_lock() else { return };
        let settled = picture.settled();
        let idle = jobs.call.as_ref().is_none_or(|job| job.ended.borrow().is_some());
        if idle && settled != picture.standing && self.standing() == picture.standing {
            match self.stand(settled) {
                Ok(()) => picture.standing = settled,
                Err(error) => tracing::error!(%error, "the agent's folder cannot be written"),
            }
        }
    }

    /// Takes a call's token, and sees to it that the call is being carried out: the one under way, or this one in its place.
    async fn begin(self: &Arc<Self>, order: plan::Order, asked: &Order) -> Result<watch::Receiver<Ended>, Refusal> {
        let mut jobs = self.jobs.lock().await;
        self.lock().store.take(asked.token)?;
        let now = self.clock.now();
        let slot = jobs.slot(order);
        if let Some(job) = slot {
            let ended = job.ended.borrow().is_some();
            if (job.work.order, job.work.token) == (order, asked.token) {
                job.work.asked.store(nanos(now), Ordering::Relaxed);
                return Ok(job.ended.clone());
            }
            if !ended {
                self.stop(job).await;
            }
        }
        // A standby that is to be does not know what it knew of the other site as something else.
        if order == plan::Order::Demote {
            self.lock().contact = Contact::default();
        }
        let asked_at = AtomicU64::new(nanos(now));
        let work = Arc::new(Work { order, token: asked.token, asked: asked_at, waits: Mutex::new(None) });
        let (tell, ended) = watch::channel(None);
        let (service, going) = (Arc::clone(self), Arc::clone(&work));
        let handle = tokio::spawn(async move {
            let done = going.carry_out(&service).await;
            if done.is_ok() && matches!(going.order, plan::Order::Promote | plan::Order::Resume) {
                service.active.notify_one();
            }
            let done = done.map_err(|failure| (status(&failure), told(&failure)));
            tell.send_replace(Some(done));
        });
        *slot = Some(Job { work, ended: ended.clone(), handle, began: now });
        Ok(ended)
    }

    /// Ends a call for another under a higher token.
    async fn stop(&self, job: &mut Job) {
        job.handle.abort();
        let _ = (&mut job.handle).await;
        let what = (name(job.work.order), job.work.token, job.work.order == plan::Order::TemporaryFence);
        self.note(what, job.began, "failed", "another call came", 0);
    }

    /// Carries out a call of the contract.
    async fn carry_out(self: &Arc<Self>, call: Call, order: &Order) -> Response {
        let came = self.clock.now();
        let what = (call.name(), order.token, order.temporary);
        if order.group != self.group {
            return failure(StatusCode::NOT_FOUND, "this agent stands beside another group's data");
        }
        let fault = self.lock().faults.get(&call).copied();
        match fault {
            Some(Mode::Hang) => {
                self.note(what, came, "failed", "told to hang", 0);
                return std::future::pending().await;
            }
            Some(Mode::Fail) => {
                self.note(what, came, "failed", "told to fail", 0);
                return failure(StatusCode::INTERNAL_SERVER_ERROR, "told to fail");
            }
            None => {}
        }
        let planned = planned(call, order.temporary);
        let mut ended = match self.begin(planned, order).await {
            Ok(ended) => ended,
            Err(Refusal::Token(seen)) => {
                self.note(what, came, "refused", "a higher token was seen", 0);
                return (StatusCode::CONFLICT, Json(json!({"seen": seen.seen, "error": "a higher token was seen"})))
                    .into_response();
            }
            Err(Refusal::Disk(error)) => {
                tracing::error!(%error, "the agent's folder cannot be written");
                return failure(StatusCode::INTERNAL_SERVER_ERROR, "the agent's folder cannot be written");
            }
        };
        let done = match tokio::time::timeout(FIRST, ended.wait_for(Option::is_some)).await {
            Ok(Ok(done)) => done.clone(),
            // Its task is gone: for another call, under a higher token.
            Ok(Err(_)) => Some(Err((StatusCode::INTERNAL_SERVER_ERROR, "another call came".to_owned()))),
            Err(_) => None,
        };
        self.told(planned, order, done).await
    }

    /// Answers, and clears away what has ended.
    async fn told(&self, planned: plan::Order, order: &Order, done: Ended) -> Response {
        let (waits, began) = {
            let mut jobs = self.jobs.lock().await;
            let slot = jobs.slot(planned);
            let same = slot.as_ref().filter(|job| (job.work.order, job.work.token) == (planned, order.token));
            let waits = same.and_then(|job| *job.work.waits.lock().unwrap_or_else(PoisonError::into_inner));
            let began = same.map(|job| job.began);
            if done.is_some() && began.is_some() {
                *slot = None;
            }
            (waits, began)
        };
        let what = (name(planned), order.token, order.temporary);
        match done {
            Some(Err((status, why))) => {
                if let Some(began) = began {
                    self.note(what, began, "failed", &why, 0);
                }
                failure(status, &why)
            }
            done => {
                // The call itself looks all the time, and last to see that it is done.
                let answer = self.answer(waits, FIRST).await;
                let position = answer.as_ref().ok().and_then(|answer| answer.state.position).unwrap_or_default();
                if let (Some(_), Some(began)) = (&done, began) {
                    self.note(what, began, "done", "", position);
                }
                let status = if done.is_some() { StatusCode::OK } else { StatusCode::ACCEPTED };
                match answer {
                    Ok(answer) => (status, Json(answer)).into_response(),
                    Err(why) => failure(StatusCode::SERVICE_UNAVAILABLE, &why),
                }
            }
        }
    }

    fn note(
        &self,
        (what, token, temporary): (&str, Token, bool),
        asked: Duration,
        outcome: &str,
        why: &str,
        position: u64,
    ) {
        let (what, outcome, why) = (what.to_owned(), outcome.to_owned(), why.to_owned());
        let (asked_nanos, answered_nanos) = (nanos(asked), nanos(self.clock.now()));
        tracing::info!(what, outcome, why, "asked");
        self.lock().log.add(Line { asked_nanos, answered_nanos, what, token, temporary, outcome, why, position });
    }

    pub(super) fn note_dropped(&self, text: &str, position: u64) {
        let token = self.lock().store.token();
        self.note(("drop", token, false), self.clock.now(), "done", text, position);
    }
}

fn planned(call: Call, temporary: bool) -> plan::Order {
    match call {
        Call::Quiesce => plan::Order::Quiesce,
        Call::FinalSync => plan::Order::FinalSync,
        Call::Demote => plan::Order::Demote,
        Call::Fence if temporary => plan::Order::TemporaryFence,
        Call::Fence => plan::Order::Fence,
        Call::Promote => plan::Order::Promote,
        Call::Resume => plan::Order::Resume,
    }
}

fn name(order: plan::Order) -> &'static str {
    let call = match order {
        plan::Order::Quiesce => Call::Quiesce,
        plan::Order::FinalSync => Call::FinalSync,
        plan::Order::Demote => Call::Demote,
        plan::Order::Fence | plan::Order::TemporaryFence => Call::Fence,
        plan::Order::Promote => Call::Promote,
        plan::Order::Resume => Call::Resume,
    };
    call.name()
}

fn status(failure: &Failure) -> StatusCode {
    match failure {
        Failure::Refused(_) => StatusCode::UNPROCESSABLE_ENTITY,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

fn failure(status: StatusCode, error: &str) -> Response {
    (status, Json(json!({"error": error}))).into_response()
}

type Of<C> = Shared<Arc<Service<C>>>;

/// What operators are answered; where faults may be staged, that too.
pub fn router<C: Clock>(service: Arc<Service<C>>, stage_faults: bool) -> Router {
    let router = Router::new()
        .route("/v1/state", get(state::<C>))
        .route("/v1/{call}", post(order::<C>))
        .route("/v1/log", get(log::<C>));
    let router = if stage_faults { router.route("/v1/faults", post(stage::<C>).delete(heal::<C>)) } else { router };
    router.with_state(service)
}

async fn state<C: Clock>(Shared(service): Of<C>) -> Response {
    match service.answer(None, Duration::ZERO).await {
        Ok(answer) => Json(answer).into_response(),
        Err(why) => failure(StatusCode::SERVICE_UNAVAILABLE, &why),
    }
}

async fn order<C: Clock>(Shared(service): Of<C>, Part(call): Part<String>, Json(order): Json<Order>) -> Response {
    match Call::ALL.into_iter().find(|known| known.name() == call) {
        Some(call) => service.carry_out(call, &order).await,
        None => failure(StatusCode::NOT_FOUND, "no such call"),
    }
}

#[derive(Deserialize)]
struct After {
    #[serde(default)]
    after: usize,
}

async fn log<C: Clock>(Shared(service): Of<C>, Query(After { after }): Query<After>) -> impl IntoResponse {
    Json(service.lock().log.after(after).to_vec())
}

async fn stage<C: Clock>(Shared(service): Of<C>, Json(fault): Json<Fault>) -> StatusCode {
    tracing::warn!(?fault, "staged");
    service.lock().faults.insert(fault.call, fault.mode);
    StatusCode::NO_CONTENT
}

async fn heal<C: Clock>(Shared(service): Of<C>) -> StatusCode {
    service.lock().faults.clear();
    StatusCode::NO_CONTENT
}
