//! Tests of the chain.

mod files;

use jiff::{SignedDuration, Timestamp};

use super::*;

const SITE: &str = "dc-a";

fn draft(n: u64) -> Draft {
    Draft {
        id: format!("id-{n}"),
        at: Timestamp::UNIX_EPOCH + SignedDuration::from_millis(i64::try_from(n).unwrap() * 1_500),
        actor: Actor { name: "王五".into(), roles: vec!["Platform".into()], via: "api".into() },
        action: "requests.approve".into(),
        object: format!("environmentrequests/health-{n}"),
        before: None,
        after: Some("ab".repeat(32)),
        outcome: if n.is_multiple_of(2) { Outcome::Done } else { Outcome::Begun },
        begun: n.is_multiple_of(2).then(|| n - 1),
        trace: Some(format!("trace-{n}")),
    }
}

/// A chain of so many entries, each even one completing the one before.
fn chain(count: u64) -> Vec<Entry> {
    let mut head = Head::genesis(SITE);
    let mut entries = Vec::new();
    for n in 1..=count {
        let entry = head.entry(SITE, draft(n)).unwrap();
        head = entry.head();
        entries.push(entry);
    }
    entries
}

fn broken(entries: &[Entry]) -> Broken {
    verify(&Head::genesis(SITE), SITE, entries).unwrap_err()
}

#[test]
fn a_chain_holds_and_its_hash_is_the_same_everywhere() {
    let entries = chain(4);
    let head = verify(&Head::genesis(SITE), SITE, &entries).unwrap();
    assert_eq!(head, entries[3].head());
    // Written down once: another release that hashes otherwise could verify no chain of today.
    assert_eq!(Head::genesis(SITE).hash, "146417c39ae80a84b45e542c3fb778517beb1392632d163522e0f591999558d2");
    assert_eq!(head.hash, "da81e5f8b707fac378d5a899f880961c4d4fba1d02f8bbaf007f6ce93d519ed0");
    assert!(entries[0].canonical().starts_with(r#"{"action":"requests.approve","actor":{"name":"王五","#));
}

#[test]
fn whatever_is_changed_left_out_or_moved_is_found_where_it_is() {
    let entries = chain(6);
    let at = |n: usize, change: &dyn Fn(&mut Entry)| {
        let mut entries = entries.clone();
        change(&mut entries[n]);
        broken(&entries)
    };
    assert_eq!(at(2, &|e| e.actor.name = "li".into()), Broken { seq: 4, why: Flaw::Previous });
    assert_eq!(at(2, &|e| e.outcome = Outcome::Failed), Broken { seq: 4, why: Flaw::Previous });
    assert_eq!(at(2, &|e| e.after = None), Broken { seq: 4, why: Flaw::Previous });
    assert_eq!(at(2, &|e| e.previous = "0".repeat(64)), Broken { seq: 3, why: Flaw::Previous });
    assert_eq!(at(2, &|e| e.seq = 9), Broken { seq: 3, why: Flaw::Number { found: 9 } });
    assert_eq!(at(2, &|e| e.site = "dc-b".into()), Broken { seq: 3, why: Flaw::Site { found: "dc-b".into() } });
    assert_eq!(at(2, &|e| e.version = 2), Broken { seq: 3, why: Flaw::Version { found: "2".into() } });
    assert_eq!(at(3, &|e| e.begun = Some(4)), Broken { seq: 4, why: Flaw::Completes { begun: 4 } });
    let mut missing = entries.clone();
    missing.remove(2);
    assert_eq!(broken(&missing), Broken { seq: 3, why: Flaw::Number { found: 4 } });
    let mut swapped = entries.clone();
    swapped.swap(2, 3);
    assert_eq!(broken(&swapped).seq, 3);
    let mut doubled = entries.clone();
    doubled.insert(3, entries[2].clone());
    assert_eq!(broken(&doubled), Broken { seq: 4, why: Flaw::Number { found: 3 } });
    // The whole chain of another site is not this one's.
    assert_eq!(verify(&Head::genesis("dc-b"), "dc-b", &entries).unwrap_err().seq, 1);
}

#[test]
fn what_was_begun_and_never_completed_is_known() {
    assert_eq!(unfinished(&chain(4)), [0u64; 0]);
    assert_eq!(unfinished(&chain(5)), [5]);
}

#[test]
fn an_entry_has_an_end() {
    let long = Draft { object: "x".repeat(ENTRY_BYTES), ..draft(1) };
    assert!(matches!(Head::genesis(SITE).entry(SITE, long), Err(TooLarge { bytes }) if bytes > ENTRY_BYTES));
}

#[test]
fn a_draft_that_waits_fits_once_its_turn_comes() {
    let long = "\u{1}".repeat(ENTRY_BYTES);
    let actor = Actor { name: long.clone(), roles: vec![long.clone(); 50], via: long.clone() };
    let (action, object, trace) = (long.clone(), long.clone(), Some(long.clone()));
    let large = Draft { id: long.clone(), actor, action, object, before: Some(long), trace, ..draft(1) };
    assert!(Head::genesis(SITE).entry(SITE, large.clone()).is_err());
    Head::genesis(SITE).entry(SITE, large.fitting()).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(draft(1).fitting(), draft(1), "and otherwise nothing is cut");
}

#[test]
fn segments_follow_each_other() {
    let entries = chain(7);
    let at = Timestamp::UNIX_EPOCH;
    let first = Segment::seal(&Head::genesis(SITE), SITE, &entries[..3], at).unwrap();
    let second = Segment::seal(&first.head(), SITE, &entries[3..], at).unwrap();
    assert_eq!((first.first, first.last, second.first, second.last), (1, 3, 4, 7));
    first.verify(&entries[..3]).unwrap();
    assert_eq!(first.verify(&entries[..2]).unwrap_err(), Broken { seq: 3, why: Flaw::Truncated });
    assert_eq!(first.verify(&entries[..4]).unwrap_err(), Broken { seq: 4, why: Flaw::BehindTheEnd });
    let mut forged = entries[..3].to_vec();
    forged[2].object = "another".into();
    assert_eq!(first.verify(&forged).unwrap_err(), Broken { seq: 3, why: Flaw::Anchor });
    assert_eq!(verify_segments(SITE, [&first, &second]).unwrap(), entries[6].head());
    assert_eq!(verify_segments(SITE, [&second]).unwrap_err().why, Flaw::Number { found: 4 });
    let other = Segment { previous: "0".repeat(64), ..second };
    assert_eq!(verify_segments(SITE, [&first, &other]).unwrap_err(), Broken { seq: 4, why: Flaw::Previous });
    assert_eq!(Segment::seal(&first.head(), SITE, &[], at).unwrap_err().why, Flaw::Empty);
}

#[test]
fn a_proof_shows_one_entry_and_no_other() {
    let entries = chain(5);
    let known = entries[4].head();
    for seq in 1..=5 {
        let proof = Proof::of(seq, &entries).unwrap();
        proof.verify(SITE, &known).unwrap();
        let text = serde_json::to_string(&proof).unwrap();
        assert_eq!(text.matches("environmentrequests/").count(), 1, "the others are not told");
        let mut forged = proof.clone();
        forged.entry.actor.name = "li".into();
        assert!(forged.verify(SITE, &known).is_err());
        let mut forged = proof.clone();
        forged.entry.previous = "0".repeat(64);
        assert!(forged.verify(SITE, &known).is_err());
        let mut short = proof.clone();
        if short.following.pop().is_some() {
            assert!(short.verify(SITE, &known).is_err());
        }
        assert!(proof.verify("dc-b", &known).is_err());
    }
    assert_eq!(Proof::of(6, &entries), None);
    let parts = Proof::of(4, &entries[3..]).unwrap();
    parts.verify(SITE, &known).unwrap();
}
