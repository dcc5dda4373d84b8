//! Programs that run as the OS user `postgres`, and are gone with whoever started them.

use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Debian's place for PostgreSQL's programs.
pub(crate) const BIN: &str = "/usr/lib/postgresql/15/bin";

/// The user that databases run as: PostgreSQL does not start as root, and `peer` takes this name alone.
pub(crate) fn user() -> (u32, u32) {
    let users = std::fs::read_to_string("/etc/passwd").unwrap();
    let line = users.lines().find(|line| line.starts_with("postgres:"));
    let mut fields = line.expect("no OS user postgres: apt-get install postgresql-15").split(':').skip(2);
    let mut number = || fields.next().unwrap().parse().unwrap();
    (number(), number())
}

/// A command as that user.
pub(crate) fn command(program: impl AsRef<OsStr>) -> Command {
    let (uid, gid) = user();
    let mut command = Command::new(program);
    command.uid(uid).gid(gid).current_dir("/").stdin(Stdio::null()).env("LC_ALL", "C").env_remove("HOME");
    command
}

/// Makes a folder of that user's.
pub(crate) fn folder(path: &Path) {
    let (uid, gid) = user();
    std::fs::create_dir_all(path).unwrap();
    std::os::unix::fs::chown(path, Some(uid), Some(gid)).expect("run as root, or as the OS user postgres");
}

/// A file's owner becomes that user.
pub(crate) fn give(path: &Path) {
    let (uid, gid) = user();
    std::os::unix::fs::chown(path, Some(uid), Some(gid)).unwrap();
}

/// Runs a program to its end, and gives back what it wrote.
pub(crate) fn output(command: &mut Command) -> Result<String, String> {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}: apt-get install it"));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

/// A program that runs, in a process group of its own.
pub(crate) struct Process(Child);

impl Process {
    /// Starts it; what it writes goes into a file.
    pub(crate) fn start(command: &mut Command, log: &Path) -> Self {
        let log = File::options().create(true).append(true).open(log).unwrap();
        command.stdout(log.try_clone().unwrap()).stderr(log).process_group(0);
        let started = command.spawn();
        Self(started.unwrap_or_else(|error| panic!("{command:?}: {error}: apt-get install patroni etcd-server")))
    }

    /// Kills it with all that it started in its group.
    pub(crate) fn kill(&mut self) {
        let _ = Command::new("kill").args(["-KILL", "--", &format!("-{}", self.0.id())]).stderr(Stdio::null()).status();
        let _ = self.0.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Kills a database with all its processes, as a loss of power does. It is in no group of Patroni's.
pub(crate) fn kill_database(data: &Path) {
    let text = std::fs::read_to_string(data.join("postmaster.pid")).unwrap_or_default();
    let Some(pid) = text.lines().next().and_then(|line| line.parse::<u32>().ok()) else { return };
    let here = std::fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|place| place == data.canonicalize().unwrap());
    if !here {
        return;
    }
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    for one in [pid.to_string()].iter().map(String::as_str).chain(children.split_whitespace()) {
        let _ = Command::new("kill").args(["-KILL", one]).stderr(Stdio::null()).status();
    }
    while Path::new(&format!("/proc/{pid}/cwd")).exists() {
        std::thread::yield_now();
    }
}
