//! `tandem balancer haproxy`: the configuration of the balancer before both sites.

use crate::exit::Exit;
use crate::language::Lang;
use crate::output;
use clap::{Args, Subcommand};
use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use tandem_core::balancer::{Description, Problem, haproxy};

const EXAMPLES: &str = concat!(
    "\
Examples:
  tandem balancer haproxy -f balancer.yaml                      look at it / 查看
  tandem balancer haproxy -f balancer.yaml --out haproxy.cfg    write it / 写入
  haproxy -c -f haproxy.cfg                                     check it, then reload / 检查后重新加载

balancer.yaml, the least of it (docs/balancer.md has every field):

",
    include_str!("example.yaml"),
    "
Where HAProxy does not hear from a gate, its site gets no traffic. The configuration is for HAProxy 2.2 and later.

Exit codes: 0 done; 1 the description is refused: nothing is written; 2 wrong usage, or a file cannot be read or written."
);

/// What to do about balancers.
#[derive(Clone, Debug, Subcommand)]
pub enum BalancerCommand {
    /// Write the configuration of HAProxy that sends traffic to the site that holds a group, and to no other
    #[command(after_help = EXAMPLES)]
    Haproxy(HaproxyArgs),
}

/// Arguments of `tandem balancer haproxy`.
#[derive(Clone, Debug, Args)]
pub struct HaproxyArgs {
    /// What the balancer stands before, as YAML; - for standard input
    #[arg(short, long, value_name = "FILE")]
    pub file: PathBuf,
    /// Where to write the configuration; to standard output where left out
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// Why no configuration was written.
#[derive(Debug, thiserror::Error)]
pub enum BalancerError {
    /// A file cannot be read or written.
    #[error("{path} cannot be {done}")]
    File {
        /// The file.
        path: String,
        /// `read` or `written`.
        done: &'static str,
        /// Why not.
        source: io::Error,
    },
    /// The file is no description of a balancer.
    #[error("{path} is no description of a balancer; `tandem balancer haproxy --help` has one")]
    Content {
        /// The file.
        path: String,
        /// What is wrong, and in which line.
        source: serde_yaml::Error,
    },
    /// The description is refused.
    #[error("{path} is refused, nothing is written:{}", problems.iter().map(|p| format!("\n  {p}")).collect::<String>())]
    Refused {
        /// The file.
        path: String,
        /// All that is wrong.
        problems: Vec<Problem>,
    },
}

impl BalancerError {
    /// The exit code.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::File { .. } => Exit::Usage,
            Self::Content { .. } | Self::Refused { .. } => Exit::Refused,
        }
    }
}

/// `tandem balancer …`.
///
/// # Errors
/// When the description is refused, or a file cannot be read or written.
pub fn run(command: &BalancerCommand, lang: Lang) -> Result<Exit, BalancerError> {
    let BalancerCommand::Haproxy(args) = command;
    let path = args.file.display().to_string();
    let description = description(&args.file)?;
    let text = haproxy(&description).map_err(|problems| BalancerError::Refused { path, problems })?;
    let Some(out) = &args.out else {
        output::result(&text);
        return Ok(Exit::Ok);
    };
    write(out, &text).map_err(|source| BalancerError::File {
        path: out.display().to_string(),
        done: "written",
        source,
    })?;
    let (out, cut) = (out.display(), description.times().cut().as_millis());
    output::note(&lang.say(
        format!(
            "{out} is written; it turns away from a site within {cut} ms. Now: haproxy -c -f {out}, then reload HAProxy"
        ),
        format!("{out} 已写入；站点失效后 {cut} 毫秒内停止转发。接下来：haproxy -c -f {out}，然后重新加载 HAProxy"),
    ));
    Ok(Exit::Ok)
}

fn description(file: &Path) -> Result<Description, BalancerError> {
    let path = file.display().to_string();
    let text = if file == Path::new("-") {
        let mut text = String::new();
        io::stdin().lock().read_to_string(&mut text).map(|_| text)
    } else {
        fs::read_to_string(file)
    };
    let text = text.map_err(|source| BalancerError::File { path: path.clone(), done: "read", source })?;
    serde_yaml::from_str(&text).map_err(|source| BalancerError::Content { path, source })
}

/// Writes the file whole or not at all: HAProxy must not be reloaded with half of one.
fn write(path: &Path, text: &str) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(text.as_bytes())?;
    // There is no secret in it, and HAProxy may be started by another user.
    file.as_file().set_permissions(fs::Permissions::from_mode(0o644))?;
    file.as_file().sync_all()?;
    file.persist(path).map(drop).map_err(|error| error.error)
}
