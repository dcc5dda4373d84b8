//! Looking at what a site's API shows of sites and groups.

use super::api::{self, ApiError};
use kube::Client;
use tandem_core::plan::View;
use tandem_crds::{Application, DataCentre, Environment, FailoverGroup};

/// Looks at sites and groups, and at the applications of a unit where one is named.
///
/// # Errors
/// When the cluster cannot be read or does not know Tandem's kinds.
pub async fn look(client: &Client, unit: Option<&str>) -> Result<View, ApiError> {
    let (sites, groups) = futures::try_join!(api::list::<DataCentre>(client), api::list::<FailoverGroup>(client))?;
    let view = View::new(sites, groups);
    let Some(unit) = unit else { return Ok(view) };
    let (environments, applications) =
        futures::try_join!(api::list::<Environment>(client), api::list_everywhere::<Application>(client))?;
    Ok(view.with_unit(unit, &environments, &applications))
}
