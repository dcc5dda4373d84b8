//! Where the programs of the lab are, and which version they are.

use crate::command::{CommandError, run};
use crate::flags;
use std::path::{Path, PathBuf};

const KUBERNETES: [&str; 3] = ["kube-apiserver", "kube-controller-manager", "kube-scheduler"];
const MEND: &str = "set TANDEM_KUBE_BIN to a directory with kube-apiserver, kube-controller-manager and kube-scheduler \
                    of any version from 1.20 on; or unset it and run `make control-plane`, which builds them from \
                    Debian's source package";

/// The lowest version that the lab knows flags for.
const LOWEST: u32 = 20;

/// The programs of the lab.
#[derive(Clone, Debug)]
pub struct Programs {
    /// The folder with the Kubernetes programs.
    pub kubernetes: PathBuf,
    /// The minor number of the API server's version.
    pub minor: u32,
    /// What it calls itself, such as `v1.20.2`.
    pub version: String,
    /// etcd.
    pub etcd: PathBuf,
    /// etcdctl.
    pub etcdctl: PathBuf,
    /// The folder with Tandem's own programs.
    pub own: PathBuf,
}

/// Why the programs are not there.
#[derive(Debug, thiserror::Error)]
pub enum ProgramsError {
    /// A program is missing where it should be.
    #[error("{program} is not in {place}; {MEND}")]
    Kubernetes {
        /// The program.
        program: String,
        /// Where it was looked for.
        place: String,
    },
    /// The version is too old or cannot be read.
    #[error("{place} has '{found}', which is no Kubernetes of 1.{LOWEST} or later; {MEND}")]
    Version {
        /// Where it is.
        place: String,
        /// What it says.
        found: String,
    },
    /// A system tool is missing.
    #[error("{program} is not installed; mend it: apt-get install {package}")]
    Tool {
        /// The program.
        program: &'static str,
        /// The Debian package that has it.
        package: &'static str,
    },
    /// The control plane was not built yet.
    #[error("no control plane was built yet; {MEND}")]
    NotBuilt,
    /// A program cannot be run.
    #[error("a program cannot be run")]
    Run(#[from] CommandError),
}

/// The folder that keeps what is built once.
#[must_use]
pub fn cache() -> PathBuf {
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_else(|| "/root".into())).join(".cache/tandem");
    std::env::var_os("TANDEM_CACHE").map_or_else(home, PathBuf::from)
}

/// Finds every program.
///
/// # Errors
/// When something is missing; the message says how to mend it.
pub fn find() -> Result<Programs, ProgramsError> {
    for (program, package) in [("ip", "iproute2"), ("nft", "nftables"), ("nsenter", "util-linux")] {
        which(program).ok_or(ProgramsError::Tool { program, package })?;
    }
    let given = ["TANDEM_KUBE_BIN", "KUBEBUILDER_ASSETS"]
        .into_iter()
        .find_map(|name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from));
    let kubernetes = match given {
        Some(given) => given,
        None => built()?,
    };
    let place = kubernetes.display().to_string();
    for program in KUBERNETES {
        if !kubernetes.join(program).is_file() {
            return Err(ProgramsError::Kubernetes { program: program.to_owned(), place });
        }
    }
    let found = run(&kubernetes.join(KUBERNETES[0]).display().to_string(), &["--version"])?.trim().to_owned();
    let minor = flags::minor(&found).filter(|minor| *minor >= LOWEST);
    let Some(minor) = minor else { return Err(ProgramsError::Version { place, found }) };
    let beside = |program: &str| Some(kubernetes.join(program)).filter(|path| path.is_file());
    let etcd = which("etcd").or_else(|| beside("etcd"));
    let etcdctl = which("etcdctl").or_else(|| beside("etcdctl"));
    let own = std::env::current_exe().ok().and_then(|path| path.parent().map(Path::to_path_buf));
    Ok(Programs {
        version: found.trim_start_matches("Kubernetes ").to_owned(),
        minor,
        etcd: etcd.ok_or(ProgramsError::Tool { program: "etcd", package: "etcd-server" })?,
        etcdctl: etcdctl.ok_or(ProgramsError::Tool { program: "etcdctl", package: "etcd-client" })?,
        own: own.unwrap_or_default(),
        kubernetes,
    })
}

/// What databases run with.
#[derive(Clone, Debug)]
pub struct PostgresPrograms {
    /// Patroni.
    pub patroni: PathBuf,
    /// The folder of PostgreSQL's own programs.
    pub bin: PathBuf,
    /// haproxy.
    pub haproxy: PathBuf,
}

/// Finds what databases run with: of several PostgreSQLs the newest.
///
/// # Errors
/// When something is missing; the message says how to mend it.
pub fn find_postgres() -> Result<PostgresPrograms, ProgramsError> {
    let tool = |program, package| which(program).ok_or(ProgramsError::Tool { program, package });
    let bin = newest_postgres(Path::new("/usr/lib/postgresql"));
    let missing = ProgramsError::Tool { program: "postgres", package: "postgresql-15" };
    Ok(PostgresPrograms {
        bin: bin.ok_or(missing)?,
        patroni: tool("patroni", "patroni")?,
        haproxy: tool("haproxy", "haproxy")?,
    })
}

/// Where Debian has the newest PostgreSQL server that is installed.
fn newest_postgres(all: &Path) -> Option<PathBuf> {
    let versions = std::fs::read_dir(all).ok()?.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let bin = |version: u32| all.join(version.to_string()).join("bin");
    versions.filter(|version| bin(*version).join("postgres").is_file()).max().map(bin)
}

fn built() -> Result<PathBuf, ProgramsError> {
    let bin = cache().join("control-plane/bin");
    if bin.join("complete").exists() { Ok(bin) } else { Err(ProgramsError::NotBuilt) }
}

/// Where a program is on `PATH`, or in the administrators' folders.
#[must_use]
pub fn which(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let usual = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    std::env::split_paths(&path).chain(usual).map(|dir| dir.join(program)).find(|path| path.is_file())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_server_is_taken_and_a_client_is_none() {
        let all = tempfile::tempdir().unwrap();
        assert_eq!(newest_postgres(all.path()), None);
        for (version, program) in [("9", "postgres"), ("15", "postgres"), ("16", "psql")] {
            let bin = all.path().join(version).join("bin");
            std::fs::create_dir_all(&bin).unwrap();
            std::fs::write(bin.join(program), "").unwrap();
        }
        assert_eq!(newest_postgres(all.path()), Some(all.path().join("15/bin")));
    }
}
