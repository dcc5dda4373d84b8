//! Keeps the pods of a drill apart from everything but each other, as their NetworkPolicy says.
//!
//! NetworkPolicies are written and not enforced in the lab; for what must never touch production this one is. A process is known
//! by its user, since every pod has one of its own and all of them share the site's addresses; a pod that is reached, by its
//! address. What the node itself asks (probes) passes, as with other nodes.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::Ipv4Addr;
use std::time::Duration;

use tokio::sync::watch;

use super::process::uid_of;
use super::proxy::run;

/// The pods of drills: their addresses, and which drill each is of.
pub(super) type Drilled = BTreeMap<Ipv4Addr, String>;

/// The label of a drill's pods.
pub(super) const LABEL: &str = "tandem.dev/drill";
const TABLE: &str = "tandem-lab-drills";
/// Wait before a ruleset is tried again that `nft` refused.
const RETRY: Duration = Duration::from_secs(5);

/// Isolates for ever, and tells which addresses are, each with its drill: a pod may get an address that another drill's had.
pub(super) async fn run_isolation(mut pods: watch::Receiver<Drilled>, isolated: watch::Sender<Drilled>) {
    loop {
        let now = pods.borrow_and_update().clone();
        match run("nft", &["-f", "-"], &ruleset(&now)).await {
            Ok(()) => drop(isolated.send_replace(now)),
            Err(error) => {
                tracing::error!(%error, "cannot isolate the pods of drills");
                tokio::time::sleep(RETRY).await;
                continue;
            }
        }
        if pods.changed().await.is_err() {
            return;
        }
    }
}

/// The whole ruleset: it replaces the table in one transaction.
///
/// It comes after cluster addresses are translated, so that a Service is judged by the pod that it leads to.
fn ruleset(pods: &Drilled) -> String {
    let mut by_drill: BTreeMap<&str, Vec<Ipv4Addr>> = BTreeMap::new();
    for (address, drill) in pods {
        by_drill.entry(drill).or_default().push(*address);
    }
    let list = |items: Vec<String>| format!("{{ {} }}", items.join(", "));
    let users = |all: &[Ipv4Addr]| list(all.iter().map(|address| uid_of(*address).to_string()).collect());
    let addresses = |all: &[Ipv4Addr]| list(all.iter().map(Ipv4Addr::to_string).collect());
    let (mut output, mut input) = (String::new(), String::new());
    if !pods.is_empty() {
        let all: Vec<Ipv4Addr> = pods.keys().copied().collect();
        output.push_str("    ct state established,related accept\n");
        for of in by_drill.values() {
            let _ = writeln!(output, "    meta skuid {} ip daddr {} accept", users(of), addresses(of));
        }
        for rule in [format!("meta skuid {}", users(&all)), format!("meta skuid != 0 ip daddr {}", addresses(&all))] {
            let _ = writeln!(output, "    {rule} meta l4proto tcp reject with tcp reset\n    {rule} reject");
        }
        let _ = writeln!(input, "    iifname != \"lo\" ct state new ip daddr {} drop", addresses(&all));
    }
    format!(
        "table ip {TABLE} {{}}
delete table ip {TABLE}
table ip {TABLE} {{
  chain output {{
    type filter hook output priority 10; policy accept;
{output}  }}
  chain input {{
    type filter hook input priority 10; policy accept;
{input}  }}
}}
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pods_of_one_drill_reach_each_other_and_nobody_else() {
        let pod = |last: u8, drill: &str| (Ipv4Addr::new(10, 0, 32, last), drill.to_owned());
        let text = ruleset(&Drilled::from([pod(20, "one"), pod(21, "two"), pod(22, "one")]));
        let uid = |last: u8| uid_of(Ipv4Addr::new(10, 0, 32, last));
        let accepts = |a: u8, b: u8| {
            format!("meta skuid {{ {}, {} }} ip daddr {{ 10.0.32.{a}, 10.0.32.{b} }} accept", uid(a), uid(b))
        };
        assert!(text.contains(&accepts(20, 22)), "{text}");
        assert!(text.contains(&format!("meta skuid {{ {} }} ip daddr {{ 10.0.32.21 }} accept", uid(21))), "{text}");
        let everybody = "ip daddr { 10.0.32.20, 10.0.32.21, 10.0.32.22 }";
        assert!(text.contains(&format!("meta skuid != 0 {everybody} reject")), "{text}");
        assert!(text.contains(&format!("iifname != \"lo\" ct state new {everybody} drop")), "{text}");
        // What is accepted comes before what is refused.
        assert!(text.find("accept\n    meta skuid").unwrap() < text.find("reject").unwrap());
    }

    #[test]
    fn without_drills_nothing_is_refused() {
        let text = ruleset(&Drilled::new());
        assert!(!text.contains("reject") && !text.contains("drop"), "{text}");
    }
}
