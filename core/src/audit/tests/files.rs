//! Files: whatever byte is changed, it is found.

use proptest::prelude::*;

use super::*;
use crate::failover::Language;

fn file(count: u64) -> String {
    to_file(&Head::genesis(SITE), SITE, &chain(count)).unwrap()
}

#[test]
fn a_file_says_what_it_is() {
    let entries = chain(4);
    let verified = verify_file(file(4).as_bytes(), vec![entries[1].head()]).unwrap();
    assert_eq!(verified, Verified { site: SITE.into(), first: 1, head: entries[3].head(), anchors: 1 });
    let part = to_file(&entries[1].head(), SITE, &entries[2..]).unwrap();
    let verified = verify_file(part.as_bytes(), vec![entries[1].head(), entries[3].head()]).unwrap();
    assert_eq!((verified.first, verified.anchors), (3, 2));
}

#[test]
fn a_chain_that_was_written_anew_is_found_by_what_is_known_of_it() {
    let known = chain(4)[2].head();
    let mut head = Head::genesis(SITE);
    let mut entries = Vec::new();
    for n in 1..=4 {
        let entry = head.entry(SITE, Draft { actor: Actor::default(), ..draft(n) }).unwrap();
        head = entry.head();
        entries.push(entry);
    }
    let forged = to_file(&Head::genesis(SITE), SITE, &entries).unwrap();
    assert_eq!(verify_file(forged.as_bytes(), Vec::new()).unwrap().anchors, 0, "it hangs together");
    let found = verify_file(forged.as_bytes(), vec![known]).unwrap_err();
    assert_eq!(found, Broken { seq: 3, why: Flaw::Anchor });
}

#[test]
fn the_first_broken_link_is_named() {
    let whole = file(4);
    let lines: Vec<&str> = whole.lines().collect();
    let joined = |lines: &[&str]| lines.iter().map(|line| format!("{line}\n")).collect::<String>();
    let said = |text: &str| verify_file(text.as_bytes(), Vec::new()).unwrap_err();
    assert_eq!(said(""), Broken { seq: 0, why: Flaw::Truncated });
    assert_eq!(said(&joined(&lines[..4])), Broken { seq: 4, why: Flaw::Truncated });
    assert_eq!(said(whole.trim_end()), Broken { seq: 5, why: Flaw::Truncated });
    assert_eq!(said(&joined(&[lines[0], lines[2], lines[3], lines[4], lines[5]])).seq, 1);
    assert_eq!(said(&joined(&[lines[0], lines[1], lines[2], lines[5]])), Broken { seq: 3, why: Flaw::Truncated });
    assert_eq!(said(&joined(&[lines[0], lines[5]])), Broken { seq: 1, why: Flaw::Empty });
    assert_eq!(said(&format!("{whole}{}\n", lines[5])), Broken { seq: 5, why: Flaw::BehindTheEnd });
    assert_eq!(said(&whole.replacen("health-3", "health-9", 1)), Broken { seq: 3, why: Flaw::Hash });
    // The same content, written in another way.
    assert_eq!(said(&whole.replacen("\"outcome\":", "\"outcome\": ", 1)), Broken { seq: 1, why: Flaw::NotCanonical });
    // A field that this release does not know, and an entry of a later version.
    let added = whole.replacen("\"object\":\"environmentrequests/health-2\"", "\"more\":1,\"object\":\"x\"", 1);
    assert_eq!(said(&added).seq, 2);
    let newer = whole.replacen("\"version\":1},\"hash\"", "\"version\":2},\"hash\"", 1);
    assert_eq!(said(&newer), Broken { seq: 1, why: Flaw::Version { found: "2".into() } });
}

#[test]
fn every_flaw_has_a_sentence_in_both_languages() {
    let mut said = std::collections::BTreeSet::new();
    for why in [
        Flaw::Number { found: 4 },
        Flaw::Site { found: "dc-b".into() },
        Flaw::Previous,
        Flaw::Hash,
        Flaw::Anchor,
        Flaw::Completes { begun: 4 },
        Flaw::Version { found: "2".into() },
        Flaw::Unreadable,
        Flaw::NotCanonical,
        Flaw::Empty,
        Flaw::Truncated,
        Flaw::BehindTheEnd,
    ] {
        let broken = Broken { seq: 3, why };
        let [english, chinese] = [Language::English, Language::Chinese].map(|l| broken.sentence(l));
        assert!(english.is_ascii() && english.contains("entry 3"), "{english}");
        assert!(chinese.contains("第 3 条"), "{chinese}");
        assert!(said.insert(english) && said.insert(chinese));
    }
}

/// Every byte of a small file, and every bit of it.
#[test]
fn any_flipped_bit_of_a_file_is_found() {
    let whole = file(2).into_bytes();
    for at in 0..whole.len() {
        for bit in 0..8 {
            let mut flipped = whole.clone();
            flipped[at] ^= 1 << bit;
            assert!(verify_file(&flipped, Vec::new()).is_err(), "byte {at}, bit {bit}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Any change of any byte is found, and not later than in the entry after it.
    #[test]
    fn any_changed_byte_of_a_file_is_found(count in 1u64..8, at in any::<prop::sample::Index>(), to in any::<u8>()) {
        let mut bytes = file(count).into_bytes();
        let at = at.index(bytes.len());
        prop_assume!(bytes[at] != to);
        let line = bytes[..at].iter().filter(|byte| **byte == b'\n').count() as u64;
        bytes[at] = to;
        let found = verify_file(&bytes, Vec::new()).unwrap_err();
        prop_assert!(found.seq <= line + 1, "line {line}: {found}");
    }

    /// Nor can a part be cut out or put in twice.
    #[test]
    fn any_cut_is_found(
        count in 1u64..8,
        from in any::<prop::sample::Index>(),
        to in any::<prop::sample::Index>(),
        double in any::<bool>(),
    ) {
        let bytes = file(count).into_bytes();
        let (from, to) = (from.index(bytes.len()), to.index(bytes.len()));
        let (from, to) = (from.min(to), from.max(to));
        prop_assume!(from < to);
        let changed = if double {
            [&bytes[..to], &bytes[from..]].concat()
        } else {
            [&bytes[..from], &bytes[to..]].concat()
        };
        prop_assert!(verify_file(&changed, Vec::new()).is_err());
    }
}
