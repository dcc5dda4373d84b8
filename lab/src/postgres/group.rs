//! The failover group whose data a lab's cluster has.

use super::{AGENT, Databases};
use crate::layout::Layout;
use crate::plan::Plan;
use serde_json::{Value, json};
use std::{fs, io};

/// The manifest of a group of the lab; `None` where it has no cluster of that name.
///
/// # Errors
/// When a site's authority cannot be read.
pub fn failover_group(plan: &Plan, layout: &Layout, databases: &Databases, group: &str) -> io::Result<Option<Value>> {
    if !databases.groups.iter().any(|known| known == group) {
        return Ok(None);
    }
    let mut sites = Vec::new();
    for place in plan.places().iter().filter(|place| plan.sites.contains(&place.name)) {
        let members = databases.members_of(group, place);
        let members: Vec<String> =
            members.iter().map(|member| format!("https://{}:{AGENT}/v1", member.address)).collect();
        sites.push(json!({
            "site": place.name,
            "members": members,
            "caBundle": fs::read_to_string(layout.pki(&place.name).join("data-ca.crt"))?,
            "clientCertificateSecret": "hook-operator",
        }));
    }
    Ok(Some(json!({
        "apiVersion": "tandem.dev/v1alpha1",
        "kind": "FailoverGroup",
        "metadata": {"name": group},
        "spec": {
            "mode": "Automatic",
            "rpoSeconds": 60,
            "provider": "Patroni",
            "patroni": {"sites": sites, "timeoutSeconds": 2},
        },
    })))
}

/// A lab of two clusters, `service-hall` and `data-hub`, of which the sites' authorities are there.
#[cfg(test)]
pub(crate) fn two_clusters(dir: &std::path::Path) -> (Layout, Plan, Databases) {
    let layout = Layout { dir: dir.to_owned() };
    let plan = Plan::new("t", "10.90", "dc-a,dc-b").unwrap();
    let databases = Databases::new(&["service-hall".to_owned(), "data-hub".to_owned()], None).unwrap();
    for site in &plan.sites {
        Layout::private_file(&layout.pki(site).join("data-ca.crt"), &format!("the authority of {site}")).unwrap();
    }
    (layout, plan, databases)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_names_the_agent_beside_each_member() {
        let dir = tempfile::tempdir().unwrap();
        let (layout, plan, databases) = two_clusters(dir.path());
        let of = |group: &str| failover_group(&plan, &layout, &databases, group).unwrap();
        let group = of("data-hub").unwrap();
        let second = &group["spec"]["patroni"]["sites"][1];
        assert_eq!(second["members"], json!(["https://10.90.64.18:9443/v1", "https://10.90.64.19:9443/v1"]));
        assert_eq!((&second["site"], &second["caBundle"]), (&json!("dc-b"), &json!("the authority of dc-b")));
        assert_eq!(group["spec"]["provider"], "Patroni");
        assert!(of("ledger").is_none());
    }
}
