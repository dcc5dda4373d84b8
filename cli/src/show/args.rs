//! The command line of what there is.

use crate::args::ClusterArgs;
use crate::output::Output;
use clap::Args;

/// Arguments of `tandem units`.
#[derive(Clone, Debug, Args)]
pub struct UnitsArgs {
    /// The unit to show in detail; all of them, in a list, where left out
    #[arg(value_name = "NAME", conflicts_with = "not_ready")]
    pub name: Option<String>,
    /// Only those that are not ready
    #[arg(long)]
    pub not_ready: bool,
    /// How to write it
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    pub output: Output,
    /// Which cluster.
    #[command(flatten)]
    pub cluster: ClusterArgs,
}

/// Arguments of `tandem env`.
#[derive(Clone, Debug, Args)]
pub struct EnvArgs {
    /// The environment to show in detail; all of them, in a list, where left out
    #[arg(value_name = "NAME", conflicts_with_all = ["unit", "not_ready"])]
    pub name: Option<String>,
    /// Only those of a unit
    #[arg(long, value_name = "UNIT")]
    pub unit: Option<String>,
    /// Only those that are not ready
    #[arg(long)]
    pub not_ready: bool,
    /// How to write it
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    pub output: Output,
    /// Which cluster.
    #[command(flatten)]
    pub cluster: ClusterArgs,
}

/// Arguments of `tandem app`.
#[derive(Clone, Debug, Args)]
pub struct AppArgs {
    /// The application to show in detail, its environment before it; all of them, in a list, where left out
    #[arg(value_name = "ENVIRONMENT/NAME", conflicts_with_all = ["unit", "env", "not_ready"])]
    pub name: Option<String>,
    /// Only those of a unit
    #[arg(long, value_name = "UNIT")]
    pub unit: Option<String>,
    /// Only those in an environment
    #[arg(long, value_name = "ENVIRONMENT")]
    pub env: Option<String>,
    /// Only those that are not ready
    #[arg(long)]
    pub not_ready: bool,
    /// How to write it
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    pub output: Output,
    /// Which cluster.
    #[command(flatten)]
    pub cluster: ClusterArgs,
}
