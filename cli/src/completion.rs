//! Shell completion: scripts for shells, and candidates for kubectl.
//!
//! A shell completes `kubectl tandem …` by asking kubectl, which runs `kubectl_complete-tandem` with the words so far, the last
//! one perhaps empty, and reads one candidate a line, what it means after a tab, and last a colon and a number.

use crate::args::Cli;
use clap::CommandFactory;
use clap_complete::Shell;
use std::ffi::OsString;
use std::path::Path;

/// The name under which kubectl asks for completions of the plugin.
const COMPLETER: &str = "kubectl_complete-tandem";
/// What the last line says where there are candidates: complete nothing else.
const NO_FILES: &str = ":4";
/// And where there are none: complete files.
const FILES: &str = ":0";

/// The completion script of a shell, for `tandem`.
#[must_use]
pub fn script(shell: Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "tandem", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

/// Whether a program's name is the one under which kubectl asks for completions.
#[must_use]
pub fn is_completer(name: &OsString) -> bool {
    Path::new(name).file_name().is_some_and(|name| name == COMPLETER)
}

/// The candidates for the last of these words, as kubectl reads them. The first word is the program's name.
#[must_use]
pub fn candidates(words: Vec<OsString>) -> String {
    let last = words.len().saturating_sub(1);
    let found = clap_complete::engine::complete(&mut Cli::command(), words, last, None).unwrap_or_default();
    let mut text: String = found
        .iter()
        .map(|candidate| {
            let value = candidate.get_value().to_string_lossy();
            let help = candidate.get_help().map(ToString::to_string).unwrap_or_default();
            match help.lines().next() {
                Some(help) if !help.is_empty() => format!("{value}\t{help}\n"),
                _ => format!("{value}\n"),
            }
        })
        .collect();
    text.push_str(if text.is_empty() { FILES } else { NO_FILES });
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(words: &[&str]) -> Vec<String> {
        let words = [COMPLETER].iter().chain(words).map(OsString::from).collect();
        candidates(words).lines().map(str::to_owned).collect()
    }

    #[test]
    fn kubectl_is_given_commands_flags_and_values() {
        let commands = asked(&["fail"]);
        assert!(commands.iter().any(|line| line.starts_with("failover\t")), "{commands:?}");
        assert!(commands.iter().any(|line| line.starts_with("failback\t")), "{commands:?}");
        assert_eq!(commands.last().unwrap(), NO_FILES);
        assert!(asked(&["failover", ""]).iter().any(|line| line.starts_with("plan\t")));
        assert!(asked(&["status", "--wa"]).iter().any(|line| line.starts_with("--watch\t")));
        assert!(asked(&["groups", "--output", ""]).iter().any(|line| line.starts_with("yaml\t")));
        assert!(asked(&["groups", "--lang", "z"]).iter().any(|line| line.starts_with("zh\t")));
    }

    #[test]
    fn where_there_is_nothing_to_say_the_shell_completes_files() {
        assert_eq!(asked(&["failover", "watch", "no-such-"]).last().unwrap(), FILES);
    }

    #[test]
    fn the_name_decides() {
        assert!(is_completer(&"/usr/local/bin/kubectl_complete-tandem".into()));
        assert!(!is_completer(&"kubectl-tandem".into()));
    }

    #[test]
    fn every_shell_has_a_script() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let script = script(shell);
            assert!(script.contains("tandem") && script.contains("failover"), "{shell}");
        }
    }
}
