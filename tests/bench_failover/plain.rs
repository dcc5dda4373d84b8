//! A plain Patroni cluster over the same three places, for comparison: one member at each site, its etcd in all three, and clients that
//! find the primary as libpq does, by trying both.

use crate::rounds::{CLIENTS, PATIENCE, STEADY, millis, of_writes};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tandem_tests::ledger::{Entry, Outcome, Takes, Writers};
use tandem_tests::measured::Round;
use tandem_tests::sites::Sites;
use tandem_tests::{Lab, eventually};
use tokio_postgres::config::TargetSessionAttrs;
use tokio_postgres::{Client, Config};
use tokio_postgres_rustls::MakeRustlsConnect;

/// How long a client waits for the database.
const LIMIT: Duration = Duration::from_secs(2);

/// A client of the plain cluster.
pub(crate) struct Plain {
    config: Config,
    tls: MakeRustlsConnect,
    connected: Option<Client>,
}

impl Clone for Plain {
    /// Another client, with a connection of its own.
    fn clone(&self) -> Self {
        Self { config: self.config.clone(), tls: self.tls.clone(), connected: None }
    }
}

impl Plain {
    /// The plain cluster of a lab.
    pub(crate) fn of(lab: &Lab) -> Self {
        let file = |name: &str| std::fs::read_to_string(lab.dir().join("dc-a").join(name)).unwrap();
        let mut roots = RootCertStore::empty();
        for site in ["dc-a", "dc-b"] {
            let authority = std::fs::read(lab.dir().join(site).join("pki/plain-ca.crt")).unwrap();
            for certificate in CertificateDer::pem_slice_iter(&authority) {
                roots.add(certificate.unwrap()).unwrap();
            }
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let client = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let tls = MakeRustlsConnect::new(client.with_root_certificates(roots).with_no_client_auth());
        let mut config = Config::new();
        for site in ["dc-a", "dc-b"] {
            config.host("127.0.0.1").port(u16::try_from(lab.port(&format!("{site}/database-plain"))).unwrap());
        }
        config.dbname("app").user("ledger").password(file("postgres/plain.password").trim());
        config.connect_timeout(Duration::from_millis(500)).target_session_attrs(TargetSessionAttrs::ReadWrite);
        Self { config, tls, connected: None }
    }

    async fn client(&mut self) -> Option<&Client> {
        if self.connected.as_ref().is_none_or(Client::is_closed) {
            let connect = tokio::time::timeout(LIMIT, self.config.connect(self.tls.clone()));
            let (client, connection) = connect.await.ok()?.ok()?;
            tokio::spawn(connection);
            self.connected = Some(client);
        }
        self.connected.as_ref()
    }

    async fn entries(&mut self, begins: &str) -> Option<Vec<Entry>> {
        let list = "SELECT id, writer, number FROM ledger.entries WHERE starts_with(writer, $1)";
        let rows = tokio::time::timeout(PATIENCE, self.client().await?.query(list, &[&begins])).await.ok()?.ok()?;
        let entry = |row: &tokio_postgres::Row| Entry {
            id: row.get(0),
            writer: row.get(1),
            number: u64::try_from(row.get::<_, i64>(2)).unwrap(),
        };
        Some(rows.iter().map(entry).collect())
    }

    /// The site of the primary loses its power, and comes back.
    pub(crate) async fn lose(&self, sites: &Sites, t: u64) -> Round {
        let (primary, other) = eventually("the plain cluster to have a primary and a replica", PATIENCE, || async {
            let [a, b] = [role(sites, "dc-a").await, role(sites, "dc-b").await];
            match (a.as_deref(), b.as_deref()) {
                (Some("primary" | "master"), Some("replica")) => Some(("dc-a", "dc-b")),
                (Some("replica"), Some("primary" | "master")) => Some(("dc-b", "dc-a")),
                _ => None,
            }
        })
        .await;
        let begins = format!("plain-{primary}-{t}-{}", std::process::id());
        let begins = format!("{begins}-{}", std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis());
        let writers = Writers::start(self, &begins, CLIENTS);
        eventually("writes to be accepted", PATIENCE, || async { (writers.accepted() > 100).then_some(()) }).await;
        tokio::time::sleep(STEADY).await;
        let at = Instant::now();
        sites.lab.run(&["power-off", primary]);
        let down = Instant::now();
        let first = eventually("the other site to take writes", PATIENCE, || async { writers.first_after(down) }).await;
        tokio::time::sleep(STEADY).await;
        let written = writers.stop().await;
        let mut reader = self.clone();
        let entries = loop {
            if let Some(entries) = reader.entries(&begins).await {
                break entries;
            }
            assert!(down.elapsed() < PATIENCE, "the plain cluster cannot be read");
        };
        let mut figures = of_writes(&written, &entries);
        figures.insert("firstAcceptedMillis".into(), millis(first - at));
        sites.lab.run(&["power-on", primary]);
        eventually(&format!("{primary} to follow {other}"), PATIENCE, || async {
            (role(sites, primary).await.as_deref() == Some("replica")).then_some(())
        })
        .await;
        Round { t, kind: "plain power-off".into(), figures }
    }
}

impl Takes for Plain {
    async fn write(&mut self, writer: &str, number: u64) -> Outcome {
        let number = i64::try_from(number).unwrap();
        let Some(client) = self.client().await else { return Outcome::NotAccepted };
        let insert = "INSERT INTO ledger.entries (writer, number) VALUES ($1, $2)";
        match tokio::time::timeout(LIMIT, client.execute(insert, &[&writer, &number])).await {
            Ok(Ok(_)) => Outcome::Accepted,
            _ => {
                self.connected = None;
                Outcome::NotAccepted
            }
        }
    }
}

/// What the plain cluster's member at a site says that it is.
async fn role(sites: &Sites, site: &str) -> Option<String> {
    let member = sites.lab.plain_member(site).await;
    let (_, said): (u16, Value) = member.ask("GET", "/patroni", None).await?;
    let streams = said["role"] != "replica" || said["state"] == "streaming" || said["state"] == "running";
    said["role"].as_str().filter(|_| streams).map(str::to_owned)
}
