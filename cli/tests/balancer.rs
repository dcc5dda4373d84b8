//! `tandem balancer haproxy`: what it says, and what HAProxy itself does with what it writes.
#![allow(clippy::unwrap_used)]

mod balancer {
    pub(crate) mod stage;
    mod traffic;
}

use balancer::stage;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

const EXAMPLE: &str = include_str!("../src/balancer/example.yaml");
const ALL: &str = include_str!("data/balancer/all.yaml");

fn tandem(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tandem")).args(["balancer", "haproxy"]).args(arguments).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// The description with its files in this folder, where they are made.
fn with_files(yaml: &str, folder: &Path) -> String {
    let (certificate, key) = stage::certificate();
    for name in ["reached-ca.crt", "dc-a-ca.crt", "dc-b-ca.crt"] {
        fs::write(folder.join(name), &certificate).unwrap();
    }
    fs::write(folder.join("service-hall.pem"), format!("{certificate}{key}")).unwrap();
    yaml.replace("/etc/haproxy/tandem", &folder.display().to_string())
}

#[test]
fn haproxy_takes_every_configuration() {
    for yaml in [EXAMPLE, ALL] {
        let folder = tempfile::tempdir().unwrap();
        let (file, out) = (folder.path().join("balancer.yaml"), folder.path().join("haproxy.cfg"));
        fs::write(&file, with_files(yaml, folder.path())).unwrap();
        let written = tandem(&["--file", file.to_str().unwrap(), "--out", out.to_str().unwrap()]);
        assert!(written.status.success(), "{}", said(&written));
        assert!(said(&written).contains("haproxy -c -f"), "{}", said(&written));
        let checked = Command::new(stage::haproxy()).arg("-c").arg("-f").arg(&out).output().unwrap();
        assert!(checked.status.success(), "{}\n{}", said(&checked), fs::read_to_string(&out).unwrap());
        assert!(!said(&checked).contains("WARNING"), "{}", said(&checked));
    }
}

#[test]
fn a_refused_description_leaves_the_file_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let (file, out) = (folder.path().join("balancer.yaml"), folder.path().join("haproxy.cfg"));
    fs::write(&out, "as it was").unwrap();
    fs::write(&file, EXAMPLE.replace("10.90.0.5:8443", "gate.dc-a:8443").replace("bind: 0.0.0.0:443", "bind: \"443\""))
        .unwrap();
    let arguments = ["--file", file.to_str().unwrap(), "--out", out.to_str().unwrap()];
    let refused = tandem(&arguments);
    assert_eq!(refused.status.code(), Some(1));
    for place in ["sites[0].gates[0]: ", "entries[0].bind: "] {
        assert!(said(&refused).contains(place), "{}", said(&refused));
    }
    fs::write(&file, EXAMPLE.replace("entries:", "entires:")).unwrap();
    let refused = tandem(&arguments);
    assert_eq!(refused.status.code(), Some(1));
    assert!(said(&refused).contains("entires") && said(&refused).contains("--help"), "{}", said(&refused));
    assert_eq!(fs::read_to_string(&out).unwrap(), "as it was");
    fs::remove_file(&file).unwrap();
    assert_eq!(tandem(&arguments).status.code(), Some(2));
}

#[test]
fn people_are_told_in_their_language() {
    let folder = tempfile::tempdir().unwrap();
    let (file, out) = (folder.path().join("balancer.yaml"), folder.path().join("haproxy.cfg"));
    fs::write(&file, EXAMPLE).unwrap();
    let written = tandem(&["--lang", "zh", "--file", file.to_str().unwrap(), "--out", out.to_str().unwrap()]);
    assert!(said(&written).contains("已写入"), "{}", said(&written));
    let printed = tandem(&["--file", file.to_str().unwrap()]);
    assert_eq!(String::from_utf8(printed.stdout).unwrap(), fs::read_to_string(&out).unwrap());
}
