//! The arbiter from a backup, and with another member.

use crate::world::{GROUPS, NAMESPACE, PATIENCE, T, World};
use serde_json::{Value, json};
use std::process::Output;
use std::sync::Arc;
use std::time::Instant;
use tandem_crds::Kind;
use tandem_tests::gates::Answer;
use tandem_tests::{api, condition, eventually, fixtures};

/// Whose certificate is used.
const ADMIN: &str = "arbiter-admin-1";
const ROOT: &str = "arbiter-root";

/// Runs `tandem …`.
async fn tandem(world: &Arc<World>, arguments: Vec<String>) -> Output {
    let world = Arc::clone(world);
    let output = tokio::task::spawn_blocking(move || {
        world.lab.tandem("dc-a", &arguments.iter().map(String::as_str).collect::<Vec<_>>())
    });
    output.await.unwrap()
}

/// Runs `tandem arbiter …` as one of the people who look after it.
async fn arbiter(world: &Arc<World>, who: &str, arguments: &[&str]) -> Output {
    let dir = world.lab.dir();
    let state: Value = serde_json::from_slice(&std::fs::read(dir.join("state.json")).unwrap()).unwrap();
    let endpoints: Vec<String> = ["dc-a", "dc-b", "witness"]
        .into_iter()
        .map(|place| format!("https://127.0.0.1:{}", state["ports"][format!("{place}/arbiter")].as_u64().unwrap()))
        .collect();
    let pki = dir.join("witness/pki");
    let file = |name: &str| pki.join(name).display().to_string();
    let mut all: Vec<String> = ["arbiter"].iter().chain(arguments).map(|argument| (*argument).to_owned()).collect();
    all.extend(["--endpoints".to_owned(), endpoints.join(","), "--ca".to_owned(), file("arbiter-ca.crt")]);
    all.extend(["--cert".to_owned(), file(&format!("{who}.crt")), "--key".to_owned(), file(&format!("{who}.key"))]);
    tandem(world, all).await
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

async fn status(world: &Arc<World>) -> Value {
    let output = arbiter(world, ADMIN, &["status", "-o", "json"]).await;
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", said(&output)))
}

/// Waits until every replica of both sites refuses every group for this reason.
async fn closed(world: &Arc<World>, reason: &str) {
    for site in ["dc-a", "dc-b"] {
        for group in GROUPS {
            eventually(&format!("{group} to be refused at {site}: {reason}"), PATIENCE, || async {
                let answers = world.gates.answers(site, group);
                let refused = |answer: &Answer| !answer.active && answer.reason.contains(reason);
                (answers.len() == 2 && answers.iter().all(refused)).then_some(())
            })
            .await;
        }
    }
}

/// Takes a backup as a person does who has root's certificate; nobody else gets one, and no other file passes for one.
async fn backup(world: &Arc<World>) -> String {
    let folder = world.lab.dir().join("backups");
    let target = format!("{}/", folder.display());
    let output = arbiter(world, ADMIN, &["backup", &target]).await;
    assert!(output.status.code() == Some(3) && said(&output).contains("the role root"), "{}", said(&output));
    for _ in 0..2 {
        let output = arbiter(world, ROOT, &["backup", &target, "--keep", "1"]).await;
        assert!(output.status.success() && said(&output).contains("verified"), "{}", said(&output));
        // Named by the second.
        tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    }
    let mut names: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.sort();
    assert_eq!(names.len(), 2, "one backup and its facts: {names:?}");
    let (file, facts) = (names[0].display().to_string(), std::fs::read(&names[1]).unwrap());
    let facts: Value = serde_json::from_slice(&facts).unwrap();
    assert!(facts["members"].as_array().unwrap().len() == 3 && facts["generation"] == 1, "{facts}");

    let copy = world.lab.dir().join("copy.db");
    let mut bytes = std::fs::read(&names[0]).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&copy, bytes).unwrap();
    for arguments in [["backup", "--verify"].as_slice(), &["prepare"]] {
        let all =
            ["arbiter"].iter().chain(arguments).map(|word| (*word).to_owned()).chain([copy.display().to_string()]);
        let output = tandem(world, all.collect()).await;
        assert!(output.status.code() == Some(1) && said(&output).contains("SHA-256"), "{}", said(&output));
    }
    file
}

/// What stands in the manual: one command says what to run at each member, and that is run as it is printed.
async fn restore_members(world: &Arc<World>, file: &str) {
    let data = world.lab.dir().join("{name}/arbiter").display().to_string();
    let arguments = ["arbiter", "prepare", file, "--data-dir", &data].map(str::to_owned);
    let output = tandem(world, arguments.to_vec()).await;
    assert!(output.status.success(), "{}", said(&output));
    let done =
        std::process::Command::new("sh").args(["-euc", &String::from_utf8_lossy(&output.stdout)]).output().unwrap();
    assert!(done.status.success(), "{}", said(&done));
    world.lab.run(&["arbiter-start"]);
}

pub(crate) async fn fault_09_a_restored_arbiter_fences_until_people_confirm(world: Arc<World>) {
    let file = backup(&world).await;
    // What the backup does not know: one group has moved.
    let moved = GROUPS[1];
    let wish = fixtures::failover("after-the-backup", "Switchover", "dc-b", &json!({"groups": [moved]}));
    world.ask("dc-a", &wish, "Completed").await;
    let home = |group: &str| if group == moved { "dc-b" } else { "dc-a" };
    for group in GROUPS {
        eventually(&format!("{group} to be active at {}", home(group)), PATIENCE, || async {
            world.gates.is_active(home(group), group).then_some(())
        })
        .await;
    }
    let epoch = |group: &str| world.gates.answers(home(group), group).first().map_or(0, |answer| answer.epoch);
    let before: Vec<u64> = GROUPS.iter().map(|group| epoch(group)).collect();

    let lost = Instant::now();
    let after = |what: &str| println!("restored: {what} {:.1} s after the loss", lost.elapsed().as_secs_f64());
    world.lab.run(&["arbiter-lose"]);
    closed(&world, "").await;
    after("every gate closed");
    restore_members(&world, &file).await;
    after("three members healthy");
    closed(&world, "cluster id").await;
    let output = arbiter(&world, ADMIN, &["confirm", "--all"]).await;
    assert!(!output.status.success(), "nothing is confirmed before the restore was carried out: {}", said(&output));

    let output = arbiter(&world, ADMIN, &["restore", "--yes"]).await;
    assert!(output.status.success(), "{}", said(&output));
    let output = arbiter(&world, ADMIN, &["restore", "--yes"]).await;
    assert!(output.status.success() && said(&output).contains("already"), "run twice: {}", said(&output));
    assert_eq!(status(&world).await["generation"], 2);
    let output = arbiter(&world, ADMIN, &["confirm", "--all"]).await;
    assert!(said(&output).contains("has not reported") && output.status.code() == Some(1), "{}", said(&output));
    closed(&world, "cluster id").await;

    // One site follows it: that is not enough.
    let kubeconfig = world.lab.dir().join("kubeconfig").display().to_string();
    let accept = async |site: &str| {
        let output = arbiter(&world, ADMIN, &["restore", "--accept", site, "--kubeconfig", &kubeconfig]).await;
        assert!(output.status.success(), "{}", said(&output));
    };
    accept("dc-b").await;
    eventually("both replicas of dc-b to report", PATIENCE, || async {
        let status = status(&world).await;
        let replicas = status["replicas"].as_array()?;
        let reported = replicas.iter().filter(|one| one["site"] == "dc-b" && one["reported"] == true);
        (reported.count() == 2).then_some(())
    })
    .await;
    let output = arbiter(&world, ADMIN, &["confirm", "--all"]).await;
    assert!(said(&output).contains("dc-a has not reported"), "{}", said(&output));
    let output = arbiter(&world, ADMIN, &["confirm", "--site-is-off", "dc-b", "--reason", "it is not"]).await;
    assert!(!output.status.success() && said(&output).contains("reported"), "{}", said(&output));

    accept("dc-a").await;
    after("accepted at both sites");
    closed(&world, "not confirmed").await;
    eventually("every replica to report", PATIENCE, || async {
        let status = status(&world).await;
        let replicas = status["replicas"].as_array()?;
        (replicas.len() == 4 && replicas.iter().all(|one| one["reported"] == true)).then_some(())
    })
    .await;
    let output = arbiter(&world, ADMIN, &["confirm", "--all"]).await;
    assert!(output.status.success(), "{}", said(&output));
    for (group, before) in GROUPS.iter().zip(&before) {
        eventually(
            &format!("{group} to be active at {} again, under a higher epoch", home(group)),
            PATIENCE,
            || async { (world.gates.is_active(home(group), group) && epoch(group) > *before).then_some(()) },
        )
        .await;
    }
    after("every group active");
    // It works as before: what is made is published, and groups move.
    let a = world.client("dc-a").await;
    tandem_tests::apply(&a, &fixtures::application(NAMESPACE, "made-after", 1)).await.unwrap();
    world.strength("dc-a", "made-after", 1).await;
    assert_eq!(status(&world).await["unconfirmed"], json!([]));
}

pub(crate) async fn a_lost_member_is_replaced_and_nothing_is_fenced(world: Arc<World>) {
    let before = world.epochs("dc-a");
    world.lab.run(&["kill", "--stay-down", "witness/arbiter"]);
    let lost = eventually("the lost member to be told of", PATIENCE, || async {
        let status = status(&world).await;
        let findings = status["findings"].as_array()?.clone();
        findings.into_iter().find(|finding| finding["reason"] == "NoTolerance")
    })
    .await;
    assert_eq!(lost["lost"], json!(["witness"]));
    alarm(&world, Some("NoTolerance")).await;
    let output = arbiter(&world, ROOT, &["replace", "dc-b", "--yes"]).await;
    assert!(output.status.code() == Some(1) && said(&output).contains("witness"), "{}", said(&output));

    let replacing = {
        let world = Arc::clone(&world);
        tokio::spawn(async move { arbiter(&world, ROOT, &["replace", "witness", "--yes", "--timeout", "90"]).await })
    };
    eventually("the successor to be added", PATIENCE, || async {
        let status = status(&world).await;
        status["findings"].as_array()?.iter().any(|finding| finding["reason"] == "Learner").then_some(())
    })
    .await;
    world.lab.run(&["arbiter-rejoin", "witness"]);
    let output = replacing.await.unwrap();
    assert!(output.status.success(), "{}", said(&output));
    // Also after whatever connections were made anew: the new members are pinned by now.
    world.stays("dc-a", 2 * T).await;
    world.lab.run(&["kill", "dc-a/arbiter"]);
    world.stays("dc-a", 3 * T).await;
    assert_eq!(world.epochs("dc-a"), before, "nothing moved");
    eventually("nothing to be wrong", PATIENCE, || async {
        let status = status(&world).await;
        // A machine that builds something else meanwhile answers slowly.
        status["findings"].as_array()?.iter().all(|finding| finding["reason"] == "Slow").then_some(())
    })
    .await;
    alarm(&world, None).await;
}

/// Waits until both sites' data centres bear this alarm of the arbiter, or are rid of it.
async fn alarm(world: &Arc<World>, reason: Option<&str>) {
    for site in ["dc-a", "dc-b"] {
        let client = world.client(site).await;
        eventually(&format!("the alarm at {site}: {reason:?}"), PATIENCE, || async {
            let found = api(&client, Kind::DataCentre, None).get_opt(site).await.ok()??;
            let (good, found, message) = condition(&found, "ArbiterHealthy")?;
            match reason {
                Some(reason) => (!good && found == reason && message.contains("tandem arbiter replace")).then_some(()),
                None => (good || found == "Slow").then_some(()),
            }
        })
        .await;
    }
}
