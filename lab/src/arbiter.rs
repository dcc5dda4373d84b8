//! The arbiter's users: one a site and one for each site's API, each with the rights that it needs and no more, and the people
//! who look after the arbiter.

use crate::command::{CommandError, run};
use crate::layout::Layout;
use crate::network;
use crate::pki::ARBITER_ADMINS;
use crate::plan::{Plan, WITNESS};
use crate::programs::Programs;
use serde_json::Value;
use std::time::{Duration, Instant};

const PREFIX: &str = "/tandem/v1/";
/// What both sites write.
const SHARED: [&str; 10] = [
    "conflicts/",
    "executions/",
    "groups/",
    "holds/",
    "idempotency/",
    "ledger/",
    "reports/",
    "requests/",
    "specs/",
    "versions/",
];
/// What people write with `tandem arbiter`, and sites read.
const PEOPLES: [&str; 3] = ["attestations/", "generation", "replacements"];
/// What these people write beside: groups are given back, the executions that were under way closed, and specifications written
/// anew, unchanged, above the revisions that sites have seen.
const GIVEN_BACK: [&str; 6] = ["executions/", "generation", "groups/", "replacements", "revision", "specs/"];
/// What each site writes of its own, and reads of the other's.
const OWN: [&str; 4] = ["audit/", "drift/", "sites/", "status/"];

/// What the API of every site reads: who has authority and who is active, what is and was published, what is held, what was put
/// back, which failovers were asked for and the reports on them, and from which restore all of it comes.
const API_READS: [&str; 9] =
    ["drift/", "generation", "groups/", "holds/", "reports/", "requests/", "sites/", "specs/", "versions/"];
/// What the API of every site writes, and finds what the other wrote: budgets, answers under an `Idempotency-Key`.
const API_SHARED: [&str; 2] = ["idempotency/", "ledger/"];
/// What each site's API writes of its site, and reads of the other's: the audit chain, its head and segments.
const API_OWN: [&str; 1] = ["audit/"];

/// Speaks to the arbiter as its root.
#[derive(Debug)]
pub struct Root {
    namespace: String,
    flags: Vec<String>,
    endpoints: String,
    etcdctl: String,
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
        let endpoints = plan.arbiter_endpoints().join(",");
        Self { namespace: network::net(&plan.namespace(WITNESS)), flags, endpoints, etcdctl }
    }

    fn ctl(&self, arguments: &[&str]) -> Result<String, CommandError> {
        let endpoints = format!("--endpoints={}", self.endpoints);
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

    /// Makes the users and their rights, and has them asked for from then on.
    ///
    /// # Errors
    /// When `etcdctl` fails.
    pub fn set_up_users(&self, sites: &[String]) -> Result<(), CommandError> {
        self.ctl(&["user", "add", "root", "--no-password"])?;
        self.ctl(&["user", "grant-role", "root", "root"])?;
        for site in sites {
            self.add_user(&format!("site-{site}"), &rights(site))?;
            self.add_user(&format!("api-{site}"), &api_rights(site))?;
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

    /// Makes a user who is known by a certificate alone, with a role of the same name.
    fn add_user(&self, name: &str, rights: &[(String, &str)]) -> Result<(), CommandError> {
        self.ctl(&["role", "add", name])?;
        for (part, right) in rights {
            self.ctl(&["role", "grant-permission", name, "--prefix=true", right, part])?;
        }
        self.ctl(&["user", "add", name, "--no-password"])?;
        self.ctl(&["user", "grant-role", name, name]).map(drop)
    }
}

/// What a site's user may do, by prefix.
fn rights(site: &str) -> Vec<(String, &'static str)> {
    let shared = SHARED.iter().map(|part| (format!("{PREFIX}{part}"), "readwrite"));
    let peoples = PEOPLES.iter().map(|part| (format!("{PREFIX}{part}"), "read"));
    shared.chain(peoples).chain(OWN.iter().flat_map(|part| own_and_others(part, site))).collect()
}

/// What the API of a site may do, by prefix.
fn api_rights(site: &str) -> Vec<(String, &'static str)> {
    let reads = API_READS.iter().map(|part| (format!("{PREFIX}{part}"), "read"));
    let shared = API_SHARED.iter().map(|part| (format!("{PREFIX}{part}"), "readwrite"));
    reads.chain(shared).chain(API_OWN.iter().flat_map(|part| own_and_others(part, site))).collect()
}

/// A part of which a site writes its own, and reads all as one range, so that all sites can be listed and watched at once.
fn own_and_others(part: &str, site: &str) -> [(String, &'static str); 2] {
    [(format!("{PREFIX}{part}"), "read"), (format!("{PREFIX}{part}{site}/"), "readwrite")]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_site_writes_nothing_of_the_others() {
        let rights = rights("dc-a");
        let written: Vec<&String> =
            rights.iter().filter(|(_, right)| *right != "read").map(|(prefix, _)| prefix).collect();
        assert!(written.iter().all(|prefix| !prefix.contains("dc-b")), "{written:?}");
        assert!(written.contains(&&"/tandem/v1/status/dc-a/".to_owned()));
        assert!(
            written.contains(&&"/tandem/v1/audit/dc-a/".to_owned()),
            "its own chain, and what waits for a place there"
        );
        assert!(written.contains(&&"/tandem/v1/idempotency/".to_owned()), "an answer holds at both sites");
        assert!(written.contains(&&"/tandem/v1/versions/".to_owned()), "whoever publishes keeps the version");
        assert!(written.contains(&&"/tandem/v1/drift/dc-a/".to_owned()));
        assert!(!written.contains(&&"/tandem/v1/audit/".to_owned()));
        assert!(!written.contains(&&"/tandem/v1/status/".to_owned()));
        assert!(!written.contains(&&"/tandem/v1/generation".to_owned()), "a restore is people's");
    }
    #[test]
    fn the_api_writes_its_own_chain_budgets_and_answers_and_nothing_else() {
        let rights = api_rights("dc-a");
        let of = |right: &str| -> Vec<String> {
            let mut parts: Vec<String> =
                rights.iter().filter(|(_, r)| *r == right).map(|(part, _)| part.replacen(PREFIX, "", 1)).collect();
            parts.sort();
            parts
        };
        assert_eq!(of("readwrite"), ["audit/dc-a/", "idempotency/", "ledger/"]);
        // Not what sites observed, what was overwritten, how failovers go, what people say of the arbiter.
        assert_eq!(
            of("read"),
            [
                "audit/",
                "drift/",
                "generation",
                "groups/",
                "holds/",
                "reports/",
                "requests/",
                "sites/",
                "specs/",
                "versions/"
            ]
        );
        assert_eq!(rights.len(), of("read").len() + of("readwrite").len());
    }

    #[test]
    fn what_sites_may_do_is_as_it_was() {
        let rights = rights("dc-b");
        let written = rights.iter().filter(|(_, right)| *right == "readwrite").count();
        assert_eq!((rights.len(), written), (SHARED.len() + PEOPLES.len() + 2 * OWN.len(), SHARED.len() + OWN.len()));
        for part in ["audit/", "drift/", "sites/", "status/"] {
            assert!(rights.contains(&(format!("{PREFIX}{part}"), "read")), "{part}");
            assert!(rights.contains(&(format!("{PREFIX}{part}dc-b/"), "readwrite")), "{part}");
        }
    }
}
