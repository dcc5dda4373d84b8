//! The running lab: starts the programs, starts again what ends, stages faults, and answers over the control socket.

mod arbiter;
mod databases;
mod env;
mod serve;
mod slot;
mod start;

pub use serve::run;

use crate::api;
use crate::clock::WrongClock;
use crate::control::{ProgramStatus, Reply, Status};
use crate::entry::{self, Entry};
use crate::forward::{self, Forward};
use crate::layout::Layout;
use crate::network::{self, Cut};
use crate::plan::{METRO, Place, Plan};
use crate::postgres::{self, Databases};
use crate::process::ProcessId;
use crate::programs::{PostgresPrograms, Programs};
use crate::site::{PlacePrograms, Setting};
use crate::state::{State, StateError};
use nix::sys::signal::Signal;
use slot::Slot;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddrV4;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::process::Child;
use tokio::sync::watch;

/// What a lab was asked to be.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Names and addresses.
    pub plan: Plan,
    /// Where it keeps what.
    pub layout: Layout,
    /// The programs.
    pub programs: Programs,
    /// Whether nothing of Tandem is installed: no definitions, no rights, no programs.
    pub bare: bool,
    /// Whether operators run, and what of their settings is to be another than usual.
    pub operators: Option<Vec<Setting>>,
    /// Whether the agencies' API runs, and the issuer of its tokens.
    pub api: bool,
    /// The group whose data a small service at each site has; without, there is none.
    pub data: Option<String>,
    /// Which database clusters there are.
    pub databases: Databases,
    /// What these run with; needed where there are any.
    pub postgres: Option<PostgresPrograms>,
    /// What is reached through the city's entry; without any, there is no entry.
    pub entries: Vec<Entry>,
    /// The groups that have a ledger on their database.
    pub ledgers: Vec<String>,
    /// The process without which the lab is not wanted any more.
    pub until: Option<ProcessId>,
}

/// Why the lab did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum SupervisorError {
    /// A tool failed.
    #[error("a tool failed")]
    Command(#[from] crate::command::CommandError),
    /// Certificates could not be made.
    #[error("certificates could not be made")]
    Pki(#[from] crate::pki::PkiError),
    /// A file, port or process could not be had.
    #[error("{what}")]
    Io {
        /// What was being done.
        what: String,
        /// Why it failed.
        source: io::Error,
    },
    /// The state could not be kept.
    #[error("the lab's state could not be kept")]
    State(#[from] StateError),
    /// Something could not be installed.
    #[error("something could not be installed")]
    Install(#[from] crate::install::InstallError),
    /// There is no such place.
    #[error("there is no place {name}; there are: {known}")]
    NoPlace {
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// There is no such program.
    #[error("there is no program {name}; there are: {known}")]
    NoProgram {
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// Something did not become ready.
    #[error("{what} was not ready after {seconds} s; its log: {log}")]
    NotReady {
        /// What.
        what: String,
        /// How long was waited.
        seconds: u64,
        /// Where to look.
        log: String,
    },
}

fn doing(what: impl Into<String>) -> impl FnOnce(io::Error) -> SupervisorError {
    let what = what.into();
    move |source| SupervisorError::Io { what, source }
}

/// The running lab.
#[derive(Debug)]
pub struct Supervisor {
    settings: Settings,
    state: Mutex<State>,
    programs: Mutex<BTreeMap<String, PlacePrograms>>,
    slots: Mutex<BTreeMap<String, Arc<Slot>>>,
    forwards: Mutex<BTreeMap<String, forward::Open>>,
    powered_off: Mutex<BTreeSet<String>>,
    /// Once it is being taken down, nothing is recorded of it any more: its state on disk is gone, and stays so.
    closing: AtomicBool,
    steps: watch::Sender<Vec<Reply>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Supervisor {
    fn new(settings: Settings, state: State) -> Self {
        Self {
            state: Mutex::new(state),
            programs: Mutex::default(),
            slots: Mutex::default(),
            forwards: Mutex::default(),
            powered_off: Mutex::default(),
            closing: AtomicBool::new(false),
            steps: watch::channel(Vec::new()).0,
            settings,
        }
    }

    fn place(&self, name: &str) -> Result<Place, SupervisorError> {
        let plan = &self.settings.plan;
        plan.place(name).ok_or_else(|| SupervisorError::NoPlace {
            name: name.to_owned(),
            known: plan.places().into_iter().map(|place| place.name).collect::<Vec<_>>().join(", "),
        })
    }

    fn slot(&self, name: &str) -> Result<Arc<Slot>, SupervisorError> {
        let slots = lock(&self.slots);
        slots.get(name).map(Arc::clone).ok_or_else(|| SupervisorError::NoProgram {
            name: name.to_owned(),
            known: slots.keys().cloned().collect::<Vec<_>>().join(", "),
        })
    }

    /// Changes what is on disk of the lab.
    fn record(&self, change: impl FnOnce(&mut State)) -> Result<(), StateError> {
        let mut state = lock(&self.state);
        change(&mut state);
        if self.is_closing() { Ok(()) } else { state.write(&self.settings.layout) }
    }

    /// Whether the lab is being taken down.
    fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }

    /// Starts a program and puts it on record, in one step: who holds the state knows of every program that runs. Nothing is
    /// started that is not wanted any more, and nothing once the lab is being taken down.
    /// Starts a site's operators anew by a wall clock that is off.
    fn set_clock(&self, site: &str, seconds: i64) -> Result<(), SupervisorError> {
        let slots = [0, 1].map(|replica| self.slot(&format!("{site}/operator-{replica}")));
        WrongClock::write(&self.settings.layout.clock(site), seconds)
            .map_err(doing(format!("setting the clock of the operators at {site}")))?;
        for slot in slots {
            slot?.signal(Signal::SIGKILL);
        }
        Ok(())
    }

    fn spawn(&self, slot: &Slot) -> io::Result<Option<Child>> {
        let Settings { plan, layout, .. } = &self.settings;
        let program = slot.to_start();
        let mut state = lock(&self.state);
        if self.is_closing() || !slot.seen().wanted {
            return Ok(None);
        }
        let clock = if program.is_operator() { WrongClock::read(&layout.clock(&program.place))? } else { None };
        let log = layout.log(&program.place, &program.name);
        let (child, tree) = program.start(&plan.namespace(&program.place), &log, clock.as_ref())?;
        slot.is_apart(tree);
        let process = child.id().and_then(|id| i32::try_from(id).ok()).and_then(ProcessId::of);
        if let Some(process) = process {
            state.processes.insert(program.full_name(), process);
            if let Err(error) = state.write(layout) {
                tracing::error!(
                    program = program.full_name(),
                    error = &error as &dyn std::error::Error,
                    "not recorded"
                );
            }
        }
        slot.became(process);
        Ok(Some(child))
    }

    /// Opens the loopback ports that lead into a place.
    fn open_forwards(&self, place: &Place) -> Result<(), SupervisorError> {
        let ports = lock(&self.state).ports.clone();
        let lead = |name: String, target: SocketAddrV4| ports.get(&name).map(|port| Forward { port: *port, target });
        let forwards = [
            lead(format!("{}/kube-apiserver", place.name), SocketAddrV4::new(place.control_plane(), 6_443)),
            lead(format!("{}/arbiter", place.name), SocketAddrV4::new(place.arbiter(), 2_379)),
        ];
        let api = [
            lead(format!("{}/{}", place.name, api::API), SocketAddrV4::new(place.api(), api::PORT)),
            lead(format!("{}/{}", place.name, api::ISSUER), SocketAddrV4::new(place.issuer(), api::PORT)),
        ];
        let hook = lead(format!("{}/hook", place.name), SocketAddrV4::new(place.hook(), 9_443));
        let replicas = (0..2).map(|replica| {
            let target = SocketAddrV4::new(place.operator(replica), 8_443);
            lead(format!("{}/operator-{replica}", place.name), target)
        });
        let Settings { plan, databases, entries, .. } = &self.settings;
        let reached = databases.reached(plan, place).into_iter().chain(entry::inside(entries, place));
        let reached = reached.map(|(name, target)| lead(name, target));
        let forwards: Vec<Forward> =
            forwards.into_iter().chain(api).chain([hook]).chain(replicas).chain(reached).flatten().collect();
        let opened = forward::open(&place.namespace, &forwards)
            .map_err(doing(format!("opening the ports that lead into {}", place.name)))?;
        lock(&self.forwards).insert(place.name.clone(), opened);
        Ok(())
    }

    /// Opens the loopback ports that lead to the city's entry.
    fn open_entry(&self) -> Result<(), SupervisorError> {
        let Settings { plan, entries, .. } = &self.settings;
        let forwards = entry::forwards(entries, &lock(&self.state).ports);
        let opened = forward::open(&plan.namespace(METRO), &forwards)
            .map_err(doing("opening the ports that lead to the city's entry"))?;
        lock(&self.forwards).insert(METRO.to_owned(), opened);
        Ok(())
    }

    fn cut(&self, cut: Cut) -> Result<(), SupervisorError> {
        let place = self.place(&cut.place)?;
        if let Some(peer) = &cut.peer {
            self.place(peer)?;
        }
        let mut cuts = lock(&self.state).cuts.clone();
        if !cuts.contains(&cut) {
            cuts.push(cut);
        }
        network::set_cuts(&self.settings.plan, &place, &cuts)?;
        Ok(self.record(|state| state.cuts = cuts)?)
    }

    fn heal(&self) -> Result<(), SupervisorError> {
        for place in self.settings.plan.places() {
            network::set_cuts(&self.settings.plan, &place, &[])?;
        }
        Ok(self.record(|state| state.cuts.clear())?)
    }

    /// Ends everything in a place in one moment, as a loss of power does.
    fn power_off(&self, name: &str) -> Result<(), SupervisorError> {
        let place = self.place(name)?;
        lock(&self.powered_off).insert(place.name.clone());
        let within = format!("{}/", place.name);
        let recorded: Vec<ProcessId> = {
            // Nothing is started while the state is held. What has just been may not be in its namespace yet, but is on record.
            let state = lock(&self.state);
            for slot in lock(&self.slots).values().filter(|slot| slot.program.place == place.name) {
                slot.want(false);
            }
            state.processes.iter().filter(|(name, _)| name.starts_with(&within)).map(|(_, process)| *process).collect()
        };
        lock(&self.forwards).remove(&place.name);
        let mut ended = BTreeSet::new();
        let mut within = recorded;
        loop {
            within.extend(network::processes(&place.namespace)?.into_iter().filter_map(ProcessId::of));
            // What one of them started just before its end is found the next time.
            within.retain(|process| ended.insert(*process));
            if within.is_empty() {
                break;
            }
            for process in within.drain(..) {
                process.signal(Signal::SIGKILL);
            }
        }
        let memory = place.memory();
        if memory.is_dir() {
            // What is in memory goes with the power.
            std::fs::remove_dir_all(&memory)
                .and_then(|()| Layout::private_dir(&memory))
                .and_then(|()| postgres::memory(&place, &self.settings.databases))
                .map_err(doing(format!("emptying {}", memory.display())))?;
        }
        Ok(())
    }

    fn power_on(&self, name: &str) -> Result<(), SupervisorError> {
        let place = self.place(name)?;
        if !lock(&self.powered_off).remove(&place.name) {
            return Ok(());
        }
        self.open_forwards(&place)?;
        // In no order, as after a loss of power: each starts again until what it needs is there.
        for slot in lock(&self.slots).values().filter(|slot| slot.program.place == place.name) {
            slot.want(true);
        }
        Ok(())
    }

    fn status(&self) -> Status {
        let programs = lock(&self.slots)
            .values()
            .map(|slot| {
                let seen = slot.seen();
                ProgramStatus {
                    place: slot.program.place.clone(),
                    program: slot.program.name.clone(),
                    state: seen.state().to_owned(),
                    pid: seen.process.map(|process| process.pid),
                    since_seconds: seen.since.elapsed().as_secs(),
                    restarts: seen.restarts,
                    memory: seen.process.and_then(ProcessId::memory),
                }
            })
            .collect();
        let (ports, cuts) = {
            let state = lock(&self.state);
            (state.ports.clone(), state.cuts.clone())
        };
        Status {
            prefix: self.settings.plan.prefix.clone(),
            version: self.settings.programs.version.clone(),
            programs,
            addresses: api::addresses(&self.settings.plan, &ports),
            cuts,
            powered_off: lock(&self.powered_off).iter().cloned().collect(),
        }
    }
}
