//! A city in the lab: the import, and the wait until everything is Ready in both sites.

use crate::install::{InstallError, client};
use crate::layout::Layout;
use crate::plan::Plan;
use crate::progress::Progress;
use kube::api::{Api, ApiResource, DynamicObject, ListParams};
use kube::core::GroupVersionKind;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tandem_crds::Kind;

/// The kinds that people wait for.
const KINDS: [Kind; 3] = [Kind::Unit, Kind::Environment, Kind::Application];
/// How long a city may take.
const DEADLINE: Duration = Duration::from_secs(900);
const LOOK: Duration = Duration::from_secs(1);

/// Why a city did not become ready.
#[derive(Debug, thiserror::Error)]
pub enum CityError {
    /// The import failed; it has said why.
    #[error("the import of {file} failed; what it said stands above")]
    Import {
        /// The inventory.
        file: String,
    },
    /// The import could not be started.
    #[error("{program} cannot be run")]
    Start {
        /// The program.
        program: String,
        /// Why not.
        source: std::io::Error,
    },
    /// A site could not be asked.
    #[error("a site could not be asked")]
    Ask(#[from] InstallError),
    /// Something was not Ready in time.
    #[error("not Ready after {} s: {left}", DEADLINE.as_secs())]
    NotReady {
        /// What, and how many.
        left: String,
    },
}

/// Imports an inventory at the first site, which has authority.
///
/// # Errors
/// When the import cannot be started or fails.
pub fn import(layout: &Layout, plan: &Plan, own: &Path, inventory: &Path) -> Result<(), CityError> {
    let program = own.join("tandem");
    let site = plan.sites.first().map(String::as_str).unwrap_or_default();
    let start = |source| CityError::Start { program: program.display().to_string(), source };
    let status = Command::new(&program)
        .arg("import")
        .arg(inventory)
        .args(["--apply", "--context", site, "--kubeconfig"])
        .arg(layout.kubeconfig(site, "admin"))
        .stdin(Stdio::null())
        .status()
        .map_err(start)?;
    if status.success() { Ok(()) } else { Err(CityError::Import { file: inventory.display().to_string() }) }
}

/// How many objects of a kind a site has, and how many of them are Ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Count {
    /// The site.
    pub site: String,
    /// The kind.
    pub kind: Kind,
    /// All.
    pub all: usize,
    /// Those that are Ready.
    pub ready: usize,
}

/// Counts units, environments and applications at every site.
///
/// # Errors
/// When a site cannot be asked.
pub async fn count(layout: &Layout, plan: &Plan) -> Result<Vec<Count>, CityError> {
    let mut counts = Vec::new();
    for site in &plan.sites {
        let kubeconfig: PathBuf = layout.kubeconfig(site, "admin");
        let client = client(&kubeconfig).await?;
        for kind in KINDS {
            let gvk = GroupVersionKind::gvk(tandem_crds::GROUP, tandem_crds::VERSION, kind.name());
            let resource = ApiResource::from_gvk_with_plural(&gvk, kind.plural());
            let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
            let list = api.list(&ListParams::default()).await.map_err(|source| InstallError::Api {
                what: format!("a list of {}", kind.plural()),
                source: Box::new(source),
            })?;
            let ready = list.items.iter().filter(|object| is_ready(object)).count();
            counts.push(Count { site: site.clone(), kind, all: list.items.len(), ready });
        }
    }
    Ok(counts)
}

pub(crate) fn is_ready(object: &DynamicObject) -> bool {
    let observed = object.data.pointer("/status/observedGeneration").and_then(serde_json::Value::as_i64);
    let conditions = object.data.pointer("/status/conditions").and_then(serde_json::Value::as_array);
    observed == object.metadata.generation
        && conditions.is_some_and(|all| all.iter().any(|c| c["type"] == "Ready" && c["status"] == "True"))
}

/// Waits until everything that the first site has is Ready in every site.
///
/// # Errors
/// When that does not happen in time; the message says what is left.
pub async fn wait(layout: &Layout, plan: &Plan, progress: &Progress) -> Result<(), CityError> {
    let started = Instant::now();
    let step = progress.begin("everything Ready in both sites");
    loop {
        let counts = count(layout, plan).await?;
        let wanted = |kind: Kind| counts.iter().filter(|count| count.kind == kind).map(|count| count.all).max();
        let left: Vec<String> = counts
            .iter()
            .filter(|count| Some(count.ready) != wanted(count.kind) || count.all == 0)
            .map(|count| {
                let all = wanted(count.kind).unwrap_or(0);
                format!("{} {} {}/{all}", count.site, count.kind.plural(), count.ready)
            })
            .collect();
        if left.is_empty() {
            step.end();
            for count in &counts {
                progress.say(&format!("{}: {} {} Ready", count.site, count.ready, count.kind.plural()));
            }
            return Ok(());
        }
        step.note(&left.join(", "));
        if started.elapsed() >= DEADLINE {
            return Err(CityError::NotReady { left: left.join(", ") });
        }
        tokio::time::sleep(LOOK).await;
    }
}
