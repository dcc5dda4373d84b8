//! The lab's network: a namespace for each place, joined by a bridge in a fourth. Nothing of it is on the host.

use crate::command::{CommandError, run, run_with};
use crate::plan::{METRO, Place, Plan};
use crate::postgres::Databases;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The interface with which a place is joined to the others.
const UPLINK: &str = "uplink";
const BRIDGE: &str = "metro";
const TABLE: &str = "tandem_faults";

fn ip(arguments: &[&str]) -> Result<String, CommandError> {
    run("ip", arguments)
}

fn ip_in(namespace: &str, arguments: &[&str]) -> Result<String, CommandError> {
    let mut all = vec!["-n", namespace];
    all.extend(arguments);
    ip(&all)
}

/// Makes the namespaces, addresses and routes.
///
/// # Errors
/// When a tool fails; what was made until then is removed with [`remove`].
pub fn create(plan: &Plan, databases: &Databases) -> Result<(), CommandError> {
    let metro = plan.namespace(METRO);
    for namespace in plan.namespaces() {
        ip(&["netns", "add", &namespace])?;
        ip_in(&namespace, &["link", "set", "lo", "up"])?;
    }
    ip_in(&metro, &["link", "add", BRIDGE, "type", "bridge"])?;
    ip_in(&metro, &["link", "set", BRIDGE, "up"])?;
    // All places are on one bridge: redirected, they would learn to go past it, and past what is cut there.
    for (setting, value) in [("ip_forward", 1), ("conf/all/send_redirects", 0), ("conf/metro/send_redirects", 0)] {
        let write = format!("echo {value} > /proc/sys/net/ipv4/{setting}");
        run("nsenter", &[&net(&metro), "--", "sh", "-c", &write])?;
    }
    for place in plan.places() {
        join(&metro, &place)?;
        for address in place.addresses().into_iter().chain(databases.addresses(plan, &place)) {
            ip_in(&place.namespace, &["addr", "add", &format!("{address}/24"), "dev", UPLINK])?;
        }
        enter(&place)?;
    }
    Ok(())
}

/// The argument of `nsenter` that names a network namespace.
#[must_use]
pub fn net(namespace: &str) -> String {
    format!("--net=/run/netns/{namespace}")
}

fn join(metro: &str, place: &Place) -> Result<(), CommandError> {
    let namespace = place.namespace.as_str();
    let port = place.name.as_str();
    // Both ends are made inside the namespaces: the host never sees them.
    ip_in(namespace, &["link", "add", UPLINK, "type", "veth", "peer", "name", port, "netns", metro])?;
    ip_in(metro, &["link", "set", port, "master", BRIDGE, "up"])?;
    ip_in(metro, &["addr", "add", &format!("{}/24", place.gateway()), "dev", BRIDGE])?;
    ip_in(metro, &["route", "add", &place.range(), "via", &place.control_plane().to_string(), "dev", BRIDGE])?;
    Ok(())
}

/// Opens a place to the others, once it has its addresses.
fn enter(place: &Place) -> Result<(), CommandError> {
    let namespace = place.namespace.as_str();
    ip_in(namespace, &["link", "set", UPLINK, "up"])?;
    // To the lab's other places, and nowhere else.
    ip_in(namespace, &["route", "add", &place.lab_range(), "via", &place.gateway().to_string()])?;
    // Any address in this range can be bound without being added. The Services' range is the node's to route.
    ip_in(namespace, &["route", "add", "local", &place.pod_range(), "dev", "lo"])?;
    Ok(())
}

/// Removes the namespaces that are there, and with them all that is in them.
///
/// # Errors
/// When one cannot be removed; the others are removed all the same.
pub fn remove(plan: &Plan) -> Result<(), CommandError> {
    let mut failed = None;
    for namespace in plan.namespaces().iter().filter(|namespace| exists(namespace)) {
        if let Err(error) = ip(&["netns", "delete", namespace]) {
            failed = Some(error);
        }
    }
    failed.map_or(Ok(()), Err)
}

/// Whether a network namespace is there.
#[must_use]
pub fn exists(namespace: &str) -> bool {
    Path::new("/run/netns").join(namespace).exists()
}

/// The processes in a network namespace.
///
/// # Errors
/// When `ip` fails.
pub fn processes(namespace: &str) -> Result<Vec<i32>, CommandError> {
    Ok(ip(&["netns", "pids", namespace])?.split_whitespace().filter_map(|pid| pid.parse().ok()).collect())
}

/// A cut in force.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Cut {
    /// The place at which packets are dropped.
    pub place: String,
    /// The other side; everybody where none is named.
    pub peer: Option<String>,
    /// Only packets from `place` to `peer` are dropped, and answers still come.
    pub one_way: bool,
}

impl std::fmt::Display for Cut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let arrow = if self.one_way { "→" } else { "↔" };
        write!(f, "{} {arrow} {}", self.place, self.peer.as_deref().unwrap_or("everybody"))
    }
}

/// Puts exactly these cuts in force at a place.
///
/// # Errors
/// When `nft` fails; the cuts are then as they were.
pub fn set_cuts(plan: &Plan, place: &Place, cuts: &[Cut]) -> Result<(), CommandError> {
    run_with("nsenter", &[&net(&place.namespace), "nft", "-f", "-"], &rules(plan, place, cuts)).map(drop)
}

/// The rules for a place, as one transaction of `nft`.
fn rules(plan: &Plan, place: &Place, cuts: &[Cut]) -> String {
    let (mut input, mut output) = (String::new(), String::new());
    for cut in cuts.iter().filter(|cut| cut.place == place.name) {
        let peer = cut.peer.as_deref().and_then(|peer| plan.place(peer));
        let (from, to) = match &peer {
            Some(peer) => (format!("ip saddr {} ", peer.range()), format!("ip daddr {} ", peer.range())),
            None => (String::new(), String::new()),
        };
        output.push_str(&format!("    oifname \"{UPLINK}\" {to}drop\n"));
        if !cut.one_way {
            input.push_str(&format!("    iifname \"{UPLINK}\" {from}drop\n"));
        }
    }
    // Adding the table first lets it be deleted whether it was there or not.
    format!(
        "add table inet {TABLE}\ndelete table inet {TABLE}\ntable inet {TABLE} {{\n  chain input {{\n    type filter hook input priority -10;\n{input}  }}\n  chain output {{\n    type filter hook output priority -10;\n{output}  }}\n}}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_drops_what_it_says_and_no_more() {
        let plan = Plan::new("t", "10.90", "dc-a,dc-b").unwrap();
        let place = plan.place("dc-a").unwrap();
        let cut =
            |peer: Option<&str>, one_way| Cut { place: "dc-a".to_owned(), peer: peer.map(str::to_owned), one_way };
        let all = rules(&plan, &place, &[cut(None, false)]);
        assert!(all.contains("iifname \"uplink\" drop") && all.contains("oifname \"uplink\" drop"), "{all}");
        let one = rules(&plan, &place, &[cut(Some("dc-b"), true)]);
        assert!(one.contains("oifname \"uplink\" ip daddr 10.90.64.0/18 drop") && !one.contains("iifname"), "{one}");
        let none = rules(&plan, &plan.place("dc-b").unwrap(), &[cut(None, false)]);
        assert!(!none.contains("drop"), "{none}");
    }
}
