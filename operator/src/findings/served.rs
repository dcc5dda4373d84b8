//! Which kinds of report objects the cluster knows.

use crate::cluster::REQUEST_TIMEOUT;
use kube::Client;
use tandem_core::findings::ReportKind;

/// Why it is not known.
#[derive(Debug, thiserror::Error)]
pub(super) enum ServedError {
    /// The API server could not be asked.
    #[error("the API server could not be asked about {0}")]
    Unavailable(&'static str, #[source] kube::Error),
    /// The API server took too long.
    #[error("the API server took longer than {seconds} s for {0}", seconds = REQUEST_TIMEOUT.as_secs())]
    TooSlow(&'static str),
}

/// The kinds of reports that are served; none where nobody installed their definitions.
pub(super) async fn served(client: &Client) -> Result<Vec<ReportKind>, ServedError> {
    let mut kinds = Vec::new();
    for kind in ReportKind::ALL {
        let asked = client.list_api_group_resources(kind.api_version());
        let answer = tokio::time::timeout(REQUEST_TIMEOUT, asked).await;
        match answer.map_err(|_| ServedError::TooSlow(kind.api_version()))? {
            Ok(list) if list.resources.iter().any(|resource| resource.name == kind.plural()) => kinds.push(kind),
            Ok(_) => {}
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            Err(error) => return Err(ServedError::Unavailable(kind.api_version(), error)),
        }
    }
    Ok(kinds)
}
