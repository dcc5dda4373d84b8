//! Tandem's resource types (`tandem.dev/v1alpha1`), one kind a file, with the rules that one object can be held to.
//!
//! The rules are CEL, in the schema of each kind: a current API server evaluates them at admission, and Tandem evaluates
//! the same ones itself (see [`validation`]), because an API server before 1.25 does not know them. `crdgen` writes both
//! sets of YAML, with the rules and without.
//!
//! This crate has types and their rules only: no client, no rendering.
// The schema derive repeats each type inside a function, where `pub` reaches nobody.
#![allow(unreachable_pub)]
// Printer columns of one type look alike to the lint.
#![allow(clippy::duplicated_attributes)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod application;
mod common;
mod data_centre;
mod drill;
mod environment;
mod environment_request;
mod failover;
mod failover_group;
mod hook;
mod kind;
pub mod manifests;
mod patroni;
pub mod quantity;
mod security_profile;
pub mod status;
mod unit;
pub mod validation;

pub use application::{
    Access, Adopted, AdoptedKind, Application, ApplicationRef, ApplicationSpec, ApplicationStatus, Component,
    ComponentResources, Endpoint, EnvVar, HttpGet, Port, Probe, Probes, Protocol, Replicas, StandbyClass,
};
pub use common::{Capacity, DisplayName, GROUP, VERSION};
pub use data_centre::{
    ARBITER, DataCentre, DataCentreSpec, DataCentreStatus, HoldSeen, Member, PAUSED, PAUSED_BY, PAUSED_CONDITION,
    Preference,
};
pub use drill::{DEFAULT_DRILL_DEADLINE, DEFAULT_DRILLS_KEPT, DrillReport, DrillSettings, DrilledClone, DrilledGroup};
pub use environment::{Environment, EnvironmentMember, EnvironmentSpec, EnvironmentStatus, MemberRole, Purpose, Quota};
pub use environment_request::{
    Decision, DecisionOutcome, DecisionRole, EnvironmentRequest, EnvironmentRequestSpec, EnvironmentRequestStatus,
    RequestPhase, RequestType, RequestWord, RequestedApplication, Requester, SitePhase, SiteProvisioning,
};
pub use failover::{
    DEFAULT_MAX_PARALLEL, DataLoss, Failover, FailoverApproval, FailoverPhase, FailoverSelector, FailoverSpec,
    FailoverStatus, FailoverType, FailoverWave, GroupMove, HOLD, HOLD_ALL, HOLD_ALL_CLEAR, HOLD_CLEAR, MoveStep,
};
pub use failover_group::{
    FailoverDeadlines, FailoverGroup, FailoverGroupSpec, FailoverGroupStatus, FailoverMode, GroupPhase, GroupReadiness,
    Protection, StateProvider, Why,
};
pub use hook::{HookSettings, HookSite};
pub use kind::{Kind, TandemKind, UnknownKind};
pub use patroni::{PatroniSettings, PatroniSite};
pub use quantity::Quantity;
pub use security_profile::{
    Control, EgressRule, ImageRules, PodSecurityLevel, SecurityProfile, SecurityProfileSpec, SecurityProfileStatus,
    Waiver,
};
pub use unit::{Budget, Unit, UnitLevel, UnitSpec, UnitStatus};
