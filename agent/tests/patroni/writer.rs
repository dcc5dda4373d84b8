//! A service's client: writes numbers wherever the gate says yes, and counts what it was told is kept.

use crate::gate::Gate;
use crate::world::World;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tandem_agent::tls;
use tokio_postgres::{Client, Config};
use tokio_postgres_rustls::MakeRustlsConnect;

/// One that writes until it is stopped.
pub(crate) struct Writer {
    told: Arc<Mutex<Vec<(i64, Instant)>>>,
    stop: Arc<AtomicBool>,
    task: tokio::task::JoinHandle<()>,
}

/// How the application signs in.
pub(crate) async fn sign_in(ca: &Path, port: u16) -> Result<Client, tokio_postgres::Error> {
    let connect = MakeRustlsConnect::new(tls::client(ca, None).unwrap());
    let mut config = Config::new();
    config.host("127.0.0.1").port(port).user("ledger").password("throw-away").dbname("app");
    config.connect_timeout(Duration::from_secs(2)).ssl_mode(tokio_postgres::config::SslMode::Require);
    let (client, connection) = config.connect(connect).await?;
    tokio::spawn(connection);
    Ok(client)
}

/// As a service must: it answers only once the switch was asked again, after COMMIT.
async fn write(client: &Client, number: i64) -> Result<(), tokio_postgres::Error> {
    client.execute("INSERT INTO ledger.entries (number) VALUES ($1)", &[&number]).await?;
    client.query_one("SELECT tandem.check()", &[]).await.map(drop)
}

impl Writer {
    pub(crate) fn start(world: &World) -> Self {
        let (told, stop) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let places: Vec<(Gate, u16)> =
            [&world.a, &world.b].into_iter().map(|site| (site.gate.clone(), site.entry)).collect();
        let ca = world.certs().join("replication-ca.crt");
        let (telling, stopping) = (Arc::clone(&told), Arc::clone(&stop));
        let task = tokio::spawn(async move {
            let mut client: Option<Client> = None;
            // A number is tried once: what failed may have been kept.
            for number in 0.. {
                if stopping.load(Ordering::Relaxed) {
                    return;
                }
                let attempt = async {
                    if client.as_ref().is_none_or(Client::is_closed) {
                        let place = places.iter().find(|(gate, _)| gate.is_active())?.1;
                        client = sign_in(&ca, place).await.ok();
                    }
                    write(client.as_ref()?, number).await.ok()
                };
                match tokio::time::timeout(Duration::from_secs(2), attempt).await {
                    Ok(Some(())) => telling.lock().unwrap().push((number, Instant::now())),
                    _ => client = None,
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        });
        Self { told, stop, task }
    }

    /// How many it was told are kept.
    pub(crate) fn count(&self) -> usize {
        self.told.lock().unwrap().len()
    }

    /// Stops, and gives back the numbers that it was told are kept, and the longest time in which it was told of none.
    pub(crate) async fn stop(self) -> (Vec<i64>, Duration) {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.unwrap();
        let told = self.told.lock().unwrap();
        let gap = told.windows(2).map(|pair| pair[1].1 - pair[0].1).max().unwrap_or_default();
        (told.iter().map(|(number, _)| *number).collect(), gap)
    }
}
