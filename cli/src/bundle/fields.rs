//! Which fields of an object go into a bundle: those that are listed here, and no others.

use super::scrub::{GONE, Scrubber};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

/// What is kept of every object.
const ANY: &[&str] = &[
    "apiVersion",
    "kind",
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "metadata.generation",
    "metadata.resourceVersion",
    "metadata.creationTimestamp",
    "metadata.deletionTimestamp",
    "metadata.finalizers[]",
];

/// What is kept of Tandem's own. `**` is everything below; `*` any one name.
pub(super) const TANDEM: &[&str] = &[
    "spec.abort",
    "spec.acceptDataLoss.maxSeconds",
    "spec.applications[].name",
    "spec.approvals[].at",
    "spec.automaticPerDay",
    "spec.budget.**",
    "spec.capacity.**",
    "spec.carriedOut",
    "spec.controls[].**",
    "spec.deadlines.**",
    "spec.decisions[].at",
    "spec.decisions[].digest",
    "spec.decisions[].outcome",
    "spec.decisions[].role",
    "spec.deleteAfter",
    "spec.deletionProtection",
    "spec.dependsOn[]",
    "spec.despiteNotReady",
    "spec.displayName.**",
    "spec.drills.**",
    "spec.dwellSeconds",
    "spec.egress[].**",
    "spec.environment",
    "spec.expectedEpochs.*",
    "spec.expiresAt",
    "spec.from",
    "spec.hold",
    "spec.hook.sites[].clientCertificateSecret",
    "spec.hook.sites[].site",
    "spec.hook.sites[].tokenSecret",
    "spec.hook.sites[].url",
    "spec.hook.synchronous",
    "spec.hook.timeoutSeconds",
    "spec.hostNameSuffixes[]",
    "spec.id",
    "spec.images.**",
    "spec.ingressClass",
    "spec.level",
    "spec.maintenance",
    "spec.maxParallel",
    "spec.members[].role",
    "spec.minReadySeconds",
    "spec.mlpsLevel",
    "spec.mode",
    "spec.parent",
    "spec.patroni.sites[].clientCertificateSecret",
    "spec.patroni.sites[].members[]",
    "spec.patroni.sites[].site",
    "spec.patroni.synchronous",
    "spec.patroni.timeoutSeconds",
    "spec.pause",
    "spec.podSecurity",
    "spec.preference",
    "spec.provider",
    "spec.purpose",
    "spec.quota.**",
    "spec.request",
    "spec.requestedBy.roles[]",
    "spec.requiredLabels[]",
    "spec.rpoSeconds",
    "spec.scaleAfterSeconds",
    "spec.securityDecision",
    "spec.securityProfile",
    "spec.selector.**",
    "spec.storageClasses[]",
    "spec.submittedAt",
    "spec.suspended",
    "spec.tier",
    "spec.to",
    "spec.type",
    "spec.undone.at",
    "spec.unit",
    "spec.until",
    "spec.waivers[].application",
    "spec.waivers[].environment",
    "spec.waivers[].rule",
    "spec.waivers[].until",
    "spec.withdrawn.at",
    "status.**",
];

/// What is kept of an application, also of one that is asked for.
const APPLICATION: &[&str] = &[
    "access.**",
    "adopt[].**",
    "components[].env[].name",
    "components[].image",
    "components[].name",
    "components[].ports[].**",
    "components[].probes.*.failureThreshold",
    "components[].probes.*.httpGet.port",
    "components[].probes.*.periodSeconds",
    "components[].probes.*.tcpPort",
    "components[].probes.*.timeoutSeconds",
    "components[].replicas.**",
    "components[].resources.**",
    "components[].secrets[]",
    "dependencies[].**",
    "displayName.**",
    "endpoints[].component",
    "endpoints[].hosts[]",
    "endpoints[].name",
    "endpoints[].port",
    "endpoints[].tlsSecret",
    "failoverGroup",
    "id",
    "mlpsLevel",
    "rpoSeconds",
    "rtoSeconds",
    "standbyClass",
    "storage",
    "tier",
];

/// Who somebody is: made unreadable, alike within one bundle.
pub(super) const PEOPLE: &[&str] = &[
    "spec.administrators[]",
    "spec.approvals[].by",
    "spec.decisions[].by",
    "spec.members[].group",
    "spec.requestedBy",
    "spec.requestedBy.name",
    "spec.undone.by",
    "spec.viewers[]",
    "spec.withdrawn.by",
    "status.holds[].by",
];

/// What people wrote in their own words, though it stands below what is kept.
pub(super) const WORDS: &[&str] = &["status.holds[].reason"];

/// What is kept of objects of Kubernetes' own.
pub(super) const KUBERNETES: &[&str] = &[
    // Nodes.
    "spec.taints[].**",
    "spec.unschedulable",
    "status.allocatable.**",
    "status.capacity.**",
    "status.nodeInfo.**",
    // Definitions.
    "spec.group",
    "spec.versions[].name",
    "spec.versions[].served",
    "spec.versions[].storage",
    "status.storedVersions[]",
    // Programs and their pods.
    "spec.nodeName",
    "spec.replicas",
    "spec.containers[].image",
    "spec.containers[].name",
    "spec.containers[].resources.**",
    "spec.template.metadata.labels.*",
    "spec.template.spec.containers[].image",
    "spec.template.spec.containers[].name",
    "status.conditions[].**",
    "status.containerStatuses[].lastState.**",
    "status.containerStatuses[].name",
    "status.containerStatuses[].ready",
    "status.containerStatuses[].restartCount",
    "status.containerStatuses[].state.**",
    "status.phase",
    "status.availableReplicas",
    "status.currentReplicas",
    "status.observedGeneration",
    "status.readyReplicas",
    "status.replicas",
    "status.updatedReplicas",
    // Events.
    "count",
    "eventTime",
    "firstTimestamp",
    "involvedObject.**",
    "lastTimestamp",
    "message",
    "reason",
    "reportingComponent",
    "source.component",
    "type",
];

/// Labels that Tandem and its chart set.
const LABELS: [&str; 3] = ["tandem.dev/", "app.kubernetes.io/", "helm.sh/"];

/// Whether a path, such as `spec.components[].image`, is of a pattern.
pub(super) fn is_of(path: &str, pattern: &str) -> bool {
    if let Some(above) = pattern.strip_suffix(".**") {
        let parts = above.split('.').count();
        let head: Vec<&str> = path.split('.').take(parts).collect();
        return path.split('.').count() > parts && is_of(&head.join("."), above);
    }
    let (path, pattern): (Vec<&str>, Vec<&str>) = (path.split('.').collect(), pattern.split('.').collect());
    path.len() == pattern.len() && path.iter().zip(&pattern).all(|(part, wanted)| *wanted == "*" || part == wanted)
}

/// Whether something below a path may be kept.
fn leads_to(path: &str, pattern: &str) -> bool {
    let (path, pattern): (Vec<&str>, Vec<&str>) = (path.split('.').collect(), pattern.split('.').collect());
    for (index, part) in path.iter().enumerate() {
        match pattern.get(index) {
            Some(&"**") => return true,
            Some(wanted) if *wanted == "*" || wanted == part || wanted.strip_suffix("[]") == Some(part) => {}
            _ => return false,
        }
    }
    pattern.len() >= path.len()
}

/// The patterns for an object.
pub(super) fn patterns(api_version: &str) -> Vec<String> {
    let mut all: Vec<String> = ANY.iter().map(|one| (*one).to_owned()).collect();
    if api_version.starts_with("tandem.dev/") {
        all.extend(TANDEM.iter().map(|one| (*one).to_owned()));
        for above in ["spec.", "spec.applications[].spec."] {
            all.extend(APPLICATION.iter().map(|one| format!("{above}{one}")));
        }
    } else {
        all.extend(KUBERNETES.iter().map(|one| (*one).to_owned()));
    }
    all
}

/// Makes people's names unreadable: who has one bundle cannot tell them from another's.
pub(super) struct People {
    salt: [u8; 16],
}

impl People {
    pub(super) fn new(salt: [u8; 16]) -> Self {
        Self { salt }
    }

    pub(super) fn masked(&self, name: &str) -> String {
        let digest = Sha256::new().chain_update(self.salt).chain_update(name.as_bytes()).finalize();
        format!("person-{}", hex::encode(&digest[..5]))
    }
}

/// Keeps of objects what may be kept.
pub(super) struct Sieve<'a> {
    pub(super) people: &'a People,
    pub(super) scrubber: &'a mut Scrubber,
}

impl Sieve<'_> {
    /// What may be kept of an object.
    pub(super) fn object(&mut self, object: &Value) -> Value {
        let patterns = patterns(object["apiVersion"].as_str().unwrap_or_default());
        let Value::Object(map) = object else { return Value::String(GONE.to_owned()) };
        self.map("", map, &patterns)
    }

    fn gone(&mut self) -> Value {
        *self.scrubber.removed.entry("field-not-listed".to_owned()).or_default() += 1;
        Value::String(GONE.to_owned())
    }

    fn map(&mut self, path: &str, map: &Map<String, Value>, patterns: &[String]) -> Value {
        let mut kept = Map::new();
        for (key, value) in map {
            // A name with a dot in it would be read as two.
            let below =
                if path.is_empty() { key.replace('.', "/") } else { format!("{path}.{}", key.replace('.', "/")) };
            if path == "metadata.labels" {
                if LABELS.iter().any(|prefix| key.starts_with(prefix)) {
                    kept.insert(key.clone(), value.clone());
                }
            } else if below == "metadata.labels" {
                if let Value::Object(labels) = value {
                    kept.insert(key.clone(), self.map(&below, labels, patterns));
                }
            } else if below != "metadata.managedFields" {
                let value = self.value(&below, value, patterns);
                kept.insert(key.clone(), value);
            }
        }
        Value::Object(kept)
    }

    fn value(&mut self, path: &str, value: &Value, patterns: &[String]) -> Value {
        let leads = || patterns.iter().any(|pattern| leads_to(path, pattern));
        match value {
            Value::Object(map) if leads() => self.map(path, map, patterns),
            Value::Array(items) if leads() => {
                let path = format!("{path}[]");
                Value::Array(items.iter().map(|item| self.item(&path, item, patterns)).collect())
            }
            Value::Object(_) | Value::Array(_) if self.is_of_people(path, value) => self.people_in(value),
            Value::Object(_) | Value::Array(_) => self.gone(),
            leaf => self.leaf(path, leaf, patterns),
        }
    }

    fn item(&mut self, path: &str, item: &Value, patterns: &[String]) -> Value {
        match item {
            Value::Object(map) => self.map(path, map, patterns),
            leaf => self.leaf(path, leaf, patterns),
        }
    }

    fn is_of_people(&self, path: &str, value: &Value) -> bool {
        value.is_array() && PEOPLE.contains(&format!("{path}[]").as_str())
    }

    fn people_in(&mut self, value: &Value) -> Value {
        let names = value.as_array().into_iter().flatten();
        names.map(|name| Value::String(self.people.masked(name.as_str().unwrap_or_default()))).collect()
    }

    fn leaf(&mut self, path: &str, leaf: &Value, patterns: &[String]) -> Value {
        if PEOPLE.iter().any(|pattern| is_of(path, pattern)) {
            return match leaf.as_str() {
                Some(name) => Value::String(self.people.masked(name)),
                None => self.gone(),
            };
        }
        if WORDS.iter().any(|pattern| is_of(path, pattern)) || !patterns.iter().any(|pattern| is_of(path, pattern)) {
            return self.gone();
        }
        match leaf {
            Value::String(text) => Value::String(self.scrubber.clean(text)),
            other => other.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::collections::BTreeSet;
    use tandem_crds::manifests::{RuleSet, files};

    /// What is decided to be left out. A new field of a kind is in no list, and fails the test below.
    const LEFT_OUT: &[&str] = &[
        "spec.applications[].labels.*",
        "spec.approvals[].note",
        "spec.decisions[].note",
        "spec.hook.sites[].caBundle",
        "spec.idempotencyKey",
        "spec.patroni.sites[].caBundle",
        "spec.reason",
        "spec.undone.note",
        "spec.waivers[].reason",
        "spec.withdrawn.note",
        "spec.components[].args[]",
        "spec.components[].command[]",
        "spec.components[].config.*",
        "spec.components[].env[].value",
        "spec.components[].probes.*.httpGet.path",
        "spec.endpoints[].path",
        "spec.endpoints[].selector.*",
    ];

    fn leaves(schema: &Value, path: &str, found: &mut BTreeSet<String>) {
        let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
        if let Some(properties) = schema["properties"].as_object() {
            properties.iter().for_each(|(name, schema)| leaves(schema, &below(name), found));
        } else if schema["additionalProperties"].is_object() {
            leaves(&schema["additionalProperties"], &below("*"), found);
        } else if schema["items"].is_object() {
            leaves(&schema["items"], &format!("{path}[]"), found);
        } else {
            found.insert(path.to_owned());
        }
    }

    #[test]
    fn every_field_of_every_kind_is_decided_on() {
        let kept = patterns("tandem.dev/v1alpha1");
        let of = |path: &str, list: &[&str]| list.iter().any(|pattern| is_of(path, pattern));
        for (file, text) in files(RuleSet::Plain).unwrap() {
            let definition: Value = serde_yaml::from_str(&text).unwrap();
            let mut found = BTreeSet::new();
            leaves(&definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"], "", &mut found);
            for path in found.iter().filter(|path| path.starts_with("spec.") || path.starts_with("status.")) {
                let short = path.replace("spec.applications[].spec.", "spec.");
                let (keep, out) = (kept.iter().any(|pattern| is_of(path, pattern)), of(&short, LEFT_OUT));
                assert!(keep || out || of(path, PEOPLE), "{file} {path}: in no list of this file");
                assert!(!(keep && out), "{file} {path}: in two lists");
            }
        }
    }

    #[test]
    fn what_is_not_listed_is_gone_with_its_names() {
        let people = People::new([7; 16]);
        let mut scrubber = Scrubber::default();
        let object = json!({
            "apiVersion": "tandem.dev/v1alpha1", "kind": "Application",
            "metadata": {
                "name": "web", "labels": {"tandem.dev/unit": "hall", "owner": "wang"},
                "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "hunter2"},
                "managedFields": [{"manager": "hunter2"}]
            },
            "spec": {
                "tier": 2, "hunter2": {"hunter2": "x"},
                "components": [{"name": "c", "env": [{"name": "DB", "value": "hunter2"}], "config": {"hunter2.ini": "x"}, "args": ["hunter2"]}]
            },
            "status": {"conditions": [{"message": "password=hunter2"}], "holds": [{"by": "wang", "reason": "hunter2"}]}
        });
        let kept = Sieve { people: &people, scrubber: &mut scrubber }.object(&object);
        assert_eq!(kept["spec"]["components"][0]["env"][0], json!({"name": "DB", "value": GONE}));
        assert_eq!(kept["spec"]["components"][0]["config"], GONE);
        assert_eq!(kept["spec"]["tier"], 2);
        assert_eq!(kept["metadata"]["labels"], json!({"tandem.dev/unit": "hall"}));
        assert_eq!(kept["status"]["holds"][0]["by"], people.masked("wang"));
        assert_eq!(kept["status"]["conditions"][0]["message"], "password=[removed]");
        let mut text = kept.to_string();
        // The one name that nobody listed still stands as the name of what was removed.
        text = text.replacen("\"hunter2\":\"[removed]\"", "", 1);
        assert!(!text.contains("hunter2") && !text.contains("wang"), "{text}");
        assert!(scrubber.removed["field-not-listed"] >= 4);
    }

    #[test]
    fn one_person_is_one_within_a_bundle_and_nobody_across_two() {
        let (one, other) = (People::new([1; 16]), People::new([2; 16]));
        assert_eq!(one.masked("wang"), one.masked("wang"));
        assert!(one.masked("wang") != other.masked("wang") && one.masked("wang") != one.masked("li"));
    }
}
