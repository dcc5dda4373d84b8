//! What a run comes to, in one number: to see that two builds simulate the same.

use std::fmt::Write;

use crate::engine::Trace;
use crate::run::Run;
use crate::schedule::Case;
use crate::world::{Violation, World};

/// FNV-1a (Fowler, Noll and Vo, 1991), 64 bits: the same on every machine and in every release.
#[derive(Clone, Copy, Debug)]
struct Fnv(u64);

impl Write for Fnv {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        for byte in text.bytes() {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3);
        }
        Ok(())
    }
}

/// What a run comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Digest {
    /// The first broken invariant.
    pub violation: Option<Violation>,
    /// How many events there were.
    pub events: u64,
    /// Everything else: how many random numbers were drawn, what every cluster holds and how it came to hold it, and how
    /// each process stands at the end.
    pub state: u64,
}

/// Runs a case, and tells what it came to.
#[must_use]
pub fn digest<W: World>(case: &Case, config: &W::Config) -> Digest {
    let mut run = Run::<W>::new(case.clone(), config, Trace::keeping(0));
    let violation = run.go(false).err();
    let events = run.ctx.fabric.queue.handled();
    let mut hash = Fnv(0xCBF2_9CE4_8422_2325);
    // Hashing never fails.
    let _ = state(&run, &mut hash);
    Digest { violation, events, state: hash.0 }
}

fn state<W: World>(run: &Run<W>, out: &mut dyn Write) -> std::fmt::Result {
    let fabric = &run.ctx.fabric;
    write!(out, "{} {};", fabric.rng.state(), fabric.queue.now())?;
    for cluster in run.ctx.clusters() {
        let store = cluster.store();
        write!(out, "{} {} {:?};", cluster.id(), store.revision(), cluster.leader())?;
        for kv in store.prefix("") {
            // What a record says, not in which order its fields stand.
            let value: serde_json::Value = serde_json::from_slice(&kv.value).unwrap_or_default();
            write!(out, "{} {} {} {value};", kv.key, kv.create_revision, kv.mod_revision)?;
        }
        for batch in store.since("", 0, usize::MAX) {
            for event in &batch.events {
                write!(out, "{} {};", event.revision(), event.key())?;
            }
        }
    }
    run.world.tell(&run.ctx, out)
}
