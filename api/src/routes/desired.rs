//! Writing what is wanted of an object: made where it is not there, replaced where it is. One way for every kind.

use crate::acts::{Call, Deed, Done, Place, audited, buried, durable, once};
use crate::objects::writer::{Version, create, fresh, replace};
use crate::objects::{ObjectRef, Scene};
use crate::problem::{Fault, FieldFault, Problem};
use crate::state::AppState;
use axum::response::Response;
use kube::core::CustomResourceExt;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tandem_core::check::{self, World};
use tandem_core::names::ANNOTATION_CHANGED_BY;
use tandem_core::sync::{ObjectKey, spec_hash};
use tandem_crds::TandemKind;
use tandem_crds::validation::broken_rules;

/// How often it is tried where others' changes come in between and no version is named.
const TRIES: usize = 8;

/// A kind that is written, and what else the rules say about it than its own.
pub(crate) trait Written: TandemKind {
    /// How its objects are shown.
    type Item: for<'a> From<&'a Self> + Serialize + Send;
    /// What is audited when one is made, and when one is changed.
    const ACTIONS: (&'static str, &'static str);
    /// What is wrong with one, as things are.
    fn wrong(&self, world: &World<'_>) -> Vec<check::Problem>;
    /// Where it is found.
    fn place(key: &ObjectKey) -> String;
}

/// What is wanted: the specification, and the version of the object that it was made from.
pub(crate) struct Wanted {
    pub(crate) spec: Value,
    pub(crate) version: Option<String>,
}

/// Makes or replaces an object, once, audited, and answered when it is durable.
///
/// # Errors
/// Fields that are wrong; [`Problem::KeptChanging`] where it is not of the version that is named.
pub(crate) async fn put<K: Written>(
    state: &AppState,
    call: Call<()>,
    key: ObjectKey,
    wanted: Wanted,
) -> Result<Response, Problem> {
    let own = state.clone();
    once(state, Place::Authority, call, move |call, _| async move {
        for _ in 0..TRIES {
            match attempt::<K>(&own, &call, &key, &wanted).await {
                Err(Problem::KeptChanging) if wanted.version.is_none() => {}
                other => return other,
            }
        }
        Err(Problem::KeptChanging)
    })
    .await
}

async fn attempt<K: Written>(
    state: &AppState,
    call: &Call<()>,
    key: &ObjectKey,
    wanted: &Wanted,
) -> Result<Done, Problem> {
    let at = ObjectRef::from(key);
    let current: Option<K> = fresh(&*state.writer, &at).await?;
    let next = object(key, wanted, current.as_ref(), &call.principal.name)?;
    if let Some(current) = current.as_ref().filter(|current| current.spec() == next.spec()) {
        durable(state, key, current).await?;
        return Ok(Done::accepted(K::place(key), &K::Item::from(current)));
    }
    if wanted.version.is_some() && wanted.version != current.as_ref().and_then(|c| c.meta().resource_version.clone()) {
        return Err(Problem::KeptChanging);
    }
    sound(state, &next, current.as_ref())?;
    let digest = |object: &K| spec_hash(&json!(object.spec()));
    let deed = Deed {
        who: &call.principal,
        action: if current.is_some() { K::ACTIONS.1 } else { K::ACTIONS.0 },
        object: &at,
        before: current.as_ref().map(digest),
        after: Some(digest(&next)),
    };
    let written: K = audited(state, deed, async {
        let written = match &current {
            Some(_) => replace(&*state.writer, &at, &next).await,
            None => create(&*state.writer, &at, &next).await,
        };
        written.map_err(Problem::from)
    })
    .await?;
    durable(state, key, &written).await?;
    let item = K::Item::from(&written);
    Ok(if current.is_some() { Done::accepted(K::place(key), &item) } else { Done::created(K::place(key), &item) })
}

/// Deletes an object, once, audited, and answered when its deletion is durable.
///
/// # Errors
/// [`Problem::NotFound`] where there is none; [`Problem::KeptChanging`] where others change it all the time.
pub(crate) async fn delete<K: TandemKind + DeserializeOwned>(
    state: &AppState,
    call: Call<()>,
    key: ObjectKey,
    action: &'static str,
) -> Result<Response, Problem> {
    let own = state.clone();
    once(state, Place::Authority, call, move |call, _| async move {
        let at = ObjectRef::from(&key);
        for _ in 0..TRIES {
            let Some(object) = fresh::<K>(&*own.writer, &at).await? else {
                // Asked again after an answer that did not come in time, it is gone by now.
                return if own.coordination.buried(&key).await? { Ok(Done::gone()) } else { Err(Problem::NotFound) };
            };
            if object.meta().deletion_timestamp.is_none() {
                let before = Some(spec_hash(&json!(object.spec())));
                let deed = Deed { who: &call.principal, action, object: &at, before, after: None };
                let version = Version::from(object.meta());
                let asked = audited(&own, deed, async { Ok(own.writer.delete(&at, version).await?) }).await;
                match asked {
                    Err(Problem::KeptChanging) => continue,
                    asked => asked?,
                }
            }
            buried(&own, &key, &object).await?;
            return Ok(Done::gone());
        }
        Err(Problem::KeptChanging)
    })
    .await
}

/// The object as it shall be, with the name of whoever wants it so. Its durable id is Tandem's to give, and stays.
fn object<K: TandemKind + DeserializeOwned>(
    key: &ObjectKey,
    wanted: &Wanted,
    current: Option<&K>,
    by: &str,
) -> Result<K, Problem> {
    let mut spec = wanted.spec.clone();
    if spec.get("id").is_some() {
        let fault = Fault::Said("is given by Tandem; leave it out".to_owned());
        return Err(Problem::Invalid(vec![FieldFault { field: "spec.id".to_owned(), fault }]));
    }
    if let Some(id) = current.and_then(TandemKind::id) {
        spec["id"] = json!(id);
    }
    let mut metadata =
        current.map_or_else(|| json!({"name": key.name, "namespace": key.namespace}), |current| json!(current.meta()));
    metadata["annotations"][ANNOTATION_CHANGED_BY] = json!(by);
    let object = json!({
        "apiVersion": K::api_version(&()), "kind": K::kind(&()), "metadata": metadata, "spec": spec,
        "status": current.and_then(TandemKind::status),
    });
    serde_json::from_value(object).map_err(|error| {
        let fault = Fault::Shape(error.to_string());
        Problem::Invalid(vec![FieldFault { field: "spec".to_owned(), fault }])
    })
}

/// What the rules of the resource say, and whether it could be, as things are.
fn sound<K: Written + CustomResourceExt>(state: &AppState, next: &K, current: Option<&K>) -> Result<(), Problem> {
    let said = |path: &str, message: String| {
        let path = if path.is_empty() { "spec" } else { path };
        FieldFault { field: path.to_owned(), fault: Fault::Said(message) }
    };
    let mut faults: Vec<FieldFault> =
        broken_rules(next, current).into_iter().map(|broken| said(&broken.path, broken.message)).collect();
    if faults.is_empty() {
        let scene = Scene::whole(&*state.objects)?;
        let problems = next.wrong(&scene.world((state.clock)()));
        faults.extend(problems.into_iter().map(|problem| said(&problem.path, problem.message)));
    }
    if faults.is_empty() { Ok(()) } else { Err(Problem::Invalid(faults)) }
}

/// A body, a handler and what the rules say, for a kind without a namespace.
macro_rules! written {
    ($kind:ident, $item:ident, $change:ident, $spec:ident, $action:ident, $check:ident, $created:literal, $updated:literal,
     $path:literal, $tag:literal, $id:literal, $what:literal) => {
        #[doc = concat!("What is wanted of ", $what, ".")]
        #[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
        #[serde(rename_all = "camelCase")]
        pub(crate) struct $change {
            /// The `resourceVersion` of the object that this was made from: where it has changed since, nothing is written.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub(crate) resource_version: Option<String>,
            /// What is wanted.
            pub(crate) spec: tandem_crds::$spec,
        }

        impl crate::routes::desired::Written for $kind {
            type Item = $item;
            const ACTIONS: (&'static str, &'static str) = ($created, $updated);

            fn wrong(&self, world: &tandem_core::check::World<'_>) -> Vec<tandem_core::check::Problem> {
                tandem_core::check::$check(self, world)
            }

            fn place(key: &tandem_core::sync::ObjectKey) -> String {
                $path.replace("{name}", &key.name)
            }
        }

        #[doc = concat!("Makes or changes ", $what, ".")]
        #[utoipa::path(put, path = $path, tag = $tag, operation_id = $id,
            summary = concat!("Makes or changes ", $what, "."),
                            params(("name" = String, Path, description = "The name.")),
                            request_body = $change,
                            responses((status = 201, description = "It is made, and durable.", body = $item),
                                      (status = 202, description = "It is changed, and durable.", body = $item)))]
        pub(crate) async fn put(
            State(state): State<AppState>,
            Named(name): Named<String>,
            call: crate::acts::Call<$change>,
        ) -> Result<axum::response::Response, Problem> {
            authorise_named(&call.principal, Action::$action)?;
            let (call, $change { spec, resource_version: version }) = call.split();
            let key = tandem_core::sync::ObjectKey::cluster(tandem_crds::Kind::$kind, name);
            let wanted = crate::routes::desired::Wanted { spec: serde_json::json!(spec), version };
            crate::routes::desired::put::<$kind>(&state, call, key, wanted).await
        }
    };
}
pub(crate) use written;
