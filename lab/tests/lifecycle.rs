//! The life of a lab, on this machine: it starts, is joined, has faults, crashes, and leaves nothing behind. Needs root.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr)]

mod bench;

use bench::{Bench, HostNetwork, arrives, connects, eventually, speaks_plaintext};
use nix::sys::signal::Signal;
use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};
use tandem_lab::layout::Layout;
use tandem_lab::process::ProcessId;
use tandem_lab::state::State;

/// One start-up for all that can be seen in one life: it takes most of the time.
#[test]
fn a_lab_from_up_to_down() {
    let host = HostNetwork::now();
    let bench = Bench::new("a");
    bench.up().success();
    host.is_unchanged();
    an_api_server_answers_whom_it_knows(&bench);
    a_second_up_joins(&bench);
    another_lab_of_that_name_is_refused(&bench);
    nothing_is_open_to_others(&bench);
    no_port_speaks_plaintext(&bench);
    cuts_cut_and_heal(&bench);
    a_killed_program_starts_again(&bench);
    a_paused_program_stands_still(&bench);
    what_is_not_there_is_said_so(&bench);
    power_goes_and_comes_back(&bench);
    a_crash_leaves_nothing_after_down(&bench);
    host.is_unchanged();
}

fn an_api_server_answers_whom_it_knows(bench: &Bench) {
    for site in ["dc-a", "dc-b"] {
        assert_eq!(bench.readyz(site, true).unwrap(), "ok");
        let refused = bench.readyz(site, false).unwrap_err();
        assert!(refused.contains("401") || refused.contains("Unauthorized"), "{site}: {refused}");
        let nodes = || bench.get(site, "/api/v1/nodes").ok().filter(|text| text.contains(&format!("{site}-node")));
        eventually(&format!("the node of {site}"), nodes);
    }
    let merged = fs::read_to_string(bench.dir().join("kubeconfig")).unwrap();
    let env = fs::read_to_string(bench.dir().join("env")).unwrap();
    assert!(merged.contains("name: dc-a") && merged.contains("name: dc-b"), "{merged}");
    for variable in ["PATH=", "KUBECONFIG=", "TANDEM_LAB_DIR=", "TANDEM_ARBITER_ENDPOINTS="] {
        assert!(env.contains(variable), "{variable} is missing in {env}");
    }
}

fn a_second_up_joins(bench: &Bench) {
    let before = bench.state().supervisor.unwrap();
    let said = bench.up().success();
    assert!(said.contains("joining"), "{said}");
    assert_eq!(bench.state().supervisor.unwrap(), before, "the lab is the same one");
    assert!(before.is_running());
}

fn another_lab_of_that_name_is_refused(bench: &Bench) {
    let other = tempfile::tempdir().unwrap();
    let said = bench.run_in(other.path(), &bench.up_arguments());
    assert_eq!(said.code(), Some(3), "its own exit code, so that another can be tried");
    let said = said.failure();
    assert!(said.contains("--prefix") && said.contains(bench.dir().to_str().unwrap()), "{said}");
    assert!(State::read(&Layout { dir: other.path().to_owned() }).unwrap().is_none());
    assert!(bench.state().supervisor.unwrap().is_running());
}

fn nothing_is_open_to_others(bench: &Bench) {
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&bench.dir().join("control.sock")), 0o600);
    for place in ["dc-a", "dc-b", "witness"] {
        let pki = bench.dir().join(place).join("pki");
        assert_eq!(mode(&pki), 0o700);
        for file in fs::read_dir(&pki).unwrap().map(|entry| entry.unwrap().path()) {
            let secret = file.extension().is_some_and(|extension| extension == "key");
            assert!(!secret || mode(&file) == 0o600, "{}: {:o}", file.display(), mode(&file));
        }
    }
    for kubeconfig in ["kubeconfig", "dc-a/kubeconfig", "dc-b/kubeconfig"] {
        assert_eq!(mode(&bench.dir().join(kubeconfig)), 0o600, "{kubeconfig}");
    }
}

fn no_port_speaks_plaintext(bench: &Bench) {
    let mut probed = 0;
    for namespace in bench.plan.namespaces() {
        for (address, port) in bench::listeners(&namespace) {
            let answer = speaks_plaintext(&namespace, address, port);
            assert!(answer.is_none(), "{namespace} {address}:{port} answered in plain text: {answer:?}");
            probed += 1;
        }
    }
    // Three members of the arbiter with two ports each; two sites with etcd's two, API server, controller manager, scheduler.
    assert!(probed >= 3 * 2 + 2 * 5, "only {probed} ports were found");
}

fn cuts_cut_and_heal(bench: &Bench) {
    let places = ["dc-a", "dc-b", "witness"];
    let arbiter = |place: &str| bench.plan.place(place).unwrap().arbiter();
    let link = |from: &str, to: &str| connects(&bench.plan.namespace(from), arbiter(to), 2379);
    let pairs: Vec<(&str, &str)> = places
        .iter()
        .flat_map(|from| places.iter().map(move |to| (*from, *to)))
        .filter(|(from, to)| from != to)
        .collect();
    let expect = |what: &str, is_cut: &dyn Fn(&str, &str) -> bool| {
        for (from, to) in &pairs {
            assert_eq!(link(from, to), !is_cut(from, to), "{what}: from {from} to {to}");
        }
    };
    expect("no cut", &|_, _| false);
    bench.run(&["cut", "dc-a", "dc-b"]).success();
    expect("cut dc-a dc-b", &|from, to| from != "witness" && to != "witness");
    assert_eq!(bench.status()["cuts"].as_array().unwrap().len(), 1);
    bench.run(&["heal"]).success();
    expect("healed", &|_, _| false);
    bench.run(&["cut", "dc-a"]).success();
    expect("cut dc-a", &|from, to| from == "dc-a" || to == "dc-a");
    // Faults between places are no faults within one: people can still see what happens.
    assert_eq!(bench.readyz("dc-a", true).unwrap(), "ok");
    bench.run(&["heal"]).success();
    expect("healed again", &|_, _| false);
    bench.run(&["cut", "dc-a", "dc-b", "--one-way"]).success();
    let (a, b) = (bench.plan.namespace("dc-a"), bench.plan.namespace("dc-b"));
    let (a, b) = ((a.as_str(), arbiter("dc-a")), (b.as_str(), arbiter("dc-b")));
    assert!(!arrives(a, b) && arrives(b, a), "only what goes from dc-a to dc-b is cut");
    bench.run(&["heal"]).success();
    assert!(arrives(a, b));
    assert!(bench.status()["cuts"].as_array().unwrap().is_empty());
}

fn a_killed_program_starts_again(bench: &Bench) {
    let before = bench.program("dc-a", "kube-scheduler");
    bench.run(&["kill", "dc-a/kube-scheduler"]).success();
    eventually("another scheduler", || {
        let now = bench.program("dc-a", "kube-scheduler");
        (now["state"] == "running" && now["pid"] != before["pid"] && now["restarts"] == 1).then_some(())
    });
    bench.run(&["kill", "dc-a/kube-scheduler", "--stay-down"]).success();
    eventually("no scheduler", || (bench.program("dc-a", "kube-scheduler")["state"] == "down").then_some(()));
    bench.run(&["start", "dc-a/kube-scheduler"]).success();
    eventually("a scheduler", || (bench.program("dc-a", "kube-scheduler")["state"] == "running").then_some(()));
}

fn a_paused_program_stands_still(bench: &Bench) {
    let pid = bench.program("dc-b", "kube-scheduler")["pid"].as_i64().unwrap();
    let state = || {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        stat.rsplit_once(") ").unwrap().1.chars().next().unwrap()
    };
    bench.run(&["pause", "dc-b/kube-scheduler"]).success();
    eventually("it to stand still", || (state() == 'T').then_some(()));
    assert_eq!(bench.program("dc-b", "kube-scheduler")["state"], "paused");
    bench.run(&["resume", "dc-b/kube-scheduler"]).success();
    eventually("it to go on", || (state() != 'T').then_some(()));
    assert_eq!(bench.program("dc-b", "kube-scheduler")["pid"].as_i64().unwrap(), pid);
}

fn what_is_not_there_is_said_so(bench: &Bench) {
    let said = bench.run(&["kill", "dc-a/kube-proxy"]).failure();
    assert!(said.contains("dc-a/kube-apiserver"), "it says what there is: {said}");
    let said = bench.run(&["cut", "dc-c"]).failure();
    assert!(said.contains("dc-a, dc-b, witness"), "it says what there is: {said}");
}

fn power_goes_and_comes_back(bench: &Bench) {
    let ports = bench.state().ports;
    bench.run(&["power-off", "dc-b"]).success();
    let namespace = bench.plan.namespace("dc-b");
    eventually("nothing to run in dc-b", || bench::processes(&namespace).is_empty().then_some(()));
    let refused = std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, ports["dc-b/kube-apiserver"]));
    assert_eq!(refused.unwrap_err().kind(), std::io::ErrorKind::ConnectionRefused);
    assert_eq!(bench.readyz("dc-a", true).unwrap(), "ok", "the other site goes on");
    bench.run(&["power-on", "dc-b"]).success();
    eventually("the API server of dc-b", || bench.readyz("dc-b", true).ok());
    assert_eq!(bench.state().ports, ports, "the ports are the same");
}

fn a_crash_leaves_nothing_after_down(bench: &Bench) {
    let state = bench.state();
    let supervisor = state.supervisor.unwrap();
    let programs: Vec<ProcessId> = state.processes.values().copied().collect();
    assert!(programs.len() >= 11, "{:?}", state.processes);
    supervisor.signal(Signal::SIGKILL);
    eventually("the supervisor to end", || (!supervisor.is_running()).then_some(()));
    assert!(programs.iter().all(|program| program.is_running()), "its programs go on without it");
    bench.run(&["down"]).success();
    bench.is_gone();
    assert!(!programs.iter().any(|program| program.is_running()));
    // Once more changes nothing and is no error.
    bench.run(&["down"]).success();
}

/// Needs PostgreSQL and Patroni.
#[test]
fn databases_from_up_to_down() {
    let bench = Bench::new("p");
    let mut up = bench.up_arguments();
    up.extend(["--postgres", "ledger", "--spread-postgres", "--spread-ttl", "10"].map(str::to_owned));
    bench.run(&up).success();
    let said = bench.run(&["group", "ledger"]).success();
    assert!(said.contains("provider: Patroni") && said.contains(":9443/v1"), "{said}");
    what_is_written_at_one_site_is_read_at_the_other(&bench);
    an_application_is_let_in_at_the_first_site_alone(&bench);
    a_database_dies_with_its_patroni_or_lives_on_alone(&bench);
    a_database_comes_back_with_the_power(&bench);
    bench.run(&["down"]).success();
    bench.is_gone();
}

fn what_is_written_at_one_site_is_read_at_the_other(bench: &Bench) {
    for (cluster, there) in [("ledger", "ledger-1"), ("plain", "plain")] {
        let here = if cluster == "plain" { vec!["plain"] } else { vec!["ledger-0", "ledger-1"] };
        // Where nobody asks for the switch: there are no gates.
        let make = "CREATE TABLE public.seen AS SELECT 4711 AS number";
        let made = here.iter().filter(|member| bench.sql("dc-a", member, make).is_ok()).count();
        assert_eq!(made, 1, "one member of {cluster} leads at dc-a, and only it takes writes");
        let read =
            || bench.sql("dc-b", there, "SELECT number FROM public.seen").ok().filter(|said| said.trim() == "4711");
        eventually("the row at the other site", read);
        let refused = bench.sql("dc-b", there, make).unwrap_err();
        assert!(refused.contains("read-only"), "{refused}");
    }
}

fn an_application_is_let_in_at_the_first_site_alone(bench: &Bench) {
    let read = |site: &str| bench.sql_as_application(site, "ledger", "SELECT count(*) FROM ledger.entries");
    assert_eq!(read("dc-a").unwrap().trim(), "0");
    let refused = read("dc-b").unwrap_err();
    assert!(refused.contains("pg_hba.conf rejects"), "{refused}");
}

fn a_database_dies_with_its_patroni_or_lives_on_alone(bench: &Bench) {
    let program = "dc-b/patroni-ledger-1";
    let postmaster = || {
        let file = bench.dir().join("dc-b/postgres/ledger-1/data/postmaster.pid");
        let pid = fs::read_to_string(file).ok()?.lines().next()?.parse().ok()?;
        ProcessId::of(pid)
    };
    let runs = || postmaster().filter(|_| bench.sql("dc-b", "ledger-1", "SELECT 1").is_ok());
    let first = eventually("a database", runs);
    bench.run(&["kill", program, "--alone", "--stay-down"]).success();
    eventually("no Patroni", || (bench.program("dc-b", "patroni-ledger-1")["state"] == "down").then_some(()));
    assert!(first.is_running(), "it has lost only who looks after it");
    bench.run(&["start", program]).success();
    eventually("a Patroni", || (bench.program("dc-b", "patroni-ledger-1")["state"] == "running").then_some(()));
    // Of the Patroni that started it and of the one that found it, all goes.
    bench.run(&["kill", program]).success();
    eventually("its end", || (!first.is_running()).then_some(()));
    eventually("the database again", runs);
}

fn a_database_comes_back_with_the_power(bench: &Bench) {
    let streams = || {
        let status = bench.run(&["status"]).success();
        status.contains("dc-b-ledger-0 (").then_some(())?;
        status.contains("(standby_leader, running)").then_some(())?;
        bench.sql("dc-b", "ledger-0", "SELECT number FROM public.seen").ok()
    };
    eventually("the standby", streams);
    bench.run(&["power-off", "dc-b"]).success();
    let namespace = bench.plan.namespace("dc-b");
    eventually("nothing to run in dc-b", || bench::processes(&namespace).is_empty().then_some(()));
    let memory = bench.plan.place("dc-b").unwrap().memory().join("ledger-0");
    assert_eq!(fs::read_dir(&memory).unwrap().count(), 0, "what was in memory is gone");
    bench.run(&["power-on", "dc-b"]).success();
    eventually("the standby again", streams);
}

#[test]
fn interrupted_it_takes_down_what_was_begun() {
    let bench = Bench::new("i");
    let mut up = bench.spawn_up();
    let state = eventually("its first programs", || bench.try_state().filter(|state| !state.processes.is_empty()));
    let interrupted = Instant::now();
    ProcessId::of(i32::try_from(up.id()).unwrap()).unwrap().signal(Signal::SIGINT);
    let ended = up.wait().unwrap();
    assert!(!ended.success());
    eventually("the supervisor to end", || (!state.supervisor.unwrap().is_running()).then_some(()));
    assert!(interrupted.elapsed() < Duration::from_secs(20), "{:?}", interrupted.elapsed());
    assert!(bench.try_state().is_none());
    bench.is_gone();
}

#[test]
fn killed_half_way_it_is_cleared_away() {
    let bench = Bench::new("k");
    let mut up = bench.spawn_up();
    let state = eventually("its first programs", || bench.try_state().filter(|state| !state.processes.is_empty()));
    up.kill().unwrap();
    up.wait().unwrap();
    state.supervisor.unwrap().signal(Signal::SIGKILL);
    eventually("the supervisor to end", || (!state.supervisor.unwrap().is_running()).then_some(()));
    bench.run(&["down"]).success();
    bench.is_gone();
}

#[test]
fn it_goes_with_the_process_that_it_is_for() {
    let bench = Bench::new("u");
    let mut owner = std::process::Command::new("sleep").arg("600").spawn().unwrap();
    let mut up = bench.spawn_up_until(owner.id());
    let state = eventually("its first programs", || bench.try_state().filter(|state| !state.processes.is_empty()));
    // Not waited for: a zombie is gone, too.
    owner.kill().unwrap();
    eventually("the supervisor to end", || (!state.supervisor.unwrap().is_running()).then_some(()));
    assert!(!up.wait().unwrap().success(), "it did not come up");
    assert!(bench.try_state().is_none());
    bench.is_gone();
    owner.wait().unwrap();
    let said = bench.run(&["up", "--until-pid", "2147483647"]).failure();
    assert!(said.contains("--until-pid"), "{said}");
}

#[test]
fn a_folder_of_somebody_else_is_left_alone() {
    let bench = Bench::new("f");
    let folder = bench.dir().join("dc-a");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("precious"), "years of work").unwrap();
    let said = bench.up().failure();
    assert!(said.contains("--dir"), "{said}");
    assert_eq!(fs::read_to_string(folder.join("precious")).unwrap(), "years of work");
    bench.is_gone();
}

#[test]
fn without_root_it_says_so_at_once() {
    // Where everybody may execute it: build directories are often below a home that is closed.
    let copy = Path::new("/tmp").join(format!("tandem-lab-{}", std::process::id()));
    fs::copy(bench::PROGRAM, &copy).unwrap();
    let output = std::process::Command::new("setpriv")
        .args(["--reuid", "65534", "--regid", "65534", "--clear-groups"])
        .arg(&copy)
        .args(["up", "--dir", "/tmp/tandem-lab-never"])
        .output();
    fs::remove_file(&copy).unwrap();
    let output = output.unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("root") && said.contains("sudo"), "{said}");
    assert!(!Path::new("/tmp/tandem-lab-never").exists());
}
