//! What was seen, as far as it could be seen. Plain data: what it means is said elsewhere.

use crate::arbiter::status::Report;
use jiff::Timestamp;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use std::collections::BTreeMap;
use std::time::Duration;
use tandem_arbiter::health::{Certificate, CertificateProblem};
use tandem_crds::DataCentre;

/// Something that was seen, or why it was not.
pub type Seen<T> = Result<T, String>;

/// A server's age.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerSeen {
    /// The second number of its version; nothing where it cannot be read.
    pub minor: Option<u32>,
    /// The whole version.
    pub version: String,
}

/// An API server's clock beside the one here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockSeen {
    /// When it was asked, by the clock here.
    pub sent: Timestamp,
    /// When the answer was there, by the clock here.
    pub received: Timestamp,
    /// What it said, in whole seconds.
    pub said: Timestamp,
}

/// Whether somebody may do something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RightSeen {
    /// `operator`, `api` or `you`.
    pub who: &'static str,
    /// What: a verb and what it is done to.
    pub what: String,
    /// Whether it is allowed.
    pub allowed: bool,
}

/// One of Tandem's programs as it is installed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WorkloadSeen {
    /// Its name.
    pub name: String,
    /// The version of Tandem, by its label.
    pub version: String,
    /// How many pods there should be.
    pub wanted: i32,
    /// How many are ready.
    pub ready: i32,
    /// How many are of the newest revision.
    pub updated: i32,
    /// The Secrets that its pods need, and whether they are there.
    pub secrets: BTreeMap<String, Seen<bool>>,
    /// The PriorityClass of its pods, and whether it is there.
    pub priority: Option<(String, Seen<bool>)>,
}

/// A webhook that stands before Tandem's kinds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookSeen {
    /// Its configuration, and its own name.
    pub name: String,
    /// Whether what it cannot be asked about is refused.
    pub refuses: bool,
}

/// What was seen of a site.
#[derive(Clone, Debug)]
pub struct SiteSeen {
    /// The kubeconfig's context.
    pub context: String,
    /// The server.
    pub server: Seen<ServerSeen>,
    /// Its clock.
    pub clock: Seen<ClockSeen>,
    /// The definitions of Tandem's kinds that are there, by name.
    pub definitions: Seen<BTreeMap<String, Option<CustomResourceDefinition>>>,
    /// What the programs may do.
    pub programs: Seen<Vec<RightSeen>>,
    /// What whoever asks may do.
    pub own: Seen<Vec<RightSeen>>,
    /// Tandem's programs.
    pub workloads: Seen<Vec<WorkloadSeen>>,
    /// The data centres, as this site shows them.
    pub centres: Seen<Vec<DataCentre>>,
    /// Webhooks of others.
    pub webhooks: Seen<Vec<WebhookSeen>>,
}

impl SiteSeen {
    /// A site of which nothing is seen.
    #[must_use]
    pub fn silent(context: &str, why: &str) -> Self {
        let why = || why.to_owned();
        Self {
            context: context.to_owned(),
            server: Err(why()),
            clock: Err(why()),
            definitions: Err(why()),
            programs: Err(why()),
            own: Err(why()),
            workloads: Err(why()),
            centres: Err(why()),
            webhooks: Err(why()),
        }
    }
}

/// What was seen of the arbiter.
#[derive(Clone, Debug)]
pub struct ArbiterView {
    /// How it stands.
    pub report: Report,
    /// The shortest of a few round trips to each member that answers, over a connection that was there.
    pub trips: Vec<(String, Duration)>,
}

/// A certificate that was asked for at an address.
pub type Shown = (String, Result<Certificate, CertificateProblem>);
