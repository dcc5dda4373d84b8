//! What every simulated run stands on: virtual time, an event queue with a stable order, random numbers, a trace.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::Duration;

/// A point in, or a length of, virtual time: microseconds. The real time of the simulated world, which no node can read.
pub type Micros = u64;

/// One millisecond.
pub const MS: Micros = 1_000;

/// One second.
pub const SECOND: Micros = 1_000_000;

/// A duration in microseconds.
#[must_use]
pub fn micros(duration: Duration) -> Micros {
    Micros::try_from(duration.as_micros()).unwrap_or(Micros::MAX)
}

/// Random numbers: splitmix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014). One addition
/// and five shifts a number, the same on every machine; its period of 2^64 is far beyond what one run draws.
#[derive(Clone, Debug)]
pub struct Rng {
    state: u64,
}

impl Rng {
    /// Numbers that follow from this seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// A stream of its own for one purpose, so that what another purpose draws does not shift it.
    #[must_use]
    pub fn stream(seed: u64, purpose: u64) -> Self {
        let mut rng = Self::new(seed ^ purpose.wrapping_mul(0xD6E8_FEB8_6659_FD93));
        rng.next();
        rng
    }

    /// The next number.
    #[allow(clippy::should_implement_trait)] // the field's name for it; this is no iterator
    pub fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `end`; 0 where `end` is 0.
    pub fn below(&mut self, end: u64) -> u64 {
        // Multiply and shift; the bias is below 2^-32 for every range used here.
        ((u128::from(self.next()) * u128::from(end)) >> 64) as u64
    }

    /// A number from `low` to `high`, both included.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high.saturating_sub(low) + 1)
    }

    /// True in so many of a thousand cases.
    pub fn per_mille(&mut self, chance: u32) -> bool {
        chance > 0 && self.below(1000) < u64::from(chance)
    }

    /// Where in the sequence it stands.
    #[must_use]
    pub fn state(&self) -> u64 {
        self.state
    }

    /// One of these; `None` of none.
    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> Option<&'a T> {
        of.get(usize::try_from(self.below(of.len() as u64)).unwrap_or_default())
    }
}

/// Events in the order of their time; those of one instant in the order in which they were put in.
#[derive(Clone, Debug)]
pub struct Queue<T> {
    now: Micros,
    sequence: u64,
    heap: BinaryHeap<Reverse<(Micros, u64, usize)>>,
    // The events stand beside the heap, so that sifting moves small keys only.
    slots: Vec<Option<T>>,
    free: Vec<usize>,
    handled: u64,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self { now: 0, sequence: 0, heap: BinaryHeap::new(), slots: Vec::new(), free: Vec::new(), handled: 0 }
    }
}

impl<T> Queue<T> {
    /// The present instant.
    #[must_use]
    pub fn now(&self) -> Micros {
        self.now
    }

    /// How many events were taken out.
    #[must_use]
    pub fn handled(&self) -> u64 {
        self.handled
    }

    /// Puts an event in at an instant; one that has passed becomes the present one.
    pub fn at(&mut self, at: Micros, event: T) {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() - 1
        });
        self.slots[slot] = Some(event);
        self.sequence += 1;
        self.heap.push(Reverse((at.max(self.now), self.sequence, slot)));
    }

    /// Puts an event in after a while.
    pub fn after(&mut self, delay: Micros, event: T) {
        self.at(self.now.saturating_add(delay), event);
    }

    /// Takes the next event out, and makes its instant the present one; not beyond `end`.
    pub fn next_until(&mut self, end: Micros) -> Option<T> {
        loop {
            let &Reverse((at, _, slot)) = self.heap.peek()?;
            if at > end {
                return None;
            }
            self.heap.pop();
            self.now = at;
            self.free.push(slot);
            if let Some(event) = self.slots[slot].take() {
                self.handled += 1;
                return Some(event);
            }
        }
    }
}

/// The last things that happened, for people. Off by default: a line is only made where somebody reads it.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    keep: usize,
    lines: VecDeque<(Micros, String)>,
}

impl Trace {
    /// A trace of the last so many lines; 0 for none.
    #[must_use]
    pub fn keeping(keep: usize) -> Self {
        Self { keep, lines: VecDeque::with_capacity(keep.min(4096)) }
    }

    /// Adds a line, if anybody reads it.
    pub fn say(&mut self, now: Micros, line: impl FnOnce() -> String) {
        if self.keep == 0 {
            return;
        }
        if self.lines.len() == self.keep {
            self.lines.pop_front();
        }
        self.lines.push_back((now, line()));
    }

    /// The lines, oldest first, each with its time in seconds.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.lines.iter().map(|(at, line)| format!("{:>12} {line}", seconds(*at))).collect()
    }
}

/// A time in seconds, for people.
#[must_use]
pub fn seconds(at: Micros) -> String {
    format!("{}.{:06}", at / SECOND, at % SECOND)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_in_order_of_time_then_of_entry() {
        let mut queue = Queue::default();
        queue.at(5, "c");
        queue.at(3, "a");
        queue.at(5, "d");
        queue.at(3, "b");
        queue.at(9, "late");
        let mut seen = Vec::new();
        while let Some(event) = queue.next_until(8) {
            seen.push((queue.now(), event));
        }
        assert_eq!(seen, [(3, "a"), (3, "b"), (5, "c"), (5, "d")]);
        queue.at(1, "past");
        assert_eq!(queue.next_until(8), Some("past"));
        assert_eq!(queue.now(), 5, "time never goes back");
    }

    #[test]
    fn numbers_follow_the_seed_and_stay_in_range() {
        let (mut one, mut two) = (Rng::new(7), Rng::new(7));
        assert!((0..100).all(|_| one.next() == two.next()));
        assert!((0..1000).all(|_| (3..=5).contains(&one.between(3, 5))));
        assert_eq!(one.below(0), 0);
        assert!(!one.per_mille(0) && one.per_mille(1000));
        let hits = (0..10_000).filter(|_| one.per_mille(100)).count();
        assert!((800..1200).contains(&hits), "{hits}");
        assert_ne!(Rng::stream(1, 1).next(), Rng::stream(1, 2).next());
        assert_eq!(one.pick::<u8>(&[]), None);
    }

    #[test]
    fn the_trace_keeps_the_last_lines() {
        let mut off = Trace::default();
        off.say(1, || unreachable!());
        let mut trace = Trace::keeping(2);
        for n in 0..4u64 {
            trace.say(n * SECOND, || format!("line {n}"));
        }
        assert_eq!(trace.lines(), ["    2.000000 line 2", "    3.000000 line 3"]);
    }
}
