//! The command line of what concerns the arbiter itself.

use crate::output::Output;
use clap::{Args, Subcommand, ValueEnum};
use std::path::PathBuf;

const ARBITER_EXAMPLES: &str = "\
Examples:
  tandem arbiter status                                   members, generation, what is wrong, what to do / 查看仲裁状态
  tandem arbiter backup backups/ --keep 48                a snapshot into a folder, as etcd's root / 备份（须 etcd root）
  tandem arbiter backup --verify backups/FILE.db          whether it could be restored / 校验备份
  tandem arbiter prepare backups/FILE.db                  what to run at each member, all being lost / 全部成员丢失后的恢复命令
  tandem arbiter restore --site dc-a --site dc-b --yes    after etcd was restored from a snapshot / 备份恢复之后
  tandem arbiter restore --accept dc-a --accept dc-b      have both sites follow it / 令两站点接受恢复后的仲裁
  tandem arbiter confirm --all                            give every group back / 确认所有组
  tandem arbiter confirm --site-is-off dc-a --reason 'seen without power'
  tandem arbiter replace witness                          a member whose machine is lost / 更换成员

The arbiter is reached with --endpoints, --ca, --cert and --key, each also from the environment
(TANDEM_ARBITER_ENDPOINTS, …_CA, …_CERT, …_KEY) or from a file (--config: endpoints, caFile, certFile, keyFile). Who you are
is what the certificate says.

Exit codes: 0 done, or nothing wrong; 1 refused, or something is wrong; 2 wrong usage; 3 the arbiter or a cluster refused or
did not answer.";

/// `tandem arbiter …`.
#[derive(Debug, Subcommand)]
#[command(after_help = ARBITER_EXAMPLES)]
pub enum ArbiterCommand {
    /// Show how the arbiter stands, what is wrong with it, and what to do
    Status(StatusArgs),
    /// Write a snapshot of the arbiter into a file, and verify it
    Backup(BackupArgs),
    /// Say what to run at each member to restore the arbiter from a backup; asks nobody
    Prepare(PrepareArgs),
    /// After etcd was restored from a snapshot: raise the generation, take every group back, have sites accept it
    Restore(RestoreArgs),
    /// Give groups back after a restore, once both sites have reported or two people say that the silent one is off
    Confirm(ConfirmArgs),
    /// Replace a member: remove it, add its successor as a learner, let it vote
    Replace(ReplaceArgs),
}

/// How to reach the arbiter.
#[derive(Clone, Debug, Default, Args)]
pub struct AccessArgs {
    /// The members' addresses, https://…, separated by commas
    #[arg(long, env = "TANDEM_ARBITER_ENDPOINTS", value_name = "URLS", value_delimiter = ',')]
    pub endpoints: Vec<String>,
    /// The authority that signed the members' certificates, PEM
    #[arg(long, env = "TANDEM_ARBITER_CA", value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// Your certificate, PEM; its common name is your etcd user
    #[arg(long, env = "TANDEM_ARBITER_CERT", value_name = "FILE")]
    pub cert: Option<PathBuf>,
    /// Its key, PEM
    #[arg(long, env = "TANDEM_ARBITER_KEY", value_name = "FILE")]
    pub key: Option<PathBuf>,
    /// A YAML file with endpoints, caFile, certFile and keyFile; flags and environment come first
    #[arg(long, env = "TANDEM_ARBITER_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// Arguments of `tandem arbiter status`.
#[derive(Clone, Debug, Args)]
pub struct StatusArgs {
    /// How to write it
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    pub output: Output,
    /// The members' --quota-backend-bytes: etcd does not tell it
    #[arg(long, value_name = "BYTES", default_value_t = tandem_arbiter::health::QUOTA, value_parser = clap::value_parser!(u64).range(1..))]
    pub quota_bytes: u64,
    /// How to reach the arbiter.
    #[command(flatten)]
    pub access: AccessArgs,
}

/// Arguments of `tandem arbiter backup`.
#[derive(Clone, Debug, Args)]
pub struct BackupArgs {
    /// Where to write it: a file, or a folder (ending with /) in which it is named by time, cluster and revision
    #[arg(required_unless_present = "verify", value_name = "FILE|DIR/")]
    pub target: Option<PathBuf>,
    /// Only verify a backup that is there; asks nobody
    #[arg(long, value_name = "FILE", conflicts_with_all = ["target", "keep", "force", "without_majority"])]
    pub verify: Option<PathBuf>,
    /// In a folder, how many backups stay; the oldest go once the new one is verified
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..))]
    pub keep: Option<u16>,
    /// Put it in the place of a file that is there
    #[arg(long)]
    pub force: bool,
    /// Where a majority is lost: take what the member has that is left. What it has last may never have been agreed upon
    #[arg(long)]
    pub without_majority: bool,
    /// How to write what is told of it
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    pub output: Output,
    /// How to reach the arbiter, as a user with etcd's role root.
    #[command(flatten)]
    pub access: AccessArgs,
}

/// Which of etcd's programs restores a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Tool {
    /// Up to etcd 3.5
    Etcdctl,
    /// From etcd 3.5 on
    Etcdutl,
}

/// Arguments of `tandem arbiter prepare`.
#[derive(Clone, Debug, Args)]
pub struct PrepareArgs {
    /// The backup, as the members will find it
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// A member and where the others reach it; give all of them. Those of the backup where left out
    #[arg(long = "member", value_name = "NAME=PEER-URL")]
    pub members: Vec<String>,
    /// Where members keep their data; {name} stands for a member's name
    #[arg(long, value_name = "DIR", default_value = "/var/lib/etcd/data")]
    pub data_dir: String,
    /// Which program restores it; by the version of the member that gave the backup where left out
    #[arg(long, value_enum, value_name = "PROGRAM")]
    pub tool: Option<Tool>,
    /// How to write it
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    pub output: Output,
}

/// Arguments of `tandem arbiter restore`.
#[derive(Clone, Debug, Args)]
pub struct RestoreArgs {
    /// A site that has to report before a group is given back; give every one. Where left out, those that the arbiter knows
    #[arg(long = "site", value_name = "SITE")]
    pub sites: Vec<String>,
    /// Have a site follow the restored arbiter, through its Kubernetes API: a mark on its DataCentre. CONTEXT is the
    /// kubeconfig's; the site's name where left out. May be given several times, also later
    #[arg(long, value_name = "SITE[=CONTEXT]")]
    pub accept: Vec<String>,
    /// The kubeconfig for --accept; $KUBECONFIG or ~/.kube/config where none is given
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
    /// How to reach the arbiter.
    #[command(flatten)]
    pub access: AccessArgs,
}

/// Arguments of `tandem arbiter confirm`.
#[derive(Clone, Debug, Args)]
pub struct ConfirmArgs {
    /// The groups
    #[arg(value_name = "GROUP", conflicts_with = "all", required_unless_present_any = ["all", "site_is_off"])]
    pub groups: Vec<String>,
    /// Every group that waits
    #[arg(long)]
    pub all: bool,
    /// Attest, in your own name, that a silent site is off; it takes two people. Nothing else takes the place of its word
    #[arg(long, value_name = "SITE", requires = "reason")]
    pub site_is_off: Option<String>,
    /// How you know
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// How to write it
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    pub output: Output,
    /// How to reach the arbiter.
    #[command(flatten)]
    pub access: AccessArgs,
}

/// Arguments of `tandem arbiter replace`.
#[derive(Clone, Debug, Args)]
pub struct ReplaceArgs {
    /// The member's name, or its id in hexadecimal
    #[arg(value_name = "MEMBER")]
    pub member: String,
    /// Where the other members reach the successor; as its predecessor where left out. May be given several times
    #[arg(long = "peer-url", value_name = "URL")]
    pub peer_urls: Vec<String>,
    /// How long to wait for the successor to start and to learn everything, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 900)]
    pub timeout: u64,
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
    /// How to reach the arbiter.
    #[command(flatten)]
    pub access: AccessArgs,
}
