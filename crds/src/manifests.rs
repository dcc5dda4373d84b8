//! The CustomResourceDefinitions as YAML, in two sets, and the Helm chart's copies of both.
//!
//! An API server of 1.20 answers 500 to a server-side apply of a schema with `x-kubernetes-validations`, so there is a set
//! without them; who installs chooses by the server's version.

use crate::{Application, DataCentre, Environment, EnvironmentRequest, Failover, FailoverGroup, SecurityProfile, Unit};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::core::CustomResourceExt;
use serde_json::Value;

/// A set of CustomResourceDefinitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RuleSet {
    /// With CEL rules, for API servers from 1.29 on.
    Cel,
    /// Without, for older ones. Tandem evaluates the rules itself.
    Plain,
}

impl RuleSet {
    /// The set's folder.
    #[must_use]
    pub fn folder(self) -> &'static str {
        match self {
            Self::Cel => "cel",
            Self::Plain => "plain",
        }
    }

    /// The set that fits an API server of version 1.`minor`.
    #[must_use]
    pub fn for_server(minor: u32) -> Self {
        if minor >= 29 { Self::Cel } else { Self::Plain }
    }
}

/// Why the YAML could not be written.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// A definition could not be turned into JSON.
    #[error("a definition could not be turned into JSON")]
    Json(#[from] serde_json::Error),
    /// A definition could not be turned into YAML.
    #[error("a definition could not be turned into YAML")]
    Yaml(#[from] serde_yaml::Error),
}

/// Every kind's definition: those that are published and followed, and those that are not.
#[must_use]
pub fn definitions() -> Vec<CustomResourceDefinition> {
    vec![
        DataCentre::crd(),
        SecurityProfile::crd(),
        Unit::crd(),
        Environment::crd(),
        FailoverGroup::crd(),
        Failover::crd(),
        Application::crd(),
        EnvironmentRequest::crd(),
    ]
}

/// The files of a set, as (file name, text).
///
/// # Errors
/// When a definition cannot be written as YAML.
pub fn files(set: RuleSet) -> Result<Vec<(String, String)>, ManifestError> {
    written(set, |_| {})
}

/// The same as Helm is to install them: what they define outlives the release. A definition that goes takes every object of its
/// kind with it.
///
/// # Errors
/// When a definition cannot be written as YAML.
pub fn chart_files(set: RuleSet) -> Result<Vec<(String, String)>, ManifestError> {
    written(set, |definition| {
        let annotations = definition.metadata.annotations.get_or_insert_default();
        annotations.insert("helm.sh/resource-policy".to_owned(), "keep".to_owned());
    })
}

fn written(set: RuleSet, change: fn(&mut CustomResourceDefinition)) -> Result<Vec<(String, String)>, ManifestError> {
    definitions()
        .into_iter()
        .map(|mut definition| {
            let name = format!("{}.yaml", definition.spec.names.plural);
            change(&mut definition);
            let mut value = serde_json::to_value(definition)?;
            if set == RuleSet::Plain {
                remove_rules(&mut value);
            }
            let text = serde_yaml::to_string(&value)?;
            Ok((name, format!("# Written by crdgen from crds/src; change it there and run `make generate`.\n{text}")))
        })
        .collect()
}

fn remove_rules(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.remove("x-kubernetes-validations");
            map.values_mut().for_each(remove_rules);
        }
        Value::Array(items) => items.iter_mut().for_each(remove_rules),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_set_for_new_servers_has_rules() {
        let has_rules =
            |set| files(set).unwrap().iter().filter(|(_, text)| text.contains("x-kubernetes-validations")).count();
        assert_eq!(has_rules(RuleSet::Cel), 8);
        assert_eq!(has_rules(RuleSet::Plain), 0);
    }

    #[test]
    fn the_charts_copies_differ_in_outliving_their_release_alone() {
        for set in [RuleSet::Cel, RuleSet::Plain] {
            for ((name, text), (chart_name, chart_text)) in files(set).unwrap().iter().zip(chart_files(set).unwrap()) {
                let kept = "metadata:\n  annotations:\n    helm.sh/resource-policy: keep\n";
                assert_eq!((name, text.replacen("metadata:\n", kept, 1)), (&chart_name, chart_text));
                // Helm would take it for its own.
                assert!(!text.contains("{{"), "{name}");
            }
        }
    }

    #[test]
    fn every_field_is_documented() {
        fn undocumented(path: &str, schema: &Value, found: &mut Vec<String>) {
            if let Some(properties) = schema.get("properties").and_then(Value::as_object) {
                for (name, property) in properties {
                    let path = format!("{path}.{name}");
                    // Kubernetes' own conditions are documented by Kubernetes.
                    if property.get("description").is_none() && !path.contains(".conditions") {
                        found.push(path.clone());
                    }
                    undocumented(&path, property, found);
                }
            }
            for key in ["items", "additionalProperties"] {
                if let Some(inner) = schema.get(key) {
                    undocumented(&format!("{path}[]"), inner, found);
                }
            }
        }
        let mut found = Vec::new();
        for definition in definitions() {
            let name = definition.spec.names.kind.clone();
            let value = serde_json::to_value(&definition).unwrap();
            let schema = &value["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
            for part in ["spec", "status"] {
                undocumented(&format!("{name}.{part}"), &schema["properties"][part], &mut found);
            }
        }
        assert_eq!(found, Vec::<String>::new());
    }

    #[test]
    fn a_server_gets_the_set_that_it_understands() {
        assert_eq!(RuleSet::for_server(20), RuleSet::Plain);
        assert_eq!(RuleSet::for_server(28), RuleSet::Plain);
        assert_eq!(RuleSet::for_server(33), RuleSet::Cel);
    }
}
