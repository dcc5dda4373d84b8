//! The command line of everything about who is active.

use crate::args::ClusterArgs;
use crate::output::Output;
use crate::request::args::ApiArgs;
use clap::{Args, Subcommand, ValueEnum};
use tandem_core::plan::Wanted;
use tandem_crds::{DataLoss, FailoverSelector, FailoverType};

const FAILOVER_EXAMPLES: &str = "\
Examples:
  tandem failover plan --site dc-a                        what would move, in which order / 查看切换计划
  tandem failover start --site dc-a --type failover --reason 'dc-a lost power' --watch
  tandem failover list --under-way                        what moves now / 查看进行中的切换
  tandem failover approve move-7 --note 'as agreed'       agree to it / 批准
  tandem failover watch --latest                          follow the newest one / 跟踪最近一次切换
  tandem failover watch --next --context dc-b             wait for the next one / 等待下一次切换
  tandem failover abort move-7                            take it back / 中止并回退
  tandem failover report move-7 --format html > move-7.html   what it came to, for the files / 生成报告存档

Exit codes: 0 done (watch: completed); 1 refused, or not completed; 2 wrong usage; 3 the cluster refused or did not answer.";

const HOLD_EXAMPLES: &str = "\
Examples:
  tandem hold set --site dc-b --reason 'storage work'     nothing is promoted at dc-b / 禁止向 dc-b 提升
  tandem hold clear --site dc-b                           lift it / 解除
  tandem hold list                                        what is held, and why / 查看冻结

A hold forbids every promotion while it stands. It never keeps a site from fencing itself.";

/// Arguments of `tandem groups`.
#[derive(Clone, Debug, Args)]
pub struct GroupsArgs {
    /// How to write it
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    pub output: Output,
    /// Which cluster.
    #[command(flatten)]
    pub cluster: ClusterArgs,
}

/// `tandem failover …`.
#[derive(Debug, Subcommand)]
#[command(after_help = FAILOVER_EXAMPLES)]
pub enum FailoverCommand {
    /// Show what would move, in which order, how long it would take, and what would be refused
    Plan(PlanArgs),
    /// List moves, the newest first
    List(ListArgs),
    /// Ask for a move: makes a Failover object, which the operators carry out
    Start(StartArgs),
    /// Agree to a move
    Approve(ApproveArgs),
    /// Take a move back; what has been promoted already stays where it is
    Abort(NameArgs),
    /// Have a move wait where that is safe
    Pause(NameArgs),
    /// Have a paused move go on
    Resume(NameArgs),
    /// Follow a move until it ends
    Watch(WatchArgs),
    /// Show the report on a move that has ended, through the API: who agreed, how the source was fenced, what was lost, and how it
    /// is known
    Report(ReportArgs),
}

/// In which form a report is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ReportForm {
    /// For a terminal, in one language
    #[default]
    Text,
    /// One page to be printed and filed, in both languages
    Html,
}

/// Arguments of `tandem failover report`.
#[derive(Clone, Debug, Args)]
pub struct ReportArgs {
    /// The Failover's name, or the execution's id once that object is gone
    #[arg(value_name = "NAME")]
    pub name: String,
    /// For people, in this form
    #[arg(long, value_enum, default_value_t = ReportForm::Text, conflicts_with = "output")]
    pub format: ReportForm,
    /// For programs
    #[arg(short, long, value_enum)]
    pub output: Option<Output>,
    /// How the API is reached.
    #[command(flatten)]
    pub api: ApiArgs,
}

/// Which groups: at most one way of saying so.
#[derive(Clone, Debug, Default, PartialEq, Eq, Args)]
#[group(multiple = false)]
pub struct SelectArgs {
    /// These groups, separated by commas
    #[arg(long, value_name = "GROUPS", value_delimiter = ',', visible_alias = "group")]
    pub groups: Vec<String>,
    /// The groups of a unit's applications
    #[arg(long, value_name = "UNIT")]
    pub unit: Option<String>,
    /// The groups that are active at a site, and the right to publish
    #[arg(long, value_name = "SITE")]
    pub site: Option<String>,
    /// All groups, and the right to publish
    #[arg(long)]
    pub all: bool,
}

impl SelectArgs {
    /// The selector as it stands in a Failover; nothing where the command line says nothing.
    #[must_use]
    pub fn selector(&self) -> Option<FailoverSelector> {
        let given = !self.groups.is_empty() || self.unit.is_some() || self.site.is_some() || self.all;
        given.then(|| FailoverSelector {
            groups: self.groups.clone(),
            unit: self.unit.clone(),
            site: self.site.clone(),
            all: self.all,
        })
    }
}

/// What to move, and how.
#[derive(Clone, Debug, Default, Args)]
pub struct MoveArgs {
    /// Which groups.
    #[command(flatten)]
    pub select: SelectArgs,
    /// Where to; the other site where left out, for a failback the preferred one
    #[arg(long, value_name = "SITE")]
    pub to: Option<String>,
    /// Consent to losing that many seconds of writes, or `any` amount; takes two approvers (failover only)
    #[arg(long, value_name = "SECONDS|any", value_parser = parse_loss)]
    pub accept_data_loss: Option<Loss>,
    /// Move although the target does not report ready; takes two approvers (failover only)
    #[arg(long)]
    pub despite_not_ready: bool,
    /// How many groups move at once
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(i32).range(1..=1000))]
    pub max_parallel: Option<i32>,
}

impl MoveArgs {
    /// What the command line says. Where it names no groups: all.
    #[must_use]
    pub fn wanted(&self, kind: Option<FailoverType>) -> Wanted {
        let all = || FailoverSelector { all: true, ..FailoverSelector::default() };
        Wanted {
            kind,
            selector: self.select.selector().unwrap_or_else(all),
            to: self.to.clone(),
            accept_data_loss: self.accept_data_loss.map(|loss| DataLoss {
                max_seconds: match loss {
                    Loss::Seconds(seconds) => Some(seconds.into()),
                    Loss::Any => None,
                },
            }),
            despite_not_ready: self.despite_not_ready,
            max_parallel: self.max_parallel,
        }
    }
}

/// How much loss is consented to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// That many seconds of writes.
    Seconds(u32),
    /// Any amount, also where nobody can tell how much.
    Any,
}

fn parse_loss(text: &str) -> Result<Loss, String> {
    match text {
        "any" => Ok(Loss::Any),
        _ => text
            .trim_end_matches('s')
            .parse()
            .map(Loss::Seconds)
            .map_err(|_| "give a number of seconds such as 30, or `any`".to_owned()),
    }
}

/// What a move is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TypeArg {
    /// Planned, both sites healthy, nothing lost
    Switchover,
    /// Unplanned: the site that holds the groups is lost
    Failover,
    /// A rehearsal on clones; nothing moves
    Drill,
    /// A switchover home, to the preferred site
    Failback,
}

impl From<TypeArg> for FailoverType {
    fn from(kind: TypeArg) -> Self {
        match kind {
            TypeArg::Switchover => Self::Switchover,
            TypeArg::Failover => Self::Failover,
            TypeArg::Drill => Self::Drill,
            TypeArg::Failback => Self::Failback,
        }
    }
}

/// Arguments of `tandem failover plan`.
#[derive(Clone, Debug, Args)]
pub struct PlanArgs {
    /// What it is; where left out, a switchover while the site that is left is heard, else a failover
    #[arg(long = "type", value_enum, value_name = "TYPE")]
    pub kind: Option<TypeArg>,
    /// What to move, and how.
    #[command(flatten)]
    pub what: MoveArgs,
    /// How to write it
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    pub output: Output,
    /// Which cluster.
    #[command(flatten)]
    pub cluster: ClusterArgs,
}

/// Arguments of `tandem failover list`.
#[derive(Clone, Debug, Args)]
pub struct ListArgs {
    /// Only those that have not ended
    #[arg(long)]
    pub under_way: bool,
    /// How to write it
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    pub output: Output,
    /// Which cluster.
    #[command(flatten)]
    pub cluster: ClusterArgs,
}

/// How to ask for a move.
#[derive(Clone, Debug, Default, Args)]
pub struct AskArgs {
    /// Why, for those who read about it later
    #[arg(long, value_name = "TEXT", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub reason: String,
    /// The object's name and the execution's id: asked twice with one key, also at the other site, it is one move
    #[arg(long, value_name = "KEY")]
    pub idempotency_key: Option<String>,
    /// Who asks; whoever the API server takes you for where left out
    #[arg(long, value_name = "NAME")]
    pub by: Option<String>,
    /// Do not ask whether to go on
    #[arg(short, long)]
    pub yes: bool,
    /// Follow it until it ends
    #[arg(short, long)]
    pub watch: bool,
}

/// Arguments of `tandem failover start`.
#[derive(Clone, Debug, Args)]
pub struct StartArgs {
    /// What it is
    #[arg(long = "type", value_enum, value_name = "TYPE")]
    pub kind: TypeArg,
    /// What to move, and how.
    #[command(flatten)]
    pub what: MoveArgs,
    /// How to ask.
    #[command(flatten)]
    pub ask: AskArgs,
    /// Which cluster.
    #[command(flatten)]
    pub cluster: ClusterArgs,
}

/// Arguments of `tandem switchover` and `tandem failback`.
#[derive(Clone, Debug, Args)]
pub struct PlannedArgs {
    /// Which groups.
    #[command(flatten)]
    pub select: SelectArgs,
    /// Where to; the other site where left out, for a failback the preferred one
    #[arg(long, value_name = "SITE")]
    pub to: Option<String>,
    /// How many groups move at once
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(i32).range(1..=1000))]
    pub max_parallel: Option<i32>,
    /// How to ask.
    #[command(flatten)]
    pub ask: AskArgs,
    /// Which cluster.
    #[command(flatten)]
    pub cluster: ClusterArgs,
}

impl PlannedArgs {
    /// The same as arguments of `tandem failover start`. A failback that names no groups is one of all of them.
    #[must_use]
    pub fn into_start(self, kind: TypeArg) -> StartArgs {
        let mut select = self.select;
        select.all |= kind == TypeArg::Failback && select.selector().is_none();
        let what = MoveArgs { select, to: self.to, max_parallel: self.max_parallel, ..MoveArgs::default() };
        StartArgs { kind, what, ask: self.ask, cluster: self.cluster }
    }
}

/// Arguments of `tandem drill`.
#[derive(Clone, Debug, Args)]
pub struct DrillArgs {
    /// The groups
    #[arg(value_name = "GROUP", required = true)]
    pub groups: Vec<String>,
    /// How many groups are rehearsed at once
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(i32).range(1..=1000))]
    pub max_parallel: Option<i32>,
    /// How to ask.
    #[command(flatten)]
    pub ask: AskArgs,
    /// Which cluster.
    #[command(flatten)]
    pub cluster: ClusterArgs,
}

impl DrillArgs {
    /// The same as arguments of `tandem failover start`.
    #[must_use]
    pub fn into_start(self) -> StartArgs {
        let select = SelectArgs { groups: self.groups, ..SelectArgs::default() };
        let what = MoveArgs { select, max_parallel: self.max_parallel, ..MoveArgs::default() };
        StartArgs { kind: TypeArg::Drill, what, ask: self.ask, cluster: self.cluster }
    }
}

/// A move by name.
#[derive(Clone, Debug, Args)]
pub struct NameArgs {
    /// The Failover's name
    #[arg(value_name = "NAME")]
    pub name: String,
    /// Which cluster.
    #[command(flatten)]
    pub cluster: ClusterArgs,
}

/// Arguments of `tandem failover approve`.
#[derive(Clone, Debug, Args)]
pub struct ApproveArgs {
    /// The Failover's name
    #[arg(value_name = "NAME")]
    pub name: String,
    /// Who agrees; whoever the API server takes you for where left out
    #[arg(long, value_name = "NAME")]
    pub by: Option<String>,
    /// What to say with it
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub note: String,
    /// Which cluster.
    #[command(flatten)]
    pub cluster: ClusterArgs,
}

/// Arguments of `tandem failover watch`.
#[derive(Clone, Debug, Args)]
pub struct WatchArgs {
    /// The Failover's name
    #[arg(value_name = "NAME", required_unless_present_any = ["latest", "next"], conflicts_with_all = ["latest", "next"])]
    pub name: Option<String>,
    /// The newest one
    #[arg(long, conflicts_with = "next")]
    pub latest: bool,
    /// The newest one that is under way; where there is none, wait for the next that begins, asked for or not
    #[arg(long)]
    pub next: bool,
    /// Lines of what changes, as without a terminal; ends also where a person is needed
    #[arg(long)]
    pub plain: bool,
    /// Give up after so many seconds
    #[arg(long, value_name = "SECONDS")]
    pub timeout: Option<u64>,
    /// Which cluster.
    #[command(flatten)]
    pub cluster: ClusterArgs,
}

/// `tandem hold …`.
#[derive(Debug, Subcommand)]
#[command(after_help = HOLD_EXAMPLES)]
pub enum HoldCommand {
    /// Forbid promotions
    Set(HoldSetArgs),
    /// Lift a hold, also one that was set at the other site
    Clear(HoldClearArgs),
    /// Show what is held, and why
    List(GroupsArgs),
}

/// What a hold covers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Args)]
#[group(required = true, multiple = false)]
pub struct HoldScope {
    /// One failover group
    #[arg(long, value_name = "GROUP")]
    pub group: Option<String>,
    /// Every promotion at a site
    #[arg(long, value_name = "SITE")]
    pub site: Option<String>,
    /// Every promotion everywhere
    #[arg(long)]
    pub all: bool,
}

/// Arguments of `tandem hold set`.
#[derive(Clone, Debug, Args)]
pub struct HoldSetArgs {
    /// What it covers.
    #[command(flatten)]
    pub scope: HoldScope,
    /// Why, for those who find it
    #[arg(long, value_name = "TEXT", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub reason: String,
    /// Which site the cluster is, for --all; known where the context or cluster bears the site's name
    #[arg(long, value_name = "SITE")]
    pub here: Option<String>,
    /// Which cluster.
    #[command(flatten)]
    pub cluster: ClusterArgs,
}

/// Arguments of `tandem hold clear`.
#[derive(Clone, Debug, Args)]
pub struct HoldClearArgs {
    /// What it covers.
    #[command(flatten)]
    pub scope: HoldScope,
    /// Which site the cluster is, for --all; known where the context or cluster bears the site's name
    #[arg(long, value_name = "SITE")]
    pub here: Option<String>,
    /// Which cluster.
    #[command(flatten)]
    pub cluster: ClusterArgs,
}
