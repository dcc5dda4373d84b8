//! Labels, annotations and names of everything that Tandem writes into a cluster.

use sha2::{Digest, Sha256};

/// `true` on every object that Tandem rendered.
pub const LABEL_MANAGED: &str = "tandem.dev/managed";
/// The durable id of the Tandem object that something was rendered from: ownership goes by this label, never by an
/// ownerReference.
pub const LABEL_ID: &str = "tandem.dev/id";
/// The unit's object name.
pub const LABEL_UNIT: &str = "tandem.dev/unit";
/// The unit's durable id, on namespaces: what a namespace is adopted by.
pub const LABEL_UNIT_ID: &str = "tandem.dev/unit-id";
/// The environment's object name, which is the namespace's.
pub const LABEL_ENVIRONMENT: &str = "tandem.dev/environment";
/// The application's object name.
pub const LABEL_APPLICATION: &str = "tandem.dev/application";
/// The component's name.
pub const LABEL_COMPONENT: &str = "tandem.dev/component";
/// The drill that a clone belongs to, on everything that a drill makes, its pods among it. No production pod bears it, and no
/// clone bears what production's pods are selected by.
pub const LABEL_DRILL: &str = "tandem.dev/drill";
/// What the durable ids of clones begin with; those of objects are UUIDs.
const DRILL_OWNER: &str = "drill-";
/// The failover group that a drill rehearses, on what the drill makes but its pods.
pub const LABEL_DRILL_GROUP: &str = "tandem.dev/drill-group";
/// The application that a clone stands for.
pub const LABEL_DRILL_APPLICATION: &str = "tandem.dev/drill-application";
/// The component that a clone stands for.
pub const LABEL_DRILL_COMPONENT: &str = "tandem.dev/drill-component";
/// The group of a drill that its schedule began, on the `Failover`: such ones alone are removed when there are too many.
pub const LABEL_SCHEDULED: &str = "tandem.dev/scheduled-drill";
/// The NetworkPolicy of what an environment's pods may reach outside of it.
pub const ALLOW_EGRESS: &str = "tandem-allow-egress";
/// What a namespace is for the network policies of all others: [`ROLE_DNS`] or [`ROLE_GATEWAY`].
pub const LABEL_ROLE: &str = "tandem.dev/role";
/// Upstream's label for the name of an application.
pub const LABEL_NAME: &str = "app.kubernetes.io/name";
/// Upstream's label for the program that manages an object.
pub const LABEL_MANAGED_BY: &str = "app.kubernetes.io/managed-by";

/// Value of [`LABEL_ROLE`]: the cluster's DNS runs in this namespace.
pub const ROLE_DNS: &str = "dns";
/// Value of [`LABEL_ROLE`]: the gateway (ingress controller) runs in this namespace.
pub const ROLE_GATEWAY: &str = "gateway";
/// Value of [`LABEL_MANAGED_BY`].
pub const MANAGER: &str = "tandem";

/// Hash of what was rendered, on every rendered object: what changes it changes the object.
pub const ANNOTATION_RENDERED: &str = "tandem.dev/rendered-hash";
/// Hash of a component's configuration files, on pod templates: a change of the files rolls the pods.
pub const ANNOTATION_CONFIG: &str = "tandem.dev/config-hash";
/// On Tandem's objects: mod revision of the arbiter's record that the local object corresponds to.
pub const ANNOTATION_REVISION: &str = "tandem.dev/arbiter-revision";
/// On Tandem's objects: hash of the specification that was last published or followed.
pub const ANNOTATION_SYNCED: &str = "tandem.dev/synced-hash";
/// On objects that the API wrote: the name of the person who asked for it. It does not travel, and counts only where the API
/// wrote last, see [`author`](crate::policy::author).
pub const ANNOTATION_CHANGED_BY: &str = "tandem.dev/changed-by";
/// On Tandem's objects: the trace (a `traceparent`) of the change that was last published or followed. Whoever writes an object
/// may set another one; see [`of_publication`](crate::trace::of_publication).
pub const ANNOTATION_TRACE: &str = "tandem.dev/trace";
/// Finalizer through which alone a deletion becomes a tombstone.
pub const FINALIZER: &str = "tandem.dev/published";

/// Name of the ResourceQuota and of the LimitRange of a namespace.
pub const LIMITS: &str = "tandem";
/// Name of the report object that holds the findings of a namespace.
pub const FINDINGS: &str = "tandem";
/// Name of the service account that workloads run as. It has no rights and mounts no token.
pub const SERVICE_ACCOUNT: &str = "tandem-workload";

/// The longest name of most objects, in bytes: that of a DNS label.
const LONGEST: usize = 63;

/// The failover group of an application that names none: `<namespace>-<application>`.
#[must_use]
pub fn default_group(namespace: &str, application: &str) -> String {
    joined(&[namespace, application])
}

/// The name of a component's Deployment, ConfigMap and PodDisruptionBudget: `<application>-<component>`.
#[must_use]
pub fn workload(application: &str, component: &str) -> String {
    joined(&[application, component])
}

/// The name of an endpoint's Service and Ingress: `<application>-<endpoint>`.
#[must_use]
pub fn service(application: &str, endpoint: &str) -> String {
    joined(&[application, endpoint])
}

/// The name of an application's NetworkPolicy: `app-<application>`.
#[must_use]
pub fn application_policy(application: &str) -> String {
    joined(&["app", application])
}

/// The name of the NetworkPolicy for adopted pods behind an endpoint: `adopted-<application>-<endpoint>`.
#[must_use]
pub fn adopted_policy(application: &str, endpoint: &str) -> String {
    joined(&["adopted", application, endpoint])
}

/// The short id of a drill of one group: the value of [`LABEL_DRILL`].
#[must_use]
pub fn drill_id(request: &str, group: &str) -> String {
    hex::encode(&Sha256::digest(format!("{request}/{group}").as_bytes())[..6])
}

/// What the clones of a drill bear as [`LABEL_ID`]: an id of their own, so that they are never taken for the application's.
#[must_use]
pub fn drill_owner(drill: &str) -> String {
    format!("{DRILL_OWNER}{drill}")
}

/// The drill whose clones bear this as [`LABEL_ID`]; `None` where it is something else's.
#[must_use]
pub fn drill_of(owner: &str) -> Option<&str> {
    owner.strip_prefix(DRILL_OWNER)
}

/// The name of what stands in a drill for the object of this name: `drill-<drill>-<object>`.
#[must_use]
pub fn clone_of(drill: &str, object: &str) -> String {
    joined(&["drill", drill, object])
}

/// The name of the `Failover` that a group's schedule asks for: the same wherever and how often it is made.
#[must_use]
pub fn scheduled_drill(group: &str, at: jiff::Timestamp) -> String {
    joined(&["drill", group, &at.strftime("%Y%m%dt%H%M").to_string()])
}

/// The parts joined by dashes; a name that is too long is cut and ends in a hash of the whole, so that two long names
/// that begin alike stay two.
fn joined(parts: &[&str]) -> String {
    let whole = parts.join("-");
    if whole.len() <= LONGEST {
        return whole;
    }
    let hash = hex::encode(Sha256::digest(whole.as_bytes()));
    let mut cut = LONGEST - 9;
    while !whole.is_char_boundary(cut) {
        cut -= 1;
    }
    format!("{}-{}", whole[..cut].trim_end_matches(['-', '.']), &hash[..8])
}

/// Whether a text can be a DNS label (RFC 1123): the form of the names of namespaces and of label values here.
#[must_use]
pub fn is_dns_label(text: &str) -> bool {
    (1..=LONGEST).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_names_are_plain() {
        assert_eq!(default_group("data-prod", "hall"), "data-prod-hall");
        assert_eq!(workload("hall", "web"), "hall-web");
        assert_eq!(service("hall", "public"), "hall-public");
        assert_eq!(application_policy("hall"), "app-hall");
        assert_eq!(clone_of("0a1b", "hall-web"), "drill-0a1b-hall-web");
        assert_eq!(drill_of(&drill_owner("0a1b")), Some("0a1b"));
        assert_eq!(drill_of("0a1b"), None, "an application's");
        let at = "2026-11-26T02:30:00Z".parse().unwrap();
        assert_eq!(scheduled_drill("hall", at), "drill-hall-20261126t0230");
    }

    #[test]
    fn long_names_are_cut_and_stay_apart() {
        let namespace = "n".repeat(60);
        let first = default_group(&namespace, "hall");
        let second = default_group(&namespace, "mall");
        assert_eq!(first.len(), 63);
        assert_ne!(first, second);
        assert_eq!(first, default_group(&namespace, "hall"));
        assert!(is_dns_label(&first));
        // The cut falls on a dash: none is doubled.
        let dashed = default_group(&format!("{}-{}", "n".repeat(53), "m".repeat(9)), "hall");
        assert!(is_dns_label(&dashed) && !dashed.contains("--"), "{dashed}");
    }

    #[test]
    fn a_dns_label_is_known() {
        for good in ["a", "a-b", "0a"] {
            assert!(is_dns_label(good), "{good}");
        }
        for bad in ["", "-a", "a-", "a.b", "A", "a_b", &"a".repeat(64)] {
            assert!(!is_dns_label(bad), "{bad}");
        }
    }
}
