//! The documents: a block of commands says which test runs it, or why none does; commands of `tandem` are such as the command line
//! takes; links lead somewhere. `docs/README.md` tells what the comments before blocks mean.
#![allow(clippy::unwrap_used)]

mod markdown;
mod shell;

use clap::{CommandFactory, Parser};
use markdown::{Block, Document, anchors, document};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};
use tandem_cli::args::Cli;

/// Programs whose commands people type. A block that begins with one of them is a block of commands, however it is written.
const TYPED: [&str; 12] = [
    "cargo",
    "curl",
    "etcdctl",
    "helm",
    "kubectl",
    "make",
    "openssl",
    "podman",
    "sudo",
    "systemctl",
    "tandem",
    "tandem-agent",
];
/// The shortest reason, in characters.
const REASON: usize = 12;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The Markdown files of the repository, by their paths in it.
fn documents() -> BTreeMap<String, String> {
    fn walk(folder: &Path, found: &mut BTreeMap<String, String>) {
        for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            let name = entry.file_name().unwrap().to_str().unwrap();
            if name.starts_with('.') || name == "target" {
                continue;
            }
            if entry.is_dir() {
                walk(&entry, found);
            } else if entry.extension().is_some_and(|extension| extension == "md") {
                let path = entry.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
                found.insert(path, fs::read_to_string(&entry).unwrap());
            }
        }
    }
    let mut found = BTreeMap::new();
    walk(&root(), &mut found);
    found
}

fn taken_apart() -> Vec<(String, Document)> {
    documents().into_iter().map(|(path, text)| (path, document(&text))).collect()
}

fn none(problems: &[String]) {
    assert!(problems.is_empty(), "\n{}\n", problems.join("\n"));
}

/// What a test of this name is called by, in the file that has it or in the one that lists the tests of its folder.
fn is_a_test(file: &Path, text: &str, name: &str) -> bool {
    let lines: Vec<&str> = text.lines().collect();
    let is_of_it = |line: &str| line.contains(&format!("fn {name}("));
    let Some(place) = lines.iter().position(|line| is_of_it(line)) else { return false };
    let marks = |line: &&str| line.trim() == "#[test]" || line.trim().starts_with("#[tokio::test");
    let marked = lines[..place].iter().rev().take(3).any(marks);
    let module = file.file_stem().unwrap().to_str().unwrap();
    let listed = fs::read_to_string(file.with_file_name("main.rs")).unwrap_or_default();
    let entry = |module: &str| format!("{module}::{name}");
    marked || listed.contains(&entry(module)) || text.contains(&entry(module))
}

/// What is wrong with a `run:`.
fn problem_of_run(named: &str) -> Option<String> {
    let (path, name) = named.split_once(' ').map_or((named, ""), |(path, name)| (path, name.trim()));
    let file = root().join(path);
    let Ok(text) = fs::read_to_string(&file) else { return Some(format!("there is no {path}")) };
    if path.ends_with(".rs") {
        return (!is_a_test(&file, &text, name)).then(|| format!("{path} has no test '{name}'"));
    }
    let executable = fs::metadata(&file).unwrap().permissions().mode() & 0o100 != 0;
    if !executable {
        return Some(format!("{path} is neither a test's file nor a program"));
    }
    let speaks_of_it = text.split(|c: char| !c.is_alphanumeric() && c != '-').any(|word| word == name);
    (!name.is_empty() && !speaks_of_it).then(|| format!("{path} knows no '{name}'"))
}

#[test]
fn every_block_of_commands_says_what_runs_it_or_why_nothing_does() {
    let mut problems = Vec::new();
    for (path, document) in taken_apart() {
        for (line, text) in &document.indented {
            if TYPED.contains(&text.split(' ').next().unwrap_or_default()) {
                problems.push(format!("{path}:{line}: write commands as a block between ```sh and ```"));
            }
        }
        for block in &document.blocks {
            let begins = block.text.split_whitespace().next().unwrap_or_default();
            if !block.is_shell() {
                if block.language.is_empty() && TYPED.contains(&begins) {
                    problems.push(format!("{path}:{}: these are commands: begin the block with ```sh", block.line));
                }
                continue;
            }
            if block.notes.is_empty() {
                let how = "say what runs it: <!-- run: FILE TEST -->, or why nothing does: <!-- not run: … -->";
                problems.push(format!("{path}:{}: {how}", block.line));
            }
            for note in &block.notes {
                let problem = match note.split_once(": ") {
                    Some(("run", named)) => problem_of_run(named),
                    Some(("not run", reason)) => {
                        (reason.chars().count() < REASON).then(|| format!("'{reason}' is no reason"))
                    }
                    _ => Some(format!("'{note}' is neither `run: …` nor `not run: …`")),
                };
                problems.extend(problem.map(|problem| format!("{path}:{}: {problem}", block.line)));
            }
        }
    }
    none(&problems);
}

/// The names of the subcommands in the arguments, `lab`'s among them.
fn names(arguments: &[String]) -> Vec<String> {
    let mut command = Cli::command();
    let mut names = Vec::new();
    for argument in &arguments[1..] {
        let Some(next) = command.find_subcommand(argument) else {
            if names.last().is_some_and(|last| last == "lab") {
                names.push(argument.clone());
            }
            break;
        };
        names.push(argument.clone());
        command = next.clone();
    }
    names
}

fn commands(block: &Block) -> Vec<Vec<String>> {
    shell::commands(&block.text).iter().filter_map(|command| shell::of_tandem(command)).collect()
}

#[test]
fn what_is_said_to_be_run_is_spoken_of_by_the_test() {
    let mut problems = Vec::new();
    for (path, document) in taken_apart() {
        let whole = |block: &&Block| block.is_shell() && block.notes.iter().all(|note| note.starts_with("run: "));
        for block in document.blocks.iter().filter(whole) {
            let files = block.notes.iter().filter_map(|note| note.strip_prefix("run: ")?.split(' ').next());
            let texts: String = files.map(|file| fs::read_to_string(root().join(file)).unwrap_or_default()).collect();
            // Whoever looks for the comment takes the block as it stands.
            if block.notes.is_empty() || texts.contains("<!-- run: ") {
                continue;
            }
            for arguments in commands(block) {
                // The tests' helper that asks the lab leaves this word out.
                for name in names(&arguments).iter().filter(|name| *name != "lab") {
                    if !texts.contains(&format!("\"{name}\"")) && !texts.contains(&format!(" {name}")) {
                        let said = arguments.join(" ");
                        problems.push(format!("{path}:{}: {said}: nothing that runs it has '{name}'", block.line));
                    }
                }
            }
        }
    }
    none(&problems);
}

#[test]
fn commands_of_tandem_are_such_as_it_takes() {
    let (mut problems, mut count) = (Vec::new(), 0);
    for (path, document) in taken_apart() {
        for block in document.blocks.iter().filter(|block| block.is_shell()) {
            for arguments in commands(block) {
                count += 1;
                if let Err(error) = Cli::try_parse_from(&arguments)
                    && error.use_stderr()
                {
                    let said = error.to_string();
                    let first = said.lines().next().unwrap_or_default();
                    problems.push(format!("{path}:{}: {}: {first}", block.line, arguments.join(" ")));
                }
            }
        }
    }
    none(&problems);
    assert!(count > 20, "only {count} commands were found");
}

/// The path in the repository that a link leads to from a document; `None` where it leads out of the repository.
fn target(from: &str, link: &str) -> Option<String> {
    let mut parts: Vec<String> =
        Path::new(from).parent()?.iter().map(|part| part.to_str().unwrap().to_owned()).collect();
    for part in Path::new(link).components() {
        match part {
            Component::ParentDir => drop(parts.pop()?),
            Component::Normal(part) => parts.push(part.to_str()?.to_owned()),
            _ => {}
        }
    }
    Some(parts.join("/"))
}

#[test]
fn links_lead_somewhere() {
    let (mut problems, mut count) = (Vec::new(), 0);
    let texts = documents();
    for (path, text) in &texts {
        for (line, link) in document(text).links() {
            if link.contains("://") || link.starts_with("mailto:") {
                continue;
            }
            count += 1;
            let (file, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let led = if file.is_empty() { Some(path.clone()) } else { target(path, file) };
            let there = led.as_ref().is_some_and(|led| root().join(led).exists());
            if !there {
                problems.push(format!("{path}:{line}: {link} is not there"));
            } else if !anchor.is_empty() {
                let known = led.and_then(|led| texts.get(&led)).is_some_and(|text| anchors(text).contains(anchor));
                if !known {
                    problems.push(format!("{path}:{line}: {file} has no heading #{anchor}"));
                }
            }
        }
    }
    none(&problems);
    assert!(count > 50, "only {count} links were found");
}

/// What grants rights at the arbiter stands twice, in the lab and in the manual: alike, or a site that was installed by the manual
/// could not publish.
#[test]
fn rights_at_the_arbiter_are_those_of_the_lab() {
    let lab = fs::read_to_string(root().join("lab/src/arbiter.rs")).unwrap();
    let manual = fs::read_to_string(root().join("docs/install.md")).unwrap();
    for (name, grants) in [
        ("SHARED", "grant \"site-$site\" readwrite $part;"),
        ("PEOPLES", "grant \"site-$site\" read $part;"),
        ("OWN", "grant \"site-$site\" read $part; grant \"site-$site\" readwrite $part$site/;"),
        ("API_READS", "grant \"api-$site\" read $part;"),
        ("API_SHARED", "grant \"api-$site\" readwrite $part;"),
        ("GIVEN_BACK", "grant \"$person\" readwrite $part;"),
    ] {
        let list = lab.split(&format!("const {name}: ")).nth(1).unwrap().split("];").next().unwrap();
        let parts: Vec<&str> = list.split('"').skip(1).step_by(2).collect();
        let line = format!("for part in {}; do {grants} done\n", parts.join(" "));
        assert!(manual.contains(&line), "docs/install.md has not: {line}");
    }
}
