//! The command line of `tandem support-bundle`.

use crate::arbiter::args::AccessArgs;
use crate::doctor::args::SitesArgs;
use clap::Args;
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  tandem support-bundle --context dc-a --context dc-b     both sites / 两个站点
  tandem support-bundle -o bundle.tar.gz --log-lines 20000

No Secret is read. Values of environment variables, configuration, commands and free text are left out, people's names are made
unreadable, and log lines are cleaned of credentials. MANIFEST.json in it says what was taken, what was removed, and what could not
be had. It still names agencies, hosts and images: read it before it leaves the house.

Exit codes: 0 written; 2 wrong usage, or the file cannot be written; 3 written, and no site answered, and no arbiter.";

/// Arguments of `tandem support-bundle`.
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct BundleArgs {
    /// Which sites.
    #[command(flatten)]
    pub sites: SitesArgs,
    /// Where to write it; by the time where left out. A file that is there stays
    #[arg(short, long, value_name = "FILE.tar.gz")]
    pub output: Option<PathBuf>,
    /// How many lines of each log, the newest
    #[arg(long, value_name = "NUMBER", default_value_t = 5000, value_parser = clap::value_parser!(i64).range(1..))]
    pub log_lines: i64,
    /// How much may be in it before it is compressed; what goes beyond is left out and listed
    #[arg(long, value_name = "MIB", default_value_t = 128, value_parser = clap::value_parser!(u64).range(1..=4096))]
    pub max_mib: u64,
    /// How to reach the arbiter.
    #[command(flatten)]
    pub access: AccessArgs,
}
