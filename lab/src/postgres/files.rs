//! What the programs of a cluster read.

use super::{AGENT, DATABASE, Databases, Member, PATRONI, POSTGRESQL, USER};
use crate::plan::{Place, Plan};
use serde_json::{Value, json};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

/// Who is let in always: the machine's own `postgres`, and who shows a certificate of the replication authority.
pub(super) const ALWAYS: [&str; 4] = [
    "local all postgres peer",
    "hostssl replication replicator all cert",
    "hostssl postgres rewind all cert",
    "hostssl postgres tandem_watch all cert",
];
/// Applications, where they are let in.
pub(super) const OPEN: [&str; 1] = ["hostssl app all all scram-sha-256"];
/// In their place where they are not.
const CLOSED: [&str; 2] = ["local all all reject", "host all all all reject"];
/// The slot by which the other site follows.
const SLOT: &str = "tandem";
/// How long Patroni's lock lasts inside a site, how often it looks, how long it tries, in seconds: a member's death heals in
/// about the first.
pub(super) const WITHIN: Pace = Pace { ttl: 20, loop_wait: 2, retry_timeout: 3 };

/// Patroni's times in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pace {
    ttl: u32,
    loop_wait: u32,
    retry_timeout: u32,
}

impl Pace {
    /// In the proportion that Patroni has by itself: 30, 10 and 10. All of it together must not be longer than the TTL.
    pub(super) fn of(ttl: u32) -> Self {
        let loop_wait = (ttl / 3).max(1);
        Self { ttl, loop_wait, retry_timeout: (ttl - loop_wait) / 2 }
    }
}

/// One Patroni and its PostgreSQL.
#[derive(Clone, Debug)]
pub(super) struct Patroni<'a> {
    /// The cluster.
    pub(super) scope: &'a str,
    /// Its own name.
    pub(super) name: String,
    /// Where it serves.
    pub(super) address: Ipv4Addr,
    /// Its own folder, and that of the certificates that it shares with others; both as it sees them.
    pub(super) own: PathBuf,
    pub(super) shared: PathBuf,
    /// The folder of its socket.
    pub(super) sockets: PathBuf,
    /// Its etcd's members.
    pub(super) stores: Vec<String>,
    pub(super) pace: Pace,
    /// Who is let in, at first.
    pub(super) access: Vec<&'static str>,
    /// What it has beside in Patroni's dynamic configuration, at first.
    pub(super) dynamic: Value,
    /// What is run in a cluster that was just made.
    pub(super) first: Option<PathBuf>,
    /// What is asked before each promotion.
    pub(super) pre_promote: Option<String>,
    /// The folder of PostgreSQL's programs.
    pub(super) bin: &'a Path,
}

impl Patroni<'_> {
    /// Its file. What concerns the whole cluster is read when that is made; then Patroni keeps it.
    pub(super) fn file(&self) -> Value {
        let own = |name: &str| self.own.join(name).display().to_string();
        let shared = |name: &str| self.shared.join(name).display().to_string();
        let serves = |port: u16| format!("{}:{port}", self.address);
        let replicates = |user: &str| {
            json!({
                "username": user, "sslmode": "verify-full", "sslrootcert": shared("databases-ca.crt"),
                "sslcert": shared(&format!("{user}.crt")), "sslkey": shared(&format!("{user}.key")),
            })
        };
        let mut dynamic = json!({
            "ttl": self.pace.ttl, "loop_wait": self.pace.loop_wait, "retry_timeout": self.pace.retry_timeout,
            "postgresql": {
                "use_pg_rewind": true,
                "use_slots": true,
                "remove_data_directory_on_rewind_failure": false,
                "pg_hba": self.access,
                "parameters": {
                    "max_connections": 50,
                    "max_wal_senders": 10,
                    "max_replication_slots": 10,
                    "wal_log_hints": "on",
                    "wal_keep_size": "256MB",
                    "max_slot_wal_keep_size": "1GB",
                    "max_wal_size": "512MB",
                },
            },
        });
        if let (Some(all), Some(more)) = (dynamic.as_object_mut(), self.dynamic.as_object()) {
            all.extend(more.clone());
        }
        let mut bootstrap =
            json!({"dcs": dynamic, "initdb": [{"encoding": "UTF8"}, {"locale": "C.UTF-8"}, "data-checksums"]});
        if let Some(first) = &self.first {
            let psql = self.bin.join("psql");
            let command =
                format!("{} --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --file={}", psql.display(), first.display());
            bootstrap["post_bootstrap"] = json!(command);
        }
        let mut postgresql = json!({
            "listen": serves(POSTGRESQL),
            "connect_address": serves(POSTGRESQL),
            "data_dir": own("data"),
            "bin_dir": self.bin,
            "pgpass": own("pgpass"),
            // As `postgres` by its socket; as `replicator` it has a certificate, and no name of the machine's.
            "use_unix_socket": true,
            "authentication": {
                "superuser": {"username": USER},
                "replication": replicates("replicator"),
                "rewind": replicates("rewind"),
            },
            // A checkpoint at once: one that takes its time takes minutes.
            "basebackup": [{"checkpoint": "fast"}],
            "parameters": {
                "unix_socket_directories": self.sockets,
                "shared_buffers": "24MB",
                "jit": "off",
                "ssl": "on",
                "ssl_cert_file": own("postgresql.crt"),
                "ssl_key_file": own("postgresql.key"),
                "ssl_ca_file": shared("replication-ca.crt"),
                // At the usual 5 s one promotion in five waits so long.
                "wal_retrieve_retry_interval": "200ms",
                "wal_receiver_timeout": "10s",
                "wal_sender_timeout": "10s",
                "log_line_prefix": "%m [%p] %u@%d ",
            },
        });
        if let Some(command) = &self.pre_promote {
            postgresql["pre_promote"] = json!(command);
        }
        json!({
            "scope": self.scope,
            "name": self.name,
            "restapi": {
                "listen": serves(PATRONI), "connect_address": serves(PATRONI),
                "certfile": own("rest.crt"), "keyfile": own("rest.key"),
                "cafile": shared("database-ca.crt"), "verify_client": "required",
            },
            "ctl": {
                "cacert": shared("database-ca.crt"), "certfile": own("rest.crt"), "keyfile": own("rest.key"),
            },
            "etcd3": {
                "hosts": self.stores, "protocol": "https",
                "cacert": shared("database-ca.crt"), "cert": own("rest.crt"), "key": own("rest.key"),
            },
            "bootstrap": bootstrap,
            "postgresql": postgresql,
            "watchdog": {"mode": "off"},
        })
    }
}

/// How a site's cluster follows the other site's, which it reaches over the way in to whichever member leads there.
fn follows(other: &Place, port: u16) -> (String, u16, [&'static str; 1]) {
    (other.database_entry().to_string(), port, ["basebackup"])
}

/// What a group's cluster has in its dynamic configuration, and who is let in: at the first site, and at the one that follows.
pub(super) fn first_or_following(other: Option<(&Place, u16)>) -> (Value, Vec<&'static str>) {
    let mut dynamic = json!({"maximum_lag_on_failover": 1_048_576, "slots": {SLOT: {"type": "physical"}}});
    let end: &[&str] = if other.is_some() { &CLOSED } else { &OPEN };
    if let Some((other, port)) = other {
        let (host, port, methods) = follows(other, port);
        dynamic["standby_cluster"] =
            json!({"host": host, "port": port, "primary_slot_name": SLOT, "create_replica_methods": methods});
    }
    (dynamic, ALWAYS.iter().chain(end).copied().collect())
}

/// Where the agent of a member finds everything.
#[derive(Clone, Debug)]
pub(super) struct Agent<'a> {
    pub(super) site: &'a str,
    pub(super) member: Member<'a>,
    pub(super) own: PathBuf,
    pub(super) shared: PathBuf,
    pub(super) memory: PathBuf,
    pub(super) bin: &'a Path,
    /// The other site, and the group's port at the way in there.
    pub(super) other: &'a Place,
    pub(super) port: u16,
}

impl Agent<'_> {
    /// Its file.
    pub(super) fn file(&self) -> Value {
        let Self { member, memory, .. } = self;
        let own = |name: &str| self.own.join(name).display().to_string();
        let shared = |name: &str| self.shared.join(name).display().to_string();
        let (host, port, methods) = follows(self.other, self.port);
        json!({
            "folder": own("agent"),
            "listen": format!("{}:{AGENT}", member.address),
            "tls": {"caFile": shared("data-ca.crt"), "certFile": own("agent.crt"), "keyFile": own("agent.key")},
            "patroni": {
                "url": format!("https://{}:{PATRONI}", member.address),
                "name": format!("{}-{}", self.site, member.name()),
                "tls": {"caFile": shared("database-ca.crt"), "certFile": own("rest.crt"), "keyFile": own("rest.key")},
            },
            "postgresql": {
                "socketFolder": memory, "port": POSTGRESQL, "user": USER, "database": DATABASE,
                "dataFolder": own("data"), "binFolder": self.bin,
            },
            "access": {"always": ALWAYS, "open": OPEN},
            "standby": {"host": host, "port": port, "primarySlotName": SLOT, "createReplicaMethods": methods},
            "watch": {
                "user": "tandem_watch",
                "tls": {
                    "caFile": shared("databases-ca.crt"),
                    "certFile": shared("tandem_watch.crt"), "keyFile": shared("tandem_watch.key"),
                },
            },
            "protect": ["ledger"],
            "stageFaults": true,
        })
    }

    /// Its arguments. `gates` are the site's operators'.
    pub(super) fn arguments(&self, gates: &[String]) -> Vec<String> {
        let file = |name: &str| self.memory.join(name).display().to_string();
        let mut arguments = vec![
            format!("--group={}", self.member.group),
            format!("--ca-file={}", self.shared.join("gates-ca.crt").display()),
            format!("--gate-file={}", file("gate.json")),
            format!("--socket={}", file("agent.sock")),
            format!("--patroni={}", self.own.join("agent.yaml").display()),
        ];
        arguments.extend(gates.iter().map(|gate| format!("--gate={gate}")));
        arguments
    }
}

/// What a Patroni runs before each promotion.
pub(super) fn pre_promote(agent: &Path, group: &str, gates: &[String], authority: &Path) -> String {
    let gates: Vec<String> = gates.iter().map(|gate| format!("--gate={gate}")).collect();
    format!("{} pre-promote --group={group} {} --ca-file={}", agent.display(), gates.join(" "), authority.display())
}

/// An etcd's flags. `certificates` has its own and the authority's.
pub(super) fn store(
    name: &str,
    address: Ipv4Addr,
    all: &[(String, Ipv4Addr)],
    data: &Path,
    certificates: &Path,
) -> Vec<String> {
    let peers: Vec<String> = all.iter().map(|(name, address)| format!("{name}=https://{address}:2380")).collect();
    let mut flags = vec![
        format!("--name={name}"),
        format!("--data-dir={}", data.display()),
        format!("--listen-client-urls=https://{address}:2379"),
        format!("--advertise-client-urls=https://{address}:2379"),
        format!("--listen-peer-urls=https://{address}:2380"),
        format!("--initial-advertise-peer-urls=https://{address}:2380"),
        format!("--initial-cluster={}", peers.join(",")),
        // What Patroni speaks to.
        "--enable-grpc-gateway=true".to_owned(),
        "--auto-compaction-retention=1".to_owned(),
        "--logger=zap".to_owned(),
        "--log-level=warn".to_owned(),
    ];
    for side in ["", "peer-"] {
        let file = |name: &str| certificates.join(name).display().to_string();
        flags.push(format!("--{side}cert-file={}", file("etcd.crt")));
        flags.push(format!("--{side}key-file={}", file("etcd.key")));
        flags.push(format!("--{side}trusted-ca-file={}", file("database-ca.crt")));
        flags.push(format!("--{side}client-cert-auth"));
    }
    flags
}

/// The way in to a site's clusters: to whichever member Patroni says leads.
pub(super) fn entry(databases: &Databases, place: &Place, certificates: &Path) -> String {
    let file = |name: &str| certificates.join(name).display().to_string();
    let mut text = format!(
        "global
    nbthread 1
    log stdout format raw local0 notice

defaults
    mode tcp
    log global
    timeout connect 2s
    timeout client 24h
    timeout server 24h
    timeout check 2s
    default-server check port {PATRONI} check-ssl verify required ca-file {} crt {} inter 1s fall 3 rise 1 on-marked-down shutdown-sessions
",
        file("database-ca.crt"),
        file("entry.pem"),
    );
    for (group, port) in databases.entries() {
        text.push_str(&format!(
            "
listen {group}
    bind {}:{port}
    option httpchk GET /leader
    http-check expect status 200
",
            place.database_entry()
        ));
        for member in databases.members_of(group, place) {
            text.push_str(&format!("    server {}-{} {}:{POSTGRESQL}\n", place.name, member.name(), member.address));
        }
    }
    text
}

/// What a cluster has from the beginning: who asks it for its position, and an application's database.
pub(super) fn first(password: &str) -> String {
    format!(
        "CREATE ROLE tandem_watch LOGIN;
CREATE ROLE ledger_owner NOLOGIN;
CREATE ROLE ledger LOGIN PASSWORD '{password}';
CREATE DATABASE {DATABASE};
REVOKE ALL ON DATABASE {DATABASE} FROM PUBLIC;
GRANT CONNECT ON DATABASE {DATABASE} TO ledger;
\\connect {DATABASE}
CREATE SCHEMA ledger AUTHORIZATION ledger_owner;
SET ROLE ledger_owner;
CREATE TABLE ledger.entries (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    writer text NOT NULL,
    number bigint NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    epoch bigint,
    UNIQUE (writer, number)
);
GRANT USAGE ON SCHEMA ledger TO ledger;
GRANT SELECT, INSERT ON ledger.entries TO ledger;
"
    )
}

/// The site that is not this one.
pub(super) fn other(plan: &Plan, place: &Place) -> Option<Place> {
    plan.sites.iter().find(|site| **site != place.name).and_then(|site| plan.place(site))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> (Plan, Databases) {
        let groups = ["service-hall", "data-hub"].map(str::to_owned);
        (Plan::new("t", "10.90", "dc-a,dc-b").unwrap(), Databases::new(&groups, None).unwrap())
    }

    fn patroni(other: Option<(&Place, u16)>) -> Value {
        let (dynamic, access) = first_or_following(other);
        let member = Patroni {
            scope: "data-hub",
            name: "dc-b-data-hub-0".to_owned(),
            address: Ipv4Addr::new(10, 90, 64, 18),
            own: "/run/o".into(),
            shared: "/run/s".into(),
            sockets: "/run/m".into(),
            stores: vec!["10.90.64.10:2379".to_owned()],
            pace: WITHIN,
            access,
            dynamic,
            first: other.is_none().then(|| "/run/first.sql".into()),
            pre_promote: Some("ask".to_owned()),
            bin: Path::new("/bin"),
        };
        member.file()
    }

    #[test]
    fn the_first_site_lets_applications_in_and_the_other_follows_it() {
        let (plan, _) = plan();
        let first = patroni(None);
        let dcs = &first["bootstrap"]["dcs"];
        assert_eq!(dcs["postgresql"]["pg_hba"][4], "hostssl app all all scram-sha-256");
        assert_eq!(dcs["standby_cluster"], Value::Null);
        assert_eq!(dcs["slots"]["tandem"]["type"], "physical");
        assert!(first["bootstrap"]["post_bootstrap"].as_str().unwrap().ends_with("--file=/run/first.sql"));
        let following = patroni(Some((&plan.place("dc-a").unwrap(), 5433)));
        let dcs = &following["bootstrap"]["dcs"];
        let wanted = json!({
            "host": "10.90.0.11", "port": 5433, "primary_slot_name": "tandem", "create_replica_methods": ["basebackup"],
        });
        assert_eq!(dcs["standby_cluster"], wanted);
        assert_eq!(dcs["postgresql"]["pg_hba"][5], "host all all all reject");
        assert_eq!(following["bootstrap"]["post_bootstrap"], Value::Null);
        // A list in the member's own file would hide the one that Tandem changes.
        assert_eq!(following["postgresql"]["pg_hba"], Value::Null);
        assert_eq!(following["restapi"]["verify_client"], "required");
        assert_eq!(following["postgresql"]["authentication"]["replication"]["sslmode"], "verify-full");
    }

    #[test]
    fn patroni_has_the_time_that_it_needs_within_its_ttl() {
        assert_eq!(Pace::of(30), Pace { ttl: 30, loop_wait: 10, retry_timeout: 10 }, "as Patroni has it by itself");
        for ttl in 5..=300 {
            let Pace { loop_wait, retry_timeout, .. } = Pace::of(ttl);
            assert!(loop_wait >= 1 && retry_timeout >= 1 && loop_wait + 2 * retry_timeout <= ttl, "{ttl}");
        }
    }

    #[test]
    fn an_agent_is_told_how_its_cluster_follows_and_where_its_member_is() {
        let (plan, databases) = plan();
        let (place, other) = (plan.place("dc-a").unwrap(), plan.place("dc-b").unwrap());
        let agent = Agent {
            site: "dc-a",
            member: databases.members_of("data-hub", &place)[1],
            own: "/run/o".into(),
            shared: "/run/s".into(),
            memory: "/run/m".into(),
            bin: Path::new("/bin"),
            other: &other,
            port: 5433,
        };
        let file = agent.file();
        assert_eq!(file["listen"], "10.90.0.19:9443");
        assert_eq!(file["patroni"]["url"], "https://10.90.0.19:8008");
        assert_eq!(file["patroni"]["name"], "dc-a-data-hub-1");
        assert_eq!((&file["standby"]["host"], &file["standby"]["port"]), (&json!("10.90.64.11"), &json!(5433)));
        let arguments = agent.arguments(&["https://g:8443".to_owned()]);
        assert!(arguments.contains(&"--gate=https://g:8443".to_owned()));
        assert!(arguments.contains(&"--gate-file=/run/m/gate.json".to_owned()));
        let ask = pre_promote(Path::new("/a"), "g", &["https://g:8443".to_owned()], Path::new("/c"));
        assert_eq!(ask, "/a pre-promote --group=g --gate=https://g:8443 --ca-file=/c");
    }

    #[test]
    fn the_way_in_asks_each_member_whether_it_leads() {
        let (plan, databases) = plan();
        let text = entry(&databases, &plan.place("dc-b").unwrap(), Path::new("/c"));
        for line in [
            "    bind 10.90.64.11:5433\n",
            "    option httpchk GET /leader\n",
            "    server dc-b-data-hub-1 10.90.64.19:5432\n",
            "check-ssl verify required ca-file /c/database-ca.crt crt /c/entry.pem",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
    }

    #[test]
    fn whoever_writes_owns_nothing() {
        let text = first("secret");
        assert!(text.contains("CREATE ROLE ledger LOGIN PASSWORD 'secret'"));
        assert!(text.contains("SCHEMA ledger AUTHORIZATION ledger_owner"));
        assert!(text.contains("GRANT SELECT, INSERT ON ledger.entries TO ledger;"));
    }
}
