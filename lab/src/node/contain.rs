//! A container's own file system: what it mounts, its program, the libraries that the program needs, and nothing else.
//!
//! `tandem-lab contain` makes it in a mount namespace of its own, gives up being root and becomes the program. It stays the same
//! process, so that whoever started it can signal it, and what it mounted goes with it.

use std::convert::Infallible;
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl;
use nix::unistd::{Gid, Uid, chdir, chroot, setgroups, setresgid, setresuid};
use serde::{Deserialize, Serialize};

/// What programs need of the machine: the loader, libraries, and whom they trust.
const MACHINE: [&str; 6] = ["/usr/lib", "/usr/lib64", "/lib", "/lib64", "/etc/ssl/certs", "/usr/share/ca-certificates"];
/// Devices that every container has.
const DEVICES: [&str; 4] = ["/dev/null", "/dev/zero", "/dev/random", "/dev/urandom"];

/// The file system of a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contained {
    /// An empty folder in which it is put together.
    pub root: PathBuf,
    /// What is in it beside what every container has.
    pub mounts: Vec<Mount>,
    /// The user and group id of the program.
    pub user: u32,
}

/// A file or folder of the machine in a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// Where it is.
    pub from: PathBuf,
    /// Where the container has it.
    pub to: PathBuf,
    /// Whether the container may write there.
    pub writable: bool,
}

/// Why a container's file system could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ContainError {
    /// The description cannot be read.
    #[error("the container's description cannot be read")]
    Description(#[from] serde_json::Error),
    /// There is no command.
    #[error("the container has no command")]
    Empty,
    /// A step failed.
    #[error("{step} failed")]
    Step {
        /// What was being done.
        step: String,
        /// Why it failed.
        source: io::Error,
    },
}

fn step<T, E: Into<io::Error>>(step: impl Into<String>, result: Result<T, E>) -> Result<T, ContainError> {
    result.map_err(|error| ContainError::Step { step: step.into(), source: error.into() })
}

/// Makes the file system, gives up being root and becomes the command. `description` is a [`Contained`] as JSON.
///
/// # Errors
/// When a step fails; on success it does not return.
pub fn run(description: &str, command: &[String]) -> Result<Infallible, ContainError> {
    let contained: Contained = serde_json::from_str(description)?;
    let (program, arguments) = command.split_first().ok_or(ContainError::Empty)?;
    let none: Option<&str> = None;
    step("a mount namespace of its own", unshare(CloneFlags::CLONE_NEWNS))?;
    step("keeping mounts from others", mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none))?;
    let root = contained.root.as_path();
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    step("an empty root", mount(Some("tmpfs"), root, Some("tmpfs"), flags, Some("mode=755,size=1m")))?;
    for path in MACHINE.map(Path::new) {
        of_the_machine(root, path)?;
    }
    for device in DEVICES.map(Path::new) {
        bind(root, &Mount { from: device.to_owned(), to: device.to_owned(), writable: true })?;
    }
    bind(root, &Mount { from: "/proc".into(), to: "/proc".into(), writable: true })?;
    let mut mounts = contained.mounts.clone();
    // What is mounted below another comes after it.
    mounts.sort_by(|a, b| a.to.cmp(&b.to));
    for mount in &mounts {
        bind(root, mount)?;
    }
    let closed = MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY | flags;
    step("closing the root", mount(none, root, none, closed, none))?;
    step("entering the root", chroot(root).and_then(|()| chdir("/")))?;
    let (user, group) = (Uid::from_raw(contained.user), Gid::from_raw(contained.user));
    step("giving up groups", setgroups(&[]))?;
    step("becoming the container's group", setresgid(group, group, group))?;
    // With the last root id, every capability goes.
    step("becoming the container's user", setresuid(user, user, user))?;
    step("giving up gaining any", prctl::set_no_new_privs())?;
    let error = Command::new(program).args(arguments).exec();
    step(format!("running {program}"), Err(error))
}

/// Something that is the same in the container as on the machine, where the machine has it.
fn of_the_machine(root: &Path, path: &Path) -> Result<(), ContainError> {
    if let Ok(target) = path.read_link() {
        let to = inside(root, path);
        folder(to.parent().unwrap_or(root))?;
        return step(format!("linking {}", path.display()), symlink(target, to));
    }
    if !path.exists() {
        return Ok(());
    }
    bind(root, &Mount { from: path.to_owned(), to: path.to_owned(), writable: false })
}

fn inside(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}

fn folder(path: &Path) -> Result<(), ContainError> {
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o755).create(path);
    step(format!("making {}", path.display()), made)
}

fn bind(root: &Path, what: &Mount) -> Result<(), ContainError> {
    let to = inside(root, &what.to);
    if what.from.is_dir() {
        folder(&to)?;
    } else {
        folder(to.parent().unwrap_or(root))?;
        let made = std::fs::OpenOptions::new().create(true).append(true).open(&to);
        let made = made.and_then(|file| file.set_permissions(PermissionsExt::from_mode(0o644)));
        step(format!("making {}", to.display()), made)?;
    }
    let none: Option<&str> = None;
    let shown = format!("mounting {}", what.to.display());
    step(&shown, mount(Some(&what.from), &to, none, MsFlags::MS_BIND | MsFlags::MS_REC, none))?;
    if !what.writable {
        let flags = MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
        step(shown, mount(none, &to, none, flags, none))?;
    }
    Ok(())
}
