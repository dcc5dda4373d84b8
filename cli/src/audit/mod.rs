//! `tandem audit …`: what is kept of who did what: looked at and taken home through the API, verified without any server.

mod remote;

use crate::exit::Exit;
use crate::language::Lang;
use crate::output::Output;
use crate::request::RequestError;
use crate::request::args::ApiArgs;
use clap::{Args, Subcommand};
use serde::Serialize;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use tandem_core::audit::{Broken, Checker, Head, Verified};

/// A line longer than this is no entry: an entry has 64 KiB at most.
const LONGEST_LINE: u64 = 1024 * 1024;

const EXAMPLES: &str = "\
Examples:
  tandem audit verify dc-a.jsonl                                  does it hang together?
  tandem audit verify dc-a.jsonl --anchor 4711:9f86d0…            and is it the chain whose head was noted down then?

Without --anchor a file that somebody wrote anew as a whole passes. Note heads down elsewhere, on paper if need be.

Exit codes: 0 the chain holds; 1 it is broken, and where is said, or a known head is not in it; 2 wrong usage, or the file cannot be read.";

const REMOTE_EXAMPLES: &str = "\
Examples:
  tandem audit list --limit 20                    the newest entries of this site's chain / 最新记录
  tandem audit export dc-b.jsonl --site dc-b      the whole chain of dc-b / 导出审计链
  tandem audit verify dc-b.jsonl --anchor 4711:9f86d0…

The API is reached as by `tandem request`: --api, --ca and a certificate or a token, or TANDEM_API and so on. Auditors may.

Exit codes: 0 done; 1 the API says no, or the chain does not hang together; 2 wrong usage, or a file cannot be written; 3 the API did
not answer.";

/// What to do with audit chains.
#[derive(Clone, Debug, Subcommand)]
pub enum AuditCommand {
    /// Verify a file of audit entries offline, and name the first broken link
    #[command(after_help = EXAMPLES)]
    Verify(VerifyArgs),
    /// List a site's entries, the newest where nothing else is said, through the API
    #[command(after_help = REMOTE_EXAMPLES)]
    List(ListArgs),
    /// Take a site's chain home as a file, verified while it is written, through the API
    #[command(after_help = REMOTE_EXAMPLES)]
    Export(ExportArgs),
}

/// Arguments of `tandem audit list`.
#[derive(Clone, Debug, Args)]
pub struct ListArgs {
    /// Whose chain; that of the site that is asked where none is named
    #[arg(long, value_name = "SITE")]
    pub site: Option<String>,
    /// The number of the first entry; the newest entries where it is left out
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..))]
    pub from: Option<u64>,
    /// How many entries at most
    #[arg(long, value_name = "NUMBER", default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    pub limit: u64,
    /// How to write it
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    pub output: Output,
    /// How the API is reached.
    #[command(flatten)]
    pub api: ApiArgs,
}

/// Arguments of `tandem audit export`.
#[derive(Clone, Debug, Args)]
pub struct ExportArgs {
    /// The file to write: JSON lines, as `tandem audit verify` reads them
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Whose chain; that of the site that is asked where none is named
    #[arg(long, value_name = "SITE")]
    pub site: Option<String>,
    /// The number of the first entry
    #[arg(long, value_name = "NUMBER", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    pub from: u64,
    /// Write over a file that is there
    #[arg(long)]
    pub force: bool,
    /// How the API is reached.
    #[command(flatten)]
    pub api: ApiArgs,
}

/// Arguments of `tandem audit verify`.
#[derive(Clone, Debug, Args)]
pub struct VerifyArgs {
    /// The file: JSON lines; - for standard input
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// A head that is known from elsewhere, as number and hash; may be given several times
    #[arg(long, value_name = "NUMBER:HASH", value_parser = anchor)]
    pub anchor: Vec<Head>,
    /// How to write it
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    pub output: Output,
}

/// What was found of a chain, for programs.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Found<'a> {
    /// Whether it hangs together, and every head that is known is in it.
    holds: bool,
    /// The site whose chain it is; absent where it breaks.
    site: Option<&'a str>,
    /// The number of the first entry in the file.
    first: Option<u64>,
    /// The last entry, and its hash.
    head: Option<&'a Head>,
    /// How many heads are known from elsewhere.
    anchors: usize,
    /// How many of them are in the file, and agree.
    anchors_found: usize,
    /// The entry at which the chain breaks.
    broken_at: Option<u64>,
    /// Why, in a sentence.
    why: Option<String>,
}

fn anchor(text: &str) -> Result<Head, String> {
    let (seq, hash) = text.split_once(':').ok_or("give the number of the entry and its hash, as 4711:9f86d0…")?;
    let seq = seq.parse().map_err(|_| format!("'{seq}' is no number of an entry"))?;
    let whole = hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    if whole {
        Ok(Head { seq, hash: hash.to_owned() })
    } else {
        Err(format!("'{hash}' is no hash: it has 64 digits of 0-9 and a-f"))
    }
}

/// Why a chain could not be read or verified.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// A file cannot be read or written.
    #[error("cannot read or write {path}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The file is there already.
    #[error("{0} is there already; name another file, or give --force")]
    Exists(PathBuf),
    /// There is nothing to write.
    #[error("there is no entry from number {from} on")]
    Empty {
        /// The number that was asked for.
        from: u64,
    },
    /// What the API gave is no chain.
    #[error("what the API gave is no chain: nothing was written")]
    Broken(#[source] Broken),
    /// The API was not reached, or says no.
    #[error(transparent)]
    Request(#[from] RequestError),
}

impl AuditError {
    /// The exit code.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::File { .. } | Self::Exists(_) => Exit::Usage,
            Self::Broken(_) | Self::Empty { .. } => Exit::Refused,
            Self::Request(error) => error.exit(),
        }
    }
}

/// Carries out what was asked.
///
/// # Errors
/// [`AuditError`]; a file whose chain does not hold is none.
pub async fn run(command: &AuditCommand, lang: Lang) -> Result<Exit, AuditError> {
    match command {
        AuditCommand::Verify(args) => verified(args, lang),
        AuditCommand::List(args) => remote::list(args, lang).await,
        AuditCommand::Export(args) => remote::export(args, lang).await,
    }
}

fn verified(args: &VerifyArgs, lang: Lang) -> Result<Exit, AuditError> {
    let failed = |source| AuditError::File { path: args.file.clone(), source };
    let input: Box<dyn Read> = if args.file == Path::new("-") {
        Box::new(std::io::stdin())
    } else {
        Box::new(std::fs::File::open(&args.file).map_err(failed)?)
    };
    let anchors = args.anchor.len();
    match verify(BufReader::new(input), args.anchor.clone()).map_err(failed)? {
        Ok(verified) => {
            let Verified { site, first, head, anchors: passed } = &verified;
            let found = Found {
                holds: *passed == anchors,
                site: Some(site),
                first: Some(*first),
                head: Some(head),
                anchors,
                anchors_found: *passed,
                broken_at: None,
                why: None,
            };
            args.output.write(&found, || holds(&verified, anchors, lang));
            // A head that is known and not in the file: the chain may have been cut off before it.
            Ok(if verified.anchors == anchors { Exit::Ok } else { Exit::Refused })
        }
        Err(broken) => {
            let found = Found {
                holds: false,
                site: None,
                first: None,
                head: None,
                anchors,
                anchors_found: 0,
                broken_at: Some(broken.seq),
                why: Some(broken.why.sentence(lang.of_core())),
            };
            args.output.write(&found, || breaks(&broken, lang));
            Ok(Exit::Refused)
        }
    }
}

/// Reads line by line: a chain of years need not fit into memory.
fn verify(mut input: impl BufRead, anchors: Vec<Head>) -> std::io::Result<Result<Verified, Broken>> {
    let mut checker = Checker::new(anchors);
    loop {
        let mut line = Vec::new();
        input.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line)?;
        if line.is_empty() {
            return Ok(checker.finish());
        }
        let Some(line) = line.strip_suffix(b"\n") else { return Ok(Err(checker.truncated())) };
        if let Err(broken) = checker.line(line) {
            return Ok(Err(broken));
        }
    }
}

fn holds(verified: &Verified, anchors: usize, lang: Lang) -> String {
    let Verified { site, first, head, anchors: passed } = verified;
    let known = if anchors == 0 {
        lang.say(
            "compared with no head that is known from elsewhere (--anchor)".to_owned(),
            "未与其他途径留存的链头比对（--anchor）".to_owned(),
        )
    } else if *passed < anchors {
        lang.say(
            format!("only {passed} of {anchors} known heads are in it: is it cut off, or of another time?"),
            format!("已知链头 {anchors} 个，仅 {passed} 个在此范围内：文件可能被截断，或属于其他时段"),
        )
    } else {
        lang.say(
            format!("{passed} of {anchors} known heads are in it, and agree"),
            format!("已知链头 {anchors} 个，其中 {passed} 个在此范围内且一致"),
        )
    };
    let Head { seq, hash } = head;
    lang.say(
        format!("the chain of {site} holds from entry {first} to {seq}\nhead: {seq}:{hash}\n{known}\n"),
        format!("{site} 的审计链自第 {first} 条至第 {seq} 条完整\n链头：{seq}:{hash}\n{known}\n"),
    )
}

fn breaks(broken: &Broken, lang: Lang) -> String {
    let sentence = broken.why.sentence(lang.of_core());
    let seq = broken.seq;
    lang.say(format!("the chain breaks at entry {seq}: {sentence}\n"), format!("审计链在第 {seq} 条断裂：{sentence}\n"))
}

#[cfg(test)]
mod tests;
