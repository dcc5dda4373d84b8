//! `/v1/security/profiles`.

use super::extract::{Named, Pairs, find};
use super::page::{Filter, asked, page, text};
use crate::authorise::{Action, authorise, authorise_named};
use crate::identity::Principal;
use crate::objects::Owned;
use crate::problem::Problem;
use crate::state::AppState;
use crate::views::{SecurityProfileItem, SecurityProfileList};
use axum::Json;
use axum::extract::State;
use std::sync::Arc;
use tandem_crds::SecurityProfile;

/// What the list can be filtered by.
pub(crate) const FILTERS: &[Filter<SecurityProfile>] = &[
    Filter {
        name: "mlpsLevel",
        values: &["1", "2", "3", "4"],
        of: |profile| Some(profile.spec.mlps_level.to_string()),
    },
    Filter { name: "podSecurity", values: &["Baseline", "Restricted"], of: |profile| text(profile.spec.pod_security) },
];

/// Security profiles, by name. Agencies see those that hold for them, without what is waived for others.
#[utoipa::path(get, path = "/v1/security/profiles", tag = "security", operation_id = "listSecurityProfiles",
    params(
        ("mlpsLevel" = Option<String>, Query, description = "The MLPS level: 1, 2, 3 or 4."),
        ("podSecurity" = Option<String>, Query, description = "The Pod Security level: Baseline or Restricted."),
    ),
    responses((status = 200, description = "A page of the list.", body = SecurityProfileList)))]
pub(crate) async fn list(
    principal: Principal,
    State(state): State<AppState>,
    Pairs(pairs): Pairs,
) -> Result<Json<SecurityProfileList>, Problem> {
    let owned = Owned::within(&authorise(&principal, Action::ReadSecurityProfiles)?, &*state.objects)?;
    let asked = asked(pairs, FILTERS)?;
    let all = state.objects.security_profiles()?;
    let shown = all.iter().filter_map(|profile| owned.part_of_profile(profile).map(Arc::new));
    Ok(Json(page(shown, &asked, FILTERS).into()))
}

/// A security profile. Agencies see those that hold for them, without what is waived for others.
#[utoipa::path(get, path = "/v1/security/profiles/{name}", tag = "security", operation_id = "getSecurityProfile",
    params(("name" = String, Path, description = "The name.")),
    responses((status = 200, description = "A security profile.", body = SecurityProfileItem)))]
pub(crate) async fn get(
    principal: Principal,
    State(state): State<AppState>,
    Named(name): Named<String>,
) -> Result<Json<SecurityProfileItem>, Problem> {
    let owned = Owned::within(&authorise_named(&principal, Action::ReadSecurityProfiles)?, &*state.objects)?;
    let profile = find(state.objects.security_profiles()?, None, &name)?;
    let part = owned.part_of_profile(&profile).ok_or(Problem::NotFound)?;
    Ok(Json((&part).into()))
}

crate::routes::desired::written! {
    SecurityProfile, SecurityProfileItem, SecurityProfileChange, SecurityProfileSpec, WriteSecurityProfiles,
    security_profile, "security-profiles.create", "security-profiles.update", "/v1/security/profiles/{name}", "security",
    "putSecurityProfile", "a security profile"
}
