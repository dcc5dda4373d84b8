//! One look, one thing to do.

use crate::failover::Role;
use crate::patroni::{
    Access, Change, Database, Member, Next, Order, Picture, Rank, Refusal, Settings, Standing, Wanted, Why,
    comparable_timeline, left_behind, members, next, position, role, speaks,
};
use serde_json::json;

fn member(name: &str, rank: Rank) -> Member {
    Member { name: name.into(), rank, running: true, timeline: Some(3), url: format!("https://{name}") }
}

const OPEN: Settings = Settings { paused: false, standby: false, access: Access::Open, marked: false };
const CLOSED: Settings = Settings { paused: true, standby: false, access: Access::Closed, marked: false };
const FOLLOWS: Settings = Settings { paused: false, standby: true, access: Access::Open, marked: false };
const CLEAN: Database = Database::Stopped { clean: true, checkpoint: 99 };
const PRIMARY: Database = Database::Primary { flushed: 100 };
const REPLAYS: Database = Database::Recovery { replayed: 90, streams: Some(3) };

/// The member `a`, which leads, takes writes, and has two sessions.
fn active() -> Picture {
    Picture {
        name: "a".into(),
        settings: Some(OPEN),
        members: Some(vec![member("a", Rank::Leader), member("b", Rank::Replica)]),
        pause_seen: false,
        database: PRIMARY,
        access_in_force: true,
        followed: true,
        access_overdue: false,
        sessions: 2,
        gate_closed: false,
        standing: Standing::default(),
    }
}

fn nobody(picture: Picture) -> Picture {
    Picture { members: Some(vec![member("a", Rank::Replica), member("b", Rank::Replica)]), ..picture }
}

fn stopped() -> Picture {
    let standing = Standing { stopped: true, ..Standing::default() };
    nobody(Picture { settings: Some(CLOSED), pause_seen: true, database: CLEAN, sessions: 0, standing, ..active() })
}

fn standby() -> Picture {
    Picture { settings: Some(FOLLOWS), database: REPLAYS, sessions: 0, ..active() }
}

#[test]
fn a_replica_that_its_leader_left_on_an_old_timeline_is_seen() {
    let old = |name: &str, rank| Member { timeline: Some(2), ..member(name, rank) };
    let behind = Picture {
        members: Some(vec![old("a", Rank::Replica), member("b", Rank::Leader)]),
        database: Database::Recovery { replayed: 90, streams: None },
        ..standby()
    };
    assert!(left_behind(&behind));
    let level = Some(vec![member("a", Rank::Replica), member("b", Rank::Leader)]);
    let nobody_leads = Some(vec![old("a", Rank::Replica), member("b", Rank::Replica)]);
    let no_word = Some(vec![Member { timeline: None, ..old("a", Rank::Replica) }, member("b", Rank::Leader)]);
    for members in [level, nobody_leads, no_word, None] {
        assert!(!left_behind(&Picture { members, ..behind.clone() }));
    }
    // Where Patroni rewinds by itself, or was told to hold still, it is left alone.
    assert!(!left_behind(&Picture { settings: Some(OPEN), ..behind.clone() }));
    assert!(!left_behind(&Picture { settings: Some(Settings { paused: true, ..FOLLOWS }), ..behind.clone() }));
    assert!(!left_behind(&Picture { database: PRIMARY, ..behind }));
}

#[test]
fn quiesce_closes_the_door_before_it_ends_sessions() {
    let mut picture = active();
    let step = |picture: &Picture| next(Order::Quiesce, picture);
    assert_eq!(step(&picture), Next::Change(Change::Close));
    picture.settings = Some(Settings { paused: true, ..OPEN });
    assert_eq!(step(&picture), Next::Change(Change::Close), "somebody else had paused it");
    picture.settings = Some(CLOSED);
    assert_eq!(step(&picture), Next::Wait(Why::Pause));
    picture.pause_seen = true;
    picture.access_in_force = false;
    assert_eq!(step(&picture), Next::Reload);
    picture.access_in_force = true;
    assert_eq!(step(&picture), Next::EndSessions);
    picture.sessions = 0;
    assert_eq!(step(&picture), Next::Done);
    assert_eq!((role(&picture), speaks(&picture)), (Role::Quiesced, true));
}

#[test]
fn the_database_is_stopped_only_once_nobody_can_write_and_patroni_will_not_start_it() {
    let quiet = Picture { settings: Some(CLOSED), pause_seen: true, sessions: 0, ..active() };
    let step = |picture: &Picture| next(Order::FinalSync, picture);
    assert_eq!(step(&quiet), Next::StopDatabase);
    assert_eq!(step(&active()), Next::Refuse(Refusal::NotQuiesced));
    assert_eq!(step(&standby()), Next::Refuse(Refusal::Follows));
    assert_eq!(step(&Picture { pause_seen: false, ..quiet.clone() }), Next::Wait(Why::Pause));
    assert_eq!(step(&Picture { sessions: 1, ..quiet.clone() }), Next::EndSessions);
    assert_eq!(step(&Picture { access_in_force: false, ..quiet.clone() }), Next::Reload);
    // Whoever follows has just lost its connection: it would wait for good for what it was not sent.
    assert_eq!(step(&Picture { followed: false, ..quiet.clone() }), Next::Wait(Why::Follower));
    let crashed = Database::Stopped { clean: false, checkpoint: 99 };
    assert_eq!(step(&nobody(Picture { database: crashed, ..quiet })), Next::Wait(Why::Crashed));
    assert_eq!(step(&stopped()), Next::Done);
    assert_eq!((role(&stopped()), position(&stopped()), speaks(&stopped())), (Role::Quiesced, Some(100), true));
    let other = Picture { name: "b".into(), database: REPLAYS, standing: Standing::default(), ..stopped() };
    assert!(!speaks(&other), "the one that was stopped does");
}

#[test]
fn demote_is_done_without_waiting_for_the_start_but_not_while_it_is_a_primary() {
    let step = |picture: &Picture| next(Order::Demote, picture);
    assert_eq!(step(&stopped()), Next::Change(Change::Follow));
    let told = Picture { settings: Some(FOLLOWS), ..stopped() };
    assert_eq!(step(&told), Next::Done);
    assert_eq!((role(&told), speaks(&told)), (Role::Standby, true));
    let paused = Settings { paused: true, ..FOLLOWS };
    assert_eq!(step(&Picture { settings: Some(paused), ..told }), Next::Change(Change::Follow));
    let still = Picture { settings: Some(FOLLOWS), ..active() };
    assert_eq!((step(&still), role(&still)), (Next::Wait(Why::StillPrimary), Role::Unknown));
    let alone = nobody(Picture { settings: Some(FOLLOWS), database: REPLAYS, ..active() });
    assert_eq!(step(&alone), Next::Wait(Why::Leader));
}

#[test]
fn promote_sends_all_in_one_body_and_ends_when_applications_get_in() {
    let step = |picture: &Picture| next(Order::Promote, picture);
    assert_eq!(step(&standby()), Next::Change(Change::Serve));
    let told = Picture { settings: Some(OPEN), ..standby() };
    assert_eq!((step(&told), role(&told)), (Next::Wait(Why::Promotion), Role::Unknown));
    let out = Picture { access_in_force: false, ..active() };
    assert_eq!(step(&out), Next::Reload);
    assert_eq!(step(&active()), Next::Done);
    let shut = Settings { access: Access::Closed, ..OPEN };
    assert_eq!(step(&Picture { settings: Some(shut), ..active() }), Next::Change(Change::Serve));
    assert_eq!(step(&nobody(active())), Next::Wait(Why::Leader));
    assert_eq!(next(Order::Resume, &stopped()), Next::Change(Change::Serve));
}

#[test]
fn a_list_that_patroni_took_in_and_did_not_write_is_told_in_another_text_each_time() {
    let late = Picture { access_in_force: false, access_overdue: true, ..active() };
    let again = |marked| Next::Change(Change::Rewrite { closed: false, marked });
    assert_eq!(next(Order::Resume, &late), again(true));
    let marked = Settings { marked: true, ..OPEN };
    assert_eq!(next(Order::Promote, &Picture { settings: Some(marked), ..late.clone() }), again(false));
    let quiet = Picture { settings: Some(CLOSED), pause_seen: true, ..late };
    assert_eq!(next(Order::Quiesce, &quiet), Next::Change(Change::Rewrite { closed: true, marked: true }));
}

#[test]
fn a_fence_needs_no_patroni_and_a_standby_stays_one() {
    let blind = Picture { settings: None, members: None, ..active() };
    assert_eq!(next(Order::Fence, &blind), Next::Fence);
    let shut = Picture { gate_closed: true, ..blind };
    assert_eq!(next(Order::Fence, &shut), Next::EndSessions);
    assert_eq!(next(Order::Fence, &Picture { sessions: 0, ..shut.clone() }), Next::Done);
    let unclear = Picture { database: Database::Unknown, sessions: 0, ..shut };
    assert_eq!(next(Order::Fence, &unclear), Next::Wait(Why::Database));
    let none = Standing::default();
    assert!(none.before(&Next::Fence, Order::Fence, Role::Active).fenced);
    assert!(!none.before(&Next::Fence, Order::Fence, Role::Standby).fenced);
    assert!(!none.before(&Next::Fence, Order::TemporaryFence, Role::Active).fenced);
    let fenced = Picture { standing: Standing { fenced: true, ..none }, ..active() };
    assert_eq!((role(&fenced), speaks(&fenced)), (Role::Fenced, true));
    // One that came while it was being rewound, after the demote: it follows all the same.
    let rewound = Picture { standing: Standing { fenced: true, ..none }, ..standby() };
    assert_eq!((role(&rewound), comparable_timeline(&rewound)), (Role::Standby, Some(3)));
    // Until it follows, it says what it was told.
    assert_eq!((role(&nobody(rewound)), role(&nobody(standby()))), (Role::Fenced, Role::Unknown));
}

#[test]
fn a_site_that_came_back_without_a_leader_has_one_voice() {
    let back = nobody(Picture { database: REPLAYS, ..active() });
    let voice = |name: &str| speaks(&Picture { name: name.into(), ..back.clone() });
    assert_eq!((voice("a"), voice("b")), (true, false));
    assert_eq!(role(&back), Role::Unknown);
    assert_eq!(next(Order::Demote, &back), Next::Change(Change::Follow));
    // It lost its power half-way through a planned move: paused, closed, and one of them stopped for the final sync.
    let fenced = |name: &str, stopped| {
        let standing = Standing { fenced: true, stopped, demoted: false };
        Picture { name: name.into(), standing, ..self::stopped() }
    };
    assert_eq!((speaks(&fenced("a", false)), speaks(&fenced("b", true))), (true, false));
}

#[test]
fn without_patroni_nothing_but_a_fence_is_done_and_nothing_is_claimed() {
    let blind = Picture { settings: None, members: None, ..active() };
    for order in [Order::Quiesce, Order::FinalSync, Order::Demote, Order::Promote, Order::Resume] {
        assert_eq!(next(order, &blind), Next::Wait(Why::Patroni));
    }
    assert_eq!(role(&blind), Role::Unknown);
}

#[test]
fn a_lag_is_known_only_when_every_member_is_on_the_timeline_that_streams() {
    assert_eq!(comparable_timeline(&standby()), Some(3));
    let with = |timeline, running| {
        let other = Member { timeline, running, ..member("b", Rank::Replica) };
        comparable_timeline(&Picture { members: Some(vec![member("a", Rank::Leader), other]), ..standby() })
    };
    assert_eq!(
        (with(Some(3), true), with(Some(2), true), with(None, true), with(Some(3), false)),
        (Some(3), None, None, None)
    );
    let cut = Database::Recovery { replayed: 90, streams: None };
    assert_eq!(comparable_timeline(&Picture { database: cut, ..standby() }), None);
    assert_eq!(comparable_timeline(&active()), None);
}

#[test]
fn what_was_stopped_is_forgotten_once_it_runs_and_not_before() {
    assert!(stopped().settled().stopped);
    let runs = Picture { standing: Standing { stopped: true, demoted: true, fenced: false }, ..standby() };
    assert_eq!(runs.settled(), Standing::default());
    let quiet = Picture { settings: Some(CLOSED), ..Picture { standing: runs.standing, ..active() } };
    assert!(quiet.settled().stopped, "it may be going down");
}

fn wanted() -> Wanted {
    Wanted {
        always: vec!["local all postgres peer".into()],
        open: vec!["hostssl app app all scram-sha-256".into()],
        standby: json!({"host": "10.0.0.1"}),
        most_lag: 1 << 20,
    }
}

#[test]
fn the_configuration_is_read_as_it_is_written() {
    let (wanted, mut config) = (wanted(), json!({"ttl": 20}));
    let read = |config: &serde_json::Value| wanted.settings(config).unwrap();
    assert_eq!(read(&config), Settings { paused: false, standby: false, access: Access::Other, marked: false });
    let expected = [
        (Change::Serve, OPEN),
        (Change::Close, CLOSED),
        (Change::Follow, Settings { paused: false, standby: true, access: Access::Closed, marked: false }),
        (Change::Serve, OPEN),
        (Change::Rewrite { closed: false, marked: true }, Settings { marked: true, ..OPEN }),
        (Change::Rewrite { closed: false, marked: false }, OPEN),
    ];
    for (change, becomes) in expected {
        // As Patroni does: what is null goes.
        for (field, value) in wanted.body(change).as_object().unwrap() {
            config[field] = value.clone();
        }
        assert_eq!(read(&config), becomes, "{change:?}");
        let lag = config["maximum_lag_on_failover"].as_u64();
        assert!(lag.is_none_or(|lag| (lag > 1 << 50) == becomes.standby), "who was rewound may lead what only follows");
    }
    assert_eq!(wanted.access(&["local  all postgres\tpeer", "hostssl app app all scram-sha-256"]), Access::Open);
    assert!(wanted.settings(&json!([])).is_err());
    assert!(wanted.settings(&json!({"pause": "yes"})).is_err(), "doubtful is no");
}

#[test]
fn the_members_are_read() {
    let said = json!({"members": [
        {"name": "a", "role": "standby_leader", "state": "running", "timeline": 3, "api_url": "https://a:8008/patroni"},
        {"name": "b", "role": "replica", "state": "starting", "lag": "unknown", "api_url": "https://b:8008/patroni"}]});
    let read = members(&said).unwrap();
    assert_eq!(read[0], Member { url: "https://a:8008".into(), ..member("a", Rank::Leader) });
    assert_eq!((read[1].rank, read[1].running, read[1].timeline), (Rank::Replica, false, None));
    assert!(members(&json!({"members": [{"name": "a"}]})).is_err());
}
