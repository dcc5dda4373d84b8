//! Holds: an annotation that people set at either site, mirrored into the arbiter.
//!
//! Where an annotation has been brought into the arbiter it is stamped with the hold's revision. That tells a hold that has
//! yet to be set from one that was lifted elsewhere: the second takes the annotation away, instead of setting the hold again.

use super::picture::wall;
use crate::audit::wrote;
use crate::cluster::{Cluster, ObjectName, REQUEST_TIMEOUT};
use crate::context::Context;
use kube::api::{DynamicObject, Patch, PatchParams};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::time::Duration;
use tandem_arbiter::records::{Hold, HoldRecord, Versioned};
use tandem_arbiter::txn::Scribe;
use tandem_core::audit::Actor;
use tandem_crds::{HOLD, HOLD_ALL, HOLD_ALL_CLEAR, HOLD_CLEAR, Kind};
use tandem_logs::Chain;

/// Revision of the hold that an annotation was brought into.
const HELD: &str = "tandem.dev/hold-revision";
/// The same of a hold of everything.
const HELD_ALL: &str = "tandem.dev/hold-all-revision";
/// How often annotations are looked at although nothing was seen to change.
const LOOK: Duration = Duration::from_millis(500);

/// The reason of a hold that is a site's `spec.hold`.
const BY_SPEC: &str = "spec.hold";

/// A stamp: the hold's revision, and from which generation of the arbiter's data. After a restore the arbiter may have forgotten
/// the hold; that it was lifted must not be concluded then.
fn stamp_of(revision: i64, generation: u64) -> String {
    if generation <= 1 { revision.to_string() } else { format!("{generation}/{revision}") }
}

/// The revision of a stamp, where it is of this generation.
fn stamped(stamp: &str, generation: u64) -> Option<i64> {
    let (of, revision) = stamp.split_once('/').unwrap_or(("1", stamp));
    (of.parse() == Ok(generation)).then(|| revision.parse().ok()).flatten()
}

/// What an object says of one hold.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Said {
    hold: Hold,
    /// The annotations: the hold, its stamp, its lifting.
    names: [&'static str; 3],
    reason: Option<String>,
    stamp: Option<i64>,
    lift: bool,
}

impl Said {
    fn of(object: &DynamicObject, hold: Hold, names: [&'static str; 3], generation: u64) -> Self {
        let empty = BTreeMap::new();
        let annotations = object.metadata.annotations.as_ref().unwrap_or(&empty);
        let [set, stamp, lift] = names;
        // A site is held by its specification as well: that is published, and so each site sees to it.
        let by_spec = matches!(hold, Hold::Site(_)) && object.data["spec"]["hold"] == true;
        Self {
            hold,
            names,
            reason: annotations.get(set).cloned().or_else(|| by_spec.then(|| BY_SPEC.to_owned())),
            stamp: annotations.get(stamp).and_then(|stamp| stamped(stamp, generation)),
            lift: annotations.get(lift).is_some_and(|value| value != "false"),
        }
    }
}

/// What is to be done about one hold.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Act {
    Nothing,
    /// Set it, for this reason.
    Set(String),
    /// Lift the one of this revision, and take the annotations away.
    Lift(i64),
    /// The annotation says what stands: stamp it.
    Stamp(i64),
    /// Take the annotations away: it was lifted elsewhere, or there is nothing to lift.
    Forget,
}

fn plan(site: &str, said: &Said, stands: Option<&Versioned<Option<HoldRecord>>>) -> Act {
    // One that cannot be read is somebody else's.
    let ours = |held: &Versioned<Option<HoldRecord>>| {
        held.value.as_ref().is_some_and(|record| record.by.starts_with(&format!("{site}: ")))
    };
    match (&said.reason, stands) {
        _ if said.lift => stands.map_or(Act::Forget, |held| Act::Lift(held.revision)),
        (Some(reason), None) if said.stamp.is_none() => Act::Set(reason.clone()),
        (Some(_), None) => Act::Forget,
        (Some(_), Some(held)) if said.stamp == Some(held.revision) => Act::Nothing,
        (Some(_), Some(held)) => Act::Stamp(held.revision),
        // The annotation was taken away: what this site set with it is lifted, what another set stays.
        (None, Some(held)) if said.stamp == Some(held.revision) && ours(held) => Act::Lift(held.revision),
        (None, _) if said.stamp.is_some() => Act::Forget,
        (None, _) => Act::Nothing,
    }
}

/// Brings annotations and holds together, for ever; only while this replica leads its site.
pub async fn run_holds(context: Context) {
    let mut changes = context.link.board().changes();
    loop {
        changes.mark_unchanged();
        let own = &context.cluster.own;
        let synced = own.is_synced(Kind::DataCentre.name()) && own.is_synced(Kind::FailoverGroup.name());
        if context.link.leadership().is_some() && synced && context.link.board().is_complete() {
            look(&context).await;
        }
        tokio::select! {
            changed = changes.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(LOOK) => {}
        }
    }
}

async fn look(context: &Context) {
    let site = &context.config.site;
    let standing = context.link.board().holds();
    let generation = context.link.gate().with(|gate| gate.generation());
    for kind in [Kind::FailoverGroup, Kind::DataCentre] {
        for object in context.cluster.own.of_kind(kind.name()) {
            let Some(name) = object.metadata.name.clone() else { continue };
            let hold = if kind == Kind::DataCentre { Hold::Site(name.clone()) } else { Hold::Group(name.clone()) };
            let mut all = vec![Said::of(&object, hold, [HOLD, HELD, HOLD_CLEAR], generation)];
            if kind == Kind::DataCentre && name == *site {
                all.push(Said::of(&object, Hold::All, [HOLD_ALL, HELD_ALL, HOLD_ALL_CLEAR], generation));
            }
            for said in all {
                let act = plan(site, &said, standing.get(&said.hold));
                let by = wrote(context, &object.metadata);
                if let Err(error) = carry_out(context, (kind, &name), &said, act, &by).await {
                    tracing::warn!(hold = ?said.hold, error, "a hold is not brought in line yet");
                }
            }
        }
    }
}

async fn carry_out(
    context: &Context,
    (kind, name): (Kind, &str),
    said: &Said,
    act: Act,
    actor: &Actor,
) -> Result<(), String> {
    let (arbiter, board) = (context.link.arbiter(), context.link.board());
    let scribe = Some(Scribe { actor, at: wall() });
    let told = |error: &dyn std::error::Error| Chain(error).to_string();
    let [set, stamp, lift] = said.names;
    let generation = context.link.gate().with(|gate| gate.generation());
    match act {
        Act::Nothing => Ok(()),
        Act::Set(reason) => {
            let how = if reason == BY_SPEC { "spec.hold of" } else { "annotation on" };
            let by = format!("{}: {how} {}/{name}", context.config.site, kind.name().to_lowercase());
            let record = HoldRecord { by, reason, since: wall() };
            let held = arbiter.set_hold(&said.hold, &record, scribe).await.map_err(|error| told(&error))?;
            tracing::warn!(hold = ?said.hold, reason = held.value.reason, "held");
            board.enter_hold(said.hold.clone(), held.revision, Some(Some(held.value)));
            annotate(context, kind, name, &[(stamp, Some(stamp_of(held.revision, generation)))]).await
        }
        Act::Stamp(revision) => annotate(context, kind, name, &[(stamp, Some(stamp_of(revision, generation)))]).await,
        Act::Lift(revision) => {
            // The annotations last: should this replica die in between, the next one finds what it has to do.
            let gone = arbiter.clear_hold(&said.hold, revision, scribe).await.map_err(|error| told(&error))?;
            if !gone {
                return Ok(());
            }
            tracing::warn!(hold = ?said.hold, "no longer held");
            annotate(context, kind, name, &[(set, None), (stamp, None), (lift, None)]).await
        }
        Act::Forget => annotate(context, kind, name, &[(set, None), (stamp, None), (lift, None)]).await,
    }
}

async fn annotate(
    context: &Context,
    kind: Kind,
    name: &str,
    annotations: &[(&str, Option<String>)],
) -> Result<(), String> {
    context.cluster.may_write().map_err(|error| error.to_string())?;
    context.cluster.metrics.writes.with_label_values(&["patch"]).inc();
    let annotations: Map<String, Value> =
        annotations.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
    let patch = json!({"metadata": {"annotations": annotations}});
    let resource = Cluster::own_resource(kind);
    let api = context.cluster.api(&resource, None);
    let parameters = PatchParams { field_manager: Some("tandem/hold".to_owned()), ..PatchParams::default() };
    let sent = tokio::time::timeout(REQUEST_TIMEOUT, api.patch(name, &parameters, &Patch::Merge(&patch))).await;
    match sent.map_err(|_| "the API server took too long".to_owned())? {
        Ok(written) => {
            let known = ObjectName { kind: kind.name().to_owned(), namespace: None, name: name.to_owned() };
            if context.cluster.own.get(&known).is_some() {
                context.cluster.own.take_in(kind.name(), written);
            }
            Ok(())
        }
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        Err(error) => Err(Chain(&error).to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(reason: Option<&str>, stamp: Option<i64>, lift: bool) -> Said {
        let names = [HOLD, HELD, HOLD_CLEAR];
        Said { hold: Hold::All, names, reason: reason.map(str::to_owned), stamp, lift }
    }

    fn stands(by: &str, revision: i64) -> Versioned<Option<HoldRecord>> {
        let since = jiff::Timestamp::UNIX_EPOCH;
        Versioned::new(revision, Some(HoldRecord { by: by.to_owned(), reason: String::new(), since }))
    }

    #[test]
    fn an_annotation_sets_and_its_removal_lifts_what_this_site_set() {
        let (ours, theirs) = (stands("dc-a: annotation on x", 7), stands("dc-b: annotation on x", 7));
        assert_eq!(plan("dc-a", &said(Some("works"), None, false), None), Act::Set("works".into()));
        assert_eq!(plan("dc-a", &said(Some("works"), Some(7), false), Some(&ours)), Act::Nothing);
        assert_eq!(plan("dc-a", &said(None, Some(7), false), Some(&ours)), Act::Lift(7));
        assert_eq!(plan("dc-a", &said(None, Some(7), false), Some(&theirs)), Act::Forget);
        assert_eq!(plan("dc-a", &said(None, None, false), Some(&theirs)), Act::Nothing);
    }

    fn site(spec_hold: bool, annotations: &Value) -> DynamicObject {
        serde_json::from_value(json!({
            "apiVersion": "tandem.dev/v1alpha1", "kind": "DataCentre",
            "metadata": {"name": "dc-b", "annotations": annotations}, "spec": {"hold": spec_hold},
        }))
        .unwrap()
    }

    #[test]
    fn a_sites_specification_holds_that_site_and_nothing_else() {
        let names = [HOLD, HELD, HOLD_CLEAR];
        let of = |object: &DynamicObject, hold: Hold| Said::of(object, hold, names, 1);
        let held = of(&site(true, &json!({})), Hold::Site("dc-b".into()));
        assert_eq!(plan("dc-a", &held, None), Act::Set(BY_SPEC.into()));
        assert_eq!(plan("dc-a", &of(&site(true, &json!({})), Hold::All), None), Act::Nothing);
        // No longer: the site that set it lifts it, the other forgets.
        let (ours, theirs) = (stands("dc-a: spec.hold of datacentre/dc-b", 7), stands("dc-b: x", 7));
        let lifted = of(&site(false, &json!({HELD: "7"})), Hold::Site("dc-b".into()));
        assert_eq!(plan("dc-a", &lifted, Some(&ours)), Act::Lift(7));
        assert_eq!(plan("dc-a", &lifted, Some(&theirs)), Act::Forget);
        // A reason that somebody gave says more.
        let both = of(&site(true, &json!({HOLD: "storage work"})), Hold::Site("dc-b".into()));
        assert_eq!(both.reason.as_deref(), Some("storage work"));
    }

    #[test]
    fn a_hold_that_a_restored_arbiter_has_forgotten_is_set_again() {
        let names = [HOLD, HELD, HOLD_CLEAR];
        let object = site(false, &json!({HOLD: "works", HELD: "7"}));
        let said = |generation| Said::of(&object, Hold::Site("dc-b".into()), names, generation);
        assert_eq!(plan("dc-a", &said(1), None), Act::Forget, "lifted elsewhere");
        assert_eq!(plan("dc-a", &said(2), None), Act::Set("works".into()));
        for generation in [1, 2] {
            assert_eq!(stamped(&stamp_of(9, generation), generation), Some(9));
            assert_eq!(stamped(&stamp_of(9, generation), generation + 1), None);
        }
    }

    #[test]
    fn what_was_lifted_elsewhere_is_not_set_again() {
        assert_eq!(plan("dc-a", &said(Some("works"), Some(7), false), None), Act::Forget);
        let theirs = stands("dc-b: annotation on x", 7);
        assert_eq!(plan("dc-a", &said(None, None, true), Some(&theirs)), Act::Lift(7));
        assert_eq!(plan("dc-a", &said(None, None, true), None), Act::Forget);
    }
}
