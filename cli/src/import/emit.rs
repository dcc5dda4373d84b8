//! Resources as YAML.

use super::build::Resources;
use serde::Serialize;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Why resources could not be written.
#[derive(Debug, thiserror::Error)]
pub enum EmitError {
    /// An object has no YAML form.
    #[error("an object cannot be written as YAML")]
    Yaml(#[from] serde_yaml::Error),
    /// A file or directory cannot be written.
    #[error("cannot write {path}")]
    Write {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// All resources as one stream of YAML documents, in the order in which they are to be applied.
///
/// # Errors
/// When an object has no YAML form.
pub fn yaml(resources: &Resources) -> Result<String, EmitError> {
    Ok([documents(&resources.units)?, documents(&resources.environments)?, documents(&resources.applications)?]
        .concat())
}

/// Writes resources to a file, or, where the path is a directory or ends with a slash, to one file a kind in it. What
/// stands there is replaced as a whole or not at all.
///
/// # Errors
/// When an object has no YAML form or a file cannot be written.
pub fn write(resources: &Resources, path: &Path) -> Result<Vec<PathBuf>, EmitError> {
    let wants_directory = path.is_dir() || path.as_os_str().as_encoded_bytes().ends_with(b"/");
    if !wants_directory {
        replace(path, &yaml(resources)?)?;
        return Ok(vec![path.to_owned()]);
    }
    std::fs::create_dir_all(path).map_err(|source| EmitError::Write { path: path.to_owned(), source })?;
    let files = [
        ("1-units.yaml", documents(&resources.units)?),
        ("2-environments.yaml", documents(&resources.environments)?),
        ("3-applications.yaml", documents(&resources.applications)?),
    ];
    let mut written = Vec::new();
    for (name, text) in files {
        let path = path.join(name);
        replace(&path, &text)?;
        written.push(path);
    }
    Ok(written)
}

fn documents<T: Serialize>(objects: &[T]) -> Result<String, EmitError> {
    let mut text = String::new();
    for object in objects {
        text.push_str("---\n");
        text.push_str(&serde_yaml::to_string(object)?);
    }
    Ok(text)
}

fn replace(path: &Path, text: &str) -> Result<(), EmitError> {
    let failed = |source| EmitError::Write { path: path.to_owned(), source };
    let name = path.file_name().ok_or_else(|| failed(std::io::ErrorKind::InvalidFilename.into()))?;
    let mut temporary_name = std::ffi::OsString::from(".");
    temporary_name.push(name);
    temporary_name.push(format!(".{}", std::process::id()));
    let temporary = path.with_file_name(temporary_name);
    let written = std::fs::File::create(&temporary)
        .and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()))
        .and_then(|()| std::fs::rename(&temporary, path));
    written.map_err(|source| {
        // Nothing half-written is left; the error to tell is the first one.
        let _ = std::fs::remove_file(&temporary);
        failed(source)
    })
}
