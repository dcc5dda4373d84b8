//! Writes the CustomResourceDefinitions, or checks that what is written is up to date.
//!
//! `crdgen DIRECTORY CHART` writes `cel/*.yaml` and `plain/*.yaml` into the directory, and the Helm chart's copies of them into
//! `CHART/files/crds`; `crdgen --check DIRECTORY CHART` changes nothing and fails when they differ.
#![allow(clippy::print_stderr, clippy::print_stdout)]

use std::path::Path;
use std::process::ExitCode;
use tandem_crds::manifests::{ManifestError, RuleSet, chart_files, files};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (check, directory, chart) = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--check", directory, chart] => (true, directory, chart),
        [directory, chart] if !directory.starts_with('-') => (false, directory, chart),
        _ => {
            eprintln!("usage: crdgen [--check] DIRECTORY CHART");
            return ExitCode::from(2);
        }
    };
    let done = run(Path::new(directory), files, check)
        .and_then(|()| run(&Path::new(chart).join("files/crds"), chart_files, check));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
    }
}

type Files = fn(RuleSet) -> Result<Vec<(String, String)>, ManifestError>;

fn run(directory: &Path, files: Files, check: bool) -> Result<(), String> {
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
