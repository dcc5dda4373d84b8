//! The supervisor's life: it brings the lab up, answers until told to stop, and takes all down.

use super::{Settings, Supervisor, SupervisorError, doing, lock};
use crate::control::{Reply, Request};
use crate::process::ProcessId;
use crate::state::State;
use nix::sys::signal::Signal;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tandem_logs::Chain;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::signal::unix::{Signal as Signals, SignalKind, signal};
use tokio::sync::mpsc;

/// How often the process is looked at that the lab was started for.
const LOOK: Duration = Duration::from_millis(500);

/// Runs a lab until it is told to stop, or the process that it was started for is gone. Whatever happens, nothing of it is left afterwards. The lock of the lab's folder is
/// its standard input, and so held for as long as it lives.
///
/// # Errors
/// When the lab could not be brought up.
pub async fn run(settings: Settings) -> Result<(), SupervisorError> {
    let layout = settings.layout.clone();
    let mut state = State::new(settings.plan.clone());
    state.supervisor = ProcessId::of_self();
    state.databases = settings.databases.clone();
    state.write(&layout)?;
    let supervisor = Arc::new(Supervisor::new(settings, state));
    let listener = layout.with_socket(|path| UnixListener::bind(path)).map_err(doing("opening the control socket"))?;
    fs::set_permissions(layout.socket(), fs::Permissions::from_mode(0o600))
        .map_err(doing("closing the socket to others"))?;
    let (stop, stopped) = mpsc::channel::<UnixStream>(1);
    let accepting = tokio::spawn(accept(Arc::clone(&supervisor), listener, stop));
    let terminate = signal(SignalKind::terminate()).map_err(doing("waiting for signals"))?;
    let interrupt = signal(SignalKind::interrupt()).map_err(doing("waiting for signals"))?;
    let mut over = pin!(over(stopped, [terminate, interrupt], supervisor.settings.until));
    let (started, asked) = tokio::select! {
        started = supervisor.start() => match started {
            Ok(()) => {
                supervisor.steps.send_modify(|steps| steps.push(Reply::Done));
                (Ok(()), over.await)
            }
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "the lab did not start");
                supervisor.steps.send_modify(|steps| steps.push(Reply::Failed { why: Chain(&error).to_string() }));
                (Err(error), None)
            }
        },
        asked = &mut over => (Ok(()), asked),
    };
    for slot in lock(&supervisor.slots).values() {
        slot.want(false);
    }
    lock(&supervisor.forwards).clear();
    let state = {
        let state = lock(&supervisor.state);
        supervisor.closing.store(true, std::sync::atomic::Ordering::Release);
        state.clone()
    };
    let down = state.take_down(&layout);
    if let Some(mut stream) = asked {
        let reply = match &down {
            Ok(()) => Reply::Done,
            Err(error) => Reply::Failed { why: Chain(error).to_string() },
        };
        say(&mut stream, &reply).await;
    }
    // Those who follow the start hear of its failure before the process ends.
    tokio::time::sleep(Duration::from_millis(200)).await;
    accepting.abort();
    down?;
    started
}

/// Waits until the lab is to end. Gives back who asked for it, where somebody waits for the answer.
async fn over(
    mut stopped: mpsc::Receiver<UnixStream>,
    [mut terminate, mut interrupt]: [Signals; 2],
    until: Option<ProcessId>,
) -> Option<UnixStream> {
    tokio::select! {
        asked = stopped.recv() => asked,
        _ = terminate.recv() => None,
        _ = interrupt.recv() => None,
        () = gone(until) => None,
    }
}

/// Waits for the end of the process that the lab was started for; for ever where there is none.
async fn gone(until: Option<ProcessId>) {
    let Some(process) = until else { return std::future::pending().await };
    while process.is_running() {
        tokio::time::sleep(LOOK).await;
    }
    tracing::info!(pid = process.pid, "the process that the lab was started for is gone");
}

async fn accept(supervisor: Arc<Supervisor>, listener: UnixListener, stop: mpsc::Sender<UnixStream>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => drop(tokio::spawn(answer(Arc::clone(&supervisor), stream, stop.clone()))),
            Err(error) => tracing::warn!(%error, "a request was not accepted"),
        }
    }
}

async fn say(stream: &mut UnixStream, reply: &Reply) {
    if let Ok(mut line) = serde_json::to_string(reply) {
        line.push('\n');
        // Whoever asked may have gone.
        let _ = stream.write_all(line.as_bytes()).await;
    }
}

async fn answer(supervisor: Arc<Supervisor>, mut stream: UnixStream, stop: mpsc::Sender<UnixStream>) {
    let mut line = String::new();
    if BufReader::new(&mut stream).read_line(&mut line).await.is_err() {
        return;
    }
    let request: Request = match serde_json::from_str(&line) {
        Ok(request) => request,
        Err(error) => return say(&mut stream, &Reply::Failed { why: format!("not understood: {error}") }).await,
    };
    match request {
        Request::Follow => follow(&supervisor, &mut stream).await,
        Request::Stop => drop(stop.send(stream).await),
        Request::Status => {
            say(&mut stream, &Reply::Status(supervisor.status())).await;
            say(&mut stream, &Reply::Done).await;
        }
        request => {
            tracing::info!(?request, "fault");
            // Some of them wait for programs to end or to start.
            let doing = Arc::clone(&supervisor);
            let reply = match tokio::task::spawn_blocking(move || carry_out(&doing, request)).await {
                Ok(Ok(())) => Reply::Done,
                Ok(Err(error)) => Reply::Failed { why: Chain(&error).to_string() },
                Err(error) => Reply::Failed { why: error.to_string() },
            };
            say(&mut stream, &reply).await;
        }
    }
}

fn carry_out(supervisor: &Supervisor, request: Request) -> Result<(), SupervisorError> {
    match request {
        Request::Cut(cut) => supervisor.cut(cut)?,
        Request::Heal => supervisor.heal()?,
        Request::Kill { program, stay_down, alone } => {
            let slot = supervisor.slot(&program)?;
            if stay_down {
                slot.want(false);
            }
            if alone {
                slot.kill_alone();
            } else {
                slot.signal(Signal::SIGKILL);
            }
        }
        Request::Start { program } => supervisor.slot(&program)?.want(true),
        Request::Pause { program } => supervisor.slot(&program)?.signal(Signal::SIGSTOP),
        Request::Resume { program } => supervisor.slot(&program)?.signal(Signal::SIGCONT),
        Request::Clock { site, seconds } => supervisor.set_clock(&site, seconds)?,
        Request::PowerOff { place } => supervisor.power_off(&place)?,
        Request::PowerOn { place } => supervisor.power_on(&place)?,
        Request::ArbiterLose => supervisor.arbiter_lose()?,
        Request::ArbiterStart => supervisor.arbiter_start()?,
        Request::ArbiterRejoin { place } => supervisor.arbiter_rejoin(&place)?,
        Request::Follow | Request::Status | Request::Stop => {}
    }
    Ok(())
}

async fn follow(supervisor: &Supervisor, stream: &mut UnixStream) {
    let mut steps = supervisor.steps.subscribe();
    let mut told = 0;
    loop {
        let new: Vec<Reply> = steps.borrow_and_update().iter().skip(told).cloned().collect();
        told += new.len();
        for reply in new {
            say(stream, &reply).await;
            if matches!(reply, Reply::Done | Reply::Failed { .. }) {
                return;
            }
        }
        if steps.changed().await.is_err() {
            return;
        }
    }
}
