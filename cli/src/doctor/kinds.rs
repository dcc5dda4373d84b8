//! Tandem's kinds as this release defines them. They are made once: it takes a while.

use serde_json::Value;
use std::sync::LazyLock;
use tandem_crds::manifests::definitions;

/// One kind.
pub(super) struct Wanted {
    /// The definition's name.
    pub(super) name: String,
    /// The kind's plural.
    pub(super) plural: String,
    /// The whole definition.
    pub(super) definition: Value,
}

/// Every kind.
pub(super) fn wanted() -> &'static [Wanted] {
    static ALL: LazyLock<Vec<Wanted>> = LazyLock::new(|| {
        let of = |definition: k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition| Wanted {
            name: definition.metadata.name.clone().unwrap_or_default(),
            plural: definition.spec.names.plural.clone(),
            definition: serde_json::to_value(definition).unwrap_or_default(),
        };
        definitions().into_iter().map(of).collect()
    });
    &ALL
}
