//! What a replica lists and follows of the arbiter: groups, journals and holds.

use super::{Asked, Feed, Replica};
use crate::engine::{MS, micros};
use crate::etcd::{Request, WatchEvent};
use crate::world::{Ctx, Happening};
use crate::worlds::failover::Msg;
use crate::worlds::failover::board::{group_of, journal_of};
use tandem_arbiter::records::{GroupRecord, JournalSeen, Key, Versioned};
use tandem_arbiter::store::{Event, Range};
use tandem_arbiter::txn::Kv;

fn prefix(feed: usize) -> String {
    [Key::groups(), Key::executions(), Key::holds()][feed].clone()
}

impl Replica {
    pub(super) fn list(&mut self, ctx: &mut Ctx<Msg>, feed: usize) {
        self.send(ctx, Asked::List(feed), Request::Range(prefix(feed)));
    }

    pub(super) fn listed(&mut self, ctx: &mut Ctx<Msg>, feed: usize, range: &Range) {
        if feed == 2 {
            self.board.list_holds(range);
        }
        for kv in &range.kvs {
            self.feed_kv(ctx, feed, kv);
        }
        self.tag += 1;
        self.feeds[feed] = Feed { watch: self.tag, endpoint: self.endpoint };
        let request = Request::Watch { prefix: prefix(feed), from: range.revision + 1 };
        ctx.etcd(self.node, self.endpoint, self.tag, request);
        self.look_soon(ctx, 10 * MS);
    }

    pub(super) fn watched(&mut self, ctx: &mut Ctx<Msg>, event: WatchEvent) {
        let Some(feed) = self.feeds.iter().position(|feed| feed.watch == event.tag) else { return };
        if event.result.is_ok() && !self.counts(event.origin) {
            ctx.timer(self.node, micros(self.timing.heartbeat()), Msg::Uncompared(event.tag));
            return self.uncompared.push(Happening::Watch(event));
        }
        match event.result {
            Ok(batch) => {
                for event in &batch.events {
                    if feed == 2 {
                        self.board.enter_hold(event);
                    } else if let Event::Put(kv) = event {
                        self.feed_kv(ctx, feed, kv);
                    }
                }
                self.look_soon(ctx, 10 * MS);
            }
            Err(_) => {
                self.turn_from(self.feeds[feed].endpoint);
                self.unwatched(ctx, event.tag);
            }
        }
    }

    /// A watch has ended.
    pub(super) fn unwatched(&mut self, ctx: &mut Ctx<Msg>, tag: u64) {
        let Some(feed) = self.feeds.iter().position(|feed| feed.watch == tag) else { return };
        self.feeds[feed].watch = 0;
        if feed == 2 {
            // What cannot be followed counts as held.
            self.board.holds = None;
        }
        ctx.timer(self.node, 500 * MS, Msg::Feed(feed));
    }

    fn feed_kv(&mut self, ctx: &Ctx<Msg>, feed: usize, kv: &Kv) {
        match feed {
            0 => {
                if let Some((name, record)) = group_of(kv) {
                    self.saw_group(ctx, &name, &record);
                }
            }
            1 => {
                if let Some(seen) = journal_of(kv) {
                    self.saw_journal(ctx, &seen);
                }
            }
            _ => {}
        }
    }

    pub(in super::super) fn saw_group(&mut self, ctx: &Ctx<Msg>, name: &str, record: &Versioned<GroupRecord>) {
        let now = self.now(ctx);
        self.fed = true;
        if let Some(gate) = self.gate() {
            gate.with(|gate| gate.apply(now, name, record));
        }
        self.board.enter_group(now, name, record);
    }

    pub(in super::super) fn saw_journal(&mut self, ctx: &Ctx<Msg>, seen: &JournalSeen) {
        let now = self.now(ctx);
        self.fed = true;
        if let Some(gate) = self.gate() {
            gate.with(|gate| gate.journal(now, seen));
        }
        self.board.enter_journal(now, seen);
    }

    pub(in super::super) fn feed_both(&mut self, ctx: &Ctx<Msg>, group: Option<&Kv>, journal: Option<&Kv>) {
        if let Some(seen) = journal.and_then(journal_of) {
            self.saw_journal(ctx, &seen);
        }
        if let Some((name, record)) = group.and_then(group_of) {
            self.saw_group(ctx, &name, &record);
        }
        if let Some(seen) = journal.and_then(journal_of) {
            self.saw_journal(ctx, &seen);
        }
    }
}
