//! In which language a problem is answered: by `Accept-Language`, English where nothing is asked.

use super::Problem;
use axum::extract::Request;
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::Response;
use tandem_core::failover::Language;

/// The longest header that is looked at, in bytes.
const LONGEST: usize = 256;

/// The language that is wanted most, of those that there are (RFC 9110, 12.5.4). English where neither is named.
#[must_use]
pub fn language_of(headers: &HeaderMap) -> Language {
    let Some(text) = headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok()) else {
        return Language::English;
    };
    if text.len() > LONGEST {
        return Language::English;
    }
    let mut best = (Language::English, 0.0);
    for range in text.split(',') {
        let mut parts = range.split(';');
        let tag = parts.next().unwrap_or_default().trim().to_ascii_lowercase();
        let weight = parts.find_map(|part| part.trim().strip_prefix("q=")).map_or(Some(1.0), |q| q.trim().parse().ok());
        let language = match tag.split('-').next() {
            Some("en" | "*") => Language::English,
            Some("zh") => Language::Chinese,
            _ => continue,
        };
        // The first of equals wins.
        if let Some(weight) = weight.filter(|weight: &f64| *weight <= 1.0 && *weight > best.1) {
            best = (language, weight);
        }
    }
    best.0
}

/// Puts problems into the language that is asked for. Handlers answer in English and know nothing of this.
pub async fn localise(request: Request, next: Next) -> Response {
    let language = language_of(request.headers());
    let response = next.run(request).await;
    match response.extensions().get::<Problem>() {
        Some(problem) if language != Language::English => problem.respond(language),
        _ => response,
    }
}
