//! `tandem failover report`: what a move came to, as the API has it; what was written is compared with its digest.

use super::args::{ReportArgs, ReportForm};
use crate::exit::Exit;
use crate::language::Lang;
use crate::request::RequestError;
use crate::request::access::Access;
use crate::request::client::{Call, Client, encoded};
use serde_json::Value;
use tandem_core::report::{FailoverReport, page, text};
use tandem_core::sync::spec_hash;

/// Why a report could not be shown.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The API was not reached, or says no.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// It is not what its digest says.
    #[error(
        "the report is not what was written: its SHA-256 is {found}, and it says {said}; compare with `tandem audit list`"
    )]
    Changed {
        /// What it says.
        said: String,
        /// What it is.
        found: String,
    },
    /// It is of a form that this release does not know.
    #[error("the report does not fit this release of tandem; read it with -o json, or with the release of the API")]
    Form(#[source] serde_json::Error),
}

impl ReportError {
    /// The exit code.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::Request(error) => error.exit(),
            Self::Changed { .. } | Self::Form(_) => Exit::Refused,
        }
    }
}

/// Asks the API for a report, and gives it as it is to be shown.
///
/// # Errors
/// [`ReportError`].
pub async fn fetched(args: &ReportArgs, lang: Lang) -> Result<String, ReportError> {
    let mut client = Client::new(Access::new(&args.api, |name| std::env::var(name).ok())?, lang);
    let path = format!("/v1/failovers/{}/report?format=json", encoded(&args.name));
    shown(client.call(&Call::look(path)).await?, args, lang)
}

/// A report as it is to be shown.
///
/// # Errors
/// [`ReportError::Changed`], [`ReportError::Form`].
pub fn shown(answer: Value, args: &ReportArgs, lang: Lang) -> Result<String, ReportError> {
    let mut whole = answer.clone();
    let said = whole.as_object_mut().and_then(|fields| fields.remove("sha256"));
    let said = said.and_then(|said| said.as_str().map(str::to_owned));
    // An agency is given a part, which has no digest.
    if let Some(said) = said.clone() {
        let found = spec_hash(&whole);
        if found != said {
            return Err(ReportError::Changed { said, found });
        }
    }
    if let Some(data) = args.output.and_then(|output| output.data(&answer)) {
        return Ok(data);
    }
    let report: FailoverReport = serde_json::from_value(whole).map_err(ReportError::Form)?;
    Ok(match args.format {
        ReportForm::Text => text(&report, lang.of_core()),
        ReportForm::Html => page(&report, said.as_deref()),
    })
}
