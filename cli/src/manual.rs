//! `docs/cli.md`, written from the command line itself: a command that is added is in it once it is generated anew.

use crate::args::Cli;
use crate::exit::Exit;
use clap::{Arg, Command, CommandFactory};
use std::path::Path;

const PREFACE: &str = "\
# The command line

`tandem`, installed as the kubectl plugin `kubectl-tandem` too: `kubectl tandem status` is `tandem status`. This page is written
from the program (`make generate`); a test fails when it is stale. `tandem COMMAND --help` says the same.

Every command that asks a cluster takes `--context` and `--kubeconfig`, as kubectl does, and asks that one cluster alone: give the
context of a site that answers. `--lang en|zh` chooses the language of what people read; where it is left out, `LC_ALL`,
`LC_MESSAGES` or `LANG` does.

## Installing the plugin and completion

`make programs` and the image put two links beside `tandem`: `kubectl-tandem`, by which kubectl finds the plugin, and
`kubectl_complete-tandem`, which kubectl (1.26 and newer) asks for completions of it. Elsewhere:

    ln -s tandem /usr/local/bin/kubectl-tandem
    ln -s tandem /usr/local/bin/kubectl_complete-tandem
    source <(tandem completion bash)         # or zsh; fish: tandem completion fish | source
";

const FIELDS: &str = "\
## What programs read

`-o json` and `-o yaml` have the same fields, in camelCase. A field keeps its name and meaning within a version of the API
(`v1alpha1`); new ones may come, so pass over those that you do not know. `-o wide` is for people: a table with more columns where
there are more.

| Command | What it writes |
| --- | --- |
| `units`, `env`, `app` | the object as Kubernetes has it, without `managedFields`; several in a `List` |
| `status` | one object, below |
| `groups` | a list: `group`, `active`, `epoch`, `phase`, `mode`, `ready`, `protected`, `why`, `whyNotAutomatic`, `hold`, `execution`, `lagSeconds` |
| `failover list` | a list: `name`, `type`, `from`, `to`, `phase`, `groups`, `serving`, `heldUp`, `steps`, `asked`, `began`, `ended`, `reason`, `message`, `messageZh` |
| `failover plan` | `Plan` of [openapi.json](openapi.json) |
| `hold list` | a list: `scope`, `reason`, `by`, `inForce` |
| `request list`, `request get` | what the API answers: `Request` of [openapi.json](openapi.json) |
| `arbiter status` | `cluster`, `generation`, `restore`, `word`, `revision`, `groups`, `unconfirmed`, `members`, `replicas`, `findings` |
| `audit verify` | `holds`, `site`, `first`, `head`, `anchors`, `anchorsFound`, `brokenAt`, `why` |

`tandem status`:

| Field | What it is |
| --- | --- |
| `well` | nothing is critical, and nothing to be warned of: exit code 0 |
| `seenFrom` | the site whose cluster was asked; null where that cannot be told |
| `authority` | the site that may publish; null where none, or more than one, says so |
| `sites` | each site: `name`, `displayName`, `preference`, `authority`, `leader`, `members`, `heard`, `fenced`, `arbiter` (`Healthy`, or what is worst; null for the other site), `ready`, `reason` |
| `groups` | sums: `all`, `activeAt` by site, `activeNowhere`, `protected`, `exposed`, `unknown`, `automatic`, `held`, `moving`, `settling` (the move has ended, and a site has still to follow) |
| `moves` | those that have not ended, as `failover list` has them |
| `kinds` | `kind`, `ready`, `of` |
| `problems` | the worst first: `severity` (`Critical`, `Warning`, `Notice`), `reason`, `kind`, `objects`, and as sentences `message`, `meaning`, `mend`, each with its `…Zh` |
";

fn manual() -> String {
    let mut command = Cli::command();
    command.build();
    let mut text = PREFACE.to_owned();
    text.push_str("\n## Exit codes\n\n| Code | Meaning |\n| --- | --- |\n");
    for exit in Exit::ALL {
        text.push_str(&format!("| {} | {} |\n", exit.code(), exit.meaning()));
    }
    text.push_str("\n`tandem lab` ends as `tandem-lab` does.\n\n");
    text.push_str(FIELDS);
    text.push_str("\n## Commands\n\n| Command | What it does |\n| --- | --- |\n");
    for (path, command) in all(&command) {
        if command.get_subcommands().all(is_help) {
            text.push_str(&format!("| [`{path}`](#{}) | {} |\n", anchor(&path), cell(&about(command))));
        }
    }
    for (path, command) in all(&command) {
        text.push_str(&section(&path, command));
    }
    text
}

/// Every command but the first, with those above it.
fn all(command: &Command) -> Vec<(String, &Command)> {
    fn below<'a>(path: &str, command: &'a Command, found: &mut Vec<(String, &'a Command)>) {
        for command in command.get_subcommands().filter(|command| !command.is_hide_set() && !is_help(command)) {
            let path = format!("{path} {}", command.get_name());
            found.push((path.clone(), command));
            below(&path, command, found);
        }
    }
    let mut found = Vec::new();
    below("tandem", command, &mut found);
    found
}

fn is_help(command: &Command) -> bool {
    command.get_name() == "help"
}

fn about(command: &Command) -> String {
    command.get_long_about().or_else(|| command.get_about()).map(ToString::to_string).unwrap_or_default()
}

/// As GitHub makes it of a heading.
fn anchor(heading: &str) -> String {
    heading.replace(' ', "-")
}

/// Text in a cell of a table.
fn cell(text: &str) -> String {
    text.replace('\n', " ").replace('|', "\\|")
}

fn section(path: &str, command: &Command) -> String {
    let mut text = format!("\n### {path}\n\n{}.\n", about(command).trim_end_matches('.'));
    let aliases: Vec<&str> = command.get_visible_aliases().collect();
    if !aliases.is_empty() {
        text.push_str(&format!("\nAlso called `{}`.\n", aliases.join("`, `")));
    }
    let usage = command.clone().render_usage().to_string();
    let usage = usage.trim().trim_start_matches("Usage: ").replace("\n       ", "\n");
    text.push_str(&format!("\n```text\n{usage}\n```\n"));
    let of_command = |arg: &&Arg| !arg.is_hide_set() && !["help", "version", "lang"].contains(&arg.get_id().as_str());
    let arguments: Vec<&Arg> = command.get_arguments().filter(of_command).collect();
    if !arguments.is_empty() && !path.ends_with(" lab") {
        text.push_str("\n| Argument | What it is |\n| --- | --- |\n");
        for argument in arguments {
            text.push_str(&format!("| `{}` | {} |\n", cell(&form(argument)), cell(&meaning(argument))));
        }
    }
    if let Some(after) = command.get_after_help() {
        text.push_str(&format!("\n```text\n{}\n```\n", after.to_string().trim_end()));
    }
    text
}

/// How an argument is written.
fn form(argument: &Arg) -> String {
    let names: Vec<&str> = argument.get_value_names().unwrap_or_default().iter().map(|name| name.as_str()).collect();
    let value = names.join(" ");
    if argument.is_positional() {
        return value;
    }
    let short = argument.get_short().map(|short| format!("-{short}"));
    let long = argument.get_long().map(|long| format!("--{long}"));
    let flag: Vec<String> = short.into_iter().chain(long).collect();
    let takes = argument.get_action().takes_values();
    if takes { format!("{} {value}", flag.join(", ")) } else { flag.join(", ") }
}

/// What an argument means, and what it may be.
fn meaning(argument: &Arg) -> String {
    let mut text = argument.get_help().map(ToString::to_string).unwrap_or_default();
    let quoted = |values: Vec<String>| values.iter().map(|value| format!("`{value}`")).collect::<Vec<_>>().join(", ");
    let mut notes = Vec::new();
    if argument.get_action().takes_values() {
        let possible = argument.get_possible_values();
        let possible: Vec<String> =
            possible.iter().filter(|p| !p.is_hide_set()).map(|p| p.get_name().to_owned()).collect();
        if !possible.is_empty() {
            notes.push(format!("one of {}", quoted(possible)));
        }
        let default: Vec<String> =
            argument.get_default_values().iter().map(|value| value.to_string_lossy().into_owned()).collect();
        if default.iter().any(|value| !value.is_empty()) {
            notes.push(format!("{} where left out", quoted(default)));
        }
    }
    if let Some(variable) = argument.get_env() {
        notes.push(format!("also from `{}`", variable.to_string_lossy()));
    }
    if argument.is_required_set() {
        notes.push("required".to_owned());
    }
    if !notes.is_empty() {
        text.push_str(&format!(" ({})", notes.join("; ")));
    }
    text
}

/// With `TANDEM_WRITE_DOCS=1` the page is written; else it is compared.
#[test]
fn the_manual_has_every_command_as_it_is() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/cli.md");
    let wanted = manual();
    if std::env::var_os("TANDEM_WRITE_DOCS").is_some() {
        std::fs::write(&path, &wanted).unwrap();
    } else {
        let standing = std::fs::read_to_string(&path).unwrap();
        assert!(standing == wanted, "docs/cli.md is stale: run `make generate` and commit it");
    }
}

/// The names of an object's fields.
fn fields(value: &impl serde::Serialize) -> Vec<String> {
    serde_json::to_value(value).unwrap().as_object().unwrap().keys().cloned().collect()
}

#[test]
fn every_field_that_programs_read_is_named() {
    let report = crate::status::report(&crate::status::Seen::default());
    let failover = serde_json::from_value(serde_json::json!({
        "metadata": {"name": "m"}, "spec": {"type": "Drill", "selector": {"all": true}, "reason": "r"},
        "status": {"reason": "r", "message": "m", "messageZh": "z"}
    }));
    let group = serde_json::from_value(serde_json::json!({"metadata": {"name": "g"}, "spec": {}})).unwrap();
    let hold =
        crate::failover::hold::Hold { scope: "all".into(), reason: String::new(), by: String::new(), in_force: true };
    let all = [
        fields(&report),
        fields(&report.groups),
        fields(&report.kinds[0]),
        fields(&report.problems[0]),
        fields(&crate::failover::list::row(&failover.unwrap())),
        fields(&crate::failover::groups::row(&group)),
        fields(&hold),
    ];
    for field in all.concat().iter().filter(|field| !field.ends_with("Zh")) {
        assert!(FIELDS.contains(&format!("`{field}`")), "{field} is not named in docs/cli.md");
    }
}
