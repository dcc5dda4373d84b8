//! The start of a lab, step by step.

use super::slot::{Slot, keep};
use super::{Supervisor, SupervisorError, doing, lock};
use crate::arbiter::Root;
use crate::control::Reply;
use crate::forward::free_ports;
use crate::plan::WITNESS;
use crate::process::Program;
use crate::{api, entry, install, kubeconfig, ledger, network, pki, postgres, site};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use time::OffsetDateTime;
use tokio::task::JoinSet;

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

    pub(super) fn launch(self: &Arc<Self>, programs: &[Program]) {
        for program in programs {
            let slot = Arc::new(Slot::new(program.clone()));
            lock(&self.slots).insert(program.full_name(), Arc::clone(&slot));
            tokio::spawn(keep(Arc::clone(self), slot));
        }
    }

    /// Brings everything up.
    pub(super) async fn start(self: &Arc<Self>) -> Result<(), SupervisorError> {
        let super::Settings { plan, layout, programs, bare, operators, api, data, databases, entries, ledgers, .. } =
            self.settings.clone();
        let places = plan.places();

        let done = self.begin("network: four namespaces, nothing of them on the host");
        network::create(&plan, &databases)?;
        done();

        let done = self.begin("certificates");
        #[allow(clippy::disallowed_methods)] // an edge: certificates are valid from now on
        let now = OffsetDateTime::now_utc();
        pki::create(&plan, &layout, &databases, now)?;
        let ports = self.ports()?;
        for place in places.iter().filter(|place| plan.sites.contains(&place.name)) {
            let port = ports.get(&format!("{}/kube-apiserver", place.name)).copied().unwrap_or_default();
            kubeconfig::write(&layout, place, port).map_err(doing("writing kubeconfigs"))?;
        }
        self.record(|state| state.ports.clone_from(&ports))?;
        kubeconfig::merge(&layout, &plan.sites).map_err(doing("writing kubeconfigs"))?;
        let reached = api.then(|| api::addresses(&plan, &ports));
        for place in &places {
            let (operators, data) = (operators.as_deref(), data.as_deref());
            let mut prepared = site::prepare(&plan, &layout, &programs, place, operators, data, reached.as_ref())
                .map_err(doing(format!("writing the configuration of {}", place.name)))?;
            entry::lead_in(&mut prepared, place, &entries);
            lock(&self.programs).insert(place.name.clone(), prepared);
            self.open_forwards(place)?;
        }
        let clusters = match &self.settings.postgres {
            Some(found) => postgres::prepare(&plan, &layout, &programs, found, &databases)
                .map_err(doing("writing the configuration of the databases"))?,
            None => BTreeMap::new(),
        };
        self.write_env().map_err(doing("writing the environment file"))?;
        layout.hand_over(&plan.sites).map_err(doing("giving the kubeconfigs to whoever called sudo"))?;
        done();

        let prepared = lock(&self.programs).clone();
        // Beside all else: they need none of it. Dropped, should anything else fail.
        let mut starting = JoinSet::new();
        starting.spawn(Arc::clone(self).start_databases(clusters));
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

        let done = self.begin(if bare { "rights and namespaces" } else { "definitions, rights and namespaces" });
        for programs in prepared.values() {
            self.launch(&programs.control);
        }
        let mut installing = Vec::new();
        for site in plan.sites.clone() {
            let kubeconfig = layout.kubeconfig(&site, "bootstrap");
            let minor = programs.minor;
            let shown = (data.is_some() || !databases.groups.is_empty()).then(|| layout.pki(&site));
            let node = layout.node(&site);
            installing.push(tokio::spawn(async move {
                install::cluster(&kubeconfig, &node).await?;
                if !bare {
                    install::tandem(&kubeconfig, minor).await?;
                }
                match shown {
                    Some(pki) => install::shown_to_data(&kubeconfig, &pki).await,
                    None => Ok(()),
                }
            }));
        }
        for installed in installing {
            installed.await.map_err(|error| doing("installing")(std::io::Error::other(error)))??;
        }
        if let Some(first) = plan.sites.first().filter(|_| !bare) {
            install::authority(&layout.kubeconfig(first, "bootstrap")).await?;
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
        if !entries.is_empty() {
            let done = self.begin("the city's entry (HAProxy before both sites)");
            let settings = operators.as_deref().unwrap_or_default();
            let program = entry::prepare(&plan, &layout, &programs, &entries, settings);
            self.launch(&[program.map_err(doing("writing the configuration of the city's entry"))?]);
            self.open_entry()?;
            done();
        }
        if api {
            let done = self.begin("the agencies' API (a replica a site) and the issuer of its tokens");
            for programs in prepared.values() {
                self.launch(&programs.api);
            }
            self.wait_for_api(&api::addresses(&plan, &ports)).await?;
            done();
        }
        if !databases.is_empty() {
            let done = self.begin("databases (each leads at the first site, and streams to all others)");
            while let Some(started) = starting.join_next().await {
                started.map_err(|error| doing("starting the databases")(std::io::Error::other(error)))??;
            }
            done();
        }
        for group in &ledgers {
            let done = self.begin(&format!("a ledger on the database of {group}, at both sites"));
            ledger::deploy(&plan, &layout, &databases, group).await?;
            done();
        }
        Ok(())
    }

    /// A loopback port for everything that leads into a place, by what it leads to.
    fn ports(&self) -> Result<BTreeMap<String, u16>, SupervisorError> {
        let super::Settings { plan, api, data, databases, entries, .. } = &self.settings;
        let mut names: Vec<String> = plan.places().iter().map(|place| format!("{}/arbiter", place.name)).collect();
        let programs = ["kube-apiserver", "operator-0", "operator-1"].into_iter().chain(data.as_ref().map(|_| "hook"));
        names.extend(programs.flat_map(|program| plan.sites.iter().map(move |site| format!("{site}/{program}"))));
        if *api {
            names.extend(api::programs(plan));
        }
        let reached = |place| databases.reached(plan, &place).into_iter().map(|(name, _)| name);
        names.extend(plan.places().into_iter().flat_map(reached));
        names.extend(entry::port_names(entries, plan));
        let ports = free_ports(names.len()).map_err(doing("asking for ports"))?;
        Ok(names.into_iter().zip(ports).collect())
    }

    /// Waits until the API of every site is ready and the issuer answers.
    async fn wait_for_api(&self, reached: &BTreeMap<String, String>) -> Result<(), SupervisorError> {
        let layout = &self.settings.layout;
        let authority = layout.people().join("api-ca.crt");
        for (name, address) in reached {
            if !api::wait(address, api::ready_path(name), &authority, READY).await {
                let (place, program) = name.split_once('/').unwrap_or_default();
                return Err(SupervisorError::NotReady {
                    what: name.clone(),
                    seconds: READY.as_secs(),
                    log: layout.log(place, program).display().to_string(),
                });
            }
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
}
