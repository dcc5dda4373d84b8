use std::collections::{BTreeMap, BTreeSet};

use super::{
    Acceptance, ClusterIdentity, Mismatch, NotAccepted, Observed, Pins, check, read_acceptance, read_pins,
    write_acceptance, write_pins,
};
use crate::records::{GroupRecord, Replacement, ReplacementsRecord, RestorePhase, Versioned};

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
    let report = pins.highest("op-0", 2).unwrap();
    assert_eq!((report.generation, report.revision, report.groups["g"].epoch), (2, 120, 3));
    assert!(report.replicas.contains("op-0"));
    // Of its own generation it knows nothing that came before: a disk that was lost does not speak for the site.
    assert_eq!(pins.highest("op-0", 1), None);
}

fn word() -> Acceptance {
    Acceptance { generation: 2, cluster: 8, members: BTreeSet::from([4, 5, 0xf6]) }
}

/// The arbiter after a restore with a fresh token, carried out.
fn restored() -> Observed {
    Observed {
        cluster: Some(8),
        members: Some(BTreeSet::from([4, 5, 0xf6])),
        generation: Some((2, RestorePhase::Confirming)),
        revision: Some(60),
    }
}

#[test]
fn a_word_reads_back_and_a_half_of_one_is_none() {
    assert_eq!(word().to_string(), "2:8:4,5,f6");
    assert_eq!("2:8:4,5,f6\n".parse(), Ok(word()));
    for text in ["", "2", "2:8", "2:8:", "x:8:4", "2:8:4,,5", "2:8:4:5"] {
        assert!(text.parse::<Acceptance>().is_err(), "{text}");
    }
}

#[test]
fn a_restored_arbiter_is_followed_by_a_persons_exact_word_alone() {
    let before =
        Pins { groups: [("g".to_owned(), crate::records::Mark { epoch: 3, active: "dc-b".into() })].into(), ..pins() };
    let after = before.accept(&word(), &restored()).unwrap();
    assert_eq!((after.cluster, after.generation, after.revision), (8, 2, 60));
    assert_eq!(check(&after, &restored()), Ok(()));
    let report = after.highest("op-0", 2).unwrap();
    assert_eq!((report.revision, report.groups["g"].epoch), (100, 3), "what was seen before is not lost");

    let refused = |word: &Acceptance, observed: &Observed| before.accept(word, observed).unwrap_err();
    for other in [
        Acceptance { generation: 3, ..word() },
        Acceptance { cluster: 9, ..word() },
        Acceptance { members: BTreeSet::from([4, 5]), ..word() },
    ] {
        assert!(matches!(refused(&other, &restored()), NotAccepted::Other { .. }));
    }
    let partial = Observed { revision: None, ..restored() };
    assert_eq!(refused(&word(), &partial), NotAccepted::Unknown);
    let unfinished = Observed { generation: Some((2, RestorePhase::Restoring)), ..restored() };
    assert_eq!(refused(&word(), &unfinished), NotAccepted::Unfinished);
    let (same, kept) = (Acceptance { cluster: 7, ..word() }, Observed { cluster: Some(7), ..restored() });
    assert_eq!(refused(&same, &kept), NotAccepted::SameCluster, "restored with the same token");
    let (old, lower) = (
        Acceptance { generation: 1, ..word() },
        Observed { generation: Some((1, RestorePhase::Confirming)), ..restored() },
    );
    assert_eq!(refused(&old, &lower), NotAccepted::NotRaised { pinned: 1, found: 1 });
}

fn replacement(before: [u64; 3], removed: u64, added: Option<u64>) -> Replacement {
    Replacement {
        cluster: 7,
        generation: 1,
        before: before.into(),
        removed,
        name: "witness".into(),
        peer_urls: Vec::new(),
        added,
        done: added.is_some(),
        at: jiff::Timestamp::UNIX_EPOCH,
        by: "wang".into(),
    }
}

#[test]
fn replaced_members_are_followed_and_a_forced_new_cluster_is_not() {
    let record =
        ReplacementsRecord::default().with(replacement([1, 2, 3], 3, Some(4))).with(replacement([1, 2, 4], 1, Some(5)));
    let members = |members: &[u64]| Observed { members: Some(members.iter().copied().collect()), ..observed() };
    let follows = |from: &[u64], to: &[u64]| {
        let pins = Pins { members: from.iter().copied().collect(), ..pins() };
        let next = pins.replaced(&record, &members(to));
        next.map(|next| assert_eq!(next, Pins { members: to.iter().copied().collect(), ..pins })).is_some()
    };
    assert!(follows(&[1, 2, 3], &[1, 2]) && follows(&[1, 2, 3], &[1, 2, 4]) && follows(&[1, 2], &[1, 2, 4]));
    // A site that was off meanwhile.
    assert!(follows(&[1, 2, 3], &[2, 4, 5]) && follows(&[1, 2], &[2, 4]));
    for forced in [&[1][..], &[2], &[1, 6], &[1, 6, 7], &[2, 4, 6], &[]] {
        assert!(!follows(&[1, 2, 3], forced), "{forced:?}");
    }
    assert!(!follows(&[1, 2, 4], &[1, 2, 3]), "never back");
    assert!(!follows(&[7, 8, 9], &[1, 2, 4]), "of others' members it says nothing");
    let to = members(&[1, 2, 4]);
    for doubtful in [
        Observed { cluster: Some(8), ..to.clone() },
        Observed { revision: Some(99), ..to.clone() },
        Observed { generation: Some((2, RestorePhase::Confirming)), ..to.clone() },
        Observed { generation: None, ..to.clone() },
    ] {
        assert_eq!(pins().replaced(&record, &doubtful), None, "{doubtful:?}");
    }
    assert!(pins().replaced(&record, &to).is_some());
}

#[test]
fn the_word_stands_beside_the_pins() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("pins.json");
    assert_eq!(read_acceptance(&path).unwrap(), None);
    write_acceptance(&path, &word()).unwrap();
    assert_eq!(read_acceptance(&path).unwrap(), Some(word()));
    assert_eq!(read_pins(&path).unwrap(), None);
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
