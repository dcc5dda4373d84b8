//! The whole city: Bozhou's 54 units and 530 application systems, in both sites, and how they move.
//!
//! The move takes some minutes and runs with `--include-ignored`.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr)]

use kube::api::{DynamicObject, ListParams, Patch, PatchParams};
use serde_json::json;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tandem_crds::Kind;
use tandem_tests::gates::Recorder;
use tandem_tests::runner::{self, Shared};
use tandem_tests::{Lab, api, built_in, condition, event, eventually, is_ready, tests};

/// How long anything of this size may take at most, on a machine that does other things as well.
const DEADLINE: Duration = Duration::from_secs(900);
/// Applications in the inventory. Each is a group of its own.
const APPLICATIONS: usize = 530;
/// Groups that move: those of the applications, and `platform`.
const GROUPS: usize = APPLICATIONS + 1;

fn main() {
    let first = tests![city::the_whole_city_is_ready_in_both_sites];
    let long = tests![city::the_whole_city_moves_by_itself_and_comes_home];
    runner::run::<City>(first, long);
}

struct City {
    lab: Lab,
}

impl Shared for City {
    async fn start() -> Self {
        let lab = Lab::start_with("city", &["--automatic"]);
        let inventory = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/bozhou/inventory.csv");
        let started = Instant::now();
        let imported = lab.tandem("dc-a", &["import", inventory.to_str().unwrap(), "--apply"]);
        assert!(imported.status.success(), "{}", String::from_utf8_lossy(&imported.stderr));
        println!("imported after {:.1} s", started.elapsed().as_secs_f64());
        Self { lab }
    }

    fn lab(&self) -> &Lab {
        &self.lab
    }
}

impl City {
    /// Waits until so many objects of a kind are there and all of them Ready at a site.
    async fn ready(&self, site: &str, kind: Kind, count: usize) {
        let objects = api(&self.lab.client(site).await, kind, None);
        eventually(&format!("{count} {} Ready in {site}", kind.plural()), DEADLINE, || async {
            let list = objects.list(&ListParams::default()).await.ok()?.items;
            let ready = list.iter().filter(|object| is_ready(object)).count();
            (ready == count && list.len() == count).then_some(())
        })
        .await;
    }

    /// How many pods a site has, and how many of them are ready.
    async fn pods(&self, site: &str) -> (usize, usize) {
        let client = self.lab.client(site).await;
        let pods = built_in(&client, "", "Pod", None).list(&ListParams::default()).await.unwrap().items;
        let ready = |pod: &&DynamicObject| condition(pod, "Ready").is_some_and(|(holds, _, _)| holds);
        (pods.len(), pods.iter().filter(ready).count())
    }

    /// Waits until no group has a reason any more not to fail over by itself, and none moves.
    async fn protected(&self, site: &str) {
        let groups = api(&self.lab.client(site).await, Kind::FailoverGroup, None);
        eventually("every group to be protected", DEADLINE, || async {
            let list = groups.list(&ListParams::default()).await.ok()?.items;
            let protected = |group: &&DynamicObject| {
                let status = &group.data["status"];
                let free = status["whyNotAutomatic"].as_array().is_none_or(Vec::is_empty);
                status["readiness"]["state"] == "Protected" && free && status["execution"].is_null()
            };
            (list.iter().filter(protected).count() == APPLICATIONS).then_some(())
        })
        .await;
    }
}

mod city {
    use super::*;

    pub(super) async fn the_whole_city_is_ready_in_both_sites(city: Arc<City>) {
        let started = Instant::now();
        for site in ["dc-a", "dc-b"] {
            for (kind, count) in [(Kind::Unit, 54), (Kind::Application, APPLICATIONS)] {
                city.ready(site, kind, count).await;
                println!("{site}: {count} {} Ready after {:.1} s more", kind.plural(), started.elapsed().as_secs_f64());
            }
            let (pods, ready) = city.pods(site).await;
            println!("{site}: {pods} pods, {ready} ready");
        }
    }

    pub(super) async fn the_whole_city_moves_by_itself_and_comes_home(city: Arc<City>) {
        for site in ["dc-a", "dc-b"] {
            city.ready(site, Kind::Application, APPLICATIONS).await;
        }
        city.protected("dc-a").await;
        let gates = Recorder::start(&city.lab).await;
        let all_at = async |site: &str, since: Instant| {
            let mut first = None;
            eventually(&format!("{GROUPS} groups to be active at {site}"), DEADLINE, || {
                let active = gates.count_active(site);
                if active > 0 && first.is_none() {
                    first = Some(since.elapsed());
                }
                std::future::ready((active == GROUPS).then_some(()))
            })
            .await;
            let seconds = |time: Duration| time.as_secs_f64();
            println!("{site}: first {:.1} s, all {:.1} s", seconds(first.unwrap()), seconds(since.elapsed()));
        };
        eventually("every gate to be read", DEADLINE, || async {
            (gates.count_active("dc-a") == GROUPS).then_some(())
        })
        .await;

        // An edit that nobody publishes any more: dc-a is lost at once.
        let units = api(&city.lab.client("dc-a").await, Kind::Unit, None);
        let before = units.get("health").await.unwrap().data["spec"]["viewers"].clone();
        for replica in ["dc-a/operator-0", "dc-a/operator-1"] {
            city.lab.run(&["pause", replica]);
        }
        let edit = json!({"spec": {"viewers": ["nobody-was-told"]}});
        units.patch("health", &PatchParams::default(), &Patch::Merge(&edit)).await.unwrap();

        println!("power-off of dc-a, and nobody does anything:");
        let lost = Instant::now();
        city.lab.run(&["power-off", "dc-a"]);
        all_at("dc-b", lost).await;
        city.ready("dc-b", Kind::Application, APPLICATIONS).await;
        println!(
            "dc-b: every application Ready after {:.1} s; pods {:?}",
            lost.elapsed().as_secs_f64(),
            city.pods("dc-b").await
        );
        let watched = city.lab.tandem("dc-b", &["failover", "watch", "--latest", "--plain", "--timeout", "300"]);
        let text = String::from_utf8_lossy(&watched.stdout);
        assert!(watched.status.success(), "{text}{}", String::from_utf8_lossy(&watched.stderr));

        println!("power-on of dc-a: it comes back as the standby:");
        let back = Instant::now();
        city.lab.run(&["power-on", "dc-a"]);
        city.ready("dc-a", Kind::Application, APPLICATIONS).await;
        assert_eq!(gates.count_active("dc-a"), 0);
        assert_eq!(gates.count_active("dc-b"), GROUPS);
        city.protected("dc-b").await;
        let units = api(&city.lab.client("dc-a").await, Kind::Unit, None);
        eventually("the unpublished edit to be put back", DEADLINE, || async {
            (units.get("health").await.ok()?.data["spec"]["viewers"] == before).then_some(())
        })
        .await;
        println!("{}", event(&city.lab.client("dc-a").await, "ConflictSaved", "health", DEADLINE).await);
        println!("dc-a: standby after {:.1} s; pods {:?}", back.elapsed().as_secs_f64(), city.pods("dc-a").await);

        println!("failback, planned:");
        let asked = Instant::now();
        let home = city.lab.tandem("dc-b", &["failback", "--reason", "the works are done", "--yes", "--watch"]);
        let text = String::from_utf8_lossy(&home.stdout);
        assert!(home.status.success(), "{text}{}", String::from_utf8_lossy(&home.stderr));
        all_at("dc-a", asked).await;
        for site in ["dc-a", "dc-b"] {
            city.ready(site, Kind::Application, APPLICATIONS).await;
        }
        println!("both sites Ready after {:.1} s", asked.elapsed().as_secs_f64());
        gates.assert_never_two();
    }
}
