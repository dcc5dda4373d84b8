//! The Helm chart: what it renders for each scenario of `charts/tandem/ci`, for servers of several ages, and what it refuses.
//!
//! Needs helm: `make chart` gets it. What a real API server says to it is `scripts/test-chart`'s to find out.
#![allow(clippy::unwrap_used)]

mod templates;

use k8s_openapi::api::{apps, batch, core, flowcontrol, networking, policy, rbac, scheduling};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions;
use serde::de::Deserialize;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use templates::*;

#[test]
fn nothing_is_written_that_kubernetes_does_not_know() {
    for (what, object) in everything() {
        let version = object["apiVersion"].as_str().unwrap();
        let unknown = match (version, kind(&object)) {
            ("v1", "ConfigMap") => not_of::<core::v1::ConfigMap>(&object),
            ("v1", "Service") => not_of::<core::v1::Service>(&object),
            ("v1", "ServiceAccount") => not_of::<core::v1::ServiceAccount>(&object),
            ("v1", "PersistentVolumeClaim") => not_of::<core::v1::PersistentVolumeClaim>(&object),
            ("batch/v1", "CronJob") => not_of::<batch::v1::CronJob>(&object),
            ("apps/v1", "Deployment") => not_of::<apps::v1::Deployment>(&object),
            ("apps/v1", "StatefulSet") => not_of::<apps::v1::StatefulSet>(&object),
            ("networking.k8s.io/v1", "NetworkPolicy") => not_of::<networking::v1::NetworkPolicy>(&object),
            ("policy/v1", "PodDisruptionBudget") => not_of::<policy::v1::PodDisruptionBudget>(&object),
            ("rbac.authorization.k8s.io/v1", "ClusterRole") => not_of::<rbac::v1::ClusterRole>(&object),
            ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding") => not_of::<rbac::v1::ClusterRoleBinding>(&object),
            ("scheduling.k8s.io/v1", "PriorityClass") => not_of::<scheduling::v1::PriorityClass>(&object),
            ("flowcontrol.apiserver.k8s.io/v1", "FlowSchema") => not_of::<flowcontrol::v1::FlowSchema>(&object),
            ("flowcontrol.apiserver.k8s.io/v1", "PriorityLevelConfiguration") => {
                not_of::<flowcontrol::v1::PriorityLevelConfiguration>(&object)
            }
            ("apiextensions.k8s.io/v1", "CustomResourceDefinition") => {
                not_of::<apiextensions::v1::CustomResourceDefinition>(&object)
            }
            // Of older servers, which scripts/test-chart asks; and the Prometheus operator's.
            ("policy/v1beta1", "PodDisruptionBudget") | ("batch/v1beta1", "CronJob") => Vec::new(),
            (version, "FlowSchema" | "PriorityLevelConfiguration")
                if version.starts_with("flowcontrol.apiserver.k8s.io/v1beta") =>
            {
                Vec::new()
            }
            ("monitoring.coreos.com/v1", "ServiceMonitor" | "PrometheusRule") => Vec::new(),
            other => panic!("{what}: {other:?} is not known to this test"),
        };
        assert_eq!(unknown, Vec::<String>::new(), "{what}");
    }
}

#[test]
fn versions_are_those_that_the_server_has() {
    for minor in MINORS {
        let objects = rendered("site-a", minor);
        let version = |kind| of_kind(&objects, kind)[0]["apiVersion"].as_str().unwrap().to_owned();
        assert_eq!(version("PodDisruptionBudget"), if minor < 21 { "policy/v1beta1" } else { "policy/v1" });
        let job = &of_kind(&rendered("backup", minor), "CronJob")[0]["apiVersion"].clone();
        assert_eq!(job, if minor < 21 { "batch/v1beta1" } else { "batch/v1" });
        let flow = format!("flowcontrol.apiserver.k8s.io/{}", flow_control(minor));
        assert_eq!((version("FlowSchema"), version("PriorityLevelConfiguration")), (flow.clone(), flow));
        let shares = if minor < 26 { "assuredConcurrencyShares" } else { "nominalConcurrencyShares" };
        assert_eq!(of_kind(&objects, "PriorityLevelConfiguration")[0]["spec"]["limited"][shares], 40, "1.{minor}");
    }
}

#[test]
fn every_port_names_its_protocol() {
    // It is a part of the key by which server-side apply tells ports apart, and servers of 1.20 do not fill it in there.
    let mut ports = 0;
    for (what, object) in everything() {
        let containers = pods(&object).map_or(&[][..], |template| list(&template["spec"]["containers"]));
        let of_containers = containers.iter().flat_map(|container| list(&container["ports"]));
        for port in list(&object["spec"]["ports"]).iter().chain(of_containers) {
            assert_eq!(port["protocol"], "TCP", "{what}: {port}");
            ports += 1;
        }
    }
    assert!(ports > 0);
}

#[test]
fn what_vendors_append_to_a_version_changes_nothing() {
    for (usual, vendor) in [("1.20.2", "1.20.2-gov.1"), ("1.29.0", "1.29.0-gov.1+fix")] {
        let of = |version: &str| {
            let (chart, version) = (chart(), format!("--kube-version={version}"));
            let values = chart.join("ci/minimal.yaml");
            helm(&["template", "tandem", chart.to_str().unwrap(), "--values", values.to_str().unwrap(), &version])
        };
        assert_eq!(of(vendor).unwrap(), of(usual).unwrap(), "{vendor}");
    }
}

#[test]
fn definitions_are_of_the_set_that_fits_and_outlive_the_release() {
    for (minor, set) in [(20, "plain"), (28, "plain"), (29, "cel"), (34, "cel")] {
        let objects = rendered("minimal", minor);
        let definitions = of_kind(&objects, "CustomResourceDefinition");
        let written = fs::read_dir(root().join("crds/generated").join(set)).unwrap().count();
        assert_eq!(definitions.len(), written, "1.{minor}");
        for definition in definitions {
            assert_eq!(definition["metadata"]["annotations"]["helm.sh/resource-policy"], "keep");
            let plural = definition["spec"]["names"]["plural"].as_str().unwrap();
            let file = root().join("crds/generated").join(set).join(format!("{plural}.yaml"));
            let generated: Value = serde_yaml::from_str(&fs::read_to_string(file).unwrap()).unwrap();
            assert_eq!(definition["spec"], generated["spec"], "1.{minor} {plural}");
        }
    }
    assert!(of_kind(&rendered("witness", 34), "CustomResourceDefinition").is_empty());
}

#[test]
fn nothing_that_helm_would_delete_is_an_agencys_or_a_secret() {
    let own = BTreeSet::from([
        "ClusterRole",
        "ClusterRoleBinding",
        "ConfigMap",
        "CronJob",
        "CustomResourceDefinition",
        "Deployment",
        "FlowSchema",
        "NetworkPolicy",
        "PersistentVolumeClaim",
        "PodDisruptionBudget",
        "PriorityClass",
        "PriorityLevelConfiguration",
        "PrometheusRule",
        "Service",
        "ServiceAccount",
        "ServiceMonitor",
        "StatefulSet",
    ]);
    for (what, object) in everything() {
        assert!(own.contains(kind(&object)), "{what}");
        let namespace = object["metadata"].get("namespace").and_then(Value::as_str);
        assert!(namespace.is_none_or(|namespace| namespace == NAMESPACE), "{what}");
        // A hook may be run at an uninstall, and is forgotten by it.
        assert!(object.pointer("/metadata/annotations/helm.sh~1hook").is_none(), "{what}");
    }
}

#[test]
fn every_container_has_no_more_than_it_needs() {
    for (what, object) in everything() {
        let Some(pod) = pods(&object).map(|template| &template["spec"]) else { continue };
        assert_eq!(pod["automountServiceAccountToken"], false, "{what}");
        assert_eq!(pod["securityContext"]["runAsNonRoot"], true, "{what}");
        assert_ne!(pod["securityContext"]["runAsUser"], 0, "{what}");
        assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault", "{what}");
        assert_eq!(pod["priorityClassName"], "tandem", "{what}");
        assert!(pod["terminationGracePeriodSeconds"].is_u64(), "{what}");
        for container in list(&pod["containers"]) {
            let security = &container["securityContext"];
            assert_eq!(security["allowPrivilegeEscalation"], false, "{what}");
            assert_eq!(security["readOnlyRootFilesystem"], true, "{what}");
            assert_eq!(security["capabilities"]["drop"], serde_json::json!(["ALL"]), "{what}");
            for limit in ["/limits/cpu", "/limits/memory", "/requests/cpu", "/requests/memory"] {
                assert!(container["resources"].pointer(limit).is_some(), "{what}: {limit}");
            }
            let image = container["image"].as_str().unwrap();
            assert!(image.split_once("@sha256:").is_some_and(|(_, digest)| digest.len() == 64), "{what}: {image}");
            // What ends by itself is not asked how it is.
            let runs_on = kind(&object) != "CronJob";
            for probe in ["livenessProbe", "readinessProbe"] {
                assert_eq!(container[probe].is_object(), runs_on, "{what}");
            }
        }
        // Whoever talks to the API server has a token that expires; the arbiter and its backups have none at all.
        let tokens = list(&pod["volumes"]).iter().flat_map(|volume| list(&volume["projected"]["sources"]));
        let lives: Vec<&Value> =
            tokens.filter_map(|source| source.pointer("/serviceAccountToken/expirationSeconds")).collect();
        let wanted = usize::from(!object["metadata"]["name"].as_str().unwrap().starts_with("tandem-arbiter"));
        assert_eq!(lives.len(), wanted, "{what}");
    }
}

#[test]
fn programs_listen_at_their_pods_address_alone_where_that_is_asked_for() {
    let bound = template("site-a", 34, &["--set=bindToPodIP=true"]).unwrap();
    for (kind, name) in [("StatefulSet", "tandem-operator"), ("Deployment", "tandem-api")] {
        let container =
            |objects| named(objects, kind, name).pointer("/spec/template/spec/containers/0").unwrap().clone();
        let (usual, bound) = (container(&rendered("site-a", 34)), container(&bound));
        let flag = Value::from("--listen-address=$(POD_IP)");
        assert!(!list(&usual["args"]).contains(&flag) && list(&bound["args"]).contains(&flag), "{name}");
        let field = list(&bound["env"]).iter().find(|variable| variable["name"] == "POD_IP").unwrap();
        assert_eq!(field.pointer("/valueFrom/fieldRef/fieldPath").unwrap(), "status.podIP", "{name}");
    }
}

#[test]
fn rights_are_those_of_the_lab() {
    let objects = rendered("site-a", 20);
    for program in ["operator", "api"] {
        let text = fs::read_to_string(root().join(format!("lab/manifests/{program}-rbac.yaml"))).unwrap();
        let role =
            serde_yaml::Deserializer::from_str(&text).map(|one| Value::deserialize(one).unwrap()).next().unwrap();
        let name = format!("tandem:{program}");
        assert_eq!(named(&objects, "ClusterRole", &name)["rules"], role["rules"], "{name}");
        let subjects = &named(&objects, "ClusterRoleBinding", &name)["subjects"];
        assert_eq!(list(subjects).len(), 1);
        assert_eq!(subjects[0]["name"], format!("tandem-{program}"));
    }
}

#[test]
fn each_office_may_do_its_own_and_no_other() {
    let objects = rendered("site-a", 20);
    let writes = |office: &str| -> BTreeSet<String> {
        let rules = list(&named(&objects, "ClusterRole", &format!("tandem:{office}"))["rules"]);
        let reads = ["get", "list", "watch"];
        let writing = rules
            .iter()
            .filter(|rule| list(&rule["verbs"]).iter().any(|verb| !reads.contains(&verb.as_str().unwrap())));
        writing
            .flat_map(|rule| list(&rule["resources"]))
            .map(|resource| resource.as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(writes("auditor"), BTreeSet::new());
    assert_eq!(writes("security-administrator"), BTreeSet::from(["securityprofiles".to_owned()]));
    let platform = writes("platform-operator");
    assert!(platform.contains("units") && platform.contains("failovers"), "{platform:?}");
    // Decisions are made through the API, which knows who decides.
    assert!(!platform.contains("securityprofiles") && !platform.contains("environmentrequests"), "{platform:?}");
    for role in of_kind(&objects, "ClusterRole") {
        let name = called(role);
        for rule in list(&role["rules"]) {
            let all = ["apiGroups", "resources", "verbs"].map(|part| list(&rule[part]));
            assert!(all.iter().all(|part| !part.contains(&"*".into())), "{name}");
            if !name.ends_with("tandem:operator") {
                assert!(!list(&rule["resources"]).contains(&"secrets".into()), "{name}");
            }
        }
        assert!(
            role.get("aggregationRule").is_none()
                && role.pointer("/metadata/labels/rbac.authorization.k8s.io~1aggregate-to-admin").is_none()
        );
    }
}

#[test]
fn what_selects_pods_finds_those_that_it_means() {
    for scenario in SCENARIOS {
        let objects = rendered(scenario, 34);
        let selecting = objects.iter().filter_map(|object| {
            let selector = match kind(object) {
                "Service" => &object["spec"]["selector"],
                "NetworkPolicy" => object.pointer("/spec/podSelector/matchLabels")?,
                "PodDisruptionBudget" | "StatefulSet" | "Deployment" => object.pointer("/spec/selector/matchLabels")?,
                _ => return None,
            };
            Some((object, selector.as_object().unwrap()))
        });
        for (object, selector) in selecting {
            let name = object["metadata"]["name"].as_str().unwrap();
            let found: Vec<&str> = workloads(&objects)
                .into_iter()
                .filter(|workload| {
                    let labels = &pods(workload).unwrap()["metadata"]["labels"];
                    selector.iter().all(|(label, value)| labels[label] == *value)
                })
                .map(|workload| workload["metadata"]["name"].as_str().unwrap())
                .collect();
            let wanted = if name == "tandem-gate" { "tandem-operator" } else { name };
            assert_eq!(found, [wanted], "{scenario}: {}", called(object));
        }
        for monitor in of_kind(&objects, "ServiceMonitor") {
            let selector = monitor.pointer("/spec/selector/matchLabels").unwrap().as_object().unwrap();
            let services = of_kind(&objects, "Service");
            let found: Vec<&&Value> = services
                .iter()
                .filter(|service| selector.iter().all(|(label, value)| service["metadata"]["labels"][label] == *value))
                .collect();
            assert_eq!(found.len(), 1, "each replica is asked once: {}", called(monitor));
            assert_eq!(found[0]["metadata"]["name"], monitor["metadata"]["name"]);
        }
    }
}

#[test]
fn one_replica_is_always_there() {
    let objects = rendered("site-a", 34);
    let api = &named(&objects, "Deployment", "tandem-api")["spec"];
    assert_eq!(api["strategy"]["rollingUpdate"], serde_json::json!({"maxUnavailable": 0, "maxSurge": 1}));
    let operator = &named(&objects, "StatefulSet", "tandem-operator")["spec"];
    assert_eq!((&operator["replicas"], &api["replicas"]), (&2.into(), &2.into()));
    assert_eq!(operator["podManagementPolicy"], "Parallel", "one that is not ready keeps none from starting");
    for (name, spec) in [("tandem-api", api), ("tandem-operator", operator)] {
        assert_eq!(named(&objects, "PodDisruptionBudget", name)["spec"]["minAvailable"], 1);
        let spread = &spec["template"]["spec"]["topologySpreadConstraints"][0];
        assert_eq!(spread["whenUnsatisfiable"], "DoNotSchedule", "{name}");
        assert_eq!(spread["labelSelector"], spec["selector"], "{name}");
    }
    let pins = &operator["volumeClaimTemplates"][0];
    let mounted = list(&operator["template"]["spec"]["containers"][0]["volumeMounts"]);
    let writable: Vec<&Value> = mounted.iter().filter(|mount| mount["readOnly"] != true).collect();
    assert_eq!((writable.len(), &writable[0]["name"]), (1, &pins["metadata"]["name"]), "pins outlive the pod");
    // A drain is waited for: 3 s, then drainSeconds (25 here) twice.
    assert_eq!(api["template"]["spec"]["terminationGracePeriodSeconds"], 60);
}

#[test]
fn nothing_comes_in_or_goes_out_that_is_not_named() {
    let objects = rendered("site-a", 34);
    let all = &named(&objects, "NetworkPolicy", "tandem")["spec"];
    assert_eq!(all["podSelector"], serde_json::json!({}));
    assert_eq!(all["policyTypes"], serde_json::json!(["Ingress", "Egress"]));
    assert!(all.get("ingress").is_none());
    for policy in of_kind(&objects, "NetworkPolicy") {
        for rule in list(&policy["spec"]["egress"]) {
            assert!(!list(&rule["to"]).is_empty() && !list(&rule["ports"]).is_empty(), "{}: {rule}", called(policy));
        }
        for rule in list(&policy["spec"]["ingress"]) {
            assert!(!list(&rule["ports"]).is_empty(), "{}: {rule}", called(policy));
        }
    }
    let ports = |name: &str| -> Vec<u64> {
        let rules = list(&named(&objects, "NetworkPolicy", name)["spec"]["egress"]);
        rules.iter().flat_map(|rule| list(&rule["ports"])).map(|port| port["port"].as_u64().unwrap()).collect()
    };
    assert_eq!(ports("tandem-operator"), [6443, 2379, 9443], "API server, arbiter, data services");
    assert_eq!(ports("tandem-api"), [6443, 2379, 8443], "API server, arbiter, the issuer of tokens");
    assert_eq!(ports("tandem-arbiter"), [2380]);
}

/// The programs' own tests read what is written here: operator/src/config.rs, api/src/config.rs.
#[test]
fn configurations_are_those_that_the_programs_test() {
    let objects = rendered("site-a", 34);
    for program in ["operator", "api"] {
        let file = format!("{program}.yaml");
        let text = named(&objects, "ConfigMap", &format!("tandem-{program}"))["data"][&file].as_str().unwrap();
        let path = chart().join("ci/config").join(&file);
        if std::env::var_os("TANDEM_WRITE_CHART").is_some() {
            fs::write(&path, text).unwrap();
        }
        let written = fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(text, written, "run TANDEM_WRITE_CHART=1 make chart, and commit what it wrote");
    }
}

#[test]
fn a_member_of_the_arbiter_runs_as_in_the_lab() {
    let member = |scenario| -> BTreeSet<String> {
        let objects = rendered(scenario, 34);
        let arguments =
            &named(&objects, "StatefulSet", "tandem-arbiter")["spec"]["template"]["spec"]["containers"][0]["args"];
        list(arguments).iter().map(|argument| argument.as_str().unwrap().to_owned()).collect()
    };
    let (site, witness) = (member("site-a"), member("witness"));
    // The lab's flags, by name, and those of them that say how a member behaves, with their values.
    let lab = fs::read_to_string(root().join("lab/src/site.rs")).unwrap();
    let body = lab.split("fn arbiter_member").nth(1).unwrap().split("\n}").next().unwrap();
    for line in body.lines().filter_map(|line| line.trim().strip_prefix("\"--")) {
        let flag = format!("--{}", line.split('"').next().unwrap());
        assert!(site.contains(&flag) && witness.contains(&flag), "{flag}");
    }
    for side in ["", "peer-"] {
        assert!(site.contains(&format!("--{side}client-cert-auth")), "{side}");
    }
    let cluster = |flags: &BTreeSet<String>| flags.iter().find(|flag| flag.starts_with("--initial-cluster=")).cloned();
    assert_eq!(cluster(&site), cluster(&witness));
    assert!(witness.iter().all(|flag| !flag.contains("http://")), "nothing is plain");
    let objects = rendered("witness", 34);
    assert_eq!(workloads(&objects).len(), 1, "the witness runs nothing else");
}

#[test]
fn backups_outlive_the_release_and_reach_the_arbiter_alone() {
    let objects = rendered("backup", 34);
    let claim = named(&objects, "PersistentVolumeClaim", "tandem-arbiter-backup");
    assert_eq!(claim["metadata"]["annotations"]["helm.sh/resource-policy"], "keep");
    let job = &named(&objects, "CronJob", "tandem-arbiter-backup")["spec"];
    assert_eq!(job["concurrencyPolicy"], "Forbid");
    let pod = &pods(named(&objects, "CronJob", "tandem-arbiter-backup")).unwrap()["spec"];
    let arguments = list(&pod["containers"][0]["args"]);
    assert!(arguments.contains(&"--keep=96".into()), "{arguments:?}");
    let named_claim = |pod: &Value| {
        let volumes = list(&pod["volumes"]);
        volumes.iter().find_map(|volume| volume.pointer("/persistentVolumeClaim/claimName").cloned()).unwrap()
    };
    assert_eq!(named_claim(pod), claim["metadata"]["name"]);
    let rules = list(&named(&objects, "NetworkPolicy", "tandem-arbiter-backup")["spec"]["egress"]);
    assert_eq!((rules.len(), list(&rules[0]["ports"]).len()), (1, 1), "{rules:?}");
    assert_eq!(rules[0]["ports"][0]["port"], 2379);

    let given = template("backup", 34, &["--set", "arbiter.backup.existingClaim=nas"]).unwrap();
    assert!(of_kind(&given, "PersistentVolumeClaim").is_empty(), "nothing is made beside the claim that is there");
    assert_eq!(named_claim(&pods(of_kind(&given, "CronJob")[0]).unwrap()["spec"]), "nas");
    for scenario in SCENARIOS.into_iter().filter(|scenario| *scenario != "backup") {
        assert!(of_kind(&rendered(scenario, 34), "CronJob").is_empty(), "{scenario}: off until it is asked for");
    }
}

#[test]
fn alerts_lead_to_where_the_runbooks_are() {
    let file = fs::read_to_string(chart().join("files/tandem.rules.yaml")).unwrap();
    let links = |prefix: &[&str]| -> Vec<String> {
        let objects = template("monitoring", 34, prefix).unwrap();
        let rule = named(&objects, "PrometheusRule", "tandem");
        let rules = list(&rule["spec"]["groups"]).iter().flat_map(|group| list(&group["rules"]));
        rules.filter_map(|rule| rule["annotations"]["runbook_url"].as_str().map(str::to_owned)).collect()
    };
    let served = links(&["--set", "monitoring.runbookPrefix=https://docs.example/runbooks/"]);
    assert_eq!(served.len(), file.matches("alert: ").count());
    assert!(served.iter().all(|link| link.starts_with("https://docs.example/runbooks/Tandem")), "{served:?}");
    let plain = links(&["--set", "monitoring.runbookPrefix=docs/runbooks"]);
    assert!(plain.iter().all(|link| file.contains(&format!("runbook_url: {link}\n"))), "{plain:?}");
}

#[test]
fn what_is_scraped_says_which_site_it_is() {
    let objects = rendered("monitoring", 34);
    for monitor in of_kind(&objects, "ServiceMonitor") {
        let relabelings = &monitor["spec"]["endpoints"][0]["relabelings"];
        let wanted = serde_json::json!([{"action": "replace", "targetLabel": "dc", "replacement": "dc-a"}]);
        assert_eq!(*relabelings, wanted, "{}", called(monitor));
    }
}

#[test]
fn dashboards_are_there_where_they_are_asked_for() {
    let objects = rendered("monitoring", 34);
    let map = named(&objects, "ConfigMap", "tandem-dashboards");
    assert_eq!(map["metadata"]["labels"]["grafana_dashboard"], "1");
    let files = map["data"].as_object().unwrap();
    assert_eq!(files.len(), fs::read_dir(chart().join("files/dashboards")).unwrap().count());
    for (name, text) in files {
        let dashboard: Value = serde_json::from_str(text.as_str().unwrap()).unwrap();
        assert_eq!(format!("{}.json", dashboard["uid"].as_str().unwrap()), *name);
    }
    assert!(
        of_kind(&rendered("minimal", 34), "ConfigMap").iter().all(|map| map["metadata"]["name"] != "tandem-dashboards")
    );
}

#[test]
fn nonsense_is_refused_and_its_field_named() {
    for (scenario, value, said) in [
        ("minimal", "sites=[\"dc-a\"]", "/sites"),
        ("minimal", "site=\"dc-c\"", "site is 'dc-c', which is not among sites"),
        ("minimal", "preferredSite=\"dc-c\"", "preferredSite is 'dc-c', which is not among sites"),
        ("minimal", "site=\"DC A\"", "/site"),
        ("minimal", "sitez=[]", "sitez"),
        ("minimal", "image.digest=\"latest\"", "/image/digest"),
        ("minimal", "image.tag=\"latest\"", "tag"),
        ("minimal", "arbiter.endpoints=[]", "/arbiter/endpoints"),
        ("minimal", "arbiter.endpoints=[\"http://arbiter:2379\"]", "/arbiter/endpoints/0"),
        ("minimal", "operator.arbiterSecret=\"\"", "/operator/arbiterSecret"),
        ("minimal", "operator.tlsSecret=\"-----BEGIN PRIVATE KEY-----\"", "/operator/tlsSecret"),
        ("minimal", "operator.replicas=1", "replicas"),
        ("minimal", "operator.config={\"replica\":\"operator-0\"}", "/operator/config/replica"),
        ("minimal", "operator.resources.limits.memory=null", "/operator/resources/limits"),
        ("minimal", "operator.spread=\"Maybe\"", "/operator/spread"),
        ("minimal", "api.addresses={\"dc-a\":\"https://a.example\"}", "api.addresses does not have 'dc-b'"),
        ("minimal", "api.addresses={\"dc-a\":\"http://a.example\"}", "/api/addresses/dc-a"),
        ("minimal", "api.clientCertificates.caSecret=\"\"", "nobody could sign in"),
        ("minimal", "api.oidc.issuer=\"http://id.example\"", "/api/oidc/issuer"),
        ("minimal", "api.oidc.issuer=\"https://id.example\"", "/api/oidc/audience"),
        ("minimal", "api.oidc.roles={\"ops\":\"root\"}", "/api/oidc/roles/ops"),
        ("minimal", "api.config={\"listen\":\"0.0.0.0:80\"}", "/api/config/listen"),
        ("minimal", "networkPolicy.apiServer.cidrs=[]", "/networkPolicy/apiServer/cidrs"),
        ("minimal", "networkPolicy.apiServer.ports=[0]", "/networkPolicy/apiServer/ports/0"),
        ("minimal", "people.auditors=[\"x\",\"x\"]", "/people/auditors"),
        ("site-a", "people.auditors=[\"gov-cloud-ops\"]", "people: the group 'gov-cloud-ops' is named twice"),
        ("monitoring", "monitoring.caSecret=\"\"", "/monitoring/caSecret"),
        ("monitoring", "monitoring.runbookPrefix=\"our runbooks\"", "/monitoring/runbookPrefix"),
        ("monitoring", "monitoring.dashboards={\"on\":true}", "/monitoring/dashboards"),
        ("backup", "arbiter.backup.tlsSecret=\"\"", "/arbiter/backup/tlsSecret"),
        ("backup", "arbiter.backup.schedule=\"hourly\"", "/arbiter/backup/schedule"),
        ("backup", "arbiter.backup.keep=0", "/arbiter/backup/keep"),
        ("backup", "arbiter.endpoints=[]", "/arbiter/endpoints"),
        ("backup", "image.digest=\"\"", "/image/digest"),
        ("witness", "arbiter.member.name=\"third\"", "arbiter.member.peers does not have 'third'"),
        ("witness", "arbiter.member.token=\"\"", "/arbiter/member/token"),
        ("witness", "arbiter.member.peers.witness=\"http://w:2380\"", "/arbiter/member/peers/witness"),
        ("witness", "arbiter.member.state=\"forced\"", "/arbiter/member/state"),
    ] {
        let Err(refused) = template(scenario, 34, &["--set-json", value]) else { panic!("{value} is taken") };
        assert!(refused.contains(said), "{value}: {refused}");
    }
}

#[test]
fn an_older_server_than_any_that_works_is_refused() {
    let refused = template("minimal", 19, &[]).map(drop).unwrap_err();
    assert!(refused.contains("1.20"), "{refused}");
}

#[test]
fn every_scenario_passes_lint_and_is_tested() {
    let chart = chart();
    let mut found: Vec<String> = fs::read_dir(chart.join("ci"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    found.sort();
    assert_eq!(found, SCENARIOS);
    for scenario in SCENARIOS {
        let values = chart.join("ci").join(format!("{scenario}.yaml"));
        helm(&["lint", "--strict", "--values", values.to_str().unwrap(), chart.to_str().unwrap()]).unwrap();
    }
}
