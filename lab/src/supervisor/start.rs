//! The start of a lab, step by step.

use super::slot::{Slot, keep};
use super::{Supervisor, SupervisorError, doing, lock};
use crate::arbiter::Root;
use crate::control::Reply;
use crate::forward::free_port;
use crate::plan::WITNESS;
use crate::process::Program;
use crate::{install, kubeconfig, network, pki, site};
use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};
use time::OffsetDateTime;

/// How long a part may take to become ready.
const READY: Duration = Duration::from_secs(90);

impl Supervisor {
    fn begin(&self, step: &str) -> impl FnOnce() + use<> {
        let started = Instant::now();
        self.steps.send_modify(|steps| steps.push(Reply::Begun { step: step.to_owned() }));
        let (steps, step) = (self.steps.clone(), step.to_owned());
        move || {
            let seconds = started.elapsed().as_secs_f64();
            tracing::info!(step, seconds, "done");
            steps.send_modify(|steps| steps.push(Reply::Ended { step, seconds }));
        }
    }

    fn launch(self: &Arc<Self>, programs: &[Program]) {
        for program in programs {
            let slot = Arc::new(Slot::new(program.clone()));
            lock(&self.slots).insert(program.full_name(), Arc::clone(&slot));
            tokio::spawn(keep(Arc::clone(self), slot));
        }
    }

    /// Brings everything up.
    pub(super) async fn start(self: &Arc<Self>) -> Result<(), SupervisorError> {
        let super::Settings { plan, layout, programs, repository, operators, data, .. } = self.settings.clone();
        let places = plan.places();

        let done = self.begin("network: four namespaces, nothing of them on the host");
        network::create(&plan)?;
        done();

        let done = self.begin("certificates");
        #[allow(clippy::disallowed_methods)] // an edge: certificates are valid from now on
        let now = OffsetDateTime::now_utc();
        pki::create(&plan, &layout, now)?;
        let mut ports = std::collections::BTreeMap::new();
        for place in &places {
            ports.insert(format!("{}/arbiter", place.name), free_port().map_err(doing("asking for a port"))?);
            if plan.sites.contains(&place.name) {
                let port = free_port().map_err(doing("asking for a port"))?;
                ports.insert(format!("{}/kube-apiserver", place.name), port);
                if data.is_some() {
                    let port = free_port().map_err(doing("asking for a port"))?;
                    ports.insert(format!("{}/hook", place.name), port);
                }
                for replica in 0..2 {
                    let port = free_port().map_err(doing("asking for a port"))?;
                    ports.insert(format!("{}/operator-{replica}", place.name), port);
                }
                kubeconfig::write(&layout, place, port).map_err(doing("writing kubeconfigs"))?;
            }
        }
        self.record(|state| state.ports.clone_from(&ports))?;
        kubeconfig::merge(&layout, &plan.sites).map_err(doing("writing kubeconfigs"))?;
        for place in &places {
            let prepared = site::prepare(&plan, &layout, &programs, place, operators.as_deref(), data.as_deref())
                .map_err(doing(format!("writing the configuration of {}", place.name)))?;
            lock(&self.programs).insert(place.name.clone(), prepared);
            self.open_forwards(place)?;
        }
        self.write_env().map_err(doing("writing the environment file"))?;
        layout.hand_over(&plan.sites).map_err(doing("giving the kubeconfigs to whoever called sudo"))?;
        done();

        let prepared = lock(&self.programs).clone();
        let done = self.begin(&format!("arbiter (three members) and two control planes ({})", programs.version));
        for programs in prepared.values() {
            self.launch(std::slice::from_ref(&programs.arbiter));
            self.launch(&programs.store);
        }
        let root = Root::new(&plan, &layout, &programs);
        let sites = plan.sites.clone();
        let users = tokio::task::spawn_blocking(move || {
            root.wait_healthy(READY)?;
            root.move_leader_to(WITNESS)?;
            root.set_up_users(&sites)
        });
        for site in &plan.sites {
            self.wait_for_api_server(site).await?;
        }
        users.await.map_err(|error| doing("setting the arbiter up")(std::io::Error::other(error)))??;
        done();

        let done = self.begin("definitions, rights and namespaces");
        for programs in prepared.values() {
            self.launch(&programs.control);
        }
        let mut installing = Vec::new();
        for site in plan.sites.clone() {
            let kubeconfig = layout.kubeconfig(&site, "bootstrap");
            let (repository, minor) = (repository.clone(), programs.minor);
            let shown = data.is_some().then(|| layout.pki(&site));
            installing.push(tokio::spawn(async move {
                install::site(&kubeconfig, &repository, minor).await?;
                match shown {
                    Some(pki) => install::shown_to_data(&kubeconfig, &pki).await,
                    None => Ok(()),
                }
            }));
        }
        for installed in installing {
            installed.await.map_err(|error| doing("installing")(std::io::Error::other(error)))??;
        }
        if let Some(first) = plan.sites.first() {
            install::authority(&layout.kubeconfig(first, "bootstrap"), &repository).await?;
        }
        done();

        if data.is_some() {
            let done = self.begin("a data service at each site, and its agent");
            for programs in prepared.values() {
                self.launch(&programs.data);
            }
            done();
        }
        if operators.is_some() {
            let done = self.begin("operators (two replicas a site)");
            for programs in prepared.values() {
                self.launch(&programs.operators);
            }
            for site in &plan.sites {
                install::wait_for_operator(&layout.kubeconfig(site, "bootstrap"), site, READY).await?;
            }
            done();
        }
        Ok(())
    }

    async fn wait_for_api_server(&self, site: &str) -> Result<(), SupervisorError> {
        let layout = &self.settings.layout;
        if install::wait_for_api_server(&layout.kubeconfig(site, "bootstrap"), READY).await {
            return Ok(());
        }
        Err(SupervisorError::NotReady {
            what: format!("the API server of {site}"),
            seconds: READY.as_secs(),
            log: layout.log(site, "kube-apiserver").display().to_string(),
        })
    }

    /// What a shell needs to work with the lab.
    fn write_env(&self) -> std::io::Result<()> {
        let super::Settings { plan, layout, programs, .. } = &self.settings;
        let ports = lock(&self.state).ports.clone();
        let arbiter: Vec<String> = plan
            .places()
            .iter()
            .filter_map(|place| ports.get(&format!("{}/arbiter", place.name)))
            .map(|port| format!("https://127.0.0.1:{port}"))
            .collect();
        let dir = layout.dir.display();
        let certificates = layout.pki(WITNESS);
        let places: Vec<String> = plan.places().into_iter().map(|place| place.name).collect();
        let text = format!(
            "# To be sourced: . {dir}/env
export PATH=\"{own}:$PATH\"
# Contexts: {contexts}; the first is the current one.
export KUBECONFIG=\"{dir}/kubeconfig\"
# The lab that `tandem lab` speaks to, from any folder.
export TANDEM_LAB_DIR=\"{dir}\"
# What `tandem arbiter` reads: the members ({members}), and one of the two people who look after them, {first}. The other
# one is {second}, beside it; and the root, whom `tandem arbiter replace` needs:
#   tandem arbiter replace MEMBER --cert=$TANDEM_ARBITER_ROOT_CERT --key=$TANDEM_ARBITER_ROOT_KEY
# For a look into the arbiter:
#   ETCDCTL_API=3 etcdctl --endpoints=$TANDEM_ARBITER_ENDPOINTS --cacert=$TANDEM_ARBITER_CA \\
#     --cert=$TANDEM_ARBITER_CERT --key=$TANDEM_ARBITER_KEY get --prefix --keys-only /tandem/v1/
export TANDEM_ARBITER_ENDPOINTS=\"{endpoints}\"
export TANDEM_ARBITER_CA=\"{pki}/arbiter-ca.crt\"
export TANDEM_ARBITER_CERT=\"{pki}/{first}.crt\"
export TANDEM_ARBITER_KEY=\"{pki}/{first}.key\"
export TANDEM_ARBITER_ROOT_CERT=\"{pki}/arbiter-root.crt\"
export TANDEM_ARBITER_ROOT_KEY=\"{pki}/arbiter-root.key\"
",
            first = pki::ARBITER_ADMINS[0],
            second = pki::ARBITER_ADMINS[1],
            own = programs.own.display(),
            contexts = plan.sites.join(" and "),
            members = places.join(", "),
            endpoints = arbiter.join(","),
            pki = certificates.display(),
        );
        fs::write(layout.env(), text)
    }
}
