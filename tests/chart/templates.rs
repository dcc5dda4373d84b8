//! What helm makes of the chart, and how it is looked through.

use serde::Serialize;
use serde::de::{Deserialize, DeserializeOwned};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

/// The ages at which something that the chart writes is another, and current.
pub(crate) const MINORS: [u32; 6] = [20, 22, 25, 28, 29, 34];
pub(crate) const SCENARIOS: [&str; 6] = ["backup", "minimal", "monitoring", "site-a", "site-b", "witness"];
pub(crate) const NAMESPACE: &str = "tandem-system";

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

pub(crate) fn chart() -> PathBuf {
    root().join("charts/tandem")
}

pub(crate) fn helm(arguments: &[&str]) -> Result<String, String> {
    let helm = std::env::var("TANDEM_HELM").unwrap_or_else(|_| "helm".to_owned());
    let home = std::env::temp_dir().join("tandem-helm");
    let output = Command::new(&helm)
        .args(arguments)
        .envs(["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"].map(|name| (name, &home)))
        .output()
        .unwrap_or_else(|error| panic!("{helm}: {error}; run `make chart`, which installs it"));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

/// What a server of this age serves beyond what helm takes for granted.
pub(crate) fn flow_control(minor: u32) -> &'static str {
    match minor {
        ..23 => "v1beta1",
        23..26 => "v1beta2",
        26..29 => "v1beta3",
        _ => "v1",
    }
}

pub(crate) fn template(scenario: &str, minor: u32, more: &[&str]) -> Result<Vec<Value>, String> {
    let chart = chart();
    let values = chart.join("ci").join(format!("{scenario}.yaml"));
    let version = format!("--kube-version=1.{minor}.2");
    let served = format!("--api-versions=flowcontrol.apiserver.k8s.io/{}", flow_control(minor));
    let mut arguments = vec!["template", "tandem", chart.to_str().unwrap(), "--namespace", NAMESPACE, "--values"];
    arguments.extend([values.to_str().unwrap(), &version, &served]);
    arguments.extend(more);
    let text = helm(&arguments)?;
    let objects = serde_yaml::Deserializer::from_str(&text).map(|one| Value::deserialize(one).unwrap());
    Ok(objects.filter(|object| !object.is_null()).collect())
}

pub(crate) fn rendered(scenario: &'static str, minor: u32) -> Vec<Value> {
    type Rendered = BTreeMap<(&'static str, u32), Vec<Value>>;
    static KEPT: Mutex<Rendered> = Mutex::new(BTreeMap::new());
    if let Some(objects) = KEPT.lock().unwrap().get(&(scenario, minor)) {
        return objects.clone();
    }
    let objects = template(scenario, minor, &[]).unwrap_or_else(|error| panic!("{scenario} for 1.{minor}: {error}"));
    KEPT.lock().unwrap().insert((scenario, minor), objects.clone());
    objects
}

/// The scenario that has the most for every age, the others for the oldest, the first with CEL and the newest.
pub(crate) fn everything() -> impl Iterator<Item = (String, Value)> {
    let all = MINORS.map(|minor| ("site-a", minor)).into_iter();
    let others = SCENARIOS.into_iter().filter(|scenario| *scenario != "site-a");
    all.chain(others.flat_map(|scenario| [20, 29, 34].map(|minor| (scenario, minor)))).flat_map(|(scenario, minor)| {
        let objects = rendered(scenario, minor).into_iter();
        objects.map(move |object| (format!("{scenario} for 1.{minor}: {}", called(&object)), object))
    })
}

pub(crate) fn called(object: &Value) -> String {
    format!("{} {}", kind(object), object["metadata"]["name"].as_str().unwrap())
}

pub(crate) fn kind(object: &Value) -> &str {
    object["kind"].as_str().unwrap()
}

pub(crate) fn of_kind<'a>(objects: &'a [Value], wanted: &str) -> Vec<&'a Value> {
    objects.iter().filter(|object| kind(object) == wanted).collect()
}

pub(crate) fn named<'a>(objects: &'a [Value], wanted: &str, name: &str) -> &'a Value {
    let of_name = |object: &&&Value| object["metadata"]["name"] == name;
    of_kind(objects, wanted).iter().find(of_name).unwrap_or_else(|| panic!("no {wanted} {name}"))
}

/// What a workload makes its pods of.
pub(crate) fn pods(object: &Value) -> Option<&Value> {
    let found = object.pointer("/spec/template").or_else(|| object.pointer("/spec/jobTemplate/spec/template"));
    found.filter(|template| template.pointer("/spec/containers").is_some())
}

pub(crate) fn workloads(objects: &[Value]) -> Vec<&Value> {
    objects.iter().filter(|object| pods(object).is_some()).collect()
}

pub(crate) fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// What is in `given` and not in `taken`, by path.
fn lost(path: &str, given: &Value, taken: &Value, found: &mut Vec<String>) {
    match (given, taken) {
        (Value::Object(given), Value::Object(taken)) => {
            for (key, value) in given {
                match taken.get(key) {
                    Some(taken) => lost(&format!("{path}.{key}"), value, taken, found),
                    // Empty is as good as absent.
                    None if value.as_array().is_some_and(Vec::is_empty) => {}
                    None => found.push(format!("{path}.{key}")),
                }
            }
        }
        (Value::Array(given), Value::Array(taken)) if given.len() == taken.len() => {
            for (index, (given, taken)) in given.iter().zip(taken).enumerate() {
                lost(&format!("{path}[{index}]"), given, taken, found);
            }
        }
        _ if given == taken => {}
        _ => found.push(path.to_owned()),
    }
}

/// What a type that was made from Kubernetes' own OpenAPI document does not take of an object.
pub(crate) fn not_of<T: DeserializeOwned + Serialize>(object: &Value) -> Vec<String> {
    let typed: T = match serde_json::from_value(object.clone()) {
        Ok(typed) => typed,
        Err(error) => return vec![error.to_string()],
    };
    let mut found = Vec::new();
    lost("", object, &serde_json::to_value(typed).unwrap(), &mut found);
    found
}
