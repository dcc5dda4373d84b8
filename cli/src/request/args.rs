//! The command line of `tandem request`.

use crate::output::Output;
use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Subcommand, ValueEnum};
use std::path::PathBuf;
use tandem_crds::{DecisionRole, Purpose, RequestPhase, RequestType};

pub(super) const REQUEST_EXAMPLES: &str = "\
Examples:
  export TANDEM_API=https://api.dc-a.city.example TANDEM_API_CA=ca.crt TANDEM_TOKEN_FILE=token
  tandem request create -f request.yaml --watch            ask, and follow it / 申请并跟踪
  tandem request list --phase pending                      what waits for a decision / 待审批的申请
  tandem request get health-3f9a0c417b2d                   one request / 查看一项申请
  tandem request approve health-3f9a0c417b2d --note 'ok'   agree to it / 批准
  tandem request watch health-3f9a0c417b2d                 follow it until it ends / 跟踪至结束

How it goes: an agency asks (create). Platform operators decide, and where the security profile
demands it security administrators too (approve, reject). Then both sites carry it out (watch).
Nobody decides their own request.

Signing in: by a client certificate (--cert, --key) or by a token, in a file (--token-file, read
anew for every call) or in the environment (TANDEM_TOKEN). A token is never an argument, which
others on the machine could read. Arguments come before the environment.

Each change is sent under an Idempotency-Key. Where no answer comes, send it again with the key
that is shown: it is done once.

Exit codes: 0 done (watch: provisioned); 1 refused, or it ended otherwise; 2 wrong usage, or a file
cannot be read; 3 the API is not reached, does not take the sign-in, or cannot do it now.";

pub(super) const CREATE_EXAMPLES: &str = "\
Examples:
  a new environment / 新建环境:
    tandem request create --type create --environment health-new --display-name 卫健新业务 \\
        --cpu 4 --memory 8Gi --storage 100Gi --pods 20 --reason 'registration opens' --watch
  another quota, in all and not in addition / 调整配额（总量）:
    tandem request create --type resize --environment health-prod \\
        --cpu 8 --memory 32Gi --storage 200Gi --pods 60 --reason 'winter season'
  kept longer / 延期:
    tandem request create --type extend --environment health-lab \\
        --until 2027-06-30T00:00:00Z --reason 'the trial goes on'
  from a file / 使用文件:
    tandem request create -f request.yaml

A file, YAML or JSON, has the fields of the API's body (docs/openapi.json, NewRequest):
  type: Create
  environment: health-new
  displayName: {zh: 卫健新业务, en: 'Health, new'}
  purpose: Test
  quota: {cpu: 4, memory: 8Gi, storage: 100Gi, pods: 20}
  members: [{group: health-developers, role: Administrator}]
  until: 2027-06-30T00:00:00Z
  reason: registration opens in May";

/// `tandem request …`.
#[derive(Debug, Subcommand)]
#[command(after_help = REQUEST_EXAMPLES)]
pub enum RequestCommand {
    /// Ask for an environment, or for one to be resized, kept longer or deleted
    #[command(after_help = CREATE_EXAMPLES)]
    Create(Box<CreateArgs>),
    /// List requests
    List(ListArgs),
    /// Show a request: what is asked for, who decided, how far each site is
    Get(GetArgs),
    /// Agree to a request: shows it, asks, then sends the digest of what was shown
    Approve(DecideArgs),
    /// Refuse a request: one refusal ends it
    Reject(DecideArgs),
    /// Take a request back while nothing is decided
    Withdraw(WordArgs),
    /// Call an approved deletion off, within its grace period
    Undo(WordArgs),
    /// Follow a request until it is provisioned, rejected or withdrawn
    Watch(WatchArgs),
}

/// How the API is reached, and as whom.
#[derive(Clone, Debug, Default, Args)]
pub struct ApiArgs {
    /// The API's address, https://…; either site's
    #[arg(long, env = "TANDEM_API", value_name = "URL")]
    pub api: Option<String>,
    /// The authority that signed the API's certificate, PEM; no other is believed
    #[arg(long, env = "TANDEM_API_CA", value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// Your certificate, PEM [env: TANDEM_CERT]
    #[arg(long, value_name = "FILE", requires = "key")]
    pub cert: Option<PathBuf>,
    /// Its key, PEM [env: TANDEM_KEY]
    #[arg(long, value_name = "FILE", requires = "cert")]
    pub key: Option<PathBuf>,
    /// A file with your token, instead of a certificate [env: TANDEM_TOKEN_FILE; the token itself: TANDEM_TOKEN]
    #[arg(long, value_name = "FILE", conflicts_with_all = ["cert", "key"])]
    pub token_file: Option<PathBuf>,
    /// How long to try again while the API asks to wait (429, 503), in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    pub wait: u64,
}

/// What comes with everything that changes something.
#[derive(Clone, Debug, Default, Args)]
pub struct SendArgs {
    /// What the API knows the call by: sent again with the same key, it is done once. A new one where left out
    #[arg(long, value_name = "KEY", value_parser = NonEmptyStringValueParser::new())]
    pub idempotency_key: Option<String>,
    /// How to write it
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    pub output: Output,
    /// How the API is reached.
    #[command(flatten)]
    pub api: ApiArgs,
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TypeArg {
    /// A new environment
    Create,
    /// Another quota, larger or smaller
    Resize,
    /// A later expiry
    Extend,
    /// The environment's end, after a grace period
    Delete,
}

impl From<TypeArg> for RequestType {
    fn from(kind: TypeArg) -> Self {
        match kind {
            TypeArg::Create => Self::Create,
            TypeArg::Resize => Self::Resize,
            TypeArg::Extend => Self::Extend,
            TypeArg::Delete => Self::Delete,
        }
    }
}

/// What an environment is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PurposeArg {
    /// Serves the public or other agencies
    Production,
    /// For tests before production
    Test,
    /// For development
    Development,
    /// For training staff
    Training,
}

impl From<PurposeArg> for Purpose {
    fn from(purpose: PurposeArg) -> Self {
        match purpose {
            PurposeArg::Production => Self::Production,
            PurposeArg::Test => Self::Test,
            PurposeArg::Development => Self::Development,
            PurposeArg::Training => Self::Training,
        }
    }
}

/// How a request stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PhaseArg {
    /// It waits for decisions
    Pending,
    /// Agreed to, nothing was done yet
    Approved,
    /// Refused
    Rejected,
    /// Taken back
    Withdrawn,
    /// The sites are at work
    Provisioning,
    /// Every site has done it
    Provisioned,
    /// Some sites have done it
    #[value(alias = "partiallyprovisioned")]
    PartiallyProvisioned,
}

impl From<PhaseArg> for RequestPhase {
    fn from(phase: PhaseArg) -> Self {
        match phase {
            PhaseArg::Pending => Self::Pending,
            PhaseArg::Approved => Self::Approved,
            PhaseArg::Rejected => Self::Rejected,
            PhaseArg::Withdrawn => Self::Withdrawn,
            PhaseArg::Provisioning => Self::Provisioning,
            PhaseArg::Provisioned => Self::Provisioned,
            PhaseArg::PartiallyProvisioned => Self::PartiallyProvisioned,
        }
    }
}

/// In which role somebody decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum RoleArg {
    /// As a platform operator (系统管理员)
    Platform,
    /// As a security administrator (安全管理员)
    Security,
}

impl From<RoleArg> for DecisionRole {
    fn from(role: RoleArg) -> Self {
        match role {
            RoleArg::Platform => Self::Platform,
            RoleArg::Security => Self::Security,
        }
    }
}

/// Arguments of `tandem request create`.
#[derive(Clone, Debug, Args)]
pub struct CreateArgs {
    /// A file that says what is asked for, YAML or JSON; - for standard input
    #[arg(short, long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// What is asked for, where no file says it.
    #[command(flatten)]
    pub what: WhatArgs,
    /// Follow it until it ends
    #[arg(short, long)]
    pub watch: bool,
    /// Give up following after this time; the request goes on by itself
    #[arg(long, value_name = "SECONDS", requires = "watch")]
    pub timeout: Option<u64>,
    /// How it is sent.
    #[command(flatten)]
    pub send: SendArgs,
}

/// What is asked for, by flags.
#[derive(Clone, Debug, Default, Args)]
pub struct WhatArgs {
    /// What is asked for
    #[arg(
        long = "type",
        value_enum,
        value_name = "TYPE",
        ignore_case = true,
        required_unless_present = "file",
        conflicts_with = "file"
    )]
    pub kind: Option<TypeArg>,
    /// The environment that it is about, by its full name, UNIT-NAME, such as health-prod
    #[arg(long, value_name = "NAME", required_unless_present = "file", conflicts_with = "file")]
    pub environment: Option<String>,
    /// The unit that asks; your own where left out
    #[arg(long, value_name = "UNIT", conflicts_with = "file")]
    pub unit: Option<String>,
    /// Create, resize: processor cores in all, such as 4 or 500m
    #[arg(long, value_name = "CORES", conflicts_with = "file")]
    pub cpu: Option<String>,
    /// Create, resize: memory in all, such as 8Gi
    #[arg(long, value_name = "BYTES", conflicts_with = "file")]
    pub memory: Option<String>,
    /// Create, resize: persistent storage in all, such as 100Gi
    #[arg(long, value_name = "BYTES", conflicts_with = "file")]
    pub storage: Option<String>,
    /// Create, resize: how many pods in all
    #[arg(long, value_name = "NUMBER", conflicts_with = "file")]
    pub pods: Option<u64>,
    /// Create: the environment's name for people, in Chinese
    #[arg(long, value_name = "TEXT", conflicts_with = "file")]
    pub display_name: Option<String>,
    /// Create: the same in English
    #[arg(long, value_name = "TEXT", requires = "display_name", conflicts_with = "file")]
    pub display_name_en: Option<String>,
    /// Create: what the environment is for; production where left out
    #[arg(long, value_enum, value_name = "PURPOSE", ignore_case = true, conflicts_with = "file")]
    pub purpose: Option<PurposeArg>,
    /// Create: the security profile; the unit's where left out
    #[arg(long, value_name = "NAME", conflicts_with = "file")]
    pub security_profile: Option<String>,
    /// Create, extend: until when it is needed, such as 2027-06-30T00:00:00Z
    #[arg(long, value_name = "TIME", conflicts_with = "file")]
    pub until: Option<String>,
    /// Why, for those who decide
    #[arg(long, value_name = "TEXT", required_unless_present = "file", conflicts_with = "file")]
    pub reason: Option<String>,
}

/// Arguments of `tandem request list`.
#[derive(Clone, Debug, Args)]
pub struct ListArgs {
    /// Only those of a unit
    #[arg(long, value_name = "UNIT")]
    pub unit: Option<String>,
    /// Only those about an environment, by its full name
    #[arg(long, value_name = "NAME")]
    pub environment: Option<String>,
    /// Only those that ask for this
    #[arg(long = "type", value_enum, value_name = "TYPE", ignore_case = true)]
    pub kind: Option<TypeArg>,
    /// Only those that stand so
    #[arg(long, value_enum, value_name = "PHASE", ignore_case = true)]
    pub phase: Option<PhaseArg>,
    /// How to write it
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    pub output: Output,
    /// How the API is reached.
    #[command(flatten)]
    pub api: ApiArgs,
}

/// Arguments of `tandem request get`.
#[derive(Clone, Debug, Args)]
pub struct GetArgs {
    /// The request
    #[arg(value_name = "NAME")]
    pub name: String,
    /// How to write it
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    pub output: Output,
    /// How the API is reached.
    #[command(flatten)]
    pub api: ApiArgs,
}

/// Arguments of `tandem request approve` and `reject`.
#[derive(Clone, Debug, Args)]
pub struct DecideArgs {
    /// The request
    #[arg(value_name = "NAME")]
    pub name: String,
    /// What you have to say about it
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub note: String,
    /// In which role you decide; the one that you have where left out
    #[arg(long, value_enum, value_name = "ROLE", ignore_case = true)]
    pub role: Option<RoleArg>,
    /// Do not ask whether to go on
    #[arg(short, long)]
    pub yes: bool,
    /// How it is sent.
    #[command(flatten)]
    pub send: SendArgs,
}

/// Arguments of `tandem request withdraw` and `undo`.
#[derive(Clone, Debug, Args)]
pub struct WordArgs {
    /// The request
    #[arg(value_name = "NAME")]
    pub name: String,
    /// What you have to say about it
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub note: String,
    /// How it is sent.
    #[command(flatten)]
    pub send: SendArgs,
}

/// Arguments of `tandem request watch`.
#[derive(Clone, Debug, Args)]
pub struct WatchArgs {
    /// The request
    #[arg(value_name = "NAME")]
    pub name: String,
    /// Give up after this time; the request goes on by itself
    #[arg(long, value_name = "SECONDS")]
    pub timeout: Option<u64>,
    /// How the API is reached.
    #[command(flatten)]
    pub api: ApiArgs,
}
