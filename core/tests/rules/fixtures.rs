//! A small city.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use tandem_core::check::{Problem, World};
use tandem_core::render::Facts;
use tandem_crds::status::Reason;
use tandem_crds::{Application, Environment, FailoverGroup, SecurityProfile, Unit};

pub(crate) fn read<T: DeserializeOwned>(yaml: &str) -> T {
    serde_yaml::from_str(yaml).unwrap()
}

pub(crate) fn facts(server_minor: u32) -> Facts<'static> {
    Facts { site: "dc-a", server_minor }
}

pub(crate) fn unit() -> Unit {
    read(
        "
        metadata: {name: data}
        spec:
          id: id-of-data
          displayName: {zh: 数据资源管理局}
          level: City
          administrators: [data-admins, data-admins]
          viewers: [data-viewers]
          budget: {cpu: '64', memory: 256Gi, storage: 10Ti, pods: 400, environments: 4}
          securityProfile: mlps-3
        ",
    )
}

pub(crate) fn environment() -> Environment {
    read(
        "
        metadata: {name: data-prod}
        spec:
          id: id-of-data-prod
          unit: data
          quota: {cpu: 16000m, memory: 65536Mi, storage: 1024Gi, pods: 1000}
          members:
          - {group: hall-team, role: Administrator}
          - {group: audit, role: Viewer}
        ",
    )
}

pub(crate) fn profile() -> SecurityProfile {
    read(
        "
        metadata: {name: mlps-3}
        spec:
          id: id-of-mlps-3
          displayName: {zh: 等保三级}
          mlpsLevel: 3
          podSecurity: Restricted
          egress:
          - {cidr: 10.20.0.0/16, ports: [5432, 443, 443]}
          - {cidr: 10.30.0.0/24}
          images: {registries: [registry.bozhou.example/data], requireDigest: true}
          ingressClass: city
          hostNameSuffixes: [bozhou.example]
          requiredLabels: [gov.example/owner]
        ",
    )
}

pub(crate) fn baseline() -> SecurityProfile {
    read(
        "
        metadata: {name: mlps-2}
        spec:
          id: id-of-mlps-2
          displayName: {zh: 等保二级}
          mlpsLevel: 2
          podSecurity: Baseline
          images: {requireDigest: false}
        ",
    )
}

/// An application that uses everything.
pub(crate) fn hall() -> Application {
    let digest = "0123456789abcdef".repeat(4);
    read(&format!(
        "
        metadata: {{name: hall, namespace: data-prod, labels: {{gov.example/owner: data}}}}
        spec:
          id: id-of-hall
          displayName: {{zh: 网上办事大厅, en: Online service hall}}
          standbyClass: Warm
          mlpsLevel: 3
          components:
          - name: web
            image: registry.bozhou.example/data/hall@sha256:{digest}
            command: [hall]
            args: [--listen, ':8080']
            replicas: {{active: 4, standby: 2}}
            resources: {{cpu: '0.5', memory: 1024Mi}}
            ports:
            - {{name: http, port: 8080}}
            - {{name: metrics, port: 9090}}
            probes:
              readiness: {{httpGet: {{path: /readyz, port: 8080}}, periodSeconds: 5}}
              liveness: {{tcpPort: 8080}}
            env:
            - {{name: MODE, value: public}}
            - {{name: EMPTY, value: ''}}
            config: {{hall.toml: 'title = \"大厅\"', limits.toml: ''}}
            secrets: [hall-database, hall-payment, hall-database]
          - name: time
            image: registry.bozhou.example/data/time@sha256:{digest}
            resources: {{cpu: 100m, memory: 64Mi}}
            ports: [{{name: ntp, port: 123, protocol: UDP}}]
          endpoints:
          - {{name: public, component: web, port: 8080, hosts: [hall.bozhou.example, fw.bozhou.example], tlsSecret: hall-tls}}
          - {{name: metrics, component: web, port: 9090}}
          - {{name: time, component: time, port: 123}}
          access:
            from: [{{application: pay}}, {{environment: health-prod, application: portal}}]
            to: [{{environment: health-prod, application: records}}, {{application: pay}}, {{application: pay}}]
        "
    ))
}

/// An application that runs elsewhere already.
pub(crate) fn video() -> Application {
    read(
        "
        metadata: {name: video, namespace: data-prod, labels: {gov.example/owner: police}}
        spec:
          id: id-of-video
          displayName: {zh: 视频数据平台}
          standbyClass: Hot
          adopt:
          - {kind: Deployment, name: vms, replicas: {active: 3}}
          - {kind: StatefulSet, name: store, replicas: {active: 2}}
          endpoints:
          - {name: web, selector: {app: vms}, port: 8443, hosts: [video.bozhou.example], path: /v}
          - {name: store, selector: {app: store}, port: 9000}
        ",
    )
}

/// An application of which only the name and the dependencies matter.
pub(crate) fn plain(namespace: &str, name: &str, dependencies: &[(&str, &str)]) -> Application {
    let mut application = hall();
    application.metadata.name = Some(name.to_owned());
    application.metadata.namespace = Some(namespace.to_owned());
    application.spec.id = Some(format!("id-of-{namespace}-{name}"));
    application.spec.endpoints = None;
    application.spec.access = None;
    application.spec.dependencies = dependencies
        .iter()
        .map(|(environment, application)| tandem_crds::ApplicationRef {
            environment: (*environment != namespace).then(|| (*environment).to_owned()),
            application: (*application).to_owned(),
        })
        .collect();
    application
}

/// What is published, to be changed by a test.
pub(crate) struct City {
    pub(crate) units: BTreeMap<String, Unit>,
    pub(crate) environments: BTreeMap<String, Environment>,
    pub(crate) profiles: BTreeMap<String, SecurityProfile>,
    pub(crate) groups: BTreeMap<String, FailoverGroup>,
    pub(crate) applications: BTreeMap<(String, String), Application>,
    pub(crate) hosts: BTreeMap<String, (String, String)>,
    pub(crate) now: Timestamp,
}

impl City {
    /// One unit with one environment under a strict profile; no application.
    pub(crate) fn new() -> Self {
        Self {
            units: BTreeMap::from([("data".to_owned(), unit())]),
            environments: BTreeMap::from([("data-prod".to_owned(), environment())]),
            profiles: BTreeMap::from([("mlps-3".to_owned(), profile()), ("mlps-2".to_owned(), baseline())]),
            groups: BTreeMap::new(),
            applications: BTreeMap::new(),
            hosts: BTreeMap::new(),
            now: "2027-01-01T00:00:00+08:00".parse().unwrap(),
        }
    }

    /// Publishes an application.
    pub(crate) fn publish(mut self, application: Application) -> Self {
        let key = (application.metadata.namespace.clone().unwrap(), application.metadata.name.clone().unwrap());
        for host in application.spec.endpoints.iter().flatten().flat_map(|endpoint| &endpoint.hosts) {
            self.hosts.insert(host.clone(), key.clone());
        }
        self.applications.insert(key, application);
        self
    }

    pub(crate) fn world(&self) -> World<'_> {
        World {
            units: &self.units,
            environments: &self.environments,
            profiles: &self.profiles,
            groups: &self.groups,
            applications: &self.applications,
            hosts: &self.hosts,
            now: self.now,
        }
    }
}

/// Asserts that there is exactly one problem, and what it says.
#[track_caller]
pub(crate) fn only(problems: &[Problem], reason: Reason, text: &str) {
    assert_eq!(problems.len(), 1, "{problems:#?}");
    assert_eq!(problems[0].reason, reason);
    assert_eq!(problems[0].to_string(), text);
}
