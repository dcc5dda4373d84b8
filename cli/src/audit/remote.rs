//! A site's chain, through the REST API: looked at, and taken home as a file that is verified while it is written.

use super::{AuditError, ExportArgs, ListArgs};
use crate::exit::Exit;
use crate::failover::table;
use crate::language::Lang;
use crate::output;
use crate::request::access::Access;
use crate::request::client::{Call, Client, encoded};
use serde::Deserialize;
use std::io::Write;
use std::path::Path;
use tandem_core::audit::{Entry, Head, Outcome, Writing};

/// How many entries are asked for at once.
const PAGE: u64 = 500;
/// After how many entries it is told how far an export is.
const TELL: u64 = 10_000;

/// A page as the API gives it.
#[derive(Debug, Deserialize)]
struct Page {
    entries: Vec<Entry>,
    next: Option<u64>,
    head: Head,
}

fn connect(api: &crate::request::args::ApiArgs, lang: Lang) -> Result<Client, AuditError> {
    Ok(Client::new(Access::new(api, |name| std::env::var(name).ok())?, lang))
}

async fn page(client: &mut Client, site: Option<&str>, from: u64, limit: u64) -> Result<Page, AuditError> {
    let of = site.map(|site| format!("&site={}", encoded(site))).unwrap_or_default();
    Ok(client.call(&Call::look(format!("/v1/audit?from={from}&limit={limit}{of}"))).await?)
}

/// `tandem audit list`.
pub(super) async fn list(args: &ListArgs, lang: Lang) -> Result<Exit, AuditError> {
    let mut client = connect(&args.api, lang)?;
    let site = args.site.as_deref();
    let from = match args.from {
        Some(from) => from,
        // The newest: how far the chain goes is said with every page.
        None => page(&mut client, site, 1, 1).await?.head.seq.saturating_sub(args.limit - 1).max(1),
    };
    let mut entries: Vec<Entry> = Vec::new();
    let mut next = Some(from);
    while let Some(at) = next {
        let left = args.limit.saturating_sub(entries.len() as u64).min(PAGE);
        if left == 0 {
            break;
        }
        let page = page(&mut client, site, at, left).await?;
        next = page.next.filter(|next| *next > at);
        entries.extend(page.entries);
    }
    args.output.write(&entries, || shown(&entries, lang));
    Ok(Exit::Ok)
}

fn shown(entries: &[Entry], lang: Lang) -> String {
    if entries.is_empty() {
        return lang.say("no entries\n", "没有记录\n").to_owned();
    }
    let header = lang.say(
        ["NUMBER", "WHEN", "WHO", "BY", "WHAT", "TO WHAT", "OUTCOME"],
        ["序号", "时间", "操作人", "方式", "操作", "对象", "结果"],
    );
    let mut table = table::table(header);
    for entry in entries {
        let outcome = match entry.outcome {
            Outcome::Begun => lang.say("begun", "已开始"),
            Outcome::Done => lang.say("done", "已完成"),
            Outcome::Failed => lang.say("not done", "未完成"),
        };
        table.add_row([
            entry.seq.to_string(),
            entry.at.strftime("%Y-%m-%d %H:%M:%SZ").to_string(),
            entry.actor.name.clone(),
            entry.actor.via.clone(),
            entry.action.clone(),
            entry.object.clone(),
            outcome.to_owned(),
        ]);
    }
    table::text(&table)
}

/// `tandem audit export`.
pub(super) async fn export(args: &ExportArgs, lang: Lang) -> Result<Exit, AuditError> {
    let mut client = connect(&args.api, lang)?;
    let failed = |source| AuditError::File { path: args.file.clone(), source };
    if args.file.exists() && !args.force {
        return Err(AuditError::Exists(args.file.clone()));
    }
    let folder = args.file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
    let mut writing: Option<Writing> = None;
    let (mut next, mut count) = (Some(args.from), 0_u64);
    while let Some(at) = next {
        let page = page(&mut client, args.site.as_deref(), at, PAGE).await?;
        let mut text = String::new();
        for entry in &page.entries {
            // Where a file begins in the middle, its beginning is taken on trust: `--anchor` of `verify` ties it to what is known.
            let whole = writing.get_or_insert_with(|| {
                let start = Head { seq: entry.seq.saturating_sub(1), hash: entry.previous.clone() };
                let (writing, begin) = Writing::begin(&start, &entry.site);
                text.push_str(&begin);
                writing
            });
            text.push_str(&whole.entry(entry).map_err(AuditError::Broken)?);
        }
        file.write_all(text.as_bytes()).map_err(failed)?;
        let before = count;
        count += page.entries.len() as u64;
        if before / TELL != count / TELL {
            let (at, of) = (at + page.entries.len() as u64, page.head.seq);
            output::note(&lang.say(format!("entry {at} of {of}"), format!("第 {at} 条，共 {of} 条")));
        }
        next = page.next.filter(|next| *next > at);
    }
    let Some(writing) = writing else { return Err(AuditError::Empty { from: args.from }) };
    let (head, end) = writing.end();
    file.write_all(end.as_bytes()).and_then(|()| file.as_file().sync_all()).map_err(failed)?;
    file.persist(&args.file).map_err(|error| failed(error.error))?;
    let (path, Head { seq, hash }) = (args.file.display(), head);
    output::result(&lang.say(
        format!("{count} entries are in {path}, and hang together\nnote the head down elsewhere: {seq}:{hash}\n"),
        format!("{count} 条记录已写入 {path}，链条完整\n请另行留存链头：{seq}:{hash}\n"),
    ));
    Ok(Exit::Ok)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tandem_core::audit::{Actor, Draft};

    #[test]
    fn a_list_says_who_did_what() {
        let draft = Draft {
            id: "1".to_owned(),
            at: "2026-03-01T08:30:05Z".parse().unwrap(),
            actor: Actor { name: "li".to_owned(), via: "api".to_owned(), ..Actor::default() },
            action: "requests.create".to_owned(),
            object: "environmentrequests/health-1".to_owned(),
            before: None,
            after: None,
            outcome: Outcome::Done,
            begun: None,
            trace: None,
        };
        let entry = Head::genesis("dc-a").entry("dc-a", draft).unwrap();
        let text = shown(&[entry], Lang::En);
        let wanted = "1       2026-03-01 08:30:05Z  li   api  requests.create  environmentrequests/health-1  done";
        assert_eq!(text.lines().nth(1), Some(wanted), "{text}");
        assert_eq!(shown(&[], Lang::Zh), "没有记录\n");
    }
}
