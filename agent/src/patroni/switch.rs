//! The dead-man switch in the database: kept whole by the agent beside the primary.

use super::file::Postgresql;
use super::local::LocalError;
use super::service::Service;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tandem_arbiter::clock::Clock;
use tandem_core::patroni::Database;
use tandem_logs::Chain;
use tokio_postgres::Client;

const SQL: &str = include_str!("../../sql/switch.sql");
/// How often it is looked at, and how soon again where it was not whole.
const EVERY: Duration = Duration::from_secs(60);
const SOON: Duration = Duration::from_secs(5);
/// How long the whole may take. A table that is locked is left for the next time.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where the database finds its gate file: a link beside its socket.
#[must_use]
pub fn link(socket_folder: &Path, port: u16) -> PathBuf {
    socket_folder.join(format!(".s.PGSQL.{port}.tandem"))
}

/// Makes that link.
///
/// # Errors
/// Where the socket's folder cannot be written.
pub fn point(postgresql: &Postgresql, gate_file: &Path) -> io::Result<()> {
    let link = link(&postgresql.socket_folder, postgresql.port);
    let new = link.with_extension("tandem-new");
    match std::fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    std::os::unix::fs::symlink(std::path::absolute(gate_file)?, &new)?;
    std::fs::rename(new, link)
}

/// The text, for this group.
fn sql(group: &str) -> String {
    SQL.replace("@GROUP@", &format!("'{}'", group.replace('\'', "''")))
}

/// Protected tables without a whole trigger.
const BARE: &str = "\
SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname = ANY ($1) AND c.relkind IN ('r', 'p')
   AND NOT EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = c.oid AND t.tgname = 'tandem_switch' AND t.tgenabled = 'A'
                      AND t.tgfoid = 'tandem.pulse()'::regprocedure AND t.tgtype = 60 AND t.tgqual IS NULL
                      AND t.tgattr = '')
 ORDER BY 1";

/// Who could take the trigger off: no superuser, may sign in, and is or may become a table's owner.
const LOOSE: &str = "\
SELECT format('%I.%I', n.nspname, c.relname), r.rolname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_roles r ON r.rolcanlogin AND NOT r.rolsuper AND pg_has_role(r.oid, c.relowner, 'MEMBER')
 WHERE n.nspname = ANY ($1) AND c.relkind IN ('r', 'p')
 ORDER BY 1, 2 LIMIT 20";

/// Schemas that are not there.
const ABSENT: &str = "SELECT s FROM unnest($1::text[]) s WHERE to_regnamespace(quote_ident(s)) IS NULL ORDER BY 1";

/// Installs what is missing, as a superuser in the database that has the schemas, and sweeps. Says what it cannot mend.
///
/// # Errors
/// Where the database refuses.
pub async fn install(
    client: &Client,
    group: &str,
    socket_folder: &Path,
    schemas: &[String],
) -> Result<Vec<String>, tokio_postgres::Error> {
    client.batch_execute("SET search_path = pg_catalog; SET lock_timeout = '2s'").await?;
    let mut problems = Vec::new();
    let set: String = client.query_one("SHOW unix_socket_directories", &[]).await?.get(0);
    let first = set.split(',').next().unwrap_or_default().trim_matches([' ', '"']).to_owned();
    if Path::new(&first) != socket_folder {
        problems.push(format!(
            "unix_socket_directories begins with '{first}': make postgresql.socketFolder of the agent's file the same, \
             or every write is refused"
        ));
    }
    let text = sql(group);
    let is = "SELECT obj_description(to_regnamespace('tandem'), 'pg_namespace')";
    let is: Option<String> = client.query_one(is, &[]).await?.get(0);
    let mark = format!("Tandem's dead-man switch, {}", tandem_core::patroni::mark(&text));
    if is.as_ref() != Some(&mark) {
        let whole = format!("BEGIN;\n{text}\nCOMMENT ON SCHEMA tandem IS '{}';\nCOMMIT;", mark.replace('\'', "''"));
        client.batch_execute(&whole).await?;
        tracing::info!("the dead-man switch is installed");
    }
    for row in client.query(BARE, &[&schemas]).await? {
        let table: String = row.get(0);
        let made = client
            .batch_execute(&format!(
                "BEGIN; DROP TRIGGER IF EXISTS tandem_switch ON {table};
                 CREATE TRIGGER tandem_switch AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON {table}
                     FOR EACH STATEMENT EXECUTE FUNCTION tandem.pulse();
                 ALTER TABLE {table} ENABLE ALWAYS TRIGGER tandem_switch; COMMIT"
            ))
            .await;
        match made {
            Ok(()) => tracing::info!(table, "protected"),
            Err(error) => {
                client.batch_execute("ROLLBACK").await?;
                problems.push(format!("{table} has no trigger yet: {}", Chain(&error)));
            }
        }
    }
    for row in client.query(LOOSE, &[&schemas]).await? {
        let (table, role): (String, String) = (row.get(0), row.get(1));
        problems.push(format!(
            "{role} may sign in and owns {table}, so it could take the trigger off: give the table to a role that nobody \
             who signs in is a member of"
        ));
    }
    for row in client.query(ABSENT, &[&schemas]).await? {
        problems.push(format!("there is no schema {}: make it, or take it out of protect", row.get::<_, String>(0)));
    }
    client.batch_execute("DELETE FROM tandem.pulses").await?;
    client.batch_execute("VACUUM tandem.pulses").await?;
    Ok(problems)
}

/// Keeps it for ever, whenever this member is the primary.
pub(super) async fn keep<C: Clock>(service: &Service<C>) {
    loop {
        let again = match once(service).await {
            Ok(problems) => {
                let again = if problems.is_empty() { EVERY } else { SOON };
                service.problems(problems);
                again
            }
            Err(why) => {
                service.problems(vec![why]);
                SOON
            }
        };
        tokio::select! {
            () = service.active.notified() => {}
            () = tokio::time::sleep(again) => {}
        }
    }
}

async fn once<C: Clock>(service: &Service<C>) -> Result<Vec<String>, String> {
    let local = &service.eyes().local;
    if !matches!(local.look().await.database, Database::Primary { .. }) {
        return Ok(Vec::new());
    }
    let settings = local.settings();
    let installing = async {
        let client = local.connect(&settings.database).await?;
        let schemas = &service.file().protect;
        Ok::<_, LocalError>(install(&client, service.group(), &settings.socket_folder, schemas).await?)
    };
    match tokio::time::timeout(PATIENCE, installing).await {
        Ok(Ok(problems)) => Ok(problems),
        Ok(Err(error)) => Err(format!("it cannot be installed in {}: {}", settings.database, Chain(&error))),
        Err(_) => Err(format!("it was not installed in {} within {} s", settings.database, PATIENCE.as_secs())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_a_word_in_quotes_whatever_it_is() {
        assert!(sql("o'neill").contains("'o''neill'"));
        assert!(!sql("g").contains('@'));
    }
}
