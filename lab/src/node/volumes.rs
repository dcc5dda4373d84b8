//! The volumes of a pod: what they hold, and keeping it as the API server says.
//!
//! Known are ConfigMaps, Secrets, tokens, empty folders, and claims whose volume is a folder of this node. Anything else is
//! refused with its name: a container must not start with less than it asked for.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::time::Duration;

use k8s_openapi::api::authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{
    ConfigMap, Container, KeyToPath, PersistentVolume, PersistentVolumeClaim, Pod, Secret, ServiceAccount,
    ServiceAccountTokenProjection, Volume,
};
use kube::api::PostParams;
use kube::{Api, ResourceExt};
use serde_json::{Value, json};

use super::contain::Mount;
use super::launch::{LaunchError, PATIENCE, read};
use super::pods::Context;
use super::process::uid_of;
use super::state::PodDir;

/// How often volumes are looked at again.
pub(super) const REFRESH: Duration = Duration::from_secs(30);
/// The mode of files where nothing says another.
const MODE: i32 = 0o644;
/// For how long a token holds where nothing says so.
const TOKEN_SECONDS: i64 = 3600;
/// The folder, below the node's own, that volumes of claims are in.
const CLAIMED: &str = "volumes";
/// The class of the lab's volumes, how many each node has, and how large they say they are.
const CLASS: &str = "lab";
const COUNT: u8 = 8;
const CAPACITY: &str = "10Gi";

/// Why a volume cannot be had.
#[derive(Debug, thiserror::Error)]
pub(super) enum VolumeError {
    /// The pod has no such volume.
    #[error("the pod has no volume `{0}`")]
    Absent(String),
    /// The volume is of a kind that the lab node does not know.
    #[error("volume `{0}` is of a kind that the lab node does not know")]
    Unknown(String),
    /// A part of a volume is mounted.
    #[error("volume `{0}`: the lab node mounts whole volumes, not a subPath")]
    Part(String),
    /// An object is not there.
    #[error("volume `{volume}`: {kind} `{name}` does not exist")]
    Missing { volume: String, kind: &'static str, name: String },
    /// A key is not there.
    #[error("volume `{volume}`: {kind} `{name}` has no key `{key}`")]
    Key { volume: String, kind: &'static str, name: String, key: String },
    /// A claim has no volume yet.
    #[error("volume `{volume}`: the claim `{claim}` has no folder of this node")]
    Unbound { volume: String, claim: String },
    /// No token was given.
    #[error("volume `{volume}`: no token for `{account}`")]
    Token { volume: String, account: String, source: Box<kube::Error> },
    /// The files cannot be written.
    #[error("volume `{volume}` cannot be written")]
    Write { volume: String, source: io::Error },
}

/// The content of a volume: by path, the bytes and the mode. Without bytes, the file stays as it is.
type Files = BTreeMap<String, Option<(Vec<u8>, u32)>>;

/// Whose volumes.
pub(super) struct Volumes<'a> {
    pub(super) context: &'a Context,
    pub(super) pod: &'a Pod,
    pub(super) ip: std::net::Ipv4Addr,
    pub(super) dir: &'a PodDir,
}

impl Volumes<'_> {
    /// Makes the volumes that a container mounts, and says what is to be mounted where.
    pub(super) async fn of(&self, container: &Container) -> Result<Vec<Mount>, LaunchError> {
        let mut mounts = Vec::new();
        for wanted in container.volume_mounts.iter().flatten() {
            if wanted.sub_path.is_some() || wanted.sub_path_expr.is_some() {
                return Err(VolumeError::Part(wanted.name.clone()).into());
            }
            let all = self.pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
            let volume = all.into_iter().find(|volume| volume.name == wanted.name);
            let volume = volume.ok_or_else(|| VolumeError::Absent(wanted.name.clone()))?;
            let (from, writable) = self.fill(volume).await?;
            let writable = writable && wanted.read_only != Some(true);
            mounts.push(Mount { from, to: PathBuf::from(&wanted.mount_path), writable });
        }
        Ok(mounts)
    }

    /// Brings what was made before to what the API server says now.
    pub(super) async fn refresh(&self) {
        let all = self.pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
        for volume in all.filter(|volume| self.dir.volume(&volume.name).exists()) {
            if let Err(error) = self.fill(volume).await {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(pod = self.pod.name_any(), volume = volume.name, error, "a volume stays as it was");
            }
        }
    }

    /// Where a volume is, and whether it may be written to.
    async fn fill(&self, volume: &Volume) -> Result<(PathBuf, bool), LaunchError> {
        let (name, folder) = (volume.name.as_str(), self.dir.volume(&volume.name));
        let files = if let Some(source) = &volume.config_map {
            let default = source.default_mode.unwrap_or(MODE);
            self.config_map(name, &source.name, source.items.as_deref(), source.optional, default).await?
        } else if let Some(source) = &volume.secret {
            let secret = source.secret_name.as_deref().unwrap_or_default();
            let default = source.default_mode.unwrap_or(MODE);
            self.secret(name, secret, source.items.as_deref(), source.optional, default).await?
        } else if let Some(source) = &volume.projected {
            let default = source.default_mode.unwrap_or(MODE);
            let mut files = Files::new();
            for part in source.sources.iter().flatten() {
                files.extend(if let Some(part) = &part.config_map {
                    self.config_map(name, &part.name, part.items.as_deref(), part.optional, default).await?
                } else if let Some(part) = &part.secret {
                    self.secret(name, &part.name, part.items.as_deref(), part.optional, default).await?
                } else if let Some(part) = &part.service_account_token {
                    self.token(name, &folder, part, default).await?
                } else {
                    return Err(VolumeError::Unknown(name.to_owned()).into());
                });
            }
            files
        } else if volume.empty_dir.is_some() {
            let made = std::fs::create_dir_all(&folder).and_then(|()| self.give(&folder));
            return Ok(made.map(|()| (folder, true)).map_err(write_error(name))?);
        } else if let Some(source) = &volume.persistent_volume_claim {
            return Ok((self.claimed(name, &source.claim_name).await?, source.read_only != Some(true)));
        } else {
            return Err(VolumeError::Unknown(name.to_owned()).into());
        };
        write(&folder, files, uid_of(self.ip)).map_err(write_error(name))?;
        Ok((folder, false))
    }

    fn namespace(&self) -> String {
        self.pod.namespace().unwrap_or_default()
    }

    /// Gives a folder, and what is in it, to the pod's user.
    fn give(&self, folder: &Path) -> io::Result<()> {
        let user = uid_of(self.ip);
        chown(folder, Some(user), Some(user))?;
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                self.give(&entry.path())?;
            } else {
                chown(entry.path(), Some(user), Some(user))?;
            }
        }
        Ok(())
    }

    async fn config_map(
        &self,
        volume: &str,
        name: &str,
        items: Option<&[KeyToPath]>,
        optional: Option<bool>,
        mode: i32,
    ) -> Result<Files, LaunchError> {
        let found = read::<ConfigMap>(self.context, &self.namespace(), "ConfigMap", name).await?;
        let values = found.map(|found| {
            let text = found.data.unwrap_or_default().into_iter().map(|(key, value)| (key, value.into_bytes()));
            let binary = found.binary_data.unwrap_or_default().into_iter().map(|(key, value)| (key, value.0));
            text.chain(binary).collect()
        });
        Ok(chosen(volume, ("ConfigMap", name), values, items, optional, mode)?)
    }

    async fn secret(
        &self,
        volume: &str,
        name: &str,
        items: Option<&[KeyToPath]>,
        optional: Option<bool>,
        mode: i32,
    ) -> Result<Files, LaunchError> {
        let found = read::<Secret>(self.context, &self.namespace(), "Secret", name).await?;
        let values =
            found.map(|found| found.data.unwrap_or_default().into_iter().map(|(key, value)| (key, value.0)).collect());
        Ok(chosen(volume, ("Secret", name), values, items, optional, mode)?)
    }

    /// A token for the pod's account, bound to the pod; a new one once four fifths of the old one's time are over.
    async fn token(
        &self,
        volume: &str,
        folder: &Path,
        wanted: &ServiceAccountTokenProjection,
        mode: i32,
    ) -> Result<Files, LaunchError> {
        let seconds = wanted.expiration_seconds.unwrap_or(TOKEN_SECONDS);
        let age = folder.join(&wanted.path).metadata().and_then(|file| file.modified()).ok();
        let age = age.and_then(|modified| modified.elapsed().ok());
        if age.is_some_and(|age| age.as_secs() < seconds.unsigned_abs() / 5 * 4) {
            return Ok(Files::from([(wanted.path.clone(), None)]));
        }
        let spec = self.pod.spec.as_ref();
        let account = spec.and_then(|spec| spec.service_account_name.clone()).unwrap_or_else(|| "default".to_owned());
        let request = TokenRequest {
            spec: TokenRequestSpec {
                audiences: wanted.audience.iter().cloned().collect(),
                expiration_seconds: Some(seconds),
                bound_object_ref: Some(BoundObjectReference {
                    api_version: Some("v1".to_owned()),
                    kind: Some("Pod".to_owned()),
                    name: self.pod.metadata.name.clone(),
                    uid: self.pod.metadata.uid.clone(),
                }),
            },
            ..TokenRequest::default()
        };
        let accounts: Api<ServiceAccount> = Api::namespaced(self.context.client.clone(), &self.namespace());
        let parameters = PostParams::default();
        let asked = accounts.create_token_request(&account, &parameters, &request);
        let answer = tokio::time::timeout(PATIENCE, asked).await.map_err(|_| LaunchError::Silent)?;
        let answer = answer.map_err(|source| VolumeError::Token {
            volume: volume.to_owned(),
            account,
            source: Box::new(source),
        })?;
        let token = answer.status.map(|status| status.token).unwrap_or_default();
        Ok(Files::from([(wanted.path.clone(), Some((token.into_bytes(), bits(mode))))]))
    }

    /// The folder of a claim.
    async fn claimed(&self, volume: &str, name: &str) -> Result<PathBuf, LaunchError> {
        let claim =
            read::<PersistentVolumeClaim>(self.context, &self.namespace(), "PersistentVolumeClaim", name).await?;
        let unbound = || VolumeError::Unbound { volume: volume.to_owned(), claim: name.to_owned() };
        let bound = claim.and_then(|claim| claim.spec?.volume_name).ok_or_else(unbound)?;
        let volumes: Api<PersistentVolume> = Api::all(self.context.client.clone());
        let found = tokio::time::timeout(PATIENCE, volumes.get(&bound)).await.map_err(|_| LaunchError::Silent)?;
        let found = found.map_err(|source| LaunchError::Read {
            kind: "PersistentVolume",
            name: bound,
            source: Box::new(source),
        })?;
        let path = found.spec.and_then(|spec| spec.host_path).map(|source| PathBuf::from(source.path));
        // Only a folder that this node keeps: whoever can make volumes must not be given the machine's files.
        let path = path.filter(|path| path.parent() == Some(&self.context.dir.join(CLAIMED))).ok_or_else(unbound)?;
        std::fs::create_dir_all(&path).and_then(|()| self.give(&path)).map_err(write_error(volume))?;
        Ok(path)
    }
}

/// A few volumes in a node's folder, for claims of the class `lab`, which is the default.
pub(crate) fn offered(node_dir: &Path) -> Vec<Value> {
    let class = json!({
        "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass",
        "metadata": {"name": CLASS, "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
        "provisioner": "kubernetes.io/no-provisioner",
        "volumeBindingMode": "Immediate",
    });
    let volumes = (0..COUNT).map(|number| {
        json!({
            "apiVersion": "v1", "kind": "PersistentVolume",
            "metadata": {"name": format!("{CLASS}-{number}")},
            "spec": {
                "capacity": {"storage": CAPACITY},
                "accessModes": ["ReadWriteOnce"],
                "storageClassName": CLASS,
                "persistentVolumeReclaimPolicy": "Retain",
                "hostPath": {"path": node_dir.join(CLAIMED).join(number.to_string())},
            },
        })
    });
    [class].into_iter().chain(volumes).collect()
}

fn write_error(volume: &str) -> impl FnOnce(io::Error) -> VolumeError {
    let volume = volume.to_owned();
    move |source| VolumeError::Write { volume, source }
}

/// The permission bits of a mode.
fn bits(mode: i32) -> u32 {
    mode.unsigned_abs() & 0o777
}

/// The keys of an object that a volume has, at their paths.
fn chosen(
    volume: &str,
    (kind, name): (&'static str, &str),
    values: Option<BTreeMap<String, Vec<u8>>>,
    items: Option<&[KeyToPath]>,
    optional: Option<bool>,
    mode: i32,
) -> Result<Files, VolumeError> {
    let optional = optional == Some(true);
    let Some(mut values) = values else {
        let missing = VolumeError::Missing { volume: volume.to_owned(), kind, name: name.to_owned() };
        return if optional { Ok(Files::new()) } else { Err(missing) };
    };
    let Some(items) = items else {
        return Ok(values.into_iter().map(|(key, value)| (key, Some((value, bits(mode))))).collect());
    };
    let mut files = Files::new();
    for item in items {
        match values.remove(&item.key) {
            Some(value) => {
                files.insert(item.path.clone(), Some((value, bits(item.mode.unwrap_or(mode)))));
            }
            None if optional => {}
            None => {
                let key = item.key.clone();
                return Err(VolumeError::Key { volume: volume.to_owned(), kind, name: name.to_owned(), key });
            }
        }
    }
    Ok(files)
}

/// Writes what has changed, each file whole or not at all, and removes what is no longer said.
fn write(folder: &Path, files: Files, user: u32) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let known = files.keys().any(|path| path.split('/').next() == name.to_str());
        if !known {
            let path = entry.path();
            if entry.file_type()?.is_dir() { std::fs::remove_dir_all(path)? } else { std::fs::remove_file(path)? }
        }
    }
    for (path, content) in files {
        let Some((bytes, mode)) = content else { continue };
        let path = folder.join(path);
        if std::fs::read(&path).is_ok_and(|now| now == bytes) {
            continue;
        }
        let parent = path.parent().unwrap_or(folder);
        std::fs::create_dir_all(parent)?;
        let mut file = tempfile::NamedTempFile::new_in(parent)?;
        file.write_all(&bytes)?;
        file.as_file().set_permissions(PermissionsExt::from_mode(mode))?;
        // Whoever is not root gives nothing away, and is the pod's user himself.
        if nix::unistd::geteuid().is_root() {
            chown(file.path(), Some(user), Some(user))?;
        }
        file.persist(&path).map_err(|error| error.error)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values() -> Option<BTreeMap<String, Vec<u8>>> {
        Some(BTreeMap::from([("tls.crt".to_owned(), b"c".to_vec()), ("tls.key".to_owned(), b"k".to_vec())]))
    }

    fn item(key: &str, path: &str, mode: Option<i32>) -> KeyToPath {
        KeyToPath { key: key.to_owned(), path: path.to_owned(), mode }
    }

    #[test]
    fn every_key_or_those_that_are_named() {
        let of = ("Secret", "s");
        let all = chosen("v", of, values(), None, None, 0o440).unwrap();
        assert_eq!(all.keys().collect::<Vec<_>>(), ["tls.crt", "tls.key"]);
        assert_eq!(all["tls.key"], Some((b"k".to_vec(), 0o440)));
        let items = [item("tls.key", "private/key", Some(0o400))];
        let one = chosen("v", of, values(), Some(&items), None, 0o440).unwrap();
        assert_eq!(one, Files::from([("private/key".to_owned(), Some((b"k".to_vec(), 0o400)))]));
    }

    #[test]
    fn what_is_missing_is_refused_unless_it_is_optional() {
        let of = ("Secret", "s");
        let items = [item("ca.crt", "ca.crt", None)];
        let error = chosen("v", of, values(), Some(&items), None, MODE).unwrap_err();
        assert_eq!(error.to_string(), "volume `v`: Secret `s` has no key `ca.crt`");
        assert_eq!(chosen("v", of, values(), Some(&items), Some(true), MODE).unwrap(), Files::new());
        let error = chosen("v", of, None, None, None, MODE).unwrap_err();
        assert_eq!(error.to_string(), "volume `v`: Secret `s` does not exist");
        assert!(chosen("v", of, None, None, Some(true), MODE).unwrap().is_empty());
    }

    #[test]
    fn files_follow_what_is_said() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("v");
        let user = nix::unistd::geteuid().as_raw();
        let file = |text: &str| Some((text.as_bytes().to_vec(), 0o440));
        let named = |path: &str, content| (path.to_owned(), content);
        let first = [named("a", file("1")), named("deep/b", file("2")), named("token", file("t"))];
        write(&folder, Files::from(first), user).unwrap();
        assert_eq!(folder.join("a").metadata().unwrap().permissions().mode() & 0o777, 0o440);
        assert_eq!(std::fs::read_to_string(folder.join("deep/b")).unwrap(), "2");
        // Changed, kept, removed.
        write(&folder, Files::from([named("a", file("3")), named("token", None)]), user).unwrap();
        let text = |name: &str| std::fs::read_to_string(folder.join(name)).ok();
        assert_eq!((text("a").as_deref(), text("token").as_deref()), (Some("3"), Some("t")));
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 2);
    }

    #[test]
    fn what_is_offered_is_in_the_nodes_folder() {
        let offered = offered(Path::new("/lab/dc-a/node"));
        assert_eq!(offered.len(), 1 + usize::from(COUNT));
        assert_eq!(offered[1]["spec"]["hostPath"]["path"], "/lab/dc-a/node/volumes/0");
    }
}
