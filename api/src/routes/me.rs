//! `/v1/me`.

use crate::identity::Principal;
use axum::Json;

/// Who you are to this API. Whoever is signed in may ask that.
#[utoipa::path(get, path = "/v1/me", tag = "me", operation_id = "getMe",
    responses((status = 200, description = "Who you are.", body = Principal)))]
pub(crate) async fn get(principal: Principal) -> Json<Principal> {
    Json(principal)
}
