//! Whatever the bytes, an import ends with an answer; whatever the valid table, what is written is what is read.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use std::collections::BTreeSet;
use tandem_cli::import::known::Known;
use tandem_cli::import::problem::Problem;
use tandem_cli::import::{Options, check, read, values};

const HEADER: &str = "单位代码,单位名称,层级,系统名称,系统代码,等保级别,环境,CPU,内存,存储,副本数,备用级别,域名,业务等级,RTO,RPO,依赖系统";

fn all(bytes: &[u8], keep_going: bool) -> Vec<Problem> {
    match read(bytes, None) {
        Ok(sheet) => check(&sheet, &Known::default(), Options { keep_going, ..Options::default() }).problems,
        Err(problems) => problems,
    }
}

/// Text that looks like an inventory in places, so that every step is reached.
fn almost_inventory() -> impl Strategy<Value = String> {
    let cell = prop_oneof![
        "[a-c]",
        "[a-c]/[a-c]",
        Just("市".to_owned()),
        Just("4C".to_owned()),
        Just("8G".to_owned()),
        Just("热备".to_owned()),
        Just("\"".to_owned()),
        Just("测试".to_owned()),
        Just("3".to_owned()),
        Just("a.example".to_owned()),
        Just(String::new()),
        any::<String>(),
    ];
    let row = prop::collection::vec(cell, 0..20).prop_map(|cells| cells.join(","));
    prop::collection::vec(row, 0..8).prop_map(|rows| format!("{HEADER}\n{}", rows.join("\n")))
}

#[derive(Clone, Debug)]
struct Valid {
    unit: usize,
    system: usize,
    test: bool,
    millicores: i64,
    mebibytes: i64,
    replicas: i64,
    hot: bool,
    tier: i64,
    rto: i64,
    needs: BTreeSet<usize>,
}

fn valid_rows() -> impl Strategy<Value = Vec<Valid>> {
    let row = (
        (0..4_usize, any::<bool>(), 1..64_000_i64, 1..65_536_i64),
        (1..9_i64, any::<bool>(), 0..4_i64, 0..100_000_i64),
        prop::collection::btree_set(0..30_usize, 0..4),
    );
    prop::collection::vec(row, 1..30).prop_map(|rows| {
        let rows = rows.into_iter().enumerate();
        rows.map(|(system, ((unit, test, millicores, mebibytes), (replicas, hot, tier, rto), needs))| {
            // A system needs only earlier ones, so that there is no circle.
            let needs = needs.into_iter().filter(|needed| *needed < system).collect();
            Valid { unit, system, test, millicores, mebibytes, replicas, hot, tier, rto, needs }
        })
        .collect()
    })
}

fn as_csv(rows: &[Valid]) -> String {
    let mut text = format!("{HEADER}\n");
    for row in rows {
        let needs: Vec<String> =
            row.needs.iter().map(|at| format!("u{}/s{}", rows[*at].unit, rows[*at].system)).collect();
        text += &format!(
            "u{},单位{},市,系统{},s{},三级,{},{}m,{}Mi,1G,{},{},s{}.example,{},{}s,0,{}\n",
            row.unit,
            row.unit,
            row.system,
            row.system,
            if row.test { "测试" } else { "prod" },
            row.millicores,
            row.mebibytes,
            row.replicas,
            if row.hot { "热备" } else { "Cold" },
            row.system,
            row.tier,
            row.rto,
            needs.join("、"),
        );
    }
    text
}

proptest! {
    #[test]
    fn any_bytes_get_an_answer(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        all(&bytes, false);
    }

    #[test]
    fn anything_like_an_inventory_gets_an_answer(text in almost_inventory(), keep_going in any::<bool>()) {
        all(text.as_bytes(), keep_going);
    }

    #[test]
    fn any_cell_gets_an_answer(text in any::<String>()) {
        let _ = values::millicores(&text);
        let _ = values::memory(&text, values::ByteUnit::Gibi);
        let _ = values::storage(&text, values::ByteUnit::Tebi);
        let _ = values::seconds(&text);
        let _ = values::hosts(&text);
        let _ = values::dependencies(&text);
        let _ = values::environment(&text);
        let _ = values::code(&text);
        let _ = values::mlps(&text);
    }

    #[test]
    fn valid_tables_come_out_as_they_went_in(rows in valid_rows()) {
        let sheet = read(as_csv(&rows).as_bytes(), None).unwrap();
        let outcome = check(&sheet, &Known::default(), Options::default());
        prop_assert!(!outcome.has_errors(), "{:?}", outcome.problems);
        prop_assert_eq!(outcome.resources.applications.len(), rows.len());
        for row in &rows {
            let name = format!("s{}", row.system);
            let found = outcome.resources.applications.iter().find(|a| a.metadata.name.as_ref() == Some(&name)).unwrap();
            let namespace = format!("u{}-{}", row.unit, if row.test { "test" } else { "prod" });
            prop_assert_eq!(found.metadata.namespace.as_ref(), Some(&namespace));
            let component = &found.spec.components.as_ref().unwrap()[0];
            prop_assert_eq!(component.resources.cpu.millis().unwrap(), i128::from(row.millicores));
            prop_assert_eq!(component.resources.memory.units().unwrap(), row.mebibytes << 20);
            prop_assert_eq!(i64::from(component.replicas.active), row.replicas);
            prop_assert_eq!(i64::from(found.spec.tier), row.tier);
            prop_assert_eq!(found.spec.rto_seconds, Some(row.rto));
            prop_assert_eq!(found.spec.dependencies.len(), row.needs.len());
        }
    }

    #[test]
    fn with_keep_going_what_is_left_is_whole(rows in valid_rows(), bad in 0..30_usize) {
        let text = as_csv(&rows);
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        let bad = 1 + bad % rows.len();
        lines[bad] = lines[bad].replace("Mi,", "Zi,");
        let sheet = read(lines.join("\n").as_bytes(), None).unwrap();
        let outcome = check(&sheet, &Known::default(), Options { keep_going: true, ..Options::default() });
        let there: BTreeSet<_> =
            outcome.resources.applications.iter().map(|a| (a.metadata.namespace.clone(), a.metadata.name.clone())).collect();
        prop_assert_eq!(there.len() + outcome.refused, rows.len());
        for application in &outcome.resources.applications {
            for needed in &application.spec.dependencies {
                let namespace = needed.environment.clone().or_else(|| application.metadata.namespace.clone());
                prop_assert!(there.contains(&(namespace, Some(needed.application.clone()))));
            }
        }
    }
}
