//! Writes the CustomResourceDefinitions, or checks that what is written is up to date.
//!
//! `crdgen DIRECTORY` writes `DIRECTORY/cel/*.yaml` and `DIRECTORY/plain/*.yaml`; `crdgen --check DIRECTORY` changes
//! nothing and fails when they differ.
#![allow(clippy::print_stderr, clippy::print_stdout)]

use std::path::Path;
use std::process::ExitCode;
use tandem_crds::manifests::{RuleSet, files};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (check, directory) = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--check", directory] => (true, directory),
        [directory] if !directory.starts_with('-') => (false, directory),
        _ => {
            eprintln!("usage: crdgen [--check] DIRECTORY");
            return ExitCode::from(2);
        }
    };
    match run(Path::new(directory), check) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
    }
}

fn run(directory: &Path, check: bool) -> Result<(), String> {
    for set in [RuleSet::Cel, RuleSet::Plain] {
        let folder = directory.join(set.folder());
        std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        for (name, text) in files(set).map_err(|error| error.to_string())? {
            let path = folder.join(name);
            if check {
                if std::fs::read_to_string(&path).ok().as_deref() != Some(&text) {
                    return Err(format!(
                        "{} is not up to date: run `make generate` and commit the result",
                        path.display()
                    ));
                }
            } else {
                std::fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))?;
                println!("wrote {}", path.display());
            }
        }
    }
    Ok(())
}
