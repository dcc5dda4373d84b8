//! Which images are programs of Tandem's own, and where those can be executed by anyone.

use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::images;

/// Images that name Tandem's own programs begin so.
pub(super) const IMAGE_PREFIX: &str = "tandem.dev/";

/// The program that an image names: `ledger` for `tandem.dev/ledger:dev`.
pub(super) fn program_of(image: &str) -> Option<&str> {
    let name = image.strip_prefix(IMAGE_PREFIX)?;
    let name = name.split_once('@').map_or(name, |(name, _)| name);
    let name = name.split_once(':').map_or(name, |(name, _)| name);
    let plain = name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
    plain.then_some(name)
}

/// The directory of the project's own programs.
///
/// Pods run under user ids of their own, which often cannot reach a build directory below somebody's home. Programs are
/// then copied to a place under `/run` before they are started.
#[derive(Debug, Clone)]
pub(super) struct Programs {
    source: PathBuf,
    reachable: Option<PathBuf>,
    images: PathBuf,
}

impl Programs {
    /// `copies` is used only when `source` cannot be reached by all users; `images` has those that were loaded.
    pub(super) fn new(source: &Path, copies: PathBuf, images: PathBuf) -> io::Result<Self> {
        let source = source.canonicalize()?;
        let reachable = (!open_to_all(&source)?).then_some(copies);
        Ok(Self { source, reachable, images })
    }

    /// The file of the program that `image` names, if there is such a program. An image that is named by digest is one that was
    /// loaded, or none.
    pub(super) fn find(&self, image: &str) -> Option<PathBuf> {
        let name = program_of(image)?;
        let folder = match image.split_once('@') {
            Some((_, digest)) => self.images.join(images::folder_of(digest)?),
            None => self.source.clone(),
        };
        beside(&folder.join(name), name)
    }

    /// Where pods can execute `program`, a path that [`Programs::find`] gave. Copies it first where need be, and again
    /// when it has changed since.
    pub(super) fn executable(&self, program: &Path) -> io::Result<PathBuf> {
        let (Some(copies), Some(name)) = (&self.reachable, program.file_name()) else {
            return Ok(program.to_owned());
        };
        let from = program.metadata()?;
        let stamp = format!("{}-{}-{}", from.len(), from.mtime(), from.mtime_nsec());
        let folder = copies.join(stamp);
        let copy = folder.join(name);
        if copy.exists() {
            return Ok(copy);
        }
        std::fs::create_dir_all(&folder)?;
        for directory in [copies, &folder] {
            std::fs::set_permissions(directory, PermissionsExt::from_mode(0o755))?;
        }
        // Beside it, then renamed: two pods may come at once, and half a program must not be executed.
        let temporary = tempfile::NamedTempFile::new_in(&folder)?.into_temp_path();
        std::fs::copy(program, &temporary)?;
        std::fs::set_permissions(&temporary, PermissionsExt::from_mode(0o755))?;
        temporary.persist(&copy).map_err(|e| e.error)?;
        Ok(copy)
    }

    /// Removes the copies.
    pub(super) fn clean_up(&self) {
        if let Some(copies) = &self.reachable
            && let Err(error) = std::fs::remove_dir_all(copies)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(%error, directory = %copies.display(), "cannot remove the copies of programs");
        }
    }
}

/// The program of that name in the folder of another, if there is one.
pub(super) fn beside(program: &Path, name: &str) -> Option<PathBuf> {
    if name.contains('/') || name.starts_with('.') {
        return None;
    }
    let path = program.with_file_name(name);
    let found = path.metadata().ok()?;
    (found.is_file() && found.permissions().mode() & 0o111 != 0).then_some(path)
}

/// Whether all users may pass through a directory and those above it.
fn open_to_all(directory: &Path) -> io::Result<bool> {
    for directory in directory.ancestors() {
        if directory.metadata()?.permissions().mode() & 0o001 == 0 {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(path: &Path, mode: u32) {
        std::fs::write(path, "#!/bin/sh\n").unwrap();
        std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
    }

    #[test]
    fn images_name_programs() {
        assert_eq!(program_of("tandem.dev/ledger:dev"), Some("ledger"));
        assert_eq!(program_of("tandem.dev/ledger"), Some("ledger"));
        assert_eq!(program_of("tandem.dev/tandem-gate@sha256:00ff"), Some("tandem-gate"));
        for other in
            ["nginx", "library/ledger:dev", "tandem.dev/../sh", "tandem.dev/a/b", "tandem.dev/", "tandem.dev/.x"]
        {
            assert_eq!(program_of(other), None, "{other}");
        }
    }

    #[test]
    fn only_executable_files_count() {
        let source = tempfile::tempdir().unwrap();
        write(&source.path().join("ledger"), 0o755);
        write(&source.path().join("notes"), 0o644);
        let programs =
            Programs::new(source.path(), source.path().join("copies"), source.path().join("images")).unwrap();
        let ledger = programs.find("tandem.dev/ledger:dev").unwrap();
        assert!(programs.find("tandem.dev/notes").is_none());
        assert!(programs.find("tandem.dev/absent").is_none());
        assert!(beside(&ledger, "ledger").is_some());
        assert!(beside(&ledger, "../ledger").is_none());
    }

    #[test]
    fn an_image_by_digest_is_one_that_was_loaded() {
        let place = tempfile::tempdir().unwrap();
        let (source, store) = (place.path().join("source"), place.path().join("images"));
        let digest = "0123456789abcdef".repeat(4);
        for folder in [source.clone(), store.join(&digest)] {
            std::fs::create_dir_all(&folder).unwrap();
            write(&folder.join("tandem"), 0o755);
        }
        let programs = Programs::new(&source, place.path().join("copies"), store.clone()).unwrap();
        let found = programs.find(&format!("tandem.dev/tandem@sha256:{digest}"));
        assert_eq!(found, Some(store.join(&digest).join("tandem")));
        let other = "f".repeat(64);
        assert_eq!(programs.find(&format!("tandem.dev/tandem@sha256:{other}")), None, "not what there happens to be");
        assert_eq!(programs.find("tandem.dev/tandem@sha256:../../source"), None);
    }

    #[test]
    fn programs_in_a_closed_directory_are_copied_once_and_again_when_changed() {
        let place = tempfile::tempdir().unwrap();
        let source = place.path().join("closed");
        std::fs::create_dir(&source).unwrap();
        std::fs::set_permissions(&source, PermissionsExt::from_mode(0o700)).unwrap();
        write(&source.join("ledger"), 0o700);
        let programs = Programs::new(&source, place.path().join("copies"), place.path().join("images")).unwrap();
        let found = programs.find("tandem.dev/ledger").unwrap();
        let copy = programs.executable(&found).unwrap();
        assert_eq!(copy.file_name().unwrap(), "ledger");
        assert_eq!(copy.metadata().unwrap().permissions().mode() & 0o777, 0o755);
        assert_eq!(programs.executable(&found).unwrap(), copy);
        std::fs::write(&found, "#!/bin/sh\nexit 0\n").unwrap();
        assert_ne!(programs.executable(&found).unwrap(), copy);
        programs.clean_up();
        assert!(!copy.exists());
    }
}
