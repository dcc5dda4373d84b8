//! What the service answers to operators (the contract) and to its clients (numbers, the log, staged faults).

use super::follow::{After, Copied, MOST};
use super::store::{Refusal, Store};
use crate::agent::{Ask, Told, ask};
use crate::contact::Contact;
use crate::faults::{Fault, Mode};
use crate::log::{Line, Log, nanos};
use axum::extract::{Path as Part, Query, State as Shared};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::json;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tandem_arbiter::clock::Clock;
use tandem_arbiter::deadman::{NotWritable, read_gate_file, writable};
use tandem_arbiter::hooks::{Call, Order, State};
use tandem_core::failover::{Role, Token};

/// How long the agent may take.
const AGENT: Duration = Duration::from_secs(1);

/// What a service has to know.
#[derive(Clone, Debug)]
pub struct Config {
    /// The group.
    pub group: String,
    /// Where the data is.
    pub folder: PathBuf,
    /// What the data is where there is none yet.
    pub first: Role,
    /// The agent's gate file.
    pub gate_file: PathBuf,
    /// The agent's socket.
    pub agent: PathBuf,
    /// Which boot this is.
    pub boot_id: String,
}

#[derive(Debug)]
struct Inner {
    store: Store,
    log: Log,
    contact: Contact,
    faults: BTreeMap<Call, Mode>,
}

/// The service.
#[derive(Debug)]
pub struct Service<C> {
    config: Config,
    clock: C,
    inner: Mutex<Inner>,
}

impl<C: Clock> Service<C> {
    /// Opens the data.
    ///
    /// # Errors
    /// Where it cannot be read or written.
    pub fn open(config: Config, clock: C) -> std::io::Result<Arc<Self>> {
        let inner = Inner {
            store: Store::open(&config.folder, config.first)?,
            log: Log::open(&config.folder)?,
            contact: Contact::default(),
            faults: BTreeMap::new(),
        };
        Ok(Arc::new(Self { config, clock, inner: Mutex::new(inner) }))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The clock.
    #[must_use]
    pub fn clock(&self) -> &C {
        &self.clock
    }

    /// How many numbers a standby has; `None` where it is none.
    pub(super) fn following(&self) -> Option<u64> {
        let inner = self.lock();
        (inner.store.role() == Role::Standby).then(|| inner.store.position())
    }

    /// Takes in what the other site sent. Says whether it was anything new.
    pub(super) fn copied(&self, sent: Duration, after: u64, copy: &Copied) -> bool {
        let mut inner = self.lock();
        // Promoted meanwhile: what follows is not the other site's any more.
        if inner.store.role() != Role::Standby || inner.store.position() != after {
            return false;
        }
        match inner.store.agree_with(&copy.history, copy.position, copy.epoch) {
            Ok(0) => {}
            Ok(dropped) => {
                tracing::warn!(dropped, "numbers that the active site never got are dropped");
                let now = self.clock.now();
                inner.note(("drop", Token::default(), false), (now, now), "done", &format!("{dropped} dropped"));
                return true;
            }
            Err(error) => {
                tracing::error!(%error, "the disk does not take what the other site sends");
                return false;
            }
        }
        if let Err(error) = inner.store.append(&copy.entries) {
            tracing::error!(%error, "the disk does not take what the other site sends");
            return false;
        }
        // Another standby does not know what the active site has.
        if matches!(copy.role, Role::Active | Role::Quiesced) {
            let whole = inner.store.position() >= copy.position;
            inner.contact.met(sent, whole);
        }
        !copy.entries.is_empty()
    }

    fn state(&self, inner: &Inner) -> State {
        let role = inner.store.role();
        let (lag_millis, lag_age_millis) = match role {
            Role::Standby => inner.contact.lag(self.clock.now()),
            _ => (None, 0),
        };
        State {
            role,
            position: Some(inner.store.position()),
            lag_millis,
            lag_age_millis,
            token: inner.store.token(),
            ..State::default()
        }
    }

    fn may_write(&self) -> Result<(), NotWritable> {
        let file = read_gate_file(&self.config.gate_file).ok().flatten();
        writable(file.as_ref(), &self.config.group, self.clock.now(), &self.config.boot_id)
    }

    /// Writes a number for a client.
    fn write(&self, value: u64) -> (StatusCode, serde_json::Value) {
        let asked = self.clock.now();
        let mut inner = self.lock();
        let token = inner.store.token();
        let refused = match (inner.store.role(), self.may_write()) {
            (Role::Active, Ok(())) => None,
            (Role::Active, Err(closed)) => Some(closed.to_string()),
            (role, _) => Some(format!("the data is {role:?}")),
        };
        let what = ("write", token, false);
        if let Some(why) = refused {
            inner.note(what, (asked, self.clock.now()), "refused", &why);
            return (StatusCode::SERVICE_UNAVAILABLE, json!({"error": why}));
        }
        let written = inner.store.write(value);
        // Asked again before anybody is told: a process that was stopped in between wakes up long after its time.
        let after = self.may_write();
        let now = self.clock.now();
        match (written, after) {
            (Ok(position), Ok(())) => {
                inner.note(what, (asked, now), "accepted", "");
                (StatusCode::CREATED, json!({"position": position, "epoch": inner.store.epoch()}))
            }
            (Ok(_), Err(closed)) => {
                inner.note(what, (asked, now), "unknown", &closed.to_string());
                (StatusCode::GATEWAY_TIMEOUT, json!({"error": "too late to say whether it stays"}))
            }
            (Err(error), _) => {
                inner.note(what, (asked, now), "unknown", &error.to_string());
                (StatusCode::INTERNAL_SERVER_ERROR, json!({"error": "the disk did not take it"}))
            }
        }
    }

    /// Carries out a call of the contract.
    async fn carry_out(&self, call: Call, order: &Order) -> Response {
        let asked = self.clock.now();
        let what = (call.name(), order.token, order.temporary);
        if order.group != self.config.group {
            return failure(StatusCode::NOT_FOUND, "this service has another group's data");
        }
        let fault = self.lock().faults.get(&call).copied();
        match fault {
            Some(Mode::Hang) => {
                self.lock().note(what, (asked, self.clock.now()), "failed", "told to hang");
                return std::future::pending().await;
            }
            Some(Mode::Fail) => {
                self.lock().note(what, (asked, self.clock.now()), "failed", "told to fail");
                return failure(StatusCode::INTERNAL_SERVER_ERROR, "told to fail");
            }
            None => {}
        }
        let taken = {
            let mut inner = self.lock();
            let before = inner.store.role();
            let taken = inner.store.take(call, order.token, order.temporary);
            if taken.as_ref().is_ok_and(|role| *role == Role::Standby && before != Role::Standby) {
                // What it knew of the other site it knew as something else.
                inner.contact = Contact::default();
            }
            taken
        };
        let done = match taken {
            Ok(_) if call == Call::Fence => self.cut_off(order).await,
            Ok(_) => Ok(()),
            Err(refusal) => Err(refused(&refusal)),
        };
        let mut inner = self.lock();
        let now = self.clock.now();
        match done {
            Ok(()) => {
                inner.note(what, (asked, now), "done", "");
                let state = self.state(&inner);
                Json(state).into_response()
            }
            Err((status, body)) => {
                let outcome = if status == StatusCode::CONFLICT { "refused" } else { "failed" };
                inner.note(what, (asked, now), outcome, body["error"].as_str().unwrap_or_default());
                (status, Json(body)).into_response()
            }
        }
    }

    /// Has the agent refuse: only when its file is written is a fence done.
    async fn cut_off(&self, order: &Order) -> Result<(), (StatusCode, serde_json::Value)> {
        let question = if order.temporary { Ask::Expire(true) } else { Ask::Fence(order.token) };
        match ask(&self.config.agent, question, AGENT).await {
            Ok(Told::Done(_)) => Ok(()),
            Ok(Told::Refused(why) | Told::Failed(why)) => {
                Err((StatusCode::INTERNAL_SERVER_ERROR, json!({"error": format!("the agent: {why}")})))
            }
            Err(error) => Err((
                StatusCode::INTERNAL_SERVER_ERROR,
                json!({"error": format!("the agent does not answer: {error}")}),
            )),
        }
    }
}

impl Inner {
    fn note(
        &mut self,
        (what, token, temporary): (&str, Token, bool),
        (asked, answered): (Duration, Duration),
        outcome: &str,
        why: &str,
    ) {
        let (what, outcome, why) = (what.to_owned(), outcome.to_owned(), why.to_owned());
        let position = self.store.position();
        let (asked_nanos, answered_nanos) = (nanos(asked), nanos(answered));
        self.log.add(Line { asked_nanos, answered_nanos, what, token, temporary, outcome, why, position });
    }
}

fn refused(refusal: &Refusal) -> (StatusCode, serde_json::Value) {
    match refusal {
        Refusal::Token(seen) => (StatusCode::CONFLICT, json!({"seen": seen.seen, "error": refusal.to_string()})),
        Refusal::Role { .. } => (StatusCode::UNPROCESSABLE_ENTITY, json!({"error": refusal.to_string()})),
        Refusal::Disk(_) => (StatusCode::INTERNAL_SERVER_ERROR, json!({"error": refusal.to_string()})),
    }
}

fn failure(status: StatusCode, error: &str) -> Response {
    (status, Json(json!({"error": error}))).into_response()
}

type Of<C> = Shared<Arc<Service<C>>>;

/// What operators and clients are answered.
pub fn router<C: Clock>(service: Arc<Service<C>>) -> Router {
    Router::new()
        .route("/v1/state", get(state::<C>))
        .route("/v1/{call}", post(order::<C>))
        .route("/v1/entries", get(entries::<C>).post(write::<C>))
        .route("/v1/log", get(log::<C>))
        .route("/v1/faults", post(stage::<C>).delete(heal::<C>))
        .with_state(service)
}

/// What the other site's service is answered.
pub fn replication<C: Clock>(service: Arc<Service<C>>) -> Router {
    Router::new().route("/replicate", get(replicate::<C>)).with_state(service)
}

async fn state<C: Clock>(Shared(service): Of<C>) -> Json<State> {
    let inner = service.lock();
    Json(service.state(&inner))
}

async fn order<C: Clock>(Shared(service): Of<C>, Part(call): Part<String>, Json(order): Json<Order>) -> Response {
    match Call::ALL.into_iter().find(|known| known.name() == call) {
        Some(call) => service.carry_out(call, &order).await,
        None => failure(StatusCode::NOT_FOUND, "no such call"),
    }
}

#[derive(Deserialize)]
struct Number {
    value: u64,
}

async fn write<C: Clock>(Shared(service): Of<C>, Json(Number { value }): Json<Number>) -> impl IntoResponse {
    let (status, body) = service.write(value);
    (status, Json(body))
}

async fn entries<C: Clock>(Shared(service): Of<C>, Query(After { after }): Query<After>) -> impl IntoResponse {
    let inner = service.lock();
    Json(inner.store.after(after, usize::MAX).to_vec())
}

async fn log<C: Clock>(Shared(service): Of<C>, Query(After { after }): Query<After>) -> impl IntoResponse {
    let inner = service.lock();
    Json(inner.log.after(usize::try_from(after).unwrap_or(usize::MAX)).to_vec())
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

async fn replicate<C: Clock>(Shared(service): Of<C>, Query(After { after }): Query<After>) -> Json<Copied> {
    let inner = service.lock();
    let store = &inner.store;
    Json(Copied {
        role: store.role(),
        epoch: store.epoch(),
        position: store.position(),
        history: store.history(),
        entries: store.after(after, MOST).to_vec(),
    })
}
