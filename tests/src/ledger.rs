//! Clients of `tandem-ledger`: they write numbers, keep what became of each, and read back what is there.
//!
//! A number that was not acknowledged is given up: nobody knows whether it is there. What is compared is what was acknowledged.

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// How long a client waits for an answer.
const LIMIT: Duration = Duration::from_secs(2);
/// How long it waits before it tries the next number after one that was not accepted.
const PAUSE: Duration = Duration::from_millis(20);
/// How many entries are read at once.
const PAGE: usize = 5_000;

/// A ledger, by the city's entry or by one site's own.
#[derive(Clone, Debug)]
pub struct Ledger {
    base: String,
    client: Client<HttpConnector, Full<Bytes>>,
}

/// An entry of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub struct Entry {
    /// Its number in the ledger.
    pub id: i64,
    /// Who wrote it.
    pub writer: String,
    /// The writer's own number.
    pub number: u64,
}

/// What became of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is there, and will be.
    Accepted,
    /// It is not, or nobody knows.
    NotAccepted,
}

impl Ledger {
    /// The ledger behind a loopback port.
    #[must_use]
    pub fn new(port: u64) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(Duration::from_millis(500)));
        // As people do: each question on a connection of its own, so that none sticks to a site that is gone.
        let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector);
        Self { base: format!("http://127.0.0.1:{port}"), client }
    }

    /// Asks, and gives back status and body; `None` where no answer came in time.
    pub async fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Option<(u16, Value)> {
        let mut request = http::Request::builder().method(method).uri(format!("{}{path}", self.base));
        if body.is_some() {
            request = request.header("Content-Type", "application/json");
        }
        let bytes = body.map(|body| serde_json::to_vec(body).unwrap()).unwrap_or_default();
        let request = request.body(Full::from(bytes)).unwrap();
        let whole = async {
            let response = self.client.request(request).await.ok()?;
            let status = response.status().as_u16();
            let bytes = response.into_body().collect().await.ok()?.to_bytes();
            Some((status, serde_json::from_slice(&bytes).unwrap_or_default()))
        };
        tokio::time::timeout(LIMIT, whole).await.ok()?
    }

    /// Writes a number.
    pub async fn write(&self, writer: &str, number: u64) -> Outcome {
        match self.ask("POST", "/v1/entries", Some(&json!({"writer": writer, "number": number}))).await {
            Some((200 | 201, _)) => Outcome::Accepted,
            _ => Outcome::NotAccepted,
        }
    }

    /// Every entry whose writer's name begins so; `None` where they cannot be read.
    pub async fn entries(&self, begins: &str) -> Option<Vec<Entry>> {
        let mut all: Vec<Entry> = Vec::new();
        loop {
            let after = all.last().map_or(0, |entry| entry.id);
            let (status, body) = self.ask("GET", &format!("/v1/entries?after={after}&limit={PAGE}"), None).await?;
            if status != 200 {
                return None;
            }
            let page: Vec<Entry> = serde_json::from_value(body).ok()?;
            if page.is_empty() {
                all.retain(|entry| entry.writer.starts_with(begins));
                return Some(all);
            }
            all.extend(page);
        }
    }
}

/// Something that takes numbers.
pub trait Takes: Clone + Send + 'static {
    /// Writes a number.
    fn write(&mut self, writer: &str, number: u64) -> impl Future<Output = Outcome> + Send;
}

impl Takes for Ledger {
    async fn write(&mut self, writer: &str, number: u64) -> Outcome {
        Self::write(self, writer, number).await
    }
}

/// One write, as its client saw it.
#[derive(Clone, Debug)]
pub struct Write {
    /// Who wrote.
    pub writer: String,
    /// Which number.
    pub number: u64,
    /// When it was sent.
    pub sent: Instant,
    /// When it was answered, or given up.
    pub answered: Instant,
    /// What became of it.
    pub outcome: Outcome,
}

/// Clients that write one number after the other, each its own, until they are stopped.
pub struct Writers {
    writes: Arc<Mutex<Vec<Write>>>,
    tasks: JoinSet<()>,
}

impl Writers {
    /// Begins to write, under names that begin so.
    #[must_use]
    pub fn start(takes: &impl Takes, begins: &str, count: usize) -> Self {
        let writes = Arc::<Mutex<Vec<Write>>>::default();
        let mut tasks = JoinSet::new();
        for index in 0..count {
            let (mut takes, writer, kept) = (takes.clone(), format!("{begins}-{index}"), Arc::clone(&writes));
            tasks.spawn(async move {
                for number in 1.. {
                    let sent = Instant::now();
                    let outcome = takes.write(&writer, number).await;
                    let answered = Instant::now();
                    kept.lock().unwrap().push(Write { writer: writer.clone(), number, sent, answered, outcome });
                    if outcome != Outcome::Accepted {
                        tokio::time::sleep(PAUSE).await;
                    }
                }
            });
        }
        Self { writes, tasks }
    }

    /// How many writes were accepted so far.
    #[must_use]
    pub fn accepted(&self) -> usize {
        self.writes.lock().unwrap().iter().filter(|write| write.outcome == Outcome::Accepted).count()
    }

    /// When the first write that was sent after this time was accepted.
    #[must_use]
    pub fn first_after(&self, time: Instant) -> Option<Instant> {
        let writes = self.writes.lock().unwrap();
        let after = writes.iter().filter(|write| write.outcome == Outcome::Accepted && write.sent >= time);
        after.map(|write| write.answered).min()
    }

    /// Stops, and gives back what became of every write.
    pub async fn stop(mut self) -> Written {
        self.tasks.shutdown().await;
        let writes = self.writes.lock().unwrap().clone();
        Written { writes }
    }
}

/// What became of all writes.
#[derive(Clone, Debug)]
pub struct Written {
    writes: Vec<Write>,
}

impl Written {
    /// The writes that were accepted.
    pub fn accepted(&self) -> impl Iterator<Item = &Write> {
        self.writes.iter().filter(|write| write.outcome == Outcome::Accepted)
    }

    /// How many were not accepted.
    #[must_use]
    pub fn not_accepted(&self) -> usize {
        self.writes.len() - self.accepted().count()
    }

    /// The accepted writes that are not among these entries: what was lost. In the order in which they were accepted.
    #[must_use]
    pub fn missing(&self, entries: &[Entry]) -> Vec<Write> {
        let there: BTreeSet<(&str, u64)> = entries.iter().map(|entry| (entry.writer.as_str(), entry.number)).collect();
        let mut missing: Vec<Write> =
            self.accepted().filter(|write| !there.contains(&(write.writer.as_str(), write.number))).cloned().collect();
        missing.sort_by_key(|write| write.answered);
        missing
    }

    /// The longest time without any accepted write, between the first and the last of them.
    #[must_use]
    pub fn longest_gap(&self) -> Duration {
        let mut times: Vec<Instant> = self.accepted().map(|write| write.answered).collect();
        times.sort();
        times.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(number: u64, millis: u64, outcome: Outcome, begun: Instant) -> Write {
        let at = begun + Duration::from_millis(millis);
        Write { writer: "w-0".into(), number, sent: at, answered: at + Duration::from_millis(1), outcome }
    }

    #[test]
    fn what_was_accepted_and_is_not_there_is_missing() {
        let begun = Instant::now();
        let writes = vec![
            write(1, 0, Outcome::Accepted, begun),
            write(2, 10, Outcome::NotAccepted, begun),
            write(3, 20, Outcome::NotAccepted, begun),
            write(4, 510, Outcome::Accepted, begun),
            write(5, 520, Outcome::Accepted, begun),
        ];
        let written = Written { writes };
        let entry = |id, number| Entry { id, writer: "w-0".into(), number };
        assert_eq!(written.longest_gap(), Duration::from_millis(510));
        assert_eq!(written.not_accepted(), 2);
        assert!(written.missing(&[entry(1, 1), entry(2, 2), entry(7, 4), entry(8, 5)]).is_empty());
        let missing = written.missing(&[entry(1, 1)]);
        assert_eq!(missing.iter().map(|write| write.number).collect::<Vec<_>>(), [4, 5]);
        assert_eq!(written.missing(&[Entry { writer: "w-1".into(), ..entry(1, 1) }]).len(), 3, "another's number");
    }
}
