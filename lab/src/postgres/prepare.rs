//! Which programs of the clusters run in which place, and the files that they read.

use super::files::{self, Agent, Pace, Patroni, WITHIN};
use super::{Databases, ENTRY, PLAIN, PLAIN_STORE, STORE, USER};
use crate::apart::{RunAs, Shown};
use crate::layout::Layout;
use crate::plan::{Place, Plan};
use crate::process::Program;
use crate::programs::{PostgresPrograms, Programs};
use nix::unistd::User;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::net::Ipv4Addr;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};

/// The programs of a place, in the order in which they are started.
#[derive(Clone, Debug, Default)]
pub struct Prepared {
    /// The etcds.
    pub stores: Vec<Program>,
    /// The Patronis, the way in to them, and the agents beside them.
    pub members: Vec<Program>,
}

/// Works out the programs of every place, and writes the files that they read. The certificates are there already.
///
/// # Errors
/// When a file cannot be written or given to the user `postgres`.
pub fn prepare(
    plan: &Plan,
    layout: &Layout,
    programs: &Programs,
    postgres: &PostgresPrograms,
    databases: &Databases,
) -> io::Result<BTreeMap<String, Prepared>> {
    let mut passwords = BTreeMap::new();
    for name in databases.groups.iter().map(String::as_str).chain(databases.spread_ttl.map(|_| PLAIN)) {
        passwords.insert(name, password()?);
    }
    let mut all = BTreeMap::new();
    for place in plan.places() {
        let site = plan.sites.contains(&place.name);
        if !site && databases.spread_ttl.is_none() {
            continue;
        }
        let at = At { plan, layout, programs, postgres, databases, place: &place };
        let mut prepared = Prepared::default();
        if site && !databases.groups.is_empty() {
            at.groups(&passwords, &mut prepared)?;
        }
        if let Some(ttl) = databases.spread_ttl {
            at.plain(ttl, site, passwords.get(PLAIN).map(String::as_str).unwrap_or_default(), &mut prepared)?;
        }
        for folder in place.shown() {
            fs::create_dir_all(folder)?;
        }
        give(&layout.postgres(&place.name))?;
        if site {
            memory(&place, databases)?;
        }
        all.insert(place.name.clone(), prepared);
    }
    Ok(all)
}

/// Makes the folders of what a site's members keep in memory: gate files and sockets.
///
/// # Errors
/// When one cannot be made or given to the user `postgres`.
pub fn memory(place: &Place, databases: &Databases) -> io::Result<()> {
    if databases.is_empty() {
        return Ok(());
    }
    let names = databases
        .members(place)
        .into_iter()
        .map(|member| member.name())
        .chain(databases.spread_ttl.map(|_| PLAIN.to_owned()));
    for name in names {
        Layout::private_dir(&place.memory().join(name))?;
    }
    // What root keeps there beside is none the less root's.
    give(&place.memory())
}

/// Gives a folder and all that is in it to whom the databases run as.
fn give(folder: &Path) -> io::Result<()> {
    let missing =
        || io::Error::new(io::ErrorKind::NotFound, "there is no user postgres; apt-get install postgresql-15");
    let user = User::from_name(USER)?.ok_or_else(missing)?;
    let (uid, gid) = (Some(user.uid.as_raw()), Some(user.gid.as_raw()));
    let mut left = vec![folder.to_owned()];
    while let Some(path) = left.pop() {
        chown(&path, uid, gid)?;
        if path.is_dir() {
            for entry in fs::read_dir(&path)? {
                left.push(entry?.path());
            }
        }
    }
    Ok(())
}

/// 128 random bits.
fn password() -> io::Result<String> {
    let mut bytes = [0; 16];
    fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(hex::encode(bytes))
}

fn yaml(path: &Path, value: &Value) -> io::Result<()> {
    Layout::private_file(path, &serde_yaml::to_string(value).map_err(io::Error::other)?)
}

/// A place, and what is known of the lab there.
struct At<'a> {
    plan: &'a Plan,
    layout: &'a Layout,
    programs: &'a Programs,
    postgres: &'a PostgresPrograms,
    databases: &'a Databases,
    place: &'a Place,
}

impl At<'_> {
    /// Where files are, for root.
    fn folder(&self) -> PathBuf {
        self.layout.postgres(&self.place.name)
    }

    /// Where the programs find the same.
    fn seen(&self, name: &str) -> PathBuf {
        self.place.shown()[0].join(name)
    }

    /// One of Tandem's own programs, as the user `postgres` finds it.
    fn own(&self, program: &str) -> PathBuf {
        self.place.shown()[1].join(program)
    }

    fn program(&self, name: &str, executable: PathBuf, arguments: Vec<String>) -> Program {
        let from = [self.folder(), self.programs.own.clone()];
        let shown = from.into_iter().zip(self.place.shown()).map(|(from, at)| Shown { from, at }).collect();
        let run_as = Some(RunAs { user: USER.to_owned(), shown });
        Program { place: self.place.name.clone(), name: name.to_owned(), executable, arguments, run_as }
    }

    fn store(&self, name: &str, address: Ipv4Addr, all: &[(String, Ipv4Addr)], certificates: &Path) -> Program {
        let flags = files::store(&self.place.name, address, all, &self.seen(name), certificates);
        self.program(name, self.programs.etcd.clone(), flags)
    }

    fn patroni(&self, name: &str, file: &Patroni<'_>) -> io::Result<Program> {
        let folder = self.folder().join(name);
        yaml(&folder.join("patroni.yml"), &file.file())?;
        let seen = self.seen(name).join("patroni.yml").display().to_string();
        Ok(self.program(&format!("patroni-{name}"), self.postgres.patroni.clone(), vec![seen]))
    }

    /// What a new cluster of a name has from its beginning; whoever connects reads the password in the folder.
    fn first(&self, name: &str, password: &str) -> io::Result<PathBuf> {
        let file = format!("{name}.sql");
        Layout::private_file(&self.folder().join(format!("{name}.password")), password)?;
        Layout::private_file(&self.folder().join(&file), &files::first(password))?;
        Ok(self.seen(&file))
    }

    /// The clusters of the groups.
    fn groups(&self, passwords: &BTreeMap<&str, String>, prepared: &mut Prepared) -> io::Result<()> {
        let Self { plan, place, databases, .. } = *self;
        let Some(other) = files::other(plan, place) else { return Ok(()) };
        let shared = self.seen("pki");
        let own_store = [(place.name.clone(), place.database_store())];
        prepared.stores.push(self.store(STORE, place.database_store(), &own_store, &shared));
        Layout::private_file(&self.folder().join("haproxy.cfg"), &files::entry(databases, place, &shared))?;
        let haproxy = vec!["-f".to_owned(), self.seen("haproxy.cfg").display().to_string()];
        prepared.members.push(self.program(ENTRY, self.postgres.haproxy.clone(), haproxy));
        let gates: Vec<String> = (0..2).map(|replica| format!("https://{}:8443", place.operator(replica))).collect();
        for (group, port) in databases.entries() {
            let follows = (plan.sites.first() != Some(&place.name)).then_some((&other, port));
            let first = self.first(group, passwords.get(group).map(String::as_str).unwrap_or_default())?;
            for member in databases.members_of(group, place) {
                let name = member.name();
                let (dynamic, access) = files::first_or_following(follows);
                let patroni = Patroni {
                    scope: group,
                    name: member.at(&place.name),
                    address: member.address,
                    own: self.seen(&name),
                    shared: shared.clone(),
                    sockets: place.memory().join(&name),
                    stores: vec![format!("{}:2379", place.database_store())],
                    pace: WITHIN,
                    access,
                    dynamic,
                    first: follows.is_none().then(|| first.clone()),
                    pre_promote: Some(files::pre_promote(
                        &self.own("tandem-agent"),
                        group,
                        &gates,
                        &shared.join("gates-ca.crt"),
                    )),
                    bin: &self.postgres.bin,
                };
                prepared.members.push(self.patroni(&name, &patroni)?);
                let agent = Agent {
                    site: &place.name,
                    member,
                    own: self.seen(&name),
                    shared: shared.clone(),
                    memory: place.memory().join(&name),
                    bin: &self.postgres.bin,
                    other: &other,
                    port,
                };
                yaml(&self.folder().join(&name).join("agent.yaml"), &agent.file())?;
                let agent = self.program(&format!("agent-{name}"), self.own("tandem-agent"), agent.arguments(&gates));
                prepared.members.push(agent);
            }
        }
        Ok(())
    }

    /// The place's part of the plain cluster.
    fn plain(&self, ttl: u32, site: bool, password: &str, prepared: &mut Prepared) -> io::Result<()> {
        let Self { plan, place, .. } = *self;
        let shared = self.seen("plain-pki");
        let stores: Vec<(String, Ipv4Addr)> =
            plan.places().into_iter().map(|place| (place.name.clone(), place.plain_store())).collect();
        prepared.stores.push(self.store(PLAIN_STORE, place.plain_store(), &stores, &shared));
        if !site {
            return Ok(());
        }
        let patroni = Patroni {
            scope: PLAIN,
            name: format!("{}-{PLAIN}", place.name),
            address: place.plain(),
            own: self.seen(PLAIN),
            shared,
            sockets: place.memory().join(PLAIN),
            stores: stores.iter().map(|(_, address)| format!("{address}:2379")).collect(),
            pace: Pace::of(ttl),
            access: files::ALWAYS.into_iter().chain(files::OPEN).collect(),
            dynamic: json!({}),
            first: Some(self.first(PLAIN, password)?),
            pre_promote: None,
            bin: &self.postgres.bin,
        };
        prepared.members.push(self.patroni(PLAIN, &patroni)?);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_of_it_runs_as_postgres_and_reads_nothing_below_a_folder_of_roots() {
        if User::from_name(USER).unwrap().is_none() || !nix::unistd::geteuid().is_root() {
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout { dir: dir.path().to_owned() };
        // A prefix that no lab of people or tests has: its folders in memory are made.
        let plan = Plan::new("unit9prepare", "10.90", "dc-a,dc-b").unwrap();
        let databases = Databases::new(&["ledger".to_owned()], Some(10)).unwrap();
        let programs = Programs {
            kubernetes: "/k".into(),
            minor: 20,
            version: "v1.20.2".to_owned(),
            etcd: "/usr/bin/etcd".into(),
            etcdctl: "/usr/bin/etcdctl".into(),
            own: "/home/li/programs".into(),
        };
        let postgres = PostgresPrograms { patroni: "/p".into(), bin: "/b".into(), haproxy: "/h".into() };
        for place in plan.places() {
            // As certificates make it.
            Layout::private_dir(&layout.postgres(&place.name)).unwrap();
        }
        let all = prepare(&plan, &layout, &programs, &postgres, &databases).unwrap();
        let names = |place: &str| -> Vec<String> {
            let Prepared { stores, members } = &all[place];
            stores.iter().chain(members).map(|program| program.name.clone()).collect()
        };
        assert_eq!(
            names("dc-b"),
            [
                "database-etcd",
                "plain-etcd",
                "database-entry",
                "patroni-ledger-0",
                "agent-ledger-0",
                "patroni-ledger-1",
                "agent-ledger-1",
                "patroni-plain",
            ]
        );
        assert_eq!(names("witness"), ["plain-etcd"]);
        for program in all.values().flat_map(|prepared| prepared.stores.iter().chain(&prepared.members)) {
            assert_eq!(program.run_as.as_ref().unwrap().user, "postgres");
            let text = program.arguments.join(" ");
            assert!(!text.contains(&dir.path().display().to_string()) && !text.contains("/home/li/"), "{text}");
        }
        let read = |name: &str| fs::read_to_string(layout.postgres("dc-a").join(name)).unwrap();
        let password = read("ledger.password");
        assert_eq!(
            (password.len(), &password),
            (32, &fs::read_to_string(layout.postgres("dc-b").join("ledger.password")).unwrap())
        );
        assert!(read("ledger.sql").contains(&password) && read("plain.password") != password);
        let file = read("ledger-1/patroni.yml");
        assert!(!file.contains(&dir.path().display().to_string()) && !file.contains("/home/li/"), "{file}");
        for place in plan.places() {
            if plan.sites.contains(&place.name) {
                assert!(place.memory().join("plain").is_dir() && place.memory().join("ledger-1").is_dir());
                fs::remove_dir_all(place.memory()).unwrap();
            }
            place.shown().iter().for_each(|folder| fs::remove_dir(folder).unwrap());
        }
    }
}
