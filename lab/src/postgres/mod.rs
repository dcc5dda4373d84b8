//! PostgreSQL under Patroni: for each group a cluster of two members at each site, the second site's following the first's; and
//! beside them, to compare with, a plain cluster of one member a site.
//!
//! Everything of it runs as Debian's user `postgres`, which is shown the site's folder at a place that it can reach.

mod files;
mod group;
mod look;
mod prepare;

pub use group::failover_group;
#[cfg(test)]
pub(crate) use group::two_clusters;
pub use look::{Cluster, Reach, clusters};
pub use prepare::{Prepared, memory, prepare};

use crate::plan::{Place, Plan};
use serde::{Deserialize, Serialize};
use std::net::{Ipv4Addr, SocketAddrV4};

/// The user of the machine that all of it runs as.
pub const USER: &str = "postgres";
/// The database that applications have.
pub const DATABASE: &str = "app";
/// The plain cluster.
pub const PLAIN: &str = "plain";
/// The site's etcd for its clusters.
pub const STORE: &str = "database-etcd";
/// The way in to whichever member leads.
pub const ENTRY: &str = "database-entry";
/// The plain cluster's etcd: a member in each place.
pub const PLAIN_STORE: &str = "plain-etcd";

/// How many members a cluster has at a site.
pub const MEMBERS: u8 = 2;
/// How many groups can have one: so many have addresses.
const GROUPS: usize = 32;
/// A member's socket is in a folder named after the group, and a socket's address has room for 107 bytes.
const NAME: usize = 36;

/// The ports of PostgreSQL, Patroni and the agent at a member's address.
pub(crate) const POSTGRESQL: u16 = 5_432;
pub(crate) const PATRONI: u16 = 8_008;
pub(crate) const AGENT: u16 = 9_443;
/// An etcd's port for clients.
const ETCD: u16 = 2_379;

/// Which clusters a lab has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Databases {
    /// The groups that have one, in the order of their addresses and ports.
    pub groups: Vec<String>,
    /// The plain cluster's TTL in seconds, where there is one.
    pub spread_ttl: Option<u32>,
}

/// Why there cannot be such clusters.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DatabasesError {
    /// A name is not usable.
    #[error(
        "--postgres {0} is not usable: write a group's name of at most {NAME} lower-case letters, digits and dashes, \
         beginning with a letter, and none of etcd, entry and plain"
    )]
    Name(String),
    /// A group is named twice, or there are too many.
    #[error("--postgres {0} is one too many: name each group once, and at most {GROUPS}")]
    Many(String),
    /// The TTL leaves Patroni no time.
    #[error("--spread-ttl {0} is not usable: write 5 to 300 seconds")]
    Ttl(u32),
}

/// One member of a group's cluster at a site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member<'a> {
    /// The group.
    pub group: &'a str,
    /// Which one of the site's it is, from 0.
    pub number: u8,
    /// Where it serves.
    pub address: Ipv4Addr,
}

impl Member<'_> {
    /// What it is called beside the others of its site: in the names of programs, folders and certificates.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}-{}", self.group, self.number)
    }

    /// What it is called in Patroni.
    #[must_use]
    pub fn at(&self, site: &str) -> String {
        format!("{site}-{}", self.name())
    }
}

impl Databases {
    /// Checks what was asked for.
    ///
    /// # Errors
    /// When a name or the TTL is not usable, or a group is named twice.
    pub fn new(groups: &[String], spread_ttl: Option<u32>) -> Result<Self, DatabasesError> {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        for (index, group) in groups.iter().enumerate() {
            let begins = group.starts_with(|c: char| c.is_ascii_lowercase());
            let taken = ["etcd", "entry", PLAIN].contains(&group.as_str());
            if !begins || taken || group.len() > NAME || group.ends_with('-') || !group.chars().all(plain) {
                return Err(DatabasesError::Name(group.clone()));
            }
            if groups[..index].contains(group) || index == GROUPS {
                return Err(DatabasesError::Many(group.clone()));
            }
        }
        if let Some(ttl) = spread_ttl.filter(|ttl| !(5..=300).contains(ttl)) {
            return Err(DatabasesError::Ttl(ttl));
        }
        Ok(Self { groups: groups.to_vec(), spread_ttl })
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty() && self.spread_ttl.is_none()
    }

    /// The groups with their ports at the way in.
    pub fn entries(&self) -> impl Iterator<Item = (&str, u16)> {
        (POSTGRESQL..).zip(&self.groups).map(|(port, group)| (group.as_str(), port))
    }

    /// The members of one group at a site.
    #[must_use]
    pub fn members_of<'a>(&'a self, group: &str, place: &Place) -> Vec<Member<'a>> {
        let named = (0_u8..).zip(&self.groups).filter(|(_, name)| *name == group);
        let members = named.flat_map(|(index, group)| {
            let member = move |number| Member { group, number, address: place.database(index * MEMBERS + number) };
            (0..MEMBERS).map(member)
        });
        members.collect()
    }

    /// All members at a site.
    #[must_use]
    pub fn members<'a>(&'a self, place: &Place) -> Vec<Member<'a>> {
        self.groups.iter().flat_map(|group| self.members_of(group, place)).collect()
    }

    /// The addresses that a place has for all this.
    #[must_use]
    pub fn addresses(&self, plan: &Plan, place: &Place) -> Vec<Ipv4Addr> {
        let site = plan.sites.contains(&place.name);
        let mut all = Vec::new();
        if site && !self.groups.is_empty() {
            all.extend([place.database_store(), place.database_entry()]);
            all.extend(self.members(place).iter().map(|member| member.address));
        }
        if self.spread_ttl.is_some() {
            all.push(place.plain_store());
            all.extend(site.then(|| place.plain()));
        }
        all
    }

    /// What the host reaches of a place over ports of its own, by place and program.
    #[must_use]
    pub fn reached(&self, plan: &Plan, place: &Place) -> Vec<(String, SocketAddrV4)> {
        let site = plan.sites.contains(&place.name);
        let mut all = Vec::new();
        let mut reach = |program: &str, address, port| {
            all.push((format!("{}/{program}", place.name), SocketAddrV4::new(address, port)));
        };
        if site && !self.groups.is_empty() {
            reach(STORE, place.database_store(), ETCD);
            for (group, port) in self.entries() {
                reach(&format!("database-{group}"), place.database_entry(), port);
            }
            for member in self.members(place) {
                reach(&format!("patroni-{}", member.name()), member.address, PATRONI);
                reach(&format!("agent-{}", member.name()), member.address, AGENT);
            }
        }
        if self.spread_ttl.is_some() {
            reach(PLAIN_STORE, place.plain_store(), ETCD);
            if site {
                reach("database-plain", place.plain(), POSTGRESQL);
                reach("patroni-plain", place.plain(), PATRONI);
            }
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn what_is_not_usable_is_refused() {
        for name in ["", "Ledger", "9", "a_b", "plain", "etcd", "entry", "a-", &"a".repeat(37)] {
            assert_eq!(Databases::new(&names(&[name]), None), Err(DatabasesError::Name(name.to_owned())));
        }
        assert!(matches!(Databases::new(&names(&["a", "a"]), None), Err(DatabasesError::Many(_))));
        assert_eq!(Databases::new(&[], Some(4)), Err(DatabasesError::Ttl(4)));
        assert!(Databases::new(&[], None).unwrap().is_empty());
        assert!(!Databases::new(&[], Some(30)).unwrap().is_empty());
        let many: Vec<String> = (0..=GROUPS).map(|number| format!("g{number}")).collect();
        assert!(Databases::new(&many, None).is_err() && Databases::new(&many[1..], None).is_ok());
    }

    #[test]
    fn no_two_members_share_an_address_and_none_has_anothers() {
        let plan = Plan::new("t", "10.90", "dc-a,dc-b").unwrap();
        let groups: Vec<String> = (0..GROUPS).map(|number| format!("g{number}")).collect();
        let databases = Databases::new(&groups, Some(10)).unwrap();
        for place in plan.places() {
            let mut all = place.addresses();
            all.extend(databases.addresses(&plan, &place));
            let distinct: BTreeSet<&Ipv4Addr> = all.iter().collect();
            assert_eq!(distinct.len(), all.len(), "{}", place.name);
            assert!(all.iter().all(|address| address.octets()[..3] == place.arbiter().octets()[..3]));
        }
        let witness = plan.place("witness").unwrap();
        assert_eq!(databases.addresses(&plan, &witness), [witness.plain_store()], "no database there");
        assert!(Databases::default().addresses(&plan, &witness).is_empty());
    }

    #[test]
    fn members_and_entries_are_where_they_are_said_to_be() {
        let plan = Plan::new("t", "10.90", "dc-a,dc-b").unwrap();
        let databases = Databases::new(&names(&["service-hall", "data-hub"]), None).unwrap();
        let site = plan.place("dc-b").unwrap();
        let hub = databases.members_of("data-hub", &site);
        assert_eq!(
            hub.iter().map(|member| member.address.to_string()).collect::<Vec<_>>(),
            ["10.90.64.18", "10.90.64.19"]
        );
        assert_eq!(hub[1].name(), "data-hub-1");
        assert_eq!(databases.entries().collect::<Vec<_>>(), [("service-hall", 5432), ("data-hub", 5433)]);
        let reached = databases.reached(&plan, &site);
        let at = |name: &str| reached.iter().find(|(found, _)| found == name).map(|(_, at)| at.to_string());
        assert_eq!(at("dc-b/database-data-hub").unwrap(), "10.90.64.11:5433");
        assert_eq!(at("dc-b/patroni-service-hall-1").unwrap(), "10.90.64.17:8008");
        assert_eq!(at("dc-b/agent-data-hub-0").unwrap(), "10.90.64.18:9443");
        assert_eq!(at("dc-b/database-plain"), None);
        assert!(databases.reached(&plan, &plan.place("witness").unwrap()).is_empty());
    }
}
