//! Reading objects whole, and writing them for programs.

use super::ShowError;
use crate::failover::api;
use crate::output::{self, Output};
use kube::Client;
use kube::api::DynamicObject;
use serde_json::json;
use tandem_crds::TandemKind;

/// An object as the cluster has it, and as this release reads it.
pub(super) struct Object<K> {
    /// As the cluster has it, without `managedFields`.
    whole: DynamicObject,
    /// As this release reads it.
    pub(super) read: K,
}

fn object<K: TandemKind>(mut whole: DynamicObject) -> Result<Object<K>, ShowError> {
    whole.metadata.managed_fields = None;
    let read = serde_json::to_value(&whole).and_then(serde_json::from_value);
    let name = whole.metadata.name.clone().unwrap_or_default();
    let read = read.map_err(|source| ShowError::Decode { kind: K::KIND.name(), name, source })?;
    Ok(Object { whole, read })
}

/// Every object of a kind.
pub(super) async fn list<K: TandemKind>(client: &Client) -> Result<Vec<Object<K>>, ShowError> {
    api::list_whole::<K>(client).await?.into_iter().map(object).collect()
}

/// One object.
pub(super) async fn get<K: TandemKind>(
    client: &Client,
    namespace: Option<&str>,
    name: &str,
) -> Result<Object<K>, ShowError> {
    object(api::get_whole::<K>(client, namespace, name).await?)
}

/// Writes a list: for programs a `List`, as kubectl does.
pub(super) fn write_list<K>(output: Output, objects: &[Object<K>], people: impl FnOnce(&[&K]) -> String) {
    let items: Vec<&DynamicObject> = objects.iter().map(|object| &object.whole).collect();
    let list = json!({"apiVersion": "v1", "kind": "List", "metadata": {}, "items": items});
    output.write(&list, || people(&objects.iter().map(|object| &object.read).collect::<Vec<_>>()));
}

/// Writes one object for programs; false where people are to read it.
pub(super) fn write_one<K>(output: Output, object: &Object<K>) -> bool {
    let text = output.data(&object.whole);
    text.iter().for_each(|text| output::result(text));
    text.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;
    use tandem_crds::Unit;

    fn unit(extra: Value) -> DynamicObject {
        let mut spec = json!({"displayName": {"zh": "x"}, "level": "City", "securityProfile": "p",
            "budget": {"cpu": "1", "memory": "1Gi", "storage": "1Gi", "pods": 1, "environments": 1}});
        spec["ofANewerRelease"] = extra;
        serde_json::from_value(json!({
            "apiVersion": "tandem.dev/v1alpha1", "kind": "Unit",
            "metadata": {"name": "health", "managedFields": [{"manager": "kubectl"}]}, "spec": spec
        }))
        .unwrap()
    }

    #[test]
    fn programs_get_the_object_whole_but_for_managed_fields() {
        let read: Object<Unit> = object(unit(json!("kept"))).ok().unwrap();
        let text = Output::Json.data(&read.whole).unwrap();
        assert!(text.contains("kept") && !text.contains("managedFields"), "{text}");
        let whole: Value = serde_json::from_str(&text).unwrap();
        assert_eq!((&whole["kind"], &whole["metadata"]["name"]), (&json!("Unit"), &json!("health")));
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let mut broken = unit(Value::Null);
        broken.data["spec"]["budget"] = json!("much");
        let error = object::<Unit>(broken).err().unwrap();
        assert!(error.to_string().contains("Unit health"), "{error}");
    }
}
