//! The command line of `tandem doctor`.

use crate::arbiter::args::AccessArgs;
use crate::output::Output;
use clap::Args;
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  tandem doctor --context dc-a --context dc-b             both sites, and what they have to agree on / 检查两个站点
  tandem doctor --context dc-a --config arbiter.yaml      one site and the arbiter / 检查一个站点与仲裁
  tandem doctor --gate https://gate.dc-a.example:8443 --gate-ca ca.crt

Every check is OK, WARN, FAIL or SKIP. What cannot be seen from here is never OK: SKIP says why. The arbiter is reached as by
`tandem arbiter status`, with flags, environment or --config.

Exit codes: 0 no check failed; 1 one failed; 2 wrong usage; 3 no site answered, and no arbiter.";

/// Which sites, and where Tandem is in them.
#[derive(Clone, Debug, Args)]
pub struct SitesArgs {
    /// A site, as a context of the kubeconfig; give both. Its current one where none is given
    #[arg(long = "context", value_name = "NAME")]
    pub contexts: Vec<String>,
    /// The kubeconfig; $KUBECONFIG or ~/.kube/config where none is given
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// The namespace that Tandem's chart was installed into
    #[arg(long, value_name = "NAME", default_value = "tandem-system")]
    pub namespace: String,
}

/// Arguments of `tandem doctor`.
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct DoctorArgs {
    /// Which sites.
    #[command(flatten)]
    pub sites: SitesArgs,
    /// A gate whose certificate is looked at, https://…; may be given several times
    #[arg(long = "gate", value_name = "URL", requires = "gate_ca")]
    pub gates: Vec<String>,
    /// The authority that signed the gates' certificates, PEM
    #[arg(long, value_name = "FILE")]
    pub gate_ca: Option<PathBuf>,
    /// The arbiter members' --quota-backend-bytes: etcd does not tell it
    #[arg(long, value_name = "BYTES", default_value_t = tandem_arbiter::health::QUOTA, value_parser = clap::value_parser!(u64).range(1..))]
    pub quota_bytes: u64,
    /// How to write it
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    pub output: Output,
    /// How to reach the arbiter.
    #[command(flatten)]
    pub access: AccessArgs,
}
