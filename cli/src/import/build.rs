//! From rows that passed every check to resources.

use super::budget::UnitPlan;
use super::check::{Inventory, UnitRecord};
use super::headers::Column;
use super::known::Known;
use super::problem::Problem;
use super::references::Target;
use super::rows::Row;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use tandem_crds::validation::broken_rules;
use tandem_crds::{
    Application, ApplicationRef, ApplicationSpec, Component, ComponentResources, DisplayName, Endpoint, Environment,
    EnvironmentSpec, Port, Protocol, Purpose, Quantity, Replicas, StandbyClass, TandemKind, Unit, UnitLevel, UnitSpec,
};

/// Where images are said to come from.
pub const REGISTRY: &str = "registry.bz.gov.example";
const LONGEST_COMPONENT: usize = 20;
const PORT: i32 = 8080;

/// The resources of an inventory, in the order in which they are applied: units with those above them first.
#[derive(Clone, Debug, Default)]
pub struct Resources {
    /// Units with budgets.
    pub units: Vec<Unit>,
    /// Environments with quotas.
    pub environments: Vec<Environment>,
    /// Applications.
    pub applications: Vec<Application>,
}

impl Resources {
    /// The pods that run at the active site.
    #[must_use]
    pub fn active_pods(&self) -> i64 {
        self.pods(|replicas, _| replicas.active)
    }

    /// The pods that run at the other site.
    #[must_use]
    pub fn standby_pods(&self) -> i64 {
        self.pods(|replicas, class| match class {
            StandbyClass::Cold => 0,
            StandbyClass::Warm => replicas.standby.unwrap_or(1),
            StandbyClass::Hot => replicas.active,
        })
    }

    fn pods(&self, count: impl Fn(Replicas, StandbyClass) -> i32) -> i64 {
        let specs = self.applications.iter().map(|application| &application.spec);
        specs
            .flat_map(|spec| spec.components.iter().flatten().map(|c| i64::from(count(c.replicas, spec.standby_class))))
            .sum()
    }

    /// The names of the security profiles that are asked for.
    #[must_use]
    pub fn security_profiles(&self) -> Vec<String> {
        let of_units = self.units.iter().map(|unit| unit.spec.security_profile.clone());
        let of_environments = self.environments.iter().filter_map(|env| env.spec.security_profile.clone());
        let mut names: Vec<String> = of_units.chain(of_environments).collect();
        names.sort();
        names.dedup();
        names
    }
}

/// The name of the security profile that serves a level of the Multi-Level Protection Scheme.
#[must_use]
pub fn profile(mlps: i64) -> String {
    format!("mlps-{mlps}")
}

/// Adds a unit, its environments and its applications. `rows` are the unit's accepted rows with their indices.
pub fn add_unit(
    resources: &mut Resources,
    inventory: &Inventory<'_>,
    code: &str,
    unit: &UnitRecord,
    plan: &UnitPlan,
    rows: &[(usize, &Row)],
    needs: &[Vec<Target>],
) {
    let mut environments: BTreeMap<String, (Purpose, i64)> = BTreeMap::new();
    for (_, row) in rows {
        let entry = environments.entry(row.key.namespace()).or_insert((row.purpose, 1));
        entry.1 = entry.1.max(row.mlps);
    }
    let highest = environments.values().map(|(_, mlps)| *mlps).max().unwrap_or(2);
    let unit = unit_object(inventory.known, code, unit, plan, highest);
    let unit_name = unit.spec.display_name.clone();
    resources.units.push(unit);
    for (name, (purpose, mlps)) in &environments {
        let Some(quota) = plan.quotas.get(name) else { continue };
        let standing = inventory.known.environments.get(name).and_then(|env| env.spec.security_profile.as_deref());
        let spec = EnvironmentSpec {
            id: None,
            unit: code.to_owned(),
            display_name: environment_name(&unit_name, *purpose),
            purpose: *purpose,
            quota: quota.clone(),
            security_profile: Some(keep_stricter(standing, *mlps)),
            members: Vec::new(),
            expires_at: None,
            deletion_protection: false,
            request: None,
            delete_after: None,
        };
        resources.environments.push(Environment::new(name, spec));
    }
    for (index, row) in rows {
        resources.applications.push(application(inventory, row, needs.get(*index).map_or(&[], Vec::as_slice)));
    }
}

fn unit_object(known: &Known, code: &str, record: &UnitRecord, plan: &UnitPlan, mlps: i64) -> Unit {
    let standing = known.units.get(code).map(|unit| &unit.spec);
    let facts = &record.facts;
    let name = facts.name.clone().or_else(|| standing.map(|spec| spec.display_name.zh.clone()));
    let name_en = facts.name_en.clone().or_else(|| standing.and_then(|spec| spec.display_name.en.clone()));
    let spec = UnitSpec {
        id: None,
        display_name: DisplayName { zh: name.unwrap_or_else(|| code.to_owned()), en: name_en },
        level: facts.level.or_else(|| standing.map(|spec| spec.level)).unwrap_or(UnitLevel::City),
        parent: facts.parent.clone().or_else(|| standing.and_then(|spec| spec.parent.clone())),
        administrators: Vec::new(),
        viewers: Vec::new(),
        budget: plan.budget.clone(),
        security_profile: keep_stricter(standing.map(|spec| spec.security_profile.as_str()), mlps),
        suspended: false,
        deletion_protection: false,
    };
    Unit::new(code, spec)
}

/// The profile of a level, unless what stands is as strict or one of the city's own making.
fn keep_stricter(standing: Option<&str>, mlps: i64) -> String {
    match standing {
        Some(name) => match name.strip_prefix("mlps-").and_then(|level| level.parse::<i64>().ok()) {
            Some(level) => profile(level.max(mlps)),
            None => name.to_owned(),
        },
        None => profile(mlps),
    }
}

fn environment_name(unit: &DisplayName, purpose: Purpose) -> Option<DisplayName> {
    let (zh, en) = match purpose {
        Purpose::Production => ("生产环境", "production"),
        Purpose::Test => ("测试环境", "test"),
        Purpose::Development => ("开发环境", "development"),
        Purpose::Training => ("培训环境", "training"),
    };
    let zh = format!("{}{zh}", unit.zh);
    let en = unit.en.as_ref().map(|name| format!("{name}, {en}"));
    (zh.chars().count() <= 128).then(|| DisplayName { zh, en: en.filter(|name| name.chars().count() <= 256) })
}

fn application(inventory: &Inventory<'_>, row: &Row, needs: &[Target]) -> Application {
    let component = component_name(&row.key.system);
    let namespace = row.key.namespace();
    let warm = row.standby_class == StandbyClass::Warm;
    let spec = ApplicationSpec {
        id: None,
        display_name: DisplayName { zh: row.name.clone(), en: row.name_en.clone() },
        components: Some(vec![Component {
            name: component.clone(),
            image: image(&row.key.unit, &row.key.system),
            command: Vec::new(),
            args: Vec::new(),
            replicas: Replicas { active: row.replicas, standby: row.standby_replicas.filter(|_| warm) },
            resources: ComponentResources {
                cpu: Quantity::from_millicores(row.cpu),
                memory: Quantity::from_bytes(row.memory),
            },
            ports: vec![Port { name: "http".to_owned(), port: PORT, protocol: Protocol::Tcp }],
            probes: None,
            env: Vec::new(),
            config: BTreeMap::new(),
            secrets: Vec::new(),
        }]),
        adopt: None,
        endpoints: Some(vec![Endpoint {
            name: "web".to_owned(),
            component: Some(component),
            selector: BTreeMap::new(),
            port: PORT,
            hosts: row.hosts.clone(),
            path: "/".to_owned(),
            tls_secret: None,
        }]),
        access: None,
        failover_group: None,
        tier: row.tier,
        standby_class: row.standby_class,
        rto_seconds: row.rto,
        rpo_seconds: row.rpo,
        dependencies: dependencies(inventory, &namespace, needs),
        mlps_level: Some(row.mlps),
        storage: (row.storage > 0).then(|| Quantity::from_bytes(row.storage)),
    };
    let mut application = Application::new(&row.key.system, spec);
    application.metadata.namespace = Some(namespace);
    application
}

fn dependencies(inventory: &Inventory<'_>, namespace: &str, needs: &[Target]) -> Vec<ApplicationRef> {
    let refs = needs.iter().filter_map(|target| {
        let (environment, application) = match target {
            Target::Row(index) => {
                let key = inventory.parsed.get(*index)?.key.as_ref()?;
                (key.namespace(), key.system.clone())
            }
            Target::Existing { namespace, name } => (namespace.clone(), name.clone()),
        };
        Some(ApplicationRef { environment: (environment != namespace).then_some(environment), application })
    });
    let mut refs: Vec<ApplicationRef> = refs.collect();
    refs.sort();
    refs.dedup();
    refs
}

/// The component's name: the system's code, cut where it is longer than a component's name may be.
fn component_name(system: &str) -> String {
    system.chars().take(LONGEST_COMPONENT).collect::<String>().trim_end_matches('-').to_owned()
}

/// An image by digest; the digest is made from the name, because an inventory names no images.
fn image(unit: &str, system: &str) -> String {
    let digest = Sha256::digest(format!("{unit}/{system}"));
    format!("{REGISTRY}/{unit}/{system}@sha256:{}", hex::encode(digest))
}

/// Units with those above them first, environments and applications by name.
pub fn sort(resources: &mut Resources) {
    let parents: BTreeMap<String, String> = resources
        .units
        .iter()
        .filter_map(|unit| Some((unit.metadata.name.clone()?, unit.spec.parent.clone()?)))
        .collect();
    let depth = |unit: &Unit| {
        let mut name = unit.metadata.name.as_deref();
        // Bounded, though circles were refused before.
        (0..parents.len() + 1)
            .take_while(|_| {
                name = name.and_then(|child| parents.get(child)).map(String::as_str);
                name.is_some()
            })
            .count()
    };
    resources.units.sort_by_cached_key(|unit| (depth(unit), unit.metadata.name.clone()));
    resources.environments.sort_by(|a, b| a.metadata.name.cmp(&b.metadata.name));
    resources
        .applications
        .sort_by(|a, b| (&a.metadata.namespace, &a.metadata.name).cmp(&(&b.metadata.namespace, &b.metadata.name)));
}

/// Holds every object to the rules of its schema, as a current API server would.
pub fn validate(resources: &Resources, inventory: &Inventory<'_>, problems: &mut Vec<Problem>) {
    let of_unit = |name: &str| -> Vec<usize> {
        inventory.rows().filter(|(_, row)| row.key.unit == name).map(|(index, _)| index).collect()
    };
    for unit in &resources.units {
        let name = unit.metadata.name.as_deref().unwrap_or_default();
        report(unit, inventory.known.units.get(name), inventory, &of_unit(name), problems);
    }
    for environment in &resources.environments {
        let name = environment.metadata.name.as_deref().unwrap_or_default();
        let before = inventory.known.environments.get(name);
        let rows = inventory.rows().filter(|(_, row)| row.key.namespace() == name).map(|(index, _)| index);
        report(environment, before, inventory, &rows.collect::<Vec<_>>(), problems);
    }
    for application in &resources.applications {
        let key = (
            application.metadata.namespace.clone().unwrap_or_default(),
            application.metadata.name.clone().unwrap_or_default(),
        );
        let rows = inventory.rows().filter(|(_, row)| row.key.namespace() == key.0 && row.key.system == key.1);
        let rows: Vec<usize> = rows.map(|(index, _)| index).collect();
        report(application, inventory.known.applications.get(&key), inventory, &rows, problems);
    }
}

fn report<K: TandemKind>(
    object: &K,
    before: Option<&K>,
    inventory: &Inventory<'_>,
    rows: &[usize],
    problems: &mut Vec<Problem>,
) {
    let object = match (object, before.and_then(TandemKind::id)) {
        (object, None) => object.clone(),
        // The id is the operator's; server-side apply leaves it alone, and the rules must see that.
        (object, Some(_)) => with_id_of(object, before),
    };
    for broken in broken_rules(&object, before) {
        let name = object.meta().name.as_deref().unwrap_or_default();
        problems.push(Problem::rows(
            inventory.place(rows.first().copied().unwrap_or(0), Column::System),
            rows.to_vec(),
            format!("the {} '{name}' would break a rule of its kind: {broken}.", K::KIND),
            "Mend what the rule names.",
        ));
    }
}

fn with_id_of<K: TandemKind>(object: &K, before: Option<&K>) -> K {
    let id = before.and_then(TandemKind::id);
    let mut spec = serde_json::to_value(object.spec()).unwrap_or_default();
    if let (Some(fields), Some(id)) = (spec.as_object_mut(), id) {
        fields.insert("id".to_owned(), id.into());
    }
    let mut object = object.clone();
    if let Ok(spec) = serde_json::from_value(spec) {
        *object.spec_mut() = spec;
    }
    object
}
