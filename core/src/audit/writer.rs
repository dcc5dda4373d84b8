//! Who wrote an object of Kubernetes, as far as Kubernetes says.
//!
//! It keeps no names of people: `metadata.managedFields` has the *field manager* of each write, a name that the writing
//! program gives itself (`kubectl-edit`, `argocd-controller`), whether it applied or updated, and when, in whole seconds. A
//! person's name is in the audit log of the API server, or is known where they came through Tandem's API.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;

use super::Actor;
use crate::names::MANAGER;

/// The field manager of Tandem's API.
pub const API_MANAGER: &str = "tandem-api";

/// The field manager under which the operator writes what an approved request asks for: that is its own doing.
pub const CARRIES_OUT_MANAGER: &str = "tandem/requests";

/// How the field managers of Tandem's operator begin. All but [`CARRIES_OUT_MANAGER`] only keep its books on an object.
const OPERATOR: &str = "tandem/";

/// The most characters of a field manager's name that are kept. The API server allows 128.
const NAME_MOST: usize = 128;

/// Who wrote an object last, Tandem's own book-keeping left aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Writer {
    /// Tandem's operator: nobody else has written, or it carried a request out.
    Operator,
    /// Tandem's API. It wrote an entry with the person's name before it wrote the object.
    Api {
        /// When, by the API server's wall clock.
        time: Option<Timestamp>,
    },
    /// Whatever else speaks to the API server: `kubectl`, another program, a controller.
    Manager {
        /// The name that it gave itself.
        manager: String,
        /// `Apply` or `Update`.
        operation: String,
        /// When, by the API server's wall clock.
        time: Option<Timestamp>,
    },
}

impl Writer {
    /// The newest write among these that is not book-keeping of Tandem's operator. Of two in one second, the one that stands
    /// later. Writes of a subresource, such as the status, change nothing that people ask for, and do not count.
    ///
    /// API servers of old releases keep the time of a manager that changes the values of its own fields again: among several
    /// managers, the newest is then the one that last took a field over.
    #[must_use]
    pub fn newest(fields: &[ManagedFieldsEntry]) -> Self {
        let counts = |entry: &&ManagedFieldsEntry| {
            let manager = manager(entry);
            entry.subresource.as_deref().unwrap_or_default().is_empty()
                && (!manager.starts_with(OPERATOR) || manager == CARRIES_OUT_MANAGER)
        };
        fields.iter().filter(counts).max_by_key(|entry| time(entry)).map_or(Self::Operator, Self::of)
    }

    /// Who changed an object that is the operator's, by the managed fields as they were found: the newest write by anybody else
    /// but of its status, where it is not older than the operator's own newest. Else nobody is known: what only takes something
    /// away leaves no trace there, and an old trace is of something else.
    #[must_use]
    pub fn since_the_operator(fields: &[ManagedFieldsEntry]) -> Self {
        let (ours, others): (Vec<_>, Vec<_>) = fields.iter().partition(|entry| manager(entry).starts_with(OPERATOR));
        let ours = ours.into_iter().filter_map(time).max();
        let counts =
            |entry: &&ManagedFieldsEntry| entry.subresource.as_deref() != Some("status") && time(entry) >= ours;
        let newest = others.into_iter().filter(counts).max_by_key(|entry| time(entry));
        newest.map_or_else(Self::unknown, Self::of)
    }

    fn of(entry: &ManagedFieldsEntry) -> Self {
        match manager(entry) {
            CARRIES_OUT_MANAGER => Self::Operator,
            API_MANAGER => Self::Api { time: time(entry) },
            manager => Self::Manager {
                manager: manager.chars().take(NAME_MOST).collect(),
                operation: entry.operation.clone().unwrap_or_default(),
                time: time(entry),
            },
        }
    }

    /// The name of the field manager; `unknown` where Kubernetes does not say.
    #[must_use]
    pub fn manager(&self) -> &str {
        match self {
            Self::Operator => MANAGER,
            Self::Api { .. } => API_MANAGER,
            Self::Manager { manager, .. } if manager.is_empty() => "unknown",
            Self::Manager { manager, .. } => manager,
        }
    }

    /// The actor of an entry. Nobody is named whom Kubernetes does not name: `kubectl:<manager>` is a program, whoever used
    /// it, and `kubectl` stands for everything that comes past Tandem's API.
    #[must_use]
    pub fn actor(&self, replica: &str) -> Actor {
        match self {
            Self::Operator => operator(replica),
            Self::Api { .. } => Actor { name: "tandem:api".to_owned(), roles: Vec::new(), via: "api".to_owned() },
            Self::Manager { .. } => {
                let name = format!("kubectl:{}", self.manager());
                Actor { name, roles: Vec::new(), via: "kubectl".to_owned() }
            }
        }
    }

    /// Whoever deleted an object: Kubernetes says nothing of them at all.
    #[must_use]
    pub fn unknown() -> Self {
        Self::Manager { manager: String::new(), operation: String::new(), time: None }
    }
}

fn manager(entry: &ManagedFieldsEntry) -> &str {
    entry.manager.as_deref().unwrap_or_default()
}

fn time(entry: &ManagedFieldsEntry) -> Option<Timestamp> {
    entry.time.as_ref().map(|time| time.0)
}

/// The operator's replica as an actor.
#[must_use]
pub fn operator(replica: &str) -> Actor {
    Actor { name: format!("tandem:operator/{replica}"), roles: Vec::new(), via: "operator".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    fn wrote(manager: &str, operation: &str, second: i64) -> ManagedFieldsEntry {
        ManagedFieldsEntry {
            manager: Some(manager.into()),
            operation: Some(operation.into()),
            time: Some(Time(Timestamp::from_second(second).unwrap())),
            ..ManagedFieldsEntry::default()
        }
    }

    fn name(fields: &[ManagedFieldsEntry]) -> String {
        Writer::newest(fields).actor("op-0").name
    }

    #[test]
    fn the_newest_write_that_is_not_the_operators_counts() {
        let fields = [
            wrote("kubectl-client-side-apply", "Update", 10),
            wrote("kubectl-edit", "Update", 20),
            wrote("tandem/sync", "Update", 30),
            wrote("tandem/hold", "Update", 31),
        ];
        let newest = Writer::newest(&fields);
        let time = Some(Timestamp::from_second(20).unwrap());
        assert_eq!(newest, Writer::Manager { manager: "kubectl-edit".into(), operation: "Update".into(), time });
        let actor = newest.actor("op-0");
        assert_eq!((actor.name.as_str(), actor.via.as_str()), ("kubectl:kubectl-edit", "kubectl"));
        assert!(actor.roles.is_empty(), "nothing is claimed of a person");
        let mut turned = fields.to_vec();
        turned.reverse();
        assert_eq!(Writer::newest(&turned), newest, "the order does not count");
    }

    #[test]
    fn what_the_operator_carried_out_is_its_own_and_its_books_are_not() {
        assert_eq!(Writer::newest(&[]), Writer::Operator);
        assert_eq!(Writer::newest(&[wrote("tandem/sync", "Update", 1)]), Writer::Operator);
        let fields = [wrote("kubectl-create", "Update", 1), wrote("tandem/requests", "Apply", 2)];
        assert_eq!(name(&fields), "tandem:operator/op-0");
        let fields = [wrote("tandem/requests", "Apply", 2), wrote("kubectl-edit", "Update", 3)];
        assert_eq!(name(&fields), "kubectl:kubectl-edit");
    }

    #[test]
    fn what_came_through_the_api_is_not_claimed_twice() {
        let fields = [wrote("kubectl-create", "Update", 1), wrote("tandem-api", "Apply", 2)];
        let actor = Writer::newest(&fields).actor("op-0");
        assert_eq!((actor.name.as_str(), actor.via.as_str()), ("tandem:api", "api"));
    }

    #[test]
    fn whoever_changed_what_is_the_operators_did_so_since_it_wrote() {
        let name = |fields: &[ManagedFieldsEntry]| Writer::since_the_operator(fields).manager().to_owned();
        let under = |subresource: &str, entry: ManagedFieldsEntry| ManagedFieldsEntry {
            subresource: Some(subresource.into()),
            ..entry
        };
        let ours = wrote("tandem/environment", "Apply", 20);
        assert_eq!(name(&[ours.clone(), wrote("kubectl-edit", "Update", 20)]), "kubectl-edit");
        assert_eq!(name(&[wrote("helm", "Update", 22), ours.clone(), wrote("kubectl-edit", "Update", 21)]), "helm");
        assert_eq!(name(&[ours.clone(), wrote("kubectl-annotate", "Update", 19)]), "unknown", "of something else");
        assert_eq!(name(std::slice::from_ref(&ours)), "unknown", "what was taken away leaves no trace");
        assert_eq!(name(&[]), "unknown");
        let scaled = under("scale", wrote("kubectl", "Update", 30));
        let reported = under("status", wrote("kube-controller-manager", "Update", 40));
        assert_eq!(name(&[ours.clone(), scaled, reported.clone()]), "kubectl");
        assert_eq!(name(&[ours, reported]), "unknown");
        let actor = Writer::since_the_operator(&[]).actor("op-0");
        assert_eq!((actor.name.as_str(), actor.via.as_str()), ("kubectl:unknown", "kubectl"));
    }

    #[test]
    fn a_status_or_a_write_without_a_time_hides_nobody() {
        let status = ManagedFieldsEntry { subresource: Some("status".into()), ..wrote("kubectl-edit", "Update", 9) };
        assert_eq!(name(&[wrote("helm", "Update", 3), status]), "kubectl:helm");
        let timeless = ManagedFieldsEntry { time: None, ..wrote("old", "Update", 0) };
        assert_eq!(name(&[wrote("helm", "Update", 3), timeless.clone()]), "kubectl:helm");
        assert_eq!(name(&[timeless]), "kubectl:old");
        assert_eq!(name(&[ManagedFieldsEntry::default()]), "kubectl:unknown");
        let long = wrote(&"m".repeat(5_000), "Update", 1);
        assert_eq!(name(&[long]).len(), "kubectl:".len() + NAME_MOST);
        assert_eq!(Writer::unknown().actor("op-0").name, "kubectl:unknown");
    }
}
