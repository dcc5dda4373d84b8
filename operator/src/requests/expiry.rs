//! Warning of environments that expire: as Events, each warning once for as long as this replica leads. Nothing is deleted.

use super::carry::wall;
use crate::cluster::{Cluster, ObjectName, reference};
use crate::context::Context;
use kube::runtime::events::EventType;
use std::collections::BTreeMap;
use std::time::Duration;
use tandem_core::failover::Language;
use tandem_core::requests::{Expiry, expiry};
use tandem_crds::Kind;

/// How often it is looked.
const LOOK: Duration = Duration::from_secs(30);

/// Warns, for ever; only at the site with authority, and while this replica leads it.
pub async fn run_expiry(context: Context) {
    let mut told: BTreeMap<String, Expiry> = BTreeMap::new();
    loop {
        tokio::time::sleep(LOOK).await;
        let standing = context.link.standing();
        if !standing.leads || standing.authority != Some(true) {
            told.clear();
            continue;
        }
        let days = &context.config.expiry_warning_days;
        let now: BTreeMap<String, Expiry> = context.index.with_world(|world| {
            let all = world.environments.iter();
            all.map(|(name, environment)| (name.clone(), expiry(&environment.spec, days, wall()))).collect()
        });
        for (name, expiry) in news(&told, &now) {
            tell(&context, name, expiry).await;
        }
        told = now;
    }
}

/// What is to be said that was not.
fn news<'a>(told: &BTreeMap<String, Expiry>, now: &'a BTreeMap<String, Expiry>) -> Vec<(&'a String, &'a Expiry)> {
    now.iter().filter(|(name, expiry)| told.get(*name) != Some(expiry)).collect()
}

async fn tell(context: &Context, name: &str, expiry: &Expiry) {
    let (Some(english), Some(chinese)) = (expiry.sentence(Language::English), expiry.sentence(Language::Chinese))
    else {
        return;
    };
    let reason = match expiry {
        Expiry::Soon { .. } => "ExpiresSoon",
        Expiry::Expired { .. } => "Expired",
        _ => "ExpiryUnreadable",
    };
    let known = ObjectName { kind: Kind::Environment.name().to_owned(), namespace: None, name: name.to_owned() };
    let Some(object) = context.cluster.own.get(&known) else { return };
    let about = reference(&object, &Cluster::own_resource(Kind::Environment));
    tracing::warn!(environment = name, "{english}");
    context.cluster.tell(about, EventType::Warning, reason, format!("{english} / {chinese}")).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_warning_is_told_once() {
        let soon = |days| Expiry::Soon { at: "2026-01-31T00:00:00Z".parse().unwrap(), days };
        let one = |expiry: Expiry| BTreeMap::from([("health-prod".to_owned(), expiry)]);
        assert_eq!(news(&BTreeMap::new(), &one(soon(30))).len(), 1);
        assert!(news(&one(soon(30)), &one(soon(30))).is_empty());
        assert_eq!(news(&one(soon(30)), &one(soon(7))).len(), 1);
    }
}
