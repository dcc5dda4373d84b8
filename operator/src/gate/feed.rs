//! From the arbiter to the gate: who is active, and what moves. Nothing else is needed for it.

use crate::link::{Link, LinkError};
use futures::StreamExt;
use std::collections::BTreeMap;
use std::time::Duration;
use tandem_arbiter::records::Versioned;
use tandem_logs::Chain;

/// How soon to start again after the arbiter failed.
const AGAIN: Duration = Duration::from_millis(500);

/// Keeps the gate and the board in step with the arbiter, for ever. Heartbeats feed the gate as well; what the watches add is
/// that a release or a claim is seen at once, and the journals.
pub async fn run_gate_feed(link: Link) {
    loop {
        if let Err(error) = feed(&link).await {
            tracing::warn!(error = %Chain(&error), "who is active cannot be followed; trying again");
        }
        link.board().set_complete(false);
        tokio::time::sleep(AGAIN).await;
    }
}

async fn feed(link: &Link) -> Result<(), LinkError> {
    let (arbiter, board) = (link.arbiter(), link.board());
    // Groups first: a journal of a group that the gate does not know is not taken.
    let (groups_at, groups) = arbiter.read_groups().await?;
    for (name, record) in &groups {
        link.saw_group(name, record);
    }
    let holds = arbiter.list_holds().await?;
    let requests = arbiter.list_requests().await?;
    let journals = arbiter.list_executions().await?;
    board.list_holds(
        holds.entries.into_iter().map(|seen| (seen.key, Versioned::new(seen.revision, seen.value.ok()))).collect(),
    );
    for seen in requests.entries {
        match seen.value {
            Ok(record) => drop(board.enter_request(&seen.key, Versioned::new(seen.revision, record))),
            Err(error) => tracing::error!(request = seen.key, %error, "a request cannot be read and is left alone"),
        }
    }
    for seen in journals.entries {
        match seen.value {
            Ok(journal) => link.saw_journal(&journal),
            Err(error) => tracing::error!(journal = ?seen.key, %error, "a journal cannot be read and is left alone"),
        }
    }
    let data = arbiter.list_data().await?;
    for seen in data.entries {
        if let Ok(record) = seen.value {
            let record = Versioned::new(seen.revision, record);
            board.enter_data(link.uptime(), &seen.key.site, &seen.key.group, record);
        }
    }
    let mut group_changes = arbiter.watch_groups(groups_at + 1).await?;
    let mut hold_changes = arbiter.watch_holds(holds.revision + 1).await?;
    let mut request_changes = arbiter.watch_requests(requests.revision + 1).await?;
    let mut journal_changes = arbiter.watch_executions(journals.revision + 1).await?;
    let mut data_changes = arbiter.watch_data(data.revision + 1).await?;
    let mut heartbeats = link.heartbeats();
    board.set_complete(true);
    loop {
        tokio::select! {
            batch = group_changes.next() => {
                let Some(batch) = batch.transpose()? else { return Ok(()) };
                for moved in batch.changes {
                    match moved.value {
                        Some(Ok(record)) => link.saw_group(&moved.key, &Versioned::new(moved.revision, record)),
                        Some(Err(error)) => tracing::error!(group = moved.key, %error, "a group's record cannot be read"),
                        // None is ever deleted; the next heartbeat shows it missing, and the gate closes.
                        None => tracing::error!(group = moved.key, "a group's record was deleted"),
                    }
                }
            }
            batch = journal_changes.next() => {
                let Some(batch) = batch.transpose()? else { return Ok(()) };
                for moved in batch.changes {
                    match moved.value {
                        Some(Ok(journal)) => link.saw_journal(&journal),
                        Some(Err(error)) => tracing::error!(journal = ?moved.key, %error, "a journal cannot be read"),
                        None => board.forget_journal(&moved.key, moved.revision),
                    }
                }
            }
            batch = hold_changes.next() => {
                let Some(batch) = batch.transpose()? else { return Ok(()) };
                for moved in batch.changes {
                    board.enter_hold(moved.key, moved.revision, moved.value.map(Result::ok));
                }
            }
            batch = request_changes.next() => {
                let Some(batch) = batch.transpose()? else { return Ok(()) };
                for moved in batch.changes {
                    match moved.value {
                        Some(Ok(record)) => drop(board.enter_request(&moved.key, Versioned::new(moved.revision, record))),
                        Some(Err(error)) => tracing::error!(request = moved.key, %error, "a request cannot be read"),
                        None => board.forget_request(&moved.key, moved.revision),
                    }
                }
            }
            batch = data_changes.next() => {
                let Some(batch) = batch.transpose()? else { return Ok(()) };
                for moved in batch.changes {
                    if let Some(Ok(record)) = moved.value {
                        let record = Versioned::new(moved.revision, record);
                        board.enter_data(link.uptime(), &moved.key.site, &moved.key.group, record);
                    }
                }
            }
            changed = heartbeats.changed() => {
                if changed.is_err() {
                    return Ok(());
                }
                let groups = BTreeMap::clone(&heartbeats.borrow_and_update().groups);
                for (name, record) in &groups {
                    link.saw_group(name, record);
                    // The gate forgets everything when it meets an arbiter anew, the journals too.
                    if let Some(execution) = &record.value.execution
                        && let Some(held) = board.journal(execution, name)
                    {
                        link.gate().with(|gate| gate.journal(link.uptime(), &held.seen));
                    }
                }
            }
        }
    }
}
