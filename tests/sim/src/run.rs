//! One run: a world, a case, and what came of it.

mod faults;

use crate::engine::{Micros, Rng, Trace, seconds};
use crate::fabric::{Fabric, Item};
use crate::net::{NodeId, Running};
use crate::schedule::{Case, shrink};
use crate::world::{Ctx, Happening, Violation, World};

/// What came of a run.
#[derive(Clone, Debug)]
pub struct Report {
    /// The first broken invariant.
    pub violation: Option<Violation>,
    /// When the run ended.
    pub at: Micros,
    /// How many events there were.
    pub events: u64,
    /// The last things that happened, if a trace was asked for.
    pub trace: Vec<String>,
}

pub(crate) struct Run<W: World> {
    pub(crate) ctx: Ctx<W::Event>,
    pub(crate) world: W,
    case: Case,
    /// For each fault that has begun: the processes that it met.
    met: Vec<Vec<NodeId>>,
    /// For each flapping link: whether it is cut at present.
    flapping: Vec<bool>,
}

/// The case of a seed.
#[must_use]
pub fn case_of<W: World>(seed: u64) -> Case {
    W::case(seed)
}

/// Runs a case and keeps the last `trace` lines of what happened. The same case gives the same report, always.
#[must_use]
pub fn run<W: World>(case: &Case, config: &W::Config, trace: usize) -> Report {
    let mut run = Run::<W>::new(case.clone(), config, Trace::keeping(trace));
    finish(&mut run, false)
}

/// As [`run`], but ends as soon as all has been well for a while: what comes then is a steady state, and half of the time.
#[must_use]
pub fn run_until_well<W: World>(case: &Case, config: &W::Config) -> Report {
    finish(&mut Run::<W>::new(case.clone(), config, Trace::keeping(0)), true)
}

fn finish<W: World>(run: &mut Run<W>, until_well: bool) -> Report {
    let violation = run.go(until_well).err();
    if let Some(violation) = &violation {
        run.ctx.say(|| format!("VIOLATION {violation}"));
    }
    let queue = &run.ctx.fabric.queue;
    Report { violation, at: queue.now(), events: queue.handled(), trace: run.ctx.fabric.trace.lines() }
}

/// As [`run`], and what `look` sees of the world at the end, violation or not.
pub fn run_and_look<W: World, R>(
    case: &Case,
    config: &W::Config,
    look: impl FnOnce(&W, &Ctx<W::Event>) -> R,
) -> (Option<Violation>, R) {
    let mut run = Run::<W>::new(case.clone(), config, Trace::keeping(0));
    let violation = run.go(false).err();
    (violation, look(&run.world, &run.ctx))
}

/// Makes a failing case small: fewer and shorter faults, and still a violation of the same invariant.
#[must_use]
pub fn smallest<W: World>(case: &Case, config: &W::Config) -> Case {
    let invariant = |case: &Case| run::<W>(case, config, 0).violation.map(|violation| violation.invariant);
    let Some(wanted) = invariant(case) else { return case.clone() };
    shrink(case, 12, |case| invariant(case) == Some(wanted))
}

impl<W: World> Run<W> {
    pub(crate) fn new(case: Case, config: &W::Config, trace: Trace) -> Self {
        let rng = Rng::stream(case.seed, 0x10 + case.noise);
        let mut ctx = Ctx::new(Fabric::new(rng, trace));
        let world = W::build(&mut ctx, &case, config);
        let nodes: Vec<NodeId> = ctx.net().nodes().skip(3).collect();
        for node in nodes {
            // Not all in one instant.
            let after = ctx.fabric.rng.below(2_000_000);
            let item = ctx.fabric.deliver(node, Happening::Started);
            ctx.fabric.queue.after(after, item);
        }
        for (index, planned) in case.schedule.faults.iter().enumerate() {
            ctx.fabric.queue.at(planned.at, Item::Begin(index));
        }
        let faults = case.schedule.faults.len();
        Self { ctx, world, case, met: vec![Vec::new(); faults], flapping: vec![false; faults] }
    }

    pub(crate) fn go(&mut self, until_well: bool) -> Result<(), Violation> {
        let (quiet, end) = (self.case.schedule.quiet, self.case.schedule.end);
        // A quarter of the quiet end has to pass, and then all has to be well three times, a sixteenth of it apart.
        let tail = end.saturating_sub(quiet);
        let (mut look_at, mut well) = (quiet + tail / 4, 0);
        while let Some(item) = self.ctx.fabric.queue.next_until(end) {
            if until_well && self.ctx.now() >= look_at {
                well = if self.world.settle(&self.ctx).is_ok() { well + 1 } else { 0 };
                look_at = self.ctx.now() + tail / 16;
                if well == 3 {
                    break;
                }
            }
            let Some(item) = self.ctx.fabric.admit(item) else { continue };
            self.handle(item);
            while let Some(node) = self.ctx.fabric.pending_stops.pop() {
                self.stop(node, false);
            }
            self.world.check(&self.ctx)?;
        }
        for cluster in self.ctx.clusters() {
            if let Some(how) = cluster.broken() {
                return Err(Violation::new("model", how));
            }
        }
        self.world.settle(&self.ctx)
    }

    fn handle(&mut self, item: Item<W::Event>) {
        match item {
            Item::Node { node, what, .. } => {
                self.trace(node, &what);
                self.world.handle(&mut self.ctx, node, what);
            }
            Item::Etcd { node, cluster, step, .. } => {
                self.ctx.clusters[usize::from(cluster)].handle(&mut self.ctx.fabric, node, step);
            }
            Item::Leave { from, incarnation, to, item } => {
                if self.ctx.net().incarnation(from) == incarnation {
                    self.ctx.fabric.send(from, to, *item);
                }
            }
            Item::Begin(index) => self.begin(index),
            Item::End(index) => self.end(index),
            Item::Flap(index, cut) => self.flap(index, cut),
            Item::Up(node) => self.start(node),
        }
    }

    fn trace(&mut self, node: NodeId, what: &Happening<W::Event>) {
        let Ctx { fabric, .. } = &mut self.ctx;
        fabric.trace.say(fabric.queue.now(), || {
            let name = fabric.net.name(node);
            match what {
                Happening::Answer(answer) => match &answer.result {
                    Ok(crate::etcd::Payload::Txn(txn)) => {
                        let did = if txn.succeeded { "done" } else { "not as compared" };
                        format!("{name}: answer to {}: {did}, revision {}", answer.tag, txn.revision)
                    }
                    Ok(_) => format!("{name}: answer to {}", answer.tag),
                    Err(failure) => format!("{name}: answer to {}: {failure}", answer.tag),
                },
                what => format!("{name}: {what:?}"),
            }
        });
    }

    pub(crate) fn stop(&mut self, node: NodeId, abrupt: bool) {
        let ran = self.ctx.net().running(node) != Running::No;
        self.ctx.fabric.net.stop(node, true);
        if !ran {
            return;
        }
        self.ctx.fabric.forget(node);
        if let Some(endpoint) = self.endpoint(node) {
            let cluster = usize::from(self.ctx.serving[endpoint]);
            self.ctx.clusters[cluster].stopped(&mut self.ctx.fabric, endpoint, abrupt);
        } else {
            self.world.handle(&mut self.ctx, node, Happening::Stopped);
        }
    }

    pub(crate) fn start(&mut self, node: NodeId) {
        self.ctx.fabric.net.stop(node, false);
        if self.ctx.net().running(node) != Running::No && self.endpoint(node).is_none() {
            let item = self.ctx.fabric.deliver(node, Happening::Started);
            self.ctx.fabric.queue.after(0, item);
        }
    }

    pub(crate) fn resume(&mut self, node: NodeId) {
        self.ctx.fabric.net.pause(node, false);
        if self.ctx.net().running(node) != Running::Yes {
            return;
        }
        if let Some(endpoint) = self.endpoint(node) {
            let cluster = usize::from(self.ctx.serving[endpoint]);
            self.ctx.clusters[cluster].resumed(&mut self.ctx.fabric, endpoint);
        }
        self.ctx.fabric.resume(node);
    }

    fn endpoint(&self, node: NodeId) -> Option<usize> {
        self.ctx.fabric.etcd_nodes.iter().position(|known| *known == node)
    }
}

/// A failing case, as people read it.
#[must_use]
pub fn describe<W: World>(case: &Case, config: &W::Config, trace: usize) -> String {
    let report = run::<W>(case, config, trace);
    let mut text = format!("world {}, seed {}, noise {}\n", W::NAME, case.seed, case.noise);
    match &report.violation {
        Some(violation) => text += &format!("VIOLATION at {} s: {violation}\n", seconds(report.at)),
        None => text += &format!("no violation in {} s, {} events\n", seconds(report.at), report.events),
    }
    text += "faults:\n";
    for line in case.schedule.lines() {
        text += &format!("  {line}\n");
    }
    if !report.trace.is_empty() {
        text += "trace:\n";
    }
    for line in report.trace {
        text += &format!("  {line}\n");
    }
    text
}
