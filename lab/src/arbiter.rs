//! The arbiter's users: one a site, each with the rights that its site needs and no more, and the people who look after the
//! arbiter; its snapshots, and its members as they are restored from one.

use crate::command::{CommandError, run};
use crate::layout::Layout;
use crate::network;
use crate::pki::ARBITER_ADMINS;
use crate::plan::{Place, Plan, WITNESS};
use crate::programs::Programs;
use serde_json::Value;
use std::path::Path;
use std::time::{Duration, Instant};

const PREFIX: &str = "/tandem/v1/";
/// What both sites write.
const SHARED: [&str; 8] =
    ["conflicts/", "executions/", "groups/", "holds/", "idempotency/", "ledger/", "requests/", "specs/"];
/// What people write with `tandem arbiter`, and sites read.
const PEOPLES: [&str; 3] = ["attestations/", "generation", "replacements"];
/// What these people write beside: groups are given back, the executions that were under way closed, and specifications written
/// anew, unchanged, above the revisions that sites have seen.
const GIVEN_BACK: [&str; 6] = ["executions/", "generation", "groups/", "replacements", "revision", "specs/"];
/// What each site writes of its own, and reads of the other's.
const OWN: [&str; 3] = ["audit/", "sites/", "status/"];

/// Speaks to the arbiter as its root.
#[derive(Debug)]
pub struct Root {
    namespace: String,
    flags: Vec<String>,
    endpoints: String,
    etcdctl: String,
    witness: String,
}

impl Root {
    /// The root of a lab's arbiter, at the witness.
    #[must_use]
    pub fn new(plan: &Plan, layout: &Layout, programs: &Programs) -> Self {
        let pki = layout.pki(WITNESS).display().to_string();
        let flags = vec![
            format!("--cacert={pki}/arbiter-ca.crt"),
            format!("--cert={pki}/arbiter-root.crt"),
            format!("--key={pki}/arbiter-root.key"),
            "--command-timeout=5s".to_owned(),
        ];
        let etcdctl = programs.etcdctl.display().to_string();
        let witness = plan.place(WITNESS).map(|place| format!("https://{}:2379", place.arbiter())).unwrap_or_default();
        let endpoints = plan.arbiter_endpoints().join(",");
        Self { namespace: network::net(&plan.namespace(WITNESS)), flags, endpoints, etcdctl, witness }
    }

    fn ctl(&self, arguments: &[&str]) -> Result<String, CommandError> {
        self.ctl_at(&self.endpoints, arguments)
    }

    fn ctl_at(&self, endpoints: &str, arguments: &[&str]) -> Result<String, CommandError> {
        let endpoints = format!("--endpoints={endpoints}");
        let mut all = vec![self.namespace.as_str(), "--", "env", "ETCDCTL_API=3", self.etcdctl.as_str(), &endpoints];
        all.extend(self.flags.iter().map(String::as_str));
        all.extend(arguments);
        run("nsenter", &all)
    }

    /// Waits until every member is healthy.
    ///
    /// # Errors
    /// What `etcdctl` said last, once `deadline` has passed.
    pub fn wait_healthy(&self, deadline: Duration) -> Result<(), CommandError> {
        let started = Instant::now();
        loop {
            match self.ctl(&["endpoint", "health"]) {
                Ok(_) => return Ok(()),
                Err(error) if started.elapsed() >= deadline => return Err(error),
                Err(_) => std::thread::sleep(Duration::from_millis(200)),
            }
        }
    }

    /// Has a member lead, if it does not yet: a leader in one of the sites goes with that site.
    ///
    /// # Errors
    /// When `etcdctl` fails, or its answer has no such member.
    pub fn move_leader_to(&self, place: &str) -> Result<(), CommandError> {
        let name = format!("the member at {place}");
        let listed: Value =
            serde_json::from_str(&self.ctl(&["member", "list", "--write-out=json"])?).unwrap_or_default();
        let members = listed["members"].as_array().into_iter().flatten();
        let id = members.filter(|member| member["name"] == place).find_map(|member| member["ID"].as_u64());
        let absent =
            || CommandError::Failed { command: "etcdctl member list".to_owned(), said: format!("{name} is not there") };
        let id = id.ok_or_else(absent)?;
        let status: Value =
            serde_json::from_str(&self.ctl(&["endpoint", "status", "--write-out=json"])?).unwrap_or_default();
        let leads =
            status.as_array().into_iter().flatten().any(|member| member["Status"]["leader"].as_u64() == Some(id));
        if leads { Ok(()) } else { self.ctl(&["move-leader", &format!("{id:x}")]).map(drop) }
    }

    /// Writes a snapshot of the arbiter, as the member at the witness has it.
    ///
    /// # Errors
    /// When `etcdctl` fails.
    pub fn snapshot(&self, file: &Path) -> Result<(), CommandError> {
        // A snapshot is of one member.
        let file = file.display().to_string();
        let save = ["--command-timeout=60s", "snapshot", "save", &file];
        self.ctl_at(&self.witness, &save).map(drop)
    }

    /// Makes a member's data anew from a snapshot. With the same token for every member, and one that was never used before,
    /// they are a new cluster with the old content.
    ///
    /// # Errors
    /// When `etcdctl` fails.
    pub fn restore_member(
        &self,
        plan: &Plan,
        place: &Place,
        (snapshot, data): (&Path, &Path),
        token: &str,
    ) -> Result<(), CommandError> {
        let arguments = [
            "ETCDCTL_API=3".to_owned(),
            self.etcdctl.clone(),
            "snapshot".to_owned(),
            "restore".to_owned(),
            snapshot.display().to_string(),
            format!("--name={}", place.name),
            format!("--data-dir={}", data.display()),
            format!("--initial-cluster={}", plan.arbiter_peers().join(",")),
            format!("--initial-cluster-token={token}"),
            format!("--initial-advertise-peer-urls=https://{}:2380", place.arbiter()),
        ];
        run("env", &arguments.iter().map(String::as_str).collect::<Vec<_>>()).map(drop)
    }

    /// Makes the users and their rights, and has them asked for from then on.
    ///
    /// # Errors
    /// When `etcdctl` fails.
    pub fn set_up_users(&self, sites: &[String]) -> Result<(), CommandError> {
        self.ctl(&["user", "add", "root", "--no-password"])?;
        self.ctl(&["user", "grant-role", "root", "root"])?;
        for site in sites {
            let name = format!("site-{site}");
            self.ctl(&["role", "add", &name])?;
            for (part, rights) in rights(site, sites) {
                self.ctl(&["role", "grant-permission", &name, "--prefix=true", rights, &part])?;
            }
            self.ctl(&["user", "add", &name, "--no-password"])?;
            self.ctl(&["user", "grant-role", &name, &name])?;
        }
        for person in ARBITER_ADMINS {
            self.ctl(&["role", "add", person])?;
            self.ctl(&["role", "grant-permission", person, "--prefix=true", "read", PREFIX])?;
            for part in GIVEN_BACK {
                self.ctl(&[
                    "role",
                    "grant-permission",
                    person,
                    "--prefix=true",
                    "readwrite",
                    &format!("{PREFIX}{part}"),
                ])?;
            }
            for site in sites {
                // Nobody speaks in another's name.
                let word = format!("{PREFIX}attestations/{site}/{person}");
                self.ctl(&["role", "grant-permission", person, "readwrite", &word])?;
            }
            self.ctl(&["user", "add", person, "--no-password"])?;
            self.ctl(&["user", "grant-role", person, person])?;
        }
        self.ctl(&["auth", "enable"]).map(drop)
    }
}

/// What a site's user may do, by prefix.
fn rights(site: &str, sites: &[String]) -> Vec<(String, &'static str)> {
    let shared = SHARED.iter().map(|part| (format!("{PREFIX}{part}"), "readwrite"));
    let peoples = PEOPLES.iter().map(|part| (format!("{PREFIX}{part}"), "read"));
    let by_site = OWN.iter().flat_map(|part| {
        // Read as one range, so that all sites can be listed and watched at once.
        let read = (format!("{PREFIX}{part}"), "read");
        let own = sites.iter().filter(|other| *other == site);
        [read].into_iter().chain(own.map(move |own| (format!("{PREFIX}{part}{own}/"), "readwrite")))
    });
    shared.chain(peoples).chain(by_site).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_site_writes_nothing_of_the_others() {
        let sites = ["dc-a".to_owned(), "dc-b".to_owned()];
        let rights = rights("dc-a", &sites);
        let written: Vec<&String> =
            rights.iter().filter(|(_, right)| *right != "read").map(|(prefix, _)| prefix).collect();
        assert!(written.iter().all(|prefix| !prefix.contains("dc-b")), "{written:?}");
        assert!(written.contains(&&"/tandem/v1/status/dc-a/".to_owned()));
        assert!(
            written.contains(&&"/tandem/v1/audit/dc-a/".to_owned()),
            "its own chain, and what waits for a place there"
        );
        assert!(written.contains(&&"/tandem/v1/idempotency/".to_owned()), "an answer holds at both sites");
        assert!(!written.contains(&&"/tandem/v1/audit/".to_owned()));
        assert!(!written.contains(&&"/tandem/v1/status/".to_owned()));
        assert!(!written.contains(&&"/tandem/v1/generation".to_owned()), "a restore is people's");
    }
}
