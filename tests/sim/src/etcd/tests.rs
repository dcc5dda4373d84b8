mod history;
mod register;

use self::register::Register;
use crate::engine::{MS, SECOND, Trace};
use crate::etcd::{Payload, Request};
use crate::net::{NodeId, Place};
use crate::run::{Run, case_of, describe, run};
use crate::schedule::{Case, Fault, Profile, Schedule, Who};
use crate::world::{Ctx, Happening, Violation, World};
use tandem_arbiter::txn::{Op, Txn};

/// How many random schedules the model has to bear.
const SEEDS: u64 = if cfg!(debug_assertions) { 150 } else { 5000 };

#[test]
fn the_model_keeps_etcds_promises_under_random_faults() {
    for seed in 0..SEEDS {
        let case = case_of::<Register>(seed);
        if run::<Register>(&case, &(), 0).violation.is_some() {
            panic!("{}", describe::<Register>(&case, &(), 200));
        }
    }
}

#[test]
fn the_same_case_gives_the_same_run() {
    let case = case_of::<Register>(5);
    let (one, two) = (run::<Register>(&case, &(), 10_000), run::<Register>(&case, &(), 10_000));
    assert!(one.events > 100);
    assert_eq!((one.events, one.at, one.trace), (two.events, two.at, two.trace));
}

/// When, at which endpoint, and whether it writes.
type Calls = Vec<(u64, usize, bool)>;

/// One client in `dc-a`, which writes or reads one key at given times and remembers what came back.
#[derive(Debug)]
struct Writer {
    calls: Calls,
    /// Request, instant, what was said.
    answers: Vec<(u64, u64, String)>,
}

impl World for Writer {
    type Event = u64;
    type Config = Calls;

    const NAME: &'static str = "writer";

    fn profile(_: u64) -> Profile {
        Profile::of(10 * SECOND)
    }

    fn build(ctx: &mut Ctx<u64>, _: &Case, calls: &Calls) -> Self {
        let host = ctx.ordinary_host(Place::A);
        let node = ctx.net_mut().add_node(host, "writer");
        ctx.cluster().audit();
        for (tag, (at, _, _)) in calls.iter().enumerate() {
            ctx.timer(node, *at, tag as u64);
        }
        Self { calls: calls.clone(), answers: Vec::new() }
    }

    fn handle(&mut self, ctx: &mut Ctx<u64>, node: NodeId, what: Happening<u64>) {
        match what {
            Happening::Event(tag) => {
                let (_, endpoint, writes) = self.calls[tag as usize];
                let op = if writes { Op::put("k", &tag) } else { Op::get("k") };
                ctx.etcd(node, endpoint, tag, Request::Txn(Txn { then: vec![op], ..Txn::default() }));
            }
            Happening::Answer(answer) => {
                let said = match answer.result {
                    Ok(Payload::Txn(txn)) => format!("ok {}", txn.revision),
                    Ok(_) => "range".to_owned(),
                    Err(failure) => format!("{failure:?}"),
                };
                self.answers.push((answer.tag, ctx.now(), said));
            }
            _ => {}
        }
    }

    fn check(&mut self, _: &Ctx<u64>) -> Result<(), Violation> {
        Ok(())
    }

    fn tell(&self, _: &Ctx<Self::Event>, out: &mut dyn std::fmt::Write) -> std::fmt::Result {
        write!(out, "{:?}", self.answers)
    }

    fn settle(&mut self, _: &Ctx<u64>) -> Result<(), Violation> {
        Ok(())
    }
}

fn written(seed: u64, schedule: Schedule, calls: &[(u64, usize, bool)]) -> Run<Writer> {
    let mut run = Run::new(Case { seed, noise: 0, schedule }, &calls.to_vec(), Trace::default());
    run.go(false).unwrap();
    run
}

/// Answers (request, instant, what), the store's last revision and the terms of its commits.
fn told(seed: u64, schedule: Schedule, calls: &[(u64, usize, bool)]) -> (Vec<(u64, u64, String)>, i64, Vec<u64>) {
    let run = written(seed, schedule, calls);
    let cluster = &run.ctx.clusters()[0];
    let terms = cluster.commits().iter().map(|commit| commit.term).collect();
    let revision = cluster.store().revision();
    (run.world.answers, revision, terms)
}

fn quiet() -> Schedule {
    Schedule::new(20 * SECOND, 30 * SECOND)
}

#[test]
fn a_write_is_answered_soon_and_without_a_quorum_never() {
    let (answers, revision, _) = told(1, quiet(), &[(SECOND, 0, true), (2 * SECOND, 1, false)]);
    assert_eq!(answers.len(), 2);
    assert!(answers[0].1 < SECOND + 300 * MS && answers[0].2 == "ok 2", "{answers:?}");
    assert_eq!((revision, answers[1].2.as_str()), (2, "ok 2"));
    // Witness and the other site are gone: nothing is written or read, until one is back.
    let lost = quiet().and(SECOND, 9 * SECOND, Fault::PowerOff(Place::B)).and(
        SECOND,
        30 * SECOND,
        Fault::PowerOff(Place::Witness),
    );
    for seed in 0..20 {
        let calls = [(4 * SECOND, 0, true), (4 * SECOND, 0, false), (14 * SECOND, 0, true)];
        let (answers, _, _) = told(seed, lost.clone(), &calls);
        assert!(answers.iter().all(|(_, at, _)| *at > 10 * SECOND), "{seed}: {answers:?}");
        assert!(answers.iter().any(|(tag, _, said)| *tag == 2 && said.starts_with("ok")), "{seed}: {answers:?}");
    }
}

#[test]
fn an_election_takes_about_a_second_and_a_new_term() {
    for seed in 0..20 {
        let killed = quiet().and(SECOND, 15 * SECOND, Fault::Crash(Who::EtcdLeader));
        let calls: Vec<_> = (0..60).map(|n| (500 * MS + n * 100 * MS, (n % 3) as usize, true)).collect();
        let (answers, _, terms) = told(seed, killed, &calls);
        assert!(terms.is_sorted() && terms.last() > terms.first(), "{terms:?}");
        let after = answers.iter().filter(|(_, at, said)| *at > 1100 * MS && said.starts_with("ok"));
        let first = after.map(|(_, at, _)| *at).min().unwrap();
        assert!((1200 * MS..4500 * MS).contains(&first), "{seed}: {first}");
    }
}

#[test]
fn a_stalled_leader_that_wakes_carries_out_late_or_not_at_all() {
    let (mut late, mut never) = (0, 0);
    for seed in 0..60 {
        let stalled = quiet().and(SECOND, 5 * SECOND, Fault::Pause(Who::EtcdLeader));
        // Written to each of the three: one of them is the stalled leader.
        let calls = [(2 * SECOND, 0, true), (2 * SECOND, 1, true), (2 * SECOND, 2, true)];
        let (answers, revision, _) = told(seed, stalled, &calls);
        let written = answers.iter().filter(|(_, _, said)| said.starts_with("ok")).count();
        assert!(written >= 2, "{seed}: the living ones pass on what waits for a leader: {answers:?}");
        late += usize::from(answers.iter().any(|(_, at, said)| *at > 6 * SECOND && said.starts_with("ok")));
        never += usize::from(revision == 3);
    }
    assert!(late > 5 && never > 5, "late {late}, never {never}");
}

#[test]
fn refusals_change_nothing_and_end() {
    let full = quiet().and(SECOND, 5 * SECOND, Fault::Full).and(SECOND, 5 * SECOND, Fault::Expired(1));
    let calls = [(2 * SECOND, 0, true), (2 * SECOND, 0, false), (2 * SECOND, 1, false), (8 * SECOND, 1, true)];
    let (mut answers, revision, _) = told(3, full, &calls);
    answers.sort();
    let said: Vec<&str> = answers.iter().map(|(_, _, said)| said.as_str()).collect();
    assert_eq!(said, ["NoSpace", "ok 1", "Certificate", "ok 2"]);
    assert_eq!(revision, 2);
}

#[test]
fn a_lost_answer_was_carried_out() {
    let lossy = quiet().and(SECOND, 5 * SECOND, Fault::LoseAnswers(1000));
    let (answers, revision, _) = told(3, lossy, &[(2 * SECOND, 0, true)]);
    assert_eq!((answers.len(), revision), (0, 2));
}

#[test]
fn a_restored_cluster_has_another_id_and_a_fork_lives_beside_the_old_one() {
    let ids = |fault| {
        let schedule = quiet().and(SECOND, 0, Fault::Backup).and(5 * SECOND, 0, fault);
        let run = written(4, schedule, &[(2 * SECOND, 0, true), (9 * SECOND, 0, true), (9 * SECOND, 1, true)]);
        let clusters = run.ctx.clusters();
        let revisions: Vec<i64> = clusters.iter().map(|cluster| cluster.store().revision()).collect();
        (clusters[0].id() == clusters[1].id(), revisions, run.world.answers.len())
    };
    let (same, revisions, answered) = ids(Fault::Restore);
    assert!(!same);
    assert_eq!((revisions, answered), (vec![2, 3], 3), "the backup is older than the first write");
    let (same, revisions, answered) = ids(Fault::Fork(0));
    assert!(same, "which is why it is forbidden");
    assert_eq!((revisions, answered), (vec![3, 3], 3), "both take writes");
}
