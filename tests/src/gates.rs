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

/// When a site's gates answered 200 for a group under one epoch: all that has to be kept of a million answers.
#[derive(Clone, Copy, Debug)]
struct Yes {
    /// The first such answer was given before this.
    first_received: Instant,
    /// The last one was given after this.
    last_sent: Instant,
}

/// One gate process: a site's replica, and when it was started. One that was started again numbers from 1.
type Process = (String, u8, u64);

/// For how long a gate was active for a group, by its own transitions, in nanoseconds of the boot clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Span {
    from: u64,
    to: u64,
    epoch: u64,
}

/// A gate's own transitions for one group.
#[derive(Debug, Default)]
struct Spans {
    ended: Vec<Span>,
    /// It was still active when it was last asked.
    open: Option<Span>,
}

impl Spans {
    fn change(&mut self, at: u64, active: bool, epoch: u64) {
        self.ended.extend(self.open.take().map(|open| Span { to: at, ..open }));
        self.open = active.then_some(Span { from: at, to: at, epoch });
    }

    fn all(&self) -> impl Iterator<Item = Span> + '_ {
        self.ended.iter().copied().chain(self.open)
    }
}

#[derive(Debug, Default)]
struct History {
    /// By group, site and epoch.
    yes: BTreeMap<(String, String, u64), Yes>,
    transitions: BTreeMap<Process, BTreeMap<String, Spans>>,
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

    /// For how many groups every replica of a site that answers says active, and at least one does.
    #[must_use]
    pub fn count_active(&self, site: &str) -> usize {
        let history = self.history.lock().unwrap();
        let answers: Vec<_> = (0..2).filter_map(|replica| history.newest.get(&(site.to_owned(), replica))).collect();
        let groups: BTreeSet<&String> = answers.iter().flat_map(|answers| answers.keys()).collect();
        let all = |group: &&&String| answers.iter().filter_map(|of| of.get(**group)).all(|answer| answer.active);
        groups.iter().filter(all).count()
    }

    /// Fails if two sites were ever active for a group at one instant, by their answers or by their own transitions.
    pub fn assert_never_two(&self) {
        let history = self.history.lock().unwrap();
        assert!(history.asked > 0, "no gate was ever asked");
        for ((group, site, epoch), old) in &history.yes {
            // The last yes under each epoch, and the first under any later one of another site.
            let of =
                history.yes.range((group.clone(), String::new(), 0)..).take_while(|((other, ..), _)| other == group);
            for ((_, other, later), new) in of {
                if other != site && later >= epoch {
                    let apart = old.last_sent < new.first_received;
                    assert!(apart, "{group}: {site} answered 200 under epoch {epoch} after {other} had under {later}");
                }
            }
        }
        overlapping(&history);
        println!("{} answers of gates, {} epochs: never two at once", history.asked, history.yes.len());
    }
}

/// Compares the gates' own transitions, all on one boot clock.
fn overlapping(history: &History) {
    let mut spans: BTreeMap<&str, Vec<(Span, &str)>> = BTreeMap::new();
    for ((site, ..), groups) in &history.transitions {
        for (group, of) in groups {
            spans.entry(group).or_default().extend(of.all().map(|span| (span, site.as_str())));
        }
    }
    for (group, mut spans) in spans {
        spans.sort_unstable_by_key(|(span, _)| span.from);
        // Beside each, the span of another site that reaches furthest of those that began before it.
        let mut furthest: BTreeMap<&str, Span> = BTreeMap::new();
        for (span, site) in spans {
            for (other, before) in furthest.iter().filter(|(other, _)| **other != site) {
                let apart = before.to <= span.from;
                assert!(apart, "{group}: {other} and {site} were active at once: {before:?} {span:?}");
            }
            let reach = furthest.entry(site).or_insert(span);
            if span.to > reach.to {
                *reach = span;
            }
        }
    }
}

async fn record(client: kube::Client, site: String, replica: u8, history: Arc<Mutex<History>>) {
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let (mut process, mut known) = (0, 0);
    loop {
        ticks.tick().await;
        let sent = Instant::now();
        let active = ask(&client, "/active").await;
        let received = Instant::now();
        let transitions = ask(&client, &format!("/transitions?after={known}")).await;
        let mut history = history.lock().unwrap();
        history.asked += 1;
        history.answered(&site, replica, active.as_ref(), sent, received);
        let Some(transitions) = transitions else { continue };
        let started = transitions["startedNanos"].as_u64().unwrap();
        if started != process {
            // Another process answers: all of its transitions are new. They are asked for with the next tick.
            process = started;
            if std::mem::take(&mut known) > 0 {
                continue;
            }
        }
        known = history.moved((site.clone(), replica, process), known, &transitions);
    }
}

impl History {
    fn answered(&mut self, site: &str, replica: u8, active: Option<&Value>, sent: Instant, received: Instant) {
        let mut newest = BTreeMap::new();
        for entry in active.and_then(Value::as_array).into_iter().flatten() {
            let group = entry["group"].as_str().unwrap().to_owned();
            let answer = Answer {
                active: entry["active"] == true,
                epoch: entry["epoch"].as_u64().unwrap(),
                reason: entry["reason"].as_str().unwrap().to_owned(),
            };
            if answer.active {
                let first = Yes { first_received: received, last_sent: sent };
                let yes = self.yes.entry((group.clone(), site.to_owned(), answer.epoch)).or_insert(first);
                yes.first_received = yes.first_received.min(received);
                yes.last_sent = yes.last_sent.max(sent);
            }
            newest.insert(group, answer);
        }
        self.newest.insert((site.to_owned(), replica), newest);
    }

    /// Takes in transitions, and gives back the number of the last one.
    fn moved(&mut self, process: Process, known: u64, answer: &Value) -> u64 {
        let groups = self.transitions.entry(process).or_default();
        let mut last = known;
        for change in answer["transitions"].as_array().into_iter().flatten() {
            let number = change["number"].as_u64().unwrap();
            assert!(known == 0 || number == last + 1, "the gate forgot transitions between {last} and {number}");
            last = number;
            let (at, epoch) = (change["atNanos"].as_u64().unwrap(), change["epoch"].as_u64().unwrap());
            let group = change["group"].as_str().unwrap().to_owned();
            groups.entry(group).or_default().change(at, change["active"] == true, epoch);
        }
        let now = answer["nowNanos"].as_u64().unwrap();
        for open in groups.values_mut().filter_map(|spans| spans.open.as_mut()) {
            open.to = now;
        }
        last
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn change(number: u64, at: u64, active: bool) -> Value {
        json!({"number": number, "atNanos": at, "group": "g", "epoch": 1, "active": active})
    }

    fn moved(history: &mut History, site: &str, known: u64, now: u64, changes: &[Value]) -> u64 {
        history.moved((site.to_owned(), 0, 7), known, &json!({"nowNanos": now, "transitions": changes}))
    }

    fn two_at_once(history: &History) -> bool {
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| overlapping(history))).is_err()
    }

    #[test]
    fn one_after_the_other_is_well() {
        let mut history = History::default();
        let known = moved(&mut history, "dc-a", 0, 15, &[change(4, 10, true)]);
        moved(&mut history, "dc-a", known, 25, &[change(5, 20, false)]);
        moved(&mut history, "dc-b", 0, 99, &[change(1, 20, true)]);
        assert!(!two_at_once(&history));
    }

    #[test]
    fn what_is_still_open_lasts_until_it_was_last_asked() {
        let mut history = History::default();
        let known = moved(&mut history, "dc-a", 0, 15, &[change(1, 10, true)]);
        moved(&mut history, "dc-b", 0, 99, &[change(1, 20, true)]);
        assert!(!two_at_once(&history), "killed after 15");
        moved(&mut history, "dc-a", known, 21, &[]);
        assert!(two_at_once(&history));
    }

    #[test]
    fn a_short_span_within_a_long_one_is_found() {
        let mut history = History::default();
        moved(&mut history, "dc-a", 0, 99, &[change(1, 10, true), change(2, 90, false)]);
        moved(&mut history, "dc-b", 0, 99, &[change(1, 50, true), change(2, 51, false)]);
        assert!(two_at_once(&history));
    }

    #[test]
    fn a_yes_after_another_site_has_a_later_epoch_is_found() {
        let (mut history, begun) = (History::default(), Instant::now());
        let at = |millis| begun + Duration::from_millis(millis);
        let yes = |epoch| json!([{"group": "g", "active": true, "epoch": epoch, "reason": ""}]);
        history.asked = 3;
        history.answered("dc-a", 0, Some(&yes(1)), at(0), at(1));
        history.answered("dc-b", 0, Some(&yes(2)), at(5), at(6));
        history.answered("dc-a", 1, Some(&yes(1)), at(7), at(8));
        let recorder = Recorder { history: Arc::new(Mutex::new(history)), _tasks: JoinSet::new() };
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| recorder.assert_never_two())).is_err());
    }
}
