//! Checks for people and programs.

use super::check::{Check, Grade};
use crate::failover::table;
use crate::language::Lang;
use crate::output::Output;

/// The checks as they are written.
pub(super) fn text(checks: &[Check], how: Output, lang: Lang) -> String {
    how.data(&checks).unwrap_or_else(|| for_people(checks, lang))
}

fn for_people(checks: &[Check], lang: Lang) -> String {
    let mut table = table::table(lang.say(["", "CHECK", "WHERE", "FINDING"], ["", "检查", "位置", "结果"]));
    for check in checks {
        table.add_row([check.grade.word(), check.name, &check.place, lang.say(&check.finding, &check.finding_zh)]);
    }
    let mut text = table::text(&table);
    let count = |grade| checks.iter().filter(|check| check.grade == grade).count();
    let (ok, warn, fail, skip) = (count(Grade::Ok), count(Grade::Warn), count(Grade::Fail), count(Grade::Skip));
    text.push_str(&match lang {
        Lang::En => format!("\n{ok} OK, {warn} to look at, {fail} to mend, {skip} not seen\n"),
        Lang::Zh => format!("\n{ok} 项正常，{warn} 项需关注，{fail} 项需修复，{skip} 项未能查看\n"),
    });
    let mut mended: Vec<&Check> = checks.iter().filter(|check| !check.mend.is_empty()).collect();
    mended.sort_by_key(|check| check.grade);
    for check in mended {
        let mend = lang.say(&check.mend, &check.mend_zh);
        text.push_str(&format!("{} {} {}\n  → {mend}\n", check.grade.word(), check.place, check.name));
    }
    text
}
