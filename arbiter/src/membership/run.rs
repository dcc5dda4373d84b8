//! The task that beats.

use std::pin::pin;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

use super::{Act, Identity, Machine, MembershipError, Outcome, Timing, View};
use crate::clock::Clock;
use crate::store::Store;
use crate::txn::{Txn, TxnAnswer};

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
    let mut stop = pin!(stop);
    let mut runner = Runner { store, timing, clock, machine: Machine::new(identity, timing) };
    let mut ticks = interval(timing.heartbeat());
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = &mut stop => break,
            _ = ticks.tick() => {}
        }
        let round = tokio::select! {
            () = &mut stop => break,
            round = runner.round(&view) => round,
        };
        if let Err(error) = round {
            view.send_replace(View::default());
            return Err(error);
        }
    }
    if let Some(resignation) = runner.machine.resign() {
        view.send_replace(runner.machine.view());
        runner.send(&resignation).await;
    }
    Ok(())
}

struct Runner<S, C> {
    store: S,
    timing: Timing,
    clock: C,
    machine: Machine,
}

impl<S: Store, C: Clock> Runner<S, C> {
    /// One heartbeat, tried at one endpoint after another until it is answered or the next one is due.
    async fn round(&mut self, view: &watch::Sender<View>) -> Result<(), MembershipError> {
        let begun = Instant::now();
        while begun.elapsed() < self.timing.heartbeat() {
            let sent = self.clock.now();
            let Some(answer) = self.send(&self.machine.beat()).await else {
                // An endpoint that refuses at once must not be asked a thousand times a second.
                sleep(self.timing.attempt() / 10).await;
                continue;
            };
            if self.machine.answered(sent, self.clock.now(), &answer)? == Outcome::Counted {
                view.send_replace(self.machine.view());
                self.act(view).await;
                break;
            }
        }
        Ok(())
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
        let limit: Duration = self.timing.attempt();
        match timeout(limit, self.store.txn(txn)).await {
            Ok(Ok(answer)) => return Some(answer),
            Ok(Err(error)) => tracing::debug!(error = &error as &dyn std::error::Error, "a heartbeat was not answered"),
            Err(_) => tracing::debug!(?limit, "a heartbeat was not answered in time"),
        }
        self.store.next_endpoint();
        None
    }
}
