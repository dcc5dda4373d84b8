//! Names and addresses of a lab, worked out from its prefix and base alone.

use serde::{Deserialize, Serialize};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

/// What a lab is called and where its addresses begin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Begins the names of the network namespaces.
    pub prefix: String,
    /// The first two octets of every address, such as `[10, 90]`.
    pub base: [u8; 2],
    /// The sites, the preferred one first.
    pub sites: Vec<String>,
}

/// The third place: one arbiter member, nothing else.
pub const WITNESS: &str = "witness";
/// The namespace with the bridge that joins the places.
pub const METRO: &str = "metro";

/// The folder of people's certificates, beside those of the places.
pub const PEOPLE: &str = "people";
/// The folder of images, beside those of the places.
pub const IMAGES: &str = "images";

/// Where a lab keeps what must not be below its own folder: claims of prefixes, and programs that any user can execute.
pub const RUN: &str = "/run/tandem-lab";

/// How many third octets a place has.
const OCTETS: u8 = 64;

/// Why a plan cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// The prefix would make names that are too long or not usable.
    #[error("--prefix {0} is not usable: write 1 to 12 lower-case letters and digits, beginning with a letter")]
    Prefix(String),
    /// The base is not two octets of a private range.
    #[error("--base {0} is not usable: write the first two octets of a private range, such as 10.90")]
    Base(String),
    /// There must be two sites with usable names.
    #[error("--sites {0} is not usable: write two different names of at most 12 lower-case letters, digits and dashes")]
    Sites(String),
}

/// A place in the lab.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its name, such as `dc-a`.
    pub name: String,
    /// Its network namespace.
    pub namespace: String,
    base: [u8; 2],
    octet: u8,
}

impl Plan {
    /// Checks what was asked for.
    ///
    /// # Errors
    /// When a name or the base is not usable.
    pub fn new(prefix: &str, base: &str, sites: &str) -> Result<Self, PlanError> {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        let begins = |text: &str| text.starts_with(|c: char| c.is_ascii_lowercase());
        if prefix.len() > 12 || !begins(prefix) || !prefix.chars().all(plain) {
            return Err(PlanError::Prefix(prefix.to_owned()));
        }
        let octets: Option<Vec<u8>> = base.split('.').map(|octet| octet.parse().ok()).collect();
        let octets = match octets.as_deref() {
            Some([first, second]) if Ipv4Addr::new(*first, *second, 0, 0).is_private() => [*first, *second],
            _ => return Err(PlanError::Base(base.to_owned())),
        };
        let names: Vec<String> = sites.split(',').map(str::to_owned).collect();
        let usable = |name: &String| {
            begins(name)
                && name.len() <= 12
                && name.chars().all(|c| plain(c) || c == '-')
                && name != WITNESS
                && name != METRO
                && name != PEOPLE
                && name != IMAGES
        };
        if names.len() != 2 || names[0] == names[1] || !names.iter().all(usable) {
            return Err(PlanError::Sites(sites.to_owned()));
        }
        Ok(Self { prefix: prefix.to_owned(), base: octets, sites: names })
    }

    /// Every place: the sites, then the witness.
    #[must_use]
    pub fn places(&self) -> Vec<Place> {
        let names = self.sites.iter().map(String::as_str).chain([WITNESS]);
        (0_u8..)
            .zip(names)
            .map(|(index, name)| Place {
                name: name.to_owned(),
                namespace: self.namespace(name),
                base: self.base,
                octet: index * OCTETS,
            })
            .collect()
    }

    /// A place by its name.
    #[must_use]
    pub fn place(&self, name: &str) -> Option<Place> {
        self.places().into_iter().find(|place| place.name == name)
    }

    /// The network namespace of a place, or of `metro`.
    #[must_use]
    pub fn namespace(&self, place: &str) -> String {
        format!("{}-{place}", self.prefix)
    }

    /// Every network namespace of the lab.
    #[must_use]
    pub fn namespaces(&self) -> Vec<String> {
        let mut names: Vec<String> = self.places().into_iter().map(|place| place.namespace).collect();
        names.push(self.namespace(METRO));
        names
    }

    /// The addresses at which the arbiter's members serve each other, as `NAME=ADDRESS`.
    #[must_use]
    pub fn arbiter_peers(&self) -> Vec<String> {
        self.places().iter().map(|place| format!("{}=https://{}:2380", place.name, place.arbiter())).collect()
    }

    /// The addresses at which the arbiter's members serve clients.
    #[must_use]
    pub fn arbiter_endpoints(&self) -> Vec<String> {
        self.places().iter().map(|place| format!("https://{}:2379", place.arbiter())).collect()
    }

    /// The same for whoever is in a place: the member nearby first, the witness last.
    #[must_use]
    pub fn arbiter_endpoints_from(&self, place: &Place) -> Vec<String> {
        let mut endpoints = self.arbiter_endpoints();
        let own = format!("https://{}:2379", place.arbiter());
        endpoints.sort_by_key(|endpoint| *endpoint != own);
        endpoints
    }
}

impl Place {
    fn address(&self, octet: u8, last: u8) -> Ipv4Addr {
        Ipv4Addr::new(self.base[0], self.base[1], self.octet + octet, last)
    }

    /// All of the place's addresses.
    #[must_use]
    pub fn range(&self) -> String {
        format!("{}/18", self.address(0, 0))
    }

    /// The addresses of all places.
    #[must_use]
    pub fn lab_range(&self) -> String {
        format!("{}.{}.0.0/16", self.base[0], self.base[1])
    }

    /// The bridge's address on the place's side.
    #[must_use]
    pub fn gateway(&self) -> Ipv4Addr {
        self.address(0, 1)
    }

    /// The site's etcd.
    #[must_use]
    pub fn etcd(&self) -> Ipv4Addr {
        self.address(0, 2)
    }

    /// The site's API server, controller manager, scheduler and node.
    #[must_use]
    pub fn control_plane(&self) -> Ipv4Addr {
        self.address(0, 3)
    }

    /// The place's member of the arbiter.
    #[must_use]
    pub fn arbiter(&self) -> Ipv4Addr {
        self.address(0, 4)
    }

    /// One of the site's operator replicas.
    #[must_use]
    pub fn operator(&self, replica: u8) -> Ipv4Addr {
        self.address(0, 5 + replica)
    }

    /// The site's data service.
    #[must_use]
    pub fn hook(&self) -> Ipv4Addr {
        self.address(0, 7)
    }

    /// The site's replica of the agencies' API.
    #[must_use]
    pub fn api(&self) -> Ipv4Addr {
        self.address(0, 8)
    }

    /// The issuer of tokens. It runs at the witness, where the loss of either site leaves it alone.
    #[must_use]
    pub fn issuer(&self) -> Ipv4Addr {
        self.address(0, 9)
    }

    /// The etcd of the site's database clusters.
    #[must_use]
    pub fn database_store(&self) -> Ipv4Addr {
        self.address(0, 10)
    }

    /// The way in to the site's database clusters: to whichever member leads.
    #[must_use]
    pub fn database_entry(&self) -> Ipv4Addr {
        self.address(0, 11)
    }

    /// The place's member of the plain cluster's etcd.
    #[must_use]
    pub fn plain_store(&self) -> Ipv4Addr {
        self.address(0, 12)
    }

    /// The site's member of the plain cluster.
    #[must_use]
    pub fn plain(&self) -> Ipv4Addr {
        self.address(0, 13)
    }

    /// One of the site's members of database clusters.
    #[must_use]
    pub fn database(&self, member: u8) -> Ipv4Addr {
        self.address(0, 16 + member)
    }

    /// Every address that programs listen on, but for those of databases. The arbiter's is the first, and so what connections to other places come
    /// from: an etcd member takes peers only from the address in their certificate.
    #[must_use]
    pub fn addresses(&self) -> Vec<Ipv4Addr> {
        let own = [self.arbiter(), self.etcd(), self.control_plane(), self.operator(0), self.operator(1), self.hook()];
        own.into_iter().chain([self.api(), self.issuer()]).collect()
    }

    /// The Services' cluster addresses.
    #[must_use]
    pub fn service_range(&self) -> String {
        format!("{}/20", self.address(16, 0))
    }

    /// The cluster address of the API server.
    #[must_use]
    pub fn kubernetes_service(&self) -> Ipv4Addr {
        self.address(16, 1)
    }

    /// The pods' addresses.
    #[must_use]
    pub fn pod_range(&self) -> String {
        format!("{}/19", self.address(32, 0))
    }

    /// The name of the site's node.
    #[must_use]
    pub fn node(&self) -> String {
        format!("{}-node", self.name)
    }

    /// Where the site's database finds its gate file: in memory, and gone with the lab.
    #[must_use]
    pub fn memory(&self) -> PathBuf {
        Path::new(RUN).join(format!("{}-memory", self.namespace))
    }

    /// Where the databases' user finds what it could not reach in the lab's folder: the folder of the databases, and that of
    /// Tandem's own programs.
    #[must_use]
    pub fn shown(&self) -> [PathBuf; 2] {
        ["postgres", "programs"].map(|what| Path::new(RUN).join(format!("{}-{what}", self.namespace)))
    }

    /// Where the site's node copies programs that pods could not execute otherwise. It is the node's to make, and no other
    /// lab's: it bears the prefix.
    #[must_use]
    pub fn program_copies(&self) -> PathBuf {
        Path::new(RUN).join(&self.namespace)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_do_not_share_addresses() {
        let plan = Plan::new("tandem", "10.90", "dc-a,dc-b").unwrap();
        let places = plan.places();
        assert_eq!(places.len(), 3);
        assert_eq!(places[0].range(), "10.90.0.0/18");
        assert_eq!(places[1].range(), "10.90.64.0/18");
        assert_eq!(places[1].pod_range(), "10.90.96.0/19");
        assert_eq!(places[1].service_range(), "10.90.80.0/20");
        assert_eq!(places[0].program_copies(), Path::new("/run/tandem-lab/tandem-dc-a"));
        assert_eq!(places[2].arbiter().to_string(), "10.90.128.4");
        assert_eq!(places[1].api().to_string(), "10.90.64.8");
        assert_eq!(places[2].issuer().to_string(), "10.90.128.9");
        assert_eq!(plan.namespaces(), ["tandem-dc-a", "tandem-dc-b", "tandem-witness", "tandem-metro"]);
    }

    #[test]
    fn every_program_has_an_address_of_its_own() {
        for place in Plan::new("tandem", "10.90", "dc-a,dc-b").unwrap().places() {
            let addresses = place.addresses();
            let distinct: std::collections::BTreeSet<&Ipv4Addr> = addresses.iter().collect();
            assert_eq!((addresses[0], distinct.len()), (place.arbiter(), addresses.len()));
            assert!(distinct.contains(&place.api()) && distinct.contains(&place.issuer()));
        }
    }

    #[test]
    fn labs_with_the_same_addresses_share_no_folder() {
        let copies = |prefix| Plan::new(prefix, "10.90", "dc-a,dc-b").unwrap().places()[0].program_copies();
        assert_ne!(copies("one"), copies("two"));
    }

    #[test]
    fn what_is_not_usable_is_refused() {
        assert!(Plan::new("Tandem", "10.90", "a,b").is_err());
        assert!(Plan::new("tandemtandemtandem", "10.90", "a,b").is_err());
        assert!(Plan::new("t", "8.8", "a,b").is_err());
        assert!(Plan::new("t", "10", "a,b").is_err());
        assert!(Plan::new("t", "10.90", "a").is_err());
        assert!(Plan::new("t", "10.90", "a,witness").is_err());
        assert!(Plan::new("t", "10.90", "a,people").is_err(), "a site's folder would be the people's");
        assert!(Plan::new("t", "192.168", "a,b").is_ok());
    }
}
