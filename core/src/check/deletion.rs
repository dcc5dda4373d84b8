//! Why something may not be deleted yet.

use tandem_crds::Kind;
use tandem_crds::status::Reason;

use super::{Problem, World, list};
use crate::names;

/// Why deletion may not go ahead: deletion protection is on, of the object itself or of the unit; a unit still has
/// environments or units below it; an environment still has applications; a profile or group is in use; a data centre is
/// always. Nothing where it may. What is not published holds nothing up.
#[must_use]
pub fn deletion(kind: Kind, _namespace: Option<&str>, name: &str, world: &World<'_>) -> Vec<Problem> {
    let mut refusals = Refusals(Vec::new());
    match kind {
        Kind::Unit => unit(name, world, &mut refusals),
        Kind::Environment => environment(name, world, &mut refusals),
        Kind::SecurityProfile => security_profile(name, world, &mut refusals),
        Kind::FailoverGroup => failover_group(name, world, &mut refusals),
        Kind::DataCentre => {
            let message = format!(
                "data centre {name} is one of the sites that the operators are configured with: take it out of their \
                 configuration, and this object with it, when the site is given up"
            );
            refusals.add("", message);
        }
        Kind::Application | Kind::EnvironmentRequest => {}
    }
    refusals.0
}

struct Refusals(Vec<Problem>);

impl Refusals {
    fn add(&mut self, path: &str, message: String) {
        self.0.push(Problem::new(Reason::DeletionRefused, path, message));
    }

    /// A refusal that lists who is in the way, where anybody is.
    fn while_any(&mut self, who: &[&str], message: impl FnOnce(String) -> String) {
        if !who.is_empty() {
            self.add("", message(list(who)));
        }
    }
}

fn unit(name: &str, world: &World<'_>, refusals: &mut Refusals) {
    if world.units.get(name).is_some_and(|unit| unit.spec.deletion_protection) {
        let message = format!("unit {name} is protected from deletion: set it to false first");
        refusals.add("spec.deletionProtection", message);
    }
    let environments: Vec<&str> =
        world.environments.iter().filter(|(_, of)| of.spec.unit == name).map(|(key, _)| key.as_str()).collect();
    refusals
        .while_any(&environments, |names| format!("unit {name} still has environments ({names}): delete them first"));
    let below: Vec<&str> = world
        .units
        .iter()
        .filter(|(_, unit)| unit.spec.parent.as_deref() == Some(name))
        .map(|(key, _)| key.as_str())
        .collect();
    refusals.while_any(&below, |names| {
        format!("unit {name} is the parent of others ({names}): give them another parent or none first")
    });
}

fn environment(name: &str, world: &World<'_>, refusals: &mut Refusals) {
    if let Some(environment) = world.environments.get(name) {
        if environment.spec.deletion_protection {
            let message = format!("environment {name} is protected from deletion: set it to false first");
            refusals.add("spec.deletionProtection", message);
        }
        let unit = &environment.spec.unit;
        if world.units.get(unit).is_some_and(|unit| unit.spec.deletion_protection) {
            let message = format!(
                "unit {unit} is protected from deletion, and its environments with it: set the Unit's \
                 spec.deletionProtection to false first"
            );
            refusals.add("", message);
        }
    }
    let applications: Vec<&str> = world
        .applications
        .keys()
        .filter(|(namespace, _)| namespace == name)
        .map(|(_, application)| application.as_str())
        .collect();
    refusals.while_any(&applications, |names| {
        format!("environment {name} still has applications ({names}): delete them first")
    });
}

fn security_profile(name: &str, world: &World<'_>, refusals: &mut Refusals) {
    let units: Vec<&str> = world
        .units
        .iter()
        .filter(|(_, unit)| unit.spec.security_profile == name)
        .map(|(key, _)| key.as_str())
        .collect();
    refusals.while_any(&units, |names| {
        format!("security profile {name} is in use by units ({names}): give them another first")
    });
    let environments: Vec<&str> = world
        .environments
        .iter()
        .filter(|(_, environment)| environment.spec.security_profile.as_deref() == Some(name))
        .map(|(key, _)| key.as_str())
        .collect();
    refusals.while_any(&environments, |names| {
        format!("security profile {name} is in use by environments ({names}): give them another first")
    });
}

fn failover_group(name: &str, world: &World<'_>, refusals: &mut Refusals) {
    let applications: Vec<String> = world
        .applications
        .iter()
        .filter(|((namespace, application), of)| match &of.spec.failover_group {
            Some(named) => named == name,
            None => names::default_group(namespace, application) == name,
        })
        .map(|((namespace, application), _)| format!("{namespace}/{application}"))
        .collect();
    let applications: Vec<&str> = applications.iter().map(String::as_str).collect();
    refusals.while_any(&applications, |names| {
        format!(
            "failover group {name} is in use by applications ({names}): delete them or give them another group first"
        )
    });
}
