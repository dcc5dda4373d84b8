//! One pod that has real processes: starts, probes, restarts and ends its containers.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, Pod};
use kube::ResourceExt;
use nix::sys::signal::Signal;
use tandem_logs::Chain;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::backoff::Backoff;
use super::launch::launch_of;
use super::pods::Context;
use super::probes::{Action, Counter, Kind, Schedule};
use super::process::{Exit, Launch, ProcessId, uid_of};
use super::publish::Publisher;
use super::state::{ContainerState, PodDir, PodState};
use super::status::{ContainerView, PodView, State};
use super::volumes::{REFRESH, Volumes};

/// Grace, in seconds, where the pod says none.
const GRACE: i64 = 30;
/// Grace for a pod whose object is gone: nobody waits for it any more.
const GONE_GRACE: Duration = Duration::from_secs(1);
/// Wait before a container is tried again that could not be started.
const START_RETRY: Duration = Duration::from_secs(3);

/// What the pod's object says now.
#[derive(Debug, Clone)]
pub(super) struct Order {
    pub(super) pod: Arc<Pod>,
    /// The object is gone, or the node ends.
    pub(super) gone: bool,
}

/// What happened to a container. `run` tells a run from the ones before: late news of those does not count.
#[derive(Debug, Clone, Copy)]
enum Event {
    Exited { slot: usize, run: u32, exit: Exit },
    Probed { slot: usize, run: u32, kind: Kind, good: bool },
    Start { slot: usize },
    Kill { slot: usize, run: u32 },
}

/// One container.
struct Slot {
    spec: Container,
    init: bool,
    /// The program; `None` = simulated.
    program: Option<PathBuf>,
    view: ContainerView,
    backoff: Backoff,
    run: u32,
    running: Option<Running>,
    /// A start is already planned.
    planned: bool,
    /// Ended, and is not to be started again.
    over: Option<bool>,
}

struct Running {
    process: ProcessId,
    since: Timestamp,
    begun: Instant,
    launch: Option<Launch>,
    tasks: JoinSet<()>,
}

/// The pod's worker.
pub(super) struct Worker {
    context: Arc<Context>,
    orders: watch::Receiver<Order>,
    pod: Arc<Pod>,
    ip: std::net::Ipv4Addr,
    dir: PodDir,
    slots: Vec<Slot>,
    sender: mpsc::UnboundedSender<Event>,
    events: mpsc::UnboundedReceiver<Event>,
    publisher: Publisher,
    timers: JoinSet<()>,
    /// When the pod is to be dead.
    deadline: Option<Instant>,
}

impl Worker {
    /// Makes the worker, taking over what a record says is still running.
    pub(super) fn new(context: Arc<Context>, orders: watch::Receiver<Order>, ip: std::net::Ipv4Addr) -> Self {
        let pod = orders.borrow().pod.clone();
        let (namespace, name, uid) =
            (pod.namespace().unwrap_or_default(), pod.name_any(), pod.uid().unwrap_or_default());
        let dir = PodDir::new(&context.dir, &namespace, &name, &uid);
        let record = dir.load().unwrap_or_default();
        let spec = pod.spec.clone().unwrap_or_default();
        let sidecar = |c: &Container| c.restart_policy.as_deref() == Some("Always");
        let init = spec.init_containers.unwrap_or_default().into_iter().map(|c| (!sidecar(&c), c));
        let main = spec.containers.into_iter().map(|c| (false, c));
        let slots = init.chain(main).map(|(init, c)| Slot::new(&context, &pod, c, init, &record)).collect();
        let (sender, events) = mpsc::unbounded_channel();
        let publisher = Publisher::new(&context.client, &namespace, &name, &uid);
        let mut worker = Self {
            context,
            orders,
            pod,
            ip,
            dir,
            slots,
            sender,
            events,
            publisher,
            timers: JoinSet::new(),
            deadline: None,
        };
        worker.adopt(&record);
        worker
    }

    /// Goes on until the pod's object is gone, or it was asked to be gone and all is ended.
    pub(super) async fn run(mut self) {
        // A terminal phase never changes again, whatever is left of the pod.
        if !self.ended() {
            self.keep_volumes();
            loop {
                self.obey();
                self.advance().await;
                // Nobody is to be told when the object is gone; and when it is the node that ends, the pod has not: the
                // next node starts its processes again.
                if !self.orders.borrow().gone {
                    self.publish();
                }
                if self.deadline.is_some() && self.slots.iter().all(|s| s.running.is_none()) {
                    break;
                }
                while self.timers.try_join_next().is_some() {}
                tokio::select! {
                    event = self.events.recv() => if let Some(event) = event { self.take(event) },
                    changed = self.orders.changed() => if changed.is_err() { break },
                }
            }
        }
        let asked = |o: &Order| o.gone || o.pod.metadata.deletion_timestamp.is_some();
        let gone = match self.orders.wait_for(asked).await {
            Ok(order) => order.gone,
            Err(_) => true,
        };
        if !gone {
            self.publisher.finish_and_delete().await;
        }
        self.dir.clear();
    }

    /// Keeps what the pod's volumes hold as the API server says, until the worker ends.
    fn keep_volumes(&mut self) {
        if self.pod.spec.as_ref().is_none_or(|spec| spec.volumes.is_none()) {
            return;
        }
        let (context, pod, ip, dir) = (self.context.clone(), self.pod.clone(), self.ip, self.dir.clone());
        self.timers.spawn(async move {
            loop {
                tokio::time::sleep(REFRESH).await;
                Volumes { context: &context, pod: &pod, ip, dir: &dir }.refresh().await;
            }
        });
    }

    fn ended(&self) -> bool {
        let phase = self.pod.status.as_ref().and_then(|s| s.phase.as_deref());
        matches!(phase, Some("Succeeded" | "Failed"))
    }

    /// Takes over what the pod's object says.
    fn obey(&mut self) {
        let order = self.orders.borrow_and_update().clone();
        self.pod = order.pod;
        let grace = if order.gone {
            GONE_GRACE
        } else if self.pod.metadata.deletion_timestamp.is_some() {
            grace_of(&self.pod)
        } else {
            return;
        };
        let deadline = Instant::now() + grace;
        let first = self.deadline.is_none();
        if !first && self.deadline.is_some_and(|d| d <= deadline) {
            return;
        }
        self.deadline = Some(deadline);
        for slot in 0..self.slots.len() {
            self.end(slot, grace);
        }
    }

    /// Starts what can be started.
    async fn advance(&mut self) {
        if self.deadline.is_some() {
            return;
        }
        for slot in 0..self.slots.len() {
            let this = &self.slots[slot];
            if this.over.is_none() && this.running.is_none() && !this.planned {
                self.start(slot).await;
            }
            // Init containers run one after the other.
            if self.slots[slot].init && self.slots[slot].over != Some(true) {
                return;
            }
        }
    }

    async fn start(&mut self, slot: usize) {
        let this = &mut self.slots[slot];
        let Some(program) = this.program.clone() else {
            this.simulate();
            return;
        };
        let prepared = launch_of(&self.context, &self.pod, &this.spec, &program, self.ip, &self.dir).await;
        let this = &mut self.slots[slot];
        let started = prepared.map_err(|e| ("CreateContainerConfigError", Chain(&e).to_string())).and_then(|launch| {
            let log = self.dir.log(&this.spec.name);
            let error = |e: std::io::Error| ("RunContainerError", format!("cannot start {}: {e}", program.display()));
            launch.start(&log).map(|started| (launch, started)).map_err(error)
        });
        let (launch, (mut child, process)) = match started {
            Ok(started) => started,
            Err((reason, message)) => {
                tracing::warn!(pod = self.pod.name_any(), container = this.spec.name, message, "cannot start");
                this.view.state = State::waiting(reason, message);
                self.later(START_RETRY, slot);
                return;
            }
        };
        this.run += 1;
        let (run, sender) = (this.run, self.sender.clone());
        let uid = Some(uid_of(self.ip));
        let waited = process.clone();
        self.timers.spawn(async move {
            let exit = child.wait().await.map_or(Exit::UNKNOWN, Exit::from);
            waited.kill_group(uid);
            let _ = sender.send(Event::Exited { slot, run, exit });
        });
        self.now_running(slot, process, Timestamp::now(), Some(launch), (false, false));
        tracing::info!(pod = self.pod.name_any(), container = self.slots[slot].spec.name, "started");
    }

    /// Takes over the processes of before, and counts a restart for those that ended meanwhile.
    fn adopt(&mut self, record: &PodState) {
        for slot in 0..self.slots.len() {
            let Some(known) = record.containers.iter().find(|c| c.name == self.slots[slot].spec.name) else { continue };
            let Some(process) = known.process.clone() else { continue };
            self.slots[slot].run += 1;
            // It was ready and started, and still is until a probe says otherwise: nobody shall notice that the node was away.
            let status = self.pod.status.as_ref().and_then(|s| s.container_statuses.as_deref()).unwrap_or_default();
            let was = status.iter().find(|s| s.name == known.name && process.alive());
            let was = was.map_or((false, false), |s| (s.started == Some(true), s.ready));
            self.now_running(slot, process.clone(), known.since, None, was);
            let (run, sender, uid) = (self.slots[slot].run, self.sender.clone(), uid_of(self.ip));
            self.timers.spawn(async move {
                process.gone().await;
                process.kill_group(Some(uid));
                let _ = sender.send(Event::Exited { slot, run, exit: Exit::UNKNOWN });
            });
        }
    }

    /// `was`: whether it had already started, and was ready.
    fn now_running(
        &mut self,
        slot: usize,
        process: ProcessId,
        since: Timestamp,
        launch: Option<Launch>,
        was: (bool, bool),
    ) {
        let uid = self.pod.uid().unwrap_or_default();
        let this = &mut self.slots[slot];
        this.planned = false;
        this.view.id = format!("tandem-lab://{uid}/{}/{}", this.spec.name, this.view.restarts);
        this.view.state = State::Running { since };
        this.view.started = was.0 || this.spec.startup_probe.is_none();
        this.view.ready = was.1 || (this.view.started && this.spec.readiness_probe.is_none());
        let started = this.view.started;
        this.running = Some(Running { process, since, begun: Instant::now(), launch, tasks: JoinSet::new() });
        if started {
            self.probe(slot, Kind::Liveness);
            self.probe(slot, Kind::Readiness);
        } else {
            self.probe(slot, Kind::Startup);
        }
        self.save();
    }

    /// Begins to probe.
    fn probe(&mut self, slot: usize, kind: Kind) {
        let this = &mut self.slots[slot];
        let spec = match kind {
            Kind::Startup => &this.spec.startup_probe,
            Kind::Liveness => &this.spec.liveness_probe,
            Kind::Readiness => &this.spec.readiness_probe,
        };
        let (Some(spec), Some(running)) = (spec, &mut this.running) else { return };
        // The environment of an adopted process is not known any more; its probes run with a plain one.
        let launch = running.launch.clone().unwrap_or_else(|| Launch {
            command: Vec::new(),
            variables: [("PATH".to_owned(), "/usr/local/bin:/usr/bin:/bin".to_owned())].into(),
            work: self.dir.work(&this.spec.name),
            uid: Some(uid_of(self.ip)),
            contained: None,
        });
        let action = Action::of(spec, &this.spec, self.ip, &launch);
        let schedule = Schedule::of(spec);
        let (sender, run) = (self.sender.clone(), this.run);
        let (pod, container) = (self.pod.name_any(), this.spec.name.clone());
        let Some(action) = action else {
            tracing::warn!(pod, container, ?kind, "a probe that the lab node cannot make counts as good");
            let _ = sender.send(Event::Probed { slot, run, kind, good: true });
            return;
        };
        let holds = kind == Kind::Liveness || (kind == Kind::Readiness && this.view.ready);
        running.tasks.spawn(async move {
            let mut counter = Counter::new(schedule, holds);
            tokio::time::sleep(schedule.initial_delay).await;
            let mut tick = tokio::time::interval(schedule.period);
            tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                tick.tick().await;
                let outcome = action.attempt(schedule.timeout).await;
                let verdict = counter.record(outcome.is_ok(), kind);
                if let Err(why) = outcome {
                    tracing::debug!(pod, container, ?kind, why, "a probe failed");
                }
                if let Some(good) = verdict
                    && sender.send(Event::Probed { slot, run, kind, good }).is_err()
                {
                    return;
                }
                if verdict == Some(true) && kind == Kind::Startup {
                    return;
                }
            }
        });
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Start { slot } => self.slots[slot].planned = false,
            Event::Kill { slot, run } if self.slots[slot].run == run => {
                if let Some(running) = &self.slots[slot].running {
                    running.process.kill_group(Some(uid_of(self.ip)));
                }
            }
            Event::Probed { slot, run, kind, good } if self.slots[slot].run == run => self.probed(slot, kind, good),
            Event::Exited { slot, run, exit } if self.slots[slot].run == run => self.exited(slot, exit),
            // Of an earlier run.
            Event::Kill { .. } | Event::Probed { .. } | Event::Exited { .. } => {}
        }
    }

    fn probed(&mut self, slot: usize, kind: Kind, good: bool) {
        let pod = self.pod.name_any();
        let this = &mut self.slots[slot];
        let container = &this.spec.name;
        match (kind, good) {
            (Kind::Readiness, _) => {
                tracing::info!(pod, container, ready = good, "readiness changed");
                this.view.ready = good;
            }
            (Kind::Startup, true) => {
                this.view.started = true;
                this.view.ready = this.spec.readiness_probe.is_none();
                self.probe(slot, Kind::Liveness);
                self.probe(slot, Kind::Readiness);
            }
            (Kind::Liveness, true) => {}
            (Kind::Liveness | Kind::Startup, false) => {
                tracing::warn!(pod, container, ?kind, "a probe failed too often: the container is restarted");
                self.end(slot, grace_of(&self.pod));
            }
        }
    }

    /// Asks a container to end; kills it after the grace.
    fn end(&mut self, slot: usize, grace: Duration) {
        let this = &mut self.slots[slot];
        let Some(running) = &mut this.running else { return };
        running.process.signal(Signal::SIGTERM);
        let (sender, run) = (self.sender.clone(), this.run);
        running.tasks.spawn(async move {
            tokio::time::sleep(grace).await;
            let _ = sender.send(Event::Kill { slot, run });
        });
    }

    fn exited(&mut self, slot: usize, exit: Exit) {
        let this = &mut self.slots[slot];
        let Some(running) = this.running.take() else { return };
        let reason = if exit.code == 0 { "Completed" } else { "Error" };
        let ended = State::Terminated {
            exit_code: exit.code,
            signal: exit.signal,
            reason: reason.into(),
            started: running.since,
            finished: Timestamp::now(),
            id: this.view.id.clone(),
        };
        let (pod, container) = (self.pod.name_any(), &this.spec.name);
        tracing::info!(pod, container, code = exit.code, signal = exit.signal, "ended");
        this.view.ready = this.init && exit.code == 0;
        this.view.started = false;
        this.view.state = ended.clone();
        let spec = self.pod.spec.as_ref();
        let policy = this.spec.restart_policy.as_deref().or(spec.and_then(|s| s.restart_policy.as_deref()));
        let again = match policy {
            Some("Never") => false,
            Some("OnFailure") => exit.code != 0,
            _ => !(this.init && exit.code == 0),
        };
        if !again {
            this.over = Some(exit.code == 0);
        } else if self.deadline.is_none() {
            let wait = this.backoff.after(running.begun.elapsed());
            this.view.restarts += 1;
            this.view.last = Some(ended);
            if !wait.is_zero() {
                let message = format!("back-off {}s restarting failed container={container} pod={pod}", wait.as_secs());
                this.view.state = State::waiting("CrashLoopBackOff", message);
                self.later(wait, slot);
            }
        }
        self.save();
    }

    /// Plans a start.
    fn later(&mut self, wait: Duration, slot: usize) {
        self.slots[slot].planned = true;
        let sender = self.sender.clone();
        self.timers.spawn(async move {
            tokio::time::sleep(wait).await;
            let _ = sender.send(Event::Start { slot });
        });
    }

    fn save(&self) {
        let of = |s: &Slot| ContainerState {
            name: s.spec.name.clone(),
            restarts: s.view.restarts,
            process: s.running.as_ref().map(|r| r.process.clone()),
            since: s.running.as_ref().map_or_else(Timestamp::now, |r| r.since),
            completed: s.init && s.over == Some(true),
        };
        let containers = self.slots.iter().map(of).collect();
        let state = PodState { uid: self.pod.uid().unwrap_or_default(), ip: Some(self.ip), containers };
        if let Err(error) = self.dir.save(&state) {
            tracing::error!(%error, pod = self.pod.name_any(), "cannot record the pod's processes");
        }
    }

    fn publish(&mut self) {
        let initialized = self.slots.iter().all(|s| !s.init || s.over == Some(true));
        let simulated: Vec<&str> =
            self.slots.iter().filter(|s| s.program.is_none()).map(|s| s.spec.name.as_str()).collect();
        let views = |init: bool| -> Vec<ContainerView> {
            let names = |c: &&Container, s: &Slot| c.name == s.spec.name;
            let spec = self.pod.spec.as_ref();
            let listed = if init {
                spec.and_then(|s| s.init_containers.as_deref()).unwrap_or_default()
            } else {
                spec.map(|s| s.containers.as_slice()).unwrap_or_default()
            };
            listed.iter().filter_map(|c| self.slots.iter().find(|s| names(&c, s))).map(|s| s.view.clone()).collect()
        };
        let unready: Vec<&str> =
            self.slots.iter().filter(|s| !s.init && !s.view.ready).map(|s| s.spec.name.as_str()).collect();
        let phase = phase_of(&self.slots, initialized, self.deadline.is_some());
        let view = PodView {
            phase,
            ip: self.ip,
            host_ip: self.context.host_ip,
            initialized,
            ready: unready.is_empty() && initialized && phase == "Running",
            unready: ("ContainersNotReady", format!("containers with unready status: [{}]", unready.join(" "))),
            simulated: (
                false,
                if simulated.is_empty() { String::new() } else { format!("simulated: {}", simulated.join(", ")) },
            ),
            init_containers: views(true),
            containers: views(false),
        };
        self.publisher.put(&self.pod, view);
    }
}

impl Slot {
    fn new(context: &Context, pod: &Pod, spec: Container, init: bool, record: &PodState) -> Self {
        let image = spec.image.clone().unwrap_or_default();
        let known = record.containers.iter().find(|c| c.name == spec.name);
        let status = pod.status.as_ref().and_then(|s| s.container_statuses.as_deref()).unwrap_or_default();
        let status = status.iter().find(|s| s.name == spec.name).map_or(0, |s| s.restart_count);
        let first = if init { "PodInitializing" } else { "ContainerCreating" };
        let view = ContainerView {
            name: spec.name.clone(),
            image: image.clone(),
            id: String::new(),
            ready: false,
            started: false,
            restarts: known.map_or(status, |k| k.restarts),
            state: State::waiting(first, ""),
            last: None,
        };
        let program = context.programs.find(&image);
        let backoff = Backoff::default();
        let mut slot = Self { spec, init, program, view, backoff, run: 0, running: None, planned: false, over: None };
        if known.is_some_and(|k| k.completed) {
            slot.complete(known.map_or_else(Timestamp::now, |k| k.since));
        }
        slot
    }

    fn complete(&mut self, at: Timestamp) {
        self.over = Some(true);
        self.view.ready = true;
        self.view.state = State::Terminated {
            exit_code: 0,
            signal: None,
            reason: "Completed".into(),
            started: at,
            finished: at,
            id: self.view.id.clone(),
        };
    }

    /// A container without a program, beside one that has.
    fn simulate(&mut self) {
        if matches!(self.view.state, State::Running { .. }) {
            return;
        }
        self.view.id = format!("simulated://{}", self.spec.name);
        let now = Timestamp::now();
        if self.init {
            self.complete(now);
        } else {
            self.view.started = true;
            self.view.ready = true;
            self.view.state = State::Running { since: now };
        }
    }
}

fn grace_of(pod: &Pod) -> Duration {
    let said = pod.metadata.deletion_grace_period_seconds;
    let said = said.or_else(|| pod.spec.as_ref()?.termination_grace_period_seconds).unwrap_or(GRACE);
    Duration::from_secs(said.max(1).unsigned_abs())
}

/// Phase of a pod by its containers.
fn phase_of(slots: &[Slot], initialized: bool, ending: bool) -> &'static str {
    if slots.iter().any(|s| s.init && s.over == Some(false)) {
        return "Failed";
    }
    // A sidecar (not `init` here) does not keep a pod from completing; the mains do.
    let mains: Vec<&Slot> = slots.iter().filter(|s| !s.init && s.spec.restart_policy.is_none()).collect();
    let done = |s: &Slot| s.over.is_some() || (ending && s.running.is_none());
    if mains.iter().all(|s| done(s)) {
        let failed = |s: &&Slot| match s.over {
            Some(good) => !good,
            None => !matches!(s.view.state, State::Terminated { exit_code: 0, .. } | State::Running { .. }),
        };
        return if mains.iter().any(failed) { "Failed" } else { "Succeeded" };
    }
    let ran = |s: &Slot| s.running.is_some() || s.over.is_some() || s.view.restarts > 0 || s.view.started;
    if initialized && mains.iter().any(|s| ran(s)) { "Running" } else { "Pending" }
}

#[cfg(test)]
#[path = "worker_tests.rs"]
mod tests;
