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
    shown(&client.call(&Call::look(path)).await?, args, lang)
}

/// A report as it is to be shown.
///
/// # Errors
/// [`ReportError::Changed`], [`ReportError::Form`].
pub fn shown(answer: &Value, args: &ReportArgs, lang: Lang) -> Result<String, ReportError> {
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
    if let Some(data) = args.output.and_then(|output| output.data(answer)) {
        return Ok(data);
    }
    let report: FailoverReport = serde_json::from_value(whole).map_err(ReportError::Form)?;
    Ok(match args.format {
        ReportForm::Text => text(&report, lang.of_core()),
        ReportForm::Html => page(&report, said.as_deref()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::Output;
    use crate::request::args::ApiArgs;
    use tandem_core::failover::{ExecutionKind, Journal};
    use tandem_core::report::{Asked, Move, Sources, Wanted};
    use tandem_crds::FailoverPhase;

    fn answer() -> Value {
        let at = "2026-11-26T08:00:00Z".parse().unwrap();
        let asked = Asked {
            kind: ExecutionKind::Switchover,
            from: "dc-a".into(),
            to: "dc-b".into(),
            by: "wang".into(),
            site: "dc-a".into(),
            reason: "storage work".into(),
            at,
            automatic: false,
            approvals_wanted: 0,
            approvals: Vec::new(),
            accept_data_loss: None,
            despite_not_ready: false,
            abort: false,
        };
        let journal = Journal::new(("home", "tax"), ExecutionKind::Switchover, ("dc-a", "dc-b"), 4, at);
        let of = Move {
            journal: Some((&journal, 9)),
            epoch: 4,
            waits: None,
            wanted: Wanted::default(),
            applications: Vec::new(),
        };
        let report = FailoverReport::of(&Sources {
            execution: "home",
            asked: &asked,
            phase: FailoverPhase::Completed,
            waves: vec![vec!["tax".to_owned()]],
            moves: [("tax".to_owned(), of)].into(),
            drill: None,
            site: "dc-b",
            now: at,
        });
        let mut whole = serde_json::to_value(&report).unwrap();
        whole["sha256"] = report.digest().into();
        whole
    }

    fn args(format: ReportForm, output: Option<Output>) -> ReportArgs {
        let api = ApiArgs { api: None, ca: None, cert: None, key: None, token_file: None, wait: 0 };
        ReportArgs { name: "home".to_owned(), format, output, api }
    }

    #[test]
    fn a_report_is_shown_in_the_form_that_is_asked_for() {
        let text = |lang| shown(&answer(), &args(ReportForm::Text, None), lang).unwrap();
        assert!(
            text(Lang::En).starts_with("Switchover home: dc-a → dc-b, Completed\nAsked: wang"),
            "{}",
            text(Lang::En)
        );
        assert!(text(Lang::Zh).contains("批准: 无需批准"), "{}", text(Lang::Zh));
        let page = shown(&answer(), &args(ReportForm::Html, None), Lang::En).unwrap();
        let digest = answer()["sha256"].as_str().unwrap().to_owned();
        assert!(page.starts_with("<!doctype html>") && page.contains(&digest));
        for output in [Output::Json, Output::Yaml] {
            let data = shown(&answer(), &args(ReportForm::Text, Some(output)), Lang::En).unwrap();
            let read: Value = serde_yaml::from_str(&data).unwrap();
            assert_eq!(read, answer(), "with its digest, and with what this release does not know");
        }
    }

    #[test]
    fn one_that_was_changed_since_is_not_shown() {
        let mut changed = answer();
        changed["groups"][0]["epochBefore"] = 7.into();
        let refused = shown(&changed, &args(ReportForm::Text, None), Lang::En).unwrap_err();
        assert!(matches!(refused, ReportError::Changed { .. }), "{refused}");
        assert_eq!(refused.exit(), Exit::Refused);
        // A part has no digest: it is what the API says.
        let mut part = answer();
        part.as_object_mut().unwrap().remove("sha256");
        part["consent"]["reason"] = "".into();
        assert!(shown(&part, &args(ReportForm::Text, None), Lang::En).is_ok());
    }
}
