//! A PostgreSQL of the test's own on loopback.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tandem_ledger::settings::Settings;

/// How long PostgreSQL may take to start.
const STARTS: Duration = Duration::from_secs(60);
const MEND: &str = "PostgreSQL is not installed; mend it: apt-get install postgresql";

/// What the stand-in says to a write.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Gate {
    Open,
    Closed,
    ClosedAtCommit,
    EndedAtCommit,
    ClosedAfterCommit,
    MovedAfterCommit,
}

/// The tables as they are in the lab, and a `tandem.check()` that goes by a file: the file says what the first call of a write
/// finds, what COMMIT finds, and what the call after it finds.
const SCHEMA: &str = "
CREATE SCHEMA tandem;
CREATE SCHEMA ledger;
CREATE TABLE ledger.entries (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, writer text NOT NULL, number bigint NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp(), epoch bigint, UNIQUE (writer, number));
CREATE SEQUENCE tandem.calls;
CREATE FUNCTION tandem.gate(part int) RETURNS text LANGUAGE sql SECURITY DEFINER
    AS $$ SELECT split_part(pg_read_file('gate'), ' ', part) $$;
CREATE FUNCTION tandem.check() RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE said text := tandem.gate(CASE WHEN nextval('tandem.calls') % 2 = 1 THEN 1 ELSE 3 END);
BEGIN
    IF said = 'closed' THEN
        PERFORM setval('tandem.calls', 2);
        RAISE EXCEPTION 'not active' USING ERRCODE = 'TD001';
    END IF;
    RETURN said::bigint;
END $$;
CREATE FUNCTION tandem.at_commit() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    IF tandem.gate(2) = 'closed' THEN
        PERFORM setval('tandem.calls', 2);
        RAISE EXCEPTION 'not active' USING ERRCODE = 'TD001';
    ELSIF tandem.gate(2) = 'ended' THEN
        PERFORM setval('tandem.calls', 2);
        PERFORM pg_terminate_backend(pg_backend_pid());
        PERFORM pg_sleep(10);
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER at_commit AFTER INSERT ON ledger.entries DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION tandem.at_commit();
CREATE ROLE ledger LOGIN PASSWORD 'of the test';
GRANT USAGE ON SCHEMA tandem, ledger TO ledger;
GRANT SELECT, INSERT ON ledger.entries TO ledger;
";

/// A new authority.
pub(crate) fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

pub(crate) struct Server {
    folder: tempfile::TempDir,
    bin: PathBuf,
    port: u16,
    authority: String,
    running: Option<Child>,
}

/// The folder with the programs of the newest PostgreSQL.
fn bin() -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").expect(MEND);
    let newest = versions.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok()).max().expect(MEND);
    PathBuf::from(format!("/usr/lib/postgresql/{newest}/bin"))
}

/// Runs a program as the user that PostgreSQL agrees to run as: root is refused.
fn run_as(program: &Path) -> Command {
    if !nix::unistd::geteuid().is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups", "--"]).arg(program);
    command
}

fn done(mut command: Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

impl Server {
    /// A server with the tables and the stand-in in it.
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let bin = bin();
        let issuer = authority();
        let key = KeyPair::generate().unwrap();
        let certificate =
            CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
        let data = folder.path().join("data");
        fs::create_dir(&data).unwrap();
        own(folder.path());
        let mut initdb = run_as(&bin.join("initdb"));
        initdb.arg("-D").arg(&data).args([
            "-U",
            "postgres",
            "--auth-local=trust",
            "--auth-host=scram-sha-256",
            "--no-sync",
        ]);
        done(initdb);
        fs::write(data.join("pg_hba.conf"), "local all all trust\nhostssl all all all scram-sha-256\n").unwrap();
        fs::write(data.join("server.crt"), certificate.pem()).unwrap();
        fs::write(data.join("server.key"), key.serialize_pem()).unwrap();
        done({
            let mut chmod = Command::new("chmod");
            chmod.arg("600").arg(data.join("server.key"));
            chmod
        });
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        let mut server = Self { folder, bin, port, authority: issuer.pem(), running: None };
        server.gate(Gate::Open);
        own(server.folder.path());
        server.run();
        server.psql(SCHEMA);
        server
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Starts the server, and waits until it answers.
    pub(crate) fn run(&mut self) {
        let mut postgres = run_as(&self.bin.join("postgres"));
        postgres.arg("-D").arg(self.data()).arg("-k").arg(self.folder.path());
        for setting in ["listen_addresses=127.0.0.1", &format!("port={}", self.port), "ssl=on", "fsync=off"] {
            postgres.arg("-c").arg(setting);
        }
        self.running = Some(postgres.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
        let started = Instant::now();
        while !self.client("pg_isready").output().unwrap().status.success() {
            assert!(started.elapsed() < STARTS, "PostgreSQL does not start in {}", self.folder.path().display());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Ends the server at once.
    pub(crate) fn stop(&mut self) {
        if let Some(mut child) = self.running.take() {
            let id = nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap());
            nix::sys::signal::kill(id, nix::sys::signal::Signal::SIGQUIT).unwrap();
            child.wait().unwrap();
        }
    }

    fn client(&self, program: &str) -> Command {
        let mut command = Command::new(self.bin.join(program));
        command.arg("-h").arg(self.folder.path()).args(["-p", &self.port.to_string(), "-U", "postgres"]);
        command
    }

    fn psql(&self, statements: &str) {
        let mut psql = self.client("psql");
        psql.args(["--no-psqlrc", "-v", "ON_ERROR_STOP=1", "-qc", statements]);
        done(psql);
    }

    /// Takes a lock on the entries until what is given back is dropped.
    pub(crate) fn hold_lock(&self) -> Locked {
        let mut psql = self.client("psql");
        psql.args(["--no-psqlrc", "-qc", "BEGIN; LOCK ledger.entries; SELECT pg_sleep(600)"]);
        let locked = Locked { session: psql.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap() };
        let started = Instant::now();
        loop {
            let mut ask = self.client("psql");
            ask.args(["-Atqc", "SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted AND relation = 'ledger.entries'::regclass"]);
            if done(ask).trim() == "1" {
                return locked;
            }
            assert!(started.elapsed() < STARTS, "no lock was taken");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Has the stand-in say this from now on.
    pub(crate) fn gate(&self, gate: Gate) {
        let says = match gate {
            Gate::Open => "7 open 7",
            Gate::Closed => "closed closed closed",
            Gate::ClosedAtCommit => "7 closed 7",
            Gate::EndedAtCommit => "7 ended 7",
            Gate::ClosedAfterCommit => "7 open closed",
            Gate::MovedAfterCommit => "7 open 8",
        };
        fs::write(self.data().join("gate"), says).unwrap();
    }

    pub(crate) fn settings(&self) -> Settings {
        Settings {
            host: "127.0.0.1".to_owned(),
            port: self.port,
            dbname: "postgres".to_owned(),
            user: "ledger".to_owned(),
            password: "of the test".to_owned(),
            authority: self.authority.clone(),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A session that holds a lock. The server notices that its client is gone only when it writes to it, so it is ended by name.
pub(crate) struct Locked {
    session: Child,
}

impl Drop for Locked {
    fn drop(&mut self) {
        // psql cancels what runs when it is interrupted, and ends.
        let id = nix::unistd::Pid::from_raw(i32::try_from(self.session.id()).unwrap());
        nix::sys::signal::kill(id, nix::sys::signal::Signal::SIGINT).unwrap();
        self.session.wait().unwrap();
    }
}

/// Gives a folder to the user that PostgreSQL runs as.
fn own(folder: &Path) {
    if nix::unistd::geteuid().is_root() {
        let mut chown = Command::new("chown");
        chown.arg("-R").arg("postgres:postgres").arg(folder);
        done(chown);
    }
}
