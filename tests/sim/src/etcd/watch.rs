//! Watches: each is a stream of one member, which tells what it has applied, in order and in whole revisions.

use tandem_arbiter::store::WatchBatch;
use tandem_arbiter::txn::Origin;

use super::{CallId, Cluster, Failure, WatchEvent};
use crate::engine::{MS, Micros, SECOND};
use crate::fabric::{Fabric, Item};
use crate::net::{NodeId, Route};
use crate::world::Happening;

#[derive(Clone, Debug)]
pub(super) struct Stream {
    node: NodeId,
    incarnation: u32,
    tag: u64,
    entry: usize,
    prefix: String,
    next: i64,
    /// Up to here there is nothing that it has not sent; only to look at less.
    looked: i64,
    /// When the last delivery arrives: the next is not before it.
    arrives: Micros,
    /// Something could not be sent.
    stalled: bool,
}

impl Stream {
    pub(super) fn is(&self, node: NodeId, incarnation: u32, tag: u64) -> bool {
        self.node == node && self.incarnation == incarnation && self.tag == tag
    }

    fn event<E>(&self, origin: Origin, result: Result<WatchBatch, Failure>) -> Item<E> {
        let what = Happening::Watch(WatchEvent { tag: self.tag, origin, result });
        Item::Node { node: self.node, incarnation: self.incarnation, what }
    }
}

impl Cluster {
    pub(super) fn has_streams(&self, m: usize) -> bool {
        self.streams.iter().any(|stream| stream.entry == m)
    }

    pub(super) fn watch<E>(&mut self, fabric: &mut Fabric<E>, m: usize, call: CallId, prefix: String, from: i64) {
        let call = &self.calls[call as usize];
        let next = if from == 0 { self.members[m].applied + 1 } else { from };
        let stream = Stream {
            node: call.node,
            incarnation: call.incarnation,
            tag: call.tag,
            entry: m,
            prefix,
            next,
            looked: 0,
            arrives: 0,
            stalled: false,
        };
        self.streams.push(stream);
        let applied = self.members[m].applied;
        self.feed(fabric, m, applied);
    }

    pub(super) fn feed<E>(&mut self, fabric: &mut Fabric<E>, m: usize, revision: i64) {
        self.members[m].applied = self.members[m].applied.max(revision);
        let mut streams = std::mem::take(&mut self.streams);
        streams.retain_mut(|stream| stream.entry != m || self.deliver(fabric, stream));
        self.streams = streams;
    }

    /// Sends what the stream has not sent yet; returns whether it goes on.
    fn deliver<E>(&self, fabric: &mut Fabric<E>, stream: &mut Stream) -> bool {
        if fabric.net.incarnation(stream.node) != stream.incarnation {
            return false;
        }
        if stream.next < self.store.compacted() {
            let failure = Failure::Compacted { from: self.store.compacted() };
            return self.end(fabric, stream, failure, 0);
        }
        let applied = self.members[stream.entry].applied;
        let from = stream.next.max(stream.looked + 1);
        let mut batches = self.store.since(&stream.prefix, from, usize::MAX);
        batches.retain(|batch| batch.revision <= applied);
        let Some(last) = batches.last().map(|batch| batch.revision) else {
            stream.looked = applied;
            return true;
        };
        let Route::After(delay) = fabric.net.route(&mut fabric.rng, self.nodes[stream.entry], stream.node) else {
            stream.stalled = true;
            return true;
        };
        stream.stalled = false;
        stream.next = last + 1;
        stream.arrives = stream.arrives.max(fabric.now() + delay);
        for first in 1..batches.len() {
            if fabric.rng.per_mille(self.watch_swapped) {
                batches.swap(first - 1, first);
            }
        }
        let origin = self.origin(stream.entry);
        for batch in batches {
            if fabric.rng.per_mille(self.watch_twice) {
                fabric.queue.at(stream.arrives, stream.event(origin, Ok(batch.clone())));
            }
            fabric.queue.at(stream.arrives, stream.event(origin, Ok(batch)));
        }
        true
    }

    fn end<E>(&self, fabric: &mut Fabric<E>, stream: &Stream, failure: Failure, after: Micros) -> bool {
        let delay = fabric.net.delay(&mut fabric.rng, self.nodes[stream.entry], stream.node);
        let arrives = stream.arrives.max(fabric.now() + delay + after);
        fabric.queue.at(arrives, stream.event(self.origin(stream.entry), Err(failure)));
        false
    }

    /// Ends every stream of a member; its clients learn it at once, or by their keep-alives.
    pub(super) fn end_streams<E>(&mut self, fabric: &mut Fabric<E>, m: usize) {
        let mut streams = std::mem::take(&mut self.streams);
        streams.retain(|stream| {
            let after = 10 * MS + fabric.rng.below(5 * SECOND);
            stream.entry != m || self.end(fabric, stream, Failure::Unavailable, after)
        });
        self.streams = streams;
    }

    /// Ends every stream: the connections were reset.
    pub(crate) fn reset_streams<E>(&mut self, fabric: &mut Fabric<E>) {
        for m in 0..3 {
            self.end_streams(fabric, m);
        }
    }

    /// After a heal a stream that could not send goes on, or its connection was given up meanwhile.
    pub(super) fn revive_streams<E>(&mut self, fabric: &mut Fabric<E>) {
        if !self.streams.iter().any(|stream| stream.stalled) {
            return;
        }
        let mut streams = std::mem::take(&mut self.streams);
        streams.retain_mut(|stream| {
            if !stream.stalled || !fabric.net.open(self.nodes[stream.entry], stream.node) {
                return true;
            }
            if fabric.rng.per_mille(500) {
                return self.end(fabric, stream, Failure::Unavailable, 0);
            }
            self.deliver(fabric, stream)
        });
        self.streams = streams;
    }
}
