//! The bundle as a file: what was taken, and a list of that.

use super::scrub::{Removed, Scrubber};
use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::Timestamp;
use serde::Serialize;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Something that is not in the bundle, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Missed {
    what: String,
    why: String,
}

/// A file of the bundle.
#[derive(Clone, Debug, Serialize)]
struct Taken {
    file: String,
    bytes: usize,
}

/// What the bundle says of itself.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Manifest<'a> {
    tandem: &'a str,
    taken: Timestamp,
    rules: &'a [&'a str],
    files: Vec<Taken>,
    /// How often each rule removed something.
    removed: &'a Removed,
    missed: &'a [Missed],
}

/// What holds for every bundle.
const RULES: [&str; 7] = [
    "no Secret was read, not even its metadata",
    "of objects, the fields that are listed in cli/src/bundle/fields.rs; all others are '[removed]' (field-not-listed)",
    "values of environment variables, configuration, commands and arguments, annotations, and what people wrote as a reason or note are not listed",
    "people's names and groups in fields are person-…, alike within this bundle and in no other; log lines and messages may still name people",
    "every string and every line went through the rules under `removed`",
    "of the arbiter, its state and how many keys each prefix has; no key and no value",
    "agencies', applications', hosts' and images' names are in it",
];

/// A bundle in the making.
pub(super) struct Archive {
    files: Vec<(String, Vec<u8>)>,
    missed: Vec<Missed>,
    left: u64,
    pub(super) scrubber: Scrubber,
}

impl Archive {
    /// One that takes so many bytes.
    pub(super) fn new(most: u64) -> Self {
        Self { files: Vec::new(), missed: Vec::new(), left: most, scrubber: Scrubber::default() }
    }

    /// Takes text as it is: the caller has cleaned it.
    fn put(&mut self, file: String, bytes: Vec<u8>) {
        let size = bytes.len() as u64;
        if size > self.left {
            return self.miss(file, format!("{size} bytes go beyond --max-mib"));
        }
        self.left -= size;
        self.files.push((file, bytes));
    }

    /// Takes text, cleaned.
    pub(super) fn text(&mut self, file: impl Into<String>, text: &str) {
        let cleaned = self.scrubber.clean(text);
        self.put(file.into(), cleaned.into_bytes());
    }

    /// Takes data of which every field is known to be one that may go.
    pub(super) fn data<T: Serialize + ?Sized>(&mut self, file: impl Into<String>, data: &T) {
        match serde_json::to_string_pretty(data) {
            Ok(text) => self.text(file, &text),
            Err(error) => self.miss(file, error.to_string()),
        }
    }

    /// Says that something is not in it.
    pub(super) fn miss(&mut self, what: impl Into<String>, why: impl Into<String>) {
        let (what, why) = (what.into(), self.scrubber.clean(&why.into()));
        self.missed.push(Missed { what, why });
    }

    /// How many files there are, and how much was missed.
    pub(super) fn counts(&self) -> (usize, usize) {
        (self.files.len(), self.missed.len())
    }

    /// The whole bundle.
    fn write<W: Write>(&self, to: W, taken: Timestamp) -> io::Result<W> {
        let files = self.files.iter().map(|(file, bytes)| Taken { file: file.clone(), bytes: bytes.len() }).collect();
        let manifest = Manifest {
            tandem: env!("CARGO_PKG_VERSION"),
            taken,
            rules: &RULES,
            files,
            removed: &self.scrubber.removed,
            missed: &self.missed,
        };
        let manifest = serde_json::to_vec_pretty(&manifest)?;
        let mut archive = tar::Builder::new(GzEncoder::new(to, Compression::default()));
        let folder = format!("tandem-support-{}", taken.strftime("%Y%m%dT%H%M%SZ"));
        let all = std::iter::once(("MANIFEST.json", manifest.as_slice()));
        for (file, bytes) in all.chain(self.files.iter().map(|(file, bytes)| (file.as_str(), bytes.as_slice()))) {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o600);
            header.set_mtime(u64::try_from(taken.as_second()).unwrap_or(0));
            archive.append_data(&mut header, format!("{folder}/{file}"), bytes)?;
        }
        archive.into_inner()?.finish()
    }

    /// Writes the bundle, for its owner's eyes alone. A file that is there stays.
    pub(super) fn save(&self, path: &Path, taken: Timestamp) -> io::Result<()> {
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        let written = self.write(file, taken).and_then(|file| file.sync_all());
        if written.is_err() {
            // Half a bundle is none.
            let _ = fs::remove_file(path);
        }
        written
    }
}
