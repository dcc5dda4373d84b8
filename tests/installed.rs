//! Both sites installed from the Helm chart alone: the lab starts Kubernetes and the arbiter, the chart brings the rest, and its
//! pods are real processes. Then an upgrade with the sites mixed in between, and an uninstall, with an agency's workloads looked
//! at all the while.
//!
//! Needs helm: `make installed` gets it. `TANDEM_PREVIOUS` may name a folder with the programs of the release before; without it,
//! the chart before runs the programs of this one.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr)]

use kube::api::{Api, DynamicObject, ListParams, Patch, PatchParams};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tandem_crds::Kind;
use tandem_tests::runner::{self, Shared};
use tandem_tests::{Lab, api, apply, built_in, eventually, failovers, fixtures, is_ready, tests};

const SITES: [&str; 2] = ["dc-a", "dc-b"];
const TANDEM: &str = "tandem-system";
const AGENCY: &str = "chart-prod";
/// How long anything may take: pods of a release start one after the other.
const PATIENCE: Duration = Duration::from_secs(180);

fn main() {
    runner::run::<City>(tests![installed::the_chart_installs_upgrades_and_goes_with_workloads_untouched], Vec::new());
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A release of Tandem: a chart and an image.
struct Release {
    chart: PathBuf,
    version: String,
    digest: String,
}

struct City {
    lab: Lab,
    before: Release,
    current: Release,
}

/// What an agency notices of its pods: by name, the object's uid, and when its container was started and how often.
type Pods = BTreeMap<String, (String, Value)>;

impl Shared for City {
    async fn start() -> Self {
        let lab = Lab::start_with("chart", &["--bare"]);
        let current = root().join("charts/tandem");
        let text = std::fs::read_to_string(current.join("Chart.yaml")).unwrap();
        let version = serde_yaml::from_str::<Value>(&text).unwrap()["version"].as_str().unwrap().to_owned();
        let (chart, older) = previous(&version);
        let programs = lab.programs().to_owned();
        let image = |folder: &Path| {
            let name = lab.output(&["image", folder.to_str().unwrap()]);
            name.trim().split_once('@').unwrap().1.to_owned()
        };
        let digest = image(&programs);
        let previous = std::env::var_os("TANDEM_PREVIOUS").map_or_else(|| programs.clone(), PathBuf::from);
        let before = Release { chart, version: older, digest: image(&previous) };
        println!("from {} ({}) to {version} ({digest})", before.version, before.digest);
        Self { lab, before, current: Release { chart: current, version, digest } }
    }

    fn lab(&self) -> &Lab {
        &self.lab
    }
}

/// The newest packaged chart that is older than this one, and its version.
fn previous(version: &str) -> (PathBuf, String) {
    let number = |text: &str| -> Vec<u32> { text.split('.').map(|part| part.parse().unwrap()).collect() };
    let charts = std::fs::read_dir(root().join("tests/data/charts")).unwrap().map(|entry| entry.unwrap().path());
    let named = charts.filter_map(|path| {
        let version = path.file_name()?.to_str()?.strip_prefix("tandem-")?.strip_suffix(".tgz")?.to_owned();
        Some((path, version))
    });
    let older = named.filter(|(_, older)| number(older) < number(version));
    older.max_by_key(|(_, older)| number(older)).expect("tests/data/charts has the chart before this one")
}

impl City {
    fn helm(&self, site: &str, arguments: &[&str]) -> Output {
        let helm = std::env::var("TANDEM_HELM").unwrap_or_else(|_| "helm".to_owned());
        let home = self.lab.dir().join("helm");
        let mut command = Command::new(&helm);
        command.args(arguments).args(["--namespace", TANDEM]);
        command.envs(["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"].map(|name| (name, &home)));
        command.env("KUBECONFIG", self.lab.dir().join(site).join("kubeconfig"));
        let output = command.output().unwrap_or_else(|error| panic!("{helm}: {error}; run `make installed`"));
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        output
    }

    /// A file of the lab's certificates.
    fn pem(&self, place: &str, name: &str) -> String {
        std::fs::read_to_string(self.lab.dir().join(place).join("pki").join(name)).unwrap()
    }

    /// What the people who install a site make before: a namespace, and the Secrets that the chart names.
    async fn prepare(&self, site: &str) {
        let client = self.lab.client(site).await;
        apply(&client, &json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": TANDEM}})).await.unwrap();
        for (secret, files) in [
            (
                "arbiter-operator",
                [("ca.crt", "arbiter-ca.crt"), ("tls.crt", "arbiter-client.crt"), ("tls.key", "arbiter-client.key")]
                    .as_slice(),
            ),
            ("operator-tls", &[("tls.crt", "operator-0.crt"), ("tls.key", "operator-0.key")]),
            (
                "arbiter-api",
                &[("ca.crt", "arbiter-ca.crt"), ("tls.crt", "arbiter-api.crt"), ("tls.key", "arbiter-api.key")],
            ),
            ("api-tls", &[("tls.crt", "api.crt"), ("tls.key", "api.key")]),
            ("people-ca", &[("ca.crt", "people-ca.crt")]),
        ] {
            let data: BTreeMap<&str, String> = files.iter().map(|(key, file)| (*key, self.pem(site, file))).collect();
            let secret = json!({
                "apiVersion": "v1", "kind": "Secret", "metadata": {"name": secret, "namespace": TANDEM}, "stringData": data,
            });
            apply(&client, &secret).await.unwrap();
        }
    }

    /// Installs or upgrades a site to a release.
    fn release(&self, site: &str, release: &Release) {
        let values = json!({
            "site": site,
            "sites": SITES,
            "preferredSite": SITES[0],
            "image": {"repository": "tandem.dev/tandem", "digest": release.digest},
            // The pods of a lab node share one network.
            "bindToPodIP": true,
            "arbiter": {"endpoints": self.lab.arbiter_addresses(site)},
            "operator": {
                "arbiterSecret": "arbiter-operator", "tlsSecret": "operator-tls", "storage": {"className": "lab"},
                "config": {"failover": {"dwellSeconds": 0, "minReadySeconds": 0}},
            },
            "api": {
                "arbiterSecret": "arbiter-api", "tlsSecret": "api-tls",
                "addresses": SITES.map(|site| (site, format!("https://api.{site}.example"))).into_iter().collect::<BTreeMap<_, _>>(),
                "clientCertificates": {"caSecret": "people-ca"},
            },
        });
        let file = self.lab.dir().join(format!("values-{site}.yaml"));
        std::fs::write(&file, serde_yaml::to_string(&values).unwrap()).unwrap();
        let (chart, file) = (release.chart.to_str().unwrap(), file.to_str().unwrap());
        self.helm(site, &["upgrade", "--install", "tandem", chart, "--values", file]);
    }

    /// Waits until exactly the pods of a release run at a site, and are ready.
    async fn running(&self, site: &str, release: &Release) {
        let started = Instant::now();
        let pods = built_in(&self.lab.client(site).await, "", "Pod", Some(TANDEM));
        let label = format!("tandem-{}", release.version);
        eventually(
            &format!("two operators and two APIs of {} to be ready at {site}", release.version),
            PATIENCE,
            || async {
                let list = pods.list(&ListParams::default()).await.ok()?.items;
                let good = |pod: &DynamicObject| {
                    let own = pod.metadata.labels.as_ref().is_some_and(|labels| labels["helm.sh/chart"] == label);
                    own && pod.data.pointer("/status/containerStatuses/0/ready") == Some(&Value::Bool(true))
                        && pod
                            .data
                            .pointer("/spec/containers/0/image")
                            .and_then(Value::as_str)
                            .is_some_and(|image| image.ends_with(&release.digest))
                };
                (list.len() == 4 && list.iter().all(good)).then_some(())
            },
        )
        .await;
        // None of them is made up by the node.
        for pod in pods.list(&ListParams::default()).await.unwrap().items {
            let conditions =
                pod.data.pointer("/status/conditions").and_then(Value::as_array).cloned().unwrap_or_default();
            assert!(
                conditions.iter().all(|one| one["type"] != "lab.tandem.dev/Simulated" || one["status"] == "False"),
                "{:?}",
                pod.metadata.name
            );
        }
        println!("{site}: {} runs after {:.1} s", release.version, started.elapsed().as_secs_f64());
    }

    async fn objects(&self, site: &str, kind: Kind, namespace: Option<&str>) -> Api<DynamicObject> {
        api(&self.lab.client(site).await, kind, namespace)
    }

    /// Waits until an object is Ready at both sites.
    async fn ready(&self, kind: Kind, namespace: Option<&str>, name: &str) {
        for site in SITES {
            let objects = self.objects(site, kind, namespace).await;
            eventually(&format!("{kind} {name} to be Ready at {site}"), PATIENCE, || async {
                objects.get_opt(name).await.ok()?.filter(is_ready).map(drop)
            })
            .await;
        }
    }

    /// Changes the agency's environment at a site and waits until it is so at the other.
    async fn edit(&self, site: &str, pods: u32) {
        let other = SITES.into_iter().find(|other| *other != site).unwrap();
        let here = self.objects(site, Kind::Environment, None).await;
        let there = built_in(&self.lab.client(other).await, "", "ResourceQuota", Some(AGENCY));
        let edit = json!({"spec": {"quota": {"pods": pods}}});
        here.patch(AGENCY, &PatchParams::default(), &Patch::Merge(&edit)).await.unwrap();
        eventually(&format!("an edit of {site} to be carried out at {other}"), PATIENCE, || async {
            let quota = there.get("tandem").await.ok()?;
            let wanted = pods.to_string();
            (quota.data.pointer("/spec/hard/pods").and_then(Value::as_str) == Some(&wanted)).then_some(())
        })
        .await;
    }

    /// Moves every group to a site.
    async fn switchover(&self, from: &str, to: &str, name: &str) {
        let wish = fixtures::failover(name, "Switchover", to, &json!({"all": true}));
        apply(&self.lab.client(from).await, &wish).await.unwrap();
        for site in SITES {
            let failovers = failovers(&self.lab.client(site).await);
            eventually(&format!("the switchover {name} to be over, as {site} sees it"), PATIENCE, || async {
                let failover = failovers.get_opt(name).await.ok()??;
                (failover.data.pointer("/status/phase")? == "Completed").then_some(())
            })
            .await;
        }
    }

    /// What the API of a site answers to li, asked inside the site's network at its Service.
    async fn me(&self, site: &str) -> String {
        let service =
            built_in(&self.lab.client(site).await, "", "Service", Some(TANDEM)).get("tandem-api").await.unwrap();
        let address = service.data["spec"]["clusterIP"].as_str().unwrap().to_owned();
        let people = self.lab.dir().join("people");
        let file = |name: &str| people.join(name).display().to_string();
        let network = format!("--net=/run/netns/{}", self.lab.network(site));
        let to = format!("localhost:443:{address}:443");
        let output = Command::new("nsenter")
            .args([&network, "--", "curl", "--silent", "--show-error", "--max-time", "10"])
            .args(["--cacert", &file("api-ca.crt"), "--cert", &file("li.crt"), "--key", &file("li.key")])
            .args(["--connect-to", &to, "https://localhost/v1/me"])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// The agency's pods at a site.
    async fn pods(&self, site: &str) -> Pods {
        let pods = built_in(&self.lab.client(site).await, "", "Pod", Some(AGENCY));
        let list = pods.list(&ListParams::default()).await.unwrap().items;
        let noticed = list.into_iter().map(|pod| {
            let container = pod.data["status"]["containerStatuses"][0].clone();
            let since = json!([container["restartCount"], container["state"], container["ready"]]);
            (pod.metadata.name.unwrap(), (pod.metadata.uid.unwrap(), since))
        });
        noticed.collect()
    }

    /// Waits until a site has as many of the agency's pods as it is to have, all ready.
    async fn strength(&self, site: &str, count: usize) -> Pods {
        eventually(&format!("{count} pods of the agency at {site}"), PATIENCE, || async {
            let pods = self.pods(site).await;
            (pods.len() == count && pods.values().all(|(_, since)| since[2] == true)).then_some(pods)
        })
        .await
    }

    async fn untouched(&self, before: &BTreeMap<&str, Pods>, when: &str) {
        for site in SITES {
            assert_eq!(self.pods(site).await, before[site], "the agency's pods at {site} {when}");
            let namespaces = built_in(&self.lab.client(site).await, "", "Namespace", None);
            let namespace = namespaces.get(AGENCY).await.unwrap();
            assert_eq!(namespace.data["status"]["phase"], "Active", "{site} {when}");
        }
    }

    async fn both(&self) -> BTreeMap<&'static str, Pods> {
        BTreeMap::from([("dc-a", self.pods("dc-a").await), ("dc-b", self.pods("dc-b").await)])
    }
}

mod installed {
    use super::*;

    pub(super) async fn the_chart_installs_upgrades_and_goes_with_workloads_untouched(city: Arc<City>) {
        for site in SITES {
            city.prepare(site).await;
            city.release(site, &city.before);
        }
        let a = city.lab.client("dc-a").await;
        for name in ["data-centres", "security-profiles"] {
            let text = std::fs::read_to_string(root().join(format!("lab/manifests/authority/{name}.yaml"))).unwrap();
            for object in serde_yaml::Deserializer::from_str(&text).map(|one| Value::deserialize(one).unwrap()) {
                eventually(&format!("{} to be taken", object["metadata"]["name"]), PATIENCE, || async {
                    apply(&a, &object).await.ok()
                })
                .await;
            }
        }
        for site in SITES {
            city.running(site, &city.before).await;
            city.ready(Kind::DataCentre, None, site).await;
            assert!(city.me(site).await.contains("\"li\""), "{}", city.me(site).await);
        }
        for object in [fixtures::unit("chart"), fixtures::environment("chart", "prod", 4)] {
            apply(&a, &object).await.unwrap();
        }
        city.ready(Kind::Environment, None, AGENCY).await;
        apply(&a, &fixtures::application(AGENCY, "web", 2)).await.unwrap();
        city.ready(Kind::Application, Some(AGENCY), "web").await;
        city.strength("dc-a", 2).await;
        city.strength("dc-b", 1).await;
        let before = city.both().await;

        // The standby first. Between the two, each version publishes to the other, and groups move.
        city.release("dc-b", &city.current);
        city.running("dc-b", &city.current).await;
        city.ready(Kind::DataCentre, None, "dc-b").await;
        city.edit("dc-a", 21).await;
        city.untouched(&before, "with the sites of two versions").await;
        city.switchover("dc-a", "dc-b", "mixed").await;
        city.strength("dc-b", 2).await;
        city.strength("dc-a", 1).await;
        city.edit("dc-b", 22).await;
        let before = city.both().await;
        city.release("dc-a", &city.current);
        city.running("dc-a", &city.current).await;
        city.ready(Kind::DataCentre, None, "dc-a").await;
        city.edit("dc-b", 23).await;
        city.untouched(&before, "after the upgrade").await;
        city.switchover("dc-b", "dc-a", "home").await;
        city.strength("dc-a", 2).await;
        city.strength("dc-b", 1).await;

        let before = city.both().await;
        for site in SITES {
            city.helm(site, &["uninstall", "tandem", "--wait"]);
            let pods = built_in(&city.lab.client(site).await, "", "Pod", Some(TANDEM));
            eventually(&format!("Tandem's pods at {site} to be gone"), PATIENCE, || async {
                pods.list(&ListParams::default()).await.ok()?.items.is_empty().then_some(())
            })
            .await;
        }
        city.untouched(&before, "after the uninstall").await;
        for site in SITES {
            let found = city.objects(site, Kind::Application, Some(AGENCY)).await.get_opt("web").await.unwrap();
            assert!(found.is_some(), "the application's object stays at {site}");
        }

        for site in SITES {
            city.release(site, &city.current);
        }
        for site in SITES {
            city.running(site, &city.current).await;
            city.ready(Kind::DataCentre, None, site).await;
        }
        city.ready(Kind::Application, Some(AGENCY), "web").await;
        city.untouched(&before, "once Tandem is back").await;
        city.edit("dc-a", 24).await;
        city.untouched(&before, "at the end").await;
    }
}
