//! Accepted means durable: what was written at this site is answered for only once the arbiter holds it.

use crate::problem::Problem;
use crate::state::AppState;
use std::time::Duration;
use tandem_core::sync::ObjectKey;

/// The first pause between two looks, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(250));

/// Waits until the arbiter holds the object as it was written here, or something later of it.
///
/// # Errors
/// [`Problem::NotDurable`] where that took too long: it stands at this site, and may be published yet.
pub(crate) async fn durable(
    state: &AppState,
    key: &ObjectKey,
    metadata: &kube::core::ObjectMeta,
) -> Result<(), Problem> {
    let (uid, generation) = (metadata.uid.as_deref().unwrap_or_default(), metadata.generation.unwrap_or(i64::MAX));
    let waiting = async {
        let mut pause = PAUSES.0;
        loop {
            // While the arbiter does not answer there is still time for it to.
            if let Ok(Some(origin)) = state.coordination.published(key).await
                && origin.uid == uid
                && origin.generation >= generation
            {
                return;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSES.1);
        }
    };
    tokio::time::timeout(state.patience, waiting).await.map_err(|_| Problem::NotDurable)
}
