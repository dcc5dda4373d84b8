//! Asking an API server again, when asking again can help.

use std::time::Duration;

/// How often a request is sent, at most.
pub const ATTEMPTS: u32 = 9;
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// How long one request may take.
const REQUEST: Duration = Duration::from_secs(60);

/// Why a request failed for good.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// The API server refused it, or could not be reached.
    #[error("the API server refused or did not answer")]
    Kube(#[source] kube::Error),
    /// It took too long, every time.
    #[error("the API server took longer than {} s, {ATTEMPTS} times", REQUEST.as_secs())]
    TimedOut,
}

/// Sends a request until it is answered, refused for good, or was sent [`ATTEMPTS`] times. Pauses double from 200 ms to
/// 10 s, or are what the server asks for.
///
/// # Errors
/// With the last answer.
pub async fn retrying<T, F>(mut call: impl FnMut() -> F) -> Result<T, RequestError>
where
    F: Future<Output = Result<T, kube::Error>>,
{
    let mut pause = FIRST_PAUSE;
    let mut attempt = 1;
    loop {
        let failure = match tokio::time::timeout(REQUEST, call()).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(error)) => Some(error),
            Err(_) => None,
        };
        let asked = match &failure {
            Some(error) if !can_help(error) => None,
            _ if attempt >= ATTEMPTS => None,
            Some(error) => Some(asked_pause(error).unwrap_or(pause)),
            None => Some(pause),
        };
        match (asked, failure) {
            (Some(pause), _) => tokio::time::sleep(pause.min(LONGEST_PAUSE)).await,
            (None, Some(error)) => return Err(RequestError::Kube(error)),
            (None, None) => return Err(RequestError::TimedOut),
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
        attempt += 1;
    }
}

/// Whether sending a request again may have another answer.
#[must_use]
pub fn can_help(error: &kube::Error) -> bool {
    match error {
        kube::Error::Api(status) => match status.code {
            409 => !is_ownership_conflict(error),
            429 => true,
            // An API server of 1.20 answers so to a field that it does not know; it always will.
            500 => !status.message.contains("field not declared in schema"),
            501 => false,
            code => code >= 500,
        },
        kube::Error::HyperError(_) | kube::Error::Service(_) => true,
        _ => false,
    }
}

/// Whether server-side apply was refused because others own the fields.
#[must_use]
pub fn is_ownership_conflict(error: &kube::Error) -> bool {
    let kube::Error::Api(status) = error else { return false };
    let causes = status.details.iter().flat_map(|details| &details.causes);
    status.code == 409 && causes.into_iter().any(|cause| cause.reason == "FieldManagerConflict")
}

fn asked_pause(error: &kube::Error) -> Option<Duration> {
    let kube::Error::Api(status) = error else { return None };
    let seconds = status.details.as_ref()?.retry_after_seconds;
    (seconds > 0).then(|| Duration::from_secs(u64::from(seconds)))
}
