use std::time::Duration;

use proptest::prelude::*;
use tandem_core::failover::Token;

use super::{
    Agent, GateFile, NotWritable, Poll, Refused, parse_token, read_gate_file, token_text, writable, write_gate_file,
};

const BOOT: &str = "6c0f";

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn token(epoch: u64, step: u32) -> Token {
    Token { generation: 1, epoch, execution: 7, step }
}

fn yes(token: Token, seconds: u64) -> Poll {
    Poll { active: true, token, valid_for: Duration::from_secs(seconds) }
}

fn may_write(agent: &Agent, now: u64) -> bool {
    writable(Some(agent.file()), "g", seconds(now), BOOT).is_ok()
}

#[test]
fn it_refuses_until_the_gate_has_said_yes_and_from_the_end_of_that_on() {
    let mut agent = Agent::new("g", BOOT, None);
    assert!(!may_write(&agent, 0));
    // Sent at 100 s; whenever the answer came.
    agent.refresh(seconds(100), &yes(token(1, 0), 5)).unwrap();
    assert!(may_write(&agent, 104) && !may_write(&agent, 105));
    let no = Poll { active: false, ..yes(token(9, 0), 5) };
    assert_eq!(agent.refresh(seconds(104), &no), Err(Refused::Passive));
    assert_eq!(agent.file().token, token(1, 0));
}

#[test]
fn what_is_missing_or_doubtful_refuses() {
    let file = GateFile {
        group: "g".into(),
        token: token(1, 0),
        boot_id: BOOT.into(),
        valid_until_nanos: u64::MAX,
        fenced: false,
    };
    let now = seconds(1);
    assert_eq!(writable(Some(&file), "g", now, BOOT), Ok(()));
    assert_eq!(writable(None, "g", now, BOOT), Err(NotWritable::Missing));
    assert_eq!(writable(Some(&file), "g", now, "another"), Err(NotWritable::OtherBoot));
    assert_eq!(writable(Some(&file), "h", now, BOOT), Err(NotWritable::OtherGroup { found: "g".into() }));
    // The boot clock of a machine that has none.
    assert_eq!(writable(Some(&file), "g", Duration::MAX, BOOT), Err(NotWritable::Expired));
    assert_eq!(writable(Some(&GateFile { fenced: true, ..file }), "g", now, BOOT), Err(NotWritable::Expired));
}

/// A poll that was answered before the fence, and whose answer arrives after it, must not open the file again.
#[test]
fn a_fence_refuses_every_refresh_whose_token_is_not_higher() {
    let mut agent = Agent::new("g", BOOT, None);
    agent.refresh(seconds(100), &yes(token(3, 4), 7)).unwrap();
    agent.fence(&token(3, 4)).unwrap();
    assert!(!may_write(&agent, 100));
    assert_eq!(agent.refresh(seconds(101), &yes(token(3, 4), 7)), Err(Refused::Fenced));
    assert_eq!(agent.refresh(seconds(101), &yes(token(3, 3), 7)), Err(Refused::Fenced));
    assert!(!may_write(&agent, 101));
    // Also after the agent was started again within this boot.
    let mut again = Agent::new("g", BOOT, Some(agent.file().clone()));
    assert_eq!(again.refresh(seconds(101), &yes(token(3, 4), 7)), Err(Refused::Fenced));
    // An abort raises the step, a reclaim the epoch.
    again.refresh(seconds(102), &yes(token(3, 5), 7)).unwrap();
    assert!(may_write(&again, 103));
}

#[test]
fn an_old_fence_and_an_old_answer_are_refused() {
    let mut agent = Agent::new("g", BOOT, None);
    agent.refresh(seconds(1), &yes(token(4, 0), 7)).unwrap();
    assert_eq!(agent.fence(&token(3, 9)), Err(Refused::Older));
    assert_eq!(agent.refresh(seconds(2), &yes(token(3, 9), 7)), Err(Refused::Older));
    assert!(may_write(&agent, 3));
}

#[test]
fn a_site_that_fenced_itself_goes_on_under_the_same_token() {
    let mut agent = Agent::new("g", BOOT, None);
    agent.refresh(seconds(1), &yes(token(4, 0), 7)).unwrap();
    agent.expire();
    assert!(!may_write(&agent, 2));
    agent.refresh(seconds(20), &yes(token(4, 0), 7)).unwrap();
    assert!(may_write(&agent, 21));
}

#[test]
fn a_file_of_another_boot_or_group_says_nothing() {
    let mut agent = Agent::new("g", BOOT, None);
    agent.fence(&token(9, 9)).unwrap();
    for (group, boot) in [("g", "next"), ("h", BOOT)] {
        let other = Agent::new(group, boot, Some(agent.file().clone()));
        assert_eq!(other.file().token, Token::default());
        assert!(writable(Some(other.file()), group, seconds(0), boot).is_err());
    }
}

#[test]
fn the_file_survives_and_what_is_no_file_is_none() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("gate.json");
    assert_eq!(read_gate_file(&path).unwrap(), None);
    let mut agent = Agent::new("g", BOOT, None);
    agent.refresh(seconds(5), &yes(token(1, 2), 7)).unwrap();
    write_gate_file(&path, agent.file()).unwrap();
    assert_eq!(read_gate_file(&path).unwrap().as_ref(), Some(agent.file()));
    let text: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    assert_eq!((&text["bootId"], &text["validUntil"]), (&BOOT.into(), &12_000_000_000u64.into()));
    std::fs::write(&path, "{").unwrap();
    assert_eq!(read_gate_file(&path).unwrap(), None);
}

proptest! {
    #[test]
    fn tokens_survive_as_text(generation: u64, epoch: u64, execution: i64, step: u32) {
        let token = Token { generation, epoch, execution, step };
        prop_assert_eq!(parse_token(&token_text(&token)), Some(token));
    }

    /// Whatever comes in whatever order: the token never falls, and after a fence nothing at or below it opens the file.
    #[test]
    fn the_token_never_falls(acts in prop::collection::vec((0u8..3, 1u64..4, 0u32..4), 1..40)) {
        let mut agent = Agent::new("g", BOOT, None);
        let (mut highest, mut fenced) = (Token::default(), None::<Token>);
        for (now, (act, epoch, step)) in acts.into_iter().enumerate() {
            let now = now as u64;
            let token = token(epoch, step);
            match act {
                0 => if agent.fence(&token).is_ok() { fenced = Some(token) },
                1 => { agent.expire(); }
                _ => { let _ = agent.refresh(seconds(now), &yes(token, 5)); }
            }
            prop_assert!(agent.file().token >= highest);
            highest = agent.file().token;
            if may_write(&agent, now) {
                prop_assert!(fenced.is_none_or(|fence| agent.file().token > fence));
            }
        }
    }
}

#[test]
fn what_is_no_token_is_refused() {
    for text in ["", "1.2.3", "1.2.3.4.5", "1.2.x.4", "-1.2.3.4"] {
        assert_eq!(parse_token(text), None, "{text}");
    }
}
