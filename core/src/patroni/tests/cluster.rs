//! A small cluster of two members that takes each step, and Patroni beside it: whatever happened before, a call ends in its role.

use crate::failover::Role;
use crate::patroni::{
    Access, Change, Database, Member, Next, Order, Picture, Rank, Settings, Standing, next, position, role, speaks,
};
use proptest::prelude::*;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Runs {
    Primary,
    Recovery,
    Stopped { clean: bool },
}

#[derive(Clone, Debug)]
struct One {
    runs: Runs,
    up: bool,
    pause_seen: bool,
    access_in_force: Access,
    sessions: u32,
    /// Of them, those that were there when the gate file was closed. Later ones find it closed.
    old: u32,
    /// By which fence. An agent closes it anew for each call.
    gate_closed: Option<Order>,
    standing: Standing,
}

#[derive(Clone, Debug)]
struct Cluster {
    settings: Settings,
    leader: Option<usize>,
    ones: [One; 2],
    /// What `pre_promote` asks.
    promotable: bool,
    written: u64,
    /// Out of recovery since the last order to become active: nothing else may promote.
    promotions: u32,
}

/// What happens by itself or by bad luck.
#[derive(Clone, Copy, Debug)]
enum Event {
    /// Patroni's loop on a member.
    Loop(usize),
    /// A client connects, where it may.
    Connect(usize),
    /// A database dies.
    Crash(usize),
    /// Leadership moves, where Patroni allows it.
    Switch,
    /// An agent looks and takes one step of an order.
    Step(usize, Order),
}

impl Cluster {
    fn new(standby: bool) -> Self {
        let one = |runs| One {
            runs,
            up: true,
            pause_seen: false,
            access_in_force: Access::Open,
            sessions: 0,
            old: 0,
            gate_closed: None,
            standing: Standing::default(),
        };
        Self {
            settings: Settings { paused: false, standby, access: Access::Open, marked: false },
            leader: Some(0),
            ones: [one(if standby { Runs::Recovery } else { Runs::Primary }), one(Runs::Recovery)],
            promotable: true,
            written: 100,
            promotions: 0,
        }
    }

    fn picture(&self, at: usize) -> Picture {
        let one = &self.ones[at];
        let name = |at: usize| format!("m{at}");
        let member = |at: usize| Member {
            name: name(at),
            rank: if self.leader == Some(at) { Rank::Leader } else { Rank::Replica },
            running: !matches!(self.ones[at].runs, Runs::Stopped { .. }),
            timeline: Some(1),
            url: name(at),
        };
        Picture {
            name: name(at),
            settings: Some(self.settings),
            members: Some(vec![member(0), member(1)]),
            pause_seen: one.pause_seen,
            database: match one.runs {
                Runs::Primary => Database::Primary { flushed: self.written },
                Runs::Recovery => Database::Recovery { replayed: self.written, streams: Some(1) },
                Runs::Stopped { clean } => Database::Stopped { clean, checkpoint: self.written },
            },
            access_in_force: one.access_in_force == self.settings.access,
            followed: true,
            access_overdue: false,
            sessions: one.sessions,
            gate_closed: false,
            standing: one.standing,
        }
    }

    /// Patroni's loop, as far as it matters.
    fn patroni(&mut self, at: usize) {
        let (settings, leader) = (self.settings, self.leader);
        let one = &mut self.ones[at];
        if !one.up {
            return;
        }
        one.pause_seen = settings.paused;
        if let Runs::Stopped { .. } = one.runs {
            if leader == Some(at) {
                self.leader = None;
            }
            if !settings.paused {
                one.runs = Runs::Recovery;
            }
            return;
        }
        one.access_in_force = settings.access;
        if settings.paused {
            return;
        }
        if settings.standby && one.runs == Runs::Primary {
            one.runs = Runs::Stopped { clean: false };
            (one.sessions, one.old) = (0, 0);
            return;
        }
        if leader.is_none() {
            self.leader = Some(at);
        }
        if self.leader == Some(at) && !settings.standby && one.runs == Runs::Recovery {
            if self.promotable {
                one.runs = Runs::Primary;
                self.promotions += 1;
            } else {
                self.leader = None;
            }
        }
        if self.leader != Some(at) && self.ones[at].runs == Runs::Primary {
            self.ones[at].runs = Runs::Recovery;
            (self.ones[at].sessions, self.ones[at].old) = (0, 0);
        }
    }

    fn change(&mut self, change: Change) {
        match change {
            Change::Close => (self.settings.paused, self.settings.access) = (true, Access::Closed),
            Change::Follow => (self.settings.paused, self.settings.standby) = (false, true),
            Change::Rewrite { .. } => {}
            Change::Serve => {
                self.settings = Settings { paused: false, standby: false, access: Access::Open, marked: false }
            }
        }
    }

    /// One look and one step of an agent. Says whether it is done.
    fn step(&mut self, at: usize, order: Order) -> bool {
        let fence = matches!(order, Order::Fence | Order::TemporaryFence);
        let mut picture = self.picture(at);
        if fence && self.ones[at].gate_closed == Some(order) {
            picture.gate_closed = true;
            picture.sessions = self.ones[at].old;
        }
        let step = next(order, &picture);
        self.ones[at].standing = picture.standing.before(&step, order, role(&picture));
        match step {
            Next::Change(change) => {
                assert!(
                    change != Change::Serve || matches!(order, Order::Promote | Order::Resume),
                    "{order:?} promotes"
                );
                self.change(change);
            }
            Next::Reload => self.ones[at].access_in_force = self.settings.access,
            Next::EndSessions => {
                let one = &mut self.ones[at];
                one.sessions -= if fence { one.old } else { one.sessions };
                one.old = 0;
            }
            Next::StopDatabase => {
                let one = &self.ones[at];
                assert_eq!((one.runs, one.sessions, one.pause_seen), (Runs::Primary, 0, true));
                assert_eq!(one.access_in_force, Access::Closed);
                self.ones[at].runs = Runs::Stopped { clean: true };
                self.ones[at].old = 0;
            }
            Next::Fence => {
                let one = &mut self.ones[at];
                (one.gate_closed, one.old) = (Some(order), one.sessions);
            }
            Next::Wait(_) => {}
            Next::Refuse(_) => return true,
            Next::Done => {
                self.ones[at].standing = self.ones[at].standing.after(order);
                return true;
            }
        }
        false
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Loop(at) => self.patroni(at),
            Event::Connect(at) => {
                let one = &mut self.ones[at];
                if one.runs == Runs::Primary && one.access_in_force != Access::Closed {
                    one.sessions += 1;
                    self.written += 1;
                }
            }
            Event::Crash(at) => {
                let one = &mut self.ones[at];
                if !matches!(one.runs, Runs::Stopped { .. }) {
                    one.runs = Runs::Stopped { clean: false };
                    (one.sessions, one.old) = (0, 0);
                }
            }
            Event::Switch => {
                if let Some(at) = self.leader
                    && !self.settings.paused
                    && self.ones[1 - at].runs == Runs::Recovery
                    && !self.settings.standby
                {
                    self.leader = Some(1 - at);
                    self.patroni(1 - at);
                    self.ones[at].runs = Runs::Recovery;
                    (self.ones[at].sessions, self.ones[at].old) = (0, 0);
                }
            }
            Event::Step(at, order) => {
                self.step(at, order);
            }
        }
    }

    /// As the operators do it: every agent is asked until the one that speaks is done. Clients connect as they can.
    fn carry_out(&mut self, order: Order) -> Option<(Role, Option<u64>)> {
        for one in &mut self.ones {
            one.gate_closed = None;
        }
        for _ in 0..60 {
            let done = [self.step(0, order), self.step(1, order)];
            self.happen(Event::Connect(0));
            self.happen(Event::Connect(1));
            for (at, done) in done.into_iter().enumerate() {
                let picture = self.picture(at);
                // Its own look again, as its answer is made.
                if done && speaks(&picture) && self.step(at, order) {
                    let picture = self.picture(at);
                    return Some((role(&picture), position(&picture)));
                }
            }
            self.patroni(0);
            self.patroni(1);
        }
        None
    }

    fn voices(&self) -> usize {
        (0..2).filter(|at| speaks(&self.picture(*at))).count()
    }
}

fn order() -> impl Strategy<Value = Order> {
    prop::sample::select(vec![
        Order::Quiesce,
        Order::FinalSync,
        Order::Demote,
        Order::Fence,
        Order::TemporaryFence,
        Order::Promote,
        Order::Resume,
    ])
}

fn event() -> impl Strategy<Value = Event> {
    let at = || 0..2usize;
    prop_oneof![
        4 => at().prop_map(Event::Loop),
        2 => at().prop_map(Event::Connect),
        1 => at().prop_map(Event::Crash),
        1 => Just(Event::Switch),
        4 => (at(), order()).prop_map(|(at, order)| Event::Step(at, order)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn whatever_came_before_a_call_ends_in_its_role(
        standby in any::<bool>(),
        events in prop::collection::vec(event(), 0..60),
        order in prop::sample::select(vec![Order::Demote, Order::Promote, Order::Resume, Order::Fence]),
    ) {
        let mut cluster = Cluster::new(standby);
        for event in events {
            cluster.happen(event);
            // A fence reaches both, though not at once.
            let alike = cluster.ones[0].standing.fenced == cluster.ones[1].standing.fenced;
            prop_assert!(cluster.voices() <= 1 || !alike, "{cluster:?}");
        }
        let got = cluster.carry_out(order).map(|(role, _)| role);
        let right = match order {
            Order::Demote => got == Some(Role::Standby),
            Order::Fence => matches!(got, Some(Role::Fenced | Role::Standby)),
            _ => got == Some(Role::Active) && cluster.settings.access == Access::Open,
        };
        prop_assert!(right, "{order:?} gave {got:?}: {cluster:?}");
    }

    #[test]
    fn nothing_but_promote_and_resume_lets_a_standby_out(
        events in prop::collection::vec(event(), 0..80),
    ) {
        let mut cluster = Cluster::new(true);
        for event in events {
            if matches!(event, Event::Step(_, Order::Promote | Order::Resume)) {
                continue;
            }
            cluster.happen(event);
            prop_assert_eq!(cluster.promotions, 0);
            prop_assert!(cluster.settings.standby);
        }
    }

    #[test]
    fn a_planned_move_of_a_healthy_site_leaves_nobody_in_and_is_taken_back_from_anywhere(
        events in prop::collection::vec(
            prop_oneof![(0..2usize).prop_map(Event::Loop), (0..2usize).prop_map(Event::Connect), Just(Event::Switch)],
            0..30,
        ),
        steps in 0..4usize,
    ) {
        let mut cluster = Cluster::new(false);
        for event in events {
            cluster.happen(event);
        }
        let calls = [
            (Order::Quiesce, Role::Quiesced), (Order::FinalSync, Role::Quiesced),
            (Order::Demote, Role::Standby), (Order::Fence, Role::Standby),
        ];
        let mut last = None;
        for (order, expected) in calls.into_iter().take(steps) {
            let (role, position) = cluster.carry_out(order).expect("it ends");
            prop_assert_eq!(role, expected);
            prop_assert_eq!(cluster.ones.iter().map(|one| one.sessions).sum::<u32>(), 0);
            if order == Order::FinalSync {
                prop_assert!(position > Some(cluster.written), "beyond the checkpoint");
            }
            prop_assert!(last.is_none_or(|written| written == cluster.written), "written after quiesce");
            last = Some(cluster.written);
        }
        prop_assert_eq!(cluster.carry_out(Order::Resume).map(|(role, _)| role), Some(Role::Active));
        prop_assert_eq!(cluster.settings, Settings { paused: false, standby: false, access: Access::Open, marked: false });
    }
}
