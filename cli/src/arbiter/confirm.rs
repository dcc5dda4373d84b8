//! `tandem arbiter confirm`: groups are given back after a restore.

use super::access::Access;
use super::args::ConfirmArgs;
use super::restore::alive;
use super::{ArbiterError, now};
use crate::exit::Exit;
use crate::failover::table;
use crate::language::Lang;
use crate::output;
use serde::Serialize;
use tandem_arbiter::arbiter::RestoreError;
use tandem_arbiter::store::StoreError;
use tandem_arbiter::txn::{APPROVERS, NotConfirmed};
use tandem_logs::Chain;

/// How often a group is tried whose records moved meanwhile: sites report one after another.
const TRIES: usize = 5;

/// What became of one group.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    group: String,
    confirmed: bool,
    /// The site that holds it now.
    #[serde(skip_serializing_if = "Option::is_none")]
    active: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    epoch: Option<u64>,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
}

pub(super) async fn run(access: &Access, args: &ConfirmArgs, lang: Lang) -> Result<Exit, ArbiterError> {
    if let Some(site) = &args.site_is_off {
        attest(access, site, args.reason.as_deref().unwrap_or_default(), lang).await?;
        if args.groups.is_empty() && !args.all {
            return Ok(Exit::Ok);
        }
    }
    if access.arbiter.generation().await?.is_none() {
        return Err(RestoreError::NotRestored.into());
    }
    tell_who_is_missing(access, lang).await?;
    // Before anybody may publish. Where somebody has not spoken yet, each group says so below.
    match access.arbiter.raise_revisions().await {
        Ok(0) | Err(RestoreError::NotConfirmed(_)) => {}
        Ok(written) => output::note(&match lang {
            Lang::En => format!("{written} specifications written anew, above every revision that a site has seen"),
            Lang::Zh => format!("已重写 {written} 条规格记录，其修订高于各站点所见"),
        }),
        Err(error) => return Err(error.into()),
    }
    let names = if args.all { access.arbiter.unconfirmed().await? } else { args.groups.clone() };
    let mut rows = Vec::new();
    for group in names {
        rows.push(confirm(access, group, lang).await?);
    }
    args.output.write(&rows, || shown(&rows, lang));
    Ok(if rows.iter().all(|row| row.confirmed) { Exit::Ok } else { Exit::Refused })
}

async fn confirm(access: &Access, group: String, lang: Lang) -> Result<Row, ArbiterError> {
    let mut tries = 0;
    let why = loop {
        tries += 1;
        match access.arbiter.confirm(&group, now()).await {
            Ok(back) => {
                let (active, epoch) = (Some(back.value.active), Some(back.value.epoch));
                return Ok(Row { group, confirmed: true, active, epoch, why: None });
            }
            // One whose answer was lost is found confirmed by the next try, which then says that there is nothing to do.
            Err(RestoreError::Moved | RestoreError::Store(StoreError::Unknown(_))) if tries < TRIES => {}
            Err(RestoreError::NotConfirmed(NotConfirmed::Nothing)) => break held(access, &group, lang).await?,
            Err(RestoreError::NotConfirmed(refused)) => break text(&refused, lang),
            Err(error @ (RestoreError::Moved | RestoreError::Entry(_))) => break Chain(&error).to_string(),
            Err(error) => return Err(error.into()),
        }
    };
    Ok(Row { group, confirmed: false, active: None, epoch: None, why: Some(why) })
}

/// Why there is nothing to confirm.
async fn held(access: &Access, group: &str, lang: Lang) -> Result<String, ArbiterError> {
    let (_, groups) = access.arbiter.read_groups().await?;
    Ok(match (groups.get(group), lang) {
        (Some(found), Lang::En) => format!("it is confirmed: {} under epoch {}", found.value.active, found.value.epoch),
        (Some(found), Lang::Zh) => format!("已确认：{}，纪元 {}", found.value.active, found.value.epoch),
        (None, Lang::En) => "neither the arbiter nor a site knows such a group".to_owned(),
        (None, Lang::Zh) => "仲裁与各站点均无此组".to_owned(),
    })
}

fn text(refused: &NotConfirmed, lang: Lang) -> String {
    match (refused, lang) {
        (NotConfirmed::Silent { site, approvers }, Lang::Zh) => {
            format!("站点 {site} 尚未上报；证明其已关闭的有 {approvers} 人，须 {APPROVERS} 人")
        }
        (NotConfirmed::Unfinished, Lang::Zh) => "恢复已开始但未完成，请再次执行 tandem arbiter restore".to_owned(),
        _ => refused.to_string(),
    }
}

fn shown(rows: &[Row], lang: Lang) -> String {
    if rows.is_empty() {
        return format!("{}\n", lang.say("No group waits.", "没有等待确认的组。"));
    }
    let mut table =
        table::table(lang.say(["GROUP", "ACTIVE", "EPOCH", "WHY NOT"], ["组", "主用站点", "纪元", "未确认原因"]));
    for row in rows {
        table.add_row([
            row.group.clone(),
            row.active.clone().unwrap_or_default(),
            row.epoch.map(|epoch| epoch.to_string()).unwrap_or_default(),
            row.why.clone().unwrap_or_default(),
        ]);
    }
    table::text(&table)
}

/// Keeps the word of whoever asks that a site is off. A site that is heard, or has spoken, is not.
async fn attest(access: &Access, site: &str, reason: &str, lang: Lang) -> Result<(), ArbiterError> {
    let arbiter = &access.arbiter;
    let record = arbiter.generation().await?.ok_or(RestoreError::NotRestored)?.value;
    if !record.sites.iter().any(|known| known == site) {
        let known = record.sites.join(", ");
        return Err(ArbiterError::Usage(format!("{site} is none of the sites that have to report: {known}")));
    }
    let reports = arbiter.highest(&[site.to_owned()]).await?;
    if reports.values().any(|report| report.value.generation == record.generation) {
        return Err(ArbiterError::Refused(format!(
            "{site} has reported: its own word counts, and nobody has to speak for it"
        )));
    }
    if alive(access).await?.contains(site) {
        return Err(ArbiterError::Refused(format!("{site} sends heartbeats: it is not off, and will report")));
    }
    arbiter.attest(site, &access.who, reason, now()).await?;
    output::result(&match lang {
        Lang::En => format!("{} says that {site} is off; it takes {APPROVERS} different people\n", access.who),
        Lang::Zh => format!("{} 证明站点 {site} 已关闭；须 {APPROVERS} 名不同人员证明\n", access.who),
    });
    Ok(())
}

/// Says which replicas follow the restored arbiter and have not reported what they had seen.
async fn tell_who_is_missing(access: &Access, lang: Lang) -> Result<(), ArbiterError> {
    let testimony = access.arbiter.testimony().await?;
    let Some(generation) = testimony.generation.as_ref().map(|record| record.value.generation) else { return Ok(()) };
    for (site, read) in access.arbiter.heartbeats().await? {
        let report = testimony.reports.get(&site).map(|report| &report.value);
        let spoke = |replica: &str| {
            report.is_some_and(|report| report.generation == generation && report.replicas.contains(replica))
        };
        for member in read.members.iter().filter(|member| !spoke(&member.replica)) {
            output::note(&match lang {
                Lang::En => format!("{}/{} has not reported what it had seen", site, member.replica),
                Lang::Zh => format!("{}/{} 尚未上报其所见", site, member.replica),
            });
        }
    }
    Ok(())
}
