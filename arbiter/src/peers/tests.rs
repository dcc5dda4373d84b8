use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;

use super::{Basis, ClaimWatch, MemberSeen, MembersRead, PeerWatch};
use crate::membership::Timing;
use crate::records::{GroupRecord, MemberRecord, Phase, Versioned};

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn timing() -> Timing {
    Timing::from_heartbeat(seconds(2)).unwrap()
}

/// A list of `dc-a`: each replica with its `mod_revision` and what it has seen.
fn list(revision: i64, members: &[(&str, i64, i64)]) -> MembersRead {
    let members = members.iter().map(|(replica, revision, seen)| MemberSeen {
        replica: (*replica).to_owned(),
        created: 1,
        revision: *revision,
        record: Some(MemberRecord { seen: *seen, generation: 1, incarnation: "1".into(), t_millis: 10_000 }),
    });
    MembersRead { site: "dc-a".into(), revision, members: members.collect() }
}

#[test]
fn nothing_is_known_before_the_first_read() {
    let watch = PeerWatch::new("dc-a", timing());
    assert_eq!(watch.take_over_ready(seconds(1_000_000)), None);
}

/// What the watcher did not see itself it does not know: an old heartbeat counts from when it is first seen.
#[test]
fn the_wait_counts_from_the_own_first_sight() {
    let mut watch = PeerWatch::new("dc-a", timing());
    watch.read(seconds(500), &list(90, &[("op-0", 7, 0)]));
    assert_eq!(watch.take_over_ready(seconds(509)), None);
    let silence = watch.take_over_ready(seconds(510)).unwrap();
    assert_eq!((silence.site(), silence.newest()), ("dc-a", 7));
    // A watcher that starts anew begins anew.
    let mut after = PeerWatch::new("dc-a", timing());
    after.read(seconds(511), &list(91, &[("op-0", 7, 0)]));
    assert_eq!(after.take_over_ready(seconds(520)), None);
}

#[test]
fn every_change_begins_the_wait_anew() {
    let still = [("op-0", 7, 0), ("op-1", 9, 0)];
    let changes: [&[(&str, i64, i64)]; 4] = [
        &[("op-0", 7, 0), ("op-1", 95, 0)],                 // it beats
        &[("op-0", 7, 0), ("op-1", 9, 0), ("op-2", 95, 0)], // another joins
        &[("op-0", 7, 0)],                                  // its leader removed one, so it has a leader
        &[],
    ];
    for change in changes {
        let mut watch = PeerWatch::new("dc-a", timing());
        watch.read(seconds(0), &list(90, &still));
        watch.read(seconds(9), &list(96, change));
        assert_eq!(watch.take_over_ready(seconds(18)), None, "{change:?}");
        assert!(watch.take_over_ready(seconds(19)).is_some());
        // It reappears.
        watch.read(seconds(19), &list(99, &[("op-0", 98, 0)]));
        assert_eq!(watch.take_over_ready(seconds(28)), None);
    }
}

#[test]
fn an_older_read_and_another_sites_say_nothing() {
    let mut watch = PeerWatch::new("dc-a", timing());
    watch.read(seconds(0), &list(90, &[("op-0", 80, 0)]));
    watch.read(seconds(5), &list(70, &[("op-0", 60, 0)]));
    watch.read(seconds(5), &MembersRead { site: "dc-b".into(), ..list(95, &[("op-0", 94, 0)]) });
    assert_eq!(watch.take_over_ready(seconds(10)).unwrap().newest(), 80);
    watch.forget();
    assert_eq!(watch.still_for(seconds(10)), None);
}

proptest! {
    /// However the reads come, silence is never said less than `T` after the last change was read, and always after it.
    #[test]
    fn silence_is_said_after_exactly_t(steps in prop::collection::vec((0u64..4_000, prop::bool::ANY), 1..60)) {
        let mut watch = PeerWatch::new("dc-a", timing());
        let (mut now, mut revision, mut key, mut changed) = (0, 10, 5, 0);
        for (n, (passes, beats)) in steps.into_iter().enumerate() {
            now += passes;
            revision += 1;
            if beats || n == 0 {
                key = revision;
                changed = now;
            }
            watch.read(Duration::from_millis(now), &list(revision, &[("op-0", key, 0)]));
            let said = watch.take_over_ready(Duration::from_millis(now));
            prop_assert_eq!(said.is_some(), now - changed >= 10_000);
            if let Some(silence) = said {
                prop_assert_eq!(silence.newest(), key);
            }
        }
    }
}

fn released(to: &str, revision: i64) -> BTreeMap<String, Versioned<GroupRecord>> {
    let record = GroupRecord { phase: Phase::Released { to: to.into() }, ..GroupRecord::first("dc-a") };
    BTreeMap::from([("g".to_owned(), Versioned::new(revision, record))])
}

fn watching(at: u64) -> ClaimWatch {
    let mut watch = ClaimWatch::new("dc-b", timing());
    watch.observe(seconds(at), &released("dc-b", 50));
    watch
}

#[test]
fn a_release_is_claimed_once_every_replica_has_seen_it() {
    let watch = watching(100);
    let now = seconds(101);
    let ready = |list: &MembersRead| watch.ready("g", now, 1, Some(list));
    let all = ready(&list(60, &[("op-0", 59, 50), ("op-1", 58, 57)])).unwrap();
    assert_eq!((all.basis(), all.release(), all.from()), (Basis::Seen { list: 60 }, 50, "dc-a"));
    assert_eq!(watch.ready("g", now, 1, None), None);
    assert_eq!(ready(&list(60, &[("op-0", 59, 50), ("op-1", 58, 49)])), None, "one lags and may still answer 200");
    assert_eq!(ready(&list(60, &[])), None, "nobody is there to say");
    let mut unreadable = list(60, &[("op-0", 59, 50)]);
    unreadable.members[0].record = None;
    assert_eq!(ready(&unreadable), None);
    assert_eq!(watch.ready("g", now, 2, Some(&list(60, &[("op-0", 59, 50)]))), None, "seen in another generation");
    assert_eq!(ready(&MembersRead { site: "dc-c".into(), ..list(60, &[("op-0", 59, 50)]) }), None);
    assert_eq!(watch.ready("h", now, 1, Some(&list(60, &[("op-0", 59, 50)]))), None);
}

/// A replica that joined between an older list and the release is not on the list, and may answer 200.
#[test]
fn a_member_list_from_before_the_release_does_not_do() {
    let watch = watching(100);
    assert_eq!(watch.ready("g", seconds(101), 1, Some(&list(49, &[("op-0", 48, 55)]))), None);
    assert!(watch.ready("g", seconds(101), 1, Some(&list(50, &[("op-0", 48, 55)]))).is_some());
}

#[test]
fn a_release_is_claimed_after_t_whatever_is_seen() {
    let mut watch = watching(100);
    // Seen again: the count goes on from the first time.
    watch.observe(seconds(105), &released("dc-b", 50));
    assert_eq!(watch.ready("g", seconds(109), 1, None), None);
    assert_eq!(watch.ready("g", seconds(110), 1, None).unwrap().basis(), Basis::Waited);
    // Taken back and released again is another release.
    watch.observe(seconds(111), &released("dc-b", 70));
    assert_eq!(watch.ready("g", seconds(112), 1, None), None);
    assert_eq!(watch.pending().next().unwrap().since, seconds(111));
    watch.observe(seconds(113), &released("dc-c", 80));
    assert_eq!(watch.pending().count(), 0, "for another");
    assert_eq!(watch.ready("g", seconds(999), 1, None), None);
}

/// Waiting for one's own `T` proves nothing about a replica whose deadline hangs on another.
#[test]
fn a_peer_with_another_t_is_neither_taken_over_nor_claimed_from() {
    for t_millis in [0, 5_000, 20_000] {
        let mut read = list(90, &[("op-0", 7, 95), ("op-1", 8, 95)]);
        read.members[1].record.as_mut().unwrap().t_millis = t_millis;
        let mut watch = PeerWatch::new("dc-a", timing());
        watch.read(seconds(0), &read);
        assert_eq!((watch.take_over_ready(seconds(1_000)), watch.other_t()), (None, Some("op-1")), "{t_millis}");
        // Gone: its own site's leader has deleted it. The wait begins anew.
        watch.read(seconds(1_000), &list(96, &[("op-0", 7, 95)]));
        assert_eq!(watch.other_t(), None);
        assert!(watch.take_over_ready(seconds(1_010)).is_some());

        let phase = Phase::Released { to: "dc-b".into() };
        let released = Versioned::new(80, GroupRecord { phase, ..GroupRecord::first("dc-a") });
        let mut claims = ClaimWatch::new("dc-b", timing());
        claims.observe(seconds(0), &BTreeMap::from([("g".to_owned(), released)]));
        assert_eq!(claims.ready("g", seconds(1_000), 1, Some(&read)), None);
        assert!(claims.ready("g", seconds(0), 1, Some(&list(96, &[("op-0", 7, 95)]))).is_some());
    }
}
