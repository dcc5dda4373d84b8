//! The switch in a database: what passes it, and what does not.

use crate::process::{self, BIN, command, output};
use crate::world::until;
use std::path::PathBuf;
use std::time::Duration;
use tandem_agent::agent::{Ask, Keeper};
use tandem_agent::patroni::file::Postgresql;
use tandem_agent::patroni::switch::{install, point};
use tandem_arbiter::clock::{BootClock, Clock, boot_id};
use tandem_arbiter::deadman::Poll;
use tandem_core::failover::Token;
use tokio_postgres::{Client, Config, NoTls};

/// A database of its own, without Patroni.
struct Database {
    root: tempfile::TempDir,
    keeper: Keeper,
}

impl Database {
    async fn start() -> Self {
        let root = tempfile::Builder::new().prefix("tandem-switch").tempdir().unwrap();
        process::folder(root.path());
        let data = root.path().join("data");
        let run = |program: &str, arguments: &[&str]| {
            output(command(format!("{BIN}/{program}")).arg("-D").arg(&data).args(arguments)).unwrap()
        };
        run("initdb", &["-A", "trust", "-U", "postgres", "--no-sync", "-E", "UTF8"]);
        let options = format!("-c listen_addresses= -c unix_socket_directories={} -c fsync=off", root.path().display());
        let mut start = command(format!("{BIN}/pg_ctl"));
        start.args(["start", "-w", "-D"]).arg(&data).arg("-l").arg(root.path().join("log")).args(["-o", &options]);
        // Not waited for by its output: the database keeps it.
        assert!(start.stdout(std::process::Stdio::null()).status().unwrap().success());
        let gate_file = root.path().join("gate.json");
        let keeper = Keeper::open("o'neill", &boot_id().unwrap(), &gate_file).unwrap();
        let settings = Postgresql {
            socket_folder: root.path().to_owned(),
            port: 5432,
            user: "postgres".to_owned(),
            database: "postgres".to_owned(),
            data_folder: data,
            bin_folder: PathBuf::from(BIN),
        };
        point(&settings, &gate_file).unwrap();
        process::give(&gate_file);
        Self { root, keeper }
    }

    /// Asks the agent for a fence.
    fn ask(&self, ask: Ask) {
        self.keeper.ask(ask);
        self.readable();
    }

    /// The agent's file is its user's alone, and its user here is not the database's.
    fn readable(&self) {
        process::give(&self.root.path().join("gate.json"));
    }

    async fn session(&self, user: &str) -> Client {
        let mut config = Config::new();
        config.host_path(self.root.path()).user(user).dbname("postgres");
        let (client, connection) = config.connect(NoTls).await.unwrap();
        tokio::spawn(connection);
        client
    }

    async fn install(&self, admin: &Client) -> Vec<String> {
        install(admin, "o'neill", self.root.path(), &["app".to_owned()]).await.unwrap()
    }

    /// The gate says yes for so long.
    fn opened(&self, epoch: u64, valid_for: Duration) {
        let poll = Poll { active: true, token: Token { generation: 1, epoch, execution: 0, step: 0 }, valid_for };
        self.keeper.refresh(BootClock.now(), &poll).unwrap().unwrap();
        self.readable();
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        process::kill_database(&self.root.path().join("data"));
    }
}

/// Refused by the switch, and by nothing else.
fn refused<T>(answer: Result<T, tokio_postgres::Error>, how: &str) {
    let code = answer.err().and_then(|error| error.code().map(|code| code.code().to_owned()));
    assert_eq!(code.as_deref(), Some("TD001"), "{how}");
}

const LONG: Duration = Duration::from_secs(600);

#[tokio::test]
async fn writes_need_the_gate_and_no_session_gets_round_it() {
    let database = Database::start().await;
    let admin = database.session("postgres").await;
    admin
        .batch_execute(
            "CREATE ROLE owner NOLOGIN; CREATE ROLE app LOGIN; CREATE SCHEMA app AUTHORIZATION owner; GRANT USAGE ON SCHEMA app TO app;
             SET ROLE owner; CREATE TABLE app.t (a int); CREATE TABLE app.parent (a int) PARTITION BY RANGE (a);
             CREATE TABLE app.part PARTITION OF app.parent FOR VALUES FROM (0) TO (100); RESET ROLE;
             GRANT ALL ON ALL TABLES IN SCHEMA app TO app; GRANT SET ON PARAMETER session_replication_role TO app",
        )
        .await
        .unwrap();
    assert_eq!(database.install(&admin).await, Vec::<String>::new());
    assert_eq!(database.install(&admin).await, Vec::<String>::new(), "it may come again");
    let app = database.session("app").await;
    let ways = [
        "INSERT INTO app.t VALUES (1)",
        "UPDATE app.t SET a = 2",
        "DELETE FROM app.t",
        "TRUNCATE app.t",
        "INSERT INTO app.part VALUES (1)",
        "INSERT INTO app.parent VALUES (1)",
        "BEGIN READ WRITE; INSERT INTO app.t VALUES (1); COMMIT",
        "BEGIN; SET CONSTRAINTS ALL IMMEDIATE; INSERT INTO app.t VALUES (1); COMMIT",
        "BEGIN; INSERT INTO app.t VALUES (1); SET CONSTRAINTS ALL IMMEDIATE; COMMIT",
        "BEGIN; SET LOCAL session_replication_role = replica; INSERT INTO app.t VALUES (1); COMMIT",
        "WITH more AS (INSERT INTO app.t VALUES (1) RETURNING a) SELECT * FROM more",
        "DO $$ BEGIN INSERT INTO app.t VALUES (1); END $$",
    ];
    let every_way = async |why: &str| {
        for way in ways {
            let tried = app.batch_execute(way).await;
            app.batch_execute("ROLLBACK").await.unwrap();
            refused(tried, &format!("{way}: {why}"));
        }
        // In a transaction of its own it is refused at the end of the exchange, where this client no longer looks.
        app.batch_execute("BEGIN").await.unwrap();
        let copied = app.copy_in::<_, bytes::Bytes>("COPY app.t FROM STDIN").await.unwrap();
        std::pin::pin!(copied).finish().await.unwrap();
        refused(app.batch_execute("COMMIT").await, why);
        refused(app.query_one("SELECT tandem.check()", &[]).await, why);
    };
    every_way("everything starts passive").await;
    database.opened(5, LONG);
    for way in ways {
        app.batch_execute(way).await.unwrap_or_else(|error| panic!("{way}: {error:?}"));
    }
    let epoch: i64 = app.query_one("SELECT tandem.check()", &[]).await.unwrap().get(0);
    assert_eq!(epoch, 5);
    // A transaction that began in time and ends too late.
    app.batch_execute("BEGIN; INSERT INTO app.t VALUES (7)").await.unwrap();
    database.ask(Ask::Expire(true));
    refused(app.batch_execute("COMMIT").await, "it ran out meanwhile");
    every_way("it ran out").await;
    // What passes the trigger is caught by the second question.
    database.opened(5, LONG);
    app.batch_execute("BEGIN; INSERT INTO app.t VALUES (8); SET CONSTRAINTS ALL IMMEDIATE").await.unwrap();
    database.ask(Ask::Expire(true));
    app.batch_execute("COMMIT").await.unwrap();
    refused(app.query_one("SELECT tandem.check()", &[]).await, "after COMMIT");
    database.opened(5, LONG);
    database.ask(Ask::Fence(Token { generation: 1, epoch: 5, execution: 0, step: 9 }));
    every_way("it is fenced").await;
    // By time alone.
    database.opened(6, Duration::from_millis(300));
    until("it runs out", || async { app.query_one("SELECT tandem.check()", &[]).await.err() }).await;
    std::fs::remove_file(database.root.path().join("gate.json")).unwrap();
    every_way("there is none").await;
}

#[tokio::test]
async fn no_session_can_point_it_elsewhere_or_take_it_off() {
    let database = Database::start().await;
    let admin = database.session("postgres").await;
    let made = "CREATE ROLE app LOGIN; CREATE SCHEMA app; CREATE TABLE app.t (a int); GRANT USAGE ON SCHEMA app TO app;
                GRANT ALL ON ALL TABLES IN SCHEMA app TO app; CREATE SCHEMA own AUTHORIZATION app";
    admin.batch_execute(made).await.unwrap();
    assert_eq!(database.install(&admin).await, Vec::<String>::new());
    let app = database.session("app").await;
    let no = [
        "SET unix_socket_directories = '/tmp'",
        "SET port = 5433",
        "SELECT set_config('unix_socket_directories', '/tmp', false)",
        "ALTER ROLE app SET port = 5433",
        "ALTER SYSTEM SET port = 5433",
        "ALTER TABLE app.t DISABLE TRIGGER tandem_switch",
        "DROP TRIGGER tandem_switch ON app.t",
        "CREATE OR REPLACE FUNCTION tandem.check() RETURNS bigint LANGUAGE sql AS 'SELECT 1::bigint'",
        "DELETE FROM tandem.pulses",
        "ALTER TABLE tandem.pulses DISABLE TRIGGER ALL",
        "DROP SCHEMA tandem CASCADE",
        "SET session_replication_role = replica",
    ];
    for way in no {
        assert!(app.batch_execute(way).await.is_err(), "{way}");
    }
    // Functions of the application's own names are not what it calls.
    app.batch_execute(
        "CREATE FUNCTION own.pg_read_file(text, bigint, bigint, boolean) RETURNS text LANGUAGE sql AS $$ SELECT '{}' $$;
         CREATE FUNCTION own.current_setting(text) RETURNS text LANGUAGE sql AS $$ SELECT '/tmp' $$;
         SET search_path = own, pg_catalog",
    )
    .await
    .unwrap();
    refused(app.batch_execute("INSERT INTO app.t VALUES (1)").await, "under another search path");
    // Somebody took the trigger off, and a new table came: both are mended, and an owner who signs in is told of.
    admin
        .batch_execute("ALTER TABLE app.t DISABLE TRIGGER tandem_switch; CREATE TABLE app.new (a int); ALTER TABLE app.new OWNER TO app")
        .await
        .unwrap();
    let problems = database.install(&admin).await;
    assert!(problems.len() == 1 && problems[0].contains("app.new"), "{problems:?}");
    for table in ["app.t", "app.new"] {
        refused(app.batch_execute(&format!("INSERT INTO {table} VALUES (1)")).await, table);
    }
    let folder = std::path::Path::new("/elsewhere");
    let problems = install(&admin, "o'neill", folder, &["app".to_owned(), "none".to_owned()]).await.unwrap();
    assert!(problems[0].contains("socketFolder") && problems.iter().any(|problem| problem.contains("no schema none")));
}
