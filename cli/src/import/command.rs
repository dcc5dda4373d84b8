//! The command `tandem import`: files in, YAML or a changed cluster out.

use super::apply::{self, ApplyError, How};
use super::budget::Room;
use super::emit::{self, EmitError};
use super::known::Known;
use super::problem::Problem;
use super::{Options, Outcome, Sheet, check, read, report};
use crate::args::ImportArgs;
use crate::cluster::{self, ClusterError};
use crate::exit::Exit;
use crate::output;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Why an import could not be carried out. Bad rows are no such error: they are reported, see [`run`].
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// A file cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The resources cannot be written.
    #[error(transparent)]
    Emit(#[from] EmitError),
    /// There is no way to the cluster.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// The cluster refused.
    #[error(transparent)]
    Apply(#[from] ApplyError),
}

impl ImportError {
    /// The exit code for it.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::Read { .. } | Self::Emit(_) => Exit::Usage,
            Self::Cluster(_) | Self::Apply(_) => Exit::Cluster,
        }
    }
}

/// Imports a file.
///
/// # Errors
/// When a file cannot be read or written, or the cluster cannot be reached or refuses. Rows that are refused are
/// reported on standard error, and the exit code says so.
pub async fn run(args: &ImportArgs) -> Result<Exit, ImportError> {
    if args.columns {
        output::result(&report::columns());
        return Ok(Exit::Ok);
    }
    let path = args.file.clone().unwrap_or_else(|| PathBuf::from("-"));
    let shown = if path == Path::new("-") { "standard input".to_owned() } else { path.display().to_string() };
    let inventory = read_file(&path)?;
    let budgets = args.budgets.as_deref().map(read_file).transpose()?;
    let sheet = match read(&inventory, budgets.as_deref()) {
        Ok(sheet) => sheet,
        Err(problems) => return Ok(refuse(&shown, None, &problems)),
    };
    if sheet.problems.iter().any(Problem::is_fatal) {
        return Ok(refuse(&shown, Some(&sheet), &sheet.problems));
    }
    let (client, known) = if args.apply {
        let client = cluster::connect(&args.cluster).await?;
        let known = apply::look(&client).await?;
        (Some(client), known)
    } else {
        (None, Known::default())
    };
    let room = Room { headroom: args.headroom, raise_budgets: args.raise_budgets };
    let options = Options { keep_going: args.keep_going, no_new_units: args.no_new_units, room };
    let outcome = check(&sheet, &known, options);
    if outcome.is_fatal() || outcome.has_errors() && !args.keep_going {
        return Ok(refuse(&shown, Some(&sheet), &outcome.problems));
    }
    tell_problems(&shown, &sheet, &outcome);
    match client {
        _ if args.dry_run => {
            output::result(&format!("{}Nothing was applied (--dry-run).\n", report::summary(&outcome)))
        }
        Some(client) => {
            let how = How {
                force: args.force_conflicts,
                concurrency: args.concurrency,
                timeout: Duration::from_secs(args.timeout),
            };
            let counts = apply::apply(&client, &outcome.resources, &known, how).await?;
            output::result(&format!("{}{}\n", report::summary(&outcome), counts.told()));
        }
        None => write(args.output.as_deref(), &outcome)?,
    }
    Ok(if outcome.has_errors() { Exit::Refused } else { Exit::Ok })
}

fn write(path: Option<&Path>, outcome: &Outcome) -> Result<(), EmitError> {
    match path {
        None => output::result(&emit::yaml(&outcome.resources)?),
        Some(path) if path == Path::new("-") => output::result(&emit::yaml(&outcome.resources)?),
        Some(path) => {
            for written in emit::write(&outcome.resources, path)? {
                output::note(&format!("wrote {}", written.display()));
            }
        }
    }
    Ok(())
}

fn refuse(file: &str, sheet: Option<&Sheet>, problems: &[Problem]) -> Exit {
    output::note(report::problems(problems).trim_end());
    output::note(&report::verdict(file, sheet, problems, "Nothing was imported."));
    Exit::Refused
}

fn tell_problems(file: &str, sheet: &Sheet, outcome: &Outcome) {
    let end = if outcome.has_errors() {
        format!("{} rows are refused, {} go on (--keep-going).", outcome.refused, outcome.accepted)
    } else {
        "All rows are accepted.".to_owned()
    };
    if !outcome.problems.is_empty() {
        output::note(report::problems(&outcome.problems).trim_end());
    }
    output::note(&report::verdict(file, Some(sheet), &outcome.problems, &end));
}

fn read_file(path: &Path) -> Result<Vec<u8>, ImportError> {
    let mut bytes = Vec::new();
    let read = if path == Path::new("-") {
        std::io::stdin().lock().read_to_end(&mut bytes)
    } else {
        std::fs::File::open(path).and_then(|mut file| file.read_to_end(&mut bytes))
    };
    read.map_err(|source| ImportError::Read { path: path.to_owned(), source })?;
    Ok(bytes)
}
