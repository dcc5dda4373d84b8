//! What a balancer stands before.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;

/// What a balancer stands before, as its file has it. Addresses are text here, so that all that is wrong can be said at once.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Description {
    /// The operators' `heartbeatSeconds`; `T` is five of them.
    pub heartbeat_seconds: u64,
    /// From one question to a gate to the next, in milliseconds; `T/20` where left out, and no more than that.
    #[serde(default)]
    pub inter_millis: Option<u64>,
    /// How long a gate may take to answer, its connection and TLS among it, in milliseconds; `T/20` where left out, and no more
    /// than that.
    #[serde(default)]
    pub timeout_millis: Option<u64>,
    /// The user and group that HAProxy becomes once it has opened its ports; whoever starts it where left out.
    #[serde(default)]
    pub user: Option<String>,
    /// An address on loopback with HAProxy's own page, and under `/metrics` its numbers for Prometheus; none where left out.
    #[serde(default)]
    pub stats: Option<String>,
    /// The sites and their gates.
    pub sites: Vec<Site>,
    /// What is to be reached through the balancer.
    pub entries: Vec<Entry>,
}

/// A site and its gates.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Site {
    /// The site's name.
    pub name: String,
    /// The gates' addresses with their ports, one for each operator replica. A balancer asks no DNS.
    pub gates: Vec<String>,
    /// The file, on the balancer's machine, with the authority of the gates' certificates.
    pub ca_file: String,
    /// A DNS name that the gates' certificates bear.
    pub gate_name: String,
}

/// One address of the balancer, and where it leads.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Entry {
    /// The entry's own name; that of its group where left out.
    #[serde(default)]
    pub name: Option<String>,
    /// The failover group that it moves with.
    pub group: String,
    /// The address that clients connect to.
    pub bind: String,
    /// What is understood of the traffic.
    #[serde(default)]
    pub mode: Mode,
    /// A file with certificate and key, where the balancer is to end clients' TLS.
    #[serde(default)]
    pub certificate: Option<String>,
    /// Where the service is reached at each site: the address and port of that site's gateway, say.
    pub endpoints: BTreeMap<String, String>,
}

/// What is understood of an entry's traffic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum Mode {
    /// HTTP: requests are sent on one by one, and refused with 503 where no site holds the group.
    #[default]
    Http,
    /// Connections, whatever is in them.
    Tcp,
}

impl Entry {
    /// The entry's own name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.group)
    }
}

/// The times by which a balancer turns away from a site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// After so long without a heartbeat that was seen, another site may take over.
    pub t: Duration,
    /// From one question to a gate to the next.
    pub inter: Duration,
    /// How long one question may take as a whole.
    pub timeout: Duration,
}

impl Times {
    /// The longest from a gate's 503, or its silence, until nothing is sent to its site any more and what was open is cut.
    #[must_use]
    pub fn cut(&self) -> Duration {
        self.inter.saturating_add(self.timeout)
    }

    /// When a site's gate closes by itself: this long after its last heartbeat that was answered.
    #[must_use]
    pub fn fence(&self) -> Duration {
        self.t * 7 / 10
    }

    /// The most that [`inter`](Self::inter) and [`timeout`](Self::timeout) may be, each.
    #[must_use]
    pub fn most(&self) -> Duration {
        self.t / 20
    }
}

impl Description {
    /// The times, as given or as usual.
    #[must_use]
    pub fn times(&self) -> Times {
        let t = Duration::from_secs(self.heartbeat_seconds.saturating_mul(5));
        let or_usual = |given: Option<u64>| given.map_or(t / 20, Duration::from_millis);
        Times { t, inter: or_usual(self.inter_millis), timeout: or_usual(self.timeout_millis) }
    }
}
