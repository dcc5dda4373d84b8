//! `tandem arbiter restore`: after etcd was restored from a snapshot.
//!
//! Two steps by people, in this order. Once, wherever the arbiter is reached: the generation is raised and every group becomes
//! unconfirmed. Then at each site: that it is to follow this arbiter and no other, as a mark on the site's own `DataCentre`
//! which its replicas take up. Both may be run again after anything.

use super::access::Access;
use super::args::RestoreArgs;
use super::{ArbiterError, now};
use crate::args::ClusterArgs;
use crate::cluster;
use crate::exit::Exit;
use crate::failover::{api, ask};
use crate::language::Lang;
use crate::output;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tandem_arbiter::peers::MembersRead;
use tandem_arbiter::pins::Acceptance;
use tandem_arbiter::records::{GenerationRecord, RestorePhase};
use tandem_arbiter::store::Store;
use tandem_crds::{ARBITER, DataCentre};

/// `T` where no heartbeat says another one.
const USUAL_T: Duration = Duration::from_secs(10);
/// The longest that heartbeats are watched.
const WATCH_MOST: Duration = Duration::from_secs(30);

/// The revision of each replica's heartbeat.
fn heartbeats(sites: &BTreeMap<String, MembersRead>) -> BTreeMap<(String, String), i64> {
    let of_site = |read: &MembersRead| {
        let site = read.site.clone();
        read.members
            .iter()
            .map(move |member| ((site.clone(), member.replica.clone()), member.revision))
            .collect::<Vec<_>>()
    };
    sites.values().flat_map(of_site).collect()
}

/// The sites whose heartbeats move while they are watched for half a `T`, which is more than two of them.
pub(super) async fn alive(access: &Access) -> Result<BTreeSet<String>, ArbiterError> {
    let before = access.arbiter.heartbeats().await?;
    let longest = before.values().flat_map(|read| &read.members).filter_map(|member| member.record.as_ref());
    let t = longest.map(|record| Duration::from_millis(record.t_millis)).max().filter(|t| !t.is_zero());
    tokio::time::sleep((t.unwrap_or(USUAL_T) / 2).min(WATCH_MOST)).await;
    let (before, after) = (heartbeats(&before), heartbeats(&access.arbiter.heartbeats().await?));
    let moved = after.into_iter().filter(|(replica, revision)| before.get(replica) != Some(revision));
    Ok(moved.map(|((site, _), _)| site).collect())
}

/// Whether this etcd has been through it already.
fn carried_out(record: Option<&GenerationRecord>, cluster: u64) -> bool {
    record.is_some_and(|record| record.phase == RestorePhase::Confirming && record.cluster == cluster)
}

/// The sites that have to report: those that are given, where none that is known is left out.
fn sites(given: &[String], known: &BTreeSet<String>) -> Result<Vec<String>, ArbiterError> {
    if given.is_empty() {
        return if known.is_empty() {
            Err(ArbiterError::Usage("the arbiter knows of no site: name each with --site".to_owned()))
        } else {
            Ok(known.iter().cloned().collect())
        };
    }
    let left_out: Vec<&str> = known.iter().filter(|site| !given.contains(site)).map(String::as_str).collect();
    if left_out.is_empty() {
        return Ok(given.to_vec());
    }
    Err(ArbiterError::Usage(format!(
        "the arbiter knows of {}, which --site leaves out: what it has seen must be reported before a group is given back",
        left_out.join(", ")
    )))
}

pub(super) async fn run(access: &Access, args: &RestoreArgs, lang: Lang) -> Result<Exit, ArbiterError> {
    let arbiter = &access.arbiter;
    let cluster = arbiter.store().identity().await?.identity.cluster;
    let record = arbiter.generation().await?.map(|record| record.value);
    if carried_out(record.as_ref(), cluster) {
        output::note(lang.say(
            "this arbiter has been through the restore already; nothing is raised again",
            "该仲裁已完成恢复流程，不再重复提升代次",
        ));
    } else if !raise(access, args, record.as_ref(), cluster, lang).await? {
        return Ok(Exit::Refused);
    }
    let generation = arbiter.generation().await?.map_or(1, |record| record.value.generation);
    // Who the arbiter is now, read after the fact: what the sites are told names nothing that has changed since.
    let identity = arbiter.store().identity().await?.identity;
    let word = Acceptance { generation, cluster: identity.cluster, members: identity.members };
    output::result(&match lang {
        Lang::En => {
            format!("generation {generation}; every group waits to be confirmed\nto be accepted by sites: {word}\n")
        }
        Lang::Zh => format!("代次 {generation}；所有组等待确认\n供站点接受：{word}\n"),
    });
    for site in &args.accept {
        accept(args, site, &word, lang).await?;
    }
    if args.accept.is_empty() {
        output::note(&match lang {
            Lang::En => format!(
                "now have each site follow it, with a kubeconfig of that site: tandem arbiter restore --accept SITE\n\
                 or there: kubectl annotate --overwrite datacentre SITE {ARBITER}={word}\n\
                 then: tandem arbiter confirm --all"
            ),
            Lang::Zh => format!(
                "接下来令各站点接受：以该站点的 kubeconfig 执行 tandem arbiter restore --accept SITE\n\
                 或在该站点执行：kubectl annotate --overwrite datacentre SITE {ARBITER}={word}\n\
                 然后：tandem arbiter confirm --all"
            ),
        });
    }
    Ok(Exit::Ok)
}

/// Raises the generation; says whether it was done.
async fn raise(
    access: &Access,
    args: &RestoreArgs,
    record: Option<&GenerationRecord>,
    cluster: u64,
    lang: Lang,
) -> Result<bool, ArbiterError> {
    let arbiter = &access.arbiter;
    let begun = record.is_some_and(|record| record.phase == RestorePhase::Restoring && record.cluster == cluster);
    let heard = arbiter.heartbeats().await?;
    let (_, groups) = arbiter.read_groups().await?;
    if groups.is_empty() && heard.is_empty() && !begun {
        return Err(ArbiterError::Refused(
            "this etcd holds nothing of Tandem's: it was not restored from a snapshot of the arbiter".to_owned(),
        ));
    }
    let mut known: BTreeSet<String> = heard.keys().cloned().collect();
    known.extend(record.into_iter().flat_map(|record| record.sites.clone()));
    let sites = if begun { Vec::new() } else { sites(&args.sites, &known)? };
    if !begun {
        // A site beats where it knows the arbiter. On one that it knows, everything would be taken from it for nothing.
        let alive = alive(access).await?;
        if !alive.is_empty() {
            let alive = alive.into_iter().collect::<Vec<_>>().join(", ");
            return Err(ArbiterError::Refused(format!(
                "{alive} sends heartbeats to this arbiter, so it is the one that is known there: it was not restored, or it \
                 was with the same --initial-cluster-token, which is forbidden: restore the snapshot with a fresh one (tandem arbiter prepare)"
            )));
        }
    }
    let names: Vec<&str> = sites.iter().map(String::as_str).collect();
    output::note(&match lang {
        Lang::En => format!(
            "cluster {cluster:x}: its generation is raised, and {} groups are taken back until {} have reported, or two \
             people attest for one that is off",
            groups.len(),
            if begun { "the sites".to_owned() } else { names.join(" and ") }
        ),
        Lang::Zh => format!(
            "集群 {cluster:x}：将提升代次并收回 {} 个组，直至 {} 上报，或由两人证明静默站点已关闭",
            groups.len(),
            if begun { "各站点".to_owned() } else { names.join("、") }
        ),
    });
    if !ask::confirmed(args.yes, lang)? {
        return Ok(false);
    }
    arbiter.restore(&sites, &access.who, now()).await?;
    Ok(true)
}

/// Has a site follow the arbiter: a mark on its own data centre, through its own API.
async fn accept(args: &RestoreArgs, site: &str, word: &Acceptance, lang: Lang) -> Result<(), ArbiterError> {
    let (site, context) = site.split_once('=').unwrap_or((site, site));
    let cluster = ClusterArgs { context: Some(context.to_owned()), kubeconfig: args.kubeconfig.clone() };
    let client = cluster::connect(&cluster).await?;
    let patch = json!({"metadata": {"annotations": {ARBITER: word.to_string()}}});
    api::merge::<DataCentre>(&client, site, &patch).await?;
    output::result(&match lang {
        Lang::En => format!("{site} is to follow it; tandem arbiter status shows when it has reported\n"),
        Lang::Zh => format!("已令站点 {site} 接受；上报情况见 tandem arbiter status\n"),
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_known_site_is_left_out() {
        let known = BTreeSet::from(["dc-a".to_owned(), "dc-b".to_owned()]);
        let given = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(sites(&[], &known).unwrap(), ["dc-a", "dc-b"]);
        assert_eq!(sites(&given(&["dc-b", "dc-a", "dc-c"]), &known).unwrap().len(), 3);
        assert!(matches!(sites(&given(&["dc-a"]), &known), Err(ArbiterError::Usage(text)) if text.contains("dc-b")));
        assert!(sites(&[], &BTreeSet::new()).is_err());
    }

    #[test]
    fn the_same_etcd_is_not_raised_twice_and_another_is() {
        let record = GenerationRecord {
            generation: 2,
            phase: RestorePhase::Confirming,
            sites: vec!["dc-a".into()],
            at: jiff::Timestamp::UNIX_EPOCH,
            by: "wang".into(),
            cluster: 7,
        };
        assert!(carried_out(Some(&record), 7));
        assert!(!carried_out(Some(&record), 8), "restored again since");
        assert!(!carried_out(Some(&GenerationRecord { phase: RestorePhase::Restoring, ..record.clone() }), 7));
        assert!(!carried_out(None, 7));
        let old = GenerationRecord { cluster: 0, ..record };
        assert!(!carried_out(Some(&old), 7), "an earlier release did not say");
    }
}
