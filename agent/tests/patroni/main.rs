//! Two sites with PostgreSQL under Patroni, on loopback: moves, their abortion half-way, a loss of power and the way back.
//! Needs Debian's `patroni`, `postgresql-15` and `etcd-server`, and root (or the OS user postgres).
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod certs;
mod gate;
mod process;
mod switch;
mod world;
mod writer;

use std::collections::BTreeSet;
use tandem_arbiter::hooks::Call;
use tandem_core::failover::{Role, Token};
use world::{Member, PATIENCE, World, until};
use writer::Writer;

fn token(epoch: u64, step: u32) -> Token {
    Token { generation: 1, epoch, execution: 7, step }
}

/// The numbers that a database has.
fn numbers(member: &Member) -> BTreeSet<i64> {
    let list = member.psql("app", "SELECT number FROM ledger.entries").unwrap();
    list.lines().map(|line| line.parse().unwrap()).collect()
}

/// Waits until the writer was told of more.
async fn writes(writer: &Writer) {
    let before = writer.count();
    until("writes are accepted", || async { (writer.count() > before + 3).then_some(()) }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_planned_move_loses_nothing_and_can_be_taken_back_from_every_step() {
    let world = World::start(1).await;
    let (a, b) = (&world.a, &world.b);
    let writer = Writer::start(&world);
    writes(&writer).await;
    let source = [(Call::Quiesce, Role::Quiesced), (Call::FinalSync, Role::Quiesced), (Call::Demote, Role::Standby)];
    let mut step = 1;
    for last in 1..=source.len() {
        a.gate.say(false, true, token(1, step));
        for (call, role) in source.into_iter().take(last) {
            step += 1;
            let answer = world.call(a, call, token(1, step)).await.unwrap();
            assert_eq!(answer.state.role, role, "{call:?}");
        }
        let before = writer.count();
        step += 1;
        let answer = world.call(a, Call::Resume, token(1, step)).await.unwrap();
        assert_eq!(answer.state.role, Role::Active);
        assert_eq!(writer.count(), before, "nothing is accepted while the gate says no");
        a.gate.say(true, true, token(1, step));
        writes(&writer).await;
        world.protected().await;
    }
    let old = world.call(a, Call::Quiesce, token(1, step - 1)).await.unwrap_err();
    assert_eq!((old.0, old.1["seen"]["step"].as_u64()), (409, Some(u64::from(step))));
    // The move itself, as the operators make it.
    let began = std::time::Instant::now();
    a.gate.say(false, true, token(1, step));
    world.call(a, Call::Quiesce, token(1, step + 1)).await.unwrap();
    let last = world.call(a, Call::FinalSync, token(1, step + 2)).await.unwrap().state.position.unwrap();
    until("the target has everything", || async { (world.state(b).await?.state.position >= Some(last)).then_some(()) })
        .await;
    world.call(a, Call::Demote, token(1, step + 3)).await.unwrap();
    let fenced = world.call(a, Call::Fence, token(1, step + 4)).await.unwrap();
    assert_eq!(fenced.state.role, Role::Standby, "a standby stays one");
    a.gate.say(false, false, token(1, step + 4));
    b.gate.say(false, true, token(2, step + 5));
    let answer = world.call(b, Call::Promote, token(2, step + 5)).await.unwrap();
    assert_eq!(answer.state.role, Role::Active);
    b.gate.say(true, true, token(2, step + 5));
    println!("moved after {} ms", began.elapsed().as_millis());
    writes(&writer).await;
    let (told, gap) = writer.stop().await;
    println!("the client was told of nothing for {} ms", gap.as_millis());
    let kept = numbers(&b.members[0]);
    let lost: Vec<_> = told.iter().filter(|number| !kept.contains(number)).collect();
    assert!(lost.is_empty(), "lost: {lost:?}");
    world.protected().await;
    let follows = world.state(a).await.unwrap();
    assert_eq!(follows.state.dropped, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_site_that_lost_its_power_stays_passive_when_it_is_back_and_says_what_it_throws_away() {
    let mut world = World::start(1).await;
    let writer = Writer::start(&world);
    writes(&writer).await;
    // The standby is cut off, so that there is something to be lost.
    world.a.cut.send_replace(true);
    until("nothing comes any more", || async {
        let receivers =
            world.b.members[0].psql("postgres", "SELECT count(*) FROM pg_stat_wal_receiver WHERE status = 'streaming'");
        (receivers.as_deref() == Ok("0")).then_some(())
    })
    .await;
    writes(&writer).await;
    world.a.power_off();
    let before = world.state(&world.b).await.unwrap().state;
    assert!(before.lag_millis.is_some(), "it says what it last knew");
    let (told, _) = writer.stop().await;
    // The gate is still closed: Patroni asks it, and leaves it.
    world.a.cut.send_replace(false);
    let promoting = world.call(&world.b, Call::Promote, token(2, 1));
    assert!(tokio::time::timeout(std::time::Duration::from_secs(3), promoting).await.is_err());
    assert_eq!(world.b.members[0].psql("postgres", "SELECT pg_is_in_recovery()").as_deref(), Ok("t"));
    world.b.gate.say(false, true, token(2, 1));
    world.call(&world.b, Call::Promote, token(2, 1)).await.unwrap();
    world.b.gate.say(true, true, token(2, 1));
    until("it says that nobody follows", || async {
        world.state(&world.b).await?.why.filter(|why| why.contains("does not stream"))
    })
    .await;
    let kept = numbers(&world.b.members[0]);
    let lost = told.iter().filter(|number| !kept.contains(number)).count();
    assert!(lost > 0);
    let writer = Writer::start(&world);
    world.power_on_a().await;
    // Nobody tells it anything: it must not take writes, nor lead.
    until("its database runs", || async { world.a.members[0].psql("postgres", "SELECT pg_is_in_recovery()").ok() })
        .await;
    until("Patroni has asked the gate", || async {
        world.a.members[0].patroni_log().contains("pre_promote").then_some(())
    })
    .await;
    assert_eq!(world.a.members[0].psql("postgres", "SELECT pg_is_in_recovery()").as_deref(), Ok("t"));
    let fenced = world.call(&world.a, Call::Fence, token(2, 2)).await.unwrap();
    assert_eq!(fenced.state.role, Role::Fenced);
    world.call(&world.a, Call::Demote, token(2, 3)).await.unwrap();
    world.protected().await;
    let dropped = until("what is gone is said", || async { world.state(&world.a).await?.state.dropped }).await;
    println!("{lost} acknowledged writes lost; {dropped:?}");
    assert!(dropped.transactions.unwrap() >= u64::try_from(lost).unwrap(), "each was a transaction");
    assert!(dropped.from < dropped.to && dropped.first_commit.is_some());
    writer.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_leads_inside_the_site_acts_and_every_agent_knows_the_highest_token() {
    let world = World::start(2).await;
    let (a, b) = (&world.a, &world.b);
    world.call(a, Call::Quiesce, token(1, 1)).await.unwrap();
    world.call(a, Call::Resume, token(1, 2)).await.unwrap();
    world.switch_inside_a(0, 1).await;
    until("the other leads", || async {
        (a.members[1].psql("postgres", "SELECT pg_is_in_recovery()").as_deref() == Ok("f")).then_some(())
    })
    .await;
    let old = world.call(a, Call::Quiesce, token(1, 1)).await.unwrap_err();
    assert_eq!(old.0, 409, "it was told to both");
    world.protected().await;
    let mut last = None;
    for (step, call) in (3..).zip([Call::Quiesce, Call::FinalSync, Call::Demote, Call::Fence]) {
        let answer = world.call(a, call, token(1, step)).await.unwrap();
        last = if call == Call::FinalSync { answer.state.position } else { last };
        if call == Call::FinalSync {
            until("the target has everything", || async {
                (world.state(b).await?.state.position >= last).then_some(())
            })
            .await;
        }
    }
    a.gate.say(false, false, token(1, 6));
    b.gate.say(false, true, token(2, 7));
    world.call(b, Call::Promote, token(2, 7)).await.unwrap();
    b.gate.say(true, true, token(2, 7));
    world.protected().await;
    let timelines =
        a.members.iter().map(|member| member.psql("postgres", "SELECT received_tli FROM pg_stat_wal_receiver"));
    let timelines: BTreeSet<_> = timelines.map(Result::unwrap).collect();
    assert_eq!(timelines.len(), 1, "every member is on the new timeline, within {} s", PATIENCE.as_secs());
}
