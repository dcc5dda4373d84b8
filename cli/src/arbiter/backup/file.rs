//! A snapshot's file: written beside its place, looked at again, put there.

use super::{BackupError, cannot};
use sha2::{Digest, Sha256};
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// bolt's pages are of at least so many bytes, and its files of whole pages.
const PAGE: u64 = 512;
/// The bytes of the SHA-256 at a snapshot's end.
const DIGEST: u64 = 32;
/// What a bolt database bears in its first page, and where.
const MAGIC: [u8; 4] = 0xED0C_DAED_u32.to_le_bytes();
const MAGIC_AT: usize = 16;
/// How much is read at once.
const CHUNK: usize = 1 << 20;

/// A file whose digests are right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Verified {
    /// Its length.
    pub(super) bytes: u64,
    /// The SHA-256 of the whole file, as `sha256sum` says it.
    pub(super) sha256: String,
}

/// Reads a snapshot and compares it with the SHA-256 that it ends with.
pub(super) fn verify(path: &Path) -> Result<Verified, BackupError> {
    let bad = |why: &str| BackupError::Bad { path: path.to_owned(), why: why.to_owned() };
    let mut file = File::open(path).map_err(cannot("read", path))?;
    let bytes = file.metadata().map_err(cannot("read", path))?.len();
    if bytes % PAGE != DIGEST || bytes < PAGE {
        return Err(bad(
            "it does not end with the SHA-256 of a snapshot: it was cut short, or copied from a member's disk; take another backup",
        ));
    }
    let (mut content, mut whole) = (Sha256::new(), Sha256::new());
    let mut left = bytes - DIGEST;
    let mut buffer = vec![0; CHUNK];
    let mut first = true;
    while left > 0 {
        let most = usize::try_from(left).map_or(CHUNK, |left| left.min(CHUNK));
        let piece = &mut buffer[..most];
        file.read_exact(piece).map_err(cannot("read", path))?;
        if std::mem::take(&mut first) && piece.get(MAGIC_AT..MAGIC_AT + MAGIC.len()) != Some(&MAGIC[..]) {
            return Err(bad("it is not a database of etcd's"));
        }
        content.update(&*piece);
        whole.update(&*piece);
        left -= most as u64;
    }
    let mut digest = Vec::new();
    file.read_to_end(&mut digest).map_err(cannot("read", path))?;
    whole.update(&digest);
    if content.finalize().as_slice() != digest {
        return Err(bad(
            "its content does not have the SHA-256 that it ends with; take another backup, or use an older one",
        ));
    }
    Ok(Verified { bytes, sha256: hex::encode(whole.finalize()) })
}

/// A file that is not there yet; it goes again where it is not put in its place.
pub(super) struct Part {
    file: File,
    path: PathBuf,
    placed: bool,
}

impl Part {
    /// Begins the file that is to be at `target`, for its owner's eyes alone.
    pub(super) fn begin(target: &Path) -> Result<Self, BackupError> {
        let name = target.file_name().unwrap_or_default().to_string_lossy();
        let path = target.with_file_name(format!(".{name}.part-{}", uuid::Uuid::new_v4().simple()));
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o600);
        let file = options.open(&path).map_err(cannot("write", &path))?;
        Ok(Self { file, path, placed: false })
    }

    /// Where it is meanwhile.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), BackupError> {
        self.file.write_all(bytes).map_err(cannot("write", &self.path))
    }

    /// Has it on the disk.
    pub(super) fn sync(&self) -> Result<(), BackupError> {
        self.file.sync_all().map_err(cannot("write", &self.path))
    }

    /// Puts it in its place. Where one is there that may not go, that one stays.
    pub(super) fn place(mut self, target: &Path, force: bool) -> Result<(), BackupError> {
        // A link is refused where the name is taken, also since it was looked for. Not every file system has links.
        let linked = if force { Err(ErrorKind::Unsupported.into()) } else { fs::hard_link(&self.path, target) };
        match linked {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                return Err(BackupError::There(target.to_owned()));
            }
            Err(_) if !force && target.exists() => return Err(BackupError::There(target.to_owned())),
            Err(_) => {
                fs::rename(&self.path, target).map_err(cannot("write", target))?;
                self.placed = true;
            }
        }
        drop(self);
        sync_folder(target)
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if !self.placed {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Has the names in a file's folder on the disk.
fn sync_folder(of: &Path) -> Result<(), BackupError> {
    let folder = of.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(cannot("write", folder))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    /// What looks like a snapshot, of so many pages.
    pub(in crate::arbiter::backup) fn snapshot(pages: usize) -> Vec<u8> {
        let mut bytes = vec![7; pages * 4096];
        bytes[MAGIC_AT..MAGIC_AT + 4].copy_from_slice(&MAGIC);
        let digest = Sha256::digest(&bytes);
        bytes.extend_from_slice(&digest);
        bytes
    }

    #[test]
    fn a_snapshot_verifies_and_nothing_else_does() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        let says = |bytes: &[u8]| {
            fs::write(&path, bytes).unwrap();
            verify(&path).map_err(|error| error.to_string())
        };
        let good = snapshot(300);
        assert_eq!(says(&good).unwrap().bytes, good.len() as u64, "larger than what is read at once");
        assert_eq!(says(&good).unwrap().sha256, hex::encode(Sha256::digest(&good)));
        let mut flipped = good.clone();
        flipped[5000] ^= 1;
        assert!(says(&flipped).unwrap_err().contains("SHA-256"));
        assert!(says(&good[..good.len() - 32]).unwrap_err().contains("copied from a member's disk"));
        assert!(says(&good[..good.len() - 1]).unwrap_err().contains("cut short"));
        assert!(says(b"").is_err() && says(&[0; 32]).is_err());
        let mut other = vec![0; 4096];
        other.extend_from_slice(&Sha256::digest(other.clone()));
        assert!(says(&other).unwrap_err().contains("not a database of etcd's"));
    }

    #[test]
    fn a_file_that_is_there_stays_and_nothing_is_left_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        let write = |text: &str, force| {
            let mut part = Part::begin(&path).unwrap();
            part.write(text.as_bytes()).unwrap();
            part.sync().unwrap();
            part.place(&path, force)
        };
        write("first", false).unwrap();
        assert!(matches!(write("second", false), Err(BackupError::There(_))));
        assert_eq!(fs::read(&path).unwrap(), b"first");
        write("third", true).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"third");
        drop(Part::begin(&path).unwrap());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
