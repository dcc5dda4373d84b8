//! What only those ask who look after etcd itself: its members, how each stands, and how one is replaced.

use std::time::Duration;

use etcd_client::{Client, GetOptions, MemberAddOptions, SnapshotStreaming};
use tokio::time::timeout;

use super::convert::failure;
use super::{EtcdConfig, connect};
use crate::store::{Cause, StoreError};

/// A member, as the cluster knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its id.
    pub id: u64,
    /// Its name; empty before it has started for the first time.
    pub name: String,
    /// Where the other members reach it.
    pub peer_urls: Vec<String>,
    /// Where clients reach it.
    pub client_urls: Vec<String>,
    /// Whether it only learns and does not vote yet.
    pub learner: bool,
}

/// How a member says that it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberStatus {
    /// The id of its cluster.
    pub cluster: u64,
    /// Its own id.
    pub member: u64,
    /// etcd's version.
    pub version: String,
    /// The size of its database, in bytes.
    pub db_bytes: i64,
    /// What of that is in use, in bytes.
    pub db_bytes_in_use: i64,
    /// The id of the leader that it follows; 0 where there is none.
    pub leader: u64,
    /// raft's term.
    pub term: u64,
    /// raft's index.
    pub index: u64,
    /// The index that it has applied.
    pub applied: u64,
    /// The revision of its data.
    pub revision: i64,
    /// Whether it only learns.
    pub learner: bool,
    /// What it complains of: alarms of any member, and that it has no leader.
    pub errors: Vec<String>,
}

/// etcd, as those see it who look after it.
pub struct EtcdAdmin {
    clients: Vec<(String, Client)>,
    limit: Duration,
}

impl std::fmt::Debug for EtcdAdmin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let endpoints: Vec<&str> = self.endpoints().collect();
        f.debug_struct("EtcdAdmin").field("endpoints", &endpoints).finish_non_exhaustive()
    }
}

/// How long a member may take to begin with a snapshot, and over each piece of it.
const PIECE: Duration = Duration::from_secs(30);

/// A member's whole database on its way here.
pub struct SnapshotStream {
    stream: SnapshotStreaming,
}

impl std::fmt::Debug for SnapshotStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SnapshotStream").finish_non_exhaustive()
    }
}

impl SnapshotStream {
    /// The next piece, and how many bytes of the database come after it; nothing at the end. After the database comes its SHA-256.
    ///
    /// # Errors
    /// [`StoreError`]; what has come so far is then no snapshot.
    pub async fn next(&mut self) -> Result<Option<(Vec<u8>, u64)>, StoreError> {
        let piece = within(PIECE, self.stream.message()).await?;
        Ok(piece.map(|piece| (piece.blob().to_vec(), piece.remaining_bytes())))
    }
}

async fn within<T>(
    limit: Duration,
    request: impl Future<Output = Result<T, etcd_client::Error>>,
) -> Result<T, StoreError> {
    match timeout(limit, request).await {
        Ok(answer) => answer.map_err(|error| failure(&error)),
        Err(_) => Err(StoreError::Unknown(Cause::new("no answer in time"))),
    }
}

impl EtcdAdmin {
    /// Prepares connections; none is opened before the first request.
    ///
    /// # Errors
    /// [`StoreError::Configuration`] as [`EtcdStore::new`](super::EtcdStore::new).
    pub async fn new(config: EtcdConfig) -> Result<Self, StoreError> {
        let limit = config.request_timeout;
        Ok(Self { clients: connect(config).await?, limit })
    }

    /// The endpoints, in order.
    pub fn endpoints(&self) -> impl Iterator<Item = &str> {
        self.clients.iter().map(|(endpoint, _)| endpoint.as_str())
    }

    async fn ask<T>(&self, request: impl Future<Output = Result<T, etcd_client::Error>>) -> Result<T, StoreError> {
        within(self.limit, request).await
    }

    /// Asks one endpoint after another until one answers; for what changes nothing.
    async fn any<T, F>(&self, request: impl Fn(Client) -> F) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, etcd_client::Error>>,
    {
        let mut last = StoreError::Unavailable(Cause::new("no endpoint was tried"));
        for (_, client) in &self.clients {
            match self.ask(request(client.clone())).await {
                Ok(answer) => return Ok(answer),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// The members, as the first endpoint that answers knows them.
    ///
    /// # Errors
    /// [`StoreError`] of the last endpoint.
    pub async fn members(&self) -> Result<Vec<Member>, StoreError> {
        let found = Box::pin(self.any(|client| async move { client.cluster_client().member_list().await })).await?;
        Ok(found.members().iter().map(member).collect())
    }

    /// How many keys begin with a text; none of them is read.
    ///
    /// # Errors
    /// [`StoreError`] of the last endpoint.
    pub async fn count(&self, prefix: &str) -> Result<i64, StoreError> {
        let counted = || GetOptions::new().with_prefix().with_count_only();
        let found =
            Box::pin(self.any(|client| async move { client.kv_client().get(prefix, Some(counted())).await })).await?;
        Ok(found.count())
    }

    /// How the member at an endpoint stands.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn status(&self, endpoint: &str) -> Result<MemberStatus, StoreError> {
        let client = self.client(endpoint)?;
        let found = self.ask(async { client.maintenance_client().status().await }).await?;
        let header = found.header().ok_or_else(|| StoreError::Refused(Cause::new("an answer without a header")))?;
        Ok(MemberStatus {
            cluster: header.cluster_id(),
            member: header.member_id(),
            version: found.version().to_owned(),
            db_bytes: found.db_size(),
            db_bytes_in_use: found.raft_used_db_size(),
            leader: found.leader(),
            term: found.raft_term(),
            index: found.raft_index(),
            applied: found.raft_applied_index(),
            revision: header.revision(),
            learner: found.is_learner(),
            errors: found.errors().to_vec(),
        })
    }

    fn client(&self, endpoint: &str) -> Result<Client, StoreError> {
        let found = self.clients.iter().find(|(known, _)| known == endpoint);
        found
            .map(|(_, client)| client.clone())
            .ok_or_else(|| StoreError::Configuration(format!("{endpoint} is none of the endpoints")))
    }

    /// Removes a member, by the member at this endpoint. It takes the rights of etcd's root.
    ///
    /// # Errors
    /// [`StoreError`]; after [`StoreError::Unknown`] the members have to be listed before anything else.
    pub async fn remove(&self, endpoint: &str, id: u64) -> Result<(), StoreError> {
        let client = self.client(endpoint)?;
        self.ask(async { client.cluster_client().member_remove(id).await }).await.map(drop)
    }

    /// Adds a member that only learns, by the member at this endpoint; gives its id. It takes the rights of etcd's root.
    ///
    /// # Errors
    /// As [`EtcdAdmin::remove`].
    pub async fn add_learner(&self, endpoint: &str, peer_urls: &[String]) -> Result<u64, StoreError> {
        let client = self.client(endpoint)?;
        let options = MemberAddOptions::new().with_is_learner();
        let added = self.ask(async { client.cluster_client().member_add(peer_urls, Some(options)).await }).await?;
        added
            .member()
            .map(etcd_client::Member::id)
            .ok_or_else(|| StoreError::Refused(Cause::new("no member was added")))
    }

    /// Lets a member vote that has learned everything. It takes the rights of etcd's root.
    ///
    /// # Errors
    /// As [`EtcdAdmin::remove`]; [`StoreError::Refused`] while it has not learned everything.
    pub async fn promote(&self, endpoint: &str, id: u64) -> Result<(), StoreError> {
        let client = self.client(endpoint)?;
        self.ask(async { client.cluster_client().member_promote(id).await }).await.map(drop)
    }

    /// Has the member at this endpoint send its whole database. It takes the rights of etcd's root.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn snapshot(&self, endpoint: &str) -> Result<SnapshotStream, StoreError> {
        let client = self.client(endpoint)?;
        let stream = within(PIECE, async { client.maintenance_client().snapshot().await }).await?;
        Ok(SnapshotStream { stream })
    }

    /// Has another member lead; asked of the one that leads now.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn move_leader(&self, endpoint: &str, to: u64) -> Result<(), StoreError> {
        let client = self.client(endpoint)?;
        self.ask(async { client.maintenance_client().move_leader(to).await }).await.map(drop)
    }
}

fn member(found: &etcd_client::Member) -> Member {
    Member {
        id: found.id(),
        name: found.name().to_owned(),
        peer_urls: found.peer_urls().to_vec(),
        client_urls: found.client_urls().to_vec(),
        learner: found.is_learner(),
    }
}
