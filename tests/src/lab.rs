//! A lab for tests: its own names, addresses and folder, gone when it is dropped.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Instant;

/// A running lab.
#[derive(Debug)]
pub struct Lab {
    dir: tempfile::TempDir,
    bin: PathBuf,
}

fn programs() -> PathBuf {
    let target = || {
        let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
        target.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target")).join("release")
    };
    let bin = std::env::var_os("TANDEM_BIN").map_or_else(target, PathBuf::from);
    for program in ["tandem", "tandem-lab", "tandem-operator"] {
        assert!(bin.join(program).exists(), "{} is not there; `make programs` builds it", bin.join(program).display());
    }
    bin
}

impl Lab {
    /// Starts a lab beside whatever else runs on the machine.
    ///
    /// # Panics
    /// When it does not start; its output says why.
    #[must_use]
    pub fn start(name: &str) -> Self {
        let lab = Self { dir: tempfile::tempdir().unwrap(), bin: programs() };
        // Two test runs at once get different names and addresses from their process ids.
        let number = std::process::id() % 90;
        let prefix = format!("t{name}{number}");
        let base = format!("10.{}", 100 + number);
        let started = Instant::now();
        let status = lab.command(&["up", "--prefix", &prefix, "--base", &base]).status().unwrap();
        assert!(status.success(), "the lab did not start");
        println!("lab up in {:.1} s", started.elapsed().as_secs_f64());
        lab
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
        let output = self.command(arguments).output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "tandem lab {}: {text}", arguments.join(" "));
    }

    /// Runs `tandem …` against one site.
    #[must_use]
    pub fn tandem(&self, site: &str, arguments: &[&str]) -> Output {
        let mut command = Command::new(self.bin.join("tandem"));
        command.args(arguments).env("KUBECONFIG", self.dir.path().join(site).join("kubeconfig"));
        command.stdin(Stdio::null()).output().unwrap()
    }

    /// A client for one site, with the rights of the lab's administrator.
    ///
    /// # Panics
    /// When the kubeconfig cannot be used.
    pub async fn client(&self, site: &str) -> kube::Client {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let path = self.dir.path().join(site).join("kubeconfig");
        let kubeconfig = kube::config::Kubeconfig::read_from(path).unwrap();
        let options = kube::config::KubeConfigOptions::default();
        let config = kube::Config::from_custom_kubeconfig(kubeconfig, &options).await.unwrap();
        kube::Client::try_from(config).unwrap()
    }

    /// Copies the lab's folder to where it stays, and says where.
    pub fn keep_logs(&self) {
        let kept = std::env::temp_dir().join(format!("tandem-lab-{}", std::process::id()));
        match Command::new("cp").arg("-r").arg(self.dir.path()).arg(&kept).status() {
            Ok(status) if status.success() => eprintln!("the lab's logs are in {}", kept.display()),
            other => eprintln!("the lab's logs could not be kept: {other:?}"),
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
            other => eprintln!("the lab did not go down: {other:?}"),
        }
    }
}
