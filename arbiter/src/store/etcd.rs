//! The store in etcd, over mutual TLS.

mod admin;
mod convert;

use std::sync::Arc;
use std::time::Duration;

use etcd_client::{Certificate, Client, ConnectOptions, GetOptions, Identity, TlsOptions, WatchOptions};
use futures::StreamExt;
use tokio::sync::watch;
use tokio::time::timeout;

pub use self::admin::{EtcdAdmin, Member, MemberStatus, SnapshotStream};
use self::convert::{answer, batch, failure, kv, origin, request, server};
use super::{Cause, Met, Range, Store, StoreError, Watch};
use crate::pins::ClusterIdentity;
use crate::txn::{Kv, Origin, Txn, TxnAnswer};

/// The most an answer may weigh, in bytes. etcd's own limit is on requests; a range of many keys weighs more.
const MOST_BYTES: usize = 64 << 20;

/// How to reach etcd.
#[derive(Clone)]
pub struct EtcdConfig {
    /// `https://` addresses, one for each member, the nearest first.
    pub endpoints: Vec<String>,
    /// The authority that signed the members' certificates, PEM.
    pub ca: Vec<u8>,
    /// Our certificate; its common name is the etcd user. PEM.
    pub cert: Vec<u8>,
    /// The key of our certificate, PEM.
    pub key: Vec<u8>,
    /// How long an endpoint may take to accept a connection.
    pub connect_timeout: Duration,
    /// How long an endpoint may take to answer a request before it counts as lost.
    pub request_timeout: Duration,
    /// How many keys are read in one page.
    pub page: u32,
}

impl EtcdConfig {
    /// The usual time-outs: 1 s to connect, 2 s to answer; pages of 500 keys.
    #[must_use]
    pub fn new(endpoints: Vec<String>, ca: Vec<u8>, cert: Vec<u8>, key: Vec<u8>) -> Self {
        Self {
            endpoints,
            ca,
            cert,
            key,
            connect_timeout: Duration::from_secs(1),
            request_timeout: Duration::from_secs(2),
            page: 500,
        }
    }
}

impl std::fmt::Debug for EtcdConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Never the key.
        f.debug_struct("EtcdConfig").field("endpoints", &self.endpoints).finish_non_exhaustive()
    }
}

/// The store in etcd. Clones share connections and the choice of endpoint.
#[derive(Clone)]
pub struct EtcdStore {
    inner: Arc<Inner>,
}

struct Inner {
    /// One client for each endpoint: which endpoint a request goes to, and whether it may go to another, is decided here
    /// and not by a balancer.
    clients: Vec<(String, Client)>,
    current: watch::Sender<usize>,
    request_timeout: Duration,
    page: u32,
}

impl std::fmt::Debug for EtcdStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let endpoints: Vec<&str> = self.inner.clients.iter().map(|(endpoint, _)| endpoint.as_str()).collect();
        f.debug_struct("EtcdStore").field("endpoints", &endpoints).finish_non_exhaustive()
    }
}

impl EtcdStore {
    /// Prepares connections; none is opened before the first request, so that an operator starts while etcd is away.
    ///
    /// # Errors
    /// [`StoreError::Configuration`] where an endpoint is not `https://` or a certificate cannot be read.
    pub async fn new(config: EtcdConfig) -> Result<Self, StoreError> {
        let (request_timeout, page) = (config.request_timeout, config.page.max(1));
        let clients = connect(config).await?;
        Ok(Self { inner: Arc::new(Inner { clients, current: watch::Sender::new(0), request_timeout, page }) })
    }

    fn current(&self) -> (usize, &Client) {
        let clients = &self.inner.clients;
        let place = *self.inner.current.borrow();
        (place, &clients[place].1)
    }

    /// Turns away from the endpoint at `place`, unless another request has done so already.
    fn turn_from(&self, place: usize) {
        let next = (place + 1) % self.inner.clients.len();
        let turned = self.inner.current.send_if_modified(|current| {
            let turns = *current == place && next != place;
            if turns {
                *current = next;
            }
            turns
        });
        if turned {
            tracing::debug!(endpoint = %self.inner.clients[next].0, "turning to another arbiter endpoint");
        }
    }

    /// Sends a request to one endpoint after another until one answers. `repeatable` says whether it may be sent again
    /// although it may have arrived.
    async fn send<T, F>(&self, repeatable: bool, request: impl Fn(usize, Client) -> F) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, etcd_client::Error>>,
    {
        let mut last = StoreError::Unavailable(Cause::new("no endpoint was tried"));
        for _ in 0..self.inner.clients.len() {
            let (place, client) = self.current();
            let error = match timeout(self.inner.request_timeout, request(place, client.clone())).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(error)) => failure(&error),
                Err(_) => {
                    let endpoint = &self.inner.clients[place].0;
                    StoreError::Unknown(Cause::new(format!("no answer from {endpoint} in time")))
                }
            };
            match error {
                StoreError::Unavailable(_) => self.turn_from(place),
                StoreError::Unknown(_) => {
                    self.turn_from(place);
                    if !repeatable {
                        return Err(error);
                    }
                }
                _ => return Err(error),
            }
            last = error;
        }
        Err(match last {
            // Nothing was to be changed, so nothing is unknown.
            StoreError::Unknown(cause) if repeatable => StoreError::Unavailable(cause),
            other => other,
        })
    }

    async fn page(&self, prefix: &str, after: Option<&Kv>, revision: Option<i64>) -> Result<Page, StoreError> {
        let start = after.map_or_else(|| prefix.to_owned(), |kv| format!("{}\0", kv.key));
        let mut options = GetOptions::new().with_range(prefix_end(prefix)).with_limit(i64::from(self.inner.page));
        if let Some(revision) = revision {
            options = options.with_revision(revision);
        }
        let response = self
            .send(true, |_, client| {
                let (start, options) = (start.clone(), options.clone());
                async move { client.kv_client().max_decoding_message_size(MOST_BYTES).get(start, Some(options)).await }
            })
            .await?;
        let header = response.header().map_or(0, etcd_client::ResponseHeader::revision);
        Ok(Page {
            revision: revision.unwrap_or(header),
            origin: response.header().map(origin).unwrap_or_default(),
            more: response.more(),
            kvs: response.kvs().iter().map(kv).collect::<Result<_, _>>()?,
        })
    }
}

/// A client for each endpoint. No connection is opened before the first request.
async fn connect(config: EtcdConfig) -> Result<Vec<(String, Client)>, StoreError> {
    if config.endpoints.is_empty() {
        return Err(StoreError::Configuration("no endpoint is given".to_owned()));
    }
    let tls = TlsOptions::new()
        .ca_certificate(Certificate::from_pem(&config.ca))
        .identity(Identity::from_pem(&config.cert, &config.key))
        .timeout(config.connect_timeout);
    let options = ConnectOptions::new()
        .with_tls(tls)
        .with_connect_timeout(config.connect_timeout)
        // etcd hangs up on clients that ping more often than every 5 s (`--grpc-keepalive-min-time`), or without streams.
        .with_keep_alive(Duration::from_secs(6), Duration::from_secs(2))
        .with_keep_alive_while_idle(false)
        .with_require_leader(true);
    let mut clients = Vec::new();
    for endpoint in config.endpoints {
        if !endpoint.starts_with("https://") {
            return Err(StoreError::Configuration(format!("endpoint {endpoint} is not https://")));
        }
        let client = Client::connect([&endpoint], Some(options.clone()))
            .await
            .map_err(|error| StoreError::Configuration(format!("endpoint {endpoint}: {error}")))?;
        clients.push((endpoint, client));
    }
    Ok(clients)
}

struct Page {
    revision: i64,
    origin: Origin,
    more: bool,
    kvs: Vec<Kv>,
}

/// The end of the range of keys with this prefix. Ours end with `/`, so that the last byte can always grow.
fn prefix_end(prefix: &str) -> Vec<u8> {
    let mut end = prefix.as_bytes().to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            return end;
        }
    }
    vec![0]
}

impl Store for EtcdStore {
    async fn txn(&self, txn: &Txn) -> Result<TxnAnswer, StoreError> {
        txn.check()?;
        let response = self
            .send(txn.reads_only(), |_, client| {
                let request = request(txn);
                async move { client.kv_client().max_decoding_message_size(MOST_BYTES).txn(request).await }
            })
            .await?;
        answer(&response)
    }

    async fn range(&self, prefix: &str) -> Result<Range, StoreError> {
        // The first page is linearizable; the others are read at its revision and so need no more than that.
        let mut page = self.page(prefix, None, None).await?;
        let mut range = Range { revision: page.revision, kvs: Vec::new(), origin: page.origin };
        range.kvs.append(&mut page.kvs);
        while page.more && !range.kvs.is_empty() {
            page = self.page(prefix, range.kvs.last(), Some(range.revision)).await?;
            if page.origin != range.origin {
                return Err(StoreError::Unavailable(Cause::new("the pages of one answer came from two servers")));
            }
            range.kvs.append(&mut page.kvs);
        }
        Ok(range)
    }

    async fn watch(&self, prefix: &str, from: i64) -> Result<Watch, StoreError> {
        let options =
            WatchOptions::new().with_range(prefix_end(prefix)).with_start_revision(from).with_progress_notify();
        let (place, stream) = self
            .send(true, |place, client| {
                let options = options.clone();
                async move {
                    let mut client = client.watch_client().max_decoding_message_size(MOST_BYTES);
                    Ok((place, client.watch(prefix, Some(options)).await?))
                }
            })
            .await?;
        let state = Some((self.clone(), self.inner.current.subscribe(), place, stream));
        let batches = futures::stream::unfold(state, |state| async move {
            let (store, mut current, place, mut stream) = state?;
            loop {
                let message = tokio::select! {
                    message = stream.message() => message,
                    // Another request found that this endpoint does not answer: the watch would find out much later.
                    Ok(_) = current.wait_for(|current| *current != place) => {
                        let gone = Cause::new("the watch's endpoint does not answer");
                        return Some((Err(StoreError::Unavailable(gone)), None));
                    }
                };
                let item = match message {
                    Ok(Some(response)) => match batch(&response) {
                        Some(item) => item,
                        None => continue,
                    },
                    Ok(None) => Err(StoreError::Unavailable(Cause::new("the watch ended"))),
                    Err(error) => Err(StoreError::Unavailable(Cause::new(error.to_string()))),
                };
                if matches!(item, Err(StoreError::Unavailable(_))) {
                    store.turn_from(place);
                }
                let state = item.is_ok().then_some((store, current, place, stream));
                return Some((item, state));
            }
        });
        Ok(batches.boxed())
    }

    async fn identity(&self) -> Result<Met, StoreError> {
        // The endpoint that the next request goes to: where a forced new cluster runs beside the old, it is that one's word
        // that counts.
        let response = self.send(true, |_, client| async move { client.cluster_client().member_list().await }).await?;
        let header = response.header().ok_or_else(|| StoreError::Refused(Cause::new("an answer without a header")))?;
        let members = response.members().iter().map(etcd_client::Member::id).collect();
        Ok(Met { identity: ClusterIdentity { cluster: header.cluster_id(), members }, server: server(header) })
    }

    fn next_endpoint(&self) {
        let (place, _) = self.current();
        self.turn_from(place);
    }
}
