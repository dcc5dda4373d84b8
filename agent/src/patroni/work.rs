//! Carries out one call: looks, does the one thing that is next, and looks again.

use super::dropped;
use super::eyes::Look;
use super::local::{LocalError, Session};
use super::rest::RestError;
use super::service::Service;
use crate::agent::{Ask, Told};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tandem_arbiter::clock::Clock;
use tandem_core::failover::Token;
use tandem_core::patroni::{Access, Change, Database, Next, Order, Refusal, Standing, Why, next, role};
use tandem_logs::Chain;

/// How soon is looked again where there is nothing to do but wait.
const AGAIN: Duration = Duration::from_millis(30);
/// How long a call goes on that nobody asks about any more. Whoever gave it up has something else in mind.
const FORGOTTEN: Duration = Duration::from_secs(15);

/// Why a call was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// It makes no sense as the data stands.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Patroni did not do it.
    #[error(transparent)]
    Rest(#[from] RestError),
    /// The database did not do it.
    #[error(transparent)]
    Local(#[from] LocalError),
    /// The gate file was not closed.
    #[error("the gate file: {0}")]
    Gate(String),
    /// The disk did not take what was told.
    #[error("the agent's folder cannot be written")]
    Disk(#[from] std::io::Error),
    /// Nobody asks any more.
    #[error("nobody asked about it for {} s", FORGOTTEN.as_secs())]
    Forgotten,
}

/// One call that is being carried out.
#[derive(Debug)]
pub struct Work {
    /// What.
    pub order: Order,
    /// Under which token.
    pub token: Token,
    /// When it was last asked about, in nanoseconds of the boot clock.
    pub asked: AtomicU64,
    /// What it waits for.
    pub waits: std::sync::Mutex<Option<Why>>,
}

/// How soon Patroni is looked at again while it promotes: each question keeps it from that.
const PROMOTION: Duration = Duration::from_millis(500);
/// How long Patroni may take to write a list of who may connect.
const WRITING: Duration = Duration::from_secs(2);

/// What is remembered between two looks of one fence.
#[derive(Debug, Default)]
struct Cut {
    gate_closed: bool,
    /// The sessions that were there after the gate file was closed. Those that come later find it closed.
    marked: Option<BTreeSet<Session>>,
}

impl Work {
    /// Goes on until it is done.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn carry_out<C: Clock>(&self, service: &Service<C>) -> Result<(), Failure> {
        let mut cut = Cut::default();
        let eyes = service.eyes();
        let mut unwritten: Option<Duration> = None;
        let mut before: Option<Arc<Look>> = None;
        loop {
            let asked = Duration::from_nanos(self.asked.load(Ordering::Relaxed));
            let now = service.clock().now();
            if now.saturating_sub(asked) > FORGOTTEN {
                return Err(Failure::Forgotten);
            }
            let pause = self.asks_for_the_pause(service.standing());
            let look = match before.take() {
                // A fence must not hang on Patroni.
                Some(before) if before.holds() || self.fences() => eyes.again(&before, pause).await,
                _ => eyes.look(pause).await,
            };
            let sessions = self.to_end(&mut cut, &look.sessions);
            let mut picture = look.picture.clone();
            picture.sessions = u32::try_from(sessions.len()).unwrap_or(u32::MAX);
            picture.gate_closed = cut.gate_closed;
            unwritten = match picture.database {
                Database::Primary { .. } if !look.written => unwritten.or(Some(now)),
                _ => None,
            };
            picture.access_overdue = unwritten.is_some_and(|since| now.saturating_sub(since) > WRITING);
            picture.standing = service.standing();
            let step = next(self.order, &picture);
            self.waiting(if let Next::Wait(why) = step { Some(why) } else { None });
            service.stand(picture.standing.before(&step, self.order, role(&picture)))?;
            tracing::debug!(order = ?self.order, ?step, "next");
            match step {
                Next::Change(change) => {
                    // Its time begins when Patroni is told.
                    unwritten = None;
                    if change == Change::Follow {
                        dropped::forget(service)?;
                        if !matches!(picture.database, Database::Stopped { clean: true, .. }) {
                            dropped::before(service).await;
                        }
                    }
                    match eyes.change(&look, change).await {
                        // Somebody else changed it at the same time.
                        Err(RestError::Refused { status: 409, .. }) => tokio::time::sleep(AGAIN).await,
                        changed => before = Some(changed?),
                    }
                    continue;
                }
                Next::Reload => {
                    eyes.reload(picture.settings.map_or(Access::Other, |settings| settings.access)).await?;
                    tokio::time::sleep(AGAIN / 3).await;
                }
                Next::EndSessions => {
                    eyes.local.end(&sessions).await?;
                    tokio::time::sleep(AGAIN / 3).await;
                }
                Next::StopDatabase => eyes.local.stop().await?,
                Next::Fence => {
                    self.close(service)?;
                    cut.gate_closed = true;
                }
                Next::Wait(Why::Patroni | Why::Leader) => {
                    tokio::time::sleep(AGAIN).await;
                    continue;
                }
                Next::Wait(why) => {
                    if why == Why::Promotion && matches!(picture.database, Database::Recovery { .. }) {
                        eyes.local.promoted(PROMOTION).await;
                    }
                    tokio::time::sleep(AGAIN).await;
                }
                Next::Refuse(refusal) => return Err(refusal.into()),
                Next::Done => return Ok(service.stand(picture.standing.after(self.order))?),
            }
            // What came of it is to be seen at the database.
            before = Some(look);
        }
    }

    fn fences(&self) -> bool {
        matches!(self.order, Order::Fence | Order::TemporaryFence)
    }

    /// Patroni takes long to say so while the database goes down, or is.
    fn asks_for_the_pause(&self, standing: Standing) -> bool {
        matches!(self.order, Order::Quiesce | Order::FinalSync) && !standing.stopped
    }

    fn waiting(&self, why: Option<Why>) {
        *self.waits.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = why;
    }

    fn close<C: Clock>(&self, service: &Service<C>) -> Result<(), Failure> {
        let ask = if self.order == Order::TemporaryFence { Ask::Expire(true) } else { Ask::Fence(self.token) };
        match service.keeper().ask(ask) {
            Told::Done(_) => Ok(()),
            Told::Refused(why) | Told::Failed(why) => Err(Failure::Gate(why)),
        }
    }

    /// The sessions that have to end: of a fence, those that were there when the gate file was closed.
    fn to_end(&self, cut: &mut Cut, now: &BTreeSet<Session>) -> BTreeSet<Session> {
        if !self.fences() || !cut.gate_closed {
            return now.clone();
        }
        let marked = cut.marked.get_or_insert_with(|| now.clone());
        marked.intersection(now).cloned().collect()
    }
}

/// A failure with its causes.
#[must_use]
pub fn told(failure: &Failure) -> String {
    Chain(failure).to_string()
}
