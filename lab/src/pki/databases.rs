//! The certificates of the databases, in folders that only they can read.
//!
//! Three kinds at each site: of the data authority, what applications and the site's operators reach; of the database authority,
//! how Patroni, its etcd and the way in speak to each other; and of the replication authority, who may follow, from wherever.

use super::{Authority, PkiError, Subject};
use crate::layout::Layout;
use crate::plan::{Place, Plan};
use crate::postgres::{Databases, PLAIN};
use std::collections::BTreeMap;
use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;
use time::OffsetDateTime;

/// Who shows a certificate to a database, by role.
const FOLLOWERS: [&str; 3] = ["replicator", "rewind", "tandem_watch"];

/// A server that is known by its addresses alone: for names Patroni's Python needs a package that Debian only suggests.
fn addressed<'a>(name: &'a str, addresses: &[Ipv4Addr]) -> Subject<'a> {
    Subject { dns: &[], ..Subject::server(name, addresses) }
}

/// Makes them. `data` has each site's data authority.
pub(super) fn create(
    plan: &Plan,
    layout: &Layout,
    databases: &Databases,
    data: &BTreeMap<String, Authority>,
    replication: &Authority,
    now: OffsetDateTime,
) -> Result<(), PkiError> {
    // A database is believed by its own site's authority; whoever follows one follows either.
    let all: String = data.values().map(|authority| authority.certificate.as_str()).collect();
    let sites = plan.places().into_iter().filter_map(|place| Some((data.get(&place.name)?, place)));
    for (data, place) in sites.filter(|_| !databases.groups.is_empty()) {
        let site = Site { layout, databases, place: &place, data, replication };
        site.create(&all, &Authority::new(&format!("{} database", place.name), now)?)?;
    }
    if databases.spread_ttl.is_some() {
        let authority = Authority::new("tandem-lab plain", now)?;
        for place in plan.places() {
            plain(layout, &place, plan.sites.contains(&place.name), &authority)?;
        }
    }
    Ok(())
}

struct Site<'a> {
    layout: &'a Layout,
    databases: &'a Databases,
    place: &'a Place,
    data: &'a Authority,
    replication: &'a Authority,
}

impl Site<'_> {
    fn create(&self, all: &str, database: &Authority) -> Result<(), PkiError> {
        let Self { layout, place, data, replication, .. } = self;
        let folder = layout.postgres(&place.name);
        Layout::private_dir(&folder)?;
        let shared = folder.join("pki");
        Layout::private_dir(&shared)?;
        data.write(&shared, "data-ca")?;
        database.write(&shared, "database-ca")?;
        replication.write(&shared, "replication-ca")?;
        Layout::private_file(&shared.join("databases-ca.crt"), all)?;
        let gates = fs::read_to_string(layout.pki(&place.name).join("ca.crt"))?;
        Layout::private_file(&shared.join("gates-ca.crt"), &gates)?;
        for user in FOLLOWERS {
            replication.issue(&shared, user, &Subject::user(user, None))?;
        }
        database.issue(&shared, "etcd", &addressed("etcd", &[place.database_store()]))?;
        database.issue(&shared, "entry", &Subject::user("entry", None))?;
        // As haproxy reads it.
        let read = |name: &str| fs::read_to_string(shared.join(name));
        Layout::private_file(&shared.join("entry.pem"), &(read("entry.crt")? + &read("entry.key")?))?;
        for member in self.databases.members(place) {
            let own = folder.join(member.name());
            Layout::private_dir(&own)?;
            let name = member.at(&place.name);
            database.issue(&own, "rest", &addressed(&name, &[member.address]))?;
            data.issue(&own, "agent", &Subject::server(&name, &[member.address]))?;
            data.issue(&own, "postgresql", &Subject::server(&name, &[member.address, place.database_entry()]))?;
        }
        of_the_lab(layout, place, database, "database")
    }
}

/// What the lab itself shows when it asks how a cluster stands.
fn of_the_lab(layout: &Layout, place: &Place, authority: &Authority, name: &str) -> Result<(), PkiError> {
    let pki = layout.pki(&place.name);
    authority.write(&pki, &format!("{name}-ca"))?;
    authority.issue(&pki, &format!("{name}-lab"), &Subject::user("lab", None))
}

/// The plain cluster has one authority for everything.
fn plain(layout: &Layout, place: &Place, site: bool, authority: &Authority) -> Result<(), PkiError> {
    let folder = layout.postgres(&place.name);
    Layout::private_dir(&folder)?;
    let shared = folder.join("plain-pki");
    Layout::private_dir(&shared)?;
    for name in ["database-ca", "databases-ca", "replication-ca"] {
        authority.write(&shared, name)?;
    }
    // Connections to other places come from the arbiter's address, and a member takes peers only from one in their certificate.
    authority.issue(&shared, "etcd", &addressed(&place.name, &[place.plain_store(), place.arbiter()]))?;
    if site {
        for user in FOLLOWERS {
            authority.issue(&shared, user, &Subject::user(user, None))?;
        }
        member(&folder.join(PLAIN), place, authority)?;
    }
    of_the_lab(layout, place, authority, PLAIN)
}

fn member(own: &Path, place: &Place, authority: &Authority) -> Result<(), PkiError> {
    Layout::private_dir(own)?;
    for name in ["rest", "postgresql"] {
        authority.issue(own, name, &addressed(&place.name, &[place.plain()]))?;
    }
    Ok(())
}
