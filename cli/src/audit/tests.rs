use super::*;
use crate::output::Output;
use jiff::Timestamp;
use tandem_core::audit::{Actor, Draft, Entry, Outcome, to_file};

const SITE: &str = "dc-a";

fn chain(count: u64) -> Vec<Entry> {
    let mut head = Head::genesis(SITE);
    let draft = |n: u64| Draft {
        id: format!("id-{n}"),
        at: Timestamp::UNIX_EPOCH,
        actor: Actor::default(),
        action: "requests.approve".to_owned(),
        object: format!("environmentrequests/health-{n}"),
        before: None,
        after: None,
        outcome: Outcome::Begun,
        begun: None,
        trace: None,
    };
    (1..=count)
        .map(|n| {
            let entry = head.entry(SITE, draft(n)).unwrap();
            head = entry.head();
            entry
        })
        .collect()
}

fn ends(text: &str, anchors: &[Head]) -> Exit {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("chain.jsonl");
    std::fs::write(&file, text).unwrap();
    verified(&VerifyArgs { file, anchor: anchors.to_vec(), output: Output::Table }, Lang::En).unwrap()
}

#[test]
fn a_chain_that_holds_and_one_with_a_changed_byte() {
    let entries = chain(3);
    let text = to_file(&Head::genesis(SITE), SITE, &entries).unwrap();
    assert_eq!(ends(&text, &[]), Exit::Ok);
    assert_eq!(ends(&text, &[entries[1].head()]), Exit::Ok);
    assert_eq!(ends(&text.replacen("health-2", "health-9", 1), &[]), Exit::Refused);
    assert_eq!(ends(text.trim_end(), &[]), Exit::Refused, "the end of the last line is missing");
    assert_eq!(ends("", &[]), Exit::Refused);
}

#[test]
fn a_known_head_that_is_not_in_the_file_refuses() {
    let entries = chain(3);
    let cut_off = to_file(&Head::genesis(SITE), SITE, &entries[..2]).unwrap();
    assert_eq!(ends(&cut_off, &[]), Exit::Ok);
    assert_eq!(ends(&cut_off, &[entries[2].head()]), Exit::Refused);
}

#[test]
fn what_is_said_names_the_entry_in_both_languages() {
    let text = to_file(&Head::genesis(SITE), SITE, &chain(3)).unwrap().replacen("health-2", "health-9", 1);
    let broken = verify(text.as_bytes(), Vec::new()).unwrap().unwrap_err();
    assert!(breaks(&broken, Lang::En).starts_with("the chain breaks at entry 2: "), "{}", breaks(&broken, Lang::En));
    assert!(breaks(&broken, Lang::Zh).starts_with("审计链在第 2 条断裂："));
}

#[test]
fn an_anchor_is_a_number_and_a_hash() {
    let hash = "ab".repeat(32);
    assert_eq!(anchor(&format!("7:{hash}")), Ok(Head { seq: 7, hash }));
    for wrong in ["7", "x:ab", "7:ab", &format!("7:{}", "AB".repeat(32))] {
        assert!(anchor(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn a_file_that_is_not_there_is_said_to_be() {
    let args = VerifyArgs { file: "/nowhere/chain.jsonl".into(), anchor: Vec::new(), output: Output::Json };
    assert!(verified(&args, Lang::En).unwrap_err().to_string().contains("/nowhere/chain.jsonl"));
}
