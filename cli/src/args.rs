//! The command line.

use crate::arbiter::args::ArbiterCommand;
use crate::audit::AuditCommand;
use crate::balancer::BalancerCommand;
use crate::bundle::args::BundleArgs;
use crate::doctor::args::DoctorArgs;
use crate::failover::args::{DrillArgs, FailoverCommand, GroupsArgs, HoldCommand, PlannedArgs};
use crate::language::Lang;
use crate::output::Output;
use crate::pause::{PauseArgs, ResumeArgs};
use crate::request::args::RequestCommand;
use crate::show::args::{AppArgs, EnvArgs, UnitsArgs};
use clap::{Args, Parser, Subcommand};
use std::ffi::OsString;
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  tandem import systems.csv --dry-run           check a spreadsheet of systems / 检查系统清单，不写入
  tandem import systems.csv -o resources/       write the resources as YAML / 导出为 YAML 资源文件
  tandem import systems.csv --apply             apply them to the cluster / 写入集群
  tandem status --context dc-a                  how the city stands, what to do / 查看全局状态与处理办法
  tandem units health                           an agency's budget and environments / 查看单位预算与环境
  tandem app --not-ready                        applications that are not ready / 查看未就绪的应用
  tandem groups --context dc-b                  where each group is active / 查看各组主用站点
  tandem failover plan --site dc-a              what a move would do / 查看切换计划
  tandem pause --reason 'network works'         observe, write nothing / 暂停本站点的一切写入
  tandem arbiter status                         how the arbiter stands, what to do / 查看仲裁状态
  tandem request create -f request.yaml         ask for an environment / 申请环境
  tandem lab up                                 two data centres on this machine / 在本机启动两个数据中心

Exit codes: 0 done; 1 input refused, or something is not ready; 2 wrong usage; 3 the cluster, the arbiter or the
API refused or did not answer.";

const IMPORT_EXAMPLES: &str = "\
Examples:
  tandem import inventory.csv --dry-run                   check it, and say what it comes to / 检查并汇总
  tandem import inventory.csv > resources.yaml            write YAML / 生成 YAML
  tandem import inventory.csv --apply --context dc-a      apply it / 写入集群 dc-a
  tandem import inventory.csv --apply --keep-going        apply the good rows / 跳过有问题的行
  tandem import --columns                                 the headers that are known / 列出可识别的表头

The file is CSV in UTF-8 or GB18030, separated by commas, semicolons or tabs, with Chinese or English headers and a row
for each application system. What is read how:
  CPU        of one pod: 4, 4C, 4核, 0.5核, 500m
  memory     of one pod: 8Gi, 512Mi; 8G, 8GB and 8 are 8Gi too, unless the header says otherwise, as 内存(MB) does
  storage    of the system, likewise
  RTO, RPO   30s, 15分钟, 4h, 1小时30分钟, 1天
  lists      host names and dependencies are separated by ; or 、
  depends on system, unit/system or unit/environment/system
  left empty environment prod, 等保 二级, 1 replica, 冷备, tier 3
Every environment gets a quota of what its systems take and --headroom percent more, every unit a budget likewise, unless
the file (预算CPU, 预算内存, …) or --budgets gives one. Quotas and budgets of the cluster are never made smaller.

Exit codes: 0 all rows imported; 1 rows refused (with --keep-going the others were imported); 2 wrong usage, or a file
cannot be read or written; 3 the cluster refused or did not answer (run again to go on).";

/// Two data centres, one cloud: the command line of Tandem.
#[derive(Debug, Parser)]
#[command(name = "tandem", version, after_help = EXAMPLES, propagate_version = true, arg_required_else_help = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// The language of what is told about failovers and requests; by LC_ALL, LC_MESSAGES or LANG where left out
    #[arg(long, global = true, value_enum, value_name = "LANGUAGE")]
    pub lang: Option<Lang>,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Turn a spreadsheet of application systems into resources
    Import(Box<ImportArgs>),
    /// Show how the city stands on one screen: sites, groups, what is wrong and what to do
    Status(StatusArgs),
    /// Show agencies: their budgets, what is given and used of them
    Units(UnitsArgs),
    /// Show environments: their quotas, when they end, how they stand at each site
    #[command(visible_alias = "environments")]
    Env(EnvArgs),
    /// Show applications: their parts and endpoints, where they are active, how they stand at each site
    #[command(visible_alias = "applications")]
    App(AppArgs),
    /// Show the failover groups: where each is active, and whether it would survive the loss of that site
    Groups(GroupsArgs),
    /// Plan, start, approve, abort and follow moves of failover groups
    #[command(subcommand)]
    Failover(FailoverCommand),
    /// Move groups as planned, both sites healthy, nothing lost
    Switchover(Box<PlannedArgs>),
    /// Move groups home to the preferred site; all of them where none are named
    Failback(Box<PlannedArgs>),
    /// Rehearse groups on clones at the site that is not active; nothing moves
    Drill(Box<DrillArgs>),
    /// Forbid promotions, and allow them again
    #[command(subcommand)]
    Hold(HoldCommand),
    /// Have a site observe and write nothing, until `resume`
    Pause(PauseArgs),
    /// Have a paused site go on
    Resume(ResumeArgs),
    /// Ask for environments, decide on what was asked, follow it, through the REST API
    #[command(subcommand)]
    Request(Box<RequestCommand>),
    /// Look after the arbiter: how it stands, after a restore, a member that is replaced
    #[command(subcommand)]
    Arbiter(Box<ArbiterCommand>),
    /// List, take home and verify what is kept of who did what
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Write the configuration of the balancer before both sites
    #[command(subcommand)]
    Balancer(BalancerCommand),
    /// Look at everything that sites stand on, and say how to mend what is wrong
    Doctor(Box<DoctorArgs>),
    /// Write what a maintainer needs into one file, without any secret
    SupportBundle(Box<BundleArgs>),
    /// Run two data centres on this machine (hands over to tandem-lab)
    #[command(disable_help_flag = true, disable_version_flag = true)]
    Lab {
        /// Arguments of tandem-lab
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENT")]
        arguments: Vec<OsString>,
    },
    /// Print a completion script for a shell
    Completion {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// Which cluster.
#[derive(Clone, Debug, Default, Args)]
pub struct ClusterArgs {
    /// The kubeconfig's context; its current one where none is given
    #[arg(long, value_name = "NAME")]
    pub context: Option<String>,
    /// The kubeconfig; $KUBECONFIG or ~/.kube/config where none is given
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
}

/// Arguments of `tandem import`.
#[derive(Clone, Debug, Args)]
#[command(after_help = IMPORT_EXAMPLES)]
pub struct ImportArgs {
    /// The spreadsheet, saved as CSV; - for standard input
    #[arg(required_unless_present = "columns", value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Apply the resources to the cluster, by server-side apply
    #[arg(long, conflicts_with = "output")]
    pub apply: bool,
    /// Only check and sum up; with --apply, against what the cluster holds
    #[arg(long, conflicts_with = "output")]
    pub dry_run: bool,
    /// Where to write the YAML: a file, or a directory (ending with /) for a file a kind
    #[arg(short, long, value_name = "FILE|DIR/")]
    pub output: Option<PathBuf>,
    /// Import the good rows even if others are bad; a row that needs a bad one is bad too
    #[arg(long)]
    pub keep_going: bool,
    /// Refuse units that the cluster does not have
    #[arg(long, requires = "apply")]
    pub no_new_units: bool,
    /// A CSV of units' budgets: unit code, 预算CPU, 预算内存, 预算存储, 预算副本数, 预算环境数
    #[arg(long, value_name = "FILE")]
    pub budgets: Option<PathBuf>,
    /// Raise the budget of a unit of the cluster where it does not suffice
    #[arg(long, requires = "apply")]
    pub raise_budgets: bool,
    /// How much larger quotas and budgets are than what they have to hold, in percent
    #[arg(long, value_name = "PERCENT", default_value_t = 20, value_parser = clap::value_parser!(u32).range(0..=1000))]
    pub headroom: u32,
    /// Overwrite what others changed since the last import
    #[arg(long, requires = "apply")]
    pub force_conflicts: bool,
    /// How long to wait for the operator to make namespaces, in seconds without any progress
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    pub timeout: u64,
    /// How many requests may be under way at once
    #[arg(long, value_name = "NUMBER", default_value_t = 24, hide = true)]
    pub concurrency: usize,
    /// List the headers that are known, and end
    #[arg(long)]
    pub columns: bool,
    /// Which cluster.
    #[command(flatten)]
    pub cluster: ClusterArgs,
}

/// Arguments of `tandem status`.
#[derive(Clone, Debug, Args)]
pub struct StatusArgs {
    /// How many problems to show, each cut to its lines; 0 for all, with every name and whole messages
    #[arg(long, value_name = "NUMBER", default_value_t = 6)]
    pub limit: usize,
    /// Show it again and again, until Ctrl-C; without a terminal only when something changed
    #[arg(short, long)]
    pub watch: bool,
    /// How to write it
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    pub output: Output,
    /// Which cluster.
    #[command(flatten)]
    pub cluster: ClusterArgs,
}
