//! The operator's manual says what the code says.

use std::fmt::Write;
use std::path::Path;

use crate::failover::reason::examples::all;
use crate::failover::{Deadlines, Language, Step};

fn steps() -> String {
    let mut text = String::from("| Step | 步骤 | Deadline |\n| --- | --- | --- |\n");
    for step in Step::ALL {
        let deadline = Deadlines::default().of(step).map_or_else(String::new, |d| format!("{} s", d.as_secs()));
        // The name as journals have it.
        assert_eq!(serde_json::to_value(step).unwrap(), step.code());
        writeln!(text, "| `{}` | {} | {deadline} |", step.code(), step.name(Language::Chinese)).unwrap();
    }
    text
}

fn reasons() -> String {
    let mut text = String::from("| Reason | Sentence | 说明 |\n| --- | --- | --- |\n");
    let mut all = all();
    all.sort_by_key(|reason| reason.code());
    for reason in all {
        let [english, chinese] = [Language::English, Language::Chinese].map(|language| reason.sentence(language));
        writeln!(text, "| `{}` | {english} | {chinese} |", reason.code()).unwrap();
    }
    text
}

#[test]
fn what_exposes_a_group_is_named_as_reasons_are() {
    let codes: Vec<&str> = all().iter().map(crate::failover::Reason::code).collect();
    let unknown: Vec<&str> =
        crate::failover::EXPOSING.into_iter().filter(|exposing| !codes.contains(exposing)).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}

/// With `TANDEM_WRITE_DOCS=1` the tables are written; else they are compared.
#[test]
fn the_manual_has_every_step_and_every_reason_as_they_are() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/failover.md");
    let manual = std::fs::read_to_string(&path).unwrap();
    let mut wanted = manual.clone();
    for (name, table) in [("steps", steps()), ("reasons", reasons())] {
        let (begin, end) = (format!("<!-- {name}: begin -->\n"), format!("<!-- {name}: end -->"));
        let from = wanted.find(&begin).expect("the manual marks where the table begins") + begin.len();
        let to = wanted.find(&end).expect("the manual marks where the table ends");
        wanted.replace_range(from..to, &table);
    }
    if std::env::var_os("TANDEM_WRITE_DOCS").is_some() {
        std::fs::write(&path, &wanted).unwrap();
    } else {
        assert_eq!(manual, wanted, "run `make generate` and commit docs/failover.md");
    }
}
