//! `tandem-lab`, also run as `tandem lab`.
#![allow(clippy::print_stderr, clippy::print_stdout)] // it speaks to people

mod up;

use clap::{Parser, Subcommand};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::ExitCode;
use tandem_lab::claim::ClaimError;
use tandem_lab::control::{Reply, Request, Status, ask};
use tandem_lab::layout::Layout;
use tandem_lab::network::Cut;
use tandem_lab::node::{self, NodeArgs, contain};
use tandem_lab::state::State;
use tandem_lab::{city, images, postgres, status};
use tracing_subscriber::EnvFilter;

/// Two real Kubernetes data centres and an arbiter on one machine, and faults to stage in them.
///
/// 一台机器上的两个真实数据中心与仲裁，用于演示、测试与故障演练。
#[derive(Debug, Parser)]
#[command(
    name = "tandem-lab",
    version,
    after_help = "Examples:
  tandem lab up                     start; `up` again joins what runs
  tandem lab cut dc-a               cut dc-a off from everybody
  tandem lab cut dc-a dc-b          cut the link between the two sites
  tandem lab kill dc-a/operator-0   end a program with SIGKILL; it is started again
  tandem lab power-off dc-a         end everything in dc-a at once
  tandem lab up --bare              Kubernetes and the arbiter alone, to install Tandem's chart in
  tandem lab up --data ledger       with a small data service at each site, for the failover group `ledger`
  tandem lab up --postgres ledger   with PostgreSQL under Patroni at each site, for the failover group `ledger`
  tandem lab group ledger           print that group, to apply it
  tandem lab up --ledger hall       the same with the group, and a service on that database that clients write to
  tandem lab down                   stop, and remove everything

Exit codes: 0 done, 1 not done, 2 called wrongly, 3 another lab has the prefix."
)]
struct Arguments {
    /// The folder of the lab.
    #[arg(long, global = true, env = "TANDEM_LAB_DIR", default_value = ".lab", value_name = "FOLDER")]
    dir: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start the lab, or join it where it runs already. 启动
    Up(up::UpArgs),
    /// Show places, programs and faults. 状态
    Status {
        /// As JSON.
        #[arg(short, long, value_parser = ["json", "table"], default_value = "table")]
        output: String,
    },
    /// Stop the lab and remove everything that it made. 停止并清除
    Down,
    /// Cut a place off: from everybody, or from one other place. 断网
    Cut {
        /// The place.
        place: String,
        /// The other place.
        peer: Option<String>,
        /// Drop only what goes from PLACE to PEER.
        #[arg(long, requires = "peer")]
        one_way: bool,
    },
    /// Lift every cut. 恢复网络
    Heal,
    /// End a program with SIGKILL; it is started again a second later. 杀进程
    Kill {
        /// Place and program, such as dc-a/kube-apiserver.
        program: String,
        /// Leave it ended, until `start`.
        #[arg(long)]
        stay_down: bool,
        /// Leave what it started running: the PostgreSQL of a Patroni.
        #[arg(long)]
        alone: bool,
    },
    /// Start a program that was to stay down. 启动进程
    Start {
        /// Place and program.
        program: String,
    },
    /// Stop a program with SIGSTOP. 暂停进程
    Pause {
        /// Place and program.
        program: String,
    },
    /// Let a paused program go on. 继续进程
    Resume {
        /// Place and program.
        program: String,
    },
    /// Start a site's operators anew by a wall clock that is wrong; 0 sets it right. 时钟偏差
    Clock {
        /// The site.
        site: String,
        /// By how many seconds, such as 3600 or -3600.
        #[arg(allow_negative_numbers = true)]
        seconds: i64,
    },
    /// End everything in a place at once, as a loss of power does. 断电
    PowerOff {
        /// The place.
        place: String,
    },
    /// Start everything in a place again. 上电
    PowerOn {
        /// The place.
        place: String,
    },
    /// End all members of the arbiter and remove their data: it is lost but for a backup. 丢失仲裁全部成员
    ArbiterLose,
    /// Start all members of the arbiter with the data that `tandem arbiter prepare` has had them made. The sites then fence themselves
    /// until `tandem arbiter restore`. 启动恢复后的仲裁
    ArbiterStart,
    /// Start a place's member of the arbiter without data, as a new member of the running cluster; for `tandem arbiter replace`.
    /// 以空数据重新加入仲裁
    ArbiterRejoin {
        /// The place.
        place: String,
    },
    /// Print the failover group whose data one of the lab's PostgreSQL clusters has. 打印故障切换组
    Group {
        /// The group.
        group: String,
    },
    /// Run a command where a program of the lab runs and as whom, such as psql or patronictl beside a Patroni. 在程序旁执行命令
    Beside {
        /// Place and program, such as dc-a/patroni-ledger-0.
        program: String,
        /// The command and its arguments.
        #[arg(last = true, required = true)]
        command: Vec<String>,
    },
    /// Print where a program's log is, and its last lines. 日志
    Logs {
        /// Place and program.
        program: String,
        /// How many lines.
        #[arg(short, long, default_value_t = 50)]
        lines: usize,
    },
    /// Load a folder with Tandem's programs as an image, as an installation names it, and print its name. 载入镜像
    Image {
        /// The folder, such as target/release.
        folder: PathBuf,
    },
    /// Become a container's program; the lab node does this itself.
    #[command(hide = true)]
    Contain {
        /// The container's file system, as JSON.
        description: String,
        /// The program and its arguments.
        #[arg(last = true, required = true)]
        command: Vec<String>,
    },
    /// Run a lab node; the lab does this itself.
    #[command(hide = true)]
    Node(Box<NodeArgs>),
    /// Run the lab's supervisor; `up` does this itself.
    #[command(hide = true)]
    Supervise(up::UpArgs),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let dir = std::path::absolute(&arguments.dir).unwrap_or(arguments.dir);
    let layout = Layout { dir };
    let result = match arguments.command {
        Command::Node(node) => return run_node(*node),
        Command::Contain { description, command } => match contain::run(&description, &command) {
            Ok(never) => match never {},
            Err(error) => return fail(&error),
        },
        Command::Supervise(given) => {
            log();
            up::supervise(&layout, &given)
        }
        command if !nix::unistd::geteuid().is_root() => {
            drop(command);
            Err(needs_root())
        }
        Command::Up(given) => up::up(&layout, &given),
        Command::Status { output } => print_status(&layout, &output),
        Command::Down => down(&layout),
        Command::Group { group } => print_group(&layout, &group),
        Command::Beside { program, command } => beside(&layout, &program, &command),
        Command::Image { folder } => load(&layout, &folder),
        Command::Logs { program, lines } => logs(&layout, &program, lines),
        command => fault(&layout, command),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(error.as_ref()),
    }
}

type Outcome = Result<(), Box<dyn std::error::Error>>;

/// The exit code that says that another lab has the prefix.
const TAKEN: u8 = 3;

fn fail(error: &(dyn std::error::Error + 'static)) -> ExitCode {
    let taken = error.downcast_ref::<ClaimError>().is_some_and(|error| matches!(error, ClaimError::Taken { .. }));
    eprintln!("error: {error}");
    let mut source = error.source();
    while let Some(cause) = source {
        eprintln!("  because: {cause}");
        source = cause.source();
    }
    if taken { ExitCode::from(TAKEN) } else { ExitCode::FAILURE }
}

/// Said with the whole path: the `PATH` of `sudo` is its own.
fn needs_root() -> Box<dyn std::error::Error> {
    let program = std::env::current_exe().map_or_else(|_| "tandem-lab".to_owned(), |path| path.display().to_string());
    let why = "the lab makes network namespaces and needs root";
    format!("{why}; mend it: run it with sudo: sudo {program} … (需要 root 权限，请使用 sudo)").into()
}

/// Whoever waits for a program asks one that does not answer yet, again and again; that is no error.
const FILTER: &str = "info,kube_client::client::builder=off";

fn log() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(FILTER));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(false).init();
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    // Another part of the process may have chosen the same provider already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()
}

fn run_node(arguments: NodeArgs) -> ExitCode {
    log();
    match runtime()
        .map_err(Into::into)
        .and_then(|runtime| runtime.block_on(node::run(arguments)).map_err(Box::<dyn std::error::Error>::from))
    {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(error.as_ref()),
    }
}

fn fault(layout: &Layout, command: Command) -> Outcome {
    let request = match command {
        Command::Cut { place, peer, one_way } => Request::Cut(Cut { place, peer, one_way }),
        Command::Heal => Request::Heal,
        Command::Kill { program, stay_down, alone } => Request::Kill { program, stay_down, alone },
        Command::Start { program } => Request::Start { program },
        Command::Pause { program } => Request::Pause { program },
        Command::Resume { program } => Request::Resume { program },
        Command::Clock { site, seconds } => Request::Clock { site, seconds },
        Command::PowerOff { place } => Request::PowerOff { place },
        Command::PowerOn { place } => Request::PowerOn { place },
        Command::ArbiterLose => Request::ArbiterLose,
        Command::ArbiterStart => Request::ArbiterStart,
        Command::ArbiterRejoin { place } => Request::ArbiterRejoin { place },
        _ => Request::Status,
    };
    Ok(ask(layout, &request, |_| {})?)
}

fn load(layout: &Layout, folder: &std::path::Path) -> Outcome {
    status_of(layout)?;
    println!("{}", images::load(&layout.images(), folder)?);
    Ok(())
}

/// Asks the running lab how it stands.
fn status_of(layout: &Layout) -> Result<Option<Status>, Box<dyn std::error::Error>> {
    let mut found = None;
    ask(layout, &Request::Status, |reply| {
        if let Reply::Status(status) = reply {
            found = Some(status);
        }
    })?;
    Ok(found)
}

fn print_status(layout: &Layout, output: &str) -> Outcome {
    let Some(found) = status_of(layout)? else { return Err("the lab said nothing of itself".into()) };
    if output == "json" {
        println!("{}", serde_json::to_string_pretty(&found)?);
        return Ok(());
    }
    let (counts, clusters) = match State::read(layout)? {
        Some(State { plan, databases, ports, .. }) => runtime()?.block_on(async {
            // A site without power cannot be asked, which the rest of the status says already.
            let counts = city::count(layout, &plan).await.unwrap_or_default();
            (counts, postgres::clusters(&plan, layout, &databases, &ports).await)
        }),
        None => (Vec::new(), Vec::new()),
    };
    status::print(&found, &counts, &clusters);
    Ok(())
}

fn print_group(layout: &Layout, group: &str) -> Outcome {
    let state = State::read(layout)?.ok_or_else(|| format!("no lab is running in {}", layout.dir.display()))?;
    let manifest = postgres::failover_group(&state.plan, layout, &state.databases, group)?;
    let known = state.databases.groups.join(", ");
    let known = if known.is_empty() { "none; start the lab with --postgres GROUP" } else { &known };
    let manifest = manifest.ok_or_else(|| format!("the lab has no database of a group {group}; it has: {known}"))?;
    print!("{}", serde_yaml::to_string(&manifest)?);
    Ok(())
}

/// Becomes a command in the namespaces of a running program, as its user.
fn beside(layout: &Layout, program: &str, command: &[String]) -> Outcome {
    let state = State::read(layout)?.ok_or_else(|| format!("no lab is running in {}", layout.dir.display()))?;
    let process = state.processes.get(program).filter(|process| process.is_running());
    let process = process.ok_or_else(|| format!("{program} does not run; `tandem lab status` tells what does"))?;
    let owner = std::fs::metadata(format!("/proc/{}", process.pid))?;
    let mut become_it = std::process::Command::new("nsenter");
    become_it.args(["--mount", "--net", "--ipc", "--target", &process.pid.to_string(), "--wd=/", "--", "setpriv"]);
    become_it.args([
        format!("--reuid={}", owner.uid()),
        format!("--regid={}", owner.gid()),
        "--clear-groups".to_owned(),
    ]);
    Err(become_it.arg("--").args(command).env("HOME", "/").exec().into())
}

/// Asks the supervisor to take all down; where there is none any more, does it from what is on disk.
fn down(layout: &Layout) -> Outcome {
    let before = State::read(layout)?;
    let stopped = ask(layout, &Request::Stop, |_| {});
    // One that has answered ends a moment later; one that has not is killed below.
    if stopped.is_ok()
        && let Some(supervisor) = before.and_then(|state| state.supervisor)
    {
        tandem_lab::state::wait_for_end(&[supervisor])?;
    }
    // Also after a good answer: whatever it left is removed here.
    match (State::read(layout)?, stopped) {
        (Some(state), _) => {
            state.take_down(layout)?;
            println!("the lab is down");
        }
        (None, Ok(())) => println!("the lab is down"),
        (None, Err(_)) => println!("no lab was running in {}", layout.dir.display()),
    }
    Ok(())
}

fn logs(layout: &Layout, program: &str, lines: usize) -> Outcome {
    let (place, name) = program.split_once('/').ok_or("name a place and a program, such as dc-a/etcd")?;
    let path = layout.log(place, name);
    let text = std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let all: Vec<&str> = text.lines().collect();
    println!("==> {}", path.display());
    for line in &all[all.len().saturating_sub(lines)..] {
        println!("{line}");
    }
    Ok(())
}
