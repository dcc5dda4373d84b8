//! What all writing of requests has in common.

use crate::acts::Deed;
use crate::identity::{Principal, Role};
use crate::objects::{ObjectRef, Scene};
use crate::problem::Problem;
use crate::state::AppState;
use serde_json::json;
use tandem_core::requests::{self, demands_security};
use tandem_core::sync::spec_hash;
use tandem_crds::{Environment, EnvironmentRequestSpec};

/// Somebody writes.
pub(crate) struct Writing<'a> {
    pub(crate) state: &'a AppState,
    pub(crate) who: &'a Principal,
    /// The revision of the record by which this site has authority.
    pub(crate) authority: i64,
}

/// What has to be known beside the request.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    demands_security: bool,
    environment: Option<Environment>,
}

impl Known {
    pub(crate) fn facts(&self) -> requests::Facts<'_> {
        requests::Facts { demands_security: self.demands_security, environment: self.environment.as_ref() }
    }
}

impl Writing<'_> {
    /// Who writes, as the rules have it.
    pub(crate) fn principal(&self) -> requests::Principal {
        let role = |role: &Role| match role {
            Role::AgencyAdministrator => requests::Role::AgencyAdmin,
            Role::AgencyViewer => requests::Role::AgencyViewer,
            Role::PlatformOperator => requests::Role::Platform,
            Role::SecurityAdministrator => requests::Role::Security,
            Role::Auditor => requests::Role::Auditor,
        };
        requests::Principal {
            name: self.who.name.clone(),
            unit: self.who.unit.clone(),
            roles: self.who.roles.iter().map(role).collect(),
        }
    }

    /// What has to be known beside a request.
    pub(crate) fn facts(&self, scene: &Scene, request: &EnvironmentRequestSpec) -> Known {
        let world = scene.world((self.state.clock)());
        Known {
            demands_security: demands_security(request, &world),
            environment: world.environments.get(&request.environment).cloned(),
        }
    }

    /// What is about to be done, for the audit chain.
    pub(crate) fn deed<'b>(
        &'b self,
        action: &'static str,
        object: &'b ObjectRef,
        before: Option<&EnvironmentRequestSpec>,
        after: &EnvironmentRequestSpec,
    ) -> Deed<'b> {
        let digest = |spec: &EnvironmentRequestSpec| spec_hash(&json!(spec));
        Deed { who: self.who, action, object, before: before.map(digest), after: Some(digest(after)) }
    }

    /// The request as it is now.
    pub(crate) async fn fresh(&self, key: &ObjectRef) -> Result<tandem_crds::EnvironmentRequest, Problem> {
        crate::objects::writer::fresh(&*self.state.writer, key).await?.ok_or(Problem::NotFound)
    }
}
