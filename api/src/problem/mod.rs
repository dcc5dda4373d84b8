//! Problems: every error that the API answers with, as `application/problem+json` (RFC 9457).
//!
//! One enum has them all; a sentence for people in English and in Chinese belongs to each. A problem names the field that is
//! wrong and says how to mend it. It never holds a secret, and of what went wrong inside it says nothing: that is in the log.

mod chinese;
mod english;
mod failovers;
mod language;
#[cfg(test)]
mod tests;

pub use failovers::Declined;
pub use language::{language_of, localise};

use crate::trace;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use tandem_core::failover::Language;
use tandem_core::plan::PlanError;
use tandem_core::policy::Gap;
use tandem_core::sync::{Kind, ObjectKey};
use tandem_core::{ledger, requests};

/// The media type of problems.
pub const MEDIA_TYPE: &str = "application/problem+json";

/// Why nobody is signed in, although somebody has to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Neither a token nor a client certificate was shown.
    Nothing,
    /// The `Authorization` header is not `Bearer` and a token.
    NotBearer,
    /// Tokens are not taken here: no issuer is configured.
    NoIssuer,
    /// The token is longer than is read.
    TooLong {
        /// The longest that is read, in bytes.
        most: usize,
    },
    /// The token is no JSON Web Token.
    Malformed,
    /// The token is signed by an algorithm that is not allowed.
    Algorithm,
    /// The token does not say which key signed it.
    NoKeyId,
    /// The issuer has no key of that id.
    UnknownKey,
    /// The signature does not fit.
    Signature,
    /// The token is from another issuer.
    Issuer,
    /// The token is for somebody else.
    Audience,
    /// The token's time is over.
    Expired,
    /// The token's time has not come.
    NotYet,
    /// A claim is missing, or not what it should be.
    Claim {
        /// Which.
        claim: String,
    },
    /// The client certificate's subject does not say who it is for.
    Subject,
    /// The client certificate's time is over.
    CertificateExpired,
}

/// What is wrong with one field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// No number, or out of range.
    Range {
        /// The least.
        least: u64,
        /// The most.
        most: u64,
    },
    /// There is no field of that name.
    Unknown {
        /// The fields that there are.
        known: Vec<&'static str>,
    },
    /// Given more than once.
    Twice,
    /// Not one of the values that there are.
    Value {
        /// The values that there are.
        known: Vec<&'static str>,
    },
    /// Not where an earlier list stopped.
    Continue,
    /// Missing, or not a key by which a request that is sent again can be known.
    Key {
        /// The longest, in characters.
        longest: usize,
    },
    /// Not the JSON that is wanted there.
    Shape(String),
    /// There is no field of that name in the body.
    NoSuchField,
    /// What a rule of the resource says, or a check of it.
    Said(String),
    /// Why there can be no such failover.
    Plan(PlanError),
    /// One of these is to be given, and no more than one.
    OneOf {
        /// Which.
        fields: [&'static str; 2],
    },
    /// Neither a revision nor a time of the past.
    Moment,
    /// Why it is not known what was in force at that moment.
    Gap(Gap),
}

/// A field that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldFault {
    /// Its name, as a path.
    pub field: String,
    /// What is wrong with it.
    pub fault: Fault,
}

/// Whose allowance is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allowance {
    /// The address's, before anybody is signed in.
    Address,
    /// The person's or program's.
    Client,
    /// The unit's, all its people together.
    Unit,
}

/// Everything that can go wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// Nobody is signed in.
    Unauthenticated(Refusal),
    /// The roles do not allow it.
    Forbidden,
    /// One person bears two offices that are to be kept apart.
    OfficesConflict,
    /// The groups belong to more than one unit and the token names none.
    UnitUnclear,
    /// There is no such thing, or it is not the asker's.
    NotFound,
    /// There is no such path.
    NoSuchPath,
    /// The path does not have the method.
    MethodNotAllowed,
    /// Fields are wrong.
    Invalid(Vec<FieldFault>),
    /// The body is longer than is read.
    TooLarge {
        /// The most that is read, in bytes.
        most: usize,
    },
    /// Too many requests.
    TooMany {
        /// Whose allowance is used up.
        whose: Allowance,
        /// After how long there is some again.
        after: Duration,
    },
    /// Too many requests are being worked on.
    Overloaded,
    /// It took too long.
    TooSlow,
    /// The issuer's keys cannot be fetched, so that no token can be checked.
    KeysUnavailable,
    /// The site's objects have not been read yet.
    NotRead,
    /// The body is not said to be JSON.
    NotJson,
    /// What is asked for is in none of the forms that are taken.
    NotAcceptable {
        /// The forms that there are.
        known: Vec<&'static str>,
    },
    /// What is asked about is not in force, or not known to be.
    NotInForce(Gap),
    /// There is no report on a failover.
    NoReport,
    /// The body broke off.
    Unfinished,
    /// The rules of requests do not allow it, as things stand.
    Declined(requests::Refusal),
    /// A failover is not made or changed, as things stand.
    FailoverDeclined(Declined),
    /// The unit's budget does not allow it.
    OverBudget(ledger::Refusal),
    /// Another site has authority.
    Misdirected {
        /// Which.
        site: String,
        /// Where its API is reached, where that is configured.
        address: Option<String>,
    },
    /// Authority is moving between the sites.
    AuthorityMoved,
    /// The key was used for another request.
    KeyReused,
    /// A request with this key is being worked on.
    InProgress,
    /// There is something of that name already.
    Exists,
    /// Others kept changing it.
    KeptChanging,
    /// The arbiter does not answer.
    ArbiterUnavailable,
    /// Nothing can be written to the audit chain.
    NoAudit,
    /// The site's API server did not take it.
    NotWritten,
    /// Nobody knows whether it was written.
    NotKnown,
    /// It was written at this site and is not known to be published.
    NotDurable,
    /// The audit chain does not hang together.
    ChainBroken {
        /// The number of the first entry that does not fit.
        seq: u64,
    },
    /// A fault of ours.
    Internal,
}

/// How long those wait who were turned away because of load.
const AFTER_OVERLOAD: Duration = Duration::from_secs(2);
/// How long those wait for whom something was not there yet.
const AFTER_MISSING: Duration = Duration::from_secs(5);

impl Problem {
    /// The last part of the type's address, `/docs/problems#…`.
    #[must_use]
    pub fn slug(&self) -> &'static str {
        match self {
            Self::Unauthenticated(_) => "unauthenticated",
            Self::Forbidden => "forbidden",
            Self::OfficesConflict => "offices-conflict",
            Self::UnitUnclear => "unit-unclear",
            Self::NotFound => "not-found",
            Self::NoSuchPath => "no-such-path",
            Self::MethodNotAllowed => "method-not-allowed",
            Self::Invalid(_) => "invalid",
            Self::TooLarge { .. } => "too-large",
            Self::TooMany { .. } => "too-many",
            Self::Overloaded => "overloaded",
            Self::TooSlow => "too-slow",
            Self::KeysUnavailable => "keys-unavailable",
            Self::NotRead => "not-read",
            Self::NotJson => "not-json",
            Self::NotAcceptable { .. } => "not-acceptable",
            Self::NotInForce(_) => "not-in-force",
            Self::NoReport => "no-report",
            Self::Unfinished => "unfinished",
            Self::Declined(_) => "declined",
            Self::FailoverDeclined(_) => "failover-declined",
            Self::OverBudget(_) => "over-budget",
            Self::Misdirected { .. } => "misdirected",
            Self::AuthorityMoved => "authority-moved",
            Self::KeyReused => "key-reused",
            Self::InProgress => "in-progress",
            Self::Exists => "exists",
            Self::KeptChanging => "kept-changing",
            Self::ArbiterUnavailable => "arbiter-unavailable",
            Self::NoAudit => "no-audit",
            Self::NotWritten => "not-written",
            Self::NotKnown => "not-known",
            Self::NotDurable => "not-durable",
            Self::ChainBroken { .. } => "chain-broken",
            Self::Internal => "internal",
        }
    }

    /// The status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Unauthenticated(_) => StatusCode::UNAUTHORIZED,
            Self::Forbidden | Self::OfficesConflict | Self::UnitUnclear => StatusCode::FORBIDDEN,
            Self::NotFound | Self::NoSuchPath => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::Invalid(_) | Self::Unfinished => StatusCode::BAD_REQUEST,
            Self::NotJson => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::NotAcceptable { .. } => StatusCode::NOT_ACCEPTABLE,
            Self::Declined(refusal) => declined(refusal),
            Self::FailoverDeclined(Declined::OwnRequest) => StatusCode::FORBIDDEN,
            Self::FailoverDeclined(_)
            | Self::ChainBroken { .. }
            | Self::NotInForce(_)
            | Self::NoReport
            | Self::OverBudget(_)
            | Self::InProgress
            | Self::Exists
            | Self::KeptChanging => StatusCode::CONFLICT,
            Self::Misdirected { .. } => StatusCode::MISDIRECTED_REQUEST,
            Self::KeyReused => StatusCode::UNPROCESSABLE_ENTITY,
            Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooMany { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::Overloaded
            | Self::KeysUnavailable
            | Self::NotRead
            | Self::AuthorityMoved
            | Self::ArbiterUnavailable
            | Self::NoAudit
            | Self::NotWritten
            | Self::NotKnown
            | Self::NotDurable => StatusCode::SERVICE_UNAVAILABLE,
            Self::TooSlow => StatusCode::GATEWAY_TIMEOUT,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// After how long it is worth asking again, where that is known.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::TooMany { after, .. } => Some(*after),
            Self::Overloaded | Self::InProgress | Self::NotDurable => Some(AFTER_OVERLOAD),
            Self::TooSlow
            | Self::KeysUnavailable
            | Self::NotRead
            | Self::AuthorityMoved
            | Self::ArbiterUnavailable
            | Self::NoAudit
            | Self::NotWritten
            | Self::NotKnown => Some(AFTER_MISSING),
            _ => None,
        }
    }

    /// What it is called, in a few words.
    #[must_use]
    pub fn title(&self, language: Language) -> &'static str {
        match language {
            Language::English => english::title(self),
            Language::Chinese => chinese::title(self),
        }
    }

    /// What was wrong and how to mend it, in a sentence.
    #[must_use]
    pub fn detail(&self, language: Language) -> String {
        match language {
            Language::English => english::detail(self),
            Language::Chinese => chinese::detail(self),
        }
    }

    /// The body as it is sent.
    #[must_use]
    pub fn body(&self, language: Language) -> ProblemBody {
        let errors = match self {
            Self::Invalid(faults) => faults
                .iter()
                .map(|FieldFault { field, fault }| FieldError {
                    field: field.clone(),
                    message: english::fault(fault),
                    message_zh: chinese::fault(fault),
                })
                .collect(),
            _ => Vec::new(),
        };
        let address = match self {
            Self::Misdirected { address, .. } => address.clone(),
            _ => None,
        };
        let reason = match self {
            Self::Declined(refusal) => Some(refusal.code().to_owned()),
            Self::FailoverDeclined(refusal) => Some(refusal.code().to_owned()),
            _ => None,
        };
        ProblemBody {
            kind: format!("/docs/problems#{}", self.slug()),
            title: self.title(language).to_owned(),
            status: self.status().as_u16(),
            detail: self.detail(language),
            errors,
            address,
            reason,
            trace: trace::current().map(|trace| trace.trace_id()),
        }
    }

    /// The answer in a language. It holds the problem itself too, for whoever wants it in another one.
    #[must_use]
    pub fn respond(&self, language: Language) -> Response {
        let body = serde_json::to_vec(&self.body(language)).unwrap_or_default();
        let mut response = (self.status(), body).into_response();
        let headers = response.headers_mut();
        let mut set = |name: HeaderName, value: &'static str| headers.insert(name, HeaderValue::from_static(value));
        set(header::CONTENT_TYPE, MEDIA_TYPE);
        set(header::CACHE_CONTROL, "no-store");
        set(header::CONTENT_LANGUAGE, if language == Language::Chinese { "zh" } else { "en" });
        set(header::VARY, "accept-language");
        if let Self::Unauthenticated(refusal) = self {
            // RFC 6750: no error code where nothing was shown.
            let challenge = match refusal {
                Refusal::Nothing => "Bearer realm=\"tandem\"",
                _ => "Bearer realm=\"tandem\", error=\"invalid_token\"",
            };
            set(header::WWW_AUTHENTICATE, challenge);
        }
        if let Self::Misdirected { address: Some(address), .. } = self
            && let Ok(place) = HeaderValue::from_str(address)
        {
            headers.insert(header::LOCATION, place);
        }
        if let Some(after) = self.retry_after() {
            // Whole seconds, and never less than the time itself.
            headers.insert(header::RETRY_AFTER, after.as_secs().saturating_add(1).into());
        }
        response.extensions_mut().insert(self.clone());
        response
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        self.respond(Language::English)
    }
}

/// A problem as it is sent (RFC 9457).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Problem")]
pub struct ProblemBody {
    /// What kind of problem it is: an address below this server's, where it is described.
    #[serde(rename = "type")]
    pub kind: String,
    /// What it is called, in a few words.
    pub title: String,
    /// The status.
    pub status: u16,
    /// What was wrong and how to mend it, in a sentence.
    pub detail: String,
    /// The fields that are wrong.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
    /// Where it is to be sent instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Why the rules do not allow it, in one word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The trace of the request: by it everything that was logged about it is found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<String>,
}

/// The status of what the rules of requests do not allow.
fn declined(refusal: &requests::Refusal) -> StatusCode {
    use requests::Refusal as R;
    match refusal {
        R::NotFound => StatusCode::NOT_FOUND,
        R::Nameless
        | R::ReservedName { .. }
        | R::AuditorWrites
        | R::RoleLacking { .. }
        | R::OtherRequester { .. }
        | R::OwnRequest => StatusCode::FORBIDDEN,
        R::Identity { .. } | R::NotFresh | R::NoTime { .. } | R::TimePassed { .. } => StatusCode::BAD_REQUEST,
        R::AlreadyDecided { .. }
        | R::RoleHasDecided { .. }
        | R::SecurityNotAsked
        | R::ContentMoved
        | R::Over { .. }
        | R::NotADeletion { .. }
        | R::NotApproved
        | R::GraceOver => StatusCode::CONFLICT,
    }
}

/// A field that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FieldError {
    /// The field, as a path.
    pub field: String,
    /// What is wrong with it and what would be right.
    pub message: String,
    /// The same in Chinese.
    pub message_zh: String,
}

/// One of each kind, for the page that describes them and for tests.
#[must_use]
pub fn examples() -> Vec<Problem> {
    let fault = |field: &str, fault| FieldFault { field: field.to_owned(), fault };
    vec![
        Problem::Unauthenticated(Refusal::Nothing),
        Problem::Forbidden,
        Problem::OfficesConflict,
        Problem::UnitUnclear,
        Problem::NotFound,
        Problem::NoSuchPath,
        Problem::MethodNotAllowed,
        Problem::Invalid(vec![fault("limit", Fault::Range { least: 1, most: 500 })]),
        Problem::TooLarge { most: 1 << 20 },
        Problem::TooMany { whose: Allowance::Client, after: Duration::from_secs(1) },
        Problem::Overloaded,
        Problem::TooSlow,
        Problem::KeysUnavailable,
        Problem::NotRead,
        Problem::NotJson,
        Problem::NotAcceptable { known: vec!["application/yaml", "text/html", "application/json"] },
        Problem::NoReport,
        Problem::NotInForce(Gap::NotPublished(ObjectKey::cluster(Kind::Unit, "health"))),
        Problem::Unfinished,
        Problem::Declined(requests::Refusal::OwnRequest),
        Problem::FailoverDeclined(Declined::Automatic),
        Problem::OverBudget(ledger::Refusal::NoBudget),
        Problem::Misdirected { site: "dc-b".to_owned(), address: None },
        Problem::AuthorityMoved,
        Problem::KeyReused,
        Problem::InProgress,
        Problem::Exists,
        Problem::KeptChanging,
        Problem::ArbiterUnavailable,
        Problem::NoAudit,
        Problem::NotWritten,
        Problem::NotKnown,
        Problem::NotDurable,
        Problem::ChainBroken { seq: 7 },
        Problem::Internal,
    ]
}
