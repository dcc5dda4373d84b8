//! What somebody may do with a request, and what becomes of it.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use tandem_crds::{
    Decision, DecisionOutcome, DecisionRole, Environment, EnvironmentRequestSpec, RequestType, RequestWord,
};

use super::principal::{OWN_NAMES, Principal, Role};
use super::refusal::Refusal;
use super::standing::{Standing, approvals, content_digest, standing};

/// What somebody wants to do with a request.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Look at it.
    Read,
    /// Make it.
    Submit,
    /// Ask for something else instead, while nothing is decided. Decisions on what was asked before count no more.
    Amend(Box<EnvironmentRequestSpec>),
    /// Agree.
    Approve(Ruling),
    /// Refuse.
    Reject(Ruling),
    /// Take it back, while nothing is decided.
    Withdraw {
        /// What they have to say.
        note: String,
    },
    /// Call an approved deletion off, within its grace period.
    Undo {
        /// What they have to say.
        note: String,
    },
}

/// What goes with a decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ruling {
    /// In which role it is made.
    pub role: DecisionRole,
    /// The [`content_digest`] of what was read.
    pub digest: String,
    /// What they have to say.
    pub note: String,
}

/// What has to be known beside the request.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// Whether a security decision is demanded, see [`demands_security`](super::demands_security).
    pub demands_security: bool,
    /// The environment that it is about, if there is one.
    pub environment: Option<&'a Environment>,
}

/// The request afterwards.
#[derive(Clone, Debug, PartialEq)]
pub struct Next {
    /// The specification to write.
    pub spec: EnvironmentRequestSpec,
    /// How it stands then.
    pub standing: Standing,
    /// Whether there is anything to write.
    pub changed: bool,
}

/// What becomes of a request when somebody does something; for [`Action::Submit`], `request` is the new one.
///
/// # Errors
/// [`Refusal`]; nothing changes then. What belongs to others is [`Refusal::NotFound`], before anything else is said of it.
pub fn decide(
    request: &EnvironmentRequestSpec,
    facts: Facts<'_>,
    principal: &Principal,
    action: &Action,
    now: Timestamp,
) -> Result<Next, Refusal> {
    if principal.name.trim().is_empty() {
        return Err(Refusal::Nameless);
    }
    if principal.name.starts_with(OWN_NAMES) {
        return Err(Refusal::ReservedName { name: principal.name.clone() });
    }
    if !principal.sees(&request.unit) {
        return Err(Refusal::NotFound);
    }
    if *action != Action::Read && principal.is(Role::Auditor) {
        return Err(Refusal::AuditorWrites);
    }
    let ask = Ask { request, facts, principal, standing: standing(request, facts.demands_security), now };
    let spec = match action {
        Action::Read => request.clone(),
        Action::Submit => ask.submit()?,
        Action::Amend(wanted) => ask.amend(wanted)?,
        Action::Approve(ruling) => ask.rule(ruling, DecisionOutcome::Approve)?,
        Action::Reject(ruling) => ask.rule(ruling, DecisionOutcome::Reject)?,
        Action::Withdraw { note } => ask.withdraw(note)?,
        Action::Undo { note } => ask.undo(note)?,
    };
    let standing = standing(&spec, facts.demands_security);
    let changed = *action == Action::Submit || spec != *request;
    Ok(Next { spec, standing, changed })
}

struct Ask<'a> {
    request: &'a EnvironmentRequestSpec,
    facts: Facts<'a>,
    principal: &'a Principal,
    standing: Standing,
    now: Timestamp,
}

impl Ask<'_> {
    fn submit(&self) -> Result<EnvironmentRequestSpec, Refusal> {
        self.administers()?;
        self.is_requester()?;
        let request = self.request;
        let fresh = request.id.is_none()
            && request.decisions.is_empty()
            && request.withdrawn.is_none()
            && request.undone.is_none()
            && request.carried_out.is_none();
        if !fresh {
            return Err(Refusal::NotFresh);
        }
        self.to_come(request.until.as_deref())?;
        let mut next = request.clone();
        next.requested_by.roles = self.principal.roles.iter().map(|role| role.as_str().to_owned()).collect();
        next.submitted_at = Time(self.now);
        Ok(next)
    }

    fn amend(&self, wanted: &EnvironmentRequestSpec) -> Result<EnvironmentRequestSpec, Refusal> {
        self.administers()?;
        self.is_requester()?;
        self.pending()?;
        let same = [
            ("spec.type", wanted.kind == self.request.kind),
            ("spec.unit", wanted.unit == self.request.unit),
            ("spec.environment", wanted.environment == self.request.environment),
        ];
        if let Some((field, _)) = same.into_iter().find(|(_, same)| !same) {
            return Err(Refusal::Identity { field });
        }
        self.to_come(wanted.until.as_deref())?;
        // Whatever else stands in what was sent, only the content is taken from it.
        let before = self.request.clone();
        Ok(EnvironmentRequestSpec {
            id: before.id,
            requested_by: before.requested_by,
            submitted_at: before.submitted_at,
            decisions: before.decisions,
            withdrawn: before.withdrawn,
            undone: before.undone,
            carried_out: before.carried_out,
            ..wanted.clone()
        })
    }

    fn rule(&self, ruling: &Ruling, outcome: DecisionOutcome) -> Result<EnvironmentRequestSpec, Refusal> {
        let name = &self.principal.name;
        let role = Role::from(ruling.role);
        if !self.principal.is(role) {
            return Err(Refusal::RoleLacking { wanted: vec![role] });
        }
        if *name == self.request.requested_by.name {
            return Err(Refusal::OwnRequest);
        }
        self.pending()?;
        let digest = content_digest(self.request);
        if ruling.digest != digest {
            return Err(Refusal::ContentMoved);
        }
        let own = |decision: &&Decision| decision.by == *name && decision.digest == digest;
        if let Some(decision) = self.request.decisions.iter().find(own) {
            return Err(Refusal::AlreadyDecided { role: decision.role });
        }
        if outcome == DecisionOutcome::Approve {
            let demanded = self.facts.demands_security;
            if ruling.role == DecisionRole::Security && !demanded {
                return Err(Refusal::SecurityNotAsked);
            }
            if let Some(decision) = approvals(self.request, ruling.role, demanded).first() {
                return Err(Refusal::RoleHasDecided { role: ruling.role, by: decision.by.clone() });
            }
        }
        let mut next = self.request.clone();
        next.decisions.push(Decision {
            role: ruling.role,
            outcome,
            by: name.clone(),
            at: Time(self.now),
            digest,
            note: ruling.note.clone(),
        });
        Ok(next)
    }

    fn withdraw(&self, note: &str) -> Result<EnvironmentRequestSpec, Refusal> {
        self.administers()?;
        self.pending()?;
        Ok(EnvironmentRequestSpec { withdrawn: Some(self.word(note)), ..self.request.clone() })
    }

    fn undo(&self, note: &str) -> Result<EnvironmentRequestSpec, Refusal> {
        if !self.principal.administers(&self.request.unit) && !self.principal.is(Role::Platform) {
            return Err(Refusal::RoleLacking { wanted: vec![Role::AgencyAdmin, Role::Platform] });
        }
        if self.request.kind != RequestType::Delete {
            return Err(Refusal::NotADeletion { kind: self.request.kind });
        }
        match &self.standing {
            Standing::Approved => {}
            Standing::Pending { .. } => return Err(Refusal::NotApproved),
            over => return Err(Refusal::Over { standing: over.clone() }),
        }
        // An environment that nobody sees may be gone.
        let environment = self.facts.environment.ok_or(Refusal::GraceOver)?;
        if let Some(after) = &environment.spec.delete_after {
            let after: Timestamp = after.parse().map_err(|_| Refusal::GraceOver)?;
            if self.now >= after {
                return Err(Refusal::GraceOver);
            }
        }
        Ok(EnvironmentRequestSpec { undone: Some(self.word(note)), ..self.request.clone() })
    }

    fn administers(&self) -> Result<(), Refusal> {
        let may = self.principal.administers(&self.request.unit);
        if may { Ok(()) } else { Err(Refusal::RoleLacking { wanted: vec![Role::AgencyAdmin] }) }
    }

    fn is_requester(&self) -> Result<(), Refusal> {
        let requester = &self.request.requested_by.name;
        let same = *requester == self.principal.name;
        if same { Ok(()) } else { Err(Refusal::OtherRequester { requester: requester.clone() }) }
    }

    fn pending(&self) -> Result<(), Refusal> {
        match &self.standing {
            Standing::Pending { .. } => Ok(()),
            over => Err(Refusal::Over { standing: over.clone() }),
        }
    }

    fn to_come(&self, until: Option<&str>) -> Result<(), Refusal> {
        let Some(until) = until else { return Ok(()) };
        let at: Timestamp = until.parse().map_err(|_| Refusal::NoTime { text: until.to_owned() })?;
        if at > self.now { Ok(()) } else { Err(Refusal::TimePassed { until: until.to_owned() }) }
    }

    fn word(&self, note: &str) -> RequestWord {
        RequestWord { by: self.principal.name.clone(), at: Time(self.now), note: note.to_owned() }
    }
}
