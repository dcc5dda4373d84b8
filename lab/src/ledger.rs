//! `tandem-ledger` on the lab's databases: for a group, an environment, the group itself, and the ledger as its application, reached
//! through the city's entry.

use crate::entry::Entry;
use crate::install::{InstallError, apply, client, documents};
use crate::layout::Layout;
use crate::plan::Plan;
use crate::postgres::{DATABASE, Databases, failover_group};
use k8s_openapi::api::core::v1::Namespace;
use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject};
use kube::core::GroupVersionKind;
use serde_json::{Value, json};
use std::fs;
use std::time::{Duration, Instant};
use tandem_crds::Kind;

const ENVIRONMENT: &str = include_str!("../manifests/ledger/environment.yaml");
const APPLICATION: &str = include_str!("../manifests/ledger/application.yaml");
/// What the ledger is called in its namespace, and the role that it has in the database.
const LEDGER: &str = "ledger";
/// How long a ledger may take to be ready at both sites.
const READY: Duration = Duration::from_secs(180);
const LOOK: Duration = Duration::from_millis(200);

/// The namespace of a group's ledger, at each site.
#[must_use]
pub fn namespace(group: &str) -> String {
    format!("city-{group}")
}

/// How a group's ledger is reached through the city's entry.
#[must_use]
pub fn entry(group: &str) -> Entry {
    Entry { group: group.to_owned(), service: format!("{}/{LEDGER}-http:8080", namespace(group)) }
}

/// What is applied at the site with authority: first the ledger's home and its group, then the ledger itself.
fn manifests(group: &str, of_group: Value) -> Result<(Vec<Value>, Value), InstallError> {
    let mut home = documents(ENVIRONMENT, "ledger/environment.yaml")?;
    for environment in home.iter_mut().filter(|object| object["kind"] == Kind::Environment.name()) {
        environment["metadata"]["name"] = namespace(group).into();
    }
    home.push(of_group);
    let mut ledger = documents(APPLICATION, "ledger/application.yaml")?.swap_remove(0);
    ledger["metadata"]["namespace"] = namespace(group).into();
    ledger["spec"]["failoverGroup"] = group.into();
    Ok((home, ledger))
}

/// What the ledger needs to reach the database of its own site.
fn secret(plan: &Plan, layout: &Layout, databases: &Databases, group: &str, site: &str) -> Result<Value, InstallError> {
    let manifest = |path: String, why: String| InstallError::Manifest { path, why };
    let read = |path: std::path::PathBuf| {
        fs::read_to_string(&path).map_err(|error| manifest(path.display().to_string(), error.to_string()))
    };
    let (Some(place), Some((_, port))) = (plan.place(site), databases.entries().find(|(known, _)| *known == group))
    else {
        return Err(manifest(format!("the database of {group} at {site}"), "the lab has none".to_owned()));
    };
    Ok(json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": {"namespace": namespace(group), "name": "ledger-database"},
        "stringData": {
            "host": place.database_entry().to_string(), "port": port.to_string(), "dbname": DATABASE, "user": LEDGER,
            "password": read(layout.postgres(site).join(format!("{group}.password")))?.trim(),
            "ca.crt": read(layout.pki(site).join("data-ca.crt"))?,
        },
    }))
}

/// Deploys a group's ledger, and waits until it is Ready at every site. The first site has to have authority.
///
/// # Errors
/// When an API server does not take something, or it is not Ready in time.
pub async fn deploy(plan: &Plan, layout: &Layout, databases: &Databases, group: &str) -> Result<(), InstallError> {
    let mut clients = Vec::new();
    for site in &plan.sites {
        clients.push((site.as_str(), client(&layout.kubeconfig(site, "admin")).await?));
    }
    let Some((_, first)) = clients.first() else { return Ok(()) };
    let unreadable = |why: String| InstallError::Manifest { path: format!("the group {group}"), why };
    let of_group = failover_group(plan, layout, databases, group).map_err(|error| unreadable(error.to_string()))?;
    let of_group = of_group.ok_or_else(|| unreadable("the lab has no database of it".to_owned()))?;
    let (home, ledger) = manifests(group, of_group)?;
    for object in &home {
        apply(first, object).await?;
    }
    let started = Instant::now();
    for (site, client) in &clients {
        let namespaces: Api<Namespace> = Api::all(client.clone());
        let own = namespace(group);
        let there = || async { namespaces.get_opt(&own).await.ok().flatten().is_some() };
        until(started, &format!("the namespace {own} at {site}"), there).await?;
        apply(client, &secret(plan, layout, databases, group, site)?).await?;
    }
    apply(first, &ledger).await?;
    for (site, client) in &clients {
        until(started, &format!("the ledger of {group} at {site}"), || ready(client, group)).await?;
    }
    Ok(())
}

async fn ready(client: &Client, group: &str) -> bool {
    let gvk = GroupVersionKind::gvk(tandem_crds::GROUP, tandem_crds::VERSION, Kind::Application.name());
    let resource = ApiResource::from_gvk_with_plural(&gvk, Kind::Application.plural());
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), &namespace(group), &resource);
    api.get_opt(LEDGER).await.ok().flatten().is_some_and(|object| crate::city::is_ready(&object))
}

async fn until<F: Future<Output = bool>>(
    started: Instant,
    what: &str,
    mut holds: impl FnMut() -> F,
) -> Result<(), InstallError> {
    while !holds().await {
        if started.elapsed() >= READY {
            return Err(InstallError::TooLong(what.to_owned()));
        }
        tokio::time::sleep(LOOK).await;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_group_has_a_ledger_of_its_own_in_the_citys_unit() {
        let (home, ledger) = manifests("data-hub", json!({"kind": "FailoverGroup"})).unwrap();
        let kinds: Vec<&str> = home.iter().filter_map(|object| object["kind"].as_str()).collect();
        assert_eq!(kinds, ["SecurityProfile", "Unit", "Environment", "FailoverGroup"]);
        assert_eq!(home[2]["metadata"]["name"], "city-data-hub");
        assert_eq!(ledger["metadata"]["namespace"], "city-data-hub");
        assert_eq!(ledger["spec"]["failoverGroup"], "data-hub");
        assert_eq!(entry("data-hub").to_string(), "data-hub=city-data-hub/ledger-http:8080");
    }

    #[test]
    fn a_sites_ledger_is_told_of_that_sites_database() {
        let dir = tempfile::tempdir().unwrap();
        let (layout, plan, databases) = crate::postgres::two_clusters(dir.path());
        for site in &plan.sites {
            let password = layout.postgres(site).join("data-hub.password");
            Layout::private_file(&password, &format!("of {site}\n")).unwrap();
        }
        let of = |group: &str| secret(&plan, &layout, &databases, group, "dc-b");
        let given = of("data-hub").unwrap()["stringData"].take();
        let place = plan.place("dc-b").unwrap();
        assert_eq!(given["host"], place.database_entry().to_string());
        assert_eq!((&given["port"], &given["password"]), (&json!("5433"), &json!("of dc-b")));
        assert_eq!(given["ca.crt"], "the authority of dc-b");
        let refused = of("service-hall").unwrap_err().to_string();
        assert!(refused.contains("service-hall.password"), "{refused}");
        assert!(of("ledger").unwrap_err().to_string().contains("the lab has none"));
    }
}
