//! The process itself.

use tandem_core::metrics::{Label, Metric, Named};

/// A certificate that the operator uses or is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Certificate {
    /// The one with which it asks the arbiter.
    ArbiterClient,
    /// The one that it shows to whoever asks the gate.
    Server,
    /// Of those that the arbiter's members show, the one that ends first.
    Member,
}

impl Certificate {
    const ALL: [Self; 3] = [Self::ArbiterClient, Self::Server, Self::Member];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::ArbiterClient => "arbiter_client",
            Self::Server => "server",
            Self::Member => "member",
        }
    }
}

const PROGRAM: Label = Label::closed("program", || vec!["operator"]);
const VERSION: Label = Label::names("version", Named::Versions);
const CERTIFICATE: Label = Label::closed("certificate", || Certificate::ALL.map(Certificate::as_str).to_vec());

tandem_core::declare_metrics! {
    BUILD_INFO = Metric::gauge("tandem_build_info", "1", "Always 1: which program answers, and in which version.")
        .by(&[PROGRAM, VERSION]);
    CERTIFICATE_EXPIRY = Metric::gauge(
        "tandem_certificate_expiry_timestamp_seconds",
        "Unix time in seconds",
        "Until when a certificate is good, as this process has read it: its own as they were at its start, and of those that the \
         arbiter's members show the one that ends first.",
    ).by(&[CERTIFICATE]);
}
