//! Two sites, their providers and a record, small enough to be obviously right. It carries decisions out as a caller must,
//! and checks after each action what must never happen.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::failover::*;

pub(super) const A: &str = "dc-a";
pub(super) const B: &str = "dc-b";
pub(super) const T: Duration = Duration::from_secs(10);

pub(super) fn s(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// Where a driver dies while it carries out its n-th action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Crash {
    Before(usize),
    After(usize),
}

#[derive(Clone, Debug)]
pub(super) struct Place {
    /// Operators live. Data and services live on without them, until their switch expires.
    pub(super) alive: bool,
    pub(super) linked: bool,
    pub(super) role: Role,
    pub(super) position: u64,
    pub(super) highest: Token,
    pub(super) failing: BTreeSet<EffectKind>,
    pub(super) hanging: BTreeSet<EffectKind>,
    pub(super) room: Option<bool>,
    pub(super) ready: bool,
    pub(super) drill: bool,
    /// Its data does not get what the other site writes.
    pub(super) stalled: bool,
    beat: (i64, Duration),
    /// What it says that it dropped to follow.
    pub(super) dropped: Option<Dropped>,
    reported: Data,
    memory: Memory,
}

/// What a replica forgets when it dies.
#[derive(Clone, Debug)]
struct Memory {
    answers: Vec<Answered>,
    settled: bool,
    began: Duration,
    silence: BTreeMap<&'static str, Silence>,
    record: (i64, Duration),
    epoch: (u64, Duration),
    journals: BTreeMap<usize, (i64, Duration)>,
    view: View,
}

/// What stands in the arbiter.
#[derive(Clone, Debug)]
pub(super) struct View {
    pub(super) record: GroupView,
    pub(super) record_mod: i64,
    pub(super) journals: Vec<(Journal, i64, i64)>,
    pub(super) hold: bool,
}

#[derive(Clone, Debug)]
pub(super) struct World {
    pub(super) now: Duration,
    pub(super) arbiter: View,
    pub(super) sites: BTreeMap<&'static str, Place>,
    pub(super) requests: Vec<Request>,
    pub(super) policy: Policy,
    revision: i64,
    /// Highest token that was ever sent, by site.
    sent: BTreeMap<&'static str, Token>,
    /// What happened, for assertions.
    pub(super) log: Vec<String>,
    pub(super) alarms: BTreeSet<&'static str>,
    aborted: BTreeSet<usize>,
}

fn wall() -> jiff::Timestamp {
    jiff::Timestamp::UNIX_EPOCH
}

impl World {
    pub(super) fn new(policy: Policy) -> Self {
        let now = s(10_000);
        let record = GroupView {
            active: A.into(),
            epoch: 4,
            phase: Phase::Held,
            execution: None,
            failovers_lately: 0,
            since: s(0),
            epoch_since: s(0),
        };
        let arbiter = View { record, record_mod: 1, journals: Vec::new(), hold: false };
        let place = |role| Place {
            alive: true,
            linked: true,
            role,
            position: 100,
            highest: Token::default(),
            failing: BTreeSet::new(),
            hanging: BTreeSet::new(),
            room: Some(true),
            ready: true,
            drill: false,
            stalled: false,
            beat: (1, now),
            dropped: None,
            reported: Data {
                role,
                position: Some(100),
                lag: Some(s(0)),
                synchronous: false,
                since: now,
                dropped: None,
            },
            memory: Memory::empty(s(0), &arbiter),
        };
        let sites = BTreeMap::from([(A, place(Role::Active)), (B, place(Role::Standby))]);
        let mut world = Self {
            now,
            arbiter,
            sites,
            requests: Vec::new(),
            policy,
            revision: 10,
            sent: BTreeMap::new(),
            log: Vec::new(),
            alarms: BTreeSet::new(),
            aborted: BTreeSet::new(),
        };
        world.tick(s(1));
        world
    }

    pub(super) fn data() -> Policy {
        Policy { replication: Replication::Asynchronous, rpo: s(30), automatic: true, ..Policy::default() }
    }

    pub(super) fn site(&mut self, name: &str) -> &mut Place {
        self.sites.get_mut(name).unwrap()
    }

    /// Makes an execution; its index.
    pub(super) fn ask(&mut self, kind: ExecutionKind, from: &str, to: &str, request: Request) -> usize {
        self.revision += 1;
        let n = self.arbiter.journals.len();
        let id = format!("move-{n}");
        let journal = Journal::new((&id, "tax"), kind, (from, to), self.arbiter.record.epoch, wall());
        self.arbiter.journals.push((journal, self.revision, self.revision));
        self.requests.push(request);
        n
    }

    pub(super) fn journal(&self, n: usize) -> &Journal {
        &self.arbiter.journals[n].0
    }

    pub(super) fn fenced(&self, site: &str) -> bool {
        self.now - self.sites[site].beat.1 >= self.policy.timing.fence_after()
    }

    /// Whether writes are accepted: the data takes them and its switch has not expired.
    pub(super) fn writable(&self, site: &str) -> bool {
        if self.policy.replication == Replication::NoData {
            return self.serves(site);
        }
        // The switch is refreshed by the gate, which goes by the record that the site has applied.
        let place = &self.sites[site];
        place.role == Role::Active && !self.fenced(site) && place.memory.view.record.held_by(site)
    }

    pub(super) fn serves(&self, site: &str) -> bool {
        let record = &self.arbiter.record;
        let journal =
            self.arbiter.journals.iter().map(|j| &j.0).find(|j| record.execution.as_ref() == Some(&j.execution));
        may_serve(site, self.fenced(site), record, journal) && self.sites[site].alive
    }

    pub(super) fn tick(&mut self, by: Duration) {
        self.now += by;
        self.revision += 1;
        let (now, revision) = (self.now, self.revision);
        for place in self.sites.values_mut() {
            if place.alive && place.linked {
                place.beat = (revision, now);
            }
        }
        // A fence is lifted when a heartbeat is answered and `groups/` is read again: the view comes with the beat.
        let beats: Vec<(&'static str, i64)> = self.sites.iter().map(|(n, p)| (*n, p.beat.0)).collect();
        let arbiter = self.arbiter.clone();
        for place in self.sites.values_mut().filter(|p| p.alive && p.linked) {
            place.memory.look(&arbiter, &beats, now);
        }
        let newest =
            self.sites.values().filter(|p| matches!(p.role, Role::Active | Role::Quiesced)).map(|p| p.position).max();
        let reach = self.sites.values().all(|p| p.linked);
        let both = reach && self.sites.values().all(|p| p.alive);
        let writable: Vec<&'static str> = [A, B].into_iter().filter(|n| self.writable(n)).collect();
        assert!(writable.len() < 2, "two writable sites: {:#?}", self.log);
        for (name, place) in &mut self.sites {
            if writable.contains(name) {
                place.position += 1;
            } else if place.role == Role::Standby && reach && !place.stalled {
                place.position = place.position.max(newest.unwrap_or(0));
            }
            if place.alive && place.linked {
                // How far a standby is behind is known only while the other site says how far it is.
                let known = place.role == Role::Standby && both;
                let (lag, since) = match (place.role, known) {
                    (Role::Standby, false) => (place.reported.lag, place.reported.since),
                    (role, _) => ((role == Role::Standby).then_some(s(0)), now),
                };
                let position = Some(place.position);
                place.reported =
                    Data { role: place.role, position, lag, synchronous: false, since, dropped: place.dropped };
            }
        }
    }

    pub(super) fn crash(&mut self, site: &str) {
        let (now, arbiter) = (self.now, self.arbiter.clone());
        let place = self.site(site);
        place.memory = Memory::empty(now, &arbiter);
        self.tick(Duration::ZERO);
    }

    pub(super) fn revive(&mut self, site: &str) {
        self.site(site).alive = true;
        self.crash(site);
    }

    pub(super) fn observe(&self, site: &'static str, n: usize) -> Observation {
        let (place, memory) = (&self.sites[site], &self.sites[site].memory);
        let mut record = memory.view.record.clone();
        record.since = memory.record.1;
        record.epoch_since = memory.epoch.1;
        let view = |name: &'static str| {
            let p = &self.sites[name];
            let silence = memory.silence.get(name);
            let heard = if name == site { !self.fenced(name) } else { silence.is_some_and(|x| self.now - x.since < T) };
            let data = Data { role: if name == site { p.role } else { p.reported.role }, ..p.reported };
            SiteView {
                heard,
                ready_since: p.ready.then_some(memory.began),
                room: p.room,
                data: Some(data),
                trouble: None,
            }
        };
        let (journal, _, created) = &memory.view.journals[n];
        let released = self.sites[&*journal.from].alive && self.sites[&*journal.from].linked;
        Observation {
            situation: Situation {
                me: site.into(),
                leads: true,
                fenced: self.fenced(site),
                generation: 1,
                silence: memory.silence.get(record.active.as_str()).copied(),
                record,
                hold: memory.view.hold.then(|| "all".into()),
                sites: [A, B].map(|name| (name.to_owned(), view(name))).into(),
                drill: place.drill,
                policy: self.policy,
            },
            execution_revision: *created,
            journal_since: memory.journals[&n].1,
            settled: memory.settled && place.linked,
            request: self.requests[n].clone(),
            turn: Turn::Now,
            release_seen: released,
            answers: memory.answers.clone(),
        }
    }

    /// The group's situation apart from any execution.
    pub(super) fn observe_situation(&self, site: &'static str) -> Situation {
        let mut with = self.clone();
        let n = with.ask(ExecutionKind::Switchover, A, B, Request::default());
        let arbiter = with.arbiter.clone();
        let now = with.now;
        with.site(site).memory.look(&arbiter, &[], now);
        with.observe(site, n).situation
    }

    pub(super) fn decide(&self, site: &'static str, n: usize) -> Decision {
        let seen = self.observe(site, n);
        step(&self.sites[site].memory.view.journals[n].0, &seen, Now { boot: self.now, wall: wall() })
    }

    /// One decision at one site, carried out; what was decided.
    pub(super) fn run(&mut self, site: &'static str, n: usize, crash: Option<Crash>) -> Option<Decision> {
        if !self.sites[site].alive || self.sites[site].memory.view.journals.len() <= n {
            return None;
        }
        let decision = self.decide(site, n);
        assert_eq!(decision.next.is_some(), decision.transaction().is_some(), "{decision:?}");
        assert!(decision.transaction().is_none() || decision.effects().next().is_none(), "{decision:?}");
        assert!(decision.wake.is_none_or(|wake| wake > self.now), "wakes in the past: {decision:?}");
        let commits = matches!(decision.transaction(), Some(Transaction::ClaimRelease | Transaction::TakeOver { .. }));
        assert!(!commits || !self.sites[site].memory.view.hold, "it would break a hold that it sees: {decision:?}");
        for (i, action) in decision.actions.iter().enumerate() {
            if crash == Some(Crash::Before(i)) {
                self.crash(site);
                break;
            }
            match action {
                Action::Alarm(reason) => _ = self.alarms.insert(reason.code()),
                Action::Effect(effect) => self.call(site, n, *effect),
                Action::Transact(t) => {
                    let next = decision.next.clone().unwrap();
                    self.transact(site, n, *t, next);
                }
            }
            if crash == Some(Crash::After(i)) {
                self.crash(site);
                break;
            }
        }
        Some(decision)
    }

    fn transact(&mut self, site: &'static str, n: usize, t: Transaction, next: Journal) {
        let view = self.sites[site].memory.view.clone();
        self.site(site).memory.settled = false;
        if !self.sites[site].linked {
            return;
        }
        let entry = view.journals[n].0.entry;
        assert_eq!(next.entry, entry + 1, "each put raises the entry by one: {t:?} {next:?}");
        let record_same = self.arbiter.record_mod == view.record_mod;
        let me = site.to_owned();
        let mut record = self.arbiter.record.clone();
        let allowed = self.arbiter.journals[n].1 == view.journals[n].1
            && match t {
                Transaction::PutJournal => true,
                Transaction::Begin => record_same && record.execution.is_none(),
                Transaction::Release => record_same && record.held_by(site),
                Transaction::ClaimRelease => {
                    record_same && !self.arbiter.hold && record.phase == Phase::Released { to: me.clone() }
                }
                Transaction::TakeOver { watched, .. } => {
                    record_same && !self.arbiter.hold && self.sites[&*next.from].beat.0 == watched
                }
                Transaction::Reclaim => record_same && record.active == me && record.phase != Phase::Held,
                Transaction::End => record_same && record.execution.as_ref() == Some(&next.execution),
            };
        let now = self.now;
        if allowed {
            self.revision += 1;
            match t {
                Transaction::PutJournal => {}
                Transaction::Begin => record.execution = Some(next.execution.clone()),
                Transaction::Release => record.phase = Phase::Released { to: next.to.clone() },
                Transaction::End => record.execution = None,
                Transaction::ClaimRelease | Transaction::TakeOver { .. } | Transaction::Reclaim => {
                    record.active = me;
                    record.epoch += 1;
                    record.phase = Phase::Held;
                    record.execution = Some(next.execution.clone());
                    if let Transaction::TakeOver { automatic: true, .. } = t {
                        record.failovers_lately += 1;
                    }
                }
            }
            if matches!(t, Transaction::ClaimRelease | Transaction::TakeOver { .. }) {
                assert!(next.fence_proof().is_some(), "committed without a proof of the fence");
                let other = if site == A { B } else { A };
                assert!(!self.writable(other), "committed while the other site is writable: {:#?}", self.log);
            }
            if next.step == Step::RolledBack {
                self.aborted.insert(n);
            }
            self.log.push(format!("{site} {t:?} {:?}", next.step));
            if t != Transaction::PutJournal {
                self.arbiter.record = record;
                self.arbiter.record_mod = self.revision;
            }
            self.arbiter.journals[n].0 = next;
            self.arbiter.journals[n].1 = self.revision;
        }
        let arbiter = self.arbiter.clone();
        let memory = &mut self.site(site).memory;
        memory.settled = true;
        memory.look(&arbiter, &[], now);
    }

    fn call(&mut self, site: &'static str, n: usize, effect: Effect) {
        let Effect { kind, token } = effect;
        assert!(self.sent.get(site).is_none_or(|sent| token >= *sent), "{site} {effect:?} below {:?}", self.sent);
        let sees_now = self.sites[site].linked;
        if sees_now {
            self.sent.insert(site, token);
        }
        if kind == EffectKind::Promote {
            let record = &self.arbiter.record;
            let journal = &self.arbiter.journals[n].0;
            assert!(!self.aborted.contains(&n), "an aborted execution promotes");
            assert!(record.held_by(site) && token.epoch == record.epoch, "promoted without an epoch: {:#?}", self.log);
            assert!(journal.fence_proof().is_some() && journal.step >= Step::EpochCommitted);
            let behind = self.sites[site].position < self.sites[if site == A { B } else { A }].position;
            assert!(!journal.planned() || !behind, "a planned move loses writes: {:#?}", self.log);
        }
        if kind == EffectKind::Resume {
            assert!(self.arbiter.record.held_by(site), "restored without holding the group: {:#?}", self.log);
        }
        self.log.push(format!("{site} {kind:?}"));
        let now = self.now;
        let place = self.site(site);
        let answer = if token < place.highest {
            Answer::Refused
        } else if place.hanging.contains(&kind) {
            Answer::Running
        } else if place.failing.contains(&kind) {
            Answer::Failed { why: "no".into(), at: now }
        } else {
            place.highest = token;
            match (kind, place.role) {
                (EffectKind::Quiesce, Role::Active) => place.role = Role::Quiesced,
                (EffectKind::Demote, _) => place.role = Role::Standby,
                (EffectKind::Fence, Role::Active | Role::Quiesced | Role::Unknown) => place.role = Role::Fenced,
                (EffectKind::Promote | EffectKind::Resume, _) => place.role = Role::Active,
                (EffectKind::SweepDrill, _) => place.drill = false,
                _ => {}
            }
            Answer::Done { note: String::new(), position: Some(place.position) }
        };
        Answered::enter(&mut place.memory.answers, Effect { kind, token }, answer);
        assert!(!(self.writable(A) && self.writable(B)), "two writable sites: {:#?}", self.log);
    }

    /// Both sites, every execution, for so many rounds of half a second.
    pub(super) fn rounds(&mut self, rounds: usize) {
        for _ in 0..rounds {
            for n in 0..self.arbiter.journals.len() {
                for site in [A, B] {
                    self.run(site, n, None);
                }
            }
            self.tick(Duration::from_millis(500));
        }
    }

    /// Until this holds; fails after 400 rounds.
    pub(super) fn until(&mut self, what: &str, holds: impl Fn(&Self) -> bool) {
        for _ in 0..400 {
            if holds(self) {
                return;
            }
            self.rounds(1);
        }
        panic!("never {what}: {:#?} {:#?}", self.arbiter, self.log);
    }

    pub(super) fn until_step(&mut self, n: usize, step: Step) {
        self.until(&format!("{step:?}"), |w| w.journal(n).step == step);
    }

    pub(super) fn happened(&self, what: &str) -> bool {
        self.log.iter().any(|line| line == what)
    }
}

impl Memory {
    fn empty(now: Duration, arbiter: &View) -> Self {
        Self {
            answers: Vec::new(),
            settled: true,
            began: now,
            silence: BTreeMap::new(),
            record: (arbiter.record_mod, now),
            epoch: (arbiter.record.epoch, now),
            journals: arbiter.journals.iter().enumerate().map(|(n, j)| (n, (j.1, now))).collect(),
            view: arbiter.clone(),
        }
    }

    fn look(&mut self, arbiter: &View, beats: &[(&'static str, i64)], now: Duration) {
        self.settled = true;
        self.view = arbiter.clone();
        if self.record.0 != arbiter.record_mod {
            self.record = (arbiter.record_mod, now);
        }
        if self.epoch.0 != arbiter.record.epoch {
            self.epoch = (arbiter.record.epoch, now);
        }
        for (n, (_, revision, _)) in arbiter.journals.iter().enumerate() {
            let seen = self.journals.entry(n).or_insert((*revision, now));
            if seen.0 != *revision {
                *seen = (*revision, now);
            }
        }
        for (site, newest) in beats {
            let silence = self.silence.entry(site).or_insert(Silence { newest: *newest, since: now });
            if silence.newest != *newest {
                *silence = Silence { newest: *newest, since: now };
            }
        }
    }
}
