//! The whole city: Bozhou's 54 units and 530 application systems, in both sites.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr)]

use kube::api::{DynamicObject, ListParams};
use libtest_mimic::{Arguments, Failed, Trial};
use std::path::Path;
use std::time::{Duration, Instant};
use tandem_crds::Kind;
use tandem_tests::{Lab, api, built_in, condition, eventually, is_ready};

/// How long the city may take, on a machine that does nothing else.
const DEADLINE: Duration = Duration::from_secs(900);

fn main() {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = Some(1);
    let trial = Trial::test("the_whole_city_is_ready_in_both_sites", || {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(city()).map_err(Failed::from)
    });
    libtest_mimic::run(&arguments, vec![trial]).exit();
}

async fn city() -> Result<(), String> {
    let lab = Lab::start("city");
    let inventory = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/bozhou/inventory.csv");
    let started = Instant::now();
    let imported = lab.tandem("dc-a", &["import", inventory.to_str().unwrap(), "--apply"]);
    if !imported.status.success() {
        return Err(String::from_utf8_lossy(&imported.stderr).into_owned());
    }
    println!("imported after {:.1} s", started.elapsed().as_secs_f64());
    for site in ["dc-a", "dc-b"] {
        let client = lab.client(site).await;
        for (kind, count) in [(Kind::Unit, 54), (Kind::Application, 530)] {
            let objects = api(&client, kind, None);
            eventually(&format!("{count} {} Ready in {site}", kind.plural()), DEADLINE, || async {
                let list = objects.list(&ListParams::default()).await.unwrap().items;
                let ready = list.iter().filter(|object| is_ready(object)).count();
                (ready == count && list.len() == count).then_some(())
            })
            .await;
            println!("{site}: {count} {} Ready after {:.1} s", kind.plural(), started.elapsed().as_secs_f64());
        }
        let pods = built_in(&client, "", "Pod", None).list(&ListParams::default()).await.unwrap().items;
        let ready = |pod: &&DynamicObject| condition(pod, "Ready").is_some_and(|(holds, _, _)| holds);
        println!("{site}: {} pods, {} ready", pods.len(), pods.iter().filter(ready).count());
    }
    Ok(())
}
