//! A lab for tests: its own names, addresses and folder, gone when it is dropped.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;
use tandem_arbiter::store::{EtcdConfig, EtcdStore};

/// What `tandem lab up` exits with when another lab has the prefix.
const TAKEN: i32 = 3;
/// How many prefixes there are for labs of tests.
const PREFIXES: u32 = 100;

/// A running lab.
#[derive(Debug)]
pub struct Lab {
    dir: tempfile::TempDir,
    bin: PathBuf,
    keep: AtomicBool,
}

fn programs() -> PathBuf {
    let target = || {
        let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
        target.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target")).join("release")
    };
    let bin = std::env::var_os("TANDEM_BIN").map_or_else(target, PathBuf::from);
    let needed =
        ["tandem", "tandem-lab", "tandem-operator", "tandem-agent", "tandem-hook", "tandem-api", "tandem-issuer"];
    for program in needed {
        assert!(bin.join(program).exists(), "{} is not there; `make programs` builds it", bin.join(program).display());
    }
    bin
}

impl Lab {
    /// Starts a lab beside whatever else runs on the machine. It does not outlive this process.
    ///
    /// # Panics
    /// When it does not start; its output says why, and its logs are kept.
    #[must_use]
    pub fn start(name: &str) -> Self {
        Self::start_with(name, &[])
    }

    /// Starts a lab with more arguments for `up`.
    ///
    /// # Panics
    /// When it does not start; its output says why, and its logs are kept.
    #[must_use]
    pub fn start_with(name: &str, more: &[&str]) -> Self {
        let dir = tempfile::Builder::new().prefix(&format!("tandem-{name}-")).tempdir().unwrap();
        let lab = Self { dir, bin: programs(), keep: AtomicBool::new(false) };
        // Runs that start at the same time begin to look at different numbers.
        let first = std::process::id();
        for number in (0..PREFIXES).map(|next| (first + next) % PREFIXES) {
            let started = Instant::now();
            let status = lab.up(number, more);
            if status.success() {
                println!("lab up in {:.1} s", started.elapsed().as_secs_f64());
                return lab;
            }
            if status.code() != Some(TAKEN) {
                lab.keep_logs();
                panic!("the lab did not start ({status}); its output is above");
            }
        }
        panic!("other labs have all {PREFIXES} prefixes");
    }

    /// Starts it with one of the prefixes and address ranges that are for tests.
    fn up(&self, number: u32, more: &[&str]) -> ExitStatus {
        let (prefix, base, own) =
            (format!("t{number}"), format!("10.{}", 100 + number), std::process::id().to_string());
        let mut arguments = vec!["up", "--prefix", &prefix, "--base", &base, "--until-pid", &own];
        arguments.extend(more);
        self.command(&arguments).status().unwrap()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.bin.join("tandem-lab"));
        command.args(arguments).arg("--dir").arg(self.dir.path()).stdin(Stdio::null());
        command
    }

    /// Runs `tandem lab …` on this lab.
    ///
    /// # Panics
    /// When it fails.
    pub fn run(&self, arguments: &[&str]) {
        let _ = self.output(arguments);
    }

    /// Runs `tandem lab …` on this lab, and gives back what it printed.
    ///
    /// # Panics
    /// When it fails.
    #[must_use]
    pub fn output(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments).output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "tandem lab {}: {text}", arguments.join(" "));
        String::from_utf8(output.stdout).unwrap()
    }

    /// The folder of the programs that run in it.
    #[must_use]
    pub fn programs(&self) -> &Path {
        &self.bin
    }

    /// The arbiter's members as a site reaches them, its own first.
    ///
    /// # Panics
    /// When the lab's files cannot be read.
    #[must_use]
    pub fn arbiter_addresses(&self, site: &str) -> Vec<String> {
        self.plan().arbiter_endpoints_from(&self.plan().place(site).unwrap())
    }

    /// The name of a place's network namespace.
    ///
    /// # Panics
    /// When the lab's files cannot be read.
    #[must_use]
    pub fn network(&self, place: &str) -> String {
        self.plan().namespace(place)
    }

    fn plan(&self) -> tandem_lab::plan::Plan {
        serde_json::from_value(self.state()["plan"].take()).unwrap()
    }

    /// Runs `tandem …` against one site.
    #[must_use]
    pub fn tandem(&self, site: &str, arguments: &[&str]) -> Output {
        let mut command = Command::new(self.bin.join("tandem"));
        command.args(arguments).env("KUBECONFIG", self.dir.path().join(site).join("kubeconfig"));
        command.stdin(Stdio::null()).output().unwrap()
    }

    /// Runs `tandem …` as a person of the lab, against the API of one site.
    ///
    /// # Panics
    /// When the lab has no API there.
    #[must_use]
    pub fn tandem_as(&self, person: &str, site: &str, arguments: &[&str]) -> Output {
        let people = self.dir.path().join("people");
        let port = self.port(&format!("{site}/api"));
        let mut command = Command::new(self.bin.join("tandem"));
        command.args(arguments).env("TANDEM_API", format!("https://127.0.0.1:{port}"));
        command.env("TANDEM_API_CA", people.join("api-ca.crt"));
        command.env("TANDEM_CERT", people.join(format!("{person}.crt")));
        command.env("TANDEM_KEY", people.join(format!("{person}.key")));
        command.stdin(Stdio::null()).output().unwrap()
    }

    /// A client for one site, with the rights of the lab's administrator.
    ///
    /// # Panics
    /// When the kubeconfig cannot be used.
    pub async fn client(&self, site: &str) -> kube::Client {
        kube::Client::try_from(self.config(site).await).unwrap()
    }

    /// A client for one site with the certificate of one of the lab's programs, such as `user-api`.
    ///
    /// # Panics
    /// When the kubeconfig or the certificate cannot be used.
    pub async fn client_as(&self, site: &str, certificate: &str) -> kube::Client {
        let mut config = self.config(site).await;
        let file = |kind: &str| self.dir.path().join(site).join("pki").join(format!("{certificate}.{kind}"));
        config.auth_info = kube::config::AuthInfo {
            client_certificate: Some(file("crt").display().to_string()),
            client_key: Some(file("key").display().to_string()),
            ..kube::config::AuthInfo::default()
        };
        kube::Client::try_from(config).unwrap()
    }

    async fn config(&self, site: &str) -> kube::Config {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let path = self.dir.path().join(site).join("kubeconfig");
        let kubeconfig = kube::config::Kubeconfig::read_from(path).unwrap();
        let options = kube::config::KubeConfigOptions::default();
        kube::Config::from_custom_kubeconfig(kubeconfig, &options).await.unwrap()
    }

    /// The arbiter's records, by its members' loopback ports, with the rights of whoever set it up: to look at.
    ///
    /// # Panics
    /// When the lab's files cannot be read.
    pub async fn arbiter(&self) -> EtcdStore {
        self.arbiter_as("witness", "arbiter-root").await
    }

    /// The same with the rights of one of the certificates in a place, such as `arbiter-api`.
    ///
    /// # Panics
    /// When the lab's files cannot be read.
    pub async fn arbiter_as(&self, place: &str, certificate: &str) -> EtcdStore {
        let ports = self.state()["ports"].take();
        let endpoints =
            ["witness", "dc-b", "dc-a"].map(|place| format!("https://127.0.0.1:{}", ports[format!("{place}/arbiter")]));
        let file = |name: &str| std::fs::read(self.dir.path().join(place).join("pki").join(name)).unwrap();
        let (cert, key) = (file(&format!("{certificate}.crt")), file(&format!("{certificate}.key")));
        EtcdStore::new(EtcdConfig::new(endpoints.to_vec(), file("arbiter-ca.crt"), cert, key)).await.unwrap()
    }

    /// A client for the gate of one operator replica. A replica that does not answer at once counts as silent.
    ///
    /// # Panics
    /// When the lab's files cannot be read.
    pub async fn gate(&self, site: &str, replica: u8) -> kube::Client {
        let port = self.port(&format!("{site}/operator-{replica}"));
        let mut config = self.config(site).await;
        config.cluster_url = format!("https://127.0.0.1:{port}").parse().unwrap();
        config.tls_server_name = Some("localhost".to_owned());
        // A 503 is an answer here.
        config.default_retry = false;
        for limit in [&mut config.connect_timeout, &mut config.read_timeout, &mut config.write_timeout] {
            *limit = Some(std::time::Duration::from_millis(400));
        }
        kube::Client::try_from(config).unwrap()
    }

    /// The loopback port by which a program such as `dc-a/operator-0` is reached.
    ///
    /// # Panics
    /// When the lab has no such program.
    #[must_use]
    pub fn port(&self, program: &str) -> u64 {
        let ports = self.state()["ports"].take();
        ports[program].as_u64().unwrap_or_else(|| panic!("{program} is not among {ports}"))
    }

    /// What is on disk of the lab.
    pub(crate) fn state(&self) -> serde_json::Value {
        serde_json::from_slice(&std::fs::read(self.dir.path().join("state.json")).unwrap()).unwrap()
    }

    /// Has the lab's logs stay where they are when it goes down, and says where. Keys and data go all the same.
    pub fn keep_logs(&self) {
        if !self.keep.swap(true, Ordering::Relaxed) {
            eprintln!("the lab's logs stay in {}", self.dir.path().display());
        }
    }

    /// The folder of the lab.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        match self.command(&["down"]).output() {
            Ok(output) if output.status.success() => {}
            other => {
                eprintln!("the lab did not go down: {other:?}");
                self.keep_logs();
            }
        }
        self.dir.disable_cleanup(self.keep.load(Ordering::Relaxed));
    }
}
