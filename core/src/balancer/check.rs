//! What is wrong with a description, all of it at once.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use super::description::{Description, Entry, Site};

/// Something that is wrong with a description.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {what}; {mend}")]
pub struct Problem {
    /// Where, such as `sites[1].gates[0]`.
    pub field: String,
    /// What is wrong.
    pub what: String,
    /// What to do about it.
    pub mend: String,
}

/// No question can be answered sooner: HAProxy counts in milliseconds, and a question has two parts.
const LEAST: Duration = Duration::from_millis(10);
/// Longer than any `T` that makes sense, and short enough for HAProxy's clock.
const LONGEST_HEARTBEAT: u64 = 3_600;

/// Finds what is wrong with a description.
///
/// # Errors
/// Every problem, in the order of the file.
pub fn check(description: &Description) -> Result<(), Vec<Problem>> {
    let mut found = Found::default();
    found.times(description);
    if let Some(user) = &description.user {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
        if !user.starts_with(|c: char| c.is_ascii_lowercase() || c == '_') || !user.chars().all(plain) {
            found.say(
                "user",
                format!("{user:?} is no name of a user"),
                "write one that the system has, such as haproxy",
            );
        }
    }
    if let Some(address) = description.stats.as_ref().and_then(|stats| found.address("stats", stats)) {
        found.once("stats", "address", &address.to_string());
        if !address.ip().is_loopback() {
            let mend = "write an address on loopback, such as 127.0.0.1:8404, and have a proxy of yours ask who looks";
            found.say("stats", format!("{address} can be reached by others, and nobody is asked who he is"), mend);
        }
    }
    if description.sites.len() < 2 {
        let have = if description.sites.is_empty() { "no" } else { "one" };
        found.say("sites", format!("there is {have} site, so nothing can move"), "describe both");
    }
    for (index, site) in description.sites.iter().enumerate() {
        found.site(&format!("sites[{index}]"), site);
    }
    if description.entries.is_empty() {
        found.say("entries", "there is no entry, so nobody is let in".to_owned(), "describe one for each service");
    }
    for (index, entry) in description.entries.iter().enumerate() {
        found.entry(&format!("entries[{index}]"), entry, &description.sites);
    }
    if found.problems.is_empty() { Ok(()) } else { Err(found.problems) }
}

#[derive(Default)]
struct Found {
    problems: Vec<Problem>,
    /// What was seen, by what it is, and where.
    seen: BTreeMap<(&'static str, String), String>,
}

impl Found {
    fn say(&mut self, field: &str, what: String, mend: impl Into<String>) {
        self.problems.push(Problem { field: field.to_owned(), what, mend: mend.into() });
    }

    /// Says so where this was seen before.
    fn once(&mut self, field: &str, kind: &'static str, value: &str) {
        let key = (kind, value.to_owned());
        if let Some(first) = self.seen.get(&key) {
            let what = format!("the {kind} {value} is {first} already");
            self.say(field, what, "write another one, or take one of the two out");
        } else {
            self.seen.insert(key, field.to_owned());
        }
    }

    fn times(&mut self, description: &Description) {
        let seconds = description.heartbeat_seconds;
        if seconds == 0 || seconds > LONGEST_HEARTBEAT {
            let what = format!("{seconds} is not between 1 and {LONGEST_HEARTBEAT}");
            self.say("heartbeatSeconds", what, "write the operators' heartbeatSeconds");
            return;
        }
        let times = description.times();
        let most = times.most();
        for (field, found) in [("interMillis", times.inter), ("timeoutMillis", times.timeout)] {
            let millis = found.as_millis();
            if found > most {
                let what = format!(
                    "{millis} ms is more than T/20 = {} ms: the site would still be served when another may take over",
                    most.as_millis()
                );
                self.say(field, what, "write less, leave it out, or lengthen heartbeatSeconds at the operators too");
            } else if found < LEAST {
                let what = format!("{millis} ms is too short for any answer");
                self.say(field, what, format!("write {} ms or more, or leave it out", LEAST.as_millis()));
            }
        }
    }

    fn name(&mut self, field: &str, name: &str) {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        let usable = (1..=63).contains(&name.len())
            && name.starts_with(plain)
            && name.ends_with(plain)
            && name.chars().all(|c| plain(c) || c == '-');
        if !usable {
            let mend = "write lower-case letters, digits and dashes, at most 63, as Tandem's own names are";
            self.say(field, format!("'{name}' is no name"), mend);
        }
    }

    fn file(&mut self, field: &str, path: &str) {
        // What the configuration would read as something else than a path.
        let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+@".contains(c);
        if !path.starts_with('/') || !path.chars().all(plain) {
            let mend = "write a path from / on, of letters, digits and . _ - + @";
            self.say(field, format!("'{path}' is no path that HAProxy can be given"), mend);
        }
    }

    fn address(&mut self, field: &str, text: &str) -> Option<SocketAddr> {
        let address = text.parse::<SocketAddr>().ok().filter(|address| address.port() != 0);
        if address.is_none() {
            let mend = "write an IP address and a port, such as 10.90.0.5:8443 or [fd00::5]:8443: no DNS is asked";
            self.say(field, format!("'{text}' is no address with a port"), mend);
        }
        address
    }

    /// An address that something is reached at.
    fn reached(&mut self, field: &str, text: &str) -> Option<SocketAddr> {
        let address = self.address(field, text)?;
        if address.ip().is_unspecified() || address.ip().is_multicast() {
            self.say(field, format!("nothing is reached at {address}"), "write the address of one machine");
            return None;
        }
        Some(address)
    }

    fn site(&mut self, field: &str, site: &Site) {
        self.name(&format!("{field}.name"), &site.name);
        self.once(&format!("{field}.name"), "site", &site.name);
        if site.gates.is_empty() {
            let mend = "write the address of each operator replica of the site";
            self.say(
                &format!("{field}.gates"),
                format!("{} has no gate, so nobody can say what it holds", site.name),
                mend,
            );
        }
        for (index, gate) in site.gates.iter().enumerate() {
            let field = format!("{field}.gates[{index}]");
            if let Some(address) = self.reached(&field, gate) {
                // One site's gate must not speak for another site.
                self.once(&field, "gate", &address.to_string());
            }
        }
        self.file(&format!("{field}.caFile"), &site.ca_file);
        let name = &site.gate_name;
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
        let numbers = name.chars().all(|c| c.is_ascii_digit() || c == '.');
        if name.is_empty() || name.len() > 253 || numbers || !name.chars().all(plain) {
            let mend = "write a DNS name that is in the gates' certificates; HAProxy compares no addresses";
            self.say(&format!("{field}.gateName"), format!("'{name}' is no DNS name"), mend);
        }
    }

    fn entry(&mut self, field: &str, entry: &Entry, sites: &[Site]) {
        self.name(&format!("{field}.group"), &entry.group);
        let named = if entry.name.is_some() { format!("{field}.name") } else { format!("{field}.group") };
        if entry.name.is_some() {
            self.name(&named, entry.name());
        }
        self.once(&named, "entry", entry.name());
        let bind = format!("{field}.bind");
        if let Some(address) = self.address(&bind, &entry.bind) {
            self.once(&bind, "address", &address.to_string());
        }
        if let Some(certificate) = &entry.certificate {
            self.file(&format!("{field}.certificate"), certificate);
        }
        let mut endpoints: BTreeMap<SocketAddr, &str> = BTreeMap::new();
        for site in sites {
            let field = format!("{field}.endpoints.{}", site.name);
            let Some(endpoint) = entry.endpoints.get(&site.name) else {
                let what = format!("{} has no endpoint at {}", entry.name(), site.name);
                self.say(&field, what, "write where the service is reached there");
                continue;
            };
            let Some(address) = self.reached(&field, endpoint) else { continue };
            // Whoever is sent to one address for two sites is sent to the wrong one after a move.
            if let Some(other) = endpoints.insert(address, &site.name) {
                let mend = "write the address of each site's own";
                self.say(&field, format!("{address} is the endpoint at {other} too"), mend);
            }
        }
        for name in entry.endpoints.keys().filter(|name| !sites.iter().any(|site| site.name == **name)) {
            let known: Vec<&str> = sites.iter().map(|site| site.name.as_str()).collect();
            let mend = format!("write one of {}", known.join(", "));
            self.say(&format!("{field}.endpoints.{name}"), "there is no such site".to_owned(), mend);
        }
    }
}
