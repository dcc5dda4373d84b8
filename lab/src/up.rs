//! `up`: starts the supervisor in the background, shows its progress, and brings a city in.

use super::{Outcome, runtime, status_of};
use clap::Args;
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tandem_lab::control::{ControlError, Reply, Request, ask};
use tandem_lab::entry::Entry;
use tandem_lab::layout::Layout;
use tandem_lab::plan::{METRO, Plan};
use tandem_lab::postgres::{Databases, DatabasesError};
use tandem_lab::process::ProcessId;
use tandem_lab::progress::{Progress, Step};
use tandem_lab::site::Setting;
use tandem_lab::state::State;
use tandem_lab::supervisor::{self, Settings};
use tandem_lab::{city, claim, ledger, programs, status};

/// How long the supervisor may take to answer for the first time.
const ANSWER: Duration = Duration::from_secs(10);

/// What a lab is to be.
#[derive(Clone, Debug, Args)]
pub(super) struct UpArgs {
    /// Begins the names of the lab's network namespaces; two labs at once need two.
    #[arg(long, default_value = "tandem")]
    prefix: String,
    /// The first two octets of the lab's addresses. They are in its namespaces only, never on the host.
    #[arg(long, default_value = "10.90")]
    base: String,
    /// The two sites; the first has authority.
    #[arg(long, default_value = "dc-a,dc-b", value_name = "SITE,SITE")]
    sites: String,
    /// Start no operators, and no API.
    #[arg(long)]
    no_operators: bool,
    /// Start Kubernetes and the arbiter alone, with nothing of Tandem in them: the chart then brings all of it. 仅启动集群与仲裁
    #[arg(long, conflicts_with_all = ["import", "data", "automatic", "settings", "entries"])]
    bare: bool,
    /// Start no agencies' API, and no issuer of tokens for it. 不启动单位 API
    #[arg(long)]
    no_api: bool,
    /// Give the operators another setting than the lab's usual one, such as `heartbeatSeconds=1` or
    /// `failover.platformMode=Automatic`; the API another one under `api`, such as `api.durableSeconds=5`. May be given several
    /// times.
    #[arg(long = "set", value_name = "FIELD=VALUE")]
    settings: Vec<String>,
    /// Let groups fail over by themselves, after the short waits of a rehearsal: 30 s where a city waits for many minutes.
    /// Only groups that are made from now on. 自动故障切换（演练用的短等待时间）
    #[arg(long)]
    automatic: bool,
    /// Run a small data service at each site for this failover group, with the agent beside it: what the provider `Hook` speaks
    /// to. The group itself is yours to make; docs/hooks.md shows one. 数据服务示例
    #[arg(long, value_name = "GROUP")]
    data: Option<String>,
    /// Run PostgreSQL under Patroni for this failover group: two members at each site, the second site's following the first's,
    /// and Tandem's agent beside each. May be given several times. `tandem lab group GROUP` prints the group itself. PostgreSQL 集群
    #[arg(long = "postgres", value_name = "GROUP")]
    groups: Vec<String>,
    /// Deploy `tandem-ledger` as an application of this failover group too, on PostgreSQL as with --postgres, in the environment
    /// `city-GROUP`, and lead the city's entry to it. May be given several times. 在数据库上部署台账
    #[arg(long = "ledger", conflicts_with_all = ["no_operators", "bare"], value_name = "GROUP")]
    ledgers: Vec<String>,
    /// Run a plain Patroni cluster too, with a member at each site, its etcd in all three places, and nothing of Tandem: to
    /// compare with. 对照集群
    #[arg(long)]
    spread_postgres: bool,
    /// The TTL of the plain cluster, in seconds.
    #[arg(long, requires = "spread_postgres", default_value_t = 30, value_name = "SECONDS")]
    spread_ttl: u32,
    /// Run HAProxy before both sites, as the city's entry: it sends what comes for a failover group to a Service at the site that holds
    /// the group. The host's port for it is `entry/GROUP` in state.json. May be given several times. 全市统一入口
    #[arg(long = "entry", conflicts_with = "no_operators", value_name = "GROUP=NAMESPACE/SERVICE:PORT")]
    entries: Vec<Entry>,
    /// Import an inventory and wait until all of it is Ready in both sites.
    #[arg(long, value_name = "CSV")]
    import: Option<PathBuf>,
    /// Take the lab down once this process is gone; what runs already is joined as it is. 该进程结束后自动清除
    #[arg(long, value_name = "PID")]
    until_pid: Option<i32>,
    /// When that process was started, lest another that has its id later be taken for it; `up` finds it out.
    #[arg(long, hide = true, requires = "until_pid", value_name = "TICKS")]
    until_started: Option<u64>,
}

/// What `--automatic` sets: everything moves by itself, soon, and again and again.
const REHEARSAL: [&str; 5] = [
    "failover.newGroups=Automatic",
    "failover.platformMode=Automatic",
    "failover.minReadySeconds=30",
    "failover.dwellSeconds=30",
    "failover.automaticPerDay=100",
];

impl UpArgs {
    /// The settings of the operators; what is given one by one stands before what is usual.
    fn settings(&self) -> impl Iterator<Item = &str> {
        let usual: &[&str] = if self.automatic { &REHEARSAL } else { &[] };
        usual.iter().copied().chain(self.settings.iter().map(String::as_str))
    }

    /// The database clusters.
    fn databases(&self) -> Result<Databases, DatabasesError> {
        let groups = [self.groups.as_slice(), &self.ledgers].concat();
        Databases::new(&groups, self.spread_postgres.then_some(self.spread_ttl))
    }

    /// What is reached through the city's entry.
    fn entries(&self) -> Result<Vec<Entry>, String> {
        let all: Vec<Entry> =
            self.entries.iter().cloned().chain(self.ledgers.iter().map(|group| ledger::entry(group))).collect();
        match all.iter().enumerate().find(|(index, entry)| all[..*index].iter().any(|other| other.group == entry.group))
        {
            Some((_, twice)) => {
                Err(format!("--entry {twice} is one too many: a group has one, and with --ledger it has it already"))
            }
            None => Ok(all),
        }
    }

    /// The process for which the lab is.
    fn until(&self) -> Result<Option<ProcessId>, String> {
        match (self.until_pid, self.until_started) {
            (None, _) => Ok(None),
            (Some(pid), Some(started)) => Ok(Some(ProcessId { pid, started })),
            (Some(pid), None) => ProcessId::of(pid)
                .map(Some)
                .ok_or_else(|| format!("there is no process {pid}; name one that runs with --until-pid")),
        }
    }
}

/// Runs the supervisor in this process.
pub(super) fn supervise(layout: &Layout, given: &UpArgs) -> Outcome {
    let settings = given.settings().map(str::parse).collect::<Result<Vec<Setting>, String>>()?;
    let plan = Plan::new(&given.prefix, &given.base, &given.sites)?;
    let databases = given.databases()?;
    let settings = Settings {
        plan: plan.clone(),
        layout: layout.clone(),
        programs: programs::find()?,
        bare: given.bare,
        operators: (!given.no_operators && !given.bare).then_some(settings),
        api: !given.no_api && !given.no_operators && !given.bare,
        data: given.data.clone(),
        postgres: if databases.is_empty() { None } else { Some(programs::find_postgres()?) },
        databases,
        entries: given.entries()?,
        ledgers: given.ledgers.clone(),
        until: given.until()?,
    };
    claim::take(&plan, layout)?;
    let runtime = runtime()?;
    let ended = runtime.block_on(supervisor::run(settings));
    // What still waits for the arbiter on a thread of its own must not keep an ended lab from being gone.
    runtime.shutdown_background();
    Ok(ended?)
}

/// Starts a lab, or joins the one that runs.
pub(super) fn up(layout: &Layout, given: &UpArgs) -> Outcome {
    let progress = Progress::default();
    let until = given.until()?;
    let plan = Plan::new(&given.prefix, &given.base, &given.sites)?;
    // What is wrong with a setting is said here, not in the supervisor's log.
    given.databases()?;
    given.entries()?;
    given.settings().try_for_each(|text| text.parse::<Setting>().map(drop))?;
    if let Some(inventory) = &given.import
        && !inventory.is_file()
    {
        return Err(format!("there is no inventory {}; name a CSV file", inventory.display()).into());
    }
    fs::create_dir_all(&layout.dir)?;
    match ask(layout, &Request::Status, |_| {}) {
        Ok(()) => progress.say("a lab runs here already; joining it"),
        Err(ControlError::NotRunning { .. }) => begin(layout, given, &plan, until, &progress)?,
        Err(error) => return Err(error.into()),
    }
    follow(layout, &progress)?;
    if let Some(inventory) = &given.import {
        let own = std::env::current_exe()?;
        progress.say(&format!("importing {}", inventory.display()));
        city::import(layout, &plan, own.parent().unwrap_or(&own), inventory)?;
        runtime()?.block_on(city::wait(layout, &plan, &progress))?;
    }
    if let Some(found) = status_of(layout)? {
        status::print(&found, &[], &[]);
    }
    progress.say(&format!(
        "up. To work with it: . {}/env; kubectl get units,environments,applications -A",
        layout.dir.display()
    ));
    if programs::which("kubectl").is_none() {
        progress.say("kubectl is not on PATH; to have it: apt-get install kubernetes-client");
    }
    Ok(())
}

fn begin(layout: &Layout, given: &UpArgs, plan: &Plan, until: Option<ProcessId>, progress: &Progress) -> Outcome {
    // Whoever holds the lock starts or runs the lab. The supervisor inherits it, so that nobody comes in between.
    let held = hold(layout)?;
    if let Some(crashed) = State::read(layout)? {
        progress.say("what a crashed lab left here is cleared away first");
        crashed.take_down(layout)?;
    }
    claim::look(plan, layout)?;
    programs::find()?;
    if !given.databases()?.is_empty() {
        programs::find_postgres()?;
    }
    clear(layout, plan)?;
    let log = OpenOptions::new().create(true).write(true).truncate(true).open(layout.supervisor_log())?;
    let mut arguments: Vec<OsString> = vec!["supervise".into(), "--dir".into(), layout.dir.clone().into()];
    for (flag, value) in [("--prefix", &given.prefix), ("--base", &given.base), ("--sites", &given.sites)] {
        arguments.extend([flag.into(), value.into()]);
    }
    if let Some(ProcessId { pid, started }) = until {
        arguments.extend(["--until-pid".into(), pid.to_string().into()]);
        arguments.extend(["--until-started".into(), started.to_string().into()]);
    }
    for setting in given.settings() {
        arguments.extend(["--set".into(), setting.into()]);
    }
    if let Some(group) = &given.data {
        arguments.extend(["--data".into(), group.into()]);
    }
    for group in &given.groups {
        arguments.extend(["--postgres".into(), group.into()]);
    }
    for group in &given.ledgers {
        arguments.extend(["--ledger".into(), group.into()]);
    }
    if given.spread_postgres {
        arguments.extend(["--spread-postgres".into(), "--spread-ttl".into(), given.spread_ttl.to_string().into()]);
    }
    for entry in &given.entries {
        arguments.extend(["--entry".into(), entry.to_string().into()]);
    }
    if given.bare {
        arguments.push("--bare".into());
    }
    if given.no_operators {
        arguments.push("--no-operators".into());
    }
    if given.no_api {
        arguments.push("--no-api".into());
    }
    // A session of its own: the lab goes on when the shell that started it ends.
    let mut supervisor = Command::new("setsid")
        .arg(std::env::current_exe()?)
        .args(arguments)
        .stdin(held)
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()?;
    let started = Instant::now();
    while ask(layout, &Request::Status, |_| {}).is_err() {
        if let Some(ended) = supervisor.try_wait()? {
            if ended.code() == Some(i32::from(super::TAKEN)) {
                // Another was quicker, and is named here.
                claim::look(plan, layout)?;
            }
            let said = fs::read_to_string(layout.supervisor_log()).unwrap_or_default();
            let how = ended.signal().map_or_else(|| ended.to_string(), |signal| format!("signal {signal}"));
            return Err(format!("the supervisor ended at once ({how}): {}", said.trim()).into());
        }
        if started.elapsed() >= ANSWER {
            return Err(
                format!("the supervisor does not answer; its log: {}", layout.supervisor_log().display()).into()
            );
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// Takes the lock of a lab's folder. The lock is also what tells such a folder from any other, which is never touched.
fn hold(layout: &Layout) -> Result<File, Box<dyn std::error::Error>> {
    let dir = layout.dir.display();
    if !layout.lock().exists() && fs::read_dir(&layout.dir)?.next().is_some() {
        return Err(
            format!("{dir} holds something else than a lab; mend it: name a new or empty folder with --dir").into()
        );
    }
    let lock = OpenOptions::new().create(true).truncate(false).write(true).open(layout.lock())?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(format!(
            "another `up` is starting a lab in {dir}, or a supervisor there does not answer; mend it: wait for it, or \
             tandem lab down --dir {dir}"
        )
        .into()),
        Err(TryLockError::Error(error)) => Err(error.into()),
    }
}

/// A lab starts from nothing: the last one's data, certificates and logs go.
fn clear(layout: &Layout, plan: &Plan) -> std::io::Result<()> {
    let gone = |result: std::io::Result<()>| match result {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    };
    gone(fs::remove_file(layout.socket()))?;
    gone(fs::remove_dir_all(layout.people()))?;
    gone(fs::remove_dir_all(layout.images()))?;
    gone(fs::remove_dir_all(layout.place(METRO)))?;
    for place in plan.places() {
        gone(fs::remove_dir_all(layout.place(&place.name)))?;
    }
    Ok(())
}

/// Shows the steps of the start until it is over. Interrupted, it takes down what was begun.
fn follow(layout: &Layout, progress: &Progress) -> Outcome {
    let interrupted = Arc::new(AtomicBool::new(false));
    let (flag, stop) = (Arc::clone(&interrupted), layout.clone());
    let signals = runtime()?;
    signals.spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            flag.store(true, Ordering::Release);
            let asked = tokio::task::spawn_blocking(move || ask(&stop, &Request::Stop, |_| {}));
            drop(asked.await);
        }
    });
    let mut current: Option<Step<'_>> = None;
    let followed = ask(layout, &Request::Follow, |reply| match reply {
        Reply::Begun { step } => current = Some(progress.begin(&step)),
        Reply::Ended { .. } => {
            if let Some(step) = current.take() {
                step.end();
            }
        }
        _ => {}
    });
    drop(current);
    if interrupted.load(Ordering::Acquire) {
        return Err("interrupted; what was begun has been taken down".into());
    }
    Ok(followed?)
}
