//! What is known of a backup, in a small file beside it.

use super::file::{self, Verified};
use super::{BackupError, cannot};
use crate::language::Lang;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};

/// What is known of a backup. There is no secret in it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Facts {
    /// The file's length.
    pub(super) bytes: u64,
    /// The SHA-256 of the whole file, as `sha256sum` says it.
    pub(super) sha256: String,
    /// What the one who took it knew.
    #[serde(flatten)]
    pub(super) origin: Option<Origin>,
}

/// Where a backup is from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Origin {
    /// When it was begun, by the clock of the machine that took it.
    pub(super) taken: Timestamp,
    /// Whose certificate it was taken with.
    pub(super) by: String,
    /// The id of the cluster, in hexadecimal.
    pub(super) cluster: String,
    /// The generation of the data; absent where no majority could tell it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) generation: Option<u64>,
    /// Everything up to this revision is in it.
    pub(super) revision: i64,
    /// The member that gave it.
    pub(super) member: String,
    /// etcd's version there.
    pub(super) version: String,
    /// Whether a majority vouched for it. Without one, what it has last may never have been agreed upon.
    pub(super) majority: bool,
    /// The members of the cluster.
    pub(super) members: Vec<Peer>,
}

/// A member of the arbiter, as the others know it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Peer {
    /// Its name.
    pub(super) name: String,
    /// Where the others reach it.
    pub(super) peer_urls: Vec<String>,
}

/// The place of a backup's facts: its name and `.json`.
pub(super) fn beside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!("{name}.json"))
}

/// Verifies a backup: the SHA-256 that it ends with, and that the facts beside it, where there are any, are its own.
pub(super) fn checked(path: &Path) -> Result<Facts, BackupError> {
    let Verified { bytes, sha256 } = file::verify(path)?;
    let at = beside(path);
    let text = match fs::read(&at) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Facts { bytes, sha256, origin: None }),
        Err(error) => return Err(cannot("read", &at)(error)),
    };
    let bad = |why: String| BackupError::Bad { path: path.to_owned(), why };
    let facts: Facts = serde_json::from_slice(&text)
        .map_err(|error| bad(format!("{} cannot be read: {error}; mend or remove it", at.display())))?;
    if facts.sha256 != sha256 || facts.bytes != bytes {
        return Err(bad(format!("{} is of another file; put the right one there, or remove it", at.display())));
    }
    Ok(facts)
}

impl Facts {
    /// The facts for people.
    pub(super) fn text(&self, path: &Path, now: Timestamp, lang: Lang) -> String {
        let mut lines = vec![
            (lang.say("file", "文件"), path.display().to_string()),
            (lang.say("size", "大小"), format!("{} {}", self.bytes, lang.say("bytes", "字节"))),
            ("sha256", format!("{} {}", self.sha256, lang.say("(verified)", "（已校验）"))),
        ];
        match &self.origin {
            None => lines.push((
                lang.say("origin", "来源"),
                lang.say("not known: there are no facts beside it", "未知：旁边没有说明文件").to_owned(),
            )),
            Some(origin) => {
                let generation = origin
                    .generation
                    .map_or_else(|| lang.say("not known", "未知").to_owned(), |found| found.to_string());
                let age = now.duration_since(origin.taken).as_secs_f64();
                let age = crate::failover::table::duration(age);
                let taken = match lang {
                    Lang::En => format!("{} by {}, {age} ago", origin.taken, origin.by),
                    Lang::Zh => format!("{}，{}，{age} 之前", origin.taken, origin.by),
                };
                let members: Vec<&str> = origin.members.iter().map(|member| member.name.as_str()).collect();
                lines.extend([
                    (lang.say("taken", "时间"), taken),
                    (lang.say("cluster", "集群"), origin.cluster.clone()),
                    (lang.say("generation", "代次"), generation),
                    (lang.say("revision", "修订"), origin.revision.to_string()),
                    (lang.say("member", "成员"), format!("{} (etcd {})", origin.member, origin.version)),
                    (lang.say("members", "全部成员"), members.join(", ")),
                ]);
                if !origin.majority {
                    lines.push((
                        lang.say("mind", "注意"),
                        lang.say(
                            "taken without a majority: what it has last may never have been agreed upon",
                            "无多数成员时取得：最后的写入可能未经多数确认",
                        )
                        .to_owned(),
                    ));
                }
            }
        }
        lines.into_iter().map(|(name, value)| format!("{name}: {value}\n")).collect()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::arbiter::backup) fn origin() -> Origin {
        let peer = |name: &str| Peer { name: name.into(), peer_urls: vec![format!("https://{name}.example:2380")] };
        Origin {
            taken: "2030-01-02T03:04:05Z".parse().unwrap(),
            by: "arbiter-root".into(),
            cluster: "8e9e".into(),
            generation: Some(1),
            revision: 812,
            member: "witness".into(),
            version: "3.4.23".into(),
            majority: true,
            members: ["dc-a", "dc-b", "witness"].map(peer).into(),
        }
    }

    #[test]
    fn facts_are_of_one_file_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        fs::write(&path, file::tests::snapshot(2)).unwrap();
        let bare = checked(&path).unwrap();
        assert_eq!(bare.origin, None);
        let facts = Facts { origin: Some(origin()), ..bare };
        fs::write(beside(&path), serde_json::to_string(&facts).unwrap()).unwrap();
        assert_eq!(checked(&path).unwrap(), facts);
        fs::write(&path, file::tests::snapshot(3)).unwrap();
        assert!(checked(&path).unwrap_err().to_string().contains("of another file"));
        fs::write(beside(&path), "{").unwrap();
        assert!(checked(&path).unwrap_err().to_string().contains("cannot be read"));
    }

    #[test]
    fn a_person_reads_how_old_it_is_and_whether_a_majority_vouched() {
        let facts = Facts { bytes: 9, sha256: "ab".into(), origin: Some(Origin { majority: false, ..origin() }) };
        let text = facts.text(Path::new("a.db"), "2030-01-02T04:04:05Z".parse().unwrap(), Lang::En);
        for part in ["1 h ago", "arbiter-root", "without a majority", "812", "dc-a, dc-b, witness"] {
            assert!(text.contains(part), "{part}: {text}");
        }
        let text = facts.text(Path::new("a.db"), "2030-01-02T04:04:05Z".parse().unwrap(), Lang::Zh);
        assert!(text.contains("未经多数确认"), "{text}");
    }
}
