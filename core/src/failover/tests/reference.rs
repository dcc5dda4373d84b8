//! The operator's manual says what the code says.

use std::fmt::Write;
use std::path::Path;

use crate::failover::reason::examples::all;
use crate::failover::{Deadlines, Language, Step};

const STEPS: [Step; 14] = [
    Step::Validating,
    Step::AwaitingApproval,
    Step::Quiescing,
    Step::FinalSync,
    Step::Demoting,
    Step::Fencing,
    Step::EpochCommitted,
    Step::Promoting,
    Step::Redirecting,
    Step::Verifying,
    Step::Completed,
    Step::Resyncing,
    Step::Protected,
    Step::RolledBack,
];

fn steps() -> String {
    let mut text = String::from("| Step | 步骤 | Deadline |\n| --- | --- | --- |\n");
    for step in STEPS {
        let deadline = Deadlines::default().of(step).map_or_else(String::new, |d| format!("{} s", d.as_secs()));
        let name = serde_json::to_value(step).unwrap();
        writeln!(text, "| `{}` | {} | {deadline} |", name.as_str().unwrap(), step.name(Language::Chinese)).unwrap();
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
