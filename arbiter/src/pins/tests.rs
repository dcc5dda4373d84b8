use std::collections::{BTreeMap, BTreeSet};

use super::{ClusterIdentity, Mismatch, Observed, Pins, check, read_pins, write_pins};
use crate::records::{GroupRecord, RestorePhase, Versioned};

fn pins() -> Pins {
    let identity = ClusterIdentity { cluster: 7, members: BTreeSet::from([1, 2, 3]) };
    Pins::adopt(identity, 1, 100, BTreeMap::new())
}

fn observed() -> Observed {
    Observed {
        cluster: Some(7),
        members: Some(BTreeSet::from([1, 2, 3])),
        generation: Some((1, RestorePhase::Confirming)),
        revision: Some(100),
    }
}

#[test]
fn the_arbiter_that_is_known_passes() {
    assert_eq!(check(&pins(), &observed()), Ok(()));
    assert_eq!(check(&pins(), &Observed { revision: Some(101), ..observed() }), Ok(()));
    assert_eq!(check(&pins(), &Observed::default()), Ok(()));
}

#[test]
fn every_difference_is_named() {
    let (four, two) = (BTreeSet::from([1, 2, 3, 4]), BTreeSet::from([1, 2]));
    let unfinished = Some((1, RestorePhase::Restoring));
    let cases = [
        (Observed { cluster: Some(8), ..observed() }, Mismatch::Cluster { pinned: 7, observed: 8 }),
        (
            Observed { members: Some(four), ..observed() },
            Mismatch::Members { unknown: BTreeSet::from([4]), missing: BTreeSet::new() },
        ),
        (
            Observed { members: Some(two), ..observed() },
            Mismatch::Members { unknown: BTreeSet::new(), missing: BTreeSet::from([3]) },
        ),
        (
            Observed { generation: Some((2, RestorePhase::Confirming)), ..observed() },
            Mismatch::Generation { pinned: 1, observed: 2 },
        ),
        (Observed { generation: unfinished, ..observed() }, Mismatch::Unfinished),
        // `--force-new-cluster` keeps the id; so does a restore with the same token.
        (Observed { revision: Some(99), ..observed() }, Mismatch::SteppedBack { pinned: 100, observed: 99 }),
    ];
    for (observed, mismatch) in cases {
        assert_eq!(check(&pins(), &observed), Err(mismatch));
    }
}

#[test]
fn what_was_seen_only_grows_and_is_reported() {
    let mut pins = pins();
    let group = |epoch, site: &str| {
        let record = GroupRecord { epoch, ..GroupRecord::first(site) };
        BTreeMap::from([("g".to_owned(), Versioned::new(1, record))])
    };
    assert!(pins.advance(120, &group(3, "dc-b")));
    assert!(!pins.advance(110, &group(2, "dc-a")));
    assert_eq!((pins.revision, pins.groups["g"].epoch, pins.groups["g"].active.as_str()), (120, 3, "dc-b"));
    let report = pins.highest(2);
    assert_eq!((report.generation, report.revision, report.groups["g"].epoch), (2, 120, 3));
}

#[test]
fn the_file_survives_and_a_broken_one_is_no_first_start() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("pins.json");
    assert_eq!(read_pins(&path).unwrap(), None);
    write_pins(&path, &pins()).unwrap();
    assert_eq!(read_pins(&path).unwrap(), Some(pins()));
    std::fs::write(&path, "").unwrap();
    assert!(read_pins(&path).is_err());
}
