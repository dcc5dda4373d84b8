//! Where a lab keeps what: everything is below one folder, so that removing it removes all.

use crate::plan::{IMAGES, METRO, PEOPLE, Plan};
use std::fs;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

const SOCKET: &str = "control.sock";

/// The folder of a lab.
#[derive(Clone, Debug)]
pub struct Layout {
    /// The folder, absolute.
    pub dir: PathBuf,
}

impl Layout {
    /// The socket over which the running lab is spoken to.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.dir.join(SOCKET)
    }

    /// Does something with the socket by a path that is short enough for one, however deep the lab's folder is: a socket's
    /// address has room for 107 bytes.
    ///
    /// # Errors
    /// When the folder cannot be opened, or what is done fails.
    pub fn with_socket<T>(&self, act: impl FnOnce(&Path) -> io::Result<T>) -> io::Result<T> {
        let folder = fs::File::open(&self.dir)?;
        act(&PathBuf::from(format!("/proc/self/fd/{}/{SOCKET}", folder.as_raw_fd())))
    }

    /// What has to be known to take the lab down after a crash.
    #[must_use]
    pub fn state(&self) -> PathBuf {
        self.dir.join("state.json")
    }

    /// Held by whoever starts or runs the lab.
    #[must_use]
    pub fn lock(&self) -> PathBuf {
        self.dir.join("lock")
    }

    /// What the supervisor writes.
    #[must_use]
    pub fn supervisor_log(&self) -> PathBuf {
        self.dir.join("supervisor.log")
    }

    /// To be sourced by a shell.
    #[must_use]
    pub fn env(&self) -> PathBuf {
        self.dir.join("env")
    }

    /// The folder of a place.
    #[must_use]
    pub fn place(&self, place: &str) -> PathBuf {
        self.dir.join(place)
    }

    /// The certificates and keys of a place.
    #[must_use]
    pub fn pki(&self, place: &str) -> PathBuf {
        self.place(place).join("pki")
    }

    /// The certificates of people, their keys, and the authority of what they reach.
    #[must_use]
    pub fn people(&self) -> PathBuf {
        self.dir.join(PEOPLE)
    }

    /// The images that were loaded, by digest.
    #[must_use]
    pub fn images(&self) -> PathBuf {
        self.dir.join(IMAGES)
    }

    /// What the databases of a place have: their data, certificates and files.
    #[must_use]
    pub fn postgres(&self, place: &str) -> PathBuf {
        self.place(place).join("postgres")
    }

    /// What a site's node keeps.
    #[must_use]
    pub fn node(&self, site: &str) -> PathBuf {
        self.place(site).join("node")
    }

    /// The data of a place's member of the arbiter.
    #[must_use]
    pub fn arbiter_data(&self, place: &str) -> PathBuf {
        self.place(place).join("arbiter")
    }

    /// A kubeconfig of a site: `admin` for people, others for programs.
    #[must_use]
    pub fn kubeconfig(&self, site: &str, user: &str) -> PathBuf {
        match user {
            "admin" => self.place(site).join("kubeconfig"),
            user => self.place(site).join("kubeconfigs").join(user),
        }
    }

    /// By how much the wall clock of a site's operators is wrong; no file where it is right.
    #[must_use]
    pub fn clock(&self, site: &str) -> PathBuf {
        self.place(site).join("wrong-clock")
    }

    /// The log of a program.
    #[must_use]
    pub fn log(&self, place: &str, program: &str) -> PathBuf {
        self.place(place).join("log").join(format!("{program}.log"))
    }

    /// What is for people: kubeconfigs, and what a shell sources.
    fn for_people(&self, sites: &[String]) -> Vec<PathBuf> {
        let own = sites.iter().map(|site| self.kubeconfig(site, "admin"));
        own.chain([self.dir.join("kubeconfig"), self.env()]).collect()
    }

    /// Gives what is for people to whoever called `sudo`: they could not read it otherwise.
    ///
    /// # Errors
    /// When a file is not there or cannot be given away.
    pub fn hand_over(&self, sites: &[String]) -> io::Result<()> {
        let number = |name: &str| std::env::var(name).ok()?.parse().ok();
        let (Some(user), Some(group)) = (number("SUDO_UID"), number("SUDO_GID")) else { return Ok(()) };
        let mut given = self.for_people(sites);
        for entry in fs::read_dir(self.people())? {
            given.push(entry?.path());
        }
        given.push(self.people());
        given.iter().try_for_each(|path| std::os::unix::fs::chown(path, Some(user), Some(group)))
    }

    /// Removes what a lab made of use to nobody without it: keys, data, configuration. Its logs stay until the next one.
    ///
    /// # Errors
    /// When something cannot be removed.
    pub fn clear(&self, plan: &Plan) -> io::Result<()> {
        let gone = |result: io::Result<()>| match result {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        };
        for path in self.for_people(&plan.sites) {
            gone(fs::remove_file(path))?;
        }
        gone(fs::remove_dir_all(self.people()))?;
        for place in plan.places().iter().map(|place| place.name.as_str()).chain([METRO]) {
            let entries = match fs::read_dir(self.place(place)) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                entries => entries?,
            };
            for entry in entries {
                let entry = entry?;
                match entry.file_name().to_str() {
                    Some("log" | "audit.log") => {}
                    _ if entry.file_type()?.is_dir() => gone(fs::remove_dir_all(entry.path()))?,
                    _ => gone(fs::remove_file(entry.path()))?,
                }
            }
        }
        Ok(())
    }

    /// Makes a folder that only its owner may look into.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn private_dir(path: &Path) -> io::Result<()> {
        fs::create_dir_all(path)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o700))
    }

    /// Writes a file that only its owner may read.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn private_file(path: &Path, text: &str) -> io::Result<()> {
        use std::io::Write;
        use std::os::unix::fs::OpenOptionsExt;
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
        file.write_all(text.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::{UnixListener, UnixStream};

    #[test]
    fn the_socket_works_however_deep_the_folder_is() {
        let root = tempfile::tempdir().unwrap();
        let layout = Layout { dir: root.path().join("deep".repeat(20)).join("deeper".repeat(20)) };
        fs::create_dir_all(&layout.dir).unwrap();
        assert!(UnixListener::bind(layout.socket()).is_err(), "that path is too long for a socket");
        let _listener = layout.with_socket(|path| UnixListener::bind(path)).unwrap();
        assert!(layout.socket().exists());
        layout.with_socket(|path| UnixStream::connect(path)).unwrap();
    }
}
