//! `tandem arbiter replace`: one member goes, its successor learns, then votes. Never added first: a fourth member that does not
//! come up would take the majority with it.
//!
//! What is going to happen is written into the arbiter before anything changes, so that sites which meet other members can tell
//! this from a forced new cluster; and so that it goes on where it stopped.

use super::access::Access;
use super::args::ReplaceArgs;
use super::{ArbiterError, now};
use crate::exit::Exit;
use crate::failover::ask;
use crate::language::Lang;
use crate::output;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};
use tandem_arbiter::health::{ArbiterSeen, LAG, look, name};
use tandem_arbiter::records::{Replacement, RestorePhase};
use tandem_arbiter::store::{Member, MemberStatus, Store, StoreError};
use tandem_logs::Chain;

/// How often it is looked whether the successor has learned everything.
const LOOK: Duration = Duration::from_secs(1);

/// Where a replacement stands, by what the members say.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Next {
    /// The member is to be removed.
    Remove,
    /// Its successor is to be added.
    Add,
    /// The successor, of this id, is to learn and then to vote.
    Promote(u64),
    /// The successor, of this id, votes.
    Over(u64),
}

fn next(replacement: &Replacement, members: &[Member]) -> Result<Next, String> {
    let ids: BTreeSet<u64> = members.iter().map(|member| member.id).collect();
    match replacement.stage(&ids) {
        Some(0) => Ok(Next::Remove),
        Some(1) => Ok(Next::Add),
        Some(_) => {
            let new = members.iter().find(|member| !replacement.before.contains(&member.id));
            let new = new.ok_or_else(|| "the successor is not among the members".to_owned())?;
            Ok(if new.learner { Next::Promote(new.id) } else { Next::Over(new.id) })
        }
        None => Err(format!(
            "the members are not those of the replacement of {} that was begun: look at tandem arbiter status",
            replacement.name
        )),
    }
}

/// Whether the member may be removed: every other one has to vote, answer, follow the same leader and keep up. With two of
/// three left, each of them is needed for a majority.
fn may_remove(seen: &ArbiterSeen, removed: u64) -> Result<(), String> {
    let others: Vec<&Member> = seen.members.iter().filter(|member| member.id != removed).collect();
    if others.len() < 2 {
        return Err("there would be fewer than two members left".to_owned());
    }
    let of = |id: u64| {
        let all = seen.endpoints.iter().filter_map(|endpoint| endpoint.status.as_ref().ok());
        all.into_iter().find(|status| status.member == id)
    };
    let mut leaders = BTreeSet::new();
    let newest = others.iter().filter_map(|member| of(member.id)).map(|status| status.index).max().unwrap_or(0);
    for member in others {
        let called = name(&seen.members, member.id);
        if member.learner {
            return Err(format!("{called} does not vote yet: end its replacement first"));
        }
        let status: &MemberStatus = of(member.id).ok_or_else(|| {
            format!("{called} does not answer (is it among --endpoints?): without it there would be no majority")
        })?;
        if newest.saturating_sub(status.applied) > LAG {
            return Err(format!("{called} lags behind: wait until it has caught up"));
        }
        leaders.insert((status.cluster, status.leader));
    }
    match leaders.into_iter().collect::<Vec<_>>()[..] {
        [(_, leader)] if leader != 0 => Ok(()),
        _ => Err("the other members do not follow one leader".to_owned()),
    }
}

fn refused(why: &str) -> ArbiterError {
    ArbiterError::Refused(format!("not replaced: {why}"))
}

/// The endpoint to ask for changes: the leader's, or that of any other member than the one that goes. A member that does not
/// lead hands a promotion on to the leader, in etcd 3.4 without saying who asked for it, so that with users it is refused.
fn endpoint(seen: &ArbiterSeen, removed: u64) -> Option<&str> {
    let of_others = seen.endpoints.iter().filter_map(|endpoint| {
        let status = endpoint.status.as_ref().ok()?;
        let usable = status.member != removed && status.leader != 0 && !status.learner;
        usable.then_some((status.member != status.leader, endpoint.endpoint.as_str()))
    });
    of_others.min_by_key(|(follows, _)| *follows).map(|(_, endpoint)| endpoint)
}

/// The replacement to carry out: the one that was begun, or a new one.
async fn choose(
    access: &Access,
    args: &ReplaceArgs,
    seen: &ArbiterSeen,
    lang: Lang,
) -> Result<Option<Replacement>, ArbiterError> {
    let arbiter = &access.arbiter;
    let generation = arbiter.generation().await?.map(|record| record.value);
    if generation.as_ref().is_some_and(|record| record.phase == RestorePhase::Restoring) {
        return Err(refused("a restore was begun and not ended: run tandem arbiter restore first"));
    }
    let cluster = arbiter.store().identity().await?.identity.cluster;
    let generation = generation.map_or(1, |record| record.generation);
    let known = arbiter.replacements().await?;
    let is_it = |name: &str, id: u64| {
        name == args.member || u64::from_str_radix(&args.member, 16).is_ok_and(|given| given == id)
    };
    if let Some(open) = known.value.open().filter(|open| open.cluster == cluster && open.generation == generation) {
        if is_it(&open.name, open.removed) {
            output::note(lang.say("the replacement that was begun goes on", "继续此前已开始的更换"));
            return Ok(Some(open.clone()));
        }
        let ids = seen.members.iter().map(|member| member.id).collect::<BTreeSet<_>>();
        // One of which nothing has been done yet may be left alone.
        if open.stage(&ids) != Some(0) {
            return Err(refused(&format!("the replacement of {} was begun: end it first", open.name)));
        }
    }
    let member = seen.members.iter().find(|member| is_it(&member.name, member.id));
    let member = member.ok_or_else(|| {
        ArbiterError::Usage(format!("there is no member {}: tandem arbiter status lists them", args.member))
    })?;
    may_remove(seen, member.id).map_err(|why| refused(&why))?;
    let peer_urls = if args.peer_urls.is_empty() { member.peer_urls.clone() } else { args.peer_urls.clone() };
    let called = name(&seen.members, member.id);
    output::note(&match lang {
        Lang::En => format!(
            "{called} ({:x}) is removed; its successor at {} is added as a learner, and votes once it has learned everything. \
             Until then no other member may be lost",
            member.id,
            peer_urls.join(", ")
        ),
        Lang::Zh => format!(
            "将移除成员 {called}（{:x}），在 {} 加入其继任者为学习者，同步完成后获得表决权。在此期间不可再失去其他成员",
            member.id,
            peer_urls.join("、")
        ),
    });
    if !ask::confirmed(args.yes, lang)? {
        return Ok(None);
    }
    let replacement = Replacement {
        cluster,
        generation,
        before: seen.members.iter().map(|member| member.id).collect(),
        removed: member.id,
        name: member.name.clone(),
        peer_urls,
        added: None,
        done: false,
        at: now(),
        by: access.who.clone(),
    };
    keep(access, replacement.clone()).await?;
    Ok(Some(replacement))
}

async fn keep(access: &Access, replacement: Replacement) -> Result<(), ArbiterError> {
    let known = access.arbiter.replacements().await?;
    access.arbiter.keep_replacement(&known, replacement).await?;
    Ok(())
}

pub(super) async fn run(access: &Access, args: &ReplaceArgs, lang: Lang) -> Result<Exit, ArbiterError> {
    let begun = Instant::now();
    let seen = look(&access.config, &access.admin).await;
    let Some(mut replacement) = choose(access, args, &seen, lang).await? else { return Ok(Exit::Refused) };
    let (mut told, patience) = (false, Duration::from_secs(args.timeout));
    loop {
        if begun.elapsed() >= patience {
            let why = "it takes too long; run this again, it goes on. tandem arbiter status shows where it stands";
            return Err(refused(why));
        }
        let seen = look(&access.config, &access.admin).await;
        let by = endpoint(&seen, replacement.removed).ok_or_else(|| refused("no other member answers"))?;
        match next(&replacement, &seen.members).map_err(|why| refused(&why))? {
            Next::Remove => {
                // Looked at once more: a member may have been lost since it was asked for.
                may_remove(&seen, replacement.removed).map_err(|why| refused(&why))?;
                settled(access.admin.remove(by, replacement.removed).await).await?;
                output::result(&match lang {
                    Lang::En => format!("{} is removed\n", replacement.name),
                    Lang::Zh => format!("已移除 {}\n", replacement.name),
                });
            }
            Next::Add => settled(access.admin.add_learner(by, &replacement.peer_urls).await.map(drop)).await?,
            Next::Promote(id) => {
                if replacement.added != Some(id) {
                    replacement.added = Some(id);
                    keep(access, replacement.clone()).await?;
                }
                if !told {
                    output::result(&how_to_start(&replacement, &seen.members, lang));
                    told = true;
                }
                match access.admin.promote(by, id).await {
                    Ok(()) | Err(StoreError::Unknown(_)) => {}
                    // It has not started, or has not learned everything.
                    Err(StoreError::Refused(_) | StoreError::Unavailable(_)) => {}
                    Err(error) => return Err(error.into()),
                }
                tokio::time::sleep(LOOK).await;
            }
            Next::Over(id) => {
                replacement.added = Some(id);
                replacement.done = true;
                keep(access, replacement.clone()).await?;
                have_sites_look(access, &seen, lang).await;
                output::result(&match lang {
                    Lang::En => format!("{} is replaced: {id:x} votes\n", replacement.name),
                    Lang::Zh => format!("{} 更换完成：{id:x} 已有表决权\n", replacement.name),
                });
                return Ok(Exit::Ok);
            }
        }
    }
}

/// A change of members whose answer was lost, or that etcd puts off because it has not been healthy for long enough, is found or
/// asked for again by the next look.
async fn settled(done: Result<(), StoreError>) -> Result<(), ArbiterError> {
    match done {
        Ok(()) => Ok(()),
        Err(StoreError::Unknown(_)) => {
            tokio::time::sleep(LOOK).await;
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}

/// What has to be done at the successor's machine.
fn how_to_start(replacement: &Replacement, members: &[Member], lang: Lang) -> String {
    let others = members.iter().filter(|member| !member.name.is_empty());
    let mut cluster: Vec<String> = others
        .flat_map(|member| member.peer_urls.iter().map(move |url| format!("{}={url}", member.name)))
        .filter(|one| !one.starts_with(&format!("{}=", replacement.name)))
        .collect();
    cluster.extend(replacement.peer_urls.iter().map(|url| format!("{}={url}", replacement.name)));
    let cluster = cluster.join(",");
    match lang {
        Lang::En => format!(
            "now start the successor with an empty data directory and\n  --name={} --initial-cluster-state=existing \
             --initial-cluster={cluster}\nwaiting until it has learned everything\n",
            replacement.name
        ),
        Lang::Zh => format!(
            "请以空数据目录启动继任者，并使用参数\n  --name={} --initial-cluster-state=existing \
             --initial-cluster={cluster}\n正在等待其同步完成\n",
            replacement.name
        ),
    }
}

/// Has another member lead: in the new term every replica compares the members, and pins the new ones while it can still be
/// told how they came about.
async fn have_sites_look(access: &Access, seen: &ArbiterSeen, lang: Lang) {
    let answers = || seen.endpoints.iter().filter_map(|endpoint| Some((endpoint, endpoint.status.as_ref().ok()?)));
    let leader = answers().find(|(_, status)| status.leader == status.member);
    let other = answers().find(|(_, status)| status.leader != status.member && !status.learner);
    if let (Some((leader, _)), Some((_, other))) = (leader, other)
        && let Err(error) = access.admin.move_leader(&leader.endpoint, other.member).await
    {
        output::note(&format!(
            "{}: {}",
            lang.say(
                "the leader stays; sites pin the new members when it changes next",
                "未能更换主节点；各站点将在下次换主时记录新成员"
            ),
            Chain(&error)
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tandem_arbiter::health::{CertificateProblem, EndpointSeen};

    fn member(id: u64, learner: bool) -> Member {
        Member {
            id,
            name: format!("m{id}"),
            peer_urls: vec![format!("https://192.0.2.{id}:2380")],
            client_urls: Vec::new(),
            learner,
        }
    }

    fn endpoint_of(id: u64, leader: u64) -> EndpointSeen {
        let status = MemberStatus {
            cluster: 7,
            member: id,
            version: "3.4.23".into(),
            db_bytes: 0,
            db_bytes_in_use: 0,
            leader,
            term: 2,
            index: 50,
            applied: 50,
            revision: 40,
            learner: false,
            errors: Vec::new(),
        };
        EndpointSeen {
            endpoint: format!("https://192.0.2.{id}:2379"),
            status: Ok(status),
            took: Duration::ZERO,
            certificate: Err(CertificateProblem::Unreadable(String::new())),
        }
    }

    fn seen(answering: &[u64]) -> ArbiterSeen {
        ArbiterSeen {
            members: (1..=3).map(|id| member(id, false)).collect(),
            endpoints: answering.iter().map(|id| endpoint_of(*id, 1)).collect(),
            own: Err(CertificateProblem::Unreadable(String::new())),
        }
    }

    fn replacement(added: Option<u64>) -> Replacement {
        Replacement {
            cluster: 7,
            generation: 1,
            before: [1, 2, 3].into(),
            removed: 3,
            name: "m3".into(),
            peer_urls: vec!["https://192.0.2.9:2380".into()],
            added,
            done: false,
            at: jiff::Timestamp::UNIX_EPOCH,
            by: "wang".into(),
        }
    }

    #[test]
    fn it_goes_on_from_wherever_it_stopped() {
        let members = |ids: &[(u64, bool)]| ids.iter().map(|(id, learner)| member(*id, *learner)).collect::<Vec<_>>();
        let at = |added, ids: &[(u64, bool)]| next(&replacement(added), &members(ids)).unwrap();
        assert_eq!(at(None, &[(1, false), (2, false), (3, false)]), Next::Remove);
        assert_eq!(at(None, &[(1, false), (2, false)]), Next::Add);
        assert_eq!(at(None, &[(1, false), (2, false), (9, true)]), Next::Promote(9));
        assert_eq!(at(Some(9), &[(1, false), (2, false), (9, false)]), Next::Over(9));
        for strange in [&[(1, false)][..], &[(1, false), (3, false)], &[(1, false), (2, false), (3, false), (9, true)]]
        {
            assert!(next(&replacement(None), &members(strange)).is_err());
        }
    }

    #[test]
    fn the_leader_is_asked_unless_it_is_the_one_that_goes() {
        let mut all = seen(&[2, 1, 3]);
        assert_eq!(endpoint(&all, 3), Some("https://192.0.2.1:2379"));
        assert_eq!(endpoint(&all, 1), Some("https://192.0.2.2:2379"));
        all.endpoints.retain(|endpoint| endpoint.status.as_ref().is_ok_and(|status| status.member == 3));
        assert_eq!(endpoint(&all, 3), None);
    }

    #[test]
    fn nothing_is_removed_that_the_majority_needs() {
        assert_eq!(may_remove(&seen(&[1, 2]), 3), Ok(()), "the lost one itself need not answer");
        assert_eq!(may_remove(&seen(&[1, 2, 3]), 3), Ok(()));
        assert!(may_remove(&seen(&[1, 3]), 3).unwrap_err().contains("m2"));
        let mut learning = seen(&[1, 2]);
        learning.members[1].learner = true;
        assert!(may_remove(&learning, 3).unwrap_err().contains("m2"));
        let mut split = seen(&[1, 2]);
        split.endpoints[1] = endpoint_of(2, 2);
        assert!(may_remove(&split, 3).unwrap_err().contains("leader"));
        let mut behind = seen(&[1, 2]);
        behind.endpoints[0].status.as_mut().unwrap().index = 50 + LAG + 1;
        assert!(may_remove(&behind, 3).unwrap_err().contains("behind"));
        let mut small = seen(&[1, 2]);
        small.members.pop();
        assert!(may_remove(&small, 2).is_err());
    }

    #[test]
    fn the_successors_flags_name_every_member_once() {
        let members = [member(1, false), member(2, false), Member { name: String::new(), ..member(9, true) }];
        let text = how_to_start(&replacement(Some(9)), &members, Lang::En);
        assert!(
            text.contains(
                "--initial-cluster=m1=https://192.0.2.1:2380,m2=https://192.0.2.2:2380,m3=https://192.0.2.9:2380"
            ),
            "{text}"
        );
    }
}
