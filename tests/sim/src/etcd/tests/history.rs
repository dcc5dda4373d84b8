//! Whether a history of one register is linearizable (Wing and Gong, "Testing and verifying concurrent objects", 1993, with
//! Lowe's memory of configurations that were seen).

use std::collections::HashSet;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Did {
    /// Read this value.
    Read(u32),
    /// Wrote this value.
    Write(u32),
    /// Found the first value and wrote the second.
    Swap(u32, u32),
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Operation {
    pub(super) invoked: u64,
    /// `None`: whether and when it was carried out is not known.
    pub(super) returned: Option<u64>,
    pub(super) did: Did,
}

impl Operation {
    fn apply(&self, value: u32) -> Option<u32> {
        match self.did {
            Did::Read(read) => (read == value).then_some(value),
            Did::Write(next) => Some(next),
            Did::Swap(before, next) => (before == value).then_some(next),
        }
    }

    fn writes(&self) -> Option<u32> {
        match self.did {
            Did::Read(_) => None,
            Did::Write(value) | Did::Swap(_, value) => Some(value),
        }
    }
}

/// Every value is written once; the register begins with 0.
pub(super) fn linearizable(history: &[Operation]) -> bool {
    // A write of unknown fate whose value nobody ever met can be taken as never carried out.
    let met = |value: u32| {
        history.iter().any(|other| matches!(other.did, Did::Read(found) | Did::Swap(found, _) if found == value))
    };
    let mut kept: Vec<Operation> = history.to_vec();
    kept.retain(|one| one.returned.is_some() || one.writes().is_some_and(met));
    assert!(kept.len() <= 128, "{} operations do not fit into the mask", kept.len());
    let all =
        kept.iter().enumerate().filter(|(_, one)| one.returned.is_some()).fold(0, |mask, (n, _)| mask | 1u128 << n);
    let mut seen = HashSet::new();
    let mut open = vec![(0u128, 0u32)];
    while let Some((done, value)) = open.pop() {
        if done & all == all {
            return true;
        }
        let left = || kept.iter().enumerate().filter(|(n, _)| done & (1u128 << n) == 0);
        let first_return = left().filter_map(|(_, one)| one.returned).min().unwrap_or(u64::MAX);
        for (n, one) in left().filter(|(_, one)| one.invoked <= first_return) {
            if let Some(next) = one.apply(value) {
                let state = (done | 1u128 << n, next);
                if seen.insert(state) {
                    open.push(state);
                }
            }
        }
    }
    false
}

#[test]
fn the_checker_tells_right_from_wrong() {
    let op = |invoked, returned, did| Operation { invoked, returned, did };
    let write = op(0, Some(10), Did::Write(1));
    assert!(linearizable(&[write, op(5, Some(6), Did::Read(0)), op(7, Some(8), Did::Read(1))]));
    assert!(!linearizable(&[write, op(5, Some(6), Did::Read(1)), op(7, Some(8), Did::Read(0))]), "went back");
    assert!(!linearizable(&[write, op(11, Some(12), Did::Read(0))]), "an acknowledged write was lost");
    let unknown = op(0, None, Did::Write(1));
    assert!(linearizable(&[unknown, op(11, Some(12), Did::Read(0)), op(90, Some(91), Did::Read(1))]), "late");
    assert!(linearizable(&[unknown, op(11, Some(12), Did::Read(0))]), "never");
    let twice = [unknown, op(11, Some(12), Did::Read(1)), op(13, Some(14), Did::Write(2))];
    assert!(!linearizable(&[&twice[..], &[op(15, Some(16), Did::Read(1))]].concat()), "carried out twice");
    assert!(!linearizable(&[op(0, Some(1), Did::Swap(3, 4))]));
}
