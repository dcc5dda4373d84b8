//! What an approved request makes of the environment and its applications.
//!
//! Everything follows from the request and from what stands: whoever carries it out may die anywhere and another goes on.
//! The environment names the request that was carried out on it last (`spec.request`), in the same write; the request says
//! so afterwards (`spec.carriedOut`), and is not carried out again. Until it says so, no other request is to be carried out
//! on the same environment.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use tandem_crds::{
    Application, Environment, EnvironmentRequestSpec, EnvironmentSpec, RequestType, RequestedApplication,
};

use super::standing::{Standing, standing};
use crate::failover::Language;

/// How long an approved deletion can be undone where nothing else is configured.
pub const GRACE: SignedDuration = SignedDuration::from_hours(7 * 24);

/// What stands.
#[derive(Clone, Copy, Debug)]
pub struct Scene<'a> {
    /// Whether a security decision is demanded.
    pub demands_security: bool,
    /// The environment, if there is one.
    pub environment: Option<&'a Environment>,
    /// The applications that it has, by name.
    pub applications: &'a BTreeSet<String>,
    /// How long a deletion can be undone.
    pub grace: SignedDuration,
    /// Now.
    pub now: Timestamp,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// Nothing.
    Nothing,
    /// Write these: the environment first.
    Write {
        /// The environment as it shall be; `None` where it is so already.
        environment: Option<Box<Environment>>,
        /// Applications to be made.
        applications: Vec<Application>,
    },
    /// All is done: write `spec.carriedOut`.
    Done,
    /// Delete the environment: the grace period is over. It is deleted at both sites or at none, and only where
    /// [`deletion`](crate::check::deletion) finds nothing against it.
    Remove,
}

/// Why an approved request cannot be carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// There is an environment of that name.
    Exists,
    /// There is no such environment.
    Gone,
    /// The environment belongs to another unit.
    OtherUnit,
    /// The environment is marked for deletion.
    Marked {
        /// When it is deleted.
        after: String,
    },
    /// The environment is protected from deletion.
    Protected,
    /// The expiry would not come later.
    NotLater {
        /// What it is.
        expires: String,
    },
    /// A field is missing, or a time is none.
    Unreadable {
        /// The field.
        field: &'static str,
    },
}

impl Obstacle {
    /// The code, for status and metrics.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Exists => "EnvironmentExists",
            Self::Gone => "EnvironmentGone",
            Self::OtherUnit => "OtherUnit",
            Self::Marked { .. } => "MarkedForDeletion",
            Self::Protected => "Protected",
            Self::NotLater { .. } => "NotLater",
            Self::Unreadable { .. } => "Unreadable",
        }
    }

    /// The sentence.
    #[must_use]
    pub fn sentence(&self, language: Language) -> String {
        let english = language == Language::English;
        match self {
            Self::Exists if english => "there is an environment of that name already; ask for another name".to_owned(),
            Self::Exists => "同名环境已存在，请更换名称后重新申请".to_owned(),
            Self::Gone if english => "the environment is not there any more; ask to create it".to_owned(),
            Self::Gone => "环境已不存在，如有需要请申请新建".to_owned(),
            Self::OtherUnit if english => "the environment belongs to another unit; correct the name".to_owned(),
            Self::OtherUnit => "该环境属于其他单位，请核对名称".to_owned(),
            Self::Marked { after } if english => {
                format!("the environment is marked for deletion at {after}; undo that first")
            }
            Self::Marked { after } => format!("环境已标记于 {after} 删除，请先撤销删除"),
            Self::Protected if english => {
                "the environment is protected from deletion; set its deletionProtection to false first".to_owned()
            }
            Self::Protected => "环境已启用删除保护，请先将 deletionProtection 设为 false".to_owned(),
            Self::NotLater { expires } if english => {
                format!("the environment is kept until {expires} already; ask for a later time")
            }
            Self::NotLater { expires } => format!("环境的到期时间已是 {expires}，请申请更晚的时间"),
            Self::Unreadable { field } if english => format!("{field} is missing or cannot be read; mend it"),
            Self::Unreadable { field } => format!("{field} 缺失或无法读取，请更正"),
        }
    }
}

/// What is to be done for the request of this name.
///
/// # Errors
/// [`Obstacle`]: it is approved, and cannot be carried out as things are.
pub fn outcome(name: &str, request: &EnvironmentRequestSpec, scene: Scene<'_>) -> Result<Outcome, Obstacle> {
    let ours = |environment: &&Environment| environment.spec.request.as_deref() == Some(name);
    match standing(request, scene.demands_security) {
        Standing::Pending { .. } | Standing::Rejected { .. } | Standing::Withdrawn { .. } => {
            return Ok(Outcome::Nothing);
        }
        Standing::Undone { .. } => {
            let marked = scene.environment.filter(ours).filter(|marked| marked.spec.delete_after.is_some());
            return Ok(marked.map_or(Outcome::Nothing, |marked| {
                write(changed(marked, name, |spec| spec.delete_after = None), Vec::new())
            }));
        }
        Standing::Approved => {}
    }
    if scene.environment.is_some_and(|environment| environment.spec.unit != request.unit) {
        return Err(Obstacle::OtherUnit);
    }
    if request.kind == RequestType::Delete {
        return deletion(name, request, scene);
    }
    if request.carried_out.is_some() {
        return Ok(Outcome::Nothing);
    }
    let environment = match scene.environment.filter(ours) {
        Some(_) => None,
        None => Some(wanted(name, request, scene.environment)?),
    };
    let missing = request.applications.iter().filter(|asked| !scene.applications.contains(&asked.name));
    let applications: Vec<Application> =
        missing.map(|asked| requested_application(&request.environment, asked)).collect();
    match environment {
        None if applications.is_empty() => Ok(Outcome::Done),
        None => Ok(Outcome::Write { environment: None, applications }),
        Some(environment) => Ok(write(environment, applications)),
    }
}

fn write(environment: Environment, applications: Vec<Application>) -> Outcome {
    Outcome::Write { environment: Some(Box::new(environment)), applications }
}

/// The environment after what is asked for, neither a deletion nor carried out yet.
fn wanted(
    name: &str,
    request: &EnvironmentRequestSpec,
    standing: Option<&Environment>,
) -> Result<Environment, Obstacle> {
    if request.kind == RequestType::Create {
        let new = new_environment(name, request).ok_or(Obstacle::Unreadable { field: "spec.quota" })?;
        return if standing.is_some() { Err(Obstacle::Exists) } else { Ok(new) };
    }
    let standing = standing.ok_or(Obstacle::Gone)?;
    if let Some(after) = &standing.spec.delete_after {
        return Err(Obstacle::Marked { after: after.clone() });
    }
    if request.kind == RequestType::Resize {
        let quota = request.quota.clone().ok_or(Obstacle::Unreadable { field: "spec.quota" })?;
        return Ok(changed(standing, name, |spec| spec.quota = quota));
    }
    let unreadable = Obstacle::Unreadable { field: "spec.until" };
    let until = request.until.clone().ok_or_else(|| unreadable.clone())?;
    let at: Timestamp = until.parse().map_err(|_| unreadable)?;
    let expires = standing.spec.expires_at.as_deref();
    if let Some(before) = expires.and_then(|expires| expires.parse::<Timestamp>().ok())
        && at <= before
    {
        return Err(Obstacle::NotLater { expires: expires.unwrap_or_default().to_owned() });
    }
    Ok(changed(standing, name, |spec| spec.expires_at = Some(until)))
}

fn deletion(name: &str, request: &EnvironmentRequestSpec, scene: Scene<'_>) -> Result<Outcome, Obstacle> {
    let Some(environment) = scene.environment else {
        return Ok(if request.carried_out.is_some() { Outcome::Nothing } else { Outcome::Done });
    };
    let ours = environment.spec.request.as_deref() == Some(name);
    let Some(after) = environment.spec.delete_after.as_ref().filter(|_| ours) else {
        return match &environment.spec.delete_after {
            // It was lifted since, or the name passed to another environment.
            _ if request.carried_out.is_some() => Ok(Outcome::Nothing),
            Some(after) => Err(Obstacle::Marked { after: after.clone() }),
            None if environment.spec.deletion_protection => Err(Obstacle::Protected),
            None => {
                let after = scene.now.checked_add(scene.grace);
                let after = after.map_err(|_| Obstacle::Unreadable { field: "the grace period" })?;
                Ok(write(changed(environment, name, |spec| spec.delete_after = Some(after.to_string())), Vec::new()))
            }
        };
    };
    if request.carried_out.is_none() {
        return Ok(Outcome::Done);
    }
    let after: Timestamp = after.parse().map_err(|_| Obstacle::Unreadable { field: "spec.deleteAfter" })?;
    if scene.now < after {
        return Ok(Outcome::Nothing);
    }
    if environment.spec.deletion_protection { Err(Obstacle::Protected) } else { Ok(Outcome::Remove) }
}

/// The environment with another specification; what an API server or an operator says of it is left out.
fn changed(standing: &Environment, request: &str, change: impl FnOnce(&mut EnvironmentSpec)) -> Environment {
    let mut next = Environment { status: None, ..standing.clone() };
    change(&mut next.spec);
    next.spec.request = Some(request.to_owned());
    next
}

/// The environment that the request of this name asks to create; `None` where it names no quota.
#[must_use]
pub fn new_environment(name: &str, request: &EnvironmentRequestSpec) -> Option<Environment> {
    let spec = EnvironmentSpec {
        id: None,
        unit: request.unit.clone(),
        display_name: request.display_name.clone(),
        purpose: request.purpose.unwrap_or_default(),
        quota: request.quota.clone()?,
        security_profile: request.security_profile.clone(),
        members: request.members.clone(),
        expires_at: request.until.clone(),
        deletion_protection: false,
        request: Some(name.to_owned()),
        delete_after: None,
    };
    Some(Environment::new(&request.environment, spec))
}

/// The application that a request asks for in an environment.
#[must_use]
pub fn requested_application(environment: &str, asked: &RequestedApplication) -> Application {
    let mut application = Application::new(&asked.name, asked.spec.clone());
    application.metadata.namespace = Some(environment.to_owned());
    application.metadata.labels = (!asked.labels.is_empty()).then(|| asked.labels.clone());
    application
}
