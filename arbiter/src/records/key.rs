//! The keys under the arbiter's prefix.

use std::str::FromStr;

use tandem_core::sync::{Kind, ObjectKey};

/// The prefix of everything that Tandem keeps in the arbiter.
pub const PREFIX: &str = "/tandem/v1/";

/// Stands for the namespace of a cluster-scoped object.
const NO_NAMESPACE: &str = "-";

/// What a hold covers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Hold {
    /// One failover group.
    Group(String),
    /// Every group of a site.
    Site(String),
    /// Everything.
    All,
}

/// One key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// `sites/<site>/members/<replica>`: a replica's heartbeat.
    Member {
        /// The site.
        site: String,
        /// The replica.
        replica: String,
    },
    /// `sites/<site>/leader`: which replica acts for the site.
    Leader(String),
    /// `groups/<group>`: who is active for a group.
    Group(String),
    /// `holds/…`: present = held.
    Hold(Hold),
    /// `ledger/<unit>`: a unit's budget.
    Ledger(String),
    /// `specs/<kind>/<ns>/<name>`: desired state.
    Spec(ObjectKey),
    /// `versions/<kind>/<ns>/<name>/<base>-<id>`: a version of what binds an agency, written with the record. The base is the
    /// revision of the record that it replaced, in twenty digits. That is 0 again for whoever takes a name anew after its
    /// tombstone was collected: the durable id tells them apart.
    Version {
        /// The object.
        object: ObjectKey,
        /// The revision that was replaced; 0 where there was none.
        base: i64,
        /// The durable id.
        id: String,
    },
    /// `status/<site>/<kind>/<ns>/<name>`: what a site observed of an object.
    Status(String, ObjectKey),
    /// `status/<site>/applied`: how far a site has applied the records.
    Applied(String),
    /// `status/<site>/brake`: that a site's brake tripped, and whether a person confirmed.
    Brake(String),
    /// `status/<site>/data/<group>`: how a group's data stands at a site, as its provider last said.
    Data {
        /// The site.
        site: String,
        /// The group.
        group: String,
    },
    /// `drift/<site>/<Kind>/<ns>/<name>`: an object of a site's that somebody else changed and that was put back.
    Drift {
        /// The site.
        site: String,
        /// The object's kind, as Kubernetes names it.
        kind: String,
        /// Its namespace; `None` where it has none.
        namespace: Option<String>,
        /// Its name.
        name: String,
    },
    /// `conflicts/<id>`: an edit that was overwritten.
    Conflict(String),
    /// `executions/<id>/<group>`: the journal of one group in one execution.
    Journal {
        /// The execution's id, which is its idempotency key.
        execution: String,
        /// The group.
        group: String,
    },
    /// `reports/<execution>/<part>`: a part of the report on an execution, its number in four digits, see
    /// [`ReportRecord`](super::ReportRecord).
    Report {
        /// The execution's id.
        execution: String,
        /// The part, from 0.
        part: u16,
    },
    /// `requests/<id>`: what people asked for, read alike by both sites.
    Request(String),
    /// `audit/<site>/<seq>`: an entry of a site's audit chain, its number in twenty digits.
    AuditEntry {
        /// The site.
        site: String,
        /// The entry's number.
        seq: u64,
    },
    /// `audit/<site>/head`: how far a site's audit chain goes.
    AuditHead(String),
    /// `audit/<site>/segments/<first>`: a sealed segment, by the number of its first entry in twenty digits.
    AuditSegment {
        /// The site.
        site: String,
        /// The number of its first entry.
        first: u64,
    },
    /// `audit/<site>/pending/<id>`: what was done and has no place in the site's audit chain yet, see
    /// [`PendingRecord`](super::PendingRecord).
    AuditPending {
        /// The site.
        site: String,
        /// The id of the entry that it becomes.
        id: String,
    },
    /// `idempotency/<id>`: what was answered to a request that was sent with a key, see
    /// [`idempotency_id`](super::idempotency_id).
    Idempotency(String),
    /// `generation`: which restore the arbiter's data come from; absent where there never was one.
    Generation,
    /// `replacements`: the arbiter's members that were replaced, so that sites know the new ones.
    Replacements,
    /// `revision`: written for nothing but to raise the store's revision after a restore.
    Revision,
    /// `sites/<site>/highest`: the high-water marks that a site reported after a restore.
    Highest(String),
    /// `attestations/<site>/<approver>`: a person's word that a silent site is off.
    Attestation {
        /// The silent site.
        site: String,
        /// Who says so.
        approver: String,
    },
}

/// A text that is not a key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a key of Tandem's: {0:?}")]
pub struct KeyError(pub String);

impl Key {
    /// The prefix of all heartbeats of a site.
    #[must_use]
    pub fn members(site: &str) -> String {
        format!("{PREFIX}sites/{site}/members/")
    }

    /// The prefix of what all sites' replicas say of themselves.
    #[must_use]
    pub fn sites() -> String {
        format!("{PREFIX}sites/")
    }

    /// The prefix of all group records.
    #[must_use]
    pub fn groups() -> String {
        format!("{PREFIX}groups/")
    }

    /// The prefix of all units' ledgers.
    #[must_use]
    pub fn ledgers() -> String {
        format!("{PREFIX}ledger/")
    }

    /// The prefix of all holds.
    #[must_use]
    pub fn holds() -> String {
        format!("{PREFIX}holds/")
    }

    /// The prefix of all desired state.
    #[must_use]
    pub fn specs() -> String {
        format!("{PREFIX}specs/")
    }

    /// The prefix of one object's versions.
    #[must_use]
    pub fn versions(object: &ObjectKey) -> String {
        let namespace = object.namespace.as_deref().unwrap_or(NO_NAMESPACE);
        format!("{}{namespace}/{}/", Self::versions_of(object.kind), object.name)
    }

    /// The prefix of the versions of all objects of a kind.
    #[must_use]
    pub fn versions_of(kind: Kind) -> String {
        format!("{PREFIX}versions/{}/", kind.plural())
    }

    /// The prefix of all status, of every site.
    #[must_use]
    pub fn statuses() -> String {
        format!("{PREFIX}status/")
    }

    /// The prefix of one site's status.
    #[must_use]
    pub fn status_of(site: &str) -> String {
        format!("{PREFIX}status/{site}/")
    }

    /// The prefix of all journals, of every execution.
    #[must_use]
    pub fn executions() -> String {
        format!("{PREFIX}executions/")
    }

    /// The prefix of one execution's journals.
    #[must_use]
    pub fn execution(id: &str) -> String {
        format!("{PREFIX}executions/{id}/")
    }

    /// The prefix of all reports on executions.
    #[must_use]
    pub fn reports() -> String {
        format!("{PREFIX}reports/")
    }

    /// The prefix of the report on one execution.
    #[must_use]
    pub fn report(execution: &str) -> String {
        format!("{PREFIX}reports/{execution}/")
    }

    /// The prefix of everything that people asked for.
    #[must_use]
    pub fn requests() -> String {
        format!("{PREFIX}requests/")
    }

    /// The prefix of everybody's word about one silent site.
    #[must_use]
    pub fn attestations(site: &str) -> String {
        format!("{PREFIX}attestations/{site}/")
    }

    /// The prefix of a site's sealed segments.
    #[must_use]
    pub fn audit_segments(site: &str) -> String {
        format!("{PREFIX}audit/{site}/segments/")
    }

    /// The prefix of what has no place in a site's chain yet. Entries, head and segments are not under it.
    #[must_use]
    pub fn audit_pending(site: &str) -> String {
        format!("{PREFIX}audit/{site}/pending/")
    }

    /// The prefix of all answers that are kept.
    #[must_use]
    pub fn idempotency() -> String {
        format!("{PREFIX}idempotency/")
    }

    /// The prefix of what every site has put back.
    #[must_use]
    pub fn drifts() -> String {
        format!("{PREFIX}drift/")
    }

    /// The prefix of what one site has put back.
    #[must_use]
    pub fn drifts_of(site: &str) -> String {
        format!("{PREFIX}drift/{site}/")
    }

    /// The prefix of all conflicts.
    #[must_use]
    pub fn conflicts() -> String {
        format!("{PREFIX}conflicts/")
    }
}

impl Key {
    /// Site and replica of a heartbeat's key; `None` for every other text. What parsing would say, without a copy: heartbeats
    /// are most of what is read.
    #[must_use]
    pub fn member_of(text: &str) -> Option<(&str, &str)> {
        let (site, rest) = text.strip_prefix(PREFIX)?.strip_prefix("sites/")?.split_once('/')?;
        let replica = rest.strip_prefix("members/")?;
        (!site.is_empty() && !replica.is_empty() && !replica.contains('/')).then_some((site, replica))
    }
}

fn object(f: &mut std::fmt::Formatter<'_>, key: &ObjectKey) -> std::fmt::Result {
    let namespace = key.namespace.as_deref().unwrap_or(NO_NAMESPACE);
    write!(f, "{}/{namespace}/{}", key.kind.plural(), key.name)
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(PREFIX)?;
        match self {
            Self::Member { site, replica } => write!(f, "sites/{site}/members/{replica}"),
            Self::Leader(site) => write!(f, "sites/{site}/leader"),
            Self::Group(group) => write!(f, "groups/{group}"),
            Self::Hold(Hold::Group(group)) => write!(f, "holds/group/{group}"),
            Self::Hold(Hold::Site(site)) => write!(f, "holds/site/{site}"),
            Self::Hold(Hold::All) => write!(f, "holds/all"),
            Self::Ledger(unit) => write!(f, "ledger/{unit}"),
            Self::Spec(key) => {
                f.write_str("specs/")?;
                object(f, key)
            }
            Self::Version { object: key, base, id } => {
                f.write_str("versions/")?;
                object(f, key)?;
                write!(f, "/{base:020}-{id}")
            }
            Self::Status(site, key) => {
                write!(f, "status/{site}/")?;
                object(f, key)
            }
            Self::Applied(site) => write!(f, "status/{site}/applied"),
            Self::Brake(site) => write!(f, "status/{site}/brake"),
            Self::Data { site, group } => write!(f, "status/{site}/data/{group}"),
            Self::Drift { site, kind, namespace, name } => {
                write!(f, "drift/{site}/{kind}/{}/{name}", namespace.as_deref().unwrap_or(NO_NAMESPACE))
            }
            Self::Conflict(id) => write!(f, "conflicts/{id}"),
            Self::Journal { execution, group } => write!(f, "executions/{execution}/{group}"),
            Self::Report { execution, part } => write!(f, "reports/{execution}/{part:04}"),
            Self::Request(id) => write!(f, "requests/{id}"),
            Self::AuditEntry { site, seq } => write!(f, "audit/{site}/{seq:020}"),
            Self::AuditHead(site) => write!(f, "audit/{site}/head"),
            Self::AuditSegment { site, first } => write!(f, "audit/{site}/segments/{first:020}"),
            Self::AuditPending { site, id } => write!(f, "audit/{site}/pending/{id}"),
            Self::Idempotency(id) => write!(f, "idempotency/{id}"),
            Self::Generation => f.write_str("generation"),
            Self::Replacements => f.write_str("replacements"),
            Self::Revision => f.write_str("revision"),
            Self::Highest(site) => write!(f, "sites/{site}/highest"),
            Self::Attestation { site, approver } => write!(f, "attestations/{site}/{approver}"),
        }
    }
}

fn object_key(kind: &str, namespace: &str, name: &str) -> Option<ObjectKey> {
    // Plurals only: one key for one object.
    let kind = Kind::ALL.into_iter().find(|known| known.plural() == kind)?;
    match (kind.namespaced(), namespace == NO_NAMESPACE) {
        (true, false) => Some(ObjectKey::namespaced(kind, namespace, name)),
        (false, true) => Some(ObjectKey::cluster(kind, name)),
        _ => None,
    }
}

/// A number in twenty digits: one key for one number, and keys in the order of numbers.
fn number(text: &str) -> Option<u64> {
    let digits = text.len() == 20 && text.bytes().all(|byte| byte.is_ascii_digit());
    if digits { text.parse().ok() } else { None }
}

/// A version's key, by its object and its last part.
fn version(object: Option<ObjectKey>, last: &str) -> Option<Key> {
    let (base, id) = last.split_once('-')?;
    let base = number(base).and_then(|base| i64::try_from(base).ok())?;
    (!id.is_empty()).then_some(Key::Version { object: object?, base, id: id.to_owned() })
}

impl FromStr for Key {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts: Vec<&str> = text.strip_prefix(PREFIX).unwrap_or_default().split('/').collect();
        let owned = |part: &str| part.to_owned();
        let key = match *parts.as_slice() {
            _ if parts.iter().any(|part| part.is_empty()) => None,
            ["sites", site, "members", replica] => Some(Self::Member { site: owned(site), replica: owned(replica) }),
            ["sites", site, "leader"] => Some(Self::Leader(owned(site))),
            ["groups", group] => Some(Self::Group(owned(group))),
            ["holds", "group", group] => Some(Self::Hold(Hold::Group(owned(group)))),
            ["holds", "site", site] => Some(Self::Hold(Hold::Site(owned(site)))),
            ["holds", "all"] => Some(Self::Hold(Hold::All)),
            ["ledger", unit] => Some(Self::Ledger(owned(unit))),
            ["specs", kind, namespace, name] => object_key(kind, namespace, name).map(Self::Spec),
            ["versions", kind, namespace, name, last] => version(object_key(kind, namespace, name), last),
            ["status", site, "applied"] => Some(Self::Applied(owned(site))),
            ["status", site, "brake"] => Some(Self::Brake(owned(site))),
            ["status", site, "data", group] => Some(Self::Data { site: owned(site), group: owned(group) }),
            ["status", site, kind, namespace, name] => {
                object_key(kind, namespace, name).map(|key| Self::Status(owned(site), key))
            }
            ["drift", site, kind, namespace, name] => Some(Self::Drift {
                site: owned(site),
                kind: owned(kind),
                namespace: (namespace != NO_NAMESPACE).then(|| owned(namespace)),
                name: owned(name),
            }),
            ["conflicts", id] => Some(Self::Conflict(owned(id))),
            ["executions", execution, group] => {
                Some(Self::Journal { execution: owned(execution), group: owned(group) })
            }
            ["reports", execution, part] if part.len() == 4 && part.bytes().all(|byte| byte.is_ascii_digit()) => {
                part.parse().ok().map(|part| Self::Report { execution: owned(execution), part })
            }
            ["requests", id] => Some(Self::Request(owned(id))),
            ["audit", site, "head"] => Some(Self::AuditHead(owned(site))),
            ["audit", site, seq] => number(seq).map(|seq| Self::AuditEntry { site: owned(site), seq }),
            ["audit", site, "segments", first] => {
                number(first).map(|first| Self::AuditSegment { site: owned(site), first })
            }
            ["audit", site, "pending", id] => Some(Self::AuditPending { site: owned(site), id: owned(id) }),
            ["idempotency", id] => Some(Self::Idempotency(owned(id))),
            ["generation"] => Some(Self::Generation),
            ["replacements"] => Some(Self::Replacements),
            ["revision"] => Some(Self::Revision),
            ["sites", site, "highest"] => Some(Self::Highest(owned(site))),
            ["attestations", site, approver] => {
                Some(Self::Attestation { site: owned(site), approver: owned(approver) })
            }
            _ => None,
        };
        key.ok_or_else(|| KeyError(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_reads_back() {
        let unit = ObjectKey::cluster(Kind::Unit, "audit");
        let app = ObjectKey::namespaced(Kind::Application, "audit-prod", "portal");
        let keys = [
            (Key::Member { site: "dc-a".into(), replica: "op-0".into() }, "sites/dc-a/members/op-0"),
            (Key::Leader("dc-a".into()), "sites/dc-a/leader"),
            (Key::Group("platform".into()), "groups/platform"),
            (Key::Hold(Hold::All), "holds/all"),
            (Key::Hold(Hold::Group("g".into())), "holds/group/g"),
            (Key::Hold(Hold::Site("dc-a".into())), "holds/site/dc-a"),
            (Key::Ledger("audit".into()), "ledger/audit"),
            (Key::Spec(unit.clone()), "specs/units/-/audit"),
            (Key::Spec(app.clone()), "specs/applications/audit-prod/portal"),
            (
                Key::Version { object: unit.clone(), base: 0, id: "a1-b2".into() },
                "versions/units/-/audit/00000000000000000000-a1-b2",
            ),
            (
                Key::Version { object: app.clone(), base: 17, id: "a1".into() },
                "versions/applications/audit-prod/portal/00000000000000000017-a1",
            ),
            (Key::Status("dc-b".into(), unit), "status/dc-b/units/-/audit"),
            (Key::Status("dc-b".into(), app), "status/dc-b/applications/audit-prod/portal"),
            (Key::Applied("dc-b".into()), "status/dc-b/applied"),
            (Key::Brake("dc-b".into()), "status/dc-b/brake"),
            (Key::Data { site: "dc-b".into(), group: "g".into() }, "status/dc-b/data/g"),
            (
                Key::Drift {
                    site: "dc-b".into(),
                    kind: "NetworkPolicy".into(),
                    namespace: Some("audit-prod".into()),
                    name: "tandem".into(),
                },
                "drift/dc-b/NetworkPolicy/audit-prod/tandem",
            ),
            (
                Key::Drift {
                    site: "dc-b".into(),
                    kind: "Namespace".into(),
                    namespace: None,
                    name: "audit-prod".into(),
                },
                "drift/dc-b/Namespace/-/audit-prod",
            ),
            (Key::Conflict("ab12".into()), "conflicts/ab12"),
            (Key::Journal { execution: "x1".into(), group: "g".into() }, "executions/x1/g"),
            (Key::Report { execution: "home".into(), part: 12 }, "reports/home/0012"),
            (Key::Request("home".into()), "requests/home"),
            (Key::AuditEntry { site: "dc-a".into(), seq: 17 }, "audit/dc-a/00000000000000000017"),
            (Key::AuditHead("dc-a".into()), "audit/dc-a/head"),
            (Key::AuditSegment { site: "dc-a".into(), first: 1 }, "audit/dc-a/segments/00000000000000000001"),
            (Key::AuditPending { site: "dc-a".into(), id: "ab12-0".into() }, "audit/dc-a/pending/ab12-0"),
            (Key::Idempotency("ab12".into()), "idempotency/ab12"),
            (Key::Generation, "generation"),
            (Key::Replacements, "replacements"),
            (Key::Revision, "revision"),
            (Key::Highest("dc-a".into()), "sites/dc-a/highest"),
            (Key::Attestation { site: "dc-a".into(), approver: "wang".into() }, "attestations/dc-a/wang"),
        ];
        for (key, text) in keys {
            let text = format!("{PREFIX}{text}");
            assert_eq!(key.to_string(), text);
            assert_eq!(text.parse::<Key>().unwrap(), key);
            let member = match &key {
                Key::Member { site, replica } => Some((site.as_str(), replica.as_str())),
                _ => None,
            };
            assert_eq!(Key::member_of(&text), member);
        }
    }

    #[test]
    fn an_objects_versions_are_under_its_prefix_alone() {
        let of = |name: &str| Key::Version { object: ObjectKey::cluster(Kind::Unit, name), base: 7, id: "a".into() };
        let prefix = Key::versions(&ObjectKey::cluster(Kind::Unit, "audit"));
        assert!(of("audit").to_string().starts_with(&prefix));
        assert!(!of("audit-b").to_string().starts_with(&prefix));
        assert!(of("audit-b").to_string().starts_with(&Key::versions_of(Kind::Unit)));
        assert!(of("audit").to_string() > Key::versions(&ObjectKey::cluster(Kind::Unit, "audit")));
    }

    #[test]
    fn what_is_no_key_is_refused() {
        for text in [
            "/tandem/v2/groups/g",
            "/tandem/v1/groups/",
            "/tandem/v1/specs/units/ns/audit",
            "/tandem/v1/specs/applications/-/portal",
            "/tandem/v1/specs/nodes/-/n",
            "/tandem/v1/specs/Unit/-/audit",
            "/tandem/v1/holds/other/x",
            "/tandem/v1/executions/x1",
            "/tandem/v1/executions//g",
            "/tandem/v1/versions/units/-/audit",
            "/tandem/v1/versions/units/-/audit/17-a1",
            "/tandem/v1/versions/units/-/audit/00000000000000000017",
            "/tandem/v1/versions/units/-/audit/00000000000000000017-",
            "/tandem/v1/versions/units/-/audit/09999999999999999999-a1",
            "/tandem/v1/versions/units/ns/audit/00000000000000000017-a1",
            "/tandem/v1/drift/dc-a/Namespace/audit-prod",
            "/tandem/v1/reports/home",
            "/tandem/v1/reports/home/12",
            "/tandem/v1/reports/home/+012",
            "/tandem/v1/audit/dc-a/17",
            "/tandem/v1/audit/dc-a/+0000000000000000017",
            "/tandem/v1/audit/dc-a/99999999999999999999",
            "/tandem/v1/audit/dc-a/segments/1",
            "/tandem/v1/audit/dc-a/pending",
            "/tandem/v1/audit/dc-a/pending/a/b",
            "/tandem/v1/generation/2",
            "/tandem/v1/attestations/dc-a",
            "/tandem/v1/sites/dc-a/members/",
            "/tandem/v1/sites//members/op-0",
            "/tandem/v1/sites/dc-a/members/op-0/x",
            "/tandem/v1/sites/dc-a/x/members/op-0",
            "",
        ] {
            assert!(text.parse::<Key>().is_err() && Key::member_of(text).is_none(), "{text}");
        }
    }
}
