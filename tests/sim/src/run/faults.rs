//! How each fault of a schedule begins and ends.

use super::Run;
use crate::fabric::Item;
use crate::net::{NodeId, Place};
use crate::schedule::{Fault, Planned, Who};
use crate::world::{Happening, World};

impl<W: World> Run<W> {
    fn who(&self, who: Who) -> Option<NodeId> {
        let etcd = self.ctx.fabric.etcd_nodes;
        match who {
            Who::Process(number) => {
                let processes = self.ctx.net().nodes().count() - etcd.len();
                (processes > 0).then(|| {
                    let place = etcd.len() + usize::from(number) % processes;
                    NodeId(u16::try_from(place).unwrap_or(u16::MAX))
                })
            }
            Who::Etcd(endpoint) => etcd.get(usize::from(endpoint) % 3).copied(),
            Who::EtcdLeader => {
                let cluster = &self.ctx.clusters[self.ctx.main_cluster()];
                cluster.leader().map(|(endpoint, _)| etcd[endpoint])
            }
        }
    }

    fn met_by(&self, fault: Fault) -> Vec<NodeId> {
        match fault {
            Fault::Isolate(who) | Fault::Crash(who) | Fault::Pause(who) => self.who(who).into_iter().collect(),
            Fault::Drift { who, .. } | Fault::Nudge { who, .. } => self.who(who).into_iter().collect(),
            Fault::PowerOff(place) | Fault::PauseAll(place) | Fault::WallClock { place, .. } => {
                self.ctx.net().nodes_at(place)
            }
            _ => Vec::new(),
        }
    }

    pub(super) fn begin(&mut self, index: usize) {
        let Planned { at, lasts, fault } = self.case.schedule.faults[index];
        self.met[index] = self.met_by(fault);
        self.ctx.say(|| format!("FAULT {index} begins: {fault:?}"));
        if self.change(index, fault, true) {
            let end = at.saturating_add(lasts).min(self.case.schedule.quiet);
            self.ctx.fabric.queue.at(end, Item::End(index));
        }
        self.settle_network();
    }

    pub(super) fn end(&mut self, index: usize) {
        let fault = self.case.schedule.faults[index].fault;
        self.ctx.say(|| format!("FAULT {index} ends: {fault:?}"));
        self.change(index, fault, false);
        self.settle_network();
    }

    pub(super) fn flap(&mut self, index: usize, cut: bool) {
        let Planned { at, lasts, fault } = self.case.schedule.faults[index];
        let Fault::Flap { one, other, every } = fault else { return };
        let end = at.saturating_add(lasts).min(self.case.schedule.quiet);
        if self.ctx.now() >= end {
            return;
        }
        self.flapping[index] = cut;
        self.cut(one, other, cut);
        self.ctx.fabric.queue.after(every.max(1), Item::Flap(index, !cut));
        self.settle_network();
    }

    fn settle_network(&mut self) {
        self.ctx.fabric.release_held();
        for cluster in &mut self.ctx.clusters {
            cluster.reassess(&mut self.ctx.fabric);
        }
    }

    fn one_way(&mut self, from: Place, to: Place, on: bool) {
        let net = &mut self.ctx.fabric.net;
        if on { net.cut(from, to) } else { net.heal(from, to) }
    }

    fn cut(&mut self, one: Place, other: Place, on: bool) {
        self.one_way(one, other, on);
        self.one_way(other, one, on);
    }

    /// Makes a fault begin or end; returns whether it has an end.
    fn change(&mut self, index: usize, fault: Fault, on: bool) -> bool {
        match fault {
            Fault::OneWay { from, to } => self.one_way(from, to, on),
            Fault::Cut(one, other) => self.cut(one, other, on),
            Fault::CutOff(place) => {
                for other in Place::ALL.into_iter().filter(|other| *other != place) {
                    self.cut(place, other, on);
                }
            }
            Fault::Flap { one, other, .. } => {
                if on {
                    self.ctx.fabric.queue.after(0, Item::Flap(index, true));
                } else if std::mem::take(&mut self.flapping[index]) {
                    self.cut(one, other, false);
                }
            }
            Fault::Slow { one, other, by } => {
                for (from, to) in [(one, other), (other, one)] {
                    add(&mut self.ctx.fabric.net.link_mut(from, to).extra, by, on);
                }
            }
            Fault::Lossy { one, other, per_mille } => {
                for (from, to) in [(one, other), (other, one)] {
                    add_32(&mut self.ctx.fabric.net.link_mut(from, to).loss, per_mille, on);
                }
            }
            Fault::SlowApi { place, by } => add(&mut self.ctx.slow_api[place.index()], by, on),
            Fault::LoseAnswers(per_mille) => add_32(&mut self.ctx.fabric.lose_answers, per_mille, on),
            Fault::Isolate(_)
            | Fault::Crash(_)
            | Fault::Pause(_)
            | Fault::PauseAll(_)
            | Fault::PowerOff(_)
            | Fault::WallClock { .. }
            | Fault::Drift { .. } => self.change_processes(index, fault, on),
            Fault::SlowDisk { .. } | Fault::Full | Fault::Expired(_) | Fault::Watches(_) => self.change_etcd(fault, on),
            Fault::Nudge { what, .. } => {
                for node in self.met[index].clone() {
                    let item = self.ctx.fabric.deliver(node, Happening::Nudged(what));
                    self.ctx.fabric.queue.after(0, item);
                }
                return false;
            }
            Fault::Election
            | Fault::Compact { .. }
            | Fault::ResetWatches
            | Fault::Backup
            | Fault::Restore
            | Fault::Fork(_) => {
                self.do_once(fault);
                return false;
            }
        }
        true
    }

    fn change_processes(&mut self, index: usize, fault: Fault, on: bool) {
        let now = self.ctx.now();
        for node in self.met[index].clone() {
            let host = self.ctx.net().host_of(node);
            match fault {
                Fault::Isolate(_) => self.ctx.fabric.net.isolate(node, on),
                Fault::Pause(_) | Fault::PauseAll(_) if on => self.ctx.fabric.net.pause(node, true),
                Fault::Pause(_) | Fault::PauseAll(_) => self.resume(node),
                Fault::Crash(_) | Fault::PowerOff(_) if on => self.stop(node, matches!(fault, Fault::PowerOff(_))),
                Fault::Crash(_) => self.start(node),
                Fault::PowerOff(_) => {
                    self.ctx.fabric.net.reboot(host, now);
                    self.start(node);
                }
                Fault::WallClock { by, .. } => self.ctx.fabric.net.shift_wall_clock(host, if on { by } else { -by }),
                Fault::Drift { ppm, .. } => self.ctx.fabric.net.set_drift(host, on.then_some(ppm), now),
                _ => {}
            }
        }
    }

    fn change_etcd(&mut self, fault: Fault, on: bool) {
        for cluster in &mut self.ctx.clusters {
            match fault {
                Fault::SlowDisk { endpoint, by } => cluster.slow_disk(usize::from(endpoint) % 3, by, on),
                Fault::Full => cluster.fill(on),
                Fault::Expired(endpoint) => cluster.expire(usize::from(endpoint) % 3, on),
                Fault::Watches(per_mille) => {
                    add_32(&mut cluster.watch_twice, per_mille, on);
                    add_32(&mut cluster.watch_swapped, per_mille, on);
                }
                _ => {}
            }
        }
    }

    fn do_once(&mut self, fault: Fault) {
        let main = self.ctx.main_cluster();
        match fault {
            Fault::Election => self.ctx.clusters[main].elect_anew(&mut self.ctx.fabric),
            Fault::Compact { keep } => self.ctx.clusters[main].compact(keep),
            Fault::ResetWatches => self.ctx.clusters[main].reset_streams(&mut self.ctx.fabric),
            Fault::Backup => self.ctx.backup = Some(self.ctx.clusters[main].snapshot()),
            Fault::Restore => {
                let backup = self.ctx.backup.clone().unwrap_or_else(|| self.ctx.clusters[main].snapshot());
                self.ctx.restore(backup, 7);
            }
            Fault::Fork(endpoint) => self.ctx.force_new_cluster(usize::from(endpoint)),
            _ => {}
        }
    }
}

fn add(to: &mut u64, by: u64, on: bool) {
    *to = if on { to.saturating_add(by) } else { to.saturating_sub(by) };
}

fn add_32(to: &mut u32, by: u32, on: bool) {
    *to = if on { to.saturating_add(by) } else { to.saturating_sub(by) };
}
