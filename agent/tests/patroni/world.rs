//! Two sites on loopback, each an etcd, a Patroni cluster with its agents, and a gate. The files beside this one are the example that
//! docs/postgresql.md shows.

use crate::certs;
use crate::gate::Gate;
use crate::process::{self, BIN, Process, command, output};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use tandem_agent::patroni::service::Answer;
use tandem_agent::tls::HttpsClient;
use tandem_arbiter::hooks::{Call, Order};
use tandem_core::failover::{Role, Token};
use tokio::net::TcpStream;
use tokio::sync::{Mutex, MutexGuard, watch};

pub(crate) const GROUP: &str = "hall";
const PATRONI: &str = include_str!("patroni.yml");
/// How long anything may take on a machine that is busy with other things.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// A port that nobody listens at. It is below those that connections are given (`ip_local_port_range`): one of these may be taken
/// before the database begins to listen.
fn port() -> u16 {
    static TRIED: AtomicU32 = AtomicU32::new(0);
    let tried = std::iter::repeat_with(|| TRIED.fetch_add(1, Ordering::Relaxed));
    let ports = tried.map(|tried| 10_000 + u16::try_from((std::process::id() * 7 + tried) % 20_000).unwrap());
    ports.take(20_000).find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()).unwrap()
}

/// One member: a database, its Patroni and its agent.
pub(crate) struct Member {
    pub(crate) name: String,
    pub(crate) folder: PathBuf,
    pub(crate) port: u16,
    rest: u16,
    agent: u16,
    patroni: Option<Process>,
    agents: Option<Process>,
}

/// One site.
pub(crate) struct Site {
    pub(crate) name: &'static str,
    folder: PathBuf,
    etcd_ports: (u16, u16),
    etcd: Option<Process>,
    pub(crate) gate: Gate,
    pub(crate) members: Vec<Member>,
    /// Where clients find whoever leads.
    pub(crate) entry: u16,
    /// Where the other site does.
    link: u16,
    /// Whether that way is cut.
    pub(crate) cut: watch::Sender<bool>,
}

/// All of it.
pub(crate) struct World {
    client: HttpsClient,
    pub(crate) a: Site,
    pub(crate) b: Site,
    // What runs in it has to be gone first.
    root: tempfile::TempDir,
    // Last: two worlds at once are too much for a small machine, however many threads there are.
    _alone: MutexGuard<'static, ()>,
}

static ALONE: Mutex<()> = Mutex::const_new(());

/// Waits until something is so.
pub(crate) async fn until<T, F: Future<Output = Option<T>>>(what: &str, mut is: impl FnMut() -> F) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = is().await {
            return found;
        }
        assert!(began.elapsed() < PATIENCE, "{what}: not within {} s", PATIENCE.as_secs());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

impl Member {
    pub(crate) fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// Asks the database as its superuser, over its socket.
    pub(crate) fn psql(&self, database: &str, sql: &str) -> Result<String, String> {
        let (port, socket) = (self.port.to_string(), self.folder.join("run"));
        let mut psql = command(format!("{BIN}/psql"));
        psql.arg("-h").arg(socket).args(["-p", &port, "-d", database, "-U", "postgres", "-v", "ON_ERROR_STOP=1"]);
        output(psql.args(["-XAtqc", sql]))
    }

    fn kill(&mut self) {
        self.agents = None;
        self.patroni = None;
        process::kill_database(&self.data());
    }

    pub(crate) fn patroni_log(&self) -> String {
        std::fs::read_to_string(self.folder.join("patroni.log")).unwrap_or_default()
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Site {
    fn new(name: &'static str, root: &Path, members: usize) -> Self {
        let folder = root.join(name);
        process::folder(&folder);
        let member = |number: usize| {
            let folder = folder.join(number.to_string());
            process::folder(&folder);
            process::folder(&folder.join("run"));
            let name = format!("dc-{name}-{GROUP}-{number}");
            Member { name, folder, port: port(), rest: port(), agent: port(), patroni: None, agents: None }
        };
        Self {
            name,
            gate: Gate::start(&root.join("certs")),
            members: (0..members).map(member).collect(),
            etcd_ports: (port(), port()),
            etcd: None,
            entry: port(),
            link: port(),
            cut: watch::Sender::new(false),
            folder,
        }
    }

    fn start_etcd(&mut self, certs: &Path) {
        let (client, peer) = self.etcd_ports;
        let client = format!("https://127.0.0.1:{client}");
        let peer = format!("http://127.0.0.1:{peer}");
        let mut etcd = command("etcd");
        etcd.args(["--name", "one", "--data-dir"]).arg(self.folder.join("etcd"));
        etcd.args(["--listen-client-urls", &client, "--advertise-client-urls", &client]);
        etcd.args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer]);
        etcd.args(["--initial-cluster", &format!("one={peer}"), "--client-cert-auth"]);
        etcd.arg("--trusted-ca-file").arg(certs.join("data-ca.crt"));
        etcd.arg("--cert-file").arg(certs.join("rest.crt")).arg("--key-file").arg(certs.join("rest.key"));
        self.etcd = Some(Process::start(&mut etcd, &self.folder.join("etcd.log")));
    }

    /// The files of a member: what its Patroni and its agent are told. `follows` is the entry of the site that it follows from
    /// the start.
    fn write(&self, root: &Path, member: &Member, other: u16, follows: bool) {
        let certs = root.join("certs");
        let always = [
            "local all postgres peer",
            "hostssl replication replicator all cert",
            "hostssl postgres rewind all cert",
            "hostssl postgres tandem_watch all cert",
        ];
        let open = ["hostssl app ledger all scram-sha-256"];
        let list: String = always.iter().chain(&open).map(|line| format!("        - {line}\n")).collect();
        let standby = format!(
            "    standby_cluster: {{host: 127.0.0.1, port: {other}, primary_slot_name: tandem, create_replica_methods: [basebackup]}}"
        );
        let path = |path: &Path| path.display().to_string();
        let values = BTreeMap::from([
            ("SCOPE", GROUP.to_owned()),
            ("NAME", member.name.clone()),
            ("ADDRESS", "127.0.0.1".to_owned()),
            ("REST_PORT", member.rest.to_string()),
            ("PORT", member.port.to_string()),
            ("CERTS", path(&certs)),
            ("ETCD", format!("127.0.0.1:{}", self.etcd_ports.0)),
            ("HBA", list.trim_end().to_owned()),
            ("STANDBY", if follows { standby } else { String::new() }),
            ("DATA", path(&member.data())),
            ("FOLDER", path(&member.folder)),
            ("SOCKETS", path(&member.folder.join("run"))),
            ("BIN", BIN.to_owned()),
            ("AGENT", path(&root.join("tandem-agent"))),
            ("GROUP", GROUP.to_owned()),
            ("GATES", format!("--gate {}", self.gate.url)),
        ]);
        let text =
            values.iter().fold(PATRONI.to_owned(), |text, (name, value)| text.replace(&format!("@{name}@"), value));
        std::fs::write(member.folder.join("patroni.yml"), text).unwrap();
        let tls = |ca: &str, name: &str| {
            let file = |name: String| path(&certs.join(name));
            json!({"caFile": file(format!("{ca}.crt")), "certFile": file(format!("{name}.crt")), "keyFile": file(format!("{name}.key"))})
        };
        let agent = json!({
            "folder": member.folder.join("agent"),
            "listen": format!("127.0.0.1:{}", member.agent),
            "tls": tls("data-ca", "rest"),
            "patroni": {"url": format!("https://127.0.0.1:{}", member.rest), "name": member.name, "tls": tls("data-ca", "rest")},
            "postgresql": {
                "socketFolder": member.folder.join("run"), "port": member.port, "user": "postgres", "database": "app",
                "dataFolder": member.data(), "binFolder": BIN,
            },
            "access": {"always": always, "open": open},
            "standby": {"host": "127.0.0.1", "port": other, "primarySlotName": "tandem"},
            "watch": {"user": "tandem_watch", "tls": tls("replication-ca", "tandem_watch")},
            "protect": ["ledger"],
            "stageFaults": true,
        });
        // JSON is YAML.
        std::fs::write(member.folder.join("agent.yaml"), agent.to_string()).unwrap();
    }

    fn start_patroni(&mut self, at: usize) {
        let member = &mut self.members[at];
        let mut patroni = command("patroni");
        patroni.arg(member.folder.join("patroni.yml"));
        member.patroni = Some(Process::start(&mut patroni, &member.folder.join("patroni.log")));
    }

    fn start_agent(&mut self, root: &Path, at: usize) {
        let gate = self.gate.url.clone();
        let member = &mut self.members[at];
        let mut agent = command(root.join("tandem-agent"));
        agent.args(["--group", GROUP, "--gate", &gate, "--log-levels", "info,tandem_agent=debug"]);
        agent.arg("--ca-file").arg(root.join("certs/gates-ca.crt"));
        agent.arg("--gate-file").arg(member.folder.join("gate.json"));
        agent.arg("--socket").arg(member.folder.join("agent.sock"));
        agent.arg("--patroni").arg(member.folder.join("agent.yaml"));
        member.agents = Some(Process::start(&mut agent, &member.folder.join("agent.log")));
    }

    /// As a loss of power: all at once, the gate files with it.
    pub(crate) fn power_off(&mut self) {
        self.gate.say(false, false, Token::default());
        self.etcd = None;
        for member in &mut self.members {
            member.kill();
            let _ = std::fs::remove_file(member.folder.join("gate.json"));
            let _ = std::fs::remove_file(member.folder.join("run").join(format!(".s.PGSQL.{}.tandem", member.port)));
        }
    }
}

impl World {
    /// Starts both: site a takes writes with so many members, site b follows with one. The database has the table of the ledger.
    pub(crate) async fn start(members: usize) -> Self {
        let alone = ALONE.lock().await;
        let root = tempfile::Builder::new().prefix("tandem-pg").tempdir().unwrap();
        process::folder(root.path());
        let certs = root.path().join("certs");
        process::folder(&certs);
        certs::write(&certs);
        for file in std::fs::read_dir(&certs).unwrap() {
            process::give(&file.unwrap().path());
        }
        let agent = root.path().join("tandem-agent");
        std::fs::copy(env!("CARGO_BIN_EXE_tandem-agent"), &agent).unwrap();
        let shown = (certs.join("rest.crt"), certs.join("rest.key"));
        let client = HttpsClient::new(
            &certs.join("data-ca.crt"),
            Some((shown.0.as_path(), shown.1.as_path())),
            Duration::from_secs(5),
        )
        .unwrap();
        let a = Site::new("a", root.path(), members);
        let b = Site::new("b", root.path(), 1);
        let mut world = Self { root, client, a, b, _alone: alone };
        world.a.gate.say(true, true, Token { generation: 1, epoch: 1, execution: 0, step: 0 });
        let (to_a, to_b) = (world.a.link, world.b.link);
        for member in &world.a.members {
            world.a.write(world.root.path(), member, to_b, false);
        }
        world.b.write(world.root.path(), &world.b.members[0], to_a, true);
        for site in [&world.a, &world.b] {
            let rest = |member: &Member| format!("https://127.0.0.1:{}/leader", member.rest);
            let leaders: Vec<_> = site.members.iter().map(|member| (rest(member), member.port)).collect();
            entry(site.entry, world.client.clone(), leaders.clone(), watch::Sender::new(false).subscribe()).await;
            entry(site.link, world.client.clone(), leaders, site.cut.subscribe()).await;
        }
        world.a.start_etcd(&certs);
        world.b.start_etcd(&certs);
        world.a.start_patroni(0);
        let first = &world.a.members[0];
        let made = "CREATE ROLE tandem_watch LOGIN; CREATE ROLE ledger_owner NOLOGIN; CREATE ROLE ledger LOGIN PASSWORD 'throw-away'";
        // It is started a second time on the way.
        until("the first member's database", || async {
            (first.patroni_log().contains("initialized a new cluster")).then_some(())
        })
        .await;
        first.psql("postgres", made).unwrap();
        first.psql("postgres", "CREATE DATABASE app").unwrap();
        first
            .psql(
                "app",
                "CREATE SCHEMA ledger AUTHORIZATION ledger_owner; GRANT USAGE ON SCHEMA ledger TO ledger;
                 CREATE TABLE ledger.entries (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, number bigint NOT NULL UNIQUE);
                 ALTER TABLE ledger.entries OWNER TO ledger_owner; GRANT SELECT, INSERT ON ledger.entries TO ledger",
            )
            .unwrap();
        for at in 0..members {
            if at > 0 {
                world.a.start_patroni(at);
            }
            world.a.start_agent(world.root.path(), at);
        }
        world.b.start_patroni(0);
        world.b.start_agent(world.root.path(), 0);
        world.protected().await;
        world
    }

    pub(crate) fn certs(&self) -> PathBuf {
        self.root.path().join("certs")
    }

    /// Site a comes back alone: nothing tells it to do anything.
    pub(crate) async fn power_on_a(&mut self) {
        let certs = self.certs();
        self.a.start_etcd(&certs);
        for at in 0..self.a.members.len() {
            self.a.start_patroni(at);
            self.a.start_agent(self.root.path(), at);
        }
    }

    /// Asks one agent.
    async fn ask(&self, member: &Member, call: Option<(Call, &Value)>) -> Option<(u16, Value)> {
        let at = format!("https://127.0.0.1:{}/v1", member.agent);
        let answered = match call {
            None => self.client.get(&format!("{at}/state")).await,
            Some((call, body)) => self.client.send(http::Method::POST, &format!("{at}/{}", call.name()), body).await,
        };
        let (status, _, body) = answered.ok()?;
        Some((status, serde_json::from_slice(&body).unwrap_or_default()))
    }

    /// The answer of the member that speaks for its site.
    pub(crate) async fn state(&self, site: &Site) -> Option<Answer> {
        for member in &site.members {
            if let Some((200, body)) = self.ask(member, None).await {
                let answer: Answer = serde_json::from_value(body).unwrap();
                if answer.leader {
                    return Some(answer);
                }
            }
        }
        None
    }

    /// Waits until a site is something.
    pub(crate) async fn becomes(&self, site: &Site, role: Role) -> Answer {
        let what = format!("site {} becomes {role:?}", site.name);
        until(&what, || async { self.state(site).await.filter(|answer| answer.state.role == role) }).await
    }

    /// Waits until one site takes writes and the other has everything.
    pub(crate) async fn protected(&self) {
        let (active, standby) = if self.a.gate.is_active() { (&self.a, &self.b) } else { (&self.b, &self.a) };
        self.becomes(active, Role::Active).await;
        until("the standby follows", || async {
            let state = self.state(standby).await?.state;
            let lag = state.lag_millis?.saturating_add(state.lag_age_millis);
            (state.role == Role::Standby && lag < 2_000).then_some(())
        })
        .await;
    }

    /// As an operator's provider does it: every agent of the site is asked at once, again and again under the same token, until
    /// the one that speaks says that it is done.
    pub(crate) async fn call(&self, site: &Site, call: Call, token: Token) -> Result<Answer, (u16, Value)> {
        let body = json!(Order { group: GROUP.to_owned(), token, temporary: false });
        let began = Instant::now();
        loop {
            for member in &site.members {
                match self.ask(member, Some((call, &body))).await {
                    Some((200, answer)) => {
                        let answer: Answer = serde_json::from_value(answer).unwrap();
                        if answer.leader {
                            println!("{}: {} took {} ms", site.name, call.name(), began.elapsed().as_millis());
                            return Ok(answer);
                        }
                    }
                    None | Some((202 | 503, _)) => {}
                    Some((status, answer)) => return Err((status, answer)),
                }
            }
            assert!(began.elapsed() < PATIENCE, "{}: {} is not carried out", site.name, call.name());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Leadership moves inside site a, as Patroni does it for whoever asks.
    pub(crate) async fn switch_inside_a(&self, from: usize, to: usize) {
        let (from, to) = (&self.a.members[from], &self.a.members[to]);
        let body = json!({"leader": from.name, "candidate": to.name});
        let url = format!("https://127.0.0.1:{}/switchover", from.rest);
        until("the replica can lead", || async {
            let (status, ..) = self.client.send(http::Method::POST, &url, &body).await.ok()?;
            (status == 200).then_some(())
        })
        .await;
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("the logs stay in {}", self.root.path().display());
            self.root.disable_cleanup(true);
        }
    }
}

/// Forwards to whoever leads, as the site's balancer before the database does.
async fn entry(port: u16, client: HttpsClient, leaders: Vec<(String, u16)>, cut: watch::Receiver<bool>) {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    tokio::spawn(async move {
        loop {
            let Ok((mut inbound, _)) = listener.accept().await else { continue };
            let (client, leaders, mut cut) = (client.clone(), leaders.clone(), cut.clone());
            if *cut.borrow_and_update() {
                continue;
            }
            tokio::spawn(async move {
                for (url, port) in leaders {
                    if matches!(client.get(&url).await, Ok((200, ..)))
                        && let Ok(mut outbound) = TcpStream::connect(("127.0.0.1", port)).await
                    {
                        tokio::select! {
                            _ = tokio::io::copy_bidirectional(&mut inbound, &mut outbound) => {}
                            Ok(_) = cut.wait_for(|cut| *cut) => {}
                        }
                        return;
                    }
                }
            });
        }
    });
}
