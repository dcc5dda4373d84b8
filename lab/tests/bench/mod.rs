//! A lab for a test: names, addresses and folder of its own, and ways to look at it from outside.

use nix::sched::{CloneFlags, setns};
use serde_json::Value;
use std::ffi::OsStr;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpStream, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use tandem_lab::claim;
use tandem_lab::layout::Layout;
use tandem_lab::plan::Plan;
use tandem_lab::state::State;

/// The program under test.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_tandem-lab");
/// How long anything may take that is waited for.
pub(crate) const DEADLINE: Duration = Duration::from_secs(90);
const LOOK: Duration = Duration::from_millis(100);

/// Waits until `look` gives a value.
pub(crate) fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(value) = look() {
            return value;
        }
        assert!(started.elapsed() < DEADLINE, "waited {DEADLINE:?} in vain for {what}");
        std::thread::sleep(LOOK);
    }
}

/// What a command said, once it is known whether it was to succeed.
pub(crate) struct Said(Output);

impl Said {
    fn all(&self) -> String {
        format!("{}{}", String::from_utf8_lossy(&self.0.stdout), String::from_utf8_lossy(&self.0.stderr))
    }

    /// It succeeded.
    #[track_caller]
    pub(crate) fn success(self) -> String {
        assert!(self.0.status.success(), "{}", self.all());
        self.all()
    }

    /// With which code it ended.
    pub(crate) fn code(&self) -> Option<i32> {
        self.0.status.code()
    }

    /// It failed, and said why.
    #[track_caller]
    pub(crate) fn failure(self) -> String {
        assert!(!self.0.status.success(), "{}", self.all());
        self.all()
    }
}

/// A lab of a test's own. What is left of it when the test ends, it ends.
pub(crate) struct Bench {
    dir: tempfile::TempDir,
    prefix: String,
    base: String,
    /// Names and addresses.
    pub(crate) plan: Plan,
}

impl Bench {
    /// Nothing is started yet.
    pub(crate) fn new(name: &str) -> Self {
        assert!(nix::unistd::geteuid().is_root(), "these tests make network namespaces: run them as root");
        let dir = tempfile::Builder::new().prefix(&format!("tandem-{name}-")).tempdir().unwrap();
        // Taken now, so that no other run has it either; begun at different numbers, so that few meet.
        let first = std::process::id();
        let free = (0..100).map(|next| (first + next) % 100).find_map(|number| {
            let (prefix, base) = (format!("t{number}"), format!("10.{}", 100 + number));
            let plan = Plan::new(&prefix, &base, "dc-a,dc-b").unwrap();
            claim::take(&plan, &Layout { dir: dir.path().to_owned() }).is_ok().then_some((prefix, base, plan))
        });
        let (prefix, base, plan) = free.expect("one prefix of a hundred is free");
        Self { dir, prefix, base, plan }
    }

    /// The lab's folder.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// What this lab is started with. It does not outlive the test run, whatever becomes of that.
    pub(crate) fn up_arguments(&self) -> Vec<String> {
        self.up_arguments_until(std::process::id())
    }

    fn up_arguments_until(&self, pid: u32) -> Vec<String> {
        let pid = pid.to_string();
        let all = ["up", "--no-operators", "--prefix", &self.prefix, "--base", &self.base, "--until-pid", &pid];
        all.map(str::to_owned).to_vec()
    }

    /// Starts it.
    pub(crate) fn up(&self) -> Said {
        let started = Instant::now();
        let said = self.run(&self.up_arguments());
        println!("up: {:.1} s", started.elapsed().as_secs_f64());
        said
    }

    /// Starts it, and does not wait.
    pub(crate) fn spawn_up(&self) -> Child {
        self.spawn_up_until(std::process::id())
    }

    /// Starts it for as long as a process runs, and does not wait.
    pub(crate) fn spawn_up_until(&self, pid: u32) -> Child {
        let mut command = self.command(self.dir(), &self.up_arguments_until(pid));
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    /// `tandem-lab` on a folder; the folder is named first, since what follows `--` is somebody else's.
    fn command(&self, dir: &Path, arguments: &[impl AsRef<OsStr>]) -> Command {
        let mut command = Command::new(PROGRAM);
        command.arg("--dir").arg(dir).args(arguments).stdin(Stdio::null());
        command
    }

    /// Runs `tandem-lab` on this lab.
    pub(crate) fn run(&self, arguments: &[impl AsRef<OsStr>]) -> Said {
        self.run_in(self.dir(), arguments)
    }

    /// Runs `tandem-lab` on another folder.
    pub(crate) fn run_in(&self, dir: &Path, arguments: &[impl AsRef<OsStr>]) -> Said {
        Said(self.command(dir, arguments).output().unwrap())
    }

    /// What is on disk of it.
    pub(crate) fn try_state(&self) -> Option<State> {
        State::read(&Layout { dir: self.dir().to_owned() }).unwrap()
    }

    /// What is on disk of a lab that is there.
    pub(crate) fn state(&self) -> State {
        self.try_state().unwrap()
    }

    /// What `status -o json` says.
    pub(crate) fn status(&self) -> Value {
        let output = self.command(self.dir(), &["status", "-o", "json"]).output().unwrap();
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// One program of it.
    pub(crate) fn program(&self, place: &str, name: &str) -> Value {
        let status = self.status();
        let programs = status["programs"].as_array().unwrap();
        programs.iter().find(|program| program["place"] == place && program["program"] == name).unwrap().clone()
    }

    /// What a database says to its own superuser.
    pub(crate) fn sql(&self, site: &str, member: &str, sql: &str) -> Result<String, String> {
        let sockets = self.plan.place(site).unwrap().memory().join(member).display().to_string();
        let program = format!("{site}/patroni-{member}");
        let psql = psql();
        let command = ["beside", &program, "--", &psql, "-XAt", "-h", &sockets, "-U", "postgres", "-c", sql, "app"];
        told(&mut self.command(self.dir(), &command))
    }

    /// What a database says to its application, which comes in by the site's entry.
    pub(crate) fn sql_as_application(&self, site: &str, group: &str, sql: &str) -> Result<String, String> {
        let port = self.state().ports[&format!("{site}/database-{group}")];
        let of_site = |file: &str| self.dir().join(site).join(file);
        let authority = of_site("pki/data-ca.crt").display().to_string();
        let to =
            format!("host=127.0.0.1 port={port} dbname=app user=ledger sslmode=verify-full sslrootcert={authority}");
        let password = std::fs::read_to_string(of_site(&format!("postgres/{group}.password"))).unwrap();
        told(Command::new(psql()).args(["-XAt", "-c", sql, &to]).env("PGPASSWORD", password))
    }

    /// Whether a site's API server is ready, asked with a certificate or without.
    pub(crate) fn readyz(&self, site: &str, known: bool) -> Result<String, String> {
        self.ask(site, "/readyz", known)
    }

    /// What a site's API server answers to its administrator.
    pub(crate) fn get(&self, site: &str, path: &str) -> Result<String, String> {
        self.ask(site, path, true)
    }

    fn ask(&self, site: &str, path: &str, known: bool) -> Result<String, String> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let kubeconfig = self.dir().join(site).join("kubeconfig");
        let mut read = kube::config::Kubeconfig::read_from(kubeconfig).unwrap();
        if !known {
            for user in &mut read.auth_infos {
                user.auth_info = Some(kube::config::AuthInfo::default());
            }
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let config = kube::Config::from_custom_kubeconfig(read, &Default::default()).await.unwrap();
            let client = kube::Client::try_from(config).unwrap();
            let request = http::Request::get(path).body(Vec::new()).unwrap();
            let answer = tokio::time::timeout(Duration::from_secs(5), client.request_text(request)).await;
            answer.map_err(|_| "no answer".to_owned())?.map_err(|error| format!("{error:?}"))
        })
    }

    /// Nothing of it is left on the machine.
    #[track_caller]
    pub(crate) fn is_gone(&self) {
        let dir = self.dir().display().to_string();
        for namespace in self.plan.namespaces() {
            assert!(!Path::new("/run/netns").join(&namespace).exists(), "{namespace} is left");
        }
        let mounts = std::fs::read_to_string("/proc/mounts").unwrap();
        let left: Vec<&str> =
            mounts.lines().filter(|line| line.contains(&format!("{}-", self.prefix)) || line.contains(&dir)).collect();
        assert!(left.is_empty(), "mounts are left: {left:?}");
        let left = commands_that_name(&dir);
        assert!(left.is_empty(), "processes are left: {left:?}");
        for name in
            ["control.sock", "state.json", "kubeconfig", "env", "dc-a/kubeconfig", "dc-b/etcd", "witness/arbiter"]
        {
            assert!(!self.dir().join(name).exists(), "{name} is left");
        }
        for place in self.plan.places() {
            assert!(!self.dir().join(&place.name).join("pki").exists(), "keys are left");
            assert!(!place.program_copies().exists() && !place.memory().exists());
            assert!(!place.shown().iter().any(|folder| folder.exists()));
        }
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.dir().join("supervisor.log")).unwrap_or_default();
            eprintln!("the supervisor's log ends with:\n{}", log.lines().rev().take(30).collect::<Vec<_>>().join("\n"));
        }
        if self.dir().join("lock").exists() {
            // It may be down already.
            let _ = self.command(self.dir(), &["down"]).output();
        }
        // As may be the claim.
        let _ = claim::give_back(&self.plan, &Layout { dir: self.dir().to_owned() });
    }
}

fn psql() -> String {
    tandem_lab::programs::find_postgres().unwrap().bin.join("psql").display().to_string()
}

/// What a command printed, or what it complained of.
fn told(command: &mut Command) -> Result<String, String> {
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

/// The commands that run on this machine with `text` in their arguments.
fn commands_that_name(text: &str) -> Vec<String> {
    let pids = std::fs::read_dir("/proc").unwrap().filter_map(|entry| entry.unwrap().file_name().into_string().ok());
    let numbers = pids.filter(|name| name.chars().all(|c| c.is_ascii_digit()));
    let commands = numbers.filter_map(|pid| std::fs::read(format!("/proc/{pid}/cmdline")).ok());
    let commands = commands.map(|line| String::from_utf8_lossy(&line).replace('\0', " "));
    commands.filter(|command| command.contains(text)).collect()
}

/// Does something inside a network namespace: on a thread that enters it, and whose sockets belong there.
fn inside<T: Send>(namespace: &str, act: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let entered = scope.spawn(|| {
            let file = std::fs::File::open(format!("/run/netns/{namespace}")).unwrap();
            setns(file, CloneFlags::CLONE_NEWNET).unwrap();
            act()
        });
        entered.join().unwrap()
    })
}

/// The processes in a network namespace.
pub(crate) fn processes(namespace: &str) -> Vec<i32> {
    tandem_lab::network::processes(namespace).unwrap()
}

/// The TCP ports that are listened on in a network namespace.
pub(crate) fn listeners(namespace: &str) -> Vec<(Ipv4Addr, u16)> {
    const LISTENS: &str = "0A";
    // Go's wildcard listeners are in the second file, which is not there where the kernel has no IPv6.
    let read = |file: &str| std::fs::read_to_string(format!("/proc/thread-self/net/{file}"));
    let text = inside(namespace, || read("tcp").unwrap() + &read("tcp6").unwrap_or_default());
    let mut found = Vec::new();
    for line in text.lines() {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (Some(local), Some(&LISTENS)) = (fields.get(1), fields.get(3)) else { continue };
        let (address, port) = local.split_once(':').unwrap();
        let port = u16::from_str_radix(port, 16).unwrap();
        let address = match address.len() {
            8 => Ipv4Addr::from(u32::from_str_radix(address, 16).unwrap().swap_bytes()),
            _ => Ipv4Addr::LOCALHOST,
        };
        found.push((if address.is_unspecified() { Ipv4Addr::LOCALHOST } else { address }, port));
    }
    found
}

/// What a port answers to a request in plain text, unless it refuses to talk so.
pub(crate) fn speaks_plaintext(namespace: &str, address: Ipv4Addr, port: u16) -> Option<String> {
    const REQUEST: &[u8] = b"GET /metrics HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n\r\n";
    let answer = inside(namespace, || {
        let mut stream = TcpStream::connect((address, port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(3))).unwrap();
        stream.write_all(REQUEST).unwrap();
        let mut answer = Vec::new();
        // A server that hangs up or stays silent has not spoken plain text either.
        let _ = stream.take(300).read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    });
    // Go's TLS servers tell a client that speaks HTTP to speak HTTPS; others hang up, or send a TLS alert.
    let refused = answer.is_empty()
        || answer.starts_with('\u{15}')
        || answer.contains("400 Bad Request") && answer.contains("Client sent an HTTP request to an HTTPS server");
    (!refused).then_some(answer)
}

/// Whether a TCP connection can be made from a network namespace.
pub(crate) fn connects(namespace: &str, address: Ipv4Addr, port: u16) -> bool {
    let patience = Duration::from_millis(700);
    inside(namespace, || TcpStream::connect_timeout(&SocketAddrV4::new(address, port).into(), patience).is_ok())
}

/// Whether a packet from one address arrives at another.
pub(crate) fn arrives(from: (&str, Ipv4Addr), to: (&str, Ipv4Addr)) -> bool {
    let bound = |(namespace, address): (&str, Ipv4Addr)| inside(namespace, || UdpSocket::bind((address, 0)).unwrap());
    let (sender, receiver) = (bound(from), bound(to));
    receiver.set_read_timeout(Some(Duration::from_millis(700))).unwrap();
    // A cut at the sender's side may be an error there.
    let _ = sender.send_to(b"here", receiver.local_addr().unwrap());
    receiver.recv(&mut [0; 8]).is_ok()
}

/// The host's addresses, routes and links.
pub(crate) struct HostNetwork(Vec<String>);

impl HostNetwork {
    /// As they are.
    pub(crate) fn now() -> Self {
        let ip = |arguments: &[&str]| {
            let output = Command::new("ip").args(arguments).output().unwrap();
            String::from_utf8_lossy(&output.stdout).into_owned()
        };
        Self(vec![
            ip(&["-brief", "address"]),
            ip(&["-brief", "link"]),
            ip(&["route", "show", "table", "all"]),
            ip(&["rule"]),
        ])
    }

    /// They are as they were.
    #[track_caller]
    pub(crate) fn is_unchanged(&self) {
        assert_eq!(Self::now().0, self.0, "the host's network has changed");
    }
}
