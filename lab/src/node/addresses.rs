//! The node's range of pod addresses.

use std::collections::{HashMap, HashSet};
use std::net::Ipv4Addr;

use super::NodeError;

/// Addresses at the start of the range that no pod gets: the network's own, the node's, and some for the lab.
const RESERVED: u32 = 16;

/// An IPv4 range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Range {
    network: u32,
    prefix: u8,
}

impl Range {
    /// Reads `A.B.C.D/N`, with `N` from 8 to 24.
    pub(super) fn parse(text: &str) -> Result<Self, NodeError> {
        let wrong = || NodeError::Range(text.to_owned());
        let (address, prefix) = text.split_once('/').ok_or_else(wrong)?;
        let address: Ipv4Addr = address.parse().map_err(|_| wrong())?;
        let prefix: u8 = prefix.parse().map_err(|_| wrong())?;
        if !(8..=24).contains(&prefix) {
            return Err(wrong());
        }
        let network = u32::from(address) & Self::mask(prefix);
        Ok(Self { network, prefix })
    }

    fn mask(prefix: u8) -> u32 {
        u32::MAX << (32 - u32::from(prefix))
    }

    fn size(self) -> u32 {
        1 << (32 - u32::from(self.prefix))
    }

    /// The first usable address: the node's own.
    pub(super) fn first(self) -> Ipv4Addr {
        Ipv4Addr::from(self.network + 1)
    }

    pub(super) fn contains(self, address: Ipv4Addr) -> bool {
        u32::from(address) & Self::mask(self.prefix) == self.network
    }
}

impl std::fmt::Display for Range {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", Ipv4Addr::from(self.network), self.prefix)
    }
}

/// Who has which address. An address that was given back is not given out again until all others have had their turn, so
/// that nobody reaches a new pod by an old pod's address.
#[derive(Debug)]
pub(super) struct Addresses {
    range: Range,
    by_pod: HashMap<String, Ipv4Addr>,
    used: HashSet<Ipv4Addr>,
    next: u32,
}

impl Addresses {
    pub(super) fn new(range: Range) -> Self {
        Self { range, by_pod: HashMap::new(), used: HashSet::new(), next: RESERVED }
    }

    /// Takes over an address that the pod already has. Says no when it is outside of the range, reserved, or another's.
    pub(super) fn recover(&mut self, pod: &str, address: Ipv4Addr) -> bool {
        if let Some(has) = self.by_pod.get(pod) {
            return *has == address;
        }
        let offset = u32::from(address).wrapping_sub(self.range.network);
        if !(RESERVED..self.range.size() - 1).contains(&offset) || !self.used.insert(address) {
            return false;
        }
        self.by_pod.insert(pod.to_owned(), address);
        self.next = self.next.max(offset + 1);
        true
    }

    /// The pod's address: the one that it has, or a new one. `None` when the range is used up.
    pub(super) fn of(&mut self, pod: &str) -> Option<Ipv4Addr> {
        if let Some(address) = self.by_pod.get(pod) {
            return Some(*address);
        }
        let last = self.range.size() - 1; // broadcast: not given out
        for _ in RESERVED..last {
            if !(RESERVED..last).contains(&self.next) {
                self.next = RESERVED;
            }
            let address = Ipv4Addr::from(self.range.network + self.next);
            self.next += 1;
            if self.used.insert(address) {
                self.by_pod.insert(pod.to_owned(), address);
                return Some(address);
            }
        }
        None
    }

    /// The address that the pod has, if it has one.
    pub(super) fn known(&self, pod: &str) -> Option<Ipv4Addr> {
        self.by_pod.get(pod).copied()
    }

    /// Gives the pod's address back.
    pub(super) fn release(&mut self, pod: &str) {
        if let Some(address) = self.by_pod.remove(pod) {
            self.used.remove(&address);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(range: &str) -> Addresses {
        Addresses::new(Range::parse(range).unwrap())
    }

    #[test]
    fn range_is_normalised_and_bounded() {
        let range = Range::parse("10.90.65.7/18").unwrap();
        assert_eq!(range.to_string(), "10.90.64.0/18");
        assert_eq!(range.first(), Ipv4Addr::new(10, 90, 64, 1));
        assert!(range.contains(Ipv4Addr::new(10, 90, 127, 255)));
        assert!(!range.contains(Ipv4Addr::new(10, 90, 128, 0)));
        for bad in ["10.0.0.0", "10.0.0.0/33", "10.0.0.0/25", "fd00::/64", "10.0.0/16", ""] {
            assert!(Range::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_address_is_stable_and_not_shared() {
        let mut a = addresses("10.0.0.0/24");
        let first = a.of("a").unwrap();
        assert_eq!(a.of("a"), Some(first));
        assert_eq!(first, Ipv4Addr::new(10, 0, 0, 16));
        assert_ne!(a.of("b"), Some(first));
    }

    #[test]
    fn a_returned_address_comes_back_last() {
        let mut a = addresses("10.0.0.0/24");
        let first = a.of("a").unwrap();
        a.release("a");
        let all: Vec<_> = (16..255).map(|n| a.of(&format!("p{n}")).unwrap()).collect();
        assert_eq!(all.last(), Some(&first));
        assert_eq!(all.iter().collect::<HashSet<_>>().len(), 239);
        assert_eq!(a.of("one too many"), None);
        a.release("p100");
        assert!(a.of("one too many").is_some());
    }

    #[test]
    fn recovery_keeps_addresses_and_refuses_what_is_not_ours() {
        let mut a = addresses("10.0.0.0/24");
        let kept = Ipv4Addr::new(10, 0, 0, 40);
        assert!(a.recover("a", kept));
        assert!(a.recover("a", kept));
        assert!(!a.recover("b", kept), "taken");
        assert!(!a.recover("c", Ipv4Addr::new(10, 0, 1, 40)), "outside");
        assert!(!a.recover("d", Ipv4Addr::new(10, 0, 0, 1)), "the node's");
        assert!(!a.recover("e", Ipv4Addr::new(9, 0, 0, 40)), "below");
        assert_eq!(a.of("a"), Some(kept));
        assert_eq!(a.of("b"), Some(Ipv4Addr::new(10, 0, 0, 41)), "goes on after the highest recovered");
    }
}
