//! What the gates of both sites answer, recorded, and whether two sites were ever active at once.
//!
//! All of a lab runs on one machine: its gates' own transitions are readings of one clock, and compare. What a gate said that
//! was killed before it could be asked for its transitions is told by the answers alone.

use crate::Lab;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// How often each gate is asked.
const EVERY: Duration = Duration::from_millis(50);

/// How a group stands by one gate's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Whether it is active there.
    pub active: bool,
    /// The epoch.
    pub epoch: u64,
    /// Why.
    pub reason: String,
}

/// That a gate answered 200 for a group: at some instant between these two.
#[derive(Clone, Debug)]
struct Sample {
    site: String,
    group: String,
    epoch: u64,
    sent: Instant,
    received: Instant,
}

/// A transition as a gate's ring has it.
#[derive(Clone, Debug)]
struct Change {
    at: u64,
    active: bool,
    epoch: u64,
}

#[derive(Debug, Default)]
struct History {
    samples: Vec<Sample>,
    /// By site, replica with incarnation, and group.
    changes: BTreeMap<(String, String, String), BTreeMap<u64, Change>>,
    newest: BTreeMap<(String, u8), BTreeMap<String, Answer>>,
    asked: usize,
}

/// Asks every gate every 50 ms until it is dropped.
pub struct Recorder {
    history: Arc<Mutex<History>>,
    _tasks: JoinSet<()>,
}

impl Recorder {
    /// Begins to ask the gates of both sites.
    pub async fn start(lab: &Lab) -> Self {
        let history = Arc::<Mutex<History>>::default();
        let mut tasks = JoinSet::new();
        for site in ["dc-a", "dc-b"] {
            for replica in 0..2 {
                let client = lab.gate(site, replica).await;
                tasks.spawn(record(client, site.to_owned(), replica, Arc::clone(&history)));
            }
        }
        Self { history, _tasks: tasks }
    }

    /// What a site's gates last answered for a group; a replica that does not answer is left out.
    #[must_use]
    pub fn answers(&self, site: &str, group: &str) -> Vec<Answer> {
        let history = self.history.lock().unwrap();
        (0..2).filter_map(|replica| history.newest.get(&(site.to_owned(), replica))?.get(group).cloned()).collect()
    }

    /// Whether every replica of a site that answers says that the group is active there, and at least one does.
    #[must_use]
    pub fn is_active(&self, site: &str, group: &str) -> bool {
        let answers = self.answers(site, group);
        !answers.is_empty() && answers.iter().all(|answer| answer.active)
    }

    /// Whether no replica of a site says that the group is active there.
    #[must_use]
    pub fn is_passive(&self, site: &str, group: &str) -> bool {
        self.answers(site, group).iter().all(|answer| !answer.active)
    }

    /// Fails if two sites were ever active for a group at one instant, by their answers or by their own transitions.
    pub fn assert_never_two(&self) {
        let history = self.history.lock().unwrap();
        assert!(history.asked > 0, "no gate was ever asked");
        let groups: BTreeSet<&String> = history.samples.iter().map(|sample| &sample.group).collect();
        for group in groups {
            let of: Vec<&Sample> = history.samples.iter().filter(|sample| sample.group == *group).collect();
            // The last yes under each epoch, and the first under any later one of another site.
            for (site, epoch) in of.iter().map(|s| (&s.site, s.epoch)).collect::<BTreeSet<_>>() {
                let old = of.iter().filter(|s| s.site == *site && s.epoch == epoch).map(|s| s.sent).max();
                let new = of.iter().filter(|s| s.site != *site && s.epoch >= epoch).map(|s| s.received).min();
                if let (Some(old), Some(new)) = (old, new) {
                    assert!(old < new, "{group}: {site} answered 200 under epoch {epoch} after another site had");
                }
            }
        }
        overlapping(&history);
        println!("{} answers, {} of them yes: never two at once", history.asked, history.samples.len());
    }
}

/// Compares the gates' own transitions, all on one boot clock.
fn overlapping(history: &History) {
    let mut spans: BTreeMap<&str, Vec<(&str, u64, u64, u64)>> = BTreeMap::new();
    for ((site, _, group), changes) in &history.changes {
        let mut open: Option<(u64, u64)> = None;
        for change in changes.values() {
            if let Some((from, epoch)) = open.take() {
                spans.entry(group).or_default().push((site, from, change.at, epoch));
            }
            open = change.active.then_some((change.at, change.epoch));
        }
        // Still open when it was last asked, or killed: its answers tell the rest.
        if let Some((from, epoch)) = open {
            spans.entry(group).or_default().push((site, from, from, epoch));
        }
    }
    for (group, spans) in spans {
        for a in &spans {
            for b in spans.iter().filter(|b| b.0 != a.0) {
                let apart = a.2 <= b.1 || b.2 <= a.1;
                assert!(apart, "{group}: {} and {} were active at once: {a:?} {b:?}", a.0, b.0);
            }
        }
    }
}

async fn record(client: kube::Client, site: String, replica: u8, history: Arc<Mutex<History>>) {
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let sent = Instant::now();
        let active = ask(&client, "/active").await;
        let received = Instant::now();
        let transitions = ask(&client, "/transitions").await;
        let mut history = history.lock().unwrap();
        history.asked += 1;
        let mut newest = BTreeMap::new();
        for entry in active.as_ref().and_then(Value::as_array).into_iter().flatten() {
            let group = entry["group"].as_str().unwrap().to_owned();
            let answer = Answer {
                active: entry["active"] == true,
                epoch: entry["epoch"].as_u64().unwrap(),
                reason: entry["reason"].as_str().unwrap().to_owned(),
            };
            if answer.active {
                let (site, epoch) = (site.clone(), answer.epoch);
                history.samples.push(Sample { site, group: group.clone(), epoch, sent, received });
            }
            newest.insert(group, answer);
        }
        history.newest.insert((site.clone(), replica), newest);
        let all = transitions.as_ref().and_then(|t| t["transitions"].as_array());
        // A process that was started again numbers from 1: its first transition tells it from the one before.
        let incarnation = all.and_then(|all| all.first()).map(|first| first["atNanos"].to_string()).unwrap_or_default();
        for change in all.into_iter().flatten() {
            let group = change["group"].as_str().unwrap().to_owned();
            let number = change["number"].as_u64().unwrap();
            let change = Change {
                at: change["atNanos"].as_u64().unwrap(),
                active: change["active"] == true,
                epoch: change["epoch"].as_u64().unwrap(),
            };
            let key = (site.clone(), format!("{replica} since {incarnation}"), group);
            history.changes.entry(key).or_default().insert(number, change);
        }
    }
}

async fn ask(client: &kube::Client, path: &str) -> Option<Value> {
    let request = http::Request::get(path).body(Vec::new()).unwrap();
    let asked = tokio::time::timeout(Duration::from_millis(500), client.request_text(request)).await;
    serde_json::from_str(&asked.ok()?.ok()?).ok()
}

/// The status that a gate answers to a health check with this method; `None` where it does not answer.
pub async fn check(client: &kube::Client, method: &str, path: &str) -> Option<u16> {
    let body = kube::client::Body::empty();
    let request = http::Request::builder().method(method).uri(path).body(body).unwrap();
    let asked = tokio::time::timeout(Duration::from_millis(500), client.send(request)).await;
    Some(asked.ok()?.ok()?.status().as_u16())
}
