//! In which form the document is given: YAML, one HTML page, or JSON.

use super::Policies;
use crate::problem::Problem;
use axum::Json;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{Html, IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::sync::LazyLock;
use tandem_core::policy::{STYLE, difference_page, document_page};

/// The longest `Accept` that is looked at, in bytes.
const LONGEST: usize = 1_024;

/// The page has one style and nothing else; it is allowed by its hash.
static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| only(STYLE));

/// What a page may do that has this style and nothing else.
pub(in crate::routes) fn only(style: &str) -> HeaderValue {
    let hash = STANDARD.encode(ring::digest::digest(&ring::digest::SHA256, style.as_bytes()));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    // Base64 and our own text: always a header's value.
    HeaderValue::try_from(policy).unwrap_or(HeaderValue::from_static("default-src 'none'"))
}

/// A form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::routes) enum Form {
    /// YAML (RFC 9512).
    Yaml,
    /// One page.
    Html,
    /// JSON.
    Json,
}

impl Form {
    /// Every one; the first of those that are wanted alike is given.
    const ALL: [Self; 3] = [Self::Yaml, Self::Html, Self::Json];
    /// What they are called in a query.
    pub(super) const NAMES: [&'static str; 3] = ["yaml", "html", "json"];

    fn media_type(self) -> &'static str {
        match self {
            Self::Yaml => "application/yaml",
            Self::Html => "text/html",
            Self::Json => "application/json",
        }
    }

    /// The one of this name.
    pub(in crate::routes) fn named(name: &str) -> Option<Self> {
        Self::NAMES.iter().position(|known| *known == name).map(|n| Self::ALL[n])
    }

    /// The one that is wanted most (RFC 9110, 12.5.1); YAML where nothing is said.
    ///
    /// # Errors
    /// [`Problem::NotAcceptable`] where none is.
    pub(super) fn wanted(headers: &HeaderMap) -> Result<Self, Problem> {
        Self::wanted_of(&Self::ALL, headers)
    }

    /// The same among some, the first where nothing is said.
    ///
    /// # Errors
    /// As [`Form::wanted`].
    pub(in crate::routes) fn wanted_of<const N: usize>(
        forms: &[Self; N],
        headers: &HeaderMap,
    ) -> Result<Self, Problem> {
        let all: Vec<&str> = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok()).collect();
        let text = all.join(",");
        if text.trim().is_empty() || text.len() > LONGEST {
            return Ok(forms[0]);
        }
        let ranges: Vec<(String, f32)> = text.split(',').map(range).collect();
        let mut best = None;
        for form in *forms {
            let weight = weight(form.media_type(), &ranges);
            if weight > best.map_or(0.0, |(_, before)| before) {
                best = Some((form, weight));
            }
        }
        let known = || forms.map(Self::media_type).to_vec();
        best.map(|(form, _)| form).ok_or_else(|| Problem::NotAcceptable { known: known() })
    }

    /// The document in this form.
    ///
    /// # Errors
    /// [`Problem::Internal`] where it cannot be written.
    pub(super) fn answer(self, policies: &Policies) -> Result<Response, Problem> {
        let mut response = match self {
            Self::Json => Json(policies).into_response(),
            Self::Yaml => {
                let text = serde_yaml::to_string(policies).map_err(|error| {
                    tracing::error!(%error, "the policies cannot be written as YAML");
                    Problem::Internal
                })?;
                ([(header::CONTENT_TYPE, self.media_type())], text).into_response()
            }
            Self::Html => {
                let page = match policies {
                    Policies::InForce(document) => document_page(document),
                    Policies::Difference(difference) => difference_page(difference),
                };
                ([(header::CONTENT_SECURITY_POLICY, POLICY.clone())], Html(page)).into_response()
            }
        };
        response.headers_mut().insert(header::VARY, HeaderValue::from_static("accept"));
        Ok(response)
    }
}

/// A media range and how much it is wanted.
fn range(text: &str) -> (String, f32) {
    let mut parts = text.split(';').map(str::trim);
    let name = parts.next().unwrap_or_default().to_ascii_lowercase();
    let weight = parts.find_map(|part| part.strip_prefix("q=")).map_or(Some(1.0), |q| q.parse().ok());
    (name, weight.filter(|weight| (0.0..=1.0).contains(weight)).unwrap_or(0.0))
}

/// How much a media type is wanted: what the range says that fits it most closely.
fn weight(media_type: &str, ranges: &[(String, f32)]) -> f32 {
    let whole = media_type.split('/').next().map(|kind| format!("{kind}/*")).unwrap_or_default();
    let of = |name: &str| ranges.iter().find(|(range, _)| range == name).map(|(_, weight)| *weight);
    of(media_type).or_else(|| of(&whole)).or_else(|| of("*/*")).unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_is_the_one_that_is_wanted_most() {
        let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
        for (accept, wanted) in [
            (None, Some(Form::Yaml)),
            (Some(""), Some(Form::Yaml)),
            (Some("*/*"), Some(Form::Yaml)),
            (Some(browser), Some(Form::Html)),
            (Some("application/json"), Some(Form::Json)),
            (Some("Application/JSON; charset=utf-8"), Some(Form::Json)),
            (Some("application/yaml;q=0.5, application/json;q=0.6"), Some(Form::Json)),
            (Some("text/*"), Some(Form::Html)),
            (Some("application/*"), Some(Form::Yaml)),
            (Some("application/yaml;q=0, */*;q=0.1"), Some(Form::Html)),
            (Some("image/png"), None),
            (Some("text/html;q=0"), None),
            (Some("text/html;q=nonsense"), None),
        ] {
            let mut headers = HeaderMap::new();
            headers.extend(accept.map(|text| (header::ACCEPT, HeaderValue::from_str(text).unwrap())));
            assert_eq!(Form::wanted(&headers).ok(), wanted, "{accept:?}");
        }
    }
}
