//! `tandem arbiter backup` and `tandem arbiter prepare`: a snapshot of the arbiter in a file, and the way back from it.
//!
//! A snapshot is a member's whole database followed by its SHA-256, as `etcdctl snapshot save` writes it. Beside it stands what is
//! known of it ([`facts::Facts`]): what a restore needs can then be told from the file alone, with no member left to ask.

mod choose;
mod facts;
mod file;
mod folder;
mod prepare;
mod take;

pub(super) use prepare::run as prepare;

use super::access::Access;
use super::args::BackupArgs;
use super::{ArbiterError, now};
use crate::exit::Exit;
use crate::language::Lang;
use crate::output::Output;
use facts::Facts;
use std::path::{Path, PathBuf};

/// Why there is no backup, or none that could be restored.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// A file cannot be read or written.
    #[error("cannot {what} {path}")]
    File {
        /// What was to be done with it.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The file is there.
    #[error("{0} is there already and stays as it is: name another file, a folder (DIR/), or give --force")]
    There(PathBuf),
    /// The file is not what was once written, or was never a snapshot.
    #[error("{path} is not to be restored: {why}")]
    Bad {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// Only etcd's root may ask for a snapshot.
    #[error(
        "{who} may not have a snapshot: etcd gives it to users with the role root alone. Use the certificate of such a user (--cert, \
         --key), or have root run: etcdctl user grant-role {who} root"
    )]
    NotRoot {
        /// Who asked.
        who: String,
    },
    /// No member can be asked for one.
    #[error("no backup was made: {0}")]
    NoMember(String),
    /// The members of the new cluster are not known.
    #[error("{0} has no facts beside it (its .json): name every member with --member NAME=PEER-URL")]
    NoMembers(PathBuf),
}

impl BackupError {
    /// The exit code.
    pub(super) fn exit(&self) -> Exit {
        match self {
            Self::File { .. } | Self::There(_) | Self::NoMembers(_) => Exit::Usage,
            Self::Bad { .. } | Self::NoMember(_) => Exit::Refused,
            Self::NotRoot { .. } => Exit::Cluster,
        }
    }
}

/// For an error of a file.
fn cannot(what: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> BackupError {
    let path = path.to_owned();
    move |source| BackupError::File { what, path, source }
}

/// `tandem arbiter backup`.
pub(super) async fn run(args: &BackupArgs, lang: Lang) -> Result<Exit, ArbiterError> {
    if let Some(path) = &args.verify {
        let facts = facts::checked(path)?;
        shown(path, &facts, args.output, lang);
        return Ok(Exit::Ok);
    }
    let target = args.target.clone().unwrap_or_default();
    let access = Access::new(&args.access).await?;
    let (path, facts) = take::run(&access, &target, args, lang).await?;
    shown(&path, &facts, args.output, lang);
    Ok(Exit::Ok)
}

fn shown(path: &Path, facts: &Facts, how: Output, lang: Lang) {
    how.write(facts, || facts.text(path, now(), lang));
}
