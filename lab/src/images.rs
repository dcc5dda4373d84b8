//! Images: the programs of a release in a folder of their own, named by a digest, as a cluster's registry would have them.

use sha2::{Digest, Sha256};
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// What the image of a release is called; its digest follows.
const NAME: &str = "tandem.dev/tandem";
/// What is in it, as the `Containerfile` has it.
const PROGRAMS: [&str; 4] = ["tandem", "tandem-operator", "tandem-api", "tandem-agent"];

/// Takes the programs in a folder into the store as an image, and gives back its name with its digest. Where it is there
/// already, nothing is done.
///
/// # Errors
/// When a program is missing, or the store cannot be written.
pub fn load(store: &Path, folder: &Path) -> io::Result<String> {
    let mut all = Sha256::new();
    for program in PROGRAMS {
        let path = folder.join(program);
        let missing = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
        let mut one = Sha256::new();
        io::copy(&mut fs::File::open(&path).map_err(missing)?, &mut one)?;
        all.update(program);
        all.update([0]);
        all.update(one.finalize());
    }
    let digest = hex::encode(all.finalize());
    let image = store.join(&digest);
    if !image.exists() {
        fs::create_dir_all(store)?;
        // Beside it, then renamed: a node must not find half an image.
        let making = tempfile::tempdir_in(store)?;
        for program in PROGRAMS {
            let to = making.path().join(program);
            fs::copy(folder.join(program), &to)?;
            fs::set_permissions(&to, PermissionsExt::from_mode(0o755))?;
        }
        fs::set_permissions(making.path(), PermissionsExt::from_mode(0o755))?;
        fs::rename(making.keep(), &image)?;
    }
    Ok(format!("{NAME}@sha256:{digest}"))
}

/// The folder, in the store, of the image with a digest such as `sha256:…`; nothing where that is no digest.
#[must_use]
pub fn folder_of(digest: &str) -> Option<&str> {
    let hex = digest.strip_prefix("sha256:")?;
    (hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(hex)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn release(folder: &Path, content: &str) {
        fs::create_dir_all(folder).unwrap();
        for program in PROGRAMS {
            fs::write(folder.join(program), format!("{program} {content}")).unwrap();
        }
    }

    #[test]
    fn a_release_is_named_by_what_is_in_it() {
        let place = tempfile::tempdir().unwrap();
        let (store, one, other) = (place.path().join("images"), place.path().join("1"), place.path().join("2"));
        release(&one, "1");
        release(&other, "2");
        let first = load(&store, &one).unwrap();
        assert_eq!(load(&store, &one).unwrap(), first, "loaded twice");
        assert_ne!(load(&store, &other).unwrap(), first);
        let digest = folder_of(first.split_once('@').unwrap().1).unwrap();
        assert_eq!(fs::read_to_string(store.join(digest).join("tandem-operator")).unwrap(), "tandem-operator 1");
        assert_eq!(fs::read_dir(&store).unwrap().count(), 2, "nothing half-made is left");
    }

    #[test]
    fn what_is_missing_is_named() {
        let place = tempfile::tempdir().unwrap();
        let error = load(&place.path().join("images"), place.path()).unwrap_err();
        assert!(error.to_string().contains("/tandem:"), "{error}");
    }

    #[test]
    fn only_digests_are_folders() {
        assert_eq!(folder_of(&format!("sha256:{}", "a".repeat(64))), Some("a".repeat(64).as_str()));
        assert_eq!(folder_of("sha256:00ff"), None);
        assert_eq!(folder_of(&format!("sha256:../{}", "a".repeat(61))), None);
    }
}
