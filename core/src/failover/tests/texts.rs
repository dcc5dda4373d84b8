//! Sentences.

use std::collections::BTreeSet;

use crate::failover::reason::examples::{all, position};
use crate::failover::{Language, Reason, Step};

#[test]
fn every_reason_has_a_sentence_in_both_languages() {
    let positions: BTreeSet<usize> = all().iter().map(position).collect();
    assert_eq!(positions, (0..all().len()).collect(), "every reason has an example");
    let mut sentences = BTreeSet::new();
    for reason in all() {
        let [english, chinese] = [Language::English, Language::Chinese].map(|l| reason.sentence(l));
        assert!(english.is_ascii() && english.len() > 10, "{english}");
        assert!(chinese.chars().any(|c| ('\u{4e00}'..='\u{9fff}').contains(&c)), "{chinese}");
        assert!(!english.contains(['{', '}']) && !chinese.contains(['{', '}']), "{english} {chinese}");
        assert!(sentences.insert(english) && sentences.insert(chinese), "{reason:?} says what another says");
    }
}

#[test]
fn a_sentence_about_many_groups_stays_short() {
    let waits = |count: usize| Reason::WaitsFor { groups: (1..=count).map(|number| format!("g{number}")).collect() };
    let of = |count, language| waits(count).sentence(language);
    assert_eq!(of(5, Language::English), "it waits for g1, g2, g3, g4, g5");
    assert_eq!(of(52, Language::English), "it waits for g1, g2, g3, g4, g5 and 47 more");
    assert_eq!(of(52, Language::Chinese), "等待以下组：g1、g2、g3、g4、g5 等 52 个组");
}

#[test]
fn both_sentences_name_every_parameter() {
    for reason in all() {
        let [english, chinese] = [Language::English, Language::Chinese].map(|l| reason.sentence(l));
        let value = serde_json::to_value(&reason).unwrap();
        assert_eq!(value["code"], reason.code());
        for (name, value) in
            value.as_object().unwrap().iter().filter(|(name, _)| !["code", "step"].contains(&name.as_str()))
        {
            let words = match value {
                serde_json::Value::Array(list) => list.iter().map(|v| v.as_str().unwrap().to_owned()).collect(),
                serde_json::Value::String(text) => vec![text.clone()],
                other => vec![other.to_string()],
            };
            for word in words {
                assert!(english.contains(&word), "{name}: {english}");
                assert!(chinese.contains(&word), "{name}: {chinese}");
            }
        }
    }
}

#[test]
fn a_reason_survives_json_and_one_from_a_newer_release_is_unknown() {
    for reason in all() {
        let text = serde_json::to_string(&reason).unwrap();
        assert_eq!(serde_json::from_str::<Reason>(&text).unwrap(), reason);
    }
    assert_eq!(serde_json::from_str::<Reason>(r#"{"code":"FromTheFuture","site":"x"}"#).unwrap(), Reason::Unknown);
}

#[test]
fn steps_are_named_in_both_languages() {
    assert_eq!(Step::Fencing.name(Language::English), "fencing");
    assert_eq!(Step::Fencing.name(Language::Chinese), "隔离");
}
