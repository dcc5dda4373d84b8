//! `tandem`, the command line, also installed as the kubectl plugin `kubectl-tandem`.
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod arbiter;
pub mod args;
pub mod audit;
pub mod balancer;
pub mod bundle;
mod canvas;
pub mod cluster;
pub mod completion;
pub mod doctor;
pub mod exit;
pub mod failover;
pub mod import;
pub mod lab;
pub mod language;
#[cfg(test)]
mod manual;
pub mod output;
pub mod pause;
pub mod ready;
pub mod request;
pub mod show;
pub mod status;

use args::{Cli, Command};
use balancer::BalancerError;
use clap::{CommandFactory, FromArgMatches};
use exit::Exit;
use failover::FailoverError;
use failover::args::TypeArg;
use language::Lang;
use pause::PauseError;
use show::ShowError;
use std::ffi::OsString;
use std::path::Path;

/// Runs the command line. The first argument is the program's name: `kubectl-tandem` makes it a plugin of kubectl, and
/// `kubectl_complete-tandem` what kubectl asks for completions of the plugin.
pub async fn run(arguments: Vec<OsString>) -> Exit {
    if arguments.first().is_some_and(completion::is_completer) {
        output::result(&completion::candidates(arguments));
        return Exit::Ok;
    }
    let mut command = Cli::command();
    if arguments.first().is_some_and(is_plugin) {
        command = command.bin_name("kubectl tandem");
    }
    let parsed = command.clone().try_get_matches_from(arguments).and_then(|matches| Cli::from_arg_matches(&matches));
    let cli = match parsed {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are asked for, and no errors.
            let asked = !error.use_stderr();
            let _ = error.print();
            return if asked { Exit::Ok } else { Exit::Usage };
        }
    };
    let lang = Lang::pick(cli.lang, |name| std::env::var(name).ok());
    let told = |result: Result<Exit, FailoverError>| {
        result.unwrap_or_else(|error| {
            output::error(&error);
            error.exit()
        })
    };
    match cli.command {
        Command::Import(args) => import::command::run(&args).await.unwrap_or_else(|error| {
            output::error(&error);
            error.exit()
        }),
        Command::Status(args) => status::run(&args, lang).await.unwrap_or_else(|error| {
            output::error(&error);
            Exit::Cluster
        }),
        Command::Units(args) => ended(show::units(&args, lang).await, ShowError::exit),
        Command::Env(args) => ended(show::environments(&args, lang).await, ShowError::exit),
        Command::App(args) => ended(show::applications(&args, lang).await, ShowError::exit),
        Command::Groups(args) => told(failover::show_groups(&args, lang).await),
        Command::Failover(command) => told(failover::run(command, lang).await),
        Command::Switchover(args) => told(failover::planned(*args, TypeArg::Switchover, lang).await),
        Command::Failback(args) => told(failover::planned(*args, TypeArg::Failback, lang).await),
        Command::Drill(args) => told(failover::drill(*args, lang).await),
        Command::Hold(command) => told(failover::hold(command, lang).await),
        Command::Pause(args) => ended(pause::pause(&args, lang).await, PauseError::exit),
        Command::Resume(args) => ended(pause::resume(&args, lang).await, PauseError::exit),
        Command::Arbiter(command) => arbiter::run(*command, lang).await.unwrap_or_else(|error| {
            output::error(&error);
            error.exit()
        }),
        Command::Request(command) => request::run(*command, lang).await.unwrap_or_else(|error| {
            output::error(&error);
            error.exit()
        }),
        Command::Audit(command) => audit::run(&command, lang).await.unwrap_or_else(|error| {
            output::error(&error);
            error.exit()
        }),
        Command::Balancer(command) => ended(balancer::run(&command, lang), BalancerError::exit),
        Command::Doctor(args) => doctor::run(&args, lang).await.unwrap_or_else(|error| {
            output::error(&error);
            Exit::Usage
        }),
        Command::SupportBundle(args) => bundle::run(&args, lang).await.unwrap_or_else(|error| {
            output::error(&error);
            Exit::Usage
        }),
        Command::Lab { arguments } => match lab::run(&arguments) {
            Ok(never) => match never {},
            Err(error) => {
                output::error(&error);
                Exit::Usage
            }
        },
        Command::Completion { shell } => {
            output::result(&completion::script(shell));
            Exit::Ok
        }
    }
}

/// How a command ended; what went wrong is told.
fn ended<E: std::error::Error>(result: Result<Exit, E>, exit: impl FnOnce(&E) -> Exit) -> Exit {
    result.unwrap_or_else(|error| {
        output::error(&error);
        exit(&error)
    })
}

/// Whether a program's name is the one under which kubectl finds its plugin.
fn is_plugin(name: &OsString) -> bool {
    Path::new(name).file_name().is_some_and(|name| name == "kubectl-tandem" || name == "kubectl_tandem")
}
