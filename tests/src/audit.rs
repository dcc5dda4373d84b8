//! What an API server's audit log says of who wrote what.

use serde_json::Value;
use std::fs::File;
use std::io::{BufRead, BufReader, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// A place in a site's audit log.
#[derive(Debug)]
pub struct AuditLog {
    path: PathBuf,
    from: u64,
}

impl AuditLog {
    /// The log of a site, from its present end on.
    ///
    /// # Panics
    /// When there is no log.
    #[must_use]
    pub fn from_now(lab: &Path, site: &str) -> Self {
        let path = lab.join(site).join("audit.log");
        let from = std::fs::metadata(&path).unwrap().len();
        Self { path, from }
    }

    /// The write requests of a user since, as `verb resource namespace/name`.
    ///
    /// # Panics
    /// When the log cannot be read.
    #[must_use]
    pub fn writes_by(&self, user: &str) -> Vec<String> {
        let mut file = File::open(&self.path).unwrap();
        file.seek(SeekFrom::Start(self.from)).unwrap();
        let lines = BufReader::new(file).lines().map_while(Result::ok);
        let entries = lines.filter_map(|line| serde_json::from_str::<Value>(&line).ok());
        let writes = entries.filter(|entry| {
            let verb = entry["verb"].as_str().unwrap_or_default();
            entry["user"]["username"] == user
                && entry["stage"] == "ResponseComplete"
                && ["create", "update", "patch", "delete", "deletecollection"].contains(&verb)
        });
        let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
        writes
            .map(|entry| {
                let object = &entry["objectRef"];
                let (verb, resource) = (text(&entry["verb"]), text(&object["resource"]));
                format!("{verb} {resource} {}/{}", text(&object["namespace"]), text(&object["name"]))
            })
            .collect()
    }
}
