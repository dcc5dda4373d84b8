//! Power-offs, partitions and switchovers of the ledger, under writes.

use crate::plain::Plain;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use tandem_tests::ledger::{Ledger, Writers, Written};
use tandem_tests::measured::{Round, Rounds};
use tandem_tests::sites::Sites;
use tandem_tests::{eventually, failovers, fixtures};

/// The group, and the lab's PostgreSQL clusters of that name.
const GROUP: &str = "ledger";
/// How many clients write at once.
pub(crate) const CLIENTS: usize = 4;
/// For how long is written before something happens, and after it is over.
pub(crate) const STEADY: Duration = Duration::from_secs(3);
/// How long anything may take at most.
pub(crate) const PATIENCE: Duration = Duration::from_secs(240);

/// What happens to the site that is active.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// It loses its power.
    PowerOff,
    /// It is cut off from everybody.
    Partition,
}

impl Fault {
    fn name(self) -> &'static str {
        match self {
            Self::PowerOff => "power-off",
            Self::Partition => "partition",
        }
    }

    fn stage(self, sites: &Sites) {
        sites.lab.run(match self {
            Self::PowerOff => &["power-off", "dc-a"],
            Self::Partition => &["cut", "dc-a"],
        });
    }

    fn mend(self, sites: &Sites) {
        sites.lab.run(match self {
            Self::PowerOff => &["power-on", "dc-a"],
            Self::Partition => &["heal"],
        });
    }
}

/// Does what is missing of so many rounds at this `T`: each fault is followed by a switchover home.
pub(crate) async fn run(rounds: &mut Rounds, t: u64, power_offs: usize, partitions: usize) {
    let wanted = [(Fault::PowerOff, power_offs), (Fault::Partition, partitions)];
    let plain_wanted = partitions.min(power_offs);
    let missing = |rounds: &Rounds| {
        wanted.iter().find(|(fault, count)| rounds.count(t, fault.name()) < *count).map(|(fault, _)| *fault)
    };
    if missing(rounds).is_none() && rounds.count(t, "plain power-off") >= plain_wanted {
        return;
    }
    let (heartbeat, ttl) = (format!("heartbeatSeconds={}", t as f64 / 5.0), t.to_string());
    let own = ["--set", &heartbeat, "--ledger", GROUP, "--spread-postgres", "--spread-ttl", &ttl];
    let sites = Sites::start("bench", &own).await;
    let city = Ledger::new(sites.lab.port(&format!("entry/{GROUP}")));
    home(&sites).await;
    while let Some(fault) = missing(rounds) {
        let round = lose(&sites, &city, fault, t).await;
        print(&round);
        rounds.keep(round).unwrap();
        let round = go_home(&sites, &city, t).await;
        print(&round);
        rounds.keep(round).unwrap();
        sites.gates.assert_never_two();
    }
    let plain = Plain::of(&sites.lab);
    while rounds.count(t, "plain power-off") < plain_wanted {
        let round = plain.lose(&sites, t).await;
        print(&round);
        rounds.keep(round).unwrap();
    }
}

fn print(round: &Round) {
    let figures: Vec<String> = round.figures.iter().map(|(name, value)| format!("{name} {value:.0}")).collect();
    println!("T = {} s, {}: {}", round.t, round.kind, figures.join(", "));
}

/// Waits until the ledger and `platform` are at dc-a, and would survive its loss.
async fn home(sites: &Sites) {
    sites.protected_within(GROUP, PATIENCE).await;
    for group in ["platform", GROUP] {
        if sites.settled(group).await != "dc-a" {
            switch(sites, group).await;
        }
    }
    sites.protected_within(GROUP, PATIENCE).await;
}

async fn switch(sites: &Sites, group: &str) -> Value {
    let name = format!("home-{}", millis_of_day());
    let wish = fixtures::failover(&name, "Switchover", "dc-a", &json!({"groups": [group]}));
    sites.ask("dc-b", &wish, "Completed").await.data["status"].clone()
}

fn millis_of_day() -> u128 {
    std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis()
}

/// dc-a is lost, and comes back as the standby.
async fn lose(sites: &Sites, city: &Ledger, fault: Fault, t: u64) -> Round {
    let begins = format!("{}-{}", fault.name(), millis_of_day());
    let epoch = sites.gates.answers("dc-a", GROUP)[0].epoch;
    let writers = Writers::start(city, &begins, CLIENTS);
    steady(&writers).await;
    let (at, wall) = (Instant::now(), jiff::Timestamp::now());
    fault.stage(sites);
    eventually("dc-b to be active", PATIENCE, || async { sites.gates.is_active("dc-b", GROUP).then_some(()) }).await;
    let first = eventually("dc-b to take writes", PATIENCE, || async { writers.first_after(at + half(t)) }).await;
    steady(&writers).await;
    let written = writers.stop().await;
    let answers = sites.gates.answers("dc-b", GROUP);
    assert!(answers.iter().all(|answer| answer.epoch == epoch + 1), "one epoch more, and no other: {answers:?}");
    let entries = eventually("the ledger to be read", PATIENCE, || city.entries(&begins)).await;
    let report = report(sites).await;
    let mut figures = of_writes(&written, &entries);
    figures.insert("firstAcceptedMillis".into(), millis(first - at));
    for (figure, step) in [("fencedMillis", "Fencing"), ("decidedMillis", "EpochCommitted")] {
        if let Some(ended) = ended(&report, step) {
            figures.insert(figure.into(), (ended.as_millisecond() - wall.as_millisecond()) as f64);
        }
    }
    let mended = Instant::now();
    fault.mend(sites);
    sites.protected_within(GROUP, PATIENCE).await;
    figures.insert("protectedAgainMillis".into(), millis(mended.elapsed()));
    Round { t, kind: fault.name().into(), figures }
}

/// The way home, as planned.
async fn go_home(sites: &Sites, city: &Ledger, t: u64) -> Round {
    if sites.settled("platform").await != "dc-a" {
        switch(sites, "platform").await;
    }
    let begins = format!("switchover-{}", millis_of_day());
    let writers = Writers::start(city, &begins, CLIENTS);
    steady(&writers).await;
    let status = switch(sites, GROUP).await;
    steady(&writers).await;
    let written = writers.stop().await;
    let entries = eventually("the ledger to be read", PATIENCE, || city.entries(&begins)).await;
    let mut figures = of_writes(&written, &entries);
    assert_eq!(figures["lost"], 0.0, "a planned move loses nothing");
    if let Some(rto) = status["rtoSeconds"].as_f64() {
        figures.insert("refusedByGateMillis".into(), rto * 1000.0);
    }
    sites.protected_within(GROUP, PATIENCE).await;
    Round { t, kind: "switchover".into(), figures }
}

/// What was sent before half of `T` has passed may still be the lost site's to answer.
fn half(t: u64) -> Duration {
    Duration::from_millis(t * 500)
}

async fn steady(writers: &Writers) {
    let before = writers.accepted();
    tokio::time::sleep(STEADY).await;
    eventually("writes to be accepted", PATIENCE, || async { (writers.accepted() > before).then_some(()) }).await;
}

pub(crate) fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

pub(crate) fn of_writes(written: &Written, entries: &[tandem_tests::ledger::Entry]) -> BTreeMap<String, f64> {
    let missing = written.missing(entries);
    // From the first acknowledged write that is missing to the last: how much time is lost.
    let span = match (missing.first(), missing.last()) {
        (Some(first), Some(last)) => last.answered - first.answered,
        _ => Duration::ZERO,
    };
    BTreeMap::from([
        ("accepted".into(), written.accepted().count() as f64),
        ("longestGapMillis".into(), millis(written.longest_gap())),
        ("lost".into(), missing.len() as f64),
        ("lostSpanMillis".into(), millis(span)),
    ])
}

/// The ledger's part of the newest unplanned failover, as dc-b shows it.
async fn report(sites: &Sites) -> Value {
    let api = failovers(&sites.client("dc-b").await);
    eventually("the failover to have ended", PATIENCE, || async {
        let list = api.list(&kube::api::ListParams::default()).await.ok()?.items;
        let unplanned = list.into_iter().filter(|object| object.data["spec"]["type"] == "Failover");
        let newest = unplanned.max_by_key(|object| object.metadata.creation_timestamp.clone().map(|time| time.0))?;
        let status = &newest.data["status"];
        let group = status["groups"].as_array()?.iter().find(|group| group["name"] == GROUP)?.clone();
        (status["phase"] == "Completed").then_some(group)
    })
    .await
}

fn ended(group: &Value, step: &str) -> Option<jiff::Timestamp> {
    let steps = group["steps"].as_array()?;
    steps.iter().find(|found| found["step"] == step)?["ended"].as_str()?.parse().ok()
}
